#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The pages: files from memory, open to everybody, with the headers that keep a browser from harm, and nothing of the file system to be had by a path.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use IO::Uncompress::Gunzip qw(gunzip);
use JSON::PP;
use P2P::Api;
use P2P::Httpd;
use Test::More;

my $dir = tempdir('p2p-pages-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $pages = P2P::Httpd::builddir() . '/pages';
my %FILES = ('/' => 'index.html', '/openapi.json' => 'openapi.json', '/swagger/swagger-ui-bundle.js' => 'swagger/swagger-ui-bundle.js',
    '/swagger/page.js' => 'swagger/page.js', '/swagger/oauth2-redirect.html' => 'swagger/oauth2-redirect.html', '/console/' => 'console/index.html',
    '/console/index.html' => 'console/index.html', '/swagger/LICENSE' => 'swagger/LICENSE');
my %TYPES = (html => 'text/html; charset=utf-8', js => 'text/javascript; charset=utf-8', json => 'application/json', LICENSE => 'text/plain; charset=utf-8');

sub httpd {
    my (%opt) = @_;
    return P2P::Httpd->new(db => { driver => 'sqlite3', params => "$dir/nowhere/p2p.db" }, %opt);
}

# The table of a Content-Security-Policy.
sub policy { my ($answer) = @_; return { map { /^\s*(\S+) (.*)$/ ? ($1 => $2) : () } split /;/, $answer->{headers}{'content-security-policy'} // '' } }

sub test_bytes {
    my ($api, $name) = @_;
    for my $path (sort keys %FILES) {
        my $bytes = P2P::Httpd::read_file("$pages/$FILES{$path}");
        my $plain = $api->get($path);
        is($plain->{status}, 200, "$name: $path");
        ok($plain->{content} eq $bytes, '... has the bytes of its file');
        is($plain->{headers}{'content-type'}, $TYPES{ $FILES{$path} =~ /(\w+)$/ ? $1 : '' }, '... its type');
        like($plain->{headers}{etag}, qr/^"[0-9a-f]{32}"$/, '... an ETag');
        is($plain->{headers}{'content-encoding'}, undef, '... and is not compressed for whoever did not ask');
        my $zipped = $api->get($path, 'Accept-Encoding' => 'gzip, deflate, br');
        next if length $bytes < 1000;
        is($zipped->{headers}{'content-encoding'}, 'gzip', '... but for whoever did');
        is($zipped->{headers}{'content-length'}, length $zipped->{content}, '... with its own length');
        cmp_ok(length $zipped->{content}, '<', length $bytes, '... which is less');
        my $got;
        gunzip(\$zipped->{content} => \$got);
        ok($got eq $bytes, '... and the same bytes');
        isnt($zipped->{headers}{etag}, $plain->{headers}{etag}, '... under an ETag of its own');
        is($_->{headers}{vary}, 'Accept-Encoding', '... and a cache knows') for $plain, $zipped;
    }
    return;
}

sub test_conditions {
    my ($api) = @_;
    for my $accept ('identity', 'gzip') {
        my %ask = ('Accept-Encoding' => $accept);
        my $first = $api->get('/swagger/swagger-ui.css', %ask);
        my $again = $api->get('/swagger/swagger-ui.css', %ask, 'If-None-Match' => $first->{headers}{etag});
        is_deeply([$again->{status}, $again->{content}, @{ $again->{headers} }{qw(etag cache-control vary)}],
            [304, '', $first->{headers}{etag}, 'no-cache', 'Accept-Encoding'], "$accept: 304 for whoever has it");
        is($api->get('/swagger/swagger-ui.css', %ask, 'If-None-Match' => '"other"')->{status}, 200, '... 200 for whoever has another');
        my $head = $api->request('HEAD', '/swagger/swagger-ui.css', headers => \%ask);
        is_deeply([$head->{status}, $head->{content}, @{ $head->{headers} }{qw(content-length etag content-type content-encoding)}],
            [200, '', @{ $first->{headers} }{qw(content-length etag content-type content-encoding)}], '... HEAD tells the same without it');
    }
    my %takes = ('gzip' => 1, 'GZIP' => 1, 'br, gzip;q=0.5' => 1, '*' => 1, 'gzip;q=0' => 0, 'gzip; q=0.000, *' => 0, '*;q=0' => 0, 'br' => 0, 'identity' => 0,
        '' => 0, 'x-gzip' => 1, 'gzipped' => 0, ';;,,;q' => 0, 'deflate , gzip ; q=1' => 1);
    for my $accept (sort keys %takes) {
        my $coding = $api->get('/swagger/swagger-ui.css', 'Accept-Encoding' => $accept)->{headers}{'content-encoding'};
        is($coding // '', $takes{$accept} ? 'gzip' : '', "Accept-Encoding: $accept");
    }
    my $part = $api->get('/swagger/LICENSE', Range => 'bytes=10-19');
    is_deeply([$part->{status}, $part->{content}], [206, substr P2P::Httpd::read_file("$pages/swagger/LICENSE"), 10, 10], 'a range is a range');
    return;
}

sub test_headers {
    my ($api) = @_;
    my %common = ('default-src' => "'none'", 'script-src' => "'self'", 'connect-src' => "'self'", 'frame-ancestors' => "'none'", 'base-uri' => "'none'",
        'form-action' => "'none'");
    for my $path (sort keys %FILES) {
        my $answer = $api->get($path);
        my %more = $path =~ /^.console/ ? ('style-src' => "'self'", 'img-src' => "'self'") : ('style-src' => "'self' 'unsafe-inline'", 'img-src' => "'self' data:");
        is_deeply(policy($answer), { %common, %more }, "$path: its policy");
        is_deeply([@{ $answer->{headers} }{qw(cache-control x-content-type-options x-frame-options referrer-policy cross-origin-resource-policy)}],
            ['no-cache', 'nosniff', 'DENY', 'no-referrer', 'same-origin'], '... and the rest');
        is($answer->{headers}{'cross-origin-opener-policy'}, $path =~ /redirect/ ? undef : 'same-origin-allow-popups', '... and who may know its window');
        is($answer->{headers}{'set-cookie'}, undef, '... and no cookie');
    }
    return;
}

# What is no file of P2PPages is not there, whatever is tried.
sub test_nowhere {
    my ($api, $name) = @_;
    my @paths = ('/console/nowhere.js', '/swagger', '/swagger/', '/swagger/nowhere', '/index.html', '/console/console/index.html', '/swagger/page.js/',
        '/console/..%2fopenapi.json', '/console/%2e%2e%2findex.html', '/console/.secret', '/console/index.html%00.js', '/console/index.html/x', '/console/app.js%0a',
        '/swagger/%5c..%5c..%5cetc%5cpasswd', '/console/' . '../x/' x 40, '/console/' . 'a' x 3000, '/openapi.json/', '/CONSOLE/', '/console/INDEX.html', '/swagger/index.html');
    for my $path (@paths) {
        my $answer = $api->get($path);
        if ($path =~ /%2f|%00/ && $name ne 'plain') {
            is($answer->{status}, 404, "$name: httpd itself says no to $path");
            next;
        }
        is_deeply([$answer->{status}, $answer->{headers}{'content-type'}, $answer->{json}{code}], [404, 'application/problem+json', 'not-found'],
            "$name: nothing at " . substr $path, 0, 50);
    }
    my $raw = $api->raw("GET @{[ $api->{url} =~ m{(/p2p)$} ]}/console/../../../../etc/passwd HTTP/1.0\r\n\r\n");
    like($raw, qr{^HTTP/1\.1 400 }, "$name: a path above the root");
    for my $method (qw(POST PUT DELETE PATCH)) {
        my $answer = $api->request($method, '/console/index.html', content => '{}');
        is_deeply([$answer->{status}, $answer->{headers}{allow}], [405, 'GET, HEAD, OPTIONS'], "$name: no $method");
    }
    return;
}

sub test_slash {
    my ($api) = @_;
    my $answer = $api->get('/console');
    is_deeply([$answer->{status}, $answer->{headers}{location}, $answer->{content}], [308, 'console/', ''], 'without its slash the console leads to itself');
    return;
}

sub test_faults {
    my $faulty = sub {
        my ($name, $pattern, $folder) = @_;
        my ($code, $out) = httpd(directives => { P2PPages => $folder })->configtest;
        isnt($code, 0, "$name: httpd -t fails");
        like($out, qr/^P2PPages \(line \d+ of \S+\): $pattern/m, '... and says why');
    };
    $faulty->('a folder that is not there', qr/\Q$dir\E\/none cannot be read: No such file or directory; name the folder with the pages/, "$dir/none");
    mkdir "$dir/empty";
    $faulty->('an empty folder', qr/\S+\/index\.html is missing: name the folder/, "$dir/empty");
    system('cp', '-R', $pages, "$dir/many") == 0 or die "cp fails\n";
    P2P::Httpd::write_file("$dir/many/console/x$_.js", '') for 1 .. 200;
    $faulty->('too many files', qr/\S+ holds more than the pages/, "$dir/many");
    unlink glob "$dir/many/console/x*.js";
    P2P::Httpd::write_file("$dir/many/console/large.js", 'x' x (17 * 1024 * 1024));
    $faulty->('too many bytes', qr/\S+ holds more than the pages/, "$dir/many");
    unlink "$dir/many/console/large.js";
    symlink '..', "$dir/many/console/loop";
    $faulty->('a loop', qr/\S+ (?:is too deep down|holds more)/, "$dir/many");
    unlink "$dir/many/console/loop";
    P2P::Httpd::write_file("$dir/many/.secret", 'secret');
    P2P::Httpd::write_file("$dir/many/console/.secret", 'secret');
    my ($code, $out) = httpd(directives => { P2PPages => "$dir/many" })->configtest;
    is($code, 0, 'what begins with a dot is passed over') or diag $out;
    return;
}

# No table, no database, no runner: pages need none; and passwords, which nobody is asked for there.
my $httpd = httpd(users => { admin => 'secret' }, directives => { P2PPages => "$dir/many" });
$httpd->expect_log(qr/AH10244: invalid URI path/);
test_faults();
$httpd->start;
my $api = P2P::Api->new($httpd->url);
is($api->get('/api/oidc_servers')->{status}, 401, 'the API asks for a password');
test_bytes($api, 'plain');
test_conditions($api);
test_headers($api);
test_nowhere(P2P::Api->new($httpd->url, 'admin', 'secret'), 'plain');
test_slash($api);

# What is on disk is read at start alone.
P2P::Httpd::write_file("$dir/many/console/new.js", 'x' x 10);
is($api->get('/console/new.js')->{status}, 404, 'a new file is not there yet');
$httpd->graceful;
ok($httpd->wait_for(sub { $api->get('/console/new.js')->{status} == 200 }), '... but after a restart');
$httpd->stop;

# Below a path, with what is on the way there open, too.
my $below = httpd(prefix => '/p2p', users => { admin => 'secret' }, vhost => ['<Location "/a b">', 'SetHandler p2p', 'Require all granted', '</Location>']);
$below->expect_log(qr/AH10244: invalid URI path/);
$below->start;
my $there = P2P::Api->new($below->url);
test_bytes($there, 'below a path');
test_nowhere(P2P::Api->new($below->url, 'admin', 'secret'), 'below a path');
test_slash($there);
my $bare = P2P::Api->new($below->url =~ s{/p2p$}{}r)->request('GET', '/a%20b', unchecked => 1);
is_deeply([$bare->{status}, $bare->{headers}{location}], [308, 'a%20b/'], 'a Location leads to what is in it');
$below->stop;
done_testing;
