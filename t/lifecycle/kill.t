#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the runner in the middle of exchanges, at random moments, and crashes of PostgreSQL: each job completes by itself, its target and its numbers are
# the same as undisturbed, and what is fetched after a kill are exactly the parts that had not landed. Fault id: runner-killed.
# P2P_KILLS and P2P_RESTARTS: how many runs of each; P2P_SEED repeats the moments; P2P_LANES: the names of the only lanes to run; P2P_ORDER: the order of pages
# that are asked for by type.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Lane;
use P2P::Postgres;
use Test::More;

my $KILLS = $ENV{P2P_KILLS} // 16;
my $RESTARTS = $ENV{P2P_RESTARTS} // 3;
my $seed = $ENV{P2P_SEED} // int rand 1_000_000;
diag "P2P_SEED=$seed";
srand $seed;

# Two ways to ask for one record: all of it at once, in file order; by type, shuffled, its practitioners and organizations fetched one by one.
my @members = map { synthea_member($_) } qw(Evelyn Gil Tasha);
my $id = $members[0]{patient};
my @TYPES = qw(AllergyIntolerance CarePlan CareTeam Claim Condition DiagnosticReport Encounter ExplanationOfBenefit Goal ImagingStudy Immunization MedicationRequest Observation Procedure);
my %WAYS = (whole => ["Patient/$id/\$everything?_count=25"], apart => ["Patient/$id", map { "$_?patient=$id&_count=25" } @TYPES]);
my %ORDER = (whole => 'file', apart => $ENV{P2P_ORDER} // "shuffled $seed");

# name => [database, way, slots, share of the kills]
my @LANES = (
    ['SQLite, whole', 'SQLite', 'whole', 1], ['SQLite, apart', 'SQLite', 'apart', 1], ['PostgreSQL, whole', 'PostgreSQL', 'whole', 1],
    ['PostgreSQL, apart', 'PostgreSQL', 'apart', 1], ['three runners', 'PostgreSQL', 'three', 3], ['PostgreSQL crashes', 'PostgreSQL', 'apart', 1],
);
@LANES = grep { index($ENV{P2P_LANES}, $_->[0]) >= 0 } @LANES if $ENV{P2P_LANES};

# Each lane has sources and a target of its own, so that their logs are its own.
my $n = 0;
my @payers = map {
    my ($way, $i) = ($_->[2], $n++);
    my @data = map { $_->{file} } $way eq 'three' ? @members : $members[0];
    ({ name => "source$i", data => \@data, directives => ['SandboxOrder ' . ($ORDER{$way} // 'file'), 'SandboxDelay ' . ($way eq 'apart' ? 50 : 30)] },
        { name => "target$i", role => 'target', directives => ['SandboxBundleDelay 30'] });
} @LANES;
my $sandbox = P2P::Exchange::sandbox(@payers);
my $postgres = P2P::Postgres->new->start;

sub database {
    my ($i, $name) = @_;
    return P2P::Databases::sqlite() if $LANES[$i][1] eq 'SQLite';
    my $server = $name =~ /crashes/ ? P2P::Postgres->new->start : $postgres;    # only its own
    $server->psql("CREATE DATABASE kill$i", 'postgres');
    return { name => 'PostgreSQL', driver => 'pgsql', params => $server->params =~ s/dbname=p2p/dbname=kill$i/r, server => $server, database => "kill$i" };
}

sub make {
    my ($i) = @_;
    my ($name, undef, $way, $slots) = @{ $LANES[$i] };
    my $db = database($i, $name);
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, target => "target$i", sources => ["source$i"],
        directives => { P2PRunners => 0, P2PSourceConnections => 2, P2PTargetConnections => 2 });
    $x->{httpd}->expect_log(qr/dbd|DBD|database|connection|FATAL|terminat/i) if $name =~ /crashes/;
    my @orders = $way eq 'three'
        ? map { { source => "source$i", patient => $members[$_]{patient}, target => "member$_", urls => ["Patient/$members[$_]{patient}/\$everything?_count=25"] } } 0 .. $#members
        : { source => "source$i", patient => $id, target => 'member', urls => $WAYS{$way} };
    return P2P::Lane->new(name => $name, x => $x, db => $db, orders => \@orders, slots => $slots, seed => $seed + $i);
}

# Undisturbed: compared resource by resource, and kept.
sub ok_calm {
    my ($lane) = @_;
    my $run = $lane->calm;
    my ($x, %arrived) = ($lane->{x});
    for my $i (0 .. $#{ $lane->{orders} }) {
        my $order = $lane->{orders}[$i];
        my $compare = $x->expect($order->{source}, $order->{patient}, $order->{target}, urls => [map { s/_count=25/_count=1000/r } @{ $order->{urls} }]);
        $arrived{ $compare->target_key($_) } = 1 for $compare->arrived;
        $x->ok_exchange($run->{jobs}[$i], $compare, "$lane->{name}, undisturbed", dump => $run->{dump}) if $lane->{slots} == 1;
        push @{ $lane->{compares} }, $compare;
    }
    is(join("\n", map { $_->faults_at($run->{dump}) } @{ $lane->{compares} }), '', "$lane->{name}, undisturbed: all is at the target");
    is($run->{asked}, P2P::Lane::parts($run), "$lane->{name}, undisturbed: each part was asked for once");
    is($_->{batchStatus}, 'COMPLETED', "$lane->{name}, undisturbed: COMPLETED") or diag explain $_ for @{ $run->{jobs} };
    $lane->{arrived} = \%arrived;
    diag sprintf '%s, undisturbed: %.2f s, %d parts', $lane->{name}, $run->{took}, $run->{asked};
    return;
}

sub work {
    my ($lane, $tell) = @_;
    for my $run (1 .. $lane->{runs}) {
        $tell->($lane->{name} =~ /crashes/ ? $lane->restarted : $lane->killed(rand() < 0.25 ? 2 + int rand 2 : 1));
        $lane->end_runners('TERM');
    }
    return;
}

my @lanes = map { make($_) } 0 .. $#LANES;
ok_calm($_) for @lanes;
my @killing = grep { $_->{name} !~ /crashes/ } @lanes;
$_->{runs} = $RESTARTS for @lanes;
$killing[$_]{runs} = int($KILLS / @killing) + ($_ < $KILLS % @killing ? 1 : 0) for 0 .. $#killing;
my $found = P2P::Lane::side_by_side(\&work, @lanes);
my ($runs, $hits, $more) = (0, 0, 0);
for my $lane (@lanes) {
    my @runs = @{ $found->{ $lane->{name} } };
    is(scalar @runs, $lane->{runs}, "$lane->{name}: $lane->{runs} runs");
    for my $i (0 .. $#runs) {
        my $run = $runs[$i];
        is(join("\n", @{ $run->{faults} }), '', "$lane->{name} $i: $run->{note}");
        $runs++;
        is($run->{more}, 0, "$lane->{name} $i: nothing is fetched twice, since no runner died") if $lane->{name} =~ /crashes/ && $run->{jobs};
        $more += $run->{more};
        $hits += $run->{hit} ? 1 : 0;
    }
    $lane->{x}->ok_sealed($lane->{name});
    is(P2P::Databases::run_sql($lane->{db}, q{SELECT SUM(completed) || ' ' || SUM(failed + stopped) || ' ' || SUM(resources) || ' ' || SUM(bytes) FROM p2p_stat}),
        P2P::Databases::run_sql($lane->{db}, q{SELECT SUM(CASE WHEN status = 'COMPLETED' THEN 1 ELSE 0 END) || ' ' || SUM(CASE WHEN status = 'COMPLETED' THEN 0 ELSE 1 END)
            || ' ' || SUM(retrieved) || ' ' || SUM(bytes) FROM p2p_job WHERE kind = 'p2p-exchange'}), "$lane->{name}: the hour's sums are the jobs'");
    $lane->{x}->stop;
    is(join("\n", grep { /error\]|Sanitizer|runtime error:/ && !/database|Database/ } split /\n/, P2P::Httpd::read_file("$lane->{x}{httpd}{dir}/runner.log")), '', "$lane->{name}: nothing odd in the runners' log");
}
diag "$runs runs, $hits in the middle, $more parts fetched again";
cmp_ok($hits, '>=', $runs / 2, "$hits of $runs were in the middle of their exchange");
done_testing;
