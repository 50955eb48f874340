#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What an exchange stands on goes wrong in the middle of it: disks are full, databases take no more, processes are stopped, killed and started again, the
# sealing key is gone. The job completes by itself, as if nothing had been.
# Fault ids: spool-full, spool-unusable, database-full, database-read-only, database-connections, runner-term, runner-stopped, httpd-graceful, httpd-restart,
# host-crash, key-missing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Net;
BEGIN { P2P::Net::leave('--mount') }
use File::Temp qw(tempdir);
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Lane;
use P2P::Postgres;
use Test::More;
use Time::HiRes qw(sleep time);

my $LEASE = 15;
my $SLOW = $ENV{P2P_SANITIZED} ? 4 : 1;
my $member = synthea_member('Evelyn');
my $id = $member->{patient};
my $WHOLE = 'Patient/{patientId}/$everything?_count=25';
my $sandbox = P2P::Exchange::sandbox(
    { name => 'source', data => [$member->{file}], directives => ['SandboxDelay 50'] },
    { name => 'backwards', data => [$member->{file}], directives => ['SandboxOrder reverse-type'] },
    map { { name => "target$_", role => 'target' } } 0, 1
);
my $calm;

sub make {
    my ($db, $target, %opt) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, target => "target$target", sources => [qw(source backwards)], %opt);
    $x->reset_target;
    return $x;
}

# Orders, and waits until some parts have landed: the job's path.
sub begin {
    my ($x, $name) = @_;
    $x->reset_target;
    my $answer = $x->order('source', $id, 'member', request => $WHOLE);
    is($answer->{status}, 202, "$name: the order is taken") or diag $answer->{content};
    ok($x->{httpd}->wait_for(sub { ($x->job($answer->{path})->{progress}{parts} // 0) > 3 }), "$name: parts have landed");
    return $answer->{path};
}

sub ok_end {
    my ($x, $path, $name) = @_;
    my $job = $x->wait($path);
    $calm //= { job => $job, dump => $x->target_dump, arrived => arrived($x, $job) };
    return $x->ok_undisturbed($job, $calm, $name) || diag $x->{httpd}->log_text;
}

sub arrived {
    my ($x, $job) = @_;
    my $compare = $x->expect('source', $id, 'member');
    $x->ok_exchange($job, $compare, 'undisturbed');
    return { map { $compare->target_key($_) => 1 } $compare->arrived };
}

# Makes trouble in the middle, ends it after some seconds.
sub test_trouble {
    my ($x, $name, $seconds, $trouble) = @_;
    my $path = begin($x, $name);
    my $end = $trouble->();
    sleep $seconds;
    is($x->job($path)->{batchStatus} // 'STARTED', 'STARTED', "$name: the job waits") if $end;
    $end->() if $end;
    ok_end($x, $path, $name);
    return;
}

# ---- Disks ----

# Everything waits for what comes last: it is written open, and again when that has come.
sub test_spool {
    my ($name, $dir, $log) = @_;
    my $x = make(P2P::Databases::sqlite(), 0, directives => { P2PMemory => '4M', P2PBundleBytes => '1M', P2PSpool => "$dir 64M" });
    $x->{httpd}->expect_log(qr/P2PSpool/);
    my $job = $x->exchange('backwards', $id, 'member', request => 'Patient/{patientId}/$everything?_count=200');
    my $compare = $x->expect('backwards', $id, 'member');
    my $dump = $x->target_dump;
    is($job->{batchStatus}, 'COMPLETED', "$name: COMPLETED") or diag explain($job);
    is(join("\n", P2P::Compare::account_faults($job), $compare->faults_at($dump)), '', "$name: the accounts balance, and everything is there");
    cmp_ok($job->{progress}{written}, '>', $compare->count->{written}, "$name: some were written open, and again");
    my $named = () = join('', map { $dump->{$_}{text} } grep { m{^Provenance/} && !$compare->{arrived}{$_} } keys %$dump) =~ m{/_history/}g;
    is($named, $job->{progress}{written}, "$name: each version is named by a Provenance");
    is(join("\n", P2P::Compare::dangling($dump)), '', "$name: no reference dangles");
    like($x->{httpd}->log_text, $log, "$name: the log says what to look at");
    $x->stop;
    return;
}

sub fill { my ($file) = @_; open my $out, '>', $file or die "$file: $!\n"; my $n = 1 << 20; while ($n >= 512) { my $did = syswrite $out, "\0" x $n; $n >>= 1 if !$did } close $out; return $file }

sub test_disks {
    my $folder = tempdir('p2p-places-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $folder;
    my ($uid, $gid) = (getpwnam P2P::Httpd::user())[2, 3];
    mkdir "$folder/$_" for qw(full gone database);
    P2P::Net::small_disk("$folder/full", '512k');
    chown $uid, $gid, "$folder/full", "$folder/gone";
    test_spool('spool-full', "$folder/full", qr/P2PSpool .*(?:No space left|space)/);
    P2P::Net::small_disk("$folder/gone", '64k');
    test_spool('spool-unusable', "$folder/gone", qr/P2PSpool .*: /);
    P2P::Net::small_disk("$folder/database", '8M');
    my $x = make({ name => 'SQLite', driver => 'sqlite3', params => "$folder/database/p2p.db", dir => "$folder/database" }, 0);
    $x->{httpd}->expect_log(qr/database|lease|dropped/i);
    test_trouble($x, 'database-full', 4, sub { my $filler = fill("$folder/database/filler"); return sub { unlink $filler } });
    $x->stop;
    P2P::Net::no_disks();
    return;
}

# ---- PostgreSQL ----

sub test_postgres {
    my $server = P2P::Postgres->new(settings => "max_connections = 30\nsuperuser_reserved_connections = 0\n")->start;
    my $x = make({ name => 'PostgreSQL', driver => 'pgsql', params => $server->params, server => $server }, 1);
    $x->{httpd}->expect_log(qr/database|lease|dropped|dbd|DBD|p2p-runner 0 ended/i);
    test_trouble($x, 'database-read-only', 3, sub {
        my $set = sub { $server->psql("ALTER SYSTEM SET default_transaction_read_only = $_[0]", 'postgres'); $server->psql('SELECT pg_reload_conf()', 'postgres') };
        $set->('on');
        return sub { truncate "$server->{data}/postgresql.auto.conf", 0; $server->psql('SELECT pg_reload_conf()', 'postgres') };
    });
    test_trouble($x, 'database-connections', 0, sub {
        my $psql = "/usr/lib/postgresql/15/bin/psql -X -q -h $server->{dir} -U p2p -d postgres -c 'SELECT pg_sleep(60)'";
        my @pids = map { my $pid = fork // die; setpgrp if !$pid; exec 'sh', '-c', "for i in \$(seq 300); do $psql >/dev/null 2>&1 && break; sleep 0.1; done" if !$pid; $pid } 1 .. 31;
        sleep 2;
        my $before = length $x->{httpd}->log_text;
        kill 'KILL', $x->runner_pid;    # its place goes to one that waits, before it is started again
        ok($x->{httpd}->wait_for(sub { substr($x->{httpd}->log_text, $before) =~ /too many clients(?s:.*)The database is away, trying again/ }, 40), 'database-connections: the runner finds no place');
        kill 'TERM', map { -$_ } @pids;
        waitpid $_, 0 for @pids;
        my $free = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
        ok($x->{httpd}->wait_for(sub { eval { $server->psql($free, 'postgres'); 1 } }, 70), 'database-connections: places are free again');
        return;
    });
    $x->stop;
    return;
}

# ---- Processes ----

sub test_processes {
    my $x = make(P2P::Databases::sqlite(), 0);
    $x->{httpd}->expect_log(qr/p2p-runner 0 ended|dropped|lease|database/i);
    test_trouble($x, 'undisturbed', 0, sub { return });
    test_trouble($x, 'runner-term', 0, sub {
        my ($pid, $begin) = ($x->runner_pid, time);
        kill 'TERM', $pid;
        $x->{httpd}->wait_for(sub { !kill 0, $pid }, 10);
        cmp_ok(time - $begin, '<', 1.5 * $SLOW, 'runner-term: it ends at once');
        return;
    });
    test_trouble($x, 'httpd-graceful', 0, sub { $x->{httpd}->graceful; return });
    test_trouble($x, 'httpd-restart', 0, sub { cmp_ok($x->{httpd}->stop, '<', 4 * $SLOW, 'httpd-restart: it ends in time'); $x->{httpd}->start; return });
    test_key($x);
    $x->stop;
    return;
}

# The sealing key is gone: no runner works, httpd takes no order, and both say which key they need. Then it is gone for this one job alone.
sub test_key {
    my ($x) = @_;
    my $path = begin($x, 'key-missing');
    my $old = P2P::Httpd::read_file($x->{httpd}{key_file});
    my ($id) = $old =~ /^p2p-key (\w+)/;
    my $missing = qr/A value was sealed with key $id, which is missing: name its file in P2PSecretKeyFile, behind the first/;
    my $new = P2P::Httpd::new_key();
    my $patient = sub { return run_sql($x->{db}, 'SELECT source_patient FROM p2p_job ORDER BY id DESC LIMIT 1') };
    $x->{httpd}->expect_log($missing, qr/does not accept its configuration/);
    start_with($x, $new);
    ok($x->{httpd}->wait_for(sub { $x->{httpd}->log_text =~ /The runner cannot work with this database: $missing.*(?s:.*)it stays down until httpd is restarted/ }), 'key-missing: the runner says so at its start');
    is($x->{api}->get('/health')->{status}, 503, 'key-missing: the service is not well');
    like($x->{httpd}->log_text, qr/p2p:error.*\/health: $missing/, 'key-missing: ... and says why');
    my $refused = $x->order('source', $id, 'member');
    is($refused->{status}, 503, 'key-missing: no order is taken');
    is($refused->{json}{code}, 'unavailable', 'key-missing: ... in words for everyone');
    is($x->job($path)->{batchStatus}, 'STARTED', 'key-missing: the job waits');
    start_with($x, $old, $new);
    ok_end($x, $path, 'key-missing');

    $path = begin($x, 'key-missing');
    my $sealed = $patient->();
    $x->{httpd}->stop;
    use_keys($x, $new, $old);
    like($x->{httpd}->run_command('reseal'), qr/No other key is needed/, 'key-missing: all is sealed anew');
    my $fresh = $patient->();
    my $set = sub { return run_sql($x->{db}, "UPDATE p2p_job SET source_patient = '$_[0]', not_before = 0 WHERE id = (SELECT MAX(id) FROM p2p_job)") };
    $set->($sealed);
    start_with($x, $new);
    ok($x->{httpd}->wait_for(sub { $x->{httpd}->log_text =~ /The job waits until it can be opened: $missing/ && run_sql($x->{db}, 'SELECT MAX(not_before) FROM p2p_job') > 0 }), 'key-missing: a job alone waits, too');
    is($x->job($path)->{batchStatus}, 'STARTED', 'key-missing: ... and has not ended');
    is(run_sql($x->{db}, 'SELECT wait_code FROM p2p_job ORDER BY id DESC LIMIT 1') =~ s/\s+$//r, 'key-missing', 'key-missing: ... and says why it waits');
    $set->($fresh);
    ok_end($x, $path, 'key-missing');
    return;
}

sub use_keys {
    my ($x, @keys) = @_;
    my $httpd = $x->{httpd};
    my @files = map { P2P::Httpd::write_file("$httpd->{dir}/key.$_", $keys[$_], 0600) } 0 .. $#keys;
    $httpd->{directives}{P2PSecretKeyFile} = "@files";
    $httpd->write_config;
    return;
}

# httpd anew with these keys.
sub start_with {
    my ($x, @keys) = @_;
    $x->{httpd}->stop if $x->{httpd}->pid;
    use_keys($x, @keys);
    $x->{httpd}->start;
    return;
}

# Those that last longer than a lease, one on each database, side by side. A second runner, of another httpd, takes the job over.
sub test_zombies {
    my $server = P2P::Postgres->new->start;
    my @db = (P2P::Databases::sqlite(), { name => 'PostgreSQL', driver => 'pgsql', params => $server->params, server => $server });
    my @run = map { { x => make($db[$_], $_), name => "runner-stopped, $db[$_]{name}" } } 0, 1;
    for my $run (@run) {
        my $x = $run->{x};
        $x->{httpd}->expect_log(qr/dropped|Registering|lease|ended/i);
        $run->{path} = begin($x, $run->{name});
        kill 'STOP', $run->{zombie} = $x->runner_pid;
        $run->{parts} = $x->job($run->{path})->{progress}{parts};
        $run->{other} = P2P::Lane->new(name => $run->{name}, x => $x, orders => []);
        $run->{other}->start_runner(0);
    }
    for my $run (@run) {
        my $x = $run->{x};
        ok($x->{httpd}->wait_for(sub { ($x->job($run->{path})->{progress}{parts} // 0) > $run->{parts} + 3 }, $LEASE * 2 + 10), "$run->{name}: another runner goes on");
        kill 'CONT', $run->{zombie};
    }
    for my $run (@run) {
        my $x = $run->{x};
        ok_end($x, $run->{path}, $run->{name});
        ok($x->{httpd}->wait_for(sub { $x->{httpd}->log_text =~ /jobs are dropped/ }), "$run->{name}: the one that stood still has dropped the job");
        is($x->runner_pid, $run->{zombie}, "$run->{name}: ... and works on");
        $run->{other}->end_runners('TERM');
    }
    test_crash(\@run);
    $_->{x}->stop for @run;
    return;
}

# httpd and runner are gone at a stroke, as when a host loses power; httpd is started again, which is another instance.
sub test_crash {
    my ($runs) = @_;
    for my $run (@$runs) {
        $run->{path} = begin($run->{x}, "host-crash, $run->{name}");
        my $pid = delete $run->{x}{httpd}{pid};
        kill 'KILL', -$pid;
        waitpid $pid, 0;
        $run->{x}{httpd}->wait_for(sub { !kill 0, $run->{zombie} });
        unlink "$run->{x}{httpd}{dir}/httpd.pid";
        $run->{x}{httpd}->start;
    }
    ok_end($_->{x}, $_->{path}, $_->{name} =~ s/.*,/host-crash,/r) for @$runs;
    return;
}

test_processes();
test_disks();
test_postgres();
test_zombies();
done_testing;
