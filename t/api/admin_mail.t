#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The outbox, as administrators read it: lists, one mail, why all rest, sending again, and what is erased. Mails are noted as a runner notes them (t/bench/note_events).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Source;
use Test::More;

my %PASSWORD = (portal => 'opens-the-portal', admin => 'opens-it-all');
my $AT = '/admin/mail';
my @MEMBERS = qw(id template role state subject status batchJobId address createTime due attempts code fault detail endTime);
my $TARGET = 'https://target.example/fhir';

sub answers { my ($answer, $status, $name) = @_; is($answer->{status}, $status, $name) or diag $answer->{content}; return $answer }

sub problem {
    my ($answer, $status, $code, $name) = @_;
    answers($answer, $status, $name);
    is($answer->{json}{code}, $code, "... $code");
    return;
}

sub note_events {
    my ($httpd, @event) = @_;
    my $line = join ' ', map { quotemeta || "''" } P2P::Httpd::builddir() . '/t/bench/note_events', $httpd->spec_file, @event;
    my $out = `$line`;
    die "note_events fails\n" if $?;
    $httpd->give_database;
    return $out + 0;
}

# All mails of a list, page by page.
sub all_of {
    my ($admin, $query) = @_;
    my @mails;
    for (my $next = "$AT$query"; $next; ) {
        my $json = answers($admin->get($next), 200, "page $next")->{json};
        push @mails, @{ $json->{mails} };
        $next = $json->{next};
    }
    return @mails;
}

sub test_list {
    my ($db, $httpd, $admin) = @_;
    my $empty = answers($admin->get($AT), 200, 'an empty outbox')->{json};
    is_deeply($empty, { mails => [], on => JSON::PP::true, hold => undef, counts => { queued => 0, sent => 0, undeliverable => 0, refused => 0 }, next => undef }, '... says so');
    is(note_events($httpd, qw(add-payer requested 1 1 patient-1 anna@example.org)), 1, 'an Add Payer Task');
    is(note_events($httpd, qw(add-payer requested 1 1 patient-1 anna@example.org)), 0, '... once');
    is(note_events($httpd, qw(exchange failed 17 1 patient-1), ''), 1, 'an exchange that failed');
    my @mails = all_of($admin, '');
    is(scalar @mails, 6, 'two mails to administrators and one to the member, of each');
    is_deeply([map { $_->{id} } @mails], [sort { $b <=> $a } map { $_->{id} } @mails], '... newest first');
    is_deeply([sort keys %$_], [sort @MEMBERS], "... $_->{template}: with all members") for $mails[0], $mails[-1];
    my ($member) = grep { $_->{template} eq 'add-payer-member' } @mails;
    is_deeply({ map { $_ => $member->{$_} } qw(role state subject status batchJobId address attempts code fault detail endTime) },
        { role => 'member', state => 'queued', subject => 'Task/task-1', status => 'requested', batchJobId => undef, address => 'anna@example.org', attempts => 0, code => undef, fault => undef, detail => undef, endTime => undef }, 'the mail to the member');
    like($member->{$_}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, "... its $_") for qw(createTime due);
    my ($failed) = grep { $_->{template} eq 'exchange-failed-member' } @mails;
    is($failed->{batchJobId}, 17, 'of a job, the job');
    is($failed->{address}, undef, '... whose member has no address yet');
    is_deeply([sort map { $_->{address} } grep { $_->{template} eq 'exchange-failed-administrator' } @mails], [qw(one@payer.example two@payer.example)], '... and the administrators');
    return @mails;
}

sub test_pages {
    my ($db, $httpd, $admin) = @_;
    is(note_events($httpd, qw(add-payer accepted 100 230), 'patient-#', 'member-#@example.org'), 230, 'many events');
    my @all = all_of($admin, '');
    is_deeply([map { $_->{id} } @all], [reverse split /\n/, run_sql($db, 'SELECT id FROM p2p_outbox ORDER BY id')], 'all mails come, page by page, once each');
    run_sql($db, "UPDATE p2p_outbox SET state = 'sent', end_time = due WHERE template = 'add-payer-status-member' AND subject < 'Task/task-250'");
    my $sent = run_sql($db, "SELECT COUNT(*) FROM p2p_outbox WHERE state = 'sent'");
    my @sent = all_of($admin, '?state=sent');
    is(scalar @sent, $sent, "the $sent of one state");
    is_deeply([grep { $_->{state} ne 'sent' || $_->{due} || !$_->{endTime} } @sent], [], '... and no others, with the time of their end');
    my $json = $admin->get($AT)->{json};
    is_deeply($json->{counts}, { queued => scalar(@all) - $sent, sent => 0 + $sent, undeliverable => 0, refused => 0 }, 'how many there are in which state');
    my ($cursor) = $json->{next} =~ /(page=.*)/;
    run_sql($db, "INSERT INTO p2p_outbox (id, target, state) WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) SELECT i, '$TARGET', 'refused' FROM n");
    is($admin->get($AT)->{json}{counts}{refused}, 1000, '... counted up to 1000');
    is(decode_json($httpd->run_command('status'))->{mail}{refused}, 1491, '... but for p2p-runner status');
    run_sql($db, 'DELETE FROM p2p_outbox WHERE id < 2000');
    problem($admin->get("$AT?state=sent&$cursor"), 400, 'bad-page', 'a cursor goes with its list');
    problem($admin->get("$AT?state=gone"), 400, 'bad-query', 'a state that there is not');
    problem($admin->get("$AT?sate=sent"), 400, 'bad-query', 'a parameter that there is not');
    run_sql($db, "INSERT INTO p2p_outbox (id, target, state) VALUES (5, 'https://other.example/fhir', 'queued')");
    problem($admin->get("$AT/5"), 404, 'no-such-mail', "another target's mail");
    is((grep { $_->{id} == 5 } all_of($admin, '?state=queued')), 0, '... is in no list');
    return;
}

sub test_hold {
    my ($db, $admin) = @_;
    my $now = time * 1_000_000;
    run_sql($db, "INSERT INTO p2p_mail_hold (target, code, fault, since, until, attempts) VALUES ('$TARGET', 'mail-login', 'The mail server refuses the login.', $now, $now + 60000000, 3)");
    my $hold = $admin->get($AT)->{json}{hold};
    is_deeply([sort keys %$hold], [qw(code sentence since until)], 'why all mail rests');
    is($hold->{sentence}, 'The mail server refuses the login.', '... in words');
    run_sql($db, 'DELETE FROM p2p_mail_hold');
    return;
}

sub id_where {
    my ($db, $where) = @_;
    return (split /\n/, run_sql($db, "SELECT id FROM p2p_outbox WHERE $where ORDER BY id LIMIT 1"))[0];
}

sub test_resend {
    my ($db, $admin, $portal) = @_;
    my $queued = id_where($db, "state = 'queued' AND target = '$TARGET'");
    my $answer = answers($admin->get("$AT/$queued"), 200, 'one mail');
    is($answer->{headers}{etag}, '"1"', '... with its version');
    problem($admin->post("$AT/$queued/resend"), 409, 'mail-queued', 'what is queued is not sent again');
    problem($admin->post("$AT/99999999/resend"), 404, 'no-such-mail', '... nor what is not there');
    problem($portal->post("$AT/$queued/resend"), 403, 'forbidden', '... nor by a portal');
    my %end = (sent => '', undeliverable => 'mail-refused', refused => 'too-many');
    for my $state (sort keys %end) {
        my $id = id_where($db, "state = 'queued' AND version = 1 AND role = 'member' AND target = '$TARGET'");
        run_sql($db, 'DELETE FROM p2p_job');
        run_sql($db, "UPDATE p2p_outbox SET state = '$state', code = '$end{$state}', fault = 'F.', attempts = 3, tried = 5, end_time = due WHERE id = $id");
        my $again = answers($admin->post("$AT/$id/resend"), 202, "what is $state is sent again");
        is_deeply([@{ $again->{json} }{qw(state code fault attempts endTime)}], ['queued', undef, undef, 0, undef], '... as if it were new');
        like($again->{headers}{location}, qr{$AT/$id$}, '... with its place');
        is(run_sql($db, "SELECT COUNT(*) FROM p2p_job WHERE kind = 'mail' AND status = 'STARTING'"), 1, '... and a runner is asked to');
        is(run_sql($db, "SELECT client, action, object, status, code FROM p2p_audit ORDER BY id DESC LIMIT 1"), "admin|resend|mail/$id|202|", '... which is in the audit');
        is(run_sql($db, "SELECT COUNT(*) FROM p2p_audit WHERE object = 'mail/$id' AND status = 202"), 1, '... once');
        problem($admin->post("$AT/$id/resend"), 409, 'mail-queued', '... and then it is queued');
    }
    return;
}

sub test_erased {
    my ($db, $httpd, $admin) = @_;
    my $id = id_where($db, "state = 'queued' AND role = 'member' AND target = '$TARGET'");
    my $day = 86_400 * 1_000_000;
    run_sql($db, "UPDATE p2p_outbox SET state = 'sent', end_time = due - 31 * $day WHERE id = $id");
    run_sql($db, "DELETE FROM p2p_counter WHERE name LIKE 'tidy %'");
    $httpd->run_command('once');
    is(run_sql($db, "SELECT address, patient, details FROM p2p_outbox WHERE id = $id"), '||', 'thirty days after its end a mail has no address, no Patient and no contents');
    is(answers($admin->get("$AT/$id"), 200, '... it is there')->{json}{address}, undef, '... without its address');
    problem($admin->post("$AT/$id/resend"), 409, 'mail-erased', '... and is not sent again');
    run_sql($db, "UPDATE p2p_outbox SET end_time = due - 91 * $day WHERE id = $id");
    run_sql($db, "DELETE FROM p2p_counter WHERE name LIKE 'tidy %'");
    $httpd->run_command('once');
    problem($admin->get("$AT/$id"), 404, 'no-such-mail', 'after P2PKeepJobs it is gone');
    return;
}

# What no key opens is shown all the same.
sub test_unopenable {
    my ($db, $admin) = @_;
    my $id = id_where($db, "state = 'queued' AND address <> '' AND target = '$TARGET'");
    run_sql($db, "UPDATE p2p_outbox SET address = details WHERE id = $id");
    is(answers($admin->get("$AT/$id"), 200, 'a mail that cannot be opened')->{json}{address}, undef, '... is shown without that');
    is((grep { $_->{id} == $id } all_of($admin, '?state=queued')), 1, '... in lists, too');
    return;
}

sub test_status {
    my ($db, $httpd) = @_;
    my $mail = decode_json($httpd->run_command('status'))->{mail};
    is($mail->{queued}, run_sql($db, "SELECT COUNT(*) FROM p2p_outbox WHERE state = 'queued' AND target = '$TARGET'"), 'p2p-runner status tells how many are queued');
    like($mail->{oldestQueued}, qr/^\d{4}-/, '... since when');
    ok(exists $mail->{hold} && !$mail->{hold}, '... and that nothing rests');
    return;
}

each_database('mail' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => \%PASSWORD, directives => { P2PTarget => $TARGET, P2PMailServer => 'smtp://127.0.0.1:9', P2PMailFrom => 'p2p@payer.example',
        P2PMailAdmins => 'one@payer.example two@payer.example', P2PMailTemplates => top() . '/conf/mail' });
    $httpd->prepare->start;
    my ($admin, $portal) = map { P2P::Api->new($httpd->url, $_, $PASSWORD{$_}) } qw(admin portal);
    test_list($db, $httpd, $admin);
    test_pages($db, $httpd, $admin);
    test_hold($db, $admin);
    test_status($db, $httpd);
    test_resend($db, $admin, $portal);
    test_unopenable($db, $admin);
    test_erased($db, $httpd, $admin);
    $httpd->stop;
});
done_testing;
