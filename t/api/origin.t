#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Requests that change something, with credentials that a browser sends by itself: only from our own origin, or from no page at all. And the headers
# that tell browsers what not to do with our answers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Api;
use P2P::Curl;
use P2P::Databases;
use P2P::Httpd;
use Test::More;

my @DEFINITIONS = ({ name => 'A', issuer => 'https://a.example', clientId => 'c', fhirEndpoint => 'https://a.example/fhir', responseType => 'code' });
my $SERVER = '/api/oidc_servers/1';
my $JOBS   = "$SERVER/batch_job";
my $LISTED = 'https://portal.example';
my %HEADERS = (
    'cache-control'                => 'no-store',
    'x-content-type-options'       => 'nosniff',
    'x-frame-options'              => 'DENY',
    'content-security-policy'      => "default-src 'none'; frame-ancestors 'none'",
    'referrer-policy'              => 'no-referrer',
    'cross-origin-resource-policy' => 'same-origin',
);

sub start_httpd {
    my (%opt) = @_;
    my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => { portal => 'pass' }, directives => { P2PCorsOrigins => $LISTED }, %opt);
    $httpd->expect_log(qr/AH01617|AH01618|AH10244|AH01906|AH01873/);
    return $httpd->prepare(\@DEFINITIONS)->start;
}

# An empty order: 422 where it is looked at.
sub taken {
    my ($answer, $name) = @_;
    is($answer->{status}, 422, "$name: looked at") or diag $answer->{content};
    return;
}

sub refused {
    my ($answer, $name) = @_;
    is_deeply([$answer->{status}, $answer->{json}{code}], [403, 'cross-origin'], "$name: refused") or diag $answer->{content};
    return;
}

sub test_plain {
    my ($httpd) = @_;
    my ($api, $url) = (P2P::Api->new($httpd->url, 'portal', 'pass'), $httpd->url);
    my $port = $httpd->port;
    taken($api->post($JOBS, {}), 'no origin');
    taken($api->post($JOBS, {}, Origin => $_), "origin $_") for $url, $url =~ s/http/HTTP/r;
    for my $origin ('null', '', '*', 'https://evil.example', $LISTED, "https://127.0.0.1:$port", 'http://127.0.0.1', "http://127.0.0.1:${port}0", "http://127.0.0.1.evil.example:$port",
        "$url/", "$url, $url", "http://evil.example, $url", "http://localhost:$port") {
        refused($api->post($JOBS, {}, Origin => $origin), "origin '$origin'");
    }
    refused($api->request('DELETE', "$JOBS/1", headers => { Origin => 'null' }), 'DELETE');
    is($api->request('DELETE', "$JOBS/1", headers => { Origin => $url })->{json}{code}, 'no-such-job', 'DELETE from our own');
    refused($api->request('POST', "$JOBS/1/restart", headers => { Origin => $LISTED }), 'restart');
    is($api->get($SERVER, Origin => 'https://evil.example')->{status}, 200, 'reading is not changing');
    is($api->request('HEAD', $SERVER, headers => { Origin => 'https://evil.example' })->{status}, 200, '... nor is HEAD');
    is(P2P::Api->new($url)->post($JOBS, {}, Origin => 'https://evil.example')->{status}, 401, 'without credentials 401 comes first');
    return;
}

# A POST whose Host is this (undef: none), and its status.
sub host_status {
    my ($api, $host, $origin) = @_;
    my $version = defined $host ? "1.1\r\nHost: $host" : '1.0';
    my $answer = $api->raw("POST $JOBS HTTP/$version\r\nOrigin: $origin\r\nAuthorization: $api->{authorization}\r\nContent-Type: application/json\r\n"
        . "Content-Length: 2\r\nConnection: close\r\n\r\n{}");
    return $answer =~ m{^HTTP/1\.1 (\d+)} ? $1 : $answer;
}

sub test_hosts {
    my ($httpd) = @_;
    my $api = P2P::Api->new($httpd->url, 'portal', 'pass');
    my $port = $httpd->port;
    is(host_status($api, @$_), 422, "Host $_->[0], origin $_->[1]: our own") for ["localhost:$port", "http://localhost:$port"], ['P2P.example', 'http://p2p.example'],
        ['p2p.example:80', 'http://p2p.example'], ['p2p.example', 'http://p2p.example:80'], ['[::1]:8080', 'http://[::1]:8080'];
    is(host_status($api, @$_), 403, ($_->[0] // 'no') . " Host, origin $_->[1]: not ours") for ['p2p.example', 'https://p2p.example'], ['p2p.example:443', 'http://p2p.example'],
        ['p2p.example', 'http://p2p.example:443'], [undef, 'http://p2p.example'], [undef, 'http://'], ['p2p.example:8080', 'http://p2p.example:80'];
    return;
}

# TLS ends at a proxy, which keeps Host.
sub test_proxied {
    my $httpd = start_httpd(vhost => ["ServerName $LISTED"]);
    my $api = P2P::Api->new($httpd->url, 'portal', 'pass');
    is(host_status($api, 'portal.example', $_), 422, "behind a proxy: $_ is our own") for $LISTED, "$LISTED:443";
    is(host_status($api, 'portal.example', $_), 403, "behind a proxy: $_ is not") for 'http://portal.example', "$LISTED:80", 'https://other.example';
    is($api->get($SERVER)->{headers}{'strict-transport-security'}, 'max-age=31536000', 'behind a proxy: Strict-Transport-Security');
    $httpd->stop;
    return;
}

sub carries {
    my ($answer, $status, $tls) = @_;
    my %expected = (%HEADERS, ($tls ? ('strict-transport-security' => 'max-age=31536000') : ()));
    my %got = map { $_ => $answer->{headers}{$_} } keys %HEADERS, grep { $_ eq 'strict-transport-security' } keys %{ $answer->{headers} };
    is($answer->{status}, $status, "status $status" . ($tls ? ' over TLS' : ''));
    is_deeply(\%got, \%expected, '... carries the headers');
    return;
}

sub test_headers {
    my ($api, $nobody, $tls) = @_;
    carries($api->get('/api/oidc_servers'), 200, $tls);
    carries($nobody->get('/health'), 200, $tls);
    carries($nobody->get('/api/oidc_servers'), 401, $tls);
    carries($api->get('/nowhere'), 404, $tls);
    carries($api->get('/%2e%2e/x'), 400, $tls);
    carries($api->request('DELETE', $SERVER), 405, $tls);
    carries($api->post($JOBS, {}), 422, $tls);
    carries($api->post($JOBS, {}, Origin => 'null'), 403, $tls);
    carries($api->request('OPTIONS', $SERVER), 204, $tls);
    return;
}

my $plain = start_httpd();
test_plain($plain);
test_hosts($plain);
test_headers(P2P::Api->new($plain->url, 'portal', 'pass'), P2P::Api->new($plain->url), 0);
$plain->stop;
test_proxied();

my $tls = start_httpd(tls => 1);
my ($api, $nobody) = (P2P::Api->new($tls->url, 'portal', 'pass'), P2P::Api->new($tls->url));
$_->{http} = P2P::Curl->new(ca => $tls->dir . '/tls.pem') for $api, $nobody;
taken($api->post($JOBS, {}, Origin => $tls->url), 'over TLS: our own');
refused($api->post($JOBS, {}, Origin => $_), "over TLS: $_") for $tls->url =~ s/https/http/r, $LISTED, 'null';
test_headers($api, $nobody, 1);
$tls->stop;
done_testing();
