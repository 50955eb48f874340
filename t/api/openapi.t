#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# mod_p2p/pages/openapi.json tells of every route of mod_p2p/route.c, and of nothing else; of every code of docs/api.md; and of the names that the C code has.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use List::Util qw(sum0);
use P2P::Doors;
use P2P::OpenApi;
use P2P::Source;
use Test::More;

# Routes that serve pages to browsers are no operations: what they answer is no matter of programs.
my %PAGES = map { $_ => 1 } P2P::OpenApi::pages();

sub text { my ($path) = @_; return join "\n", lines_of($path), '' }

my $doc = decode_json(text('mod_p2p/pages/openapi.json'));
my $VERBS = qr/^(?:get|put|post|delete|patch)$/;

# What a reference leads to.
sub at {
    my ($thing) = @_;
    while (ref $thing eq 'HASH' && $thing->{'$ref'}) {
        my (undef, @way) = split m{/}, $thing->{'$ref'};
        $thing = $doc;
        $thing = $thing->{ s{~1}{/}gr } for @way;
    }
    return $thing;
}

sub sorted { my %seen; return [sort grep { !$seen{$_}++ } @_] }

# Of a member that stands twice only the last one counts.
sub members { my ($thing) = @_; return !ref $thing ? 0 : ref $thing eq 'HASH' ? keys(%$thing) + sum0(map { members($_) } values %$thing) : ref $thing eq 'ARRAY' ? sum0(map { members($_) } @$thing) : 0 }
my $names = grep { /:$/ } text('mod_p2p/pages/openapi.json') =~ /("(?:[^"\\]|\\.)*"\s*:?)/g;
is($names, members($doc), 'no member stands twice');

# ---- Routes ----

my @operations;
for my $path (sort keys %{ $doc->{paths} }) {
    push @operations, map { { %{ $doc->{paths}{$path}{$_} }, path => $path, method => uc $_ } } grep { /$VERBS/ } sort keys %{ $doc->{paths}{$path} };
}
cmp_ok(scalar @operations, '>=', 30, 'the document has operations');

# The route of an operation: each {name} of a path is an {id}; below a route that ends with /* any path is its own.
sub route_of {
    my ($operation, @routes) = @_;
    my $path = $operation->{path} =~ s/\{\w+\}/{id}/gr;
    my ($route) = grep {
        my $tail = $_->{path} =~ m{^(.*)/\*$} ? $1 : undef;
        $_->{method} eq $operation->{method} && (defined $tail ? $path =~ m{^\Q$tail\E(?:/|$)} : $path eq $_->{path})
    } @routes;
    return $route;
}

my %SECURITY = (none => [], hook => ['subscriptionSecret'], portal => [qw(bearer basic mutualTLS)], administrator => [qw(bearer basic mutualTLS)]);
my @routes = grep { !$PAGES{ $_->{path} } } routes();
my %told;
for my $operation (@operations) {
    my $name = "$operation->{method} $operation->{path}";
    my $route = route_of($operation, @routes);
    ok($route, "$name: the table of routes has it") or next;
    $told{"$route->{method} $route->{path}"} = 1;
    is($operation->{'x-role'}, $route->{role}, "$name: ... for the same role");
    is_deeply([map { keys %$_ } @{ $operation->{security} // ['none'] }], $SECURITY{ $route->{role} }, "$name: ... with the security of that");
    is($operation->{'x-audit'}, $route->{action}, "$name: ... and the audit calls it so");
    my @named = $operation->{path} =~ /\{(\w+)\}/g;
    is_deeply([map { $_->{name} } grep { $_->{in} eq 'path' } map { at($_) } @{ $operation->{parameters} // [] }], \@named, "$name: its path's parameters are told, in their order");
}
is_deeply(sorted(keys %told), sorted(map { "$_->{method} $_->{path}" } @routes), 'every route has its operation');
is_deeply([sort keys %PAGES], sorted(grep { $PAGES{$_} } map { $_->{path} } routes()), 'every page is a route');

# ---- Operations ----

my (%ids, %codes, %codes_of);

# The codes that an answer may have: of the problem, or of the enumerations beside it.
sub codes_of {
    my ($answer) = @_;
    my $media = $answer->{content}{'application/problem+json'} or return;
    return map { @{ $_->{properties}{code}{enum} // [] } } @{ $media->{schema}{allOf} };
}

sub has_example { my ($media) = @_; return exists $media->{example} || keys %{ $media->{examples} // {} } }

# What is missing in an operation, in words.
sub missing {
    my ($operation) = @_;
    my @missing = grep { !length($operation->{$_} // '') } qw(operationId summary description);
    my $body = at($operation->{requestBody});
    push @missing, 'a verb as operationId' if ($operation->{operationId} // '') !~ /^[a-z]+[A-Za-z]*$/ || $ids{ $operation->{operationId} }++;
    push @missing, map { "an example of the body as $_" } grep { !has_example($body->{content}{$_}) } sort keys %{ $body->{content} // {} };
    for my $status (sort keys %{ $operation->{responses} }) {
        my $answer = at($operation->{responses}{$status});
        my @types = sort keys %{ $answer->{content} // {} };
        push @missing, map { "an example of $status as $_" } grep { !has_example($answer->{content}{$_}) } @types;
        next if $status =~ /^[23]/;
        my @codes = codes_of($answer);
        push @missing, "$status as a problem with codes" if "@types" ne 'application/problem+json' || !@codes;
        $codes{$_}{$status} = 1 for @codes;
    }
    my @expected = qw(400 500 default);
    push @expected, 401, 429, 503 if @{ $operation->{security} };
    push @expected, 403 if $operation->{'x-role'} =~ /portal|administrator/;
    push @expected, 413, 415, 422 if $operation->{requestBody} && $operation->{'x-role'} ne 'hook';
    push @expected, 404 if $operation->{path} =~ /\{/;
    push @missing, map { "the answer $_" } grep { !$operation->{responses}{$_} } @expected;
    push @missing, 'an answer that is good' if !grep { /^2/ } keys %{ $operation->{responses} };
    return @missing;
}
is(join(', ', missing($_)), '', "$_->{method} $_->{path}: it is told whole") for @operations;

# An ETag in the answer of a GET makes 304 of it, and If-None-Match.
for my $operation (grep { $_->{method} eq 'GET' } @operations) {
    my $etag = at($operation->{responses}{200})->{headers}{ETag} ? 1 : 0;
    my $asks = grep { at($_)->{name} eq 'If-None-Match' } @{ $operation->{parameters} // [] };
    is(($operation->{responses}{304} ? 1 : 0) . $asks, "$etag$etag", "$operation->{path}: a 304 and If-None-Match where there is an ETag");
}
for my $operation (@operations) {
    my $asks = grep { at($_)->{name} eq 'If-Match' } @{ $operation->{parameters} // [] };
    is($operation->{responses}{412} ? 1 : 0, $asks, "$operation->{method} $operation->{path}: a 412 where there is If-Match");
}

# ---- Codes ----

my %table;
for my $line (split /\n/, text('docs/api.md') =~ s/^.*\n## Errors\n//sr) {
    my ($status, $codes) = $line =~ /^\| (\d{3}) \| ([^|]+) \|/ or next;
    $table{$_}{$status} = 1 for $codes =~ /`([a-z-]+)`/g;
}
cmp_ok(scalar keys %table, '>', 30, 'the table of errors is found');
is_deeply(sorted(keys %codes), sorted(keys %table), 'the document and docs/api.md have the same codes');
for my $code (sort keys %codes) {
    my @wrong = grep { $_ ne 'default' && !$table{$code}{$_} } sort keys %{ $codes{$code} };
    is("@wrong", '', "$code: with the statuses of docs/api.md");
}

# ---- Names of the C code ----

sub enum { my (@way) = @_; my $at = $doc->{components}{schemas}; $at = at($at->{$_}) for @way; return sorted(@{ $at->{enum} }) }
sub strings { my ($path, $pattern) = @_; return sorted(text($path) =~ /$pattern/g) }

is_deeply(enum('JobStatus'), strings('lib/model/job.c', qr/\[P2P_JOB_\w+\] = "(\w+)"/), 'states of jobs');
is_deeply(enum('AuditEntry', 'properties', 'action'), sorted(grep { defined } map { $_->{action} } routes()), 'actions of the audit');
is_deeply(enum('AuditEntry', 'properties', 'role'), strings('mod_p2p/caller.c', qr/"(none|portal|administrator)"/), 'roles');
is_deeply(enum('AdminJob', 'properties', 'kind'), sorted(map { @{ strings($_, qr/define P2P_KIND_\w+ "([\w-]+)"/) } } 'lib/model/job.h', 'lib/model/chore.h'), 'kinds of jobs');
is_deeply(enum('JobWait', 'properties', 'code'), strings('lib/model/job.h', qr/define P2P_WAIT_\w+ "([\w-]+)"/), 'why jobs wait');
is_deeply(enum('ReportRequest', 'properties', 'kind'), strings('lib/model/part.h', qr/define P2P_REQUEST_\w+ "([\w-]+)"/), 'kinds of requests');
is_deeply(enum('ReportResource', 'properties', 'code'), strings('mod_p2p/handle_report.c', qr/^    \{ "([\w-]+)", "/m), 'codes of resources');
is_deeply(enum('MailState'), strings('lib/store/outbox_store.h', qr/define P2P_MAIL_(?:QUEUED|SENT|UNDELIVERABLE|REFUSED) "(\w+)"/), 'states of mails');
is_deeply(enum('Mail', 'properties', 'template'), strings('lib/model/mail_template.c', qr/^    \{"([\w-]+)"/m), 'templates of mails');
is_deeply(enum('TestStep', 'properties', 'name'), sorted((text('lib/runner/definition_test.c') =~ /^\} steps\[\] = (.*);$/m)[0] =~ /"(\w+)"/g), 'steps of a test');

# ---- Examples of docs/api.md ----

# The examples of a section: documents that stand alone, and those that curl is given; not those that leave something out.
sub examples {
    my ($section) = @_;
    my @blocks = map { s/^    //mgr } $section =~ /((?:^    .*\n)+)/mg;
    return grep { !/ \.\.\. |(?:\.\.\.|\xe2\x80\xa6) ?[\]}]/ } map { /^\{/ ? $_ : /--json '(\{.*\})'/s ? $1 : () } @blocks;
}
my $checked = 0;
for my $section (split /^(?=##)/m, text('docs/api.md')) {
    my ($method, $path) = $section =~ /^### ([A-Z]+) (\S+)\n/ or next;
    $path = $path =~ s/\{id\}/1/gr =~ s{/\*$}{}r;
    for my $example (examples($section)) {
        my $data = eval { JSON::PP->new->utf8->decode($example) };
        is($data ? join('; ', P2P::OpenApi::example_faults($method, $path, $data)) : $@, '', "docs/api.md, $method $path: an example is as the document has it");
        $checked++;
    }
}
cmp_ok($checked, '>=', 15, 'the examples are found');

# ---- What P2P::OpenApi finds ----

my %server = (pid => 1, name => 'A', issuer => 'https://a.example', clientId => '', scopes => '', customTokenParams => '', authWellKnown => '', tokenEndpoint => '',
    fhirEndpoint => 'https://a.example/fhir', responseType => 'code', organizationId => '');
my %order = (sourcePayer => { oidcToken => 't', patientId => '1' }, targetPayer => { patientId => '2', organizationId => 'us' });
my %PROBLEM = (type => 'about:blank', title => 'Not Found', status => 404, detail => 'There is none.', code => 'no-such-server');
my %job = (batchJobId => 1, batchStatus => 'STARTING', startTime => undef, createTime => '2026-11-22T09:31:54.024Z', endTime => undef, lastUpdated => '2026-11-22T09:31:54.024Z',
    jobConfigurationName => 'p2p-exchange', taskId => undef, progress => { map { $_ => 0 } qw(parts retrieved written duplicate skipped rejected waiting bytes) });

sub answer {
    my ($status, $doc, %headers) = @_;
    my $type = $status < 400 ? 'application/json' : 'application/problem+json';
    return { status => $status, headers => { defined $doc ? ('content-type' => $type) : (), map { $_ => $headers{$_} } grep { defined $headers{$_} } keys %headers },
        content => defined $doc ? encode_json($doc) : '', json => $doc };
}

# What is found in an answer to a GET of one definition, or to what is given.
sub found {
    my ($answer, %request) = @_;
    return join '; ', P2P::OpenApi::faults($request{method} // 'GET', $request{path} // '/api/oidc_servers/1', { 'Content-Type' => $request{type} // 'application/json' }, $request{content}, $answer);
}
my %ETAG = (etag => '"1"');
is(found(answer(200, \%server, %ETAG)), '', 'what is told of passes');
is(found(answer(304, undef, %ETAG)), '', '... a 304 as well');
is(found(answer(404, \%PROBLEM)), '', '... and a problem');
my $more = 'Properties not allowed';
my @WRONG = (
    [qr{^/: $more: more}, answer(200, { %server, more => 1 }, %ETAG), 'a member more'],
    [qr{^/name: Missing}, answer(200, { map { $_ eq 'name' ? () : ($_ => $server{$_}) } keys %server }, %ETAG), 'a member less'],
    [qr{^/pid: Expected integer}, answer(200, { %server, pid => 'x' }, %ETAG), 'another type'],
    [qr{^/responseType: Not in enum}, answer(200, { %server, responseType => 'token code' }, %ETAG), 'another value'],
    [qr{ETag is missing}, answer(200, \%server), 'a header less'],
    [qr{header Location is not told of}, answer(200, \%server, %ETAG, location => '/x'), 'a header more'],
    [qr{header ETag/: String does not match}, answer(200, \%server, etag => '1'), 'a header that is none'],
    [qr{content type 'text/html'}, answer(200, \%server, %ETAG, 'content-type' => 'text/html'), 'another content type'],
    [qr{status 202 is not told of}, answer(202, \%server, %ETAG), 'another status'],
    [qr{body is not told of}, answer(304, \%server, %ETAG), 'a body that should not be there'],
    [qr{/code: .*Not in enum}, answer(404, { %PROBLEM, code => 'no-such-job' }), 'a code of another operation'],
    [qr{$more: hint}, answer(404, { %PROBLEM, hint => 'x' }), 'a member more of a problem'],
    [qr{/status: .*[Cc]onst}, answer(404, { %PROBLEM, status => 400 }), 'a problem of another status'],
    [qr{status 409 is not told of}, answer(409, { %PROBLEM, status => 409 }), 'a problem that this operation has not'],
    [qr{^/code: .*Not in enum}, answer(414, { %PROBLEM, status => 414, code => 'odd' }), 'an odd word of httpd'],
    [qr{/progress: $more: speed}, answer(202, { %job, progress => { %{ $job{progress} }, speed => 1 } }, %ETAG, location => '/x', 'retry-after' => 2), 'a member more within',
        method => 'POST', path => '/api/oidc_servers/1/batch_job', content => encode_json(\%order)],
    [qr{^the request's body/targetPayer/patientId: Missing}, answer(202, \%job, %ETAG, location => '/x', 'retry-after' => 2), 'a request that should not have been taken',
        method => 'POST', path => '/api/oidc_servers/1/batch_job', content => encode_json({ %order, targetPayer => { organizationId => 'us' } })],
    [qr{^the header Retry-After is missing}, answer(202, \%job, %ETAG, location => '/x'), 'no Retry-After', method => 'POST', path => '/api/oidc_servers/1/batch_job', content => encode_json(\%order)],
    [qr{query's sort is not told of}, answer(200, { jobs => [], next => undef }, %ETAG), 'a query that should not have been taken', path => '/api/oidc_servers/1/batch_job?sort=1'],
    [qr{query's status/: Not in enum}, answer(200, { jobs => [], next => undef }, %ETAG), '... nor its value', path => '/api/oidc_servers/1/batch_job?status=LATE'],
    [qr{status 200 is not told of}, answer(200, {}), 'a path that nobody knows', path => '/api/nowhere'],
    [qr{is not told of}, answer(200, { jobs => [], next => undef }, %ETAG), 'a number that is none', path => '/api/oidc_servers/0/batch_job'],
    [qr{Allow has GET}, answer(405, { %PROBLEM, status => 405, code => 'method-not-allowed' }, allow => 'GET'), 'an Allow that tells other methods', method => 'PUT'],
    [qr{Allow has GET POST}, answer(204, undef, allow => 'GET, POST'), '... to OPTIONS', method => 'OPTIONS'],
    [qr{that is told of is not found}, answer(404, { %PROBLEM, code => 'not-found' }), 'a path that is not found by another method', method => 'PUT'],
);
for my $wrong (@WRONG) {
    my ($says, $answer, $name, %request) = @$wrong;
    like(found($answer, %request), $says, "P2P::OpenApi finds $name");
}
is(found(answer(405, { %PROBLEM, status => 405, code => 'method-not-allowed' }, allow => 'GET, HEAD, OPTIONS'), method => 'PUT'), '', 'another method is refused as it should be');
is(found(answer(404, { %PROBLEM, code => 'not-found' }), path => '/api/oidc_servers/0'), '', 'a number that is none is not found');
is(found(answer(202, \%job, %ETAG, location => '/x', 'retry-after' => 2), method => 'POST', path => '/api/oidc_servers/1/batch_job', content => encode_json({ %order, more => 1 })), '',
    'in a request an unknown member is no fault');
like(eval { P2P::OpenApi::hold('GET', '/api/nowhere', {}, undef, { status => 599, headers => {}, content => '' }); 'passes' } // $@, qr/^passes$/, 'that nobody answered is no matter of the document');
done_testing();
