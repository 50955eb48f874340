#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Introspection endpoints that are slow, broken or lying: each ends in a 503 in time, none gets to tie up httpd, and nothing secret is told to anybody
# but the endpoint.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use P2P::Api;
use P2P::Databases;
use P2P::Hostile;
use P2P::Httpd;
use P2P::Jwt qw(new_key jwk_set sign);
use Test::More;
use Time::HiRes qw(sleep);

my $dir = tempdir('p2p-introspection-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $key    = new_key('ES256', 'key');
my $keys   = P2P::Httpd::write_file("$dir/keys.json", jwk_set($key));
my $client = P2P::Httpd::write_file("$dir/client.json", '{"clientId":"us:and me","clientSecret":"S3CR3T%+&\u00fc"}', 0600);
my $json   = 'Content-Type: application/json';
my $good   = JSON::PP->new->canonical->encode({ active => JSON::PP::true, client_id => 'portal', scope => 'portal', aud => 'p2p', exp => time + 3600 });
my $away   = qr/introspection-away/;

# What each kind of token makes the endpoint do: KIND.NUMBER, so that none is known from before.
my %deed = (
    good      => sub { $_[0]->reply(200, $good, $json) },
    chunks    => sub { $_[0]->chunked(200); $_[0]->chunk($_) for split //, $good; $_[0]->chunk('') },
    hang      => sub { sleep 30 },
    dribble   => sub { $_[0]->raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"); for (1 .. 300) { $_[0]->raw(' '); sleep 0.1 } },
    huge      => sub { $_[0]->reply(200, $good . ' ' x 70_000, $json) },
    endless   => sub { $_[0]->chunked(200); $_[0]->chunk('[' x 10_000) for 1 .. 1000 },
    heads     => sub { $_[0]->raw("HTTP/1.1 200 OK\r\n"); $_[0]->raw("X-Field: " . 'x' x 1000 . "\r\n") for 1 .. 10_000 },
    redirect  => sub { $_[0]->reply(307, '', 'Location: ' . $_[0]{server}->origin(1) . '/elsewhere') },
    text      => sub { $_[0]->reply(200, 'active', 'Content-Type: text/html') },
    list      => sub { $_[0]->reply(200, "[$good]", $json) },
    cut       => sub { $_[0]->reply(200, substr($good, 0, -1), $json) },
    short     => sub { $_[0]->raw("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n$good"); close $_[0]{client}; POSIX::_exit(0) },
    twice     => sub { $_[0]->reply(200, '{"active":false,' . substr($good, 1), $json) },
    nothing   => sub { $_[0]->reply(204, '') },
    zipped    => sub { my @all = ($good); $_[0]->gzipped(200, sub { shift @all }) },
    error     => sub { $_[0]->reply(500, $good, $json) },
    limited   => sub { $_[0]->reply(429, '{}', $json) },
    closed    => sub { close $_[0]{client}; POSIX::_exit(0) },
    garbage   => sub { $_[0]->raw("\0\1\2\3" x 100) },
    client    => sub { $_[0]->reply(401, '{"error":"invalid_client"}', $json) },
    forbidden => sub { $_[0]->reply(403, '{}', $json) },
);

my $endpoint = P2P::Hostile->start(2, sub {
    my ($request) = @_;
    my ($kind) = $request->{body} =~ /(?:^|&)token=(\w+)/;
    return ($deed{$kind // ''} // sub { $_[0]->reply(404, '') })->($request);
});

my $number = 0;
sub fresh { my ($kind) = @_; return "$kind." . ++$number . '-_~+/=' }
sub asked { my ($kind) = @_; return scalar grep { $_->{body} =~ /^token=\Q$kind\E\./ } $endpoint->requests }
sub signed { return sign($key, { iss => 'https://keys.example', aud => 'p2p', client_id => 'signed', scope => 'portal', exp => time + 600, jti => rand }) }

# An httpd of one child, so that there is one breaker.
sub start {
    my ($db, $url, %opt) = @_;
    my $httpd = P2P::Httpd->new(db => $db, directives => { P2PCAFile => $opt{ca} },
        main => ['MaxRequestWorkers 16', "P2PTrustIssuer https://keys.example keys=$keys audience=p2p portal=portal",
            "P2PTrustIssuer https://asked.example introspection=$url client=$client audience=p2p portal=portal"],
        vhost => ['<Location "/">', 'AuthType Bearer', 'AuthName p2p', 'Require valid-user', '</Location>']);
    $httpd->prepare->start;
    $httpd->wait_for(sub { $httpd->answers });
    $httpd->{api} = P2P::Api->new($httpd->url);
    return $httpd;
}

sub get { my ($httpd, $token) = @_; return $httpd->{api}->get('/api/oidc_servers', Authorization => "Bearer $token") }

sub is_away {
    my ($answer, $name) = @_;
    is($answer->{status}, 503, "$name: 503") or diag explain($answer);
    is($answer->{json}{code}, 'introspection-away', '... introspection-away');
    ok($answer->{headers}{'retry-after'}, '... with Retry-After');
    return;
}

# Good answers in between keep the breaker closed.
sub test_bad_answers {
    my ($httpd) = @_;
    is(get($httpd, fresh($_))->{status}, 200, "$_: let in") for 'good', 'chunks';
    for my $kind (sort grep { !/^(?:good|chunks|client|forbidden)$/ } keys %deed) {
        is_away(get($httpd, fresh($kind)), $kind);
        cmp_ok(asked($kind), '<=', $kind eq 'closed' ? 2 : 1, '... after one question'); # a kept connection that is closed says nothing
        is(get($httpd, fresh('good'))->{status}, 200, '... and the next is let in');
    }
    is(scalar(grep { $_->{path} ne '/ask?a=b' } $endpoint->requests), 0, 'no redirect was followed');
    return;
}

# It answers, so it is not left alone; what is wrong is between it and us.
sub test_refused {
    my ($httpd) = @_;
    for my $kind ('client', 'forbidden') {
        is_away(get($httpd, fresh($kind)), "$kind $_") for 1 .. 4;
        is(asked($kind), 4, '... each time anew');
    }
    is(get($httpd, fresh('good'))->{status}, 200, '... and the next is let in');
    my @told = $httpd->log_text =~ /(refuses our client id and secret)/g;
    is(scalar @told, 1, 'the log tells it once a minute');
    return;
}

sub test_question {
    my ($httpd) = @_;
    my ($first) = grep { $_->{body} =~ /^token=good/ } $endpoint->requests;
    is($first->{method}, 'POST', 'a question is a POST');
    like($first->{body}, qr/^token=good\.\d+-_~%2B%2F%3D&token_type_hint=access_token$/, '... with the token and what it is');
    is(decode_base64($first->{authorization} =~ s/^Basic //r), 'us%3Aand%20me:S3CR3T%25%2B%26%C3%BC', '... by us, form-urlencoded in Basic');
    return;
}

# Sends a request and leaves it at that.
sub send_only {
    my ($httpd, $token) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $httpd->port, Timeout => 10) or die "httpd: $!\n";
    $socket->syswrite("GET /api/oidc_servers HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer $token\r\n\r\n");
    return $socket;
}

# More callers than httpd has threads, of an issuer that does not answer: a few wait for it, the others and all those of other issuers do not.
sub test_flood {
    my ($httpd) = @_;
    my @callers = map { send_only($httpd, fresh('hang')) } 1 .. 40;
    ok($httpd->wait_for(sub { asked('hang') > 1 }), 'callers wait for an issuer');
    is(get($httpd, signed())->{status}, 200, "a signed token is let in meanwhile ($_)") for 1 .. 5;
    my @statuses = map { my $socket = $_; local $/; (<$socket> // '') =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'none' } @callers;
    is(join(' ', grep { $_ ne 503 } @statuses), '', 'each of the others is a 503 in the end');
    my $asked = asked('hang') - 1; # one of test_bad_answers
    cmp_ok($asked, '<=', 6, "the issuer was asked by a few at a time ($asked), then left alone");

    my $before = asked('good');
    is_away(get($httpd, fresh('good')), 'while it is left alone');
    is(asked('good'), $before, '... it is not asked');
    like($httpd->log_text, qr/\/ask cannot be asked: Timeout was reached; it is left alone for a while/, '... which the log tells');
    is(get($httpd, signed())->{status}, 200, '... and others are let in');
    ok($httpd->wait_for(sub { get($httpd, fresh('good'))->{status} == 200 }, 60), 'then it is asked again');
    is(get($httpd, fresh('good'))->{status}, 200, '... as before');
    return;
}

sub test_endpoint {
    my ($db) = @_;
    my $httpd = start($db, $endpoint->origin . '/ask?a=b');
    $httpd->expect_log(qr/the introspection endpoint http:\/\/127\.0\.0\.1:\d+\/ask (?:answered|cannot be asked|refuses)/,
        qr/AH00484: server reached MaxRequestWorkers/);
    test_bad_answers($httpd);
    test_question($httpd);
    test_refused($httpd);
    test_flood($httpd);
    my $log = $httpd->log_text;
    unlike($log, qr/S3CR3T|us%3A|a=b/, 'no secret and no query in the log');
    unlike($log, qr/\b$_\.\d+-/, "... and no token ($_)") for sort keys %deed;
    $httpd->stop;
    return;
}

# Another httpd as the endpoint, which knows of no /ask: its 404 is heard only where its certificate is trusted.
sub test_tls {
    my $other = P2P::Httpd->new(db => P2P::Databases::sqlite(), tls => 1)->prepare->start;
    $other->expect_log(qr/AH01906|AH01873/);
    $other->wait_for(sub { $other->answers });
    for my $case ([undef, qr/cannot be asked: SSL/], ["$other->{dir}/tls.pem", qr/answered with the status 404/]) {
        my ($ca, $said) = @$case;
        my $httpd = start(P2P::Databases::sqlite(), $other->url . '/ask', ca => $ca);
        $httpd->expect_log(qr/the introspection endpoint https:\S+ $said/);
        is_away(get($httpd, fresh('good')), $ca ? 'a certificate that P2PCAFile trusts' : 'one that nobody trusts');
        like($httpd->log_text, $said, '... which the log tells');
        $httpd->stop;
    }
    $other->stop;
    return;
}

test_tls();
test_endpoint(P2P::Databases::sqlite());
$endpoint->stop;
done_testing;
