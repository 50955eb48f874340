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

each_database('audit' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => \%PASSWORD);
    $httpd->prepare([$SERVER])->start;
    my $api = sub { P2P::Api->new($httpd->url, $_[0], $PASSWORD{ $_[0] }) };
    $seen = 0;
    test_jobs($db, $api);
    test_silence($db, $api, $httpd);
    test_together($db, $api, $httpd);
    $httpd->stop;
});
done_testing();
