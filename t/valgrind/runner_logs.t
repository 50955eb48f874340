#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Comes last in the valgrind stage: what valgrind said of the runners that ran before, which has to be nothing.
use strict;
use warnings;
use Test::More;

my $folder = $ENV{P2P_VALGRIND_LOGS} // '';
my @logs = glob "$folder/runner.*.log";
ok(@logs > 0, 'runners ran under valgrind');
for my $log (@logs) {
    open my $in, '<', $log or die "$log: $!";
    my $said = do { local $/; <$in> // '' };
    close $in;
    is($said, '', "valgrind has nothing to say of $log");
}
done_testing();
