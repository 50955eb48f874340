#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Tasks that anybody could have written, and what comes to the hook: nothing is sent that should not be, no header is injected, nothing from a Task is markup
# or template, and each mail that is refused can be read in /admin/mail, with why. Fault ids: hook-forged, mail-injection.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use P2P::AddPayer;
use P2P::Databases;
use P2P::Exchange;
use P2P::Notify;
use P2P::Smtpd;
use Test::More;

my $MANY = $ENV{P2P_SANITIZED} ? 300 : 1000;    # Tasks for one address
my $CODES = 'http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes';

# A payer whose name is an encoded word, markup and a template at once.
my $ODD_PAYER = '=?utf-8?b?QmNjOiBldmls?= <b>&"{{reason}}\' ' . "\x{1F4E7}";
my $sandbox = P2P::Exchange::sandbox({ name => 'source' }, { name => 'target', role => 'target', directives => ['SandboxDelivery put', 'SandboxReferentialIntegrity Off'] });
$sandbox->load('source', qq({"resourceType":"Patient","id":"m1"}\n));
my $smtpd = P2P::Smtpd->start;
my $db = P2P::Databases::sqlite();
my $notify = P2P::Notify->new(name => 'target', db => $db, sandbox => $sandbox, smtpd => $smtpd, sources => ['source'],
    httpd => { users => { portal => 'p', admin => 'a' } });
$notify->wait_ready;
my @ADMINS = $notify->admins;
my $admin = P2P::Api->new($notify->httpd->url, 'admin', 'a');

sub administrators { return map { "add-payer-administrator $_" } @ADMINS }

# The sample with values, changed by code.
sub task {
    my ($change, %value) = @_;
    my $doc = decode_json(P2P::AddPayer::sample(%value));
    $change->($doc) if $change;
    return JSON::PP->new->ascii->encode($doc);
}

# All mails of /admin/mail in a state.
sub all_in {
    my ($state) = @_;
    my @all;
    for (my $next = "/admin/mail?state=$state"; $next;) {
        my $json = $admin->get($next)->{json} // {};
        push @all, @{ $json->{mails} // [] };
        $next = $json->{next};
    }
    return @all;
}

sub counts { return $admin->get('/admin/mail')->{json}{counts} // {} }

# ---- Tasks of no concern ----

sub coded { my ($system, $code) = @_; return sub { $_[0]{code}{coding} = [{ (defined $system ? (system => $system) : ()), code => $code }] } }

my %OTHERS = (
    'another code'         => coded($CODES, 'p2p-request-add-provider'),
    'our exchange\'s code' => coded($CODES, 'p2p-exchange'),
    'another system'       => coded("$CODES/", 'p2p-request-add-provider-id'),
    'no system'            => coded(undef, 'p2p-request-add-provider-id'),
    'no code'              => sub { delete $_[0]{code} },
    'a code that is a text'  => sub { $_[0]{code} = { text => 'p2p-request-add-provider-id' } },
    'a code that is a number' => sub { $_[0]{code} = { coding => [{ system => $CODES, code => 7 }] } },
    'a draft'              => sub { $_[0]{status} = 'draft' },
    'one that is no error' => sub { $_[0]{status} = 'entered-in-error' },
    'an unknown status'    => sub { $_[0]{status} = "requested\r\nBcc: x\@evil.example" },
);
$notify->post(task($OTHERS{$_}, patient => 'nobody')) for sort keys %OTHERS;
$notify->ok_told('Tasks of no concern: nobody');

# ---- Requesters ----

my %REQUESTERS = (
    'an Organization'      => { reference => 'Organization/o' },
    'another server\'s'    => { reference => 'https://elsewhere.example/fhir/Patient/member' },
    'nobody'               => undef,
    'a name only'          => { display => 'Patient/member' },
    'a logical one'        => { type => 'Patient', identifier => { value => 'member' } },
    'one with a path'      => { reference => 'Patient/../Patient/member' },
    'an array'             => [{ reference => 'Patient/member' }],
    'a search'             => { reference => 'Patient?name=x' },
);
for my $name (sort keys %REQUESTERS) {
    $notify->post(task(sub { $_[0]{requester} = $REQUESTERS{$name}; delete $_[0]{requester} if !defined $REQUESTERS{$name} }, email => 'evil@evil.example'));
}
$notify->ok_told('requesters who are no Patient of the target: administrators alone', (administrators()) x keys %REQUESTERS);

# ---- Addresses ----

my %ADDRESSES = (
    'a header behind it' => "a\@evil.example\r\nBcc: b\@evil.example", 'a line feed' => "a\@evil.example\n", 'a carriage return' => "a\@evil.example\rb",
    'an SMTP command' => "a\@evil.example>\r\nRCPT TO:<b\@evil.example", 'a list' => 'a@evil.example, b@evil.example', 'a list with ;' => 'a@evil.example;b@evil.example',
    'a comment' => 'a(b)@evil.example', 'a comment behind it' => 'a@evil.example (b)', 'a name' => 'Evil <a@evil.example>', 'angle brackets' => '<a@evil.example>',
    'a quoted part' => '"a b"@evil.example', 'a route' => '@b.example:a@evil.example', 'no domain' => 'a@', 'no local part' => '@evil.example', 'no at' => 'evil.example',
    'two ats' => 'a@b@evil.example', 'a NUL' => "a\@evil.example\0b", 'a tab' => "a\t\@evil.example", 'a percent' => "a\@evil.example\x{7f}",
    'letters of others' => "\x{e9}\@evil.example", 'an encoded word' => '=?utf-8?q?a=40evil.example?=', 'no dot' => 'a@evil', 'very long' => 'a' x 10_240 . '@evil.example',
    'a long label' => 'a@' . 'e' x 64 . '.example', 'dots' => 'a..b@evil.example', 'a group' => 'evil:a@evil.example;',
);
my $n = 0;
$notify->post(task(undef, patient => 'patient-' . $n++, email => $ADDRESSES{$_})) for sort keys %ADDRESSES;
$notify->ok_told('addresses that are none: administrators alone', (administrators()) x keys %ADDRESSES);
my @refused = all_in('refused');
is(scalar @refused, scalar keys %ADDRESSES, '... and each is refused, and read in /admin/mail') or diag explain [map { [@$_{qw(template address code)}] } @refused];
is(scalar(grep { $_->{role} ne 'member' || !length($_->{code} // '') || ($_->{fault} // '') !~ /^[A-Z].*\.$/s } @refused), 0, '... with code and sentence');
is(scalar(grep { ($_->{fault} // '') =~ /evil/ } @refused), 0, '... that does not repeat it');
is(counts()->{refused}, scalar @refused, '... and counted');

# ---- Values ----

my %VALUES = (
    'markup'          => '<script>alert(1)</script><img src=x onerror=y>&amp;"\'',
    'encoded words'   => '=?utf-8?b?QmNjOiBiQGV2aWwuZXhhbXBsZQ==?= =?utf-8?q?=0D=0ABcc:_b=40evil.example?=',
    'line breaks'     => "x\r\nBcc: b\@evil.example\r\n\r\nbody\r\n.\r\nMAIL FROM:<b\@evil.example>\r\n",
    'separators'      => "x\x{2028}Bcc: b\x{2029}\x{85}\x{0b}\x{0c}\0\x{202e}\x{feff}",
    'templates'       => '{{payer}} {{member-phone}} {{{status}}} {{#if}} {{reason}}${x}%s%n',
    'boundaries'      => "--boundary\r\nContent-Type: text/html\r\n\r\n<b>x</b>",
    'long'            => 'n' x 10_240,
    'wide'            => "\x{1F4E7}" x 3000,
);
for my $name (sort keys %VALUES) {
    my $value = $VALUES{$name};
    $notify->post(task(undef, patient => "value-$name" =~ tr/ /-/r, first => $value, last => $value, phone => $value, payer => $value, email => 'member@member.example'));
}
$notify->ok_told('values of all kinds', map { (administrators(), 'add-payer-member member@member.example') } keys %VALUES);

# The headers of a mail, by an eye of our own: names, none of which comes twice or from a Task.
my %HEADERS = map { $_ => 1 } qw(from to subject date message-id mime-version content-type auto-submitted x-auto-response-suppress precedence user-agent);
sub header_faults {
    my ($mail) = @_;
    my ($head) = $mail->{message} =~ /\A(.*?)\r\n\r\n/s;
    my (%seen, @faults);
    for my $line (split /\r\n/, $head) {
        next if $line =~ /^[ \t]/;
        my ($name) = $line =~ /^([\w-]+):/;
        push @faults, "odd line: $line" if !$name || !$HEADERS{ lc $name };
        push @faults, "$name twice" if $name && $seen{ lc $name }++;
    }
    push @faults, 'a bare line break' if $head =~ /[^\r]\n|\r[^\n]/;
    push @faults, 'To' if (P2P::Smtpd::header($mail, 'To') // '') ne $mail->{to}[0] || @{ $mail->{to} } != 1;
    push @faults, 'From' if (P2P::Smtpd::header($mail, 'From') // '') !~ /(?:^|<)\Q$notify->{from}\E>?$/;
    push @faults, map { "defect: $_" } @{ $mail->{defects} };
    return @faults;
}

sub ok_clean {
    my ($name) = @_;
    my @mails = $notify->mails;
    is(join("\n", map { header_faults($_) } @mails), '', "$name: headers are ours alone");
    is(scalar(grep { @{ $_->{parts} } != 2 } @mails), 0, '... with two parts each');
    my @html = map { P2P::Smtpd::html($_) // '' } @mails;
    is(scalar(grep { /<script|<img|<b>|onerror=y>/ } @html), 0, '... no markup of a Task in the HTML');
    my @to_members = grep { $_->{to}[0] =~ /\@member\.example$/ && $_->{to}[0] !~ /^of-record/ } @mails;    # that one has a payer's name
    is(scalar(grep { $_->{message} =~ /evil|script|QmNj|alert|nnnn/ } @to_members), 0, '... and nothing of a Task in mail to members');
    is(scalar(grep { $_->{to}[0] !~ /\@(?:member|payer)\.example$/ } @mails), 0, '... which nobody else gets');
    return;
}
ok_clean('values');
my @texts = map { P2P::Smtpd::text($_) } grep { $_->{to}[0] =~ /\@payer\.example$/ } $notify->mails;
cmp_ok(scalar(grep { /\Q$VALUES{markup}\E/ } @texts), '>', 0, 'administrators read what stands there, in the text as it is');
cmp_ok(scalar(grep { /\Q{{payer}} {{member-phone}}\E/ } @texts), '>', 0, '... what looks like a template too');
is(scalar(grep { length > 6000 } @texts), 0, '... not without end');

# ---- The name of a payer, in a Subject ----

{
    my $definition = { name => $ODD_PAYER, issuer => 'https://odd.example', clientId => 'portal', clientSecret => 'SECRET-client-source', responseType => 'code',
        scopes => 'patient/*.read', organizationId => 'odd', fhirEndpoint => $sandbox->url('source'), tokenEndpoint => $sandbox->token_url('source') };
    my $made = $admin->post('/admin/oidc_servers', $definition);
    is($made->{status}, 201, 'a payer with an odd name') or diag $made->{content};
    $notify->add_patient('of-record', 'of-record@member.example');
    $sandbox->add_grant('source', 'SECRET-odd', '-', 'm1');
    my $answer = $admin->post("/api/oidc_servers/$made->{json}{pid}/batch_job", { sourcePayer => { oidcToken => 'SECRET-odd', patientId => 'm1' }, targetPayer => { patientId => 'of-record', organizationId => 't' } });
    is($answer->{status}, 202, '... an exchange with it') or diag $answer->{content};
    # Its subject is that of no file, as to the parts that are the name's.
    $notify->ok_told('... of which the member is told', 'exchange-completed-member of-record@member.example');
    my ($mail) = grep { $_->{to}[0] eq 'of-record@member.example' } $notify->mails;
    is(P2P::Smtpd::header($mail, 'Subject'), "Your records from $ODD_PAYER have arrived", '... with its name as it is in the Subject');
    is(join("\n", header_faults($mail)), '', '... and no other header');
    unlike(P2P::Smtpd::html($mail) // '', qr/<b>&"/, '... escaped in the HTML');
}

# ---- Many ----

my @before = $notify->told;
my $number = 0;
for my $batch (1 .. $MANY / 100) {
    my @entries = map { { resource => decode_json(P2P::AddPayer::sample(patient => 'of-record', payer => 'Payer ' . $number++, email => 'flooded@member.example')), request => { method => 'POST', url => 'Task' } } } 1 .. 100;
    my $answer = $notify->fhir('POST', '', { resourceType => 'Bundle', type => 'transaction', entry => \@entries });
    is($answer->{status}, 200, "Tasks $batch") or diag $answer->{content};
}
my %to = (member => 5, administrator => 100);
$notify->{age} = 1;    # so many deliveries at once are refused, and searched for
$notify->ok_told("$MANY Tasks for one address: 5 mails to it, 100 to each administrator",
    ('add-payer-member flooded@member.example') x 5, (administrators()) x 100);
my %now;
$now{"$_->{role} $_->{code}"}++ for grep { ($_->{subject} // '') =~ /^Task/ } all_in('refused');
is($now{'member too-many'}, $MANY - $to{member}, '... the others are refused');
is($now{'administrator too-many'}, 2 * ($MANY - $to{administrator}), '... and those of administrators') if $MANY > $to{administrator};
$notify->{age} = 0;

# ---- The hook ----

my ($secret) = map { $_->{text} =~ /Authorization: Bearer ([\w-]+)/ } grep { $_->{text} =~ /"Subscription"/ } values %{ $sandbox->dump('target') };
ok($secret, 'the hook has its secret') or diag explain [keys %{ $sandbox->dump('target') }];
my $hook = $notify->httpd->url . '/hooks/task';
my $http = HTTP::Tiny->new(timeout => 60, keep_alive => 0);
$sandbox->clear_requests('target');

sub deliver {
    my ($method, $path, $content, $token) = @_;
    my %headers = ('Content-Type' => 'application/fhir+json', (defined $token ? (Authorization => "Bearer $token") : ()));
    return $http->request($method, "$hook$path", { headers => \%headers, (defined $content ? (content => $content) : ()) })->{status};
}

my $forged = P2P::AddPayer::sample(patient => 'of-record', email => 'forged@evil.example');
is(deliver('PUT', '/Task/forged', $forged), 401, 'a delivery without the secret');
is(deliver('PUT', '/Task/forged', $forged, 'x' x 43), 401, '... with a wrong one');
like(deliver('POST', '', $_, $secret), qr/^(?:2\d\d|4\d\d)$/, 'nonsense is answered') for '{"resourceType":', '[' x 100_000, "\0\1\2", '{"resourceType":"Task","id":"../../x"}', '"x"', '{"resourceType":"Bundle","type":"transaction","entry":[null,7,{}]}';
like(deliver('PUT', '/Task/forged', $forged, $secret), qr/^2/, 'a forged Task with the secret');
like(deliver('POST', '', qq({"resourceType":"Task","id":"forged-$_","status":"requested"}), $secret), qr/^(?:2|429)/, '... and others') for 1 .. 5;

# 100 MB: what is too long counts as a delivery without a body, and is not read to its end.
{
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $notify->httpd->port) or die "connect: $!\n";
    local $SIG{PIPE} = 'IGNORE';
    print {$socket} "POST /hooks/task HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $secret\r\nContent-Type: application/fhir+json\r\nContent-Length: 104857600\r\n\r\n";
    my $chunk = ' ' x 65536;
    my $sent = 0;
    while ($sent < 104_857_600) {
        my $wrote = syswrite $socket, $chunk or last;
        $sent += $wrote;
        my $ready = '';
        vec($ready, fileno $socket, 1) = 1;
        last if select($ready, undef, undef, 0);
    }
    my $line = <$socket> // '';
    like($line, qr{^HTTP/1\.1 200 }, '100 MB are answered') or diag $line;
    cmp_ok($sent, '<', 50_000_000, '... before they are there');
}
$notify->ok_told('nothing of that is told to anybody');
my @reads = grep { $_->{method} eq 'GET' && $_->{url} =~ /forged/ } @{ $sandbox->requests('target')->{log} };
cmp_ok(scalar @reads, '<=', 6 + 1, scalar(@reads) . ' reads at the target is what it cost');
ok_clean('in the end');
is($admin->get('/health')->{status}, 200, 'httpd serves');
my @leaks = grep { index($notify->httpd->log_text, $_) >= 0 } 'evil', '@member.example', 'alert(1)', 'QmNj', $secret;
is("@leaks", '', 'nothing of it is in the log');
$notify->httpd->expect_log(qr/hook|too large|refused/i);
$notify->stop;
done_testing;
