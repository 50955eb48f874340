#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A job that has to wait for longer than a minute gives its slot back: others go on meanwhile, it goes on when its time has come, can be stopped before,
# and what it writes twice on the way is nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use Test::More;

my $PATIENT = 'the-member-of-the-source';
my $dir = tempdir('p2p-resting-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $file = write_data("$dir/member.ndjson", tangled_member(40, 5, $PATIENT)->{lines});
my $sandbox = P2P::Exchange::sandbox((map { { name => $_, data => [$file], directives => ['SandboxPageSize 10'] } } qw(waits plain)), { name => 'target', role => 'target' });
my $RESTS = "FROM p2p_job WHERE status = 'STARTED' AND lease_owner = '' AND not_before > 0 AND trouble_since > 0";

sub resting { my ($x) = @_; return run_sql($x->{db}, "SELECT COUNT(*) $RESTS") + 0 }
sub busy { my ($match, %more) = @_; return { do => 'status', match => $match, status => 429, retryAfter => 300, %more } }

# What has to be waited for is where: its job rests, another one is done in the only slot, then the first goes on.
sub test_rest {
    my ($x, $name, $payer, $fault) = @_;
    my ($compare) = map { $x->expect($_, $PATIENT, "target-$_") } 'waits';
    $x->reset_target;
    $sandbox->faults($payer, [$fault]);
    my $waits = $x->order('waits', $PATIENT, 'target-waits');
    ok($x->{httpd}->wait_for(sub { resting($x) }), "$name: the job gives its slot back");
    is($x->job($waits->{path})->{batchStatus}, 'STARTED', "$name: ... and stays STARTED");
    my $plain = $x->exchange("plain", $PATIENT, "target-plain");
    is($plain->{batchStatus}, 'COMPLETED', "$name: another job is done meanwhile") or diag explain $plain;
    is(resting($x), 1, "$name: ... while the first rests");
    run_sql($x->{db}, 'UPDATE p2p_job SET not_before = 1 WHERE not_before > 0');
    my $job = $x->wait($waits->{path});
    $x->ok_exchange($job, $compare, $name, count => undef);
    is(run_sql($x->{db}, "SELECT lease_epoch FROM p2p_job WHERE id = $job->{batchJobId}") + 0, 2, "$name: ... when its time has come");
    $sandbox->faults($payer, []);
    return;
}

sub test_stopped {
    my ($x) = @_;
    $x->reset_target;
    $sandbox->faults('waits', [busy('GET _getpages=', count => 0)]);
    my $waits = $x->order('waits', $PATIENT, 'target-waits');
    ok($x->{httpd}->wait_for(sub { resting($x) }), 'a job rests');
    run_sql($x->{db}, "UPDATE p2p_job SET status = 'STOPPING' WHERE status = 'STARTED'");
    my $job = $x->wait($waits->{path}, seconds => 20);
    is($job->{batchStatus}, 'STOPPED', '... and is stopped all the same');
    $sandbox->faults('waits', []);
    return;
}

# Trouble lasts from one rest to the next: in the end the job fails.
sub test_over {
    my ($x) = @_;
    $x->reset_target;
    $sandbox->faults('waits', [busy('GET _getpages=', count => 0)]);
    my $waits = $x->order('waits', $PATIENT, 'target-waits');
    ok($x->{httpd}->wait_for(sub { resting($x) }), 'a job rests');
    run_sql($x->{db}, 'UPDATE p2p_job SET not_before = 1, trouble_since = trouble_since - 3600000000 WHERE not_before > 0');
    my $job = $x->wait($waits->{path}, seconds => 20);
    $x->ok_failed($job, 'source-answered', qr/429/, '... whose trouble has lasted too long');
    $sandbox->faults('waits', []);
    return;
}

# It goes on where a page's link has expired meanwhile: the request is begun anew, once, whoever goes on with it.
sub test_expired {
    my ($x) = @_;
    my $compare = $x->expect('waits', $PATIENT, 'target-waits');
    $x->reset_target;
    $sandbox->faults('waits', [busy('GET _getpages=', nth => 3)]);
    my $waits = $x->order('waits', $PATIENT, 'target-waits');
    ok($x->{httpd}->wait_for(sub { resting($x) }), 'a job rests before a page');
    $sandbox->faults('waits', [{ do => 'status', match => 'GET _getpages=', status => 410 }, busy('GET _getpages=', nth => 3)]);
    run_sql($x->{db}, 'UPDATE p2p_job SET not_before = 1 WHERE not_before > 0');
    ok($x->{httpd}->wait_for(sub { run_sql($x->{db}, "SELECT COUNT(*) $RESTS AND not_before > 1 AND lease_epoch = 2") + 0 }), '... whose link expires, and rests again');
    $sandbox->faults('waits', []);
    run_sql($x->{db}, 'UPDATE p2p_job SET not_before = 1 WHERE not_before > 0');
    my $job = $x->wait($waits->{path});
    $x->ok_exchange($job, $compare, 'begun anew', count => undef);
    my $report = $x->report($waits->{path});
    is(scalar(grep { $_->{code} eq 'expired' } @{ $report->{resources} }), 1, '... once');
    my %requests = map { $_->{request} => 1 } @{ $report->{parts} };
    is(join(' ', sort keys %requests), '0 1', '... as a request of its own');
    is(scalar(grep { !$_->{landed} } @{ $report->{parts} }), 0, '... all of whose parts landed');
    return;
}

each_database('resting', sub {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['waits', 'plain'], directives => { P2PRetryFor => 3600, P2PJobsPerRunner => 1 });
    test_rest($x, 'a page', 'waits', busy('GET _getpages=', nth => 2));
    test_rest($x, 'the metadata', 'waits', busy('GET /metadata'));
    test_rest($x, 'a Bundle', 'target', busy('POST /fhir', nth => 2));
    test_expired($x);
    test_stopped($x);
    test_over($x);
    $x->ok_sealed('resting');
    $x->stop;
});

done_testing;
