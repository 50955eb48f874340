#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The sandbox's member portal in a browser: from choosing a payer to the record that arrived, with a payer on another origin that has its own ways.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::AddPayer;
use P2P::Browser;
use P2P::Databases;
use P2P::Httpd;
use P2P::Portal;
use P2P::Sandbox;
use Test::More;

my $HOSTILE = '<img src=x onerror=alert(1)>';
my $sandbox = P2P::Sandbox->start(payers => [
    P2P::Portal::payer('target', 'member-1'),
    { name => 'source', directives => ['SandboxBearer On', 'SandboxClient portal-page', 'SandboxRedirect @target@/portal/', 'SandboxOrigins @target@', 'SandboxMember evelyn',
        'SandboxPatientMember memberId', 'SandboxTokenRequire audience=record', 'SandboxPageSize 20', 'SandboxDelay 20'] },
]);
$sandbox->load('target', encode_json({ resourceType => 'Patient', id => 'member-1', name => [{ given => ['Evelyn'], family => "O'Neil $HOSTILE" }],
    telecom => [{ system => 'email', value => 'evelyn@member.example' }] }) . "\n"
    . encode_json({ resourceType => 'Organization', id => 'target-payer', name => 'Target Payer' }) . "\n");
my %member = (subject => { reference => 'Patient/evelyn' });
$sandbox->load('source', join '', map { encode_json($_) . "\n" } { resourceType => 'Patient', id => 'evelyn', name => [{ given => ['Evelyn'], family => $HOSTILE }] },
    { resourceType => 'Patient', id => 'another', name => [{ text => 'Another' }] },
    { resourceType => 'Condition', id => 'c1', %member, code => { text => "Hypertension $HOSTILE" }, onsetDateTime => '1994-11-25' },
    { resourceType => 'MedicationRequest', id => 'm1', status => 'active', intent => 'order', %member, medicationCodeableConcept => { coding => [{ display => 'Acetaminophen' }] } },
    { resourceType => 'Basic', id => 'b1', %member, code => { text => 'Something else' } },
    map({ { resourceType => 'Observation', id => "o$_", status => 'final', %member, code => { text => "Reading $_" }, effectiveDateTime => sprintf '2020-01-%02d', $_ } } 1 .. 30));

my ($portal, $source) = map { $sandbox->origin($_) } qw(target source);
my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => { admin => 'opens it all' }, target => $sandbox->url('target'),
    P2P::Portal::options($portal, directives => { P2PRunners => 1, P2PRetryFor => 300 }));
$httpd->expect_log(qr/token-refused|The source payer|AH01617/);
$httpd->prepare([{ name => "Former Payer $HOSTILE", issuer => $source, clientId => 'portal-page', scopes => 'openid offline_access patient/*.read',
    customTokenParams => 'memberId, audience=record', authWellKnown => "$source/.well-known/openid-configuration", fhirEndpoint => $sandbox->url('source'), responseType => 'code',
    organizationId => 'former' },
    { name => 'Hostile Payer', issuer => 'http://127.0.0.1:9/hostile', authWellKnown => 'http://127.0.0.1:9/openid-configuration', clientId => 'x',
        fhirEndpoint => 'http://127.0.0.1:9/fhir', responseType => 'code' },
    { name => 'Confused Payer', issuer => 'http://127.0.0.1:9/confused', clientId => 'x', fhirEndpoint => 'http://127.0.0.1:9/fhir', responseType => 'code' },
    { name => 'Payer without sign-in', issuer => 'http://127.0.0.1:9', clientId => 'x', fhirEndpoint => 'http://127.0.0.1:9/fhir', responseType => 'none' }])->start;
P2P::Portal::connect_to($sandbox, 'target', $httpd);

sub resources { my ($type) = @_; my $dump = $sandbox->dump('target', type => $type); return [map { decode_json($dump->{$_}{text}) } grep { !$dump->{$_}{deleted} } sort keys %$dump] }

P2P::Browser::run('portal.js', { url => "$portal/portal/", origins => [$source, $httpd->url], hostile => $HOSTILE }, answers => {
    faults => sub { my ($rules) = @_; $sandbox->faults('source', $rules); return 1 },
    set => sub { my ($values) = @_; $sandbox->set('source', %$values); return 1 },
    grants => sub { return $sandbox->grants('source') },
    tasks => sub { return [grep { $_->{code}{coding}[0]{code} eq 'p2p-request-add-provider-id' } @{ resources('Task') }] },
    sample => sub { my ($values) = @_; return decode_json(P2P::AddPayer::sample(%$values)) },
    written => sub { return scalar @{ resources($_[0]) } },
});
$httpd->stop;
done_testing;
