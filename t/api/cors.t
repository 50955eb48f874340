#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# P2PCorsOrigins: pages of these origins, and of no others, may ask beforehand without credentials and read every answer; never with credentials
# that the browser adds.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Jwt qw(new_key jwk_set sign);
use Test::More;

my @DEFINITIONS = ({ name => 'A', issuer => 'https://a.example', clientId => 'c', fhirEndpoint => 'https://a.example/fhir', responseType => 'code' });
my $SERVER = '/api/oidc_servers/1';
my $ORIGIN = 'https://portal.example';
my $EXPOSED = 'ETag, Location, Retry-After, WWW-Authenticate';

sub start_httpd {
    my (%opt) = @_;
    my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => { portal => 'pass' }, modules => ['authz_host'], %opt);
    $httpd->expect_log(qr/AH01617|AH01618|AH01630|AH01631|AH10244/);
    return $httpd->prepare(\@DEFINITIONS)->start;
}

sub cors_of { my ($answer) = @_; return { map { $_ => $answer->{headers}{$_} } grep { /^access-control-/ } keys %{ $answer->{headers} } } }

sub varies { my ($answer) = @_; return scalar grep { $_ eq 'Origin' } split /,\s*/, $answer->{headers}{vary} // '' }

# What a page of a listed origin may read.
sub readable {
    my ($answer, $status, $name, $origin) = @_;
    is($answer->{status}, $status, "$name: $status") or diag $answer->{content};
    is_deeply(cors_of($answer), { 'access-control-allow-origin' => $origin // $ORIGIN, 'access-control-expose-headers' => $EXPOSED }, '... may be read by the page');
    is(varies($answer), 1, '... and varies with Origin, said once');
    return;
}

sub unreadable {
    my ($answer, $status, $name) = @_;
    is($answer->{status}, $status, "$name: $status") or diag $answer->{content};
    is_deeply(cors_of($answer), {}, '... without a word to the page');
    is(varies($answer), 1, '... and varies with Origin');
    return;
}

sub test_answers {
    my ($api, $nobody) = @_;
    my @origin = (Origin => $ORIGIN);
    my $good = $api->get($SERVER, @origin);
    readable($good, 200, 'a definition');
    readable($api->request('HEAD', $SERVER, headers => {@origin}), 200, 'HEAD');
    readable($api->get($SERVER, @origin, 'If-None-Match' => $good->{headers}{etag}), 304, 'nothing new');
    readable($api->get($SERVER, @origin, 'If-Match' => '"x"'), 412, 'If-Match that fails');
    readable($api->get('/health', @origin), 200, 'health');
    readable($nobody->get($SERVER, @origin), 401, 'no credentials');
    readable($api->get('/closed', @origin), 403, 'credentials that do not open it');
    readable($api->get('/nowhere', @origin), 404, 'no such path');
    readable($api->get('/api/oidc_servers/7', @origin), 404, 'no such definition');
    readable($api->request('PUT', $SERVER, headers => {@origin}), 405, 'no such method');
    readable($api->get('/%2e%2e/x', @origin), 400, "httpd's own 400");
    readable($api->request('OPTIONS', $SERVER, headers => {@origin}), 204, 'OPTIONS that is no preflight');
    readable($api->get($SERVER, Origin => 'http://127.0.0.1:7777'), 200, 'another listed origin', 'http://127.0.0.1:7777');
    return;
}

sub test_others {
    my ($api, $nobody) = @_;
    unreadable($api->get($SERVER), 200, 'no origin');
    unreadable($api->get($SERVER, Origin => $_), 200, "origin $_")
        for 'null', '*', 'https://evil.example', 'http://portal.example', 'https://portal.example.evil', 'https://portal.example:8443', 'https://sub.portal.example',
        'https://portal.exampl', "$ORIGIN, $ORIGIN", "$ORIGIN/";
    unreadable($nobody->get($SERVER, Origin => 'https://evil.example'), 401, 'another origin without credentials');
    return;
}

sub preflight {
    my ($api, $path, %headers) = @_;
    return $api->request('OPTIONS', $path, headers => { Origin => $ORIGIN, 'Access-Control-Request-Method' => 'POST', %headers });
}

sub test_preflights {
    my ($nobody) = @_;
    my %methods = ($SERVER => 'GET, HEAD', "$SERVER/batch_job" => 'GET, HEAD, POST', "$SERVER/batch_job/1" => 'GET, HEAD, DELETE', '/health' => 'GET, HEAD');
    for my $path (sort keys %methods) {
        my $answer = preflight($nobody, $path);
        is_deeply([$answer->{status}, $answer->{content}], [204, ''], "preflight of $path without credentials: 204");
        my $allowed = { %{ cors_of($answer) } };
        like(delete $allowed->{'access-control-allow-methods'}, qr/^$methods{$path}(?:, (?:PUT|PATCH|DELETE))*, OPTIONS$/, '... with its methods');
        is_deeply($allowed, {
            'access-control-allow-origin'   => $ORIGIN,
            'access-control-expose-headers' => $EXPOSED,
            'access-control-allow-headers'  => 'Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key',
            'access-control-max-age'        => 600,
        }, '... and headers, no credentials among them');
        is(varies($answer), 1, '... varies with Origin');
    }
    readable(preflight($nobody, '/nowhere'), 404, 'preflight of no path');
    my $answer = preflight($nobody, $SERVER, Origin => 'https://evil.example');
    unreadable($answer, 403, 'preflight of another origin');
    is($answer->{json}{code}, 'cross-origin', '... says why');
    return;
}

# What is no preflight needs credentials as ever, and so does a preflight of what is not ours.
sub test_closed {
    my ($nobody) = @_;
    my %ask = (Origin => $ORIGIN, 'Access-Control-Request-Method' => 'POST');
    is($nobody->request($_, $SERVER, headers => {%ask})->{status}, 401, "$_ dressed up as one: 401") for qw(GET HEAD POST PUT DELETE PATCH);
    is($nobody->request('OPTIONS', $SERVER, headers => { Origin => $ORIGIN })->{status}, 401, 'no method asked for: 401');
    is($nobody->request('OPTIONS', $SERVER, headers => { 'Access-Control-Request-Method' => 'GET' })->{status}, 401, 'no origin: 401');
    is(preflight(bless({ %$nobody, unchecked => 1 }, ref $nobody), '/other')->{status}, 401, 'a path that is not ours: 401');
    is(preflight($nobody, '/elsewhere/x')->{status}, 403, 'an address that may not at all: 403');
    return;
}

sub test_off {
    my $httpd = start_httpd();
    my ($api, $nobody) = (P2P::Api->new($httpd->url, 'portal', 'pass'), P2P::Api->new($httpd->url));
    my $answer = $api->get($SERVER, Origin => $ORIGIN);
    is_deeply([$answer->{status}, cors_of($answer), $answer->{headers}{vary}], [200, {}, undef], 'without P2PCorsOrigins: no word of CORS');
    is(preflight($nobody, $SERVER)->{status}, 401, '... and a preflight is any OPTIONS');
    is_deeply([preflight($api, $SERVER)->{status}, cors_of(preflight($api, $SERVER))], [204, {}], '... with credentials as without Origin');
    $httpd->stop;
    return;
}

# What a page of a listed origin does with a token of its own: nothing stands in its way, and what it is refused it may read.
sub test_bearer {
    my $key = new_key('ES256', 'key');
    my $keys = File::Temp->new(SUFFIX => '.json');
    print {$keys} jwk_set($key);
    close $keys;
    my $httpd = start_httpd(users => undef, directives => { P2PCorsOrigins => $ORIGIN }, main => ["P2PTrustIssuer https://login.example keys=$keys audience=us portal=p2p"],
        vhost => ['<Location "/api">', 'AuthType Bearer', 'AuthName p2p', 'Require p2p-role portal', 'AuthzSendForbiddenOnFailure On', '</Location>']);
    my $api = P2P::Api->new($httpd->url);
    my $token = sub { sign($key, { iss => 'https://login.example', aud => 'us', client_id => 'page', scope => $_[0], exp => time + 3600 }) };
    is(preflight($api, "$SERVER/batch_job")->{status}, 204, 'bearer tokens: a preflight needs none');
    my %headers = (Origin => $ORIGIN, Authorization => 'Bearer ' . $token->('p2p'));
    readable($api->get($SERVER, %headers), 200, 'reading');
    readable($api->post("$SERVER/batch_job", {}, %headers), 422, 'an order');
    readable($api->post("$SERVER/batch_job", {}, %headers, Authorization => 'Bearer ' . $token->('none')), 403, 'a token without the scope');
    my $refused = $api->post("$SERVER/batch_job", {}, %headers, Authorization => 'Bearer x');
    readable($refused, 401, 'no good token');
    like($refused->{headers}{'www-authenticate'}, qr/^Bearer .*invalid_token/, '... and what to do, which is exposed');
    $httpd->expect_log(qr/the caller's token is refused/);
    $httpd->stop;
    return;
}

my $httpd = start_httpd(directives => { P2PCorsOrigins => 'https://Portal.example:443/ http://127.0.0.1:7777' }, vhost => [
    '<Location /closed>', 'Require user nobody-at-all', '</Location>', '<Location /other>', 'SetHandler none', '</Location>',
    '<Location /elsewhere>', 'Require ip 203.0.113.1', '</Location>' ]);
my ($api, $nobody) = (P2P::Api->new($httpd->url, 'portal', 'pass'), P2P::Api->new($httpd->url));
test_answers($api, $nobody);
test_others($api, $nobody);
test_preflights($nobody);
test_closed($nobody);
$httpd->stop;
test_off();
test_bearer();
done_testing();
