#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A file includes only what stands above it in the list of rooms, and lib never knows httpd.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Source;
use Test::More;

my @ROOMS = qw(base net model store oidc fhir exchange runner);
my %rank  = map { $ROOMS[$_] => $_ } 0 .. $#ROOMS;
my @files = files(qr{\.[ch]$}, 'lib');
ok(@files > 0, 'there are files to look at');

for my $file (@files) {
    my ($room) = $file =~ m{^lib/([^/]+)/[^/]+$};
    my @wrong;
    push @wrong, "$file lies in no room of the list (@ROOMS)" if !defined $room || !exists $rank{$room};
    my $number = 0;
    for my $line (lines_of($file)) {
        $number++;
        next unless $line =~ /^\s*#\s*include\s*([<"])([^>"]+)/;
        my ($quote, $name) = ($1, $2);
        if ($quote eq '<') {
            push @wrong, "$file:$number: lib does not know httpd, yet includes <$name>"
                if $name =~ m{^(?:httpd|http_\w+|ap_\w+|util_(?:filter|cookies|script|cfgtree|mutex|md5|time|varbuf)|mod_\w+|mpm_\w+|scoreboard|unixd|apache_\w+)\.h$};
            next;
        }
        my ($other) = $name =~ m{^([^/]+)/[^/]+\.h$};
        if (!defined $other || !exists $rank{$other}) {
            push @wrong, "$file:$number: \"$name\" is not written as \"room/name.h\"";
        } elsif (defined $room && exists $rank{$room} && $rank{$other} > $rank{$room}) {
            push @wrong, "$file:$number: $room may not include \"$name\": $other stands below it";
        }
    }
    ok(!@wrong, "$file keeps to the order of the rooms") or diag(join "\n", @wrong);
}
done_testing();
