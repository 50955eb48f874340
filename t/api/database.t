#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A database that is away, comes back, restarts or has no schema yet: 503 with Retry-After, and it heals by itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use Test::More;
use Time::HiRes qw(sleep);

my @DEFINITIONS = ({ name => 'A', issuer => 'https://a.example', clientId => 'c', fhirEndpoint => 'https://a.example/fhir', responseType => 'code' });
my $JOBS = '/api/oidc_servers/1/batch_job';
my @PATHS = ('/health', '/api/oidc_servers', '/api/oidc_servers/1', "$JOBS/1", "$JOBS/1/report");
my $member = 0;

sub order {
    $member++;
    return { sourcePayer => { oidcToken => "t$member", patientId => "s$member" }, targetPayer => { patientId => "t$member", organizationId => 'o' } };
}

sub ok_away {
    my ($api, $name) = @_;
    sleep 1.5;    # a definition that was read just before is known for a second, to whichever child read it
    for my $answer ((map { $api->get($_) } @PATHS), $api->post($JOBS, order())) {
        my ($path) = $answer->{url} =~ m{:\d+(/.*)};
        is($answer->{status}, 503, "$name: 503 for $path") or diag $answer->{content};
        is($answer->{headers}{'retry-after'}, 5, '... with Retry-After');
        is($answer->{headers}{'content-type'}, 'application/problem+json', '... as problem+json');
        unlike($answer->{content}, qr/host=|dbname|\.db|SQL|sqlite|pgsql/i, '... and nothing about what the database is');
    }
    return;
}

sub ok_back {
    my ($httpd, $api, $name) = @_;
    ok($httpd->wait_for(sub { $api->get('/health')->{status} == 200 }), "$name: health is 200 again");
    is($api->get($_)->{status}, 200, "$name: 200 for $_") for @PATHS[1, 2];
    my $answer = $api->post($JOBS, order());
    is($answer->{status}, 202, "$name: jobs are taken") or diag $answer->{content};
    is($api->get($answer->{headers}{location})->{status}, 200, '... and can be read');
    return;
}

# mod_dbd's words about a connection that it does not get, and ours.
my @AWAY = (qr/AH0063[0-9]|AH0062[0-9]|AH0064[0-9]/, qr/\[p2p:error\].*database-(?:away|error)/, qr/\[p2p:warn\].* database: p2p_/, qr/\[dbd(?:_\w+)?:error\]/);

sub test_sqlite {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db);
    $httpd->expect_log(@AWAY);
    $httpd->prepare(\@DEFINITIONS)->give_database;
    chmod 0000, $db->{dir};
    $httpd->start;
    my $api = P2P::Api->new($httpd->url);
    ok_away($api, 'closed folder');
    chmod 0755, $db->{dir};
    ok_back($httpd, $api, 'open folder');
    $httpd->stop;
    return;
}

sub test_postgresql {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db);
    $httpd->expect_log(@AWAY);
    $httpd->prepare(\@DEFINITIONS)->start;
    my $api = P2P::Api->new($httpd->url);
    ok_back($httpd, $api, 'at first');
    $db->{server}->stop;
    ok_away($api, 'stopped');
    $db->{server}->start;
    ok_back($httpd, $api, 'started again');
    $db->{server}->restart('immediate');
    ok_back($httpd, $api, 'after a crash');
    for my $round (1 .. 5) {
        $db->{server}->kill_backends;
        is($api->get('/api/oidc_servers/1')->{status}, 200, "sessions ended by an administrator, round $round");
    }
    $httpd->stop;
    $db->{server}->stop;
    $httpd->start;
    ok_away($api, 'away when httpd starts');
    $db->{server}->start;
    ok_back($httpd, $api, 'there after httpd has started');
    $httpd->stop;
    return;
}

sub test_schema {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db);
    $httpd->expect_log(qr/schema-missing|database-error|\[p2p:error\]/, @AWAY);
    $httpd->start;
    my $api = P2P::Api->new($httpd->url);
    my $health = $api->get('/health');
    is($health->{status}, 503, 'no schema: health is 503');
    is($health->{json}{code}, 'unavailable', '... and says no more than that');
    like($httpd->log_text, qr/run p2p-runner migrate/, 'the log says what to do');
    isnt($api->get('/api/oidc_servers')->{status}, 200, 'nor does the API work');
    $httpd->prepare(\@DEFINITIONS)->give_database;
    ok_back($httpd, $api, 'migrated');
    $httpd->stop;
    return;
}

$ENV{P2P_DATABASES} = 'both';    # these are about the databases themselves
each_database('away' => sub { my ($db) = @_; return $db->{server} ? test_postgresql($db) : test_sqlite($db) });
each_database('schema' => sub { my ($db) = @_; return test_schema($db) });
done_testing();
