#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Jobs that ended too early and are begun again: only what is missing is fetched, what the target refused is tried again without the source, and the
# target is as after an undisturbed exchange.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use Test::More;
use Time::HiRes qw(sleep);

my $PATIENT = 'the-member-of-the-source';
my $PAGES = 'GET _getpages=';
my $dir = tempdir('p2p-restart-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $file = write_data("$dir/member.ndjson", tangled_member(40, 5, $PATIENT)->{lines});
my $sandbox = P2P::Exchange::sandbox(
    { name => 'plain', data => [$file], directives => ['SandboxPageSize 10'] },
    { name => 'target', role => 'target' },
);

sub fresh {
    my ($x) = @_;
    $x->reset_target;
    $sandbox->faults($_, []) for qw(plain target);
    $sandbox->clear_requests('plain');
    return $x->expect('plain', $PATIENT, 'member');
}

sub restart {
    my ($x, $path, $body) = @_;
    my $answer = $x->{api}->post("$path/restart", $body);
    is($answer->{status}, 202, 'it is begun again') or diag $answer->{content};
    is($answer->{json}{batchStatus}, 'STARTING', '... queued');
    my $job = $x->wait($path);
    $job->{path} = $path;
    return $job;
}

# What the source was asked for that holds data.
sub fetched { return grep { m{/fhir} && !m{/metadata} } map { $_->{url} } @{ $sandbox->requests('plain')->{log} } }

# The report's parts and sums agree with the job.
sub ok_report {
    my ($x, $job, $name) = @_;
    my $report = $x->{api}->get("$job->{path}/report")->{json};
    my $accounting = $report->{accounting};
    ok($accounting->{balanced}, "$name: the report balances");
    is_deeply([@$accounting{qw(retrieved written duplicate skipped rejected waiting)}], [@{ $job->{progress} }{qw(retrieved written duplicate skipped rejected waiting)}],
        "$name: ... and its sums are the job's");
    return $report;
}

# The target is as after an undisturbed exchange.
sub ok_arrived {
    my ($x, $job, $compare, $name) = @_;
    my $dump = $x->target_dump;
    $x->ok_exchange($job, $compare, $name, dump => $dump);
    $x->ok_target($dump, $name);
    return;
}

sub test_source_dies {
    my ($x) = @_;
    my $compare = fresh($x);
    $sandbox->faults('plain', { do => 'status', match => $PAGES, status => 403, nth => 8, count => 0 });
    my $job = $x->exchange('plain', $PATIENT, 'member');
    is($job->{batchStatus}, 'FAILED', 'the source refuses half-way: FAILED');
    is(join("\n", P2P::Compare::account_faults($job)), '', '... the accounts balance');
    my $report = ok_report($x, $job, 'half-way');
    my $landed = grep { $_->{landed} } @{ $report->{parts} };
    cmp_ok($landed, '>', 2, "... some parts have landed ($landed)");
    my ($error) = $x->{api}->request('DELETE', $job->{path});
    is($error->{status}, 409, 'a job that FAILED cannot be stopped');
    $sandbox->faults('plain', []);
    $sandbox->clear_requests('plain');
    $job = restart($x, $job->{path});
    ok_arrived($x, $job, $compare, 'half-way, and again');
    $report = ok_report($x, $job, 'half-way, and again');
    is($report->{attempt}, 2, 'its second attempt');
    my @again = fetched();
    is(scalar @again, @{ $report->{parts} } - $landed, 'only the parts that had not landed were fetched') or diag join "\n", @again;
    is($x->{api}->post("$job->{path}/restart")->{status}, 409, 'a job that is COMPLETED is not begun again');
    return;
}

sub reject { my ($compare, @keys) = @_; return map { { do => 'reject', match => 'POST *', resource => $compare->target_key($_), status => 422, text => "no $_ here" } } @keys }

sub rejected { my ($report) = @_; return [sort map { "$_->{outcome} $_->{type}/$_->{id}" } @{ $report->{resources} }] }

# Nothing refers to these, so that nothing else is changed by their refusal.
sub test_refused {
    my ($x) = @_;
    my $compare = fresh($x);
    my @keys = qw(Observation/plain-5 Observation/plain-7 Observation/plain-33);
    $sandbox->faults('target', [reject($compare, @keys)]);
    my $job = $x->exchange('plain', $PATIENT, 'member');
    is($job->{error}{code}, 'resources-rejected', 'the target refuses three: FAILED');
    my $written = $job->{progress}{written};
    is_deeply(rejected(ok_report($x, $job, 'three refused')), [sort map { "rejected $_" } @keys], '... the report names them');
    $sandbox->clear_requests('plain');
    $sandbox->faults('target', [reject($compare, $keys[1])]);
    $job = restart($x, $job->{path});
    is($job->{error}{code}, 'resources-rejected', 'it still refuses one: FAILED again');
    is(join("\n", P2P::Compare::account_faults($job)), '', '... the accounts balance');
    is_deeply([@{ $job->{progress} }{qw(written rejected)}], [$written + 2, 1], '... the others went in');
    my $report = ok_report($x, $job, 'one refused again');
    is_deeply(rejected($report), ["rejected $keys[1]"], '... the report names it alone');
    is(scalar(grep { $_->{kind} eq 'dead-letters' } @{ $report->{requests} }), 1, '... by a request of dead letters');
    $sandbox->faults('target', []);
    $job = restart($x, $job->{path});
    ok_arrived($x, $job, $compare, 'none refused');
    is_deeply(rejected(ok_report($x, $job, 'none refused')), [], 'nothing is left in the report');
    is(join(' ', fetched()), '', 'and the source was not asked for any of it');
    return;
}

sub test_stop {
    my ($x) = @_;
    my $compare = fresh($x);
    $sandbox->set('plain', delay => 150);
    my $answer = $x->order('plain', $PATIENT, 'member');
    my $path = $answer->{path};
    for (1 .. 100) {
        last if ($x->job($path)->{progress}{parts} // 0) > 2;
        sleep 0.05;
    }
    my $stopping = $x->{api}->request('DELETE', $path);
    is($stopping->{status}, 202, 'a running job is stopped');
    my $job = $x->wait($path, seconds => 20);
    $job->{path} = $path;
    $sandbox->set('plain', delay => 0);
    is($job->{batchStatus}, 'STOPPED', '... it is STOPPED');
    is(join("\n", P2P::Compare::account_faults($job)), '', '... the accounts balance');
    my $report = ok_report($x, $job, 'stopped');
    my $landed = grep { $_->{landed} } @{ $report->{parts} };
    my $there = scalar grep { m{^Task/} } keys %{ $x->target_dump };
    is($there, 1, '... its Task is there');
    $sandbox->clear_requests('plain');
    $job = restart($x, $path);
    ok_arrived($x, $job, $compare, 'stopped, and again');
    is(scalar fetched(), @{ ok_report($x, $job, 'stopped, and again')->{parts} } - $landed, 'only the parts that had not landed were fetched');
    return;
}

# The tokens are spent at the source: the member authorises again, and the job goes on with what the portal got.
sub test_new_tokens {
    my ($x) = @_;
    my $compare = fresh($x);
    $sandbox->faults('plain', { do => 'status', match => $PAGES, status => 403, nth => 4, count => 0 });
    $sandbox->add_grant('plain', 'SECRET-access-short', '-', $PATIENT);
    my $job = $x->exchange('plain', $PATIENT, 'member', token => ['SECRET-access-short', '']);
    is($job->{batchStatus}, 'FAILED', 'a job with an access token alone: FAILED');
    $sandbox->faults('plain', []);
    my $answer = $x->{api}->post("$job->{path}/restart");
    is($answer->{json}{code}, 'grant-ended', '... has no token for a restart');
    $sandbox->add_grant('plain', 'SECRET-access-new', 'SECRET-refresh-new', $PATIENT);
    $job = restart($x, $job->{path}, { sourcePayer => { oidcToken => 'SECRET-access-new', oidcRefreshToken => 'SECRET-refresh-new' } });
    $x->ok_exchange($job, $compare, 'with new tokens');
    return;
}

# The runner dies in the middle of a job that somebody wants stopped: another one tells its Task.
sub test_stop_without_runner {
    my ($x) = @_;
    fresh($x);
    $x->{httpd}->expect_log(qr/p2p-runner 0 ended/);
    $sandbox->set('plain', delay => 200);
    my $answer = $x->order('plain', $PATIENT, 'member');
    my $path = $answer->{path};
    for (1 .. 100) {
        last if ($x->job($path)->{progress}{parts} // 0) > 0;
        sleep 0.05;
    }
    kill KILL => $x->runner_pid;
    my $stopped = $x->{api}->request('DELETE', $path);
    is($stopped->{status}, 202, 'a job whose runner is killed is stopped');
    my $job = $x->wait($path, seconds => 60);
    $sandbox->set('plain', delay => 0);
    is($job->{batchStatus}, 'STOPPED', '... it is STOPPED');
    my $task = $x->target_dump->{"Task/$job->{taskId}"};
    like($task->{text}, qr/"status":"on-hold"/, '... and so says its Task');
    return;
}

# Ended jobs go when their time is over, with all that is theirs.
sub test_retention {
    my ($x, $db) = @_;
    my $compare = fresh($x);
    my $job = $x->exchange('plain', $PATIENT, 'member');
    $job->{path} =~ m{(\d+)$};
    run_sql($db, "UPDATE p2p_job SET end_time = end_time - 91 * CAST(86400000000 AS BIGINT) WHERE id = $1");
    run_sql($db, 'DELETE FROM p2p_counter WHERE name LIKE \'tidy %\'');
    $x->{httpd}->stop;
    $x->{httpd}->start;
    $x->{api} = P2P::Api->new($x->{httpd}->url);
    for (1 .. 100) {
        last if $x->{api}->get($job->{path})->{status} == 404;
        sleep 0.1;
    }
    is($x->{api}->get($job->{path})->{status}, 404, 'a job that ended 91 days ago is gone');
    is(0 + run_sql($db, "SELECT COUNT(*) FROM p2p_part WHERE job_id = $1"), 0, '... with its parts');
    return;
}

each_database('restart' => sub {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['plain'], directives => { P2PSourceConnections => 1 });
    test_source_dies($x);
    test_refused($x);
    test_stop($x);
    test_new_tokens($x);
    test_stop_without_runner($x);
    test_retention($x, $db);
    $x->ok_sealed('restart');
    $x->stop;
});
done_testing;
