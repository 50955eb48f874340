#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The same mails, each once, from every kind of target: those that deliver as HAPI, as Medplum, without a body and as transaction Bundles, one that says all
# three times and out of order, one that loses every second delivery, one without Subscriptions, and one that refuses Tasks, of which an exchange is all there is
# to tell. Fault ids: delivered-thrice, delivery-lost, no-tasks.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::AddPayer;
use P2P::Databases;
use P2P::Exchange;
use P2P::Notify;
use P2P::Smtpd;
use Test::More;

# name => directives of the sandbox; age: deliveries alone do not tell all of it; more: directives of httpd.
my @KINDS = (
    { name => 'hapi',    sandbox => ['SandboxDelivery put'] },
    { name => 'medplum', sandbox => ['SandboxDelivery post', 'SandboxClientIds refuse'], more => { P2PResourceIds => 'conditional' } },
    { name => 'empty',   sandbox => ['SandboxDelivery empty'] },
    { name => 'bundle',  sandbox => ['SandboxDelivery bundle'] },
    { name => 'thrice',  sandbox => ['SandboxDelivery post thrice'] },
    { name => 'half',    sandbox => ['SandboxDelivery put half'], age => 1 },
    { name => 'polled',  sandbox => ['SandboxRefuseSubscriptions 422'], age => 1 },
    { name => 'taskless', sandbox => ['SandboxRefuseTasks 422'], unsearched => 1, only_exchanges => 1 },
);
@KINDS = grep { $_->{name} =~ /^(?:$ENV{P2P_CASES})$/ } @KINDS if $ENV{P2P_CASES};

# A source whose member m2 cannot be read.
my @RECORD = map { ('{"resourceType":"Patient","id":"m' . $_ . '"}', qq({"resourceType":"Observation","id":"o$_","status":"final","subject":{"reference":"Patient/m$_"}})) } 1, 2;
my $sandbox = P2P::Exchange::sandbox({ name => 'source' }, map { { name => $_->{name}, role => 'target', directives => $_->{sandbox} } } @KINDS);
$sandbox->load('source', join '', map { "$_\n" } @RECORD);
$sandbox->faults('source', { do => 'status', match => 'GET /fhir/Patient/m2', status => 403, count => 0 });

my $smtpd = P2P::Smtpd->start;
my $n = 0;
my @all = map {
    P2P::Notify->new(name => $_->{name}, db => $n++ % 2 ? own_database($_->{name}) : P2P::Databases::sqlite(), sandbox => $sandbox, smtpd => $smtpd, age => $_->{age}, unsearched => $_->{unsearched},
        sources => ['source'], directives => $_->{more}, kind => $_);
} @KINDS;
my @with_tasks = grep { !$_->{kind}{only_exchanges} } @all;
$_->wait_ready for @with_tasks;
$_->add_patient('member', "record.$_->{name}\@member.example") for @all;

# A database of its own in the one cluster.
my $postgres;
sub own_database {
    my ($name) = @_;
    $postgres //= P2P::Databases::postgresql()->{server};
    $postgres->psql("CREATE DATABASE notify_$name", 'postgres');
    return { name => 'PostgreSQL', driver => 'pgsql', params => $postgres->params =~ s/dbname=p2p/dbname=notify_$name/r, server => $postgres, database => "notify_$name" };
}

sub administrators { my ($notify, $template) = @_; return map { "$template $_" } $notify->admins }

# ---- A request ----

my %task;
$task{$_} = $_->post(patient => 'member', payer => 'A payer of long ago', email => "typed.$_->{name}\@member.example") for @with_tasks;
$_->ok_told('a request: administrators and the member', administrators($_, 'add-payer-administrator'), "add-payer-member typed.$_->{name}\@member.example") for @with_tasks;
for my $status (qw(accepted in-progress completed)) {
    $_->set_status($task{$_}, $status) for @with_tasks;
    $_->ok_told("$status: the member", "add-payer-status-member typed.$_->{name}\@member.example") for @with_tasks;
}

# ---- Exchanges ----

# A request that is open still, of the payer that is exchanged with: mail goes where it says.
$task{$_} = $_->post(patient => 'member', payer => ' SOURCE ', email => "open.$_->{name}\@member.example") for @with_tasks;
$_->ok_told('another request', administrators($_, 'add-payer-administrator'), "add-payer-member open.$_->{name}\@member.example") for @with_tasks;

sub exchange {
    my ($source_patient) = @_;
    my %path = map { $_ => $_->{x}->order('source', $source_patient, 'member', no_patient => 1)->{path} } @all;
    return map { $_ => $_->{x}->wait($path{$_}) } @all;
}

sub member_of { my ($notify) = @_; return ($notify->{kind}{only_exchanges} ? 'record' : 'open') . ".$notify->{name}\@member.example" }

my %job = exchange('m1');
for my $notify (@all) {
    is($job{$notify}{batchStatus}, 'COMPLETED', "$notify->{name}: an exchange") or diag explain $job{$notify};
    $notify->ok_told('... of which the member is told', 'exchange-completed-member ' . member_of($notify));
}
%job = exchange('m2');
for my $notify (@all) {
    is($job{$notify}{batchStatus}, 'FAILED', "$notify->{name}: one that fails") or diag explain $job{$notify};
    $notify->ok_told('... of which administrators are told as well', administrators($notify, 'exchange-failed-administrator'), 'exchange-failed-member ' . member_of($notify));
}

# ---- All of it ----

for my $notify (@all) {
    my @mails = $notify->mails;
    my %id = map { (P2P::Smtpd::header($_, 'Message-ID') // '') => 1 } @mails;
    is(scalar keys %id, scalar @mails, "$notify->{name}: each has a Message-ID of its own");
    is(scalar(grep { !$_->{tls} || ($_->{user} // '') ne 'p2p' } @mails), 0, '... and came over TLS, from who has signed in');
    is(scalar(grep { (P2P::Smtpd::header($_, 'Auto-Submitted') // '') ne 'auto-generated' } @mails), 0, '... and says that a machine wrote it');
    is(join(' ', map { @{ $_->{defects} } } @mails), '', '... and has no defect');
    my @to_members = grep { $_->{to}[0] =~ /\@member\.example$/ } @mails;
    is(scalar(grep { $_->{message} =~ /A payer of long ago|SOURCE|Evelyn|McCullough|555-0100|typed\..*typed\./s } @to_members), 0, '... and members get no word of a Task');
    my $deliveries = $sandbox->deliveries($notify->{name});
    cmp_ok($deliveries->{lost}, '>', 0, "$notify->{name}: deliveries were lost") if $notify->{name} eq 'half';
    is($deliveries->{lost}, 0, "$notify->{name}: no delivery was lost") if $notify->{name} ne 'half';
    is(scalar(grep { $_->{outcome} eq 'failed' } @{ $deliveries->{log} }), 0, '... or refused');
    my @words = grep { index($notify->httpd->log_text, $_) >= 0 } '@member.example', 'Evelyn', 'McCullough', 'long ago';
    is("@words", '', '... and no address and no name is in the log');
    $notify->httpd->expect_log(qr/Subscription/) if $notify->{name} eq 'polled';
    $notify->httpd->expect_log(qr/Tasks of the target are not all known|goes on without a Task/) if $notify->{name} eq 'taskless';
    $notify->stop;
}
done_testing;
