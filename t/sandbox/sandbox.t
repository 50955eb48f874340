#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What the sandbox payer promises: orders and pages, writes and versions, referential integrity, the control paths.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use HTTP::Tiny;
use JSON::PP;
use Test::More;
use P2P::Sandbox;

my $dir = tempdir(CLEANUP => 1);
my $json = JSON::PP->new->canonical;
my $http = HTTP::Tiny->new(timeout => 20, max_redirect => 0);

sub write_file { my ($name, $text) = @_; open my $fh, '>', "$dir/$name" or die; print $fh $text; close $fh; return "$dir/$name" }

# A transaction Bundle as Synthea writes it: POST, urn:uuid references, pretty-printed, odd numbers.
my $uuid = 'aaaaaaaa-0000-4000-8000-0000000000';
my $synthea = <<"JSON";
{ "resourceType": "Bundle", "type": "transaction", "entry": [
 { "fullUrl": "urn:uuid:${uuid}01", "resource": {
     "resourceType": "Patient", "id": "${uuid}01", "active" : true }, "request": {"method": "POST", "url": "Patient"} },
 { "fullUrl": "urn:uuid:${uuid}02", "resource": {
     "resourceType": "Organization", "id": "${uuid}02", "name": "a \\u00e4" }, "request": {"method": "POST", "url": "Organization"} },
 { "fullUrl": "urn:uuid:${uuid}03", "resource": {
     "resourceType": "Encounter", "id": "${uuid}03", "subject": {"reference": "urn:uuid:${uuid}01"},
     "serviceProvider": {"reference": "urn:uuid:${uuid}02"}, "length": {"value": 1.50} },
   "request": {"method": "POST", "url": "Encounter"} },
 { "fullUrl": "urn:uuid:${uuid}04", "resource": {
     "resourceType": "Claim", "id": "${uuid}04", "patient": {"reference": "urn:uuid:${uuid}01"},
     "contained": [{"resourceType": "Coverage", "id": "c", "beneficiary": {"reference": "urn:uuid:${uuid}01"}}],
     "insurance": [{"coverage": {"reference": "#c"}}] }, "request": {"method": "POST", "url": "Claim"} } ] }
JSON
my @lines = (
    '{"resourceType":"Patient","id":"m1"}',
    '{"resourceType":"Patient","id":"m2"}',
    '{"resourceType":"Observation","id":"o0","subject":{"reference":"Patient/m2"},"performer":[{"reference":"Practitioner/d1"}]}',
    '{"resourceType":"Practitioner","id":"d1","identifier":[{"system":"urn:npi","value":"77"}]}',
    '{"resourceType":"Practitioner","id":"d2"}',
    '{"resourceType":"PractitionerRole","id":"pr1","practitioner":{"reference":"Practitioner/d2"},"organization":{"reference":"Organization/g1"}}',
    '{"resourceType":"Organization","id":"g1"}',
    '{"resourceType":"Organization","id":"nobody"}',
    '{"resourceType":"Coverage","id":"c1","beneficiary":{"reference":"Patient/m1"},"payor":[{"reference":"PractitionerRole/pr1"}]}',
    '{"resourceType":"Provenance","id":"v1","target":[{"reference":"Coverage/c1"}]}',
    map({ qq({"resourceType":"Observation","id":"o$_","subject":{"reference":"Patient/m1"},"valueDecimal":$_.50,"hasMember":[{"reference":"Observation/o)
            . ($_ % 25 + 1) . '"}]}' } 1 .. 25),
    '{"resourceType":"Task","id":"t1","for":{"reference":"http://elsewhere.example/fhir/Patient/m1"}}',
);
write_file('lines.ndjson', join("\n", @lines) . "\n");
my $recorded = $json->encode({resourceType => 'Bundle', type => 'searchset', entry => [
    {fullUrl => 'http://old.example/fhir/Patient/k1', resource => {resourceType => 'Patient', id => 'k1'}},
    {fullUrl => 'http://old.example/fhir/Observation/x', resource => {resourceType => 'Observation', id => 'x', status => 'final'}, search => {mode => 'match'}},
    {resource => {resourceType => 'OperationOutcome', issue => []}, search => {mode => 'outcome'}},
    {resource => {resourceType => 'Observation', id => 'x', status => 'amended'}},
    {resource => {resourceType => 'Observation', id => 'foreign', subject => {reference => 'Patient/other'}}},
]});

mkdir "$dir/kept";
chmod 0755, $dir;
chmod 0777, "$dir/kept";
my $s = P2P::Sandbox->start(payers => [
    {name => 'source', data => [write_file('synthea.json', $synthea), "$dir/lines.ndjson", write_file('recorded.json', $recorded)],
        directives => ['SandboxPageSize 7', 'SandboxImplementationUrl https://api.payer.example/fhir']},
    {name => 'urn', data => ["$dir/synthea.json"], directives => ['SandboxKeepUrn On']},
    {name => 'target', data => [write_file('target.ndjson', qq({"resourceType":"Patient","id":"here"}\n))]},
    {name => 'medplum', directives => ['SandboxClientIds refuse', 'SandboxMaxEntries 3', 'SandboxMaxBody 5000']},
    {name => 'loose', directives => ['SandboxReferentialIntegrity Off', 'SandboxBareEtag On', "SandboxKeepBundles $dir/kept"]},
]);

sub get { my ($url, %headers) = @_; my $answer = $http->get($url, {headers => \%headers}); $answer->{json} = eval { decode_json($answer->{content}) }; return $answer }

sub send_to {
    my ($payer, $method, $path, $body, %headers) = @_;
    my $answer = $http->request($method, $s->plain($payer) . "/fhir$path",
        {headers => {'Content-Type' => 'application/fhir+json', %headers}, content => ref $body ? $json->encode($body) : $body});
    $answer->{json} = eval { decode_json($answer->{content}) };
    return $answer;
}

sub next_of { my ($bundle) = @_; my ($link) = grep { $_->{relation} eq 'next' } @{$bundle->{link}}; return $link && $link->{url} }

# All pages from url on: list of "Type/id", and how many pages.
sub pages {
    my ($url, %headers) = @_;
    my (@keys, $pages);
    while ($url) {
        my $answer = get($url, %headers);
        die "$url: $answer->{status} $answer->{content}" if $answer->{status} != 200 || ++$pages > 100;
        push @keys, map { "$_->{resource}{resourceType}/" . ($_->{resource}{id} // '') } @{$answer->{json}{entry} || []};
        $url = next_of($answer->{json});
    }
    return (\@keys, $pages);
}

my $source = $s->url('source');
my $meta = get("$source/metadata");
is $meta->{json}{fhirVersion}, '4.0.1', 'metadata tells the FHIR version';
is $meta->{json}{implementation}{url}, 'https://api.payer.example/fhir', 'and the implementation URL';

subtest 'loading' => sub {
    my $encounter = get("$source/Encounter/${uuid}03");
    like $encounter->{content}, qr/\Q"subject": {"reference": "Patient\/${uuid}01"},\E\n\s+"serviceProvider"/, 'urn references become literal';
    like $encounter->{content}, qr/\{"value": 1\.50\} \}$/, 'other bytes stay';
    like get("$source/Claim/${uuid}04")->{content}, qr/"beneficiary": \{"reference": "Patient/, 'inside contained resources too';
    is get($s->url('urn') . "/Encounter/${uuid}03")->{json}{subject}{reference}, "urn:uuid:${uuid}01", 'SandboxKeepUrn keeps them';
    is get($s->url('urn') . "/Patient/${uuid}01/\$everything")->{json}{entry}[2]{fullUrl}, "urn:uuid:${uuid}03", 'and the fullUrl';
    my ($keys) = pages($s->url('urn') . "/Patient/${uuid}01/\$everything");
    is scalar @$keys, 4, 'and the member is complete';
};

my @expected = sort((map { "Observation/o$_" } 1 .. 25), qw(Patient/m1 Practitioner/d2 PractitionerRole/pr1 Organization/g1
    Coverage/c1 Provenance/v1 Task/t1));
my ($by_file, $count) = pages("$source/Patient/m1/\$everything");
subtest 'everything and orders' => sub {
    my $first = get("$source/Patient/m1/\$everything");
    is $first->{json}{total}, @expected, 'total';
    is $count, int((@expected + 6) / 7), 'pages of SandboxPageSize';
    like next_of($first->{json}), qr{^\Q$source\E\?_getpages=}, 'the next link is the base with a query';
    is $first->{json}{entry}[0]{fullUrl}, "$source/Patient/m1", 'fullUrl';
    is_deeply [sort @$by_file], \@expected, 'file order: everything of the member once, nothing of others';
    my %at = map { $lines[$_] =~ /"resourceType":"(\w+)","id":"(\w+)"/ ? ("$1/$2" => $_) : () } 0 .. $#lines;
    is_deeply $by_file, [sort { $at{$a} <=> $at{$b} } @expected], 'in the order of the file';
    for my $order ('type', 'reverse-type', 'shuffled 1', 'shuffled 2') {
        my ($keys) = pages("$source/Patient/m1/\$everything?_count=5", 'X-Sandbox-Order' => $order);
        is_deeply [sort @$keys], \@expected, "$order: each once";
        my @types = map { (split m{/})[0] } @$keys;
        is_deeply \@types, [sort @types], 'sorted by type' if $order eq 'type';
        is_deeply \@types, [reverse sort @types], 'sorted by type, downwards' if $order eq 'reverse-type';
        my ($again) = pages("$source/Patient/m1/\$everything?_count=9", 'X-Sandbox-Order' => $order);
        is_deeply $again, $keys, 'and the same again';
        isnt "@$keys", "@$by_file", 'another order than the file';
    }
    $s->set('source', order => 'type');
    my ($keys) = pages("$source/Patient/m1/\$everything");
    like $keys->[0], qr/^Coverage/, 'the order can be set while it runs';
    $s->set('source', order => 'file');
    is get("$source/Patient/none/\$everything")->{status}, 404, 'an unknown patient is a 404';
    is get("$source?_getpages=deadbeef&_getpagesoffset=7")->{status}, 410, 'a page of a search that is forgotten is a 410';
};

subtest 'a recorded answer' => sub {
    my $bundle = get("$source/Patient/k1/\$everything")->{json};
    is scalar @{$bundle->{entry}}, 5, 'all its entries, foreign and double ones included';
    is $bundle->{entry}[1]{fullUrl}, 'http://old.example/fhir/Observation/x', 'fullUrl kept';
    is $bundle->{entry}[2]{search}{mode}, 'outcome', 'search.mode kept';
    ok !exists $bundle->{entry}[2]{fullUrl}, 'no fullUrl for what has no id';
    is $bundle->{entry}[3]{resource}{status}, 'amended', 'the second of two versions is there';
};

subtest 'searches' => sub {
    my ($keys) = pages("$source/Observation?patient=m1&_count=10");
    is scalar @$keys, 25, 'patient=';
    ($keys) = pages("$source/Observation?subject=Patient/m2");
    is_deeply $keys, ['Observation/o0'], 'subject=';
    is_deeply +(pages("$source/Practitioner?identifier=urn%3Anpi%7C77"))[0], ['Practitioner/d1'], 'identifier=';
    is_deeply +(pages("$source/Observation?_id=o3,o4"))[0], ['Observation/o3', 'Observation/o4'], '_id=';
    is_deeply +(pages("$source/Provenance?target=Coverage/c1"))[0], ['Provenance/v1'], 'target=';
    is get("$source/Observation?_summary=count&patient=m1")->{json}{total}, 25, '_summary=count';
    is get("$source/Observation?_lastUpdated=gt2999-01-01")->{json}{total}, 0, '_lastUpdated=gt';
    is get("$source/Observation?patient=nobody")->{json}{total}, 0, 'an unknown patient finds nothing';
    is get("$source/x/y/z")->{status}, 404, 'an odd path is a 404';
};

subtest 'forms of pages' => sub {
    $s->set('source', linkLast => 1, repeat => 2, nextPad => 4000);
    my $answer = get("$source/Patient/m1/\$everything");
    like $answer->{content}, qr/"link":\[[^\]]*\]\}$/, 'links may come last';
    cmp_ok length next_of($answer->{json}), '>', 4000, 'a next link of 4 KB';
    my ($keys) = pages("$source/Patient/m1/\$everything");
    is scalar(@$keys), @expected + 2 * ($count - 1), 'pages may repeat entries';
    $s->set('source', linkLast => 0, repeat => 0, nextPad => 0);
};

sub put_entry { my ($resource) = @_; return {resource => $resource, request => {method => 'PUT', url => "$resource->{resourceType}/$resource->{id}"}} }
sub bundle { my ($type, @entries) = @_; return {resourceType => 'Bundle', type => $type, entry => \@entries} }
sub obs { my ($id, %more) = @_; return {resourceType => 'Observation', id => $id, %more} }

subtest 'transactions' => sub {
    my $tx = bundle('transaction', put_entry(obs('a1', subject => {reference => 'Patient/here'}, hasMember => [{reference => 'Observation/a2'}])),
        put_entry(obs('a2', hasMember => [{reference => 'Observation/a1/_history/1'}])));
    my $answer = send_to('target', 'POST', '', $tx);
    is $answer->{status}, 200, 'forward references and cycles are taken';
    is $answer->{json}{type}, 'transaction-response', 'transaction-response';
    my $response = $answer->{json}{entry}[0]{response};
    is_deeply [@$response{qw(status location etag)}], ['201 Created', 'Observation/a1/_history/1', 'W/"1"'], 'created';
    like $response->{lastModified}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'lastModified';
    is send_to('target', 'POST', '', $tx)->{json}{entry}[1]{response}{location}, 'Observation/a2/_history/1', 'the same bytes make no version';
    $tx->{entry}[0]{resource}{status} = 'final';
    $response = send_to('target', 'POST', '', $tx)->{json}{entry}[0]{response};
    is_deeply [@$response{qw(status location)}], ['200 OK', 'Observation/a1/_history/2'], 'other bytes make one';
    my $base = $s->url('target');
    is get("$base/Observation/a1")->{headers}{etag}, 'W/"2"', 'read tells the version';
    ok !get("$base/Observation/a1/_history/1")->{json}{status}, 'the first version is there still';
    is get("$base/Observation/a1/_history/3")->{status}, 404, 'a version that is not is a 404';
    is get("$base/Observation/zz")->{status}, 404, 'an unknown resource is a 404';
};

subtest 'Bundles that are kept' => sub {
    my @sent = map { $json->encode(bundle('transaction', put_entry(obs("kept-$_")))) . " \n" } 1, 2;
    is send_to('loose', 'POST', '', $_)->{status}, 200, 'taken' for @sent;
    send_to('loose', 'PUT', '/Observation/kept-3', obs('kept-3'));
    my @kept = map { local (@ARGV, $/) = $_; <> } sort glob "$dir/kept/*";
    is_deeply \@kept, \@sent, 'SandboxKeepBundles: each as it came, in order, and nothing else';
};

sub refused {
    my ($what, $status, $like, @entries) = @_;
    my $answer = send_to('target', 'POST', '', bundle('transaction', @entries));
    is $answer->{status}, $status, "$what: $status";
    like $answer->{json}{issue}[0]{diagnostics} // '', $like, 'and says why';
}

subtest 'refusals' => sub {
    my $good = put_entry(obs('never'));
    refused('a dangling reference', 400, qr{HAPI-1094: Resource Patient/gone not found, specified in path: Observation.subject},
        $good, put_entry(obs('b', subject => {reference => 'Patient/gone'})));
    refused('an absolute reference', 400, qr/HAPI-0507/, $good, put_entry(obs('b', subject => {reference => 'https://x.example/Patient/here'})));
    refused('an unknown urn', 400, qr/HAPI-0541/, $good, put_entry(obs('b', subject => {reference => 'urn:uuid:1'})));
    refused('a conditional reference to nothing', 404, qr/HAPI-1091/, $good, put_entry(obs('b', subject => {reference => 'Patient?identifier=a|b'})));
    refused('an id of digits', 400, qr/HAPI-0960/, $good, put_entry(obs('123')));
    refused('the same id twice', 400, qr/HAPI-0535/, $good, put_entry(obs('b')), put_entry(obs('b')));
    refused('another id in the body', 400, qr/HAPI-0420/, $good, {resource => obs('b'), request => {method => 'PUT', url => 'Observation/c'}});
    refused('a stale ifMatch', 409, qr/HAPI-0989/, $good, {resource => obs('a1'), request => {method => 'PUT', url => 'Observation/a1', ifMatch => 'W/"1"'}});
    is get($s->url('target') . '/Observation/never')->{status}, 404, 'nothing of a refused transaction is kept';
    is send_to('target', 'POST', '', '{"resourceType":"Bundle",')->{status}, 400, 'a cut body is a 400';
    is send_to('target', 'POST', '', '{"resourceType":"Bundle","type":"searchset"}')->{status}, 400, 'another Bundle is a 400';
    my $answer = send_to('target', 'POST', '', bundle('transaction', put_entry(obs('ext', note => [{extension => [{url => 'u',
        valueReference => {reference => 'Patient/gone'}}]}], contained => [{resourceType => 'Device', id => 'x', patient => {reference => 'Patient/gone'}}]))));
    is $answer->{status}, 200, 'references in extensions and contained resources are not checked';
};

subtest 'batch, POST, conditions' => sub {
    my $answer = send_to('target', 'POST', '', bundle('batch', put_entry(obs('c1')), put_entry(obs('c2', hasMember => [{reference => 'Observation/c1'}])),
        put_entry(obs('c3', hasMember => [{reference => 'Observation/c4'}])), put_entry(obs('c4'))));
    is_deeply [map { $_->{response}{status} } @{$answer->{json}{entry}}], ['201 Created', '201 Created', '400 Bad Request', '201 Created'],
        'a batch takes references backwards, not forwards';
    like $answer->{json}{entry}[2]{response}{outcome}{issue}[0]{diagnostics}, qr/HAPI-1094/, 'with an outcome';
    my $id = [{system => 'urn:s', value => 'Observation/1'}];
    $answer = send_to('medplum', 'POST', '', bundle('batch',
        {resource => {resourceType => 'Observation', identifier => $id}, request => {method => 'PUT', url => 'Observation?identifier=urn%3As%7CObservation%2F1'}},
        {resource => obs('mine'), request => {method => 'PUT', url => 'Observation/mine'}}));
    is_deeply [map { $_->{response}{status} } @{$answer->{json}{entry}}], ['201 Created', '404 Not Found'], 'client ids may be refused';
    my ($key) = $answer->{json}{entry}[0]{response}{location} =~ m{^(.*)/_history/1$};
    like get($s->url('medplum') . "/$key")->{content}, qr/^\{"id":"[0-9a-f]{8}-[0-9a-f-]{27}",/, 'the assigned id is put in';
    $answer = send_to('medplum', 'PUT', '/Observation?identifier=urn%3As%7CObservation%2F1', {resourceType => 'Observation', identifier => $id, status => 'final'});
    is $answer->{headers}{etag}, 'W/"2"', 'a conditional update finds it';
    like $answer->{headers}{location}, qr{\Q$key\E/_history/2$}, 'and says where';
    $answer = send_to('medplum', 'POST', '/Observation', {resourceType => 'Observation'}, 'If-None-Exist' => 'identifier=urn:s|Observation/1');
    is $answer->{status}, 200, 'If-None-Exist finds it too';
    $answer = send_to('medplum', 'POST', '', bundle('transaction',
        {fullUrl => 'urn:uuid:1', resource => {resourceType => 'Patient'}, request => {method => 'POST', url => 'Patient'}},
        {resource => {resourceType => 'Observation', subject => {reference => 'urn:uuid:1'}}, request => {method => 'POST', url => 'Observation'}}));
    my ($patient, $observation) = map { $_->{response}{location} =~ m{^(.*)/_history} } @{$answer->{json}{entry}};
    is get($s->url('medplum') . "/$observation")->{json}{subject}{reference}, $patient, 'urn references in a transaction get the new id';
    is send_to('medplum', 'POST', '', bundle('batch', map { put_entry(obs("n$_")) } 1 .. 4))->{status}, 413, 'SandboxMaxEntries';
    is send_to('medplum', 'POST', '', 'x' x 6000)->{status}, 413, 'SandboxMaxBody';
    $answer = send_to('loose', 'POST', '', bundle('transaction', put_entry(obs('l', subject => {reference => 'Patient/gone'}))));
    is $answer->{json}{entry}[0]{response}{etag}, '1', 'integrity off, bare etag';
};

subtest 'delete' => sub {
    my $url = $s->url('target');
    is send_to('target', 'DELETE', '/Observation/c4')->{status}, 200, 'DELETE';
    is get("$url/Observation/c4")->{status}, 410, 'gone';
    is get("$url/Observation?_id=c4")->{json}{total}, 0, 'not found either';
    is get("$url/Observation/c4/_history/1")->{status}, 200, 'its version is still there';
    refused('a reference to it', 400, qr/HAPI-1096/, put_entry(obs('d', hasMember => [{reference => 'Observation/c4'}])));
    is send_to('target', 'PUT', '/Observation/c4', obs('c4'))->{headers}{etag}, 'W/"3"', 'and it can come back';
};

subtest 'control' => sub {
    my $dump = $s->dump('target');
    is_deeply [@{$dump->{'Observation/a1'}}{qw(version versions deleted)}], [2, 2, 0], 'dump counts versions';
    is decode_json($dump->{'Observation/a1'}{text})->{id}, 'a1', 'and shows the resource';
    is_deeply [keys %{$s->dump('target', type => 'Patient')}], ['Patient/here'], 'dump of a type';
    is $s->load('target', qq({"resourceType":"Patient","id":"more"}\n)), 1, 'load';
    is get($s->url('target') . '/Patient/more')->{status}, 200, 'what was loaded is there';
    $s->reset('target');
    is_deeply [keys %{$s->dump('target')}], ['Patient/here'], 'reset leaves what the configuration loads';
    $s->clear_requests('target');
    get($s->url('target') . '/Patient/here', Accept => 'application/fhir+json');
    get($s->url('target') . '/Patient/not');
    my $requests = $s->requests('target');
    is_deeply [@$requests{qw(total gets inFlight inFlightMax)}, $requests->{statuses}], [2, 2, 0, 1, {200 => 1, 404 => 1}], 'requests are counted';
    is_deeply [@{$requests->{log}[0]}{qw(method url status accept auth)}], ['GET', '/fhir/Patient/here', 200, 'application/fhir+json', 'none'], 'and logged';
    is $requests->{log}[0]{connection}, $requests->{log}[1]{connection}, 'with their connection';
};

my $pid = $s->pid;
$s->stop;
ok !kill(0, $pid), 'stop ends it';
done_testing;
