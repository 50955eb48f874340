#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Tokens, secrets, members' ids and what their records hold: at the chattiest log level, whatever goes wrong, none of it is in a log, a process list, an
# environment, the spool, an answer (but for what a report says of a resource that was refused) or, unsealed, in the database, its files and its log, nor in
# another file of the installation than those that have to hold it. Definitions are administered meanwhile, and in the end the sealing key is changed.
# SQLite has a target with a bearer token, PostgreSQL one whose token endpoint wants a secret.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Hostile;
use Test::More;
use Time::HiRes qw(sleep time);

my $WORD = 'PLANTED';    # all that must not be seen has it in it
my $SLOW = $ENV{P2P_SANITIZED} || $ENV{P2P_VALGRIND_LOGS} ? 10 : 1;

# The word in base64, at each of the three places that it may begin at: what does not depend on its neighbours.
my @SHAPES = ($WORD, unpack('H*', $WORD), map { substr encode_base64('x' x $_ . $WORD, ''), (0, 2, 3)[$_], 8 } 0 .. 2);

sub resource { my ($type, $id, $more) = @_; return qq({"resource":{"resourceType":"$type","id":"$id"$more}}) }

sub page {
    my ($name, $next, @more) = @_;
    my $patient = "$WORD-patient-$name";
    my $link = $next ? qq("link":[{"relation":"next","url":"$next"}],) : '';
    return qq({"resourceType":"Bundle","type":"searchset",$link"entry":[)
        . join(',', resource('Patient', $patient, qq(,"name":[{"family":"$WORD-family"}])), resource('Observation', "$WORD-observation", qq(,"subject":{"reference":"Patient/$patient"},"valueString":"$WORD-value")),
            resource('Patient', "$WORD-somebody-else", ''), @more) . ']}';
}

# An OperationOutcome that says all it was asked.
sub echo {
    my ($r) = @_;
    my @headers = %{ $r->{headers} };
    my $text = "$r->{method} $r->{path} @headers $r->{body}";
    return JSON::PP->new->utf8->encode({ resourceType => 'OperationOutcome', error => 'invalid_request', error_description => $text,
        issue => [{ severity => 'error', code => 'invalid', diagnostics => $text, details => { text => $text } }] });
}

sub refuses { my ($status) = @_; return sub { my ($r) = @_; $r->reply($status, echo($r), 'Retry-After: 0', "Location: /$WORD?$WORD", "WWW-Authenticate: Bearer realm=\"$WORD\"") } }

# Elsewhere, with all it was asked in the URL.
sub sends {
    my ($to) = @_;
    return sub { my ($r) = @_; my $token = ($r->{headers}{authorization} // '') =~ s/\S+ //r; $r->reply(302, echo($r), "Location: $to?access_token=$token&$WORD=$WORD") };
}

sub says { my ($text) = @_; return sub { $_[0]->reply(200, $text, 'Retry-After: 0') } }

# 12 MB that wait for what never comes, and no end.
sub waits {
    my ($r) = @_;
    $r->chunked(200);
    $r->chunk(page('waits') =~ s/\]\}$//r);
    $r->chunk(',' . resource('Observation', "$WORD-$_", qq(,"hasMember":[{"reference":"Observation/$WORD-never"}],"valueString":") . "$WORD " x 131_072 . '"')) for 1 .. 12;
    while (1) { $r->chunk(' '); sleep 1 }
}

# name => what the source's pages, metadata and token endpoint or the target's transactions do; status that the job ends with.
my %CASES = (
    completes       => { status => 'COMPLETED' },
    'next-away'     => { page => sub { $_[0]->reply(200, page('next-away', "http://$WORD.example/$WORD?$WORD")) } },
    'next-odd'      => { page => sub { $_[0]->reply(200, page('next-odd', "$WORD:$WORD")) } },
    'next-404'      => { page => sub { my ($r) = @_; $r->{path} =~ /cursor/ ? refuses(404)->($r) : $r->reply(200, page('next-404', "?cursor=$WORD")) } },
    'page-401'      => { page => refuses(401), token => refuses(401) },
    'page-403'      => { page => refuses(403) },
    'page-500'      => { page => refuses(500) },
    'page-302'      => { page => refuses(302) },
    'page-away'     => { page => sends("http://$WORD.example/$WORD") },
    'page-circle'   => { page => sub { my ($r) = @_; sends($r->{path} =~ s/\?.*//r)->($r) } },
    'page-410'      => { page => sub { my ($r) = @_; $r->{path} =~ /cursor/ ? refuses(410)->($r) : $r->reply(200, page('page-410', "?cursor=$WORD")) } },
    'page-outcome'  => { page => sub { my ($r) = @_; $r->reply(200, page('page-outcome', undef, '{"search":{"mode":"outcome"},"resource":' . echo($r) . '}')) }, status => 'COMPLETED' },
    'page-text'     => { page => says($WORD) },
    'page-cut'      => { page => says(qq({"resourceType":"Bundle","entry":[{"resource":{"id":"$WORD)) },
    'page-odd'      => { page => says(qq({"resourceType":"Bundle","type":"searchset","entry":["$WORD"]})) },
    'page-rejected' => { page => sub { $_[0]->reply(200, page('page-rejected', undef, resource("$WORD/", "$WORD x", qq(,"x":"$WORD")))) } },
    'page-broken'   => { page => sub { $_[0]->raw("HTTP/1.1 200 $WORD\r\n$WORD: $WORD\r\nRetry-After: 0\r\nTransfer-Encoding: chunked\r\n\r\n$WORD\r\n"); POSIX::_exit(0) } },
    'metadata-500'  => { metadata => refuses(500) },
    'metadata-302'  => { metadata => sends("http://$WORD.example/$WORD") },
    'metadata-text' => { metadata => says($WORD) },
    'token-400'     => { token => refuses(400), refresh => 1 },
    'token-500'     => { token => refuses(500), refresh => 1 },
    'token-302'     => { token => sends("http://$WORD.example/$WORD"), refresh => 1 },
    'token-text'    => { token => says($WORD), refresh => 1 },
    'token-other'   => { token => says(qq({"access_token":"$WORD-t","patient":"$WORD-other"})), refresh => 1 },
    'token-rotates' => { token => says(qq({"access_token":"$WORD-new-access","refresh_token":"$WORD-new-refresh","token_type":"Bearer","expires_in":3600})), refresh => 1, status => 'COMPLETED' },
    'target-422'    => { transaction => refuses(422) },
    'target-401'    => { transaction => refuses(401) },
    'target-500'    => { transaction => refuses(500) },
    'target-302'    => { transaction => sends("http://$WORD.example/$WORD") },
    'target-text'   => { transaction => says($WORD) },
    'target-entry'  => { transaction => sub { my ($r) = @_; my $echo = echo($r); $r->reply(200, '{"resourceType":"Bundle","entry":[' . join(',', map { qq({"response":{"status":"422 $WORD","outcome":$echo}}) } @{ decode_json($r->{body})->{entry} }) . ']}') } },
    'patient-404'   => { patient => refuses(404) },
    'patient-500'   => { patient => refuses(500) },
    'task-422'      => { task => refuses(422), status => 'COMPLETED' },
    'search-500'    => { search => refuses(500), status => 'COMPLETED' },
    waits           => { page => \&waits, endless => 1 },
);

# Ports: 0 is the source, 1 the target.
sub answer {
    my ($r) = @_;
    return answer_as_target($r) if $r->{port} == $r->{server}{ports}[1];
    return refuses(500)->($r) if $r->{path} =~ m{^/(?:introspect|\.well-known)};
    my ($name, $rest) = $r->{path} =~ m{^/([a-z0-9-]+)/(.*)$} or return $r->reply(404, echo($r));
    my $case = $CASES{$name};
    return ($case->{metadata} // says('{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}'))->($r) if $rest eq 'fhir/metadata';
    return ($case->{token} // refuses(500))->($r) if $rest eq 'token';
    return ($case->{page} // sub { $_[0]->reply(200, page($name)) })->($r) if $rest =~ /everything/;
    return $r->reply(404, echo($r));
}

sub answer_as_target {
    my ($r) = @_;
    return answer_as_token_endpoint($r) if $r->{path} eq '/token';
    my $text = $r->{method} eq 'GET' ? $r->{path} : $r->{body};
    my ($name) = map { $text =~ $_ ? $1 : () } qr{$WORD-target-([a-z0-9-]+)}, qr{/([a-z0-9-]+)/fhir/}, qr{https://([a-z0-9-]+)\.example};
    my $case = $CASES{ $name // '' } // {};
    if ($r->{method} eq 'POST') {
        return $case->{transaction}->($r) if $case->{transaction} && $r->{body} =~ /"Observation"/;
        return $r->reply(200, '{"resourceType":"Bundle","entry":[' . join(',', map { '{"response":{"status":"201","location":"X/y/_history/1"}}' } @{ decode_json($r->{body})->{entry} }) . ']}');
    }
    my ($kind) = $r->{path} =~ m{/([A-Z][a-z]+)[/?]};
    my $what = $r->{path} =~ /\?/ ? 'search' : lc $kind;
    return $case->{$what}->($r) if $case->{$what};
    return $r->reply($kind eq 'Patient' ? 200 : 404, '{}') if $r->{method} eq 'GET';
    return $r->reply(201, '{}');
}

# Tokens that live for seconds, until there is a file that tells otherwise.
sub answer_as_token_endpoint {
    my ($r) = @_;
    return refuses(400)->($r) if -e "$r->{server}{dir}/refuse";
    return $r->reply(200, qq({"access_token":"$WORD-target-access","token_type":"Bearer","expires_in":5}));
}

# What P2P::Exchange asks of a sandbox.
package Target;
sub url { my ($self, $name) = @_; die "no payer $name\n" if $name ne 'target'; return $self->{url} }

package main;

my $server = P2P::Hostile->start(2, \&answer);
my $target = bless { url => $server->origin(1) . '/target' }, 'Target';

# The words that a text has, with what stands around them.
sub found { my ($text) = @_; return join "\n", map { my $shape = $_; my $at = index $text, $shape; $at < 0 ? () : substr($text, $at < 80 ? 0 : $at - 80, 200) =~ s/[^ -~]/./gr } @SHAPES }
sub ok_clean { my ($text, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return is(found($text), '', "nothing planted in $name") }

# httpd's parent and all below it, PostgreSQL's too.
sub family {
    my ($x) = @_;
    my $server = $x->{db}{server};
    my @all = ($x->{httpd}->pid, $server ? P2P::Httpd::read_file("$server->{data}/postmaster.pid") =~ /^(\d+)/ : ());
    my %children;
    for my $file (glob '/proc/[0-9]*/stat') { push @{ $children{$2} }, $1 if P2P::Httpd::read_file($file) =~ /^(\d+) \(.*\) \S (\d+) /s }
    for (my $i = 0; $i < @all; $i++) { push @all, @{ $children{ $all[$i] } // [] } }
    return @all;
}

sub test_processes {
    my ($x, $when) = @_;
    my @family = family($x);
    cmp_ok(scalar @family, '>=', 3, "$when: httpd has its children");
    for my $pid (@family) {
        my $cmdline = P2P::Httpd::read_file("/proc/$pid/cmdline");
        cmp_ok(length $cmdline, '>', 0, "$when: the command line of process $pid");
        ok_clean($cmdline, 'it');
        unlike($cmdline, qr/p2p-key|Bearer/, '... and no key');
        my $environ = P2P::Httpd::read_file("/proc/$pid/environ");
        ok_clean($environ, 'its environment');
        unlike($environ, qr/p2p-key|Bearer/, '... and no key');
    }
    return;
}

# Looks at them five times a second while the jobs are at work; gives code that ends it and tells what was found.
sub watch {
    my ($x) = @_;
    my $file = "$server->{dir}/watched-$x->{db}{name}";
    my $parent = $$;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        my ($over, $looks, %seen) = (0, 0);
        local $SIG{TERM} = sub { $over = 1 };
        while (!$over && getppid == $parent) {
            $looks++;
            for my $at (map { ("/proc/$_/cmdline", "/proc/$_/environ") } family($x)) { my $there = eval { found(P2P::Httpd::read_file($at)) } // ''; $seen{"$at: $there"} = 1 if $there }
            sleep 0.2;
        }
        P2P::Httpd::write_file($file, join "\n", $looks, sort keys %seen);
        POSIX::_exit(0);
    }
    return sub {
        kill 'TERM', $pid;
        waitpid $pid, 0;
        my ($looks, @seen) = split /\n/, P2P::Httpd::read_file($file);
        cmp_ok($looks, '>', 5, "processes were looked at $looks times meanwhile");
        is("@seen", '', '... and had nothing planted');
    };
}

# What lies in the spool is there for the runner alone.
sub test_spool {
    my ($x) = @_;
    my $pid = $x->runner_pid;
    my @spool = $x->{httpd}->wait_for(sub { my @found = grep { (readlink($_) // '') =~ m{/spool/} } glob "/proc/$pid/fd/*"; return @found && -s $found[0] > 1 << 20 && \@found }, 20 * $SLOW);
    ok(@spool && $spool[0], 'the runner has a spool') or return;
    ok_clean(P2P::Httpd::read_file($spool[0][0]), 'the spool');
    is(join(' ', map { glob "$_/*" } "$x->{httpd}{dir}/spool"), '', '... which has no name');
    return;
}

# Orders that are refused, with everything in the wrong place.
sub test_refused {
    my ($x) = @_;
    my $url = "/api/oidc_servers/$x->{pid}{completes}/batch_job";
    for my $body (qq({"sourcePayer":"$WORD"}), qq({"$WORD":), qq({"sourcePayer":{"oidcToken":"$WORD\\n","oidcRefreshToken":7,"patientId":"$WORD/1","fhirBundleRequest":"https://$WORD.example/"},"targetPayer":{"patientId":"$WORD x"}}), qq({"$WORD":1,"$WORD":2})) {
        my $answer = $x->{api}->post($url, $body);
        like($answer->{status}, qr/^4/, 'an order is refused');
        ok_clean($answer->{content} . join(' ', map { ref $_ ? @$_ : $_ } values %{ $answer->{headers} }), 'the answer');
    }
    return;
}

sub test_answers {
    my ($x, $orders) = @_;
    ok_clean($x->{api}->get('/api/oidc_servers')->{content}, 'the list of definitions');
    for my $name (sort keys %CASES) {
        ok_clean($x->{api}->get("/api/oidc_servers/$x->{pid}{$name}")->{content}, "the definition of $name");
        my $path = $orders->{$name}{path};
        ok_clean($x->{api}->get($path)->{content}, "the job $name");
        my $report = $x->{api}->get("$path/report");
        is($report->{status}, 200, "the report of $name");
        unlike($report->{content}, qr/$WORD-(?:new-)?(?:access|refresh|client|key|target-(?:bearer|access|secret))/, '... no token in it');
        like($report->{content}, qr/Bearer \*\*\*/, '... but that there was one') if $name =~ /^(?:page-outcome|target-(?:302|422|500|entry))$/;
        my @rest = map { { %$_, id => undef, detail => undef } } @{ $report->{json}{resources} };    # which resource was refused, and the target's words
        ok_clean(encode_json([@rest, $report->{json}{parts}]), 'the rest of it');
    }
    for my $list (map { ("/api/oidc_servers/$x->{pid}{$_}/batch_job", "/api/oidc_servers/$x->{pid}{$_}/batch_job?status=FAILED") } 'page-500', 'completes') {
        my $answer = $x->{api}->get($list, Authorization => "Bearer $WORD-portal");
        is($answer->{status}, 200, 'a list of jobs');
        ok_clean($answer->{content}, 'it');
    }
    my $again = $x->order('waits', "$WORD-patient-waits", "$WORD-target-waits", token => ["$WORD-access-waits"], no_patient => 1);
    is($again->{status}, 409, 'a second order while the first is under way');
    ok_clean($again->{content} . join(' ', %{ $again->{headers} }), 'its answer');
    return;
}

sub test_jobs {
    my ($x) = @_;
    my %orders;
    for my $name (sort keys %CASES) {
        my @token = $CASES{$name}{refresh} ? ('', "$WORD-refresh-$name") : ("$WORD-access-$name", "$WORD-refresh-$name");
        $orders{$name} = $x->order($name, "$WORD-patient-$name", "$WORD-target-$name", token => \@token, no_patient => 1, request => "Patient/{patientId}/\$everything?x=$WORD");
        is($orders{$name}{status}, 202, "$name: the order is taken") or diag $orders{$name}{content};
        ok_clean($orders{$name}{content}, 'the answer');
    }
    for my $name (grep { !$CASES{$_}{endless} } sort keys %CASES) {
        my $job = $x->wait($orders{$name}{path}, seconds => 60 * $SLOW);
        is($job->{batchStatus}, $CASES{$name}{status} // 'FAILED', "$name: " . ($job->{error}{code} // 'no error')) or diag explain($job);
    }
    return \%orders;
}

# Definitions through the administration API: as they should be, with faults in every member that is secret, and tried against a payer that repeats all
# that it is asked. Who may not do so shows a token, which its issuer is asked about.
sub test_administration {
    my ($x) = @_;
    my ($AT, $kid) = ('/admin/oidc_servers', '"kty":"EC","crv":"P-256","x":"YAeTl-zY4qoejhEayycL2kdYzl8np-CCAgI49OCziJY","y":"9E2uwTWP_0UfqDmBsj4exxVvT4T4AWHDA5ByqQq4dF8","kid":"' . $WORD . '"');
    my $admin = P2P::Api->new($x->{httpd}->url, 'admin', "$WORD-admin");
    my $ok = sub {
        my ($status, $answer, $name) = @_;
        like($answer->{status}, $status, "administration: $name") or diag $answer->{content};
        ok_clean($answer->{content} . join(' ', map { ref $_ ? @$_ : $_ } values %{ $answer->{headers} }), 'the answer');
        return $answer->{json};
    };
    my %all = (name => 'administered', issuer => 'https://administered.example', fhirEndpoint => $server->origin . '/metadata-500/fhir', tokenEndpoint => $server->origin . '/token-400/token',
        clientId => 'c', clientSecret => "$WORD-client-administered", keyText => "{$kid}");
    my $made = $ok->(qr/^201/, $admin->post($AT, \%all), 'a definition');
    my $path = "$AT/$made->{pid}";
    $ok->(qr/^200/, $admin->request('PUT', $path, content => { %all, clientSecret => "$WORD-client-other" }), 'replaced');
    $ok->(qr/^200/, $admin->request('PATCH', $path, content => { clientSecret => "$WORD-client-third", keyText => qq({"keys":[{$kid}]}) }), 'changed');
    $ok->(qr/^422/, $admin->request('PATCH', $path, content => $_), 'a change that is wrong')
        for { clientSecret => ["$WORD"] }, { clientSecret => "$WORD\n" }, { keyText => $WORD }, { keyText => qq({$kid,"d":"$WORD"}) }, { issuer => "https://$WORD:$WORD\@x.example" }, { keyFile => "../$WORD" };
    $ok->(qr/^409/, $admin->post($AT, \%all), 'the same issuer again');
    $ok->(qr/^400/, $admin->post($AT, qq({"clientSecret":"$WORD)), 'a body that is cut short');
    $ok->(qr/^404/, $admin->post("$AT/$x->{pid}{completes}/unbind", { sourcePatientId => "$WORD-patient-nobody" }), 'a member who is not bound');
    $ok->(qr/^204/, $admin->post("$AT/$x->{pid}{'page-outcome'}/unbind", { sourcePatientId => "$WORD-patient-page-outcome" }), 'a member is unbound');
    my $trial = $admin->post("$path/test");
    $ok->(qr/^202/, $trial, 'the definition is tried');
    my $result = $x->{httpd}->wait_for(sub { my $now = $admin->get($trial->{headers}{location}); return ($now->{json}{status} // '') !~ /^START/ && $now }, 60 * $SLOW) // {};
    is($result->{json}{status}, 'COMPLETED', '... by the runner');
    $ok->(qr/^200/, $result, '... with verdicts');
    $ok->(qr/^200/, $admin->get($_), $_) for $AT, $path, '/admin/audit';
    my $audit = $admin->get('/admin/audit')->{content};
    like($audit, qr{"oidc_server/$made->{pid}"}, 'the audit has it');
    my $other = $x->{api}->get('/admin/batch_jobs', Authorization => "Bearer $WORD-opaque");
    $ok->(qr/^503/, $other, 'a token whose issuer does not answer as it should');
    return;
}

# For administrators passwords, and in one place a token.
sub administration_lines {
    chmod 0755, my $dir = tempdir('p2p-passwords-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $passwords = P2P::Httpd::write_file("$dir/htpasswd", 'admin:' . crypt("$WORD-admin", '$6$saltsalt') . "\n");
    return ('<Location /admin/>', 'AuthType Basic', 'AuthName p2p', 'AuthBasicProvider file', "AuthUserFile $passwords", 'Require valid-user', '</Location>',
        '<Location /admin/batch_jobs>', 'AuthType Bearer', 'AuthName p2p', 'Require p2p-role administrator', '</Location>');
}

sub trusted_issuer {
    my $client = P2P::Httpd::write_file("$server->{dir}/introspection", encode_json({ clientId => 'p2p', clientSecret => "$WORD-introspection-secret" }), 0600);
    return $server->origin . ' introspection=' . $server->origin . "/introspect client=$client audience=p2p administration=admin";
}

# With another key all is as sealed as before.
sub test_reseal {
    my ($x) = @_;
    my ($id) = P2P::Httpd::read_file($x->{httpd}{key_file}) =~ /^p2p-key (\w+)/;
    my $new = P2P::Httpd::write_file("$x->{httpd}{dir}/new.key", P2P::Httpd::new_key(), 0600);
    $x->{httpd}{directives}{P2PSecretKeyFile} = "$new $x->{httpd}{key_file}";
    $x->{httpd}->write_config;
    my $said = $x->{httpd}->run_command('reseal');
    like($said, qr/^No other key is needed\.$/m, 'all is sealed with another key');
    ok_clean($said, 'what it says');
    my $stored = $x->stored;
    ok_clean($stored, 'the database');
    is(index($stored, "v1.$id."), -1, '... and nothing of the old key in it') if $x->{db}{server};
    return;
}

# All that is left of an installation: but for keys and what was made for httpd and p2p-runner by this test alone.
sub test_files {
    my ($x) = @_;
    unlink map { "$x->{httpd}{dir}/$_" } qw(definitions.json spec.json);
    my @files = grep { !m{\.key$|/error\.log$} } split /\0/, qx(find '$x->{httpd}{dir}' -type f -print0);
    cmp_ok(scalar @files, '>', 3, 'files of the installation');
    is(join("\n", grep { $_ } map { my $there = found(P2P::Httpd::read_file($_)); $there && "$_: $there" } @files), '', '... have nothing planted');
    return;
}

# Begun again with tokens that the member authorised anew, with wrong ones, and with a key of the client's.
sub test_again {
    my ($x, $orders) = @_;
    for my $name (qw(page-401 page-500 token-400 target-422 target-entry)) {
        my $answer = $x->{api}->post("$orders->{$name}{path}/restart", { sourcePayer => { oidcToken => "$WORD-access-again", oidcRefreshToken => "$WORD-refresh-again" } }, 'Idempotency-Key' => "key-of-a-portal");
        is($answer->{status}, 202, "$name is begun again") or diag $answer->{content};
        ok_clean($answer->{content} . join(' ', %{ $answer->{headers} }), 'the answer');
    }
    my $body = { sourcePayer => { oidcToken => "$WORD-access-key", oidcRefreshToken => "$WORD-refresh-key", patientId => "$WORD-patient-key" }, targetPayer => { patientId => "$WORD-target-completes-key", organizationId => "the-target-payer" } };
    for my $change ({}, {}, { targetPayer => { patientId => "$WORD-target-other", organizationId => "the-target-payer" } }, { sourcePayer => { oidcToken => "$WORD\n" } }) {
        my $answer = $x->{api}->post("/api/oidc_servers/$x->{pid}{completes}/batch_job", { %$body, %$change }, 'Idempotency-Key' => "key-of-a-portal");
        like($answer->{status}, qr/^(?:202|4..)$/, "an order with a key of its own: $answer->{status}");
        ok_clean($answer->{content} . join(' ', %{ $answer->{headers} }), 'the answer');
        $orders->{key} //= { path => $answer->{headers}{location} };
    }
    my $wrong = $x->{api}->post("$orders->{'page-403'}{path}/restart", qq({"sourcePayer":{"oidcToken":"$WORD\n","oidcRefreshToken":["$WORD"]}}));
    like($wrong->{status}, qr/^4/, 'a restart with wrong tokens is refused');
    ok_clean($wrong->{content}, 'the answer');
    for my $name (qw(key page-401 page-500 token-400 target-422 target-entry)) {
        my $job = $x->wait($orders->{$name}{path}, seconds => 60 * $SLOW);
        is($job->{batchStatus}, $name =~ /^(?:key|token-400)$/ ? 'COMPLETED' : 'FAILED', "$name, again: " . ($job->{error}{code} // 'no error')) or diag explain($job);
        ok_clean($x->{api}->get($orders->{$name}{path})->{content}, 'the job');
    }
    delete $orders->{key};
    return;
}

# The target's token endpoint answers with all that it was asked.
sub test_client_refused {
    my ($x) = @_;
    my $flag = P2P::Httpd::write_file("$server->{dir}/refuse", '', 0600);
    sleep 5;
    my $order = $x->order('completes', "$WORD-patient-refused", "$WORD-target-refused", token => ["$WORD-access-refused"], no_patient => 1);
    is($order->{status}, 202, 'an order is taken') or diag explain($order);
    my $job = $x->wait($order->{path}, seconds => 60 * $SLOW);
    unlink $flag;
    is($job->{error}{code}, 'target-token-refused', 'the target refuses the client') or diag explain($job);
    ok_clean(encode_json($job), 'the job');
    return;
}

# PostgreSQL's files and log, which has all statements and what they carry.
sub test_server {
    my ($db) = @_;
    my $server = $db->{server} or return;
    $server->psql('CHECKPOINT');
    my @files = split /\0/, qx(find '$server->{data}' '$server->{dir}/log' -type f -print0);
    cmp_ok(scalar @files, '>', 500, "PostgreSQL's files");
    is(join("\n", grep { $_ } map { my $there = eval { found(P2P::Httpd::read_file($_)) } // ''; $there && "$_: $there" } @files), '', '... have nothing planted');
    my $log = P2P::Httpd::read_file("$server->{dir}/log");
    like($log, qr/(?:DETAIL:  |, )?parameters: .*v1\.[0-9a-f]{8}\./, '... the log has what statements carry');
    return;
}

# How the runner authenticates at the target: on SQLite by a token of a file, on PostgreSQL by one that it is given.
sub target_auth {
    my ($db) = @_;
    return 'bearer ' . P2P::Httpd::write_file("$server->{dir}/bearer", "$WORD-target-bearer", 0600) if !$db->{server};
    return 'client-credentials ' . P2P::Httpd::write_file("$server->{dir}/client", encode_json({ tokenEndpoint => $server->origin(1) . '/token', clientId => 'p2p', clientSecret => "$WORD-target-secret" }), 0600);
}

# Killed in the middle: what the parent says of it, and the next runner's beginning.
sub test_killed {
    my ($x) = @_;
    my $pid = $x->runner_pid;
    kill 'KILL', $pid;
    my $next = $x->{httpd}->wait_for(sub { my $now = $x->runner_pid; return $now != $pid && $now }, 20 * $SLOW);
    ok($next, 'a runner that was killed is followed by another');
    is(join(' ', glob "$x->{httpd}{dir}/core* /tmp/core*"), '', '... and left no core');
    return;
}

each_database('secrets', sub {
    my ($db) = @_;
    if ($db->{server}) { $db->{server}->psql($_, 'postgres') for q{ALTER SYSTEM SET log_statement = 'all'}, q{ALTER SYSTEM SET log_parameter_max_length_on_error = -1}, 'SELECT pg_reload_conf()' }
    my $x = P2P::Exchange->new(db => $db, sandbox => $target, sources => [sort keys %CASES],
        directives => { P2PJobsPerRunner => 100, P2PTargetConnections => 16, P2PMemory => '8M', P2PTargetAuth => target_auth($db), P2PRetryFor => 10, P2PTrustIssuer => trusted_issuer(), LogLevel => 'trace8', CustomLog => '"access.log" "%t %u \"%r\" %>s %B \"%{Referer}i\" %q"' },
        httpd => { vhost => [administration_lines()] },
        definitions => { map { $_ => { fhirEndpoint => $server->origin . "/$_/fhir", tokenEndpoint => $server->origin . "/$_/token", clientSecret => "$WORD-client-$_" } } keys %CASES },
    );
    $x->{httpd}->expect_log(qr/./);
    my $watched = watch($x);
    my $orders = test_jobs($x);
    test_spool($x);
    test_processes($x, 'at work');
    test_refused($x);
    test_answers($x, $orders);
    test_again($x, $orders);
    test_administration($x);
    test_client_refused($x) if $db->{server};
    test_killed($x);
    test_processes($x, 'afterwards');
    $watched->();
    my $stored = $x->stored;
    cmp_ok(length $stored, '>', 10_000, 'the database was read');
    like($stored, qr/v1\.[0-9a-f]{8}\.[A-Za-z0-9_-]{40}/, '... and has sealed values');
    ok_clean($stored, 'the database');
    test_reseal($x);
    $x->stop;
    test_server($db);
    test_files($x);
    my %logs = map { $_ => P2P::Httpd::read_file("$x->{httpd}{dir}/$_") } qw(error.log access.log stdout.log);
    like($logs{'error.log'}, qr/trace8/, 'the log is at its chattiest');
    like($logs{'access.log'}, qr{POST /api/}, 'the access log has the requests');
    # From trace4 on httpd's own http module writes each request's fields down: credentials stand there, and there alone.
    is($logs{'error.log'} =~ s/^\S+ .*\[http:trace4\] .* Authorization: (?:Bearer $WORD-(?:portal|opaque)|Basic \S+)$//mg ? 1 : 0, 1, "httpd's own words");
    ok_clean($logs{$_}, $_) for sort keys %logs;
    is(found($logs{'error.log'} . $logs{'access.log'} . $stored) =~ /p2p-key/ ? 1 : 0, 0, 'nor the sealing key');
});
my @asked = grep { $_->{authorization} =~ /$WORD/ || $_->{body} =~ /$WORD/ } $server->requests;
cmp_ok(scalar @asked, '>', 50, 'all of it was on its way all the same');
done_testing;
