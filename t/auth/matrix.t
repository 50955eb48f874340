#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Every route of mod_p2p/route.c, as everybody who may come: without credentials, with wrong ones, with some that open nothing, as a portal, as an
# administrator. What is to be answered stands in the table of docs/security.md; with the configuration as it is shipped, and with conf/auth-bearer.conf.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Databases;
use P2P::Doors;
use P2P::Httpd;
use P2P::Jwt qw(new_key jwk_set sign);
use P2P::Shipped;
use P2P::Source;
use P2P::TlsApi;
use Test::More;

my @CALLERS = ('without', 'wrong', 'no role', 'portal', 'administrator');
my $OTHER   = qr/^any other /;

# The table: request => { caller => answer }.
my %matrix;
for my $line (lines_of('docs/security.md')) {
    my ($request, @answers) = map { s/`//gr } $line =~ /^\| (`[^`|]+`) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/ or next;
    @{ $matrix{$request} }{@CALLERS} = @answers;
}
my @routes = routes();
is(scalar @routes, scalar(grep { /^\s*\{.*\bP2P_ROLE_\w+,/ } lines_of('mod_p2p/route.c')), 'every route of the table of routes is found');
is_deeply([sort grep { !/$OTHER/ } keys %matrix], [sort map { "$_->{method} $_->{path}" } @routes], 'every route has its row in docs/security.md, and every row its route');
for my $route (@routes) {
    my $row = $matrix{"$route->{method} $route->{path}"} or next;
    my %open = map { $_ => $row->{$_} eq 'open' ? 1 : 0 } @CALLERS;
    my %role = (without => 0, wrong => 0, 'no role' => 0, portal => 1, administrator => 2);
    my $least = { none => 0, portal => 1, administrator => 2, hook => 3 }->{ $route->{role} };
    is_deeply(\%open, { map { $_ => $role{$_} >= $least ? 1 : 0 } @CALLERS }, "$route->{method} $route->{path}: the row says what its role does");
}
is_deeply([map { "$_->{method} $_->{path}" } grep { $_->{role} eq 'none' } @routes],
    ['GET /health', 'GET /', 'GET /openapi.json', 'GET /swagger/*', 'GET /console/sign-in.json', 'GET /console/*'], 'nothing but /health and the pages is open to everybody');

# ---- Asking ----

my %OTHERS = (
    'any other path below /admin' => [map { [GET => $_] } '/admin', '/admin/', '/admin/nowhere', '/admin/oidc_servers/x', '/admin/oidc_servers/1/nowhere', '/admin/%6eowhere'],
    'any other path' => [map { [GET => $_] } '/index.html', '/openapi.json/', '/openapi_json', '/swagger', '/console.js', '/consoles/', '/api', '/nowhere', '/health/', '/health/x', '/healthy', '/etc/passwd', '/api/oidc_servers/0', '/API/oidc_servers', '/Admin/oidc_servers', '/api/../nowhere', '/.htaccess'],
    'any other method' => [map { my $path = $_; map { [$_ => $path] } qw(PUT PROPFIND BREW TRACE) } '/api/oidc_servers', '/api/oidc_servers/1/batch_job/1'],
);

sub is_answer {
    my ($answer, $expected) = @_;
    return $answer->{status} == $expected if $expected ne 'open';
    return $answer->{status} !~ /^(?:401|403|405|5\d\d)$/ && ($answer->{json}{code} // '') ne 'not-found';
}

# Wrong secrets are limited (t/api/hook.t), and all callers here have one address.
sub ask_patiently {
    my ($api, $method, $path) = @_;
    for (1 .. 50) {
        my $answer = ask($api, { method => $method, path => $path });
        return $answer if $answer->{status} != 429;
        sleep 1;
    }
    die "$method $path: 429 without end\n";
}

sub walk {
    my ($name, $caller, $api) = @_;
    my @wrong;
    for my $request (sort keys %matrix) {
        my @asked = $OTHERS{$request} ? @{ $OTHERS{$request} } : [split / /, $request];
        for my $asked (@asked) {
            my ($method, $path) = @$asked;
            my $answer = ask_patiently($api, $method, $path);
            push @wrong, "$method $path: $answer->{status}, not $matrix{$request}{$caller}" if !is_answer($answer, $matrix{$request}{$caller});
        }
    }
    is(join("\n", @wrong), '', "$name: $caller: every answer is that of the table");
    return;
}

# HEAD is GET, and OPTIONS tells nothing to who is not known.
sub test_other_methods {
    my ($name, $nobody) = @_;
    my @wrong;
    for my $route (grep { $_->{role} =~ /portal|administrator/ } @routes) {
        for my $method ('HEAD', 'OPTIONS') {
            my $answer = ask($nobody, { %$route, method => $method });
            push @wrong, "$method $route->{path}: $answer->{status}" if $answer->{status} != 401 || $answer->{headers}{allow};
        }
    }
    is(join("\n", @wrong), '', "$name: HEAD and OPTIONS tell nothing either");
    return;
}

# The hook is not there without it; and it takes a secret of its own, from whomever.
my %HOOK = (P2PHookURL => 'https://p2p.example/hooks/task');

sub test_shipped {
    my ($db) = @_;
    my %users = (portal => 'the portal', admin => 'the administrator');
    my $httpd = P2P::Shipped->new(db => $db, users => \%users, administrators => 'admin', directives => \%HOOK);
    $httpd->expect_log(qr/AH01614|AH01617|AH01618|AH01631|AH01873|AH01906|AH10244|AH00135|AH03445/);
    $httpd->prepare([])->start;
    my $nobody = P2P::TlsApi->new($httpd->url, "$httpd->{dir}/tls.pem");
    walk('as shipped', 'without', $nobody);
    walk('as shipped', 'wrong', $nobody->with_password('admin', 'guessed'));
    walk('as shipped', 'portal', $nobody->with_password('portal', $users{portal}));
    walk('as shipped', 'administrator', $nobody->with_password('admin', $users{admin}));
    test_other_methods('as shipped', $nobody);
    $httpd->stop;
    return;
}

# The example as it stands, but that the issuer's keys come in a file: nobody publishes any here.
my $key = new_key('ES256', 'one');

sub token {
    my ($scope, %claims) = @_;
    return sign($claims{key} // $key, { iss => 'https://login.payer.example', aud => 'https://p2p.payer.example', sub => 's', client_id => "a-$scope", scope => "openid $scope",
        exp => time + 3600, %{ $claims{claims} // {} } });
}

sub test_bearer {
    my ($db) = @_;
    my $httpd = P2P::Shipped->new(db => $db, auth => 'auth-bearer', directives => \%HOOK, replace => { ' audience=' => ' keys=/etc/p2p/issuer.json audience=' });
    P2P::Httpd::write_file("$httpd->{dir}/issuer.json", jwk_set($key));
    $httpd->expect_log(qr/AH01629|AH01630|AH01631|AH01873|AH01906|AH10244|AH00135|AH03445/);
    $httpd->prepare([])->start;
    my $nobody = P2P::TlsApi->new($httpd->url, "$httpd->{dir}/tls.pem");
    walk('bearer tokens', 'without', $nobody);
    walk('bearer tokens', 'wrong', $nobody->with_token(token('p2p.administration', key => new_key('ES256', 'one'))));
    walk('bearer tokens', 'no role', $nobody->with_token(token('p2p.other')));
    walk('bearer tokens', 'portal', $nobody->with_token(token('p2p.portal')));
    walk('bearer tokens', 'administrator', $nobody->with_token(token('p2p.administration')));
    is($nobody->with_token(token('p2p.portal', claims => { more => 'x' x 9_000 }))->get('/api/oidc_servers')->{status}, 200, 'a token of 12 KB opens');
    for my $kilobytes (17, 25, 100) {
        my $long = $nobody->with_token('A' x ($kilobytes * 1000))->get('/api/oidc_servers');
        is("$long->{status} " . ($long->{headers}{'www-authenticate'} // ''), '401 ' . ($long->{headers}{'www-authenticate'} // 'nothing'), "one of $kilobytes KB: 401");
        like($long->{headers}{'www-authenticate'} // '', qr/^Bearer .*error="invalid_token"/, '... that tells what to do');
    }
    walk('a password in place of a token', 'wrong', $nobody->with_password('admin', 'the administrator'));
    test_other_methods('bearer tokens', $nobody);
    $httpd->stop;
    return;
}

each_database('matrix, as shipped' => \&test_shipped);
each_database('matrix, bearer tokens' => \&test_bearer);
done_testing;
