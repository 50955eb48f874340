#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Every Synthea member, in every order of pages: all members at a time, each from a source of its own into one target that was emptied before,
# and compared token by token.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use Test::More;

my $seed = $ENV{P2P_SEED} // int rand 1_000_000;
diag "P2P_SEED=$seed";
my @ORDERS = ('file', 'type', 'reverse-type', "shuffled $seed");

my @members = synthea_members();
is(scalar @members, 47, 'all members are here');
my $sandbox = P2P::Exchange::sandbox((map { { name => $_->{name}, data => [$_->{file}] } } @members), { name => 'target', role => 'target' });

my %known;

# What has to come is worked out once.
sub expectations {
    my ($x) = @_;
    %known = map { $_->{name} => $x->expect($_->{name}, $_->{patient}, "target-$_->{name}") } @members unless %known;
    my $sum = 0;
    $sum += $_->count->{written} for values %known;
    cmp_ok($sum, '>', 10_000, "the sources have $sum resources");
    return \%known;
}

# The types of a source and of its part of the target, counted.
sub types_of {
    my ($compare, $dump) = @_;
    my (%sent, %come);
    for my $key ($compare->arrived) {
        my ($type) = split m{/}, $key;
        $sent{$type}++;
        $come{$type}++ if $dump->{ $compare->target_key($key) };
    }
    return (\%sent, \%come);
}

sub test_sequence {
    my ($x, $known, $order) = @_;
    $x->reset_target;
    $sandbox->set($_->{name}, order => $order) for @members;
    my %orders = map { $_->{name} => $x->order($_->{name}, $_->{patient}, "target-$_->{name}", request => 'Patient/{patientId}/$everything?_count=50') } @members;
    is(join(' ', grep { $orders{$_}{status} != 202 } sort keys %orders), '', "$order: all orders are taken");
    my %jobs = map { $_->{name} => $x->wait($orders{ $_->{name} }{path}) } @members;
    my $dump = $x->target_dump;
    for my $member (@members) {
        my ($name, $compare) = ($member->{name}, $known->{ $member->{name} });
        my $written = $compare->count->{written};
        $x->ok_exchange($jobs{$name}, $compare, "$order: $name", dump => $dump);
        is($jobs{$name}{progress}{parts}, int(($written + 49) / 50), "$order: $name: as many parts as pages");
        my ($sent, $come) = types_of($compare, $dump);
        is_deeply($come, $sent, "$order: $name: the same number of each type");
    }
    $x->ok_target($dump, $order);
    return;
}

each_database('all members', sub {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => [map { $_->{name} } @members]);
    my $known = expectations($x);
    test_sequence($x, $known, $_) for @ORDERS;
    $x->ok_sealed('all members');
    $x->stop;
});

done_testing;
