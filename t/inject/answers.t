#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Provenance is put into answers of a FHIR server that httpd proxies, and nothing else of them changes: whatever they are, however they come, and where
# the server dies in the middle.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Httpd;
use P2P::Inject;
use Test::More;

# Members in an order of their own, white space, numbers and letters that a parser would change.
sub entry {
    my ($i) = @_;
    return qq({ "fullUrl" : "https://payer.example/fhir/Observation/o$i",\n  "resource" : {"resourceType":"Observation","id":"o$i",)
        . qq("meta":{"versionId":"7"},"valueQuantity":{"value":1.50e0},"note":[{"text":"J\\u00fcrgen \xc3\xbc \\"}]"}]}});
}
sub bundle {
    my (%opt) = @_;
    my $type = $opt{type} // 'searchset';
    return qq({"resourceType" : "Bundle","type":"$type", "total":3,"entry" :[) . join(" ,\n", map { entry($_) } 1 .. $opt{count} // 3) . qq(\n]\t}\n);
}

my @VALIDATORS = ('ETag: W/"3"', 'Last-Modified: Sun, 22 Nov 2026 10:00:00 GMT', 'Accept-Ranges: bytes');
my %TEXT = (
    plain      => bundle(),
    collection => bundle(type => 'collection'),
    history    => bundle(type => 'history'),
    outcome    => '{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"too-costly"}]}',
    patient    => '{"resourceType":"Patient","id":"1"}',
    broken     => '{"resourceType":"Bundle","type":"searchset",,"entry":[]}',
    nonsense   => "\x00\xff nonsense",
    nothing    => '',
    backwards  => '{"entry":[' . entry(1) . '],"resourceType":"Bundle","type":"searchset"}',
    empty      => '{"resourceType":"Bundle","type":"searchset","entry":[]}',
    later      => substr(bundle(), 0, -4) . ',,]}',
    xml        => '<Bundle xmlns="http://hl7.org/fhir"><type value="searchset"/></Bundle>',
);

sub head_of {
    my ($r, $name, @fields) = @_;
    my $type = $name eq 'xml' ? 'application/fhir+xml' : 'application/fhir+json;charset=UTF-8';
    return join "\r\n", 'HTTP/1.1 200 OK', (grep({ /^Content-Type/i } @fields) ? () : "Content-Type: $type"), @VALIDATORS, @fields, '', '';
}

# The server behind: /fhir/Patient/CASE/$everything
sub answer {
    my ($r) = @_;
    P2P::Inject::note_request($r);
    my ($path, $query) = split /\?/, $r->{path}, 2;
    my ($how, $name) = $path =~ m{^/fhir/Patient/(\w+)-(\w+)};
    $how //= 'length';
    $name //= 'plain';
    my $text = $TEXT{$name};
    if ($how eq 'length') { $r->raw(head_of($r, $name, 'Content-Length: ' . length $text) . ($r->{method} eq 'HEAD' ? '' : $text)) }
    elsif ($how eq 'status') { $r->raw("HTTP/1.1 $name Word\r\nContent-Type: application/fhir+json\r\nETag: W/\"3\"\r\nContent-Length: " . length($TEXT{plain}) . "\r\n\r\n$TEXT{plain}") }
    elsif ($how eq 'unmodified') { $r->raw("HTTP/1.1 304 Not Modified\r\nETag: W/\"3\"\r\n\r\n") }
    elsif ($how eq 'partial') { $r->raw("HTTP/1.1 206 Partial Content\r\nContent-Type: application/fhir+json\r\nContent-Range: bytes 0-9/600\r\nContent-Length: 10\r\n\r\n" . substr $TEXT{plain}, 0, 10) }
    elsif ($how eq 'typed') { $r->raw(head_of($r, $name, 'Content-Length: ' . length $text, 'Content-Type: ' . $r->{headers}{'x-type'}) . $text) }
    elsif ($how eq 'bytes') {
        $r->raw(head_of($r, $name, 'Transfer-Encoding: chunked'));
        $r->chunk($_) for split //, $text;
        $r->chunk('');
    } elsif ($how eq 'close') {
        $r->raw(head_of($r, $name, 'Connection: close') . $text);
        POSIX::_exit(0);
    } elsif ($how eq 'shortlength') {
        $r->raw(head_of($r, $name, 'Content-Length: ' . (length($text) + 10)) . substr $text, 0, -20);
        POSIX::_exit(0);
    } elsif ($how eq 'shortchunk') {
        $r->raw(head_of($r, $name, 'Transfer-Encoding: chunked'));
        $r->chunk(substr $text, 0, -20);
        POSIX::_exit(0);
    } elsif ($how eq 'silent') {
        POSIX::_exit(0);
    } elsif ($how eq 'steps') {
        $r->raw(head_of($r, $name, 'Transfer-Encoding: chunked'));
        $r->chunk(substr $text, 0, 300);
        P2P::Httpd->wait_for(sub { -e "$r->{server}{dir}/step" }, 60);
        $r->chunk(substr $text, 300);
        $r->chunk('');
    }
    return;
}

my $httpd = P2P::Inject->new(handler => \&answer, modules => ['status'], vhost => ['<Location /status>', 'SetHandler server-status', '</Location>'])->start;

# mod_status's figures of us: { word => number }.
sub counts { return { $httpd->get('/status?auto')->{content} =~ /^P2PProvenance ([\w-]+): (\d+)$/mg } }

sub everything { my ($case) = @_; return "/fhir/Patient/$case/\$everything" }

sub is_injected {
    my ($answer, $text, $name) = @_;
    my ($rest, @added) = P2P::Inject::without_injected($answer->{content});
    subtest $name => sub {
        is($answer->{status}, 200, 'is answered');
        is(scalar @added, 1, 'has one Provenance') or diag $answer->{content};
        is($rest, $text, 'all other bytes are the same');
        is($answer->{headers}{'content-length'} // length $answer->{content}, length $answer->{content}, 'a length, if any, is its own');
        ok(!exists $answer->{headers}{$_}, "no $_") for qw(etag last-modified accept-ranges);
        my $provenance = decode_json($added[0] // '{}')->{resource};
        is_deeply([map { $_->{reference} } @{ $provenance->{target} }], [map { "https://payer.example/fhir/Observation/o$_/_history/7" } 1 .. 3], 'it names the entries');
        is($provenance->{agent}[0]{who}{reference}, 'Organization/123', '... and who answers');
    };
    return;
}

sub is_same {
    my ($answer, $status, $text, $name) = @_;
    subtest $name => sub {
        is($answer->{status}, $status, 'its status');
        is($answer->{content} // '', $text, 'its bytes');
        is($answer->{headers}{etag}, 'W/"3"', 'its ETag');
        is($answer->{headers}{'content-length'}, length $text, 'its length') if $status == 200;
    };
    return;
}

# ---- What is injected ----

is_injected($httpd->get(everything("$_-plain")), $TEXT{plain}, "a Bundle, sent by $_") for qw(length bytes close);
is_injected($httpd->get('/fhir/Observation?patient=1&_revinclude=Provenance:target'), $TEXT{plain}, 'a search with _revinclude=Provenance:target');
is_injected($httpd->get('/fhir/Observation?_revinclude=Provenance%3Atarget'), $TEXT{plain}, '... percent-encoded');
is_same($httpd->get('/fhir/Observation?patient=1'), 200, $TEXT{plain}, 'a search without');
is_same($httpd->get(everything('length-plain') . '?_type=Observation'), 200, $TEXT{plain}, '$everything without Provenance in _type');
is_injected($httpd->get(everything('length-plain') . '?_type=Observation,Provenance'), $TEXT{plain}, '... with it');

my $FORM = 'application/x-www-form-urlencoded';
sub post { my ($path, $content, $type) = @_; return $httpd->ask('POST', $path, content => $content, headers => { 'Content-Type' => $type // $FORM }) }
is_injected(post('/fhir/Observation/_search', 'patient=1&_revinclude=Provenance:target'), $TEXT{plain}, 'POST _search with it in the form');
is(($httpd->seen)[-1]{body}, 'patient=1&_revinclude=Provenance:target', '... the server behind gets the form');
is_injected(post('/fhir/Observation/_search?_revinclude=Provenance:target', 'patient=1'), $TEXT{plain}, 'POST _search with it in the URL');
is_same(post('/fhir/Observation/_search', 'patient=1'), 200, $TEXT{plain}, 'POST _search without it');
is_same(post('/fhir/Observation/_search', 'a=' . 'x' x 70_000 . '&_revinclude=Provenance:target'), 200, $TEXT{plain}, 'POST _search with a form of more than 64 KiB');
is(length +($httpd->seen)[-1]{body}, 70_000 + 32, '... which the server behind gets whole');
is_injected(post('/fhir/Observation/_search', 'a=' . 'x' x 60_000 . '&_revinclude=Provenance:target'), $TEXT{plain}, '... of less');
is_same(post('/fhir/Observation', '{"resourceType":"Observation"}', 'application/fhir+json'), 200, $TEXT{plain}, 'a create');

# ---- Ranges, conditions, HEAD ----

my %conditions = (Range => 'bytes=0-9', 'If-Range' => 'W/"3"', 'If-None-Match' => 'W/"3"', 'If-Modified-Since' => 'Sun, 22 Nov 2026 10:00:00 GMT', 'If-Match' => 'W/"4"');
is_injected($httpd->get(everything('length-plain'), %conditions), $TEXT{plain}, 'ranges and conditions mean another answer');
my $seen = ($httpd->seen)[-1];
is(join(' ', grep { /^(?:if-|range)/ } sort keys %{ $seen->{headers} }), '', '... and do not reach the server behind');
is($httpd->get('/fhir/Patient/length-patient', Range => 'bytes=0-9')->{content}, substr($TEXT{patient}, 0, 10), 'where nothing is asked for, ranges are httpd\'s');
is((grep { $_ eq 'range' } keys %{ ($httpd->seen)[-1]{headers} })[0], 'range', '... and the server\'s');
my $head = $httpd->ask('HEAD', everything('length-plain'));
is($head->{status}, 200, 'HEAD');
is(join(' ', map { $head->{headers}{$_} // () } qw(content-length etag last-modified accept-ranges)), '', '... tells no length and no validators of an answer that would not have them');
is(($httpd->seen)[-1]{method}, 'HEAD', '... and is HEAD for the server behind');
is($httpd->ask('HEAD', '/fhir/Patient/length-plain')->{headers}{'content-length'}, length $TEXT{plain}, '... but of any other');

# ---- What passes ----

my $before = counts();
cmp_ok($before->{injected}, '>', 8, 'what was injected is counted');
is($before->{form}, 1, '... and the form that was too long');

is_same($httpd->get(everything("length-$_")), 200, $TEXT{$_}, "$_ passes") for qw(collection history outcome patient broken nonsense nothing backwards xml);
is_same($httpd->get(everything("status-$_")), $_, $TEXT{plain}, "an answer of $_ passes") for 201, 202, 400, 404, 410, 500, 503;
is_same($httpd->get(everything('unmodified-plain')), 304, '', '304 passes');
is($httpd->get(everything('partial-plain'))->{content}, substr($TEXT{plain}, 0, 10), '206 that nobody asked for passes');
is($httpd->get(everything('length-empty'))->{content}, $TEXT{empty}, 'a Bundle without entries gets none');
like($httpd->get(everything('length-later'))->{content}, qr/,,\]\}$/, 'a Bundle that breaks later passes to its end');
is_same($httpd->get(everything('typed-plain'), 'X-Type' => $_), 200, $TEXT{plain}, "$_ passes")
    for 'text/plain', 'application/xml', 'application/fhir+json; charset=iso-8859-1', 'application/fhir+ndjson';
is_injected($httpd->get(everything('typed-plain'), 'X-Type' => $_), $TEXT{plain}, "$_ is injected")
    for 'application/json', 'application/fhir+json', 'application/fhir+json; fhirVersion=4.0; charset="utf-8"', 'Application/FHIR+JSON;charset=UTF-8';

my $after = counts();
my %more = map { $after->{$_} > $before->{$_} ? ($_ => $after->{$_} - $before->{$_}) : () } keys %$after;
is_deeply(\%more, { injected => 4, status => 9, type => 5, 'not-json' => 3, 'not-bundle' => 2, 'not-searchset' => 2, 'entry-first' => 1, 'no-entry' => 1, broken => 1 },
    'what passed is counted, each by its reason') or diag explain \%more;
like($httpd->get('/status')->{content}, qr{<dt>not-searchset: \d+</dt>}, '... for people to read as well');

# ---- A server that dies ----

$httpd->expect_log(qr/\[proxy(?:_http)?:error\]/);
my @plain = map { $httpd->get("/fhir/Patient/$_-plain")->{status} } qw(shortlength shortchunk silent);
for my $how (qw(shortlength shortchunk silent)) {
    my $answer = $httpd->get(everything("$how-plain"));
    is($answer->{status}, shift @plain, "$how: the client sees what it would without us") or diag $answer->{content};
    cmp_ok($answer->{status}, '>=', 500, '... a broken answer');
}
my $raw = $httpd->connection("GET " . everything('shortchunk-plain') . " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
my $all = do { local $/; <$raw> };
unlike($all, qr/\r\n0\r\n/, 'an answer that was cut short has no last chunk');
unlike($all =~ s/.*?\r\n\r\n//sr, qr/Provenance.*\Z/s, '... and nothing is added behind the fault');

cmp_ok(counts()->{backend}, '>=', 3, 'they are counted');    # HTTP::Tiny asks again

# ---- It passes as it comes ----

my $socket = $httpd->connection("GET " . everything('steps-plain') . " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
my $got = '';
while ($got !~ /Observation\/o1/ && sysread $socket, $got, 65536, length $got) { }
like($got, qr/Observation\/o1/, 'the beginning arrives before the server behind has the end');
P2P::Httpd::write_file("$httpd->{server}{dir}/step", '');
while (sysread $socket, $got, 65536, length $got) { }
like($got, qr/Provenance.*\r\n0\r\n\r\n\z/s, '... then the rest, with Provenance, and its end');

# ---- Two answers on one connection ----

my $kept = $httpd->connection(join '', map { "GET $_ HTTP/1.1\r\nHost: x\r\n\r\n" } everything('length-plain'), '/fhir/Patient/length-patient');
my $both = '';
while ($both !~ /"id":"1"\}/ && sysread $kept, $both, 65536, length $both) { }
like($both, qr/Provenance.*HTTP\/1\.1 200 OK.*\{"resourceType":"Patient","id":"1"\}/s, 'what comes behind an answer on its connection is answered as well');

$httpd->stop;
done_testing();
