#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Shell scripts pass shellcheck, Perl compiles.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Source;
use Test::More;

my $top = top();
my (@shell, @perl);
for my $file (files(qr{(?:^|/)[\w-]+(?:\.(?:sh|t|pl))?$}, 't', 'conf'), 'quickstart', '.ci/run') {
    next unless -f "$top/$file";
    my ($first) = lines_of($file);
    next unless defined $first;
    push @shell, $file if $first =~ /^#!.*\b(?:ba|da)?sh\b/;
    push @perl,  $file if $first =~ /^#!.*\bperl\b/;
}
ok(@shell > 0, 'there are shell scripts');
for my $file (@shell) {
    my $said = qx{cd '$top' && shellcheck -x -S warning '$file' 2>&1};
    is($?, 0, "shellcheck $file") or diag($said);
    ok(-x "$top/$file" || $file =~ /\.sh$/, "$file can be run");
}
for my $file (@perl) {
    my $said = qx{cd '$top' && $^X -It/lib -c '$file' 2>&1};
    is($?, 0, "perl -c $file") or diag($said);
}
done_testing();
