#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# More waits than memory and spool take: resources are written open, with references logical, and written again when all has come. Whatever the order
# of pages, the target holds in the end what it holds after an exchange that had room for all; so it is where the runner is killed in the second pass,
# and where a page cannot be had a second time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed = $ENV{P2P_SEED} // int rand 1_000_000;
diag "P2P_SEED=$seed";
my ($MEMBER, $COUNT, $PAGE) = ('spool-member', 4000, 40);
my $dir = tempdir('p2p-spool-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
system("'$FindBin::Bin/../bench/generate' $COUNT $MEMBER > '$dir/record.ndjson'") == 0 or die "the record could not be made\n";
chmod 0644, "$dir/record.ndjson";
mkdir "$dir/spool";
chmod 0777, "$dir/spool";

my $sandbox = P2P::Exchange::sandbox({ name => 'source', data => ["$dir/record.ndjson"] }, { name => 'target', role => 'target' });
my %TIGHT = (P2PMemory => '4M', P2PBundleBytes => '1M', P2PSpool => "$dir/spool 1M");

# Texts by key of all but what each job makes anew; and how many targets the Provenances name.
sub essence {
    my ($dump) = @_;
    my (%text, $named);
    for my $key (grep { !$dump->{$_}{deleted} } keys %$dump) {
        if ($key =~ m{^Provenance/}) { $named += () = $dump->{$key}{text} =~ m{/_history/}g }
        elsif ($key !~ m{^Task/}) { $text{$key} = $dump->{$key}{text} }
    }
    return (\%text, $named // 0);
}

sub differences {
    my ($one, $other) = @_;
    my @keys = grep { ($one->{$_} // 'missing') ne ($other->{$_} // 'missing') } sort keys %{ { %$one, %$other } };
    return @keys ? @keys . " differ, such as $keys[0]:\n" . ($one->{ $keys[0] } // 'missing') . "\n" . ($other->{ $keys[0] } // 'missing') : '';
}

my ($calm, $calm_written);

sub request { return { request => "Patient/{patientId}/\$everything?_count=$PAGE" } }

sub ok_same {
    my ($x, $job, $name) = @_;
    is($job->{batchStatus}, 'COMPLETED', "$name: COMPLETED") or diag explain($job);
    is(join("\n", P2P::Compare::account_faults($job)), '', "$name: the accounts balance");
    my $dump = $x->target_dump;
    my ($text, $named) = essence($dump);
    is(differences($text, $calm), '', "$name: the target holds the same");
    is(join("\n", P2P::Compare::dangling($dump)), '', "$name: no reference dangles");
    is($named, $job->{progress}{written}, "$name: each version that was written is named by a Provenance");
    cmp_ok($job->{progress}{written}, '>', $calm_written, "$name: $job->{progress}{written} were written, $calm_written without need: some twice");
    return;
}

# The first exchange has room for all.
{
    my $x = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['source']);
    $sandbox->set('source', order => 'type');
    my $job = $x->exchange('source', $MEMBER, 'here', %{ request() });
    is($job->{batchStatus}, 'COMPLETED', 'with room for all') or diag explain($job);
    ($calm) = essence($x->target_dump);
    $calm_written = $job->{progress}{written};
    is($calm_written, $COUNT, 'each is written once');
    $x->stop;
}

sub test_orders {
    my ($x) = @_;
    for my $order ('type', 'reverse-type', "shuffled $seed", 'file') {
        $x->reset_target;
        $sandbox->set('source', order => $order);
        my $job = $x->exchange('source', $MEMBER, 'here', %{ request() });
        $calm_written-- if $order eq 'file';    # nothing waits there: nothing has to be written twice
        ok_same($x, $job, $order);
        $calm_written++ if $order eq 'file';
    }
    return;
}

# The runner is killed once pages are being fetched again.
sub test_kill {
    my ($x) = @_;
    $x->reset_target;
    $x->{httpd}->expect_log(qr/p2p-runner 0 ended/);
    $sandbox->set('source', order => 'type', delay => 30);
    my $order = $x->order('source', $MEMBER, 'here', %{ request() });
    my $killed = 0;
    my $job = $x->wait($order->{path}, every => 0.03, meanwhile => sub {
        my ($now) = @_;
        return if $killed || $now->{progress}{parts} < $COUNT / $PAGE + 10;
        $killed = kill 'KILL', $x->runner_pid;
    });
    $sandbox->set('source', delay => 0);
    ok($killed, 'the runner was killed in the second pass');
    ok_same($x, $job, 'killed in the second pass');
    return;
}

# Some pages are refused the second time: all pages of their request are fetched instead, once.
sub test_expired {
    my ($x) = @_;
    $x->reset_target;
    $sandbox->set('source', order => 'type');
    my $order = $x->order('source', $MEMBER, 'here', %{ request() });
    my $set = 0;
    my $job = $x->wait($order->{path}, every => 0.02, meanwhile => sub {
        my ($now) = @_;
        return if $set || $now->{progress}{parts} < $COUNT / $PAGE - 1;
        $set = 1;
        $sandbox->faults('source', { do => 'status', match => 'GET _getpages', status => 410, count => 3 });
    });
    my $rules = $sandbox->faults('source');
    is($rules->[0]{hits}, 3, 'three pages had expired') or diag explain($rules);
    $sandbox->faults('source', []);
    ok_same($x, $job, 'pages that expired');
    my @whole = grep { $_->{request} >= 1_500_000 } @{ $x->report($order->{path})->{parts} };
    is(scalar @whole, $COUNT / $PAGE, 'all pages of the request were fetched instead');
    return;
}

# One of those that were written open is refused when it is written again: a restart tries that once more.
sub test_refused {
    my ($x) = @_;
    $x->reset_target;
    $sandbox->set('source', order => 'type');
    $x->exchange('source', $MEMBER, 'here', %{ request() });
    my $dump = $x->target_dump;
    my ($key) = grep { !m{^(?:Patient|Task|Provenance|Organization)/} && $dump->{$_}{version} == 2 && $calm->{$_} =~ /"reference":"Encounter/ } sort keys %$dump;
    ok($key, 'one was written twice') or return;
    $x->reset_target;
    $sandbox->faults('target', { do => 'reject', match => 'POST *', resource => $key, contains => '"reference":"Encounter/', status => 422 });
    my $order = $x->order('source', $MEMBER, 'here', %{ request() });
    my $job = $x->wait($order->{path});
    $sandbox->faults('target', []);
    is($job->{error}{code}, 'resources-rejected', 'it is refused the second time: FAILED') or diag explain($job);
    is($job->{progress}{rejected}, 1, '... it alone');
    is($x->target_dump->{$key}{version}, 1, '... and stays as it was written first');
    is($x->{api}->post("$order->{path}/restart")->{status}, 202, 'it is begun again');
    ok_same($x, $x->wait($order->{path}), 'refused the second time, and restarted');
    return;
}

each_database('more waits than there is room for', sub {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['source'], directives => \%TIGHT);
    test_orders($x);
    test_kill($x);
    test_expired($x);
    test_refused($x);
    $x->stop;
});

done_testing;
