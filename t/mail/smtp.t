#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# p2p-runner mail test against a real mail server: STARTTLS, TLS, AUTH, what arrives, and what is said when it does not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Httpd;
use P2P::Smtpd;
use Test::More;

my $dir   = tempdir('p2p-smtp-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my @base  = (db => { driver => 'sqlite3', params => "$dir/p2p.db" });
my $TO    = 'first.last+p2p@member.example';

sub httpd { my (%directives) = @_; return P2P::Httpd->new(@base, directives => {%directives}) }

# Exit code and all output of `mail test`.
sub mail_test {
    my ($spec, @to) = @_;
    @to = ($TO) unless @to;
    my $line = join ' ', map { quotemeta } P2P::Httpd::runner(), 'mail', 'test', @to, '--spec', $spec;
    my $out = `$line 2>&1`;
    return ($? >> 8, $out);
}

sub refused {
    my ($name, $spec, $wanted, $pattern, @to) = @_;
    my ($code, $out) = mail_test($spec, @to);
    is($code, $wanted, "$name: exit code $wanted") or diag $out;
    like($out, $pattern, "$name: it is said why");
    return $out;
}

my $smtpd = P2P::Smtpd->start;
my $httpd = httpd($smtpd->directives(P2PMailAdmins => 'admin@payer.example'));
my $spec  = $httpd->spec_file;

my ($code, $out) = mail_test($spec);
is($code, 0, 'STARTTLS and AUTH: a mail is sent') or diag $out, $smtpd->log_text;
is($out, "The mail server has taken the mail.\n", 'in a sentence');
my ($mail) = $smtpd->mails;
ok($mail->{tls}, 'over TLS');
is($mail->{user}, 'p2p', 'signed in');
is($mail->{from}, 'p2p@payer.example', 'envelope: sender');
is_deeply($mail->{to}, [$TO], 'envelope: one recipient');
is_deeply($mail->{defects}, [], 'a strict reader has nothing to say');
is(P2P::Smtpd::header($mail, 'From'), 'p2p@payer.example', 'From');
is(P2P::Smtpd::header($mail, 'To'), $TO, 'To');
is(P2P::Smtpd::header($mail, 'Subject'), 'Payer-to-payer: a test mail', 'Subject');
like(P2P::Smtpd::raw_header($mail, 'Message-ID'), qr/^<[0-9a-f-]{36}\@payer\.example>$/, 'Message-ID');
is(P2P::Smtpd::header($mail, 'Auto-Submitted'), 'auto-generated', 'Auto-Submitted');
like(P2P::Smtpd::raw_header($mail, 'Date'), qr/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000$/, 'Date');
is_deeply([sort map { $_->[0] } @{ $mail->{headers} }], [sort 'Date', 'From', 'To', 'Subject', 'Message-ID', 'MIME-Version', 'Auto-Submitted', 'Content-Type'],
    'no other header');
is($mail->{type}, 'multipart/alternative', 'two forms');
is_deeply([map { "$_->{type} $_->{charset}" } @{ $mail->{parts} }], ['text/plain utf-8', 'text/html utf-8'], 'text first, then HTML');
like(P2P::Smtpd::text($mail), qr/^This is the mail that p2p-runner mail test sends\./, 'the text of the template');
like(P2P::Smtpd::html($mail), qr{<p>This is the mail that p2p-runner mail test sends\.</p>}, 'and its HTML');

# Templates are read for each mail: what an administrator writes is there at once, whatever it is.
$smtpd->forget;
my $subject = "Gr\xC3\xBC\xC3\x9Fe: " . "\xE2\x82\xAC\xF0\x9F\x98\x80 " x 40 . '=?utf-8?q?x?=';
my $text    = ".\n..\n.hidden\nFrom here \n" . "long \xC3\xA9" x 600 . "\n\nend = \xE2\x82\xAC\t\n";
P2P::Httpd::write_file($smtpd->templates . '/test.txt', "Subject: $subject\n\n$text");
unlink $smtpd->templates . '/test.html';
is((mail_test($spec))[0], 0, 'a changed template: a mail is sent');
($mail) = $smtpd->mails;
utf8::decode(my $sent_subject = $subject);
utf8::decode(my $sent_text = $text);
is(P2P::Smtpd::header($mail, 'Subject'), $sent_subject, 'a long subject of many signs comes through');
is(P2P::Smtpd::text($mail), $sent_text, 'so do dots, blanks at the end and long lines');
is($mail->{type}, 'text/plain', 'without HTML there is none');
is_deeply([grep { length > 78 } split /\r\n/, $mail->{message}], [], 'no line is long');
unlike($mail->{message}, qr/[^\x20-\x7e\r\n]/, 'seven bits');
unlike($mail->{message}, qr/(?<!\r)\n|\r(?!\n)/, 'lines end with CRLF');
unlink $smtpd->templates . '/test.txt';
refused('no template', $spec, 78, qr/The template \S+test\.txt cannot be read: No such file/);
P2P::Httpd::write_file($smtpd->templates . '/test.txt', "Subject: x\n\n{{payer}}\n");
refused('a name that there is not', $spec, 78, qr/test\.txt, line 3, names \{\{payer\}\}, which it is not given/);
P2P::Httpd::write_file($smtpd->templates . '/test.txt', "Subject: x\n\nx\n");

refused("no address: $_", $spec, 64, qr/^p2p-runner: The address (?:has|is|contains) /, $_)
    for 'nobody', 'a@b.example,c@d.example', "a\@b.example\nBcc: c\@d.example", 'A <a@b.example>';
is(scalar(() = $smtpd->mails), 1, 'nothing was sent');

# Each refusal has its exit code and its sentence, which repeats neither address nor password.
sub fails {
    my ($name, $wanted, $pattern, %faults) = @_;
    $smtpd->fault(%faults);
    my $said = refused($name, $spec, $wanted, $pattern);
    my ($sentence) = split /\n/, $said;
    unlike($sentence, qr/\@/, "$name: no address in the sentence");
    unlike($said, qr/\Q$smtpd->{password}\E/, "$name: no password anywhere");
    return;
}
fails('AUTH refused', 78, qr/did not let us sign in.*mail-sign-in/, auth => '535 5.7.8 no');
fails('AUTH not now', 69, qr/lets nobody in now.*unreachable/, auth => '454 4.7.0 not now');
fails('STARTTLS not offered', 78, qr/offers no STARTTLS.*tls-refused/, starttls => 'off');
fails('STARTTLS not now', 69, qr/unreachable/, starttls => '454 not now');
fails('greeting 554', 78, qr/mail-refused/, greeting => '554 go away');
fails('STARTTLS refused', 78, qr/offers no STARTTLS.*tls-refused/, starttls => '502 no');
fails('greeting 421', 69, qr/unreachable/, greeting => '421 later');
fails('sender refused', 78, qr/mail-sender.*\n550 5\.1\.8 no sender/, mail => '550 5.1.8 no sender');
fails('sender not now', 69, qr/mail-later/, mail => '451 4.0.0 later');
fails('recipient refused', 69, qr/mail-recipient.*\n550 5\.1\.1 nobody/, rcpt => { $TO => '550 5.1.1 nobody' });
fails('recipient not now', 69, qr/mail-later/, rcpt => { '*' => '450 4.2.0 greylisted' });
fails('message refused', 69, qr/mail-message/, data => '554 5.7.1 spam');
fails('connection dropped: greeting', 69, qr/unreachable/, drop => 'greeting');
fails("connection dropped: $_", 69, qr/cut-short/, drop => $_) for qw(mail rcpt before);
is(scalar(() = $smtpd->mails), 2, 'the last of these was taken, but we do not know');
$smtpd->fault(drop => 'after');
is((mail_test($spec))[0], 0, 'dropped behind 250: sent');
$smtpd->fault;

# Who is not who he says gets neither mail nor password.
my $wrong = P2P::Smtpd->start(certificate => $smtpd->{certificate}, password => 'another');
refused('wrong password', httpd($wrong->directives(P2PMailAuth => $smtpd->{auth_file}))->spec_file, 78, qr/mail-sign-in/);
my $stranger = P2P::Smtpd->start;
refused('certificate of nobody we trust', httpd($stranger->directives(P2PCAFile => $smtpd->ca_file))->spec_file, 78, qr/certificate .* is not trusted.*tls-refused/);
is(scalar(() = $stranger->mails), 0, 'it got nothing');
$stranger->stop;
refused('nobody there', httpd($stranger->directives)->spec_file, 69, qr/cannot be reached.*unreachable/);
$wrong->stop;

# A server that asks nobody who he is, where we are to say it.
my $unasked = P2P::Smtpd->start(mode => 'plain', user => undef);
refused('no AUTH offered', httpd($unasked->directives(P2PMailAuth => $smtpd->{auth_file}))->spec_file, 78, qr/offers no way to sign in.*mail-sign-in/);
is(scalar(() = $unasked->mails), 0, 'no mail goes that way');
$unasked->stop;

my $smtps = P2P::Smtpd->start(mode => 'smtps');
is((mail_test(httpd($smtps->directives)->spec_file))[0], 0, 'smtps: a mail is sent');
ok(($smtps->mails)[0]{tls}, 'smtps: over TLS');
refused('smtps:// to a server without TLS', httpd($smtpd->directives(P2PMailServer => $smtpd->url =~ s/smtp/smtps/r))->spec_file, 78, qr/tls-refused/);
$smtps->stop;

my $plain = P2P::Smtpd->start(mode => 'plain');
is((mail_test(httpd($plain->directives)->spec_file))[0], 0, 'loopback, P2PMailStartTLS Off: a mail is sent');
is(($plain->mails)[0]{user}, 'p2p', '... and signed in for');
refused('P2PMailStartTLS On, and it cannot', httpd($plain->directives(P2PMailStartTLS => 'On'))->spec_file, 78, qr/offers no STARTTLS/);
$plain->stop;

my $open = P2P::Smtpd->start(user => undef);
is((mail_test(httpd($open->directives)->spec_file))[0], 0, 'without P2PMailAuth: a mail is sent');
is(($open->mails)[0]{user}, undef, '... by nobody in particular');
$open->stop;
refused('no P2PMailServer', httpd()->spec_file, 78, qr/P2PMailServer is not set/);
$smtpd->stop;
done_testing();
