#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A token that is limited to one member (P2PPatientClaim) orders for that member, sees that member's jobs, and knows of no others.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Jwt qw(new_key jwk_set sign);
use Test::More;

my $dir    = tempdir('p2p-patient-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $ISSUER = 'https://login.example';
my $JOBS   = '/api/oidc_servers/1/batch_job';
my $key    = new_key('ES256', 'k');
chmod 0755, $dir;
my $keys = P2P::Httpd::write_file("$dir/keys.json", jwk_set($key));
my @DEFINITION = ({ name => 'A', issuer => 'https://a.example', clientId => 'us', fhirEndpoint => 'https://a.example/fhir', responseType => 'code' });
my @claims = (iss => $ISSUER, aud => 'p2p', client_id => 'the-portal', exp => time + 3600);

# A caller with a token of these claims.
sub caller_with {
    my ($httpd, %more) = @_;
    my $api = P2P::Api->new($httpd->url);
    $api->{authorization} = 'Bearer ' . sign($key, { @claims, scope => 'portal', %more });
    return $api;
}

sub order {
    my ($source, $target) = @_;
    return { sourcePayer => { oidcToken => "token-$source", patientId => $source }, targetPayer => { patientId => $target, organizationId => 'o' } };
}

sub answers { my ($answer, $status, $name) = @_; is($answer->{status}, $status, $name) or diag $answer->{content}; return $answer }

sub taken { my ($api, @order) = @_; return answers($api->post($JOBS, order(@order)), 202, "an order for $order[1]")->{json}{batchJobId} }

sub problem {
    my ($answer, $status, $code, $name) = @_;
    answers($answer, $status, "$name: $status");
    is($answer->{json}{code}, $code, "... $code");
    return;
}

sub ids { return [map { $_->{batchJobId} } @{ $_[0]{json}{jobs} }] }

sub all_refused {
    my ($api, $path, $name) = @_;
    problem($api->get($path), 404, 'no-such-job', $name);
    problem($api->get("$path/report"), 404, 'no-such-job', '... its report');
    problem($api->request(DELETE => $path), 404, 'no-such-job', '... stopping it');
    problem($api->post("$path/restart", { sourcePayer => { oidcToken => 'new' } }), 404, 'no-such-job', '... beginning it again with new tokens');
    return;
}

sub test_portal {
    my ($httpd, $db) = @_;
    my ($any, $one, $two) = (caller_with($httpd), map { caller_with($httpd, patient => $_) } 'Patient/one', 'two');
    my %job = (one => taken($one, 's1', 'one'), two => taken($two, 's2', 'two'), more => taken($any, 's3', 'one'));
    my $answer = $one->post($JOBS, order('s4', 'two'));
    problem($answer, 403, 'other-patient', 'an order for another member');
    unlike($answer->{content}, qr/\bone\b|\btwo\b/, '... which names neither');
    is(run_sql($db, 'SELECT COUNT(*) FROM p2p_job'), 3, '... and is not taken');
    problem($one->post($JOBS, { sourcePayer => {} }), 422, 'invalid-fields', 'an order for nobody');
    answers($one->get("$JOBS/$job{$_}"), 200, "a member's own job") for qw(one more);
    is_deeply(ids($one->get($JOBS)), [@job{qw(more one)}], '... and the list of them');
    is_deeply(ids($one->get("$JOBS?status=STARTING")), [@job{qw(more one)}], '... and that of one status');
    is_deeply(ids($one->get("$JOBS?status=FAILED")), [], '... and of another');
    is_deeply(ids($two->get($JOBS)), [$job{two}], "another's list");
    all_refused($two, "$JOBS/$job{one}", "another member's job");
    is_deeply(ids($any->get($JOBS)), [@job{qw(more two one)}], 'a token of the same client without a limit sees them all');
    my $stranger = caller_with($httpd, client_id => 'another', patient => 'one');
    all_refused($stranger, "$JOBS/$job{one}", "the member's job with another client");
    answers($one->request(DELETE => "$JOBS/$job{one}"), 200, 'it can be stopped');
    answers($one->post("$JOBS/$job{one}/restart", { sourcePayer => { oidcToken => 'new' } }), 202, '... and begun again, with new tokens');
    $answer = $two->post($JOBS, order('s1', 'two'));
    is($answer->{status}, 409, 'an order of a source patient who is bound to another');
    is($answer->{headers}{location}, undef, "... tells nothing of that one's job");
    return;
}

# The limit holds for administrators as well, who see the jobs of that member from all clients.
sub test_administrator {
    my ($httpd) = @_;
    my ($all, $one) = map { caller_with($httpd, client_id => 'console', scope => 'administration', @$_) } [], [patient => 'one'];
    is_deeply(ids($all->get('/admin/batch_jobs')), [3, 2, 1], 'an administrator sees all');
    is_deeply(ids($one->get('/admin/batch_jobs')), [3, 1], '... one with a limit the jobs of that member');
    is_deeply(ids($one->get('/admin/batch_jobs?status=STARTING&server=1')), [3, 1], '... also by status and definition');
    all_refused($one, '/admin/batch_jobs/2', '... and knows of no others');
    is($all->get('/admin/mail')->{status}, 200, 'an administrator sees mails');
    problem($one->get('/admin/mail'), 403, 'other-patient', '... one with a limit does not, since they are of all members');
    problem($one->get('/admin/mail/1'), 403, 'other-patient', '... nor one of them');
    problem($one->get('/admin/overview'), 403, 'other-patient', '... nor the overview');
    problem($one->post('/admin/mail/1/resend'), 403, 'other-patient', '... nor sends any');
    problem($one->post($JOBS, order('s9', 'two')), 403, 'other-patient', '... nor orders for them');
    return;
}

# What httpd's own Require refuses to somebody who is known is in the audit as well, when the answer is out.
sub test_require {
    my ($httpd, $db) = @_;
    $httpd->expect_log(qr/AH01631/);
    my $answer = caller_with($httpd)->request(DELETE => '/admin/batch_jobs/1');
    problem($answer, 403, 'insufficient-scope', 'a portal that would administer');
    my $found = "SELECT COUNT(*) FROM p2p_audit WHERE client = 'the-portal\@$ISSUER' AND role = 'portal' AND action = 'stop' AND object = 'batch_job/1' AND status = 403";
    ok($httpd->wait_for(sub { run_sql($db, $found) == 1 }), '... is in the audit') or diag run_sql($db, 'SELECT * FROM p2p_audit');
    return;
}

each_database('one member' => sub {
    my ($db) = @_;
    my @main = ("P2PTrustIssuer $ISSUER keys=$keys audience=p2p portal=portal administration=administration");
    my @auth = ('<LocationMatch "^/(api|admin)">', 'AuthType Bearer', 'AuthName p2p', 'Require p2p-role portal', '</LocationMatch>',
        '<LocationMatch "^/admin">', 'Require p2p-role administrator', 'AuthzSendForbiddenOnFailure On', '</LocationMatch>');
    my $httpd = P2P::Httpd->new(db => $db, main => \@main, vhost => \@auth);
    $httpd->prepare(\@DEFINITION)->start;
    test_portal($httpd, $db);
    test_administrator($httpd);
    test_require($httpd, $db);
    my $hashes = run_sql($db, 'SELECT patient_hash FROM p2p_job ORDER BY id');
    like($hashes, qr/^[0-9a-f]{64}\n[0-9a-f]{64}\n[0-9a-f]{64}$/, 'the database has no member in the clear');
    unlike(run_sql($db, 'SELECT * FROM p2p_audit'), qr/\bone\b|\btwo\b/, '... nor has the audit');
    $httpd->stop;
});
done_testing();
