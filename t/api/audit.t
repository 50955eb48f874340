#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The audit: what each call leaves in it, what does not go in without it, and what it does not hold.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Source;
use Test::More;

my %PASSWORD = (portal => 'opens-the-portal', admin => 'opens-it-all', other => 'opens-another-portal');
my $SERVER = { name => 'A', issuer => 'https://a.example', clientId => 'c', clientSecret => 'planted-secret', fhirEndpoint => 'https://a.example/fhir',
    tokenEndpoint => 'https://a.example/token', responseType => 'code' };
my $JOBS = '/api/oidc_servers/1/batch_job';

sub order {
    my ($member) = @_;
    return { sourcePayer => { oidcToken => "planted-token-$member", oidcRefreshToken => "planted-refresh-$member", patientId => "source-$member" },
        targetPayer => { patientId => "target-$member", organizationId => 'T' } };
}

# The rows behind the last ones that were asked for, oldest first, without their times.
my $seen;

sub rows {
    my ($db) = @_;
    my $text = run_sql($db, "SELECT id, client, role, address, action, object, status, code FROM p2p_audit WHERE id > $seen ORDER BY id");
    my @rows = map { [split /\|/, $_, -1] } split /\n/, $text;
    $seen = $rows[-1][0] if @rows;
    return [map { join ' ', @$_[1 .. 7] } @rows];
}

sub answers { my ($answer, $status, $name) = @_; is($answer->{status}, $status, $name) or diag $answer->{content}; return $answer }

# What a call leaves: one row.
sub leaves {
    my ($db, $answer, $status, $row) = @_;
    answers($answer, $status, $row);
    $row =~ s/NEW/$answer->{json}{batchJobId}/;
    is_deeply(rows($db), [$row], '... is in the audit');
    return;
}

sub test_jobs {
    my ($db, $api) = @_;
    my $portal = $api->('portal');
    leaves($db, $portal->post($JOBS, order(1)), 202, 'portal portal 127.0.0.1 start batch_job/1 202 ');
    leaves($db, $portal->post($JOBS, order(1)), 409, 'portal portal 127.0.0.1 start oidc_server/1 409 already-running');
    leaves($db, $portal->post($JOBS, { sourcePayer => {} }), 422, 'portal portal 127.0.0.1 start oidc_server/1 422 invalid-fields');
    leaves($db, $portal->post($JOBS, '{'), 400, 'portal portal 127.0.0.1 start oidc_server/1 400 json-cut-short');
    leaves($db, $portal->post($JOBS, 'x', 'Content-Type' => 'text/plain'), 415, 'portal portal 127.0.0.1 start oidc_server/1 415 unsupported-media-type');
    leaves($db, $portal->post($JOBS, '{"a":"' . 'x' x 2_000_000 . '"}'), 413, 'portal portal 127.0.0.1 start oidc_server/1 413 body-too-large');
    leaves($db, $portal->post('/api/oidc_servers/77/batch_job', order(2)), 404, 'portal portal 127.0.0.1 start oidc_server/77 404 no-such-server');
    leaves($db, $portal->request(DELETE => "$JOBS/77"), 404, 'portal portal 127.0.0.1 stop batch_job/77 404 no-such-job');
    leaves($db, $portal->request(DELETE => "$JOBS/1", headers => { 'If-Match' => '"99"' }), 412, 'portal portal 127.0.0.1 stop batch_job/1 412 precondition-failed');
    leaves($db, $portal->request(DELETE => "$JOBS/1"), 200, 'portal portal 127.0.0.1 stop batch_job/1 200 ');
    leaves($db, $portal->post("$JOBS/1/restart"), 202, 'portal portal 127.0.0.1 restart batch_job/1 202 ');
    leaves($db, $portal->post("$JOBS/1/restart"), 409, 'portal portal 127.0.0.1 restart batch_job/1 409 job-active');
    run_sql($db, "UPDATE p2p_job SET status = 'STARTED', task_id = 't' WHERE id = 1");
    leaves($db, $portal->request(DELETE => "$JOBS/1"), 202, 'portal portal 127.0.0.1 stop batch_job/1 202 ');
    leaves($db, $portal->post($JOBS, order(3), 'Idempotency-Key' => 'k'), 202, 'portal portal 127.0.0.1 start batch_job/NEW 202 ') for 1 .. 2;
    return;
}

# What is no action, and who is nobody, leaves nothing.
sub test_silence {
    my ($db, $api, $httpd) = @_;
    my $portal = $api->('portal');
    $httpd->expect_log(qr/AH01617/);
    answers($portal->get($_), 200, "GET $_") for $JOBS, "$JOBS/1", "$JOBS/1/report", '/api/oidc_servers', '/health';
    answers($portal->get("$JOBS/77"), 404, 'GET of what is not there');
    answers($portal->post('/api/oidc_servers', {}), 405, 'a method that the path has not');
    answers($portal->post('/nowhere', {}), 404, 'a path that is not there');
    answers(P2P::Api->new($httpd->url)->post($JOBS, order(4)), 401, 'no credentials');
    answers(P2P::Api->new($httpd->url, 'portal', 'wrong')->post($JOBS, order(4)), 401, 'wrong credentials');
    is_deeply(rows($db), [], 'none of it is in the audit');
    return;
}

# No change without its row: a transaction that cannot have one changes nothing.
sub test_together {
    my ($db, $api, $httpd) = @_;
    my $before = run_sql($db, 'SELECT COUNT(*) FROM p2p_job');
    run_sql($db, 'ALTER TABLE p2p_audit RENAME TO p2p_audit_away');
    my $answer = answers($api->('portal')->post($JOBS, order(5)), 500, 'without the audit an order is refused');
    is(run_sql($db, 'SELECT COUNT(*) FROM p2p_job'), $before, '... and nothing was changed');
    $httpd->expect_log(qr/p2p_audit/, qr/database-error/);
    like($httpd->log_text, qr/Not in the audit: start of oidc_server\/1 ended with 500/, '... and the log says that the refusal is not noted either');
    run_sql($db, 'ALTER TABLE p2p_audit_away RENAME TO p2p_audit');
    leaves($db, $api->('portal')->post($JOBS, order(5)), 202, 'portal portal 127.0.0.1 start batch_job/NEW 202 ');
    return;
}

# What administrators do, and what is refused to a portal by its role.
sub test_administration {
    my ($db, $api) = @_;
    my ($admin, $portal) = map { $api->($_) } qw(admin portal);
    my $job = answers($portal->post($JOBS, order(6)), 202, 'a job')->{json}{batchJobId};
    rows($db);
    leaves($db, $portal->request(DELETE => "/admin/batch_jobs/$job"), 403, "portal portal 127.0.0.1 stop batch_job/$job 403 forbidden");
    leaves($db, $portal->post("/admin/batch_jobs/$job/restart"), 403, "portal portal 127.0.0.1 restart batch_job/$job 403 forbidden");
    leaves($db, $api->('other')->request(DELETE => "$JOBS/$job"), 404, "other portal 127.0.0.1 stop batch_job/$job 404 no-such-job");
    leaves($db, $admin->request(DELETE => "/admin/batch_jobs/$job"), 200, "admin administrator 127.0.0.1 stop batch_job/$job 200 ");
    leaves($db, $admin->post("$JOBS/$job/restart"), 202, "admin administrator 127.0.0.1 restart batch_job/$job 202 ");
    leaves($db, $admin->request(DELETE => "$JOBS/$job", headers => { Origin => 'https://evil.example' }), 403, "admin administrator 127.0.0.1 stop batch_job/$job 403 cross-origin");
    my $at = '/admin/oidc_servers';
    my %new = (%$SERVER, name => 'B', issuer => 'https://b.example', clientSecret => 'planted-other', notes => 'planted-notes');
    leaves($db, $admin->post($at, \%new), 201, 'admin administrator 127.0.0.1 create oidc_server/2 201 ');
    leaves($db, $admin->post($at, \%new), 409, 'admin administrator 127.0.0.1 create oidc_server 409 issuer-exists');
    leaves($db, $admin->post($at, { name => 'C' }), 422, 'admin administrator 127.0.0.1 create oidc_server 422 invalid-fields');
    leaves($db, $admin->request(PUT => "$at/2", content => \%new), 200, 'admin administrator 127.0.0.1 replace oidc_server/2 200 ');
    leaves($db, $admin->request(PATCH => "$at/2", content => { notes => 'planted-more' }), 200, 'admin administrator 127.0.0.1 change oidc_server/2 200 ');
    leaves($db, $admin->request(PATCH => "$at/2", content => { notes => '' }, headers => { 'If-Match' => '"99"' }), 412,
        'admin administrator 127.0.0.1 change oidc_server/2 412 precondition-failed');
    leaves($db, $admin->post("$at/2/unbind", { sourcePatientId => 'planted-patient' }), 404, 'admin administrator 127.0.0.1 unbind oidc_server/2 404 no-such-binding');
    leaves($db, $admin->request(DELETE => "$at/2"), 204, 'admin administrator 127.0.0.1 remove oidc_server/2 204 ');
    leaves($db, $portal->post($at, \%new), 403, 'portal portal 127.0.0.1 create oidc_server 403 forbidden');
    return;
}

sub test_commands {
    my ($db, $httpd) = @_;
    my $me = getpwuid $<;
    is_deeply(rows($db), ["$me administrator local create oidc_server/1 201 "], 'what is imported is in the audit');
    $httpd->prepare([{ %$SERVER, name => 'A, renamed' }]);
    is_deeply(rows($db), ["$me administrator local replace oidc_server/1 200 "], '... so is what is changed so');
    $httpd->prepare([{ %$SERVER, name => 'A, renamed' }]);
    is_deeply(rows($db), [], '... but not what stays as it is');
    return;
}

# One client's refusals are in the audit up to a number, another's are not touched by that.
sub test_many {
    my ($db, $api, $httpd) = @_;
    my $other = $api->('other');
    answers($other->request(DELETE => "$JOBS/9999"), 404, 'a refusal') for 1 .. 62;
    my @rows = grep { $_ eq 'other portal 127.0.0.1 stop batch_job/9999 404 no-such-job' } @{ rows($db) };
    cmp_ok(scalar @rows, '>=', 58, 'most of many refusals are in the audit');
    for (1 .. 200) {
        last if $httpd->log_text =~ /other is refused so often/;
        $other->request(DELETE => "$JOBS/9999");
    }
    like($httpd->log_text, qr/other is refused so often that not all of it is in the audit/, '... then the log tells that they are not');
    rows($db);
    leaves($db, $api->('portal')->request(DELETE => "$JOBS/9999"), 404, 'portal portal 127.0.0.1 stop batch_job/9999 404 no-such-job');
    my $job = answers($other->post($JOBS, order(7)), 202, 'what is not refused')->{json}{batchJobId};
    is(run_sql($db, "SELECT COUNT(*) FROM p2p_audit WHERE client = 'other' AND object = 'batch_job/$job'"), 1, '... always is');
    return;
}

sub test_reading {
    my ($db, $api) = @_;
    my $admin = $api->('admin');
    answers($api->('portal')->get('/admin/audit'), 403, 'a portal does not read the audit');
    my $page = answers($admin->get('/admin/audit'), 200, 'an administrator reads it');
    my ($first) = @{ $page->{json}{entries} };
    my ($id, $row) = split /\|/, run_sql($db, 'SELECT id, object FROM p2p_audit ORDER BY id DESC LIMIT 1');
    is($first->{id}, $id, '... newest first');
    is_deeply([sort keys %$first], [sort qw(id time client role address action object status code)], '... each with all that is known');
    like($first->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, '... with its time');
    is($first->{object}, $row, '... and what it is about');
    is($first->{code}, undef, '... and no code where nothing was refused');
    my ($count, @ids, %clients) = run_sql($db, 'SELECT COUNT(*) FROM p2p_audit');
    for (my $next = '/admin/audit'; $next; ) {
        my $json = answers($admin->get($next), 200, "page $next")->{json};
        push @ids, map { $_->{id} } @{ $json->{entries} };
        $next = $json->{next};
    }
    is_deeply(\@ids, [reverse split /\n/, run_sql($db, 'SELECT id FROM p2p_audit ORDER BY id')], "all $count rows come, page by page, once each");
    run_sql($db, "INSERT INTO p2p_audit (id, time, client, role, action, object) SELECT id + 1000000, time, 'c & d=?', 'portal', 'stop', 'batch_job/5' FROM p2p_audit LIMIT 150");
    my @filters = (['client=other', "client = 'other'"], ['object=batch_job/5', "object = 'batch_job/5'"], ['client=c+%26+d%3D%3F', "client = 'c & d=?'"],
        ['client=c%20%26%20d%3d%3f&object=batch_job%2F5', "client = 'c & d=?'"], ['client=nobody', '1 = 0'], ['client=other&object=batch_job/5', '1 = 0']);
    for (@filters) {
        my ($query, $where) = @$_;
        my @got;
        for (my $next = "/admin/audit?$query"; $next; ) {
            my $json = answers($admin->get($next), 200, "page $next")->{json};
            push @got, map { $_->{id} } @{ $json->{entries} };
            $next = $json->{next};
        }
        is_deeply(\@got, [reverse split /\n/, run_sql($db, "SELECT id FROM p2p_audit WHERE $where ORDER BY id")], "... those with $query");
    }
    my ($cursor) = answers($admin->get('/admin/audit'), 200, 'a page')->{json}{next} =~ /(page=.*)/;
    is($admin->get("/admin/audit?client=other&$cursor")->{json}{code}, 'bad-page', 'a cursor goes with its list');
    run_sql($db, 'DELETE FROM p2p_audit WHERE id > 1000000');
    is($admin->get('/admin/audit?action=stop')->{json}{code}, 'bad-query', 'another parameter is refused');
    return;
}

# What is refused before its route is called is noted when the answer is out.
sub test_limited {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => \%PASSWORD, key => P2P::Httpd::read_file($db->{key_file}), directives => { P2PRateLimit => 1 });
    $httpd->start;
    my $portal = P2P::Api->new($httpd->url, 'portal', $PASSWORD{portal});
    rows($db);
    my $refused = $httpd->wait_for(sub { my $answer = $portal->post("$JOBS/9999/restart"); $answer->{status} == 429 ? $answer : undef });
    ok($refused, 'a client that calls too often');
    my $row = 'portal portal 127.0.0.1 restart batch_job/9999 429 too-many-requests';
    ok($httpd->wait_for(sub { grep { $_ eq $row } @{ rows($db) } }), '... is in the audit');
    $httpd->stop;
    return;
}

# Nothing of what callers sent, but their names, and no member.
sub test_contents {
    my ($db) = @_;
    my $all = run_sql($db, 'SELECT * FROM p2p_audit');
    unlike($all, qr/planted|target-\d|source-\d|\Q$_\E/, 'no secret and no member is in the audit') for join '|', values %PASSWORD;
    return;
}

# As long as P2PKeepAudit says, and not a day longer.
sub test_retention {
    my ($db, $httpd) = @_;
    my $day = 86_400 * 1_000_000;
    my $old = run_sql($db, 'SELECT MAX(id) - 30 FROM p2p_audit');
    my $now = time * 1_000_000;
    run_sql($db, "UPDATE p2p_audit SET time = $now - 2 * $day - 3600000000 WHERE id <= $old");
    run_sql($db, "UPDATE p2p_audit SET time = $now - 2 * $day + 3600000000 WHERE id > $old");
    run_sql($db, "UPDATE p2p_job SET status = 'STOPPED', settled = 1, end_time = $now");
    my $kept = run_sql($db, "SELECT COUNT(*) FROM p2p_audit WHERE id > $old");
    for (1 .. 10) {
        run_sql($db, "DELETE FROM p2p_counter WHERE name LIKE 'tidy %'");    # the turn of this minute
        $httpd->run_command('once');
        last if !run_sql($db, "SELECT COUNT(*) FROM p2p_audit WHERE id <= $old");
    }
    is(run_sql($db, "SELECT COUNT(*) FROM p2p_audit WHERE id <= $old"), 0, 'rows that are too old go');
    is(run_sql($db, 'SELECT COUNT(*) FROM p2p_audit'), $kept, '... the others stay');
    return;
}

# On PostgreSQL the role that httpd and the runners work as need not be able to change the audit.
sub test_grants {
    my ($db, $api) = @_;
    run_sql($db, 'CREATE ROLE web LOGIN; GRANT USAGE ON SCHEMA public TO web; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO web; REVOKE UPDATE, DELETE ON p2p_audit FROM web');
    my $httpd = P2P::Httpd->new(db => { %$db, params => $db->{params} =~ s/user=p2p/user=web/r }, users => \%PASSWORD);
    $httpd->{key_file} = $db->{key_file};
    $httpd->write_config;
    $httpd->start;
    my $portal = P2P::Api->new($httpd->url, 'portal', $PASSWORD{portal});
    rows($db);
    leaves($db, $portal->post($JOBS, order(8)), 202, 'portal portal 127.0.0.1 start batch_job/NEW 202 ');
    run_sql($db, "UPDATE p2p_job SET status = 'STOPPED', settled = 1, end_time = 1");
    my $out = $httpd->run_command('once');
    unlike($out, qr/warn|error/, 'a runner whose role may not change the audit works') or diag $out;
    is(run_sql($db, 'SELECT COUNT(*) FROM p2p_job'), 0, '... and tidies up what else is old');
    my $refused = eval { run_sql($db, 'SET ROLE web; UPDATE p2p_audit SET client = 0'); 1 } ? '' : 'refused';
    is($refused, 'refused', '... and nobody changes the audit as that role');
    $httpd->stop;
    run_sql($db, 'DROP OWNED BY web; DROP ROLE web');
    return;
}

# --- What the sources promise ---

my $sql = join "\n", lines_of('lib/store/sql.c');
my @statements = $sql =~ /(\[P2P_SQL_\w+\] = \{.*?\d\},)/gs;
my @changing = grep { /UPDATE p2p_audit|DELETE FROM p2p_audit|ON CONFLICT.*p2p_audit|INTO p2p_audit.*ON CONFLICT/s } @statements;
is(scalar @changing, 1, 'one statement changes or removes rows of the audit');
like($changing[0], qr/^\[P2P_SQL_AUDIT_TIDY\] = \{"\w+",\s+"DELETE FROM p2p_audit WHERE id IN \(SELECT a\.id FROM p2p_audit a WHERE a\.time < /, '... retention');
my @users = grep { join("\n", lines_of($_)) =~ /P2P_SQL_AUDIT_TIDY/ } files(qr{\.c$}, 'lib', 'mod_p2p');
is_deeply(\@users, ['lib/store/audit_store.c', 'lib/store/sql.c'], '... which the audit store alone uses');
my %action;
my $routes = join "\n", lines_of('mod_p2p/route.c');
while ($routes =~ /\{ "([^"]+)", M_(\w+), \w+, \w+, (?:"(\w+)"|NULL) \}/g) { $action{"$2 $1"} = $3 }
cmp_ok(scalar keys %action, '>', 15, 'the routes are found');
# What a target delivers is no deed of a person.
is_deeply([grep { /^GET| \/hooks\// ? defined $action{$_} : !defined $action{$_} } sort keys %action], [], 'each route that changes something has an action, no other has');

each_database('audit' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => \%PASSWORD, directives => { P2PKeepAudit => 2 });
    $httpd->prepare([$SERVER])->start;
    $db->{key_file} = $httpd->{key_file};
    my $api = sub { P2P::Api->new($httpd->url, $_[0], $PASSWORD{ $_[0] }) };
    $seen = 0;
    test_commands($db, $httpd);
    test_jobs($db, $api);
    test_silence($db, $api, $httpd);
    test_together($db, $api, $httpd);
    test_administration($db, $api);
    test_many($db, $api, $httpd);
    test_reading($db, $api);
    test_limited($db);
    test_contents($db);
    test_grants($db, $api) if $db->{server};
    test_retention($db, $httpd);
    $httpd->stop;
});
done_testing();
