#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A portal, or whoever has its password, that sends anything: each request is answered at once with the right status and a problem document, nothing of
# what was sent comes back, and afterwards httpd works as before.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use Test::More;
use Time::HiRes qw(sleep time);

my $MB = 1 << 20;
my $SLOW = $ENV{P2P_SANITIZED} ? 10 : 1;    # how much longer things may take there
my $QUICK = 2 * $SLOW;                      # seconds: the longest that an answer may take
my $ENDPOINT = 'https://a.example:8444/fhir/r4';
my @DEFINITIONS = ({ name => 'A', issuer => 'https://a.example', clientId => 'c', clientSecret => 'SECRET-client', fhirEndpoint => $ENDPOINT,
    tokenEndpoint => 'https://a.example/token', responseType => 'code' });
my $JOBS = '/api/oidc_servers/1/batch_job';
my $n = 0;
my ($api, $httpd);

# An order as a tree; fields by name are changed.
sub order {
    my (%change) = @_;
    $n++;
    my %source = (oidcToken => "SECRET-access-$n", patientId => "m$n");
    my %target = (patientId => "t$n", organizationId => 'TARGET');
    for my $name (keys %change) {
        my ($in, $field) = split m{/}, $name;
        ($in eq 'source' ? \%source : \%target)->{$field} = $change{$name};
    }
    return { sourcePayer => \%source, targetPayer => \%target };
}

# The same as text, with one value given as JSON.
sub order_with {
    my ($name, $json) = @_;
    my $text = JSON::PP->new->canonical->encode(order($name => '@@'));
    my $at = index $text, '"@@"';
    substr $text, $at, 4, $json;
    return $text;
}

# One answer, and that it came quickly, as a problem document that repeats nothing.
sub refused {
    my ($name, $status, $answer, $took) = @_;
    like($answer->{status}, ref $status ? $status : qr/^$status$/, "$name: $answer->{status}") or diag $answer->{content};
    my $json = $answer->{json} // {};
    my @faults;
    push @faults, 'not a problem document' if ($answer->{headers}{'content-type'} // '') ne 'application/problem+json';
    push @faults, 'status differs' if ($json->{status} // 0) != $answer->{status};
    push @faults, 'no code' if ($json->{code} // '') !~ /^[a-z0-9-]+$/;
    push @faults, 'no sentence' if ($json->{detail} // '') !~ /\w.*\.$/;
    push @faults, 'a secret' if index($answer->{content}, 'SECRET') >= 0;
    push @faults, 'too long' if length $answer->{content} > 20_000;
    push @faults, sprintf 'slow: %.1f s', $took if $took > $QUICK;
    is(join(', ', @faults), '', '... as it has to be') or diag $answer->{content};
    return $json;
}

sub post_refused {
    my ($name, $status, $body, %headers) = @_;
    my $begin = time;
    my $answer = $api->post($JOBS, $body, %headers);
    return refused($name, $status, $answer, time - $begin);
}

# ---- Bodies ----

sub test_large {
    my $space = $MB - length JSON::PP->new->encode(order());
    is($api->post($JOBS, (' ' x ($space - 100)) . JSON::PP->new->encode(order()))->{status}, 202, 'a body just below the limit is taken');
    post_refused('a body one byte over', 413, JSON::PP->new->encode(order()) =~ s/\}$/' ' x $MB . '}'/er);
    post_refused('100,000 arrays deep', 400, '[' x 100_000 . ']' x 100_000);
    post_refused('100,000 objects deep', 400, '{"a":' x 100_000 . '1' . '}' x 100_000);
    post_refused('100,000 arrays deep, open', 400, '[' x 100_000);
    post_refused('deep inside an order', 400, order_with('source/fhirBundleRequest', '{"x":' . '[' x 70 . ']' x 70 . '}'));
    post_refused('340,000 empty arrays', 400, '{"x":[' . '[],' x 340_000 . '[]]}');
    post_refused('260,000 empty objects', 400, '{"x":[' . '{},' x 260_000 . '{}]}');
    post_refused('100,000 members', 422, '{' . join(',', map { qq("m$_":1) } 1 .. 80_000) . '}');
    post_refused('a name of 1 MB', 422, '{"' . 'n' x ($MB - 10) . '":1}');
    post_refused('a number of 500,000 digits', 400, order_with('source/fhirBundleRequest', '9' x 500_000));
    post_refused('a fraction of 500,000 digits', 422, order_with('source/fhirBundleRequest', '0.' . '9' x 500_000));
    post_refused('an exponent beyond all bounds', 422, order_with('source/fhirBundleRequest', '1e999999999'));
    post_refused('500,000 escapes', 422, order_with('source/patientId', '"' . '\\n' x 400_000 . '"'));
    return;
}

sub test_broken {
    my %broken = (
        'twice' => '{"sourcePayer":{},"sourcePayer":{}}', 'twice by escape' => '{"targetPayer":{},"t\\u0061rgetPayer":{}}', 'twice inside' => order_with('source/oidcToken', '"a","oidcToken":"b"'),
        'a NUL in a name' => '{"a\\u0000b":1}', 'a raw NUL' => "{\"a\":\"\0\"}", 'a NUL behind' => "{}\0", 'UTF-16' => "\xff\xfe{\0}\0", 'UTF-16 without mark' => "{\0}\0", 'UTF-32' => "{\0\0\0}\0\0\0", 'a BOM' => "\xef\xbb\xbf{}",
        'Latin-1' => "{\"a\":\"\xe9\"}", 'overlong UTF-8' => "{\"a\":\"\xc0\xaf\"}", 'a surrogate in UTF-8' => "{\"a\":\"\xed\xa0\x80\"}", 'beyond Unicode' => "{\"a\":\"\xf4\x90\x80\x80\"}",
        'cut UTF-8' => "{\"a\":\"\xe2\x82\"}", 'half a pair' => '{"a":"\\udc00"}', 'Infinity' => '{"a":Infinity}', 'hexadecimal' => '{"a":0x10}', 'a form' => 'sourcePayer=x', 'XML' => '<Bundle/>',
        'gzip' => "\x1f\x8b\x08\0\0\0\0\0\0\3", 'NDJSON' => "{}\n{}\n",
    );
    post_refused("a body of $_", 400, $broken{$_}) for sort keys %broken;
    return;
}

# Each field with what would break out of where it goes.
sub test_fields {
    my %evil = ('CR LF' => '"a\\r\\nX-Injected: 1"', 'NUL' => '"a\\u0000b"', 'a tab' => '"a\\tb"', 'a quote' => '"a\\"b"', 'a backslash' => '"a\\\\b"', 'a byte above ASCII' => '"a\\u00e9"',
        'another script' => '"\\u0430\\u0431"', 'a right-to-left mark' => '"a\\u202eb"', 'an emoji' => '"\\ud83d\\ude00"', 'a megabyte' => '"' . 'a' x 900_000 . '"', 'a slash' => '"../x"', 'a percent' => '"%2e%2e"',
        'SQL' => qq("'; DROP TABLE p2p_job; --"), 'a template' => '"{patientId}"', 'a space' => '"a b"', 'a number' => '1', 'true' => 'true', 'an array' => '["a"]', 'an object' => '{"a":1}');
    my %harmless = ('source/oidcToken' => { map { $_ => 1 } 'a quote', 'a backslash', 'a slash', 'a percent', 'a template' });
    $harmless{'source/oidcRefreshToken'} = $harmless{'source/oidcToken'};
    for my $field (qw(source/oidcToken source/oidcRefreshToken source/patientId target/patientId)) {
        for my $name (sort keys %evil) {
            next if $harmless{$field}{$name};
            my $json = post_refused("$field with $name", 422, order_with($field, $evil{$name}));
            my ($in, $member) = split m{/}, $field;
            is(join(' ', map { $_->{pointer} } @{ $json->{errors} // [] }), "/${in}Payer/$member", '... that names the field');
        }
    }
    for my $name ('NUL', 'a megabyte', 'a number', 'true', 'an array', 'an object', 'CR LF', 'a tab') {
        post_refused("target/organizationId with $name", 422, order_with('target/organizationId', $evil{$name}));
    }
    for my $name (sort keys %evil) {
        my $answer = $api->post($JOBS, JSON::PP->new->encode(order()) =~ s/^\{/{"other":$evil{$name},/r);
        is($answer->{status}, 202, "an unknown member with $name is ignored") or diag $answer->{content};
    }
    return;
}

# ---- URLs that want to get out of the FHIR endpoint ----

sub test_urls {
    my @out = ('https://evil.example/fhir/r4/Patient', 'https://a.example/fhir/r4/Patient', 'https://a.example:8445/fhir/r4/Patient', 'http://a.example:8444/fhir/r4/Patient',
        'https://a.example:8444/fhir/r4x/Patient', 'https://a.example:8444/fhir/r4evil', 'https://a.example:8444/fhir', 'https://a.example:8444/fhir/', 'https://a.example:8444/', 'https://a.example:8444/fhir/R4/Patient',
        'https://u:p@a.example:8444/fhir/r4/Patient', 'https://a.example:8444@evil.example/fhir/r4/Patient', 'https://evil.example#@a.example:8444/fhir/r4/Patient', 'https://evil.example?@a.example:8444/fhir/r4/Patient',
        'https://evil.example\\@a.example:8444/fhir/r4/Patient', 'https://a.example:8444\\.evil.example/fhir/r4/Patient', 'https://a.example:8444/fhir/r4/../admin', 'https://a.example:8444/fhir/r4/../../x',
        'https://a.example:8444/fhir/r4/./../admin', 'https://a.example:8444/fhir/r4/%2e%2e/admin', 'https://a.example:8444/fhir/r4/%2E%2e/admin', 'https://a.example:8444/fhir/r4/.%2e/admin', 'https://a.example:8444/fhir/r4/..%2fadmin',
        'https://a.example:8444/fhir/r4/..%5cadmin', 'https://a.example:8444/fhir/r4/..\\admin', 'https://a.example:8444/fhir/r4/..;/admin', 'https://a.example:8444/fhir/r4/x/%2e%2e%2f%2e%2e/admin', 'https://a.example.evil.example:8444/fhir/r4/',
        'https://a.example:08444x/fhir/r4/', 'https://a.example:99999/fhir/r4/', 'https://[::1]:8444/fhir/r4/', '//evil.example/fhir/r4/Patient', '//a.example:8444/fhir/r4/Patient', '../admin', '/../admin', 'Patient/../../admin',
        'Patient/%2e%2e/%2e%2e/admin', 'Patient/..%2f..%2fadmin', '..\\admin', '\\\\evil.example\\x', 'file:///etc/passwd', 'javascript:alert(1)', 'data:text/plain,x', 'ftp://a.example/fhir/r4', 'gopher://a.example:8444/fhir/r4', 'urn:uuid:1',
        "Patient\r\nX-Injected: 1", "Patient\nx", "Patient\tx", 'Patient x', 'Patient#fragment', 'Patient?x=<y>', 'Patient/"x"', "Patient\x{7f}", "Pati\x{e9}nt", 'https:///fhir/r4/x', 'https://', 'https:a.example', 'x:y', 'P' x 5000, 'Patient?' . 'q' x 100_000,
        '{patientId}:8444/x/../../..', ';/../..;/admin');
    for my $url (@out) {
        my $name = substr($url, 0, 70) =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger;
        my $json = post_refused($name, 422, order('source/fhirBundleRequest' => $url));
        is(($json->{errors} // [])->[0]{pointer}, '/sourcePayer/fhirBundleRequest', '... that names the field');
        my $bundle = { resourceType => 'Bundle', type => 'batch', entry => [{ request => { method => 'GET', url => 'Patient' } }, { request => { method => 'GET', url => $url } }] };
        $json = post_refused("$name in a Bundle", 422, order('source/fhirBundleRequest' => $bundle));
        is(($json->{errors} // [])->[0]{pointer}, '/sourcePayer/fhirBundleRequest/entry/1', '... that names the entry');
    }
    for my $url ('Patient/{patientId}', '/Patient', "$ENDPOINT/Patient", "\UHTTPS\E://A.Example:8444/fhir/r4/Patient", 'Patient?x=../..', 'Patient/a..b', 'Observation?date=ge2020-01-01T00:00:00%2B01:00', '?_getpages=7', '$export') {
        my $answer = $api->post($JOBS, order('source/fhirBundleRequest' => $url));
        is($answer->{status}, 202, "$url stays inside") or diag $answer->{content};
    }
    return;
}

sub test_bundles {
    my $entries = sub { my ($count, %request) = @_; return { resourceType => 'Bundle', type => 'batch', entry => [map { { request => { method => 'GET', url => "Observation?n=$_", %request } } } 1 .. $count] } };
    my $ask = sub { my ($name, $status, $bundle) = @_; return post_refused("$name inline", $status, order('source/fhirBundleRequest' => $bundle)), post_refused("$name as text", $status, order('source/fhirBundleRequest' => encode_json($bundle))) };
    $ask->('300 entries', 422, $entries->(300));
    $ask->('5,000 entries', 422, $entries->(5000));
    $ask->('100 entries by ' . s/\r\n/CR LF/r, 422, $entries->(100, method => $_)) for qw(POST PUT DELETE PATCH HEAD get), 'GET ', "GET\r\nX: 1", '';
    $ask->('entries without URLs', 422, $entries->(3, url => undef));
    is($api->post($JOBS, order('source/fhirBundleRequest' => $entries->(100)))->{status}, 202, '100 entries are taken');
    my %odd = ('an entry of null' => [undef], 'entries of numbers' => [1, 2], 'entries in entries' => [[{ request => { method => 'GET', url => 'x' } }]], 'a request of text' => [{ request => 'GET x' }]);
    $ask->($_, 422, { resourceType => 'Bundle', type => 'batch', entry => $odd{$_} }) for sort keys %odd;
    $ask->('an object as entry', 422, { resourceType => 'Bundle', type => 'batch', entry => { 0 => {} } });
    post_refused('a Bundle in text in text', 422, order('source/fhirBundleRequest' => encode_json([encode_json($entries->(1))])));
    return;
}

# ---- Paths, methods, types ----

sub test_paths {
    my %status = (
        '/api/oidc_servers/../../../etc/passwd' => qr/^40[04]$/, '/api/oidc_servers/%2e%2e/%2e%2e/%2e%2e/etc/passwd' => qr/^40[04]$/, '/api/oidc_servers/%252e%252e/x' => 404, '/api/oidc_servers/1%00' => 404, '/%00' => 404, '/api%2foidc_servers' => 404,
        '/api/oidc_servers/1%2f..%2f2' => 404, '/api/oidc_servers/1;x=y' => 404, '/api/oidc_servers/1%0d%0aX-Injected:%201' => 404, '/api/oidc_servers/%c0%af' => 404, '/api/oidc_servers/%' => 400, '/api/oidc_servers/%zz' => 400, '/api\\oidc_servers' => 404,
        '/api/oidc_servers/' . '9' x 3000 => 404, '/api/oidc_servers/1e3' => 404, '/api/oidc_servers/0x1' => 404, "/api/oidc_servers/1'%20OR%201=1" => 404, '/api/oidc_servers/9223372036854775808' => 404, '/api/oidc_servers/1/batch_job/-1' => 404,
        "$JOBS/999999999999999999/report" => 404, "$JOBS/1/report?page=" . '9' x 3000 => 400, "$JOBS/1/report?page=1%00" => 400, "$JOBS/1/report?page=1&page=2" => qr/^(?:200|400)$/, '/health/../api/../nowhere' => 404, '/.%2e/x' => 400, '/' . 'a/' x 3000 => 404,
        '/server-status' => 404, '/.htaccess' => 404, '/p2p:/x' => 404,
    );
    for my $path (sort keys %status) {
        my $begin = time;
        my $answer = $api->get($path);
        my $name = 'GET ' . substr $path, 0, 60;
        if ($answer->{status} == 200) { like(200, $status{$path}, $name) }
        else { refused($name, $status{$path}, $answer, time - $begin) }
        is($answer->{headers}{'x-injected'}, undef, '... no header slips in');
    }
    return;
}

sub test_methods {
    for my $path ('/api/oidc_servers', "$JOBS/1", $JOBS, '/health', '/nowhere') {
        for my $method (qw(TRACE TRACK CONNECT DEBUG PURGE MKCOL LOCK get)) {
            my $begin = time;
            refused("$method $path", qr/^40[0145]$/, $api->request($method, $path), time - $begin);
        }
        my $head = $api->request('HEAD', $path);
        is($head->{content}, '', "HEAD $path has no body");
        is($head->{status}, $api->get($path)->{status}, '... and the status of GET');
        like($api->request('OPTIONS', $path)->{status}, qr/^(?:204|404)$/, "OPTIONS $path");
    }
    my $evil = JSON::PP->new->encode(order());
    for my $type ('', 'application/json application/xml', 'application/json, text/html', 'text/html;application/json', 'application/fhir+xml', 'multipart/form-data', '*/*', 'application/json+', 'application/' . 'x' x 5000 . '+jso', 'json') {
        post_refused('type ' . substr($type, 0, 40), qr/^(?:415|400)$/, $evil, 'Content-Type' => $type) unless $type =~ /^application\/json[ ]/;
    }
    for my $encoding ('gzip', 'deflate', 'br', 'identity, gzip') {
        my $answer = $api->post($JOBS, "\x1f\x8b\x08\0\0\0\0\0\0\3", 'Content-Encoding' => $encoding);
        like($answer->{status}, qr/^(?:400|415)$/, "a body that says it is $encoding is not unpacked");
    }
    return;
}

# ---- Bytes as they are ----

# What comes back, and how long that took; pieces are sent one after the other, a number is a pause in seconds.
sub raw {
    my ($seconds, @pieces) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->port) or die "httpd: $!\n";
    my ($begin, $text, $select) = (time, '', IO::Select->new($socket));
    local $SIG{PIPE} = 'IGNORE';
    for my $piece (@pieces) {
        if ($piece =~ /^[0-9.]+$/) { sleep $piece }
        else { last if !syswrite $socket, $piece }
    }
    while ($select->can_read($begin + $seconds - time)) {
        last if !sysread $socket, $text, 65536, length $text;
    }
    return ($text, time - $begin);
}

sub raw_refused {
    my ($name, $status, $seconds, @pieces) = @_;
    my ($text, $took) = raw($seconds, @pieces);
    like($text, qr/^HTTP\/1\.1 $status /, "$name: $status") or diag substr $text, 0, 500;
    like($text, qr/^content-type: application\/problem\+json\r$/im, '... as a problem document');
    cmp_ok($took, '<', $seconds, sprintf '... in %.1f s', $took);
    return $text;
}

sub test_raw {
    my $head = "POST $JOBS HTTP/1.1\r\nHost: x\r\nAuthorization: $api->{authorization}\r\nContent-Type: application/json\r\nConnection: close\r\n";
    my $get = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    raw_refused('10,000 headers', 400, $QUICK, $get . join('', map { "X-$_: y\r\n" } 1 .. 10_000) . "\r\n");
    raw_refused('a header of 1 MB', 400, $QUICK, $get . 'X: ' . 'y' x $MB . "\r\n\r\n");
    raw_refused('a path of 1 MB', 414, $QUICK, 'GET /' . 'x' x $MB . " HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_refused('two lengths', 400, $QUICK, "${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x");
    raw_refused('a negative length', 400, $QUICK, "${head}Content-Length: -1\r\n\r\n{}");
    raw_refused('a length beyond 64 bits', qr/(?:400|413)/, $QUICK, "${head}Content-Length: 99999999999999999999999\r\n\r\n{}");
    raw_refused('a chunk beyond 64 bits', qr/(?:400|413)/, $QUICK, "${head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}");
    raw_refused('an obsolete fold', 400, $QUICK, "${get}X: a\r\n b\r\n\tc\x00\r\n\r\n");
    raw_refused('a space before the colon', 400, $QUICK, "${get}X : a\r\n\r\n");
    raw_refused('a name with a NUL', 400, $QUICK, "${get}X\0Y: a\r\n\r\n");
    raw_refused('a bare CR', 400, $QUICK, "${get}X: a\rb\r\n\r\n");
    raw_refused('an unknown transfer encoding', qr/(?:400|501)/, $QUICK, "${head}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n");
    raw_refused('endless chunks', 413, 10 * $SLOW, "${head}Transfer-Encoding: chunked\r\n\r\n", map { sprintf("%x\r\n", 65536) . ' ' x 65536 . "\r\n" } 1 .. 40);
    raw_refused('chunks of a byte', 413, 10 * $SLOW, "${head}Transfer-Encoding: chunked\r\n\r\n", ("1\r\n \r\n" x 10_000) x 110);
    raw_refused('a slow body', 408, 8 * $SLOW, "${head}Content-Length: 100\r\n\r\n{", 1, ' ', 1, ' ', 1, ' ');
    my ($text, $took) = raw(8 * $SLOW, "GET /health HTTP/1.1\r\n", 1, "X: y\r\n", 1, "X: y\r\n", 1, "X: y\r\n");
    like($text, qr/^(?:HTTP\/1\.1 408 .*)?$/s, 'a slow head ends');
    cmp_ok($took, '<', 8 * $SLOW, sprintf '... in %.1f s', $took);
    ($text) = raw($QUICK, "${head}Content-Length: 2\r\n\r\n{}GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    is(scalar(() = $text =~ /^HTTP\/1\.1 /gm), 1, 'what stands behind a body is no second answer where the connection closes');
    return;
}

# Many at a time that do not go on, and in between one that means it.
sub test_idle {
    my @idle = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->port) } 1 .. 25;
    print {$_} "POST $JOBS HTTP/1.1\r\nHost: x\r\nAuthorization: $api->{authorization}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{" for grep { $_ } @idle;
    my $begin = time;
    is($api->get('/api/oidc_servers')->{status}, 200, 'while 25 bodies do not come, others are answered');
    cmp_ok(time - $begin, '<', 8 * $SLOW, '... soon');
    close $_ for grep { $_ } @idle;
    return;
}

sub memory { my $sum = 0; for my $file (glob '/proc/[0-9]*/status') { my $text = P2P::Httpd::read_file($file); $sum += $1 / 1024 if $text =~ /^PPid:\s+$httpd->{pid}$/m && $text =~ /^VmHWM:\s+(\d+)/m } return $sum }

each_database('portal' => sub {
    my ($db) = @_;
    $httpd = P2P::Httpd->new(db => $db, users => { portal => 'pass' }, modules => ['reqtimeout'], vhost => ['RequestReadTimeout header=2 body=2']);
    $httpd->expect_log(qr/AH\d{5}/);
    $httpd->prepare(\@DEFINITIONS)->start;
    $api = P2P::Api->new($httpd->url, 'portal', 'pass');
    test_large();
    test_broken();
    test_fields();
    test_urls();
    test_bundles();
    test_paths();
    test_methods();
    test_raw();
    test_idle();
    cmp_ok(memory(), '<', 200 * $SLOW, sprintf 'httpd took %d MB at most', memory());
    my $answer = $api->post($JOBS, order());
    is($answer->{status}, 202, 'and in the end an order is taken as ever') or diag $answer->{content};
    is($answer->{headers}{'x-injected'}, undef, '... with nothing in its headers');
    my $log = $httpd->log_text;
    is(index($log, 'SECRET'), -1, 'no token in the log');
    $httpd->stop;
});
done_testing;
