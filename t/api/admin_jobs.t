#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Jobs across definitions, as administrators see them, and who sees which job at all.
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
my @DEFINITIONS = ({ %PAYER, name => 'A', issuer => 'https://a.example' }, { %PAYER, name => 'B', issuer => 'https://b.example' });
my %PASSWORD = (portal => 'pass-1', other => 'pass-2', admin => 'pass-3');
my $ALL = '/admin/batch_jobs';
my $member = 0;

sub order {
    $member++;
    return { sourcePayer => { oidcToken => "token-$member", oidcRefreshToken => "refresh-$member", patientId => "s$member" },
        targetPayer => { patientId => "t$member", organizationId => 'o' } };
}

sub answers { my ($answer, $status, $name) = @_; is($answer->{status}, $status, $name) or diag $answer->{content}; return $answer }

sub problem {
    my ($answer, $status, $code, $name) = @_;
    answers($answer, $status, "$name: $status");
    is($answer->{json}{code}, $code, "... $code");
    return $answer;
}

sub taken {
    my ($api, $server, $order) = @_;
    return answers($api->post("/api/oidc_servers/$server/batch_job", $order // order()), 202, 'a job is taken')->{json}{batchJobId};
}

sub ids { return [map { $_->{batchJobId} } @{ $_[0]{json}{jobs} }] }

# Each call of a job, with the status that it gets.
sub calls_at {
    my ($api, $path) = @_;
    return ([GET => $api->get($path)], [report => $api->get("$path/report")], [DELETE => $api->request(DELETE => $path)],
        [restart => $api->post("$path/restart", { sourcePayer => { oidcToken => 'new' } })]);
}

# Another's job is not there, whatever is asked of it, and with whatever key.
sub test_strangers {
    my ($portal, $other, $admin) = @_;
    my $order = order();
    my $mine = taken($portal, 1, $order);
    problem($_->[1], 404, 'no-such-job', "another's job, $_->[0]") for calls_at($other, "/api/oidc_servers/1/batch_job/$mine");
    problem($_->[1], 404, 'no-such-job', "a job of another definition, $_->[0]") for calls_at($portal, "/api/oidc_servers/2/batch_job/$mine");
    is_deeply(ids($other->get("/api/oidc_servers/1/batch_job$_")), [], "... nor is it listed ($_)") for '', '?status=STARTING', '?status=STOPPED';
    for my $api ($portal, $other) {
        problem($_->[1], 403, 'forbidden', "a portal across definitions, $_->[0]") for calls_at($api, "$ALL/$mine");
        problem($api->get($ALL), 403, 'forbidden', '... their list');
    }
    my $running = problem($other->post('/api/oidc_servers/1/batch_job', $order), 409, 'already-running', "an order while another's exchange is under way");
    is($running->{headers}{location}, undef, '... does not tell where that is');
    unlike($running->{json}{detail}, qr/\d/, '... nor its number');
    is($portal->post('/api/oidc_servers/1/batch_job', $order)->{headers}{location}, "/api/oidc_servers/1/batch_job/$mine", '... which its own client is told');
    is($admin->post('/api/oidc_servers/1/batch_job', $order)->{headers}{location}, "/api/oidc_servers/1/batch_job/$mine", '... and an administrator');
    answers($admin->get("/api/oidc_servers/1/batch_job/$mine"), 200, 'an administrator sees it, under /api as well');
    is_deeply(ids($admin->get('/api/oidc_servers/1/batch_job')), [$mine], '... and in the list');
    is_deeply(ids($admin->get('/api/oidc_servers/1/batch_job?status=STARTING')), [$mine], '... of a status');
    return $mine;
}

sub test_one {
    my ($admin, $mine) = @_;
    my $public = answers($admin->get("/api/oidc_servers/1/batch_job/$mine"), 200, 'a job under /api');
    my $full = answers($admin->get("$ALL/$mine"), 200, '... and across definitions');
    my %more = (oidcServerId => 1, client => 'portal', attempt => 1, target => 'http://127.0.0.1:9/fhir', kind => 'p2p-exchange', tokenRefreshed => undef,
        waits => { code => 'queued', sentence => 'It is queued until a runner has a free slot for it.', until => undef });
    is_deeply($full->{json}, { %{ $public->{json} }, %more }, '... is the same document, with more');
    like($full->{content}, qr/^\Q${\ substr $public->{content}, 0, -1}\E,/, "... the guide's members first");
    is($full->{headers}{etag}, $public->{headers}{etag}, '... with the same ETag');
    answers($admin->get("$ALL/$mine", 'If-None-Match' => $full->{headers}{etag}), 304, '... 304 while it is the same');
    is($admin->get("$ALL/$mine/report")->{content}, $admin->get("/api/oidc_servers/1/batch_job/$mine/report")->{content}, 'its report is the same');
    problem($_->[1], 404, 'no-such-job', "a job that is not there, $_->[0]") for calls_at($admin, "$ALL/7777");
    problem($admin->request(DELETE => "$ALL/$mine", headers => { 'If-Match' => '"77"' }), 412, 'precondition-failed', 'stopping another version');
    my $stopped = answers($admin->request(DELETE => "$ALL/$mine", headers => { 'If-Match' => $full->{headers}{etag} }), 200, 'stopping it');
    is_deeply([@{ $stopped->{json} }{qw(batchStatus client waits)}], ['STOPPED', 'portal', undef], '... tells what became of it');
    my $again = answers($admin->post("$ALL/$mine/restart"), 202, 'beginning it again');
    is($again->{headers}{location}, "$ALL/$mine", '... has a Location across definitions');
    is($again->{headers}{'retry-after'}, 2, '... and Retry-After');
    is_deeply([@{ $again->{json} }{qw(batchStatus attempt client)}], ['STARTING', 2, 'portal'], "... is the portal's still, at its next attempt");
    problem($admin->post("$ALL/$mine/restart"), 409, 'job-active', '... once');
    return;
}

# Other kinds of jobs are administration's alone.
sub test_kinds {
    my ($db, $portal, $admin) = @_;
    my $id = taken($portal, 2);
    my $at = "/api/oidc_servers/2/batch_job/$id";
    run_sql($db, "UPDATE p2p_job SET kind = 'definition-test' WHERE id = $id");
    for my $api ($portal, $admin) {
        problem($_->[1], 404, 'no-such-job', "a job of another kind under /api, $_->[0]") for calls_at($api, $at);
        is_deeply(ids($api->get('/api/oidc_servers/2/batch_job')), [], '... nor is it listed');
    }
    is($admin->get("$ALL/$id")->{json}{kind}, 'definition-test', 'it is there across definitions');
    is_deeply(ids($admin->get("$ALL?server=2")), [$id], '... and in the list');
    answers($admin->get("$ALL/$id/report"), 200, '... and has a report');
    answers($admin->request(DELETE => "$ALL/$id"), 200, '... and can be stopped');
    problem($admin->post("$ALL/$id/restart"), 409, 'not-an-exchange', '... but not begun again');
    run_sql($db, "DELETE FROM p2p_job WHERE id = $id");
    return;
}

# Pages in order, filtered, behind each other.
sub test_list {
    my ($db, $portal, $other, $admin, $running) = @_;
    taken($_ % 3 ? $portal : $other, 1 + $_ % 2) for 1 .. 120;
    run_sql($db, "UPDATE p2p_job SET status = 'FAILED', error_code = 'token-refused', error_sentence = 'It is.' WHERE id % 4 = 0");
    run_sql($db, "UPDATE p2p_job SET kind = 'jwks-refresh' WHERE id % 10 IN (0, 3)");
    my %where = ('' => '1 = 1', 'status=FAILED' => "status = 'FAILED'", 'server=2' => 'oidc_server_id = 2', 'server=1&status=FAILED' => "oidc_server_id = 1 AND status = 'FAILED'",
        'kind=p2p-exchange' => "kind = 'p2p-exchange'", 'kind=jwks-refresh' => "kind = 'jwks-refresh'", 'kind=never-heard' => '1 = 0',
        'status=FAILED&kind=p2p-exchange' => "kind = 'p2p-exchange' AND status = 'FAILED'", 'server=1&kind=jwks-refresh' => "kind = 'jwks-refresh' AND oidc_server_id = 1",
        'status=FAILED&server=2&kind=p2p-exchange' => "kind = 'p2p-exchange' AND status = 'FAILED' AND oidc_server_id = 2",
        'status=COMPLETED' => '1 = 0', 'server=77' => '1 = 0');
    for my $query (sort keys %where) {
        my (@ids, @sizes);
        for (my $next = "$ALL?$query"; $next; ) {
            my $page = answers($admin->get($next), 200, "page $next");
            push @sizes, scalar @{ $page->{json}{jobs} };
            push @ids, @{ ids($page) };
            $next = $page->{json}{next};
            like($next, qr{^$ALL\?(?:\Q$query\E&|(?:status=FAILED&server=1&))?page=}, '... whose next fits the path') if $next;
        }
        is_deeply(\@ids, [reverse split /\n/, run_sql($db, "SELECT id FROM p2p_job WHERE $where{$query} ORDER BY id")], "all jobs of '$query', newest first, once each");
        ok(!(grep { $_ > 50 } @sizes), '... 50 a page');
    }
    my $page = $admin->get($ALL);
    ok(!(grep { !length $_->{client} || !$_->{oidcServerId} } @{ $page->{json}{jobs} }), 'each tells whose it is and of which definition');
    my ($cursor) = $page->{json}{next} =~ /(page=.*)/;
    problem($admin->get("$ALL?status=FAILED&$cursor"), 400, 'bad-page', 'a cursor goes with its list');
    problem($admin->get("/api/oidc_servers/1/batch_job?$cursor"), 400, 'bad-page', '... and with its path');
    problem($admin->get("$ALL?$_"), 400, 'bad-server', "?$_") for 'server=', 'server=0', 'server=x', 'server=1x', 'server=-1', 'server=' . '9' x 19;
    problem($admin->get("$ALL?$_"), 400, 'bad-status', "?$_") for 'status=', 'status=failed';
    problem($admin->get("$ALL?$_"), 400, 'bad-kind', "?$_") for 'kind=', 'kind=A', "kind=p2p-exchange'";
    problem($admin->get("$ALL?kind=p2p-exchange&$cursor"), 400, 'bad-page', 'a cursor goes with its kind');
    problem($admin->get("$ALL?sort=x"), 400, 'bad-query', 'another parameter');
    problem($admin->get('/api/oidc_servers/1/batch_job?kind=p2p-exchange'), 400, 'bad-query', 'kinds are for administrators');
    run_sql($db, "UPDATE p2p_job SET kind = 'p2p-exchange' WHERE kind = 'jwks-refresh'");
    answers($admin->get($ALL, 'If-None-Match' => $page->{headers}{etag}), 304, 'the list is the same');
    return;
}

# What a job failed of is told in three parts, the third to administrators.
sub test_detail {
    my ($httpd, $portal, $admin, $db) = @_;
    run_sql($db, "UPDATE p2p_job SET status = 'COMPLETED', settled = 1, end_time = " . time * 1_000_000);
    my $id = taken($portal, 1);
    $httpd->run_command('once');
    my $job = answers($portal->get("/api/oidc_servers/1/batch_job/$id"), 200, 'a job that failed');
    is($job->{json}{batchStatus}, 'FAILED', '... did') or diag $job->{content};
    is_deeply([sort keys %{ $job->{json}{error} }], [qw(code message)], '... for a portal by code and sentence');
    is_deeply([sort keys %{ $admin->get("/api/oidc_servers/1/batch_job/$id")->{json}{error} }], [qw(code message)], '... and for everyone under /api');
    my $error = $admin->get("$ALL/$id")->{json}{error};
    is($error->{$_}, $job->{json}{error}{$_}, "the same $_ across definitions") for qw(code message);
    like($error->{detail}, qr{^GET http://127\.0\.0\.1:9/fhir/Patient/t$member: }, '... and the detail, with the full URL');
    like(run_sql($db, "SELECT error_detail FROM p2p_job WHERE id = $id"), qr/^v1\./, '... which is sealed in the database');
    run_sql($db, "UPDATE p2p_job SET error_detail = 'v1.00000000.abc' WHERE id = $id");
    $httpd->expect_log(qr/cannot-open/);
    my $closed = answers($admin->get("$ALL/$id"), 200, 'a job whose detail no key opens');
    is_deeply([sort keys %{ $closed->{json}{error} }], [qw(code message)], '... is shown without it');
    return;
}

each_database('jobs across definitions' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => \%PASSWORD, directives => { P2PRetryFor => 1 });
    $httpd->prepare(\@DEFINITIONS)->start;
    my ($portal, $other, $admin) = map { P2P::Api->new($httpd->url, $_, $PASSWORD{$_}) } qw(portal other admin);
    my $mine = test_strangers($portal, $other, $admin);
    test_one($admin, $mine);
    test_kinds($db, $portal, $admin);
    test_list($db, $portal, $other, $admin);
    test_detail($httpd, $portal, $admin, $db);
    $httpd->stop;
    my $prefixed = P2P::Httpd->new(db => $db, users => \%PASSWORD, prefix => '/p2p', key => P2P::Httpd::read_file($httpd->{key_file}));
    $prefixed->start;
    my $page = answers(P2P::Api->new($prefixed->url, 'admin', $PASSWORD{admin})->get("$ALL?server=1"), 200, 'under a prefix');
    like($page->{json}{next}, qr{^/p2p$ALL\?server=1&page=}, '... links have it');
    $prefixed->stop;
});
done_testing();
