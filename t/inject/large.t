#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A Bundle of 1 GB passes with its Provenance while httpd's child grows by less than 8 MB, and all other bytes are the same; 100 MB of gzip likewise. A
# build with sanitizers, which keeps what was freed, moves less.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Compress::Zlib ();
use Digest::MD5;
use IO::Socket::INET;
use P2P::Inject;
use Test::More;

my $MB     = 1 << 20;
my $SLOW   = $ENV{P2P_SANITIZED};
my $MOST   = $SLOW ? 400 : 8;                                # MB that the child may grow by
my $SIZE   = ($SLOW ? 100 : 1024) * $MB;
my $ENTRY  = 20_000;                                         # bytes of an entry's narrative
my $DIV    = join '', map { chr 97 + $_ * $_ * 2_654_435_761 / 65_536 % 26 } 1 .. $ENTRY;    # gzip makes a 50th of it
my $HEAD   = '{"resourceType":"Bundle","type":"searchset","entry":[';
my $MARK   = ',{"fullUrl":"urn:uuid:';
my $END    = '"search":{"mode":"include"}}';

# The n-th 50 entries of a Bundle.
sub piece {
    my ($n) = @_;
    return join ',', map {
        my $id = $n * 50 + $_;
        qq({"fullUrl":"https://payer.example/fhir/Observation/$id","resource":{"resourceType":"Observation","id":"$id","text":{"div":"$DIV"}}})
    } 0 .. 49;
}

# /fhir/Patient/CODING-PIECES/$everything, and beside it the sum of what was sent.
sub answer {
    my ($r) = @_;
    my ($coding, $count) = $r->{path} =~ m{/Patient/(\w+)-(\d+)/};
    my $md5 = Digest::MD5->new;
    my $n = 0;
    my $next = sub {
        return if $n > $count;
        my $text = $n == 0 ? $HEAD . piece(0) : $n < $count ? ',' . piece($n) : ']}';
        $n++;
        $md5->add($text);
        return $text;
    };
    if ($coding eq 'gzip') { $r->gzipped(200, $next) }
    else {
        $r->chunked(200);
        while (defined(my $text = $next->())) { $r->chunk($text) }
    }
    P2P::Httpd::write_file("$r->{server}{dir}/sum-$coding-$count", $md5->hexdigest);
    $r->chunk('') if $coding ne 'gzip';
    return;
}

# What arrives, as it comes: { bytes, provenances, targets, sum of all else }.
sub fetch {
    my ($httpd, $path) = @_;
    my $socket = $httpd->connection("GET $path HTTP/1.0\r\n\r\n");
    my ($buffer, $head, $md5) = ('', '', Digest::MD5->new);
    my %seen = (bytes => 0, provenances => 0, targets => 0);
    while (sysread $socket, $buffer, $MB, length $buffer) {
        if (!$head) {
            next if $buffer !~ s/^(.*?\r\n\r\n)//s;
            $head = $1;
        }
        consume(\$buffer, $md5, \%seen, length $MARK);
    }
    consume(\$buffer, $md5, \%seen, 0);
    return { %seen, head => $head, sum => $md5->hexdigest };
}

# Takes what is certain of the buffer: all but the last bytes, and what was added as a whole.
sub consume {
    my ($buffer, $md5, $seen, $keep) = @_;
    while (1) {
        my $at = index $$buffer, $MARK;
        my $sure = $at >= 0 ? $at : length($$buffer) > $keep ? length($$buffer) - $keep : 0;
        $md5->add(substr $$buffer, 0, $sure, '');
        $seen->{bytes} += $sure;
        return if $at < 0;
        my $end = index $$buffer, $END;
        return if $end < 0;
        my $entry = substr $$buffer, 0, $end + length $END, '';
        $seen->{provenances}++;
        $seen->{targets} += () = $entry =~ /"reference":"https:/g;
    }
}

sub proc_status { my ($pid, $name) = @_; return P2P::Httpd::read_file("/proc/$pid/status") =~ /^$name:\s+(\d+)/m ? $1 / 1024 : 0 }

sub passes {
    my ($httpd, $coding, $count) = @_;
    fetch($httpd, "/fhir/Patient/$coding-30/\$everything") for 1 .. 2;    # what every answer takes is there
    my ($child) = split ' ', P2P::Httpd::read_file("/proc/$httpd->{pid}/task/$httpd->{pid}/children");
    P2P::Httpd::write_file("/proc/$child/clear_refs", '5');                # VmHWM begins anew
    my $before = proc_status($child, 'VmRSS');
    my $got = fetch($httpd, "/fhir/Patient/$coding-$count/\$everything");
    my $grown = proc_status($child, 'VmHWM') - $before;
    my $name = sprintf '%s, %d MB', $coding, $got->{bytes} / $MB;
    cmp_ok($got->{bytes}, '>', $count * 50 * $ENTRY, "$name: all of it arrives");
    is($got->{sum}, P2P::Httpd::read_file("$httpd->{server}{dir}/sum-$coding-$count"), '... each byte as it was');
    is($got->{targets}, $count * 50, '... each entry is named');
    is($got->{provenances}, int(($count * 50 + 999) / 1000), '... by one Provenance for 1,000');
    cmp_ok($grown, '<', $MOST, sprintf '... and the child grew by %.1f MB', $grown);
    return;
}

my $httpd = P2P::Inject->new(handler => \&answer, modules => ['deflate'])->start;
for (1 .. 3) {
    my $socket = $httpd->connection("GET /fhir/Patient/plain-1000/\$everything HTTP/1.0\r\n\r\n");
    sysread $socket, (my $some = ""), $MB;
    close $socket;    # a client that goes away
}
passes($httpd, 'plain', int($SIZE / (50 * $ENTRY)));
passes($httpd, 'gzip', int(100 * $MB / (50 * $ENTRY)));
$httpd->stop;
done_testing();
