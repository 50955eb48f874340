#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The commands of p2p-runner by hand: keygen, migrate, definitions import, status, once, and what they say when something is wrong.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use IPC::Open3;
use JSON::PP;
use P2P::Httpd;
use P2P::Postgres;
use Symbol qw(gensym);
use Test::More;

my ($OK, $USAGE, $DATA, $NO_INPUT, $UNAVAILABLE, $TEMPORARY, $CONFIG) = (0, 64, 65, 66, 69, 75, 78);
my $dir    = tempdir('p2p-commands-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $runner = P2P::Httpd::runner();
my $number = 0;

# Exit code, standard output, standard error.
sub run {
    my ($input, @args) = @_;
    open my $in, '<', write_file('input', $input // '') or die "input: $!\n";
    open my $out, '+>', "$dir/out" or die "out: $!\n";
    open my $err, '+>', "$dir/err" or die "err: $!\n";
    my $pid = open3('<&' . fileno $in, '>&' . fileno $out, '>&' . fileno $err, $runner, @args);
    waitpid $pid, 0;
    my $status = $?;
    return ($status & 127 ? "signal $status" : $status >> 8, slurp("$dir/out"), slurp("$dir/err"));
}

sub slurp { my ($file) = @_; open my $in, '<', $file or die "$file: $!\n"; local $/; return scalar(<$in>) // '' }

sub write_file {
    my ($name, $text) = @_;
    open my $out, '>', "$dir/$name" or die "$dir/$name: $!\n";
    print {$out} $text;
    close $out or die "$dir/$name: $!\n";
    return "$dir/$name";
}

my ($code, $out, $err) = run(undef, 'keygen');
my $key = $out;
my %spec = (target => 'https://target.example/fhir', keys => [$key], dbDriver => 'sqlite3', dbParams => "$dir/p2p.db");
sub spec { my (%more) = @_; return write_file('spec.' . $number++, encode_json({ %spec, %more })) }
my $spec = spec();

subtest 'usage' => sub {
    for my $args ([], ['nonsense'], ['definitions'], ['definitions', 'export', 'x'], ['migrate', '--spec'], ['migrate', 'twice'],
        ['migrate', '--spec', 'a', '--httpd', 'b'], ['--unknown', 'migrate']) {
        my ($code, $out, $err) = run(undef, @$args);
        is($code, $USAGE, "p2p-runner @$args");
        like($err, qr/^usage: p2p-runner/, '... tells how to use it');
    }
    for my $args (['help'], ['--help']) {
        my ($code, $out, $err) = run(undef, @$args);
        is($code, $OK, "p2p-runner @$args");
        like($out, qr/definitions import FILE/, '... lists the commands');
    }
    for my $args (['version'], ['--version']) {
        my ($code, $out, $err) = run(undef, @$args);
        is($code, $OK, "p2p-runner @$args");
        like($out, qr/\Ap2p-runner \d+\.\d\S*\n\z/, '... prints it');
    }
};

subtest 'keygen' => sub {
    is($code, $OK, 'keygen');
    like($key, qr{\Ap2p-key [0-9a-f]{8} [A-Za-z0-9+/]{43}=\n\z}, '... prints one line');
    isnt((run(undef, 'keygen'))[1], $key, '... another one each time');
    is(system('sh', '-c', "umask 077; '$runner' keygen > '$dir/p2p.key'"), 0, 'as the documentation says');
    is((stat "$dir/p2p.key")[2] & 07777, 0600, '... only its owner may read it');
    is(system('sh', '-c', "'$runner' keygen > /dev/full 2> '$dir/full'") >> 8, 74, 'a disk that is full is noticed');
};

subtest 'specification' => sub {
    my %bad = (
        'no such file' => "$dir/nowhere.json", 'not JSON' => write_file('bad.1', '{"target":'), 'no object' => write_file('bad.2', '[]'),
        'empty' => write_file('bad.3', ''), 'no target' => spec(target => undef), 'no keys' => spec(keys => []),
        'wrong type' => spec(bundleSize => 'many'), 'bad key' => spec(keys => ['p2p-key 1 x']), 'unknown driver' => spec(dbDriver => 'nonesuch'),
    );
    for my $what (sort keys %bad) {
        my ($code, $out, $err) = run(undef, 'migrate', '--spec', $bad{$what});
        is($code, $CONFIG, $what);
        like($err, qr/^p2p-runner: \S.*\([a-z-]+\)$/m, '... in a sentence');
        unlike($err, qr/\Q$key\E/, '... without the key');
    }
    my ($code, $out, $err) = run(undef, 'run');
    is($code, $CONFIG, 'run without httpd');
    like($err, qr/once/, '... says what to do instead');
    is((run(undef, 'status', '--spec', spec(dbDriver => 'pgsql', dbParams => "host=$dir dbname=none")))[0], $UNAVAILABLE, 'no database there');
};

subtest 'migrate' => sub {
    for my $command ('status', 'once') {
        my ($code, $out, $err) = run(undef, $command, '--spec', $spec);
        is($code, $CONFIG, "$command without a schema");
        like($err, qr/p2p-runner migrate/, '... says what to do');
    }
    my ($code, $out, $err) = run(undef, 'migrate', '--spec', $spec);
    is($code, $OK, 'migrate') or diag($err);
    like($out, qr/created at version \d+\.$/, '... creates the schema');
    ($code, $out) = run(undef, 'migrate', '--spec', $spec);
    is($code, $OK, 'once more');
    like($out, qr/nothing was to be done/, '... changes nothing');
};

sub definition {
    my ($name, %more) = @_;
    return { name => $name, issuer => "https://$name.example", clientId => 'client', clientSecret => 'very-secret', responseType => 'code',
        fhirEndpoint => "https://$name.example/fhir", tokenEndpoint => "https://$name.example/token", %more };
}
sub import_them { my ($text) = @_; return run(undef, 'definitions', 'import', write_file('definitions.json', $text), '--spec', $spec) }

subtest 'definitions import' => sub {
    my @two = (definition('a'), definition('b'));
    my ($code, $out, $err) = import_them(encode_json(\@two));
    is($code, $OK, 'two new ones') or diag($err);
    is($out, "2 created, 0 updated, 0 unchanged\n", '... are created');
    $two[1]{name} = 'B';
    is((import_them(encode_json([@two, definition('c')])))[1], "1 created, 1 updated, 1 unchanged\n", 'one more, one changed, one the same');
    is((run('[]', 'definitions', 'import', '-', '--spec', $spec))[1], "0 created, 0 updated, 0 unchanged\n", 'none, from standard input');
};

subtest 'definitions that are wrong' => sub {
    my ($code, $out, $err) = import_them(encode_json([definition('d'), definition('e', issuer => 'http://e.example', name => ''), 7, definition('d')]));
    is($code, $DATA, 'faults in three of four');
    like($err, qr{^/1/issuer: \S.+\.?$}m, '... the issuer is named');
    like($err, qr{^/1/name: }m, '... and the name');
    like($err, qr{^/2: }m, '... what is no object');
    like($err, qr{^/3/issuer: }m, '... and an issuer that stands there twice');
    unlike($err, qr/very-secret/, '... and no secret');
    is((import_them(encode_json([definition('d')])))[1], "1 created, 0 updated, 0 unchanged\n", 'nothing of it was imported');
    is((import_them('{}'))[0], $DATA, 'not an array');
    is((import_them('[{]'))[0], $DATA, 'not JSON');
    is((run(undef, 'definitions', 'import', "$dir/nowhere", '--spec', $spec))[0], $NO_INPUT, 'no such file');
};

subtest 'reseal' => sub {
    my ($new, $third) = map { (run(undef, 'keygen'))[1] } 1, 2;
    my ($old_id, $new_id) = map { /^p2p-key (\w+)/ } $key, $new;
    my $check = sub { my (@keys) = @_; my ($code, $out, $err) = run(undef, 'reseal', 'check', '--spec', spec(keys => \@keys)); return ($code, $out . $err) };
    my $go = sub { my (@keys) = @_; my ($code, $out, $err) = run(undef, 'reseal', '--spec', spec(keys => \@keys)); return ($code, $out . $err) };
    is((run(undef, 'reseal', 'chekc', '--spec', $spec))[0], $USAGE, 'a word too many');
    my ($code, $text) = $check->($key);
    is($code, $OK, 'one key, and all is sealed with it');
    like($text, qr/^\d+ values are sealed with key $old_id, the first\.\nNo other key is needed\.$/m, '... is said');
    ($code, $text) = $check->($new, $key);
    is($code, $TEMPORARY, 'a new one before it');
    like($text, qr/^0 values are sealed with key $new_id, the first\.\np2p_oidc_server, client_secret: 4 values of key $old_id$/m, '... what the old one is still needed for');
    ($code, $text) = $check->($new);
    is($code, $DATA, 'the old one is taken away too early');
    like($text, qr/client_secret: 4 values of key $old_id, which is missing in P2PSecretKeyFile/, '... is said');
    for my $command ('reseal', 'once', 'migrate') {
        my ($code, $out, $err) = run(undef, $command, '--spec', spec(keys => [$new]));
        is($code, $CONFIG, "$command without the old one");
        like($err, qr/A value was sealed with key $old_id, which is missing: name its file in P2PSecretKeyFile, behind the first\. \(key-missing\)/, '... says what to do');
    }
    ($code, $text) = $go->($new, $key);
    is($code, $OK, 'reseal') or diag $text;
    like($text, qr/^p2p_oidc_server: 4 values sealed anew\n.*No other key is needed\.$/ms, '... tells how it went');
    is(($check->($new))[0], $OK, '... and the old one can go');
    my ($again, $said) = $go->($new, $key);
    is($again, $OK, 'once more');
    like($said, qr/^0 values were sealed anew\.$/m, '... there is nothing to do');
    system('sqlite3', "$dir/p2p.db", "UPDATE p2p_oidc_server SET client_secret = (SELECT client_secret FROM p2p_oidc_server WHERE pid = 2) WHERE pid = 3; UPDATE p2p_oidc_server SET key_text = 'x' WHERE pid = 2") == 0 or die 'sqlite3';
    ($code, $text) = $go->($third, $new);
    is($code, $DATA, 'values that cannot be opened');
    like($text, qr/^p2p-runner: p2p_oidc_server 2, key_text: .*damaged.* \(cannot-open\)$/m, '... are named');
    like($text, qr/^p2p-runner: p2p_oidc_server 3, client_secret: .*moved from its place.* \(cannot-open\)$/m, '... each');
    like($text, qr/^4 values were .*^p2p_oidc_server, client_secret: 1 values of key $new_id\n.*^p2p_oidc_server, key_text: 1 values that are damaged$/ms, '... and the others were sealed anew');
    unlike($text, qr/very-secret|p2p-key/, '... without a secret');
    system('sqlite3', "$dir/p2p.db", "UPDATE p2p_oidc_server SET client_secret = '', key_text = ''") == 0 or die 'sqlite3';
    is(($go->($key, $third, $new))[0], $OK, 'back to the first, for what follows');
};

subtest 'status and once' => sub {
    my ($code, $out, $err) = run(undef, 'status', '--spec', $spec);
    is($code, $OK, 'status') or diag($err);
    is_deeply(decode_json($out), { runners => [], jobs => {}, oldestQueued => undef, resting => 0, unserved => {}, issuers => {}, mail => 'off',
            tasks => { way => 'off', subscription => undef, lastSearch => undef, fault => undef, waiting => 0 } }, '... of a database with nothing in it');
    ($code, $out, $err) = run(undef, 'once', '--spec', $spec);
    is($code, $OK, 'once with nothing to do ends') or diag($err);
    like($err, qr/^\[\w{3} \w{3} \d\d [\d:.]+ \d{4}\] \[p2p:notice\] \[pid \d+\] p2p-runner \S+ begins/, '... and logs as httpd does');
};

subtest 'hook rotate' => sub {
    my ($code, $out, $err) = run(undef, 'hook', 'rotate', '--spec', $spec);
    is($code, $CONFIG, 'without P2PHookURL');
    like($err, qr/^p2p-runner: There is no P2PHookURL/, '... said');
    my $hook = spec(hookUrl => 'https://p2p.example.org/hooks/task');
    ($code, $out, $err) = run(undef, 'hook', 'rotate', '--spec', $hook);
    is($code, $CONFIG, 'before a runner has made a secret');
    like($err, qr/has no secret yet; a runner makes it/, '... said');
    is((run(undef, 'hook', '--spec', $hook))[0], $USAGE, 'hook alone is no command');
};

subtest 'httpd is asked' => sub {
    my $httpd = write_file('httpd', "#!/bin/sh\necho \"\$@\" >'$dir/asked'\necho Loading\ncat '$spec'\necho 'Syntax OK' >&2\n");
    chmod 0755, $httpd;
    my ($code, $out, $err) = run(undef, 'status', '--httpd', "$httpd -f /x/y.conf");
    is($code, $OK, 'status') or diag($err);
    is(slurp("$dir/asked"), "-f /x/y.conf -t -D P2P_DUMP_SPEC\n", '... httpd is asked as said');
    is($err, '', '... and nothing else is shown');
    chmod 0755, my $bad = write_file('bad-httpd', "#!/bin/sh\necho 'P2PTarget is missing' >&2\nexit 1\n");
    ($code, $out, $err) = run(undef, 'status', '--httpd', $bad);
    is($code, $CONFIG, 'a configuration that httpd does not accept');
    like($err, qr/^P2PTarget is missing$/m, '... shows what httpd says');
    is((run(undef, 'status', '--httpd', "$dir/nowhere"))[0], $CONFIG, 'no such program');
};

# An httpd that is never started: its configuration says who its User is.
sub settings { my (%db) = @_; my $httpd = P2P::Httpd->new(db => \%db); return ($httpd, $httpd->spec_file) }

# An import from a file that only we may read: the user that the command becomes could not.
sub ok_commands {
    my ($spec, $name) = @_;
    my $secret = write_file('private.json', encode_json([definition('p')]));
    chmod 0600, $secret;
    for my $args (['migrate'], ['definitions', 'import', $secret], ['status'], ['once']) {
        my ($code, $out, $err) = run(undef, @$args, '--spec', $spec);
        is($code, $OK, "$name: $args->[0]") or diag($err);
    }
    return;
}

subtest 'commands become httpd\'s User' => sub {
    my ($uid, $gid) = (getpwnam P2P::Httpd::user())[2, 3];
    my $own = tempdir('p2p-own-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chown $uid, $gid, $own;
    my ($httpd, $file) = settings(driver => 'sqlite3', params => "$own/p2p.db");
    my $settings = decode_json(slurp($file));
    is($settings->{user}, $> ? undef : P2P::Httpd::user(), 'the specification names the user where httpd is started by root');
    is($settings->{group}, $> ? 0 : $gid, '... and the group');
    ok_commands($file, 'SQLite');
    is_deeply([(stat $_)[4, 5]], [$uid, $gid], "$_ belongs to that user") for glob "$own/*";
    ok(-s "$own/p2p.db", '... and is there');
    return if $> != 0;    # who is not root stays who they are
    is((run(undef, 'migrate', '--spec', spec(dbParams => "$own/number.db", user => "#$uid", group => $gid)))[0], $OK, 'a user by number');
    is((stat "$own/number.db")[4], $uid, '... is known');
    my ($code, $out, $err) = run(undef, 'migrate', '--spec', spec(dbParams => "$own/none.db", user => 'no-such-user', group => $gid));
    is($code, $CONFIG, 'a user that does not exist');
    like($err, qr/^p2p-runner: httpd's User no-such-user is not a user of this system/, '... is named');
    ok(!-e "$own/none.db", '... and nothing is done as root');
};

subtest 'PostgreSQL and who connects' => sub {
    my $user = P2P::Httpd::user();
    my $server = P2P::Postgres->new->start;
    my $dir = $server->{dir};
    $server->psql(qq(CREATE ROLE "$user" LOGIN));
    $server->psql(qq(CREATE DATABASE peer OWNER "$user"));
    P2P::Httpd::write_file("$server->{data}/pg_hba.conf", "local all p2p,nobody-there trust\nlocal all $user peer\nlocal all other peer\n");
    $server->restart;
    my ($httpd, $file) = settings(driver => 'pgsql', params => "host=$dir dbname=peer user=$user");
    ok_commands($file, 'peer authentication');
    $server->psql('CREATE ROLE other LOGIN');
    my %refused = ('no such role' => 'dbname=peer user=nobody-there', 'no such database' => 'dbname=none user=p2p', 'peer' => 'dbname=peer user=other',
        'no line in pg_hba.conf' => 'dbname=peer user=stranger');
    for my $what (sort keys %refused) {
        my ($code, $out, $err) = run(undef, 'status', '--spec', spec(dbDriver => 'pgsql', dbParams => "host=$dir $refused{$what}"));
        is($code, $UNAVAILABLE, $what);
        like($err, qr/^p2p-runner: The database refuses these credentials; check DBDParams and the server's pg_hba\.conf\. /m, '... says what to look at');
    }
    $server->stop;
    my ($code, $out, $err) = run(undef, 'status', '--spec', $file);
    is($code, $UNAVAILABLE, 'a server that is down');
    like($err, qr/try again in a moment/, '... may be there in a moment');
};

# A runner of its own on descriptors 3 and 4, as httpd starts it.
sub start_runner {
    my ($wake) = @_;
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    open STDERR, '>', "$dir/run.log" or die;
    my $from = fileno $wake;
    exec 'sh', '-c', "exec '$runner' run 4<&$from 3<'$spec'" or die;
}

sub wait_for { my ($what) = @_; for (1 .. 100) { return 1 if $what->(); select undef, undef, undef, 0.05 } return 0 }
sub runners { return @{ decode_json((run(undef, 'status', '--spec', $spec))[1])->{runners} } }

for my $how ('SIGTERM', 'the end of the wake pipe') {
    subtest "a runner ends with $how" => sub {
        pipe my $read, my $write or die "pipe: $!\n";
        { require Fcntl; fcntl $read, Fcntl::F_SETFD(), 0 }
        my $pid = start_runner($read);
        close $read;
        ok(wait_for(sub { runners() == 1 }), 'it registers') or diag(slurp("$dir/run.log"));
        is((runners())[0]{pid}, $pid, '... as itself');
        is((run(undef, 'migrate', '--spec', $spec))[0], $OK, 'migrate does not mind where nothing is to be done');
        $how eq 'SIGTERM' ? kill('TERM', $pid) : close $write;
        my $ended;
        ok(wait_for(sub { $ended = waitpid($pid, 1) == $pid }), 'it ends');
        is($?, 0, '... with 0');
        is(scalar(runners()), 0, '... and takes its row away');
        kill 'KILL', $pid unless $ended;
    };
}
done_testing();
