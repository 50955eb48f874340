#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# All files of the console together are less than 60 KB, compressed as they go out.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Compress::Gzip qw(gzip $GzipError);
use P2P::Source;
use Test::More;

my %bytes;
for my $file (files(qr{\.(?:js|css|html|svg)$}, 'mod_p2p/pages/console')) {
    gzip(top() . "/$file" => \my $zipped, -Level => 9) or die "$file: $GzipError\n";
    $bytes{$file} = length $zipped;
}
my $sum = 0;
$sum += $_ for values %bytes;
cmp_ok(scalar keys %bytes, '>', 15, 'there are files');
cmp_ok($sum, '<', 60 * 1024, 'they are less than 60 KB') or diag map { "$bytes{$_} $_\n" } sort { $bytes{$b} <=> $bytes{$a} } keys %bytes;
done_testing;
