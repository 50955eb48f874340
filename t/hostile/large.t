#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Records of single resources of 20 MB: all of it arrives, byte for byte, and the runner stays below 96 MB, however they come and whatever they wait
# for. Neither end has the record in memory: the source makes it up, the target keeps hashes. 400 MB; with P2P_LARGE=1 1 GB.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Hostile;
use Test::More;
use Time::HiRes qw(time);

my $MB      = 1 << 20;
my $SIZE    = 20 * $MB;
my $SLOW    = $ENV{P2P_SANITIZED} || $ENV{P2P_VALGRIND_LOGS} ? 10 : 1;    # how much longer things may take there
my $COUNT   = $ENV{P2P_LARGE} ? 51 : 20;
my $MOST_MB = 96 * ($SLOW > 1 ? 10 : 1);
my $PIECE   = 1 << 18;

# ---- The source ----

# Each page has one of these: DocumentReferences with their data inline, and Binaries. What they refer to comes first, last or never before them.
my %CASES = (
    inline   => { count => $COUNT, type => 'DocumentReference' },
    binaries => { count => 5, type => 'Binary' },
    waiting  => { count => $COUNT, type => 'DocumentReference', encounter => 'last' },
    together => { count => 5, type => 'DocumentReference', jobs => 4 },
);

sub data_of { my ($i) = @_; return substr(sprintf('%08d/ABCDEFGHIJKLMNOPQRSTUVWXYZ+abcdefghijklmnopqrstuvwxyz+0123456789', $i) x ($SIZE / 60), 0, $SIZE) }

# { beginning, end } of a resource, its data between them.
sub resource_of {
    my ($case, $member, $i) = @_;
    my $type = $CASES{$case}{type};
    return [qq({"resourceType":"Binary","id":"b$i","contentType":"application/pdf","securityContext":{"reference":"Patient/$member"},"data":"), '"}'] if $type eq 'Binary';
    my $encounter = $CASES{$case}{encounter} ? ',"context":{"encounter":[{"reference":"Encounter/e"}]}' : '';
    return [qq({"resourceType":"DocumentReference","id":"d$i","status":"current","subject":{"reference":"Patient/$member"},"content":[{"attachment":{"data":"),
        qq("}}]$encounter})];
}

# The next link comes first, so that several pages come at once.
sub answer_page {
    my ($r, $case, $member, $page) = @_;
    my $last = $CASES{$case}{count} + 1;
    my $small = $page == 0 ? qq({"resourceType":"Patient","id":"$member"}) : qq({"resourceType":"Encounter","id":"e","status":"finished","subject":{"reference":"Patient/$member"}});
    my $next = $page < $last ? qq("link":[{"relation":"next","url":"?page=@{[$page + 1]}"}],) : '';
    my $begin = qq({"resourceType":"Bundle","type":"searchset",$next"entry":[);
    return $r->reply(200, qq($begin\{"resource":$small}]})) if $page == 0 || $page == $last;
    my ($head, $tail) = @{ resource_of($case, $member, $page) };
    my $data = data_of($page);
    $r->raw(join("\r\n", 'HTTP/1.1 200 OK', 'Content-Type: application/fhir+json', 'Transfer-Encoding: chunked', '', ''));
    $r->chunk(qq($begin\{"resource":$head));
    $r->chunk(substr $data, $_ * $PIECE, $PIECE) for 0 .. $SIZE / $PIECE - 1;
    $r->chunk("$tail}]}");
    $r->chunk('');
    return;
}

# ---- The target: notes what comes, a line for each resource: type, id, SHA-256 of its data, the rest of it ----

sub note_resource {
    my ($r, $text) = @_;
    my $data = $text =~ s/"data":"([^"]*)"/"data":""/ ? sha256_hex($1) : '-';
    my ($type) = $text =~ /^\{"resourceType":"(\w+)"/;
    my ($id) = $text =~ /"id":"([^"]+)"/;
    open my $out, '>>', "$r->{server}{dir}/stored" or die "stored: $!\n";
    syswrite $out, "$type $id $data $text\n";
    return;
}

sub answer_target {
    my ($r) = @_;
    my $path = $r->{path};
    return $r->reply($path =~ m{/Patient/} ? 200 : 404, '{}') if $r->{method} eq 'GET';
    return $r->reply(201, '{}') if $r->{method} eq 'PUT';
    my $count = 0;
    my $at = index($r->{body}, '"entry":[') + 9;
    while (substr($r->{body}, $at) =~ /^,?\{"resource":(.*?),"request":\{"method":"PUT","url":"[^"]+"\}\}/s) {
        note_resource($r, my $text = $1);
        $at += $+[0];
        $count++;
    }
    my $response = join ',', ('{"response":{"status":"201 Created","etag":"W/\"1\""}}') x $count;
    return $r->reply(200, qq({"resourceType":"Bundle","type":"transaction-response","entry":[$response]}));
}

sub answer {
    my ($r) = @_;
    return answer_target($r) if $r->{port} == $r->{server}{ports}[1];
    my ($case, $rest) = $r->{path} =~ m{^/([a-z]+)/fhir/(.*)$};
    return $r->reply(200, '{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}') if $rest eq 'metadata';
    my ($member) = $rest =~ m{^Patient/([^/]+)/\$everything};
    return $r->reply(404, '{}') if !$member;
    my ($page) = $rest =~ /page=(\d+)/;
    return answer_page($r, $case, $member, $page // 0);
}

package Target;
sub url { my ($self, $name) = @_; die "no payer $name\n" if $name ne 'target'; return $self->{url} }

package main;

my $server = P2P::Hostile->start(2, \&answer);
my $target = bless { url => $server->origin(1) . '/target' }, 'Target';
my $x = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $target, sources => [sort keys %CASES],
    definitions => { map { $_ => { fhirEndpoint => $server->origin . "/$_/fhir" } } keys %CASES });

sub proc_status { my ($pid, $name) = @_; return P2P::Httpd::read_file("/proc/$pid/status") =~ /^$name:\s+(\d+)/m ? $1 / 1024 : 0 }

# What the target got, by what it stands for: { "Type/n of member" => [hashes] }, and how often in all.
sub stored {
    my (%found, $members);
    open my $in, '<', "$server->{dir}/stored" or return {};
    while (<$in>) {
        my ($type, $id, $hash, $text) = split / /, $_, 4;
        my ($source) = $text =~ m{"source":"http://[^"]*?/fhir/([^"]+)"} or next;
        push @{ $found{$id} }, { key => $source, hash => $hash, text => $text, type => $type };
    }
    return \%found;
}

my %hash_of;

sub test_stored {
    my ($case, $stored) = @_;
    my %wanted = map { my $key = "$CASES{$case}{type}/" . ($CASES{$case}{type} eq 'Binary' ? 'b' : 'd') . $_; $key => $hash_of{$_} //= sha256_hex(data_of($_)) } 1 .. $CASES{$case}{count};
    my @faults;
    my %seen;
    for my $id (sort keys %$stored) {
        my $last = $stored->{$id}[-1];
        $seen{ $last->{key} }++;
        next if !$wanted{ $last->{key} };
        push @faults, "$last->{key} is not what was sent" if grep { $_->{hash} ne $wanted{ $last->{key} } } @{ $stored->{$id} };
        push @faults, "$last->{key} does not refer to its Encounter" if $CASES{$case}{encounter} && $last->{text} !~ m{"encounter":\[\{"reference":"Encounter/p2p-};
    }
    push @faults, map { "$_ did not come" } grep { !$seen{$_} } sort keys %wanted;
    is(join("\n", @faults), '', "$case: all of it is at the target, byte for byte");
    return;
}

sub run_case {
    my ($name) = @_;
    my ($case, $pid, $begin) = ($CASES{$name}, $x->runner_pid, time);
    truncate "$server->{dir}/stored", 0;
    open my $clear, '>', "/proc/$pid/clear_refs" or die "/proc/$pid/clear_refs: $!\n";
    print {$clear} "5\n";
    close $clear or die "/proc/$pid/clear_refs: $!\n";
    my @orders = map { $x->order($name, "member-$name-$_", "target-$name-$_", token => ["SECRET-access-$name-$_"], no_patient => 1) } 1 .. $case->{jobs} // 1;
    for my $order (@orders) {
        my $job = $x->wait($order->{path}, seconds => 300 * $SLOW);
        is($job->{batchStatus}, 'COMPLETED', "$name: COMPLETED") or diag explain($job);
        # More waits than the spool takes: those are written a second time, with their reference.
        my $twice = $case->{encounter} ? $case->{count} : 0;
        cmp_ok($job->{progress}{written}, '>=', $case->{count} + 2, "$name: all resources are written") or diag explain($job);
        cmp_ok($job->{progress}{written}, '<=', $case->{count} + 2 + $twice, "$name: ... and no more than has to be again") or diag explain($job);
        is(join("\n", P2P::Compare::account_faults($job)), '', "$name: the accounts balance");
    }
    my $peak = proc_status($pid, 'VmHWM');
    diag sprintf '%-10s %5.1f s, at most %3d MB', $name, time - $begin, $peak if $ENV{P2P_VERBOSE};
    cmp_ok($peak, '<', $MOST_MB, sprintf '%s: the runner took %d MB at most', $name, $peak);
    test_stored($name, stored());
    is($x->runner_pid, $pid, "$name: the runner lives on");
    return;
}

my @cases = sort keys %CASES;
@cases = grep { " $ENV{P2P_CASES} " =~ / $_ / } @cases if $ENV{P2P_CASES};
run_case($_) for @cases;
$x->stop;
done_testing;
