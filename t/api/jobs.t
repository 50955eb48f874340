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
    is_deeply([@{ $report->{json} }{qw(batchJobId batchStatus page next)}], [1, 'STARTING', 1, undef], '... is there');
    problem($api->get("/api/oidc_servers/1/batch_job/1/report?$_"), 400, 'bad-page', "page $_") for 'page=0', 'page=x', 'page=-1', 'x=1', 'page=99999999999';
    is($api->get('/api/oidc_servers/1/batch_job/1/report?page=7')->{status}, 200, 'a page behind the last is empty');
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
    my $page = $api->get("$path/report")->{json};
    is_deeply([scalar @{ $page->{parts} }, scalar @{ $page->{resources} }, $page->{next}], [100, 100, "$path/report?page=2"], 'a full page of the report');
    my $part = $page->{parts}[3];
    is_deeply([@$part{qw(request part retrieved written duplicate skipped rejected bytes)}], [0, 3, 5, 1, 1, 1, 2, 99], '... a part with its counts');
    is_deeply([@$part{qw(receivedTime mappedTime landedTime)}], [map { "2023-11-14T22:13:$_" } '20.123Z', '21.000Z', '22.000Z'], '... and its times');
    is_deeply($page->{resources}[0],
        { request => 0, part => 7, outcome => 'rejected', type => 'Observation', id => undef, code => 'refused', reason => 'The target refused this resource.', detail => undef },
        '... a resource with the reason');
    is($page->{resources}[3]{reason}, undef, '... or without one that is known');
    my $second = $api->get($page->{next})->{json};
    is_deeply([scalar @{ $second->{parts} }, scalar @{ $second->{resources} }, $second->{next}], [100, 1, "$path/report?page=3"], 'the second page');
    my $third = $api->get($second->{next})->{json};
    is_deeply([scalar @{ $third->{parts} }, $third->{parts}[-1]{part}, $third->{next}], [50, 249, undef], 'the last page');
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
    my $httpd = P2P::Httpd->new(db => $db, users => { portal => 'pass' });
    $httpd->prepare(\@DEFINITIONS)->start;
    my $api = P2P::Api->new($httpd->url, 'portal', 'pass');
    test_sequence($api);
    test_forms($api);
    test_fields($api);
    test_conflicts($api);
    test_report($api, $db);
    unlike($httpd->log_text, qr/token-\d|refresh-\d/, 'no secret in the log');
    $httpd->stop;
});
done_testing();
