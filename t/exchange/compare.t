#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The comparison itself: it finds each kind of change in what really arrived.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Compare qw(derive_id);
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Json qw(parse text_of value_of);
use Test::More;

is(derive_id('https://payer-a.example/issuer', 'Patient/123'), 'p2p-7q36xx6wllcqgdk37mofhxiv5sqsbvld7jumjfq6rnn4xis5uy3q', 'a derived id');
is(derive_id('https://payer-a.example/issuer', 'Observation/3f9a-B.7'), 'p2p-rvtbxneoewfitvse22425hzqfghyhbk7wylwe2o5xjvo3lb6ly2a', '... and another');
is(text_of(parse(' { "a" : [ 1.50 , -0, 1E2, "\u00e9\/", {}, [] ], "b":null } ')), '{"a":[1.50,-0,1E2,"\u00e9\/",{},[]],"b":null}', 'tokens stay as they are');
is(value_of('"a\u00e9\ud83d\ude00\/\\\\n\""'), "a\xc3\xa9\xf0\x9f\x98\x80/\\n\"", 'escapes are understood');
for my $bad ('{', '[1,]', '01', qq("a\tb"), '{"a" 1}', '[1 2]', '1.', '"\x"', '{"a":1}}', '') {
    local $SIG{__WARN__} = sub { };
    ok(!eval { parse($bad); 1 }, "no JSON: $bad");
}

my $IMPLEMENTATION = 'https://api.forms.example/fhir';
my $sandbox = P2P::Exchange::sandbox({ name => 'source', directives => ["SandboxImplementationUrl $IMPLEMENTATION"] }, { name => 'target', role => 'target' });
my $forms = forms_member($sandbox->url('source'), $IMPLEMENTATION);
$sandbox->load('source', $forms->{$_}) for qw(lines aside);
my $x = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['source']);
my $job = $x->exchange('source', 'm1', 'member');
my $compare = $x->expect('source', 'm1', 'member', implementation => $IMPLEMENTATION);

# All that is found in a dump.
sub faults {
    my ($dump) = @_;
    delete $_->{known} for values %$dump;
    my ($task, @faults) = $compare->task_faults($dump, $job, 'completed');
    push @faults, $compare->faults_at($dump), $compare->provenance_faults($dump, owner => $task ? $task->{owner}{reference} : 'none'), P2P::Compare::dangling($dump),
        P2P::Compare::strangers($dump, { 'Patient/member' => 1 });
    return join "\n", @faults;
}

is(faults($x->target_dump), '', 'nothing is wrong with what arrived');

# Changes one resource of a copy of the target by code and expects a fault that matches.
sub finds {
    my ($name, $key, $code, $like) = @_;
    my $dump = $x->target_dump;
    my %arrived = map { $compare->target_key($_) => 1 } $compare->arrived;
    my ($at) = $key =~ m{/} ? $compare->target_key($key) : grep { m{^$key/} && !$arrived{$_} } sort keys %$dump;
    my $before = $dump->{$at}{text};
    local $_ = $before;
    $code->();
    isnt($_, $before, "$name: a change");
    $dump->{$at}{text} = $_;
    like(faults($dump), $like, "$name: found");
    return;
}

finds('a decimal', 'Observation/number-1', sub { s/1\.50/1.5/ }, qr{valueQuantity\.value: 1\.5, has to be 1\.50});
finds('a long integer', 'Observation/number-9', sub { s/12345678901234567890/12345678901234567000/ }, qr{has to be 12345678901234567890});
finds('an escape', 'Observation/slashes', sub { s/$/ /; s/"resourceType"/"resource\\u0054ype"/ }, qr{resource});
finds('the order of members', 'Observation/identified', sub { s/("identifier":\[.*?\}\]),("subject":\{.*?\})/$2,$1/ or die $_ }, qr{Observation/identified});
finds('a member more', 'Observation/relative', sub { s/\}$/,"x":1}/ }, qr{Observation/relative});
finds('a member less', 'Observation/extensions', sub { s/,"_note":.*\}$/}/ }, qr{Observation/extensions});
finds('another id', 'Observation/relative', sub { s/"id":"p2p-./"id":"p2p-1/ }, qr{id: "p2p-1});
finds('no source', 'Observation/relative', sub { s{"source":"[^"]*"}{"source":"x"} }, qr{meta\.source});
finds('a version of the source', 'Observation/relative', sub { s{"source":}{"versionId":"1","source":} }, qr{meta\.versionId});
finds('no identifier', 'Observation/relative', sub { s{"value":"Observation/relative"}{"value":"Observation/other"} }, qr{identifier});
finds('a reference of the source', 'Observation/relative', sub { s{Practitioner/p2p-\w+}{Practitioner/dr} }, qr{performer\[0\]\.reference});
finds('a reference to the wrong patient', 'Observation/relative', sub { s{Patient/member}{Patient/other} }, qr{subject\.reference});
finds('a link less', 'Patient/m1', sub { s{"seealso"\}\]}{"refer"\}]} or die $_ }, qr{link: its last});
finds('an attachment of the source', 'DocumentReference/attachments', sub { s{Binary/p2p-\w+}{Binary/b1} }, qr{attachment\.url});
finds('a contained reference', 'Claim/contained', sub { s{"#c"}{"#d"} }, qr{Claim/contained});
finds('a nested reference', 'Bundle/doc', sub { s{Practitioner/inner-dr}{Practitioner/p2p-inner} }, qr{Bundle/doc});
finds('a version that is not', 'Provenance', sub { s{/_history/1"}{/_history/2"} }, qr{is no version of it});
finds('a Task that goes on', 'Task', sub { s{"completed"}{"in-progress"} }, qr{Task\.status});

my $dump = $x->target_dump;
delete $dump->{ $compare->target_key('Observation/relative') };
like(faults($dump), qr{Observation/relative: not at the target.*reference to .* leads nowhere}s, 'a resource less: found, and who refers to it');
$dump = $x->target_dump;
$dump->{'Observation/stranger'} = { version => 1, versions => 1, deleted => 0, text => '{"resourceType":"Observation","id":"stranger","subject":{"reference":"Patient/nobody"}}' };
like(faults($dump), qr{Patient/nobody leads nowhere.*Observation/stranger: nobody knows}s, 'a resource more: found');
$dump = $x->target_dump;
my ($provenance) = grep { m{^Provenance/} && $_ ne $compare->target_key('Provenance/p1') } sort keys %$dump;
delete $dump->{$provenance};
like(faults($dump), qr{named by 0 Provenances}, 'a Provenance less: found');
my %progress = (progress => { %{ $job->{progress} } });
$progress{progress}{written}--;
like(join("\n", P2P::Compare::account_faults(\%progress, $compare->count)), qr{the sum.*written is}s, 'an account that does not balance: found');

$x->stop;
done_testing;
