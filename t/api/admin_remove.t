#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Definitions that are removed or archived, members that are unbound, and what happens when several do such things at a time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use POSIX ();
use Test::More;

my $AT = '/admin/oidc_servers';
my $count = 0;

sub problem {
    my ($answer, $status, $code, $name) = @_;
    is($answer->{status}, $status, "$name: $status") or diag $answer->{content};
    is($answer->{json}{code}, $code, "... and its code $code");
    return $answer;
}

sub definition { return { name => 'A', issuer => 'https://n' . ++$count . '.example', fhirEndpoint => 'https://a.example/fhir', @_ } }

sub made {
    my ($api) = @_;
    my $answer = $api->post($AT, definition());
    is($answer->{status}, 201, "definition $count is made") or diag $answer->{content};
    return $answer->{json};
}

sub order {
    my ($source, $target) = @_;
    return { sourcePayer => { oidcToken => 'token', oidcRefreshToken => 'refresh-' . ++$count, patientId => $source }, targetPayer => { patientId => $target, organizationId => 'T' } };
}

sub ordered {
    my ($api, $pid, $source, $target) = @_;
    my $answer = $api->post("/api/oidc_servers/$pid/batch_job", order($source, $target));
    is($answer->{status}, 202, "an exchange of $source to $target") or diag $answer->{content};
    return $answer->{headers}{location};
}

sub unbind { my ($api, $pid, $body) = @_; return $api->post("$AT/$pid/unbind", $body) }

sub test_remove {
    my ($api, $portal, $db) = @_;
    my $one = made($api);
    my $path = "$AT/$one->{pid}";
    problem($api->request('DELETE', $path, headers => { 'If-Match' => '"7"' }), 412, 'precondition-failed', 'another version');
    my $answer = $api->request('DELETE', $path, headers => { 'If-Match' => '"1"' });
    is($answer->{status}, 204, 'a definition that nothing refers to is removed') or diag $answer->{content};
    is($answer->{content}, '', '... without a word');
    is($answer->{headers}{'cache-control'}, 'no-store', '... that could be stored');
    problem($api->get($path), 404, 'no-such-server', '... and is gone');
    problem($api->request('DELETE', $path), 404, 'no-such-server', '... once');
    my $again = $api->post($AT, definition(issuer => $one->{issuer}));
    is($again->{status}, 201, 'its issuer is free') or diag $again->{content};
    cmp_ok($again->{json}{pid}, '>', $one->{pid}, '... its number is not');
    is(run_sql($db, "SELECT action, status FROM p2p_audit WHERE object = 'oidc_server/$one->{pid}' ORDER BY id") =~ s/\n/ /gr, 'create|201 remove|412 remove|204 remove|404',
        'the audit knows what became of it');
    return;
}

sub test_archive {
    my ($api, $portal, $db) = @_;
    my $one = made($api);
    my $path = "$AT/$one->{pid}";
    my $job = ordered($portal, $one->{pid}, 's1', 't1');
    my $running = ordered($portal, $one->{pid}, 's2', 't2');
    my ($id) = $running =~ /(\d+)$/;
    run_sql($db, "INSERT INTO p2p_runner (owner, lease_until) VALUES ('test', 99999999999999999)");
    run_sql($db, "UPDATE p2p_job SET status = 'STARTED', lease_owner = 'test' WHERE id = $id");
    is($api->request('DELETE', $path)->{status}, 204, 'a definition with jobs');
    my $kept = $api->get($path)->{json};
    is_deeply([@$kept{qw(archived version)}], [JSON::PP::true, 2], '... is archived');
    is($api->request('DELETE', $path)->{status}, 204, '... once more');
    is($api->get($path)->{json}{version}, 2, '... changes nothing');
    problem($portal->get("/api/oidc_servers/$one->{pid}"), 404, 'no-such-server', 'the portal does not see it');
    problem($portal->post("/api/oidc_servers/$one->{pid}/batch_job", order('s9', 't9')), 404, 'no-such-server', '... nor orders from it');
    is($portal->get($job)->{json}{batchStatus}, 'STARTING', 'what was ordered is still to be done');
    is($portal->get($running)->{json}{batchStatus}, 'STARTED', '... and goes on');
    is($portal->request('DELETE', $job)->{json}{batchStatus}, 'STOPPED', '... or is stopped');
    is($portal->post("$job/restart")->{status}, 202, '... and begun again');
    run_sql($db, "DELETE FROM p2p_runner WHERE owner = 'test'");
    run_sql($db, "DELETE FROM p2p_job WHERE oidc_server_id = $one->{pid}");
    run_sql($db, "DELETE FROM p2p_grant WHERE oidc_server_id = $one->{pid}");
    is($api->request('DELETE', $path)->{status}, 204, 'when its jobs are forgotten');
    is($api->get($path)->{status}, 200, '... it stays: members are bound');
    my $back = problem($api->post($AT, definition(issuer => $one->{issuer})), 409, 'issuer-exists', 'so nobody makes it anew');
    is($back->{headers}{location}, $path, '... but is told where it is');
    is($api->request('PATCH', $path, content => { archived => JSON::PP::false })->{json}{idNamespace}, $one->{idNamespace}, 'it comes back with its namespace');
    problem($portal->post("/api/oidc_servers/$one->{pid}/batch_job", order('s1', 'somebody-else')), 409, 'bound-to-another', '... and its bindings');
    is(unbind($api, $one->{pid}, { sourcePatientId => $_ })->{status}, 204, "$_ is unbound") for qw(s1 s2);
    is($api->request('DELETE', $path)->{status}, 204, 'when nobody is bound any more');
    problem($api->get($path), 404, 'no-such-server', '... it goes');
    return;
}

# Jobs that only tried a definition keep nobody from removing it.
sub test_tests {
    my ($api, $db) = @_;
    my $one = made($api);
    my $insert = "INSERT INTO p2p_job (id, uuid, kind, target, oidc_server_id, status) VALUES";
    run_sql($db, "$insert (88001, '88001', 'definition-test', 'x', $one->{pid}, 'COMPLETED'), (88002, '88002', 'definition-test', 'x', $one->{pid}, 'STARTING')");
    is($api->request('DELETE', "$AT/$one->{pid}")->{status}, 204, 'a definition that is being tried');
    is($api->get("$AT/$one->{pid}")->{json}{archived}, JSON::PP::true, '... is archived');
    run_sql($db, 'DELETE FROM p2p_job WHERE id = 88002');
    is($api->request('DELETE', "$AT/$one->{pid}")->{status}, 204, 'one that was tried');
    is($api->get("$AT/$one->{pid}")->{status}, 404, '... goes');
    is(run_sql($db, "SELECT COUNT(*) FROM p2p_job WHERE oidc_server_id = $one->{pid}"), 0, '... with what came of that');
    return;
}

# Rows of a kind and a status, of a definition, each a number of their own.
my $row = 90_000;
sub add_jobs {
    my ($db, $pid, $kind, $status, $number) = @_;
    my $rows = join ', ', map { $row++; "($row, '$row', '$kind', 'x', $pid, '$status')" } 1 .. $number;
    run_sql($db, "INSERT INTO p2p_job (id, uuid, kind, target, oidc_server_id, status) VALUES $rows");
    return;
}

sub add_members {
    my ($db, $pid, $number) = @_;
    my $rows = join ', ', map { $row++; "($row, 'x', $pid, 'hash-$row')" } 1 .. $number;
    run_sql($db, "INSERT INTO p2p_binding (id, target, oidc_server_id, source_hash) VALUES $rows");
    return;
}

# What removing it touches; definitions before and behind it have what would be counted.
sub test_use {
    my ($api, $db) = @_;
    my ($before, $one, $behind) = map { made($api)->{pid} } 1 .. 3;
    for my $other ($before, $behind) {
        add_jobs($db, $other, 'p2p-exchange', $_, 2) for qw(STARTING STARTED STOPPING COMPLETED);
        add_members($db, $other, 3);
    }
    my $is = sub {
        my ($jobs, $members, $ever, $name) = @_;
        my $answer = $api->get("$AT/$one/use");
        is($answer->{content}, qq({"jobsUnderWay":$jobs,"members":$members,"everExchanged":) . ($ever ? 'true}' : 'false}'), $name);
        return $answer;
    };
    $is->(0, 0, 0, 'a definition of which nothing was made');
    add_jobs($db, $one, 'definition-test', $_, 2) for qw(STARTING STARTED STOPPING COMPLETED FAILED);
    my $tried = $is->(0, 0, 0, 'one that was tried alone');
    is($api->get("$AT/$one/use", 'If-None-Match' => $tried->{headers}{etag})->{status}, 304, '... with conditions');
    add_jobs($db, $one, 'p2p-exchange', 'FAILED', 1);
    $is->(0, 0, 1, 'one that was exchanged from');
    add_jobs($db, $one, 'p2p-exchange', $_, 2) for qw(STARTING STARTED STOPPING STOPPED COMPLETED ABANDONED UNKNOWN);
    add_members($db, $one, 5);
    $is->(6, 5, 1, 'jobs under way and members are counted');
    run_sql($db, "DELETE FROM p2p_job WHERE oidc_server_id = $one AND kind = 'p2p-exchange'");
    $is->(0, 5, 1, 'members stay bound when jobs are forgotten');
    add_jobs($db, $one, 'p2p-exchange', $_, 600) for qw(STARTED STARTING STOPPING);
    add_members($db, $one, 1200);
    $is->(1000, 1000, 1, '... counted to 1000');
    run_sql($db, "DELETE FROM $_ WHERE oidc_server_id IN ($before, $one, $behind)") for qw(p2p_job p2p_binding);
    problem($api->get("$AT/77777/use"), 404, 'no-such-server', 'a definition that is not there');
    return;
}

sub test_unbind {
    my ($api, $portal, $db) = @_;
    my $one = made($api);
    my $pid = $one->{pid};
    my $job = ordered($portal, $pid, 'member', 'first');
    my $busy = problem(unbind($api, $pid, { sourcePatientId => 'member' }), 409, 'already-running', 'while its job is under way');
    is($busy->{headers}{location}, '/admin/batch_jobs/' . ($job =~ m{(\d+)$})[0], '... which is told, where administrators find it');
    $portal->request('DELETE', $job);
    problem($portal->post("/api/oidc_servers/$pid/batch_job", order('member', 'second')), 409, 'bound-to-another', 'a bound member is not moved');
    my $answer = unbind($api, $pid, { sourcePatientId => 'member', other => 1 });
    is($answer->{status}, 204, 'it is unbound') or diag $answer->{content};
    is($answer->{content}, '', '... without a word');
    problem(unbind($api, $pid, { sourcePatientId => 'member' }), 404, 'no-such-binding', '... once');
    $job = ordered($portal, $pid, 'member', 'second');
    problem($portal->post("/api/oidc_servers/$pid/batch_job", order('member', 'first')), 409, 'bound-to-another', 'it is bound again, to whom it is now');
    $portal->request('DELETE', $job);
    run_sql($db, "UPDATE p2p_binding SET target = 'https://elsewhere.example' WHERE oidc_server_id = $pid");
    problem(unbind($api, $pid, { sourcePatientId => 'member' }), 404, 'no-such-binding', "another target's binding");
    problem(unbind($api, $pid + 77, { sourcePatientId => 'member' }), 404, 'no-such-server', 'a definition that is not there');
    for my $body ({}, { sourcePatientId => '' }, { sourcePatientId => undef }, { sourcePatientId => 5 }, { sourcePatientId => 'x' x 1025 }) {
        $answer = problem(unbind($api, $pid, $body), 422, 'invalid-fields', 'a body without a patient');
        is_deeply([map { $_->{pointer} } @{ $answer->{json}{errors} }], ['/sourcePatientId'], '... which is told') or diag $answer->{content};
    }
    unlike(run_sql($db, "SELECT * FROM p2p_audit"), qr/member/, 'the audit has no patient');
    is(run_sql($db, "SELECT COUNT(*) FROM p2p_audit WHERE object = 'oidc_server/$pid' AND action = 'unbind' AND status = 204 AND code = ''"), 1, '... but who unbound one');
    return;
}

# Runs each code in a process of its own, all at the same time; what they return, a short text each.
sub together {
    my (@code) = @_;
    my @pipes = map {
        my $code = $_;
        pipe my $in, my $out or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            syswrite $out, $code->();
            POSIX::_exit(0);
        }
        [$in, $pid];
    } @code;
    return map { sysread $_->[0], my $text, 1000; waitpid $_->[1], 0; $text } @pipes;
}

sub test_races {
    my ($api) = @_;
    my $one = made($api);
    my $path = "$AT/$one->{pid}";
    my %whole = map { ("Writer $_" => definition(issuer => $one->{issuer}, name => "Writer $_", scopes => "scope-$_", notes => "note $_")) } 1 .. 4;
    my @answers = together(map { my $name = $_; sub { $api->request('PUT', $path, content => $whole{$name})->{status} } } sort keys %whole);
    is_deeply([grep { $_ != 200 && $_ != 409 } @answers], [], 'of several that replace it each does, or is told that another one did');
    my $now = $api->get($path)->{json};
    is($now->{version}, 1 + grep({ $_ == 200 } @answers), "... each once (@answers)");
    cmp_ok($now->{version}, '>', 1, '... at least one');
    is_deeply([@$now{qw(scopes notes)}], [@{ $whole{ $now->{name} } }{qw(scopes notes)}], '... as a whole');
    my $etag = qq("$now->{version}");
    @answers = together(map { my $name = $_; sub { $api->request('PUT', $path, content => $whole{$name}, headers => { 'If-Match' => $etag })->{status} } } sort keys %whole);
    is_deeply([sort @answers], [200, 412, 412, 412], 'of several that mean the same version one does');
    my $issuer = definition()->{issuer};
    @answers = together(map { sub { $api->post($AT, definition(issuer => $issuer))->{status} } } 1 .. 4);
    is_deeply([sort @answers], [201, 409, 409, 409], 'of several of one issuer one is made');
    my @others = map { made($api) } 1 .. 3;
    @answers = together(map { my $at = "$AT/$_->{pid}"; sub { $api->request('PATCH', $at, content => { issuer => 'https://wanted.example' })->{status} } } @others);
    is_deeply([sort @answers], [200, 409, 409], 'of several that want one issuer one gets it');
    return;
}

# A session of somebody else's that begins, waits until we wait for it, and only then does the rest.
sub meanwhile {
    my ($db, $begin, $then, $request) = @_;
    my $wait = 'DO $$ BEGIN FOR i IN 1 .. 600 LOOP EXIT WHEN EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted); PERFORM pg_sleep(0.05); END LOOP; END $$';
    my ($session, $answer) = together(
        sub { run_sql($db, "BEGIN; $begin; $wait; $then; COMMIT"); 'done' },
        sub {
            my $end = time + 30;
            # Its lock is there when the session waits in pg_sleep.
            select undef, undef, undef, 0.05 until time > $end || run_sql($db, "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
            my $got = $request->();
            return "$got->{status} " . ($got->{json}{code} // '');
        },
    );
    is($session, 'done', 'the other session came to its end');
    return $answer;
}

# SQLite has one writer at a time: nobody comes in between there.
sub test_in_between {
    my ($api, $portal, $db) = @_;
    my ($one, $two, $three) = map { made($api) } 1 .. 3;
    my $job = ordered($portal, $one->{pid}, 'm', 't');
    my ($id) = $job =~ /(\d+)$/;
    $portal->request('DELETE', $job);
    my $held = "SELECT 1 FROM p2p_binding WHERE oidc_server_id = $one->{pid} FOR KEY SHARE";
    is(meanwhile($db, $held, "UPDATE p2p_job SET status = 'STARTING' WHERE id = $id", sub { unbind($api, $one->{pid}, { sourcePatientId => 'm' }) }),
        '409 already-running', 'who unbinds sees the job of an order that came in between');
    run_sql($db, "UPDATE p2p_job SET status = 'STOPPED' WHERE id = $id");
    is(meanwhile($db, "SELECT 1 FROM p2p_binding WHERE oidc_server_id = $one->{pid} FOR UPDATE", "DELETE FROM p2p_binding WHERE oidc_server_id = $one->{pid}",
        sub { $portal->post("/api/oidc_servers/$one->{pid}/batch_job", order('m', 'other')) }), '202 ', 'an order sees that its member was unbound in between');
    is(meanwhile($db, "SELECT 1 FROM p2p_oidc_server WHERE pid = $two->{pid} FOR KEY SHARE",
        "INSERT INTO p2p_binding (id, target, oidc_server_id, source_hash) VALUES (77777, 'x', $two->{pid}, 'y')",
        sub { $api->request('DELETE', "$AT/$two->{pid}") }), '204 ', 'who removes a definition waits for an order');
    is($api->get("$AT/$two->{pid}")->{json}{archived}, JSON::PP::true, '... and archives it then');
    is(meanwhile($db, "SELECT 1 FROM p2p_oidc_server WHERE pid = $three->{pid} FOR UPDATE", "DELETE FROM p2p_oidc_server WHERE pid = $three->{pid}",
        sub { $portal->post("/api/oidc_servers/$three->{pid}/batch_job", order('m', 't')) }), '404 no-such-server', 'an order waits for who removes its definition');
    my $four = made($api);
    is(meanwhile($db, "UPDATE p2p_oidc_server SET version = 2 WHERE pid = $four->{pid}", 'SELECT 1',
        sub { $api->request('PATCH', "$AT/$four->{pid}", content => { notes => 'x' }) }), '409 edit-conflict', 'a change that came in between');
    is(meanwhile($db, "UPDATE p2p_oidc_server SET version = 3 WHERE pid = $four->{pid}", 'SELECT 1',
        sub { $api->request('PATCH', "$AT/$four->{pid}", content => { notes => 'x' }, headers => { 'If-Match' => '"2"' }) }), '412 precondition-failed', '... to who meant a version');
    is(run_sql($db, "SELECT notes FROM p2p_oidc_server WHERE pid = $four->{pid}"), '', '... and nothing of his is there');
    return;
}

each_database('removing, unbinding' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => { portal => 'pass', admin => 'pass' });
    $httpd->prepare->start;
    my ($api, $portal) = map { P2P::Api->new($httpd->url, $_, 'pass') } qw(admin portal);
    test_remove($api, $portal, $db);
    test_archive($api, $portal, $db);
    test_tests($api, $db);
    test_use($api, $db);
    test_unbind($api, $portal, $db);
    test_races($api);
    test_in_between($api, $portal, $db) if $db->{server};
    $httpd->stop;
});
done_testing();
