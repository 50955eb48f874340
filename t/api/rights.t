#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The rights in PostgreSQL, and the capabilities and limits of a service, that docs/security.md names are enough: with them, and no others, definitions are
# made and changed, jobs are ordered and worked on, and the audit is written; and what they take away is away.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Source;
use Test::More;

my $text   = join "\n", lines_of('docs/security.md');
my @grants = $text =~ /^    ((?:GRANT|REVOKE) .*;)$/mg;
my ($capabilities) = $text =~ /^    CapabilityBoundingSet=(.*)$/m;
cmp_ok(scalar @grants, '>=', 4, 'the rights are found');
ok($capabilities, 'the capabilities are found');

# Everything that the serving role does: with $wrap, under a command.
sub work {
    my ($name, $owner, $serving, @wrap) = @_;
    my %httpd = (users => { portal => 'pass', admin => 'pass' }, key => P2P::Httpd::new_key());
    P2P::Httpd->new(%httpd, db => $owner)->prepare if $owner;
    if ($owner) { $owner->{server}->psql($_) for 'CREATE ROLE p2p_serving LOGIN', @grants }
    my $httpd = P2P::Httpd->new(%httpd, db => $serving, wrap => \@wrap, directives => { P2PRunners => 1 });
    $httpd->prepare if !$owner;
    $httpd->start;
    my ($portal, $admin) = map { P2P::Api->new($httpd->url, $_, 'pass') } 'portal', 'admin';
    my %definition = (name => 'A', issuer => 'https://a.example', clientId => 'c', clientSecret => 's', fhirEndpoint => 'https://127.0.0.1:9/fhir', responseType => 'code');
    my $made = $admin->post('/admin/oidc_servers', \%definition);
    is($made->{status}, 201, "$name: a definition is made") or diag $made->{content};
    is($admin->request('PATCH', '/admin/oidc_servers/1', content => { name => 'B' }, headers => { 'If-Match' => $made->{headers}{etag} })->{status}, 200, "$name: ... changed");
    my $ordered = $portal->post('/api/oidc_servers/1/batch_job', { sourcePayer => { oidcToken => 't', patientId => 'm' }, targetPayer => { patientId => 't', organizationId => 'o' } });
    is($ordered->{status}, 202, "$name: a job is ordered") or diag $ordered->{content};
    ok($httpd->wait_for(sub { ($portal->get('/api/oidc_servers/1/batch_job/1')->{json}{batchStatus} // '') ne 'STARTING' }, 60), "$name: ... and taken up by the runner");
    like($portal->request('DELETE', '/api/oidc_servers/1/batch_job/1')->{status}, qr/^(?:20[02]|409)$/, "$name: ... and stopped");
    is($admin->request('DELETE', '/admin/oidc_servers/1', headers => { 'If-Match' => '*' })->{status} =~ /^20[0-9]$/ ? 1 : 0, 1, "$name: the definition is removed");
    $httpd->stop;
    return;
}

my $postgres = P2P::Postgres->new->start;
my $params = $postgres->params;
work('few rights', { name => 'PostgreSQL', driver => 'pgsql', params => $params, server => $postgres },
    { name => 'PostgreSQL', driver => 'pgsql', params => $params =~ s/\buser=\w+/user=p2p_serving/r, server => $postgres });
cmp_ok($postgres->psql('SELECT count(*) FROM p2p_audit'), '>=', 3, 'few rights: the audit has its rows');
for my $denied ('UPDATE p2p_audit SET status = 200', 'DELETE FROM p2p_schema', 'DROP TABLE p2p_job', 'CREATE TABLE x (i INT)', 'ALTER TABLE p2p_job ADD x INT', 'TRUNCATE p2p_audit') {
    eval { $postgres->psql("SET ROLE p2p_serving; $denied") };
    like($@, qr/permission denied|must be owner/, "few rights: no $denied");
}

my $set = join ',', '-all', map { '+' . lc(s/^CAP_//r) } split ' ', $capabilities;
work('few capabilities', undef, P2P::Databases::sqlite(), 'setpriv', '--no-new-privs', ($> == 0 ? ('--bounding-set', $set) : ()));
done_testing;
