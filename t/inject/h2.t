#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Provenance over HTTP/2 and TLS (mod_http2; the client is the program curl): one request and several at a time on one connection, gzip, POST, HEAD, and a
# server behind that dies in the middle.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Inject;
use Test::More;

my $TEXT = '{"resourceType":"Bundle","type":"searchset","entry":[' . join(',', map { entry($_) } 1 .. 2000) . ']}';
sub entry { my ($i) = @_; return qq({"fullUrl":"https://payer.example/fhir/Observation/$i","resource":{"resourceType":"Observation","id":"$i","valueQuantity":{"value":1.50}}}) }

sub answer {
    my ($r) = @_;
    if ($r->{path} =~ /dies/) {
        $r->chunked(200);
        $r->chunk(substr $TEXT, 0, 200_000);
        POSIX::_exit(0);
    }
    return $r->reply(200, $r->{method} eq 'HEAD' ? '' : $TEXT, 'ETag: "3"', 'Content-Length: ' . length $TEXT) if $r->{method} eq 'HEAD';
    return $r->reply(200, $TEXT, 'ETag: "3"');
}

my $httpd = P2P::Inject->new(handler => \&answer, tls => 1, modules => [qw(http2 deflate)], vhost => ['Protocols h2 http/1.1'])->start;
my $dir = $httpd->dir;

# Runs curl and returns (its exit code, "VERSION STATUS" for each answer, all that it says of heads).
sub curl {
    my (@arguments) = @_;
    my @command = ('curl', '--silent', '--noproxy', '*', '--max-time', 60, '--http2', '--cacert', "$dir/tls.pem", '--dump-header', "$dir/heads",
        '--write-out', '%{http_version} %{response_code}\n', @arguments);
    my $said = join '', map { quotemeta($_) . ' ' } @command;
    my $out = `$said 2>/dev/null`;
    return ($? >> 8, [split /\n/, $out], P2P::Httpd::read_file("$dir/heads"));
}

sub is_injected {
    my ($file, $name) = @_;
    my ($rest, @added) = P2P::Inject::without_injected(P2P::Httpd::read_file($file));
    is(scalar @added, 2, "$name: has Provenance for 2,000 entries");
    ok($rest eq $TEXT, '... and all other bytes are the same');
    return;
}

my $url = $httpd->url . '/fhir/Patient/1/$everything';
my ($code, $out, $heads) = curl('-o', "$dir/one", $url);
is("$code @$out", '0 2 200', 'an answer over HTTP/2');
is_injected("$dir/one", 'one request');
unlike($heads, qr/^etag:/mi, '... without its ETag');
($code, $out) = curl('--compressed', '-o', "$dir/gzip", $url);
is("$code @$out", '0 2 200', 'one with gzip');
is_injected("$dir/gzip", 'gzip');
($code, $out) = curl('--parallel', '--parallel-immediate', map { ('-o', "$dir/many-$_", "$url?_id=$_") } 1 .. 8);
is("$code @$out", join(' ', 0, ('2 200') x 8), 'eight at a time');
is_injected("$dir/many-$_", "number $_") for 1 .. 8;
($code, $out) = curl('--data', 'patient=1&_revinclude=Provenance:target', '-o', "$dir/post", $httpd->url . '/fhir/Observation/_search');
is("$code @$out", '0 2 200', 'POST _search');
is_injected("$dir/post", 'POST');
($code, $out, $heads) = curl('--head', '-o', "$dir/head", $url);
is("$code @$out", '0 2 200', 'HEAD');
unlike($heads, qr/^(?:etag|content-length):/mi, '... without what told of the answer before');
$httpd->expect_log(qr/\[proxy(?:_http)?:error\]|\[http2:warn\]/);
($code, $out) = curl('-o', "$dir/dies", $httpd->url . '/fhir/Patient/dies/$everything');
isnt($code, 0, 'an answer that was cut short is broken over HTTP/2 as well') or diag "@$out";
$httpd->expect_log(qr/\[ssl:warn\]/);
$httpd->stop;
done_testing();
