#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# clang compiles every file without a warning, and its static analyzer finds nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Source;
use POSIX ();
use Test::More;

my $top   = top();
my @flags = split ' ', qx{pkg-config --cflags apr-1 apr-util-1 json-c libcurl libcrypto cmocka};
chomp(my $httpd = qx{apxs -q INCLUDEDIR});
push @flags, "-I$httpd", map { "-I$top/$_" } qw(lib mod_p2p t/sandbox);
push @flags, qw(-std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes),
    '-DP2P_VERSION="0"', '-DP2P_RUNNER_PATH="/p2p-runner"';

# Prints what clang has to say of the file, nothing when it is content.
sub analyze {
    my ($file) = @_;
    open my $clang, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', 'clang', '--analyze', '--analyzer-output', 'text', '-Xclang',
        '-analyzer-werror', '-Werror', @flags, '-o', '/dev/null', "$top/$file"
        or die "clang: $!";
    local $/;
    my $said = <$clang>;
    close $clang;
    return '' unless $?;
    return join "\n", "clang ended with " . ($? >> 8), grep { !/ note: |^\s|^\d+ error/ } split /\n/, $said;
}

# As many at a time as there are processors; each child takes every nth file and writes its findings to its pipe.
my @files = files(qr{\.c$}, 'lib', 'mod_p2p', 't/sandbox');
ok(@files > 0, 'there are files to look at');
chomp(my $workers = qx{nproc} || 1);
my @pipes;
for my $worker (0 .. $workers - 1) {
    my $pid = open my $pipe, '-|';
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        for (my $i = $worker; $i < @files; $i += $workers) {
            my $said = analyze($files[$i]);
            print "$files[$i]\0$said\0";
        }
        POSIX::_exit(0) if close STDOUT;
        POSIX::_exit(1);
    }
    push @pipes, $pipe;
}
my %said;
for my $pipe (@pipes) {
    local $/;
    my @fields = split /\0/, <$pipe> // '', -1;
    while (@fields > 1) {
        my $file = shift @fields;
        $said{$file} = shift @fields;
    }
    close $pipe;
}
for my $file (@files) {
    ok(defined $said{$file} && $said{$file} eq '', $file) or diag($said{$file} // 'not looked at');
}
done_testing();
