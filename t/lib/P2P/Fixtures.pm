# SPDX-License-Identifier: Apache-2.0
# Members for exchanges: Synthea's, and generated ones for what Synthea lacks.
package P2P::Fixtures;
use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
our @EXPORT = qw(data_dir synthea_members synthea_member write_data forms_member recorded_member inside_member tangled_member);

sub data_dir { return abs_path(dirname(__FILE__) . '/../../data') }

# Synthea's members: { name, file, patient (id) }, sorted by file.
sub synthea_members {
    my @files = sort glob data_dir() . '/synthea-r4/*.json.gz';
    my @members;
    for my $file (grep { !m{/practitionerInformation} } @files) {
        gunzip($file => \my $text) or die "$file: $GunzipError\n";
        my ($id) = $text =~ /"resourceType"\s*:\s*"Patient"\s*,\s*"id"\s*:\s*"([^"]+)"/ or die "$file: no Patient\n";
        my $name = 'm' . (@members + 1);
        push @members, { name => $name, file => $file, patient => $id };
    }
    return @members;
}

# The one whose file begins so.
sub synthea_member {
    my ($begin) = @_;
    my ($member) = grep { dirname($_->{file}) . "/$begin" eq substr $_->{file}, 0, length(dirname $_->{file}) + 1 + length $begin } synthea_members();
    return $member // die "no Synthea member $begin\n";
}

# Writes a file of data that httpd's children may read.
sub write_data {
    my ($path, $text) = @_;
    open my $out, '>:raw', $path or die "$path: $!\n";
    print {$out} $text;
    close $out or die "$path: $!\n";
    return $path;
}

# ---- Forms ----

my $ELSEWHERE = 'https://elsewhere.example/fhir';

# Every form of reference: relative, versioned, absolute, conditional, to nothing, and those that have to stay.
sub references {
    my ($endpoint, $implementation) = @_;
    return map { s/\n\s*//gr } (
        qq({"resourceType":"Patient","id":"m1","generalPractitioner":[{"reference":"Practitioner/dr"}],"link":[{"other":{"reference":"Patient/m2"},"type":"seealso"}],"_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}}),
        qq({"resourceType":"Practitioner","id":"dr","identifier":[{"system":"urn:npi","value":"77"}],"name":[{"family":"Ng"}]}),
        qq({"resourceType":"Organization","id":"org","identifier":[]}),
        qq({"resourceType":"Observation","id":"relative","subject":{"reference":"Patient/m1"},"performer":[{"reference":"Practitioner/dr","display":"Dr. Ng"}]}),
        qq({"resourceType":"Observation","id":"versioned","subject":{"reference":"Patient/m1/_history/3"},"performer":[{"reference":"Practitioner/dr/_history/12"},{"reference":"$endpoint/Practitioner/dr/_history/2"}]}),
        qq({"resourceType":"Observation","id":"absolute","subject":{"reference":"$endpoint/Patient/m1"},"performer":[{"reference":"$endpoint/Practitioner/dr"},{"type":"Practitioner","reference":"$implementation/Practitioner/dr"}],"encounter":{"reference":"$implementation/Encounter/e1"}}),
        qq({"resourceType":"Encounter","id":"e1","subject":{"reference":"$implementation/Patient/m1"},"status":"finished"}),
        qq({"resourceType":"Observation","id":"slashes","subject":{"reference":"Patient\\/m1"},"performer":[{"reference":"Practitioner\\/dr"},{"reference":"\\u0050ractitioner/dr"}]}),
        qq({"resourceType":"Observation","id":"elsewhere","subject":{"reference":"Patient/m1"},"performer":[{"reference":"$ELSEWHERE/Practitioner/dr","display":"Dr. Who"}]}),
        qq({"resourceType":"Observation","id":"conditional","subject":{"reference":"Patient/m1"},"performer":[{"reference":"Practitioner?identifier=urn:npi|77"},{"reference":"Practitioner?identifier=77","display":"d"}]}),
        qq({"resourceType":"Observation","id":"to-nothing","subject":{"reference":"Patient/m1"},"performer":[{"reference":"Practitioner/ghost"},{"display":"first","reference":"Practitioner/ghost"},{"reference":"Practitioner/ghost","identifier":{"system":"urn:npi","value":"88"}},
            {"identifier":{"value":"1"},"reference":"Practitioner/ghost","display":"between"},{"identifier":{"value":"2"} , "reference":"Practitioner/ghost"}],"hasMember":[{"reference":"urn:uuid:00000000-0000-4000-8000-000000000000"}]}),
        qq({"resourceType":"Observation","id":"logical","subject":{"reference":"Patient/m1"},"performer":[{"identifier":{"system":"urn:npi","value":"77"},"type":"Practitioner"},{"display":"a name only"}]}),
        qq({"resourceType":"Observation","id":"self","subject":{"reference":"Patient/m1"},"hasMember":[{"reference":"Observation/self"}]}),
        qq({"resourceType":"Observation","id":"to-foreign","subject":{"reference":"Patient/m1"},"hasMember":[{"reference":"Observation/foreign"}]}),
        qq({"resourceType":"Observation","id":"foreign","subject":{"reference":"Patient/m2"}}),
        qq({"resourceType":"Patient","id":"m2"}),
        qq({"resourceType":"Provenance","id":"p1","target":[{"reference":"Observation/relative/_history/1"},{"reference":"Patient/m1"}],"recorded":"2020-01-01T00:00:00Z","agent":[{"who":{"reference":"Organization/org"}}]}),
        qq({"resourceType":"Group","id":"g1","member":[{"entity":{"reference":"Patient/m1"}}]}),
        qq({"resourceType":"RelatedPerson","id":"rp","patient":{"reference":"Patient/m1"}}),
        qq({"resourceType":"Coverage","id":"cov","beneficiary":{"reference":"Patient/m1"},"payor":[{"reference":"Organization/org"}],"subscriber":{"reference":"RelatedPerson/rp"}}),
        qq({"resourceType":"Task","id":"t1","for":{"reference":"Patient/m1"},"focus":{"reference":"Coverage/cov"}}),
    );
}

# Contained resources, extensions, nested Bundles, members that are only called like references.
sub structures {
    my ($endpoint) = @_;
    return map { s/\n\s*//gr } (
        qq({"resourceType":"Claim","id":"contained","patient":{"reference":"Patient/m1"},"contained":[{"resourceType":"Coverage","id":"c","beneficiary":{"reference":"Patient/m1"},"payor":[{"reference":"#o"}]},
            {"resourceType":"Organization","id":"o","endpoint":[{"reference":"#"}],"partOf":{"reference":"Organization/org"}}],"insurance":[{"coverage":{"reference":"#c"}}]}),
        qq({"resourceType":"Observation","id":"extensions","subject":{"reference":"Patient/m1","_reference":{"extension":[{"url":"u","valueString":"x"}]}},"_status":{"id":"s","extension":[{"url":"http://x.example/e","valueReference":{"reference":"Practitioner/dr"}}]},
            "status":"final","extension":[{"url":"Practitioner/dr"},{"url":"http://x.example/nest","extension":[{"url":"inner","valueUri":"Practitioner/dr"}]}],"modifierExtension":[{"url":"$endpoint/Practitioner/dr"}],
            "_note":[null,{"extension":[{"url":"n","valueBoolean":true}]}]}),
        qq({"resourceType":"Basic","id":"called-so","subject":{"reference":"Patient/m1"},"extension":[{"url":"http://x.example/reference","reference":"Practitioner/dr"},
            {"url":"http://x.example/attachment","valueAttachment":{"url":"Binary/b1","odd":1}}],"reference":5,"instantiatesCanonical":["Practitioner/dr"],"text":{"status":"generated","div":"<div>Patient/m1 <a href=\\"Practitioner/dr\\">x</a></div>"},
            "deep":[{"extension":[{"url":"a","valueReference":{"reference":"Practitioner/dr","other":1}}]}]}),
        qq({"resourceType":"DocumentReference","id":"attachments","subject":{"reference":"Patient/m1"},"content":[{"attachment":{"contentType":"application/pdf","url":"Binary/b1","title":"relative"}},{"attachment":{"url":"$endpoint/Binary/b2"}},
            {"attachment":{"url":"Binary/b1/_history/4"}},{"attachment":{"url":"$ELSEWHERE/Binary/b1"}},{"attachment":{"url":"http://files.example/x.pdf"}},{"attachment":{"url":"Binary/gone"}},{"attachment":{"data":"aGVsbG8="}},{"attachment":{"url":"mailto:x\@y.example"}}]}),
        qq({"resourceType":"DocumentReference","id":"behind-nothing","subject":{"reference":"Patient/m1"},"content":[{"attachment":{"url":"Binary/gone-too"}},{"attachment":{"url":"Binary/b3"}}]}),
        qq({"resourceType":"Binary","id":"b1","contentType":"application/pdf","securityContext":{"reference":"Patient/m1"},"data":"aGVsbG8="}),
        qq({"resourceType":"Bundle","id":"doc","type":"document","identifier":{"system":"s","value":"v"},"entry":[{"fullUrl":"urn:uuid:11111111-0000-4000-8000-000000000001","resource":{"resourceType":"Composition","id":"inner","subject":{"reference":"Patient/m1"},
            "author":[{"reference":"Practitioner/inner-dr"},{"reference":"urn:uuid:11111111-0000-4000-8000-000000000002"},{"reference":"Practitioner/dr"}]}},{"fullUrl":"urn:uuid:11111111-0000-4000-8000-000000000002",
            "resource":{"resourceType":"Practitioner","id":"inner-dr"}},{"fullUrl":"http://inside.example/Patient/m1","resource":{"resourceType":"Patient","id":"m1"}}]}),
        qq({"resourceType":"Bundle","id":"doc-empty","type":"document","entry":[{"resource":{"resourceType":"Observation","subject":{"reference":"Practitioner/dr"}}}]}),
        qq({"resourceType":"Composition","id":"comp","subject":{"reference":"Patient/m1"},"section":[{"entry":[{"reference":"Observation/relative"}]}]}),
        qq({"resourceType":"Composition","id":"comp-own","identifier":{"value":"mine"},"subject":{"reference":"Patient/m1"}}),
        qq({"resourceType":"QuestionnaireResponse","id":"qr","subject":{"reference":"Patient/m1"},"item":[{"linkId":"1","answer":[{"valueReference":{"reference":"Observation/relative"}},{"valueAttachment":{"url":"Binary/b1"}}]}]}),
        qq({"resourceType":"List","id":"to-binary","subject":{"reference":"Patient/m1"},"entry":[{"item":{"reference":"Bundle/doc"}},{"item":{"reference":"Bundle/doc-empty"}},{"item":{"reference":"Binary/b1"}}]}),
    );
}

# Numbers, strings and blanks that have to come through as they are; odd places of id and meta.
sub values_of_all_kinds {
    my @escapes = ('\\"', '\\\\', '\\/', '\\b', '\\f', '\\n', '\\r', '\\t', '\\u0001', '\\u00e9', '\\u00E9', '\\ud83d\\ude00', "\xc3\xa9", "\xf0\x9f\x98\x80", "\x7f", "\xe2\x80\xa8");
    my $all = join '', @escapes;
    my @numbers = qw(1.50 1.0 0 -0 0.0 1E2 1e+2 1.5e-10 12345678901234567890 -12345678901234567890 123456789012345678901234567890 0.10000000000000000000001 1e400
        9007199254740993 100.00 -1.10);
    my $n = 0;
    return (
        map({ $n++; qq({"resourceType":"Observation","id":"number-$n","subject":{"reference":"Patient/m1"},"valueQuantity":{"value":$_},"component":[{"valueInteger":$_}]}) } @numbers),
        map({ $n++; qq({"resourceType":"Observation","id":"escape-$n","subject":{"reference":"Patient/m1"},"valueString":"<$_>","note":[{"text":"$_"}]}) } @escapes, $all),
        qq({"resourceType":"Observation","id":"odd-names","subject":{"reference":"Patient/m1"},"a b":1,"\xc3\xa9":[],"":{"x":"$all"}}),
        qq( {\t"resourceType" :"Observation" ,  "id"\t: "blanks" , "subject" : { "reference" : "Patient/m1" } , "meta" : { } , "identifier" : [ ] , "performer" : [ { "reference" : "Practitioner/ghost" } , { } ] } ),
        qq({"subject":{"reference":"Patient/m1"},"status":"final","id":"type-last","resourceType":"Observation"}),
        qq({"meta":{"versionId":"1","lastUpdated":"2020-01-01T00:00:00Z"},"id":"meta-first","resourceType":"Observation","subject":{"reference":"Patient/m1"}}),
        qq({"resourceType":"Observation","id":"meta-profile","meta":{"lastUpdated":"2020-01-01T00:00:00Z","profile":["http://p.example/p|1.0"],"versionId":"77","tag":[{"code":"t"}],"_lastUpdated":{"id":"x"}},"subject":{"reference":"Patient/m1"}}),
        qq({"resourceType":"Observation","id":"meta-source","meta":{"source":"http://older.example/#1","profile":["http://p.example/p"]},"subject":{"reference":"Patient/m1"}}),
        qq({"resourceType":"Observation","id":"meta-end","meta":{"profile":[],"source":"x","versionId":"3"},"subject":{"reference":"Patient/m1"}}),
        qq({"resourceType":"Observation","id":"identified","identifier":[{"system":"s","value":"1"},{"value":"2"}],"subject":{"reference":"Patient/m1"}}),
        qq({"resourceType":"Observation","id":"A-z.0-9","subject":{"reference":"Patient/m1"}}),
        qq({"resourceType":"Observation","id":"@{['x' x 64]}","subject":{"reference":"Patient/m1"}}),
        qq({"resourceType":"Observation","id":"empty","subject":{"reference":"Patient/m1"},"x":{},"y":[],"z":"","n":null,"t":true,"f":false,"a":[[],[[1]],{}]}),
        qq({"resourceType":"Flag","id":"large","subject":{"reference":"Patient/m1"},"text":{"div":"@{['abcdefghij ' x 200_000]}"}}),
        qq({"resourceType":"FancyThing","id":"of-tomorrow","subject":{"reference":"Patient/m1"}}),
    );
}

# A member with everything that Synthea lacks, as lines for P2P::Sandbox's load; what endpoint and implementation are must be known. b2 and b3 are
# at the source, but not in the answer to $everything.
sub forms_member {
    my ($endpoint, $implementation) = @_;
    my @lines = (references($endpoint, $implementation), structures($endpoint), values_of_all_kinds());
    my $aside = join '', map { qq({"resourceType":"Binary","id":"$_","contentType":"text/plain","data":"YmI="}\n) } 'b2', 'b3';
    return { patient => 'm1', lines => join('', map { "$_\n" } @lines), aside => $aside };
}

# A recorded answer: bases in fullUrl, urns, what comes twice, other people's data, outcomes, what has no id.
sub recorded_member {
    my $base = 'http://old.example/fhir';
    my $uuid = 'bbbbbbbb-0000-4000-8000-0000000000';
    my $entry = sub { my ($full_url, $resource, $mode) = @_; return '{' . (defined $full_url ? qq("fullUrl":"$full_url",) : '') . qq("resource":$resource) . ($mode ? qq(,"search":{"mode":"$mode"}}) : '}') };
    my $plain = sub { my ($type, $id, $more, $mode) = @_; return $entry->("$base/$type/$id", qq({"resourceType":"$type","id":"$id"$more}), $mode) };
    my $of = sub { my ($who) = @_; return qq(,"subject":{"reference":"$who"}) };
    my @entries = (
        $plain->('Patient', 'k1', ',"active":true', 'match'),
        $plain->('Observation', 'by-base', $of->("$base/Patient/k1") . qq(,"performer":[{"reference":"$base/Practitioner/d/_history/2"}]), 'match'),
        $plain->('Practitioner', 'd', '', 'include'),
        $entry->(undef, '{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"processing"}]}', 'outcome'),
        $entry->(undef, '{"resourceType":"OperationOutcome","id":"oo","issue":[]}'),
        # twice: the same, the later one last, the later one first, without times
        $plain->('Observation', 'same', $of->('Patient/k1') . ',"meta":{"lastUpdated":"2020-01-01T00:00:00Z"}'),
        $plain->('Observation', 'later-last', $of->('Patient/k1') . ',"status":"preliminary","meta":{"lastUpdated":"2020-01-01T00:00:00.000Z"}'),
        $plain->('Observation', 'later-first', $of->('Patient/k1') . ',"status":"final","meta":{"lastUpdated":"2020-01-02T00:30:00+01:00"}'),
        $plain->('Observation', 'timeless', $of->('Patient/k1') . ',"status":"final"'),
        $plain->('Observation', 'same', $of->('Patient/k1') . ',"meta":{"lastUpdated":"2020-01-01T00:00:00Z"}'),
        $plain->('Observation', 'later-last', $of->('Patient/k1') . ',"status":"amended","meta":{"lastUpdated":"2020-01-01T00:00:00.001Z"}'),
        $plain->('Observation', 'later-first', $of->('Patient/k1') . ',"status":"preliminary","meta":{"lastUpdated":"2020-01-01T23:00:00Z"}'),
        $plain->('Observation', 'timeless', $of->('Patient/k1') . ',"status":"final"'),
        # other people's
        $plain->('Patient', 'k2', ''),
        map({ $plain->('Observation', "foreign-$_->[0]", $of->($_->[1])) } ['relative', 'Patient/k2'], ['absolute', "$base/Patient/k2"], ['elsewhere', 'https://elsewhere.example/fhir/Patient/k9'], ['versioned', 'Patient/k2/_history/1']),
        $plain->('Coverage', 'foreign', ',"beneficiary":{"reference":"Patient/k2"}'),
        $plain->('Task', 'foreign', ',"for":{"reference":"Patient/k2"}'),
        $plain->('AllergyIntolerance', 'foreign', ',"patient":{"reference":"Patient/k2"}'),
        $plain->('Observation', 'performer-only', $of->('Patient/k1') . ',"performer":[{"reference":"Patient/k2"}]'),
        $plain->('Observation', 'same-id-elsewhere', $of->('https://elsewhere.example/fhir/Patient/k1')),
        $plain->('Observation', 'refers-to-foreign', $of->('Patient/k1') . ',"hasMember":[{"reference":"Observation/foreign-relative"}]'),
        # by urn
        $entry->("urn:uuid:${uuid}01", '{"resourceType":"Condition","id":"named"' . $of->('Patient/k1') . '}'),
        $entry->("urn:uuid:${uuid}02", '{"resourceType":"Condition","status":"x"' . $of->('Patient/k1') . qq(,"evidence":[{"detail":[{"reference":"urn:uuid:${uuid}01"},{"reference":"urn:uuid:${uuid}03"},{"reference":"urn:uuid:${uuid}99"}]}]}) ),
        $entry->("urn:uuid:${uuid}03", '{"resourceType":"Condition","id":"later"' . $of->('Patient/k1') . qq(,"evidence":[{"detail":[{"reference":"urn:uuid:${uuid}02"}]}]}) ),
        $entry->("urn:uuid:${uuid}04", '{"resourceType":"Patient","id":"k3"}'),
        $entry->("urn:uuid:${uuid}05", '{"resourceType":"Observation","id":"foreign-urn"' . $of->("urn:uuid:${uuid}04") . '}'),
        $entry->(undef, '{"resourceType":"Observation","id":"no-url"' . $of->('Patient/k1') . '}'),
    );
    return { patient => 'k1', text => '{"resourceType":"Bundle","type":"searchset","entry":[' . join(",\n", @entries) . ']}' };
}

# A recorded answer of a server behind a proxy: it refers to its own resources under its name inside, which only the fullUrl of one late entry shows.
sub inside_member {
    my $base = 'http://internal.example:8080/fhir';
    my $of = sub { my ($id, $more) = @_; return qq({"resource":{"resourceType":"Observation","id":"$id","subject":{"reference":"$base/Patient/i1"}$more}}) };
    my @entries = (
        '{"resource":{"resourceType":"Patient","id":"i1"}}',
        $of->('inside', qq(,"performer":[{"reference":"$base/Practitioner/d"},{"reference":"$base/Practitioner/d/_history/2","identifier":{"value":"d"}}])),
        $of->('inside-and-elsewhere', qq(,"performer":[{"reference":"$ELSEWHERE/Practitioner/d"},{"reference":"http:\\/\\/internal.example:8080\\/fhir\\/Practitioner\\/d"}])),
        $of->('refers-on', qq(,"hasMember":[{"reference":"Observation/inside"},{"reference":"$base/Observation/round"},{"reference":"$base/Observation/never"}])),
        $of->('round', qq(,"hasMember":[{"reference":"$base/Observation/refers-on"}])),
        qq({"resource":{"resourceType":"DocumentReference","id":"file","subject":{"reference":"$base/Patient/i1"},"content":[{"attachment":{"url":"$base/Binary/b"}},{"attachment":{"url":"$ELSEWHERE/Binary/b"}}]}}),
        qq({"resource":{"resourceType":"Observation","id":"foreign","subject":{"reference":"$base/Patient/i2"}}}),
        qq({"resource":{"resourceType":"Observation","id":"same-id-elsewhere","subject":{"reference":"$ELSEWHERE/Patient/i1"}}}),
        map({ $of->("plain-$_", '') } 1 .. 9),
        '{"resource":{"resourceType":"Binary","id":"b","contentType":"text/plain","data":"YmI="}}',
        qq({"fullUrl":"$base/Practitioner/d","resource":{"resourceType":"Practitioner","id":"d"}}),
    );
    return { patient => 'i1', text => '{"resourceType":"Bundle","type":"searchset","entry":[' . join(",\n", @entries) . ']}' };
}

# What goes at once, then chains and circles: what has to wait, and what has to go together. In file order each link of the chain comes before what it refers to.
sub tangled_member {
    my ($chain, $circle, $patient) = (@_, 'w1');
    my $to = sub { my ($id, @to) = @_; return qq({"resourceType":"Observation","id":"$id","subject":{"reference":"Patient/$patient"},"hasMember":[) . join(',', map { qq({"reference":"Observation/$_"}) } @to) . ']}' };
    my @lines = (
        qq({"resourceType":"Patient","id":"$patient"}),
        map({ $to->("plain-$_") } 1 .. 40),
        map({ $to->("chain-$_", $_ < $chain ? 'chain-' . ($_ + 1) : ()) } 1 .. $chain),
        map({ $to->("circle-$_", 'circle-' . ($_ % $circle + 1)) } 1 .. $circle),
        $to->('pair-1', 'pair-2'), $to->('pair-2', 'pair-1'), $to->('alone', 'alone'),
        map({ $to->("tree-$_", map { "tree-$_" } grep { $_ <= 60 } 2 * $_, 2 * $_ + 1) } 1 .. 60),
        $to->('eight', 'left-1', 'right-1'), $to->('left-1', 'left-2'), $to->('left-2', 'eight'), $to->('right-1', 'right-2'), $to->('right-2', 'eight', 'chain-1'),
    );
    return { patient => $patient, lines => join('', map { "$_\n" } @lines) };
}

1;
