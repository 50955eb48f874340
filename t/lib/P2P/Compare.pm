# SPDX-License-Identifier: Apache-2.0
# What an exchange has to leave at the target, worked out from the source alone: a mapping of its own, no code shared with the runner.
package P2P::Compare;
use strict;
use warnings;
use Digest::SHA qw(sha256);
use Exporter qw(import);
use JSON::PP ();
use P2P::Json qw(parse text_of value_of at member items copy);
use Time::Local qw(timegm);
our @EXPORT_OK = qw(derive_id);

# ---- Ids ----

# "p2p-" and the base32 of SHA-256 over namespace, LF, Type/id.
sub derive_id {
    my ($namespace, $key) = @_;
    my $bits = unpack 'B*', sha256("$namespace\n$key");
    $bits .= '0' while length($bits) % 5;
    return 'p2p-' . join '', map { ('a' .. 'z', 2 .. 7)[oct "0b$_"] } $bits =~ /(.{5})/g;
}

# ---- One exchange ----

# namespace, endpoint, source_patient, target_patient; bases => further bases of the source; keep => P2PUnresolvedReferences keep;
# follow => how many references are followed (200); loose => { Type/id => 1 } of which only the presence is looked at; assigned => 1: the target has
# given the ids, meta.source tells what is what; mdm => text of the identifier by which MDM links the source's Patient.
sub new {
    my ($class, %opt) = @_;
    my $self = bless { follow => 200, bases => [], %opt, entries => [], cache => {} }, $class;
    $self->{bases} = [$self->{endpoint}, @{ $self->{bases} }];
    return $self;
}

my $RELATIVE = qr{([A-Z][A-Za-z]*)/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?};

# What a reference is: (kind, Type/id).
sub kind_of {
    my ($self, $text) = @_;
    return 'other' if $text eq '' || $text =~ /^#/;
    if ($text =~ m{^https?://}) {
        for my $base (@{ $self->{bases} }) {
            return ('resource', "$1/$2") if $text =~ m{^\Q$base\E/$RELATIVE\z};
        }
        return ('external', $text =~ m{/$RELATIVE\z} ? "$1/$2" : '');
    }
    return 'urn' if $text =~ /^urn:(?:uuid|oid):/;
    return 'conditional' if $text =~ /^[A-Z][A-Za-z]*\?/;
    return ('resource', "$1/$2") if $text =~ m{^$RELATIVE\z};
    return 'other';
}

my %IN_REFERENCE  = map { (qq("$_") => 1, qq("_$_") => 1) } qw(id extension reference type identifier display);
my %IN_ATTACHMENT = map { (qq("$_") => 1, qq("_$_") => 1) } qw(id extension contentType language data url size hash title creation);

sub names_within {
    my ($node, $allowed) = @_;
    for (my $i = 1; $i < @$node; $i += 2) {
        return 0 if !$allowed->{ $node->[$i] };
    }
    return 1;
}

# Which member of an object is a link, if any: 'reference' or 'url'.
sub link_member {
    my ($node, $name) = @_;
    my $reference = member($node, 'reference');
    return 'reference' if defined $reference && !ref $reference && $reference =~ /^"/ && names_within($node, \%IN_REFERENCE);
    my $url = member($node, 'url');
    return 'url' if defined $url && !ref $url && $url =~ /^"/ && names_within($node, \%IN_ATTACHMENT) && $name !~ /^"(?:modifierE|e)xtension"$/;
    return undef;
}

# Calls code with each link of a resource: the object, its member, and whether it lies at the top of subject, patient, beneficiary or for.
sub each_link {
    my ($node, $code, $name, $top) = @_;
    return if !ref $node;
    if ($node->[0] eq '[') {
        each_link($_, $code, $name, $top) for @$node[1 .. $#$node];
        return;
    }
    my $link = defined $name ? link_member($node, $name) : undef;
    $code->($node, $link, $top) if $link;
    for (my $i = 1; $i < @$node; $i += 2) {
        my $inner = !defined $name && $node->[$i] =~ /^"(?:subject|patient|beneficiary|for)"$/ ? $node->[$i] : '';
        each_link($node->[$i + 1], $code, $node->[$i], $inner);
    }
    return;
}

# fullUrl and Type/id of what is nested in a resource: links to them stay.
sub nested {
    my ($node, $found) = @_;
    return if !ref $node;
    my $object = $node->[0] eq '{';
    for (my $i = 1; $i < @$node; $i += $object ? 2 : 1) {
        my $value = $object ? $node->[$i + 1] : $node->[$i];
        if ($object && $node->[$i] eq '"fullUrl"') { $found->{ value_of($value) // '' } = 1 }
        if ($object && $node->[$i] eq '"resource"' && ref $value) {
            my ($type, $id) = map { value_of(member($value, $_)) } qw(resourceType id);
            $found->{"$type/$id"} = 1 if defined $type && defined $id;
        }
        nested($value, $found);
    }
    return $found;
}

# ---- What the source gave ----

# Entries of an answer: {text} and perhaps {full_url}, {mode}. They come in the order of the exchange as far as that matters.
sub add_answer {
    my ($self, $text) = @_;
    my $tree = parse($text);
    my $type = value_of(member($tree, 'resourceType')) // '';
    my $bundle_type = value_of(member($tree, 'type')) // '';
    if ($type ne 'Bundle' || $bundle_type !~ /^(?:searchset|collection|batch-response|history)$/) {
        $self->add_entry($tree);
        return $tree;
    }
    for my $entry (items(member($tree, 'entry'))) {
        my $resource = member($entry, 'resource') or next;
        $self->add_entry($resource, value_of(member($entry, 'fullUrl')), value_of(member(member($entry, 'search'), 'mode')));
    }
    return $tree;
}

sub add_entry {
    my ($self, $tree, $full_url, $mode) = @_;
    my ($type, $id) = map { value_of(member($tree, $_)) } qw(resourceType id);
    $id //= $1 if defined $full_url && $full_url =~ /^urn:uuid:(.+)/;
    my $key = "$type/" . ($id // '');
    if (defined $full_url && $full_url =~ m{^(https?://.+)/\Q$key\E\z}) {
        my $base = $1;
        push @{ $self->{bases} }, $base unless grep { $_ eq $base } @{ $self->{bases} };
    }
    push @{ $self->{entries} }, { tree => $tree, key => $key, type => $type, full_url => $full_url, mode => $mode // '' };
    return;
}

sub updated {
    my ($tree) = @_;
    my $text = value_of(member(member($tree, 'meta'), 'lastUpdated')) // return 0;
    my ($y, $mo, $d, $h, $mi, $s, $ms, $zone) = $text =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)(?:\.(\d+))?(Z|[-+]\d\d:\d\d)$/ or return 0;
    my $time = timegm($s, $mi, $h, $d, $mo - 1, $y) * 1000 + substr(($ms // '') . '000', 0, 3);
    $time -= "${1}1" * ($2 * 60 + $3) * 60_000 if $zone =~ /^([-+])(\d\d):(\d\d)$/;
    return $time;
}

# Is it about another patient than the member?
sub is_foreign {
    my ($self, $entry) = @_;
    my $member = "Patient/$self->{source_patient}";
    return $entry->{key} ne $member if $entry->{type} eq 'Patient';
    my (%own, %other);
    each_link($entry->{tree}, sub {
        my ($node, $name, $top) = @_;
        return if !$top || $name ne 'reference';
        my ($kind, $key) = $self->target_of(value_of(member($node, 'reference')));
        return if $key !~ m{^Patient/};
        if ($key ne $member) { $other{$top} = 1 }
        elsif ($kind eq 'resource') { $own{$top} = 1 }    # elsewhere the same id says nothing
    });
    return scalar grep { !$own{$_} } keys %other;
}

# Where a reference leads: (kind, Type/id); a urn that names an entry is a resource.
sub target_of {
    my ($self, $text) = @_;
    my ($kind, $key) = $self->kind_of($text);
    return ('resource', $self->{urns}{$text}) if $kind eq 'urn' && $self->{urns}{$text};
    return ($kind, $key // '');
}

sub take {
    my ($self, $entry) = @_;
    my $count = $self->{count};
    $count->{retrieved}++;
    if ($entry->{mode} eq 'outcome' || $entry->{type} eq 'OperationOutcome' || $self->is_foreign($entry)) {
        $count->{skipped}++;
        $self->{gone}{ $entry->{key} } = 1;
        return;
    }
    my $old = $self->{arrived}{ $entry->{key} };
    $count->{$old ? 'duplicate' : 'written'}++;
    return if $old && updated($entry->{tree}) <= updated($old->{tree});
    $self->{arrived}{ $entry->{key} } = $entry;
    $self->{later}{ $entry->{key} } = 1 if $old;
    return;
}

# Works out what has to arrive. read => code that gives the text of Type/id at the source, or undef; rejected => { Type/id => 1 } that the target refuses.
sub settle {
    my ($self, %opt) = @_;
    $self->{urns} = { map { $_->{full_url} => $_->{key} } grep { ($_->{full_url} // '') =~ /^urn:/ } @{ $self->{entries} } };
    $self->{count} = { map { $_ => 0 } qw(retrieved written duplicate skipped rejected) };
    @$self{qw(arrived gone later)} = ({}, {}, {});
    $self->take($_) for @{ $self->{entries} };
    $self->follow($opt{read}) if $opt{read};
    for my $key (grep { $self->{arrived}{$_} } keys %{ $opt{rejected} // {} }) {
        delete $self->{arrived}{$key};
        $self->{count}{written}--;
        $self->{count}{rejected}++;
    }
    return $self;
}

# References to what the source did not send with the rest are fetched, once each.
sub follow {
    my ($self, $read) = @_;
    my @look = values %{ $self->{arrived} };
    my %asked;
    while (my $entry = shift @look) {
        my $local = nested($entry->{tree}, {});
        each_link($entry->{tree}, sub {
            my ($node, $name) = @_;
            my $text = value_of(member($node, $name));
            my ($kind, $key) = $self->target_of($text);
            return if $kind ne 'resource' || $local->{$text} || $self->{arrived}{$key} || $self->{gone}{$key} || $asked{$key}++;
            return if $name eq 'reference' && $key eq "Patient/$self->{source_patient}" && !$self->{mdm};
            return if ++$self->{asked} > $self->{follow};
            my $found = $read->($key) // return;
            $self->{followed}++;
            my $made = { tree => parse($found), key => $key, type => (split m{/}, $key)[0], mode => '' };
            $self->take($made);
            push @look, $made if $self->{arrived}{$key};
        });
    }
    return;
}

sub count   { return $_[0]{count} }

# Keys of which a later version came: the first may have been written before.
sub later { return $_[0]{later} }
sub arrived { return sort keys %{ $_[0]{arrived} } }
sub id_of   { my ($self, $key) = @_; return $self->{ids}{$key} //= derive_id($self->{namespace}, $key) }

# Takes the ids from the target where that gave them; sentences of what it has twice.
sub learn_ids {
    my ($self, $dump) = @_;
    return if !$self->{assigned};
    my (%ids, @faults);
    for my $key (grep { !$dump->{$_}{deleted} } sort keys %$dump) {
        my ($source) = $dump->{$key}{text} =~ m{"source":"\Q$self->{endpoint}\E/([A-Z]\w+/[^"]+)"} or next;
        my ($type, $id) = split m{/}, $key;
        push @faults, "$source: at the target as $type/$ids{$source} and as $key" if $ids{$source};
        $ids{$source} = $id;
    }
    @$self{qw(ids cache)} = (\%ids, {});
    return @faults;
}

# Type/id at the target of a source's Type/id.
sub target_key {
    my ($self, $key) = @_;
    return (split m{/}, $key)[0] . '/' . $self->id_of($key);
}

# ---- What it becomes ----

# The tree of a resource with its links as they have to be at the target.
sub with_links {
    my ($self, $tree) = @_;
    my $copy = copy($tree);
    my $local = nested($copy, {});
    each_link($copy, sub { my ($node, $name) = @_; $self->rewrite($node, $name) unless $local->{ value_of(member($node, $name)) } });
    return $copy;
}

sub rewrite {
    my ($self, $node, $name) = @_;
    my $at = at($node, $name);
    my $text = value_of($node->[$at]);
    my ($kind, $key) = $self->target_of($text);
    return if $kind eq 'other';
    if ($kind eq 'resource' && $name eq 'reference' && $key eq "Patient/$self->{source_patient}" && !$self->{mdm}) {
        $node->[$at] = qq("Patient/$self->{target_patient}");
    } elsif ($kind eq 'resource' && $self->{arrived}{$key}) {
        $node->[$at] = '"' . $self->target_key($key) . '"';
    } elsif ($name eq 'reference' && !$self->{keep}) {
        make_logical($self, $node, $at, $kind);
    }
    return;
}

# The reference goes; its URL stays as an identifier where there is none.
sub make_logical {
    my ($self, $node, $at, $kind) = @_;
    my $raw = substr $node->[$at], 1, -1;
    if (defined at($node, 'identifier')) {
        splice @$node, $at - 1, 2;
        return;
    }
    $raw = "$self->{endpoint}/$raw" if $kind eq 'resource' && value_of(qq("$raw")) !~ m{^(?:https?://|urn:)} || $kind eq 'conditional';
    $node->[$at - 1] = '"identifier"';
    $node->[$at] = ['{', '"system"', '"urn:ietf:rfc:3986"', '"value"', qq("$raw")];
    return;
}

# ---- Comparing ----

# R4: types whose identifier may be repeated; those with one.
my %IDENTIFIERS = map { $_ => 2 } qw(Account ActivityDefinition AllergyIntolerance Appointment AppointmentResponse Basic BodyStructure CarePlan CareTeam
    ChargeItem Claim ClaimResponse ClinicalImpression Communication CommunicationRequest Condition Consent Contract Coverage
    CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceRequest DeviceUseStatement DiagnosticReport
    DocumentManifest DocumentReference Encounter Endpoint EnrollmentRequest EnrollmentResponse EpisodeOfCare ExplanationOfBenefit
    FamilyMemberHistory Flag Goal Group GuidanceResponse HealthcareService ImagingStudy Immunization ImmunizationEvaluation
    ImmunizationRecommendation InsurancePlan Invoice Library List Location MeasureReport Media Medication MedicationAdministration
    MedicationDispense MedicationRequest MedicationStatement NutritionOrder Observation Organization OrganizationAffiliation Patient PaymentNotice
    PaymentReconciliation Person PlanDefinition Practitioner PractitionerRole Procedure Questionnaire RelatedPerson RequestGroup ResearchStudy
    ResearchSubject RiskAssessment Schedule ServiceRequest Slot Specimen StructureDefinition Substance SupplyDelivery SupplyRequest Task ValueSet
    VisionPrescription);
$IDENTIFIERS{$_} = 1 for qw(AdverseEvent Bundle Composition ConceptMap QuestionnaireResponse);

# Takes out of the target's tree what the exchange has added, and dies where that is not as it has to be.
sub without_additions {
    my ($self, $entry, $tree) = @_;
    my ($key, $type) = @$entry{qw(key type)};
    drop_value($tree, 'id', '"' . $self->id_of($key) . '"', 'id');
    my $meta = member($tree, 'meta') // die "meta: missing\n";
    die "meta.$_: of the source\n" for grep { defined member($meta, $_) } qw(versionId lastUpdated);
    drop_value($meta, 'source', qq("$self->{endpoint}/$key"), 'meta.source');
    my $own = qq({"system":"$self->{endpoint}","value":"$key"});
    my $had = member($entry->{tree}, 'identifier');
    my $may = $IDENTIFIERS{$type} // 0;
    if ($may == 2) { drop_last($tree, 'identifier', $own) }
    elsif ($may == 1 && !defined $had) { drop_value($tree, 'identifier', $own, 'identifier') }
    if ($type eq 'Patient' && $self->{mdm}) { drop_last($tree, 'identifier', $self->{mdm}) }
    elsif ($type eq 'Patient') { drop_last($tree, 'link', qq({"other":{"reference":"Patient/$self->{target_patient}"},"type":"seealso"})) }
    return $tree;
}

sub drop_value {
    my ($node, $name, $text, $path) = @_;
    my $at = at($node, $name) // die "$path: missing, has to be $text\n";
    my $found = text_of($node->[$at]);
    die "$path: $found, has to be $text\n" if $found ne $text;
    splice @$node, $at - 1, 2;
    return;
}

sub drop_last {
    my ($node, $name, $text) = @_;
    my $list = member($node, $name);
    my $found = ref $list && $list->[0] eq '[' && @$list > 1 ? text_of(pop @$list) : 'none';
    die "$name: its last is $found, has to be $text\n" if $found ne $text;
    return;
}

# Members that may be empty or missing alike once the additions are gone.
sub without_empty {
    my ($tree) = @_;
    for my $name (qw(meta identifier link)) {
        my $at = at($tree, $name);
        splice @$tree, $at - 1, 2 if defined $at && ref $tree->[$at] && @{ $tree->[$at] } == 1;
    }
    return $tree;
}

# The source's tree, as it has to be but for the additions.
sub expected_tree {
    my ($self, $entry) = @_;
    my $tree = $self->with_links($entry->{tree});
    my $at = at($tree, 'id');
    splice @$tree, $at - 1, 2 if defined $at;
    my $meta = member($tree, 'meta');
    for my $name (map { ($_, "_$_") } qw(versionId lastUpdated source)) {
        $at = at($meta, $name);
        splice @$meta, $at - 1, 2 if defined $at;
    }
    return without_empty($tree);
}

# The first difference of two trees: (path, what it is, what it has to be), or nothing.
sub difference {
    my ($is, $has_to_be, $path) = @_;
    if (!ref $is || !ref $has_to_be || $is->[0] ne $has_to_be->[0]) {
        return if !ref $is && !ref $has_to_be && $is eq $has_to_be;
        return ($path, text_of($is), text_of($has_to_be));
    }
    my $object = $is->[0] eq '{';
    for (my $i = 1; $i < @$is || $i < @$has_to_be; $i += $object ? 2 : 1) {
        my @names = map { $i < @$_ ? $_->[$i] : 'nothing' } $is, $has_to_be;
        return ($path, map { ref $_ ? text_of($_) : $_ } @names) if $i >= @$is || $i >= @$has_to_be || ($object && $names[0] ne $names[1]);
        my $inner = $object ? "$path." . value_of($names[0]) : "$path\[" . ($i - 1) . ']';
        my @found = difference($object ? ($is->[$i + 1], $has_to_be->[$i + 1]) : ($is->[$i], $has_to_be->[$i]), $inner);
        return @found if @found;
    }
    return;
}

sub shorten { my ($text) = @_; return length $text > 120 ? substr($text, 0, 117) . '...' : $text }

# Compares one; a sentence, or ''. What was equal once is not looked at again.
sub compare_one {
    my ($self, $key, $text) = @_;
    return '' if defined $self->{cache}{$key} && $self->{cache}{$key} eq $text;
    my $entry = $self->{arrived}{$key};
    my $tree = eval { $self->without_additions($entry, parse($text)) };
    return "$key: " . ($@ =~ s/\n$//r) if !$tree;
    my ($path, $is, $has_to_be) = difference(without_empty($tree), $self->expected_tree($entry), $entry->{type});
    return "$key: $path: " . shorten($is) . ', has to be ' . shorten($has_to_be) if defined $path;
    $self->{cache}{$key} = $text;
    return '';
}

# All that has to be at the target, held against a dump of it; sentences of what is wrong. What it looked at is marked {known}.
sub faults_at {
    my ($self, $dump) = @_;
    my @faults = $self->learn_ids($dump);
    for my $key ($self->arrived) {
        my $there = $dump->{ $self->target_key($key) };
        if (!$there || $there->{deleted}) { push @faults, "$key: not at the target" }
        else {
            $there->{known} = 1;
            my $fault = $self->{loose}{$key} ? '' : $self->compare_one($key, $there->{text});
            push @faults, $fault if $fault;
        }
        last if @faults >= 20;
    }
    return @faults;
}

# ---- Provenance, Task, what else is at the target ----

my $PDEX = 'http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/pdex-provenance';

# Each written resource stands in as many of our Provenances as jobs wrote it, at a version that exists, and nothing else does. owner is the payer's
# Organization/id; jobs how many wrote the same (1); with => further P2P::Compare whose jobs were of the same payer. Sentences of what is wrong.
sub provenance_faults {
    my ($self, $dump, %opt) = @_;
    my (%named, %mine, %times, @faults);
    for my $compare ($self, @{ $opt{with} // [] }) {
        for my $key ($compare->arrived) {
            $mine{ $compare->target_key($key) } = $key;
            $times{ $compare->target_key($key) } += $opt{jobs} // 1;
        }
    }
    for my $key (grep { m{^Provenance/} && !$dump->{$_}{deleted} && !$mine{$_} } sort keys %$dump) {
        next unless index($dump->{$key}{text}, qq("reference":"$opt{owner}")) >= 0;    # of another payer
        $dump->{$key}{known} = 1;
        my $doc = JSON::PP->new->utf8->decode($dump->{$key}{text});
        push @faults, "$key: $_" for provenance_shape($doc);
        for my $target (map { $_->{reference} } @{ $doc->{target} }) {
            my ($at, $version) = $target =~ m{^(\w+/[\w.-]+?)(?:/_history/(\d+))?$};
            $named{ $at // $target }++;
            push @faults, "$key: target $target has no version" if !$opt{unversioned} && !defined $version;
            push @faults, "$key: target $target has a version" if $opt{unversioned} && defined $version;
            my $there = defined $at ? $dump->{$at} : undef;
            push @faults, "$key: target $target is no version of it" if defined $version && ($version < 1 || $version > ($there ? $there->{version} : 0));
        }
    }
    for my $key (sort keys %mine) {
        my $more = ($named{$key} // 0) - $times{$key};
        next if $more == 0 || ($more > 0 && ($self->later->{ $mine{$key} } || $opt{again}{ $mine{$key} }));
        push @faults, "$mine{$key}: named by " . ($named{$key} // 0) . " Provenances, has to be $times{$key}";
    }
    push @faults, map { "$_: named by a Provenance, but not written" } grep { !$mine{$_} } sort keys %named;
    return @faults > 20 ? @faults[0 .. 19] : @faults;
}

sub provenance_shape {
    my ($doc) = @_;
    my @faults;
    push @faults, 'profile' if ($doc->{meta}{profile}[0] // '') ne $PDEX;
    push @faults, 'recorded' if ($doc->{recorded} // '') !~ /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
    push @faults, 'agent' if ($doc->{agent}[0]{type}{coding}[0]{code} // '') ne 'transmitter';
    push @faults, 'entity' if ($doc->{entity}[0]{what}{identifier}{value} // '') !~ /^[0-9a-f]{64}$/;
    push @faults, 'entity.display' if ($doc->{entity}[0]{what}{display} // '') !~ m{^https?://[^?]+$};
    push @faults, 'targets' if !@{ $doc->{target} // [] } || @{ $doc->{target} } > 1000;
    return @faults;
}

# The job's Task at the target: (its content, sentences of what is wrong).
sub task_faults {
    my ($self, $dump, $job, $status) = @_;
    my $there = $dump->{ 'Task/' . (($job->{taskId} // 'none') =~ s{^Task/}{}r) } // return (undef, 'the job\'s Task is not at the target');
    $there->{known} = 1;
    my $doc = JSON::PP->new->utf8->decode($there->{text});
    my @faults;
    push @faults, "Task.status is $doc->{status}" if $doc->{status} ne $status;
    push @faults, "Task.for is $doc->{for}{reference}" if $doc->{for}{reference} ne "Patient/$self->{target_patient}";
    my ($written) = map { $_->{valueInteger} } grep { $_->{type}{coding}[0]{code} eq 'resources-written' } @{ $doc->{output} // [] };
    push @faults, 'Task.output tells ' . ($written // 'nothing') . " written, the job $job->{progress}{written}"
        if $status ne 'in-progress' && ($written // -1) != $job->{progress}{written};
    my $owner = $doc->{owner}{reference} // '';
    if ($dump->{$owner}) { $dump->{$owner}{known} = 1 }
    else { push @faults, "Task.owner $owner is not at the target" }
    return ($doc, @faults);
}

# References of the target that lead nowhere there, versions included. A quick look finds those to look into.
sub dangling {
    my ($dump) = @_;
    my @faults;
    for my $from (grep { !$dump->{$_}{deleted} } sort keys %$dump) {
        my $text = $dump->{$from}{text};
        my $odd = 0;
        $odd ||= !leads($dump, $1) while $text =~ m{"reference"\s*:\s*"([^"#][^"]*)"}g;
        next if !$odd;
        my $tree = parse($text);
        my $local = nested($tree, {});
        each_link($tree, sub {
            my ($node, $name) = @_;
            my $to = value_of(member($node, $name));
            push @faults, "$from: its reference to $to leads nowhere" if $name eq 'reference' && $to !~ /^#/ && !$local->{$to} && !leads($dump, $to);
        });
    }
    return @faults > 20 ? @faults[0 .. 19] : @faults;
}

sub leads {
    my ($dump, $to) = @_;
    my ($key, $version) = $to =~ m{^([A-Z][A-Za-z]*/[A-Za-z0-9.-]+?)(?:/_history/(\d+))?$} or return 0;
    my $there = $dump->{$key};
    return $there && !$there->{deleted} && (!defined $version || $version <= $there->{version});
}

# What is at the target and was never looked at, sources being all known. before: what was there before the exchange.
sub strangers {
    my ($dump, $before) = @_;
    return map { "$_: nobody knows how it came to be at the target" } grep { !$dump->{$_}{known} && !$before->{$_} } sort keys %$dump;
}

# What is expected where pages were fetched again, and so many of what they bring may have been written again.
sub count_again {
    my ($progress, $expected, $again) = @_;
    my $extra = $progress->{retrieved} - $expected->{retrieved};
    my $written = $progress->{written} - $expected->{written};
    return $expected if !$again || $extra < 0 || $written < 0 || $written > $again || $written > $extra;
    return { %$expected, retrieved => $progress->{retrieved}, written => $progress->{written}, duplicate => $expected->{duplicate} + $extra - $written };
}

# The accounts of a job. So many of what came twice may count as written instead, where a later version came after the first had gone in.
sub account_faults {
    my ($job, $expected, $twice, $again) = @_;
    my $progress = $job->{progress} // return 'the job has no progress';
    my $sum = 0;
    $sum += $progress->{$_} for qw(written duplicate skipped rejected waiting);
    my @faults;
    push @faults, "retrieved is $progress->{retrieved}, the sum $sum" if $progress->{retrieved} != $sum;
    push @faults, "waiting is $progress->{waiting} at the end" if $progress->{waiting} != 0;
    $expected = count_again($progress, $expected, $again) if $expected;
    my $more = $expected ? $progress->{written} - $expected->{written} : 0;
    $expected = { %$expected, written => $expected->{written} + $more, duplicate => $expected->{duplicate} - $more } if $more > 0 && $more <= ($twice // 0);
    push @faults, map { "$_ is $progress->{$_}, has to be $expected->{$_}" } grep { $progress->{$_} != $expected->{$_} } sort keys %{ $expected // {} };
    return @faults;
}

1;
