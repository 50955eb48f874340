#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A source that puts unsaved Provenance into its answers: it is kept with its targets rewritten, and the same exchange again adds none. Ours, in front of
# a payer's server; and another's, whose resources have no id but their urn:uuid.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny;
use JSON::PP;
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Hostile;
use P2P::Inject;
use P2P::Json qw(value_of member items);
use Test::More;

my $SIZE = 40;    # entries of a page of the server behind
my $member = synthea_member('Collin');
my $sandbox = P2P::Exchange::sandbox(
    { name => 'behind', data => [$member->{file}] },
    { name => 'other' },    # for its token endpoint alone
    { name => 'target', role => 'target' },
);
my $source = P2P::Inject->new(backend => $sandbox->plain('behind'), vhost => ['ProxyPreserveHost On'])->start;

# ---- Ours ----

# All pages as the source gives them now, told to a P2P::Compare; the injected Provenances' keys and how many targets they have.
sub read_source {
    my ($x, $compare, $url) = @_;
    my $http = HTTP::Tiny->new(timeout => 60);
    my %injected;
    for ($url = $source->url . "/fhir/$url"; $url;) {
        my $answer = $http->get($url, { headers => { Authorization => 'Bearer SECRET-reader' } });
        die "the source: $answer->{status} $answer->{content}\n" if $answer->{status} != 200;
        my $tree = $compare->add_answer($answer->{content});
        for my $entry (items(member($tree, 'entry'))) {
            my $resource = member($entry, 'resource');
            next if value_of(member($resource, 'resourceType')) ne 'Provenance' || value_of(member($entry, 'fullUrl')) !~ /^urn:uuid:/;
            $injected{ 'Provenance/' . value_of(member($resource, 'id')) } = scalar items(member($resource, 'target'));
        }
        my ($next) = grep { value_of(member($_, 'relation')) eq 'next' } items(member($tree, 'link'));
        $url = $next && value_of(member($next, 'url'));
    }
    return \%injected;
}

# The received Provenances of a dump, and those made here.
sub provenances {
    my ($dump, $keys) = @_;
    return { map { $_ => JSON::PP->new->utf8->decode($dump->{$_}{text}) } grep { $dump->{$_} && !$dump->{$_}{deleted} } @$keys };
}

# Each target is at the target, under the id that it has there, and all of the member's record is named.
sub ok_targets {
    my ($x, $compare, $injected, $dump, $name) = @_;
    my $kept = provenances($dump, [map { $compare->target_key($_) } sort keys %$injected]);
    is(scalar keys %$kept, scalar keys %$injected, "$name: each injected Provenance is there");
    my %named = map { $_->{reference} => 1 } map { @{ $_->{target} } } values %$kept;
    my @dangling = grep { !$dump->{$_} } sort keys %named;
    is("@dangling", '', "$name: what it names is there, under the ids of the target");
    my @other = grep { !m{^Provenance/} } map { my $key = $compare->target_key($_); $_ eq "Patient/$member->{patient}" ? 'Patient/one' : $key } $compare->arrived;
    is(join(' ', grep { !$named{$_} } @other), '', "$name: nothing that arrived is left out");
    return;
}

sub test_ours {
    my ($x) = @_;
    my $url = "Patient/$member->{patient}/\$everything?_count=$SIZE";
    my $compare = P2P::Compare->new(namespace => P2P::Exchange::issuer('behind'), endpoint => $source->url . '/fhir', source_patient => $member->{patient},
        target_patient => 'one', bases => [$sandbox->url('behind')], follow => 200, loose => {}, assigned => $x->assigned);
    my $injected = read_source($x, $compare, $url);
    cmp_ok(scalar keys %$injected, '>', 2, 'the source injects into each page: ' . keys %$injected);
    $compare->{loose} = { map { $_ => 1 } keys %$injected };    # what they were made at differs from answer to answer
    my $dump = $sandbox->dump('behind');
    $compare->settle(read => sub { my $there = $dump->{ $_[0] }; return $there && !$there->{deleted} ? $there->{text} : undef });
    my %made;
    for my $time ('the first time', 'the same again') {
        my %before = %{ $x->target_dump };
        my $job = $x->exchange('behind', $member->{patient}, 'one', request => $url);
        my $after = $x->target_dump;
        $compare->learn_ids($after);
        $x->ok_exchange($job, $compare, $time, dump => $after, jobs => $time eq 'the first time' ? 1 : 2);
        ok_targets($x, $compare, $injected, $after, $time);
        my %received = map { $compare->target_key($_) => 1 } keys %$injected;
        my @new = grep { !$before{$_} } keys %$after;
        $made{$time} = grep { m{^Provenance/} && !$received{$_} } @new;    # one for each part that has something
        next if $time eq 'the first time';
        is(join(' ', grep { !m{^(?:Task|Provenance)/} } @new), '', 'no resource is new');
        is(scalar(grep { m{^Provenance/} } @new), $made{'the first time'}, 'no Provenance but those of the parts');
    }
    return;
}

# ---- Another's: no ids ----

my $PATIENT = 'bare-patient';
my %UUID = map { $_ => sprintf '0f0f0f0f-0000-4000-8000-%012d', $_ } 1 .. 3;

sub answer_bare {
    my ($r) = @_;
    if ($r->{path} =~ m{/metadata}) {
        $r->reply(200, '{"resourceType":"CapabilityStatement","status":"active","kind":"instance","fhirVersion":"4.0.1","format":["json"],"rest":[{"mode":"server"}]}');
        return;
    }
    if ($r->{path} !~ /everything/) {
        $r->reply(404, '{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found"}]}');
        return;
    }
    my $base = "http://127.0.0.1:$r->{port}/fhir";
    my @entries = (
        qq({"fullUrl":"$base/Patient/$PATIENT","resource":{"resourceType":"Patient","id":"$PATIENT","meta":{"versionId":"4"}}}),
        qq({"fullUrl":"urn:uuid:$UUID{1}","resource":{"resourceType":"Observation","status":"final","code":{"text":"a"},"subject":{"reference":"Patient/$PATIENT"}}}),
        qq({"fullUrl":"$base/Observation/o2","resource":{"resourceType":"Observation","id":"o2","meta":{"versionId":"2"},"status":"final","code":{"text":"b"},)
            . qq("subject":{"reference":"$base/Patient/$PATIENT/_history/4"},"hasMember":[{"reference":"urn:uuid:$UUID{1}"}]}}),
        qq({"fullUrl":"urn:uuid:$UUID{2}","search":{"mode":"include"},"resource":{"resourceType":"Provenance","recorded":"2026-01-02T03:04:05Z","target":[)
            . qq({"reference":"$base/Patient/$PATIENT/_history/4"},{"reference":"$base/Observation/o2/_history/2"},{"reference":"urn:uuid:$UUID{1}"}],)
            . qq("agent":[{"who":{"display":"the source"}}]}}),
    );
    $r->reply(200, qq({"resourceType":"Bundle","type":"searchset","entry":[) . join(',', @entries) . ']}');
    return;
}

sub test_bare {
    my ($x) = @_;
    my $derived = sub { my ($key) = @_; return ($key =~ m{^(\w+)/})[0] . '/' . P2P::Compare::derive_id(P2P::Exchange::issuer('other'), $key) };
    my %dump;
    for my $time (1, 2) {
        my $job = $x->exchange('other', $PATIENT, 'two', request => "Patient/$PATIENT/\$everything");
        is($job->{batchStatus}, 'COMPLETED', 'resources without an id are taken') or diag explain $job;
        is($job->{progress}{resourcesWritten} // $job->{progress}{written}, 4, '... all four') if $time == 1;
        $dump{$time} = $x->target_dump;
    }
    my ($o1, $o2) = map { $derived->($_) } "Observation/$UUID{1}", 'Observation/o2';
    my $key = $derived->("Provenance/$UUID{2}");
    ok($dump{1}{$o1}, 'one has the id that its urn:uuid gives');
    my $second = JSON::PP->new->utf8->decode($dump{1}{$o2}{text} // '{}');
    is($second->{hasMember}[0]{reference}, $o1, 'what refers to it does so there, too');
    my $kept = JSON::PP->new->utf8->decode($dump{1}{$key}{text} // '{}');
    is_deeply([map { $_->{reference} } @{ $kept->{target} }], ['Patient/two', $o2, $o1], 'the targets of its Provenance are those at the target, without versions');
    is($kept->{agent}[0]{who}{display}, 'the source', 'the rest of it is as it was');
    is($dump{2}{$key}{version}, $dump{1}{$key}{version}, 'the same exchange again writes nothing to it');
    is(join(' ', grep { !$dump{1}{$_} && !m{^(?:Task|Provenance)/} } sort keys %{ $dump{2} }), '', '... and adds no resource');
    is(scalar(grep { !$dump{1}{$_} && m{^Provenance/} } keys %{ $dump{2} }), 1, '... but the Provenance of its part');
    return;
}

# ---- All ----

my $bare = P2P::Hostile->start(1, \&answer_bare);
# Whose target takes the ids that we choose, or gives them itself.
sub test_all {
    my ($db, $ids) = @_;
    $sandbox->reset('target');
    $sandbox->set('target', clientIds => $ids eq 'derive' ? 1 : 0);
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['behind', 'other'], directives => { P2PResourceIds => $ids }, definitions => {
        behind => { fhirEndpoint => $source->url . '/fhir' },
        other => { fhirEndpoint => $bare->origin . '/fhir' },
    });
    $x->reset_target;
    test_ours($x);
    test_bare($x) if $ids eq 'derive';
    $x->ok_sealed("injected, $ids");
    $x->stop;
    return;
}

each_database('injected', sub {
    my ($db) = @_;
    test_all($db, $db->{driver} eq 'sqlite3' ? 'derive' : 'conditional');
});
$source->stop;
$bare->stop;

done_testing;
