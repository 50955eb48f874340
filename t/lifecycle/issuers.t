#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Keys of trusted issuers: fetched when a runner starts, kept when a later fetch fails, fetched when they are asked for; status tells.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Databases;
use P2P::Hostile;
use P2P::Httpd;
use P2P::Jwt qw(new_key jwk_set);
use Test::More;

my $key = new_key('ES256', 'one');
my $mode;    # a file: what the issuer does

sub issuer_answers {
    my ($request) = @_;
    my ($issuer) = $request->{server}->origin;
    my $does = P2P::Httpd::read_file($mode);
    return $request->reply(404, '') if $does eq 'away';
    return $request->reply(200, encode_json({ keys => [{ %{ $key->{jwk} }, d => 'SECRET' }] })) if $does eq 'private' && $request->{path} eq '/jwks';
    return $request->reply(200, jwk_set($key)) if $request->{path} eq '/jwks';
    return $request->reply(200, encode_json({ issuer => $issuer, jwks_uri => "$issuer/jwks", introspection_endpoint => "$issuer/ask" }))
        if $request->{path} eq '/.well-known/openid-configuration';
    return $request->reply(404, '');
}

sub issuer_of { my ($httpd, $issuer) = @_; return decode_json($httpd->run_command('status'))->{issuers}{$issuer} }

sub stored { my ($db) = @_; return run_sql($db, 'SELECT document FROM p2p_jwks') }

# Where nobody else is at work a runner that starts finds what is old.
sub again {
    my ($db, $httpd, $does) = @_;
    P2P::Httpd::write_file($mode, $does);
    run_sql($db, 'UPDATE p2p_jwks SET fetched = CASE WHEN fetched = 0 THEN 0 ELSE 1 END, asked = 1');
    $httpd->run_command('once');
    return;
}

each_database('keys of issuers', sub {
    my ($db) = @_;
    my $dir = File::Temp::tempdir('p2p-issuers-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    $mode = P2P::Httpd::write_file("$dir/mode", '');
    my $hostile = P2P::Hostile->start(1, \&issuer_answers);
    my $issuer = $hostile->origin;
    my $httpd = P2P::Httpd->new(db => $db, directives => { P2PRunners => 2 }, main => ["P2PTrustIssuer $issuer/ audience=p2p portal=p2p.portal"]);
    $httpd->prepare->start;
    ok($httpd->wait_for(sub { (issuer_of($httpd, $issuer) // {})->{fetched} }, 60), 'its keys are fetched when runners start');
    is(issuer_of($httpd, $issuer)->{fault}, undef, '... without a fault');
    is_deeply(decode_json(stored($db)), decode_json(jwk_set($key)), '... and stored as they were published');
    is(run_sql($db, 'SELECT introspection_endpoint FROM p2p_jwks'), "$issuer/ask", '... with where it is asked about tokens');
    is(run_sql($db, 'SELECT COUNT(*) FROM p2p_job'), 0, '... and nothing is left in the queue');
    is(join(' ', map { $_->{path} } $hostile->requests), '/.well-known/openid-configuration /jwks', '... by one runner of all, once');
    $httpd->stop;

    my $before = stored($db);
    again($db, $httpd, 'away');
    like(issuer_of($httpd, $issuer)->{fault}, qr{^\Q$issuer\E/\.well-known/openid-configuration answered 404\.$}, 'what is away is a fault');
    is(stored($db), $before, '... and the keys stay');
    again($db, $httpd, 'private');
    like(issuer_of($httpd, $issuer)->{fault}, qr{^\Q$issuer\E/jwks .*private}, 'so is a private key');
    unlike(issuer_of($httpd, $issuer)->{fault}, qr/SECRET/, '... which is not shown');
    is(stored($db), $before, '... and the keys stay');
    $key = new_key('ES256', 'two');
    $hostile->stop;
    again($db, $httpd, '');
    like(issuer_of($httpd, $issuer)->{fault}, qr/cannot be reached/, 'and one that does not answer');
    is(run_sql($db, "SELECT COUNT(*) FROM p2p_jwks WHERE version = 1"), 1, 'no fault makes another version');
});

done_testing;
