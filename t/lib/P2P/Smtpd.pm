# SPDX-License-Identifier: Apache-2.0
# A mail server of a test's own (t/mail/smtpd, aiosmtpd): its own folder, port, certificate and password, gone when the test ends.
package P2P::Smtpd;
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Httpd;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

my $TOP      = abs_path(dirname(__FILE__) . '/../../..');
my $PATIENCE = 30;    # seconds until a server that is asked to start or stop is given up

# Starts one and waits until it listens; dies where it does not. All options may be left out:
#   mode => 'starttls' (that), 'smtps' or 'plain'
#   user => 'p2p', password => '…'   user => undef takes mail from everybody
#   certificate => PATH              PATH.pem and PATH.key, in place of a new one for 127.0.0.1 and localhost
#   idle => 300                      seconds until it closes a connection that says nothing
#   from => ADDRESS                  for directives()
sub start {
    my ($class, %opt) = @_;
    my $self = bless {
        mode => 'starttls', user => 'p2p', password => join('', map { ('a' .. 'z', 0 .. 9)[rand 36] } 1 .. 20), idle => 300,
        from => 'p2p@payer.example', %opt, owner => $$,
    }, $class;
    $self->{dir} = tempdir('p2p-smtpd-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $self->{dir};
    mkdir "$self->{dir}/$_", 0755 for qw(mails templates);
    $self->{certificate} //= "$self->{dir}/tls";
    P2P::Httpd::make_certificate($self->{certificate}) unless -e "$self->{certificate}.pem";
    chmod 0644, "$self->{certificate}.pem";
    $self->{password_file} = P2P::Httpd::write_file("$self->{dir}/password", $self->{password}, 0600);
    $self->{auth_file} = P2P::Httpd::write_file("$self->{dir}/auth", ($self->{user} // '') . ":$self->{password}\n", 0600);
    copy($_, "$self->{dir}/templates/") or die "$_: $!\n" for glob "$TOP/conf/mail/*";
    $self->{port} = P2P::Httpd::free_port();
    return $self->start_again;
}

# After stop: the same server, on the same port.
sub start_again {
    my ($self) = @_;
    my @command = ("$TOP/t/mail/smtpd", '--until-eof', '--dir', "$self->{dir}/mails", '--port', $self->{port}, '--mode', $self->{mode},
        '--cert', "$self->{certificate}.pem", '--key', "$self->{certificate}.key", '--idle', $self->{idle});
    push @command, '--user', $self->{user}, '--password-file', $self->{password_file} if defined $self->{user};
    unlink "$self->{dir}/mails/ready";
    pipe my $in, my $out or die "pipe: $!\n";
    $self->{pid} = fork // die "fork: $!\n";
    if (!$self->{pid}) {
        close $out;
        open STDIN, '<&', $in;
        open STDERR, '>>', "$self->{dir}/smtpd.log";
        open STDOUT, '>&', \*STDERR;
        exec @command or POSIX::_exit(70);
    }
    $self->{life} = $out;    # it ends when this is closed, however this process ends
    my $end = time + $PATIENCE;
    until (-s "$self->{dir}/mails/ready") {
        die 'smtpd ended: ' . $self->log_text if waitpid($self->{pid}, WNOHANG) == $self->{pid} and delete $self->{pid};
        die 'smtpd does not start: ' . $self->log_text if time > $end;
        sleep 0.02;
    }
    return $self;
}

sub port     { return $_[0]{port} }
sub dir      { return $_[0]{dir} }
sub url      { my ($self) = @_; return ($self->{mode} eq 'smtps' ? 'smtps' : 'smtp') . "://127.0.0.1:$self->{port}" }
sub ca_file  { return "$_[0]{certificate}.pem" }
sub log_text { return P2P::Httpd::read_file("$_[0]{dir}/smtpd.log") }

# A folder with copies of conf/mail, for a test to change.
sub templates { return "$_[0]{dir}/templates" }

# What P2P::Httpd's directives are to be, so that mail goes here.
sub directives {
    my ($self, %more) = @_;
    return (
        P2PMailServer => $self->url, P2PMailFrom => $self->{from}, P2PMailTemplates => $self->templates,
        (defined $self->{user} ? (P2PMailAuth => $self->{auth_file}) : ()),
        ($self->{mode} eq 'plain' ? (P2PMailStartTLS => 'Off') : (P2PCAFile => $self->ca_file)), %more,
    );
}

# From now on it fails so (see t/mail/smtpd); without arguments it does not fail.
sub fault {
    my ($self, %faults) = @_;
    my $path = "$self->{dir}/mails/faults.json";
    P2P::Httpd::write_file("$path.part", JSON::PP->new->utf8->encode(\%faults));
    rename "$path.part", $path or die "$path: $!\n";
    return;
}

# What came so far, in order: from, to, message (bytes), headers, parts, tls, user, connection; see t/mail/smtpd.
sub mails {
    my ($self) = @_;
    return map { $self->{read}{$_} //= decode_json(P2P::Httpd::read_file($_)) } sort glob "$self->{dir}/mails/[0-9]*.json";
}

# How many that are.
sub count { my ($self) = @_; return scalar(() = glob "$self->{dir}/mails/[0-9]*.json") }

# The same once there are so many, or after a time (30 s).
sub wait_for_mails {
    my ($self, $count, $seconds) = @_;
    my $end = time + ($seconds // $PATIENCE);
    my @files;
    while ((@files = glob "$self->{dir}/mails/[0-9]*.json") < $count && time < $end) { sleep 0.05 }
    return $self->mails;
}

# Forgets what came. Only while nothing is under way.
sub forget { my ($self) = @_; $self->{read} = {}; unlink glob "$self->{dir}/mails/[0-9]*.json"; return }

# A header of a mail, decoded (the first of that name); as it was sent.
sub header { my ($mail, $name) = @_; return (map { $_->[2] } grep { lc $_->[0] eq lc $name } @{ $mail->{headers} })[0] }
sub raw_header { my ($mail, $name) = @_; return (map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $mail->{headers} })[0] }

# The text of a mail, or its HTML.
sub text { my ($mail) = @_; return (map { $_->{text} } grep { $_->{type} eq 'text/plain' } @{ $mail->{parts} })[0] }
sub html { my ($mail) = @_; return (map { $_->{text} } grep { $_->{type} eq 'text/html' } @{ $mail->{parts} })[0] }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    my $end = time + $PATIENCE;
    local $?;
    close delete $self->{life};
    kill 'TERM', $pid;
    while (waitpid($pid, WNOHANG) != $pid) {
        kill 'KILL', $pid if time > $end;
        sleep 0.02;
    }
    return;
}

sub DESTROY {
    my ($self) = @_;
    $self->stop if $self->{owner} == $$;
    return;
}

1;
