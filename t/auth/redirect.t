#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Requests that httpd makes of requests (mod_rewrite, ErrorDocument): it asks nobody again who calls, and what a token does not open stays closed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Jwt qw(new_key jwk_set sign);
use Test::More;

my $dir    = tempdir('p2p-redirect-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $ISSUER = 'https://login.example';
my $key    = new_key('ES256', 'one');
chmod 0755, $dir;
my $keys = P2P::Httpd::write_file("$dir/keys.json", jwk_set($key));

sub token { my ($scope, %claims) = @_; return sign($key, { iss => $ISSUER, aud => 'p2p', sub => 's', client_id => 'portal', scope => $scope, exp => time + 600, %claims }) }

my @DEFINITIONS = ({ name => 'Payer A', issuer => 'https://payer-a.example', clientId => 'us', fhirEndpoint => 'https://payer-a.example/fhir' });
my @MAIN        = ("P2PTrustIssuer $ISSUER keys=$keys audience=p2p portal=p2p.portal administration=p2p.admin");
my @REWRITE     = ('RewriteEngine On', 'RewriteRule "shown/(.*)$" "/api/$1" [L]', 'RewriteRule "managed/(.*)$" "/admin/$1" [L]');

sub start {
    my ($db, @vhost) = @_;
    my @auth = ('<Location "/">', 'AuthType Bearer', 'AuthName p2p', 'Require valid-user', 'AuthzSendForbiddenOnFailure On', @REWRITE, '</Location>', @vhost);
    my $httpd = P2P::Httpd->new(db => $db, main => \@MAIN, vhost => \@auth, modules => ['rewrite'], directives => { P2PAdministrators => "boss\@$ISSUER" });
    return $httpd->prepare(\@DEFINITIONS)->start;
}

sub test_rewrite {
    my ($api) = @_;
    $api->{unchecked} = 1;    # these paths are mod_rewrite's
    my $get = sub { my ($token, $path) = @_; return $api->get($path, Authorization => "Bearer $token") };
    is($get->(token('p2p.portal'), '/shown/oidc_servers')->{status}, 200, 'a portal gets where it is sent');
    is($get->(token('p2p.admin'), '/managed/oidc_servers')->{status}, 200, 'and so does an administrator');
    is($api->get('/shown/oidc_servers')->{status}, 401, 'nobody does not');
    my $none = $get->(token('openid'), '/shown/oidc_servers');
    is($none->{status}, 403, 'a token without a scope of ours opens nothing');
    like($none->{headers}{'www-authenticate'} // '', qr/error="insufficient_scope"/, '... and its caller is told');
    is($get->(token('p2p.portal'), '/managed/oidc_servers')->{status}, 403, 'a portal is no administrator');
    is($get->(token('p2p.portal', client_id => 'boss'), '/managed/oidc_servers')->{status}, 403, '... nor is one of the name of one');
    my $order = { sourcePayer => { oidcToken => 't', patientId => '1' }, targetPayer => { patientId => 'other', organizationId => 'us' } };
    my $job = $api->post('/shown/oidc_servers/1/batch_job', $order, Authorization => 'Bearer ' . token('p2p.portal', patient => 'mine'));
    is("$job->{status} " . ($job->{json}{code} // ''), '403 other-patient', 'a token of one member is still one of that member');
    return;
}

each_database('requests that are sent on' => sub {
    my ($db) = @_;
    my $httpd = start($db);
    test_rewrite(P2P::Api->new($httpd->url));
    $httpd->stop;
});

each_database('a refusal that is sent on' => sub {
    my ($db) = @_;
    my $httpd = start($db, 'ErrorDocument 401 /api/oidc_servers', 'ErrorDocument 403 /admin/oidc_servers');
    my $api = P2P::Api->new($httpd->url);
    for my $headers ({}, { Authorization => 'Bearer x' }, { Authorization => 'Bearer ' . token('openid') }) {
        my $answer = $api->get('/api/oidc_servers', %$headers);
        like($answer->{status}, qr/^40[13]$/, 'who is refused is refused') or diag explain($answer);
        unlike($answer->{content}, qr/Payer A/, '... and gets nothing');
    }
    $httpd->stop;
});
done_testing;
