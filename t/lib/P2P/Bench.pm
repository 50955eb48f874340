# SPDX-License-Identifier: Apache-2.0
# What the parts of the benchmark share: records, orders, runners that are started by hand, figures.
package P2P::Bench;
use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Api;
use P2P::Httpd;
use P2P::Sandbox;
use POSIX ();
our @EXPORT = qw(note_line read_json bench_dir make_record definition runner_spec start_runner run_runner wait_runners order_exchange finished_job
    job_seconds median spread figure as_user wait_program);

my $HERE  = abs_path(dirname(__FILE__) . '/../../bench');
my $OUT;

sub note_line { print STDERR "# @_\n"; return }

sub read_json { return decode_json(P2P::Httpd::read_file($_[0])) }

# One figure, a line of its own.
sub figure { my ($name, $value, $unit) = @_; printf "%s %.2f %s\n", $name, $value, $unit; return }

sub median { my @sorted = sort { $a <=> $b } @_; return @sorted % 2 ? $sorted[@sorted / 2] : ($sorted[@sorted / 2 - 1] + $sorted[@sorted / 2]) / 2 }

# Half of what lies between the smallest and the largest, as a part of the median.
sub spread { my @sorted = sort { $a <=> $b } @_; return ($sorted[-1] - $sorted[0]) / 2 / (median(@sorted) || 1) }

# A folder of this run's own, which goes with it; what runners write goes to its folder out.
sub bench_dir {
    my $dir = tempdir('p2p-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $dir;
    $OUT = "$dir/out";
    mkdir $_ for $OUT, "$dir/db";
    chown +(getpwnam P2P::Httpd::user())[2, 3], $OUT if $> == 0;
    return $dir;
}

# Starts a program as the user that httpd's children are; its output goes to a file. Returns its pid.
sub as_user {
    my ($output, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDOUT, '>', $output or POSIX::_exit(71);
        open STDERR, '>&', \*STDOUT;
        become_user() if $> == 0;
        exec @command or POSIX::_exit(70);
    }
    return $pid;
}

sub become_user {
    my ($uid, $gid) = (getpwnam P2P::Httpd::user())[2, 3];
    $) = "$gid $gid";
    POSIX::setgid($gid) && POSIX::setuid($uid) or POSIX::_exit(71);
    return;
}

# Waits for the end of such a program and dies where it failed.
sub wait_program {
    my ($pid, $output, $name) = @_;
    waitpid $pid, 0;
    die "$name failed:\n" . P2P::Httpd::read_file($output) if $?;
    return;
}

# Records as a file: of each member (count, id, count, id ...) so many resources.
sub make_record {
    my ($dir, @members) = @_;
    my $file = "$dir/record-$members[0]-$members[1].ndjson";
    system("'$HERE/generate' @members > '$file'") == 0 or die "the record could not be made\n";
    return $file;
}

sub definition {
    my ($sandbox, $name) = @_;
    return { name => $name, issuer => $sandbox->origin($name), clientId => 'bench', responseType => 'code',
        fhirEndpoint => $sandbox->url($name), tokenEndpoint => $sandbox->token_url($name) };
}

# httpd's specification with some numbers changed, as a file.
sub runner_spec {
    my ($httpd, $name, %change) = @_;
    my $spec = read_json($httpd->spec_file);
    for my $member (keys %change) {
        die "a specification has no $member\n" if !exists $spec->{$member};
        $spec->{$member} = 0 + $change{$member};
    }
    my $file = P2P::Httpd::write_file("$OUT/$name.json", JSON::PP->new->utf8->encode($spec), 0600);
    chown +(getpwnam P2P::Httpd::user())[2, 3], $file if $> == 0;
    return $file;
}

# A runner that works until the queue is empty: { pid, used, log }.
sub start_runner {
    my ($spec, $number) = @_;
    my $self = { used => "$OUT/used-$number.json", log => "$OUT/runner-$number.log" };
    $self->{pid} = as_user($self->{log}, P2P::Httpd::builddir() . '/t/bench/measure', $self->{used}, P2P::Httpd::runner(), 'once', '--spec', $spec);
    return $self;
}

# Waits for them; returns what each used: { cpu, user, peak_kb }.
sub wait_runners {
    my (@runners) = @_;
    wait_program($_->{pid}, $_->{log}, 'p2p-runner') for @runners;
    return map { { %{ read_json($_->{used}) }, log => $_->{log} } } @runners;
}

sub run_runner { my ($spec) = @_; return (wait_runners(start_runner($spec, 0)))[0] }

# Orders the exchange of a member; returns the job's path.
sub order_exchange {
    my ($api, $definition, $member, $token) = @_;
    my $answer = $api->post("/api/oidc_servers/$definition/batch_job", {
        sourcePayer => { oidcToken => $token, patientId => $member },
        targetPayer => { patientId => "$member-here", organizationId => 'bench' },
    });
    die "the order was answered with $answer->{status}: $answer->{content}\n" if $answer->{status} != 202;
    return "/api/oidc_servers/$definition/batch_job/$answer->{json}{batchJobId}";
}

# The job, which must have written all of at least so many resources.
sub finished_job {
    my ($api, $path, $count, $log) = @_;
    my $job = $api->get($path)->{json};
    die 'the exchange did not complete: ' . encode_json($job) . "\n" . P2P::Httpd::read_file($log // '')
        if $job->{batchStatus} ne 'COMPLETED' || $job->{progress}{written} != $job->{progress}{retrieved} || $job->{progress}{written} < $count * 0.99;
    return $job;
}

sub seconds_of_day { my ($time) = @_; $time =~ /T(\d+):(\d+):([\d.]+)Z/ or die "no time: $time\n"; return $1 * 3600 + $2 * 60 + $3 }

# From the first of these jobs' beginning to the last one's end.
sub job_seconds {
    my (@jobs) = @_;
    my ($first) = sort { $a <=> $b } map { seconds_of_day($_->{startTime}) } @jobs;
    my ($last) = sort { $b <=> $a } map { seconds_of_day($_->{endTime}) } @jobs;
    return $last < $first ? $last - $first + 86400 : $last - $first;
}

1;
