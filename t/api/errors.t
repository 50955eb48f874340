#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What is refused before a handler looks at it, and that every error is problem+json: ours and httpd's own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use Test::More;

my @DEFINITIONS = ({ name => 'A', issuer => 'https://a.example', clientId => 'c', fhirEndpoint => 'https://a.example/fhir', responseType => 'code' });
my $JOBS = '/api/oidc_servers/1/batch_job';

sub problem {
    my ($answer, $status, $code, $name) = @_;
    is($answer->{status}, $status, "$name: $status") or diag $answer->{content};
    is($answer->{headers}{'content-type'}, 'application/problem+json', '... as problem+json');
    is($answer->{headers}{'cache-control'}, 'no-store', '... not to be stored');
    my $json = $answer->{json} // {};
    is_deeply([@$json{qw(type status code)}], ['about:blank', $status, $code], '... says what it is');
    like($json->{title}, qr/^[A-Z][A-Za-z ]+$/, '... with a title');
    like($json->{detail}, qr/\.$/, '... and a sentence');
    return $json;
}

sub test_paths {
    my ($api) = @_;
    my @paths = ('/index.html', '/swagger', '/swagger/nowhere.js', '/console/nowhere.js', '/console/../index.html', '/api', '/api/', '/api/oidc_servers/', '/api/oidc_servers/0', '/api/oidc_servers/01', '/api/oidc_servers/-1',
        '/api/oidc_servers/+1', '/api/oidc_servers/1.0', '/api/oidc_servers/x', '/api/oidc_servers/1/', '/api/oidc_servers/1x',
        '/api/oidc_servers/99999999999999999999999', '/api/oidc_servers/1/batch_job/', '/api/oidc_servers/1/batch_job/x',
        '/api/oidc_servers/1/batch_job/1/', '/api/oidc_servers/1/batch_job/1/reports', '/api/oidc_servers/1%2Fbatch_job/1', '/API/oidc_servers',
        '/health/', '/api/oidc_servers.json', '/' . 'x' x 4000, '/%ff%fe', '/etc/passwd');
    is($api->get($_)->{status}, 404, substr("no path $_", 0, 60)) for @paths;
    problem($api->get('/nowhere'), 404, 'not-found', 'an unknown path');
    problem($api->get('/%2e%2e/etc/passwd'), 400, 'bad-request', 'a path above the root');
    is($api->get('/api//oidc_servers')->{status}, 200, 'double slashes are one, as everywhere in httpd');
    is($api->get('/%61pi/oidc_servers')->{status}, 200, 'escapes are decoded');
    return;
}

sub test_methods {
    my ($api) = @_;
    my %allowed = ('/api/oidc_servers' => 'GET, HEAD, OPTIONS', '/api/oidc_servers/1' => 'GET, HEAD, OPTIONS', $JOBS => 'GET, HEAD, POST, OPTIONS',
        "$JOBS/1" => 'GET, HEAD, DELETE, OPTIONS', "$JOBS/1/restart" => 'POST, OPTIONS', '/health' => 'GET, HEAD, OPTIONS');
    for my $path (sort keys %allowed) {
        for my $method (grep { $allowed{$path} !~ /\b$_\b/ } qw(GET POST PUT DELETE PATCH TRACE PROPFIND BREW)) {
            my $answer = $api->request($method, $path);
            problem($answer, 405, 'method-not-allowed', "$method $path");
            is($answer->{headers}{allow}, $allowed{$path}, '... with Allow');
        }
        my $options = $api->request('OPTIONS', $path);
        is_deeply([$options->{status}, $options->{headers}{allow}, $options->{content}], [204, $allowed{$path}, ''], "OPTIONS $path");
    }
    return;
}

sub test_bodies {
    my ($api) = @_;
    my $post = sub { $api->post($JOBS, $_[0], 'Content-Type' => $_[1] // 'application/json') };
    problem($post->('{}', $_), 415, 'unsupported-media-type', "type $_")
        for 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', 'application/+json', 'text/json', ' ';
    is($post->('{}', $_)->{status}, 422, "type $_ is taken") for 'application/problem+json', 'APPLICATION/JSON;charset=UTF-8';
    my %broken = ('nothing' => '', 'white space' => ' ', 'a cut object' => '{"sourcePayer":', 'a trailing comma' => '{"a":1,}', 'two values' => '{}{}',
        'a comment' => '{/**/}', 'single quotes' => "{'a':1}", 'NaN' => '{"a":NaN}', 'bad UTF-8' => "{\"a\":\"\xff\"}", 'a NUL' => "{\"a\":\"\0\"}",
        'deep nesting' => '[' x 400 . ']' x 400, 'a raw line break' => "{\"a\":\"\n\"}", 'a name twice' => '{"a":1,"a":2}',
        'a lone surrogate' => '{"a":"\ud800"}', 'a huge number' => '{"a":123456789012345678901234567890}');
    for my $name (sort keys %broken) {
        my $answer = $post->($broken{$name});
        is($answer->{status}, 400, "$name: 400") or diag $answer->{content};
        like($answer->{json}{code} // '', qr/^(?:not-json|json-cut-short)$/, '... as JSON that cannot be taken');
    }
    like($post->('{"a":1,}')->{json}{detail}, qr/byte 7/, 'the offset is told');
    problem($post->($_), 422, 'not-an-object', "a body of $_") for '[]', '7', '"text"', 'null', 'true';
    my $half = '{"pad":"' . 'x' x 1500 . '"}';
    problem($post->($half), 413, 'body-too-large', 'a body over P2PBodyLimit');
    my @pieces = ('{"pad":"', ('x' x 500) x 4, '"}');
    problem($api->post($JOBS, sub { shift @pieces }, 'Content-Type' => 'application/json'), 413, 'body-too-large', 'a chunked body over it');
    return;
}

sub test_raw {
    my ($api, $port) = @_;
    my $begin = "POST $JOBS HTTP/1.1\r\nHost: x\r\nAuthorization: $api->{authorization}\r\nContent-Type: application/json\r\nConnection: close\r\n";
    my %raw = (
        'no Host'                => ["GET /health HTTP/1.1\r\n\r\n", 400],
        'no HTTP'                => ["\x16\x03\x01\x00\r\n\r\n", 400],
        'a long request line'    => ['GET /' . 'x' x 9000 . " HTTP/1.1\r\nHost: x\r\n\r\n", 414],
        'a long header'          => ["GET /health HTTP/1.1\r\nHost: x\r\nX: " . 'x' x 9000 . "\r\n\r\n", 400],
        'many headers'           => ["GET /health HTTP/1.1\r\nHost: x\r\n" . "X: y\r\n" x 200 . "\r\n", 400],
        'a NUL in the path'      => ["GET /health%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404],
        'a bad Content-Length'   => ["${begin}Content-Length: 1x\r\n\r\n{}", 400],
        'length and chunked'     => ["${begin}Content-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\n{}", qr/400|501/],
        'a bad chunk'            => ["${begin}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400],
        'a length over the limit' => ["${begin}Content-Length: 99999999999\r\n\r\n", 413],
    );
    for my $name (sort keys %raw) {
        my ($bytes, $status) = @{ $raw{$name} };
        my $answer = $api->raw($bytes);
        like($answer, qr/^HTTP\/1\.\d $status /, "$name: $status");
        like($answer, qr/^content-type: application\/problem\+json\r$/im, '... as problem+json');
        my ($body) = $answer =~ /\r\n\r\n(.*)/s;
        ok(eval { decode_json($body)->{status} }, '... that can be read') or diag $answer;
    }
    my $head = $api->raw("HEAD /nowhere HTTP/1.1\r\nHost: x\r\nAuthorization: $api->{authorization}\r\n\r\n"
            . "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    like($head, qr/^HTTP\/1\.1 404 .*Content-Length: \d+.*\r\n\r\nHTTP\/1\.1 200 .*\{"status":"ok"\}$/s,
        'HEAD of an error has no body, and the connection stays');
    return;
}

# A client that goes away in the middle of its body must not keep anything busy.
sub test_cut {
    my ($api, $httpd) = @_;
    for (1 .. 40) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->port);
        print {$socket} "POST $JOBS HTTP/1.1\r\nHost: x\r\nAuthorization: $api->{authorization}\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"a\":";
        close $socket;
    }
    is($api->get('/api/oidc_servers')->{status}, 200, 'after forty bodies cut short it answers on');
    return;
}

sub test_authorization {
    my ($httpd) = @_;
    my $nobody = P2P::Api->new($httpd->url);
    my $answer = $nobody->get('/api/oidc_servers');
    problem($answer, 401, 'unauthorized', 'no credentials');
    like($answer->{headers}{'www-authenticate'}, qr/^Basic realm=/, '... and how to authenticate');
    problem($nobody->post($JOBS, {}), 401, 'unauthorized', 'a POST without credentials');
    problem($nobody->get('/nowhere'), 401, 'unauthorized', 'an unknown path without credentials');
    problem(P2P::Api->new($httpd->url, 'portal', 'wrong')->get('/api/oidc_servers'), 401, 'unauthorized', 'a wrong password');
    problem(P2P::Api->new($httpd->url, 'portal', 'pass')->get('/closed'), 403, 'forbidden', 'a valid user who may not');
    is($nobody->get('/health')->{status}, 200, 'health is open');
    return;
}

each_database('errors' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => { portal => 'pass' }, directives => { P2PBodyLimit => '1K' },
        vhost => ['<Location /closed>', 'Require user nobody-at-all', '</Location>']);
    $httpd->expect_log(qr/AH01617|AH01618|AH01631|AH00128|AH00126|AH10244|AH02429|AH00036/);
    $httpd->prepare(\@DEFINITIONS)->start;
    my $api = P2P::Api->new($httpd->url, 'portal', 'pass');
    test_paths($api);
    test_methods($api);
    test_bodies($api);
    test_raw($api, $httpd->port);
    test_cut($api, $httpd);
    test_authorization($httpd);
    $httpd->stop;
});
done_testing();
