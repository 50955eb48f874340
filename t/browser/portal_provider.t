#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The member portal with a source payer that is not the sandbox: a real OpenID provider of another origin, found through the definition alone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Browser;
use P2P::Databases;
use P2P::Httpd;
use P2P::Oidc;
use P2P::Portal;
use P2P::Sandbox;
use Test::More;

my $dir = tempdir('p2p-provider-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $certificate = P2P::Sandbox::make_cert($dir);
my $sandbox = P2P::Sandbox->start(payers => [P2P::Portal::payer('target', 'member-1'), { name => 'source' }]);
$sandbox->load('target', qq({"resourceType":"Patient","id":"member-1","name":[{"given":["Evelyn"]}]}\n));
$sandbox->load('source', qq({"resourceType":"Patient","id":"evelyn"}\n)
    . qq({"resourceType":"Immunization","id":"i","patient":{"reference":"Patient/evelyn"},"vaccineCode":{"text":"Influenza"},"occurrenceDateTime":"2020-10-01"}\n));
my $portal   = $sandbox->origin('target');
my $provider = P2P::Oidc->start(dir => $dir, certificate => $certificate, program => 'people.js', clients => [{ client_id => 'portal', redirect_uris => ["$portal/portal/"],
    grant_types => ['authorization_code', 'refresh_token'] }]);
$provider->tell('tokens', with => { memberId => 'evelyn' });

my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => { admin => 'x' }, target => $sandbox->url('target'),
    P2P::Portal::options($portal, directives => { P2PRunners => 1, P2PCAFile => $certificate->{cert} }));
$httpd->prepare([{ name => 'Real Provider', issuer => $provider->origin, clientId => 'portal', scopes => 'openid offline_access', customTokenParams => 'memberId',
    authWellKnown => $provider->origin . '/.well-known/openid-configuration', fhirEndpoint => $sandbox->url('source'), responseType => 'code' }])->start;
P2P::Portal::connect_to($sandbox, 'target', $httpd);

P2P::Browser::run('portal_provider.js', { url => "$portal/portal/", origins => [$provider->origin, $httpd->url] }, answers => {
    answer => sub { return $provider->tell('answer', with => $_[0]) },
    events => sub { return $provider->tell('events') },
});
$httpd->stop;
$provider->stop;
done_testing;
