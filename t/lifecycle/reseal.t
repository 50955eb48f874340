#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The sealing key is changed while orders come in and jobs are at work, as docs/operations.md says: the new key behind the old one, before it, p2p-runner
# reseal, which is killed on its way and run again, the old key taken away. No job is lost, a member stays bound, a token that was seen is known, and
# nothing in the database is of the old key.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use File::Temp qw(tempdir);
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

my $MEMBERS      = 150;
my $OBSERVATIONS = 12;
my $AT_A_TIME    = 5;
my $F_SETPIPE_SZ = 1031;

sub member {
    my ($n) = @_;
    return (qq({"resourceType":"Patient","id":"m$n","active":true}),
        map { qq({"resourceType":"Observation","id":"m$n-$_","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/m$n"},"valueString":"$_"}) } 1 .. $OBSERVATIONS);
}

my $sandbox = P2P::Exchange::sandbox(
    { name => 'source', data => [write_data(tempdir('p2p-members-XXXXXX', TMPDIR => 1, CLEANUP => 1) . '/members.ndjson', join '', map { "$_\n" } map { member($_) } 0 .. $MEMBERS)], directives => ['SandboxDelay 60'] },
    { name => 'target', role => 'target' }
);

# A portal of its own process: orders one member after the other, some at a time, until it is told to stop. What it was answered goes to a file, a line an
# order: status and path.
sub start_portal {
    my ($x) = @_;
    my ($file, $stop) = map { "$x->{httpd}{dir}/$_" } 'orders', 'enough';
    my $parent = $$;
    my $pid = fork // die "fork: $!\n";
    return { pid => $pid, file => $file, stop => $stop } if $pid;
    open my $out, '>>', $file or POSIX::_exit(1);
    $out->autoflush(1);
    my @running;
    for my $n (1 .. $MEMBERS) {
        my $answer = eval { $x->order('source', "m$n", "t$n", request => 'Patient/{patientId}/$everything?_count=4') } // { status => "died: $@" };
        print {$out} "$answer->{status} " . ($answer->{path} // '-') . "\n";
        push @running, grep { defined } $answer->{path};
        while (@running >= $AT_A_TIME && !-e $stop && getppid == $parent) {
            sleep 0.05;
            @running = grep { ($x->job($_)->{batchStatus} // 'STARTED') =~ /^START/ } @running;
        }
        last if -e $stop || getppid != $parent;
    }
    POSIX::_exit(0);
}

# How many orders were taken so far.
sub taken { my ($portal) = @_; my $n = () = P2P::Httpd::read_file($portal->{file}) =~ /^202 /mg; return $n }

sub more_orders {
    my ($x, $portal, $when) = @_;
    my $before = taken($portal);
    return ok($x->{httpd}->wait_for(sub { taken($portal) > $before + 2 }, 60), "$when: orders come in");
}

# These keys, by a graceful restart; over when the new runner is at work.
sub use_keys {
    my ($x, $portal, $when, @keys) = @_;
    my $httpd = $x->{httpd};
    my @files = map { P2P::Httpd::write_file("$httpd->{dir}/key." . ($_ =~ /(\w+)/ && substr $_, 8, 8), $_, 0600) } @keys;
    my $begun = () = $httpd->log_text =~ /p2p-runner \S+ begins/g;
    $httpd->{directives}{P2PSecretKeyFile} = "@files";
    $httpd->write_config;
    $httpd->graceful;
    my $again = $httpd->wait_for(sub { my $n = () = $httpd->log_text =~ /p2p-runner \S+ begins/g; return $n > $begun }, 60);
    ok($again, "$when: a new runner works") or diag $httpd->log_text;
    return more_orders($x, $portal, $when);
}

# Output and exit code.
sub run_reseal {
    my ($x, @words) = @_;
    my $line = join ' ', map { quotemeta } P2P::Httpd::runner(), 'reseal', @words, '--spec', $x->{httpd}->spec_file;
    my $text = `$line 2>&1`;
    return ($? >> 8, $text);
}

# Its output goes into a pipe that takes no more than a line or two: there it stands, in the middle of its work, and is killed.
sub kill_reseal {
    my ($x) = @_;
    my @command = (P2P::Httpd::runner(), 'reseal', '--spec', $x->{httpd}->spec_file);
    pipe my $out, my $in or die "pipe: $!\n";
    fcntl $in, $F_SETPIPE_SZ, 4096 or die "F_SETPIPE_SZ: $!\n";
    syswrite $in, 'x' x 4016;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>&', $in or POSIX::_exit(1);
        exec @command or POSIX::_exit(1);
    }
    close $in;
    my $stands = $x->{httpd}->wait_for(sub { P2P::Httpd::read_file("/proc/$pid/wchan") =~ /pipe/ || P2P::Httpd::read_file("/proc/$pid/syscall") =~ /^1 / || waitpid($pid, WNOHANG) == $pid }, 60);
    ok($stands, 'reseal stands in the middle of its work');
    ok(kill('KILL', $pid), '... and is killed there');
    waitpid $pid, 0;
    is($? & 127, 9, '... by a signal');
    return;
}

# Somebody may have sealed with the old key while httpd's last children ended: then it is to be run again, and says so.
sub ok_reseal {
    my ($x) = @_;
    my ($code, $text);
    for (1 .. 5) {
        ($code, $text) = run_reseal($x);
        last if $code != 75;
    }
    is($code, 0, 'reseal, run again, comes to its end') or diag $text;
    like($text, qr/^No other key is needed\.$/m, '... and says that the old key can go');
    return;
}

sub ok_jobs {
    my ($x, $portal) = @_;
    my @orders = map { [split / /] } split /\n/, P2P::Httpd::read_file($portal->{file});
    is(join(' ', grep { $_ ne '202' } map { $_->[0] } @orders), '', 'all ' . @orders . ' orders were taken');
    my @jobs = map { $x->wait($_->[1]) } grep { $_->[0] eq '202' } @orders;
    is(join(' ', map { "$_->{batchJobId}: $_->{batchStatus}" } grep { ($_->{batchStatus} // '') ne 'COMPLETED' } @jobs), '', '... and no job was lost');
    is(join(' ', map { $_->{batchJobId} } grep { $_->{progress}{written} != $OBSERVATIONS + 1 } @jobs), '', '... each wrote what it had to');
    return scalar @jobs;
}

sub test_rotation {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => ['source']);
    $x->reset_target;
    my ($old, $new) = (P2P::Httpd::read_file($x->{httpd}{key_file}), P2P::Httpd::new_key());
    my ($old_id) = $old =~ /^p2p-key (\w+)/;
    my @tokens = ('SECRET-first-access', 'SECRET-first-refresh');
    $sandbox->add_grant('source', @tokens, 'm0');
    is($x->exchange('source', 'm0', 'first', token => \@tokens)->{batchStatus}, 'COMPLETED', 'a member is bound');

    my $portal = start_portal($x);
    more_orders($x, $portal, 'before');
    use_keys($x, $portal, 'the new key behind the old one', $old, $new);
    use_keys($x, $portal, 'the new key first', $new, $old);
    is((run_reseal($x, 'check'))[0], 75, 'the old key is needed still');
    kill_reseal($x);
    my ($code, $text) = run_reseal($x, 'check');
    is($code, 75, 'a part is left') or diag $text;
    ok_reseal($x);
    use_keys($x, $portal, 'the old key is gone', $new);
    P2P::Httpd::write_file($portal->{stop}, '');
    waitpid $portal->{pid}, 0;
    my $jobs = ok_jobs($x, $portal);

    my $dump = $x->target_dump;
    my %there;
    $there{$_}++ for map { m{^(\w+)/} } keys %$dump;
    is($there{Observation}, $OBSERVATIONS * ($jobs + 1), 'the target has each resource once');
    is($there{Task}, $jobs + 1, '... and a Task of each job');
    my $bound = $x->order('source', 'm0', 'another');
    is($bound->{status}, 409, 'the member stays bound');
    is($bound->{json}{code}, 'bound-to-another', '... to its target patient');
    my $spent = $x->order('source', 'm0', 'first', token => \@tokens);
    is($spent->{json}{code}, 'grant-ended', 'a refresh token from before leads to its grant');
    is($x->exchange('source', 'm0', 'first')->{batchStatus}, 'COMPLETED', '... and with new tokens the member is exchanged again');
    is(index($x->stored, "v1.$old_id."), -1, 'nothing in the database is of the old key') if $db->{server};
    is((run_reseal($x, 'check'))[0], 0, '... as it says itself');
    unlike($x->{httpd}->log_text, qr/key-missing|cannot-open/, 'nobody missed a key');
    $x->stop;
    return;
}

each_database('rotation', \&test_rotation);
done_testing;
