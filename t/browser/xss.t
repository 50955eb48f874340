#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What members, portals, administrators, sources, the target and mail servers say, with markup planted in each text, is shown as text by the console.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Browser;
use P2P::Scene;
use Test::More;

my %SHORT = map { $_ => 1 } qw(client);
sub planted {
    my ($where, $plain) = @_;
    return $plain if $where eq 'parameters';    # a list of names, which markup is not
    return qq(p2p-mark-$where-"><img src=x onerror="p2pRan(1)">) if $SHORT{$where};
    return qq(p2p-mark-$where-"'><img src=x onerror="p2pRan('$where')"><script>p2pRan('$where')</script><a href="javascript:p2pRan(1)" data-planted="1">x</a>{{name}});
}

my $scene = P2P::Scene->new(text => \&planted, directives => { P2PRateLimit => 100_000 });
my ($mail) = map { $_->{id} } grep { $_->{state} eq 'undeliverable' } @{ $scene->{admin}->get('/admin/mail')->{json}{mails} };
P2P::Browser::run('xss.js', {
    url => $scene->url . '/', user => { username => 'admin', password => $P2P::Scene::PASSWORD{admin} }, ids => { %{ $scene->{id} }, mail => $mail },
    wanted => { audit => ['client'], 'mail-undeliverable' => ['smtp'], 'exchange-failed' => [qw(client source-outcome)], 'exchange-rejected' => ['target-outcome'],
        payers => ['name'], payer => [qw(name notes organization scopes client-id)] } });
$scene->stop;
done_testing;
