#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Every C file stands in Makefile.am, and every one named there exists; the guide to lib/exchange names each of its files.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Source;
use Test::More;

my %listed;
for my $line (lines_of('Makefile.am')) {
    next if $line =~ /^#/;
    $listed{$_} = 1 for $line =~ m{(?<![\w/.\$\)])((?:lib|mod_p2p|t)/[\w/]+(?:\.[ch])?)(?=\s|\\|$)}g;
}

my @files = files(qr{\.[ch]$}, 'lib', 'mod_p2p', 't');
ok(@files > 0, 'there are files to look at');
for my $file (@files) {
    (my $program = $file) =~ s/\.c$//;    # a test program is listed by its name
    ok($listed{$file} || $listed{$program}, "$file stands in Makefile.am") or diag('t/source/refresh-lists writes the lists anew');
}
my %exists = map { $_ => 1 } @files;
my @gone = grep { /\.[ch]$/ && !$exists{$_} } sort keys %listed;
is("@gone", '', 'Makefile.am names no file that is gone');

my $guide = join "\n", lines_of('lib/exchange/README');
for my $file (files(qr{\.[ch]$}, 'lib/exchange')) {
    my ($name, $base) = $file =~ m{/((\w+)\.[ch])$};
    ok($guide =~ /^    $base /m || $guide =~ /\b(?:$name|$base is its insides|$base is the insides)\b/, "lib/exchange/README names $name");
}
done_testing();
