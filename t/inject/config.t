#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The directives of the source role: each fault is one sentence of httpd -t; where they stand is where they hold; nothing else of mod_p2p is needed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Inject;
use Test::More;

my $ON  = 'P2PProvenanceInjection On';
my $WHO = 'P2PProvenanceWho Organization/1';

sub configtest { return P2P::Inject->new(backend => 'http://127.0.0.1:9', @_)->configtest }

sub good {
    my ($name, @options) = @_;
    my ($code, $out) = configtest(@options);
    is($code, 0, $name) or diag $out;
    return;
}

sub fault {
    my ($name, $pattern, @options) = @_;
    my ($code, $out) = configtest(@options);
    my @sentences = grep { !/^(?:AH00014: Configuration check failed|AH00526: Syntax error on line \d+ of .*:|The Apache error log.*)$/ } split /\n/, $out;
    subtest $name => sub {
        isnt($code, 0, 'httpd -t fails');
        is(scalar @sentences, 1, 'one sentence') or diag $out;
        like($sentences[0] // '', $pattern, 'which says what is wrong');
    };
    return;
}

good('the source role alone');
good('switched off', location => ['P2PProvenanceInjection Off']);
good('who answers stands around it', vhost => [$WHO], location => [$ON]);
good('... or in the main server', main => [$WHO], location => [$ON]);
good('... switched on in the main server', main => [$ON, $WHO], location => []);
good('who answers as a URL', location => [$ON, 'P2PProvenanceWho https://payer.example/fhir/Organization/1']);
good('everything said', location => [$ON, $WHO, 'P2PProvenanceAgentType "http://terminology.hl7.org/CodeSystem/provenance-participant-type|author"',
    'P2PProvenanceProfile http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/pdex-provenance'], main => ['P2PProvenanceCache shmcb:next(65536) 60']);

my $takes_who = qr/P2PProvenanceInjection \(line \d+ of .*\): takes P2PProvenanceWho/;
fault('nobody answers', $takes_who, location => [$ON]);
fault('who answers stands elsewhere', $takes_who, location => [$ON], vhost => ['<Location /elsewhere>', $WHO, '</Location>']);
fault('neither On nor Off', qr/P2PProvenanceInjection must be On or Off/, location => ['P2PProvenanceInjection Maybe', $WHO]);
fault("who: $_", qr/P2PProvenanceWho must be a reference to who answers, as in P2PProvenanceWho Organization\/123, not/, location => [$ON, qq(P2PProvenanceWho "$_")])
    for 'Organization', 'Organization/', 'Organization/a b', 'Observation/1', '/Organization/1', 'ftp://x.example/Organization/1', 'a/b/Organization/1', 'Organization/1/x';
fault("agent type: $_", qr/P2PProvenanceAgentType must be SYSTEM\|CODE/, location => [$ON, $WHO, qq(P2PProvenanceAgentType "$_")])
    for 'author', '|author', 'http://a|', 'http://a|b|c', 'no-uri|author', 'http://a b|author';
fault("profile: $_", qr/P2PProvenanceProfile must be the URL of a profile/, location => [$ON, $WHO, qq(P2PProvenanceProfile "$_")]) for 'pdex', 'a b:c';
fault('cache in a virtual host', qr/P2PProvenanceCache belongs in the main server configuration: move it out of the <VirtualHost>/, vhost => ['P2PProvenanceCache shmcb']);
fault('cache in a Location', qr/move it out of the <Location>/, location => [$ON, $WHO, 'P2PProvenanceCache shmcb']);
fault('cache twice', qr/P2PProvenanceCache stands twice/, main => ['P2PProvenanceCache shmcb', 'P2PProvenanceCache shmcb']);
fault('cache that is not loaded', qr/P2PProvenanceCache \(line \d+ of .*\): takes mod_socache_memcache, which is not loaded: load it \(a2enmod socache_memcache\)/,
    main => ['P2PProvenanceCache memcache:127.0.0.1']);
fault('cache with arguments that it does not take', qr/P2PProvenanceCache.*shmcb says: Invalid argument/, main => ['P2PProvenanceCache shmcb:x(7)']);
fault("cache for $_", qr/P2PProvenanceCache takes a whole number of seconds from 1 to 604800, not/, main => ["P2PProvenanceCache shmcb $_"]) for 0, 'x', '5m', -1, 604_801;

# ---- Where they hold ----

my $TEXT = '{"resourceType":"Bundle","type":"searchset","entry":[{"fullUrl":"https://payer.example/fhir/Observation/1","resource":{"resourceType":"Observation","id":"1"}}]}';
my $httpd = P2P::Inject->new(
    handler => sub { $_[0]->reply(200, $TEXT) }, main => ['P2PProvenanceProfile http://profile.example/of-all'],
    proxy => ['ProxyPass / {backend}/ disablereuse=on'], vhost => ['P2PProvenanceWho Organization/vhost', 'P2PProvenanceAgentType "http://system.example|here"'],
    after => ['<Location /fhir/off>', 'P2PProvenanceInjection Off', '</Location>', '<Location /fhir/own>', 'P2PProvenanceWho Device/own', '</Location>'],
    location => [$ON, 'P2PProvenanceProfile http://profile.example/of-one'],
)->start;
sub added { my ($path) = @_; return (P2P::Inject::without_injected($httpd->get("$path/Patient/1/\$everything")->{content}))[1] // '' }
like(added('/fhir'), qr{http://profile\.example/of-one.*Organization/vhost}s, 'a Location adds to the virtual host, which adds to the main server');
like(added('/fhir'), qr{"system":"http://system\.example","code":"here"}, '... agent type too');
is(added('/other'), '', 'elsewhere nothing is added');
is(added('/fhir/off'), '', '... nor where it is switched off again');
like(added('/fhir/own'), qr{Device/own}, '... and another Location changes who answers');
$httpd->stop;
done_testing();
