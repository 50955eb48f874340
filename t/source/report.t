#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The report of a job: each code and each kind of request is explained in docs/api.md, each code has a reason, and none is left over.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Source;
use Test::More;

# The words in backquotes of the first column of the table whose first column is called so.
sub documented {
    my ($column) = @_;
    my ($inside, @words);
    for my $line (lines_of('docs/api.md')) {
        $inside = 1 if index($line, "| $column |") == 0;
        $inside = 0 if $line !~ /^\|/;
        push @words, $line =~ /^\|([^|]*)\|/ ? $1 =~ /`([\w-]+)`/g : () if $inside && index($line, "| $column |") != 0;
    }
    return sort @words;
}

my @reasons = map { /^\s+\{ "([\w-]+)", "[^"]+\." \},$/ ? $1 : () } lines_of('mod_p2p/handle_report.c');
my @kinds   = map { /^#define P2P_REQUEST_\w+ "([\w-]+)"/ ? $1 : () } lines_of('lib/model/part.h');

ok(@reasons > 5, 'reasons are found');
is_deeply([sort @reasons], [documented('`code` of a resource')], 'each code of a resource has a reason and a row in docs/api.md');
ok(@kinds > 3, 'kinds of requests are found');
is_deeply([sort @kinds], [documented('`kind` of a request')], 'each kind of request has a row in docs/api.md');
done_testing();
