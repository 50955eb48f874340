#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# httpd -t finds every fault of a configuration, and says it in one sentence that names the directive and the remedy.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Basename qw(basename);
use File::Temp qw(tempdir);
use P2P::Httpd;
use Test::More;

my $dir     = tempdir('p2p-config-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $program = P2P::Httpd::write_file("$dir/runner", "#!/bin/sh\nexit 0\n", 0755);
my $plain   = P2P::Httpd::write_file("$dir/plain", "text\n", 0600);
my $open    = P2P::Httpd::write_file("$dir/open.key", P2P::Httpd::new_key(), 0644);
my $group   = P2P::Httpd::write_file("$dir/group.key", P2P::Httpd::new_key(), 0640);
my $empty   = P2P::Httpd::write_file("$dir/empty", '', 0600);
my $two     = P2P::Httpd::write_file("$dir/two", "one\ntwo\n", 0600);
my $basic   = P2P::Httpd::write_file("$dir/basic", "portal:secret\n", 0600);
my $token   = P2P::Httpd::write_file("$dir/token", "abc.def\n", 0600);
my $key     = P2P::Httpd::write_file("$dir/good.key", P2P::Httpd::new_key(), 0600);
my $alien   = P2P::Httpd::write_file("$dir/alien.key", P2P::Httpd::new_key(), 0600);
P2P::Httpd::make_certificate("$dir/$_") for qw(a b);
chown +(getpwnam 'nobody')[2, 3], $alien if $> == 0;
mkdir "$dir/closed", 0700;

# Files of P2PTargetAuth client-credentials.
sub client { my ($name, $text, $mode) = @_; return P2P::Httpd::write_file("$dir/$name.json", $text, $mode // 0600) }

sub signed_client {
    my ($algorithm, $kind) = @_;
    my $pem = `openssl genpkey -quiet -algorithm $kind 2>/dev/null || openssl genpkey -algorithm $kind 2>/dev/null`;
    $pem =~ s/\n/\\n/g;
    return qq({"clientId":"us","privateKey":"$pem","keyId":"1","algorithm":"$algorithm"});
}

sub configtest {
    my (%opt) = @_;
    my %directives = (P2PRunner => $program, P2PRunners => 1, %{ delete $opt{directives} // {} });
    my $httpd = P2P::Httpd->new(db => { driver => 'sqlite3', params => "$dir/p2p.db" }, directives => \%directives, %opt);
    return $httpd->configtest;
}

# One sentence, whatever httpd puts around it, and it fits the pattern.
sub refused {
    my ($name, $pattern, %opt) = @_;
    my ($code, $out) = configtest(%opt);
    my @sentences = grep { !/^(?:AH00014: Configuration check failed|AH00526: Syntax error on line \d+ of .*:|AH\d+: .*Action .* failed.*|The Apache error log.*)$/ } split /\n/, $out;
    subtest $name => sub {
        isnt($code, 0, 'httpd -t fails');
        is(scalar @sentences, 1, 'one sentence') or diag $out;
        like($sentences[0] // '', $pattern, 'which says what is wrong');
    };
    return;
}

sub fault {
    my ($directive, $value, $pattern, %more) = @_;
    my $name = $directive . (defined $value ? " $value" : ' is missing');
    return refused($name, $pattern, directives => { $directive => $value, %more });
}

sub accepted {
    my ($name, %opt) = @_;
    my ($code, $out) = configtest(%opt);
    is($code, 0, $name) or diag $out;
    return;
}

accepted('a good configuration');

fault('P2PTarget', undef, qr/^P2PTarget: is missing: name the FHIR endpoint/);
refused("P2PTarget $_: no word of P2PAllowHttp", qr/^P2PTarget (?!.*P2PAllowHttp)/, directives => { P2PTarget => $_ })
    for 'ftp://fhir.example.org/', 'http://user:pw@fhir.example.org/r4', 'http://fhir.example.org/r4#x', 'https://fhir.example.org/r4?x=1';
fault('P2PTarget', 'fhir.example.org', qr/^P2PTarget \(line \d+ of \S+httpd\.conf\): .*URL/);
fault('P2PTarget', 'ftp://fhir.example.org/', qr/^P2PTarget \(line \d+ of .*URL/);
fault('P2PTarget', 'http://fhir.example.org/r4', qr/^P2PTarget .*https.*P2PAllowHttp On/);
fault('P2PTarget', 'https://user:pw@fhir.example.org/r4', qr/^P2PTarget .*user/);
fault('P2PTarget', 'https://fhir.example.org/r4#x', qr/^P2PTarget .*fragment/);
fault('P2PTarget', 'https://a.example https://b.example', qr/^Write it as P2PTarget URL$/);
accepted('http beyond loopback with P2PAllowHttp On', directives => { P2PTarget => 'http://fhir.example.org/r4', P2PAllowHttp => 'On' });

fault('P2PTargetAuth', 'digest', qr/^P2PTargetAuth must be none, bearer FILE, basic FILE, client-credentials FILE or certificate CERT KEY, not "digest"$/);
fault('P2PTargetAuth', 'client-credentials', qr/^Write it as P2PTargetAuth client-credentials FILE$/);
fault('P2PTargetAuth', "client-credentials $plain", qr/^P2PTargetAuth \(.*plain must be a JSON object$/);
fault('P2PTargetAuth', 'client-credentials ' . client(open => '{"clientId":"us","clientSecret":"s"}', 0644), qr/^P2PTargetAuth \(.*mode 0644\) is open to others/);
fault('P2PTargetAuth', 'client-credentials ' . client(anonymous => '{"clientSecret":"s"}'), qr/^P2PTargetAuth \(.*anonymous\.json: clientId is required$/);
fault('P2PTargetAuth', 'client-credentials ' . client(http => '{"clientId":"us","clientSecret":"s","tokenEndpoint":"http://as.example/token"}'),
    qr/^P2PTargetAuth \(.*http\.json: tokenEndpoint must be an https URL/);
fault('P2PTargetAuth', 'client-credentials ' . client(curve => signed_client('ES384', 'ec -pkeyopt ec_paramgen_curve:P-256')),
    qr/^P2PTargetAuth \(.*curve\.json: privateKey must be a key on the curve P-384/);
fault('P2PTargetAuth', 'client-credentials ' . client(short => signed_client('RS384', 'rsa -pkeyopt rsa_keygen_bits:1024')),
    qr/^P2PTargetAuth \(.*short\.json: privateKey must be an RSA key of 2048/);
fault('P2PTargetAuth', 'bearer', qr/^Write it as P2PTargetAuth bearer FILE$/);
fault('P2PTargetAuth', "certificate $dir/a.pem", qr/^Write it as P2PTargetAuth certificate CERT KEY$/);
fault('P2PTargetAuth', "bearer $dir/none", qr/^P2PTargetAuth \(.*\): \S+none cannot be read: No such file/);
fault('P2PTargetAuth', "bearer $open", qr/^P2PTargetAuth \(.*mode 0644\) is open to others .* chmod 600/);
fault('P2PTargetAuth', "bearer $two", qr/^P2PTargetAuth \(.* must hold one line/);
fault('P2PTargetAuth', "basic $token", qr/^P2PTargetAuth \(.* must hold one line, user:password/);
fault('P2PTargetAuth', "certificate $plain $dir/a.key", qr/^P2PTargetAuth \(.*plain holds no certificate/);
fault('P2PTargetAuth', "certificate $dir/a.pem $plain", qr/^P2PTargetAuth \(.*plain holds no private key/);
fault('P2PTargetAuth', "certificate $dir/a.pem $dir/b.key", qr/^P2PTargetAuth \(.*b\.key is not the key of the certificate/);
accepted("P2PTargetAuth $_", directives => { P2PTargetAuth => $_ })
    for 'none', "bearer $token", "basic $basic", "certificate $dir/a.pem $dir/a.key",
    'client-credentials ' . client(secret => '{"clientId":"us","clientSecret":"s"}'),
    'client-credentials ' . client(rsa => signed_client('RS384', 'rsa -pkeyopt rsa_keygen_bits:2048')),
    'client-credentials ' . client(ec => signed_client('ES384', 'ec -pkeyopt ec_paramgen_curve:P-384'));

fault('P2POrigins', "https://a.example https://b.example/path", qr/^P2POrigins \(line \d+ of .*https:\/\/b\.example\/path must be an origin, without a path: https:\/\/b\.example/);
fault('P2POrigins', 'http://a.example', qr/^P2POrigins .*http:\/\/a\.example must be an https URL/);
fault('P2POrigins', $_, qr/^P2POrigins .*must be/) for 'a.example', 'https://user@a.example', 'https://a.example/?x=1', 'https://a.example:99999';
accepted("P2POrigins $_", directives => { P2POrigins => $_ }) for 'https://A.example:443/ https://b.example:8443', 'http://127.0.0.1:81';
like((P2P::Httpd->new(db => { driver => 'sqlite3', params => "$dir/p2p.db" }, directives => { P2PRunner => $program, P2POrigins => 'https://A.example:443/ https://b.Example:8443' })
    ->configtest('-D', 'P2P_DUMP_SPEC'))[1], qr{"origins":"https:\\?/\\?/a\.example https:\\?/\\?/b\.example:8443"}, 'P2POrigins in one form');
accepted('P2POrigins with http', directives => { P2POrigins => 'http://a.example', P2PAllowHttp => 'On' });

fault('P2PCorsOrigins', 'https://a.example https://b.example/path', qr/^P2PCorsOrigins \(line \d+ of .*https:\/\/b\.example\/path must be an origin, without a path/);
fault('P2PCorsOrigins', $_, qr/^P2PCorsOrigins \(line \d+ of .*\Q$_\E must be/) for '*', 'null', 'http://a.example', 'https://*.example:x', 'https://user@a.example', 'https://a.example/?x=1';
accepted('P2PCorsOrigins', directives => { P2PCorsOrigins => 'https://A.example:443/ http://127.0.0.1:81 https://b.example:8443' });
fault('P2PRateLimit', $_, qr/^P2PRateLimit must be a whole number from 0 to 100000, not "\Q$_\E"/) for '-1', '100001', '5/s';

fault('P2PHookURL', 'http://p2p.example.org/hooks/task', qr/^P2PHookURL \(line \d+ of .*https/);
fault('P2PHookURL', $_, qr/^P2PHookURL \(line \d+ of .*: must/) for 'https://u@p2p.example.org/hooks/task', 'https://p2p.example.org/hooks/task?x=1', 'https://p2p.example.org/hooks/task#x',
    'p2p.example.org/hooks/task', 'https://p2p.example.org/hooks/tasks';
fault('P2PHookURL', 'https://p2p.example.org/hooks/task/', qr{must end in /hooks/task, where deliveries are taken});
accepted("P2PHookURL $_", directives => { P2PHookURL => $_ }) for 'https://p2p.example.org:8443/p2p/hooks/task', 'http://127.0.0.1:81/hooks/task';
fault('P2PSubscriptionCriteria', $_, qr/^P2PSubscriptionCriteria \(line \d+ of .*must be a search for Tasks/) for 'Patient?', 'Tasks?code=x', "\"Task?code=\xc3\xa9\"";
accepted("P2PSubscriptionCriteria $_", directives => { P2PSubscriptionCriteria => $_ }) for 'Task', '"Task?code=a|b,c|d&status=requested"';
fault('P2PSubscriptionPayload', $_, qr/^P2PSubscriptionPayload \(line \d+ of .*must be none, or a media type/) for 'json', 'application/', '/json', '"application/fhir+json; charset=utf-8"';
accepted("P2PSubscriptionPayload $_", directives => { P2PSubscriptionPayload => $_ }) for 'none', 'application/fhir+xml';
fault('P2PSubscriptionHeader', $_, qr/^P2PSubscriptionHeader \(line \d+ of .*must be a header, "NAME: VALUE" in ASCII$/) for 'X-Route', '"X-Route:"', '": s3cret"', '"X Route: s3cret"', "\"X-Route: \xc3\xa9\"";
fault('P2PSubscriptionHeader', '"authorization: Basic s3cret"', qr/^P2PSubscriptionHeader .*must not be Authorization: that has the hook's secret$/);
accepted('P2PSubscriptionHeader', main => ['P2PSubscriptionHeader "X-Route: p2p"', 'P2PSubscriptionHeader "X-Other: 1"']);
like((configtest(directives => { P2PSubscriptionHeader => '"X-Time: 12:00"' }))[1], qr/P2PSubscriptionHeader: the value of X-Time has a colon; Medplum/, 'a value with a colon is warned of');

fault('P2PCAFile', "$dir/none", qr/^P2PCAFile \(.*none cannot be read: No such file/);
fault('P2PCAFile', $plain, qr/^P2PCAFile \(.*plain holds no certificate/);
accepted('P2PCAFile', directives => { P2PCAFile => "$dir/a.pem" });

fault('P2PSecretKeyFile', undef, qr/^P2PSecretKeyFile: is missing: .*p2p-runner keygen/);
fault('P2PSecretKeyFile', "$dir/none", qr/^P2PSecretKeyFile \(line \d+ of .*none cannot be read: No such file/);
fault('P2PSecretKeyFile', $open, qr/^P2PSecretKeyFile \(.*open\.key \(owner \w+, mode 0644\) is open to others than its owner: run chmod 600/);
fault('P2PSecretKeyFile', $group, qr/^P2PSecretKeyFile \(.*mode 0640\) is open to others/);
fault('P2PSecretKeyFile', $empty, qr/^P2PSecretKeyFile \(.*empty is empty/);
fault('P2PSecretKeyFile', $plain, qr/^P2PSecretKeyFile \(.*plain is no key file: .*keygen/);
fault('P2PSecretKeyFile', $dir, qr/^P2PSecretKeyFile \(.* is not a file/);
fault('P2PSecretKeyFile', "$key $key", qr/^P2PSecretKeyFile \(.*good\.key is no key file/);
fault('P2PSecretKeyFile', $alien, qr/^P2PSecretKeyFile \(.*alien\.key belongs to nobody, who could change it: .*chown root/) if $> == 0;

fault('P2PRunner', "$dir/none", qr/^P2PRunner \(.*none does not exist/);
fault('P2PRunner', $plain, qr/^P2PRunner \(.*plain is not executable/);
fault('P2PRunner', $dir, qr/^P2PRunner \(.* is not a file/);
accepted('no runner program where there are no runners', directives => { P2PRunner => "$dir/none", P2PRunners => 0 });
fault('P2PKeyDir', "$dir/none", qr/^P2PKeyDir \(.*none is not a directory: make it/);
fault('P2PKeyDir', $plain, qr/^P2PKeyDir \(.*plain is not a directory/);
accepted('P2PKeyDir', directives => { P2PKeyDir => $dir });
fault('P2PSpool', "$dir/none", qr/^P2PSpool \(.*none does not exist: make it/);
fault('P2PSpool', $plain, qr/^P2PSpool \(.*plain is not a directory/);
fault('P2PSpool', "$dir/closed", qr/^P2PSpool \(.*closed cannot be written by httpd's User/) if $> == 0;
fault('P2PSpool', "$dir/closed 10X", qr/^P2PSpool must be a number of bytes from 1M to 16384G .* not "10X"/);

for my $number (['P2PRunners', 0, 64], ['P2PBundleSize', 1, 1000], ['P2PFollowReferences', 0, 10000], ['P2PSourceConnections', 1, 64],
    ['P2PTargetConnections', 1, 64], ['P2PJobsPerRunner', 1, 1000]) {
    my ($name, $low, $high) = @$number;
    my $sentence = qr/^\Q$name\E must be a whole number from $low to $high, not /;
    fault($name, $_, $sentence) for $high + 1, '-1', 'many', '1K', '99999999999999999999';
    accepted("$name $high", directives => { $name => $high });
}
for my $size (['P2PBundleBytes', '64K', '1G'], ['P2PMemory', '4M', '64G'], ['P2PBodyLimit', '1K', '1G']) {
    my ($name, $low, $high) = @$size;
    my $sentence = qr/^\Q$name\E must be a number of bytes from $low to $high \(K, M or G may follow it\), not /;
    fault($name, $_, $sentence) for '1', '65537M', '-1', '1MB', '8MiB', '999999999999999G';
    accepted("$name 16m", directives => { $name => '16m' });
}
fault('P2PBundleBytes', '33M', qr/^P2PBundleBytes \(.* is more than P2PMemory/);
fault('P2PUnresolvedReferences', 'drop', qr/^P2PUnresolvedReferences must be logical or keep, not "drop"/);
fault('P2PRejected', 'ignore', qr/^P2PRejected must be fail or record, not "ignore"/);
fault($_, 'maybe', qr/^$_ must be On or Off, not "maybe"/) for qw(P2PAllowHttp P2PVersionedReferences);

# Mail. %mail is a good configuration of it; further directives replace parts of it.
my $templates = "$dir/templates";
mkdir $templates;
P2P::Httpd::write_file("$templates/" . basename($_), P2P::Httpd::read_file($_)) for glob "$FindBin::Bin/../../conf/mail/*";
my %mail = (P2PMailServer => 'smtp://mail.example.org:587', P2PMailFrom => 'p2p@payer.example', P2PMailTemplates => $templates);
accepted('P2PMailServer', directives => {%mail});
accepted('all of mail', directives => { %mail, P2PMailServer => 'smtps://mail.example.org', P2PMailAdmins => 'a@payer.example b@payer.example', P2PMailAuth => $basic, P2PMailMember => 'record' });
fault('P2PMailServer', $_, qr/^P2PMailServer \(line \d+ of .*\): must be smtp:\/\/HOST\[:PORT\] or smtps:\/\/HOST\[:PORT\]$/, %mail{qw(P2PMailFrom P2PMailTemplates)})
    for 'mail.example.org', 'https://mail.example.org', 'smtp://', 'smtp://mail.example.org/x', 'smtp://mail.example.org:99999', 'smtp://mail.example.org?x';
fault('P2PMailServer', 'smtp://u:geheim@mail.example.org', qr/^P2PMailServer (?!.*geheim).*must not have user information: P2PMailAuth/, %mail{qw(P2PMailFrom P2PMailTemplates)});
fault('P2PMailFrom', undef, qr/^P2PMailFrom: is missing: P2PMailServer needs/, %mail{qw(P2PMailServer P2PMailTemplates)});
fault('P2PMailFrom', $_, qr/^P2PMailFrom \(line .*must be one plain address, .*: it /, %mail{qw(P2PMailServer P2PMailTemplates)})
    for 'nobody', 'a@b.example,c@d.example', '"P2P <a@b.example>"', 'a@b', '"a b@c.example"';
fault('P2PMailAdmins', 'a@b.example nobody c@d.example', qr/^P2PMailAdmins \(line .*the one with number 2 has no \@$/, %mail);
fault('P2PMailAdmins', 'a@b.example,c@d.example', qr/^P2PMailAdmins \(line .*the one with number 1 is a list$/, %mail);
fault('P2PMailAuth', "$dir/none", qr/^P2PMailAuth \(.*none cannot be read: No such file/, %mail);
fault('P2PMailAuth', $open, qr/^P2PMailAuth \(.*mode 0644\) is open to others .* chmod 600/, %mail);
fault('P2PMailAuth', $two, qr/^P2PMailAuth \(.* must hold one line/, %mail);
fault('P2PMailAuth', $token, qr/^P2PMailAuth \(.*token must hold one line, user:password$/, %mail);
fault('P2PMailAuth', $basic, qr/^P2PMailServer \(.*would be sent P2PMailAuth's password in the clear: set P2PMailStartTLS On, or use smtps/, %mail, P2PMailStartTLS => 'Off');
fault('P2PMailStartTLS', 'maybe', qr/^P2PMailStartTLS must be On or Off, not "maybe"/);
fault('P2PMailMember', 'everybody', qr/^P2PMailMember must be task, record or off, not "everybody"/);
fault('P2PMailTemplates', "$dir/none", qr/^P2PMailTemplates \(.*none is not a directory: name the one/, %mail{qw(P2PMailServer P2PMailFrom)});
P2P::Httpd::write_file("$templates/test.txt", "Subject: x\n\n{{nobody}}\n");
fault('P2PMailTemplates', $templates, qr/^P2PMailTemplates \(.*\): The template \S+templates\/test\.txt, line 3, names \{\{nobody\}\}/, %mail{qw(P2PMailServer P2PMailFrom)});
unlink "$templates/test.txt";
fault('P2PMailTemplates', $templates, qr/^P2PMailTemplates \(.*\): The template \S+templates\/test\.txt cannot be read: No such file/, %mail{qw(P2PMailServer P2PMailFrom)});
accepted('without P2PMailServer nothing of mail is looked at', directives => { P2PMailFrom => 'nobody', P2PMailAdmins => 'x', P2PMailAuth => "$dir/none", P2PMailTemplates => "$dir/none" });
P2P::Httpd::write_file("$templates/test.txt", "Subject: x\n\nx\n");
for my $case (['smtp://mail.example.org', 1], ['smtps://mail.example.org', 0], ['smtp://127.0.0.1:2525', 0]) {
    my ($server, $told) = @$case;
    my ($code, $out) = configtest(directives => { %mail, P2PMailServer => $server, P2PMailStartTLS => 'Off' });
    is($code, 0, "P2PMailStartTLS Off with $server is no fault") or diag $out;
    is(scalar(() = $out =~ /P2PMailStartTLS: is Off, so mail goes to \Q$server\E:25 in the clear/g), $told, $told ? 'a line tells what it means' : 'and nothing to tell of');
}

my @names = qw(P2PTarget P2PTargetAuth P2PCAFile P2PSecretKeyFile P2PRunner P2PRunners P2PAllowHttp P2PBundleSize P2PBundleBytes
    P2PUnresolvedReferences P2PFollowReferences P2PVersionedReferences P2PRejected P2PSourceConnections P2PTargetConnections
    P2PJobsPerRunner P2PMemory P2PSpool P2PBodyLimit);
for my $name (@names) {
    refused("$name in a virtual host", qr/^\Q$name\E belongs in the main server configuration: move it out of the <VirtualHost>/,
        vhost => ["$name x"]);
    refused("$name in a Location", qr/^\Q$name\E belongs in the main server configuration: move it out of the <Location>/,
        vhost => ['<Location /x>', "$name x", '</Location>']);
    refused("$name without a value", qr/^Write it as \Q$name\E /, directives => { $name => '' });
}
refused('a directive twice', qr/^P2PBundleSize stands twice: remove this one or the one in line \d+ of \S+httpd\.conf$/,
    main => ['P2PBundleSize 10', 'P2PBundleSize 20']);

refused('mod_dbd is not loaded', qr/^LoadModule dbd_module: is missing: .*a2enmod dbd/, without => 'dbd',
    directives => { map { $_ => undef } qw(DBDriver DBDParams DBDMin DBDKeep DBDMax) });
fault('DBDriver', undef, qr/^DBDriver: is missing in the main server configuration: write DBDriver pgsql/);
fault('DBDParams', undef, qr/^DBDParams: is missing in the main server configuration: name the database/);
refused('another database in a virtual host', qr/^DBDParams \(line \d+ of .*\): a virtual host with SetHandler p2p must not have a database of its own/,
    vhost => ['DBDriver sqlite3', 'DBDParams /other.db']);
accepted('the same database in a virtual host', vhost => ['DBDriver sqlite3', "DBDParams $dir/p2p.db"]);
accepted('another database in a virtual host that is not ours',
    main => ['<VirtualHost 127.0.0.1:1>', 'DBDriver sqlite3', 'DBDParams /other.db', '</VirtualHost>']);
for my $section ('Directory /srv', 'LocationMatch ^/x', 'Location ~ ^/x') {
    my ($word) = split / /, $section;
    refused("SetHandler p2p in <$section>", qr/^SetHandler p2p belongs in a virtual host, the main server/,
        vhost => ["<$section>", 'SetHandler p2p', "</$word>"]);
}
accepted('SetHandler for something else', vhost => ['<Directory /srv>', 'SetHandler server-status', '</Directory>']);

my ($code, $out) = configtest(directives => { P2PTarget => undef, P2PSecretKeyFile => undef, P2PRunner => "$dir/none" });
is(() = $out =~ /^P2P/mg, 3, 'every fault is told at once');
done_testing();
