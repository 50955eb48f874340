#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# AuthType Bearer with a real OpenID provider, over https: access tokens in every algorithm that we take, by the keys that it publishes, and opaque ones by
# its own word; what is for another audience, or has another scope, gets nowhere.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Jwt qw(ALGORITHMS);
use P2P::Oidc;
use P2P::TlsApi;
use Test::More;

my $dir = tempdir('p2p-oidc-bearer-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
P2P::Httpd::make_certificate("$dir/tls");
my $ca = "$dir/tls.pem";
chmod 0644, $ca;
my %program  = (client_secret => 'THE-SECRET', token_endpoint_auth_method => 'client_secret_basic', grant_types => ['client_credentials'], redirect_uris => [], response_types => []);
my $provider = P2P::Oidc->start(dir => $dir, program => 'issuer.js', certificate => { cert => $ca, key => "$dir/tls.key" },
    clients => [map { { %program, client_id => $_ } } 'portal', 'us']);
my $origin   = $provider->origin;
my $client   = P2P::Httpd::write_file("$dir/client.json", '{"clientId":"us","clientSecret":"THE-SECRET"}', 0600);

sub token {
    my ($kind, %ask) = @_;
    my $resource = 'urn:' . ($ask{audience} // 'p2p') . ":$kind";
    my $answer = P2P::TlsApi->new($origin, $ca)->with_password('portal', 'THE-SECRET')->request('POST', '/token', unchecked => 1,
        content => "grant_type=client_credentials&resource=$resource&scope=" . ($ask{scope} // 'p2p.portal'), headers => { 'Content-Type' => 'application/x-www-form-urlencoded' });
    return $answer->{json}{access_token} // die "no token: $answer->{content}\n" . P2P::Httpd::read_file("$dir/provider.log");
}

sub start {
    my ($way, $definitions) = @_;
    my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), directives => { P2PRunners => 1, P2PCAFile => $ca },
        main => ["P2PTrustIssuer $way audience=p2p portal=p2p.portal administration=p2p.admin"],
        vhost => ['<Location "/">', 'AuthType Bearer', 'AuthName p2p', 'Require p2p-role portal', 'AuthzSendForbiddenOnFailure On', '</Location>']);
    $httpd->expect_log(qr/AH01631/);
    $httpd->prepare($definitions // [])->start;
    $httpd->{api} = P2P::Api->new($httpd->url);
    return $httpd;
}

sub get { my ($httpd, $token, $path) = @_; return $httpd->{api}->get($path // '/api/oidc_servers', Authorization => "Bearer $token") }

sub is_status { my ($httpd, $token, $status, $name, $path) = @_; my $answer = get($httpd, $token, $path); is($answer->{status}, $status, "$name: $status") or diag explain($answer); return }

# What the provider says is there once a runner has fetched it.
sub first {
    my ($httpd, $token, $name) = @_;
    my $answer = $httpd->wait_for(sub { my $answer = get($httpd, $token); $answer->{status} != 503 && $answer }, 60);
    is($answer->{status}, 200, $name) or diag explain($answer), $httpd->log_text;
    return;
}

sub ok_rules {
    my ($httpd, $kind, $name) = @_;
    is_status($httpd, token($kind, audience => 'other'), 401, "$name for another audience");
    is_status($httpd, token($kind, scope => 'other'), 403, "$name with another scope");
    is_status($httpd, token($kind), 403, "$name of a portal at the administrators' door", '/admin/oidc_servers');
    is_status($httpd, token($kind, scope => 'p2p.admin'), 200, "$name of an administrator there", '/admin/oidc_servers');
    return;
}

sub test_published {
    my $httpd = start("$origin/");
    first($httpd, token('RS256'), 'a token by a published key');
    is_status($httpd, token($_), 200, $_) for ALGORITHMS;
    ok_rules($httpd, 'ES256', 'a signed token');
    is_status($httpd, token('opaque'), 401, 'an opaque one');
    my ($head, $body, $signature) = split /\./, token('PS256');
    is_status($httpd, join('.', $head, (split /\./, token('PS256', scope => 'p2p.admin'))[1], $signature), 401, 'the claims of another');
    $httpd->stop;
    return;
}

sub test_opaque {
    my ($name, $way, $definitions) = @_;
    my $httpd = start($way, $definitions);
    first($httpd, token('opaque'), "$name: an opaque token");
    ok_rules($httpd, 'opaque', "$name: an opaque token");
    is_status($httpd, 'x' x 43, 401, "$name: one that was made up");
    $httpd->stop;
    return;
}

my %definition = (name => 'P', issuer => $origin, fhirEndpoint => "$origin/fhir", clientId => 'us', responseType => 'code');
test_published();
test_opaque('introspection', "$origin introspection client=$client");
test_opaque('a definition with a secret', "definition $origin", [{ %definition, clientSecret => 'THE-SECRET' }]);
my $httpd = start("definition $origin", [\%definition]);
first($httpd, token('ES384'), 'a definition without: by the keys that it publishes');
$httpd->stop;
$provider->stop;
done_testing;
