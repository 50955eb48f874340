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

# What the analyzer takes for a fault since it does not know why it cannot be.
my @KNOWN = (
    ['lib/exchange/map.c',   qr/Null pointer passed to 1st parameter/,  'a fullUrl with a length is there'],
    ['lib/exchange/sequence_search.c', qr/loaded from variable 'stay'/, 'DEEPER comes with a resource to go to'],
    ['lib/net/http_curl.c',  qr/Use of memory after it is freed/,       'an origin goes with the last transfer that names it'],
    ['t/sandbox/control.c',  qr/loaded from variable 'now'/,            'only what has a version is dumped'],
    ['t/sandbox/load.c',     qr/Access to field 'kept_for'/,            'an entry that was kept is there'],
    ['t/sandbox/write.c',    qr/loaded from variable 'now'/,            'a read that found nothing has diagnostics'],
);

sub is_known {
    my ($file, $fault) = @_;
    return grep { $file eq $_->[0] && $fault =~ $_->[1] } @KNOWN;
}

# Prints what clang has to say of the file, nothing when it is content.
sub analyze {
    my ($file) = @_;
    my @model = $file eq 'lib/base/error.c' ? () : ('-include', "$top/t/analyze/model.h");
    open my $clang, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', 'clang', '--analyze', '--analyzer-output', 'text', '-Xclang',
        '-analyzer-werror', '-Werror', @flags, @model, '-o', '/dev/null', "$top/$file"
        or die "clang: $!";
    local $/;
    my $said = <$clang>;
    close $clang;
    return '' unless $?;
    my @faults = grep { /: (?:fatal )?(?:error|warning): / } split /\n/, $said;
    return $said unless @faults;
    return join "\n", grep { !is_known($file, $_) } @faults;
}

# As many at a time as there are processors; each child takes every nth file and writes its findings to its pipe.
my @files = @ARGV ? @ARGV : files(qr{\.c$}, 'lib', 'mod_p2p', 't/sandbox');
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
