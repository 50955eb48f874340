#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# docs/security.md: each file that it names exists, each threat has a test, each example of conf/ is named.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Source;
use Test::More;

my @lines = lines_of('docs/security.md');
my %named;
$named{$_} = 1 for map { m{(?<![\w/])((?:t|conf|docs|lib|mod_p2p)/[\w/.-]*\w)}g } @lines;
cmp_ok(scalar keys %named, '>', 20, 'files are named');
ok(-f top() . "/$_", "$_ exists") for sort keys %named;

my @threats = grep { /^\| (?:anybody|a |some|another|whoever|an )/ } @lines;
cmp_ok(scalar @threats, '>', 20, 'the threats are found');
for my $threat (@threats) {
    my (undef, $who, $what, $how, $tests) = split /\s*\|\s*/, $threat;
    ok($who && $what && $how && ($tests // '') =~ m{^t/\S+\.[tc](?:, t/\S+\.[tc])*$}, "$who: $what") or diag $threat;
}
ok($named{$_}, "$_ is named") for files(qr{/auth-[\w-]+\.conf$}, 'conf');
done_testing;
