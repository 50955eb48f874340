#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# mod_p2p/pages/openapi.json tells of every route of mod_p2p/route.c, and of nothing else; of every code of docs/api.md; and of the names that the C code has.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Doors;
use P2P::Source;
use Test::More;

# Routes that serve pages to browsers: what they answer is no matter of programs.
my %PAGES = map { $_ => 1 } ('/', '/openapi.json', '/swagger/*', '/console/*');

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
is_deeply(sorted(grep { my $page = $_; !grep { $_->{path} eq $page } routes() } keys %PAGES), [], 'and every page that has none is a route');

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
is_deeply(enum('ReportRequest', 'properties', 'kind'), strings('lib/model/part.h', qr/define P2P_REQUEST_\w+ "([\w-]+)"/), 'kinds of requests');
is_deeply(enum('ReportResource', 'properties', 'code'), strings('mod_p2p/handle_report.c', qr/^    \{ "([\w-]+)", "/m), 'codes of resources');
is_deeply(enum('MailState'), strings('lib/store/outbox_store.h', qr/define P2P_MAIL_(?:QUEUED|SENT|UNDELIVERABLE|REFUSED) "(\w+)"/), 'states of mails');
is_deeply(enum('Mail', 'properties', 'template'), strings('lib/model/mail_template.c', qr/^    \{"([\w-]+)"/m), 'templates of mails');
is_deeply(enum('TestStep', 'properties', 'name'), sorted((text('lib/runner/definition_test.c') =~ /^\} steps\[\] = (.*);$/m)[0] =~ /"(\w+)"/g), 'steps of a test');
done_testing();
