# SPDX-License-Identifier: Apache-2.0
# Starts an httpd with sandbox payers on free loopback ports and talks to their control paths.
package P2P::Sandbox;
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

my $root = abs_path(dirname(__FILE__) . '/../../..');
my %running;    # pid => object, of those this process started

sub builddir { return $ENV{P2P_BUILDDIR} || $root }

# start(payers => [{name => 'a', data => [...], directives => ['SandboxOrder type', ...], tls => 1}, ...],
#       dir => DIR, tls => {cert => FILE, key => FILE}, conf => 'text for the main server', vhost => 'text for each payer')
# In a directive @a@ stands for the origin of payer a. A payer has TLS where it or start() asks for it; without a certificate one is made. address: where it is to be had besides 127.0.0.1; its URLs name that.
sub start {
    my ($class, %arg) = @_;
    my $self = bless {%arg, owner => $$}, $class;
    $self->{dir} ||= tempdir(CLEANUP => 1);
    chmod 0755, $self->{dir};
    $_->{tls} //= $arg{tls} for @{$self->{payers}};
    my ($tls) = grep { $_ } $arg{tls}, map { $_->{tls} } @{$self->{payers}};
    $self->{certificate} = ref $tls ? $tls : make_cert($self->{dir}) if $tls;
    for my $try (1 .. 3) {
        $self->_ports;
        $self->_write_conf;
        return $self if $self->_spawn;
        die "sandbox httpd did not start:\n" . $self->error_log if $self->error_log !~ /Address already in use/;
    }
    die "sandbox httpd found no free port\n";
}

# A certificate for 127.0.0.1 and localhost: {cert, key}; it is its own CA.
sub make_cert {
    my ($dir) = @_;
    my ($cert, $key) = ("$dir/sandbox.crt", "$dir/sandbox.key");
    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost "
        . "-addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout '$key' -out '$cert' 2>/dev/null") == 0
        or die "openssl cannot make a certificate\n";
    return {cert => $cert, key => $key};
}

sub _ports {
    my ($self) = @_;
    my @held;
    for my $payer (@{$self->{payers}}) {
        for my $name ($payer->{tls} ? qw(port control) : qw(port)) {
            my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "no free port: $!\n";
            $payer->{$name} = $socket->sockport;
            push @held, $socket;
        }
        $payer->{control} = $payer->{port} if !$payer->{tls};
    }
    close $_ for @held;
}

sub _payer_conf {
    my ($self, $payer) = @_;
    my $tls = $payer->{tls};
    my $more = $payer->{address} ? " $payer->{address}:$payer->{port}" : '';
    my $text = join('', map { "Listen $_\n" } "127.0.0.1:$payer->{port}", split ' ', $more) . "<VirtualHost 127.0.0.1:$payer->{port}$more>\n"
        . "ServerName 127.0.0.1:$payer->{port}\nSetHandler p2p-sandbox\nSandboxPayer $payer->{name}\n";
    $text .= qq(SandboxData "$_"\n) for @{$payer->{data} || []};
    $text .= s/\@(\w+)\@/$self->origin($1)/ger . "\n" for @{$payer->{directives} || []};
    $text .= "SSLEngine on\nSSLCertificateFile $self->{certificate}{cert}\nSSLCertificateKeyFile $self->{certificate}{key}\n" if $tls;
    $text .= ($self->{vhost} || '') . "\n</VirtualHost>\n";
    return $text if !$tls;
    return $text . "Listen 127.0.0.1:$payer->{control}\n<VirtualHost 127.0.0.1:$payer->{control}>\n"
        . "ServerName 127.0.0.1:$payer->{control}\nSetHandler p2p-sandbox\nSandboxPayer $payer->{name}\n</VirtualHost>\n";
}

sub _write_conf {
    my ($self) = @_;
    my $dir = $self->{dir};
    my @modules = qw(mpm_event authz_core);
    push @modules, 'ssl' if grep { $_->{tls} } @{$self->{payers}};
    push @modules, @{$self->{modules} || []};
    my $text = join '', map { "LoadModule ${_}_module /usr/lib/apache2/modules/mod_$_.so\n" } @modules;
    my ($so) = grep { -e } map { builddir() . "/t/sandbox/$_" } qw(mod_p2p_sandbox.so .libs/mod_p2p_sandbox.so);
    die "mod_p2p_sandbox.so is not built (looked in " . builddir() . "/t/sandbox)\n" if !$so;
    $text .= "LoadModule p2p_sandbox_module $so\n";
    $text .= "User www-data\nGroup www-data\n" if $> == 0;
    $text .= <<"CONF";
ServerRoot $dir
ServerName 127.0.0.1
PidFile $dir/sandbox.pid
ErrorLog $dir/sandbox.log
LogLevel warn
DefaultRuntimeDir $dir
Mutex posixsem
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MinSpareThreads 1
MaxSpareThreads 64
MaxRequestWorkers 64
MaxConnectionsPerChild 0
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
Timeout 600
CONF
    $text .= ($self->{conf} || '') . "\n";
    $text .= $self->_payer_conf($_) for @{$self->{payers}};
    open my $fh, '>', "$dir/sandbox.conf" or die "$dir/sandbox.conf: $!\n";
    print $fh $text;
    close $fh;
}

sub _spawn {
    my ($self) = @_;
    unlink "$self->{dir}/sandbox.log";
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        _die_with_parent();
        open STDOUT, '>>', "$self->{dir}/sandbox.out";
        open STDERR, '>&', \*STDOUT;
        $ENV{LD_PRELOAD} = $ENV{P2P_HTTPD_PRELOAD} if $ENV{P2P_HTTPD_PRELOAD};
        exec '/usr/sbin/apache2', '-f', "$self->{dir}/sandbox.conf", '-D', 'FOREGROUND' or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    $running{$pid} = $self;
    my $until = time + 60;
    while (time < $until) {
        if (waitpid($pid, WNOHANG) == $pid) {
            delete $running{$pid};
            return 0;
        }
        return 1 if $self->_answers;
        sleep 0.05;
    }
    $self->stop;
    die "sandbox httpd does not answer\n" . $self->error_log;
}

# prctl(PR_SET_PDEATHSIG, SIGTERM): a test that is killed leaves no httpd behind.
sub _die_with_parent {
    my %prctl = (x86_64 => 157, aarch64 => 167);
    my $number = $prctl{(POSIX::uname())[4]} or return;
    syscall $number, 1, 15, 0, 0, 0;
}

sub _answers {
    my ($self) = @_;
    my $answer = HTTP::Tiny->new(timeout => 5)->get($self->control($self->{payers}[0]{name}) . '/faults');
    return $answer->{status} == 200;
}

sub _payer {
    my ($self, $name) = @_;
    my ($payer) = grep { $_->{name} eq $name } @{$self->{payers}};
    return $payer || die "no sandbox payer $name\n";
}

sub pid { return $_[0]{pid} }

sub origin {
    my ($self, $name) = @_;
    my $payer = $self->_payer($name);
    return ($payer->{tls} ? 'https' : 'http') . '://' . ($payer->{address} // '127.0.0.1') . ":$payer->{port}";
}

sub url       { my ($self, $name) = @_; return $self->origin($name) . '/fhir' }
sub token_url { my ($self, $name) = @_; return $self->origin($name) . '/token' }
sub ca_file   { return $_[0]{certificate}{cert} }

# The same payer without TLS, for the test's own requests.
sub plain { my ($self, $name) = @_; return "http://127.0.0.1:" . $self->_payer($name)->{control} }
sub control { my ($self, $name) = @_; return $self->plain($name) . '/sandbox' }

sub error_log {
    my ($self) = @_;
    my $text = '';
    for my $file ("$self->{dir}/sandbox.out", "$self->{dir}/sandbox.log") {
        open my $fh, '<', $file or next;
        local $/;
        $text .= <$fh> // '';
    }
    return $text;
}

# A request to a control path; dies unless it is answered with 200.
sub call {
    my ($self, $name, $method, $path, $body) = @_;
    my $answer = HTTP::Tiny->new(timeout => 120)
        ->request($method, $self->control($name) . $path, defined $body ? {content => $body} : {});
    die "sandbox $name: $method $path: $answer->{status} $answer->{content}\n" if $answer->{status} != 200;
    return $answer->{content};
}

# faults('a'): the rules with their counts; faults('a', {...}, ...): these from now on; faults('a', []): none.
sub faults {
    my ($self, $name, @rules) = @_;
    return decode_json($self->call($name, 'GET', '/faults')) if !@rules;
    @rules = @{$rules[0]} if ref $rules[0] eq 'ARRAY';
    $self->call($name, 'PUT', '/faults', encode_json(\@rules));
}

sub requests       { my ($self, $name) = @_; return decode_json($self->call($name, 'GET', '/requests')) }
sub clear_requests { my ($self, $name) = @_; $self->call($name, 'DELETE', '/requests') }
sub reset          { my ($self, $name) = @_; $self->call($name, 'POST', '/reset', '') }
sub grants         { my ($self, $name) = @_; return decode_json($self->call($name, 'GET', '/grants')) }
sub add_grant      { my ($self, $name, @words) = @_; $self->call($name, 'POST', '/grants', "@words") }

# load('a', $ndjson): adds resources as if they came from a file of their own.
sub load { my ($self, $name, $ndjson) = @_; return decode_json($self->call($name, 'POST', '/load', $ndjson))->{count} }

# set('a', order => 'shuffled 7', delay => 20, ...): changes directives while it runs.
sub set {
    my ($self, $name, %value) = @_;
    my $query = HTTP::Tiny->new->www_form_urlencode(\%value);
    $self->call($name, 'PUT', "/set?$query");
}

# Its Subscriptions: [{id, version, status, criteria, endpoint, payload}]; with a status all of them get that first, or the one of the id.
sub subscriptions {
    my ($self, $name, $status, $id) = @_;
    my $query = HTTP::Tiny->new->www_form_urlencode({defined $status ? (status => $status) : (), defined $id ? (id => $id) : ()});
    return decode_json($self->call($name, defined $status ? 'PUT' : 'GET', "/subscriptions?$query"));
}

# {waiting, lost, log => [{outcome: taken, failed or lost, subscription, task, method, url, tries, status}]} of what it told others.
sub deliveries       { my ($self, $name) = @_; return decode_json($self->call($name, 'GET', '/deliveries')) }
sub clear_deliveries { my ($self, $name) = @_; $self->call($name, 'DELETE', '/deliveries') }

# The same, as soon as none waits.
sub delivered {
    my ($self, $name, $seconds) = @_;
    my $until = time + ($seconds || 60);
    while (time < $until) {
        my $deliveries = $self->deliveries($name);
        return $deliveries if !$deliveries->{waiting};
        sleep 0.02;
    }
    die "sandbox $name: deliveries still wait\n";
}

# {Type/id => {version, versions, deleted, text}}: text is the resource's JSON, its line breaks made blanks.
sub dump {
    my ($self, $name, %query) = @_;
    my $query = %query ? '?' . HTTP::Tiny->new->www_form_urlencode(\%query) : '';
    my %found;
    for my $line (split /\n/, $self->call($name, 'GET', "/dump$query")) {
        $line =~ /^\{"key":"([^"]+)","version":(\d+),"versions":(\d+),"deleted":(true|false)(?:,"resource":(.*))?\}$/
            or die "sandbox dump: odd line\n";
        $found{$1} = {version => $2, versions => $3, deleted => $4 eq 'true' ? 1 : 0, text => $5};
    }
    return \%found;
}

# Ends the httpd; a second call does nothing.
sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    delete $running{$pid};
    return if $self->{owner} != $$;
    kill 'TERM', $pid;
    for (1 .. 200) {
        return if waitpid($pid, WNOHANG) != 0;
        sleep 0.05;
    }
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

END {
    my $code = $?;
    $_->stop for values %running;
    $? = $code;
}

1;
