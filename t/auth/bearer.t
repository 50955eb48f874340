#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Bearer tokens at a real httpd: the right ones open what their scopes say, each wrong one is a 401 that tells what to do and costs next to nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Jwt qw(new_key jwk_set sign pack_token ALGORITHMS);
use Test::More;

my $dir    = tempdir('p2p-bearer-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $ISSUER = 'https://login.example';
my $AUD    = 'https://p2p.example';
my $rsa    = new_key('RS256', 'rsa');
my $large  = new_key('RS256', 'large', bits => 4096);
my %key    = ((map { $_ => { %$rsa, algorithm => $_ } } grep { /^[RP]S/ } ALGORITHMS), map { $_ => new_key($_, lc $_) } grep { /^ES/ } ALGORITHMS);
my $other  = new_key('RS256', 'rsa');    # somebody else's, of the same name
chmod 0755, $dir;
my $keys = P2P::Httpd::write_file("$dir/keys.json", jwk_set($rsa, $large, @key{qw(ES256 ES384 ES512)}));
my $payer = new_key('ES256', 'payer');   # a source payer's

sub claims {
    my (%claims) = @_;
    my %all = (iss => $ISSUER, aud => $AUD, sub => 'portal', client_id => 'the-portal', scope => 'openid p2p.portal', iat => time, exp => time + 600, %claims);
    delete $all{$_} for grep { !defined $all{$_} } keys %all;
    return \%all;
}

# A token with other claims (undef: without them), by default RS256.
sub token { my (%claims) = @_; return sign($rsa, claims(%claims)) }

my @DEFINITION = ({ name => 'A', issuer => 'https://payer-a.example', clientId => 'us', fhirEndpoint => 'https://payer-a.example/fhir', responseType => 'code',
    keyText => jwk_set($payer) });

sub start {
    my ($db, %opt) = @_;
    my @auth = ('<Location "/api">', 'AuthType Bearer', 'AuthName "the \"API\""', @{ $opt{require} }, 'AuthzSendForbiddenOnFailure On', '</Location>');
    my @main = ("P2PTrustIssuer $ISSUER/ keys=$keys audience=other,$AUD portal=p2p.portal,p2p.more administration=p2p.admin", 'LimitRequestFieldSize 65536',
        @{ $opt{main} // [] });
    my $httpd = P2P::Httpd->new(db => $db, main => \@main, vhost => \@auth, directives => { LogLevel => 'warn p2p:debug' });
    return $httpd->prepare(\@DEFINITION)->start;
}

sub with_token { my ($api, $token, $path) = @_; return $api->get($path // '/api/oidc_servers', Authorization => "Bearer $token") }

sub ok_in { my ($api, $name, $token) = @_; my $answer = with_token($api, $token); is($answer->{status}, 200, "$name: let in") or diag explain($answer); return }

my $CHALLENGE = qr/^Bearer realm="the \\"API\\""/;

sub ok_refused {
    my ($api, $name, $token, $sentence) = @_;
    my $answer = with_token($api, $token);
    is($answer->{status}, 401, "$name: 401") or diag explain($answer);
    like($answer->{headers}{'www-authenticate'} // '', qr/$CHALLENGE, error="invalid_token", error_description="[ -!#-\[\]-~]*\."$/, '... invalid_token');
    is($answer->{json}{code}, 'invalid-token', '... and a problem document');
    like($answer->{json}{detail}, $sentence, '... that says why');
    return;
}

# Signature checks that the log tells of, since the last call.
sub checks {
    my ($httpd) = @_;
    my $log = $httpd->log_text;
    my $new = substr $log, $httpd->{seen} // 0;
    $httpd->{seen} = length $log;
    return [$new =~ /a bearer token took (\d+) signature checks/g];
}

# ---- What is let in ----

sub test_good {
    my ($httpd, $api) = @_;
    ok_in($api, $_, sign($key{$_}, claims())) for ALGORITHMS;
    ok_in($api, 'a key of 4096 bits', sign($large, claims()));
    ok_in($api, 'a key without a name, found among several', sign($rsa, claims(), header => { kid => undef }));
    ok_in($api, $_->[0], token(@$_[1 .. $#$_])) for ['several audiences', aud => ['x', $AUD]], ['the other audience', aud => 'other'],
        ['the issuer with a slash', iss => "$ISSUER/"], ['the other scope', scope => 'p2p.more'], ['scopes as scp', scope => undef, scp => ['p2p.portal']],
        ['an administrator', scope => 'p2p.admin'], ['a little too early', nbf => time + 10], ['a little too late', exp => time - 10],
        ['without type', iat => undef];
    ok_in($api, 'no type in the header', sign($rsa, claims(), header => { typ => undef }));
    my $plain = $api->get('/api/oidc_servers', Authorization => 'bEARER   ' . token());
    is($plain->{status}, 200, 'the scheme in any case, and blanks');
    is($api->get('/api/oidc_servers')->{status}, 401, 'the next request needs a token of its own');
    return;
}

# ---- What is not ----

sub test_hostile {
    my ($httpd, $api) = @_;
    my $good = token();
    my ($head, $body, $signature) = split /\./, $good;
    my $public = P2P::Jwt::run("openssl pkey -in $rsa->{pem} -pubout");
    my %case = (
        'expired'                 => [token(exp => time - 3600), qr/expired|end/i],
        'without an end'          => [token(exp => undef), qr/./],
        'an end that is a text'   => [token(exp => 'tomorrow'), qr/./],
        'not yet valid'           => [token(nbf => time + 3600), qr/yet|later/i],
        'for somebody else'       => [token(aud => 'https://other.example'), qr/audience|aud/i],
        'for nobody'              => [token(aud => undef), qr/audience|aud/i],
        'of another issuer'       => [token(iss => 'https://evil.example'), qr/issuer is not trusted/],
        'of no issuer'            => [token(iss => undef), qr/issuer is not trusted/],
        'of an issuer like ours'  => [token(iss => "$ISSUER.evil.example"), qr/issuer is not trusted/],
        'of a definition'         => [sign($payer, claims(iss => 'https://payer-a.example')), qr/issuer is not trusted/],
        'a definition as our issuer' => [sign($payer, claims()), qr/key/],
        'signed by another'       => [sign($other, claims()), qr/signature/i],
        'alg none'                => [pack_token({ alg => 'none', typ => 'JWT' }, claims(), ''), qr/./],
        'alg None and a signature' => [pack_token({ alg => 'None', typ => 'JWT', kid => 'rsa' }, claims(), 'x' x 256), qr/./],
        'no alg'                  => [sign($rsa, claims(), header => { alg => undef }), qr/./],
        'HMAC with the public key' => [sign($rsa, claims(), algorithm => 'HS256', hmac => $public), qr/./],
        'HMAC with the JWK set'   => [sign($rsa, claims(), algorithm => 'HS256', hmac => P2P::Httpd::read_file($keys)), qr/./],
        'ES256 by an RSA key'     => [sign($rsa, claims(), header => { alg => 'ES256' }), qr/./],
        'ES384 by a P-256 key'    => [sign($key{ES256}, claims(), header => { alg => 'ES384' }), qr/./],
        'an unknown kid'          => [sign($rsa, claims(), header => { kid => 'unknown' }), qr/key/],
        'a critical header'       => [sign($rsa, claims(), header => { crit => ['b64'], b64 => JSON::PP::true() }), qr/./],
        'a key of its own'        => [sign($other, claims(), header => { jwk => $other->{jwk}, kid => undef }), qr/./],
        'without its signature'   => ["$head.$body.", qr/./],
        'without its last letter' => [substr($good, 0, -1), qr/./],
        'with one letter more'    => ["${good}A", qr/./],
        'two parts'               => ["$head.$body", qr/./],
        'four parts'              => ["$good.$signature", qr/./],
        'the body of another'     => [join('.', $head, (split /\./, token(scope => 'p2p.admin'))[1], $signature), qr/signature/i],
        'a body that is no JSON'  => [sign($rsa, '{"iss":'), qr/./],
        'a body that is a list'   => [sign($rsa, '[1]'), qr/./],
        'claims twice'            => [sign($rsa, qq({"iss":"https://evil.example","iss":"$ISSUER"})), qr/./],
        'a token of 17 KiB'       => [token(more => 'x' x 13_000), qr/16 KiB|long/],
        'a token of 40 KiB'       => ['A' x 40_000, qr/16 KiB|long/],
        'opaque'                  => ['2YotnFZFEjr1zCsicMWpAA', qr/not a signed one/],
        'dots'                    => ['..', qr/./],
        'a patient that is none'  => [token(patient => ['1']), qr/patient/],
        'a patient with a query'  => [token(patient => '1?x'), qr/patient/],
        'an empty patient'        => [token(patient => ''), qr/patient/],
        'a patient null'          => [sign($rsa, JSON::PP->new->encode(claims(patient => 'NULL')) =~ s/"NULL"/null/r), qr/patient/],
        'a client of 300 letters' => [token(client_id => 'x' x 300), qr/client.id/],
        'a client with a line break' => [token(client_id => "a\nb"), qr/client.id/],
    );
    checks($httpd);
    for my $name (sort keys %case) {
        my ($token, $sentence) = @{ $case{$name} };
        ok_refused($api, $name, $token, $sentence);
        my $checks = checks($httpd);
        is(scalar(grep { $_ > 2 } @$checks), 0, '... for two signature checks at most');
        ok_refused($api, "$name again", $token, $sentence);
        is(scalar @{ checks($httpd) }, 0, '... for none');
    }
    ok_in($api, 'a right one, after all that', $good);
    return;
}

sub test_forms {
    my ($httpd, $api) = @_;
    my $good = token();
    my $none = $api->get('/api/oidc_servers');
    is($none->{status}, 401, 'no token: 401');
    like($none->{headers}{'www-authenticate'}, qr/$CHALLENGE$/, '... and no error');
    is($none->{json}{code}, 'unauthorized', '... a problem document');
    is($api->get("/api/oidc_servers?access_token=$good")->{status}, 401, 'not in the query');
    my $form = $api->request('POST', '/api/oidc_servers', content => "access_token=$good", headers => { 'Content-Type' => 'application/x-www-form-urlencoded' });
    is($form->{status}, 401, 'not in a form');
    is($api->get('/api/oidc_servers', Authorization => "Basic $good")->{status}, 401, 'not as Basic');
    is($api->get('/api/oidc_servers', Authorization => "Bearers $good")->{status}, 401, 'another scheme');
    for my $header ('Bearer', 'Bearer ', "Bearer $good $good", "Bearer \"$good\"", "Bearer $good;", "Bearer ====") {
        my $answer = $api->get('/api/oidc_servers', Authorization => $header);
        is($answer->{status}, 401, 'no token: ' . substr($header, 0, 20)) or diag $header;
        like($answer->{headers}{'www-authenticate'} // '', qr/$CHALLENGE, error="invalid_token"/, '... invalid_token');
        is($answer->{json}{code}, 'invalid-token', '... a problem document');
    }
    my $two = $api->get('/api/oidc_servers', Authorization => "Bearer $good, Bearer $good");
    is($two->{status}, 400, 'two tokens: 400');
    like($two->{headers}{'www-authenticate'} // '', qr/$CHALLENGE, error="invalid_request"/, '... invalid_request');
    is($two->{json}{code}, 'invalid-request', '... a problem document');
    my $raw = $api->raw("GET /api/oidc_servers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $good\r\nAuthorization: Bearer $good\r\nConnection: close\r\n\r\n");
    like($raw, qr{^HTTP/1\.1 400 }, 'two headers: 400');
    my $odd = $api->raw("GET /api/oidc_servers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $good\xE4\r\nConnection: close\r\n\r\n");
    like($odd, qr{^HTTP/1\.1 401 .*^WWW-Authenticate: Bearer realm="[^\n]+error="invalid_token"}ms, 'a byte that no token has: 401');
    my $cut = $api->get('/api/oidc_servers', Authorization => 'Bearer ' . 'A' x 70_000);
    is($cut->{status}, 401, 'longer than httpd takes: 401');
    like($cut->{headers}{'www-authenticate'} // '', qr/^Bearer realm="[^"]+", error="invalid_token"/, '... invalid_token');
    is($cut->{json}{code}, 'invalid-token', '... a problem document');
    return;
}

sub test_scopes {
    my ($httpd, $api) = @_;
    my $answer = with_token($api, token(scope => 'openid profile'));
    is($answer->{status}, 403, 'no scope of ours: 403');
    like($answer->{headers}{'www-authenticate'}, qr/$CHALLENGE, error="insufficient_scope", .*scope="p2p\.portal p2p\.more"$/, '... and which would do');
    is($answer->{json}{code}, 'insufficient-scope', '... a problem document');
    is(with_token($api, token(scope => 'xp2p.portal p2p.portalx'))->{status}, 403, 'a scope like ours');
    is(with_token($api, token(scope => undef))->{status}, 403, 'no scope at all');
    return;
}

# What was found out is kept, but no longer than the token lives.
sub test_cache {
    my ($httpd, $api) = @_;
    checks($httpd);
    my $token = token(jti => 'cache');
    ok_in($api, "a token, $_", $token) for 1 .. 3;
    is(scalar @{ checks($httpd) }, 1, 'one signature check');
    my $short = token(exp => time - 28);
    $httpd->wait_for(sub { with_token($api, $short)->{status} == 401 });
    is(with_token($api, $short)->{status}, 401, 'a token that ends is refused then');
    my $log = $httpd->log_text;
    unlike($log, qr/\Q@{[(split m{\.}, $token)[2]]}\E/, 'no token in the log');
    return;
}

# A token that is limited to one member opens nothing of another; jobs belong to CLIENT_ID@ISSUER.
sub test_limited {
    my ($httpd, $api, $db) = @_;
    my $at = '/api/oidc_servers/1/batch_job';
    my $order = sub {
        my ($token, $member) = @_;
        my $content = { sourcePayer => { oidcToken => 'ACCESS', patientId => 'p1' }, targetPayer => { patientId => $member, organizationId => 'us' } };
        return $api->post($at, $content, Authorization => "Bearer $token");
    };
    my $one = token(patient => 'member-1');
    is($order->($one, 'member-2')->{status}, 403, "another member's order");
    my $made = $order->($one, 'member-1');
    is($made->{status}, 202, "the member's own") or diag $made->{content};
    my $path = "$at/" . ($made->{json}{batchJobId} // 0);
    is(run_sql($db, 'SELECT client FROM p2p_job'), "the-portal\@$ISSUER", '... is of the client');
    my %sees = (200 => [$one, token(patient => 'Patient/member-1'), token(), token(scope => 'p2p.admin')],
        404 => [token(patient => 'member-2'), token(client_id => 'other')]);
    for my $status (sort keys %sees) {
        is(with_token($api, $_, $path)->{status}, $status, "... $status") for @{ $sees{$status} };
    }
    is_deeply(with_token($api, token(patient => 'member-2'), $at)->{json}{jobs}, [], '... and no list of another member has it');
    is($api->request('DELETE', $path, headers => { Authorization => 'Bearer ' . token(patient => 'member-2') })->{status}, 404, '... nor can it be stopped by one');
    return;
}

sub test_log {
    my ($httpd, $api) = @_;
    my $log = $httpd->log_text;
    like($log, qr/\[p2p:notice\].*client 127\.0\.0\.1.*the caller's token is refused: token-[a-z-]+, of \Q$ISSUER\E$/m, 'a refusal is in the log');
    unlike($log, qr/evil\.example/, '... without issuers that are not ours');
    with_token($api, "a.b.$_") for 1 .. 60;
    my $lines = () = $httpd->log_text =~ /token is refused/g;
    cmp_ok($lines, '<', 200, 'a flood does not fill the log');
    return;
}

each_database('bearer tokens' => sub {
    my ($db) = @_;
    my $by_httpd = $db->{driver} eq 'sqlite3';    # or by the table of routes
    my $httpd = start($db, require => [$by_httpd ? 'Require p2p-role portal' : 'Require valid-user']);
    $httpd->expect_log(qr/AH01631: user the-portal\@/) if $by_httpd;
    my $api = P2P::Api->new($httpd->url);
    is($api->get('/health')->{status}, 200, 'health is open');
    test_good($httpd, $api);
    test_forms($httpd, $api);
    test_scopes($httpd, $api);
    test_limited($httpd, $api, $db);
    test_hostile($httpd, $api);
    test_cache($httpd, $api);
    test_log($httpd, $api);
    $httpd->stop;
});
done_testing;
