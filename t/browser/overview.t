#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The console's overview in a browser: before the first exchange, with much that needs a person, at work, and on a small screen.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Browser;
use P2P::Databases;
use P2P::Httpd;
use Test::More;

my $PASSWORD = 'opens-it-all';
my $TARGET   = 'https://target.example/fhir';

my $db    = P2P::Databases::sqlite();
my $httpd = P2P::Httpd->new(db => $db, users => { admin => $PASSWORD }, directives => { P2PTarget => $TARGET, P2PRunners => 0 });
$httpd->expect_log(qr/AH01617|AH01618/);
$httpd->prepare([map { { name => $_, issuer => "https://$_.example" =~ s/[^\w:\/.]//gr, clientId => 'c', fhirEndpoint => 'https://a.example/fhir' } } 'A', 'B<img src=x onerror=alert(1)>'])->start;

# An exchange that failed, and what a runner has counted of this hour; not at its very end, since what is looked at is the hour that is under way.
sub fail_one {
    my $left = 3600 - time % 3600;
    sleep $left + 1 if $left < 30;
    my $now  = int(time * 1e6);
    my $hour = int($now / 3.6e9) * 3_600_000_000;
    P2P::Databases::run_sql($db, "INSERT INTO p2p_job (id, uuid, version, kind, target, oidc_server_id, status, attempt, create_time, last_updated, end_time, error_sentence)
        VALUES (17, 'u', 1, 'p2p-exchange', '$TARGET', 2, 'FAILED', 1, $now, $now, $now, 'The target refused <b>it</b>.')");
    P2P::Databases::run_sql($db, "INSERT INTO p2p_stat (target, hour, runner, peer, completed, failed, resources, bytes, errors) VALUES
        ('$TARGET', $hour, 'one/0', 'oidc_server/2', 12, 1, 4000, 5000000, 3), ('$TARGET', $hour, 'one/0', 'target', 0, 0, 0, 0, 2)");
    $httpd->give_database;
    return 1;
}

P2P::Browser::run('overview.js', { url => $httpd->url . '/', user => { username => 'admin', password => $PASSWORD } }, answers => { fail => \&fail_one });
$httpd->stop;
done_testing;
