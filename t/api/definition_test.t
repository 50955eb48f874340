#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Definitions are tried: what is asked for at /admin is done by a runner, step by step, against payers as they should be and as they should not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Hostile;
use P2P::Httpd;
use P2P::Jwt qw(new_key);
use P2P::Sandbox;
use Test::More;
use Time::HiRes qw(sleep time);

my $SECRET   = 'SECRET-client';
my $PATIENCE = 120;
my $private  = encode_json({ keys => [{ %{ new_key('ES256', 'one')->{jwk} }, d => 'SECRET-of-a-key' }] });

my $sandbox = P2P::Sandbox->start(payers => [{ name => 'a', directives => ["SandboxClient portal $SECRET"] }]);
$sandbox->load('a', qq({"resourceType":"Patient","id":"t1","active":true}\n));

# The first part of a path tells which payer it is, the second what is asked for.
my %wrong = (
    notjson  => sub { $_[0]->reply(200, '<html>Hello</html>') },
    other    => sub { $_[0]->reply(200, document($_[0], issuer => 'https://other.example')) },
    huge     => sub { $_[0]->reply(200, '{"issuer":"' . 'x' x 400_000 . '"}') },
    slow     => sub { sleep 3600 },
    redirect => sub { $_[0]->reply(302, '', 'Location: ' . $_[0]{server}->origin(1) . '/elsewhere/document') },
    private  => sub { $_[0]->reply(200, document($_[0])) },
);

sub issuer_of { my ($request) = @_; return $request->{server}->origin . "/$request->{who}" }

sub document {
    my ($request, %change) = @_;
    my $issuer = issuer_of($request);
    return encode_json({ issuer => $issuer, authorization_endpoint => "$issuer/authorize", token_endpoint => "$issuer/token", jwks_uri => "$issuer/jwks", %change });
}

my $hostile = P2P::Hostile->start(2, sub {
    my ($request) = @_;
    (undef, $request->{who}, my $what) = split m{/}, $request->{path}, 3;
    return $wrong{ $request->{who} }->($request) if $what eq 'document' && $wrong{ $request->{who} };
    sleep 3600 if $request->{who} eq 'busy';
    return $request->reply(400, '{"error":"invalid_grant"}') if $what eq 'token';
    return $request->reply(200, $private) if $what eq 'jwks';
    return $request->reply(200, '{"resourceType":"CapabilityStatement","fhirVersion":"3.0.2"}') if $what eq 'fhir/metadata';
    return $request->reply(404, '');
});

sub hostile_definition {
    my ($who) = @_;
    my $issuer = $hostile->origin . "/$who";
    return { name => $who, issuer => $issuer, authWellKnown => "$issuer/document", fhirEndpoint => "$issuer/fhir", clientId => 'portal', clientSecret => $SECRET, responseType => 'code' };
}

sub definitions {
    my $a = $sandbox->origin('a');
    return ({ name => 'a', issuer => $a, authWellKnown => "$a/.well-known/openid-configuration", fhirEndpoint => $sandbox->url('a'), clientId => 'portal',
            clientSecret => $SECRET, responseType => 'code' },
        { name => 'stranger', issuer => "$a/other", fhirEndpoint => $sandbox->url('a'), tokenEndpoint => $sandbox->token_url('a'), clientId => 'portal',
            clientSecret => 'SECRET-wrong', responseType => 'code' },
        map { hostile_definition($_) } 'busy', sort keys %wrong);
}

# Waits until it has ended.
sub ended {
    my ($api, $path) = @_;
    my $end = time + $PATIENCE;
    while (1) {
        my $answer = $api->get($path);
        return $answer->{json} if ($answer->{json}{status} // '') =~ /^(?:COMPLETED|FAILED|STOPPED)$/ || time > $end;
        sleep 0.1;
    }
}

# "name: ok" of each step, and the details by name.
sub steps {
    my ($test) = @_;
    my @steps = @{ $test->{result}{steps} // [] };
    like($_->{milliseconds}, qr/^\d+$/, "... $_->{name} tells its time") for @steps;
    return (join(' ', map { "$_->{name}:" . ($_->{ok} ? 1 : 0) } @steps), { map { $_->{name} => $_->{detail} } @steps });
}

my %expected = (
    a        => ['wellKnown:1 tokenEndpoint:1 jwks:1 capabilityStatement:1', wellKnown => qr/issuer is the definition's/],
    stranger => ['wellKnown:0 tokenEndpoint:0 jwks:0 capabilityStatement:1', tokenEndpoint => qr/does not know the client/],
    notjson  => ['wellKnown:0 tokenEndpoint:0 jwks:0 capabilityStatement:0', wellKnown => qr/not a JSON object/],
    other    => ['wellKnown:0 tokenEndpoint:0 jwks:0 capabilityStatement:0', wellKnown => qr/another issuer/],
    huge     => ['wellKnown:0 tokenEndpoint:0 jwks:0 capabilityStatement:0', capabilityStatement => qr/not FHIR R4/],
    redirect => ['wellKnown:0 tokenEndpoint:0 jwks:0 capabilityStatement:0', wellKnown => qr/redirects \(302\)/],
    private  => ['wellKnown:1 tokenEndpoint:1 jwks:0 capabilityStatement:0', jwks => qr/private/],
    slow     => ['wellKnown:0 tokenEndpoint:0 jwks:0 capabilityStatement:0', wellKnown => qr/in time|no byte|stalled/],
);

sub verdict_is {
    my ($name, $test) = @_;
    my ($steps, $details) = steps($test);
    my ($expected, $step, $words) = @{ $expected{$name} };
    is($test->{status}, 'COMPLETED', "$name: COMPLETED") or diag explain($test);
    is($steps, $expected, '... with its verdicts') or diag explain($test);
    like($details->{$step}, $words, '... and a sentence');
    is($test->{result}{ok} ? 1 : 0, $expected =~ /:0/ ? 0 : 1, '... and one for all');
    unlike(encode_json($test), qr/SECRET/, '... and no secret');
    return;
}

sub asked_for {
    my ($admin, $pid) = @_;
    my $answer = $admin->post("/admin/oidc_servers/$pid/test", undef);
    is($answer->{status}, 202, "the test of definition $pid is taken") or diag $answer->{content};
    is($answer->{headers}{'retry-after'}, 1, '... with Retry-After');
    like($answer->{headers}{location}, qr{^/admin/oidc_servers/$pid/test/$answer->{json}{testId}$}, '... and its place');
    return $answer->{headers}{location};
}

sub problem_is {
    my ($answer, $status, $code, $name) = @_;
    is($answer->{status}, $status, "$name: $status") or diag $answer->{content};
    is($answer->{json}{code}, $code, "... $code");
    return;
}

# One that is under way is stopped like any job, and not begun again.
sub stopped {
    my ($admin, $pid) = @_;
    my ($place, $job, $answer);
    for (1 .. 2) {    # the first one may just have ended
        $place = asked_for($admin, $pid);
        ($job) = map { "/admin/batch_jobs/$_" } $place =~ /(\d+)$/;
        $answer = $admin->request('DELETE', $job);
        last if $answer->{status} != 409;
    }
    like($answer->{status}, qr/^20[02]$/, 'a test is stopped') or diag $answer->{content};
    is(ended($admin, $place)->{status}, 'STOPPED', '... and ends');
    problem_is($admin->post("$job/restart", undef), 409, 'not-an-exchange', '... and is not begun again');
    return;
}

sub refusals {
    my ($admin, $portal, $pid, $test) = @_;
    my ($id) = $test =~ /(\d+)$/;
    problem_is($portal->post("/admin/oidc_servers/$pid->{a}/test", undef), 403, 'forbidden', 'the portal may not');
    problem_is($portal->get($test), 403, 'forbidden', '... nor look');
    problem_is($admin->post('/admin/oidc_servers/999/test', undef), 404, 'no-such-server', 'no such definition');
    problem_is($admin->get("/admin/oidc_servers/$pid->{a}/test/999"), 404, 'no-such-test', 'no such test');
    problem_is($admin->get("/admin/oidc_servers/$pid->{private}/test/$id"), 404, 'no-such-test', 'of another definition');
    problem_is($admin->get("/api/oidc_servers/$pid->{a}/batch_job/$id"), 404, 'no-such-job', 'a test is no batch job');
    is_deeply($admin->get("/api/oidc_servers/$pid->{a}/batch_job")->{json}{jobs}, [], '... and is in no list of them');
    is($admin->request('OPTIONS', "/admin/oidc_servers/$pid->{a}/test")->{headers}{allow}, 'POST, OPTIONS', 'the methods that work');
    my $answer = $admin->get($test);
    is($admin->get($test, 'If-None-Match' => $answer->{headers}{etag})->{status}, 304, 'a result has an ETag');
    return;
}

# An exchange with a source that never answers takes the runner's only slot; the path of its job.
sub take_slot {
    my ($httpd, $portal, $pid) = @_;
    my $answer = $portal->post("/api/oidc_servers/$pid/batch_job", { sourcePayer => { oidcToken => 'SECRET-token', patientId => 's1', fhirBundleRequest => '' },
        targetPayer => { patientId => 't1', organizationId => 'us' } });
    is($answer->{status}, 202, 'an exchange is ordered') or diag $answer->{content};
    my $path = $answer->{headers}{location};
    ok($httpd->wait_for(sub { is_started($portal, $path) && grep { $_->{path} =~ /busy/ } $hostile->requests }, $PATIENCE), '... and takes the only slot');
    return $path;
}

sub is_started { my ($portal, $path) = @_; return $portal->get($path)->{json}{batchStatus} eq 'STARTED' }

each_database('tests of definitions', sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, target => $sandbox->url('a'), directives => { P2PRunners => 1, P2PJobsPerRunner => 1, P2PRetryFor => 600 },
        users => { admin => 'a', portal => 'p' });
    $httpd->prepare([definitions()])->start;
    my ($admin, $portal) = map { P2P::Api->new($httpd->url, @$_) } ['admin', 'a'], ['portal', 'p'];
    my %pid = map { $_->{name} => $_->{pid} } @{ $portal->get('/api/oidc_servers')->{json}{servers} };
    my $exchange = take_slot($httpd, $portal, delete $pid{busy});
    $hostile->forget;
    my %test = map { $_ => asked_for($admin, $pid{$_}) } sort keys %pid;
    is(asked_for($admin, $pid{slow}), $test{slow}, 'one at a time: the same again');
    verdict_is($_, ended($admin, $test{$_})) for sort grep { $_ ne 'slow' } keys %test;
    ok(is_started($portal, $exchange), 'all of them while the exchange had the only slot');
    isnt(asked_for($admin, $pid{a}), $test{a}, 'another one when that has ended');
    refusals($admin, $portal, \%pid, $test{a});
    my @asked = $hostile->requests;
    is(join(' ', sort { $a cmp $b } map { $_->{path} } grep { $_->{path} !~ /busy/ && ($_->{authorization} || $_->{body} =~ /SECRET/) } @asked), '/private/token', 'the secret went to one token endpoint alone');
    is(scalar(grep { $_->{path} =~ /elsewhere/ } @asked), 0, 'no redirect was followed');
    is(run_sql($db, "SELECT COUNT(*) FROM p2p_audit WHERE action = 'test' AND status = 202 AND object = 'oidc_server/$pid{a}'"), 2, 'the audit has them');
    verdict_is('slow', ended($admin, $test{slow})) if $db->{driver} eq 'sqlite3';
    stopped($admin, $pid{slow});
    unlike($httpd->log_text, qr/SECRET/, 'no secret in the log');
    $httpd->stop;
});

done_testing;
