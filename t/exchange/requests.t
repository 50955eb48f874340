#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What fhirBundleRequest asks for: nothing, a Bundle as text or inline, one URL, a single resource, what overlaps.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use Test::More;

my $member = synthea_member('Thanh');
my $id = $member->{patient};
my $sandbox = P2P::Exchange::sandbox({ name => 'source', data => [$member->{file}] }, { name => 'target', role => 'target' });
my ($condition) = grep { m{^Condition/} } sort keys %{ $sandbox->dump('source', keys => 1) };

sub bundle { return { resourceType => 'Bundle', type => 'batch', entry => [map { { request => { method => 'GET', url => $_ } } } @_] } }

# What is asked for, and the URLs it stands for; undef: nothing is said at all.
my @CASES = (
    ['nothing', undef, undef],
    ['an empty text', '', undef],
    ['null', \undef, undef],
    ['one relative URL', "Condition?patient=$id&_count=7", ["Condition?patient=$id&_count=7"]],
    ['one relative URL with {patientId}', 'Patient/{patientId}/$everything?_count=20', undef],
    ['an absolute URL', $sandbox->url('source') . "/Patient/$id/\$everything", undef],
    ['a Bundle as text', encode_json(bundle('Patient/{patientId}', 'Condition?patient={patientId}&_count=5', 'Observation?patient={patientId}&_count=50')),
        ["Patient/$id", "Condition?patient=$id", "Observation?patient=$id"]],
    ['a Bundle inline', bundle('Encounter?patient={patientId}', 'Immunization?subject=Patient/{patientId}'), ["Encounter?patient=$id", "Immunization?subject=Patient/$id"]],
    ['a single resource', $condition, [$condition]],
    ['the Patient alone', 'Patient/{patientId}', ["Patient/$id"]],
    ['what overlaps', bundle('Condition?patient={patientId}', $condition, "Condition?patient=$id&_count=3"), ["Condition?patient=$id", $condition, "Condition?patient=$id&_count=3"]],
    ['the same URL twice', bundle($condition, $condition), [$condition, $condition]],
    ['a search that finds nothing', 'Goal?patient=nobody', ['Goal?patient=nobody']],
);

each_database('requests', sub {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['source']);
    for my $case (@CASES) {
        my ($name, $request, $urls) = @$case;
        $x->reset_target;
        my $said = ref $request eq 'SCALAR' ? undef : $request;
        my $job = $x->exchange('source', $id, 'member', (defined $request ? (request => $said) : ()));
        my $compare = $x->expect('source', $id, 'member', ($urls ? (urls => $urls) : ()));
        my $dump = $x->target_dump;
        $x->ok_exchange($job, $compare, $name, dump => $dump);
        $x->ok_target($dump, $name);
        is(scalar(grep { $_->{request} >= @{ $urls // ['everything'] } } @{ $x->report($job->{path})->{parts} }), $compare->{followed} // 0,
            "$name: what was not sent with the rest is a part of its own");
    }
    $x->ok_sealed('requests');
    $x->stop;
});

done_testing;
