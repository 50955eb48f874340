# SPDX-License-Identifier: Apache-2.0
# A PostgreSQL cluster of a test's own: a temporary folder, a unix socket, nobody else's server.
package P2P::Postgres;
use strict;
use warnings;
use File::Temp qw(tempdir);
use IPC::Open3;

my $BIN = $ENV{P2P_POSTGRES_BIN} || '/usr/lib/postgresql/15/bin';
my @running;    # clusters that the end of this process stops

# The server refuses root: then postgres, else nobody, runs it.
sub _user {
    return undef if $> != 0;
    return defined getpwnam('postgres') ? 'postgres' : 'nobody';
}

# The command as the server's user runs it.
sub _as_user {
    my ($self, @command) = @_;
    return defined $self->{user} ? ('runuser', '-u', $self->{user}, '--', 'env', '-C', '/', @command) : @command;
}

# Runs a command of the server's user and returns what it says; dies with that when it fails.
sub _run {
    my ($self, @command) = @_;
    my $pid = open3(my $in, my $out, undef, $self->_as_user(@command));
    close $in;
    my $text = do { local $/; <$out> };
    waitpid $pid, 0;
    die "@command: $text" if $?;
    return $text // '';
}

# Makes the cluster and its database p2p; start it with start. address: where it is to be had besides the socket; settings: lines of postgresql.conf.
sub new {
    my ($class, %opt) = @_;
    -x "$BIN/initdb" or die "$BIN/initdb is missing: install postgresql-15 (its programs are enough)\n";
    my $dir = tempdir('p2p-pg-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { dir => $dir, data => "$dir/data", user => _user(), pid => $$ }, $class;
    if (defined $self->{user}) {
        chown +(getpwnam $self->{user})[2, 3], $dir;
        chmod 0755, $dir;
    }
    $self->_run("$BIN/initdb", '-D', $self->{data}, '-U', 'p2p', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync');
    my $settings = "listen_addresses = '" . ($opt{address} // '') . "'\nunix_socket_directories = '$dir'\nfsync = off\nmax_connections = 200\n"
        . "unix_socket_permissions = 0777\n" . ($opt{settings} // '');
    open my $conf, '>>', "$self->{data}/postgresql.conf" or die "$self->{data}: $!";
    print {$conf} $settings;
    close $conf or die $!;
    return $self if !$opt{address};
    open my $hba, '>>', "$self->{data}/pg_hba.conf" or die "$self->{data}: $!";
    print {$hba} "host all all 0.0.0.0/0 trust\n";
    close $hba or die $!;
    return $self;
}

# The command that a shell takes, for programs that stop and start the server themselves: "start", "stop" or "restart".
sub command {
    my ($self, $what, $mode) = @_;
    my @mode = $what eq 'start' ? () : ('-m', $mode || 'fast');
    return join ' ', $self->_as_user("$BIN/pg_ctl", '-D', $self->{data}, '-l', "$self->{dir}/log", '-w', '-s', @mode, $what),
        '>/dev/null 2>&1 </dev/null';
}

sub _control {
    my ($self, $what, $mode) = @_;
    return if system($self->command($what, $mode)) == 0;
    open my $log, '<', "$self->{dir}/log" or die "PostgreSQL does not $what\n";
    die "PostgreSQL does not $what:\n", <$log>;
}

sub start {
    my ($self) = @_;
    $self->_control('start');
    push @running, $self unless grep { $_ == $self } @running;
    $self->psql('CREATE DATABASE p2p', 'postgres') unless $self->{made}++;
    return $self;
}

sub stop {
    my ($self, $mode) = @_;
    $self->_control('stop', $mode);
    @running = grep { $_ != $self } @running;
    return $self;
}

# mode: smart, fast (as on a regular restart) or immediate (as after a crash).
sub restart {
    my ($self, $mode) = @_;
    $self->_control('restart', $mode);
    return $self;
}

# What DBDParams takes.
sub params {
    my ($self) = @_;
    return "host=$self->{dir} dbname=p2p user=p2p";
}

# Runs one or more statements; rows come as lines, columns separated by "|".
sub psql {
    my ($self, $sql, $database) = @_;
    my $text = $self->_run("$BIN/psql", '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', $self->{dir}, '-U', 'p2p',
        '-d', $database || 'p2p', '-c', $sql);
    chomp $text;
    return $text;
}

# Ends every session but its own, as an administrator or a failover does. Returns how many there were.
sub kill_backends {
    my ($self) = @_;
    return $self->psql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            . "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'");
}

END {
    my $status = $?;
    for my $cluster (@running) {
        next if $cluster->{pid} != $$;    # a fork of the test
        system $cluster->command('stop', 'immediate');
    }
    $? = $status;
}

1;
