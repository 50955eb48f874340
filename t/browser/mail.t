#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The console's mail in a browser: what waits, what was sent, given up and refused, and why; what keeps all mail back; sending again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Browser;
use P2P::Databases;
use P2P::Httpd;
use P2P::Source;
use Test::More;

my $PASSWORD = 'opens-it-all';
my $db = P2P::Databases::sqlite();
my %mail = (P2PMailServer => 'smtp://127.0.0.1:9', P2PMailFrom => 'p2p@payer.example', P2PMailAdmins => 'one@payer.example', P2PMailTemplates => top() . '/conf/mail');
my $httpd = P2P::Httpd->new(db => $db, users => { admin => $PASSWORD }, directives => \%mail);
my $off = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => { admin => $PASSWORD });
$_->expect_log(qr/AH01617|AH01618/) for $httpd, $off;
$_->prepare for $httpd, $off;

# Mails of events, and what runners would have noted of them.
my $spec = $httpd->spec_file;
sub note_events {
    my (@event) = @_;
    my $line = join ' ', map { quotemeta || "''" } P2P::Httpd::builddir() . '/t/bench/note_events', $spec, @event;
    my $out = `$line 2>&1`;
    die "note_events: $out" if $?;
    $httpd->give_database;
    return;
}

sub becomes {
    my ($task, $state, $code, $fault) = @_;
    run_sql($db, "UPDATE p2p_outbox SET state = '$state', code = '$code', fault = '$fault', attempts = 1, version = version + 1, "
        . "end_time = create_time + 2000000 WHERE subject = 'Task/$task'");
    return;
}

note_events('add-payer', 'accepted', 1, 4, 'patient-#', 'member-#@example.org');
my $later = 'smtp://127.0.0.1:9 does not take the mail now.';
run_sql($db, "UPDATE p2p_outbox SET code = 'mail-later', fault = '$later', attempts = 2, due = due + 600000000, version = version + 1 WHERE subject = 'Task/task-1'");
becomes('task-2', 'sent', '', '');
becomes('task-3', 'undeliverable', 'mail-recipient', 'smtp://127.0.0.1:9 does not take mail for <b>this</b> recipient.');
becomes('task-4', 'refused', 'too-many', '5 mails went to this address about this Patient in a day.');

my %answers = (
    hold => sub {
        run_sql($db, "INSERT INTO p2p_mail_hold (target, code, fault, since, until, attempts) SELECT target, 'mail-sign-in', "
            . "'smtp://127.0.0.1:9 did not let us sign in.', MAX(create_time), MAX(create_time) + 3600000000, 1 FROM p2p_outbox GROUP BY target");
        return 1;
    },
    state => sub { my ($task) = @_; return run_sql($db, "SELECT state FROM p2p_outbox WHERE subject = 'Task/$task'") },
    erase => sub { run_sql($db, "UPDATE p2p_outbox SET details = '', address = '', version = version + 1 WHERE subject = 'Task/task-4'"); return 1 },
);
$_->launch for $httpd, $off;
$_->await for $httpd, $off;
P2P::Browser::run('mail.js', { url => $httpd->url . '/', off => $off->url . '/', user => { username => 'admin', password => $PASSWORD } }, answers => \%answers);
$_->stop for $httpd, $off;
done_testing;
