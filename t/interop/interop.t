#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Whole exchanges between two real HAPI FHIR servers, through httpd over TLS, compared at the target resource by resource.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Api;
use P2P::Compare;
use P2P::Curl;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Hapi;
use P2P::Httpd;
use P2P::Injected;
use P2P::Sandbox;
use Test::More;
use Time::HiRes qw(time sleep);

local $SIG{INT}  = sub { exit 1 };
local $SIG{TERM} = sub { exit 1 };

my $ISSUER   = 'https://hapi.example/issuer';
my $TOKEN    = 'SECRET-of-the-source';
my $PATIENCE = 180;                           # seconds until an exchange that does not end is given up
my $RUNNING  = qr/^(?:STARTING|STARTED|STOPPING)$/;

# Two at a time, in pairs that share an Organization and a Practitioner. request: what the portal asks for; by_type: a Bundle of searches, one for
# each type but those that are only referred to; server_ids: the source chose the ids, digits only.
my @MEMBERS = (
    { name => 'Evelyn_McCullough', request => 'Patient/{patientId}/$everything?_count=200' },
    { name => 'Mariana_Acu',       request => 'Patient/{patientId}/$everything?_count=100' },
    { name => 'Sammie_Zemlak',     request => 'Patient/{patientId}/$everything?_count=500' },
    { name => 'Paris_Casper',      by_type => 1 },
    { name => 'Bruno_Bernhard',    server_ids => 1 },
);
my $dir   = tempdir('p2p-interop-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $begun = time;
my ($source, $target, $sandbox, $injected, $httpd, $api, %pid);
END { undef $httpd; undef $injected }    # ends it, whatever happened

# Runs a step and tells how long it took.
sub timed {
    my ($name, $code) = @_;
    my $begin = time;
    my @result = $code->();
    diag sprintf '%6.1f s  %s', time - $begin, $name;
    return wantarray ? @result : $result[0];
}

# ---- Before ----

sub load_members {
    ($_->{file}) = glob data_dir() . "/synthea-r4/$_->{name}*.json.gz" for @MEMBERS;
    for my $own (0, 1) {
        my @these = grep { !$_->{server_ids} == $own } @MEMBERS;
        my @said = $source->load(($own ? ('--keep-ids', '--jobs', 2) : ()), map { $_->{file} } @these);
        @{ $these[$_] }{qw(patient types)} = @{ $said[$_] }{qw(patientId counts)} for 0 .. $#these;
    }
    for my $member (@MEMBERS) {
        my $sum = 0;
        $sum += $_ for values %{ $member->{types} };
        $member->{size} = $sum;
    }
    cmp_ok($MEMBERS[0]{size}, '>', 1000, 'one of the members has more than 1,000 resources');
    is(scalar(grep { defined $_->{patient} } @MEMBERS), scalar @MEMBERS, 'the source holds all members');
    return;
}

sub prepare_target {
    for my $id ((map { $_->{target} = "member-$_->{name}" =~ tr/_/-/r } @MEMBERS), 'member-odd', 'member-wrong', 'member-injected') {
        $target->call('PUT', "Patient/$id", { resourceType => 'Patient', id => $id, active => JSON::PP::true, name => [{ family => 'Test' }] });
    }
    $target->call('PUT', 'Organization/the-target-payer', { resourceType => 'Organization', id => 'the-target-payer', name => 'Target Payer' });
    return;
}

# A source whose resources HAPI does not all take; it is a sandbox because HAPI would not store them either. The last one refers to a refused one.
my @REFUSED = qw(Observation/bad-1 Observation/bad-2);
my @ODD = (
    '{"resourceType":"Patient","id":"odd","gender":"female"}',
    (map { observation($_, $_ eq 'bad-1' ? 'nonsense' : 'final', $_ eq 'bad-2' ? '"2020-13-45"' : '"2020-12-24"') } 'bad-1', (map { "good-$_" } 1 .. 40), 'bad-2'),
    observation('after', 'final', '"2020-12-31"') =~ s/\}$/,"hasMember":[{"reference":"Observation\/bad-1"},{"reference":"Observation\/good-7"}]}/r,
);

# Its members in HAPI's order.
sub observation {
    my ($id, $status, $date) = @_;
    return qq({"resourceType":"Observation","id":"$id","status":"$status","code":{"text":"c"},"subject":{"reference":"Patient/odd"},)
        . qq("effectiveDateTime":$date,"valueQuantity":{"value":1.50}});
}

sub start_httpd {
    $sandbox = P2P::Sandbox->start(payers => [{ name => 'odd' }]);
    $sandbox->load('odd', join '', map { "$_\n" } @ODD);
    $injected = P2P::Injected->before($source);
    $httpd = P2P::Httpd->new(
        db    => { driver => 'sqlite3', params => "$dir/db/p2p.db" }, target => $target->url, tls => 1,
        users => { portal => 'SECRET-password' }, directives => { P2PRunners => 1 }
    );
    my %common = (clientId => 'portal', responseType => 'code', scopes => 'patient/*.read');
    $httpd->prepare([
        { %common, name => 'HAPI', issuer => $ISSUER, fhirEndpoint => $source->url, tokenEndpoint => 'http://127.0.0.1:9/token', organizationId => 'HAPI-1' },
        { %common, name => 'Injecting', issuer => 'https://injecting.example', fhirEndpoint => $injected->url . '/fhir', tokenEndpoint => 'http://127.0.0.1:9/token' },
        { %common, name => 'Odd', issuer => 'https://odd.example', fhirEndpoint => $sandbox->url('odd'), tokenEndpoint => 'http://127.0.0.1:9/token' },
    ]);
    $httpd->expect_log(qr/\[ssl:warn\]/);    # its certificate is one of its own, and there is no session cache
    $httpd->start;
    $api = P2P::Api->new($httpd->url, 'portal', 'SECRET-password');
    $api->{http} = P2P::Curl->new(ca => $httpd->dir . '/tls.pem');
    %pid = map { $_->{name} => $_->{pid} } @{ $api->get('/api/oidc_servers')->{json}{servers} };
    is(join(' ', sort keys %pid), 'HAPI Injecting Odd', 'the definitions are there, over TLS');
    return;
}

# ---- The portal's part ----

sub relative_urls {
    my ($member) = @_;
    return ('Patient/{patientId}', map { "$_?patient={patientId}&_count=20" } grep { !/^(?:Patient|Organization|Practitioner)$/ } sort keys %{ $member->{types} })
        if $member->{by_type};
    return $member->{request} // 'Patient/{patientId}/$everything';
}

sub bundle_request {
    my ($member) = @_;
    return $member->{request} if !$member->{by_type};
    return { resourceType => 'Bundle', type => 'batch', entry => [map { { request => { method => 'GET', url => $_ } } } relative_urls($member)] };
}

sub order {
    my ($payer, $patient, $target_patient, $token, $request) = @_;
    my $answer = $api->post("/api/oidc_servers/$pid{$payer}/batch_job", {
        sourcePayer => { oidcToken => $token, patientId => $patient, (defined $request ? (fhirBundleRequest => $request) : ()) },
        targetPayer => { patientId => $target_patient, organizationId => 'the-target-payer' },
    });
    is($answer->{status}, 202, "$payer: the order is taken") or diag $answer->{content};
    return "/api/oidc_servers/$pid{$payer}/batch_job/" . ($answer->{json}{batchJobId} // 0);
}

sub ended {
    my ($path) = @_;
    my $end = time + $PATIENCE;
    while (time < $end) {
        my $job = $api->get($path)->{json} // {};
        return { %$job, path => $path } if ($job->{batchStatus} // 'STARTED') !~ $RUNNING;
        sleep 0.3;
    }
    diag "$path does not end:\n" . $httpd->log_text;
    return { batchStatus => 'not ended', progress => {} };
}

# Exchanges members side by side.
sub exchange {
    my (@members) = @_;
    my @paths = map { order('HAPI', $_->{patient}, $_->{target}, $TOKEN, bundle_request($_)) } @members;
    for my $i (0 .. $#members) {
        my $job = ended($paths[$i]);
        is($job->{batchStatus}, 'COMPLETED', "$members[$i]{name}: COMPLETED") or diag explain $job;
        $members[$i]{job} = $job;
        $members[$i]{jobs}++;
    }
    return;
}

# ---- What has to hold ----

# What the exchange has to leave, from the source's own answers.
sub expect {
    my ($member) = @_;
    my $compare = P2P::Compare->new(namespace => $ISSUER, endpoint => $source->url, source_patient => $member->{patient}, target_patient => $member->{target});
    for my $url (relative_urls($member)) {
        $url =~ s/\{patientId\}/$member->{patient}/;
        $source->each_page($url, sub { return $compare->add_answer($_[0]) });
    }
    return $compare->settle(read => sub {
        my $answer = $source->request('GET', $_[0]);
        return $answer->{success} ? $answer->{content} : undef;
    });
}

sub types_of {
    my (@keys) = @_;
    my %types;
    $types{ s{/.*}{}r }++ for @keys;
    return \%types;
}

sub check_member {
    my ($member, $dump) = @_;
    my ($name, $compare, $job) = @$member{qw(name compare job)};
    my @keys = map { $compare->target_key($_) } $compare->arrived;
    is_deeply(types_of($compare->arrived), $member->{types}, "$name: the source gave all that was loaded, $member->{size} resources");
    is_deeply(types_of(grep { $dump->{$_} } @keys), $member->{types}, "$name: as many of each type are at the target");
    my ($task, @task_faults) = $compare->task_faults($dump, $job, 'completed');
    is(join("\n", P2P::Compare::account_faults($job, $compare->count), $compare->faults_at($dump), @task_faults), '',
        "$name: they are equal token by token, the account balances, the Task is completed");
    is($task->{requester}{reference}, 'Organization/the-target-payer', "$name: the Task's requester is the target payer");
    my $owner = decode_json($dump->{ $task->{owner}{reference} // '' }{text} // '{}');
    is($owner->{name}, 'HAPI', "$name: its owner is the source payer's Organization");
    is($owner->{identifier}[0]{value}, $ISSUER, "$name: ... with the issuer as identifier");
    $member->{owner} = $task->{owner}{reference};
    return;
}

# Each written resource is named by one Provenance for each job that wrote it, and nothing else is. HAPI strips versions from these references.
sub check_provenance {
    my ($dump, $name) = @_;
    my (%expected, %named, @faults);
    for my $member (@MEMBERS) {
        $expected{ $member->{compare}->target_key($_) } += $member->{jobs} for $member->{compare}->arrived;
    }
    for my $key (grep { m{^Provenance/} && index($dump->{$_}{text}, qq("reference":"$MEMBERS[0]{owner}")) >= 0 } sort keys %$dump) {
        $dump->{$key}{known} = 1;
        my $doc = decode_json($dump->{$key}{text});
        push @faults, map { "$key: $_" } P2P::Compare::provenance_shape($doc);
        $named{ $_->{reference} }++ for @{ $doc->{target} };
    }
    push @faults, map { "$_: named " . ($named{$_} // 0) . ' times, written ' . ($expected{$_} // 0) . ' times' }
        grep { ($named{$_} // 0) != ($expected{$_} // 0) } sort keys %{ { %named, %expected } };
    is(join("\n", grep { defined } @faults[0 .. 19]), '', "$name: each resource is named by one Provenance for each job that wrote it");
    return;
}

# By the source, so that the profiles are not among what the target holds. That they are looked at at all: the published examples pass, and ours with a fault
# does not.
sub check_valid {
    my ($dump) = @_;
    my @ours = grep { m{^(?:Task|Provenance)/} || $_ eq $MEMBERS[0]{owner} } sort keys %$dump;
    cmp_ok(scalar @ours, '>', 10, scalar(@ours) . ' resources are our own');
    my @provenances = grep { m{^Provenance/} } @ours;
    @ours = ((grep { !m{^Provenance/} } @ours), @provenances[map { int $_ * $#provenances / 5 } 0 .. 5]);    # each takes half a second
    $source->add_profiles;
    is(join("\n", map { $source->invalid($dump->{$_}{text}) } @ours), '', 'HAPI finds no error in our Provenances, Tasks and Organization, by their profiles');
    my @published = glob data_dir() . '/pdex-2.2.0-examples/Provenance-*.json';
    is(join("\n", map { $source->invalid(P2P::Httpd::read_file($_)) } @published), '', 'nor in ' . @published . ' Provenances that PDex publishes');
    my ($task) = map { decode_json($dump->{$_}{text}) } grep { m{^Task/} } @ours;
    my ($provenance) = map { decode_json($dump->{$_}{text}) } grep { m{^Provenance/} } @ours;
    my %wrong = (
        'a Task with a focus'         => { %$task, focus => { reference => 'Patient/x' } },
        'a completed one without output' => { map { $_ eq 'output' ? () : ($_ => $task->{$_}) } keys %$task },
        'one of another status'       => { %$task, status => 'cancelled' },
        'a Provenance without target' => { map { $_ eq 'target' ? () : ($_ => $provenance->{$_}) } keys %$provenance },
        'one without who'             => { %$provenance, agent => [{ type => $provenance->{agent}[0]{type} }] },
        'one of an unknown profile'   => { %$provenance, meta => { profile => ["$provenance->{meta}{profile}[0]-x"] } },
    );
    isnt(join('', $source->invalid(encode_json($wrong{$_}))), '', "... but in $_") for sort keys %wrong;
    return;
}

# The same again: nothing but Provenance and Task is new.
sub check_again {
    my ($before, $after) = @_;
    my @changed = grep { !$after->{$_} || $after->{$_}{version} != $before->{$_}{version} } sort keys %$before;
    is(join(' ', @changed), '', 'a second exchange makes no new version of anything');
    my $new = types_of(grep { !$before->{$_} } keys %$after);
    is($new->{Task}, 1, '... one new Task');
    is(join(' ', sort keys %$new), 'Provenance Task', '... new Provenances, and nothing else');
    return;
}

sub check_wrong_token {
    my $job = ended(order('HAPI', $MEMBERS[-1]{patient} . '0', 'member-wrong', 'SECRET-wrong'));
    is($job->{batchStatus}, 'FAILED', 'a wrong token: FAILED');
    like($job->{error}{message} // '', qr/token|authori/i, '... with a sentence') and diag "wrong token: $job->{error}{code}: $job->{error}{message}";
    unlike(encode_json($job), qr/SECRET/, '... and no secret');
    return;
}

sub check_nobody {
    my $job = ended(order('HAPI', 'nobody-here', 'member-wrong', $TOKEN));
    is($job->{batchStatus}, 'FAILED', 'a patient that the source does not have: FAILED');
    like($job->{error}{message} // '', qr/404/, '... with a sentence') and diag "no such patient: $job->{error}{code}: $job->{error}{message}";
    unlike(encode_json($job), qr/nobody-here/, '... without its id');
    $job = ended(order('HAPI', $MEMBERS[0]{patient} . '-other', 'not-at-the-target', $TOKEN));
    is($job->{batchStatus}, 'FAILED', 'a patient that the target does not have: FAILED');
    like($job->{error}{message} // '', qr/target/, '... with a sentence') and diag "no target patient: $job->{error}{code}: $job->{error}{message}";
    return;
}

# HAPI refuses a whole transaction and does not say which entry is at fault.
sub check_refused {
    my $job = ended(order('Odd', 'odd', 'member-odd', 'any-token'));
    is($job->{batchStatus}, 'FAILED', 'resources that HAPI refuses: FAILED');
    like($job->{error}{message} // '', qr/2/, '... with a sentence that tells how many') and diag "refused: $job->{error}{code}: $job->{error}{message}";
    my $compare = P2P::Compare->new(namespace => 'https://odd.example', endpoint => $sandbox->url('odd'), source_patient => 'odd', target_patient => 'member-odd');
    $compare->add_answer($_) for @ODD;
    $compare->settle(rejected => { map { $_ => 1 } @REFUSED });
    my $there = $target->read_all(map { $compare->target_key($_) } $compare->arrived, @REFUSED);
    is(join("\n", P2P::Compare::account_faults($job, $compare->count), $compare->faults_at($there)), '', '... all others are written as they have to be');
    is(join(' ', grep { $there->{ $compare->target_key($_) } } @REFUSED), '', '... the refused are not');
    my $report = $api->get("$job->{path}/report")->{json} // {};
    my @rejected = grep { $_->{outcome} eq 'rejected' } @{ $report->{resources} // [] };
    is(scalar @rejected, 2, '... and the report has them') and diag encode_json($rejected[0]);
    return;
}

# ---- The source as a payer runs it: behind an httpd that adds Provenance ----

sub check_injected {
    my $member = $MEMBERS[3];
    my $patient = $member->{patient};
    my $form = 'application/x-www-form-urlencoded';
    my $search = "patient=$patient&_count=20&_revinclude=Provenance:target";
    my @ways = (
        ['$everything'                    => "/fhir/Patient/$patient/\$everything?_count=50"],
        ['... with gzip'                  => "/fhir/Patient/$patient/\$everything?_count=100", coding => 'gzip'],
        ['... by POST'                    => "/fhir/Patient/$patient/\$everything", method => 'POST', type => 'application/fhir+json',
            content => '{"resourceType":"Parameters","parameter":[{"name":"_count","valueInteger":50}]}'],
        ['a search with _revinclude'      => "/fhir/Observation?$search"],
        ['... by POST'                    => '/fhir/Observation/_search', method => 'POST', type => $form, content => $search],
        ['... the words in the URL'       => "/fhir/Observation/_search?$search", method => 'POST', type => $form, content => ''],
    );
    my @walked = map { my ($name, @way) = @$_; [$name, $injected->walk(@way)] } @ways;
    for my $walked (@walked) {
        my ($name, $found) = @$walked;
        is($found->{faults}, '', "injection, $name: each page has its Provenance, and all other bytes are the server's own");
        cmp_ok($found->{pages}, '>', 1, "... on $found->{pages} pages");
    }
    my %ids = map { map { decode_json($_)->{id} => $_ } @{ $_->[1]{provenances} } } $walked[0];
    is(join("\n", map { $source->invalid($_) } values %ids), '', 'HAPI finds no error in them, by their profile');
    exchange_injected($patient, \%ids, "Patient/{patientId}/\$everything?_count=50");
    return;
}

# What was injected is at the target under ids that follow from its own, and names what is there; the same again adds none.
sub exchange_injected {
    my ($patient, $ids, $request) = @_;
    my $compare = P2P::Compare->new(namespace => 'https://injecting.example', endpoint => $injected->url . '/fhir', source_patient => $patient,
        target_patient => 'member-injected');
    my @keys = sort map { $compare->target_key("Provenance/$_") } keys %$ids;
    for my $turn ('an exchange', 'a second one') {
        my $job = ended(order('Injecting', $patient, 'member-injected', $TOKEN, $request));
        is($job->{batchStatus}, 'COMPLETED', "$turn with a source that injects: COMPLETED") or diag explain $job;
        my $there = $target->dump;
        my @injected = grep { m{^Provenance/} && index($there->{$_}{text}, '"code":"author"') >= 0 } sort keys %$there;
        is(join(' ', @injected), join(' ', @keys), '... the injected Provenance is at the target, once');
        my @targets = map { $_->{reference} } map { @{ decode_json($there->{$_}{text})->{target} } } @injected;
        my $named = () = map { @{ decode_json($_)->{target} } } values %$ids;
        is(scalar @targets, $named, '... with all its targets');
        is(join("\n", grep { !$there->{$_} } @targets), '', '... which are resources of the target');
    }
    return;
}

# ---- The suite ----

my $ready = eval {
    timed('HAPI FHIR built', sub { P2P::Hapi::build() });
    ($source, $target) = map { P2P::Hapi->new(dir => $dir, name => $_, ($_ eq 'source' ? (token => $TOKEN) : ())) } qw(source target);
    timed('two servers started', sub { P2P::Hapi::start_all($source, $target) });
    1;
};
if (!$ready) {
    fail('two HAPI FHIR servers run');
    diag $@;
    done_testing;
    exit 1;
}
is($source->request('GET', 'Patient')->{status}, 200, 'the source takes its token');
is(P2P::Hapi::request({ %$source, token => 'SECRET-wrong' }, 'GET', 'Patient')->{status}, 401, '... and no other');

timed('members loaded', \&load_members);
mkdir "$dir/db";
chmod 0755, $dir;
timed('httpd started', sub { prepare_target(); start_httpd() });
timed("exchange of $MEMBERS[0]{name} ($MEMBERS[0]{size}) and $MEMBERS[1]{name} ($MEMBERS[1]{size})", sub { exchange(@MEMBERS[0, 1]) });
timed("exchange of $MEMBERS[2]{name} ($MEMBERS[2]{size}) and $MEMBERS[3]{name} ($MEMBERS[3]{size})", sub { exchange(@MEMBERS[2, 3]) });
timed("exchange of $MEMBERS[4]{name} ($MEMBERS[4]{size})", sub { exchange($MEMBERS[4]) });
timed('source read', sub { $_->{compare} = expect($_) for @MEMBERS });
my $dump = timed('target read', sub { $target->dump });
timed('compared', sub { check_member($_, $dump) for @MEMBERS; check_provenance($dump, 'once') });
timed('validated', sub { check_valid($dump) });
my %before = map { ("Patient/$_" => 1) } (map { $_->{target} } @MEMBERS), 'member-odd', 'member-wrong', 'member-injected';
is(join("\n", P2P::Compare::dangling($dump), P2P::Compare::strangers($dump, { %before, 'Organization/the-target-payer' => 1 })), '',
    'no reference dangles, nothing else is at the target');

timed("second exchange of $MEMBERS[2]{name}", sub { exchange($MEMBERS[2]) });
my $again = timed('target read', sub { $target->dump });
check_again($dump, $again);
check_member($MEMBERS[2], $again);
check_provenance($again, 'twice');

timed('Provenance injected', sub { check_injected() });
timed('faults', sub { check_wrong_token(); check_nobody(); check_refused() });
unlike($httpd->log_text, qr/SECRET/, 'no secret in the log');
$_->stop for $httpd, $injected;
timed('servers stopped', sub { $_->stop for $source, $target });
diag sprintf '%6.1f s  all', time - $begun;
done_testing;
