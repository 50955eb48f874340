#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Sixteen jobs at once between payers that speak HTTP/2: never more connections than the directives say, one request at a time on each, and all that
# arrives is what it has to be; the same with payers that only know HTTP/1.1, and with so little memory that reading pauses all the time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Sandbox;
use Test::More;

my $JOBS = 16;
my @members = (synthea_members())[0 .. $JOBS - 1];

sub start_sandbox {
    my ($protocols) = @_;
    return P2P::Sandbox->start(tls => 1, modules => ['http2'], vhost => "Protocols $protocols", payers => [
        { name => 'source', data => [map { $_->{file} } @members],
            directives => ['SandboxPageSize 20', 'SandboxDelay 10', 'SandboxBearer On', 'SandboxClient portal SECRET-client-source', 'SandboxGrant SECRET-reader -'] },
        { name => 'target', directives => ['SandboxBundleDelay 20'] },
    ]);
}

# Of a payer's requests that are not the test's own: the most at once of a kind, and the protocols they came by.
sub test_requests {
    my ($sandbox, $payer, $most, $protocol, $name) = @_;
    my $requests = $sandbox->requests($payer);
    my $max = $payer eq 'source' ? $requests->{getsInFlightMax} : $requests->{writesInFlightMax};
    cmp_ok($max, '<=', $most, "$name: $payer: at most $max requests at once");
    cmp_ok($max, '>', 1, "$name: $payer: and more than one");
    my @log = grep { ($_->{auth} eq 'Bearer' || $payer eq 'target') && ($_->{accept} // '') eq 'application/fhir+json' } @{ $requests->{log} };
    cmp_ok(scalar @log, '>', 50, "$name: $payer: " . @log . ' requests were noted');
    is(join(' ', grep { $_ ne $protocol } map { $_->{protocol} } @log), '', "$name: $payer: all of them $protocol");
    my %connections = map { $_->{connection} => 1 } @log;
    cmp_ok(scalar keys %connections, '<=', @log / 4, "$name: $payer: connections are kept: " . keys %connections);
    return;
}

sub run_jobs {
    my ($name, $protocols, $protocol, %directives) = @_;
    my $sandbox = start_sandbox($protocols);
    my $x = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['source'],
        directives => { P2PCAFile => $sandbox->ca_file, P2PSourceConnections => 3, P2PTargetConnections => 4, P2PJobsPerRunner => $JOBS, %directives });
    my %known = map { $_->{name} => $x->expect('source', $_->{patient}, "target-$_->{name}") } @members;
    $x->add_target_patient("target-$_->{name}") for @members;
    $sandbox->clear_requests($_) for qw(source target);
    my %orders = map { $_->{name} => $x->order('source', $_->{patient}, "target-$_->{name}", no_patient => 1) } @members;
    my %jobs = map { $_ => $x->wait($orders{$_}{path}) } sort keys %orders;
    test_requests($sandbox, 'source', 3, $protocol, $name);
    test_requests($sandbox, 'target', 4, $protocol, $name);
    my $dump = $x->target_dump;
    is(join(' ', grep { $jobs{$_}{batchStatus} ne 'COMPLETED' } sort keys %jobs), '', "$name: all jobs complete");
    is(join(' ', grep { $jobs{$_}{progress}{written} != $known{$_}->count->{written} } sort keys %jobs), '', "$name: and write what the sources have");
    is(join("\n", map { $known{$_}->faults_at($dump) } sort keys %known), '', "$name: token by token");
    is(join(' ', P2P::Compare::dangling($dump)), '', "$name: no reference dangles");
    $x->stop;
    $sandbox->stop;
    return;
}

run_jobs('HTTP/2', 'h2 http/1.1', 'HTTP/2.0');
run_jobs('HTTP/2, little memory', 'h2 http/1.1', 'HTTP/2.0', P2PMemory => '4M', P2PBundleBytes => '64K');
run_jobs('HTTP/1.1', 'http/1.1', 'HTTP/1.1');
done_testing;
