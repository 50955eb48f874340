#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The console's core in a browser: addresses and focus, what is kept live, trouble with the API, pages of a list, forms that were edited. At the root and
# below a path.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Browser;
use P2P::Databases;
use P2P::Httpd;
use Test::More;

my $PASSWORD = 'opens-it-all';

# Each definition that is imported is an entry of the audit: more than a page of them.
my @definitions = map { { name => "Payer $_", issuer => "https://$_.example", clientId => 'c', fhirEndpoint => "https://$_.example/fhir" } } 1 .. 120;

sub httpd {
    my (%opt) = @_;
    my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => { admin => $PASSWORD }, %opt);
    $httpd->expect_log(qr/AH01617|AH01618/);
    return $httpd->prepare(\@definitions)->launch;
}

my @httpds = (httpd(), httpd(prefix => '/p2p'));
$_->await for @httpds;
P2P::Browser::run('core.js', { url => $httpds[0]->url . '/', below => $httpds[1]->url . '/', user => { username => 'admin', password => $PASSWORD } });
$_->stop for @httpds;
done_testing;
