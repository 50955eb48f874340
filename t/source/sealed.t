#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What migrate.c marks as sealed stands in the list of sealed_table.c, with the table's primary key, and nothing else does: a reseal forgets no column.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Source;
use Test::More;

# The statements of the schema, each as one line in which a column reads: name KIND.
my $text = join "\n", lines_of('lib/store/migrate.c');
my (%sealed, %keys);
for my $statement ($text =~ /^    ("(?:CREATE TABLE|ALTER TABLE).*?),(?:\s*\/\*.*?\*\/)?$(?=\n\n|\n    (?:"|\/\*|NULL))/gms) {
    my $line = $statement =~ s/"\s*\n\s*"//gr =~ s/"//gr =~ s/\s+/ /gr;
    my ($table) = $line =~ /TABLE (\w+)/;
    $sealed{$table}{$_} = 1 for $line =~ /(\w+) SEALED_COLUMN/g;
    $keys{$table} = join ' ', split /, /, $1 if $line =~ /[ (]PRIMARY KEY \(([^)]*)\)/;
    $keys{$table} //= $1 if $line =~ /\((\w+) (?:BIGINT|TEXT) NOT NULL PRIMARY KEY/;
}
my @marks = $text =~ /\w+" SEALED_COLUMN/g;
my $found = 0;
$found += keys %$_ for values %sealed;
cmp_ok($found, '>', 15, 'migrate.c marks what is sealed');
is($found, scalar @marks, '... and each mark was read');

my %listed;
for my $entry (join("\n", lines_of('lib/store/sealed_table.c')) =~ /^    \{("p2p_.*?LABELS\("\w+"\))\}/gms) {
    my ($table, $keys, $types, $columns, $label) = $entry =~ /^"(\w+)", \{([^}]*)\}, "(\w+)", \{(\{.*?\})\}.*LABELS\("(\w+)"\)/s or BAIL_OUT("not understood: $entry");
    $listed{$table} = { map { $_ => 1 } $columns =~ /"(\w+)"/g };
    is(join(' ', $keys =~ /\w+/g), $keys{$table}, "$table: its primary key");
    is("p2p_$label", $table, '... and its labels');
}
is_deeply(\%listed, { map { $_ => $sealed{$_} } grep { %{ $sealed{$_} } } keys %sealed }, 'the list has every column that is marked, and no other');

# Whoever seals names the column by its table: each of these is marked.
my $sources = join "\n", map { lines_of($_) } files(qr{\.c$}, 'lib/store', 'mod_p2p', 'lib/runner', 'lib/oidc', 'lib/exchange');
my %known = map { $_ => 1 } map { keys %$_ } values %sealed;
my @named = map { s/\/$//r } ($sources =~ /p2p_seal_column\([^;]*?"(\w+\/?)"\s*[,)]/gs);
cmp_ok(scalar @named, '>', 5, 'columns are sealed by name');
is(join(' ', grep { !$known{$_} && !$sealed{$_} } @named), '', '... and each of these is marked');
done_testing;
