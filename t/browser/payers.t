#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Definitions of source payers, made, edited, tested, archived and searched by people in the console.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Api;
use P2P::Browser;
use P2P::Databases;
use P2P::Httpd;
use P2P::Jwt qw(new_key);
use JSON::PP;
use P2P::Sandbox;
use Test::More;

my $SECRET  = 'SECRET-of-a-client';
my $dir     = tempdir('p2p-payers-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $sandbox = P2P::Sandbox->start(payers => [{ name => 'a', directives => ["SandboxClient portal $SECRET"] }, { name => 'target', role => 'target' }]);
$sandbox->load('a', qq({"resourceType":"Patient","id":"s1","active":true}\n));
$sandbox->load('target', qq({"resourceType":"Patient","id":"t1","active":true}\n));

my $db    = P2P::Databases::sqlite();
my $httpd = P2P::Httpd->new(db => $db, users => { portal => 'SECRET-p', admin => 'SECRET-a' }, target => $sandbox->url('target'),
    directives => { P2PRunners => 1, P2PRetryFor => 600, P2PKeyDir => "$dir/keys" });
chmod 0755, $dir;
mkdir "$dir/keys", 0755;
$httpd->prepare->start;
my ($admin, $portal) = map { P2P::Api->new($httpd->url, $_, 'SECRET-' . substr $_, 0, 1) } qw(admin portal);

# A definition with an issuer of its own, past the console; its number.
my $count = 0;
sub made {
    my ($change) = @_;
    $count++;
    my $answer = $admin->post('/admin/oidc_servers', { name => "Payer $count", issuer => "https://n$count.example", fhirEndpoint => "http://127.0.0.1:9/$count", %$change });
    die "$answer->{status} $answer->{content}" if $answer->{status} != 201;
    return $answer->{json}{pid};
}

# An exchange, which binds a member; where the payer is not there it stays under way.
sub ordered {
    my ($pid) = @_;
    my $answer = $portal->post("/api/oidc_servers/$pid/batch_job",
        { sourcePayer => { oidcToken => 'token', patientId => 's1' }, targetPayer => { patientId => 't1', organizationId => 'T' } });
    die "$answer->{status} $answer->{content}" if $answer->{status} != 202;
    return $answer->{headers}{location};
}

# One that has ended; its status.
sub exchanged {
    my ($pid) = @_;
    my $path = ordered($pid);
    return $httpd->wait_for(sub { my $status = $portal->get($path)->{json}{batchStatus} // ''; $status !~ /^(?:START|$)/ && $status }, 120);
}

my $key = new_key('ES256', 'one')->{jwk};
my $json = JSON::PP->new->utf8->canonical;
my $settings = {
    url => $httpd->url, user => { username => 'admin', password => 'SECRET-a' }, secret => $SECRET, issuer => $sandbox->origin('a'), fhir => $sandbox->url('a'),
    publicKey => $json->encode($key), privateKey => $json->encode({ %$key, d => 'SECRET-of-a-key' }),
    goodFile => P2P::Httpd::write_file("$dir/good.jwks", $json->encode({ keys => [$key] })), badFile => P2P::Httpd::write_file("$dir/bad.jwks", 'no JSON'),
    largeFile => P2P::Httpd::write_file("$dir/large.jwks", ' ' x 70_000),
};
P2P::Browser::run('payers.js', $settings, answers => {
    made    => \&made,
    ordered => \&ordered,
    exchanged => \&exchanged,
    change  => sub { my ($change) = @_; return $admin->request('PATCH', "/admin/oidc_servers/$change->{pid}", content => $change)->{status} },
    stored  => sub { return $admin->get("/admin/oidc_servers/$_[0]")->{json} },
    sealed  => sub { return run_sql($db, "SELECT client_secret || key_text FROM p2p_oidc_server WHERE pid = $_[0]") },
    many    => sub {
        my $rows = join ', ', map { "(" . (1000 + $_) . ", 1, 'Many $_', 'https://many$_.example', 'M" . ($_ % 2) . "', " . ($_ % 3 == 0 ? 1 : 0) . ')' } 1 .. 90;
        run_sql($db, "INSERT INTO p2p_oidc_server (pid, version, name, issuer, organization_id, archived) VALUES $rows");
        return 1;
    },
});
unlike($httpd->log_text, qr/SECRET-of/, 'no secret in the log');
$httpd->stop;
done_testing;
