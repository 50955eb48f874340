#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What Synthea lacks: every form of reference, number, string and structure, what comes twice, other people's data, chains and circles, odd pages, and
# the examples that were published with the implementation guides.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use Test::More;

my $seed = $ENV{P2P_SEED} // int rand 1_000_000;
diag "P2P_SEED=$seed";
my @ORDERS = ('file', 'type', 'reverse-type', map { "shuffled $_" } $seed .. $seed + 2);
my $IMPLEMENTATION = 'https://api.forms.example/fhir';
my %EXAMPLES = (pdex => [pdex => 'pdex-2.2.0-examples', '1'], carin => [carin => 'carin-bb-2.0.0-examples', 'Patient1'], uscore => ['us-core' => 'us-core-examples', 'example']);

my $dir = tempdir('p2p-forms-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $recorded = write_data("$dir/recorded.json", recorded_member()->{text});
my $inside = write_data("$dir/inside.json", inside_member()->{text});
my $chained = write_data("$dir/chains.ndjson", tangled_member(230, 7)->{lines});
my $urn = synthea_member('Yaeko');
my $odd = synthea_member('Tyrell');

my $sandbox = P2P::Exchange::sandbox(
    { name => 'forms', directives => ["SandboxImplementationUrl $IMPLEMENTATION"] },
    { name => 'recorded', data => [$recorded] },
    { name => 'inside', data => [$inside] },
    { name => 'urn', data => [$urn->{file}], directives => ['SandboxKeepUrn On'] },
    { name => 'chains', data => [$chained] },
    { name => 'circle', data => [write_data("$dir/circle.ndjson", tangled_member(1, 150)->{lines})] },
    (map { { name => "odd-$_->[0]", data => [$odd->{file}], directives => $_->[1] } } ['last', ['SandboxLinkLast On', 'SandboxRepeat 3']],
        ['relative', ['SandboxNextLink relative', 'SandboxTotal none']], ['query', ['SandboxNextLink query', 'SandboxNextPad 6000']]),
    (map { { name => $_, data => [data_dir() . "/$EXAMPLES{$_}[1]"] } } sort keys %EXAMPLES),
    { name => 'target', role => 'target' },
);
my $forms = forms_member($sandbox->url('forms'), $IMPLEMENTATION);
$sandbox->load('forms', $forms->{lines});
$sandbox->load('forms', $forms->{aside});

my %known;

# Exchanges a member in an order of pages into an emptied target, and holds all of it against the source.
sub test_member {
    my ($x, $source, $patient, $order, %opt) = @_;
    my $name = "$source, $order";
    my $size = $opt{size} // 7;
    my $urls = $opt{urls} // ["Patient/$patient/\$everything?_count=$size"];
    $x->reset_target;
    $sandbox->set($source, order => $order);
    my $bundle = { resourceType => 'Bundle', type => 'batch', entry => [map { { request => { method => 'GET', url => $_ } } } @$urls] };
    my $job = $x->exchange($source, $patient, "target-$source", request => $bundle);
    # Whose copy counts may depend on the order; nothing else does.
    delete $known{$source} if $opt{repeats};
    my $compare = $known{$source} //= $x->expect($source, $patient, "target-$source", implementation => $opt{implementation}, urls => $urls);
    my $dump = $x->target_dump;
    $x->ok_exchange($job, $compare, $name, dump => $dump);
    $x->ok_target($dump, $name);
    return ($job, $compare, $dump);
}

# What everyone may read of what was skipped.
sub test_report {
    my ($x, $job, $compare) = @_;
    my @skipped = grep { $_->{outcome} eq 'skipped' } @{ $x->report($job->{path})->{resources} };
    is(scalar @skipped, $compare->count->{skipped}, 'the report shows each that was skipped');
    my %code;
    $code{ $_->{code} }++ for @skipped;
    is_deeply([sort keys %code], ['other-patient', 'outcome'], '... and why');
    is($code{outcome}, 2, '... two outcomes') or diag explain(\@skipped);
    return;
}

# References to what was not received stay as they are, and nothing is fetched for them: by directive, at a target that takes what dangles.
sub test_kept {
    my $x = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['forms'],
        directives => { P2PUnresolvedReferences => 'keep', P2PFollowReferences => 0 });
    $x->reset_target;
    $sandbox->set('target', integrity => 0);
    my $job = $x->exchange('forms', 'm1', 'target-forms');
    $x->ok_exchange($job, $x->expect('forms', 'm1', 'target-forms', implementation => $IMPLEMENTATION, keep => 1, follow => 0), 'P2PUnresolvedReferences keep');
    $sandbox->set('target', integrity => 1);
    $x->stop;
    return;
}

# A search for each type of a folder of examples: whoever's they are, only the member's arrive.
# (Parameters are for operations: no server keeps them.)
sub example_urls {
    my ($source) = @_;
    my %types = map { (split m{/})[0] => 1 } keys %{ $sandbox->dump($source, keys => 1) };
    return [map { "$_?_count=5" } sort grep { $_ ne 'Parameters' } keys %types];
}

sub test_examples {
    my ($x, $source) = @_;
    my ($job, $compare) = test_member($x, $source, $EXAMPLES{$source}[2], 'file', urls => example_urls($source));
    cmp_ok($compare->count->{written}, '>', 10, "$source: $compare->{count}{written} of its examples belong to the member or to all");
    return;
}

each_database('forms', sub {
    my ($db) = @_;
    %known = ();
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => [map { $_->{name} } grep { $_->{name} ne 'target' } @{ $sandbox->{payers} }]);
    for my $order (@ORDERS) {
        test_member($x, 'forms', 'm1', $order, implementation => $IMPLEMENTATION);
        test_member($x, 'chains', 'w1', $order);
        test_member($x, 'urn', $urn->{patient}, $order);
        test_member($x, 'inside', 'i1', $order);
        my ($job, $compare) = test_member($x, 'recorded', 'k1', $order, repeats => 1);
        test_report($x, $job, $compare) if $order eq 'file';
    }
    test_member($x, 'circle', 'w1', $_) for 'file', "shuffled $seed";
    test_member($x, "odd-$_", $odd->{patient}, 'file', size => 20) for qw(last relative query);
    test_examples($x, $_) for sort keys %EXAMPLES;
    $x->ok_sealed('forms');
    $x->stop;
});
test_kept();

done_testing;
