#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The database goes away in the middle of an exchange, for a moment, for longer than a lease, by an administrator's hand: the API says 503 meanwhile, and
# the exchange completes by itself, as if nothing had been.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Postgres;
use Test::More;
use Time::HiRes qw(sleep time);

my $member = synthea_member('Evelyn');
my $id = $member->{patient};
my $sandbox = P2P::Exchange::sandbox({ name => 'source', data => [$member->{file}], directives => ['SandboxDelay 60'] }, { name => 'target', role => 'target' });
my $REQUEST = 'Patient/{patientId}/$everything?_count=25';
my $compare;

# Orders, waits until a part has landed, makes trouble, and waits for the end.
sub test_trouble {
    my ($x, $name, $trouble) = @_;
    $x->reset_target;
    my $answer = $x->order('source', $id, 'member', request => $REQUEST);
    is($answer->{status}, 202, "$name: the order is taken") or diag $answer->{content};
    ok($x->{httpd}->wait_for(sub { ($x->job($answer->{path})->{progress}{parts} // 0) > 0 }), "$name: a part has landed");
    my $before = $x->job($answer->{path});
    is($before->{batchStatus}, 'STARTED', "$name: it goes on");
    $trouble->($answer->{path});
    my $job = $x->wait($answer->{path});
    $compare //= $x->expect('source', $id, 'member');
    my $dump = $x->target_dump;
    $x->ok_exchange($job, $compare, $name, dump => $dump);
    $x->ok_target($dump, $name);
    return;
}

sub is_away {
    my ($x, $path, $name) = @_;
    for my $answer ($x->{api}->get($path), $x->{api}->get('/api/oidc_servers'), $x->order('source', 'another', 'member', no_patient => 1, token => ['SECRET-x', ''])) {
        is($answer->{status}, 503, "$name: 503") or diag $answer->{content};
        like($answer->{headers}{'retry-after'} // '', qr/^\d+$/, "$name: with Retry-After");
    }
    return;
}

sub outage {
    my ($x, $server, $mode, $seconds) = @_;
    return sub {
        my ($path) = @_;
        my $begin = time;
        $server->stop($mode);
        is_away($x, $path, "$mode, $seconds s");
        my $left = $begin + $seconds - time;
        sleep $left if $left > 0;
        $server->start;
        ok($x->{httpd}->wait_for(sub { $x->{api}->get('/api/oidc_servers')->{status} == 200 }), "$mode, $seconds s: the API is there again");
    };
}

subtest 'PostgreSQL' => sub {
    my $db = P2P::Databases::postgresql();
    my $server = $db->{server};
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['source']);
    $x->{httpd}->expect_log(qr/The database is away|database|jobs are dropped|lease|dbd|DBD|FATAL|server closed|connection/i);
    test_trouble($x, 'for a moment', outage($x, $server, 'fast', 1));
    test_trouble($x, 'after a crash', outage($x, $server, 'immediate', 4));
    test_trouble($x, 'longer than a lease', outage($x, $server, 'fast', 18));
    test_trouble($x, 'sessions ended by an administrator', sub { cmp_ok($server->kill_backends, '>', 0, 'sessions ended'); sleep 0.3; $server->kill_backends });
    test_trouble($x, 'restarted', sub { $server->restart('fast') });
    $x->ok_sealed('PostgreSQL');
    $x->stop;
};

# Somebody holds the only writer's lock.
sub locked {
    my ($db, $seconds) = @_;
    return sub {
        open my $shell, '|-', 'sqlite3', $db->{params} or die "sqlite3: $!\n";
        $shell->autoflush(1);
        print {$shell} ".timeout 5000\nBEGIN IMMEDIATE;\n";
        sleep $seconds;
        print {$shell} "COMMIT;\n";
        ok(close $shell, "locked for $seconds s");
    };
}

subtest 'SQLite' => sub {
    my $db = P2P::Databases::sqlite();
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['source']);
    $x->{httpd}->expect_log(qr/The database is away|database|jobs are dropped|lease/i);
    test_trouble($x, 'locked for a moment', locked($db, 1.5));
    test_trouble($x, 'locked for long', locked($db, 13));
    $x->{httpd}->expect_log(qr/The end of the job is not noted|database: p2p_job_finish/);
    test_trouble($x, 'the end is refused', sub {
        my ($path) = @_;
        run_sql($db, q{CREATE TRIGGER refused BEFORE UPDATE ON p2p_job WHEN NEW.status = 'COMPLETED' BEGIN SELECT RAISE(ABORT, 'out of shared memory'); END});
        ok($x->{httpd}->wait_for(sub { $x->{httpd}->log_text =~ /The end of the job is not noted/ }), 'the database refuses to note the end');
        is($x->job($path)->{batchStatus}, 'STARTED', '... the job is not over');
        run_sql($db, 'DROP TRIGGER refused');
    });
    $x->ok_sealed('SQLite');
    $x->stop;
};

done_testing;
