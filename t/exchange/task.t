#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The job's Task: there is one, whoever works on the job and however often; it tells how far the exchange has come and what it is based on; where the
# target refuses it the report says so. And the end of each attempt is an event, once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use Test::More;
use Time::HiRes qw(sleep time);

my $PATIENT = 'the-member-of-the-source';
my $CODES   = 'http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes';
my $PAGES   = 'GET _getpages=';
my $sandbox = P2P::Exchange::sandbox({ name => 'plain', directives => ['SandboxPageSize 10'] }, { name => 'target', role => 'target' });
my $member  = tangled_member(60, 5, $PATIENT)->{lines};

sub fresh {
    my ($x) = @_;
    $x->reset_target;
    $sandbox->reset('plain');
    $sandbox->load('plain', $member);
    $sandbox->faults($_, []) for qw(plain target);
    return;
}

# Waits until code gives something true, and returns that.
sub eventually {
    my ($what, $code, $seconds) = @_;
    my $end = time + ($seconds // 60);
    while (time < $end) {
        my $got = $code->();
        return $got if $got;
        sleep 0.1;
    }
    fail "$what, in time";
    return;
}

# All Tasks that are a job's: [{ key, version, doc }].
sub tasks {
    my ($x) = @_;
    my $dump = $x->target_dump;
    return grep { grep { $_->{code} eq 'p2p-exchange' } @{ $_->{doc}{code}{coding} } }
        map { { key => $_, version => $dump->{$_}{version}, doc => decode_json($dump->{$_}{text}) } } grep { m{^Task/} && !$dump->{$_}{deleted} } sort keys %$dump;
}

# The job has one Task, of this status, whose owner is at the target.
sub ok_task {
    my ($x, $job, $status, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @tasks = tasks($x);
    is(join(' ', map { "$_->{key} $_->{doc}{status}" } @tasks), "Task/$job->{taskId} $status", "$name: one Task, $status") or return;
    my $task = $tasks[0]{doc};
    ok($x->target_dump->{ $task->{owner}{reference} }, "$name: its owner is at the target") or diag explain $task;
    return $task;
}

sub events {
    my ($db, $path) = @_;
    my ($id) = $path =~ m{(\d+)$};
    return run_sql($db, "SELECT e.subject || ' ' || e.status FROM p2p_task_event e JOIN p2p_job j ON e.subject LIKE 'job/' || j.uuid || '/%' "
        . "WHERE j.id = $id ORDER BY e.subject, e.status") =~ s{job/[0-9a-f-]{36}/}{}gr;
}

sub report_task { my ($x, $path) = @_; return $x->{api}->get("$path/report")->{json}{task} }

# As the guide has it.
sub add_payer {
    my ($x, $id, $status, $patient, $payer) = @_;
    my $input = sub { { type => { coding => [{ system => $CODES, code => $_[0] }] }, valueString => $_[1] } };
    my $doc = { resourceType => 'Task', id => $id, status => $status, intent => 'original-order', code => { coding => [{ system => $CODES, code => 'p2p-request-add-provider-id' }] },
        requester => { reference => "Patient/$patient", type => 'Patient' }, input => [$input->('new-payer-name', $payer), $input->('requester-email', 'member@example.org')] };
    $x->add_target_patient($patient) if $patient ne 'member';
    $sandbox->load('target', encode_json($doc) . "\n");
    return;
}

# ---- What it is based on ----

sub test_based_on {
    my ($x, $db) = @_;
    fresh($x);
    add_payer($x, 'asked-early', 'requested', 'member', ' PLAIN ');
    sleep 0.01;    # the sandbox tells when by the millisecond
    add_payer($x, 'asked', 'received', 'member', 'Org-Plain');
    add_payer($x, @$_) for ['done', 'completed', 'member', 'plain'], ['elsewhere', 'requested', 'member', 'another'], ['whose', 'requested', 'stranger', 'plain'];
    my $job = $x->exchange('plain', $PATIENT, 'member');
    my $task = ok_task($x, $job, 'completed', 'asked for');
    is_deeply($task->{basedOn}, [{ reference => 'Task/asked' }], '... based on the newest that is open and names the payer');
    my $dump = $x->target_dump;
    is(join(' ', map { "$_ $dump->{\"Task/$_\"}{version}" } qw(asked asked-early done elsewhere whose)), 'asked 1 asked-early 1 done 1 elsewhere 1 whose 1', '... which nobody has touched');
    is($task->{status} . ' ' . scalar @{ $task->{output} }, 'completed 6', '... its output has the counts');
    is(events($db, $job->{path}), '1 completed', '... and its end is an event');
    fresh($x);
    $sandbox->faults('target', [{ do => 'status', match => 'GET /Task?', status => 400, count => 0 }]);
    add_payer($x, 'asked', 'requested', 'member', 'plain');
    is(ok_task($x, $x->exchange('plain', $PATIENT, 'member'), 'completed', 'a target without search')->{basedOn}, undef, '... based on nothing then');
    return;
}

# ---- A target that refuses it ----

sub test_task_refused {
    my ($x, $db) = @_;
    fresh($x);
    $sandbox->faults('target', [{ do => 'status', match => 'PUT /Task/', status => 422, count => 0 }]);
    $sandbox->faults('plain', { do => 'status', match => $PAGES, status => 403, nth => 4, count => 0 });
    my $job = $x->exchange('plain', $PATIENT, 'member');
    is($job->{batchStatus}, 'FAILED', 'the target refuses Tasks, the source a page: FAILED');
    my $seen = report_task($x, $job->{path});
    is_deeply($seen, { id => undef, fault => "The target does not take the job's Task: the answer was 422." }, '... the report tells that there is no Task, and why');
    is(scalar(() = $x->{httpd}->log_text =~ /It goes on without a Task/g), 1, '... the log once');
    is(events($db, $job->{path}), '1 failed', '... the end is an event all the same');
    $sandbox->faults($_, []) for qw(plain target);
    is($x->{api}->post("$job->{path}/restart")->{status}, 202, 'it is begun again, and the target takes Tasks');
    my $again = $x->wait($job->{path});
    ok_task($x, $again, 'completed', 'begun again');
    is_deeply(report_task($x, $job->{path}), { id => $again->{taskId}, fault => undef }, '... the report tells of no fault any more');
    is(events($db, $job->{path}), "1 failed\n2 completed", '... each attempt is an event');
    return;
}

# Before anything was prepared: there is no Patient to write a Task for.
sub test_nobody {
    my ($x, $db) = @_;
    fresh($x);
    my $job = $x->exchange('plain', $PATIENT, 'nobody-there', no_patient => 1);
    is($job->{error}{code}, 'no-target-patient', 'the target has no such patient: FAILED');
    is(events($db, $job->{path}), '1 failed', '... an event without a Task');
    is(scalar tasks($x), 0, '... there is none');
    return;
}

# The source is away: the Task tells that it failed, and why.
sub test_no_source {
    my ($x) = @_;
    fresh($x);
    $sandbox->faults('plain', { do => 'status', match => 'GET /metadata', status => 404, count => 0 });
    my $job = $x->exchange('plain', $PATIENT, 'member');
    is($job->{batchStatus}, 'FAILED', 'a source without metadata: FAILED');
    is(ok_task($x, $job, 'failed', 'no source')->{statusReason}{text}, $job->{error}{message}, '... with the sentence that everyone is told');
    return;
}

# ---- One Task, whoever works on the job ----

# Begins an exchange that goes no further than its third page until the source has no faults any more; returns its path when something has landed.
sub begin {
    my ($x) = @_;
    fresh($x);
    $sandbox->faults('plain', { do => 'status', match => $PAGES, status => 503, retryAfter => 1, nth => 3, count => 0 });
    my $path = $x->order('plain', $PATIENT, 'member')->{path};
    eventually('a part lands', sub { ($x->job($path)->{progress}{parts} // 0) > 0 });
    return $path;
}

sub test_one_task {
    my ($x, $db, $name) = @_;
    my $path = begin($x);
    my $first = $x->job($path)->{taskId};
    add_payer($x, 'asked', 'requested', 'member', 'plain');
    kill KILL => $x->runner_pid;
    $sandbox->faults('plain', []);
    restart_httpd($x, sub { run_sql($db, 'UPDATE p2p_runner SET lease_until = 1') });    # without waiting for it
    my $job = $x->wait($path);
    is($job->{batchStatus}, 'COMPLETED', "$name: the runner is killed, COMPLETED");
    is($job->{taskId}, $first, '... by another one, with the same Task');
    is_deeply(ok_task($x, $job, 'completed', "$name, killed")->{basedOn}, [{ reference => 'Task/asked' }], '... which links what was asked for meanwhile');
    is(events($db, $path), '1 completed', '... its end is an event, once');
    return;
}

sub restart_httpd {
    my ($x, $meanwhile) = @_;
    $x->{httpd}->stop;
    $meanwhile->();
    $x->{httpd}->start;
    $x->{api} = P2P::Api->new($x->{httpd}->url);
    return;
}

sub not_noted {
    my ($x, $db, $id, $name) = @_;
    ok_task($x, { taskId => run_sql($db, "SELECT task_id FROM p2p_job WHERE id = $id") }, 'in-progress', "$name, nobody works on it");
    run_sql($db, "UPDATE p2p_job SET status = 'STOPPING', task_id = '' WHERE id = $id");
    return;
}

# The target has the Task, the runner has died before it could note that; then the job is stopped. And begun again.
sub test_not_noted {
    my ($x, $db, $name) = @_;
    my $path = begin($x);
    my ($id) = $path =~ m{(\d+)$};
    restart_httpd($x, sub { not_noted($x, $db, $id, $name) });
    my $job = $x->wait($path);
    is($job->{batchStatus}, 'STOPPED', "$name: stopped when nobody worked on it");
    ok_task($x, $job, 'on-hold', "$name, stopped");
    is(events($db, $path), '', '... a stop is no event');
    $sandbox->faults('plain', []);
    is($x->{api}->post("$path/restart")->{status}, 202, '... begun again');
    $job = $x->wait($path);
    ok_task($x, $job, 'completed', "$name, begun again");
    is(events($db, $path), '2 completed', '... and its end is');
    return;
}

# The answer to the Task's creation is lost: asked once more, the target has it already.
sub test_answer_lost {
    my ($x) = @_;
    fresh($x);
    $sandbox->faults('target', [{ do => 'cut', match => 'POST *', after => 20, nth => 2 }]);    # behind the Organization's
    my $job = $x->exchange('plain', $PATIENT, 'member');
    is($job->{batchStatus}, 'COMPLETED', 'the answer to the creation is lost: COMPLETED');
    ok_task($x, $job, 'completed', 'answer lost');
    return;
}

# ---- How far it has come ----

sub test_progress {
    my ($x) = @_;
    my $path = begin($x);
    my $text = eventually('progress', sub { (tasks($x))[0]{doc}{businessStatus}{text} });
    like($text, qr/^\d+ parts; \d+ resources retrieved, \d+ written, \d+ duplicate, \d+ skipped, \d+ rejected, \d+ waiting$/, 'the Task tells how far it has come');
    $sandbox->faults('plain', []);
    my $job = $x->wait($path);
    my $task = ok_task($x, $job, 'completed', 'it has come to its end');
    is($task->{businessStatus}, undef, '... which says no more');
    return;
}

sub expect_logs { my ($x) = @_; $x->{httpd}->expect_log(qr/It goes on without a Task/, qr/p2p-runner 0 (?:ended|is started)/); return }

each_database(task => sub {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['plain'], directives => { P2PRetryFor => 3600, P2PSourceConnections => 1 });
    expect_logs($x);
    test_nobody($x, $db);
    test_based_on($x, $db);
    test_task_refused($x, $db);
    test_no_source($x);
    test_not_noted($x, $db, 'our ids');
    test_one_task($x, $db, 'our ids');
    $x->ok_sealed('task');
    $x->stop;
});

subtest 'ids of the target' => sub {
    my $db = P2P::Databases::sqlite();
    $sandbox->set('target', clientIds => 0);
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['plain'], directives => { P2PRetryFor => 3600, P2PSourceConnections => 1, P2PResourceIds => 'conditional' });
    expect_logs($x);
    test_not_noted($x, $db, 'ids of the target');
    test_one_task($x, $db, 'ids of the target');
    test_answer_lost($x);
    test_progress($x);
    $x->stop;
};
done_testing;
