#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The API page in a browser: at the root, below a path, and with an OpenID provider at which people sign in.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use P2P::Api;
use P2P::Browser;
use P2P::Databases;
use P2P::Httpd;
use P2P::Oidc;
use P2P::TlsApi;
use Test::More;

my $PASSWORD    = 'opens-the-portal';
my @DEFINITIONS = ({ name => 'Payer A', issuer => 'https://a.example', clientId => 'c', fhirEndpoint => 'https://a.example/fhir', responseType => 'code' });

my $dir = tempdir('p2p-pages-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
P2P::Httpd::make_certificate("$dir/tls");
chmod 0644, "$dir/tls.pem";

my $document   = JSON::PP->new->utf8->decode(P2P::Httpd::read_file(P2P::Httpd::builddir() . '/pages/openapi.json'));
my %paths      = %{ $document->{paths} };
my @operations = sort map { my $path = $_; map { uc($_) . " $path" } grep { /^(?:get|put|post|delete|patch|head|options)$/ } keys %{ $paths{$path} } } keys %paths;

sub httpd {
    my (%opt) = @_;
    my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => { portal => $PASSWORD, admin => 'opens-it-all' }, %opt);
    $httpd->expect_log(qr/AH01617|AH01618/);
    return $httpd->prepare(\@DEFINITIONS)->start;
}

# A client of the provider for each of our origins; the provider's certificate is that of its address.
my $port = P2P::Httpd::free_port();
my $provider = P2P::Oidc->start(dir => $dir, program => 'people.js', certificate => { cert => "$dir/tls.pem", key => "$dir/tls.key" },
    clients => [{ client_id => 'pages', redirect_uris => ["http://127.0.0.1:$port/swagger/oauth2-redirect.html"] }, { client_id => 'program', grant_types => ['client_credentials'],
        redirect_uris => [], response_types => [], token_endpoint_auth_method => 'client_secret_basic', client_secret => 'a secret of many letters' }]);
my $issuer = $provider->origin;
my $bearer = P2P::Httpd->new(db => P2P::Databases::sqlite(), port => $port, directives => { P2PRunners => 1, P2PCAFile => "$dir/tls.pem" },
    main => ["P2PTrustIssuer $issuer audience=p2p portal=p2p.portal administration=p2p.admin", "P2PSignIn $issuer pages openid p2p.portal"],
    vhost => ['<Location "/">', 'AuthType Bearer', 'AuthName p2p', 'Require p2p-role portal', '</Location>',
        '<LocationMatch "^/(openapi\.json|swagger/.*|console(/.*)?)?$">', 'AuthType None', 'Require all granted', '</LocationMatch>']);
$bearer->prepare(\@DEFINITIONS)->start;
ok($bearer->wait_for(sub { P2P::Api->new($bearer->url)->get('/console/sign-in.json')->{json}{signIn} }, 60), 'the pages learn where people sign in');
my $answer = P2P::TlsApi->new($issuer, "$dir/tls.pem")->request('POST', '/token', unchecked => 1, content => 'grant_type=client_credentials&scope=p2p.portal',
    headers => { 'Content-Type' => 'application/x-www-form-urlencoded', Authorization => 'Basic ' . encode_base64('program:a%20secret%20of%20many%20letters', '') });
ok($answer->{json}{access_token}, 'a token for a program') or diag explain $answer;
$provider->tell('events');

my @httpds = (httpd(), httpd(prefix => '/p2p'));
my %settings = (url => $httpds[0]->url . '/', password => $PASSWORD, operations => \@operations, elsewhere => 'http://127.0.0.2:9',
    places => { 'at the root' => $httpds[0]->url . '/', 'below a path' => $httpds[1]->url . '/' },
    bearer => { url => $bearer->url . '/', token => $answer->{json}{access_token}, provider => $issuer });
P2P::Browser::run('pages.js', \%settings, answers => { events => sub { $provider->tell('events') } });
$_->stop for @httpds, $bearer;
done_testing;
