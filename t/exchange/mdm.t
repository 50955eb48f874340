#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# P2PMdmIdentifier: the source's Patient is stored with the identifier by which MDM links it, and is the one that its data refer to. And what else an
# exchange leaves beside the data: versions in Provenance or none, received Provenance with new targets, an Organization in step with its definition.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use Test::More;

my $SYSTEM = 'https://target.example/member-number';
my $MB = '{"use":"usual","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MB","display":"Member Number"}],"text":"Member Number"},"system":"' . $SYSTEM . '","value":"M-1.50"}';
my $PATIENT = 'the-member-of-the-source';

sub record {
    my $subject = qq("subject":{"reference":"Patient/$PATIENT"});
    return join '', map { "$_\n" } (
        qq({"resourceType":"Patient","id":"$PATIENT","identifier":[{"system":"urn:source","value":"1"}],"link":[{"other":{"reference":"RelatedPerson/r"},"type":"seealso"}]}),
        qq({"resourceType":"RelatedPerson","id":"r","patient":{"reference":"Patient/$PATIENT"}}),
        qq({"resourceType":"Encounter","id":"e","status":"finished","class":{"code":"AMB"},$subject}),
        qq({"resourceType":"Observation","id":"o","status":"final",$subject,"encounter":{"reference":"Encounter/e"}}),
        qq({"resourceType":"Provenance","id":"p","target":[{"reference":"Observation/o"},{"reference":"Patient/$PATIENT"}],"recorded":"2020-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}),
    );
}

my $sandbox = P2P::Exchange::sandbox({ name => 'source' }, { name => 'target', role => 'target' });
$sandbox->load('source', record());

sub start {
    my (%directives) = @_;
    $sandbox->reset('target');
    $sandbox->set('target', clientIds => ($directives{P2PResourceIds} // '') eq 'conditional' ? 0 : 1);
    my $x = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['source'], directives => \%directives);
    return $x;
}

# The target's Patient has identifiers of several systems and types, an old one among them.
sub add_member {
    my ($x, @identifiers) = @_;
    $x->{before}{'Patient/member'} = 1;
    $sandbox->load('target', '{"resourceType":"Patient","id":"member","identifier":[' . join(',', @identifiers) . "]}\n");
    return;
}

my @OTHERS = ('{"system":"urn:other","value":"1"}', qq({"use":"old","type":{"coding":[{"code":"MB"}]},"system":"$SYSTEM","value":"M-0"}),
    qq({"type":{"coding":[{"code":"MR"}]},"system":"$SYSTEM","value":"R"}), qq({"system":"$SYSTEM"}));

sub ok_linked {
    my ($name, %directives) = @_;
    my $x = start(%directives);
    add_member($x, @OTHERS, $MB);
    my $job = $x->exchange('source', $PATIENT, 'member', no_patient => 1);
    my $compare = $x->expect('source', $PATIENT, 'member', mdm => $MB);
    my $dump = $x->target_dump;
    $x->ok_exchange($job, $compare, $name, dump => $dump);
    $x->ok_target($dump, $name);
    my $own = $compare->target_key("Patient/$PATIENT");
    like($dump->{ $compare->target_key('Observation/o') }{text}, qr{"subject":\{"reference":"\Q$own\E"\}}, "$name: data refer to the source's Patient, $own");
    like($dump->{ $compare->target_key('Provenance/p') }{text}, qr{"target":\[\{"reference":"Observation/[^"]+"\},\{"reference":"\Q$own\E"\}\]}, "$name: received Provenance has new targets");
    my $task = JSON::PP->new->decode($dump->{"Task/$job->{taskId}"}{text});
    is($task->{for}{reference}, 'Patient/member', "$name: the Task is for the target's Patient");
    is($dump->{'Patient/member'}{version}, 1, "$name: which was never written");
    $x->stop;
    return;
}

sub ok_without {
    my ($name, $directive, @identifiers) = @_;
    my $x = start(P2PMdmIdentifier => $directive);
    add_member($x, @identifiers);
    $sandbox->clear_requests('source');
    my $job = $x->exchange('source', $PATIENT, 'member', no_patient => 1);
    $x->ok_failed($job, 'no-mdm-identifier', qr/P2PMdmIdentifier.*nothing was retrieved/, $name);
    is($sandbox->requests('source')->{total}, 0, "$name: the source was not asked");
    $x->stop;
    return;
}

ok_linked('system and type', P2PMdmIdentifier => "$SYSTEM MB");
ok_linked('a type with its system', P2PMdmIdentifier => "$SYSTEM http://terminology.hl7.org/CodeSystem/v2-0203|MB");
ok_linked('ids of the target', P2PMdmIdentifier => "$SYSTEM MB", P2PResourceIds => 'conditional');
ok_without('no such system', 'https://nobody.example MB', $MB);
ok_without('no such type', "$SYSTEM MB", @OTHERS);
ok_without('a type of another system', "$SYSTEM urn:other|MB", $MB);
ok_without('no identifiers', $SYSTEM);

# Without versions.
my $x = start(P2PVersionedReferences => 'Off');
my $job = $x->exchange('source', $PATIENT, 'member');
my $compare = $x->expect('source', $PATIENT, 'member');
$x->ok_exchange($job, $compare, 'versions off', unversioned => 1);

# The definition's name changes: so does the Organization, at the next job, and there is one.
sub payers { my ($dump) = @_; return grep { m{^Organization/} && $dump->{$_}{text} =~ m{"value":"https://source\.example/issuer"} } sort keys %$dump }
sub ok_in_step {
    my ($x, $name) = @_;
    my ($payer, @more) = payers($x->target_dump);
    is("@more", '', "$name: one Organization for the definition");
    run_sql($x->{db}, q{UPDATE p2p_oidc_server SET name = 'Another Name', organization_id = 'another-id', version = version + 1});
    is($x->exchange('source', $PATIENT, 'member')->{batchStatus}, 'COMPLETED', "$name: the next job");
    my $dump = $x->target_dump;
    is(join(' ', payers($dump)), $payer, "$name: the same Organization");
    like($dump->{$payer}{text}, qr{"value":"another-id".*"name":"Another Name"}, "$name: with the new name and id");
    return;
}
ok_in_step($x, 'ids of ours');
$x->stop;
$x = start(P2PResourceIds => 'conditional');
$job = $x->exchange('source', $PATIENT, 'member');
ok_in_step($x, 'ids of the target');
$x->stop;

done_testing;
