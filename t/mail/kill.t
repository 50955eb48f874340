#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A runner is killed (kill -9) in the middle of a hundred mails, again and again: each mail arrives, and what arrives twice has one Message-ID. P2P_LARGE=1 kills
# 50 of them, else a few; moments are random (P2P_SEED).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Databases;
use P2P::Httpd;
use P2P::Smtpd;
use Test::More;
use Time::HiRes qw(sleep time);

my $KILLS  = $ENV{P2P_LARGE} ? 50 : 6;
my $MAILS  = 100;
my $number = 0;
my $seed   = $ENV{P2P_SEED} // int rand 1_000_000;
diag "P2P_SEED=$seed";
srand $seed;

sub start_runner {
    my ($httpd, $spec) = @_;
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    open STDOUT, '>>', "$httpd->{dir}/once.log";
    open STDERR, '>&', \*STDOUT;
    exec P2P::Httpd::runner(), 'once', '--spec', $spec or POSIX::_exit(70);
}

sub run {
    my (@command) = @_;
    my $out = `@{[map { quotemeta } @command]} 2>&1`;
    die "$command[0]: $out" if $?;
    return $out;
}

each_database('killed runners' => sub {
    my ($db) = @_;
    my $smtpd = P2P::Smtpd->start;
    my $httpd = P2P::Httpd->new(db => $db, directives => { P2PTarget => 'https://target.example/fhir', $smtpd->directives });
    $httpd->prepare;
    my $spec = $httpd->spec_file;
    run(P2P::Httpd::builddir() . '/t/bench/note_events', $spec, 'add-payer', 'accepted', 1, $MAILS, 'patient-#', 'member-#@example.org');
    $httpd->give_database;
    for my $kill (1 .. $KILLS) {
        my $before = $smtpd->count;
        last if $before >= $MAILS;
        my $pid = start_runner($httpd, $spec);
        my $more = 1 + int rand(2 * $MAILS / $KILLS);    # it dies when about so many more have come
        my $end = time + 60;
        sleep 0.01 until $smtpd->count >= $before + $more || $smtpd->count >= $MAILS || time > $end;
        kill 'KILL', $pid;
        waitpid $pid, 0;
        run_sql($db, 'UPDATE p2p_runner SET lease_until = 1');    # 15 seconds pass
    }
    my $killed = $smtpd->count;
    my $pid = start_runner($httpd, $spec);
    waitpid $pid, 0;
    is($? >> 8, 0, 'the last runner comes to its end');
    cmp_ok($killed, '>', 0, "$killed mails came from runners that were killed");
    my (%times, %ids);
    for my $mail ($smtpd->mails) {
        my ($to) = @{ $mail->{to} };
        $times{$to}++;
        $ids{$to}{ P2P::Smtpd::raw_header($mail, 'Message-ID') } = 1;
    }
    is(scalar keys %times, $MAILS, "each of $MAILS members gets his mail");
    is(run_sql($db, "SELECT COUNT(*) FROM p2p_outbox WHERE state <> 'sent'"), 0, '... and each is noted as sent');
    is(scalar(grep { keys %$_ > 1 } values %ids), 0, 'what came twice has the same Message-ID');
    my @twice = grep { $_ > 1 } values %times;
    cmp_ok(scalar @twice, '<=', 4 * $KILLS, scalar(@twice) . ' came twice: no more than were under way when a runner was killed');
    $smtpd->stop;
});
done_testing;
