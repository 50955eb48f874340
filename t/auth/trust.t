#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# P2PTrustIssuer: every fault of a line is found by httpd -t and told in a sentence; the runner learns what it needs and no more.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Httpd;
use P2P::Jwt qw(new_key jwk_set);
use Test::More;

my $dir     = tempdir('p2p-trust-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $key     = new_key('ES256', 'one');
my $keys    = P2P::Httpd::write_file("$dir/keys.json", jwk_set($key), 0644);
my $one     = P2P::Httpd::write_file("$dir/one.json", encode_json($key->{jwk}), 0644);
my $private = P2P::Httpd::write_file("$dir/private.json", encode_json({ %{ $key->{jwk} }, d => 'AAAA' }), 0644);
my $short   = P2P::Httpd::write_file("$dir/short.json", jwk_set(new_key('RS256', 'x', bits => 1024)), 0644);
my $plain   = P2P::Httpd::write_file("$dir/plain", "text\n", 0600);
my $client  = P2P::Httpd::write_file("$dir/client.json", '{"clientId":"us","clientSecret":"THE-SECRET"}', 0600);
my $open    = P2P::Httpd::write_file("$dir/open.json", '{"clientId":"us","clientSecret":"THE-SECRET"}', 0644);
my $nobody  = P2P::Httpd::write_file("$dir/nobody.json", '{"clientId":"","clientSecret":"THE-SECRET"}', 0600);

sub httpd_with {
    my (@lines) = @_;
    return P2P::Httpd->new(db => { driver => 'sqlite3', params => "$dir/p2p.db" }, main => [map { "P2PTrustIssuer $_" } @lines]);
}

sub fault {
    my ($pattern, @lines) = @_;
    my ($code, $out) = httpd_with(@lines)->configtest;
    my @sentences = grep { /^P2P|^Write/ } split /\n/, $out;
    my $name = $lines[-1] =~ s{\Q$dir/\E}{}gr;
    isnt($code, 0, "$name: httpd -t fails");
    is(scalar @sentences, 1, '... with one sentence') or diag $out;
    like($sentences[0] // '', $pattern, '... which says what is wrong');
    return;
}

my $I  = 'https://login.example';
my $OK = 'audience=p2p portal=p2p.portal';
my $AT = qr/^P2PTrustIssuer \(line \d+ of \S+httpd\.conf\): /;
fault(qr/^Write it as P2PTrustIssuer \[definition\] ISSUER /, $_) for $I, "definition $I";
fault(qr/^P2PTrustIssuer knows keys=.* not "scope=x"$/, "$I scope=x $OK");
fault(qr/^P2PTrustIssuer knows keys=.* not "key=x"$/, "$I key=x $OK");
fault(qr/^P2PTrustIssuer has audience twice in one line/, "$I audience=a $OK");
fault(qr/^P2PTrustIssuer: $_= needs a value$/, "$I $_= $OK") for 'keys', 'jwks', 'introspection', 'client', 'administration';
fault(qr/${AT}http:\/\/login\.example must be an https URL/, "http://login.example $OK");
fault(qr/${AT}login\.example must be/, "login.example $OK");
fault(qr/${AT}https:\/\/login\.example\/\?x=1 must/, "$I/?x=1 $OK");
fault(qr/${AT}https:\/\/login\.example stands twice: remove this one or the one in line \d+/, "$I $OK", "$I/ $OK");
fault(qr/${AT}https:\/\/login\.example stands twice/, "$I $OK", "definition $I $OK");
fault(qr/${AT}\S+ needs audience=: /, "$I portal=p");
fault(qr/${AT}\S+ needs portal= or administration=: /, "$I audience=a");
fault(qr/${AT}\S+ has a blank or a character that cannot be in/, "$I audience=a,,b portal=p");
fault(qr/${AT}\S+ has a blank or a character that cannot be in/, "$I audience=a \"portal=p q\"");
fault(qr/${AT}\S+ can be verified in one way only/, "$I keys=$keys jwks=https://login.example/jwks $OK");
fault(qr/${AT}\S+ can be verified in one way only/, "$I keys=$keys introspection client=$client $OK");
fault(qr/${AT}\S+ needs client=: /, "$I introspection $OK");
fault(qr/${AT}\S+ needs no client= without introspection/, "$I client=$client $OK");
fault(qr/${AT}\S+ is trusted as its definition says: leave out/, "definition $I keys=$keys $OK");
fault(qr/${AT}http:\/\/login\.example\/jwks must be an https URL/, "$I jwks=http://login.example/jwks $OK");
fault(qr/${AT}ftp:\/\/x must be/, "$I introspection=ftp://x client=$client $OK");
fault(qr/${AT}\S+none cannot be read: No such file/, "$I keys=$dir/none $OK");
fault(qr/${AT}\S+plain \S/, "$I keys=$plain $OK");
fault(qr/${AT}\S+private\.json .*private/, "$I keys=$private $OK");
fault(qr/${AT}\S+short\.json .*2048/, "$I keys=$short $OK");
fault(qr/${AT}\S+open\.json \(.*mode 0644\) is open to others/, "$I introspection client=$open $OK");
fault(qr/${AT}\S+plain must be a JSON object, \{"clientId"/, "$I introspection client=$plain $OK");
fault(qr/${AT}\S+nobody\.json must be a JSON object, \{"clientId"/, "$I introspection client=$nobody $OK");

my @good = ("$I $OK", "https://b.example jwks=https://b.example/jwks audience=a,b portal=p,q administration=r", "https://c.example/x/ keys=$keys $OK",
    "https://d.example keys=$one $OK", "https://e.example introspection client=$client audience=a administration=all",
    "https://f.example introspection=https://f.example/ask client=$client $OK", "definition https://g.example $OK");
my ($code, $out) = httpd_with(@good)->configtest;
is($code, 0, 'all of them that are right, side by side') or diag $out;
($code, $out) = P2P::Httpd->new(db => { driver => 'sqlite3', params => "$dir/p2p.db" }, main => ["P2PTrustIssuer http://login.example $OK"],
    directives => { P2PAllowHttp => 'On' })->configtest;
is($code, 0, 'http with P2PAllowHttp On') or diag $out;
($code, $out) = httpd_with(map { "$_.example $OK" } 'a', 'b', 'c')->configtest;
is(() = $out =~ /^P2PTrustIssuer/mg, 3, 'every fault is told at once');
($code, $out) = P2P::Httpd->new(db => { driver => 'sqlite3', params => "$dir/p2p.db" }, vhost => ["P2PTrustIssuer $I $OK"])->configtest;
like($out, qr/^P2PTrustIssuer belongs in the main server configuration/m, 'not in a virtual host');

# Where people sign in: one of these.
sub sign_in {
    my ($line, @lines) = @_;
    return P2P::Httpd->new(db => { driver => 'sqlite3', params => "$dir/p2p.db" }, main => [(map { "P2PTrustIssuer $_" } @lines), map { "P2PSignIn $_" } $line]);
}
my %faulty = (
    $I => qr/^Write it as P2PSignIn ISSUER CLIENT_ID SCOPE \.\.\.$/m, "$I us" => qr/^Write it as P2PSignIn /m,
    'https://other.example us openid' => qr/^P2PSignIn \(line \d+ of \S+\): https:\/\/other\.example is none of P2PTrustIssuer: its tokens would not count; add it there$/m,
    "$I \"\" openid" => qr/^P2PSignIn \(.*\): needs the id of the client/m, "$I us \"\"" => qr/^Write it as P2PSignIn /m,
    "$I us \" \"" => qr/^P2PSignIn \(.*\): needs the scopes/m, "$I \"u\x07s\" openid" => qr/^P2PSignIn \(.*\): must name the client by printable/m,
    "$I us openid a\\\\b" => qr/^P2PSignIn \(.*\): has a character that cannot be in a scope$/m, "$I us open\xe4" => qr/^P2PSignIn \(.*\): has a character/m,
);
for my $line (sort keys %faulty) {
    ($code, $out) = sign_in($line, "$I $OK")->configtest;
    isnt($code, 0, "P2PSignIn $line: httpd -t fails");
    like($out, $faulty{$line}, '... and says why');
}
($code, $out) = sign_in("$I us openid", "$I $OK")->configtest;
is($code, 0, 'a good P2PSignIn') or diag $out;
is(decode_json(P2P::Httpd::read_file(sign_in("$I/ us openid", "$I $OK")->spec_file))->{signInIssuer}, $I, '... of which a runner is told the issuer');

my $httpd = httpd_with(@good);
my $text = P2P::Httpd::read_file($httpd->spec_file);
my $trust = decode_json($text)->{trust};
is(join(' ', map { "$_->{issuer}=$_->{kind}" } @$trust),
    'https://login.example=published https://b.example=published https://c.example/x=keys https://d.example=keys '
        . 'https://e.example=introspection https://f.example=introspection https://g.example=definition', 'what a runner is told');
is($trust->[1]{jwksUri}, 'https://b.example/jwks', '... where keys are');
is($trust->[5]{introspectionEndpoint}, 'https://f.example/ask', '... where to ask');
unlike($text, qr/THE-SECRET/, '... and no secret');
done_testing;
