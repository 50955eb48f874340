#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# conf/auth-certificate.conf: callers known by TLS client certificates, in both versions of TLS; certificates of another CA, expired ones, those made for
# something else and those of other names get nowhere.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Certificates;
use P2P::TlsApi;
use P2P::Databases;
use P2P::Doors;
use P2P::Httpd;
use P2P::Shipped;
use Test::More;

my ($PORTAL, $ADMINISTRATOR) = ('portal.payer.example', 'administrator.payer.example');
my $dir = tempdir('p2p-certificates-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $ours  = P2P::Certificates->new($dir, 'callers-ca');
my $other = P2P::Certificates->new($dir, 'other-ca');
my %CLIENT = (
    portal        => { $ours->client($PORTAL) },
    administrator => { $ours->client($ADMINISTRATOR) },
    'another name'              => { $ours->client('somebody.payer.example') },
    'a name that begins so'     => { $ours->client("$PORTAL.evil.example") },
    'a name in another case'    => { $ours->client(uc $PORTAL) },
    'of another CA'             => { $other->client($ADMINISTRATOR) },
    'of a CA of the same name'  => { P2P::Certificates->new(tempdir(DIR => $dir), 'callers-ca')->client($ADMINISTRATOR) },
    'expired'                   => { $ours->client($ADMINISTRATOR, file => 'expired', days => -1) },
    "a server's"                => { $ours->client($ADMINISTRATOR, file => 'server', usage => 'serverAuth') },
);

my $httpd = P2P::Shipped->new(db => P2P::Databases::sqlite(), auth => 'auth-certificate', main => ['LogLevel warn p2p:info ssl:info']);
P2P::Httpd::write_file("$httpd->{dir}/callers-ca.pem", P2P::Httpd::read_file($ours->ca));
$httpd->expect_log(qr/AH01630|AH01631|AH01873|AH01906|AH02039|AH02008|AH02227|AH02261|AH02276|SSL Library Error/);
$httpd->prepare([])->start;
my @api = ($httpd->url, "$httpd->{dir}/tls.pem");

# The handshake fails, so that there is no answer at all, not even of /health.
sub ok_no_handshake {
    my ($name, $api) = @_;
    my @statuses = map { $api->get($_)->{status} } '/health', '/api/oidc_servers', '/admin/audit';
    is("@statuses", '599 599 599', "$name: no answer");
    return;
}

for my $tls ('1.2', '1.3') {
    my %version = ("tlsv$tls" => undef, 'tls-max' => $tls);
    my %as = map { $_ => P2P::TlsApi->new(@api, %version, %{ $CLIENT{$_} }) } keys %CLIENT;
    my $nobody = P2P::TlsApi->new(@api, %version);
    ok_portal("TLS $tls: a portal", $as{portal});
    ok_administrator("TLS $tls: an administrator", $as{administrator});
    ok_closed("TLS $tls: no certificate", $nobody, 403);
    ok_closed("TLS $tls: a password in its place", $nobody->with_password($ADMINISTRATOR, 'password'), 403);
    ok_closed("TLS $tls: $_", $as{$_}, 403) for 'another name', 'a name that begins so', 'a name in another case';
    ok_no_handshake("TLS $tls: $_", $as{$_}) for 'of another CA', 'of a CA of the same name', 'expired', "a server's";
}
like($httpd->log_text, qr/AH02276: Certificate Verification: .*certificate has expired/, 'the log tells why a certificate was not taken (ssl:info)');
is(scalar(() = $httpd->log_text =~ /AH02227.*\/health/g), 0, '... and nothing of the load balancer');
$httpd->stop;
done_testing;
