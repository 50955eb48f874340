#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A claim costs about the same whatever the queue looks like, also before the database's statistics know that it has grown.
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
    my $short = ask_queue($times, 'claim', $CALLS)->{p50};
    my $limit = 10 * $short + 3000;
    my $add = sub {
        my ($words, @jobs) = @_;
        run_sql($db, queued_jobs($db, @jobs));
        my $took = ask_queue($times, 'claim', $CALLS)->{p50};
        cmp_ok($took, '<', $limit, "$words: $took us, $short us in a short queue");
    };
    $add->("$MANY more", 10_000_000, $MANY);
    $add->("and as many that have ended", 20_000_000, $MANY, status => "'COMPLETED'", end_time => 'i');
    $add->("and $MANY that rest", 30_000_000, $MANY, status => "'STARTED'", oidc_server_id => '1 + i % 51', not_before => '9000000000000000');
    end_queue($times);
});

done_testing;
