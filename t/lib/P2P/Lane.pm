# SPDX-License-Identifier: Apache-2.0
# One after the other, exchanges of one record to a target of their own, by runners that the test itself starts, so that it knows to the moment when they
# die and what the database held then. Lanes work side by side, each in a process of its own, which reports by lines of JSON; no test is made there.
package P2P::Lane;
use strict;
use warnings;
use JSON::PP;
use P2P::Exchange;
use P2P::Httpd;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

my $PATIENCE = $ENV{P2P_SANITIZED} ? 300 : 120;    # seconds until an exchange is given up

# name, x (a P2P::Exchange without runners of its own), orders => [{ source, patient, target, urls }], slots (1): runners at work together.
sub new {
    my ($class, %opt) = @_;
    my $self = bless { slots => 1, restarts => 0, %opt, pid => [] }, $class;
    my $spec = decode_json(P2P::Httpd::read_file($self->{x}{httpd}->spec_file));
    $self->{spec} = [map { $self->write_spec($spec, "lane-$$-" . int(rand 1e9), $_) } 0 .. $self->{slots} - 1];
    return $self;
}

# The specification of a runner: another one of the same instance and slot goes on at once with what this one leaves.
sub write_spec {
    my ($self, $spec, $instance, $slot) = @_;
    my $text = JSON::PP->new->utf8->encode({ %$spec, instance => $self->{instance} //= $instance, slot => $slot });
    return P2P::Httpd::write_file("$self->{x}{httpd}{dir}/spec-$slot.json", $text, 0600);
}

# ---- Runners ----

sub start_runner {
    my ($self, $slot) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDERR, '>>', "$self->{x}{httpd}{dir}/runner.log";
        open STDOUT, '>&', \*STDERR;
        exec P2P::Httpd::runner(), 'run', '--spec', $self->{spec}[$slot] or POSIX::_exit(70);
    }
    return $self->{pid}[$slot] = $pid;
}

sub start_runners { my ($self) = @_; $self->start_runner($_) for grep { !$self->{pid}[$_] } 0 .. $self->{slots} - 1; return }

# With KILL nothing of it is left when this returns.
sub end_runner {
    my ($self, $slot, $signal) = @_;
    my $pid = $self->{pid}[$slot] or return 0;
    $self->{pid}[$slot] = undef;
    kill $signal, $pid;
    return waitpid($pid, 0) == $pid;
}

sub end_runners { my ($self, $signal) = @_; $self->end_runner($_, $signal) for 0 .. $self->{slots} - 1; return }

# ---- Jobs ----

sub order {
    my ($self, $order) = @_;
    my $bundle = { resourceType => 'Bundle', type => 'batch', entry => [map { { request => { method => 'GET', url => $_ } } } @{ $order->{urls} }] };
    my $answer = $self->{x}->order($order->{source}, $order->{patient}, $order->{target}, request => $bundle);
    die "the order is answered with $answer->{status} $answer->{content}\n" if $answer->{status} != 202;
    return $answer->{path};
}

sub has_ended { my ($job) = @_; return $job && defined $job->{batchStatus} && $job->{batchStatus} !~ /^(?:STARTING|STARTED|STOPPING)$/ }

# Parts that have landed, as the database says.
sub landed {
    my ($self, $path) = @_;
    my ($job) = $path =~ /(\d+)$/;
    return P2P::Databases::run_sql($self->{db}, "SELECT COUNT(*) FROM p2p_part WHERE job_id = $job AND landed = 1");
}

# How many parts were asked for so far.
sub asked {
    my ($self) = @_;
    return scalar map { grep { $_->{method} eq 'GET' && $_->{url} !~ m{/metadata|/token|/well-known} } @{ $self->{x}{sandbox}->requests($_)->{log} } } $self->sources;
}

sub sources { my ($self) = @_; my %names = map { $_->{source} => 1 } @{ $self->{orders} }; return sort keys %names }

sub wait_for_end {
    my ($self, @paths) = @_;
    my $end = time + $PATIENCE;
    my %job;
    while (time < $end) {
        $job{$_} = $self->{x}->job($_) for grep { !has_ended($job{$_}) } @paths;
        return map { $job{$_} } @paths if !grep { !has_ended($job{$_}) } @paths;
        sleep 0.04;
    }
    return map { $job{$_} // {} } @paths;
}

# ---- A run ----

# Clears the target, orders, and starts the runners: the jobs' paths.
sub begin {
    my ($self) = @_;
    $self->{x}->reset_target;
    $self->{x}{sandbox}->clear_requests($_) for $self->sources;
    my @paths = map { $self->order($_) } @{ $self->{orders} };
    $self->start_runners;
    return @paths;
}

# What a run came to: { faults, jobs, asked, dump }. Every job is held against what the undisturbed run gave, once there was one.
sub finish {
    my ($self, @paths) = @_;
    my @jobs = $self->wait_for_end(@paths);
    my %run = (jobs => \@jobs, asked => $self->asked, dump => $self->{x}->target_dump, faults => []);
    if ($self->{calm}) {
        push @{ $run{faults} }, map { P2P::Exchange::job_faults($jobs[$_], $self->{calm}{jobs}[$_]) } 0 .. $#jobs;
        push @{ $run{faults} }, P2P::Exchange::target_faults($run{dump}, $self->{calm}{dump}, $self->{arrived});
    }
    return \%run;
}

# Undisturbed; its numbers are what all others are held against. arrived: Type/id at the target of what came from the sources.
sub calm {
    my ($self) = @_;
    my $begin = time;
    my @paths = $self->begin;
    my $run = $self->finish(@paths);
    $run->{took} = time - $begin;
    $run->{paths} = \@paths;
    $self->end_runners('TERM');
    return $self->{calm} = $run;
}

# Killed at one to three random moments, in all `times`, one runner each time, and started again at once. With one runner, and so at the moment of a kill no
# other that could land something, the parts asked for from the last kill on have to be exactly those that had not landed then.
sub killed {
    my ($self, $times) = @_;
    my @paths = $self->begin;
    my ($note, $left, $asked, $hit) = ('', undef, 0, 0);
    for my $n (1 .. $times) {
        my $after = $self->{calm}{took} * (0.02 + 0.9 * rand) / ($n > 1 ? 2 : 1);
        sleep $after;
        my $slot = int rand $self->{slots};
        $self->end_runner($slot, 'KILL');
        my $landed = 0;
        $landed += $self->landed($_) for @paths;
        $asked = $self->asked;
        $hit++ if grep { !has_ended($self->{x}->job($_)) } @paths;
        $left = parts($self->{calm}) - $landed;
        $note .= sprintf ' %.2f s (%d parts had landed)', $after, $landed;
        $self->start_runner($slot);
    }
    my $run = $self->finish(@paths);
    my $again = $run->{asked} - $asked;
    push @{ $run->{faults} }, "$left parts had not landed at the last kill, and $again were fetched after it" if $self->{slots} == 1 && $again != $left;
    push @{ $run->{faults} }, "$run->{asked} parts were asked for, of " . parts($self->{calm}) if $run->{asked} < parts($self->{calm});
    return { %$run, note => "killed after$note", hit => $hit, more => $run->{asked} - parts($self->{calm}) };
}

# The database server crashes and is started again.
sub restarted {
    my ($self) = @_;
    my @paths = $self->begin;
    my $after = $self->{calm}{took} * (0.02 + 0.9 * rand);
    sleep $after;
    my $hit = grep { !has_ended($self->{x}->job($_)) } @paths;
    $self->{db}{server}->restart('immediate');
    my $run = $self->finish(@paths);
    return { %$run, note => sprintf('PostgreSQL crashed after %.2f s', $after), hit => $hit, more => $run->{asked} - parts($self->{calm}) };
}

sub parts { my ($run) = @_; my $sum = 0; $sum += $_->{progress}{parts} for @{ $run->{jobs} }; return $sum }

# ---- Side by side ----

# Each lane's work (a code that gets the lane and a code that takes what each run came to) in a process of its own; returns { lane's name => [what each run
# came to, less the dump] }.
sub side_by_side {
    my ($work, @lanes) = @_;
    my (%found, @at_work);
    for my $lane (@lanes) {
        pipe my $in, my $out or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            close $in;
            $out->autoflush(1);
            $lane->as_child($work, $out);
        }
        close $out;
        push @at_work, [$lane, $pid, $in];
    }
    for my $one (@at_work) {
        my ($lane, $pid, $in) = @$one;
        $found{ $lane->{name} } = [map { decode_json($_) } <$in>];
        waitpid $pid, 0;
    }
    return \%found;
}

sub as_child {
    my ($self, $work, $out) = @_;
    $SIG{$_} = sub { $self->end_runners('KILL'); POSIX::_exit(1) } for qw(TERM INT HUP PIPE);
    srand $self->{seed};
    my $tell = sub { my ($run) = @_; delete $run->{dump}; print {$out} JSON::PP->new->utf8->encode($run), "\n" };
    eval { $work->($self, $tell); 1 } or $tell->({ faults => ["$self->{name}: $@"], hit => 0, more => 0, note => 'broken off' });
    $self->end_runners('KILL');
    close $out;
    POSIX::_exit(0);
}

1;
