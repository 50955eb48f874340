#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Later pages of an answer that got Provenance get it as well: they are known by the next link, whoever the server behind thinks he is, also after a
# graceful restart and in another httpd, until the cache forgets.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use P2P::Inject;
use Test::More;

my $FORM = 'application/x-www-form-urlencoded';

sub page {
    my ($next, $id) = @_;
    my $link = defined $next ? qq("link":[{"relation":"self","url":"x"},{"relation":"next","url":"$next"}],) : '';
    return qq({"resourceType":"Bundle","type":"searchset",$link"entry":[]}) if $id =~ /^empty.*[12]$/;    # nobody may see what is on these
    return substr(qq({"resourceType":"Bundle","type":"searchset","entry":[],$link), 0, -1) . '}' if $id =~ /^late.*1$/;
    return qq({"resourceType":"Bundle","type":"searchset",$link"entry":[{"fullUrl":"https://payer.example/fhir/Observation/$id","resource":)
        . qq({"resourceType":"Observation","id":"$id"}}]});
}

# /…?_getpages=CASE-n is page n; any other URL the first one, of the case that its patient has. The next link may tell of the server behind, of
# another, or of nobody.
sub answer {
    my ($r) = @_;
    my ($case, $n) = $r->{path} =~ /_getpages=(\w+)-(\d+)/;
    ($case, $n) = (($r->{path} =~ /Patient\/(\w+)/)[0] // ($r->{body} =~ /patient=(\w+)/)[0], 1) if !$case;
    my $port = $r->{port};
    my %next = (
        empty    => "http://127.0.0.1:$port/fhir?_getpages=",
        late     => "http://127.0.0.1:$port/fhir?_getpages=",
        behind   => "http://127.0.0.1:$port/fhir?_getpages=",
        public   => 'https://public.example/fhir?_getpages=',
        root     => '/fhir?_getpages=',
        relative => '?_getpages=',
        escaped  => 'http:\/\/other.example\/fhir?_x=a%7Cb&_y=\u00e9&_getpages=',
        path     => 'https://public.example/fhir/pages/_getpages=',
        broken   => 'http://[::/fhir?_getpages=',
    );
    $case =~ s/^(\w+?)_.*/$1/;
    my $id = ($r->{path} =~ /_getpages=(\w+)-/)[0] // ($r->{path} =~ /Patient\/(\w+)/)[0] // ($r->{body} =~ /patient=(\w+)/)[0];
    $r->reply(200, page($n < 4 ? "$next{$case}$id-" . ($n + 1) : undef, "$id-$n"));
    return;
}

sub injected { my ($httpd, $path) = @_; my (undef, @added) = P2P::Inject::without_injected($httpd->get($path)->{content}); return scalar @added }
sub ask_first_at { my ($httpd, $base, $case) = @_; return injected($httpd, "$base/Patient/$case/\$everything") }
sub ask_first { my ($httpd, $case) = @_; return ask_first_at($httpd, '/fhir', $case) }

my $httpd = P2P::Inject->new(handler => \&answer)->start;

# ---- Every page, and no other ----

is(injected($httpd, '/fhir?_getpages=behind-2'), 0, 'a page that nobody was given is passed on');
is(ask_first($httpd, 'behind'), 1, 'the first page');
is(injected($httpd, "/fhir?_getpages=behind-$_"), 1, "page $_, by a link of the server behind") for 2 .. 4;
is(injected($httpd, '/fhir?_getpages=behind-2'), 1, 'a page that is asked for again');
is(injected($httpd, '/fhir?_getpages=behind-5'), 0, 'a page that was no next link');
is(injected($httpd, '/fhir/Patient/public'), 0, 'an answer that nobody asked Provenance for');
is(injected($httpd, '/fhir?_getpages=public-2'), 0, '... and its next page');
is(ask_first($httpd, 'public'), 1, 'the first page');
is(injected($httpd, "/fhir?_getpages=public-$_"), 1, "page $_, by a public link") for 2 .. 4;
ask_first($httpd, 'root');
is(injected($httpd, "/fhir?_getpages=root-$_"), 1, "page $_, by a link without a host") for 2 .. 4;
ask_first($httpd, 'relative');
is(injected($httpd, '/fhir/Patient/relative/$everything?_getpages=relative-2'), 1, 'page 2, by a relative link');
is(ask_first($httpd, 'empty'), 0, 'a first page without entries');
is(injected($httpd, '/fhir?_getpages=empty-2'), 0, '... and a second one');
is(injected($httpd, "/fhir?_getpages=empty-$_"), 1, "... page $_ is known all the same") for 3 .. 4;
is(ask_first($httpd, 'late'), 0, 'a first page without entries, the link behind them');
is(injected($httpd, '/fhir?_getpages=late-2'), 1, '... the next page');
ask_first($httpd, 'escaped');
is(injected($httpd, '/fhir?_x=a%7cb&_y=%C3%A9&_getpages=escaped-2'), 1, 'page 2, by a link that is written in another way');
is(injected($httpd, '/fhir?_x=a%7Cb&%5Fy=%c3%a9&_getpages=escaped-3'), 1, '... page 3');
is(injected($httpd, '/fhir?_x=a%7Cb&_y=e&_getpages=escaped-4'), 0, '... not by another one');
ask_first($httpd, 'path');
is(injected($httpd, '/fhir/pages/_getpages=path-2'), 1, 'page 2, by a link without a query');
is(ask_first($httpd, 'broken'), 1, 'a link that is none is not kept');
is($httpd->ask('POST', '/fhir/Observation/_search', headers => { 'Content-Type' => $FORM }, content => 'patient=behind_p&_revinclude=Provenance:target')->{status}, 200, 'POST _search');
is(injected($httpd, "/fhir?_getpages=behind_p-$_"), 1, "... page $_") for 2 .. 4;
is($httpd->ask('HEAD', '/fhir?_getpages=behind-3')->{headers}{'content-length'}, undef, 'HEAD of a page');

# ---- A graceful restart ----

ask_first($httpd, 'behind_g');
my ($child) = children($httpd);
$httpd->graceful;
ok($httpd->wait_for(sub { !grep { $_ == $child } children($httpd) }), 'the old child is gone');
is(injected($httpd, '/fhir?_getpages=behind_g-2'), 1, 'a page is known after a graceful restart');
ask_first($httpd, 'behind_h');
is(injected($httpd, '/fhir?_getpages=behind_h-2'), 1, '... and what comes after it');
$httpd->stop;

sub children { my ($self) = @_; return split ' ', P2P::Httpd::read_file("/proc/$self->{pid}/task/$self->{pid}/children") }

# ---- Where the public path is another ----

$httpd = P2P::Inject->new(handler => \&answer, proxy => ['ProxyPass /r4 {backend}/fhir'],
    vhost => ['<Location /r4>', 'P2PProvenanceInjection On', 'P2PProvenanceWho Organization/1', '</Location>'])->start;
is(injected($httpd, '/r4/Patient/behind/$everything'), 1, 'the public path is another one: the first page');
is(injected($httpd, '/r4?_getpages=behind-2'), 1, '... the next one by the path that the server behind has');
is(injected($httpd, '/r4?_getpages=behind-4'), 0, '... and no other');
is(join('', map { ask_first_at($httpd, '/r4', "behind_$_") . injected($httpd, "/r4?_getpages=behind_$_-2") } 1 .. 10), '11' x 10, '... over a connection that is kept');
$httpd->stop;
$httpd = P2P::Inject->new(handler => \&answer, modules => ['rewrite'], proxy => ['RewriteEngine On', 'RewriteRule ^/r4(.*)$ {backend}/fhir$1 [P]'],
    vhost => ['<Location /r4>', 'P2PProvenanceInjection On', 'P2PProvenanceWho Organization/1', '</Location>'])->start;
is(ask_first_at($httpd, '/r4', 'behind'), 1, 'proxied by mod_rewrite: the first page');
is(injected($httpd, '/r4?_getpages=behind-2'), 1, '... the next one');
$httpd->stop;

# ---- A cache that forgets ----

$httpd = P2P::Inject->new(handler => \&answer, main => ['P2PProvenanceCache shmcb 1'])->start;
ask_first($httpd, 'behind');
ok($httpd->wait_for(sub { !injected($httpd, '/fhir?_getpages=behind-2') }), 'a page is forgotten in time');
$httpd->stop;
$httpd = P2P::Inject->new(handler => \&answer, main => ['P2PProvenanceCache shmcb:full(8192)'])->start;
my @many = map { "behind_$_" } 1 .. 300;
is(scalar(grep { !ask_first($httpd, $_) } @many), 0, 'a full cache keeps nobody from his answer');
is(injected($httpd, "/fhir?_getpages=$many[-1]-2"), 1, '... the newest link is known');
is(injected($httpd, "/fhir?_getpages=$many[0]-2"), 0, '... the oldest is not');
$httpd->stop;

# ---- A cache of several hosts ----

# The few commands of memcached that httpd's client sends.
sub memcached {
    my ($listener) = @_;
    my (%kept, %clients);
    while (1) {
        my $ready = '';
        vec($ready, fileno $_, 1) = 1 for $listener, map { $_->{socket} } values %clients;
        next if select($ready, undef, undef, undef) <= 0;
        if (vec $ready, fileno $listener, 1) {
            my $socket = $listener->accept or next;
            $clients{$socket} = { socket => $socket, text => '' };
        }
        for my $client (grep { vec $ready, fileno $_->{socket}, 1 } values %clients) {
            if (!sysread $client->{socket}, $client->{text}, 65536, length $client->{text}) { delete $clients{ $client->{socket} }; next }
            1 while serve_one($client, \%kept);
        }
    }
}

sub serve_one {
    my ($client, $kept) = @_;
    return 0 if $client->{text} !~ /^(.*?)\r\n/;
    my ($line, @words) = ($1, split / /, $1);
    if ($words[0] eq 'set') {
        return 0 if length $client->{text} < length($line) + 4 + $words[4];
        $kept->{ $words[1] } = substr $client->{text}, length($line) + 2, $words[4];
        substr $client->{text}, 0, length($line) + 4 + $words[4], '';
        syswrite $client->{socket}, "STORED\r\n";
        return 1;
    }
    substr $client->{text}, 0, length($line) + 2, '';
    my $value = $kept->{ $words[1] // '' };
    syswrite $client->{socket}, $words[0] eq 'version' ? "VERSION 1.6\r\n" : $words[0] ne 'get' ? "ERROR\r\n"
        : (defined $value ? "VALUE $words[1] 0 " . length($value) . "\r\n$value\r\n" : '') . "END\r\n";
    return 1;
}

my $listener = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') or die "no port: $!\n";
my $pid = fork // die "fork: $!\n";
if (!$pid) {
    P2P::Hostile::die_with_parent();
    memcached($listener);
}
my $port = $listener->sockport;
close $listener;
my @two = map { P2P::Inject->new(handler => \&answer, modules => ['socache_memcache'], main => ["P2PProvenanceCache memcache:127.0.0.1:$port"])->start } 1, 2;
is(ask_first($two[0], 'root'), 1, 'two hosts with one cache: the first page at one');
is(injected($two[1], '/fhir?_getpages=root-2'), 1, '... the next one at the other');
is(injected($two[1], '/fhir?_getpages=root-4'), 0, '... and no other');
$_->expect_log(qr/P2PProvenanceCache does not keep a next link|AH00\d+: scache_mc/) for @two;
kill 'KILL', $pid;
waitpid $pid, 0;
is(ask_first($two[0], 'root_d'), 1, 'a cache that is away keeps nobody from his answer');
ok($two[0]->wait_for(sub { $two[0]->log_text =~ /P2PProvenanceCache does not keep a next link/ }), '... the log tells');
$_->stop for @two;
done_testing();
