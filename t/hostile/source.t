#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A source payer that is broken, endless or lying: each job ends in time and in bounded memory with an error that says why, the runner lives on,
# and nothing reaches the target that does not belong there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Compress::Zlib ();
use JSON::PP;
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Hostile;
use Test::More;
use Time::HiRes qw(sleep time);

my $MB = 1 << 20;
my $SLOW = $ENV{P2P_SANITIZED} || $ENV{P2P_VALGRIND_LOGS} ? 10 : 1;    # how much longer things may take there
my $AT_ONCE = 'Retry-After: 0';    # what is tried again is tried at once: the test has no time
my $VICTIM = 'victim-0001';    # another member of the target payer, whose id the source has guessed

# ---- What the source says ----

sub member { my ($case) = @_; return "member-$case" }

sub patient { my ($case) = @_; return qq({"resourceType":"Patient","id":") . member($case) . '"}' }

# An Observation of the case's member; more is further JSON, with its comma.
sub observation {
    my ($case, $id, $more) = @_;
    return qq({"resourceType":"Observation","id":"$id","subject":{"reference":"Patient/) . member($case) . '"}' . ($more // '') . '}';
}

# A page of resources, as text. next: its next link, as JSON text without quotes.
sub page {
    my ($resources, %opt) = @_;
    my $link = defined $opt{next} ? qq("link":[{"relation":"next","url":"$opt{next}"}],) : '';
    return qq({"resourceType":"Bundle","type":"searchset",$link"entry":[) . join(',', map { qq({"resource":$_}) } @$resources) . ']}';
}

# The page of the member's Patient, one good Observation and these.
sub good_page { my ($case, @more) = @_; return page([patient($case), observation($case, 'good'), @more]) }

# Code that answers with a page: the good one and what the texts are.
sub with { my (@texts) = @_; return sub { my ($r, $case) = @_; $r->reply(200, good_page($case, map { ref $_ ? $_->($case) : $_ } @texts), $AT_ONCE) } }
sub body { my ($text, @fields) = @_; return sub { my ($r, $case) = @_; $r->reply(200, ref $text ? $text->($case) : $text, $AT_ONCE, @fields) } }
sub next_link { my ($link) = @_; return sub { my ($r, $case) = @_; $r->reply(200, page([patient($case)], next => ref $link ? $link->($r, $case) : $link)) } }

# A page that comes piece by piece, without ever lying in memory here: pieces is code that gets a sender.
sub streamed {
    my ($pieces) = @_;
    return sub {
        my ($r, $case) = @_;
        my $buffer = '';
        $r->chunked(200);
        my $send = sub {
            $buffer .= $_[0];
            return if length $buffer < 1 << 18;
            $r->chunk($buffer);
            $buffer = '';
        };
        $send->(qq({"resourceType":"Bundle","type":"searchset","entry":[{"resource":) . patient($case) . '}');
        $pieces->($send, $case);
        $r->chunk("$buffer]}");
        $r->chunk('');
    };
}

# 1 GB of one byte: gzip's blocks for a megabyte of it, over and over, behind a beginning.
sub bomb {
    my ($status, $begin, $byte) = @_;
    return sub {
        my ($r) = @_;
        my ($z) = Compress::Zlib::deflateInit(-WindowBits => 31, -Level => 9);
        my ($head) = $z->deflate($begin);
        $head .= $z->flush(Compress::Zlib::Z_FULL_FLUSH());
        my ($block) = $z->deflate($byte x $MB);
        $block .= $z->flush(Compress::Zlib::Z_FULL_FLUSH());
        $r->chunked($status, 'Content-Encoding: gzip', $AT_ONCE);
        $r->chunk($head);
        $r->chunk($block) for 1 .. 1000;
        $r->chunk('');
    };
}

sub metadata { return '{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}' }

# An Observation of a megabyte that refers to another one.
sub large {
    my ($send, $case, $id, $to) = @_;
    $send->(',{"resource":' . substr observation($case, $id, refs($to) . ',"x":"'), 0, -1);
    $send->('x' x $MB);
    $send->('"}}');
    return;
}

sub refs { my (@to) = @_; return ',"hasMember":[' . join(',', map { qq({"reference":"$_"}) } @to) . ']' }

my $server;

# ---- The cases ----
# everything, metadata, token: code that answers. status, code, says: how the job ends. counts: what its progress has to say. seconds, mb: what it may
# take at most (30, 64). target: ids of Observations whose text at the target is looked at by target(text).

my %LIGHT = (
    good            => { everything => with(), status => 'COMPLETED', counts => { written => 2 } },
    'empty'         => { everything => body(''), code => 'json-cut-short', says => qr/GET .*everything/ },
    'nested-200'    => { everything => with(sub { observation($_[0], 'deep', ',"x":' . '[' x 200 . ']' x 200) }), code => 'not-json', says => qr/nest/ },
    'long-name'     => { everything => with(sub { observation($_[0], 'name', ',"' . 'n' x $MB . '":1') }), status => 'COMPLETED', counts => { written => 3 } },
    'twice-id'      => { everything => with(sub { observation($_[0], 'a', ',"id":"b"') }), code => 'resources-rejected', counts => { rejected => 1 } },
    'twice-type'    => { everything => with(sub { observation($_[0], 'a', ',"resourceType":"Patient"') }), code => 'resources-rejected', counts => { rejected => 1 } },
    'twice-subject' => { everything => with(sub { observation($_[0], 'a', qq(,"subject":{"reference":"Patient/$VICTIM"})) }), code => 'resources-rejected', counts => { rejected => 1 } },
    'escaped-name'  => { everything => with(sub { observation($_[0], 'a', qq(,"performer":[{"refer\\u0065nce":"Patient/$VICTIM"}])) }), code => 'resources-rejected', counts => { rejected => 1 } },
    'surrogates'    => { everything => with(sub { observation($_[0], 'a', ',"status":"\\ud800","x\\udc00":"\\udfff"') }), code => 'resources-rejected', counts => { rejected => 1 } },
    'lone-value'    => { everything => with(sub { observation($_[0], 'a', ',"status":"\\ud800"') }), status => qr/^(?:COMPLETED|FAILED)$/ },
    'nan'           => { everything => with(sub { observation($_[0], 'a', ',"valueDecimal":NaN') }), code => 'not-json', says => qr/byte/ },
    'bom'           => { everything => body(sub { "\xef\xbb\xbf" . good_page($_[0]) }), code => 'not-json', says => qr/byte 0/ },
    'utf-16'        => { everything => body(sub { "\xff\xfe" . join '', map { "$_\0" } split //, good_page($_[0]) }), code => 'not-json', says => qr/byte 0/ },
    'latin-1'       => { everything => with(sub { observation($_[0], 'a', ",\"status\":\"\xe9\"") }), code => 'not-json', says => qr/UTF-8/ },
    'zero-byte'     => { everything => with(sub { observation($_[0], 'a', ",\"status\":\"\0\"") }), code => 'not-json' },
    'html'          => { everything => body('<html><body>Please log in</body></html>', 'Content-Type: text/html'), code => 'not-json' },
    'cut-gzip'      => { everything => body("\x1f\x8b\x08\0\0\0\0\0\0\3garbage", 'Content-Encoding: gzip'), code => 'cut-short' },
    'bomb-zeros'    => { everything => bomb(200, '', "\0"), code => 'not-json' },
    'long-type'     => { everything => with(sub { '{"resourceType":"' . 'T' x 10240 . '","id":"x"}' }), code => 'resources-rejected', counts => { rejected => 1 } },
    'odd-types'     => { everything => with(map { qq({"resourceType":$_,"id":"x"}) } '"../Patient"', '"Patient/../x"', '7', 'null', '["Patient"]', '""', '"A\\"B"', '"\\u0000"'), code => 'resources-rejected', counts => { rejected => 8, written => 2 } },
    'odd-ids'       => { everything => with(map { qq({"resourceType":"Basic","id":$_}) } '"../../x"', '"a/b"', '"a\\"b"', '"a b"', '""', '"a?b"', '"a#b"', '"a%2fb"', '"\\r\\nX: y"', '"a\\u0000b"', '7', 'null', '{}', '"' . 'i' x 10240 . '"', '"\\u00e9"'),
        code => 'resources-rejected', counts => { rejected => 15, written => 2 } },
    'dots'          => { everything => with('{"resourceType":"Basic","id":".."}', '{"resourceType":"Basic","id":"."}', '{"resourceType":"Basic","id":"a..b"}'), status => 'COMPLETED', counts => { written => 5 } },
    'no-resource'   => { everything => body(sub { page([patient($_[0])]) =~ s/\]\}$/,{"fullUrl":"urn:uuid:x"},{"search":{"mode":"match"}},{},{"resource":null}]}/r }), status => 'COMPLETED', counts => { written => 1 } },
    'null-entry'    => { everything => body(sub { page([patient($_[0])]) =~ s/\]\}$/,null]}/r }), code => 'not-fhir', says => qr/entry/ },
    'array-resource' => { everything => with('[1]'), code => 'not-fhir', says => qr/entry's resource/ },
    'top-array'     => { everything => body('[{"resourceType":"Bundle"}]'), code => 'not-fhir' },
    'top-number'    => { everything => body('12'), code => 'not-fhir' },
    'meta-string'   => { everything => with(sub { observation($_[0], 'a', ',"meta":"x"') }), code => 'resources-rejected', counts => { rejected => 1, written => 2 } },
    'meta-1000'     => { everything => with(sub { observation($_[0], 'a', ',"meta":{' . join(',', map { qq("m$_":$_) } 1 .. 1000) . '}') }), code => 'resources-rejected', counts => { rejected => 1, written => 2 } },
    'identifier-object' => { everything => with(sub { observation($_[0], 'a', ',"identifier":{"value":"x"}') }), status => 'COMPLETED', counts => { written => 3 } },
    'link-string'   => { everything => body(sub { page([patient($_[0]) =~ s/\}$/,"link":"x"}/r]) }), status => 'COMPLETED', counts => { written => 1 } },
    'long-reference' => { everything => with(sub { observation($_[0], 'a', refs('http://x.example/' . 'r' x $MB)) }, sub { observation($_[0], 'b', refs('Observation/' . 'r' x $MB)) }), status => 'COMPLETED', counts => { written => 4 } },

    'next-elsewhere'  => { everything => next_link(sub { $_[0]{server}->origin(1) . '/stolen' }), code => 'next-link-elsewhere', says => qr{http://127\.0\.0\.1:\d+, and} },
    'next-file'       => { everything => next_link('file:///etc/passwd'), code => 'next-link-unusable', says => qr/next link/ },
    'next-javascript' => { everything => next_link('javascript:alert(1)'), code => 'next-link-unusable', says => qr/next link/ },
    'next-user'       => { everything => next_link(sub { $_[0]{server}->origin =~ s{//}{//admin:pass\@}r . '/next-user/fhir?x' }), code => 'page-loop' },
    'next-crlf'       => { everything => next_link('/next-crlf/fhir?x\\r\\nX-Injected: 1'), code => 'next-link-unusable', says => qr/next link/ },
    'next-nul'        => { everything => next_link('?x\\u0000y'), status => 'FAILED', code => qr/./ },
    'next-long'       => { everything => next_link('?x=' . 'y' x 100_000), code => 'next-link-unusable', says => qr/next link/ },
    'next-itself'     => { everything => next_link('#'), code => 'page-loop', says => qr/circle/ },
    'next-empty'      => { everything => next_link(''), status => 'COMPLETED', counts => { written => 1 } },
    'next-dots'       => { everything => next_link('../../../../../next-dots/fhir/Patient/' . member('next-dots') . '/$everything'), code => 'page-loop' },
    'next-number'     => { everything => body(sub { page([patient($_[0])], next => 'X') =~ s/"X"/17/r }), status => 'COMPLETED', counts => { written => 1 } },
    'next-ring'       => { everything => sub { my ($r, $case) = @_; my ($n) = $r->{path} =~ /n=(\d+)/; $r->reply(200, page([patient($case)], next => '?n=' . ((($n // 0) + 1) % 5))) }, code => 'page-loop' },

    'redirect-elsewhere' => { everything => sub { $_[0]->reply(302, '', 'Location: ' . $_[0]{server}->origin(1) . '/stolen') }, code => 'redirect-elsewhere', says => qr/another origin/ },
    'redirect-loop'      => { everything => sub { $_[0]->reply(307, '', "Location: $_[0]{path}") }, code => 'redirect-loop', says => qr/circle/ },
    'redirect-metadata'  => { metadata => sub { $_[0]->reply(301, '', 'Location: ' . $_[0]{server}->origin(1) . '/stolen') }, code => 'source-answered', says => qr/301/ },
    'redirect-token'     => { token => sub { $_[0]->reply(307, '', 'Location: ' . $_[0]{server}->origin(1) . '/stolen') }, code => 'token-answer-unusable', refresh => 1 },
    'header-flood'       => { everything => sub { $_[0]->reply(200, '{}', map { "X-$_: " . 'v' x 1000 } 1 .. 2000) }, code => qr/^(?:too-large|cut-short)$/ },
    'continue-flood'     => { everything => sub { $_[0]->raw("HTTP/1.1 100 Continue\r\n\r\n") for 1 .. 100_000; $_[0]->reply(200, '{}') }, code => qr/^(?:too-large|cut-short)$/ },
    'not-http'           => { everything => sub { $_[0]->raw("SSH-2.0-OpenSSH_9.2\r\n"); POSIX::_exit(0) }, code => qr/^(?:cut-short|unreachable)$/ },

    'metadata-huge'    => { metadata => streamed(sub { $_[0]->(',' . 'x' x $MB) for 1 .. 50 }), code => 'too-large' },
    'metadata-bomb'    => { metadata => bomb(200, '{"resourceType":"CapabilityStatement","x":"', 'x'), code => 'too-large' },
    'metadata-array'   => { metadata => body('[]'), code => 'not-fhir' },
    'metadata-r5'      => { metadata => body('{"resourceType":"CapabilityStatement","fhirVersion":"5.0.0"}'), code => 'not-r4' },
    'metadata-odd'     => { metadata => body('{"resourceType":["CapabilityStatement"],"fhirVersion":{}}'), code => 'not-fhir' },
    'metadata-html'    => { metadata => body('<html>', 'Content-Type: text/html'), code => 'not-fhir' },

    'token-nonsense' => { token => body("\x00\x01\x02"), refresh => 1, code => 'token-answer-unusable' },
    'token-html'     => { token => body('<html>Sign in</html>', 'Content-Type: text/html'), refresh => 1, code => 'token-answer-unusable' },
    'token-huge'     => { token => body('{"access_token":"' . 'a' x 300_000 . '"}'), refresh => 1, code => qr/^(?:too-large|token-answer-unusable)$/ },
    'token-crlf'     => { token => body('{"access_token":"a\\r\\nX-Injected: 1","token_type":"Bearer"}'), refresh => 1, code => 'token-answer-unusable' },
    'token-array'    => { token => body('["access_token"]'), refresh => 1, code => 'token-answer-unusable' },
    'token-types'    => { token => body('{"access_token":7,"expires_in":[],"refresh_token":{}}'), refresh => 1, code => 'token-answer-unusable' },
    'token-other'    => { token => body(qq({"access_token":"t","token_type":"Bearer","expires_in":300,"patient":"$VICTIM"})), refresh => 1, code => 'token-of-another-patient', says => qr/another patient/ },
    'token-refused'  => { token => sub { $_[0]->reply(400, '{"error":"invalid_grant","error_description":"SECRET <script>"}') }, refresh => 1, code => 'token-refused' },

    # A byte now and then: no page of it, and no end.
    'dribble' => { everything => sub { my ($r) = @_; $r->chunked(200); while (1) { $r->chunk(' '); sleep 0.3 } }, endless => 1 },

    # Whatever a reference to another member looks like, it never points at one of the target's.
    'others' => { everything => with(
            qq({"resourceType":"Patient","id":"$VICTIM"}),
            (map { qq({"resourceType":"Observation","id":"o$_->[0]","subject":$_->[1]}) }
                [1, qq({"reference":"Patient/$VICTIM"})], [2, qq({"reference":"Patient/$VICTIM","odd":1})], [3, qq([{"reference":"Patient/$VICTIM"}])],
                [4, qq({"reference":"Pati\\u0065nt\\/$VICTIM"})], [5, qq({"reference":"Patient/$VICTIM/_history/1"})], [6, qq({"x":{"reference":"Patient/$VICTIM"}})],
                [7, qq({"reference":"Patient/$VICTIM","identifier":{"value":"1"}})], [8, qq({"reference":"/Patient/$VICTIM"})], [9, qq({"reference":"./Patient/$VICTIM"})]),
            sub { observation($_[0], 'p1', qq(,"performer":[{"reference":"Patient/$VICTIM"}])) },
            sub { observation($_[0], 'p2', qq(,"performer":[{"reference":"Patient/$VICTIM","odd":1}])) },
            sub { observation($_[0], 'p3', qq(,"_subject":{"reference":"Patient/$VICTIM"})) },
            sub { observation($_[0], 'p4', qq(,"contained":[{"resourceType":"Observation","id":"c","subject":{"reference":"Patient/$VICTIM"}}])) },
        ), status => qr/^(?:COMPLETED|FAILED)$/ },
);

# These one after the other: time and memory are each one's own.
my %HEAVY = (
    'entry-70mb'   => { everything => streamed(sub { $_[0]->(',{"resource":{"resourceType":"Binary","id":"b","data":"'); $_[0]->('A' x $MB) for 1 .. 70; $_[0]->('"}}') }), code => 'too-large', says => qr/larger than/, mb => 260 },
    'bomb-string'  => { everything => bomb(200, '{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"resourceType":"Binary","id":"b","data":"', 'A'), code => 'too-large', mb => 260 },
    'bomb-refusal' => { everything => bomb(404, '', ' '), code => 'source-answered', says => qr/404/ },
    'endless-refusal' => { everything => sub { $_[0]->chunked(403); $_[0]->chunk('x' x $MB) for 1 .. 100_000 }, code => 'source-refuses', says => qr/403/ },
    'types-2000'   => { everything => with(map { my $n = $_; my $name = 'T' . join '', map { chr(97 + int($n / 26**$_) % 26) } 0 .. 2; qq({"resourceType":"$name","id":"x"}) } 1 .. 2000), code => 'resources-rejected' },
    'one-id-100000' => { everything => streamed(sub { my ($send, $case) = @_; my $o = ',{"resource":' . observation($case, 'same') . '}'; $send->($o x 1000) for 1 .. 100 }),
        status => 'COMPLETED', counts => { retrieved => 100_001, written => 2, duplicate => 99_999 } },
    'later-100000' => { everything => streamed(sub { my ($send, $case) = @_; $send->(',{"resource":' . observation($case, 'same', sprintf(',"meta":{"lastUpdated":"20%02d-01-01T00:%02d:%02d.%03dZ"}', 10, $_ / 60000, $_ / 1000 % 60, $_ % 1000)) . '}') for 1 .. 100_000 }),
        status => 'COMPLETED', counts => { retrieved => 100_001 } },
    'twice-20000'  => { everything => streamed(sub { my ($send, $case) = @_; for (1 .. 2) { $send->(',{"resource":' . observation($case, "o$_") . '}') for 1 .. 20_000 } }),
        status => 'COMPLETED', counts => { retrieved => 40_001, written => 20_001, duplicate => 20_000 } },
    'foreign-100000' => { everything => streamed(sub { my ($send) = @_; $send->(qq(,{"resource":{"resourceType":"Observation","id":"f$_","subject":{"reference":"Patient/$VICTIM"}}})) for 1 .. 100_000 }),
        status => 'COMPLETED', counts => { retrieved => 100_001, written => 1, skipped => 100_000 }, mb => 200, seconds => 60 },
    'refs-50000'   => { everything => streamed(sub { my ($send, $case) = @_; my $refs = refs(map { "Observation/s$_" } 1 .. 50_000); $send->(',{"resource":' . observation($case, "o$_", $refs) . '}') for 1 .. 10 }),
        status => 'COMPLETED', counts => { rejected => 0 }, mb => 200, seconds => 60 },
    'chain-100000' => { everything => streamed(sub { my ($send, $case) = @_; $send->(',{"resource":' . observation($case, "o$_", refs('Observation/o' . ($_ + 1))) . '}') for 1 .. 100_000 }),
        status => 'COMPLETED', counts => { rejected => 0 }, mb => 200, seconds => 90 },
    'circle-3000'  => { everything => streamed(sub { my ($send, $case) = @_; $send->(',{"resource":' . observation($case, "o$_", refs('Observation/o' . ($_ % 3000 + 1))) . '}') for 1 .. 3000 }),
        status => 'COMPLETED', counts => { written => 3001 } },
    'circle-50mb'  => { everything => streamed(sub { my ($send, $case) = @_; large($send, $case, "o$_", 'Observation/o' . ($_ % 50 + 1)) for 1 .. 50 }),
        status => 'COMPLETED', counts => { written => 51 }, mb => 48 },
    'waiting-600mb' => { everything => streamed(sub { my ($send, $case) = @_; large($send, $case, "o$_", 'Observation/o' . ($_ + 1)) for 1 .. 600 }),
        status => 'COMPLETED', counts => { rejected => 0 }, mb => 300, seconds => 60 },
    'refs-60mb'    => { everything => streamed(sub { my ($send, $case) = @_; my $refs = refs(map { "A/$_" } 1 .. 150_000); $send->(',{"resource":' . observation($case, "o$_", $refs) . '}') for 1 .. 20 }),
        status => 'COMPLETED', counts => { rejected => 0 }, mb => 360, seconds => 60 },
    'odd-200mb'    => { everything => streamed(sub { my ($send) = @_; for (1 .. 200) { $send->(',{"resource":{"resourceType":"Basic","id":"a b","x":"'); $send->('x' x $MB); $send->('"}}') } }),
        code => 'resources-rejected', counts => { retrieved => 201, rejected => 200, written => 1 } },
    'odd-100000'   => { everything => streamed(sub { my ($send) = @_; $send->(',{"resource":{"resourceType":"Basic"}}') for 1 .. 100_000 }),
        code => 'resources-rejected', counts => { retrieved => 100_001, rejected => 100_000, written => 1 } },
    'metadata-arrays' => { metadata => body('{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","x":[' . '[],' x 5_000_000 . '[]]}'), everything => with(), status => 'COMPLETED', mb => 100 },
);

sub answer {
    my ($r) = @_;
    my ($name, $rest) = $r->{path} =~ m{^/([a-z0-9-]+)/(.*)$}s;
    my $case = defined $name ? $LIGHT{$name} // $HEAVY{$name} : undef;
    return $r->reply(404, '{}') if !$case;
    return ($case->{metadata} // body(metadata()))->($r, $name) if $rest eq 'fhir/metadata';
    return ($case->{token} // body('{"access_token":"fresh","token_type":"Bearer"}'))->($r, $name) if $rest eq 'token';
    return $case->{everything}->($r, $name) if $rest =~ m{^fhir(?:/Patient/[^/]+/\$everything)?(?:\?|$)} || $rest =~ /everything/;
    return $r->reply(404, '{"resourceType":"OperationOutcome"}');
}

$server = P2P::Hostile->start(2, \&answer);
my $sandbox = P2P::Exchange::sandbox({ name => 'target', role => 'target' });

# ---- Running them ----

sub order {
    my ($x, $name, $case) = @_;
    my @token = $case->{refresh} ? ('', "SECRET-refresh-$name") : ("SECRET-access-$name");
    return $x->order($name, member($name), "target-$name", token => \@token);
}

sub check {
    my ($x, $name, $case, $job) = @_;
    my $status = $case->{status} // 'FAILED';
    if ($status eq 'FAILED') {
        my $code = ref $case->{code} ? $job->{error}{code} // '' : $case->{code};
        like($code, $case->{code}, "$name: code") or diag explain($job) if ref $case->{code};
        $x->ok_failed($job, $code, $case->{says} // qr/\w.*\w/, $name);
    } elsif ($case->{code}) {
        is($job->{error}{code}, $case->{code}, "$name: $case->{code}");
    } else {
        like($job->{batchStatus} // '', ref $status ? $status : qr/^$status$/, "$name: " . ($job->{batchStatus} // 'no job')) or diag explain($job);
        is(join("\n", P2P::Compare::account_faults($job)), '', "$name: the accounts balance");
    }
    for my $count (sort keys %{ $case->{counts} // {} }) {
        is($job->{progress}{$count}, $case->{counts}{$count}, "$name: $count") or diag explain($job);
    }
    return;
}

sub run_light {
    my ($x) = @_;
    my %orders = map { $_ => order($x, $_, $LIGHT{$_}) } sort keys %LIGHT;
    is(join(' ', grep { $orders{$_}{status} != 202 } sort keys %orders), '', 'all orders are taken');
    check($x, $_, $LIGHT{$_}, $x->wait($orders{$_}{path}, seconds => 60 * $SLOW)) for grep { !$LIGHT{$_}{endless} } sort keys %orders;
    return $orders{dribble};
}

sub proc_status { my ($pid, $name) = @_; return P2P::Httpd::read_file("/proc/$pid/status") =~ /^$name:\s+(\d+)/m ? $1 / 1024 : 0 }

sub run_heavy {
    my ($x, $name) = @_;
    my ($case, $pid, $begin) = ($HEAVY{$name}, $x->runner_pid, time);
    open my $clear, '>', "/proc/$pid/clear_refs" or die "/proc/$pid/clear_refs: $!\n";
    print {$clear} "5\n";
    close $clear or die "/proc/$pid/clear_refs: $!\n";
    my $before = proc_status($pid, 'VmRSS');
    my $job = $x->exchange($name, member($name), "target-$name", token => ["SECRET-access-$name"]);
    my ($took, $peak) = (time - $begin, proc_status($pid, 'VmHWM'));
    check($x, $name, $case, $job);
    diag sprintf '%-16s %5.1f s, %4d MB -> %4d MB, %s', $name, $took, $before, $peak, $job->{batchStatus} // '' if $ENV{P2P_VERBOSE};
    cmp_ok($took, '<', ($case->{seconds} // 30) * $SLOW, sprintf "%s: %.1f s", $name, $took);
    cmp_ok($peak - $before, '<', ($case->{mb} // 48) * $SLOW, sprintf "%s: %d MB more at most", $name, $peak - $before);
    is($x->runner_pid, $pid, "$name: the runner lives on");
    is($x->exchange('good', member('good'), 'target-good', token => ['SECRET-access-good'])->{batchStatus}, 'COMPLETED', "$name: the next job completes");
    return;
}

# ---- What has to hold in the end ----

# All texts of members called reference in a JSON tree.
sub references_in {
    my ($node) = @_;
    return map { references_in($_) } @$node if ref $node eq 'ARRAY';
    return () if ref $node ne 'HASH';
    return map { $_ eq 'reference' && !ref $node->{$_} ? $node->{$_} // () : references_in($node->{$_}) } keys %$node;
}

# The same of a text: a tree is only made where escapes are in it.
sub references {
    my ($text) = @_;
    return $text =~ /"reference":"([^"]*)"/g if index($text, '\\') < 0;
    return references_in(JSON::PP->new->utf8->decode($text =~ s/\\u[dD][89a-fA-F]..//gr));
}

sub test_target {
    my ($dump) = @_;
    is(join(' ', P2P::Compare::dangling($dump)), '', 'no reference dangles at the target');
    my (@strays, @mixed);
    for my $key (sort keys %$dump) {
        next if $key eq "Patient/$VICTIM" || $dump->{$key}{deleted};
        my $text = $dump->{$key}{text};
        my @refs = references($text);
        push @strays, "$key: $text" if grep { /\Q$VICTIM\E/ } @refs;
        my ($case) = $text =~ m{"source":"http://[^/"]+/([a-z0-9-]+)/fhir/} or next;
        push @mixed, $key if grep { m{^Patient/target-} && $_ ne "Patient/target-$case" } @refs;
    }
    is(join("\n", @strays), '', 'nothing at the target points at another member, however it was written');
    is(join(' ', @mixed), '', '... or at the member of another exchange');
    is($dump->{"Patient/$VICTIM"}{versions}, 1, "the other member's Patient was not touched");
    return;
}

sub test_requests {
    my @requests = $server->requests;
    my ($home, $away) = @{ $server->{ports} };
    cmp_ok(scalar @requests, '>', 100, 'the source was asked');
    is(join(' ', map { $_->{path} } grep { $_->{port} == $away } @requests), '', 'the other origin was never asked, with or without a token');
    my @odd = grep { $_->{path} !~ m{/token$} && $_->{authorization} !~ /^Bearer (?:SECRET-access-[a-z0-9-]+|fresh|t)$/ } @requests;
    is(join(' ', map { "$_->{method} $_->{path} $_->{authorization}" } @odd), '', 'every request carried the token of its own order');
    is(join(' ', map { "$_->{method} $_->{path}" } grep { $_->{method} ne 'GET' && $_->{path} !~ m{/token$} } @requests), '', 'the source was only read');
    is(join(' ', grep { /\r|\n| |\.\./ } map { $_->{path} } @requests), '', 'no path broke out of its line or climbed');
    return;
}

# It has sent a byte now and then all the time, and nothing waited for it. It is not over, or, after as many minutes as the others take on a
# slow machine, given up as one that stands still.
sub test_dribble {
    my ($x, $order) = @_;
    my $job = $x->job($order->{path});
    like(join(' ', $job->{batchStatus}, $job->{error}{code} // ()), qr/^(?:STARTED|FAILED stalled)$/, 'a source that dribbles keeps its own job, and only that');
    return;
}

my %cases = (%LIGHT, %HEAVY);
my @only = split / /, $ENV{P2P_CASES} // '';
push @only, qw(good dribble) if @only;
%LIGHT = map { $_ => $LIGHT{$_} } grep { my $n = $_; grep { $_ eq $n } @only } keys %LIGHT if @only;
%HEAVY = map { $_ => $HEAVY{$_} } grep { my $n = $_; grep { $_ eq $n } @only } keys %HEAVY if @only;

my $x = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => [sort keys %cases], directives => { P2PJobsPerRunner => 200, P2PMemory => '16M' },
    definitions => { map { $_ => { fhirEndpoint => $server->origin . "/$_/fhir", tokenEndpoint => $server->origin . "/$_/token" } } keys %cases });
$x->{httpd}->expect_log(qr/exchange|job|source|part|landing/i);
$x->add_target_patient($VICTIM);
my $dribble = run_light($x);
run_heavy($x, $_) for sort keys %HEAVY;
test_target($x->target_dump);
test_requests();
test_dribble($x, $dribble);
$x->ok_sealed('hostile sources');
my $took = $x->stop;
cmp_ok($took, '<', 5 * $SLOW, 'httpd and the runner end at once all the same');
done_testing;
