# SPDX-License-Identifier: Apache-2.0
# An HTTP server that does whatever a test says, byte by byte, and keeps what it was asked: the peer that nobody wants.
package P2P::Hostile;
use strict;
use warnings;
use Compress::Zlib ();
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(sleep);

my %running;    # pid => object, of those this process started

# Starts it on as many loopback ports as told. handler gets a P2P::Hostile::Request, in a process of its own for each connection.
sub start {
    my ($class, $ports, $handler) = @_;
    my $self = bless { dir => tempdir('p2p-hostile-XXXXXX', TMPDIR => 1, CLEANUP => 1), handler => $handler }, $class;
    my @sockets = map { IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1') // die "no free port: $!\n" } 1 .. $ports;
    $self->{ports} = [map { $_->sockport } @sockets];
    $self->{log} = "$self->{dir}/requests";
    my $pid = fork // die "fork: $!\n";
    $self->serve(@sockets) if !$pid;
    $self->{pid} = $pid;
    $running{$pid} = $self;
    return $self;
}

sub origin { my ($self, $n) = @_; return "http://127.0.0.1:$self->{ports}[$n // 0]" }

# What it was asked so far: { port, method, path, authorization }.
sub requests {
    my ($self) = @_;
    open my $in, '<', $self->{log} or return;
    return map { decode_json($_) } <$in>;
}

sub forget { my ($self) = @_; truncate $self->{log}, 0; return }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    delete $running{$pid} or return;
    kill 'KILL', -$pid;    # its own process group: the connections with it
    waitpid $pid, 0;
    return;
}

END {
    my $code = $?;
    $_->stop for values %running;
    $? = $code;
}

# A test that is killed leaves nothing behind: prctl(PR_SET_PDEATHSIG, SIGKILL).
sub die_with_parent {
    my %prctl = (x86_64 => 157, aarch64 => 167);
    my $number = $prctl{ (POSIX::uname())[4] } or return;
    syscall $number, 1, 9, 0, 0, 0;
    return;
}

sub serve {
    my ($self, @sockets) = @_;
    %running = ();
    setpgrp;
    die_with_parent();
    $SIG{CHLD} = $SIG{PIPE} = 'IGNORE';
    while (1) {
        my $ready = '';
        vec($ready, fileno $_, 1) = 1 for @sockets;
        next if select($ready, undef, undef, undef) <= 0;
        for my $socket (grep { vec $ready, fileno $_, 1 } @sockets) {
            my $client = $socket->accept or next;
            next if fork;
            die_with_parent();
            eval { $self->talk($client, $socket->sockport) };
            POSIX::_exit(0);
        }
    }
}

sub talk {
    my ($self, $client, $port) = @_;
    binmode $client;
    while (my $request = P2P::Hostile::Request->read($client)) {
        open my $log, '>>', $self->{log} or die "$self->{log}: $!\n";
        syswrite $log, JSON::PP->new->utf8->canonical->encode({ port => $port, method => $request->{method}, path => $request->{path},
            authorization => $request->{headers}{authorization} // '', body => substr($request->{body}, 0, 2000) }) . "\n";
        close $log;
        @$request{qw(port server)} = ($port, $self);
        $self->{handler}->($request);
    }
    return;
}

package P2P::Hostile::Request;
use strict;
use warnings;

# The next request of a connection, or nothing where it has ended: { method, path, headers, body, client }.
sub read {
    my ($class, $client) = @_;
    my ($head, $body) = ('', '');
    while ($head !~ /\r\n\r\n/) {
        return if !sysread $client, $head, 65536, length $head;
    }
    ($head, $body) = split /\r\n\r\n/, $head, 2;
    my ($line, @fields) = split /\r\n/, $head;
    my %headers = map { /^([^:]+):\s*(.*)/ ? (lc $1 => $2) : () } @fields;
    my $length = $headers{'content-length'} // 0;
    while (length $body < $length) {
        return if !sysread $client, $body, 1 << 20, length $body;
    }
    my ($method, $path) = split / /, $line;
    return bless { method => $method, path => $path, headers => \%headers, body => $body, client => $client }, $class;
}

# Bytes as they are; ends the process of the connection where the other side has gone.
sub raw {
    my ($self, $bytes) = @_;
    for (my $at = 0; $at < length $bytes;) {
        my $n = syswrite $self->{client}, $bytes, 1 << 20, $at;
        POSIX::_exit(0) if !$n;
        $at += $n;
    }
    return;
}

# An answer of this status. Fields are lines; Content-Type is FHIR's unless told.
sub reply {
    my ($self, $status, $body, @fields) = @_;
    push @fields, 'Content-Type: application/fhir+json' unless grep { /^content-type:/i } @fields;
    $self->raw(join("\r\n", "HTTP/1.1 $status Word", @fields, 'Content-Length: ' . length $body, '', '') . $body);
    return;
}

# The head of an answer in chunks; chunk sends one, an empty one ends it.
sub chunked {
    my ($self, $status, @fields) = @_;
    $self->raw(join("\r\n", "HTTP/1.1 $status Word", 'Content-Type: application/fhir+json', @fields, 'Transfer-Encoding: chunked', '', ''));
    return;
}

sub chunk { my ($self, $bytes) = @_; $self->raw(sprintf("%x\r\n", length $bytes) . "$bytes\r\n"); return }

# Chunks of gzip: what pieces gives (code, until it gives undef) compressed.
sub gzipped {
    my ($self, $status, $pieces) = @_;
    my ($z) = Compress::Zlib::deflateInit(-WindowBits => 31, -Level => 9);
    $self->chunked($status, 'Content-Encoding: gzip');
    while (defined(my $piece = $pieces->())) {
        my ($out) = $z->deflate($piece);
        $self->chunk($out) if length $out;
    }
    my ($out) = $z->flush;
    $self->chunk($out);
    $self->chunk('');
    return;
}

1;
