#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Tokens that live 2 seconds, refresh tokens that rotate and end their grant when one comes twice, and a source that answers 429 to every second
# request, the token endpoint included: each refresh token is used once, by one job or by eight in two runners. A target that wants tokens, too.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use List::Util qw(sum);
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Httpd;
use Test::More;

my $RESOURCES = 20_000;
my $JOBS      = 8;
my $dir = tempdir('p2p-tokens-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;

# A member with so many Observations.
sub member_lines {
    my ($patient, $count) = @_;
    return join '', qq({"resourceType":"Patient","id":"$patient"}\n),
        map { qq({"resourceType":"Observation","id":"$patient-$_","status":"final","subject":{"reference":"Patient/$patient"},"valueInteger":$_}\n) } 1 .. $count;
}

my @members = map { "member-number-$_" } 1 .. $JOBS;
my $single = write_data("$dir/single.ndjson", member_lines('the-only-member', $RESOURCES - 1));
my $many   = write_data("$dir/many.ndjson", join '', map { member_lines($_, $RESOURCES / $JOBS - 1) } @members);
my @strict = ('SandboxTokenLifetime 2', 'SandboxRotate On', 'SandboxClientAuth basic');
my $client = P2P::Httpd::write_file("$dir/client.json", '{"clientId":"a runner","clientSecret":"SECRET-of +%us"}', 0600);
my $sandbox = P2P::Exchange::sandbox(
    { name => 'source', data => [$single], directives => [@strict, 'SandboxPageSize 500'] },
    { name => 'shared', data => [$many], directives => [@strict, 'SandboxPageSize 100'] },
    { name => 'away', data => [write_data("$dir/few.ndjson", member_lines('one-of-few', 20))], directives => \@strict },
    { name => 'target', role => 'target' },
    { name => 'guarded', role => 'target', directives => ['SandboxTokenLifetime 1', 'SandboxClient "a runner" "SECRET-of +%us"', 'SandboxDelay 100'] },
);

sub every_second { return { do => 'status', match => '* *', status => 429, every => 2, count => 0, retryAfter => 0 } }

# Each refresh token but the newest was used exactly once, that one at most once; nobody's grant was revoked.
sub ok_grants {
    my ($source, $name, $refreshes, $before) = @_;
    my @grants = grep { @{ $_->{uses} } && $_->{grant} > $before } @{ $sandbox->grants($source) };
    is(scalar @grants, 1, "$name: one grant");
    is(join(' ', grep { $_->{revoked} || $_->{replays} } @grants), '', "$name: no grant was revoked");
    for my $grant (@grants) {
        my @uses = @{ $grant->{uses} };
        pop @uses;
        is(scalar(grep { $_ != 1 } @uses), 0, "$name: each of " . @uses . ' refresh tokens was used once') or diag "@{ $grant->{uses} }";
        cmp_ok(scalar @uses, '>=', $refreshes, "$name: ... of at least $refreshes");
    }
    return;
}

sub ok_refused_half {
    my ($source, $name) = @_;
    my $requests = $sandbox->requests($source);
    my $refused = $requests->{statuses}{429} // 0;
    cmp_ok($refused, '>=', int($requests->{total} / 2) - 2, "$name: $refused of $requests->{total} requests were answered 429");
    my @tokens = grep { $_->{url} =~ m{/token} && $_->{status} == 429 } @{ $requests->{log} };
    cmp_ok(scalar @tokens, '>=', 1, "$name: ... some of the token endpoint's");
    return;
}

sub observations { my ($name) = @_; return scalar grep { m{^Observation/p2p-} } keys %{ $sandbox->dump($name, keys => 1) } }

sub setup {
    my ($x, $source) = @_;
    $x->reset_target;
    $sandbox->reset($source);
    $sandbox->clear_requests($source);
    $sandbox->faults($source, every_second());
    return scalar @{ $sandbox->grants($source) };
}

sub test_single {
    my ($x) = @_;
    my $before = setup($x, 'source');
    my $job = $x->exchange('source', 'the-only-member', 'one');
    $sandbox->faults('source', []);
    is($job->{batchStatus}, 'COMPLETED', 'one job: COMPLETED') or diag explain($job);
    is($job->{progress}{written}, $RESOURCES, "one job: $RESOURCES resources are written");
    is(observations('target'), $RESOURCES - 1, 'one job: ... and at the target');
    ok_grants('source', 'one job', 4, $before);
    ok_refused_half('source', 'one job');
    return;
}

# Half of them come with the grant's first refresh token when it has long been another.
sub test_eight {
    my ($x) = @_;
    my $before = setup($x, 'shared');
    my $first = "SECRET-first-of-all-$$";
    $sandbox->add_grant('shared', '-', $first);
    my $order = sub { my ($member) = @_; return $x->order('shared', $member, "target-of-$member", token => ['', $first]) };
    my @answers = map { $order->($_) } @members[0 .. $JOBS / 2 - 1];
    my $rotated = $x->{httpd}->wait_for(sub { return $sandbox->grants('shared')->[-1]{refreshes} >= 2 }, 60);
    ok($rotated, 'eight jobs: the first refresh token is an old one');
    push @answers, map { $order->($_) } @members[$JOBS / 2 .. $JOBS - 1];
    is(join(' ', map { $_->{status} } @answers), join(' ', (202) x $JOBS), 'eight jobs: all orders are taken');
    my @jobs = map { $x->wait($_->{path}) } @answers;
    $sandbox->faults('shared', []);
    is(join(' ', map { $_->{batchStatus} } @jobs), join(' ', ('COMPLETED') x $JOBS), 'eight jobs: COMPLETED') or diag explain(\@jobs);
    is(sum(map { $_->{progress}{written} } @jobs), $RESOURCES, "eight jobs: $RESOURCES resources are written");
    is(observations('target'), $RESOURCES - $JOBS, 'eight jobs: ... and at the target');
    my @starts = sort map { $_->{startTime} } @jobs;
    my @ends = sort map { $_->{endTime} } @jobs;
    cmp_ok($starts[-1], 'lt', $ends[0], 'eight jobs: at one time, four in each runner');
    ok_grants('shared', 'eight jobs', 4, $before);
    ok_refused_half('shared', 'eight jobs');
    return;
}

# The target's token endpoint is found by discovery; its tokens live a second, one is refused in its time, and the endpoint is away for a while. Beside that
# a source's token endpoint wants to be left alone for longer than a refresh may take.
sub test_target {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['shared', 'away'], target => 'guarded',
        directives => { P2PTargetAuth => "client-credentials $client", P2PBundleSize => 20, P2PRetryFor => 120 });
    $x->add_target_patient($_) for 'one', 'another';
    $sandbox->set('guarded', bearer => 1);
    $sandbox->faults('away', { do => 'status', match => 'POST /token', status => 429, retryAfter => 31 });
    $sandbox->add_grant('away', '-', 'SECRET-left-alone');
    my $waits = $x->order('away', 'one-of-few', 'another', no_patient => 1, token => ['', 'SECRET-left-alone']);
    $sandbox->clear_requests('guarded');
    $sandbox->faults('guarded', { do => 'expired-token', match => 'POST /fhir', nth => 3 }, { do => 'status', match => 'POST /token', status => 503, nth => 2, count => 2 });
    my $job = $x->exchange('shared', $members[0], 'one', no_patient => 1);
    is($job->{batchStatus}, 'COMPLETED', 'a target that wants tokens: COMPLETED') or diag explain($job);
    is($job->{progress}{written}, $RESOURCES / $JOBS, '... all is written');
    my @tokens = grep { $_->{url} =~ m{/token} && $_->{status} == 200 } @{ $sandbox->requests('guarded')->{log} };
    cmp_ok(scalar @tokens, '>=', 3, '... with ' . @tokens . ' tokens');
    my $late = $x->wait($waits->{path});
    is($late->{batchStatus}, 'COMPLETED', 'a token endpoint that wants to be left alone: COMPLETED') or diag explain($late);
    is(scalar(grep { $_->{url} =~ m{/token} } @{ $sandbox->requests('away')->{log} }), 2, '... which was asked once, and once more when its time was over');
    $sandbox->set('guarded', bearer => 0);
    $sandbox->faults('guarded', { do => 'status', match => 'POST /token', status => 401, count => 0, body => '{"error":"invalid_client","error_description":"SECRET"}' });
    $sandbox->set('guarded', bearer => 1);
    $job = $x->exchange('shared', $members[1], 'one', no_patient => 1);
    $x->ok_failed($job, 'target-token-refused', qr{/token refused to give a token \(401, invalid_client\)}, 'a target that refuses the client');
    $x->{httpd}->expect_log(qr/No access token for the target|It goes on without a Task|Its Task keeps its old status/);
    $x->ok_sealed('target');
    $x->stop;
    return;
}

each_database('tokens', sub {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['source', 'shared'], directives => { P2PRunners => 2, P2PJobsPerRunner => $JOBS / 2 });
    test_single($x);
    test_eight($x);
    $x->ok_sealed('tokens');
    $x->stop;
});

my $own = tempdir('p2p-target-XXXXXX', TMPDIR => 1, CLEANUP => 1);
test_target({ name => 'SQLite', driver => 'sqlite3', params => "$own/p2p.db" });
done_testing;
