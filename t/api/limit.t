#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# P2PRateLimit: a client that asks too often is told when to come back, whichever of httpd's children it meets; others are not held up by it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use Test::More;

my @DEFINITIONS = ({ name => 'A', issuer => 'https://a.example', clientId => 'c', fhirEndpoint => 'https://a.example/fhir', responseType => 'code' });
my $SERVER = '/api/oidc_servers/1';

sub start_httpd {
    my (%opt) = @_;
    my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => { portal => 'pass', other => 'pass', admin => 'pass' }, %opt);
    $httpd->expect_log(qr/AH01617|AH01618|AH03490/);
    return $httpd->prepare(\@DEFINITIONS)->start;
}

# Asks until it is refused; at most so often. Returns that answer, or undef, and the number of those before it.
sub until_refused {
    my ($ask, $most) = @_;
    my $count = 0;
    for (1 .. $most) {
        my $answer = $ask->();
        return ($answer, $count) if $answer->{status} == 429;
        $count++;
    }
    return (undef, $count);
}

sub is_refusal {
    my ($answer, $name) = @_;
    ok($answer, "$name: refused in the end") or return;
    is($answer->{headers}{'content-type'}, 'application/problem+json', '... as problem+json');
    is($answer->{json}{code}, 'too-many-requests', '... with its code');
    like($answer->{headers}{'retry-after'}, qr/^[12]$/, '... and when to come back');
    return;
}

# One request a second, two at once: a machine that answers slowly gives more, but none gives 400 of them in a row.
my $httpd = start_httpd(directives => { P2PRateLimit => 1 });
my ($api, $other, $nobody) = (P2P::Api->new($httpd->url, 'portal', 'pass'), P2P::Api->new($httpd->url, 'other', 'pass'), P2P::Api->new($httpd->url));
my ($refused, $before) = until_refused(sub { $api->get($SERVER) }, 400);
is_refusal($refused, 'reading');
cmp_ok($before, '>=', 2, 'two at once are taken');
for my $ask ([POST => "$SERVER/batch_job"], [GET => '/nowhere'], [DELETE => $SERVER], [OPTIONS => $SERVER]) {
    is_refusal((until_refused(sub { $api->request($ask->[0], $ask->[1], ($ask->[0] eq 'POST' ? (content => {}) : ())) }, 400))[0], "@$ask");
}
is($other->get($SERVER)->{status}, 200, 'another client is not held up');
is_deeply([grep { $_ != 200 } map { $nobody->get('/health')->{status} } 1 .. 20], [], 'health is not counted');
is_deeply([grep { $_ != 401 } map { $nobody->get($SERVER)->{status} } 1 .. 20], [], 'nor is who is not let in');
ok($httpd->wait_for(sub { $api->get($SERVER)->{status} == 200 }, 60), 'it is taken again later');

$httpd->stop;

# Each connection has a child of its own, which goes when it has answered.
my $many = start_httpd(directives => { P2PRateLimit => 1 }, main => ['StartServers 16', 'ServerLimit 16', 'ThreadsPerChild 2', 'MaxRequestWorkers 32',
    'MinSpareThreads 32', 'MaxSpareThreads 32', 'MaxConnectionsPerChild 1']);
is_refusal((until_refused(sub { P2P::Api->new($many->url, 'portal', 'pass')->get($SERVER) }, 100))[0], 'children count together');
$many->stop;

# Nobody has a name: addresses count.
my $open = start_httpd(users => undef, directives => { P2PRateLimit => 1 });
is_refusal((until_refused(sub { P2P::Api->new($open->url)->get($SERVER) }, 400))[0], 'an address');
$open->stop;

# As shipped nobody counts.
my $free = start_httpd();
my $free_api = P2P::Api->new($free->url, 'portal', 'pass');
is((until_refused(sub { $free_api->get($SERVER) }, 60))[0], undef, 'without P2PRateLimit there is no limit');
$free->stop;
done_testing();
