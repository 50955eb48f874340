#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The console's exchanges in a browser: the list and its filters, one exchange as a picture while it runs, what it waits for, stopping it, beginning it again,
# and what the target refused, in its own words.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Browser;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use Test::More;

my $PATIENT = 'the-member-of-the-source';
my $WORDS   = 'Value <b onclick="alert(1)">not</b> in the value set';
my $dir = tempdir('p2p-exchanges-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $file = write_data("$dir/member.ndjson", tangled_member(40, 5, $PATIENT)->{lines});
my $sandbox = P2P::Exchange::sandbox((map { { name => $_, data => [$file], directives => ['SandboxPageSize 10'] } } qw(slow plain)), { name => 'target', role => 'target' });
my $x = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['slow', 'plain'], directives => { P2PRetryFor => 3600 },
    httpd => { users => { admin => 'opens-it-all' } }, login => ['admin', 'opens-it-all']);
$x->{httpd}->expect_log(qr/AH01617|AH01618/);
my %path;

sub order {
    my ($source) = @_;
    $x->reset_target;
    my $answer = $x->order($source, $PATIENT, 'target-patient');
    die "$answer->{status} $answer->{content}\n" if $answer->{status} != 202;
    $path{ $answer->{json}{batchJobId} } = $answer->{path};
    return $answer->{json}{batchJobId};
}

# Jobs that have ended, of another target: nobody works on them.
sub add_jobs {
    my ($first, $count, $kind, $status) = @_;
    my @rows = map { "($_, 'uuid-$_', '$kind', 'https://other.example/fhir', $x->{pid}{plain}, 'somebody', '$status', 1, 1, 1700000000000000, 1700000001000000, 1700000009000000, 1700000009000000)" } $first .. $first + $count - 1;
    run_sql($x->{db}, 'INSERT INTO p2p_job (id, uuid, kind, target, oidc_server_id, client, status, version, attempt, create_time, start_time, end_time, last_updated) VALUES ' . join(', ', @rows));
    return $count;
}

P2P::Browser::run('exchanges.js', { url => $x->{httpd}->url . '/', user => { username => 'admin', password => 'opens-it-all' }, words => $WORDS, pid => $x->{pid} }, answers => {
    order => sub { return order($_[0]) },
    wait => sub { return $x->wait($path{ $_[0] })->{batchStatus} },
    faults => sub { my ($of) = @_; $sandbox->faults($_, $of->{$_}) for keys %$of; return 1 },
    refuse => sub { $sandbox->faults('target', { do => 'reject', contains => $_[0], text => $WORDS }); return 1 },
    restart => sub { return $x->{api}->post("/admin/batch_jobs/$_[0]/restart")->{status} + 0 },
    add => sub { return add_jobs(@{ $_[0] }) },
});
$x->stop;
done_testing;
