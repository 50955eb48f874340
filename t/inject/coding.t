#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Provenance in compressed answers: gzip from the server behind, gzip for the client, both or neither, with mod_deflate and without; and what
# filters of an administrator do beside it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Compress::Zlib qw(memGzip memGunzip);
use P2P::Inject;
use Test::More;

my $NOISE = join ',', map { sprintf '{"text":"%08x"}', $_ * 2_654_435_761 % 4_294_967_296 } 1 .. 5000;    # gzip does not get it into one piece
my $TEXT = '{"resourceType":"Bundle","type":"searchset","entry":[{"fullUrl":"https://payer.example/fhir/Observation/1","resource":'
    . qq({"resourceType":"Observation","id":"1","note":[$NOISE]}}]});

# /fhir/Patient/CODING-KIND/$everything: gzip only where it may, or always; a Bundle, or something else.
sub answer {
    my ($r) = @_;
    P2P::Inject::note_request($r);
    my ($coding, $kind) = $r->{path} =~ m{/Patient/(\w+)-(\w+)};
    my $may = ($r->{headers}{'accept-encoding'} // '') =~ /gzip/;
    my $text = $kind eq 'other' ? $TEXT =~ s/searchset/collection/r : $TEXT;
    my @fields = ('ETag: "3"', 'Vary: Accept-Encoding');
    if ($coding eq 'plain' || $coding eq 'polite' && !$may) { $r->reply(200, $text, @fields) }
    elsif ($coding eq 'twice') { $r->reply(200, memGzip(memGzip($text)), @fields, 'Content-Encoding: gzip', 'Content-Encoding: gzip') }
    elsif ($coding eq 'brotli') { $r->reply(200, "\x1b\x00nobody-reads-this", @fields, 'Content-Encoding: br') }
    elsif ($coding eq 'cut') {
        my $zip = memGzip($text);
        $r->raw(join "\r\n", 'HTTP/1.1 200 OK', 'Content-Type: application/fhir+json', 'Content-Encoding: gzip', 'Connection: close', '', substr $zip, 0, 9000);
        POSIX::_exit(0);
    } elsif ($coding eq 'bomb') {
        $r->reply(200, memGzip(substr($text, 0, -3) . ',"x":"' . 'x' x 20_000_000 . '"}}]}'), @fields, 'Content-Encoding: gzip');
    } else { $r->reply(200, memGzip($text), @fields, 'Content-Encoding: gzip') }
    return;
}

sub decoded {
    my ($answer) = @_;
    return ($answer->{headers}{'content-encoding'} // '') eq 'gzip' ? memGunzip(my $copy = $answer->{content}) // '' : $answer->{content};
}

sub try_one {
    my ($httpd, $case, $accepted, $coding, $name) = @_;
    my $answer = $httpd->get("/fhir/Patient/$case-bundle/\$everything", defined $accepted ? ('Accept-Encoding' => $accepted) : ());
    my ($rest, @added) = P2P::Inject::without_injected(decoded($answer));
    subtest "$name: $case, client takes " . ($accepted // 'nothing said') => sub {
        is($answer->{status}, 200, 'is answered');
        is($answer->{headers}{'content-encoding'}, $coding, 'its coding');
        is(scalar @added, 1, 'has Provenance');
        ok($rest eq $TEXT, 'all other bytes are the same');
        ok(!$answer->{headers}{etag}, 'has no ETag');
        is($answer->{headers}{'content-length'} // length $answer->{content}, length $answer->{content}, 'its length, if told');
        like(ref $answer->{headers}{vary} ? "@{ $answer->{headers}{vary} }" : $answer->{headers}{vary} // '', qr/Accept-Encoding/, 'Vary tells that codings differ');
    };
    return ($httpd->seen)[-1]{headers}{'accept-encoding'};
}

# ---- With mod_deflate ----

my $httpd = P2P::Inject->new(handler => \&answer, modules => ['deflate'])->start;
is(try_one($httpd, 'plain', undef, undef, 'mod_deflate'), 'identity', '... the server behind is asked for what the client takes');
is(try_one($httpd, 'plain', 'gzip', undef, 'mod_deflate'), 'gzip', '... and for gzip');
is(try_one($httpd, 'polite', 'br;q=1.0, gzip;q=0.8, *;q=0.1', 'gzip', 'mod_deflate'), 'gzip', '... for that alone');
is(try_one($httpd, 'polite', 'br, gzip;q=0', undef, 'mod_deflate'), 'identity', '... not where the client refuses it');
is(try_one($httpd, 'polite', 'br', undef, 'mod_deflate'), 'identity', '... not for what cannot be undone');
try_one($httpd, 'always', undef, undef, 'mod_deflate');
try_one($httpd, 'always', 'gzip', 'gzip', 'mod_deflate');

my $other = $httpd->get('/fhir/Patient/always-other/$everything', 'Accept-Encoding' => 'gzip');
ok(decoded($other) eq $TEXT =~ s/searchset/collection/r, 'a compressed Bundle of another type has the same bytes once decoded');
my $twice = $httpd->get('/fhir/Patient/twice-bundle/$everything');
ok((memGunzip(memGunzip($twice->{content}) // "") // "") eq $TEXT, 'what was compressed twice passes as it is');
my $brotli = $httpd->get('/fhir/Patient/brotli-bundle/$everything', 'Accept-Encoding' => 'br');
is($brotli->{content}, "\x1b\x00nobody-reads-this", 'a coding that nobody asked for passes');
is($brotli->{headers}{'content-encoding'}, 'br', '... as such');
is($brotli->{headers}{etag}, '"3"', '... with its ETag');
my $head = $httpd->ask('HEAD', '/fhir/Patient/polite-bundle/$everything', headers => { 'Accept-Encoding' => 'gzip' });
is($head->{status}, 200, 'HEAD of a compressed answer');
ok(!$head->{headers}{'content-length'} && !$head->{headers}{etag}, '... tells no length and no ETag');
my $cut = $httpd->get('/fhir/Patient/cut-bundle/$everything');
unlike($cut->{content}, qr/"Provenance"/, 'nothing is added to an answer that ends in the middle of its gzip');
is($cut->{status}, 599, '... whose end is none for the client either');
is($httpd->get('/fhir/Patient/bomb-bundle/$everything', defined $_ ? ('Accept-Encoding' => $_) : ())->{status}, 599, 'a bomb ends broken') for undef, 'gzip';
$httpd->expect_log(qr/\[deflate:\w+\]/);
$httpd->stop;

# ---- With filters of an administrator ----

$httpd = P2P::Inject->new(handler => \&answer, modules => [qw(deflate filter)],
    vhost => ['AddOutputFilterByType DEFLATE application/fhir+json application/json'])->start;
try_one($httpd, $_, 'gzip', 'gzip', 'AddOutputFilterByType DEFLATE') for qw(plain always);
try_one($httpd, 'plain', undef, undef, 'AddOutputFilterByType DEFLATE');
$httpd->stop;
$httpd = P2P::Inject->new(handler => \&answer, modules => [qw(deflate substitute)],
    vhost => ['SetOutputFilter SUBSTITUTE;DEFLATE', 'Substitute "s|payer.example|changed.example|n"', 'SubstituteMaxLineLength 10m'])->start;
my $changed = decoded($httpd->get('/fhir/Patient/always-bundle/$everything', 'Accept-Encoding' => 'gzip'));
is(scalar(() = $changed =~ /changed\.example/g), 2, 'filters of an administrator see what was added');
unlike($changed, qr/payer\.example/, '... and all else');
$httpd->stop;

# ---- Without ----

$httpd = P2P::Inject->new(handler => \&answer)->start;
is(try_one($httpd, 'polite', 'gzip, br', undef, 'no mod_deflate'), 'identity', '... the server behind is asked not to compress');
my $zipped = $httpd->get('/fhir/Patient/always-bundle/$everything', 'Accept-Encoding' => 'gzip');
ok(decoded($zipped) eq $TEXT, 'what cannot be undone passes');
is($zipped->{headers}{etag}, '"3"', '... with its ETag');
$httpd->stop;
done_testing();
