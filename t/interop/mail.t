#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A real HAPI FHIR server with rest-hooks as the target of three hosts on one PostgreSQL, and a real mail server with TLS and AUTH: however often and on however
# many hosts we start there is one Subscription; the guide's Add Payer Task brings mail to administrators and the member, and so does each status of it; an
# exchange brings its Task to its end, and mail.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP;
use P2P::AddPayer;
use P2P::Api;
use P2P::Databases;
use P2P::Exchange;
use P2P::Hapi;
use P2P::Httpd;
use P2P::Notify;
use P2P::Smtpd;
use Test::More;
use Time::HiRes qw(sleep time);

local $SIG{INT}  = sub { exit 1 };
local $SIG{TERM} = sub { exit 1 };

my $PATIENCE = 180;
my $dir = tempdir('p2p-mail-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $hapi = eval {
    P2P::Hapi::build();
    my $server = P2P::Hapi->new(dir => $dir, name => 'target', resthooks => 1);
    P2P::Hapi::start_all($server);
    $server;
};
if (!$hapi) {
    fail('a HAPI FHIR server runs');
    diag $@;
    done_testing;
    exit 1;
}
my @RECORD = map { ('{"resourceType":"Patient","id":"m' . $_ . '"}', qq({"resourceType":"Observation","id":"o$_","status":"final","code":{"text":"c"},"subject":{"reference":"Patient/m$_"}})) } 1, 2;
my $sandbox = P2P::Exchange::sandbox({ name => 'source' });
$sandbox->load('source', join '', map { "$_\n" } @RECORD);
$sandbox->faults('source', { do => 'status', match => 'GET /fhir/Patient/m2', status => 403, count => 0 });
my $smtpd = P2P::Smtpd->start;
my @ADMINS = map { "$_\@payer.example" } qw(first second);

# What P2P::Notify asks of a sandbox.
package Target;
sub new { my ($class, $hapi) = @_; return bless { hapi => $hapi }, $class }
sub url { return $_[0]{hapi}->url }
sub plain { return $_[0]{hapi}->url =~ s{/fhir$}{}r }
sub deliveries { return { waiting => 0, log => [], lost => 0 } }

package main;

# ---- Three hosts ----

my $db = P2P::Databases::postgresql();
my $key = P2P::Httpd::new_key();
my @hosts;
for my $n (0 .. 2) {
    my %hook = $n ? (directives => { P2PHookURL => $hosts[0]->url . '/hooks/task' }) : ();
    push @hosts, P2P::Httpd->new(db => {%$db}, target => $hapi->url, key => $key, hook => 1,
        directives => { P2PRunners => 1, $smtpd->directives(P2PMailFrom => 'p2p@payer.example', P2PMailAdmins => "@ADMINS"), %{ $hook{directives} // {} } });
}
$hosts[0]->prepare([{ name => 'Source Payer', issuer => P2P::Exchange::issuer('source'), clientId => 'portal', clientSecret => 'SECRET-client-source', responseType => 'code',
    scopes => 'patient/*.read', organizationId => 'SP-1', fhirEndpoint => $sandbox->url('source'), tokenEndpoint => $sandbox->token_url('source') }]);
my $notify = bless { name => 'hapi', from => 'p2p@payer.example', db => $db, smtpd => $smtpd, sandbox => Target->new($hapi), told => [], admins => ['first', 'second'],
    http => HTTP::Tiny->new(timeout => 60, keep_alive => 0), x => { httpd => $hosts[0] } }, 'P2P::Notify';

sub subscriptions {
    my $bundle = decode_json($hapi->call('GET', 'Subscription?_count=100'));
    return map { $_->{resource} } @{ $bundle->{entry} // [] };
}

sub ok_subscription {
    my ($name) = @_;
    my $active = $hosts[0]->wait_for(sub { my ($one) = grep { $_->{status} eq 'active' } subscriptions(); return $one }, $PATIENCE);
    ok($active, "$name: an active Subscription") or diag $hosts[0]->log_text;
    my @all = subscriptions();
    is(scalar @all, 1, '... and no other') or diag explain \@all;
    return $active // {};
}

$_->launch for @hosts;
$_->await for @hosts;
my $subscription = ok_subscription('three hosts that start at once');
is($subscription->{channel}{endpoint}, $hosts[0]->url . '/hooks/task', 'it delivers to the hook');
is(join("\n", $hapi->invalid(JSON::PP->new->utf8->encode($subscription))), '', 'HAPI finds no error in it');
for my $n (1 .. 10) {
    my $host = $hosts[ $n % 3 ];
    if ($n % 2) {
        my $before = () = $host->log_text =~ /p2p-runner 0 started/g;
        $host->graceful;
        ok($host->wait_for(sub { my $now = () = $host->log_text =~ /p2p-runner 0 started/g; return $now > $before }), "restart $n, graceful");
    } else {
        $host->stop;
        $host->start;
    }
}
$notify->wait_ready;
my $searched = $notify->searched;
is(ok_subscription('ten restarts')->{id}, $subscription->{id}, '... the same one');

# ---- A request ----

$hapi->call('PUT', 'Patient/member', { resourceType => 'Patient', id => 'member', active => JSON::PP::true });
$hapi->call('PUT', 'Organization/our-organization', { resourceType => 'Organization', id => 'our-organization', name => 'Target Payer' });
my $sample = P2P::AddPayer::sample(patient => 'member', organization => 'our-organization', payer => 'source payer', email => 'evelyn@member.example');
is(join("\n", $hapi->invalid($sample)), '', 'the sample is a Task as HAPI wants it');

# The time that the first of our mails took since HAPI delivered the Task, as the hook's log has it; told, not judged: HAPI's own tick is 5 s.
my $begin = time;
my $task = $notify->post($sample);
$notify->ok_told('a request', (map { "add-payer-administrator $_" } @ADMINS), 'add-payer-member evelyn@member.example');
diag sprintf 'three mails %.1f s after the Task was posted', (sort map { $_->{time} } $notify->mails)[-1] - $begin;
for my $status (qw(accepted in-progress on-hold)) {
    $notify->set_status($task, $status);
    $notify->ok_told($status, 'add-payer-status-member evelyn@member.example');
}

# ---- Exchanges ----

my $api = P2P::Api->new($hosts[1]->url);
my ($pid) = map { $_->{pid} } @{ $api->get('/api/oidc_servers')->{json}{servers} };

sub exchange {
    my ($patient) = @_;
    $sandbox->add_grant('source', "SECRET-$patient", "SECRET-refresh-$patient", $patient);
    my $answer = $api->post("/api/oidc_servers/$pid/batch_job", { sourcePayer => { oidcToken => "SECRET-$patient", patientId => $patient },
        targetPayer => { patientId => 'member', organizationId => 'our-organization' } });
    is($answer->{status}, 202, 'an exchange is ordered') or diag $answer->{content};
    my $path = "/api/oidc_servers/$pid/batch_job/" . ($answer->{json}{batchJobId} // 0);
    return $hosts[1]->wait_for(sub { my $job = $api->get($path)->{json}; return ($job->{batchStatus} // '') =~ /^(?:COMPLETED|FAILED)$/ && $job }, $PATIENCE) // {};
}

sub ok_task {
    my ($job, $status) = @_;
    my ($id) = ($job->{taskId} // '') =~ m{([^/]+)$};
    my $text = $hapi->call('GET', "Task/$id");
    my $doc = decode_json($text);
    is($doc->{status}, $status, "its Task is $status");
    is($doc->{basedOn}[0]{reference}, "Task/$task", '... and based on the request');
    is(join("\n", $hapi->invalid($text)), '', '... and as HAPI wants it');
    return;
}

$hapi->add_profiles;
my $job = exchange('m1');
is($job->{batchStatus}, 'COMPLETED', 'it completes') or diag explain $job;
ok_task($job, 'completed');
$notify->ok_told('an exchange', 'exchange-completed-member evelyn@member.example');
$job = exchange('m2');
is($job->{batchStatus}, 'FAILED', 'another fails') or diag explain $job;
ok_task($job, 'failed');
# The fifth mail of the day was the last to this member.
$notify->ok_told('one that fails', map { "exchange-failed-administrator $_" } @ADMINS);

my @mails = $notify->mails;
is(scalar(grep { !$_->{tls} || ($_->{user} // '') ne 'p2p' } @mails), 0, 'all mail came over TLS, from who has signed in');
is(scalar(grep { /\@member\.example|SECRET/ } map { split /\n/, $_->log_text } @hosts), 0, 'no address and no secret is in a log');
ok_subscription('in the end');
$_->stop for @hosts;
$hapi->stop;
$smtpd->stop;
done_testing;
