#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Batch jobs through the API: what is ordered, what is refused and how.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use Test::More;

my %PAYER = (clientId => 'c', fhirEndpoint => 'https://a.example/fhir', tokenEndpoint => 'https://a.example/token', responseType => 'code');
my @DEFINITIONS = (
    { %PAYER, name => 'A', issuer => 'https://a.example' },
    { %PAYER, name => 'B', issuer => 'https://b.example', customTokenParams => 'audience=x, memberId' },
);
my $TIME = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my $member = 0;

# An order for a member of its own, changed by path => value ("sourcePayer/patientId"); \undef removes.
sub order {
    my (%change) = @_;
    $member++;
    my $order = {
        sourcePayer => { oidcToken => "token-$member", oidcRefreshToken => "refresh-$member", fhirBundleRequest => '', patientId => "s$member" },
        targetPayer => { patientId => "t$member", organizationId => 'TARGET' },
    };
    for my $path (keys %change) {
        my ($first, $second) = split m{/}, $path;
        my $place = defined $second ? $order->{$first} : $order;
        my $name = $second // $first;
        if (ref $change{$path} eq 'SCALAR') { delete $place->{$name} }
        else { $place->{$name} = $change{$path} }
    }
    return $order;
}

sub problem {
    my ($answer, $status, $code, $name) = @_;
    is($answer->{status}, $status, "$name: $status") or diag $answer->{content};
    is($answer->{headers}{'content-type'}, 'application/problem+json', '... as problem+json');
    is($answer->{json}{status}, $status, '... with its status');
    is($answer->{json}{code}, $code, "... and its code $code");
    unlike($answer->{content}, qr/token-\d|refresh-\d/, '... and no secret');
    return $answer->{json};
}

sub taken {
    my ($api, $name, %change) = @_;
    my $answer = $api->post('/api/oidc_servers/1/batch_job', order(%change));
    is($answer->{status}, 202, $name) or diag $answer->{content};
    return $answer;
}

# A 422 with exactly these pointers.
sub wrong {
    my ($api, $name, $pointers, %change) = @_;
    my $answer = $api->post('/api/oidc_servers/1/batch_job', order(%change));
    my $json = problem($answer, 422, 'invalid-fields', $name);
    is_deeply([sort map { $_->{pointer} } @{ $json->{errors} }], [sort @$pointers], '... names what is wrong') or diag $answer->{content};
    ok(!(grep { !length $_->{detail} } @{ $json->{errors} }), '... and why');
    return;
}

sub test_sequence {
    my ($api, $url) = @_;
    my $answer = taken($api, 'an order is taken');
    like($answer->{content}, qr/^\{"batchJobId":1,"batchStatus":"STARTING","startTime":null,"createTime":"$TIME","endTime":null,"lastUpdated":"$TIME","jobConfigurationName":"p2p-exchange","taskId":null,/,
        '... answered as in the guide, times to come and the Task null');
    my %zero = map { $_ => 0 } qw(parts retrieved written duplicate skipped rejected waiting bytes);
    is_deeply($answer->{json}{progress}, \%zero, '... with its progress');
    is($answer->{headers}{location}, '/api/oidc_servers/1/batch_job/1', '... with Location');
    is($answer->{headers}{'retry-after'}, 2, '... and Retry-After');
    my $job = $api->get('/api/oidc_servers/1/batch_job/1');
    is($job->{status}, 200, 'the job can be read');
    is($job->{content}, $answer->{content}, '... and is the same');
    is($api->get('/api/oidc_servers/1/batch_job/1', 'If-None-Match' => $job->{headers}{etag})->{status}, 304, '... 304 while it is');
    my $report = $api->get('/api/oidc_servers/1/batch_job/1/report');
    is($report->{status}, 200, 'its report');
    is_deeply([@{ $report->{json} }{qw(batchJobId batchStatus attempt next)}], [1, 'STARTING', 1, undef], '... is there');
    is_deeply($report->{json}{requests}, [{ request => 0, kind => 'pages', url => 'https://a.example/fhir/Patient/{id}/$everything' }], '... with its requests');
    is_deeply($report->{json}{accounting}, { retrieved => 0, written => 0, duplicate => 0, skipped => 0, rejected => 0, waiting => 0, balanced => JSON::PP::true }, '... and accounts');
    is_deeply($report->{json}{task}, { id => undef, fault => undef }, '... and no Task yet');
    problem($api->get("/api/oidc_servers/1/batch_job/1/report?$_"), 400, 'bad-page', "page $_") for 'page=0', 'page=x', 'page=-1_', 'page=', 'page=0.0_' . 'a' x 600;
    problem($api->get("/api/oidc_servers/1/batch_job/1/report?$_"), 400, 'bad-query', "query $_") for 'x=1', 'page=1&page=2', 'page=%zz', 'page=%00';
    problem($api->get('/api/oidc_servers/2/batch_job/1'), 404, 'no-such-job', 'a job of another definition');
    problem($api->get('/api/oidc_servers/2/batch_job/1/report'), 404, 'no-such-job', '... its report');
    problem($api->get('/api/oidc_servers/1/batch_job/77'), 404, 'no-such-job', 'a job that is not there');
    problem($api->post('/api/oidc_servers/77/batch_job', order()), 404, 'no-such-server', 'an order for a definition that is not there');
    return;
}

sub test_forms {
    my ($api) = @_;
    my $bundle = { resourceType => 'Bundle', type => 'batch', entry => [map { { request => { method => 'GET', url => $_ } } } 'Patient/{patientId}', 'Observation?patient={patientId}'] };
    taken($api, 'a Bundle inline', 'sourcePayer/fhirBundleRequest' => $bundle);
    taken($api, 'a Bundle as text', 'sourcePayer/fhirBundleRequest' => encode_json($bundle));
    taken($api, 'one relative URL', 'sourcePayer/fhirBundleRequest' => 'Patient/{patientId}/$everything?_count=50');
    taken($api, 'one absolute URL', 'sourcePayer/fhirBundleRequest' => 'https://a.example/fhir/Patient/1');
    taken($api, 'no fhirBundleRequest', 'sourcePayer/fhirBundleRequest' => \undef);
    taken($api, 'null as fhirBundleRequest', 'sourcePayer/fhirBundleRequest' => undef);
    taken($api, 'an access token alone', 'sourcePayer/oidcRefreshToken' => \undef);
    taken($api, 'a refresh token alone', 'sourcePayer/oidcToken' => '');
    taken($api, 'unknown members', 'sourcePayer/later' => [1], 'more' => {});
    my $answer = $api->post('/api/oidc_servers/2/batch_job', order('sourcePayer/patientId' => ''));
    is($answer->{status}, 202, 'no patient id where the token answer tells it') or diag $answer->{content};
    $answer = $api->post('/api/oidc_servers/1/batch_job', encode_json(order()), 'Content-Type' => 'application/fhir+json; charset=utf-8');
    is($answer->{status}, 202, 'application/fhir+json is JSON too');
    return;
}

sub test_fields {
    my ($api) = @_;
    my $entry = sub { { resourceType => 'Bundle', type => 'batch', entry => [{ request => {@_} }] } };
    wrong($api, 'an empty order', ['/sourcePayer', '/targetPayer'], sourcePayer => \undef, targetPayer => \undef);
    wrong($api, "$_ of the wrong type", ["/$_"], $_ => 'text') for qw(sourcePayer targetPayer);
    for my $name (qw(oidcToken oidcRefreshToken patientId)) {
        wrong($api, "sourcePayer/$name: " . (ref $_ || $_), ["/sourcePayer/$name"], "sourcePayer/$name" => $_) for 7, [], {}, JSON::PP::true;
    }
    for my $name (qw(patientId organizationId)) {
        wrong($api, "targetPayer/$name: " . (ref $_ || $_ // 'null'), ["/targetPayer/$name"], "targetPayer/$name" => $_) for 7, [], {}, '', undef, \undef;
    }
    wrong($api, "patient id $_", ['/sourcePayer/patientId'], 'sourcePayer/patientId' => $_) for 'Patient/1', 'a b', '../x', '.', 'x' x 65, "\x{e9}";
    wrong($api, "target patient id $_", ['/targetPayer/patientId'], 'targetPayer/patientId' => $_) for 'Patient/1', 'x' x 65;
    wrong($api, 'no way to a token', ['/sourcePayer/oidcToken'], 'sourcePayer/oidcToken' => '', 'sourcePayer/oidcRefreshToken' => '');
    wrong($api, 'no way to a patient id', ['/sourcePayer/patientId'], 'sourcePayer/patientId' => '');
    wrong($api, 'a token with a line break', ['/sourcePayer/oidcToken'], 'sourcePayer/oidcToken' => "a\r\nb");
    wrong($api, 'an endless token', ['/sourcePayer/oidcToken'], 'sourcePayer/oidcToken' => 'a' x 9000);
    my $request = '/sourcePayer/fhirBundleRequest';
    my %change = (
        'an elsewhere URL' => 'https://evil.example/fhir/Patient/1', 'a sibling' => 'https://a.example/fhir-other/Patient/1',
        'dots' => '../admin', 'encoded dots' => '%2e%2e/admin', 'no URL' => 'ht tp://x', 'a number' => 7, 'a list' => [],
        'a Bundle of another type' => { resourceType => 'Bundle', type => 'transaction', entry => [] },
        'an empty Bundle' => { resourceType => 'Bundle', type => 'batch', entry => [] },
        'another resource' => { resourceType => 'Patient' }, 'broken JSON in a string' => '{"resourceType":',
        'a POST in a string' => encode_json($entry->(method => 'POST', url => 'Patient')),
    );
    wrong($api, "fhirBundleRequest: $_", [$request], 'sourcePayer/fhirBundleRequest' => $change{$_}) for sort keys %change;
    wrong($api, 'a POST inline', ["$request/entry/0"], 'sourcePayer/fhirBundleRequest' => $entry->(method => 'POST', url => 'Patient'));
    wrong($api, 'an elsewhere URL inline', ["$request/entry/0"],
        'sourcePayer/fhirBundleRequest' => $entry->(method => 'GET', url => 'https://evil.example/'));
    wrong($api, 'all of it', [qw(/sourcePayer/oidcToken /sourcePayer/patientId /targetPayer/organizationId /targetPayer/patientId)],
        'sourcePayer/oidcToken' => 1, 'sourcePayer/patientId' => '/', 'targetPayer/patientId' => '', 'targetPayer/organizationId' => []);
    return;
}

# 250 parts and 101 resources that did not go in, as a runner would have noted them.
sub test_report {
    my ($api, $db) = @_;
    my $path = $api->post('/api/oidc_servers/1/batch_job', order())->{headers}{location};
    my ($id) = $path =~ m{(\d+)$};
    my @parts = map { "($id, 0, $_, '', '', 1, 1700000000123456, 1700000001000000, 1700000002000000, 5, 1, 1, 1, 2, 99, 'x', '')" } 0 .. 249;
    my @kinds = (['rejected', 'refused'], ['skipped', 'other-patient'], ['skipped', 'outcome'], ['rejected', 'unheard-of']);
    my @rejected = map { my $kind = $kinds[$_ % 4]; "($id, 0, 7, $_, 0, '$kind->[0]', 'Observation', '', '$kind->[1]', '', '')" } 0 .. 100;
    run_sql($db, 'INSERT INTO p2p_part (job_id, request, number, url, next_url, landed, received, mapped, landed_at, retrieved, written, duplicate, skipped, rejected, bytes, sha256, held) VALUES ' . join ', ', @parts);
    run_sql($db, 'INSERT INTO p2p_rejected (job_id, request, part, number, chunk, outcome, type, source_id, code, detail, body) VALUES ' . join ', ', @rejected);
    local $api->{unchecked} = 1;    # unheard-of is what a newer runner may note
    my $page = $api->get("$path/report")->{json};
    is_deeply([scalar @{ $page->{parts} }, scalar @{ $page->{resources} }], [100, 100], 'a full page of the report');
    like($page->{next}, qr{^\Q$path\E/report\?page=.}, '... and where the next one is');
    is_deeply([@{ $page->{accounting} }{qw(retrieved written duplicate skipped rejected waiting balanced)}], [1250, 250, 250, 250, 500, 0, JSON::PP::true], '... the sums of all parts');
    run_sql($db, "UPDATE p2p_job SET task_id = 't-1', task_fault = 'It said no.' WHERE id = $id");
    is_deeply($api->get("$path/report")->{json}{task}, { id => 't-1', fault => 'It said no.' }, '... its Task, and what is amiss with it');
    run_sql($db, "UPDATE p2p_job SET task_id = '', task_fault = '' WHERE id = $id");
    my $part = $page->{parts}[3];
    is_deeply([@$part{qw(request part retrieved written duplicate skipped rejected bytes)}], [0, 3, 5, 1, 1, 1, 2, 99], '... a part with its counts');
    is_deeply([@$part{qw(receivedTime mappedTime landedTime)}], [map { "2023-11-14T22:13:$_" } '20.123Z', '21.000Z', '22.000Z'], '... and its times');
    is_deeply($page->{resources}[0],
        { request => 0, part => 7, outcome => 'rejected', type => 'Observation', id => undef, code => 'refused', reason => 'The target refused this resource.', detail => undef },
        '... a resource with the reason');
    is($page->{resources}[3]{reason}, undef, '... or without one that is known');
    run_sql($db, "UPDATE p2p_rejected SET code = 'refused' WHERE code = 'unheard-of'");
    $api->{unchecked} = 0;
    is($api->get("$path/report")->{json}{resources}[3]{code}, 'refused', '... known, it is as the document has it');
    my $second = $api->get($page->{next})->{json};
    is_deeply([scalar @{ $second->{parts} }, scalar @{ $second->{resources} }, $second->{parts}[0]{part}], [100, 1, 100], 'the second page');
    run_sql($db, "INSERT INTO p2p_part (job_id, request, number, landed) VALUES ($id, 0, 1000, 0)");
    is_deeply($api->get($page->{next})->{json}{parts}, $second->{parts}, '... is the same, whatever comes');
    run_sql($db, "DELETE FROM p2p_part WHERE number = 1000");
    problem($api->get($page->{next} =~ s/page=0/page=1/r), 400, 'bad-page', 'a cursor that was changed');
    problem($api->get($page->{next} =~ s{/$id/}{/1/}r), 400, 'bad-page', "another job's cursor");
    my $third = $api->get($second->{next})->{json};
    is_deeply([scalar @{ $third->{parts} }, $third->{parts}[-1]{part}, $third->{next}], [50, 249, undef], 'the last page');
    return;
}

sub path_of { my ($answer) = @_; return $answer->{headers}{location} }

# A list's ids, all pages; the pages' sizes.
sub ids_of {
    my ($api, $next) = @_;
    my (@ids, @sizes);
    while ($next) {
        my $page = $api->get($next)->{json};
        push @ids, map { $_->{batchJobId} } @{ $page->{jobs} };
        push @sizes, scalar @{ $page->{jobs} };
        $next = $page->{next};
    }
    return (\@ids, \@sizes);
}

sub test_list {
    my ($api, $other, $db) = @_;
    my $list = '/api/oidc_servers/1/batch_job';
    taken($api, 'one more') for 1 .. 60;
    my $mine = $other->post($list, order())->{json}{batchJobId};
    my @all = split /\s+/, run_sql($db, "SELECT id FROM p2p_job WHERE oidc_server_id = 1 AND client = 'portal' ORDER BY id DESC");
    my ($ids, $sizes) = ids_of($api, $list);
    is_deeply($ids, \@all, 'all jobs of this client, newest first, each once');
    is_deeply([grep { $_ != 50 } @$sizes[0 .. $#$sizes - 1]], [], '... 50 a page');
    is_deeply([ids_of($other, $list)], [[$mine], [1]], 'another client sees its own alone');
    problem($other->get("$list/$all[0]"), 404, 'no-such-job', '... and reads no other');
    problem($other->get("$list/$all[0]/report"), 404, 'no-such-job', '... nor its report');
    problem($other->request('DELETE', "$list/$all[0]"), 404, 'no-such-job', '... nor stops it');
    problem($other->post("$list/$all[0]/restart"), 404, 'no-such-job', '... nor begins it again');
    my $page = $api->get($list);
    is($api->get($list, 'If-None-Match' => $page->{headers}{etag})->{status}, 304, 'a list that has not changed');
    is($page->{json}{jobs}[0]{progress}{retrieved}, 0, 'its jobs are told as anywhere');
    run_sql($db, "UPDATE p2p_job SET version = version + 1 WHERE id = $all[3]");
    my $changed = $api->get($list, 'If-None-Match' => $page->{headers}{etag});
    is($changed->{status}, 200, '... and one that has');
    run_sql($db, "UPDATE p2p_job SET status = 'COMPLETED' WHERE id IN ($all[1], $all[7])");
    is_deeply((ids_of($api, "$list?status=COMPLETED"))[0], [@all[1, 7]], 'jobs of a status');
    my $next = $api->get("$list?status=STARTING")->{json}{next};
    like($next, qr/status=STARTING&page=/, 'its next page is of that status too');
    is(scalar @{ (ids_of($api, "$list?status=STARTING"))[0] }, @all - 2, '... all of them');
    problem($api->get("$list?status=$_"), 400, 'bad-status', "status $_") for 'running', 'UNKNOWN', 'starting', '';
    problem($api->get($next =~ s/STARTING/FAILED/r), 400, 'bad-page', 'the cursor of another list');
    problem($api->get($next =~ s/page=\K\d/9/r), 400, 'bad-page', 'a cursor that was changed');
    problem($api->get($next =~ s{servers/1/}{servers/2/}r), 400, 'bad-page', "another definition's cursor");
    problem($other->get($next), 400, 'bad-page', "another client's cursor");
    problem($api->get("$list?x=1"), 400, 'bad-query', 'an unknown parameter');
    problem($api->get('/api/oidc_servers/77/batch_job'), 404, 'no-such-server', 'the list of a definition that is not there');
    is($api->request('HEAD', $list)->{status}, 200, 'HEAD of a list');
    return;
}

sub test_stop {
    my ($api, $db) = @_;
    my $path = path_of(taken($api, 'an order'));
    my $job = $api->get($path);
    problem($api->request('DELETE', $path, headers => { 'If-Match' => '"7777"' }), 412, 'precondition-failed', 'a stop of what has changed');
    my $stopped = $api->request('DELETE', $path, headers => { 'If-Match' => $job->{headers}{etag} });
    is($stopped->{status}, 200, 'a queued job is stopped at once') or diag $stopped->{content};
    is($stopped->{json}{batchStatus}, 'STOPPED', '... it is STOPPED');
    like($stopped->{json}{endTime}, $TIME, '... with its end');
    is($api->request('DELETE', $path)->{status}, 200, '... once more changes nothing');
    is($api->request('DELETE', $path)->{headers}{etag}, $stopped->{headers}{etag}, '... nothing at all');
    $path = path_of(taken($api, 'an order'));
    my ($id) = $path =~ m{(\d+)$};
    run_sql($db, "INSERT INTO p2p_runner (owner, lease_until) VALUES ('test', 99999999999999999)");
    run_sql($db, "UPDATE p2p_job SET status = 'STARTED', lease_owner = 'test' WHERE id = $id");
    my $stopping = $api->request('DELETE', $path, headers => { 'If-Match' => '*' });
    is($stopping->{status}, 202, 'a running job is asked to stop');
    is($stopping->{json}{batchStatus}, 'STOPPING', '... it is STOPPING');
    is($stopping->{json}{endTime}, undef, '... without an end');
    is($api->request('DELETE', $path)->{status}, 202, '... once more');
    problem($api->post("$path/restart"), 409, 'job-active', 'a job that runs is not begun again');
    run_sql($db, "UPDATE p2p_job SET status = 'STARTED' WHERE id = $id");
    run_sql($db, "DELETE FROM p2p_runner");
    is($api->request('DELETE', $path)->{json}{batchStatus}, 'STOPPING', 'a job whose runner is dead is left to another, which tells its Task');
    run_sql($db, "UPDATE p2p_job SET status = 'COMPLETED' WHERE id = $id");
    problem($api->request('DELETE', $path), 409, 'job-ended', 'a job that has ended');
    problem($api->request('DELETE', '/api/oidc_servers/1/batch_job/7777'), 404, 'no-such-job', 'a job that is not there');
    my %methods = ('/api/oidc_servers/1/batch_job' => 'GET, HEAD, POST, OPTIONS', $path => 'GET, HEAD, DELETE, OPTIONS', "$path/restart" => 'POST, OPTIONS', "$path/report" => 'GET, HEAD, OPTIONS');
    for my $at (sort keys %methods) {
        my $answer = $api->request('PUT', $at, content => '{}');
        problem($answer, 405, 'method-not-allowed', "PUT $at");
        is($answer->{headers}{allow}, $methods{$at}, '... tells what is');
        is($api->request('OPTIONS', $at)->{headers}{allow}, $methods{$at}, '... as does OPTIONS');
    }
    return;
}

sub test_restart {
    my ($api, $db) = @_;
    my $order = order();
    my $path = path_of($api->post('/api/oidc_servers/1/batch_job', $order));
    my ($id) = $path =~ m{(\d+)$};
    $api->request('DELETE', $path);
    problem($api->post("$path/restart", undef, 'If-Match' => '"7777"'), 412, 'precondition-failed', 'a restart of what has changed');
    my $answer = $api->post("$path/restart");
    is($answer->{status}, 202, 'a stopped job is begun again') or diag $answer->{content};
    is_deeply([@{ $answer->{json} }{qw(batchJobId batchStatus startTime endTime)}], [$id, 'STARTING', undef, undef], '... the same job, queued');
    is($answer->{headers}{location}, $path, '... with Location');
    is($api->get("$path/report")->{json}{attempt}, 2, '... a second attempt');
    $api->request('DELETE', $path);
    my $second = $api->post('/api/oidc_servers/1/batch_job', $order);
    is($second->{status}, 202, 'a new order for the member') or diag $second->{content};
    $answer = $api->post("$path/restart");
    problem($answer, 409, 'already-running', '... leaves no room for a restart');
    is($answer->{headers}{location}, path_of($second), '... and tells where it is');
    $api->request('DELETE', path_of($second));
    run_sql($db, "UPDATE p2p_grant SET ended = 1, refresh_token = '' WHERE id = (SELECT grant_id FROM p2p_job WHERE id = $id)");
    problem($api->post("$path/restart"), 422, 'grant-ended', 'a job whose tokens are erased');
    problem($api->post("$path/restart", { sourcePayer => { oidcToken => 7 } }), 422, 'invalid-fields', '... with a token that is none');
    problem($api->post("$path/restart", '{'), 400, 'json-cut-short', '... with half a body');
    problem($api->post("$path/restart", { sourcePayer => { oidcRefreshToken => $order->{sourcePayer}{oidcRefreshToken} } }), 422, 'grant-ended', '... with the old token');
    $answer = $api->post("$path/restart", { sourcePayer => { oidcToken => 'token-999', oidcRefreshToken => 'refresh-999' } });
    is($answer->{status}, 202, '... with new tokens it goes on') or diag $answer->{content};
    run_sql($db, "UPDATE p2p_job SET status = 'FAILED', end_time = create_time - 864000000000 WHERE id = $id");
    problem($api->post("$path/restart"), 409, 'restart-too-late', 'after P2PRestartWithin');
    run_sql($db, "UPDATE p2p_job SET status = 'COMPLETED' WHERE id = $id");
    problem($api->post("$path/restart"), 409, 'job-completed', 'a job that is COMPLETED');
    return;
}

sub test_idempotency {
    my ($api, $other, $db) = @_;
    my $at = '/api/oidc_servers/1/batch_job';
    my ($order, $key) = (order(), 'e2f0-"key" 1');
    my $first = $api->post($at, $order, 'Idempotency-Key' => $key);
    is($first->{status}, 202, 'an order with a key');
    $order->{sourcePayer}{$_} .= '-other' for qw(oidcToken oidcRefreshToken);
    my $again = $api->post($at, $order, 'Idempotency-Key' => "  $key ");
    is($again->{status}, 202, 'the same again, with other tokens') or diag $again->{content};
    is($again->{headers}{$_}, $first->{headers}{$_}, "... has the same $_") for qw(location retry-after);
    is($again->{content}, $first->{content}, '... and the same job');
    my $asked = { %$order, targetPayer => { %{ $order->{targetPayer} }, organizationId => 'ANOTHER' } };
    problem($api->post($at, $asked, 'Idempotency-Key' => $key), 422, 'idempotency-key-reused', 'another order with that key');
    problem($other->post($at, $order, 'Idempotency-Key' => $key), 409, 'already-running', "another client's key of that name is another");
    is($api->post('/api/oidc_servers/2/batch_job', $order, 'Idempotency-Key' => $key)->{status}, 202, '... as is that for another definition');
    problem($api->post($at, order(), 'Idempotency-Key' => $_), 400, 'bad-idempotency-key', 'a key of ' . length($_) . ' characters') for '', ' ', 'x' x 256, "a\tb";
    is($api->post($at, order(), 'Idempotency-Key' => 'x' x 255)->{status}, 202, 'a key of 255');
    my @pids;
    my $crowd = order();
    for my $n (1 .. 6) {
        my $pid = fork() // die;
        if (!$pid) {
            my $answer = P2P::Api->new($api->{url}, 'portal', 'pass')->post($at, $crowd, 'Idempotency-Key' => 'of a crowd');
            require POSIX;
            POSIX::_exit($answer->{status} == 202 ? 0 : 1);
        }
        push @pids, $pid;
    }
    is(join(' ', map { waitpid $_, 0; $? } @pids), join(' ', (0) x 6), 'six at once with one key are answered alike');
    is(0 + run_sql($db, "SELECT COUNT(*) FROM p2p_idempotency WHERE client = 'portal' AND oidc_server_id = 1"), 3, '... and make one job');
    return;
}

sub test_conflicts {
    my ($api) = @_;
    my $order = order();
    my $first = $api->post('/api/oidc_servers/1/batch_job', $order);
    my $again = $api->post('/api/oidc_servers/1/batch_job', $order);
    problem($again, 409, 'already-running', 'the same member and source again');
    is($again->{headers}{location}, $first->{headers}{location}, '... tells where the running job is');
    $order->{targetPayer}{patientId} = 'somebody-else';
    problem($api->post('/api/oidc_servers/1/batch_job', $order), 409, 'bound-to-another', 'the same source patient for another target patient');
    my $other = order('sourcePayer/patientId' => $order->{sourcePayer}{patientId});
    is($api->post('/api/oidc_servers/2/batch_job', $other)->{status}, 202, 'the same id at another source is another member');
    return;
}

each_database('jobs' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => { portal => 'pass', other => 'pass' });
    $httpd->prepare(\@DEFINITIONS)->start;
    my $api = P2P::Api->new($httpd->url, 'portal', 'pass');
    test_sequence($api);
    test_forms($api);
    test_fields($api);
    test_conflicts($api);
    test_report($api, $db);
    my $other = P2P::Api->new($httpd->url, 'other', 'pass');
    test_list($api, $other, $db);
    test_stop($api, $db);
    test_restart($api, $db);
    test_idempotency($api, $other, $db);
    unlike($httpd->log_text, qr/token-\d|refresh-\d/, 'no secret in the log');
    $httpd->stop;
});
done_testing();
