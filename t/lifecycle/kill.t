#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the runner in the middle of an exchange, at ten random moments: each job completes by itself, and its target is the same as without. Ten
# httpds, five on each database, each with a target of its own, work side by side; P2P_SEED repeats the moments.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Postgres;
use Test::More;
use Time::HiRes qw(sleep time);

my $KILLS = 10;
my $seed = $ENV{P2P_SEED} // int rand 1_000_000;
diag "P2P_SEED=$seed";
srand $seed;

# Two ways to ask for one record: all of it at once, in file order; by type, shuffled, its practitioners and organizations fetched one by one.
my $member = synthea_member('Evelyn');
my $id = $member->{patient};
my @TYPES = qw(AllergyIntolerance CarePlan CareTeam Claim Condition DiagnosticReport Encounter ExplanationOfBenefit Goal ImagingStudy Immunization MedicationRequest Observation Procedure);
my %WAYS = (whole => ["Patient/$id/\$everything?_count=25"], apart => ["Patient/$id", map { "$_?patient=$id&_count=25" } @TYPES]);
my $sandbox = P2P::Exchange::sandbox(
    { name => 'whole', data => [$member->{file}], directives => ['SandboxDelay 60'] },
    { name => 'apart', data => [$member->{file}], directives => ["SandboxOrder shuffled $seed", 'SandboxDelay 100'] },
    map { { name => "target$_", role => 'target', directives => ['SandboxBundleDelay 30'] } } 1 .. $KILLS + 2
);
my $postgres = P2P::Postgres->new->start;

sub database {
    my ($n) = @_;
    return P2P::Databases::sqlite() if $n % 4 < 2;
    $postgres->psql("CREATE DATABASE kill$n", 'postgres');
    return { name => 'PostgreSQL', driver => 'pgsql', params => $postgres->params =~ s/dbname=p2p/dbname=kill$n/r, server => $postgres };
}

# The n-th instance: { n, way, x, database }.
sub make {
    my ($n) = @_;
    my $db = database($n);
    my $way = $n % 2 ? 'whole' : 'apart';
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, target => "target$n", sources => [$way],
        directives => { P2PSourceConnections => 2, P2PTargetConnections => 2 });
    $x->{httpd}->expect_log(qr/p2p-runner 0 ended/);
    return { n => $n, name => "$n ($way, $db->{name})", way => $way, x => $x };
}

sub begin {
    my ($run) = @_;
    my $bundle = { resourceType => 'Bundle', type => 'batch', entry => [map { { request => { method => 'GET', url => $_ } } } @{ $WAYS{ $run->{way} } }] };
    my $answer = $run->{x}->order($run->{way}, $id, 'member', request => $bundle);
    is($answer->{status}, 202, "$run->{name}: the order is taken") or diag $answer->{content};
    @$run{qw(path begun)} = ($answer->{path}, time);
    return;
}

# A target's content with all that may differ between two runs put aside: texts by key, the targets of each Provenance, the Task.
sub essence {
    my ($dump, $compare) = @_;
    my %own = map { $compare->target_key($_) => 1 } $compare->arrived;
    my (%all, @provenances);
    for my $key (sort keys %$dump) {
        my $there = $dump->{$key};
        if ($key =~ m{^Provenance/} && !$own{$key}) {
            my $doc = JSON::PP->new->utf8->decode($there->{text});
            push @provenances, join ' ', sort map { $_->{reference} } @{ $doc->{target} };
        } elsif ($key =~ m{^Task/} && !$own{$key}) {
            my $doc = JSON::PP->new->utf8->decode($there->{text});
            delete @$doc{qw(id identifier authoredOn lastModified)};
            $all{Task} .= JSON::PP->new->canonical->encode($doc);
        } else {
            $all{$key} = "$there->{version} $there->{text}";
        }
    }
    $all{Provenance} = join "\n", sort @provenances;
    return \%all;
}

# A page tells when it was made: its bytes are not the same each time.
sub counts { my ($job) = @_; my %progress = %{ $job->{progress} }; delete $progress{bytes}; return \%progress }

# First each way undisturbed; the time that it takes tells when the moments are.
my %calm;
for my $run (make(1), make(2)) {
    begin($run);
    my $job = $run->{x}->wait($run->{path}, every => 0.02);
    my $took = time - $run->{begun};
    diag sprintf 'undisturbed, %s: %.2f s', $run->{way}, $took;
    my $compare = $run->{x}->expect($run->{way}, $id, 'member', urls => [map { s/_count=25/_count=1000/r } @{ $WAYS{ $run->{way} } }]);
    my $dump = $run->{x}->target_dump;
    $run->{x}->ok_exchange($job, $compare, "undisturbed, $run->{way}", dump => $dump);
    $run->{x}->ok_target($dump, "undisturbed, $run->{way}");
    $calm{ $run->{way} } = { job => $job, took => $took, compare => $compare, essence => essence($dump, $compare) };
    $run->{x}->stop;
}

# Then ten, each killed once, at a moment of its own.
my @runs = map { make($_ + 2) } 1 .. $KILLS;
$_->{after} = $calm{ $_->{way} }{took} * (0.03 + 0.9 * rand) for @runs;
begin($_) for @runs;
my $hit = 0;
for my $run (sort { $a->{begun} + $a->{after} <=> $b->{begun} + $b->{after} } @runs) {
    my $left = $run->{begun} + $run->{after} - time;
    sleep $left if $left > 0;
    my $pid = $run->{x}->runner_pid;
    ok($pid && kill('KILL', $pid), "$run->{name}: the runner is killed");
    my $job = $run->{x}->job($run->{path});
    $run->{hit} = ($job->{batchStatus} eq 'STARTED') ? $pid : 0;
    $hit += $run->{hit} ? 1 : 0;
    diag sprintf '%s: killed after %.2f s, %d parts landed, %s', $run->{name}, $run->{after}, $job->{progress}{parts}, $job->{batchStatus};
}
cmp_ok($hit, '>=', $KILLS - 2, "$hit of $KILLS were in the middle of their exchange");

for my $run (@runs) {
    my ($name, $calm) = ($run->{name}, $calm{ $run->{way} });
    my $job = $run->{x}->wait($run->{path});
    my $dump = $run->{x}->target_dump;
    $run->{x}->ok_exchange($job, $calm->{compare}, $name, dump => $dump);
    $run->{x}->ok_target($dump, $name);
    my ($essence, $before) = (essence($dump, $calm->{compare}), $calm->{essence});
    my @other = grep { ($essence->{$_} // 'missing') ne ($before->{$_} // 'missing') } sort keys %{ { %$essence, %$before } };
    is(join(' ', @other[0 .. ($#other > 9 ? 9 : $#other)]), '', "$name: the target is the same as without");
    is_deeply(counts($job), counts($calm->{job}), "$name: so are the job's numbers");
    isnt($run->{x}->runner_pid, $run->{hit}, "$name: another runner finished it") if $run->{hit};
    $run->{x}->ok_sealed($name);
    $run->{x}->stop;
}

done_testing;
