#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The definitions as a portal reads them, byte for byte as in the guide.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use Test::More;

my @DEFINITIONS = (
    {
        name => 'P2P Source Payer A', issuer => 'https://sourcepayerA.com/issuer/', clientId => 'p2pexchangeclientId',
        clientSecret => 'never-shown', scopes => 'openid profile offline_access', customTokenParams => 'memberId',
        authWellKnown => 'https://sourcepayerA.com/.well-known/openid-configuration',
        tokenEndpoint => 'https://sourcepayerA.com/token-endpoint', fhirEndpoint => 'https://sourcepayerA.com/fhir-endpoint',
        responseType => 'code', organizationId => 'ABCD', notes => 'never shown either',
        keyText => '{"keys":[{"kty":"EC","crv":"P-256","x":"YAeTl-zY4qoejhEayycL2kdYzl8np-CCAgI49OCziJY","y":"9E2uwTWP_0UfqDmBsj4exxVvT4T4AWHDA5ByqQq4dF8"}]}',
    },
    { name => "Caf\x{e9} \"B\" /<&>", issuer => 'https://b.example/', clientId => 'b', fhirEndpoint => 'https://b.example/fhir', responseType => 'code' },
);
my $LIST = qq({"servers":[{"pid":1,"name":"P2P Source Payer A"},{"pid":2,"name":"Caf\xc3\xa9 \\"B\\" /<&>"}]});
my $A    = '{"pid":1,"name":"P2P Source Payer A","issuer":"https://sourcepayerA.com/issuer","clientId":"p2pexchangeclientId",'
    . '"scopes":"openid profile offline_access","customTokenParams":"memberId",'
    . '"authWellKnown":"https://sourcepayerA.com/.well-known/openid-configuration",'
    . '"tokenEndpoint":"https://sourcepayerA.com/token-endpoint","fhirEndpoint":"https://sourcepayerA.com/fhir-endpoint",'
    . '"responseType":"code","organizationId":"ABCD"}';

sub ok_headers {
    my ($answer, $name) = @_;
    my $headers = $answer->{headers};
    is($headers->{'content-type'}, 'application/json', "$name: type");
    is($headers->{'cache-control'}, 'no-store', "$name: not to be stored");
    is($headers->{'x-content-type-options'}, 'nosniff', "$name: not to be guessed at");
    like($headers->{etag}, qr/^"[0-9a-f]+"$/, "$name: ETag");
    return;
}

sub conditions {
    my ($api, $path) = @_;
    my $etag = $api->get($path)->{headers}{etag};
    my $same = $api->get($path, 'If-None-Match' => $etag);
    is($same->{status}, 304, "$path: 304 for the ETag that it has");
    is($same->{headers}{etag}, $etag, '... which comes along');
    is($same->{content}, '', '... without a body');
    is($api->get($path, 'If-None-Match' => '"other"')->{status}, 200, "$path: 200 for another ETag");
    is($api->get($path, 'If-None-Match' => '*')->{status}, 304, "$path: 304 for *");
    is($api->get($path, 'If-Match' => '"other"')->{status}, 412, "$path: 412 where If-Match does not");
    my $head = $api->request('HEAD', $path);
    is($head->{status}, 200, "HEAD $path");
    is($head->{headers}{etag}, $etag, '... has the same ETag');
    is($head->{content}, '', '... and no body');
    return;
}

each_database('definitions' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db);
    $httpd->run_command('migrate');
    $httpd->start;
    my $api = P2P::Api->new($httpd->url);
    is($api->get('/api/oidc_servers')->{content}, '{"servers":[]}', 'no definitions, an empty list');
    is($api->get('/health')->{content}, '{"status":"ok"}', 'health');
    $httpd->prepare(\@DEFINITIONS);

    my $list = $api->get('/api/oidc_servers');
    is($list->{status}, 200, 'the list');
    is($list->{content}, $LIST, '... as in the guide');
    ok_headers($list, 'list');
    my $one = $api->get('/api/oidc_servers/1');
    is($one->{status}, 200, 'one definition');
    is($one->{content}, $A, '... as in the guide, with its members in the same order, and no secret, key or note');
    ok_headers($one, 'definition');
    my $bare = $api->get('/api/oidc_servers/2')->{json};
    is_deeply([@$bare{qw(scopes authWellKnown tokenEndpoint customTokenParams organizationId)}], [('') x 5], 'blank fields are there');
    conditions($api, $_) for '/api/oidc_servers', '/api/oidc_servers/1';

    my $etag = $one->{headers}{etag};
    $httpd->prepare([{ %{ $DEFINITIONS[0] }, organizationId => '12345' }]);
    my $changed;    # it is kept for a second
    $httpd->wait_for(sub { $changed = $api->get('/api/oidc_servers/1', 'If-None-Match' => $etag); $changed->{status} != 304 });
    is($changed->{status}, 200, 'a changed definition has another ETag');
    is($changed->{json}{organizationId}, '12345', '... and shows the change');
    $httpd->stop;
});

each_database('definitions under a Location' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, prefix => '/p2p');
    $httpd->prepare(\@DEFINITIONS)->start;
    my $api = P2P::Api->new($httpd->url);
    is($api->get('/api/oidc_servers')->{content}, $LIST, 'the routes begin where SetHandler p2p stands');
    is($api->get('/api/oidc_servers/1')->{content}, $A, '... all of them');
    is($api->get('/health')->{status}, 200, '... health too');
    my $outside = P2P::Api->new('http://127.0.0.1:' . $httpd->port)->request('GET', '/api/oidc_servers', unchecked => 1);
    is($outside->{status}, 404, 'nothing elsewhere');
    like($outside->{headers}{'content-type'}, qr{^text/html}, '... where errors are httpd\'s own');
    $httpd->stop;
});
done_testing();
