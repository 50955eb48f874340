#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What verifies a token, from everywhere that it may come from: keys that an issuer publishes, a definition's keys and key file, an issuer's own word. What
# changes there changes who is let in.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Issuer;
use P2P::Jwt qw(new_key jwk_set sign);
use Test::More;

my $dir = tempdir('p2p-sources-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
mkdir "$dir/keys", 0755;
my $admin  = new_key('ES256', 'admin');
my $admins = P2P::Httpd::write_file("$dir/admins.json", jwk_set($admin));
my $client = P2P::Httpd::write_file("$dir/client.json", '{"clientId":"us","clientSecret":"THE-SECRET"}', 0600);
my %key    = map { $_ => new_key('ES256', $_) } qw(first second text file);

sub claims { my ($issuer, %more) = @_; return { iss => $issuer, aud => 'p2p', client_id => 'portal', scope => 'portal', exp => time + 600, %more } }
sub token { my ($name, $issuer, %more) = @_; return sign($key{$name}, claims($issuer, jti => rand, %more)) }

sub start {
    my ($db, $definitions, $runners, @trusts) = @_;
    my $httpd = P2P::Httpd->new(db => $db, directives => { P2PRunners => $runners, P2PKeyDir => "$dir/keys", LogLevel => 'warn p2p:debug' },
        main => ["P2PTrustIssuer https://admins.example keys=$admins audience=p2p administration=admin", map { "P2PTrustIssuer $_ audience=p2p portal=portal" } @trusts],
        vhost => ['<Location "/">', 'AuthType Bearer', 'AuthName p2p', 'Require valid-user', '</Location>', '<Location "/health">', 'Require all granted',
            '</Location>']);
    $httpd->prepare($definitions)->start;
    $httpd->{api} = P2P::Api->new($httpd->url);
    return $httpd;
}

sub get { my ($httpd, $token) = @_; return $httpd->{api}->get('/api/oidc_servers', Authorization => "Bearer $token") }

sub is_status {
    my ($httpd, $token, $status, $name, $code) = @_;
    my $answer = get($httpd, $token);
    is($answer->{status}, $status, "$name: $status") or diag explain($answer);
    is($answer->{json}{code}, $code, "... $code") if $code;
    return $answer;
}

# The status comes in the end; what comes before is among those that may. The token may be code that makes another one each time.
sub becomes {
    my ($httpd, $token, $status, $name, $before) = @_;
    my %seen;
    my $answer = $httpd->wait_for(sub { my $answer = get($httpd, ref $token ? $token->() : $token); $seen{ $answer->{status} }++; $answer->{status} == $status && $answer }, 40);
    ok($answer, "$name: $status in the end") or diag explain(\%seen), substr $httpd->log_text, -3000;
    delete $seen{$status};
    is(join(' ', grep { $_ !~ $before } sort keys %seen), '', '... and nothing unexpected before');
    return $answer;
}

# Lets what was fetched or asked for be older than it is.
sub age { my ($db) = @_; run_sql($db, 'UPDATE p2p_jwks SET asked = asked - 120000000, fetched = fetched - 120000000'); return }

sub test_published {
    my ($db) = @_;
    my $issuer = P2P::Issuer->start;
    my $name = $issuer->issuer;
    $issuer->publish(keys => jwk_set($key{first}));
    my $httpd = start($db, [], 1, "$name/");
    my $first = get($httpd, token('first', $name));
    like($first->{status}, qr/^(?:503|200)$/, 'the first token: not yet, unless the runner was faster');
    is($first->{headers}{'retry-after'}, 2, '... with Retry-After') if $first->{status} == 503;
    becomes($httpd, token('first', $name), 200, 'a published key', qr/503/);
    is($issuer->asked('/jwks'), 1, 'fetched once');
    is_status($httpd, token('second', $name), 401, 'a key that is not published', 'invalid-token') for 1 .. 3;
    is($issuer->asked('/jwks'), 1, '... is not looked for again at once');

    $issuer->publish(keys => jwk_set($key{second}));
    age($db);
    becomes($httpd, sub { token('second', $name) }, 200, 'a new key', qr/401/);
    becomes($httpd, token('first', $name), 401, 'the old one', qr/200/);
    is($issuer->asked('/jwks'), 2, 'fetched twice');
    is_status($httpd, sign({ %{ $key{first} }, kid => 'second' }, claims($name)), 401, 'signed with the old one under the new name', 'invalid-token');
    test_away($httpd, $db, $name) if $db->{server};
    test_moved($httpd, $db, $name);
    $httpd->stop;
    $issuer->stop;
    return;
}

# Without the database the last good keys go on being used.
sub test_away {
    my ($httpd, $db, $name) = @_;
    $httpd->expect_log(qr/database|P2PTrustIssuer|p2p-runner|dbd:error/);
    $db->{server}->stop;
    my $end = time + 7;
    my %codes;
    while (time < $end) {
        $codes{ get($httpd, token('second', $name))->{json}{code} }++;
        is_status($httpd, token('first', $name), 401, 'a bad token, without the database', 'invalid-token') if $end - time == 2;
        select undef, undef, undef, 0.2;
    }
    is(join(' ', keys %codes), 'database-away', 'a good token is still known to be good when the database is away') or diag explain(\%codes);
    $db->{server}->start;
    becomes($httpd, token('second', $name), 200, 'and back', qr/503/);
    return;
}

sub move {
    my ($httpd, $trust) = @_;
    $httpd->{main}[1] = "P2PTrustIssuer $trust audience=p2p portal=portal";
    $httpd->write_config;
    $httpd->graceful;
    return;
}

# Keys are worth something only where they are published now.
sub test_moved {
    my ($httpd, $db, $name) = @_;
    $httpd->expect_log(qr/What .* publishes cannot be had, and what is known of it stays/);
    move($httpd, "$name jwks=$name/nowhere");
    becomes($httpd, token('second', $name), 503, 'a key set that is to be had elsewhere', qr/200/);
    move($httpd, "$name jwks=$name/jwks");
    age($db);
    becomes($httpd, sub { age($db); token('second', $name) }, 200, '... and is there', qr/503/);
    return;
}

sub definition { my ($name, %more) = @_; return { name => $name, issuer => "https://$name.example", fhirEndpoint => "https://$name.example/fhir", clientId => 'us', %more } }

sub change {
    my ($httpd, $method, $path, $content) = @_;
    my $token = sign($admin, claims('https://admins.example', scope => 'admin'));
    my $type = $method eq 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    my $answer = $httpd->{api}->request($method, "/admin/oidc_servers$path", content => $content, headers => { Authorization => "Bearer $token", 'Content-Type' => $type });
    like($answer->{status}, qr/^2/, "$method $path") or diag explain($answer);
    return;
}

sub test_key_file {
    my ($httpd) = @_;
    P2P::Httpd::write_file("$dir/keys/file.new", jwk_set($key{second}));
    rename "$dir/keys/file.new", "$dir/keys/file.jwks";
    becomes($httpd, token('second', 'https://file.example'), 200, 'a key file that changes', qr/401/);
    unlink "$dir/keys/file.jwks";
    $httpd->expect_log(qr/P2PTrustIssuer https:\/\/file\.example: The definition's keyFile names a file that is not in P2PKeyDir/);
    becomes($httpd, token('second', 'https://file.example'), 503, 'a key file that is gone', qr/200/);
    return;
}

sub test_definitions {
    my ($db) = @_;
    P2P::Httpd::write_file("$dir/keys/file.jwks", jwk_set($key{file}));
    my @definitions = (definition('text', keyText => jwk_set($key{text})), definition('file', keyFile => 'file.jwks'), definition('other', keyText => jwk_set($key{text})));
    my $httpd = start($db, \@definitions, 0, map { "definition https://$_.example" } 'text', 'file', 'missing');
    my $kept = token('text', 'https://text.example/');
    is_status($httpd, $kept, 200, "a definition's key text");
    is_status($httpd, token('file', 'https://file.example'), 200, "a definition's key file");
    is_status($httpd, token('text', 'https://other.example'), 401, 'a definition that no directive names', 'invalid-token');
    is_status($httpd, token('text', 'https://missing.example'), 401, 'a directive that no definition fits', 'invalid-token');
    is_status($httpd, token('text', 'https://file.example'), 401, "another definition's key", 'invalid-token');

    change($httpd, 'PATCH', '/1', { keyText => jwk_set($key{second}) });
    becomes($httpd, $kept, 401, 'a token of a key that the definition has no more, though it was known', qr/200/);
    becomes($httpd, token('second', 'https://text.example'), 200, 'its new key', qr/401/);
    change($httpd, 'DELETE', '/1');
    becomes($httpd, token('second', 'https://text.example'), 401, 'a definition that is removed', qr/200/);
    change($httpd, 'POST', '', definition('missing', keyText => jwk_set($key{text})));
    becomes($httpd, token('text', 'https://missing.example'), 200, 'one that is made', qr/401/);

    test_key_file($httpd) if !$db->{server};
    $httpd->stop;
    return;
}

# ---- The issuer's own word ----

sub word { my (%more) = @_; return { active => JSON::PP::true, client_id => 'portal', scope => 'portal', aud => 'p2p', exp => time + 600, %more } }

sub test_introspection {
    my ($db, $name, $issuer, @trust) = @_;
    my $own = $issuer->issuer;
    $issuer->publish(words => { good => word(), admin => word(scope => 'admin'), other => word(aud => 'x'), old => word(exp => time - 600), endless => word(exp => undef),
        foreign => word(iss => 'https://evil.example'), own => word(iss => "$own/"), later => word(), member => word(patient => 'Patient/1') });
    my $httpd = start($db, [{ %{ definition('x') }, issuer => $own, clientSecret => 'THE-SECRET' }], 1, @trust);
    becomes($httpd, 'good', 200, "$name: a token that is active", qr/503/);
    is_status($httpd, 'good', 200, "$name: ... again") for 1 .. 3;
    is($issuer->asked('/introspect'), 1, '... the issuer is asked once');
    is_status($httpd, $_, 200, "$name: $_") for 'own', 'member';
    is_status($httpd, $_, 401, "$name: $_", 'invalid-token') for 'other', 'old', 'endless', 'foreign', 'unknown', 'unknown';
    is_status($httpd, 'admin', 403, "$name: no scope of ours", 'insufficient-scope');
    my $asked = $issuer->asked('/introspect');
    is($asked, 9, '... once for each');
    is_status($httpd, token('first', $own), 401, "$name: a signed token that the issuer does not know", 'invalid-token');
    is($issuer->asked('/introspect'), $asked + 1, '... which it was asked about');
    is_status($httpd, token('first', 'https://evil.example'), 401, "$name: a signed token of somebody else", 'invalid-token');
    is($issuer->asked('/introspect'), $asked + 1, '... which it never sees');
    is_status($httpd, token('first', $own) =~ s/\.[^.]*$//r, 401, "$name: a signed token without its signature", 'invalid-token');
    is($issuer->asked('/introspect'), $asked + 1, '... which it never sees either');

    $httpd->expect_log(qr/the introspection endpoint \S+ answered with the status 503/);
    $issuer->break(1);
    my $away = is_status($httpd, 'later', 503, "$name: when the issuer is away", 'introspection-away');
    is($away->{headers}{'retry-after'}, 2, '... with Retry-After');
    is_status($httpd, 'good', 200, "$name: ... what it said a moment ago holds");
    $issuer->break(0);
    becomes($httpd, 'later', 200, "$name: and back", qr/503/);
    unlike($httpd->log_text, qr/THE-SECRET|\blater\b/, "$name: neither secret nor token in the log");
    $httpd->stop;
    return;
}

sub test_issuers_word {
    my ($db) = @_;
    my $issuer = P2P::Issuer->start;
    my $own = $issuer->issuer;
    my @way = $db->{server} ? ("definition $own") : ("$own introspection client=$client");
    test_introspection($db, $way[0] =~ s/ .*//r =~ s/http.*/introspection/r, $issuer, @way);
    $issuer->stop;
    return;
}

each_database("the issuer's word" => \&test_issuers_word);
each_database('published keys' => \&test_published);
each_database('definitions' => \&test_definitions);
done_testing;
