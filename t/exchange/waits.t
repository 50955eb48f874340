#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Why an exchange does not go on, as administrators are told while it waits: for the source, the target or a token, with its slot or without; and that
# nothing is said of it when it goes on, or has ended.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use Test::More;
use Time::Piece;

my $PATIENT = 'the-member-of-the-source';
my $dir = tempdir('p2p-waits-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $file = write_data("$dir/member.ndjson", tangled_member(40, 5, $PATIENT)->{lines});
my $sandbox = P2P::Exchange::sandbox({ name => 'source', data => [$file], directives => ['SandboxPageSize 10'] }, { name => 'target', role => 'target' });
my $CLOCK = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my $SLOT  = ' It has given its slot back meanwhile.';

sub busy { my ($match, %more) = @_; return { do => 'status', match => $match, status => 429, count => 0, %more } }

sub admin { my ($x, $job) = @_; return $x->{api}->get("/admin/batch_jobs/$job->{json}{batchJobId}")->{json} }

# Orders an exchange of a sandbox that has these faults.
sub begin {
    my ($x, %faults) = @_;
    $x->reset_target;
    $sandbox->faults($_, $faults{$_} // []) for 'source', 'target';
    return $x->order('source', $PATIENT, 'target-waits');
}

# It waits for this: the job as it says so.
sub ok_waits {
    my ($x, $order, $code, $sentence, $name, $more) = @_;
    my $job;
    my $seen = $x->{httpd}->wait_for(sub { $job = admin($x, $order); return ($job->{waits}{code} // '') eq $code && $job->{waits}{sentence} =~ /\Q$more\E$/ });
    ok($seen, "$name: $code") or diag explain $job;
    is($job->{batchStatus}, 'STARTED', '... of a job that has begun');
    is($job->{waits}{sentence}, "$sentence.$more", '... in words');
    like($job->{waits}{until} // '', qr/^$CLOCK$/, '... and until when');
    ok(!exists $x->job($order->{path})->{waits}, '... which portals are not told');
    return $job;
}

sub seconds_until { my ($time) = @_; $time =~ s/\..*//; return Time::Piece->strptime($time, '%Y-%m-%dT%H:%M:%S')->epoch - time }

sub ok_over {
    my ($x, $order, $status, $name) = @_;
    my $ended = $x->wait($order->{path});
    my $job = admin($x, $order);
    is($job->{batchStatus}, $status, "$name: $status") or diag explain $job;
    ok(exists $job->{waits} && !defined $job->{waits}, '... and waits no more');
    return $job;
}

sub test_source_asks {
    my ($x) = @_;
    my $order = begin($x, source => [busy('GET _getpages=', retryAfter => 55)]);
    my $job = ok_waits($x, $order, 'source-asks', 'The source asked us to wait', 'a page', '');
    my $left = seconds_until($job->{waits}{until});
    ok($left > 0 && $left < 57, '... as it asked to') or diag $left;
    is($job->{tokenRefreshed}, undef, '... its token was not refreshed');
    my $list = $x->{api}->get('/admin/batch_jobs?status=STARTED')->{json}{jobs};
    is_deeply([map { $_->{waits}{code} } @$list], ['source-asks'], '... and the list says so, too');
    $x->{api}->request(DELETE => $order->{path});
    ok_over($x, $order, 'STOPPED', 'stopped meanwhile');
    return;
}

# The row alone tells of it: nobody works on the job.
sub test_rest {
    my ($x) = @_;
    my $order = begin($x, source => [busy('GET _getpages=', retryAfter => 300, count => 1)]);
    my $job = ok_waits($x, $order, 'source-asks', 'The source asked us to wait', 'a job that rests', $SLOT);
    my $left = seconds_until($job->{waits}{until});
    ok($left > 100 && $left < 303, '... as it asked to') or diag $left;
    my $same = $x->{api}->get("/admin/batch_jobs/$job->{batchJobId}");
    is($x->{api}->get("/admin/batch_jobs/$job->{batchJobId}", 'If-None-Match' => $same->{headers}{etag})->{status}, 304, '... 304 while it does');
    run_sql($x->{db}, 'UPDATE p2p_job SET not_before = 1 WHERE not_before > 0');
    ok_over($x, $order, 'COMPLETED', 'when its time has come');
    return;
}

sub test_target_fails {
    my ($x) = @_;
    my $order = begin($x, target => [{ do => 'status', match => 'POST /fhir', status => 503, count => 0 }]);
    ok_waits($x, $order, 'target-fails', 'The target is away, or does not answer as it should', 'a Bundle', '');
    $sandbox->faults('target', []);
    ok_over($x, $order, 'COMPLETED', 'when the target is well');
    $order = begin($x, target => [busy('GET /fhir/Patient', retryAfter => 55)]);
    ok_waits($x, $order, 'target-asks', 'The target asked us to wait', 'the target, before anything is retrieved', '');
    $x->{api}->request(DELETE => $order->{path});
    ok_over($x, $order, 'STOPPED', 'stopped meanwhile');
    return;
}

sub test_token {
    my ($x) = @_;
    my $order = begin($x, source => [{ do => 'expired-token', match => 'GET _getpages=' }, { do => 'status', match => 'POST /token', status => 503, count => 0 }]);
    my $job = ok_waits($x, $order, 'token-endpoint', q{The source's token endpoint gives no new access token for now}, 'a token', '');
    is($job->{tokenRefreshed}, undef, '... and none was given yet');
    $sandbox->faults('source', []);
    $job = ok_over($x, $order, 'COMPLETED', 'when there is one');
    like($job->{tokenRefreshed} // '', qr/^$CLOCK$/, '... and it is told since when');
    ok($job->{tokenRefreshed} gt $job->{startTime} && $job->{tokenRefreshed} lt $job->{endTime}, '... within the job');
    return;
}

each_database('waits', sub {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['source'], directives => { P2PRetryFor => 3600 }, httpd => { users => { admin => 'pass-1' } },
        login => ['admin', 'pass-1']);
    test_source_asks($x);
    test_rest($x);
    test_target_fails($x);
    test_token($x);
    $x->ok_sealed('waits');
    $x->stop;
});

done_testing;
