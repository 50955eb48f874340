#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Two hosts with httpd and runner on one PostgreSQL, in network namespaces, the clock of one an hour ahead. One is cut off from everything, from the database
# only, from the source only: its jobs go on at the other, or where they are; nothing is lost or doubled when the network is there again.
# Fault ids: network-database, network-source, network-all, clock-skew.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Net;
BEGIN { P2P::Net::leave('--net') }
use File::Temp qw(tempdir);
use P2P::Api;
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Postgres;
use Test::More;
use Time::HiRes qw(sleep time);
use Time::Local qw(timegm);

my $SKEW = 3600;
my $LEASE = 15;
my %CLOCK = (a => 0, b => $SKEW);    # how far each host's clock is ahead
my $net = P2P::Net->new(networks => [qw(portal database source target)], hosts => [qw(a b)]);
my $dir = tempdir('p2p-hosts-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $skew = "$dir/skew.so";
system(($ENV{CC} || 'cc'), qw(-shared -fPIC -O1 -o), $skew, "$FindBin::Bin/skew.c") == 0 or die "skew.c cannot be compiled\n";

my @members = map { synthea_member($_) } qw(Evelyn Gil Tasha Erin);
my $sandbox = P2P::Exchange::sandbox(
    { name => 'source', data => [map { $_->{file} } @members], address => $net->address('source'), directives => ['SandboxDelay 150'] },
    { name => 'target', role => 'target', address => $net->address('target'), directives => ['SandboxBundleDelay 60'] },
);
my $server = P2P::Postgres->new(address => $net->address('database'))->start;
my %db = (driver => 'pgsql', params => 'host=' . $net->address('database') . ' dbname=p2p user=p2p', server => $server);

# Both hosts have one configuration but for the address, and one key file.
my $key = P2P::Httpd::new_key();
sub host {
    my ($name) = @_;
    my $preload = join ' ', grep { defined } $ENV{P2P_HTTPD_PRELOAD}, $skew;
    my $x = P2P::Exchange->new(db => {%db}, sandbox => $sandbox, sources => ['source'], httpd => {
            address => $net->address('portal', $name), wrap => [$net->on($name)], environment => { LD_PRELOAD => $preload, P2P_SKEW => $CLOCK{$name} }, key => $key },
        directives => { P2PAllowHttp => 'On', P2PJobsPerRunner => 2, P2PSourceConnections => 2, P2PTargetConnections => 2 });
    $x->{httpd}->expect_log(qr/database|Database|jobs are dropped|lease|dbd|DBD|connection|Registering anew|source|not noted|unreachable|stalled/i);
    return $x;
}
my %x = map { $_ => host($_) } qw(a b);

# ---- What the logs tell ----

my %month = do { my $n = 0; map { $_ => $n++ } qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec) };

# When, by our clock, a host's log said it (all lines that match, since the time given).
sub said {
    my ($name, $pattern, $since) = @_;
    my @times;
    for my $line (split /\n/, $x{$name}{httpd}->log_text) {
        next if $line !~ $pattern || $line !~ /^\[\w+ (\w+) (\d+) (\d+):(\d+):(\d+)(\.\d+)? (\d+)\]/;
        my $at = timegm($5, $4, $3, $2, $month{$1}, $7) + ($6 // 0) - $CLOCK{$name};
        push @times, $at if $at >= $since;
    }
    return @times;
}

sub begun { my ($name, $path, $since) = @_; my ($job) = $path =~ /(\d+)$/; return said($name, qr/job $job begins/, $since) }

# ---- Exchanges ----

# How many runners have a lease: one that comes back after a cut may take some seconds to.
sub runners { return P2P::Databases::run_sql(\%db, 'SELECT COUNT(*) FROM p2p_runner WHERE lease_until > CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)') }

# Orders all members' records, in turns at the two hosts; returns paths, once parts of each have landed.
sub order_all {
    my ($name) = @_;
    ok($x{b}{httpd}->wait_for(sub { runners() == 2 }, 60), "$name: both hosts are at work");
    $x{a}->reset_target;
    $x{b}{before} = $x{a}{before};
    my @paths;
    for my $i (0 .. $#members) {
        my $x = $i % 2 ? $x{b} : $x{a};
        my $answer = $x->order('source', $members[$i]{patient}, "member$i", request => 'Patient/{patientId}/$everything?_count=25');
        is($answer->{status}, 202, "$name: an order is taken") or diag $answer->{content};
        push @paths, $answer->{path};
    }
    $x{a}{httpd}->wait_for(sub { !grep { ($x{a}->job($_)->{progress}{parts} // 0) < 2 } @paths }, 60);
    return @paths;
}

my (@compares, $calm);

sub test_all {
    my ($name, $trouble) = @_;
    my $begin = time;
    my @paths = order_all($name);
    my @by = map { my $path = $_; my ($last) = sort { $b->[1] <=> $a->[1] } map { my $host = $_; map { [$host, $_] } begun($host, $path, $begin) } qw(a b); $last ? $last->[0] : 'nobody' } @paths;
    # A runner is woken by its own host's orders alone: the last job may find the other one ready sooner.
    like(join('', sort @by), qr/^a+b+$/, "$name: each host has some of the jobs") or diag "@by";
    my @of_a = grep { $x{b}->job($_)->{batchStatus} eq 'STARTED' } @paths[grep { $by[$_] eq 'a' } 0 .. $#by];
    my $end = $trouble->(@of_a);
    my @jobs = map { $x{b}->wait($_) } @paths;
    $end->() if $end;
    check($name, @jobs);
    return @of_a;
}

sub check {
    my ($name, @jobs) = @_;
    my $dump = $x{a}->target_dump;
    if (!$calm) {
        my %arrived;
        @compares = map { $x{a}->expect('source', $members[$_]{patient}, "member$_") } 0 .. $#members;
        for my $compare (@compares) { $arrived{ $compare->target_key($_) } = 1 for $compare->arrived }
        is(join("\n", map { $_->faults_at($dump) } @compares), '', "$name: all is at the target");
        $calm = { jobs => \@jobs, dump => $dump, arrived => \%arrived };
    }
    is(join("\n", P2P::Exchange::target_faults($dump, $calm->{dump}, $calm->{arrived})), '', "$name: the target is as it is undisturbed");
    is(join("\n", map { P2P::Exchange::job_faults($jobs[$_], $calm->{jobs}[$_]) } 0 .. $#jobs), '', "$name: so are the jobs");
    return;
}

# Cut off so that leases run out: host a drops its jobs before host b takes them over.
sub cut_off {
    my ($name, $back, @networks) = @_;
    return sub {
        my @jobs = @_;
        my $cut = time;
        $net->cut('a', @networks);
        my $taken = $x{b}{httpd}->wait_for(sub { @jobs == grep { begun('b', $_, $cut) } @jobs }, $LEASE + 20);
        ok($taken, "$name: the other host takes the jobs over");
        my ($drop) = said('a', qr/jobs are dropped/, $cut);
        ok($drop, "$name: the host that is cut off drops them") or diag $x{a}{httpd}->log_text;
        $drop //= 0;
        my ($take) = sort { $a <=> $b } map { begun('b', $_, $cut) } @jobs;
        cmp_ok($drop, '<', $take // 0, sprintf '%s: first, %.1f s after the cut; the other begins after %.1f s', $name, $drop - $cut, ($take // $cut) - $cut);
        if ($back) { $net->mend('a', @networks); return }
        return sub {    # when all is over
            $net->mend('a', @networks);
            my $there = $x{a}{httpd}->wait_for(sub { ($x{a}{api}->get('/api/oidc_servers')->{status} // 0) == 200 && said('a', qr/database is there again|Registering anew/, $cut) }, 60);
            ok($there, "$name: it is there again afterwards");
        };
    };
}

# ---- Clocks ----

# All times of a job, by whichever host, are of one clock: the database's.
sub test_clocks {
    my ($since) = @_;
    my $rows = P2P::Databases::run_sql(\%db, 'SELECT MIN(t), MAX(t) FROM (' . join(' UNION ALL ', map { "SELECT $_->[1] AS t FROM $_->[0] WHERE $_->[1] > 0" }
            map { my $table = $_->[0]; map { [$table, $_] } @{ $_->[1] } } ['p2p_job', [qw(create_time start_time end_time last_updated)]], ['p2p_part', [qw(received mapped landed_at)]], ['p2p_runner', [qw(start_time)]],
            ['p2p_oidc_server', ['last_updated']], ['p2p_grant', ['last_updated']], ['p2p_binding', ['create_time']], ['p2p_grant_alias', ['create_time']]) . ') times');
    my ($min, $max) = map { $_ / 1_000_000 } split /\|/, $rows;
    cmp_ok($min, '>', $since - 5, 'clock-skew: no time in the database is of the past');
    cmp_ok($max, '<', time + 5, 'clock-skew: none is of the future');
    my $dump = $x{a}->target_dump;
    my @odd = grep { my $t = $_; $t =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)/ && abs(timegm($6, $5, $4, $3, $2 - 1, $1) - time) > 600 }
        map { $dump->{$_}{text} =~ /"(?:recorded|authoredOn)":"([^"]+)"/ } grep { !$calm->{arrived}{$_} && m{^(?:Provenance|Task)/} } sort keys %$dump;
    is(join(' ', @odd), '', 'clock-skew: neither Provenance nor Task at the target is of another time');
    return;
}

my $since = time;
test_all('undisturbed', sub { return });
test_clocks($since);
test_all('network-all', cut_off('network-all', 0, qw(database source target)));
test_all('network-database', cut_off('network-database', 1, 'database'));
test_all('network-source', sub {
    my @jobs = @_;
    my $cut = time;
    $net->cut('a', 'source');
    sleep 12;
    $net->mend('a', 'source');
    return sub {
        is(scalar(map { begun('b', $_, $cut) } @jobs), 0, 'network-source: the jobs stay where they are, the lease is not in danger');
        is(scalar(said('a', qr/jobs are dropped/, $cut)), 0, 'network-source: nothing is dropped');
    };
});
test_clocks($since);
$x{$_}->ok_sealed("host $_") for qw(a b);
$x{$_}->stop for qw(a b);
done_testing;
