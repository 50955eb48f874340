#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Where people sign in (P2PSignIn): a runner reads the issuer's document, whatever its tokens are verified by, and the pages are told; nothing that
# stands in that document gets further than it may, and pages need neither it nor the database.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Issuer;
use P2P::Jwt qw(new_key jwk_set);
use Test::More;

my $dir = tempdir('p2p-sign-in-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $set    = jwk_set(new_key('ES256', 'one'));
my $keys   = P2P::Httpd::write_file("$dir/keys.json", $set);
my $secret = P2P::Httpd::write_file("$dir/secret.key", P2P::Httpd::new_key(), 0600);
my $client = P2P::Httpd::write_file("$dir/client.json", '{"clientId":"us","clientSecret":"THE-SECRET"}', 0600);
my $document = P2P::Httpd::read_file(P2P::Httpd::builddir() . '/pages/openapi.json');

# how: what stands behind the issuer in P2PTrustIssuer.
sub httpd {
    my ($db, $issuer, $how, %opt) = @_;
    return P2P::Httpd->new(db => $db, users => { admin => 'secret' }, directives => { P2PRunners => $opt{runners} // 1, P2PSecretKeyFile => $secret },
        main => ["P2PTrustIssuer $issuer $how audience=p2p administration=p2p.admin",
            $opt{nobody} ? () : qq(P2PSignIn $issuer/ "the \\"client\\"" openid p2p.admin)]);
}

sub api { my ($httpd) = @_; return P2P::Api->new($httpd->url) }
sub policy { my ($api, $path) = @_; return $api->get($path)->{headers}{'content-security-policy'} =~ /connect-src ([^;]*);/ ? $1 : '' }
sub sign_in { my ($api) = @_; return $api->get('/console/sign-in.json')->{json}{signIn} }

sub becomes_known {
    my ($httpd, $name) = @_;
    my $known = $httpd->wait_for(sub { sign_in(api($httpd)) }, 40);
    ok($known, $name) or diag $httpd->log_text;
    return $known;
}

sub is_known {
    my ($httpd, $issuer, $name) = @_;
    is_deeply(becomes_known($httpd, $name), { issuer => $issuer, clientId => 'the "client"', scopes => 'openid p2p.admin',
        authorizationEndpoint => "$issuer/authorize", tokenEndpoint => "$issuer/token", namesIssuer => JSON::PP::false }, '... all that a page needs');
    my $api = api($httpd);
    is(policy($api, $_), "'self' $issuer", "... and $_ may call the token endpoint's origin, and no other") for '/', '/console/';
    is(policy($api, '/console/nowhere'), '', '... a problem may not');
    return;
}

sub is_unknown {
    my ($api, $name) = @_;
    my $answer = $api->get('/console/sign-in.json');
    is_deeply([$answer->{status}, $answer->{content}, $answer->{headers}{'cache-control'}], [200, '{"signIn":null}', 'no-store'], "$name: nobody signs in");
    is(policy($api, $_), "'self'", "... and $_ calls nobody else") for '/', '/console/';
    my $openapi = $api->get('/openapi.json');
    ok($openapi->{content} eq $document, '... and the document is as it was installed');
    return;
}

# The document has one more scheme, each operation that takes a token takes it so, and nothing else is different.
sub test_document {
    my ($api, $issuer) = @_;
    my $answer = $api->get('/openapi.json');
    my $scheme = $answer->{json}{components}{securitySchemes}{oauth2};
    is_deeply($scheme, { type => 'oauth2', description => $scheme->{description}, flows => { authorizationCode => { authorizationUrl => "$issuer/authorize",
        tokenUrl => "$issuer/token", scopes => { openid => '', 'p2p.admin' => '' } } } }, 'openapi.json: how to sign in');
    my (@without, $number);
    for my $path (sort keys %{ $answer->{json}{paths} }) {
        for my $operation (grep { ref eq 'HASH' && $_->{security} } values %{ $answer->{json}{paths}{$path} }) {
            my %has = map { map { $_ => 1 } keys %$_ } @{ $operation->{security} };
            $number++ if $has{oauth2};
            push @without, $operation->{operationId} if !$has{oauth2} != !$has{bearer};
        }
    }
    is("@without", '', '... for each operation that takes a token, and no other');
    cmp_ok($number, '>', 20, '... and there are many');
    my $rest = $answer->{content} =~ s/"oauth2": \{"type".*?\}\}\}\}, //r =~ s/\{"oauth2": \[\]\}, //gr;
    ok($rest eq $document, '... and all other bytes are as they were');
    is($answer->{headers}{etag}, '"' . substr(sha256_hex($answer->{content}), 0, 32) . '"', '... under an ETag of their own');
    is($api->get('/openapi.json', 'If-None-Match' => $answer->{headers}{etag})->{status}, 304, '... which is known again');
    my $zipped = $api->get('/openapi.json', 'Accept-Encoding' => 'gzip');
    ok(!$zipped->{headers}{'content-encoding'} && $zipped->{content} eq $answer->{content}, '... not compressed for each that asks');
    return;
}

# By keys that are published, and by those of a file, where nothing else of the issuer is asked for; by its own word, that of a named place, and by keys of a named place.
sub test_kinds {
    my ($db) = @_;
    my $issuer = P2P::Issuer->start;
    my $name = $issuer->issuer;
    $issuer->publish(keys => $set);
    my %asked = ('' => '/jwks', "keys=$keys" => undef, "introspection=$name/ask client=$client" => undef, "jwks=$name/jwks" => '/jwks');
    for my $how (sort keys %asked) {
        my $httpd = httpd($db, $name, $how);
        $httpd->prepare;
        run_sql($db, 'DELETE FROM p2p_jwks');
        my %before = map { $_ => $issuer->asked($_) } '/jwks', '/.well-known/openid-configuration';
        $httpd->start;
        is_known($httpd, $name, $how || 'published');
        is($issuer->asked('/jwks') - $before{'/jwks'}, $asked{$how} ? 1 : 0, '... keys are fetched where they are needed');
        is($issuer->asked('/.well-known/openid-configuration') - $before{'/.well-known/openid-configuration'}, 1, '... and the document once');
        test_document(api($httpd), $name) if $how eq '';
        $httpd->stop;
    }
    my $httpd = httpd($db, $name, "keys=$keys", nobody => 1);
    $httpd->start;
    is_unknown(api($httpd), 'without P2PSignIn');
    $httpd->stop;
    $issuer->stop;
    return;
}

# What a document names that cannot be used is not stored; and what is in the row all the same goes no further.
sub test_bad_endpoints {
    my ($db) = @_;
    my $issuer = P2P::Issuer->start;
    my $name = $issuer->issuer;
    $issuer->publish(document => { token_endpoint => 'https://user:word@a.example/token' });
    my $httpd = httpd($db, $name, "keys=$keys");
    $httpd->expect_log(qr/What .* publishes cannot be had, and what is known of it stays: .* names no token_endpoint that can be used/);
    $httpd->prepare([])->start;
    ok($httpd->wait_for(sub { $httpd->log_text =~ /names no token_endpoint that can be used/ }), 'an endpoint that cannot be used: the log says so');
    is_unknown(api($httpd), 'an endpoint that cannot be used');
    $httpd->stop;

    # A child that looks for the first time each: what it has seen holds for a while.
    my @urls = ("https://a.example;script-src'none'/token", "https://a.example/\r\nX: y", 'javascript:alert(1)', 'http://a.example/token', 'https://a.example/' . 'x' x 3000);
    my @offline = map { httpd($db, $name, "keys=$keys", runners => 0)->launch } @urls;
    for my $url (@urls) {
        my $offline = shift(@offline)->await;
        run_sql($db, "DELETE FROM p2p_jwks; INSERT INTO p2p_jwks (issuer, authorization_endpoint, token_endpoint) VALUES ('$name', '$name/authorize', '" . $url =~ s/'/''/gr . "')");
        is_unknown(api($offline), 'in the row: ' . substr($url, 0, 40) =~ s/\r\n/\\r\\n/r);
        $offline->stop;
    }
    $issuer->stop;
    return;
}

# A database that is not there yet, is there, and goes away: pages go on, and what was known holds.
sub test_database {
    my ($db) = @_;
    my $name = 'https://login.example';
    my $httpd = httpd($db, $name, "keys=$keys", runners => 0);
    $httpd->expect_log(qr/p2p|dbd/);
    $httpd->start;
    my $api = api($httpd);
    is_unknown($api, 'no table yet');
    $httpd->prepare([]);
    run_sql($db, "INSERT INTO p2p_jwks (issuer, authorization_endpoint, token_endpoint) VALUES ('$name', '$name/authorize', '$name/token')");
    is_known($httpd, $name, 'soon after it is there');
    run_sql($db, 'ALTER TABLE p2p_jwks RENAME TO gone');
    my $marks = () = $httpd->log_text =~ /P2PSignIn: /g;
    ok($httpd->wait_for(sub { sign_in($api); (() = $httpd->log_text =~ /P2PSignIn: /g) > $marks }, 30), 'a row that is gone: the log says so');
    is_known($httpd, $name, '... and what was known holds');
    $httpd->stop;
    return;
}

# A database of SQLite in a folder of its own.
sub sqlite { my ($name) = @_; mkdir "$dir/$name"; return { driver => 'sqlite3', params => "$dir/$name/p2p.db" } }

each_database('ways to trust an issuer' => \&test_kinds);
subtest 'a database that comes and goes' => sub { test_database(sqlite('comes')) };
subtest 'endpoints that cannot be used' => sub { test_bad_endpoints(sqlite('bad')) };
done_testing;
