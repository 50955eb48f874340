#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The sandbox payer's tokens and faults: each one does what a test will ask of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(time sleep);
use P2P::Sandbox;

my $http = HTTP::Tiny->new(timeout => 20, max_redirect => 0);
my $lines = join '', map({ qq({"resourceType":"Observation","id":"o$_","subject":{"reference":"Patient/m"}}\n) } 1 .. 30);
my $s = P2P::Sandbox->start(tls => 0, payers => [
    {name => 'a', tls => 0, directives => ['SandboxPageSize 10']},
    {name => 'locked', directives => ['SandboxBearer On', 'SandboxTokenLifetime 1', 'SandboxGrant at-1 rt-1 m', 'SandboxGrant at-2 rt-2',
        'SandboxGrant at-3 rt-3', 'SandboxClient "my client" "se:cr%+t"', 'SandboxClient public',
        'SandboxPatientMember member_id']},
    {name => 'strict', directives => ['SandboxClient c s', 'SandboxClientAuth post', 'SandboxTokenRequire resource=abc', 'SandboxGrant a r']},
    {name => 'relative', directives => ['SandboxToken /oauth/token', 'SandboxPageSize 10', 'SandboxNextLink relative', 'SandboxTotal last']},
    {name => 'query', directives => ['SandboxPageSize 10', 'SandboxNextLink query', 'SandboxTotal none']},
    {name => 'internal', directives => ['SandboxPageSize 10', 'SandboxNextLink internal-host', 'SandboxEverythingWithout Patient',
        'SandboxFault "{\"match\":\"metadata\",\"do\":\"status\",\"status\":500}"']},
    {name => 'secure', tls => 1},
]);
$s->load($_, qq({"resourceType":"Patient","id":"m"}\n$lines)) for qw(a locked relative query internal secure);
my $all = '/Patient/m/$everything';

sub get { my ($name, $path, %headers) = @_; my $answer = $http->get(($path =~ /^http/ ? '' : $s->url($name)) . $path, {headers => \%headers}); $answer->{json} = eval { decode_json($answer->{content}) }; return $answer }
sub next_of { my ($bundle) = @_; my ($link) = grep { $_->{relation} eq 'next' } @{$bundle->{link}}; return $link && $link->{url} }

# What comes back on the socket until it ends, and how long that took.
sub raw {
    my ($request, $wait) = @_;
    my ($port) = $s->origin('a') =~ /(\d+)$/;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die;
    my ($text, $begin) = ('', time);
    print $socket "$request\r\nHost: x\r\n\r\n";
    while (1) {
        my $ready = '';
        vec($ready, fileno $socket, 1) = 1;
        last if !select($ready, undef, undef, $wait || 5);
        last if !sysread $socket, $text, 65536, length $text;
    }
    return ($text, time - $begin);
}

subtest 'next links' => sub {
    like next_of(get('relative', $all)->{json}), qr{^/fhir\?_getpages=}, 'relative';
    like next_of(get('query', $all)->{json}), qr{^\?_getpages=}, 'query alone';
    like next_of(get('internal', $all)->{json}), qr{^http://fhir\.internal:8080/fhir\?_getpages=}, 'internal host';
    is get('query', $all . next_of(get('query', $all)->{json}))->{json}{entry}[0]{resource}{id}, 'o10', 'a query works behind any path';
    ok !exists get('relative', $all)->{json}{total}, 'total on the last page only';
    is get('internal', $all)->{json}{entry}[0]{resource}{id}, 'o1', 'SandboxEverythingWithout';
    is get('internal', '/metadata')->{status}, 500, 'SandboxFault from the start';
};

sub token {
    my ($name, $form, %headers) = @_;
    my $answer = $http->post_form($s->token_url($name), $form, {headers => \%headers});
    $answer->{json} = eval { decode_json($answer->{content}) };
    return $answer;
}
sub refresh { my ($token, %more) = @_; return token('locked', {grant_type => 'refresh_token', refresh_token => $token, client_id => 'public', %more}) }
sub bearer { my ($token) = @_; return get('locked', '/Patient/m', Authorization => "Bearer $token")->{status} }

subtest 'tokens' => sub {
    is get('locked', '/metadata')->{status}, 200, 'metadata is open';
    my $answer = get('locked', '/Patient/m');
    is $answer->{status}, 401, 'the rest is not';
    is $answer->{headers}{'www-authenticate'}, 'Bearer realm="sandbox"', 'WWW-Authenticate';
    is $answer->{json}{resourceType}, 'OperationOutcome', 'with an OperationOutcome';
    is bearer('at-1'), 200, 'an initial token opens';
    sleep 1.1;
    is bearer('at-1'), 401, 'until it expires';
    $answer = refresh('rt-1');
    is $answer->{json}{member_id}, 'm', 'the answer names the patient';
    is $answer->{json}{expires_in}, 1, 'and the lifetime';
    is bearer($answer->{json}{access_token}), 200, 'the new access token opens';
    isnt $answer->{json}{refresh_token}, 'rt-1', 'the refresh token rotates';
    my $second = refresh($answer->{json}{refresh_token})->{json};
    is bearer($second->{access_token}), 200, 'again';
    $answer = refresh('rt-1');
    is $answer->{status}, 400, 'a replayed refresh token is refused';
    is $answer->{json}{error}, 'invalid_grant', 'as invalid_grant';
    is bearer($second->{access_token}), 401, 'and revokes live tokens';
    is refresh($second->{refresh_token})->{status}, 400, 'and the newest refresh token';
    my ($grant) = grep { ($_->{patient} // '') eq 'm' } @{$s->grants('locked')};
    is_deeply [@$grant{qw(refreshes replays revoked)}], [2, 1, JSON::PP::true], 'the control path counts';
    $s->add_grant('locked', 'at-9', 'rt-9', 'm');
    is bearer('at-9'), 200, 'a grant can be added';
    is get('locked', $s->origin('locked') . '/.well-known/openid-configuration')->{json}{token_endpoint}, $s->token_url('locked'), 'OpenID document';
    is get('locked', '/.well-known/smart-configuration')->{json}{token_endpoint}, $s->token_url('locked'), 'SMART document';
    my $keys = get('relative', '/.well-known/smart-configuration')->{json}{jwks_uri};
    like $keys, qr{/oauth/jwks$}, 'keys lie beside the token endpoint';
    ok get('relative', $keys)->{json}{keys}, '... and are there';
};

sub basic { my ($text) = @_; return (Authorization => 'Basic ' . encode_base64($text, '')) }

subtest 'clients' => sub {
    my %form = (grant_type => 'refresh_token', refresh_token => 'rt-2');
    is token('locked', \%form, basic('my client:se:cr%+t'))->{status}, 400, 'Basic that is not form-urlencoded is a 400';
    is token('locked', \%form, basic('my+client:wrong'))->{status}, 401, 'a wrong secret is a 401';
    my $answer = token('locked', \%form, basic('my+client:se%3Acr%25%2Bt'));
    is $answer->{status}, 200, 'Basic, form-urlencoded';
    is token('locked', {%form, refresh_token => 'rt-3', client_id => 'my client', client_secret => 'se:cr%+t'})->{status}, 200, 'client_secret_post';
    is token('locked', {%form})->{json}{error}, 'invalid_client', 'nobody is refused';
    ok token('locked', {grant_type => 'client_credentials'}, basic('my+client:se%3Acr%25%2Bt'))->{json}{access_token}, 'client_credentials';
    is token('locked', {grant_type => 'password', client_id => 'public'})->{json}{error}, 'unsupported_grant_type', 'other grants are not known';
    %form = (grant_type => 'refresh_token', refresh_token => 'r');
    is token('strict', \%form, basic('c:s'))->{status}, 401, 'SandboxClientAuth post';
    is token('strict', {%form, client_id => 'c', client_secret => 's'})->{status}, 400, 'SandboxTokenRequire';
    is token('strict', {%form, client_id => 'c', client_secret => 's', resource => 'abc'})->{status}, 200, 'and with it';
};

subtest 'status' => sub {
    $s->faults('a', {match => 'GET /fhir/Patient', nth => 2, count => 1, do => 'status', status => 429, retryAfter => 3});
    is_deeply [map { get('a', '/Patient/m')->{status} } 1 .. 3], [200, 429, 200], 'the second request only';
    $s->faults('a', {match => '*', every => 2, count => 0, do => 'status', status => 429, retryAfter => 1});
    is_deeply [map { get('a', '/Patient/m')->{status} } 1 .. 4], [429, 200, 429, 200], 'every second request';
    is get('a', '/Patient/m')->{headers}{'retry-after'}, 1, 'Retry-After in seconds';
    $s->faults('a', {match => 'POST *', count => 0, do => 'status', status => 503, retryAfter => 60, retryDate => 1, body => 'html'});
    is get('a', '/Patient/m')->{status}, 200, 'another method passes';
    my $answer = $http->post($s->url('a'), {content => '{}'});
    is $answer->{status}, 503, 'the method meant does not';
    like $answer->{headers}{'retry-after'}, qr/^\w{3}, \d\d \w{3} \d{4} .* GMT$/, 'Retry-After as a date';
    like $answer->{headers}{'content-type'}, qr{^text/html}, 'an HTML body';
    is_deeply $s->faults('a'), [{do => 'status', seen => 1, hits => 1}], 'rules count';
    $s->faults('a', {do => 'redirect', location => 'https://other.example/x', status => 307});
    is get('a', '/Patient/m')->{headers}{location}, 'https://other.example/x', 'redirect';
    $s->faults('a', {do => 'expired-token'});
    is get('a', '/Patient/m')->{status}, 401, 'expired-token';
    $s->faults('a', []);
    is get('a', '/Patient/m')->{status}, 200, 'no rules, no faults';
    is $http->put($s->control('a') . '/faults', {content => '{"do":"nonsense"}'})->{status}, 400, 'an unknown fault is refused';
};

subtest 'bodies' => sub {
    my $get = "GET /fhir$all HTTP/1.1";
    $s->faults('a', {do => 'cut', after => 500});
    my ($text) = raw($get);
    my ($length) = $text =~ /Content-Length: (\d+)/;
    my $body = (split /\r\n\r\n/, $text, 2)[1];
    is length $body, 500, 'cut: the bytes asked for';
    cmp_ok $length, '>', 500, 'and the length of all of it';
    $s->faults('a', {do => 'cut', after => 500, length => 'chunked'});
    ($text) = raw($get);
    like $text, qr/Transfer-Encoding: chunked.*\r\n1f4\r\n/s, 'cut in chunks';
    unlike $text, qr/\r\n0\r\n/, 'without the last one';
    $s->faults('a', {do => 'cut', after => 500, length => 'none'});
    ($text) = raw($get);
    unlike $text, qr/Content-Length|Transfer-Encoding/, 'cut without a length';
    like $text, qr/^HTTP\/1\.[01] 200.*\r\n\r\n.{500}$/s, 'ends with the connection';
    $s->faults('a', {do => 'cut', after => 500, length => 'wrong'});
    my $answer = get('a', $all);
    is length $answer->{content}, 500, 'cut, but complete to look at';
    ok !$answer->{json}, 'and not JSON';
    my $plain = get('a', $all)->{json};
    $s->faults('a', {do => 'wrong-total', to => -3});
    is get('a', $all)->{json}{total}, $plain->{total} - 3, 'wrong-total';
    $s->faults('a', [{do => 'endless', count => 0}, {do => 'xml-links', count => 0}]);
    my ($next, $pages, %seen) = ("$all?_count=1000", 0);
    while ($next && $pages++ < 5) {
        ($next) = map { $_->{url} =~ s{.*?/fhir}{}r } grep { $_->{relation} eq 'next' } @{ get('a', $next)->{json}{link} };
        $seen{ $next // '' }++;
    }
    is keys %seen, 5, 'endless: each page has a next link of its own';
    is scalar(grep { !/_format=application\/fhir%2Bxml/ } keys %seen), 0, 'xml-links: which asks for XML';
    $s->faults('a', {do => 'not-json'});
    $answer = get('a', $all);
    ok $answer->{status} == 200 && !$answer->{json}, 'not-json';
    $s->faults('a', {do => 'drop'});
    is +(raw($get))[0], '', 'drop';
    $s->faults('a', {do => 'cut', after => -1});
    is +(raw("DELETE /fhir/Observation/o30 HTTP/1.1"))[0], '', 'cut before the first byte';
    is get('a', '/Observation/o30')->{status}, 410, 'comes after the work';
};

subtest 'time' => sub {
    $s->faults('a', {do => 'delay', ms => 300});
    my $begin = time;
    is get('a', '/Patient/m')->{status}, 200, 'delay';
    cmp_ok time - $begin, '>=', 0.3, 'takes its time';
    $s->faults('a', {do => 'stall', after => 100, ms => 60000});
    my ($text) = raw("GET /fhir$all HTTP/1.1", 0.5);
    like $text, qr/\r\n\r\n.{100}$/s, 'stall: some bytes, then none';
    $s->set('a', delay => 200);
    $begin = time;
    get('a', '/Patient/m');
    cmp_ok time - $begin, '>=', 0.2, 'SandboxDelay';
    $s->set('a', delay => 0, bundleDelay => 200);
    $begin = time;
    $http->post($s->url('a'), {content => '{"resourceType":"Bundle","type":"batch"}'});
    cmp_ok time - $begin, '>=', 0.2, 'SandboxBundleDelay';
    $s->set('a', bundleDelay => 0);
};

subtest 'page-loop' => sub {
    $s->faults('a', {match => '_getpagesoffset=20', count => 0, do => 'page-loop', to => 10});
    my $second = next_of(get('a', $all)->{json});
    my $third = next_of(get('a', $second)->{json});
    is next_of(get('a', $third)->{json}), $second, 'the third page leads back to the second';
    $s->faults('a', {match => '_getpages', count => 1, do => 'status', status => 410});
    is get('a', $second)->{status}, 410, 'an expired page';
};

subtest 'reject' => sub {
    my $entry = sub { my ($id, $text) = @_; return {resource => {resourceType => 'Observation', id => $id, note => [{text => $text}]}, request => {method => 'PUT', url => "Observation/$id"}} };
    my $post = sub {
        my ($type) = @_;
        my $answer = $http->post($s->url('a'), {content => encode_json({resourceType => 'Bundle', type => $type, entry => [$entry->('r1', 'good'), $entry->('r2', 'bad')]})});
        return ($answer->{status}, decode_json($answer->{content}));
    };
    $s->faults('a', {do => 'reject', resource => 'Observation/r2', text => 'no'}, );
    my ($status, $json) = $post->('transaction');
    is $status, 422, 'a transaction is refused for one resource';
    is $json->{issue}[0]{diagnostics}, 'no', 'in the words asked for';
    is get('a', '/Observation/r1')->{status}, 404, 'all of it';
    $s->faults('a', {do => 'reject', contains => '"bad"', status => 409, count => 1, nth => 1, every => 1});
    ($status, $json) = $post->('batch');
    is_deeply [map { $_->{response}{status} } @{$json->{entry}}], ['201 Created', '409 Conflict'], 'a batch for its entry';
    $s->faults('a', {do => 'reject', resource => 'Observation/r2', status => 429, inside => 1, count => 2});
    ($status, $json) = $post->('transaction');
    is_deeply [$status, map { $_->{response}{status} } @{$json->{entry}}], [200, '200 OK', '429 Too Many Requests'], 'inside: a transaction too';
    $s->faults('a', []);
};

subtest 'TLS' => sub {
    my ($cert, $url) = ($s->ca_file, $s->url('secure'));
    like $url, qr/^https:/, 'https';
    like `curl -s --cacert $cert '$url/Patient/m'`, qr/"id":"m"/, 'answers with the certificate made';
    is get('secure', $s->plain('secure') . '/fhir/Patient/m')->{status}, 200, 'and without TLS for the test itself';
    like `curl -s --cacert $cert '$url$all?_count=2'`, qr/"fullUrl":"\Q$url\E/, 'fullUrl says https';
};

my $begin = time;
$s->stop;
cmp_ok time - $begin, '<', 5, 'it stops at once';
done_testing;
