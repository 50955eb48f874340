#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The definition that the portal reads is kept by httpd for a moment: what another host or program changes is seen a second later, a change of this
# httpd's own at once, whichever of its children is asked.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
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
    for my $turn (1 .. 50) {
        my $before = name_of($api->get($SERVER));
        rename_by_sql($db, "turn$turn");
        my $answer = $api->get($SERVER);
        next if name_of($answer) eq "turn$turn";
        is(name_of($answer), $before, 'what is kept is what was there before');
        my $again = $api->get($SERVER, 'If-None-Match' => $answer->{headers}{etag});
        ok($again->{status} == 304 || name_of($again) eq "turn$turn", '... with its ETag');
        return;
    }
    fail('a definition is kept for a moment');
    return;
}

sub test_seen_later {
    my ($httpd, $db, $api) = @_;
    my $etag = $api->get($SERVER)->{headers}{etag};
    rename_by_sql($db, 'later');
    ok($httpd->wait_for(sub { name_of($api->get($SERVER)) eq 'later' }), "another program's change is seen later");
    isnt($api->get($SERVER)->{headers}{etag}, $etag, '... with another ETag');
    is(name_of($api->get('/api/oidc_servers/2')), 'b', 'another definition is another');
    run_sql($db, 'UPDATE p2p_oidc_server SET archived = 1 WHERE pid = 1');
    ok($httpd->wait_for(sub { $api->get($SERVER)->{status} == 404 }), 'one that is archived is gone later');
    run_sql($db, 'UPDATE p2p_oidc_server SET archived = 0 WHERE pid = 1');
    ok($httpd->wait_for(sub { $api->get($SERVER)->{status} == 200 }), '... and comes back');
    return;
}

each_database('definitions that are kept' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => { portal => 'pass', admin => 'pass' });
    $httpd->prepare(\@DEFINITIONS)->start;
    my $api = P2P::Api->new($httpd->url, 'portal', 'pass');
    test_kept($db, $api);
    test_seen_later($httpd, $db, $api);
    $httpd->stop;
});
done_testing();
