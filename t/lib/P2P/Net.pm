# SPDX-License-Identifier: Apache-2.0
# Hosts of a test's own: network namespaces, joined by bridges of which each is a network that a host can be cut off from, silently. They need root and
# Debian's iproute2, and are gone with the process.
package P2P::Net;
use strict;
use warnings;
use POSIX ();

my $NETWORK = '198.18';    # RFC 2544: addresses for tests of networks, used nowhere else
my @disks;

# Goes on in a namespace of its own: this test begins anew there. Call it first of all. what: --net, or --mount.
sub leave {
    my ($what) = @_;
    return if $^C || ($ENV{P2P_LEFT} && $ENV{P2P_LEFT} == $$);    # perl -c runs nothing
    die "namespaces need root: run this test as root\n" if $> != 0;
    $ENV{P2P_LEFT} = $$;    # exec keeps it
    exec 'unshare', $what, '--', $^X, (map { "-I$_" } @INC), $0, @ARGV or die "unshare: $!\n";
}

# Puts a file system of so many bytes, in memory, on a folder, in a test that has left with --mount.
sub small_disk {
    my ($dir, $bytes) = @_;
    system('mount', '-t', 'tmpfs', '-o', "size=$bytes,mode=0777", 'none', $dir) == 0 or die "no tmpfs can be mounted on $dir\n";
    push @disks, $dir;
    return $dir;
}

sub no_disks { system 'umount', '-l', $_ for splice @disks; return }

END {
    my $status = $?;
    no_disks();
    $? = $status;
}

sub ip {
    my (@words) = @_;
    local $ENV{PATH} = "$ENV{PATH}:/usr/sbin:/sbin";
    system('ip', @words) == 0 or die "ip @words fails: install iproute2, and look whether network namespaces may be made here\n";
    return;
}

# networks: their names, in which this process has the address 198.18.N.1; hosts: theirs, with 198.18.N.11 and on.
sub new {
    my ($class, %opt) = @_;
    my $self = bless { %opt, pid => {} }, $class;
    ip(qw(link set lo up));
    for my $n (0 .. $#{ $self->{networks} }) {
        ip(qw(link add), "br$n", qw(type bridge));
        ip(qw(address add), "$NETWORK.$n.1/24", 'dev', "br$n");
        ip(qw(link set), "br$n", 'up');
    }
    $self->make_host($_) for 0 .. $#{ $self->{hosts} };
    return $self;
}

# A process that does nothing holds the namespace open, as long as we live.
sub make_host {
    my ($self, $h) = @_;
    pipe my $ready, my $told or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        my %prctl = (x86_64 => 157, aarch64 => 167);
        my %unshare = (x86_64 => 272, aarch64 => 97);
        my $machine = (POSIX::uname())[4];
        syscall $prctl{$machine}, 1, 9, 0, 0, 0;
        POSIX::_exit(1) if syscall($unshare{$machine}, 0x40000000) != 0;    # CLONE_NEWNET
        syswrite $told, 'x';
        POSIX::pause() while 1;
    }
    close $told;
    sysread $ready, my $byte, 1 or die "no network namespace can be made here\n";
    $self->{pid}{ $self->{hosts}[$h] } = $pid;
    my @inside = ('nsenter', "--net=/proc/$pid/ns/net", 'ip');
    for my $n (0 .. $#{ $self->{networks} }) {
        ip(qw(link add), "h${h}n$n", qw(type veth peer name), "n$n", 'netns', $pid);
        ip('link', 'set', "h${h}n$n", 'master', "br$n", 'up');
        my $address = "$NETWORK.$n." . (11 + $h);
        system(@inside, qw(address add), "$address/24", 'dev', "n$n") == 0 && system(@inside, qw(link set), "n$n", 'up') == 0 or die "ip fails in a host\n";
    }
    system(@inside, qw(link set lo up)) == 0 or die "ip fails in a host\n";
    return;
}

sub network { my ($self, $name) = @_; my ($n) = grep { $self->{networks}[$_] eq $name } 0 .. $#{ $self->{networks} }; return $n // die "no network $name\n" }
sub host { my ($self, $name) = @_; my ($h) = grep { $self->{hosts}[$_] eq $name } 0 .. $#{ $self->{hosts} }; return $h // die "no host $name\n" }

# The address in a network, of a host or of this process.
sub address { my ($self, $network, $host) = @_; return "$NETWORK." . $self->network($network) . '.' . (defined $host ? 11 + $self->host($host) : 1) }

# Runs what follows on the host.
sub on { my ($self, $host) = @_; return ('nsenter', "--net=/proc/$self->{pid}{$host}/ns/net") }

# What it sends there is lost from now on, and so is what is sent to it; nobody tells either side.
sub cut    { my ($self, $host, @networks) = @_; ip('link', 'set', 'h' . $self->host($host) . 'n' . $self->network($_), 'nomaster') for @networks; return }
sub mend   { my ($self, $host, @networks) = @_; ip('link', 'set', 'h' . $self->host($host) . 'n' . $self->network($_), 'master', 'br' . $self->network($_)) for @networks; return }

sub DESTROY {
    my ($self) = @_;
    local $?;
    kill 'KILL', values %{ $self->{pid} };
    waitpid $_, 0 for values %{ $self->{pid} };
    return;
}

1;
