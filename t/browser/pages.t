#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The API page in a browser: at the root, below a path, and with an OpenID provider at which people sign in.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Browser;
use P2P::Databases;
use P2P::Httpd;
use P2P::Oidc;
use P2P::TlsApi;
use Test::More;

my $PASSWORD    = 'opens-the-portal';
my @DEFINITIONS = ({ name => 'Payer A', issuer => 'https://a.example', clientId => 'c', fhirEndpoint => 'https://a.example/fhir', responseType => 'code' });

my $dir = tempdir('p2p-pages-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
P2P::Httpd::make_certificate("$dir/tls");
chmod 0644, "$dir/tls.pem";

my $document   = JSON::PP->new->utf8->decode(P2P::Httpd::read_file(P2P::Httpd::builddir() . '/pages/openapi.json'));
my %paths      = %{ $document->{paths} };
my @operations = sort map { my $path = $_; map { uc($_) . " $path" } grep { /^(?:get|put|post|delete|patch|head|options)$/ } keys %{ $paths{$path} } } keys %paths;

sub httpd {
    my (%opt) = @_;
    my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => { portal => $PASSWORD, admin => 'opens-it-all' }, %opt);
    $httpd->expect_log(qr/AH01617|AH01618/);
    return $httpd->prepare(\@DEFINITIONS)->start;
}

my @httpds = (httpd(), httpd(prefix => '/p2p'));
my %settings = (url => $httpds[0]->url . '/', password => $PASSWORD, operations => \@operations, elsewhere => 'http://127.0.0.2:9',
    places => { 'at the root' => $httpds[0]->url . '/', 'below a path' => $httpds[1]->url . '/' });
P2P::Browser::run('pages.js', \%settings);
$_->stop for @httpds;
done_testing;
