#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# conf/add-payer-task.json is the guide's sample, member by member: what it says, canonically written, has the digest of the guide's. docs/add-payer.md
# names each of its placeholders, and its commands leave none.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use JSON::PP;
use P2P::AddPayer;
use P2P::Source;
use Test::More;

my $GUIDE = '06269258592ce0afabe6fd65a6bd8b027b95f5942bd761caa904207988ff6f2b';

my $text = join "\n", lines_of('conf/add-payer-task.json');
is(sha256_hex(JSON::PP->new->utf8->canonical->encode(decode_json($text))), $GUIDE, 'the sample is the guide\'s');

my %placeholders = map { $_ => 1 } $text =~ /<\w+>/g;
is(scalar keys %placeholders, 8, 'its placeholders');
my $docs = join "\n", lines_of('docs/add-payer.md');
ok(index($docs, "`$_`") >= 0, "docs/add-payer.md explains $_") for sort keys %placeholders;

# The page's own sed command.
my ($command) = $docs =~ /^    (sed -e .*?) >task\.json$/ms;
ok($command, 'docs/add-payer.md fills it in') or BAIL_OUT('no command');
my $top = top();
my $filled = qx(cd '$top' && now=2026-11-23T09:31:54Z && $command);
unlike($filled, qr/<|>|1111111111/, 'its command leaves nothing to fill in');
my $task = decode_json($filled);
is_deeply($task, decode_json(P2P::AddPayer::sample(
    patient => 'member-1', organization => 'our-organization', time => '2026-11-23T09:31:54Z', first => 'Evelyn', last => 'McCullough',
    phone => '555-0100', payer => 'Sandbox Source Payer', email => 'evelyn@example.org')), 'what the tests post is what the page posts');

my %odd = (first => qq(A"\\\n<b>), payer => "\x{1F600}\$1|&", email => "a\@b\r\nBcc: c\@d");
my $odd = decode_json(P2P::AddPayer::sample(%odd));
is(P2P::AddPayer::input($odd, 'requester-first-name'), $odd{first}, 'odd values come through');
is(P2P::AddPayer::input($odd, 'new-payer-name'), $odd{payer}, '... in any script');
is(P2P::AddPayer::input($odd, 'requester-email'), $odd{email}, '... with line breaks');
done_testing;
