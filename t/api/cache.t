#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The definition that the portal reads is kept by httpd for a moment: what another host or program changes is seen a second later, a change of this
# httpd's own at once, whichever of its children is asked.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use Test::More;

my @DEFINITIONS = map { { name => $_, issuer => "https://$_.example", clientId => 'c', fhirEndpoint => "https://$_.example/fhir", responseType => 'code' } } qw(a b);
my $SERVER = '/api/oidc_servers/1';

# Another program's change: the next version has another name.
sub rename_by_sql { my ($db, $name) = @_; return run_sql($db, "UPDATE p2p_oidc_server SET name = '$name', version = version + 1 WHERE pid = 1") }

sub name_of { my ($answer) = @_; return $answer->{json}{name} // $answer->{status} }

# At least one of many answers comes soon enough after the change to be what was kept.
sub test_kept {
    my ($db, $api) = @_;
    my %etag = (a => '"1"');
    for my $turn (1 .. 50) {
        $api->get($SERVER);
        rename_by_sql($db, "turn$turn");
        my $answer = $api->get($SERVER);
        $etag{"turn$turn"} = '"' . ($turn + 1) . '"';
        next if name_of($answer) eq "turn$turn";
        is($answer->{headers}{etag}, $etag{ name_of($answer) }, 'what is kept is what was there before, with its ETag');
        return;
    }
    fail('a definition is kept for a moment');
    return;
}

sub test_seen_later {
    my ($httpd, $db, $api) = @_;
    rename_by_sql($db, 'later');
    my $answer;
    ok($httpd->wait_for(sub { $answer = $api->get($SERVER); name_of($answer) eq 'later' }), "another program's change is seen later");
    is($answer->{headers}{etag}, '"' . run_sql($db, 'SELECT version FROM p2p_oidc_server WHERE pid = 1') . '"', '... with its own ETag');
    is(name_of($api->get('/api/oidc_servers/2')), 'b', 'another definition is another');
    run_sql($db, 'UPDATE p2p_oidc_server SET archived = 1 WHERE pid = 1');
    ok($httpd->wait_for(sub { $api->get($SERVER)->{status} == 404 }), 'one that is archived is gone later');
    run_sql($db, 'UPDATE p2p_oidc_server SET archived = 0 WHERE pid = 1');
    ok($httpd->wait_for(sub { $api->get($SERVER)->{status} == 200 }), '... and comes back');
    return;
}

# Whichever child made the change, and whichever is asked: answers that are older than the change are never seen.
sub test_seen_at_once {
    my ($api, $admin) = @_;
    my $patch = sub { $admin->request('PATCH', '/admin/oidc_servers/1', content => $_[0], headers => { 'Content-Type' => 'application/merge-patch+json' }) };
    my @old;
    for my $turn (1 .. 10) {
        $api->get($SERVER) for 1 .. 5;
        my $answer = $patch->({ name => "patched$turn" });
        push @old, "status $answer->{status}" if $answer->{status} != 200;
        push @old, grep { $_ ne "patched$turn" } map { name_of($api->get($SERVER)) } 1 .. 5;
    }
    is_deeply(\@old, [], 'a change through this httpd is seen at once');
    $patch->({ archived => JSON::PP::true });
    is_deeply([map { $api->get($SERVER)->{status} } 1 .. 5], [(404) x 5], '... and that it is archived');
    $patch->({ archived => JSON::PP::false });
    is_deeply([map { $api->get($SERVER)->{status} } 1 .. 5], [(200) x 5], '... and that it is not');
    return;
}

each_database('definitions that are kept' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => { portal => 'pass', admin => 'pass' }, main => ['StartServers 2']);
    $httpd->prepare(\@DEFINITIONS)->start;
    my $api = P2P::Api->new($httpd->url, 'portal', 'pass');
    test_kept($db, $api);
    test_seen_later($httpd, $db, $api);
    test_seen_at_once($api, P2P::Api->new($httpd->url, 'admin', 'pass'));
    $httpd->stop;
});
done_testing();
