#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# From the empty list to the record that arrived: an administrator defines a payer in the console, a real OpenID provider with a real HAPI FHIR server, and
# tests it there; a member then has the record fetched from it through the sandbox's portal.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Browser;
use P2P::Databases;
use P2P::Hapi;
use P2P::Httpd;
use P2P::Oidc;
use P2P::Portal;
use P2P::Sandbox;
use Test::More;

local $SIG{INT}  = sub { exit 1 };
local $SIG{TERM} = sub { exit 1 };
my $dir = tempdir('p2p-console-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;

my $hapi = eval {
    P2P::Hapi::build();
    my $server = P2P::Hapi->new(dir => $dir, name => 'source');
    P2P::Hapi::start_all($server);
    $server;
};
if (!$hapi) {
    fail('a HAPI FHIR server runs');
    diag $@;
    done_testing;
    exit 1;
}
my %of = (subject => { reference => 'Patient/evelyn' });
my @record = (
    { resourceType => 'Patient', id => 'evelyn', name => [{ given => ['Evelyn'], family => 'McCullough' }] },
    { resourceType => 'Condition', id => 'c-1', %of, code => { text => 'Hypertension' } },
    map { { resourceType => 'Observation', id => "o-$_", status => 'final', %of, code => { text => "Reading $_" }, valueQuantity => { value => $_ } } } 1 .. 30,
);
$hapi->call('PUT', "$_->{resourceType}/$_->{id}", $_) for @record;

my $certificate = P2P::Sandbox::make_cert($dir);
my $sandbox = P2P::Sandbox->start(payers => [P2P::Portal::payer('target', 'member-1')]);
$sandbox->load('target', qq({"resourceType":"Patient","id":"member-1","name":[{"given":["Evelyn"]}]}\n));
my $portal   = $sandbox->origin('target');
my $provider = P2P::Oidc->start(dir => $dir, certificate => $certificate, program => 'people.js', clients => [{ client_id => 'our-portal', redirect_uris => ["$portal/portal/"],
    grant_types => ['authorization_code', 'refresh_token'] }]);
$provider->tell('tokens', with => { memberId => 'evelyn' });

my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => { admin => 'SECRET-a' }, target => $sandbox->url('target'),
    P2P::Portal::options($portal, directives => { P2PRunners => 1, P2PCAFile => $certificate->{cert} }));
$httpd->prepare->start;
P2P::Portal::connect_to($sandbox, 'target', $httpd);

my %settings = (url => $httpd->url, portal => "$portal/portal/", origins => [$provider->origin, $portal], user => { username => 'admin', password => 'SECRET-a' },
    issuer => $provider->origin, fhir => $hapi->url);
P2P::Browser::run('interop/console.js', \%settings, answers => {
    written => sub { my $dump = $sandbox->dump('target', type => $_[0]); return scalar grep { !$dump->{$_}{deleted} } keys %$dump },
});
$httpd->stop;
$provider->stop;
$hapi->stop;
done_testing;
