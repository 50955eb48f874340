#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# mod_p2p/pages/openapi.json is clean under Redocly's linter, by the rules of redocly.yaml; and the linter is one that finds something. What npm brings has
# to be there (`npm ci` in this folder).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Source;
use Test::More;

my $redocly = "$FindBin::Bin/node_modules/.bin/redocly";
die "$redocly is missing: run npm ci in $FindBin::Bin.\n" if !-x $redocly;
my $document = top() . '/mod_p2p/pages/openapi.json';

# Nothing is told to anybody, and no newer version is asked for.
local @ENV{qw(REDOCLY_TELEMETRY REDOCLY_SUPPRESS_UPDATE_NOTICE NO_COLOR)} = qw(off true 1);

# The linter's problems with a document: { rule => number }.
sub lint {
    my ($path) = @_;
    open my $out, '-|', 'sh', '-c', 'exec "$0" lint --config "$1/redocly.yaml" --lint-config error --format json "$2" 2>/dev/null', $redocly, $FindBin::Bin, $path or die $!;
    my $said = do { local $/; <$out> };
    close $out;
    my $code = $? >> 8;
    my $answer = eval { decode_json($said) } or die "redocly says: $said\n";
    my %rules;
    $rules{ $_->{ruleId} }++ for @{ $answer->{problems} };
    diag "$_->{ruleId}: $_->{message}: " . join(', ', map { $_->{pointer} // '' } @{ $_->{location} }) for $path eq $document ? @{ $answer->{problems} } : ();
    return ($code, \%rules, $answer);
}

my ($code, $rules, $answer) = lint($document);
is_deeply($rules, {}, 'neither errors nor warnings');
is($code, 0, '... and it ends well');
is_deeply([@{ $answer->{totals} }{qw(errors warnings ignored)}], [0, 0, 0], '... nothing is ignored');

# What it is there for.
my $text = join "\n", lines_of('mod_p2p/pages/openapi.json');
my $doc = decode_json($text);
my $operation = $doc->{paths}{'/health'}{get};
delete @{$operation}{qw(operationId summary security)};
$operation->{tags} = ['Nowhere'];
$operation->{responses}{200}{content}{'application/json'}{example} = { status => 'broken' };
my $bad = tempdir('p2p-lint-XXXXXX', TMPDIR => 1, CLEANUP => 1) . '/bad.json';
open my $file, '>', $bad or die "$bad: $!";
print {$file} encode_json($doc);
close $file;
($code, $rules) = lint($bad);
isnt($code, 0, 'a document that is spoilt is no good');
is_deeply([sort keys %$rules], [sort qw(no-invalid-media-type-examples operation-operationId operation-summary operation-tag-defined security-defined)], '... each fault is found');
done_testing();
