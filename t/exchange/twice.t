#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The same exchange twice doubles nothing but Provenance and Task; two members' jobs at a time do not mix, though they share practitioners; what a
# member shares may change; a source patient stays with its target patient.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use Test::More;

my @members = map { synthea_member($_) } 'Collin', 'Darius';
my $sandbox = P2P::Exchange::sandbox({ name => 'source', data => [map { $_->{file} } @members] }, { name => 'target', role => 'target' });
my ($first, $second) = map { $_->{patient} } @members;

# Type/id and version of all but what each job makes anew.
sub versions {
    my ($dump, $compare) = @_;
    my %own = map { $compare->target_key($_) => 1 } $compare->arrived;
    return { map { $_ => $dump->{$_}{version} } grep { $own{$_} || !m{^(?:Provenance|Task)/} } keys %$dump };
}

sub count_type { my ($dump, $type) = @_; return scalar grep { m{^$type/} } keys %$dump }

sub test_again {
    my ($x) = @_;
    my $compare = $x->expect('source', $first, 'one');
    $x->reset_target;
    $x->ok_exchange($x->exchange('source', $first, 'one'), $compare, 'the first time');
    my $before = $x->target_dump;
    my $job = $x->exchange('source', $first, 'one');
    my $after = $x->target_dump;
    $x->ok_exchange($job, $compare, 'the same again', dump => $after, jobs => 2);
    $after->{$_}{known} = 1 for grep { m{^Task/} } keys %$after;    # the first job's
    $x->ok_target($after, 'the same again');
    is_deeply(versions($after, $compare), versions($before, $compare), 'no resource is new, none has a new version');
    is(count_type($after, 'Provenance') - count_type($before, 'Provenance'), $job->{progress}{parts}, 'as many Provenances more as parts');
    is(count_type($after, 'Task') - count_type($before, 'Task'), 1, 'one Task more');
    return;
}

sub test_side_by_side {
    my ($x) = @_;
    $x->reset_target;
    $sandbox->set('source', delay => 30);
    my @answers = ($x->order('source', $first, 'one', request => 'Patient/{patientId}/$everything?_count=20'),
        $x->order('source', $second, 'two', request => 'Patient/{patientId}/$everything?_count=20'));
    is(join(' ', map { $_->{status} } @answers), '202 202', 'two jobs at a time');
    my @jobs = map { $x->wait($_->{path}) } @answers;
    $sandbox->set('source', delay => 0);
    cmp_ok($jobs[0]{startTime}, 'lt', $jobs[1]{endTime}, 'they ran side by side');
    cmp_ok($jobs[1]{startTime}, 'lt', $jobs[0]{endTime}, '... both');
    my @known = ($x->expect('source', $first, 'one'), $x->expect('source', $second, 'two'));
    my %shared = map { $_ => 1 } $known[0]->arrived;
    my @both = grep { $shared{$_} } $known[1]->arrived;
    cmp_ok(scalar @both, '>=', 2, 'the members share ' . @both . ' resources');
    my $dump = $x->target_dump;
    $x->ok_exchange($jobs[0], $known[0], 'one', dump => $dump, with => [$known[1]]);
    $x->ok_exchange($jobs[1], $known[1], 'two', dump => $dump, with => [$known[0]]);
    $x->ok_target($dump, 'side by side');
    return \@known;
}

sub is_conflict {
    my ($x, $name, @order) = @_;
    $x->add_target_patient('three');
    my $before = $x->target_dump;
    $sandbox->clear_requests('source');
    my $answer = $x->order(@order);
    is($answer->{status}, 409, "$name: 409") or diag $answer->{content};
    like($answer->{headers}{'content-type'}, qr{^application/problem\+json}, "$name: as a problem");
    is(index($answer->{content}, $order[1]), -1, "$name: without the patient's id");
    is_deeply([sort keys %{ $x->target_dump }], [sort keys %$before], "$name: nothing moved");
    is($sandbox->requests('source')->{total}, 0, "$name: nothing was fetched");
    return;
}

sub test_conflicts {
    my ($x, $known) = @_;
    is_conflict($x, 'another target patient', 'source', $first, 'three');
    # The definition as it was, the target patient as it was: that is no conflict, but while one runs another is.
    $sandbox->set('source', delay => 100);
    my $running = $x->order('source', $first, 'one', request => 'Patient/{patientId}/$everything?_count=20');
    is($running->{status}, 202, 'the same target patient is taken');
    my $again = $x->order('source', $first, 'one');
    is($again->{status}, 409, 'the same member and source, running already: 409') or diag $again->{content};
    my $job = $x->wait($running->{path});
    $sandbox->set('source', delay => 0);
    is($job->{batchStatus}, 'COMPLETED', 'the one that runs is not disturbed');
    # Of the source patient's id alone nothing follows for another member.
    my $dump = $x->target_dump;
    is(join("\n", $known->[1]->faults_at($dump)), '', 'the other member\'s record is as it was');
    return;
}

# A practitioner that both share changes at the source: the last one written stands, everything else is as it was.
sub test_change {
    my ($x) = @_;
    $x->reset_target;
    my ($practitioner) = grep { m{^Practitioner/} } $x->expect('source', $second, 'two')->arrived;
    $x->ok_exchange($x->exchange('source', $first, 'one'), $x->expect('source', $first, 'one'), 'before the change');
    my $text = $sandbox->dump('source')->{$practitioner}{text};
    $text =~ s/"active"\s*:\s*true/"active":false/ or die "no active practitioner\n";
    $text =~ s/\s*[\r\n]\s*/ /g;
    $sandbox->load('source', "$text\n");
    my $compare = $x->expect('source', $second, 'two');
    my $job = $x->exchange('source', $second, 'two');
    is(join("\n", $compare->faults_at($x->target_dump)), '', 'what is shared arrived as it is now');
    is($job->{batchStatus}, 'COMPLETED', '... COMPLETED');
    $sandbox->reset('source');
    $sandbox->add_grant('source', 'SECRET-reader', '-');
    return;
}

each_database('twice', sub {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['source']);
    test_again($x);
    test_conflicts($x, test_side_by_side($x));
    test_change($x);
    $x->ok_sealed('twice');
    $x->stop;
});

done_testing;
