#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What every file keeps to: licence line, length, no function that cannot be used safely, nothing left for later.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Source;
use Test::More;

my $BANNED = qr/(?<![\w>.])(strcpy|strcat|sprintf|vsprintf|gets|strtok|system|popen|strncpy|strncat|alloca|asctime|ctime|gmtime|localtime)\s*\(/;
my $LATER = join '|', 'TO' . 'DO', 'FIX' . 'ME', 'XX' . 'X';

# The line without strings and comments, as far as one line can tell.
sub code_of {
    my ($line) = @_;
    $line =~ s/"(?:[^"\\]|\\.)*"/""/g;
    $line =~ s{/\*.*?\*/}{}g;
    $line =~ s{^\s*\*.*|/[/*].*}{};
    return $line;
}

sub faults_of {
    my ($file) = @_;
    my @lines = lines_of($file);
    my $is_c = $file =~ /\.[ch]$/;
    my $is_ours = $file =~ m{^(?:lib|mod_p2p|t/sandbox)/};
    my @wrong;
    push @wrong, "$file: no SPDX-License-Identifier: Apache-2.0 at its top"
        unless join("\n", $lines[0] // '', $lines[1] // '') =~ /SPDX-License-Identifier: Apache-2\.0/;
    my $written = grep { !(/^# --- sources,/ .. /^# --- end of sources/) } @lines;    # Makefile.am's lists are made by t/source/refresh-lists
    push @wrong, "$file: $written lines; 600 are the limit" if $written > 600;
    for my $i (0 .. $#lines) {
        my $at = "$file:" . ($i + 1);
        push @wrong, "$at: something left for later" if $lines[$i] =~ /\b(?:$LATER)\b/;
        push @wrong, "$at: white space at the end of the line" if $lines[$i] =~ /[ \t]$/;
        next unless $is_c;
        push @wrong, "$at: a tab" if $lines[$i] =~ /\t/;
        push @wrong, "$at: $1() cannot be used safely" if $is_ours && code_of($lines[$i]) =~ $BANNED;
    }
    return @wrong;
}

my @files = files(qr{\.(?:[ch]|pm|t|pl|java)$|/(?:quickstart|configure\.ac|Makefile\.am)$}, 'lib', 'mod_p2p', 't');
push @files, grep { -e top() . "/$_" } qw(configure.ac Makefile.am quickstart .ci/run);
ok(@files > 0, 'there are files to look at');
for my $file (@files) {
    my @wrong = faults_of($file);
    ok(!@wrong, $file) or diag(join "\n", @wrong);
}
done_testing();
