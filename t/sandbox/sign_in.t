#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The sandbox payer's own sign-in: authorization code with PKCE, consent, what is refused, and that nobody's text becomes markup. The member portal's API token.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(encode_base64url decode_base64url);
use Test::More;
use P2P::Sandbox;

my $http = HTTP::Tiny->new(timeout => 20, max_redirect => 0);
my $HOSTILE = q(<script>alert(1)</script>"'&);
my $BACK = 'https://portal.example/back';
my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;
for my $file (['index.html', '<!doctype html><title>x</title>'], ['portal.js', 'export {}'], ['notes.txt', 'secret']) {
    open my $out, '>', "$dir/$file->[0]" or die;
    print {$out} $file->[1];
}
my $s = P2P::Sandbox->start(payers => [
    {name => 'a', directives => ["SandboxRedirect $BACK https://portal.example/other?x=1", 'SandboxClient public', 'SandboxClient shy secret', 'SandboxBearer On',
        'SandboxClient "<b>odd</b>"', 'SandboxOrigins https://portal.example', 'SandboxMember m2', 'SandboxPatientMember memberId']},
    {name => 'closed'},
    {name => 'target', directives => ["SandboxPortal /portal $dir", 'SandboxMember m1', 'SandboxOrganization "the target"', 'SandboxApi https://api.example',
        'SandboxIssuer @target@/issuer']},
]);
$s->load('a', join "\n", map { encode_json($_) } (
    {resourceType => 'Patient', id => 'm1', name => [{given => ['Ann', 'B.'], family => 'Zed'}], birthDate => '1970-01-02'},
    {resourceType => 'Patient', id => 'm2', name => [{text => "Evelyn $HOSTILE"}]}, {resourceType => 'Patient', id => 'm3', name => 'odd', birthDate => [$HOSTILE]},
    {resourceType => 'Patient', id => 'm4', name => [{given => [1, 'Bo'], family => 'Abel'}]}));

my $a = $s->origin('a');
my $verifier = 'v' x 43;
my $challenge = encode_base64url(sha256($verifier));

sub form { my (%value) = @_; return HTTP::Tiny->new->www_form_urlencode(\%value) }

# A parameter that is undef is left out.
sub authorize {
    my (%change) = @_;
    my %params = (client_id => 'public', redirect_uri => $BACK, response_type => 'code', scope => 'openid offline_access patient/*.read', state => 'a b&c',
        code_challenge => $challenge, code_challenge_method => 'S256', %change);
    delete $params{$_} for grep { !defined $params{$_} } keys %params;
    return $http->get("$a/authorize?" . form(%params));
}

sub request_of { my ($answer) = @_; return ($answer->{content} =~ /name="request" value="([^"]+)"/)[0] }
sub post { my (%value) = @_; return $http->post_form("$a/authorize", \%value) }

# The redirect's parameters.
sub back {
    my ($answer) = @_;
    my ($query) = ($answer->{headers}{location} // '') =~ /\?(.*)/ or return {};
    return {map { my ($name, $value) = split /=/, $_, 2; $value =~ tr/+/ /; $value =~ s/%(..)/chr hex $1/ge; ($name => $value) } split /&/, $query};
}

# Signs in as member, and says yes: the redirect's parameters.
sub consent {
    my ($member, %change) = @_;
    my $request = request_of(authorize(%change)) // die "no request\n";
    post(request => $request, member => $member, step => 'sign-in');
    return back(post(request => $request, answer => 'allow'));
}

sub token {
    my (%change) = @_;
    my %form = (grant_type => 'authorization_code', client_id => 'public', redirect_uri => $BACK, code_verifier => $verifier, %change);
    delete $form{$_} for grep { !defined $form{$_} } keys %form;
    my $answer = $http->post_form("$a/token", \%form);
    return {status => $answer->{status}, %{decode_json($answer->{content})}};
}
sub refused { my ($what, %change) = @_; my $answer = token(%change); is "$answer->{status} $answer->{error}", '400 invalid_grant', $what; return $answer }

subtest 'documents' => sub {
    for my $url ("$a/.well-known/openid-configuration", $s->url('a') . '/.well-known/smart-configuration') {
        my $answer = $http->get($url, {headers => {Origin => 'https://portal.example'}});
        my $document = decode_json($answer->{content});
        is $document->{authorization_endpoint}, "$a/authorize", 'where people sign in';
        is_deeply [@$document{qw(code_challenge_methods_supported response_types_supported)}], [['S256'], ['code']], 'PKCE and code';
        ok $document->{authorization_response_iss_parameter_supported}, 'iss';
        is_deeply [sort @{$document->{grant_types_supported}}], [qw(authorization_code client_credentials refresh_token)], 'grants';
        is $answer->{headers}{'access-control-allow-origin'}, 'https://portal.example', 'the portal\'s pages may read it';
        is $http->get($url, {headers => {Origin => 'https://else.example'}})->{headers}{'access-control-allow-origin'}, undef, '... others not';
    }
    my $preflight = $http->request('OPTIONS', "$a/token", {headers => {Origin => 'https://portal.example', 'Access-Control-Request-Method' => 'POST'}});
    is "$preflight->{status} $preflight->{headers}{'access-control-allow-origin'}", '204 https://portal.example', 'a preflight of the token endpoint';
    is $http->post_form("$a/token", {}, {headers => {Origin => 'https://portal.example'}})->{headers}{'access-control-allow-origin'}, 'https://portal.example', 'errors can be read, too';
    is $http->get($s->origin('closed') . '/.well-known/openid-configuration', {headers => {Origin => 'null'}})->{headers}{'access-control-allow-origin'}, undef, 'without SandboxOrigins nobody may';
};

subtest 'sign-in and consent' => sub {
    my $page = authorize();
    is $page->{status}, 200, 'a page';
    my $headers = $page->{headers};
    is $headers->{'content-security-policy'}, "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self' https://portal.example", 'its policy';
    is "$headers->{'cache-control'} $headers->{'referrer-policy'} $headers->{'x-frame-options'}", 'no-store no-referrer DENY', 'its headers';
    unlike $page->{content}, qr/<script/i, 'a hostile name is no markup';
    like $page->{content}, qr/Evelyn &lt;script&gt;alert\(1\)&lt;\/script&gt;&quot;&#39;&amp;</, '... but text';
    is_deeply [$page->{content} =~ /<option value="(\w+)"/g], [qw(m2 m1 m4 m3)], 'SandboxMember first, the others by name';
    like $page->{content}, qr/<option value="m1">Ann B\. Zed, born 1970-01-02</, 'a member';
    is $http->get("$a/authorize.css")->{headers}{'content-type'}, 'text/css; charset=utf-8', 'the style sheet';
    my $request = request_of($page);
    is post(request => $request, answer => 'allow')->{status}, 400, 'no consent before anybody signed in';
    is post(request => $request, member => 'nobody')->{status}, 400, 'no such member';
    my $consent = post(request => $request, member => 'm2', step => 'sign-in');
    unlike $consent->{content}, qr/<script/i, 'the name on the consent page';
    like $consent->{content}, qr/<code>offline_access<\/code> to go on while you are away/, 'the scopes are shown';
    my $answer = post(request => $request, answer => 'allow');
    is $answer->{status}, 303, 'back';
    like $answer->{headers}{location}, qr/^\Q$BACK\E\?code=/, '... to the client';
    my $back = back($answer);
    is "$back->{state} $back->{iss}", "a b&c $a", 'state and iss';
    is post(request => $request, answer => 'allow')->{status}, 400, 'a request is answered once';
    my $tokens = token(code => $back->{code});
    is "$tokens->{status} $tokens->{memberId} $tokens->{scope}", '200 m2 openid offline_access patient/*.read', 'the tokens, and whose';
    like $tokens->{refresh_token}, qr/^rt-/, 'a refresh token for offline_access';
    my (undef, $claims) = map { decode_base64url($_) } split /\./, $tokens->{id_token};
    is_deeply [@{decode_json($claims)}{qw(iss aud sub)}], [$a, 'public', 'm2'], 'an ID token';
    is $http->get($s->url('a') . '/Patient/m2', {headers => {Authorization => "Bearer $tokens->{access_token}"}})->{status}, 200, 'the access token opens';
    my $next = token(grant_type => 'refresh_token', refresh_token => $tokens->{refresh_token});
    is "$next->{status} $next->{scope}", '200 openid offline_access patient/*.read', 'it can be refreshed, with the same scope';
    $tokens = token(code => consent('m1', scope => 'patient/*.read')->{code});
    is_deeply [map { exists $tokens->{$_} ? 1 : 0 } qw(refresh_token id_token access_token)], [0, 0, 1], 'without offline_access and openid neither';
    like authorize(client_id => '<b>odd</b>')->{content}, qr/name="request"/, 'a client with an odd name';
    $request = request_of(authorize(client_id => '<b>odd</b>', scope => "<i>$HOSTILE"));
    $consent = post(request => $request, member => 'm1');
    unlike $consent->{content}, qr/<b>|<i>|<script/, '... is shown as text, and so are scopes';
    like authorize(redirect_uri => 'https://portal.example/other?x=1', response_type => 'token')->{headers}{location}, qr{^https://portal\.example/other\?x=1&error=}, 'a redirect_uri with a query';
};

subtest 'denied' => sub {
    my $request = request_of(authorize());
    my $back = back(post(request => $request, answer => 'deny'));
    is_deeply [@$back{qw(error state iss)}, $back->{code}], ['access_denied', 'a b&c', $a, undef], 'cancelled at the sign-in page';
    $request = request_of(authorize());
    post(request => $request, member => 'm1');
    is back(post(request => $request, answer => 'deny'))->{error}, 'access_denied', 'denied at the consent page';
    is post(request => $request, answer => 'allow')->{status}, 400, 'and that is that';
};

subtest 'what is not told to anybody' => sub {
    for my $case (['another redirect_uri', redirect_uri => 'https://evil.example/'], ['one that goes on', redirect_uri => "$BACK/x"], ['none', redirect_uri => undef],
        ['an unknown client', client_id => 'nobody'], ['no client', client_id => undef]) {
        my ($what, %change) = @$case;
        my $answer = authorize(%change);
        is "$answer->{status} " . ($answer->{headers}{location} // '-'), '400 -', "$what: a page, no redirect";
        like $answer->{headers}{'content-security-policy'}, qr/form-action 'none'/, '... that leads nowhere';
    }
    is $http->get("$a/authorize?client_id=public&client_id=public&redirect_uri=$BACK")->{status}, 400, 'a parameter twice';
    is $http->get($s->origin('closed') . '/authorize?' . form(client_id => 'x', redirect_uri => $BACK, response_type => 'code'))->{status}, 400, 'without SandboxRedirect nobody';
    is $http->request('PUT', "$a/authorize")->{status}, 405, 'another method';
};

subtest 'what the client is told' => sub {
    for my $case (['no challenge', 'invalid_request', code_challenge => undef], ['plain', 'invalid_request', code_challenge_method => 'plain'],
        ['no method', 'invalid_request', code_challenge_method => undef], ['a short challenge', 'invalid_request', code_challenge => 'x'],
        ['another response type', 'unsupported_response_type', response_type => 'token'], ['none', 'unsupported_response_type', response_type => undef]) {
        my ($what, $error, %change) = @$case;
        my $back = back(authorize(%change));
        is_deeply [@$back{qw(error state iss)}], [$error, 'a b&c', $a], $what;
    }
};

subtest 'codes' => sub {
    refused 'an unknown code', code => 'x';
    my $code = consent('m1')->{code};
    refused 'a wrong verifier', code => $code, code_verifier => 'w' x 43;
    refused '... has spent the code', code => $code;
    refused 'no verifier', code => consent('m1')->{code}, code_verifier => undef;
    refused 'one that is too short', code => consent('m1')->{code}, code_verifier => 'v';
    refused 'another redirect_uri', code => consent('m1')->{code}, redirect_uri => 'https://portal.example/other?x=1';
    refused 'no redirect_uri', code => consent('m1')->{code}, redirect_uri => undef;
    refused 'another client', code => consent('m1')->{code}, client_id => 'shy', client_secret => 'secret';
    $code = consent('m1')->{code};
    my $tokens = token(code => $code);
    is $tokens->{status}, 200, 'used once';
    refused 'used twice', code => $code;
    refused '... ends the grant', grant_type => 'refresh_token', refresh_token => $tokens->{refresh_token};
    is $http->get($s->url('a') . '/Patient/m1', {headers => {Authorization => "Bearer $tokens->{access_token}"}})->{status}, 401, '... and its access token';
    $code = consent('m1', client_id => 'shy', code_challenge => undef, code_challenge_method => undef)->{code};
    is token(code => $code, client_id => 'shy', code_verifier => undef)->{error}, 'invalid_client', 'a confidential client needs its secret';
    is token(code => $code, client_id => 'shy', code_verifier => undef, client_secret => 'secret')->{status}, 200, '... and may do without PKCE';
    refused 'a verifier without a challenge', code => consent('m1', client_id => 'shy', code_challenge => undef, code_challenge_method => undef)->{code},
        client_id => 'shy', client_secret => 'secret';
};

subtest 'many requests' => sub {
    my $first = request_of(authorize());
    my $last = '';
    $last = request_of(authorize()) for 1 .. 128;
    is post(request => $first, member => 'm1')->{status}, 400, 'the oldest is forgotten';
    is post(request => $last, member => 'm1')->{status}, 200, 'the newest not';
};

subtest 'portal' => sub {
    my $target = $s->origin('target');
    is $http->get("$target/portal")->{headers}{location}, '/portal/', 'the folder';
    my $page = $http->get("$target/portal/");
    is "$page->{status} $page->{headers}{'content-type'}", '200 text/html; charset=utf-8', 'the page';
    like $page->{headers}{'content-security-policy'}, qr/^default-src 'none'; script-src 'self'; /, 'its policy';
    is $http->get("$target/portal/portal.js")->{headers}{'content-type'}, 'text/javascript; charset=utf-8', 'a module';
    is $http->get("$target/portal/$_")->{status}, 404, "no $_" for qw(notes.txt x.js ../portal.t sub/portal.js);
    is $http->get("$a/portal/")->{status}, 404, 'another payer has none';
    my $answer = $http->post("$target/portal/session");
    my $session = decode_json($answer->{content});
    my $token = delete $session->{token};
    is_deeply $session, {api => 'https://api.example', fhir => $s->url('target'), patient => 'm1', organization => 'the target', expiresIn => 300}, 'what the page is told';
    my ($head, $claims) = map { decode_json(decode_base64url($_)) } (split /\./, $token)[0, 1];
    is "$head->{alg} $head->{typ}", 'ES256 at+jwt', 'a signed access token';
    is_deeply [@$claims{qw(iss aud scope patient)}], ["$target/issuer", 'https://api.example', 'p2p.portal', 'm1'], 'of this member alone';
    is $claims->{exp} - $claims->{iat}, 300, '... for five minutes';
    my $jwks = decode_json($http->get("$target/jwks")->{content});
    is $head->{kid}, $jwks->{keys}[0]{kid}, 'its key is published';
    is $http->post("$target/portal/session", {headers => {Origin => $target}})->{status}, 200, 'the own page';
    is $http->post("$target/portal/session", {headers => {Origin => $_}})->{status}, 403, "not $_" for 'https://else.example', 'null', $a;
    my $socket = IO::Socket::INET->new(PeerAddr => $target =~ s{^http://}{}r) or die;
    print {$socket} "POST /portal/session HTTP/1.1\r\nHost: rebound.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    like join('', <$socket>), qr{^HTTP/1\.1 403 }, 'not under another name';
    is $http->get("$target/portal/session")->{status}, 405, 'GET';
};
done_testing;
