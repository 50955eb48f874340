#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The console's audit in a browser: who did what, filtered by either, and how it was answered.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Api;
use P2P::Browser;
use P2P::Databases;
use P2P::Httpd;
use Test::More;

my %users = (admin => 'opens-it-all', portal => 'opens-the-portal');
my @definitions = map { { name => "Payer $_", issuer => "https://$_.example", clientId => 'c', fhirEndpoint => "https://$_.example/fhir" } } qw(a b c);
my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => \%users);
$httpd->expect_log(qr/AH01617|AH01618/);
$httpd->prepare(\@definitions)->start;

# Somebody changes a payer, and somebody else may not.
my ($admin, $portal) = map { P2P::Api->new($httpd->url, $_, $users{$_}) } qw(admin portal);
is($admin->request('PATCH', '/admin/oidc_servers/2', content => { notes => 'new' })->{status}, 200, 'a change');
is($portal->request('PATCH', '/admin/oidc_servers/2', content => { notes => 'mine' })->{status}, 403, 'a change that is refused');

P2P::Browser::run('audit.js', { url => $httpd->url . '/', user => { username => 'admin', password => $users{admin} } });
$httpd->stop;
done_testing;
