#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The fault table of docs/operations.md: each row names a test that exists and that speaks of the row's fault.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Source;
use Test::More;

my @rows = map { [map { s/^\s+|\s+$//gr } split /\s\|\s|^\|\s|\s\|$/] } grep { /^\| `.*\| t\/\S+ \|$/ } lines_of('docs/operations.md');
cmp_ok(scalar @rows, '>', 40, 'the table has its rows');
my (%text, %times);
for my $row (@rows) {
    my (undef, $id, $what, $job, $says, $test) = @$row;
    $id =~ s/`//g;
    is($times{$id}++, 0, "$id stands there once");
    is(scalar(grep { defined && length } $what, $job, $says), 3, "$id: every column is filled") or diag explain $row;
    ok(-f top() . "/$test", "$id: $test exists") or next;
    $text{$test} //= join "\n", lines_of($test);
    ok(index($text{$test}, $id) >= 0, "$id: $test speaks of it");
}
done_testing;
