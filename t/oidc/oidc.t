#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Tokens of a real OpenID provider, over https: access tokens that live 2 seconds, refresh tokens that rotate and of which none may come twice, clients
# known in every way, ids and secrets with odd characters, token endpoints found in every way; and the same for the target, with keys, too.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Httpd;
use P2P::Oidc;
use P2P::Sandbox;
use Test::More;

my $dir = tempdir('p2p-oidc-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $certificate = P2P::Sandbox::make_cert($dir);
my $SECRET = 'SECRET %41+ a&b=c:/d';
my $member = tangled_member(5, 3, 'the-member-of-the-source');
my $file   = write_data("$dir/member.ndjson", $member->{lines});
my $count  = () = $member->{lines} =~ /\n/g;

# ---- Clients of the provider ----

sub key_pair {
    my ($name, $kind) = @_;
    my $out = `openssl genpkey -algorithm $kind -out $dir/$name.key 2>&1 && openssl pkey -in $dir/$name.key -pubout -out $dir/$name.pub 2>&1`;
    die "openssl: $out" if $?;
    return (P2P::Httpd::read_file("$dir/$name.key"), P2P::Httpd::read_file("$dir/$name.pub"));
}

my %code = (grant_types => ['authorization_code', 'refresh_token'], redirect_uris => ['https://portal.example/back'], response_types => ['code']);
my %own  = (grant_types => ['client_credentials'], redirect_uris => [], response_types => [], scope => 'system/*.cruds');
my ($rsa, $rsa_public) = key_pair('rsa', 'rsa -pkeyopt rsa_keygen_bits:2048');
my ($ec, $ec_public)   = key_pair('ec', 'ec -pkeyopt ec_paramgen_curve:P-384');
my %key = (token_endpoint_auth_method => 'private_key_jwt', kid => 'the key');
my @clients = (
    { %code, client_id => 'by basic +%&=', client_secret => $SECRET, token_endpoint_auth_method => 'client_secret_basic' },
    { %code, client_id => 'by post +%&=',  client_secret => $SECRET, token_endpoint_auth_method => 'client_secret_post' },
    { %code, client_id => 'public +%', token_endpoint_auth_method => 'none' },
    { %own,  client_id => 'runner +%', client_secret => $SECRET, token_endpoint_auth_method => 'client_secret_basic' },
    { %own,  client_id => 'runner post', client_secret => $SECRET, token_endpoint_auth_method => 'client_secret_post' },
    { %own, %key, client_id => 'runner rsa', pem => $rsa_public, token_endpoint_auth_signing_alg => 'RS384' },
    { %own, %key, client_id => 'runner ec',  pem => $ec_public,  token_endpoint_auth_signing_alg => 'ES384' },
);
my $provider = P2P::Oidc->start(dir => $dir, certificate => $certificate, clients => \@clients);
my $origin   = $provider->origin;
my $sandbox  = P2P::Sandbox->start(payers => [
    { name => 'source', data => [$file], directives => ["SandboxBaseUrl $origin/source", 'SandboxPageSize 8', 'SandboxDelay 200'] },
    { name => 'target', role => 'target' },
]);
$provider->tell('upstream', name => $_, url => $sandbox->url($_)) for 'source', 'target';

# ---- Source payers: name => who we are there, how the token endpoint is found, how the client is known in the end ----

my %well_known = (authWellKnown => "$origin/.well-known/openid-configuration");
my %SOURCE = (
    'basic'           => { client => 'by basic +%&=', secret => $SECRET, tokenEndpoint => "$origin/token", basic => 1 },
    'basic-found'     => { client => 'by basic +%&=', secret => $SECRET, %well_known, basic => 1 },
    'post-by-trial'   => { client => 'by post +%&=', secret => $SECRET, tokenEndpoint => "$origin/token", basic => 0 },
    'post-found'      => { client => 'by post +%&=', secret => $SECRET, basic => 0 },
    'public'          => { client => 'public +%', secret => '', tokenEndpoint => "$origin/token", basic => 0 },
    'public-found'    => { client => 'public +%', secret => '', %well_known, basic => 0 },
);
my %definitions = map {
    my $case = $SOURCE{$_};
    ($_ => { clientId => $case->{client}, clientSecret => $case->{secret}, fhirEndpoint => "$origin/source", customTokenParams => 'memberId',
        tokenEndpoint => $case->{tokenEndpoint} // '', authWellKnown => $case->{authWellKnown} // '' });
} keys %SOURCE;

sub client_file { my ($name, %members) = @_; return P2P::Httpd::write_file("$dir/$name.json", encode_json(\%members), 0600) }

my %TARGET = (
    'client_secret_basic' => client_file('basic', clientId => 'runner +%', clientSecret => $SECRET),
    'client_secret_post'  => client_file('post', clientId => 'runner post', clientSecret => $SECRET, authMethod => 'client_secret_post', tokenEndpoint => "$origin/token"),
    'RS384' => client_file('rs384', clientId => 'runner rsa', privateKey => $rsa, keyId => 'the key', algorithm => 'RS384', scope => 'system/*.cruds'),
    'ES384' => client_file('es384', clientId => 'runner ec', privateKey => $ec, keyId => 'the key', algorithm => 'ES384', tokenEndpoint => "$origin/token"),
);

sub exchange_with {
    my ($target) = @_;
    my $own = tempdir('p2p-oidc-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    return P2P::Exchange->new(db => { name => 'SQLite', driver => 'sqlite3', params => "$own/p2p.db" }, sandbox => $sandbox, sources => [sort keys %SOURCE],
        definitions => \%definitions,
        directives => { P2PTarget => "$origin/target", P2PTargetAuth => "client-credentials $TARGET{$target}", P2PCAFile => $certificate->{cert}, LogLevel => 'trace8' },
        leaky => [map { (split /\n/)[1] } $rsa, $ec]);
}

# Neither secret nor key in what the log tells at its most talkative, the database, and what a process shows of itself.
sub ok_secret {
    my ($x, $name) = @_;
    my $shown = join '', map { P2P::Httpd::read_file("/proc/@{[$x->runner_pid]}/$_") } 'cmdline', 'environ';
    cmp_ok(length $shown, '>', 0, "$name: the runner's arguments and environment were read");
    is(join(' ', grep { index($shown, $_) >= 0 } 'SECRET', @{ $x->{leaky} }), '', "$name: nothing secret in them");
    $x->ok_sealed($name);
    return;
}

# The member's id at the source is in the token answer only.
sub order {
    my ($x, $name, $refresh) = @_;
    $refresh //= $provider->tell('grant', client => $SOURCE{$name}{client}, member => $member->{patient})->{refresh};
    push @{ $x->{leaky} }, $refresh, $member->{patient};
    $x->add_target_patient("target-$name");
    my $answer = $x->{api}->post("/api/oidc_servers/$x->{pid}{$name}/batch_job",
        { sourcePayer => { oidcRefreshToken => $refresh }, targetPayer => { patientId => "target-$name", organizationId => 'us' } });
    is($answer->{status}, 202, "$name: the order is taken") or diag $answer->{content};
    return { refresh => $refresh, path => "/api/oidc_servers/$x->{pid}{$name}/batch_job/$answer->{json}{batchJobId}" };
}

sub ok_complete {
    my ($x, $name, $ordered) = @_;
    my $job = $x->wait($ordered->{path});
    is($job->{batchStatus}, 'COMPLETED', "$name: COMPLETED") or diag explain($job);
    is($job->{progress}{written}, $count, "$name: all $count resources are written");
    return;
}

sub test_sources {
    my $x = exchange_with('client_secret_basic');
    $provider->tell('methods', methods => ['client_secret_post']);
    my %ordered = map { $_ => order($x, $_) } sort keys %SOURCE;
    ok_complete($x, $_, $ordered{$_}) for sort keys %SOURCE;
    my $events = $provider->tell('events');
    is($events->{revoked}, 0, 'no refresh token came twice');
    is(join("\n", grep { !/^invalid_client/ } @{ $events->{refused} }), '', 'nothing but a client was refused');
    is(scalar(@{ $events->{refused} }), 1, '... and that once, before its secret was sent the other way');
    my %kinds;
    $kinds{ $_->{client} }{ $_->{basic} ? 1 : 0 }++ for @{ $events->{tokens} };
    for my $name (sort keys %SOURCE) {
        my $case = $SOURCE{$name};
        is(join(' ', keys %{ $kinds{ $case->{client} } }), $case->{basic}, "$name: known as it has to be");
        cmp_ok($kinds{ $case->{client} }{ $case->{basic} } // 0, '>=', 4, "$name: ... several times");
    }
    cmp_ok($kinds{'runner +%'}{1} // 0, '>=', 2, 'several tokens for the target, by Basic');
    test_replay($x, $ordered{basic}{refresh});
    ok_secret($x, 'sources');
    $x->stop;
    return;
}

# Refreshes past us; what the provider says.
sub refresh_elsewhere {
    my ($refresh) = @_;
    my @form = map { ('--data-urlencode', $_) } 'grant_type=refresh_token', "refresh_token=$refresh";
    my $user = join ':', map { s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger } 'by basic +%&=', $SECRET;
    open my $curl, '-|', 'curl', '-s', '--cacert', $certificate->{cert}, '-u', $user, @form, "$origin/token" or die "curl: $!\n";
    my $said = join '', <$curl>;
    close $curl;
    return $said;
}

# What would have happened: the provider does look out for it. A job that comes with a token that somebody else has used ends.
sub test_replay {
    my ($x, $refresh) = @_;
    like(refresh_elsewhere($refresh), qr/invalid_grant/, 'a refresh token that comes twice is refused');
    is($provider->tell('events')->{revoked}, 1, '... and its grant revoked');
    my $used = $provider->tell('grant', client => $SOURCE{basic}{client}, member => $member->{patient})->{refresh};
    like(refresh_elsewhere($used), qr/access_token/, 'a refresh token that was used elsewhere');
    my $ordered = order($x, 'basic', $used);
    $x->ok_failed($x->wait($ordered->{path}), 'token-refused', qr/invalid_grant.*authorise the exchange again/, '... ends the job');
    return;
}

sub test_target {
    my ($target) = @_;
    my $x = exchange_with($target);
    $sandbox->set('target', delay => 100);
    ok_complete($x, $target, order($x, 'basic'));
    my @tokens = grep { $_->{client} =~ /^runner/ } @{ $provider->tell('events')->{tokens} };
    cmp_ok(scalar @tokens, '>=', 2, "$target: " . @tokens . ' tokens for the target');
    ok_secret($x, $target);
    $x->stop;
    return;
}

test_sources();
test_target($_) for 'client_secret_post', 'RS384', 'ES384';
$sandbox->stop;
$provider->stop;
done_testing;
