#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The runner's memory is a function of the settings, not of the record: 200 MB of small resources (1 GB with P2P_LARGE=1) pass in less than 64 MB, with
# a spool of 16 MiB, whatever the order of pages.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use Test::More;

my ($MEMBER, $MOST) = ('memory-member', 64);
my $COUNT = $ENV{P2P_LARGE} ? 740_000 : 150_000;
my $seed = $ENV{P2P_SEED} // int rand 1_000_000;
diag "P2P_SEED=$seed";
my $dir = tempdir('p2p-memory-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
system("'$FindBin::Bin/../bench/generate' $COUNT $MEMBER > '$dir/record.ndjson'") == 0 or die "the record could not be made\n";
chmod 0644, "$dir/record.ndjson";
mkdir "$dir/spool";
chmod 0777, "$dir/spool";
my $sandbox = P2P::Exchange::sandbox({ name => 'source', data => ["$dir/record.ndjson"] }, { name => 'target', role => 'target' });

# The most that a process has had in memory, in MB.
sub peak {
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/status" or return 0;
    my ($kb) = map { /^VmHWM:\s+(\d+)/ ? $1 : () } <$in>;
    return ($kb // 0) / 1024;
}

for my $order ('type', "shuffled $seed", 'file') {
    my $x = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['source'], directives => { P2PSpool => "$dir/spool 16M" });
    $x->reset_target;
    $sandbox->set('source', order => $order);
    my $answer = $x->order('source', $MEMBER, 'here', request => 'Patient/{patientId}/$everything?_count=100');
    my $job = $x->wait($answer->{path}, seconds => 900);
    my $peak = peak($x->runner_pid);
    is($job->{batchStatus}, 'COMPLETED', "$order: COMPLETED") or diag explain($job);
    is(join("\n", P2P::Compare::account_faults($job)), '', "$order: the accounts balance");
    cmp_ok($job->{progress}{written}, '>=', $COUNT, "$order: $job->{progress}{written} were written of $COUNT resources");
    # What the sanitizers and valgrind keep is not the runner's.
    cmp_ok($peak, '<', $MOST, sprintf '%s: the runner took %.1f MB at most', $order, $peak) if !$ENV{P2P_SANITIZED} && !$ENV{P2P_TEST_EXEC};
    cmp_ok($peak, '>', 1, "$order: its memory was read");
    $x->stop;
}

done_testing;
