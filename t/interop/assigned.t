#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A real HAPI FHIR server as a target that assigns ids (P2PResourceIds conditional), by transactions and by batches: each
# resource arrives once, refers to what it has to, and a second exchange finds all of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP ();
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Hapi;
use P2P::Json ();
use Test::More;

local $SIG{INT}  = sub { exit 1 };
local $SIG{TERM} = sub { exit 1 };
my $dir = tempdir('p2p-assigned-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my %MEMBERS = (transaction => synthea_member('Collin'), batch => synthea_member('Darius'));
my $sandbox = P2P::Exchange::sandbox(map { { name => $_, data => [$MEMBERS{$_}{file}] } } sort keys %MEMBERS);

# What P2P::Exchange asks of sandboxes, where HAPI is the target.
package Payers;
our $AUTOLOAD;
sub url  { my ($self, $name) = @_; return $name eq 'target' ? $self->{hapi}->url : $self->{sandbox}->url($name) }

sub load {
    my ($self, undef, $line) = @_;
    my ($id) = $line =~ /"id":"([^"]+)"/;
    $self->{hapi}->call('PUT', "Patient/$id", $line);
    return 1;
}

sub AUTOLOAD {
    my ($self, @arguments) = @_;
    my $name = $AUTOLOAD =~ s/.*:://r;
    return $name eq 'DESTROY' ? undef : $self->{sandbox}->$name(@arguments);
}

package main;

my $hapi = eval {
    P2P::Hapi::build();
    my $server = P2P::Hapi->new(dir => $dir, name => 'target');
    P2P::Hapi::start_all($server);
    $server;
};
if (!$hapi) {
    fail('a HAPI FHIR server runs');
    diag $@;
    done_testing;
    exit 1;
}
my $payers = bless { sandbox => $sandbox, hapi => $hapi }, 'Payers';

# HAPI writes members in an order of its own: what counts here is that each resource is there, once, and where its references lead.
sub references { my ($text) = @_; return join ' ', sort $text =~ m{"reference"\s*:\s*"([^"#][^"]*)"}g }

sub faults {
    my ($compare, $dump) = @_;
    my @faults = $compare->faults_at($dump);
    for my $key ($compare->arrived) {
        my $there = $dump->{ $compare->target_key($key) } or next;
        my $expected = references(P2P::Json::text_of($compare->with_links($compare->{arrived}{$key}{tree})));
        my $link = $key =~ /^Patient/ ? "Patient/$compare->{target_patient}" : '';    # the one that the exchange adds
        my $found = references($there->{text});
        push @faults, "$key: refers to $found, has to $expected" if $found ne join ' ', sort grep { length } split(/ /, $expected), $link;
    }
    return @faults;
}

# What HAPI has of these types: by searches, since the count of its history is cached.
sub found {
    my (@types) = @_;
    my %found;
    for my $type (@types) {
        $hapi->each_page("$type?_count=500", sub {
            my $tree = P2P::Json::parse($_[0]);
            P2P::Hapi::note_version(\%found, $_) for P2P::Json::items(P2P::Json::member($tree, 'entry'));
            return $tree;
        });
    }
    return \%found;
}

# How many of each type HAPI has.
sub totals {
    my (@types) = @_;
    return { map { $_ => JSON::PP::decode_json($hapi->call('GET', "$_?_summary=count"))->{total} } @types };
}

for my $bundles ('transaction', 'batch') {
    my $patient = $MEMBERS{$bundles}{patient};
    my $x = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $payers, sources => [$bundles],
        directives => { P2PResourceIds => 'conditional', P2PBundleType => $bundles, P2PBundleSize => 40 });
    my $compare = $x->expect($bundles, $patient, "member-$bundles");
    $compare->{loose}{$_} = 1 for $compare->arrived;
    my @types = do { my %types = map { s{/.*}{}r => 1 } $compare->arrived; sort keys %types };
    my $job = $x->exchange($bundles, $patient, "member-$bundles");
    my $dump = found(@types);
    is($job->{batchStatus}, 'COMPLETED', "$bundles: COMPLETED") or diag explain $job;
    is(join("\n", P2P::Compare::account_faults($job, $compare->count), faults($compare, $dump)), '', "$bundles: each resource is there, once, and refers to what it has to");
    is(scalar(grep { $compare->target_key($_) !~ m{/\d+$} } $compare->arrived), 0, "$bundles: HAPI chose the ids");
    my $once = totals(@types);
    $job = $x->exchange($bundles, $patient, "member-$bundles");
    is($job->{batchStatus}, 'COMPLETED', "$bundles, again: COMPLETED") or diag explain $job;
    is_deeply(totals(@types), $once, "$bundles, again: nothing is new");
    my $again = $hapi->read_all(map { $compare->target_key($_) } $compare->arrived);
    is(join(' ', grep { $again->{$_}{version} != 1 } sort keys %$again), '', "$bundles, again: nothing has a new version");
    $x->ok_sealed($bundles);
    $x->stop;
}
$hapi->stop;
done_testing;
