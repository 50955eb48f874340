# SPDX-License-Identifier: Apache-2.0
# A JSON reader for comparisons: tokens as they were written (numbers as text, escapes as they are), in their order; nothing is shared with the runner.
package P2P::Json;
use strict;
use warnings;
use Exporter qw(import);
our @EXPORT_OK = qw(tokens parse text_of value_of at member items copy);

my $TOKEN = qr/"(?:[^"\\\x00-\x1f]++|\\(?:["\\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"|[{}\[\]:,]|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?|true|false|null/;

# The tokens of a text (bytes), or death with the place where it is no JSON.
sub tokens {
    my ($text) = @_;
    my @tokens = $text =~ /\G[ \t\r\n]*+($TOKEN)/gco;
    $text =~ /\G[ \t\r\n]*+/gc;
    my $at = pos $text // 0;
    die "no JSON at byte $at: " . substr($text, $at, 40) . "\n" if $at < length $text;
    return \@tokens;
}

# A tree: a scalar token as it is, ['[', values] or ['{', name, value, name, value ...], names as tokens.
sub tree {
    my ($tokens, $at) = @_;
    my $token = $tokens->[$$at++] // die "JSON ends too early\n";
    return $token if $token ne '{' && $token ne '[';
    my $end = $token eq '{' ? '}' : ']';
    my @node = ($token);
    if ($tokens->[$$at] eq $end) {
        $$at++;
        return \@node;
    }
    while (1) {
        if ($token eq '{') {
            push @node, $tokens->[$$at++];
            die "JSON has no colon\n" if $tokens->[$$at++] ne ':';
        }
        push @node, tree($tokens, $at);
        my $next = $tokens->[$$at++] // die "JSON ends too early\n";
        return \@node if $next eq $end;
        die "JSON has no comma\n" if $next ne ',';
    }
}

sub parse {
    my ($text) = @_;
    my ($tokens, $at) = (tokens($text), 0);
    my $tree = tree($tokens, \$at);
    die "JSON goes on behind its end\n" if $at != @$tokens;
    return $tree;
}

# A tree as text without blanks.
sub text_of {
    my ($node) = @_;
    return $node if !ref $node;
    my ($kind, @rest) = @$node;
    return '[' . join(',', map { text_of($_) } @rest) . ']' if $kind eq '[';
    my @members;
    while (@rest) {
        my ($name, $value) = splice @rest, 0, 2;
        push @members, "$name:" . text_of($value);
    }
    return '{' . join(',', @members) . '}';
}

my %ESCAPE = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");

# What a string token stands for, as UTF-8 bytes; undef for other nodes.
sub value_of {
    my ($node) = @_;
    return undef if !defined $node || ref $node || $node !~ /^"/;
    my $text = substr $node, 1, -1;
    return $text if index($text, '\\') < 0;
    $text =~ s/\\u([dD][89abAB]..)\\u(....)/pack_utf8(0x10000 + ((hex($1) & 0x3ff) << 10) + (hex($2) & 0x3ff))/ge;
    $text =~ s/\\(?:u(....)|(.))/defined $1 ? pack_utf8(hex $1) : $ESCAPE{$2} \/\/ $2/ge;
    return $text;
}

sub pack_utf8 { my ($code) = @_; my $text = chr $code; utf8::encode($text); return $text }

# The place of a member's value in an object node, or undef.
sub at {
    my ($node, $name) = @_;
    return undef if ref $node ne 'ARRAY' || $node->[0] ne '{';
    for (my $i = 1; $i < @$node; $i += 2) {
        return $i + 1 if $node->[$i] eq qq("$name");
    }
    return undef;
}

sub member { my ($node, $name) = @_; my $at = at($node, $name); return defined $at ? $node->[$at] : undef }
sub items  { my ($node) = @_; return ref $node eq 'ARRAY' && $node->[0] eq '[' ? @$node[1 .. $#$node] : () }

# A tree of its own with the same content.
sub copy { my ($node) = @_; return ref $node ? [map { copy($_) } @$node] : $node }

1;
