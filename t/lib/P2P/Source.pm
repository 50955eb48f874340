# SPDX-License-Identifier: Apache-2.0
# The project's own files, for the tests that read the source.
package P2P::Source;
use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Find qw(find);
our @EXPORT = qw(top files lines_of);

# The top of the source tree.
sub top { return abs_path(dirname(__FILE__) . '/../../..') }

# Paths below top, relative to it, sorted, of the files that match the pattern; the data, what building makes and what npm and Maven bring stay out.
sub files {
    my ($pattern, @folders) = @_;
    my $top = top();
    my @found;
    find(
        {
            no_chdir => 1,
            wanted   => sub {
                my $path = substr($_, length($top) + 1);
                if (-d $_ && $path =~ m{^(?:\.git|run|build-aux|autom4te\.cache|t/data)$|/(?:target|node_modules)$}) {
                    $File::Find::prune = 1;
                    return;
                }
                push @found, $path if -f $_ && $path =~ $pattern;
            },
        },
        map { "$top/$_" } grep { -e "$top/$_" } @folders
    );
    return sort @found;
}

# The lines of a file, without line ends.
sub lines_of {
    my ($path) = @_;
    open my $in, '<', top() . "/$path" or die "$path: $!";
    my @lines = <$in>;
    close $in;
    chomp @lines;
    return @lines;
}

1;
