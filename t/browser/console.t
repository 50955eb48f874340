#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The console, view by view, in front of an installation at which everything has happened, and of one at which nothing has.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Browser;
use P2P::Scene;
use Test::More;

my $full  = P2P::Scene->new(directives => { P2PRateLimit => 100_000 });
my $empty = P2P::Scene->new(empty => 1, directives => { P2PRateLimit => 100_000 });
my $sql   = $full->{notify};

# More than two pages of the audit, older than what has happened.
$sql->sql('INSERT INTO p2p_audit (id, time, client, role, address, action, object, status, code) SELECT n + 100000, 1700000000000000 + n, '
    . "'portal', 'portal', '192.0.2.7', 'start', 'oidc_server/1', 202, '' FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 220) SELECT n FROM c)");
my ($mail) = map { $_->{id} } grep { $_->{state} eq 'undeliverable' } @{ $full->{admin}->get('/admin/mail')->{json}{mails} };
P2P::Browser::run('console.js', {
    url => $full->url . '/', empty => $empty->url . '/', user => { username => 'admin', password => $P2P::Scene::PASSWORD{admin} }, ids => { %{ $full->{id} }, mail => $mail } });

$_->stop for $full, $empty;
done_testing;
