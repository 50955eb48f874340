#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# One active Subscription at the target, however often and wherever runners start; it is switched on again, kept up to date, and done without.
# Fault ids: subscription-off, subscription-refused, subscription-login, search-refused.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use HTTP::Tiny;
use JSON::PP;
use P2P::Databases;
use P2P::Httpd;
use P2P::Sandbox;
use Test::More;
use Time::HiRes qw(sleep time);

my $HOOK = 'http://127.0.0.1:9/hooks/task';    # nobody listens: deliveries are no part of this
my $CODES = 'http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes';
my $KEY = P2P::Httpd::new_key();
my $json = JSON::PP->new->canonical;
my @quiet = ('SandboxDeliveryTries 1', 'SandboxActivate 0');
my $sandbox = P2P::Sandbox->start(payers => [
    { name => 'target', directives => [@quiet] },
    { name => 'assigns', directives => [@quiet, 'SandboxClientIds refuse'] },
    { name => 'refuses', directives => [@quiet, 'SandboxRefuseSubscriptions 405'] },
]);

sub httpd {
    my ($db, $payer, %directives) = @_;
    $sandbox->reset($payer);
    $sandbox->clear_requests($payer);
    return P2P::Httpd->new(db => $db, key => $KEY, target => $sandbox->url($payer), directives => { P2PHookURL => $HOOK, %directives })->prepare;
}

# What was asked of Subscriptions, other than read: "PUT POST".
sub writes { my ($payer) = @_; return join ' ', map { $_->{method} } grep { $_->{method} ne 'GET' && $_->{url} =~ /Subscription/ } @{ $sandbox->requests($payer)->{log} } }
sub there { my ($payer) = @_; return join ' ', map { $_->{status} } @{ $sandbox->subscriptions($payer) } }
sub secret { my ($payer) = @_; my ($text) = map { $_->{text} } grep { !$_->{deleted} } values %{ $sandbox->dump($payer, type => 'Subscription') }; return ($text =~ /Bearer ([\w-]+)/)[0] }
sub status { my ($httpd) = @_; return $json->decode($httpd->run_command('status'))->{tasks} }

# One runner that looks at everything and ends; all is due.
sub once { my ($httpd) = @_; run_sql($httpd->{db}, 'UPDATE p2p_subscription SET due = 0; UPDATE p2p_task_watch SET due = 0;'); return $httpd->run_command('once') }

sub post_task {
    my ($payer, $id, $status) = @_;
    my $coding = { coding => [{ system => $CODES, code => 'p2p-request-add-provider-id' }] };
    my $task = { resourceType => 'Task', id => $id, status => $status, intent => 'original-order', code => $coding };
    my $answer = HTTP::Tiny->new->put($sandbox->url($payer) . "/Task/$id", { headers => { 'Content-Type' => 'application/fhir+json' }, content => $json->encode($task) });
    die "$answer->{status}: $answer->{content}" if !$answer->{success};
    return;
}

sub events { my ($db) = @_; return join ', ', split /\n/, run_sql($db, 'SELECT subject, status FROM p2p_task_event ORDER BY subject, status') }

each_database 'one Subscription' => sub {
    my ($db) = @_;
    my $httpd = httpd($db, 'target', P2PRunners => 1);
    $sandbox->set('target', activate => 100);
    $httpd->start;
    ok($httpd->wait_for(sub { status($httpd)->{way} eq 'subscription' }), 'the runner makes it, and waits until it is active');
    is(there('target'), 'active', '... at the target');
    $sandbox->set('target', activate => 0);
    my ($one) = @{ $sandbox->subscriptions('target') };
    like($one->{id}, qr/^p2p-task-[a-z2-7]{26}$/, 'its id is derived');
    is($one->{endpoint}, $HOOK, 'endpoint');
    like($one->{criteria}, qr/^Task\?code=\Q$CODES\E\|p2p-request-add-provider-id$/, 'criteria');
    like(secret('target'), qr/^[\w-]{43}$/, 'the secret');
    unlike(run_sql($db, 'SELECT * FROM p2p_subscription'), qr/\Q@{[secret('target')]}\E/, '... is sealed');
    for my $n (1 .. 3) {
        $sandbox->clear_requests('target');
        $httpd->graceful;
        ok($httpd->wait_for(sub { grep { $_->{method} eq 'GET' && $_->{url} =~ /Subscription\?/ } @{ $sandbox->requests('target')->{log} } }), "restart $n: it is looked at");
        is(writes('target'), '', '... and left alone');
    }
    $httpd->stop;
    once($httpd) for 1 .. 7;
    is(writes('target'), '', 'ten restarts later nothing was written');
    is(there('target'), 'active', 'there is one');

    # subscription-off
    for my $word (qw(off error)) {
        $sandbox->subscriptions('target', $word);
        like(once($httpd), qr/it was found to be $word, and is switched on again/, "$word: said");
        is(there('target'), 'active', '... and switched on');
        is(status($httpd)->{subscription}{fault}, undef, '... nothing is wrong any more');
    }

    my $before = secret('target');
    like($httpd->run_command('hook rotate'), qr/new secret/, 'rotated');
    $httpd->run_command('once');
    isnt(secret('target'), $before, 'the target is told the new secret');
    is(there('target'), 'active', 'and is active again');
    is(run_sql($db, q{SELECT action || ' ' || object || ' ' || address FROM p2p_audit}), 'rotate hook local', 'the audit has it');

    my $changed = P2P::Httpd->new(db => $db, key => $KEY, target => $sandbox->url('target'),
        directives => { P2PHookURL => $HOOK, P2PSubscriptionPayload => 'none', P2PSubscriptionHeader => '"X-Route: p2p"' });
    $sandbox->clear_requests('target');
    once($changed) for 1 .. 2;
    is(writes('target'), 'PUT', 'another configuration is brought there, once');
    is($sandbox->subscriptions('target')->[0]{payload} // '', '', 'no payload any more');

    # subscription-login
    $sandbox->faults('target', { do => 'status', match => '* Subscription', status => 401, count => 0 });
    like(once($changed), qr/is answered 401: what P2PTargetAuth names/, 'a login that is refused is said');
    like(status($changed)->{subscription}{fault}, qr/P2PTargetAuth/, '... where the administrator looks');
    $sandbox->faults('target', []);
    once($changed);
    is(status($changed)->{subscription}{fault}, undef, '... until it is mended');
};

each_database 'a target that assigns ids' => sub {
    my ($db) = @_;
    for my $mode (qw(derive conditional)) {
        my $httpd = httpd($db, 'assigns', P2PResourceIds => $mode);
        once($httpd) for 1 .. 2;
        is(there('assigns'), 'active', "$mode: one, active");
        like(writes('assigns'), qr/^(?:PUT )?POST$/, '... made once');
        run_sql($db, q{UPDATE p2p_subscription SET id = '';});
        once($httpd);
        is(there('assigns'), 'active', '... and found again where its id is lost');
        like(writes('assigns'), qr/^(?:PUT )?POST(?: PUT)?$/, '... without another one');
        run_sql($db, 'DELETE FROM p2p_subscription;');
    }
};

# Three at the same moment, and one database: they are three hosts to it.
subtest 'three hosts' => sub {
    my $db = P2P::Databases::postgresql();
    for my $mode (qw(derive conditional)) {
        my $payer = $mode eq 'derive' ? 'target' : 'assigns';
        my $first = httpd($db, $payer, P2PResourceIds => $mode);
        my $spec = $first->spec_file;
        $first->give_database;
        my @running = map { open my $out, '-|', P2P::Httpd::runner(), 'once', '--spec', $spec or die "$!"; $out } 1 .. 3;
        for my $out (@running) { my @lines = <$out>; ok(close $out, "$mode: a runner ends well") or diag @lines }
        once($first);
        is(there($payer), 'active', "$mode: one Subscription, active");
        run_sql($db, 'DELETE FROM p2p_subscription;');
    }
};

# A second one that we made, from a database that is gone, say.
subtest 'a second one' => sub {
    my $db = P2P::Databases::sqlite();
    my $httpd = httpd($db, 'target');
    my $twin = { resourceType => 'Subscription', id => 'twin', status => 'requested', reason => 'Payer-to-payer: mail on Task events', criteria => 'Task?',
        channel => { type => 'rest-hook', endpoint => $HOOK } };
    HTTP::Tiny->new->put($sandbox->url('target') . '/Subscription/twin', { headers => { 'Content-Type' => 'application/fhir+json' }, content => $json->encode($twin) });
    once($httpd);
    is(there('target'), 'active', 'is removed');
    like($sandbox->subscriptions('target')->[0]{id}, qr/^p2p-task-/, 'ours stays');
};

# subscription-refused
each_database 'a target without Subscriptions' => sub {
    my ($db) = @_;
    my $httpd = httpd($db, 'refuses');
    post_task('refuses', 'old', 'requested');
    like($httpd->run_command('once'), qr/Subscription is answered 405/, 'said');
    unlike(once($httpd), qr/Subscription/, '... once');
    my $status = status($httpd);
    is($status->{way}, 'polling', 'status says that Tasks are searched for');
    is($status->{why}, 'The target takes no Subscription.', '... and why');
    like($status->{subscription}{fault}, qr/tried again every hour/, '... and when it is tried again');
    is(events($db), 'Task/old|requested', 'what was there is known');
    post_task('refuses', 'new', 'requested');
    post_task('refuses', 'old', 'accepted');
    once($httpd);
    is(events($db), 'Task/new|requested, Task/old|accepted, Task/old|requested', 'what changes is found');
    once($httpd);
    is(scalar(split(/, /, events($db))), 3, 'once');

    # search-refused
    $sandbox->faults('refuses', { do => 'status', match => 'GET Task?', status => 503, count => 0 });
    like(once($httpd), qr/Tasks of the target are not all known: A search for Tasks is answered 503/, 'a search that fails is said');
    like(status($httpd)->{fault}, qr/503/, '... where the administrator looks');
    post_task('refuses', 'late', 'requested');
    $sandbox->faults('refuses', []);
    once($httpd);
    is(status($httpd)->{fault}, undef, '... until it is mended');
    like(events($db), qr{Task/late\|requested}, '... and nothing is lost');
};

subtest 'nobody to tell' => sub {
    my $db = P2P::Databases::sqlite();
    my $httpd = httpd($db, 'target', P2PHookURL => undef);
    $httpd->run_command('once');
    is_deeply($sandbox->requests('target')->{log}, [], 'without P2PHookURL and P2PMailServer nothing is asked of the target');
    is(status($httpd)->{way}, 'off', 'status says so');
    my $polling = httpd($db, 'target', P2PHookURL => undef, P2PMailServer => 'smtp://127.0.0.1:9', P2PMailFrom => 'p2p@example.org', P2PMailTemplates => abs_path("$FindBin::Bin/../../conf/mail"));
    post_task('target', 'one', 'requested');
    $polling->run_command('once');
    is(events($db), 'Task/one|requested', 'with P2PMailServer alone Tasks are searched for');
    is(status($polling)->{why}, 'There is no P2PHookURL.', 'status says why');
};

$sandbox->stop;
done_testing;
