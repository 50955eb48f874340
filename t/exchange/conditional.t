#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Every way of writing leaves the same graph: ids of ours or of the target's, transactions or batches, whatever the order of the pages. What the target
# gave an id keeps it: a second exchange, and one whose runner was killed, write nothing twice.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{P2P_SEED} // int rand 1_000_000;
diag "P2P_SEED=$seed";
srand $seed;
my @members = map { synthea_member($_) } 'Collin', 'Darius';
my %target_of = ($members[0]{patient} => 'one', $members[1]{patient} => 'two');
my $tangled = tangled_member(60, 5, 'the-tangled-member');
my $sandbox = P2P::Exchange::sandbox({ name => 'source', data => [map { $_->{file} } @members] }, { name => 'tangled' },
    { name => 'target', role => 'target' });
$sandbox->load('tangled', $tangled->{lines});

sub start {
    my ($db, $ids, $bundles, %more) = @_;
    $sandbox->reset('target');
    $sandbox->set('target', clientIds => $ids eq 'derive' ? 1 : 0);
    return P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['source', 'tangled'],
        directives => { P2PResourceIds => $ids, P2PBundleType => $bundles, P2PBundleSize => 20, %more });
}

# Both members of a source at a time: they share resources.
sub test_members {
    my ($x, $name) = @_;
    my @patients = map { $_->{patient} } @members;
    my @known = map { $x->expect('source', $_, $target_of{$_}) } @patients;
    my @jobs = map { $x->wait($_->{path}) }
        map { $x->order('source', $_, $target_of{$_}, request => 'Patient/{patientId}/$everything?_count=30') } @patients;
    my $dump = $x->target_dump;
    $_->learn_ids($dump) for @known;
    $x->ok_exchange($jobs[$_], $known[$_], "$name, member $_", dump => $dump, with => [$known[1 - $_]]) for 0, 1;
    $x->ok_target($dump, $name);
    return \@known;
}

# Circles, references to what never comes, attachments.
sub test_tangled {
    my ($x, $name) = @_;
    my $compare = $x->expect('tangled', 'the-tangled-member', 'three');
    my $job = $x->exchange('tangled', 'the-tangled-member', 'three', request => 'Patient/{patientId}/$everything?_count=7');
    $x->ok_exchange($job, $compare, "$name, tangled");
    return;
}

sub stable { my ($dump) = @_; return { map { $_ => $dump->{$_}{version} } grep { !m{^(?:Provenance|Task)/} && !$dump->{$_}{deleted} } keys %$dump } }

# The same once more: all find themselves.
sub test_again {
    my ($x, $known, $name) = @_;
    my $before = $x->target_dump;
    my $job = $x->exchange('source', $members[0]{patient}, 'one');
    my $after = $x->target_dump;
    is($job->{batchStatus}, 'COMPLETED', "$name, again: COMPLETED");
    is(join("\n", $known->[0]->faults_at($after)), '', "$name, again: everything is there, once");
    is_deeply([sort keys %{ stable($after) }], [sort keys %{ stable($before) }], "$name, again: nothing is new");
    return;
}

# What was taken away from the target comes back, under a new id, and all refer to that.
sub test_deleted {
    my ($x, $known, $name) = @_;
    my ($key) = grep { m{^Encounter/} } $known->[0]->arrived;
    my $at = $known->[0]->target_key($key);
    HTTP::Tiny->new->delete($sandbox->plain('target') . "/fhir/$at")->{success} or die "DELETE fails\n";
    my $job = $x->exchange('source', $members[0]{patient}, 'one');
    my $dump = $x->target_dump;
    is($job->{batchStatus}, 'COMPLETED', "$name, one deleted: COMPLETED") or diag explain($job);
    is(join("\n", $known->[0]->faults_at($dump)), '', "$name, one deleted: it is there again");
    isnt($known->[0]->target_key($key), $at, "... under another id");
    my @dangling = grep { !m{^Provenance/} } P2P::Compare::dangling($dump);    # the first job's tell of the first one
    is(join("\n", @dangling), '', '... and no data refer to the old one');
    return;
}

sub test_kill {
    my ($x, $name) = @_;
    $x->reset_target;
    $x->{httpd}->expect_log(qr/p2p-runner 0 ended/);
    $sandbox->set('target', bundleDelay => 40);
    $sandbox->set('source', delay => 40);
    my $compare = $x->expect('source', $members[1]{patient}, 'two');
    my $answer = $x->order('source', $members[1]{patient}, 'two', request => 'Patient/{patientId}/$everything?_count=10');
    my $end = time + 30;
    sleep 0.02 while time < $end && ($x->job($answer->{path})->{progress}{parts} // 0) < 2;
    kill 'KILL', $x->runner_pid or die "no runner\n";
    my $job = $x->wait($answer->{path});
    $sandbox->set('target', bundleDelay => 0);
    $sandbox->set('source', delay => 0);
    my $dump = $x->target_dump;
    is($job->{batchStatus}, 'COMPLETED', "$name, killed: COMPLETED") or diag explain($job);
    is(join("\n", P2P::Compare::account_faults($job)), '', "$name, killed: the accounts balance");
    is(join("\n", $compare->faults_at($dump), P2P::Compare::dangling($dump)), '', "$name, killed: everything is there, once");
    return;
}

sub test_way {
    my ($db, $ids, $bundles) = @_;
    my $x = start($db, $ids, $bundles);
    for my $order ('file', "shuffled $seed") {
        my $name = "$ids, $bundles, $order";
        $sandbox->set('source', order => $order);
        $sandbox->set('tangled', order => $order);
        $x->reset_target;
        my $known = test_members($x, $name);
        test_tangled($x, $name);
        test_again($x, $known, $name);
        test_deleted($x, $known, $name) if $ids eq 'conditional';
    }
    test_kill($x, "$ids, $bundles") if $ids eq 'conditional';
    $x->ok_sealed("$ids, $bundles");
    $x->stop;
    return;
}

for my $bundles ('transaction', 'batch') {
    test_way(P2P::Databases::sqlite(), 'derive', $bundles);
    each_database("conditional, $bundles", sub { test_way($_[0], 'conditional', $bundles) });
}

done_testing;
