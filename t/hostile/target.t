#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A target that answers with anything but what it was asked for: each job ends in time, nothing counts as written that was not said to be, and neither
# the target's credentials nor a member's data go anywhere else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Hostile;
use Test::More;
use Time::HiRes qw(sleep time);

my $MB = 1 << 20;
my $SLOW = $ENV{P2P_SANITIZED} || $ENV{P2P_VALGRIND_LOGS} ? 10 : 1;    # how much longer things may take there
my $BEARER = 'SECRET-target-bearer';
my $RESOURCES = 4;    # of each member

# ---- The source: a Patient and three Observations, one of them refers to another ----

sub record {
    my ($case) = @_;
    my $patient = "member-$case-1";
    my @observations = map { qq({"resource":{"resourceType":"Observation","id":"o$_","subject":{"reference":"Patient/$patient"}) . ($_ > 1 ? ',"hasMember":[{"reference":"Observation/o1"}]' : '') . '}}' } 1 .. $RESOURCES - 1;
    return '{"resourceType":"Bundle","type":"searchset","entry":[' . join(',', qq({"resource":{"resourceType":"Patient","id":"$patient"}}), @observations) . ']}';
}

# ---- The target ----

# Answers of a transaction: one response for each entry of the request, made by code that gets its number.
sub entries { my ($r) = @_; return scalar @{ decode_json($r->{body})->{entry} } }
sub response { my ($entries) = @_; return '{"resourceType":"Bundle","type":"transaction-response","entry":[' . join(',', @$entries) . ']}' }
sub created { return '{"response":{"status":"201 Created","location":"X/y/_history/1","etag":"W/\"1\""}}' }
sub each_entry { my ($code) = @_; return sub { my ($r) = @_; $r->reply(200, response([map { $code->($_) } 1 .. entries($r)])) } }
sub status { my ($text) = @_; return each_entry(sub { qq({"response":{"status":$text}}) }) }
sub body { my ($text, @fields) = @_; return sub { $_[0]->reply(200, $text, 'Retry-After: 0', @fields) } }
sub refusal { my ($status, $text, @fields) = @_; return sub { $_[0]->reply($status, $text // '{}', 'Retry-After: 0', @fields) } }
sub outcome { my ($text) = @_; return qq({"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"$text"}]}) }
sub count { my ($more) = @_; return sub { my ($r) = @_; my $n = entries($r) + $more; $r->reply(200, response([map { created() } 1 .. $n])) } }

# transaction, patient, organization, task, search (for Tasks): code that answers those; without, as a server does. status, code, says: how the job ends. written,
# rejected: what it counts. seconds: what it may take at most (30).
my %CASES = (
    good              => { written => $RESOURCES },
    empty             => { transaction => body(''), code => qr/^(?:json-cut-short|target-answer-unusable)$/ },
    blank             => { transaction => body("  \n "), code => qr/^(?:json-cut-short|target-answer-unusable)$/ },
    'not-json'        => { transaction => body('{"resourceType":"Bundle","entry":[NaN]}'), code => qr/^(?:not-json|target-answer-unusable)$/ },
    html              => { transaction => body('<html>Welcome</html>', 'Content-Type: text/html'), code => qr/^(?:not-json|target-answer-unusable)$/ },
    array             => { transaction => body('[]'), code => qr/^(?:not-fhir|target-answer-unusable)$/ },
    'other-resource'  => { transaction => body('{"resourceType":"Patient"}'), code => qr/^(?:not-fhir|target-answer-unusable)$/ },
    'outcome-200'     => { transaction => body(outcome('all is well')), code => qr/^(?:not-fhir|target-answer-unusable)$/ },
    'no-entry'        => { transaction => body('{"resourceType":"Bundle","type":"transaction-response"}'), code => 'target-answer-unusable', says => qr/0 entries for/ },
    fewer             => { transaction => count(-1), code => 'target-answer-unusable', says => qr/entries for/ },
    more              => { transaction => count(1), code => 'target-answer-unusable', says => qr/entries for/ },
    'many-more'       => { transaction => count(9000), code => qr/^(?:target-answer-unusable|too-large)$/ },
    'null-entries'    => { transaction => each_entry(sub { 'null' }), code => 'target-answer-unusable' },
    'no-response'     => { transaction => each_entry(sub { '{}' }), code => 'resources-rejected', rejected => $RESOURCES },
    'status-0'        => { transaction => status('"0"'), code => 'resources-rejected', rejected => $RESOURCES },
    'status-word'     => { transaction => status('"Created"'), code => 'resources-rejected', rejected => $RESOURCES },
    'status-int'      => { transaction => status('201'), code => 'resources-rejected', rejected => $RESOURCES },
    'status-100'      => { transaction => status('"100 Continue"'), code => 'resources-rejected', rejected => $RESOURCES },
    'status-302'      => { transaction => status('"302 Found"'), code => 'resources-rejected', rejected => $RESOURCES },
    'status-999'      => { transaction => status('"999"'), code => 'resources-rejected', rejected => $RESOURCES },
    'status-long'     => { transaction => status('"' . '2' x 100_000 . '"'), code => 'resources-rejected', rejected => $RESOURCES },
    'status-array'    => { transaction => status('["201"]'), code => 'resources-rejected', rejected => $RESOURCES },
    'status-deep'     => { transaction => each_entry(sub { '{"response":{"x":{"status":"201"}}}' }), code => 'resources-rejected', rejected => $RESOURCES },
    'status-resource' => { transaction => each_entry(sub { '{"resource":{"response":{"status":"201"}}}' }), code => 'resources-rejected', rejected => $RESOURCES },
    'odd-versions'    => { transaction => each_entry(sub { qq({"response":{"status":"200","location":"X/y/_history/99999999999999999999","etag":"W/\\"'; DROP TABLE p2p_job; --\\""}}) }), written => $RESOURCES },
    'evil-versions'   => { transaction => each_entry(sub { qq({"response":{"status":"200","location":"\\",\\"x\\":[\\u0000/_history/7\\"","etag":"\\r\\nX: 1"}}) }), written => $RESOURCES },
    '10-mb'           => { transaction => each_entry(sub { '{"response":{"status":"201","x":"' . 'x' x (10 * $MB / $RESOURCES) . '"}}' }), code => 'too-large', says => qr/longer/ },
    '10-mb-outcome'   => { transaction => each_entry(sub { '{"response":{"status":"422","outcome":' . outcome('y' x 100_000) . '}}' }), code => qr/^(?:resources-rejected|too-large)$/ },
    'deep'            => { transaction => body('{"resourceType":"Bundle","entry":' . '[' x 100_000 . ']' x 100_000 . '}'), code => qr/^(?:not-json|target-answer-unusable)$/ },
    'unasked-gzip'    => { transaction => sub { my ($r) = @_; $r->reply(200, Compress::Zlib::memGzip(response([map { created() } 1 .. entries($r)])), 'Content-Encoding: gzip') }, code => qr/^(?:not-json|target-answer-unusable)$/ },
    '201'             => { transaction => sub { my ($r) = @_; $r->reply(201, response([map { created() } 1 .. entries($r)])) }, written => $RESOURCES },
    '204'             => { transaction => sub { $_[0]->raw("HTTP/1.1 204 No Content\r\n\r\n") }, code => 'resources-rejected', rejected => $RESOURCES },
    'redirect'        => { transaction => sub { $_[0]->reply(307, '', 'Location: ' . $_[0]{server}->origin(2) . '/stolen') }, code => qr/^(?:resources-rejected|target-\w+)$/ },
    'refuses-401'     => { transaction => refusal(401), code => 'target-refuses', says => qr/401/ },
    'refuses-404'     => { transaction => refusal(404), code => 'target-refuses', says => qr/404/ },
    'refuses-409'     => { transaction => refusal(409), code => 'resources-rejected', rejected => $RESOURCES },
    'refuses-413'     => { transaction => refusal(413), code => 'resources-rejected', rejected => $RESOURCES },
    'refuses-422'     => { transaction => refusal(422, outcome('<script>\\u0000\\u001b[31m ' . 'z' x 5000)), code => 'resources-rejected', rejected => $RESOURCES },
    'refuses-422-bin' => { transaction => refusal(422, join '', map { chr } 0 .. 255), code => 'resources-rejected', rejected => $RESOURCES },
    'refuses-500'     => { transaction => refusal(500, 'stack trace'), code => 'resources-rejected', rejected => $RESOURCES },
    'refuses-503'     => { transaction => refusal(503), code => 'target-unavailable', says => qr/503/ },
    'refuses-599'     => { transaction => refusal(599), code => 'resources-rejected', rejected => $RESOURCES },
    'refuses-long'    => { transaction => sub { $_[0]->chunked(422); $_[0]->chunk('x' x $MB) for 1 .. 100_000 }, code => qr/^(?:too-large|resources-rejected)$/ },
    'some-refused'    => { transaction => each_entry(sub { $_[0] == 2 ? '{"response":{"status":"422"}}' : created() }), code => 'resources-rejected', written => $RESOURCES - 1, rejected => 1 },
    'some-429'        => { transaction => each_entry(sub { '{"response":{"status":"429 Too Many"}}' }), code => 'target-unavailable', rejected => 0 },
    closes            => { transaction => sub { POSIX::_exit(0) }, code => 'cut-short' },
    'closes-midway'   => { transaction => sub { $_[0]->raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nRetry-After: 0\r\n\r\n{\"resourceType\":"); POSIX::_exit(0) }, code => 'cut-short' },
    'header-flood'    => { transaction => sub { $_[0]->reply(200, '{}', map { "X-$_: " . 'v' x 1000 } 1 .. 2000) }, code => qr/^(?:too-large|cut-short)$/ },
    'not-http'        => { transaction => sub { $_[0]->raw("220 smtp.example ESMTP\r\n"); POSIX::_exit(0) }, code => 'cut-short' },
    hangs             => { transaction => sub { sleep 3600 }, endless => 1 },

    'patient-404'     => { patient => refusal(404), code => 'no-target-patient' },
    'patient-410'     => { patient => refusal(410), code => 'no-target-patient' },
    'patient-302'     => { patient => sub { $_[0]->reply(302, '', 'Location: ' . $_[0]{server}->origin(2) . '/stolen') }, code => 'target-refuses', says => qr/302/ },
    'patient-long'    => { patient => sub { $_[0]->chunked(200); $_[0]->chunk('x' x $MB) for 1 .. 100_000 }, code => 'too-large' },
    'patient-500'     => { patient => refusal(500, 'x' x 1000), code => 'target-refuses', says => qr/500/ },
    'organization-422' => { organization => refusal(422, outcome('no')), code => 'target-refuses', says => qr/Organization.*422/ },
    'task-422'        => { task => refusal(422, outcome('no Tasks here')), written => $RESOURCES },
    'task-html'       => { task => body('<html>'), written => $RESOURCES },
    'search-html'     => { search => body('<html>'), written => $RESOURCES },
    'search-500'      => { search => refusal(500), written => $RESOURCES },
    'search-302'      => { search => sub { $_[0]->reply(302, '', 'Location: ' . $_[0]{server}->origin(2) . '/stolen') }, written => $RESOURCES },
    'search-long'     => { search => sub { $_[0]->chunked(200); $_[0]->chunk('x' x $MB) for 1 .. 100_000 }, written => $RESOURCES },
    'search-away'     => { search => sub { my $away = $_[0]{server}->origin(2); $_[0]->reply(200, qq({"resourceType":"Bundle","link":[{"relation":"next","url":"$away/stolen"}]})) }, written => $RESOURCES },
    'search-endless'  => { search => sub { my $path = $_[0]{path} =~ s/"//gr; $_[0]->reply(200, qq({"resourceType":"Bundle","link":[{"relation":"next","url":"$path&x"}]})) }, written => $RESOURCES },
    'search-odd'      => { search => sub { $_[0]->reply(200, '{"resourceType":"Bundle","entry":[7,null,{"resource":[]},{"resource":{"resourceType":"Task","id":"../Patient/1","status":{},"requester":{"reference":7},"input":{"type":"x"}}}],"link":{}}') }, written => $RESOURCES },
);

# Ports: 0 is the source, 1 the target, 2 where nobody is to go.
sub answer {
    my ($r) = @_;
    my ($source, $target) = @{ $r->{server}{ports} };
    return answer_as_target($r) if $r->{port} == $target;
    return $r->reply(200, 'stolen') if $r->{port} != $source;
    my ($case, $rest) = $r->{path} =~ m{^/([a-z0-9-]+)/fhir/(.*)$};
    return $r->reply(200, '{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}') if $rest eq 'metadata';
    return $r->reply(200, record($case)) if $rest =~ /everything/;
    return $r->reply(404, '{}');
}

sub case_of {
    my ($text) = @_;
    my ($name) = map { $text =~ $_ ? $1 : () } qr{target-([a-z0-9-]+)-t\b}, qr{/([a-z0-9-]+)/fhir/}, qr{https://([a-z0-9-]+)\.example};
    return $CASES{ $name // '' } // {};
}

sub answer_as_target {
    my ($r) = @_;
    my $case = case_of($r->{method} eq 'GET' ? $r->{path} : $r->{body});
    if ($r->{method} eq 'POST') {
        return $case->{transaction}->($r) if $case->{transaction} && $r->{body} =~ /"resourceType":"(?:Patient|Observation)"/;
        return $r->reply(200, response([map { created() } 1 .. entries($r)]));
    }
    my ($kind) = $r->{path} =~ m{/([A-Z][a-z]+)[/?]};
    my $what = $r->{path} =~ /\?/ ? 'search' : lc $kind;
    return $case->{$what}->($r) if $case->{$what};
    return $r->reply($kind eq 'Patient' ? 200 : 404, '{}') if $r->{method} eq 'GET';
    return $r->reply(201, '{}');
}

# What P2P::Exchange asks of a sandbox.
package Target;
sub url { my ($self, $name) = @_; die "no payer $name\n" if $name ne 'target'; return $self->{url} }

package main;

my $server = P2P::Hostile->start(3, \&answer);
my $target = bless { url => $server->origin(1) . '/target' }, 'Target';

sub check {
    my ($name, $case, $x, $job) = @_;
    if ($case->{code}) {
        my $code = ref $case->{code} ? $job->{error}{code} // '' : $case->{code};
        like($code, $case->{code}, "$name: code $code") or diag explain($job) if ref $case->{code};
        $x->ok_failed($job, $code, $case->{says} // qr/\w.*\w/, $name);
    } else {
        is($job->{batchStatus}, 'COMPLETED', "$name: COMPLETED") or diag explain($job);
        is(join("\n", P2P::Compare::account_faults($job)), '', "$name: the accounts balance");
    }
    my $written = $case->{written} // 0;
    is($job->{progress}{written}, $written, "$name: $written written") or diag explain($job);
    is($job->{progress}{rejected}, $case->{rejected}, "$name: $case->{rejected} rejected") or diag explain($job) if defined $case->{rejected};
    return;
}

sub test_requests {
    my ($home, $target_port, $away) = @{ $server->{ports} };
    my @requests = $server->requests;
    is(scalar(grep { $_->{port} == $away } @requests), 0, 'nothing was ever sent elsewhere');
    is(scalar(grep { $_->{port} == $target_port && $_->{authorization} ne "Bearer $BEARER" } @requests), 0, 'every request to the target carried its token');
    is(scalar(grep { $_->{port} == $home && index($_->{authorization}, $BEARER) >= 0 } @requests), 0, '... and none to the source');
    is(scalar(grep { $_->{port} == $target_port && index("$_->{path}$_->{body}", 'SECRET-access') >= 0 } @requests), 0, "the source's tokens never came to the target");
    return;
}

my $bearer = P2P::Httpd::write_file("$server->{dir}/bearer", $BEARER, 0600);
my $x = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $target, sources => [sort keys %CASES],
    directives => { P2PJobsPerRunner => 200, P2PTargetConnections => 64, P2PTargetAuth => "bearer $bearer" },
    definitions => { map { $_ => { fhirEndpoint => $server->origin . "/$_/fhir" } } keys %CASES });
$x->{httpd}->expect_log(qr/Task/);
my $pid = $x->runner_pid;
my $begin = time;
my %orders = map { $_ => $x->order($_, "member-$_-1", "target-$_-t", token => ["SECRET-access-$_"], no_patient => 1) } sort keys %CASES;
is(join(' ', grep { $orders{$_}{status} != 202 } sort keys %orders), '', 'all orders are taken');
check($_, $CASES{$_}, $x, $x->wait($orders{$_}{path}, seconds => 60 * $SLOW)) for grep { !$CASES{$_}{endless} } sort keys %CASES;
my $took = time - $begin;
cmp_ok($took, '<', 40 * $SLOW, sprintf 'all of it took %.1f s', $took);
is($x->job($orders{hangs}{path})->{batchStatus}, 'STARTED', 'one that hangs keeps its own job, and only that');
is($x->runner_pid, $pid, 'the runner lives on');
is($x->exchange('good', 'member-good-1', 'target-good-t', token => ['SECRET-access-good'], no_patient => 1)->{batchStatus}, 'COMPLETED', 'the next job completes');
test_requests();
$x->ok_sealed('hostile target');
my $stopping = $x->stop;
cmp_ok($stopping, '<', 5 * $SLOW, 'httpd and the runner end at once all the same');
done_testing;
