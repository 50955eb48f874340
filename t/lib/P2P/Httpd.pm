# SPDX-License-Identifier: Apache-2.0
# An httpd with mod_p2p, of a test's own: its own folder, port, keys and passwords, gone when the test ends.
package P2P::Httpd;
use strict;
use warnings;
use Cwd qw(abs_path);
use Fcntl qw(LOCK_EX LOCK_NB);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(setsid WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

my $TOP      = abs_path(dirname(__FILE__) . '/../../..');
my @MODULES  = qw(mpm_event authn_core authn_file authz_core authz_user auth_basic dbd);
my $PATIENCE = 20;    # seconds until a server that is asked to start or stop is given up

# A test that is told to end takes its httpd along (DESTROY).
$SIG{$_} //= sub { exit 1 } for qw(HUP INT TERM);

# Where the programs under test and the system's lie.
sub builddir { return $ENV{P2P_BUILDDIR}       || $TOP }
sub module   { return $ENV{P2P_MODULE} || (grep { -e } map { builddir() . "$_/.libs/mod_p2p.so" } '', '/mod_p2p')[0] // 'mod_p2p.so' }
sub runner   { return $ENV{P2P_RUNNER_PROGRAM} || builddir() . '/p2p-runner' }
sub program  { return $ENV{P2P_HTTPD}          || '/usr/sbin/apache2' }
sub modules  { return $ENV{P2P_HTTPD_MODULES}  || '/usr/lib/apache2/modules' }

# What httpd's environment has more than ours: P2P_HTTPD_PRELOAD names the sanitizers' libraries for a module built with them.
sub preload {
    return () unless $ENV{P2P_HTTPD_PRELOAD};
    return (LD_PRELOAD => $ENV{P2P_HTTPD_PRELOAD}, ASAN_OPTIONS => $ENV{ASAN_OPTIONS} // 'detect_leaks=0:abort_on_error=1',
        UBSAN_OPTIONS => $ENV{UBSAN_OPTIONS} // 'print_stacktrace=1:halt_on_error=1');
}

# The user that httpd's children and the runner work as; tests run as root have to give files to it.
sub user { return $> == 0 ? 'www-data' : scalar getpwuid $> }

my @ports;    # locks on those that this process was given

# A TCP port of 127.0.0.1 that nobody listens on, and that no other test is given while this process lives. It is below those that the system
# gives to connections.
sub free_port {
    my $dir = '/tmp/p2p-test-ports';
    -d $dir or mkdir $dir and chmod 01777, $dir;
    for (1 .. 1000) {
        my $port = 10_000 + int rand 20_000;
        open my $lock, '>', "$dir/$port.$>" or next;
        flock $lock, LOCK_EX | LOCK_NB or next;
        IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1) or next;
        push @ports, $lock;
        return $port;
    }
    die "no free port below 30,000\n";
}

sub write_file {
    my ($path, $text, $mode) = @_;
    open my $out, '>', $path or die "$path: $!\n";
    chmod $mode // 0644, $path;
    print {$out} $text;
    close $out or die "$path: $!\n";
    return $path;
}

sub read_file {
    my ($path) = @_;
    open my $in, '<', $path or return '';
    local $/;
    return scalar <$in> // '';
}

# Makes the configuration, starts nothing. All options may be left out but db:
#   db => { driver => 'sqlite3', params => '...' }
#   target => URL of the target (http://127.0.0.1:9/fhir, where nobody answers)
#   directives => { P2PRunners => 1, P2PTarget => undef }   replaces or (undef) removes lines of the main server
#   main => [lines], vhost => [lines]                       further lines
#   users => { portal => 'password' }   (one called admin is an administrator) closes every route but /health, the hook and the pages with Basic authentication (undef: all is open)
#   tls => 1                            serves https with a certificate made on the spot
#   port => N                             one that free_port gave, where another server has to know it first
#   prefix => '/p2p'                    SetHandler p2p stands in <Location /p2p> (the whole virtual host)
#   modules => ['headers']              further modules of httpd
#   dir => a folder to work in
#   key => 'p2p-key …'                  the text of its key file (a new one)
#   address => '198.18.0.2'             where it listens (127.0.0.1)
#   wrap => ['nsenter', ...]            a command that runs httpd, and with it the runner
#   environment => { NAME => 'value' }  more of it for httpd, and with it for the runner
#   hook => 1                           P2PHookURL is its own /hooks/task
sub new {
    my ($class, %opt) = @_;
    my $self = bless { address => '127.0.0.1', wrap => [], environment => {}, %opt, log_at => 0, expected => [] }, $class;
    $self->{dir} //= tempdir('p2p-httpd-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    $self->{port} //= free_port();
    $self->{owner} = $$;
    chmod 0755, $self->{dir};
    make_path("$self->{dir}/spool", { mode => 0700, user => user() });
    $self->{key_file} = write_file("$self->{dir}/secret.key", $self->{key} // new_key(), 0600);
    make_certificate("$self->{dir}/tls") if $self->{tls};
    $self->make_passwords if $self->{users};
    $self->write_config;
    return $self;
}

# The text of a new key file, as p2p-runner keygen makes it.
sub new_key {
    require MIME::Base64;
    open my $in, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
    read $in, my $bytes, 36;
    return sprintf "p2p-key %s %s\n", unpack('H8', substr $bytes, 0, 4), MIME::Base64::encode_base64(substr($bytes, 4), '');
}

# A self-signed certificate for 127.0.0.1: NAME.pem, and NAME.key with mode 0600.
sub make_certificate {
    my ($name) = @_;
    my $subject = '-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1,DNS:localhost';
    my $log = `openssl req -x509 -newkey rsa:2048 -nodes -days 2 $subject -keyout $name.key -out $name.pem 2>&1`;
    die "openssl: $log" if $?;
    chmod 0600, "$name.key";
    return;
}

# The modules that are always loaded.
sub module_names { return @MODULES }

sub make_passwords {
    my ($self) = @_;
    my $text = '';
    for my $name (sort keys %{ $self->{users} }) {
        my $salt = join '', map { ('a' .. 'z')[rand 26] } 1 .. 8;
        $text .= "$name:" . crypt($self->{users}{$name}, "\$6\$$salt") . "\n";
    }
    write_file("$self->{dir}/htpasswd", $text);
    return;
}

# Our directives as lines, the test's own in place of the usual ones.
sub directive_lines {
    my ($self) = @_;
    my %lines = (
        P2PTarget        => $self->{target} // 'http://127.0.0.1:9/fhir',
        P2PSecretKeyFile => $self->{key_file},
        P2PRunner        => runner(),
        P2PRunners       => 0,
        P2PPages         => builddir() . '/pages',
        P2PAdministrators => 'admin',
        P2PRetryFor      => 8,
        P2PSpool         => "$self->{dir}/spool 64M",
        DBDriver         => $self->{db}{driver},
        DBDParams        => qq("$self->{db}{params}"),
        DBDMin           => 0,
        DBDKeep          => 4,
        DBDMax           => 16,
        ($self->{hook} ? (P2PHookURL => $self->url . '/hooks/task') : ()),
        %{ $self->{directives} // {} },
    );
    return map { "$_ $lines{$_}" } grep { defined $lines{$_} } sort keys %lines;
}

# One of httpd's modules, or one that was put elsewhere for the tests.
sub module_file {
    my ($name) = @_;
    my ($file) = grep { -e } map { "$_/mod_$name.so" } modules(), $ENV{P2P_MORE_MODULES} // ();
    return $file // modules() . "/mod_$name.so";
}

sub module_lines {
    my ($self) = @_;
    my @names = (@MODULES, ($self->{tls} ? qw(socache_shmcb ssl) : ()), @{ $self->{modules} // [] });
    @names = grep { $_ ne ($self->{without} // '') } @names;
    return ((map { "LoadModule ${_}_module " . module_file($_) } @names), 'LoadModule p2p_module ' . module());
}

sub auth_lines {
    my ($self) = @_;
    return ('Require all granted') unless $self->{users};
    return (
        'AuthType Basic', 'AuthName p2p', 'AuthBasicProvider file', "AuthUserFile $self->{dir}/htpasswd",
        'Require valid-user', 'AuthzSendForbiddenOnFailure On',
    );
}

sub vhost_lines {
    my ($self) = @_;
    my $prefix = $self->{prefix} // '';
    my @tls = ('SSLEngine on', "SSLCertificateFile $self->{dir}/tls.pem", "SSLCertificateKeyFile $self->{dir}/tls.key");
    return (
        "<VirtualHost $self->{address}:$self->{port}>", "ServerName $self->{address}",
        ($self->{tls} ? @tls : ()),
        ($prefix eq '' ? 'SetHandler p2p' : ()),
        "<Location $prefix/>",
        ($prefix eq '' ? () : 'SetHandler p2p'),
        $self->auth_lines, '</Location>', "<Location $prefix/health>", 'Require all granted', '</Location>',
        "<LocationMatch ^$prefix/hooks/task(/|\$)>", 'Require all granted', '</LocationMatch>',
        "<LocationMatch ^$prefix/(openapi\\.json|swagger/.*|console(/.*)?)?\$>", 'Require all granted', '</LocationMatch>',
        @{ $self->{vhost} // [] },
        '</VirtualHost>',
    );
}

sub write_config {
    my ($self) = @_;
    my $dir = $self->{dir};
    my @lines = (
        "ServerRoot $dir",  'ServerName 127.0.0.1', "PidFile $dir/httpd.pid", "DefaultRuntimeDir $dir", "ErrorLog $dir/error.log",
        $self->module_lines,
        'LogLevel warn p2p:info', ($> == 0 ? ('User ' . user(), 'Group ' . getgrgid((getpwnam user())[3])) : ()),
        "Listen $self->{address}:$self->{port}", 'StartServers 1', 'ThreadsPerChild 16', 'MinSpareThreads 4', 'MaxSpareThreads 16',
        'ServerLimit 2', 'MaxRequestWorkers 32', 'TraceEnable off', 'Timeout 20', 'GracefulShutdownTimeout 2',
        $self->directive_lines, @{ $self->{main} // [] }, $self->vhost_lines,
    );
    $self->{config} = write_file("$dir/httpd.conf", join("\n", @lines) . "\n");
    return;
}

# Shell command that runs httpd with this configuration.
sub command {
    my ($self, @args) = @_;
    return (program(), '-f', $self->{config}, '-d', $self->{dir}, @args);
}

# What httpd -t says, exit code and all output.
sub configtest {
    my ($self, @args) = @_;
    my $command = join ' ', map { quotemeta } $self->command('-t', @args);
    local %ENV = (%ENV, preload());
    my $out = `$command 2>&1`;
    return ($? >> 8, $out);
}

# The specification that commands of p2p-runner take, as httpd dumps it into a file.
sub spec_file {
    my ($self) = @_;
    my $command = join ' ', map { quotemeta } $self->command('-t', '-D', 'P2P_DUMP_SPEC');
    local %ENV = (%ENV, preload());
    my $text = `$command 2>$self->{dir}/dump.log`;
    die "httpd -t: " . read_file("$self->{dir}/dump.log") if $?;
    return write_file("$self->{dir}/spec.json", $text, 0600);
}

# Runs p2p-runner COMMAND, which works as httpd's User, with this httpd's specification; its output, or death.
sub run_command {
    my ($self, $name, @args) = @_;
    $self->give_database;
    my $line = join ' ', map { quotemeta } runner(), split(/ /, $name), '--spec', $self->spec_file, @args;
    my $out = `$line 2>&1`;
    die "p2p-runner $name: $out" if $?;
    return $out;
}

# Schema and definitions (an array of hashes) into the database.
sub prepare {
    my ($self, $definitions) = @_;
    $self->run_command('migrate');
    return $self unless $definitions;
    my $file = write_file("$self->{dir}/definitions.json", JSON::PP->new->utf8->encode($definitions));
    $self->run_command('definitions import', $file);
    return $self;
}

sub start { my ($self) = @_; return $self->launch->await }

# The same in two steps, so that several can be started at once.
sub launch {
    my ($self) = @_;
    $self->give_database;
    $self->{pid} = fork // die "fork: $!\n";
    if (!$self->{pid}) {
        setsid();    # httpd signals its process group when it ends
        %ENV = (%ENV, preload(), %{ $self->{environment} });
        open STDOUT, '>', "$self->{dir}/stdout.log";
        open STDERR, '>&', \*STDOUT;
        exec @{ $self->{wrap} }, $self->command('-DFOREGROUND') or POSIX::_exit(70);
    }
    return $self;
}

sub await {
    my ($self) = @_;
    $self->wait_for(sub { $self->answers }) or die "httpd does not start: " . $self->log_text . $self->output;
    return $self;
}

# An SQLite database has to belong to the user that works with it, and so has its folder.
sub give_database {
    my ($self) = @_;
    my $file = $self->{db}{params};
    return if $> || $self->{db}{driver} ne 'sqlite3' || !-d dirname($file);
    my ($uid, $gid) = (getpwnam user())[2, 3];
    my $dir = dirname($file);
    chown $uid, $gid, $dir unless (stat $dir)[2] & 02;    # /tmp stays as it is
    chown $uid, $gid, glob "$file*";
    return;
}

sub output { return read_file("$_[0]{dir}/stdout.log") }

sub answers {
    my ($self) = @_;
    return 1 if IO::Socket::INET->new(PeerAddr => $self->{address}, PeerPort => $self->{port}, Timeout => 1);
    die 'httpd ended: ' . $self->log_text . $self->output if waitpid($self->{pid}, WNOHANG) == $self->{pid};
    return 0;
}

# Asks every 50 ms; true as soon as the answer is true, false after a time (20 s).
sub wait_for {
    my ($self, $question, $seconds) = @_;
    my $end = time + ($seconds // $PATIENCE);
    while (time < $end) {
        my $answer = $question->();
        return $answer if $answer;
        sleep 0.05;
    }
    return;
}

sub url  { my ($self) = @_; return ($self->{tls} ? 'https' : 'http') . "://$self->{address}:$self->{port}" . ($self->{prefix} // '') }
sub port { return $_[0]{port} }
sub pid  { return $_[0]{pid} }
sub dir  { return $_[0]{dir} }

sub graceful { my ($self) = @_; kill 'USR1', $self->{pid}; return }

sub log_text { return read_file("$_[0]{dir}/error.log") }

# Log lines at warn or worse that match are no fault of this test.
sub expect_log { my ($self, @patterns) = @_; push @{ $self->{expected} }, @patterns; return }

# A test is refused more often than a portal.
my $REFUSED_OFTEN = qr/is refused so often that not all of it is in the audit/;

# Told to end, httpd closes what its workers are just about to close.
my $CLOSED_TWICE = qr/\(9\)Bad file descriptor: AH03092: process_lingering_close/;

sub unexpected_log {
    my ($self) = @_;
    my @bad = grep { /\[[\w-]*:(?:emerg|alert|crit|error|warn)\]|AddressSanitizer|runtime error:|segfault/ } split /\n/, $self->log_text;
    for my $pattern ($REFUSED_OFTEN, $CLOSED_TWICE, @{ $self->{expected} }) {
        @bad = grep { $_ !~ $pattern } @bad;
    }
    return @bad;
}

# Ends httpd and its runners, and holds the log: nothing at warn or worse that was not expected. Returns the seconds it took.
sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    my $begin = time;
    kill 'TERM', $pid;
    my $gone = $self->wait_for(sub { waitpid($pid, WNOHANG) == $pid });
    my $took = time - $begin;
    kill 'KILL', -$pid unless $gone;
    ok($gone, 'httpd ended when asked to');
    is(join("\n", $self->unexpected_log), '', 'no line in the log that was not expected');
    return $took;
}

sub DESTROY {
    my ($self) = @_;
    return if !$self->{pid} || $self->{owner} != $$;
    local $?;
    kill 'TERM', $self->{pid};
    kill 'KILL', -$self->{pid} unless $self->wait_for(sub { waitpid($self->{pid}, WNOHANG) }, 5);
    return;
}

1;
