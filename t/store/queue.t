#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A claim, be it of an exchange or of a chore, costs about the same whatever the queue looks like, also before the database's statistics know that it has grown.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Databases;
use P2P::Queue;
use Test::More;

my $MANY  = 50_000;
my $CALLS = 60;

each_database('claims', sub {
    my ($db) = @_;
    my $times = start_queue($db);
    run_sql($db, queued_jobs($db, 1_000_000, 500));
    my %short = map { $_ => ask_queue($times, $_, $CALLS)->{p50} } qw(claim test);
    my $add = sub {
        my ($words, @jobs) = @_;
        run_sql($db, queued_jobs($db, @jobs));
        for my $what (sort keys %short) {
            my $took = ask_queue($times, $what, $CALLS)->{p50};
            cmp_ok($took, '<', 10 * $short{$what} + 3000, "$what, $words: $took us, $short{$what} us in a short queue");
        }
    };
    $add->("$MANY more", 10_000_000, $MANY);
    $add->("and as many that have ended", 20_000_000, $MANY, status => "'COMPLETED'", end_time => 'i');
    $add->("and $MANY that rest", 30_000_000, $MANY, status => "'STARTED'", oidc_server_id => '1 + i % 51', not_before => '9000000000000000');
    end_queue($times);
});

done_testing;
