#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The configuration as it is shipped, and conf/auth-basic.conf: passwords made by htpasswd, portals and administrators apart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::TlsApi;
use P2P::Databases;
use P2P::Doors;
use P2P::Httpd;
use P2P::Shipped;
use P2P::Source;
use Test::More;

my %USERS = (portal => 'the portal: its password', admin => 'the administrator: "a\\b"', other => 'another portal');

# The parts of the example are those of p2p.conf, so that what is said of one holds for the other.
sub parts { my ($file) = @_; return [map { s/^\s+//r } grep { /^\s*<Location/ .. /^\s*<\/Location/ } lines_of($file)] }
is_deeply(parts('conf/auth-basic.conf'), parts('conf/p2p.conf'), 'conf/auth-basic.conf has the parts of conf/p2p.conf');

sub test_doors {
    my ($name, %opt) = @_;
    my $httpd = P2P::Shipped->new(db => P2P::Databases::sqlite(), users => \%USERS, %opt);
    $httpd->expect_log(qr/AH01614|AH01617|AH01618|AH01631|AH01873|AH01906/);
    $httpd->prepare([])->start;
    my $nobody = P2P::TlsApi->new($httpd->url, "$httpd->{dir}/tls.pem");
    my %as = map { $_ => $nobody->with_password($_, $USERS{$_}) } keys %USERS;
    ok_portal("$name: $_", $as{$_}) for 'portal', 'other';
    ($opt{administrators} || $opt{auth} ? \&ok_administrator : \&ok_no_administrator)->("$name: admin", $as{admin});
    ok_closed("$name: nobody", $nobody, 401);
    if (!$opt{replace}) {
        ok_closed("$name: $_->[0]", $_->[1], 401) for ['a wrong password', $nobody->with_password('portal', 'wrong')],
            ['an empty password', $nobody->with_password('portal', '')], ['an unknown user', $nobody->with_password('root', 'x')],
            ["another's password", $nobody->with_password('admin', $USERS{portal})], ['a bearer token', $nobody->with_token('x.y.z')];
    }
    like($nobody->get('/api/oidc_servers')->{headers}{'www-authenticate'}, qr/^Basic realm="p2p"/, "$name: ... and is told how");
    $httpd->stop;
    return;
}

test_doors('as shipped', replace => {});
test_doors('with an administrator', administrators => 'admin');
test_doors('the example', auth => 'auth-basic');
test_doors('with passwords remembered', auth => 'auth-basic', modules => [qw(authn_socache)], main => ['AuthnCacheEnable', 'AuthnCacheSOCache shmcb'],
    replace => { 'AuthBasicProvider file' => "AuthBasicProvider socache file\nAuthnCacheProvideFor file\nAuthnCacheTimeout 300" });

# What was shipped before /admin had a part of its own: the table of routes keeps portals out all the same.
test_doors('valid-user alone', administrators => 'admin', replace => { 'Require user admin' => 'Require valid-user' });
test_doors('a portal let in by mistake', administrators => 'admin', replace => { 'Require user admin' => 'Require user admin portal other' });
done_testing;
