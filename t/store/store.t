#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The stores' unit tests on both databases: SQLite, and a PostgreSQL cluster of this test's own.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;
use lib dirname(__FILE__) . '/../lib';
use P2P::Postgres;

my $BUILD = $ENV{P2P_BUILDDIR} || abs_path(dirname(__FILE__) . '/../..');
my $dir = tempdir(CLEANUP => 1);
my $pg  = P2P::Postgres->new->start;
my %databases = (
    sqlite3 => { P2P_DBD_DRIVER => 'sqlite3', P2P_DBD_PARAMS => "$dir/store.db" },
    pgsql   => {
        P2P_DBD_DRIVER => 'pgsql',
        P2P_DBD_PARAMS => $pg->params,
        map { ('P2P_DBD_' . uc) => $pg->command($_) } qw(start stop restart)
    },
);

# Each test of the program becomes one of ours.
sub run_program {
    my ($program, $database) = @_;
    local %ENV = (%ENV, %{ $databases{$database} }, CMOCKA_MESSAGE_OUTPUT => 'TAP');
    my @lines = map { s/\s+\z//r } `$BUILD/t/unit/$program`;
    my $status = $?;
    for (@lines) {
        if    (/^(not )?ok \d+ - (.*)/) { ok(!$1, "$database: $program: $2") }
        elsif (/^#/)                    { diag $_ unless /^# (?:not )?ok - / }
    }
    is($status, 0, "$database: $program ends well");
}

for my $database (sort keys %databases) {
    run_program($_, $database) for qw(test_store test_grant_store test_job_store test_job_control test_job_viewer test_job_rest test_hash_keys test_chore_store
        test_outbox_store test_reseal test_task_store test_stat_store);
}
done_testing;
