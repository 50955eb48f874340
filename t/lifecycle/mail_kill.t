#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the runner while a hundred mails are under way, at random moments: every event reaches every recipient. A mail comes a second time only where the
# kill fell between the server's word that it has it and our note of that, which shows in that it was the last on its connection; and then with the same
# Message-ID. Fault id: mail-runner-killed.
# P2P_MAIL_KILLS: how many runs; P2P_SEED repeats the moments.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::AddPayer;
use P2P::Databases;
use P2P::Exchange;
use P2P::Httpd;
use P2P::Notify;
use P2P::Smtpd;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $RUNS = $ENV{P2P_MAIL_KILLS} // 4;
my $TASKS = 34;    # three mails of each
my $seed = $ENV{P2P_SEED} // int rand 1_000_000;
diag "P2P_SEED=$seed";
srand $seed;

my $smtpd = P2P::Smtpd->start;
my ($runner, $spec);    # the process, its specification
END { kill 'KILL', $runner if $runner }

sub start_runner {
    my ($notify) = @_;
    $runner = fork // die "fork: $!\n";
    return if $runner;
    my $log = $notify->httpd->dir . '/runner.log';
    open STDERR, '>>', $log;
    open STDOUT, '>&', \*STDERR;
    exec P2P::Httpd::runner(), 'run', '--spec', $spec or POSIX::_exit(70);
}

sub end_runner {
    my ($signal) = @_;
    my $pid = $runner;
    $runner = undef;
    kill $signal, $pid;
    waitpid $pid, 0;
    return;
}

# All at once, each of a member of his own; who is to get what.
sub post_all {
    my ($notify, $run) = @_;
    my (@entries, @expected);
    for my $i (1 .. $TASKS) {
        my $member = "m-$run-$i";
        my $task = decode_json(P2P::AddPayer::sample(patient => $member, email => "$member\@member.example"));
        push @entries, { resource => { resourceType => 'Patient', id => $member }, request => { method => 'PUT', url => "Patient/$member" } },
            { resource => $task, request => { method => 'POST', url => 'Task' } };
        push @expected, "add-payer-member $member\@member.example", map { "add-payer-administrator $_" } $notify->admins;
    }
    my $answer = $notify->fhir('POST', '', { resourceType => 'Bundle', type => 'transaction', entry => \@entries });
    die "sandbox: $answer->{status} $answer->{content}\n" if $answer->{status} != 200;
    return @expected;
}

# Sentences: what is wrong with what came. Mails of administrators differ by what their values say, and by Message-ID.
sub faults_of {
    my ($kills, $mails, @expected) = @_;
    my (%times, %copies, %last, @faults);
    $last{ $_->{connection} } = $_ for @$mails;
    push @{ $copies{ P2P::Smtpd::header($_, 'Message-ID') } }, $_ for @$mails;
    for my $id (sort keys %copies) {
        my ($first, @more) = @{ $copies{$id} };
        $times{ P2P::Notify::template_of($first) . ' ' . $first->{to}[0] }++;
        push @faults, "$id came " . (1 + @more) . " times, after $kills kills" if @more > $kills;
        push @faults, "$id has not always the same recipient and text" if grep { $_->{to}[0] ne $first->{to}[0] || P2P::Smtpd::text($_) ne P2P::Smtpd::text($first) } @more;
        pop @{ $copies{$id} };
        push @faults, "$id came again, and was not the last on its connection" if grep { $last{ $_->{connection} } != $_ } @{ $copies{$id} };
    }
    my %wanted;
    $wanted{$_}++ for @expected;
    push @faults, map { "$_: " . ($times{$_} // 0) . ' mails, has to get ' . ($wanted{$_} // 0) } grep { ($times{$_} // 0) != ($wanted{$_} // 0) } sort keys %{ { %times, %wanted } };
    return (scalar(map { @$_ } values %copies), @faults);
}

sub wait_until_quiet {
    my ($notify) = @_;
    my $end = time + $P2P::Notify::PATIENCE;
    while (time < $end) {
        return 1 if $notify->is_quiet;
        sleep 0.05;
    }
    return 0;
}

# One hundred mails; killed => at which parts of the time that it takes undisturbed.
sub run {
    my ($notify, $number, $whole, @moments) = @_;
    $smtpd->forget;
    my $begin = time;
    my @expected = post_all($notify, $number);
    my @had;    # mails that had come at each kill
    for my $moment (@moments) {
        sleep $whole * $moment;
        end_runner('KILL');
        push @had, scalar $smtpd->mails;
        start_runner($notify);
    }
    # Quiet, and all of the Tasks were seen: what waits unread at the target is not in our database.
    my $end = time + $P2P::Notify::PATIENCE;
    my $count = sub { my %seen = map { P2P::Smtpd::header($_, 'Message-ID') => 1 } $smtpd->mails; return scalar keys %seen };
    while (time < $end && $count->() < @expected) { sleep 0.1 }
    my $took = time - $begin;
    ok(wait_until_quiet($notify), "run $number: all is done");
    my @mails = $smtpd->mails;
    my ($again, @faults) = faults_of(scalar @moments, \@mails, @expected);
    my $when = @had ? 'killed after ' . join(' and ', @had) . ' mails' : 'undisturbed';
    is(join("\n", @faults), '', "run $number: $when, $again came again") or $notify->explain_mail;
    return ($took, $again);
}

my $n = 0;
each_database('killed', sub {
    my ($db) = @_;
    my $name = lc $db->{name};
    my $sandbox = P2P::Exchange::sandbox({ name => $name, role => 'target' });
    my $notify = P2P::Notify->new(name => $name, db => $db, sandbox => $sandbox, smtpd => $smtpd, directives => { P2PRunners => 0 });
    my $text = decode_json(P2P::Httpd::read_file($notify->httpd->spec_file));
    $spec = P2P::Httpd::write_file($notify->httpd->dir . '/spec-0.json', encode_json({ %$text, instance => '0b5d5aa6-5b50-4ae6-a6a5-a7a50d5a3b3b', slot => 0 }), 0600);
    start_runner($notify);
    $notify->wait_ready;
    my ($whole) = run($notify, $n++, 0);
    diag sprintf '%s, undisturbed: %.2f s', $db->{name}, $whole;
    my $again = 0;
    for (1 .. ($RUNS + 1) / 2) {
        my @moments = map { 0.9 * rand } 1 .. (rand() < 0.3 ? 2 : 1);
        $again += (run($notify, $n++, $whole, @moments))[1];
    }
    diag "$db->{name}: $again mails came again";
    end_runner('TERM');
    is(join("\n", grep { /error\]|Sanitizer|runtime error:/ } split /\n/, P2P::Httpd::read_file($notify->httpd->dir . '/runner.log')), '', 'nothing odd in the runners\' log');
    $notify->stop;
    $sandbox->stop;
});
$smtpd->stop;
done_testing;
