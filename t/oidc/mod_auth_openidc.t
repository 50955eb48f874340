#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# conf/auth-openidc.conf: Debian's mod_auth_openidc before us, loaded first as its name has it, with a real OpenID provider. Portals by access tokens that
# are for us, people by signing in; tokens of other audiences, scopes and issuers, those that have ended and sessions of others get nowhere.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64 qw(decode_base64url encode_base64url);
use P2P::Curl;
use P2P::Databases;
use P2P::Doors;
use P2P::Httpd;
use P2P::Oidc;
use P2P::Shipped;
use P2P::TlsApi;
use Test::More;

my $port  = P2P::Httpd::free_port();
my $login = "127.0.0.1:$port";
my $dir   = tempdir('p2p-openidc-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $httpd = P2P::Shipped->new(dir => $dir, db => P2P::Databases::sqlite(), auth => 'auth-openidc',
    replace => { 'login.payer.example' => $login, '/etc/ssl/certs/ca-certificates.crt' => "$dir/tls.pem" });
my $ca = "$dir/tls.pem";
P2P::Httpd::write_file("$dir/openidc-secret.conf", "OIDCClientSecret the-secret-of-the-browser\nOIDCCryptoPassphrase a-long-passphrase-of-this-test\n", 0600);
my %client  = (client_secret => 'secret', token_endpoint_auth_method => 'client_secret_basic');
my %program = (%client, grant_types => ['client_credentials'], redirect_uris => [], response_types => []);
my $provider = P2P::Oidc->start(dir => $dir, program => 'signin.js', arguments => [$port], certificate => { cert => $ca, key => "$dir/tls.key" }, clients => [
    { %program, client_id => 'portal' }, { %program, client_id => 'alice@' . $login },
    { %client, client_id => 'p2p-administration', client_secret => 'the-secret-of-the-browser', grant_types => ['authorization_code'],
        response_types => ['code'], redirect_uris => [$httpd->url . '/admin/signed-in'] },
]);
$httpd->expect_log(qr/AH01629|AH01630|AH01631|AH01617|AH01873|AH01906|auth_openidc/);
$httpd->prepare([])->start;
my $nobody = P2P::TlsApi->new($httpd->url, $ca);
$nobody->{unchecked} = 1;    # mod_auth_openidc's 401 has no WWW-Authenticate

# An access token as the provider gives it to a client, for an audience and with a scope.
sub token {
    my (%ask) = @_;
    my $answer = P2P::TlsApi->new($provider->origin, $ca)->with_password(($ask{client} // 'portal') =~ s/([^a-z0-9-])/sprintf '%%%02X', ord $1/ger, 'secret')->request('POST', '/token', unchecked => 1,
        content => 'grant_type=client_credentials&resource=urn:' . ($ask{audience} // 'p2p') . '&scope=' . ($ask{scope} // 'p2p.portal'),
        headers => { 'Content-Type' => 'application/x-www-form-urlencoded', 'X-Lifetime' => $ask{lifetime} });
    return $answer->{json}{access_token} // die "no token: $answer->{content}\n";
}

# The same token with other claims, or another header, and what signature it had.
sub forged {
    my ($token, $header, %claims) = @_;
    my ($head, $body, $signature) = split /\./, $token;
    my $was = decode_json(decode_base64url($body));
    return join '.', encode_base64url(encode_json({ %{ decode_json(decode_base64url($head)) }, %$header })), encode_base64url(encode_json({ %$was, %claims })), $signature;
}

sub test_tokens {
    my $good = token();
    ok_portal('a portal', $nobody->with_token($good), 401, qr{^/console/});
    ok_closed('nobody', $nobody, 401, qr{^/console/});
    my $none = forged($good, { alg => 'none' });
    my %bad = ('not a token' => 'x', 'changed claims' => forged($good, {}, client_id => 'other'), 'alg none' => $none, 'no signature' => $none =~ s/[^.]*$//r,
        'another key' => forged($good, { kid => 'unknown' }), 'cut' => substr($good, 0, length($good) - 9));
    ok_closed($_, $nobody->with_token($bad{$_}), 401, qr{^/console/}) for sort keys %bad;
    my %weak = ('another audience' => token(audience => 'other'), 'another scope' => token(scope => 'other'), 'a scope that only begins so' => token(scope => 'p2p.administration'));
    for my $name (sort keys %weak) {
        my $api = $nobody->with_token($weak{$name});
        is($api->get($_)->{status}, 403, "$name: 403 for $_") for '/api/oidc_servers', '/api/oidc_servers/1', '/nowhere';
        is($api->get('/admin/oidc_servers')->{status}, 401, "$name: nothing of /admin");
    }
    my $short = $nobody->with_token(token(lifetime => 1));
    ok($httpd->wait_for(sub { $short->get('/api/oidc_servers')->{status} == 401 }, 60), 'a token that has ended is none');
    my $posing = $nobody->with_token(token(client => 'alice@' . $login, scope => 'p2p.portal%20p2p.administration'));
    ok_portal('a program that is called like an administrator', $posing, 401, qr{^/console/});
    return;
}

# A browser of its own cookies; name: whom the provider takes it for.
sub browser {
    my ($name) = @_;
    my (undef, $jar) = File::Temp::tempfile('p2p-cookies-XXXXXX', TMPDIR => 1, UNLINK => 1);
    my $browser = P2P::TlsApi->new($httpd->url, $ca, cookie => $jar, 'cookie-jar' => $jar, location => undef, 'max-redirs' => 12);
    $browser->{unchecked} = 1;    # the provider answers as well
    my $answer = $browser->get('/admin/oidc_servers', Accept => 'text/html', 'X-Sign-In-As' => $name);
    return ($browser, $answer);
}

sub test_people {
    my $sent = P2P::TlsApi->new($httpd->url, $ca)->request('GET', '/console/', unchecked => 1, headers => { Accept => 'text/html' });
    is($sent->{status}, 302, 'who opens the console is sent to the provider');
    $sent = P2P::TlsApi->new($httpd->url, $ca)->request('GET', '/admin/audit', unchecked => 1, headers => { Accept => 'text/html' });
    is($sent->{status}, 302, 'a browser is sent to the provider');
    like($sent->{headers}{location} // '', qr{^https://\Q$login\E/auth\?}, '... to sign in');
    my ($alice, $answer) = browser('alice');
    is($answer->{status}, 200, 'an administrator who has signed in is where she wanted to go') or diag $answer->{content}, explain $provider->tell('events');
    my @wrong = grep { $_->[1] =~ /^(?:401|403|405|5..)$/ } map { ["$_->{method} $_->{path}", ask($alice, $_)->{status}] } grep { $_->{role} eq 'administrator' } routes();
    is(join(', ', map { "@$_" } @wrong), '', '... and all of /admin is open to her');
    is($alice->request('POST', '/admin/oidc_servers', content => '{}', headers => { Origin => 'https://evil.example' })->{status}, 403,
        '... but not to a page of somebody else that her browser shows');
    is($alice->get('/api/oidc_servers')->{status}, 401, '... /api is for tokens');
    is($alice->get($_)->{status}, 200, "... $_ opens") for '/console/', '/console/app.js', '/console/sign-in.json';
    my ($mallory, $refused) = browser('mallory');
    is($refused->{status}, 403, 'somebody else who has signed in is told that he may not');
    is(ask($mallory, $_)->{status}, 403, "... $_->{method} $_->{path}") for grep { $_->{role} eq 'administrator' } routes();
    is($nobody->get('/admin/oidc_servers', Cookie => 'mod_auth_openidc_session=0123456789')->{status}, 401, 'a cookie that was made up is none');
    return;
}

test_tokens();
test_people();
$httpd->stop;
$provider->stop;
done_testing;
