# SPDX-License-Identifier: Apache-2.0
# Runs a flow of t/browser, pages in Debian's Chromium, and takes over its results. Everything but the pages stays on the test's side.
package P2P::Browser;
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempfile);
use IO::Select;
use JSON::PP;
use POSIX qw(WNOHANG setsid);
use Test::More;
use Time::HiRes qw(sleep time);

my $folder   = abs_path(dirname(__FILE__) . '/../..');
my $PATIENCE = $ENV{P2P_SANITIZED} ? 900 : 300;    # seconds until a flow that does not end is given up
my %running;                                       # pid => process that started it

# run('payers.js', { url => …, … }, answers => { name => sub { my ($argument) = @_; … } }, seconds => N): one subtest for each of the flow's. The settings go
# over standard input, since they may hold passwords. The flow's ask('name', argument) calls the function of that name here; its answer is anything
# that JSON has. A flow lies in t/browser, or (with a folder in its name) below t.
sub run {
    my ($flow, $settings, %opt) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $file = "$folder/" . ($flow =~ m{/} ? $flow : "browser/$flow");
    -e $file or die "there is no flow $file\n";
    -d "$folder/browser/node_modules/playwright-core" or die "t/browser has no node_modules: run npm ci there (./quickstart test does)\n";
    my $self = _start($file);
    _send($self, $settings);
    my $seconds = $opt{seconds} // $PATIENCE;
    $self->{end} = time + $seconds;
    my ($name, @lines, $planned);
    my $tests = 0;
    while (defined(my $line = _line($self))) {
        if    ($line =~ /^ASK (.*)/)                      { _answer($self, decode_json($1), $opt{answers} // {}) }
        elsif ($line =~ /^# Subtest: (.*)/)               { $name = $1; @lines = () }
        elsif ($line =~ s/^    //)                        { push @lines, $line }
        elsif ($line =~ /^(?:not )?ok \d+ - /)            { $tests++; _relay($name, \@lines, $line); undef $name }
        elsif ($line =~ /^1\.\.(\d+)$/)                   { $planned = $1 }
        elsif ($line =~ /^# (.*)/)                        { diag($1) }
        else                                              { diag($line) }
    }
    my $code = _stop($self);
    _relay($name, \@lines, 'not ok') if defined $name;
    my $said = P2P::Httpd::read_file($self->{log});
    ok($code == 0 && $tests > 0 && defined $planned && $planned == $tests, "$flow ran to its end")
        or diag($self->{late} ? "it was given up after $seconds seconds\n" : "exit $code, $tests tests\n", $said);
    unlink $self->{log};
    return;
}

# One of the flow's tests as ours.
sub _relay {
    my ($name, $lines, $verdict) = @_;
    $name =~ s/\\#/#/g;
    return subtest $name => sub {
        my ($good, $seen) = (1, 0);
        for my $line (@$lines) {
            if ($line =~ /^(not )?ok \d+ - (.*)/) { $seen++; $good &&= !$1; my $what = $2 =~ s/\\#/#/gr; ok(!$1, $what) }
            elsif ($line =~ /^# ?(.*)/)           { diag($1) }
        }
        ok(0, 'its results are whole') if !$seen || $good != ($verdict =~ /^ok/ ? 1 : 0);
        done_testing();
    };
}

sub _start {
    my ($file) = @_;
    require P2P::Httpd;
    (undef, my $log) = tempfile('p2p-flow-XXXXXX', TMPDIR => 1, OPEN => 0);
    pipe my $in, my $to or die "pipe: $!\n";
    pipe my $from, my $out or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setsid();
        open STDIN, '<&', $in;
        open STDOUT, '>&', $out;
        open STDERR, '>', $log;
        close $_ for $in, $to, $from, $out;
        exec 'node', $file or POSIX::_exit(127);
    }
    close $in;
    close $out;
    $to->autoflush(1);
    $running{$pid} = $$;
    return { pid => $pid, to => $to, from => $from, log => $log, left => '' };
}

sub _send {
    my ($self, $message) = @_;
    local $SIG{PIPE} = 'IGNORE';
    print { $self->{to} } JSON::PP->new->utf8->canonical->allow_nonref->encode($message), "\n";
    return;
}

# The next line; undef at the end, or where the time is over.
sub _line {
    my ($self) = @_;
    my $select = IO::Select->new($self->{from});
    while ($self->{left} !~ /\n/) {
        my $wait = $self->{end} - time;
        if ($wait <= 0 || !$select->can_read($wait)) {
            $self->{late} = 1;
            return;
        }
        sysread $self->{from}, $self->{left}, 65536, length $self->{left} or return;
    }
    $self->{left} =~ s/^(.*)\n// or return;
    my $line = $1;
    utf8::decode($line) if $line !~ /^ASK /;
    return $line;
}

sub _answer {
    my ($self, $asked, $answers) = @_;
    my $code = $answers->{ $asked->{name} };
    my $answer = eval { die "nobody answers\n" if !$code; scalar $code->($asked->{argument}) };
    my $problem = $@;
    return _send($self, $problem ? { problem => "$problem" } : { answer => $answer });
}

# Ends the flow, and the browser with it; its exit code.
sub _stop {
    my ($self) = @_;
    close $self->{to};
    my $code;
    kill 'TERM', $self->{pid} if $self->{late};
    for my $turn (1 .. 200) {
        $code = $? if waitpid($self->{pid}, WNOHANG) == $self->{pid};
        last if defined $code;
        sleep 0.05;
    }
    if (!defined $code) {
        kill 'KILL', -$self->{pid};
        waitpid $self->{pid}, 0;
        $code = $?;
    }
    delete $running{ $self->{pid} };
    return $code;
}

END {
    my $code = $?;
    kill 'TERM', -$_ for grep { $running{$_} == $$ } keys %running;
    $? = $code;
}

1;
