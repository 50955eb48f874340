#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# httpd's parent and its runners: how they are started, woken, started again and ended. A script stands for the runner.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::Api;
use P2P::Httpd;
use Test::More;
use Time::HiRes qw(time);

my $TICK = 15;    # httpd's parent looks after its children every ten seconds or so
my $dir = tempdir('p2p-supervise-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0777, $dir;
my @DEFINITIONS = ({ name => 'A', issuer => 'https://a.example', clientId => 'c', fhirEndpoint => 'https://a.example/fhir', responseType => 'code' });
my $member = 0;

# Writes down how it was started, then a line for each wake byte; does what $dir/do.SLOT says.
my $script = P2P::Httpd::write_file("$dir/runner", <<'RUNNER' =~ s/DIR/$dir/gr, 0755);
#!/usr/bin/perl
use strict; use warnings; use JSON::PP;
my @fds = map { m{(\d+)$} } glob '/proc/self/fd/*';
open my $spec_file, '<&=', 3 or exit 70;
my $spec = decode_json(do { local $/; <$spec_file> });
open my $pipe, '<&=', 4 or exit 70;
my $slot = $spec->{slot};
my $do = -e "DIR/do.$slot" ? do { open my $f, '<', "DIR/do.$slot"; <$f> } : '';
exit 1 if $do eq 'crash';
exit 78 if $do eq 'refuse';
local $SIG{TERM} = $do eq 'stubborn' ? 'IGNORE' : sub { exit 0 };
open my $status, '<', '/proc/self/status'; my %status = map { /^(\w+):\s+(.*)/ } <$status>;
open my $out, '>', "DIR/tmp.$$";
print {$out} encode_json({ pid => $$, argv => \@ARGV, fds => \@fds, spec => $spec, groups => $status{Groups}, uid => $<, euid => $>, blocked => $status{SigBlk}, environment => { %ENV } });
close $out; rename "DIR/tmp.$$", "DIR/slot.$slot";
vec(my $want = '', 4, 1) = 1;
while (1) {
    select my $ready = $want, undef, undef, 1 or next;
    next unless vec $ready, 4, 1;
    my $got = sysread $pipe, my $bytes, 64;
    next unless defined $got;
    exit 0 unless $got;
    open my $log, '>>', "DIR/wakes.$slot"; print {$log} $bytes;
}
RUNNER

sub slot {
    my ($number) = @_;
    return eval { decode_json(P2P::Httpd::read_file("$dir/slot.$number")) } // {};
}

sub alive { my ($pid) = @_; return $pid && kill(0, $pid) }
sub wakes { my ($number) = @_; return length P2P::Httpd::read_file("$dir/wakes.$number") }

# A runner in the slot that is not one of these processes.
sub wait_for_other {
    my ($httpd, $number, @old) = @_;
    my %old = map { $_ => 1 } @old;
    my $found = $httpd->wait_for(sub { my $pid = slot($number)->{pid}; return $pid && !$old{$pid} && alive($pid) ? $pid : 0 }, $TICK);
    ok($found, "a runner in slot $number");
    return slot($number);
}

sub enqueue {
    my ($api) = @_;
    $member++;
    my $order = { sourcePayer => { oidcToken => 'token', patientId => "s$member" }, targetPayer => { patientId => "t$member", organizationId => 'o' } };
    return $api->post('/api/oidc_servers/1/batch_job', $order)->{status};
}

sub ok_woken {
    my ($httpd, $api, $name) = @_;
    my @before = map { wakes($_) } 0, 1;
    is(enqueue($api), 202, "$name: a job is taken");
    ok($httpd->wait_for(sub { wakes($_[0] // 0) > $before[0] && wakes(1) > $before[1] }, 5), '... and wakes both runners');
    return;
}

sub test_start {
    my ($httpd) = @_;
    my @slots = map { wait_for_other($httpd, $_) } 0, 1;
    for my $number (0, 1) {
        my $slot = $slots[$number];
        is_deeply($slot->{argv}, ['run'], "slot $number: its arguments tell nothing");
        is_deeply([sort grep { $_ < 5 } @{ $slot->{fds} }], [0 .. 4], '... it has specification and wake pipe');
        cmp_ok(scalar(grep { $_ > 5 } @{ $slot->{fds} }), '<=', 1, '... and nothing else of httpd');
        is($slot->{spec}{slot}, $number, '... knows its slot');
        like($slot->{spec}{keys}[0], qr/^p2p-key/, '... has the keys');
        is($slot->{blocked}, '0000000000000000', '... blocks no signal');
        unlike(join("\0", %{ $slot->{environment} }), qr/p2p-key/, '... has no secret in its environment');
        next if $>;
        my ($uid, $gid) = (getpwnam P2P::Httpd::user())[2, 3];
        is_deeply([@$slot{qw(uid euid)}], [$uid, $uid], '... is not root');
        is($slot->{groups} =~ s/\s+$//r, $gid, "... and in no other user's group");
    }
    like($slots[0]{spec}{instance}, qr/^[0-9a-f-]{36}$/, 'httpd has an id of its own');
    is($slots[0]{spec}{instance}, $slots[1]{spec}{instance}, '... the same for all its runners');
    return @slots;
}

sub test_death {
    my ($httpd, $api, $first) = @_;
    kill 'KILL', $first->{pid};
    my $second = wait_for_other($httpd, 0, $first->{pid});
    is_deeply($second->{spec}, $first->{spec}, 'a killed runner is started again with the same specification');
    ok_woken($httpd, $api, 'after its death');
    like($httpd->log_text, qr/p2p-runner 0 ended \(status or signal 9\)/, 'the log tells');
    P2P::Httpd::write_file("$dir/do.1", 'refuse');
    my $other = slot(1)->{pid};
    kill 'TERM', $other;
    ok($httpd->wait_for(sub { $httpd->log_text =~ /p2p-runner 1 does not accept its configuration/ }, $TICK), 'one that exits with 78 stays down');
    sleep 11;
    is(() = $httpd->log_text =~ /p2p-runner 1 started/g, 2, '... it was tried once');
    ok(alive($second->{pid}), '... the other one works on');
    unlink "$dir/do.1";
    return $second;
}

sub test_graceful {
    my ($httpd, $api, @before) = @_;
    my $instance = $before[0]{spec}{instance};
    $httpd->graceful;
    my @after = map { wait_for_other($httpd, $_, map { $_->{pid} } @before) } 0, 1;
    is($after[0]{spec}{instance}, $instance, 'a graceful restart keeps the id of this httpd');
    ok(!alive($before[0]{pid}), '... the old runner is gone');
    ok_woken($httpd, $api, 'after a graceful restart');
    return @after;
}

my $db = tempdir('p2p-supervise-db-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $httpd = P2P::Httpd->new(db => { driver => 'sqlite3', params => "$db/p2p.db" },
    directives => { P2PRunner => $script, P2PRunners => 2 });
$httpd->expect_log(qr/p2p-runner \d ended \(status or signal 9\)/, qr/p2p-runner 1 does not accept its configuration/);
$httpd->prepare(\@DEFINITIONS)->start;
my $api = P2P::Api->new($httpd->url);
my @slots = test_start($httpd);
ok_woken($httpd, $api, 'running');
$slots[0] = test_death($httpd, $api, $slots[0]);
@slots = test_graceful($httpd, $api, @slots);
P2P::Httpd::write_file("$dir/do.0", 'stubborn');
@slots = test_graceful($httpd, $api, @slots);
my $took = $httpd->stop;
cmp_ok($took, '<', 6, 'httpd ends in time, with a runner that does not listen');
ok(!alive($_->{pid}), 'no runner is left') for @slots;

unlink "$dir/do.0";
$httpd->start;
@slots = map { wait_for_other($httpd, $_, map { $_->{pid} } @slots) } 0, 1;
rename $script, "$script.gone";
kill 'KILL', $slots[0]{pid};
ok($httpd->wait_for(sub { $httpd->log_text =~ /P2PRunner: \Q$script\E cannot be started/ }, $TICK), 'a program that is gone is named in the log');
$httpd->expect_log(qr/P2PRunner: .* cannot be started/, qr/p2p-runner 0 does not accept its configuration/);
cmp_ok($httpd->stop, '<', 2, 'httpd ends at once with runners that listen');
ok(!alive($_->{pid}), 'no runner is left') for @slots;
done_testing();
