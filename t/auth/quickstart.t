#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The httpd of ./quickstart takes passwords from people and access tokens from the sandbox's portal page, and neither opens what the other may not:
# its <Location> parts, with tokens that the sandbox signs and whose keys a runner fetches.
use strict;
use warnings;
use File::Temp;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny;
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Sandbox;
use P2P::Source;
use Test::More;

my %USERS = (portal => 'a portal', admin => 'an administrator');
my $dir = File::Temp::tempdir(CLEANUP => 1);
my $sandbox = P2P::Sandbox->start(payers => [{ name => 'target', directives => ["SandboxPortal /portal $dir", 'SandboxMember member-1', 'SandboxApi audience'] },
    { name => 'other', directives => ["SandboxPortal /portal $dir", 'SandboxMember member-1', 'SandboxApi audience'] }]);
$sandbox->load('target', qq({"resourceType":"Patient","id":"member-$_"}\n)) for 1, 2;
my $issuer = $sandbox->origin('target');

my @parts = map { s/^\s+//r } grep { /^\s*<Location/ .. /^\s*<\/Location/ } lines_of('conf/quickstart-httpd.conf.in');
like("@parts", qr/<If .*AuthType Bearer/, 'the parts are there');
my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => \%USERS, target => $sandbox->url('target'),
    directives => { P2PRunners => 1, P2PTrustIssuer => "$issuer audience=audience portal=p2p.portal", P2PCorsOrigins => $issuer });
$_ = s/\@STATE\@/$httpd->{dir}/gr for @parts;
$httpd->{vhost} = \@parts;
$httpd->write_config;
$httpd->expect_log(qr/AH01614|AH01617|AH01618|AH01631/);
$httpd->prepare([{ name => 'A', issuer => 'http://127.0.0.1:9/issuer', fhirEndpoint => 'http://127.0.0.1:9/fhir', tokenEndpoint => 'http://127.0.0.1:9/token',
    clientId => 'x' }])->start;

sub token_of { my ($name) = @_; return decode_json(HTTP::Tiny->new->post($sandbox->origin($name) . '/portal/session')->{content})->{token} }
my $token = token_of('target');
my $nobody = P2P::Api->new($httpd->url);
my %as = (map({ $_ => P2P::Api->new($httpd->url, $_, $USERS{$_}) } keys %USERS), map({ $_->[0] => P2P::Api->new($httpd->url) } ['page'], ['small'], ['stranger']));
$as{$_->[0]}{authorization} = $_->[1] for ['page', "Bearer $token"], ['small', "bearer $token"], ['stranger', 'Bearer ' . token_of('other')];
ok($httpd->wait_for(sub { $as{page}->get('/api/oidc_servers')->{status} == 200 }), 'the page is let in, as soon as the keys have been fetched');

sub is_status {
    my ($status, $who, $path, $what) = @_;
    my $answer = ($who ? $as{$who} : $nobody)->get($path);
    is($answer->{status}, $status, $what);
    return $answer->{headers}{'www-authenticate'} // '';
}
is_status(200, 'small', '/api/oidc_servers', 'the scheme in lower case');
like(is_status(401, 'page', '/admin/oidc_servers', 'the page does not get at /admin'), qr/^Basic /, '... which asks for a password');
like(is_status(401, 'page', '/admin', '... nor at what is not there'), qr/^Basic /, '... without one');
is_status(401, 'page', '//admin/oidc_servers', '... by another spelling');
is_status(401, 'page', '/api/../admin/oidc_servers', '... or by a detour');
is($as{page}->post('/hooks/task', '{}')->{status}, $nobody->post('/hooks/task', '{}')->{status}, 'its token is no secret of the hook');
is_status(200, 'page', '/health', 'health is open to it as to all');
like(is_status(401, 'stranger', '/api/oidc_servers', 'a token of another issuer'), qr/^Bearer .*invalid_token/, '... is refused as a token');
like(is_status(401, undef, '/api/oidc_servers', 'nobody'), qr/^Basic /, '... is asked for a password');
is_status(200, 'portal', '/api/oidc_servers', 'a portal with its password');
is_status(403, 'portal', '/admin/oidc_servers', '... does not get at /admin');
is_status(200, 'admin', "/$_/oidc_servers", "an administrator: /$_") for qw(api admin);

my %order = (sourcePayer => { oidcToken => 'a', patientId => 'p' }, targetPayer => { patientId => 'member-2', organizationId => 't' });
my $answer = $as{page}->post('/api/oidc_servers/1/batch_job', \%order);
is("$answer->{status} $answer->{json}{code}", '403 other-patient', 'the page orders for no other member');
$order{targetPayer}{patientId} = 'member-1';
$answer = $as{page}->post('/api/oidc_servers/1/batch_job', \%order, Origin => $issuer);
is($answer->{status}, 202, '... but for its own');
is($answer->{headers}{'access-control-allow-origin'}, $issuer, '... and may read the answer');
my $job = $answer->{headers}{location};
is($as{page}->get($job)->{status}, 200, 'it sees its job');
is($as{portal}->get($job)->{status}, 404, 'another client does not');
is($as{portal}->post('/api/oidc_servers/1/batch_job', \%order, Origin => $issuer)->{json}{code}, 'cross-origin', 'a password does not work from the page\'s origin');

sub preflight {
    my ($origin) = @_;
    my $got = $nobody->request('OPTIONS', '/api/oidc_servers/1/batch_job', headers => { Origin => $origin, 'Access-Control-Request-Method' => 'POST',
        'Access-Control-Request-Headers' => 'authorization,content-type,idempotency-key' });
    return join ' ', $got->{status}, $got->{headers}{'access-control-allow-origin'} // '-';
}
is(preflight($issuer), "204 $issuer", 'a preflight of the page');
like(preflight('https://else.example'), qr/ -$/, '... and of another');
$httpd->stop;
done_testing;
