#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The outbox and a real mail server: what becomes of mails while it is away, refuses the login, the sender, a recipient; while a template cannot be used;
# and when there are very many. Each fault is one sentence in /admin/mail, and nothing is lost. Runners work the queue off once (`p2p-runner once`); that
# time has passed is written into the rows. The names of faults (as in docs/operations.md) stand beside the tests.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Smtpd;
use P2P::Source;
use Test::More;

my $HOUR = 3600 * 1_000_000;
my $RESTS = qr/No mail is sent for now/;
my $number = 0;    # of the next event

my ($db, $httpd, $smtpd, $api, $spec);

# Runs a program with httpd's specification of the beginning: httpd itself would not start with some of what is tried here.
sub run {
    my (@command) = @_;
    my $line = join ' ', map { quotemeta || "''" } @command;
    my $out = `$line 2>&1`;
    die "$command[0]: $out" if $?;
    $httpd->give_database;
    return $out;
}

sub note_events { my (@event) = @_; return run(P2P::Httpd::builddir() . '/t/bench/note_events', $spec, @event) + 0 }

# News about a Task to members of their own: so many mails.
sub news {
    my ($count, $email) = @_;
    my $first = $number + 1;
    $number += $count;
    note_events('add-payer', 'accepted', $first, $count, 'patient-#', $email // 'member-#@example.org');
    return map { 'member-' . $_ . '@example.org' } $first .. $number;
}

# All that is due; what the runner says.
sub work { return run(P2P::Httpd::runner(), 'once', '--spec', $spec) }

sub outbox { my ($query) = @_; return $api->get('/admin/mail' . ($query // ''))->{json} }
sub counts { my $counts = outbox()->{counts}; return join ' ', map { $counts->{$_} } qw(queued sent undeliverable refused) }
sub times_in { my ($text, $pattern) = @_; my @all = $text =~ /$pattern/g; return scalar @all }

sub start_anew {
    run_sql($db, "DELETE FROM $_") for qw(p2p_outbox p2p_mail_hold p2p_task_event p2p_job);
    $smtpd->fault;
    $smtpd->forget;
    return;
}

# So much time passes for all rows, and what rests is due.
sub passes {
    my ($time) = @_;
    run_sql($db, "UPDATE p2p_outbox SET create_time = create_time - $time, due = due - $time, tried = CASE WHEN tried > 0 THEN tried - $time ELSE 0 END");
    run_sql($db, "UPDATE p2p_mail_hold SET since = since - $time, until = until - $time");
    return;
}

sub is_sent {
    my ($name, @to) = @_;
    my @mails = $smtpd->mails;
    is_deeply([sort map { @{ $_->{to} } } @mails], [sort @to], "$name: each mail came once");
    return @mails;
}

sub test_sent {
    start_anew();
    is(note_events(qw(add-payer requested 900001 1 anna anna@example.org)), 1, 'a request');
    my $said = work();
    my @mails = is_sent('a request', 'anna@example.org', 'one@payer.example', 'two@payer.example');
    is(counts(), '0 3 0 0', '... and is noted so');
    my ($member) = grep { $_->{to}[0] =~ /anna/ } @mails;
    is(P2P::Smtpd::header($member, 'Subject'), 'We have received your request to add a payer', 'the member gets his text');
    unlike($member->{message}, qr/New Payer|Anna|555-0100/, '... with nothing that stands in the Task');
    like(P2P::Smtpd::text($mails[0]) . P2P::Smtpd::text($mails[1]) . P2P::Smtpd::text($mails[2]), qr/New Payer.*Anna Example.*555-0100/s, 'administrators read who asks for what');
    my %ids = map { P2P::Smtpd::raw_header($_, 'Message-ID') => 1 } @mails;
    is(scalar keys %ids, 3, 'each has a Message-ID of its own');
    unlike($said, qr/anna|one\@|New Payer/, 'the log names nobody');
    is(note_events(qw(add-payer requested 900001 1 anna anna@example.org)), 0, 'the same once more is no event');
    work();
    is(scalar $smtpd->mails, 3, '... and no mail');
    return;
}

# mail-server-away
sub test_away {
    start_anew();
    my @to = news(6);
    $smtpd->stop;
    my $said = work();
    is(times_in($said, $RESTS), 1, 'a server that is away: the log says so, once');
    for (1 .. 8) {
        passes($HOUR / 8);
        is(times_in(work(), $RESTS), 0, '... and not again');
    }
    my $outbox = outbox();
    is($outbox->{hold}{code}, 'unreachable', '... /admin/mail has the reason');
    like($outbox->{hold}{sentence}, qr/^smtp:\S+ cannot be reached: .*\.$/, '... in a sentence');
    is(counts(), '6 0 0 0', '... and all mails');
    is(decode_json(run(P2P::Httpd::runner(), 'status', '--spec', $spec))->{mail}{hold}{code}, 'unreachable', '... p2p-runner status, too');
    $smtpd->start_again;
    passes($HOUR / 4);
    like(work(), qr/Mail is sent again/, 'when it is back the log says so');
    is_sent('after an hour', @to);
    is(outbox()->{hold}, undef, '... and nothing rests any more');
    return;
}

# mail-sign-in, mail-sender, tls-refused
sub test_faults {
    my %faults = ('mail-sign-in' => [auth => '535 5.7.8 wrong'], 'mail-sender' => [mail => '550 5.7.1 not you'], 'tls-refused' => [starttls => 'off']);
    for my $code (sort keys %faults) {
        start_anew();
        my @to = news(5);
        $smtpd->fault(@{ $faults{$code} });
        is(times_in(work(), $RESTS), 1, "$code: the log says so, once");
        passes($HOUR);
        is(times_in(work(), $RESTS), 0, '... and not again');
        my $hold = outbox()->{hold};
        is($hold->{code}, $code, '... /admin/mail has the reason');
        like($hold->{sentence}, qr/^\S.*\.$/, '... in words');
        is(run_sql($db, "SELECT COUNT(*) FROM p2p_outbox WHERE state = 'queued' AND attempts = 0"), 5, '... and no mail has grown older');
        passes(4 * 24 * $HOUR);
        work();
        is(counts(), '5 0 0 0', '... after days');
        $smtpd->fault;
        passes($HOUR);
        work();
        is_sent("$code, mended", @to);
    }
    return;
}

# mail-recipient-later, mail-recipient-never
sub test_recipients {
    start_anew();
    my @to = news(3);
    $smtpd->fault(rcpt => { $to[0] => "450 4.2.1 <$to[0]> later", $to[1] => "550 5.1.1 <$to[1]> unknown" });
    my $said = work();
    is_sent('one of three', $to[2]);
    is(counts(), '1 1 1 0', 'a recipient who is put off, one who is refused, one who gets his mail');
    my ($later) = @{ outbox('?state=queued')->{mails} };
    is_deeply([@$later{qw(code attempts address)}], ['mail-later', 1, $to[0]], 'the first is tried again');
    like($later->{detail}, qr/^450 4\.2\.1/, "... with the server's words");
    my ($never) = @{ outbox('?state=undeliverable')->{mails} };
    is_deeply([@$never{qw(code attempts address)}], ['mail-recipient', 1, $to[1]], 'the second is not');
    like($never->{detail}, qr/^550 5\.1\.1/, '... with the server\'s words');
    unlike($said . $later->{fault} . $never->{fault}, qr/member-/, 'no address is in a sentence, or in the log');
    is(outbox()->{hold}, undef, 'nobody else waits for them');
    $smtpd->fault;
    work();
    is(counts(), '1 1 1 0', 'what is put off waits for its time');
    is($api->post("/admin/mail/$never->{id}/resend")->{status}, 202, 'what was given up is sent again by hand');
    passes(61 * 1_000_000);
    work();
    is_sent('in the end', @to);
    return;
}

# mail-for-three-days
sub test_three_days {
    start_anew();
    my ($to) = news(1);
    $smtpd->fault(rcpt => { '*' => '451 4.3.0 later' });
    work();
    passes(71 * $HOUR);
    work();
    is(counts(), '1 0 0 0', 'for three days it is tried');
    passes(2 * $HOUR);
    like(work(), qr/undeliverable/, '... then it is given up');
    is(counts(), '0 0 1 0', '... and shown so');
    my ($mail) = @{ outbox('?state=undeliverable')->{mails} };
    like($mail->{fault}, qr/three days\.$/, '... with the reason');
    $smtpd->fault;
    is($api->post("/admin/mail/$mail->{id}/resend")->{status}, 202, 'by hand it is sent again');
    work();
    is_sent('by hand', $to);
    return;
}

# mail-template
sub test_templates {
    my $file = $smtpd->templates . '/add-payer-status-member.txt';
    my $text = P2P::Httpd::read_file($file);
    my %faults = (
        'with an unknown name' => sub { P2P::Httpd::write_file($file, "Subject: News\n\n\n{{member-name}}\n", 0644); return qr/line 4.*member-name/ },
        'that cannot be read'  => sub { unlink $file; return qr/cannot be read/ },
        'without a subject'    => sub { P2P::Httpd::write_file($file, "\n\nNews\n", 0644); return qr/line 1/ },
    );
    for my $name (sort keys %faults) {
        start_anew();
        my @to = news(4);
        note_events(qw(add-payer requested), ++$number, 1, 'anna', 'anna@example.org');
        my $sentence = $faults{$name}->();
        is(times_in(work(), qr/A mail cannot be written/), 1, "a template $name: the log says so, once");
        is(counts(), '4 3 0 0', '... other mails go');
        my @mails = @{ outbox('?state=queued')->{mails} };
        is(scalar(grep { $_->{code} eq 'mail-template' && $_->{fault} =~ /add-payer-status-member\.txt/ && $_->{fault} =~ $sentence } @mails), 4, '... each of its own says why');
        passes(61 * 1_000_000);
        is(times_in(work(), qr/A mail cannot be written/), 0, '... and the log does not, again');
        P2P::Httpd::write_file($file, $text, 0644);
        passes(61 * 1_000_000);
        work();
        is_sent("$name, mended", @to, 'anna@example.org', 'one@payer.example', 'two@payer.example');
    }
    return;
}

# mail-cut-short: the server keeps the mail, and its answer is lost.
sub test_cut_short {
    start_anew();
    my ($to) = news(1);
    $smtpd->fault(drop => 'before');
    work();
    is(counts(), '1 0 0 0', 'where the answer is lost the mail is sent again');
    $smtpd->fault;
    passes(61 * 1_000_000);
    work();
    my @mails = $smtpd->mails;
    is(scalar @mails, 2, '... so that the server has it twice');
    is(P2P::Smtpd::raw_header($mails[0], 'Message-ID'), P2P::Smtpd::raw_header($mails[1], 'Message-ID'), '... as one, by its Message-ID');
    return;
}

# mail-too-many, mail-address
sub test_rules {
    start_anew();
    note_events('add-payer', 'accepted', $number + 1, 9, 'anna', 'anna@example.org');
    note_events('add-payer', 'accepted', $number + 10, 1, 'bert', "bert\@example.org, anna\@example.org");
    note_events('add-payer', 'accepted', $number + 11, 1, 'bert', "bert\@example.org\r\nBcc: anna\@example.org");
    $number += 11;
    work();
    is_sent('five of nine', ('anna@example.org') x 5);
    is(counts(), '0 5 0 6', 'what is too much, or no address, is refused');
    my %codes;
    $codes{ $_->{code} }++ for @{ outbox('?state=refused')->{mails} };
    is_deeply(\%codes, { 'too-many' => 4, 'bad-address' => 2 }, '... each with its reason');
    return;
}

# mail-very-many: what a runner needs does not grow with the outbox.
sub peak {
    my $used = "$httpd->{dir}/used.json";
    run(P2P::Httpd::builddir() . '/t/bench/measure', $used, P2P::Httpd::runner(), 'once', '--spec', $spec);
    return decode_json(P2P::Httpd::read_file($used))->{peak_kb};
}

sub test_many {
    start_anew();
    $smtpd->fault(auth => '535 no');
    news(20);
    my $few = peak();
    start_anew();
    my $begin = time;
    news(10_000);
    diag sprintf '10,000 mails noted in %d s', time - $begin;
    $smtpd->fault(auth => '535 no');
    $begin = time;
    my $many = peak();
    diag sprintf '... a runner that finds the fault takes %d s and %d KiB, with 20 mails %d KiB', time - $begin, $many, $few;
    cmp_ok($many, '<', $few + 8192, 'ten thousand mails take no more memory than twenty') if !$ENV{P2P_SANITIZED} && !$ENV{P2P_TEST_EXEC};
    is(run_sql($db, "SELECT COUNT(*) FROM p2p_outbox WHERE state = 'queued'"), 10_000, '... and all of them wait');
    is(counts(), '1000 0 0 0', '... which are counted to 1000');
    my $file = $smtpd->templates . '/add-payer-status-member.txt';
    my $text = P2P::Httpd::read_file($file);
    P2P::Httpd::write_file($file, "no subject\n", 0644);
    $smtpd->fault;
    passes($HOUR);
    $begin = time;
    $many = peak();
    diag sprintf '... one that finds the template at fault %d s and %d KiB', time - $begin, $many;
    cmp_ok($many, '<', $few + 8192, '... nor do they where their template is at fault') if !$ENV{P2P_SANITIZED} && !$ENV{P2P_TEST_EXEC};
    is(run_sql($db, "SELECT COUNT(*) FROM p2p_outbox WHERE code = 'mail-template'"), 10_000, '... of which each says so');
    P2P::Httpd::write_file($file, $text, 0644);
    run_sql($db, "UPDATE p2p_outbox SET due = 9000000000000000 WHERE subject NOT LIKE 'Task/task-%77'");
    passes($HOUR);
    my $due = run_sql($db, "SELECT COUNT(*) FROM p2p_outbox WHERE due < 5000000000000000");
    $begin = time;
    work();
    diag sprintf '... %d of them are sent in %d s', $due, time - $begin;
    is(scalar $smtpd->mails, $due, 'those that are due go, once each');
    return;
}

each_database('outbox' => sub {
    ($db) = @_;
    $smtpd = P2P::Smtpd->start;
    $httpd = P2P::Httpd->new(db => $db, users => { admin => 'opens-it-all' }, directives => { P2PTarget => 'https://target.example/fhir', $smtpd->directives(P2PMailAdmins => 'one@payer.example two@payer.example') });
    $httpd->prepare->start;
    $spec = $httpd->spec_file;
    $api = P2P::Api->new($httpd->url, 'admin', 'opens-it-all');
    test_sent();
    test_away();
    test_faults();
    test_recipients();
    test_three_days();
    test_templates();
    test_cut_short();
    test_rules();
    test_many() if $db->{driver} eq 'sqlite3' || $ENV{P2P_LARGE};
    $httpd->stop;
    $smtpd->stop;
});
done_testing;
