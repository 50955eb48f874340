#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Definitions through the administration API: what is written, what is read again, what is refused.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use Test::More;

my $AT   = '/admin/oidc_servers';
my $TIME = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
my $EC   = '"kty":"EC","crv":"P-256","x":"YAeTl-zY4qoejhEayycL2kdYzl8np-CCAgI49OCziJY","y":"9E2uwTWP_0UfqDmBsj4exxVvT4T4AWHDA5ByqQq4dF8"';
my %ALL  = (
    name => 'P2P Source Payer A', issuer => 'https://sourcepayerA.com/issuer/', clientId => 'p2pexchangeclientId', clientSecret => 'planted-secret',
    scopes => 'openid profile offline_access', customTokenParams => 'memberId', authWellKnown => 'https://sourcepayerA.com/.well-known/openid-configuration',
    tokenEndpoint => 'https://sourcepayerA.com/token-endpoint', fhirEndpoint => 'https://sourcepayerA.com/fhir-endpoint', responseType => 'code',
    organizationId => 'ABCD', notes => "registered in\nMarch", keyText => "{$EC}", keyFile => 'a.jwks',
);
my %LEAST = (name => 'B', issuer => 'https://b.example', fhirEndpoint => 'https://b.example/fhir');

sub problem {
    my ($answer, $status, $code, $name) = @_;
    is($answer->{status}, $status, "$name: $status") or diag $answer->{content};
    is($answer->{headers}{'content-type'}, 'application/problem+json', '... as problem+json');
    is($answer->{json}{code}, $code, "... and its code $code");
    unlike($answer->{content}, qr/planted/, '... and no secret');
    return $answer;
}

# A 422 at exactly these members.
sub wrong {
    my ($answer, $members, $name) = @_;
    problem($answer, 422, 'invalid-fields', $name);
    is_deeply([sort map { $_->{pointer} } @{ $answer->{json}{errors} }], [sort map { "/$_" } @$members], "... at @$members") or diag $answer->{content};
    return $answer;
}

sub put {
    my ($api, $path, $content, %headers) = @_;
    return $api->request('PUT', $path, content => $content, headers => \%headers);
}

sub patch {
    my ($api, $path, $content, %headers) = @_;
    return $api->request('PATCH', $path, content => $content, headers => { 'Content-Type' => 'application/merge-patch+json', %headers });
}

# A new definition with an issuer of its own; its document.
my $count = 0;
sub made {
    my ($api, %change) = @_;
    $count++;
    my $answer = $api->post($AT, { %LEAST, issuer => "https://n$count.example", name => "N$count", %change });
    is($answer->{status}, 201, "definition $count is made") or diag $answer->{content};
    return $answer->{json};
}

sub sealed {
    my ($db, $pid, $column) = @_;
    return run_sql($db, "SELECT $column FROM p2p_oidc_server WHERE pid = $pid");
}

sub test_create {
    my ($api, $portal, $db) = @_;
    my $answer = $api->post($AT, \%ALL);
    is($answer->{status}, 201, 'a definition with all that it can have') or diag $answer->{content};
    is($answer->{headers}{location}, "$AT/1", '... has its Location');
    is($answer->{headers}{etag}, '"1"', '... its ETag');
    is($answer->{headers}{'cache-control'}, 'no-store', '... and is not to be stored');
    my ($time) = $answer->{content} =~ /"lastUpdated":"([^"]*)"/;
    like($time, $TIME, '... and says when');
    is($answer->{content}, '{"pid":1,"name":"P2P Source Payer A","issuer":"https://sourcepayerA.com/issuer","clientId":"p2pexchangeclientId",'
        . '"scopes":"openid profile offline_access","customTokenParams":"memberId",'
        . '"authWellKnown":"https://sourcepayerA.com/.well-known/openid-configuration",'
        . '"tokenEndpoint":"https://sourcepayerA.com/token-endpoint","fhirEndpoint":"https://sourcepayerA.com/fhir-endpoint",'
        . '"responseType":"code","organizationId":"ABCD","notes":"registered in\nMarch","keyFile":"a.jwks","archived":false,'
        . '"clientSecretSet":true,"keyTextSet":true,"idNamespace":"https://sourcepayerA.com/issuer","version":1,"lastUpdated":"' . $time . '"}',
        '... the guide\'s members first, in its order; no secret, no key');
    my $read = $api->get("$AT/1");
    is($read->{content}, $answer->{content}, 'it is read as it was answered');
    is($api->get("$AT/1", 'If-None-Match' => $read->{headers}{etag})->{status}, 304, '... with conditions');
    my $seen = $portal->get('/api/oidc_servers/1');
    is($seen->{json}{name}, 'P2P Source Payer A', 'the portal sees it');
    unlike($seen->{content}, qr/March|Secret|key|archived/, '... without what is not for it');
    unlike(sealed($db, 1, "client_secret || key_text || key_file"), qr/planted|kty|a\.jwks/, 'the secret and the keys are sealed');
    $answer = $api->post($AT, { %LEAST, pid => 77, version => 9, idNamespace => 'https://x.example', lastUpdated => 'x', clientSecretSet => 1, other => [1] });
    is($answer->{status}, 201, 'the least that one has to have; what is not written is ignored') or diag $answer->{content};
    is_deeply({ %{ $answer->{json} }, lastUpdated => 0 }, { %LEAST, pid => 2, version => 1, idNamespace => 'https://b.example', lastUpdated => 0,
        (map { $_ => '' } qw(clientId scopes customTokenParams authWellKnown tokenEndpoint organizationId notes keyFile)), responseType => 'code',
        (map { $_ => JSON::PP::false } qw(archived clientSecretSet keyTextSet)) }, '... all else is blank');
    for my $issuer ('https://b.example', 'https://b.example/', 'https://b.example//') {
        my $taken = problem($api->post($AT, { %LEAST, issuer => $issuer }), 409, 'issuer-exists', "$issuer again");
        is($taken->{headers}{location}, "$AT/2", '... tells whose it is');
    }
    problem($api->post($AT, '[]'), 422, 'not-an-object', 'a list');
    problem($api->post($AT, '{'), 400, 'json-cut-short', 'half a body');
    problem($api->request('POST', $AT, content => 'name=x', headers => { 'Content-Type' => 'application/x-www-form-urlencoded' }), 415,
        'unsupported-media-type', 'a form');
    problem($api->get("$AT/77"), 404, 'no-such-server', 'a definition that is not there');
    return;
}

# Each rule, on the way in and on the way of a change.
sub test_rules {
    my ($api) = @_;
    my $one = made($api);
    my @rules = (
        [name => undef, '', 5, 'x' x 201, "a\tb"], [issuer => undef, '', 5, 'http://i.example', 'https://u:p@i.example', 'https://i.example#x', 'https://i.example?x=1', 'i.example'],
        [fhirEndpoint => undef, '', 5, 'http://i.example/fhir', 'https://u@i.example/fhir', 'https://i.example/fhir#x', 'https://i.example/fhir?x=1', '/fhir'],
        [authWellKnown => 5, 'http://i.example/w', 'https://u:p@i.example/w', 'https://i.example/w#x', 'w', 'https://i.example/' . 'x' x 2048],
        [tokenEndpoint => [], 'http://i.example/t', 'https://u:p@i.example/t', 'https://i.example/t#x', 't'],
        [clientId => {}, 'x' x 1025, "a\nb"], [clientSecret => 5, 'x' x 4097, "planted\n"], [scopes => JSON::PP::true, 'x' x 4097],
        [customTokenParams => 5, 'a b', 'grant_type=x', '=x', 'a&b=c'], [responseType => 5, 'Code', 'code none', 'code code', 'token token'],
        [organizationId => 5, 'x' x 201], [notes => 5, 'x' x 8193, "a\x00b"], [archived => 'true', 1, []],
        [keyText => 5, '{}', '{"keys":[]}', 'planted', "{$EC,\"d\":\"Hjq1D0BAoMKfyAOEsJc1Ql1LMUQ7NsWm2cLoUvi_Dkk\"}", '{"kty":"oct","k":"cGxhbnRlZA"}',
            '{"kty":"RSA","n":"AQAB","e":"AQAB"}', "{\"keys\":[{$EC},{\"kty\":\"RSA\"}]}", 'x' x 65537],
        [keyFile => 5, '/etc/passwd', '../secret.key', '.hidden', 'a/b.jwks', 'a b', 'x' x 256, 'missing.jwks', 'link.jwks', 'folder', 'pipe', 'private.jwks', 'long.jwks', 'text.jwks'],
    );
    for my $rule (@rules) {
        my ($member, @values) = @$rule;
        for my $value (@values) {
            my $shown = JSON::PP->new->allow_nonref->encode($value);
            wrong($api->post($AT, { %LEAST, issuer => 'https://i.example', $member => $value }), [$member], "$member: " . substr $shown, 0, 60);
        }
        wrong(patch($api, "$AT/$one->{pid}", { $member => $values[-1] }), [$member], "$member of a change");
        wrong(put($api, "$AT/$one->{pid}", { %LEAST, issuer => $one->{issuer}, $member => $values[-1] }), [$member], "$member of a replacement");
    }
    is_deeply($api->get("$AT/$one->{pid}")->{json}, $one, 'after all that it is what it was');
    wrong($api->post($AT, {}), [qw(name issuer fhirEndpoint)], 'nothing at all');
    wrong($api->post($AT, { name => 5, scopes => 5, archived => 5, keyFile => '/' }), [qw(name issuer fhirEndpoint scopes archived keyFile)], 'each fault is told');
    my $good = made($api, responseType => ' id_token  code', customTokenParams => 'audience=https://x/?a=b, memberId', keyText => "{\"keys\":[{$EC}]}", keyFile => 'set-1_B.jwks',
        authWellKnown => 'http://127.0.0.1:9/w', tokenEndpoint => 'https://[::1]:8/t?x=1');
    is($good->{responseType}, 'code id_token', 'response types stand in their own order');
    return;
}

sub test_put {
    my ($api, $db) = @_;
    my $one = made($api, %ALL, issuer => 'https://put.example/', archived => JSON::PP::true);
    my $path = "$AT/$one->{pid}";
    is($one->{archived}, JSON::PP::true, 'a definition can be made archived');
    my $answer = put($api, $path, $one);
    is($answer->{status}, 200, 'what was read is sent back') or diag $answer->{content};
    is($answer->{headers}{etag}, '"2"', '... another version');
    is_deeply({ %{ $answer->{json} }, version => 1, lastUpdated => 0 }, { %$one, lastUpdated => 0 }, '... nothing is different, and the secret and key are still there');
    my ($secret, $key) = map { sealed($db, $one->{pid}, $_) } qw(client_secret key_text);
    my %least = (%LEAST, issuer => 'https://put.example');
    $answer = put($api, $path, \%least);
    is_deeply([@{ $answer->{json} }{qw(name clientId scopes notes keyFile tokenEndpoint organizationId)}], ['B', ('') x 6], 'what is missing is blank');
    is_deeply([@{ $answer->{json} }{qw(clientSecretSet keyTextSet archived)}], [(JSON::PP::true) x 3], '... but for what nobody can send back');
    is(sealed($db, $one->{pid}, 'client_secret'), $secret, '... the secret is the same');
    is(sealed($db, $one->{pid}, 'key_text'), $key, '... and the key');
    $answer = put($api, $path, { %least, clientSecret => 'planted-2', keyText => '' });
    is_deeply([@{ $answer->{json} }{qw(clientSecretSet keyTextSet)}], [JSON::PP::true, JSON::PP::false], 'a new secret, no key');
    isnt(sealed($db, $one->{pid}, 'client_secret'), $secret, '... it is another');
    is(put($api, $path, { %least, clientSecret => undef, archived => JSON::PP::false })->{json}{clientSecretSet}, JSON::PP::false, 'no secret');
    my $current = $api->get($path);
    problem(put($api, $path, \%least, 'If-Match' => '"1"'), 412, 'precondition-failed', 'another version');
    problem(put($api, $path, \%least, 'If-Match' => 'W/' . $current->{headers}{etag}), 412, 'precondition-failed', 'a weak ETag');
    is($api->get($path)->{headers}{etag}, $current->{headers}{etag}, '... change nothing');
    $answer = put($api, $path, { %least, name => 'C' }, 'If-Match' => "\"x\", $current->{headers}{etag}");
    is($answer->{status}, 200, 'this version') or diag $answer->{content};
    isnt($answer->{headers}{etag}, $current->{headers}{etag}, '... becomes another');
    is(put($api, $path, \%least, 'If-Match' => '*')->{status}, 200, 'any version');
    problem(put($api, "$AT/77", \%LEAST), 404, 'no-such-server', 'PUT makes none');
    problem(put($api, "$AT/77", \%LEAST, 'If-Match' => '*'), 404, 'no-such-server', '... whatever the condition');
    return;
}

sub test_issuer {
    my ($api, $portal) = @_;
    my ($one, $two) = map { made($api) } 1, 2;
    my $path = "$AT/$one->{pid}";
    my $answer = problem(patch($api, $path, { issuer => "$two->{issuer}/" }), 409, 'issuer-exists', "another's issuer");
    is($answer->{headers}{location}, "$AT/$two->{pid}", '... tells whose it is');
    problem(put($api, $path, { %LEAST, issuer => $two->{issuer} }), 409, 'issuer-exists', '... of a replacement');
    is($api->get($path)->{json}{version}, 1, '... nothing is changed');
    is(patch($api, $path, { issuer => "$one->{issuer}/" })->{status}, 200, 'its own issuer is no conflict');
    my $changed = patch($api, $path, { issuer => 'https://moved.example/', idNamespace => 'https://x.example', pid => 3 })->{json};
    is_deeply([@$changed{qw(pid issuer idNamespace)}], [$one->{pid}, 'https://moved.example', $one->{issuer}], 'the issuer changes; number and namespace do not');
    is(patch($api, "$AT/$two->{pid}", { issuer => $one->{issuer} })->{status}, 200, 'what it had is free for another');
    patch($api, $path, { archived => JSON::PP::true });
    problem($portal->get("/api/oidc_servers/$one->{pid}"), 404, 'no-such-server', 'the portal does not see an archived definition');
    unlike($portal->get('/api/oidc_servers')->{content}, qr/"pid":$one->{pid},/, '... nor lists it');
    $answer = problem($api->post($AT, { %LEAST, issuer => 'https://moved.example' }), 409, 'issuer-exists', 'the issuer of one that is archived');
    is($answer->{headers}{location}, $path, '... tells which');
    like($answer->{json}{detail}, qr/archived: bring it back with PATCH \{"archived": false\}/, '... and how it comes back');
    is(patch($api, $path, { archived => JSON::PP::false })->{json}{archived}, JSON::PP::false, '... which it does');
    is($portal->get("/api/oidc_servers/$one->{pid}")->{status}, 200, '... for the portal, too');
    return;
}

sub test_patch {
    my ($api, $db) = @_;
    my $one = made($api, %ALL, issuer => 'https://patch.example');
    my $path = "$AT/$one->{pid}";
    my ($secret, $key) = map { sealed($db, $one->{pid}, $_) } qw(client_secret key_text);
    my $answer = patch($api, $path, { notes => 'new', unknown => { a => undef }, version => 77 });
    is($answer->{status}, 200, 'one member') or diag $answer->{content};
    is_deeply({ %{ $answer->{json} }, version => 1, lastUpdated => 0 }, { %$one, notes => 'new', lastUpdated => 0 }, '... all others stay');
    is($answer->{headers}{etag}, '"2"', '... another version');
    is(sealed($db, $one->{pid}, 'client_secret'), $secret, '... the secret, too');
    is(sealed($db, $one->{pid}, 'key_text'), $key, '... and the key');
    is($api->request('PATCH', $path, content => '{"responseType":null,"scopes":null,"keyFile":null}')->{status}, 200, 'as application/json; null removes');
    my $now = $api->get($path)->{json};
    is_deeply([@$now{qw(responseType scopes keyFile notes)}], ['code', '', '', 'new'], '... what it names');
    wrong(patch($api, $path, { name => undef, fhirEndpoint => undef }), [qw(name fhirEndpoint)], '... but not what has to be there');
    wrong(patch($api, $path, { notes => { a => 1 }, scopes => [] }), [qw(notes scopes)], 'an object is no text');
    is(patch($api, $path, {})->{status}, 200, 'nothing at all');
    $now = patch($api, $path, { clientSecret => undef, keyText => undef })->{json};
    is_deeply([@$now{qw(clientSecretSet keyTextSet)}], [(JSON::PP::false) x 2], 'a secret and a key are removed');
    is(sealed($db, $one->{pid}, 'client_secret || key_text'), '', '... altogether');
    $now = patch($api, $path, { clientSecret => 'planted', keyText => "{$EC}" })->{json};
    is_deeply([@$now{qw(clientSecretSet keyTextSet)}], [(JSON::PP::true) x 2], '... and set again');
    problem(patch($api, $path, { notes => 'x' }, 'If-Match' => '"1"'), 412, 'precondition-failed', 'another version');
    is(patch($api, $path, { notes => 'x' }, 'If-Match' => qq("$now->{version}"))->{status}, 200, 'this version');
    problem(patch($api, $path, '[{"op":"remove","path":"/notes"}]', 'Content-Type' => 'application/json-patch+json'), 422, 'not-an-object', 'a JSON patch');
    problem(patch($api, $path, 'x', 'Content-Type' => 'text/plain'), 415, 'unsupported-media-type', 'a text');
    problem(patch($api, "$AT/77", {}), 404, 'no-such-server', 'a definition that is not there');
    return;
}

# A file that was good when it was named, and is not any more, is in the way of nothing else.
sub test_key_file {
    my ($api, $dir) = @_;
    P2P::Httpd::write_file("$dir/passing.jwks", "{$EC}");
    my $one = made($api, keyFile => 'passing.jwks');
    unlink "$dir/passing.jwks";
    is(patch($api, "$AT/$one->{pid}", { notes => 'x' })->{status}, 200, 'the notes can be changed without it');
    my $answer = wrong(put($api, "$AT/$one->{pid}", $one), ['keyFile'], 'naming it again is looked at');
    like($answer->{json}{errors}[0]{detail}, qr/^names a file that is not in P2PKeyDir$/, '... and tells why');
    return;
}

sub numbers {
    my ($api, $path) = @_;
    my (@pids, @sizes);
    while ($path) {
        my $answer = $api->get($path);
        is($answer->{status}, 200, "GET $path") or diag $answer->{content};
        push @sizes, scalar @{ $answer->{json}{servers} };
        push @pids, map { $_->{pid} } @{ $answer->{json}{servers} };
        $path = $answer->{json}{next};
    }
    return (\@pids, \@sizes);
}

sub test_list {
    my ($api, $db) = @_;
    my $rows = join ', ', map { "(" . (1000 + $_) . ", 1, 'Payer $_ of Many', 'https://many$_.example', 'M" . ($_ % 2) . "', 'https://many$_.example/fhir', 'code', 1700000000000000, " . ($_ % 3 == 0 ? 1 : 0) . ')' } 1 .. 120;
    run_sql($db, "INSERT INTO p2p_oidc_server (pid, version, name, issuer, organization_id, fhir_endpoint, response_type, last_updated, archived) VALUES $rows");
    my @many = grep { $_ % 3 } 1 .. 120;
    my ($pids, $sizes) = numbers($api, "$AT?name=payer");
    is_deeply([grep { $_ > 1000 } @$pids], [map { 1000 + $_ } @many], 'all that have the word, by number');
    is($sizes->[0], 50, '... 50 a page');
    ($pids) = numbers($api, "$AT?name=OF+many&organization=M1");
    is_deeply($pids, [map { 1000 + $_ } grep { $_ % 2 } @many], 'by name and organization, on every page');
    ($pids, $sizes) = numbers($api, "$AT?name=of%20MANY&archived=true");
    is_deeply($pids, [map { 1000 + $_ } 1 .. 120], 'archived ones, too');
    is_deeply($sizes, [50, 50, 20], '... 50 a page');
    for my $query ('issuer=https://many5.example', 'issuer=https%3A%2F%2Fmany5.example%2F', 'archived=false&issuer=https://many5.example&name=&organization=') {
        is_deeply((numbers($api, "$AT?$query"))[0], [1005], $query);
    }
    is_deeply((numbers($api, "$AT?$_"))[0], [], "$_: none") for 'issuer=https://many3.example', 'issuer=many5', 'organization=m1', 'organization=M', 'name=%25', 'name=_ayer', "name='";
    my $list = $api->get("$AT?name=payer");
    is_deeply($list->{json}{servers}[0], $api->get("$AT/$list->{json}{servers}[0]{pid}")->{json}, 'each as it is read alone');
    is($api->get("$AT?name=payer", 'If-None-Match' => $list->{headers}{etag})->{status}, 304, 'a list that has not changed');
    patch($api, "$AT/1001", { name => 'Payer, renamed', fhirEndpoint => 'https://x.example' });
    is($api->get("$AT?name=payer", 'If-None-Match' => $list->{headers}{etag})->{status}, 200, '... and one that has');
    my $next = $list->{json}{next};
    problem($api->get($next =~ s/payer/Payer/r), 400, 'bad-page', 'the cursor of another filter');
    problem($api->get($next =~ s/page=\K\d/9/r), 400, 'bad-page', 'a cursor that was changed');
    is_deeply((numbers($api, "$AT?name=$_"))[0], [], "$_: none, and no fault") for '%FF%C3%ED%A0%80', 'x' x 4000, '%0A%25s%25lld%7Bnow%7D';
    problem($api->get("$AT?$_"), 400, 'bad-query', $_) for 'name=%00', 'name=%zz', 'x=1', 'name=a&name=b', 'archived=1', 'archived=True';
    return;
}

sub test_doors {
    my ($api, $portal, $url) = @_;
    my %methods = ($AT => 'GET, HEAD, POST, OPTIONS', "$AT/1" => 'GET, HEAD, PUT, PATCH, DELETE, OPTIONS', "$AT/1/unbind" => 'POST, OPTIONS', "$AT/1/use" => 'GET, HEAD, OPTIONS');
    for my $path (sort keys %methods) {
        for my $method (grep { $_ ne 'HEAD' } split /, /, $methods{$path}) {
            my %body = $method =~ /^P/ ? (content => '{}') : ();
            is(P2P::Api->new($url)->request($method, $path, %body)->{status}, 401, "$method $path without credentials") if $method ne 'OPTIONS';
            problem($portal->request($method, $path, %body), 403, 'forbidden', "$method $path as a portal") if $method ne 'OPTIONS';
        }
        is($api->request('OPTIONS', $path)->{headers}{allow}, $methods{$path}, "OPTIONS $path");
    }
    is($api->get("$AT/1")->{json}{version}, 1, 'nothing was changed');
    return;
}

# What lies in P2PKeyDir, good and bad.
sub make_keys {
    my ($dir) = @_;
    mkdir $dir;
    P2P::Httpd::write_file("$dir/a.jwks", "{$EC}");
    P2P::Httpd::write_file("$dir/set-1_B.jwks", "{\"keys\":[{$EC,\"kid\":\"x\"}]}\n");
    P2P::Httpd::write_file("$dir/private.jwks", "{$EC,\"d\":\"Hjq1D0BAoMKfyAOEsJc1Ql1LMUQ7NsWm2cLoUvi_Dkk\"}");
    P2P::Httpd::write_file("$dir/text.jwks", 'planted');
    P2P::Httpd::write_file("$dir/long.jwks", "{$EC}" . ' ' x 65536);
    mkdir "$dir/folder";
    P2P::Httpd::write_file("$dir/folder/b.jwks", "{$EC}");
    symlink "$dir/a.jwks", "$dir/link.jwks";
    require POSIX;
    POSIX::mkfifo("$dir/pipe", 0644);
    return $dir;
}

each_database('administration' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => { portal => 'pass', admin => 'pass' });
    my $keys = make_keys("$httpd->{dir}/keys");
    $httpd->{directives}{P2PKeyDir} = $keys;
    $httpd->write_config;
    $httpd->run_command('migrate');
    $httpd->start;
    my ($api, $portal) = map { P2P::Api->new($httpd->url, $_, 'pass') } qw(admin portal);
    test_create($api, $portal, $db);
    test_doors($api, $portal, $httpd->url);
    test_rules($api);
    test_put($api, $db);
    test_issuer($api, $portal);
    test_patch($api, $db);
    test_key_file($api, $keys);
    test_list($api, $db);
    unlike($httpd->log_text, qr/planted/, 'no secret in the log');
    $httpd->stop;
});

each_database('import holds the same rules' => sub {
    my ($db) = @_;
    my $key = P2P::Httpd::new_key();
    my ($httpd, $none) = map { P2P::Httpd->new(db => $db, key => $key) } 1, 2;
    $httpd->{directives}{P2PKeyDir} = make_keys("$httpd->{dir}/keys");
    $httpd->write_config;
    my @faults = ([keyText => '{"kty":"oct","k":"cGxhbnRlZA"}'], [keyFile => '../a.jwks'], [keyFile => 'link.jwks'], [keyFile => 'private.jwks'], [archived => 'yes']);
    for my $fault (@faults) {
        ok(!eval { $httpd->prepare([{ %LEAST, $fault->[0] => $fault->[1] }]); 1 }, "$fault->[0] $fault->[1] is not imported");
        like($@, qr{^p2p-runner definitions import: /0/$fault->[0]: }, '... and is named') or diag $@;
    }
    ok(!eval { $none->prepare([{ %LEAST, keyFile => 'a.jwks' }]); 1 }, 'no key file without P2PKeyDir');
    like($@, qr{/0/keyFile: cannot be used: P2PKeyDir is not set}, '... which is said');
    $httpd->prepare([{ %LEAST, keyFile => 'a.jwks', keyText => "{$EC}", archived => JSON::PP::true }]);
    is(run_sql($db, 'SELECT archived FROM p2p_oidc_server'), 1, 'what is good is imported, archived where it says so');
    $httpd->prepare([\%LEAST]);
    is(run_sql($db, 'SELECT archived, version FROM p2p_oidc_server') =~ s/\|/ /r, '0 2', '... and comes back where it does not');
});
done_testing();
