#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The commands of docs/portal.md, run one after the other as they stand there: an exchange by curl, from the portal's token to what arrived.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny;
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Portal;
use P2P::Sandbox;
use P2P::Source;
use Test::More;

my $sandbox = P2P::Sandbox->start(payers => [P2P::Portal::payer('target', 'member-1'),
    { name => 'source', directives => ['SandboxBearer On', 'SandboxClient portal', 'SandboxRedirect @target@/portal/', 'SandboxMember evelyn'] }]);
$sandbox->load('target', qq({"resourceType":"Patient","id":"member-1"}\n));
$sandbox->load('source', qq({"resourceType":"Patient","id":"evelyn"}\n)
    . qq({"resourceType":"Condition","id":"c","subject":{"reference":"Patient/evelyn"}}\n));
my ($portal, $source) = map { $sandbox->origin($_) } qw(target source);
my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), users => { admin => 'x' }, target => $sandbox->url('target'),
    P2P::Portal::options($portal, directives => { P2PRunners => 1 }));
$httpd->prepare([{ name => 'Former', issuer => $source, clientId => 'portal', scopes => 'openid offline_access patient/*.read', fhirEndpoint => $sandbox->url('source'),
    authWellKnown => $sandbox->url('source') . '/.well-known/smart-configuration', tokenEndpoint => $sandbox->token_url('source'), responseType => 'code' }])->start;
P2P::Portal::connect_to($sandbox, 'target', $httpd);
my $token = decode_json(HTTP::Tiny->new->post("$portal/portal/session")->{content})->{token};
my $page = P2P::Api->new($httpd->url);
$page->{authorization} = "Bearer $token";
ok($httpd->wait_for(sub { $page->get('/api/oidc_servers')->{status} == 200 }), 'the runner has the keys of the portal\'s tokens');

my %code = map { $_ => join "\n", lines_of("t/sandbox/portal/$_") } qw(calls.js portal.js record.js sign_in.js);
my $all = join "\n", values %code;
my %named = map { $_ => 1 } join("\n", lines_of('docs/portal.md')) =~ /`(\w+)\(\)`/g;
is(join(' ', grep { $all !~ /(?:function|const) \Q$_\E\b/ } sort keys %named), '', 'the functions that it names are there') or diag(keys %named);
cmp_ok(scalar keys %named, '>', 8, '... and are some');
unlike($all, qr/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|localStorage|new Function/, 'the portal makes no markup of texts, and keeps nothing for long');

my @commands = map { s/^    //r } grep { /^    (?!POST )/ } lines_of('docs/portal.md');
my $changed = 0;
for (@commands) {
    $changed += s/^api=\S+ sandbox=\S+$/api=@{[ $httpd->url ]} sandbox=$portal/;
    s/^run=.*/run=$httpd->{dir}/;
    s/--cacert "\$run\S+"//;
}
is($changed, 1, 'the addresses are put in');
my $file = P2P::Httpd::write_file("$httpd->{dir}/commands.sh", join "\n", 'set -eu', @commands, '');
my $said = qx(timeout 120 bash '$file' 2>&1);
is($?, 0, 'every command works') or diag($said);
like($said, qr/"patient": "evelyn"/, 'the tokens name the member');
like($said, qr/"batchJobId": \d+/, 'the order is taken');
like($said, qr/^HTTP\/1\.1 (?:304|200)/m, 'the exchange is watched');
like($said, qr/ 1 Condition$/m, 'the record is there');
like($said, qr/"entity": "\Q$source\E/, 'and where it came from');
unlike($said, qr/rt-[0-9a-f]{8}|\bat-[0-9a-f]{8}/, 'no token is shown');
$httpd->stop;
done_testing;
