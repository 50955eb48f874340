#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Pages of other sites, in a browser that knows an administrator's password.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Api;
use P2P::Browser;
use P2P::Databases;
use P2P::Httpd;
use Test::More;

my $db    = P2P::Databases::sqlite();
my $httpd = P2P::Httpd->new(db => $db, users => { admin => 'opens-it-all' });
$httpd->expect_log(qr/AH01617|AH01618/);
$httpd->prepare([{ name => 'Payer A', issuer => 'https://a.example', clientId => 'c', fhirEndpoint => 'https://a.example/fhir', responseType => 'code' }])->start;
my $api = P2P::Api->new($httpd->url, 'admin', 'opens-it-all');
my $job = $api->post('/api/oidc_servers/1/batch_job', { sourcePayer => { oidcToken => 't', patientId => 's' }, targetPayer => { patientId => 'p', organizationId => 'o' } })->{json}{batchJobId};

# Everything that a caller could change.
sub state {
    return join "\n", map { run_sql($db, "SELECT * FROM $_ ORDER BY 1") } qw(p2p_oidc_server p2p_job p2p_outbox);
}

my @targets = ([GET => 'admin/oidc_servers'], [GET => 'api/oidc_servers'], [POST => 'admin/oidc_servers'], [POST => 'admin/oidc_servers/1/test'], [PUT => 'admin/oidc_servers/1'],
    [PATCH => 'admin/oidc_servers/1'], [DELETE => 'admin/oidc_servers/1'], [DELETE => "admin/batch_jobs/$job"], [POST => "admin/batch_jobs/$job/restart"],
    [POST => 'api/oidc_servers/1/batch_job'], [DELETE => "api/oidc_servers/1/batch_job/$job"]);
P2P::Browser::run('cross_site.js', { url => $httpd->url . '/', user => { username => 'admin', password => 'opens-it-all' }, targets => \@targets }, answers => { state => \&state });
$httpd->stop;
done_testing;
