#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The table of directives, conf/p2p.conf and docs/directives.md tell the same; docs/api.md knows every route and every code.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Httpd;
use P2P::Inject;
use P2P::Source;
use Test::More;

# Values that the installation decides, or that have no default: a commented line of p2p.conf is an example there.
my %EXAMPLE = map { $_ => 1 } qw(P2PCAFile P2PRunner P2PSpool P2POrigins P2PMdmIdentifier P2PTrustIssuer P2PAdministrators P2PKeyDir P2PCorsOrigins
    P2PPages P2PSignIn P2PHookURL P2PSubscriptionHeader P2PMailServer P2PMailFrom P2PMailAdmins P2PMailAuth P2PMailTemplates);

sub text { my ($path) = @_; return join "\n", lines_of($path), '' }

my $table = text('mod_p2p/config.c');
my %syntax;
my @names;
while ($table =~ /SETTING\("(P2P\w+)",\s*"([^"]*)"/g) {
    push @names, $1;
    $syntax{$1} = $2;
}
cmp_ok(scalar @names, '>', 15, 'the table of directives is found');

# Those of the source role hold where they stand.
my %source;
my $source_table = text('mod_p2p/inject_config.h');
my @source;
while ($source_table =~ /AP_INIT_\w+\("(P2P\w+)",.*"([^"]*)"\)/g) {
    push @source, $1;
    $source{$1} = $2;
}
cmp_ok(scalar @source, '>', 4, 'the table of the source role is found');

my $conf = text('conf/p2p.conf');
my %seen;
my @in_conf = grep { !$seen{$_}++ } $conf =~ /^#?(P2P\w+) /mg;    # one of them may stand several times
is_deeply(\@in_conf, \@names, 'conf/p2p.conf has every directive once, in the order of the table');

my $docs = text('docs/directives.md');
is_deeply([$docs =~ /^## (P2P\w+)$/mg], [@names, @source], 'docs/directives.md has every directive once, in the order of the tables');
my %documented;
while ($docs =~ /^## (P2P\w+)\n\nSyntax: `\1 ([^`]*)`\. ((?:Default: ([^.]*)|Required[^.]*)\..*)\n\n\S/mg) {
    $documented{$1} = { syntax => $2, rest => $3, default => $4 };
}
for my $name (@names) {
    is($documented{$name}{syntax}, $syntax{$name}, "$name: docs tell its syntax");
    my ($range) = $table =~ /SETTING\("\Q$name\E"[^\n]*RANGE\(([^)]*)\)/;
    my @bounds = $range ? map { s/ \* ([KMG])IB/$1/r =~ s/^([KMG])IB$/1$1/r } split /, /, $range : ();
    my $said = join ' to ', @bounds;
    like($documented{$name}{rest}, qr/[Ff]rom \Q$said\E\b/, "$name: ... and its range $said") if @bounds;
}

is($documented{$_}{syntax}, $source{$_}, "$_: docs tell its syntax") for @source;
my $source_conf = text('conf/source-role.conf');
like($source_conf, qr/^\s*#?\Q$_\E /m, "$_: conf/source-role.conf has it") for @source;

# httpd with all defaults written out has the same specification as without; with each one changed it would not.
my %defaults = $conf =~ /^#(P2P\w+) (.*)$/mg;
for my $name (grep { !$EXAMPLE{$_} } sort keys %defaults) {
    like($documented{$name}{default} // '', qr/^`\Q$defaults{$name}\E`$/, "$name: docs and conf tell the same default");
}
my $dir = tempdir('p2p-docs-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $key = P2P::Httpd::write_file("$dir/fixed.key", P2P::Httpd::new_key(), 0600);
my @base = (dir => $dir, db => { driver => 'sqlite3', params => "$dir/p2p.db" });
my %set = map { $_ => $defaults{$_} } grep { !$EXAMPLE{$_} } keys %defaults;
my %given = (P2PSecretKeyFile => $key, P2PRunner => '/bin/true', P2PSpool => $dir =~ s{$}{/spool 2G}r);

sub spec {
    my (%directives) = @_;
    my $httpd = P2P::Httpd->new(@base, directives => { %given, %directives });
    return decode_json(P2P::Httpd::read_file($httpd->spec_file));
}
is_deeply(spec(%set), spec(map { $_ => undef } qw(P2PRunners P2PRetryFor)), 'the defaults in p2p.conf are the defaults');

# Templates of mails: the table of the source, conf/mail, what is installed, and docs.
my %values = text('lib/model/mail_template.c') =~ /^#define (\w+) ((?:"[^"]*"|\w+)(?: (?:"[^"]*"|\w+))*)$/mg;
my %templates = text('lib/model/mail_template.c') =~ /^    \{("[\w-]+"|P2P_MAIL_TEMPLATE_TEST), ([^}]*)\},$/mg;
delete $templates{NULL};
$templates{'"test"'} = delete $templates{P2P_MAIL_TEMPLATE_TEST};
my $spelled = sub { my ($c) = @_; 1 while $c =~ s/\b(OF_EXCHANGE|TO_\w+)\b/$values{$1}/; return join '', $c =~ /"([^"]*)"/g };
my %told = map { tr/"//dr => $spelled->($templates{$_}) } keys %templates;
cmp_ok(scalar keys %told, '>', 6, 'the table of templates is found');
my @files = sort map { s{.*/}{}r } glob top() . '/conf/mail/*';
is_deeply(\@files, [sort map { ("$_.html", "$_.txt") } keys %told], 'conf/mail has a text and HTML of each template, and nothing else');
my @installed = text('Makefile.am') =~ m{conf/mail/([\w.-]+)}g;
is_deeply([sort @installed], \@files, 'all of them are installed');
my %in_docs = map { /^\| `([\w-]+)` \| [^|]* \| [^|]* \| ([^|]*) \|$/ ? ($1 => $2) : () } split /\n/, $docs =~ s/^.*\n## P2PMailTemplates\n(.*?)\n## .*$/$1/sr;
is_deeply({ map { $_ => $in_docs{$_} =~ tr/`//dr =~ s/^none$//r } keys %in_docs }, \%told, 'docs/directives.md tells of each template and its values');

# The shipped file itself, its folders and the certificate moved to where this test may write.
P2P::Httpd::make_certificate("$dir/tls");
P2P::Httpd::write_file("$dir/htpasswd", '');
my $moved = $conf =~ s{/etc/p2p}{$dir}gr;
$moved =~ s/^(P2PSecretKeyFile.*)/$1\nP2PRunner \/bin\/true\nP2PSpool $dir\/spool/m;
my $httpd = P2P::Httpd->new(@base, tls => 1, directives => { map { $_ => undef } qw(P2PTarget P2PSecretKeyFile P2PRunner P2PRunners P2PSpool
    DBDriver DBDParams DBDMax DBDMin DBDKeep) }, main => [$moved =~ s/^(Listen|TraceEnable).*//mgr]);
my ($code, $out) = $httpd->configtest;
is($code, 0, 'conf/p2p.conf is a configuration that httpd takes') or diag $out;

# The example of the source role, beside it and alone.
my $role = $source_conf =~ s{/etc/p2p}{$dir}gr;
my %proxied = (tls => 1, modules => [qw(proxy proxy_http deflate headers)]);
($code, $out) = P2P::Httpd->new(@base, %proxied, directives => \%given, main => [$role])->configtest;
is($code, 0, 'conf/source-role.conf is a configuration that httpd takes') or diag $out;
($code, $out) = P2P::Inject->new(%proxied, backend => 'http://127.0.0.1:9', location => [], modules => [qw(deflate headers)], main => [$role])->configtest;
is($code, 0, '... without the target\'s role as well') or diag $out;

my $api = text('docs/api.md');
my $route_table = text('mod_p2p/route.c');
my %routes;
$routes{"$2 $1"} = 1 while $route_table =~ /\{ "(\/[^"]*)", M_(\w+),/g;
is_deeply([sort $api =~ /^### ((?:GET|POST|DELETE|PUT|PATCH) \S+)$/mg], [sort keys %routes], 'docs/api.md has every route');
my $sources = join "\n", map { text($_) } files(qr{\.c$}, 'mod_p2p');
my %codes = map { $_ => 1 } $sources =~ /p2p_problem\(r, \w+, "([a-z-]+)"/g, $sources =~ /^    \{ [\w]+, "([a-z-]+)", "[A-Z]/mg;
like($api, qr/`\Q$_\E`/, "docs/api.md explains $_") for sort keys %codes;
done_testing();
