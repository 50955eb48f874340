#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# GET /admin/overview: sums of hours and peers, what waits, who works, and what needs a person; who may read it, and its ETag.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Source;
use Test::More;
use Time::HiRes qw(sleep time);

my %PASSWORD = (portal => 'opens-the-portal', admin => 'opens-it-all');
my $AT = '/admin/overview';
my $TARGET = 'https://target.example/fhir';
my $HOUR = 3_600_000_000;
my $WHEN = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

sub now { return int(time * 1e6) }
sub answers { my ($answer, $status, $name) = @_; is($answer->{status}, $status, $name) or diag $answer->{content}; return $answer }

# What is told may be a second old: asked for until it is as it should be, and then for what it is.
sub overview {
    my ($admin, $is) = @_;
    my ($end, $json) = (time + 30);
    do {
        sleep 0.2 if $json;
        $json = answers($admin->get($AT), 200, 'it is read')->{json};
    } until !$is || $is->($json) || time > $end;
    return $json;
}

sub definition {
    my ($admin, $name) = @_;
    my $host = lc($name =~ s/\W//gr);
    my $answer = $admin->post('/admin/oidc_servers', { name => $name, issuer => "https://$host.example", clientId => 'c', scopes => 'openid',
        fhirEndpoint => "https://$host.example/fhir", tokenEndpoint => "https://$host.example/token", responseType => 'code', organizationId => 'x' });
    return answers($answer, 201, "a definition: $name")->{json}{pid};
}

# A job's row as a runner leaves it.
sub job {
    my ($db, $id, $payer, %more) = @_;
    my %row = (id => $id, uuid => "'uuid-$id'", version => 1, kind => "'p2p-exchange'", target => "'$TARGET'", oidc_server_id => $payer, status => "'STARTING'",
        attempt => 1, create_time => now(), last_updated => now(), %more);
    my @names = sort keys %row;
    run_sql($db, sprintf 'INSERT INTO p2p_job (%s) VALUES (%s)', join(', ', @names), join ', ', @row{@names});
    return;
}

sub stat_row {
    my ($db, $hour, $runner, $peer, @sums) = @_;
    run_sql($db, "INSERT INTO p2p_stat (target, hour, runner, peer, completed, failed, stopped, resources, bytes, errors) VALUES ('$TARGET', $hour, '$runner', '$peer', "
        . join(', ', @sums) . ')');
    return;
}

sub sums { my ($row) = @_; return join ' ', map { $row->{$_} } qw(completed failed stopped resources bytes errors) }
sub of_kind { my ($json, $kind) = @_; return grep { $_->{kind} eq $kind } @{ $json->{attention} } }

sub test_empty {
    my ($admin) = @_;
    my $json = overview($admin);
    is_deeply([sort keys %$json], [qw(attention hours peers queue runners time)], 'all members');
    like($json->{time}, $WHEN, 'when it was read');
    is(scalar @{ $json->{hours} }, 48, '48 hours');
    is(join(' ', map { sums($_) } @{ $json->{hours} }), join(' ', ('0 0 0 0 0 0') x 48), '... in which nothing was done');
    my @hours = map { $_->{hour} } @{ $json->{hours} };
    is_deeply(\@hours, [sort @hours], '... the oldest first');
    is(scalar(grep { /:00:00\.000Z$/ } @hours), 48, '... each an hour');
    cmp_ok($hours[-1], 'le', $json->{time}, '... that which has begun last');
    is_deeply($json->{queue}, { waiting => 0, more => JSON::PP::false, running => 0, resting => 0, oldest => undef }, 'nothing waits');
    is_deeply([@$json{qw(peers runners)}], [[], []], 'no peers, no runners');
    my ($none, @more) = @{ $json->{attention} };
    is($none->{kind}, 'no-runner', 'that no runner is alive needs a person');
    like($none->{sentence}, qr/No runner is alive.*error log/, '... with what to do');
    is_deeply([@more], [], '... and nothing else does');
    return;
}

sub test_sums {
    my ($db, $admin) = @_;
    my ($first, $second) = map { definition($admin, $_) } 'Payer A', 'Payer <B>';
    my $this = int(now() / $HOUR) * $HOUR;
    stat_row($db, $this, 'one/0', "oidc_server/$first", 1, 2, 3, 40, 500, 6);
    stat_row($db, $this, 'two/0', "oidc_server/$first", 10, 20, 30, 400, 5000, 60);
    stat_row($db, $this - 5 * $HOUR, 'one/0', "oidc_server/$second", 0, 0, 0, 9_007_199_254, 7, 100);
    stat_row($db, $this - 5 * $HOUR, 'one/0', 'target', 0, 0, 0, 0, 0, 3);
    stat_row($db, $this - 24 * $HOUR, 'one/0', 'oidc_server/999', 1, 0, 0, 1, 1, 0);
    stat_row($db, $this - 30 * $HOUR, 'one/0', "oidc_server/$first", 7, 0, 0, 0, 0, 0);
    stat_row($db, $this - 60 * $HOUR, 'one/0', "oidc_server/$first", 1000, 0, 0, 0, 0, 0);
    my $json = overview($admin, sub { @{ $_[0]{peers} } == 4 });
    my %sums = map { ($_->{hour} => sums($_)) } @{ $json->{hours} };
    is_deeply([map { "$_" } grep { $_ ne '0 0 0 0 0 0' } map { $sums{$_} } sort keys %sums], ['7 0 0 0 0 0', '1 0 0 1 1 0', '0 0 0 9007199254 7 103', '11 22 33 440 5500 66'],
        'an hour is the sum of all its rows, and what is older than 48 hours is none of them');
    is_deeply([map { [@$_{qw(peer pid name)}, sums($_)] } @{ $json->{peers} }],
        [["oidc_server/$second", $second, 'Payer <B>', '0 0 0 9007199254 7 100'], ["oidc_server/$first", $first, 'Payer A', '11 22 33 440 5500 66'],
         ['target', undef, undef, '0 0 0 0 0 3'], ['oidc_server/999', undef, undef, '1 0 0 1 1 0']], 'peers of the last day, most errors first; one is gone');
    return ($first, $second);
}

sub test_queue {
    my ($db, $admin, @payer) = @_;
    my $early = now() - 600_000_000;
    job($db, 100 + $_, $payer[$_ % 2], last_updated => $early + $_ * 1_000_000) for 1 .. 7;
    job($db, 200, $payer[0], kind => "'definition-test'", last_updated => $early - 1_000_000);    # no exchange
    job($db, 201, $payer[0], target => "'https://elsewhere.example'", last_updated => $early - 1_000_000);
    job($db, 300 + $_, $payer[0], status => "'STARTED'", lease_owner => "'o'") for 1 .. 3;
    job($db, 310 + $_, $payer[0], status => "'STARTED'", not_before => now() + 60_000_000) for 1 .. 2;
    run_sql($db, "INSERT INTO p2p_runner (owner, instance, slot, host, target, start_time, lease_until) VALUES " . join ', ',
        map { "('o$_', 'i', $_, '" . ($_ < 2 ? 'one' : 'two') . "', '$TARGET', " . ($early + $_ * 1000) . ', ' . (now() + 3_600_000_000) . ')' } 0 .. 2);
    run_sql($db, "INSERT INTO p2p_runner (owner, instance, slot, host, target, start_time, lease_until) VALUES ('gone', 'i', 9, 'three', '$TARGET', $early, $early)");
    my $json = overview($admin, sub { @{ $_[0]{runners} } });
    is_deeply([@{ $json->{queue} }{qw(waiting more running resting)}], [7, JSON::PP::false, 3, 2], 'what waits, is worked on, rests');
    my $oldest = answers($admin->get('/admin/batch_jobs/101'), 200, 'the oldest')->{json}{lastUpdated};
    is($json->{queue}{oldest}, $oldest, '... and since when');
    is_deeply([map { "$_->{host} $_->{slots}" } @{ $json->{runners} }], ['one 2', 'two 1'], 'runners alive, by host');
    like($_->{since}, $WHEN, '... since when') for @{ $json->{runners} };
    is_deeply([of_kind($json, 'no-runner')], [], 'that they are there needs nobody');
    my ($unserved) = of_kind($json, 'jobs-unserved');
    like($unserved->{sentence}, qr{https://elsewhere\.example.*no runner serves}, 'jobs for a target that nobody serves do');
    run_sql($db, "INSERT INTO p2p_job (id, uuid, kind, target, oidc_server_id, status, create_time, last_updated) "
        . "WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 2200) SELECT i, 'many-' || i, 'p2p-exchange', '$TARGET', $payer[1], 'STARTING', 1, 5000000000000000 FROM n");
    $json = overview($admin, sub { $_[0]{queue}{more} });
    is_deeply([@{ $json->{queue} }{qw(waiting more oldest)}], [1000, JSON::PP::true, $oldest], 'many are counted up to 1000');
    run_sql($db, "DELETE FROM p2p_job WHERE id BETWEEN 1000 AND 2200 OR id IN (200, 201)");
    return;
}

sub test_attention {
    my ($db, $admin, @payer) = @_;
    my $now = now();
    job($db, 400 + $_, $payer[1], status => "'FAILED'", end_time => $now - 3_600_000_000 + $_ * 1_000_000, error_code => "'target-refused'",
        error_sentence => "'The target refused it'") for 1 .. 8;
    job($db, 420, $payer[1], status => "'FAILED'", end_time => $now - 25 * $HOUR, error_code => "'target-refused'", error_sentence => "'Long ago.'");
    job($db, 421, $payer[1], status => "'COMPLETED'", end_time => $now);
    job($db, 422, $payer[1], status => "'FAILED'", kind => "'jwks-refresh'", end_time => $now, error_code => "'target-refused'", error_sentence => "'A chore.'");
    job($db, 430 + $_->[0], $payer[ $_->[1] ], kind => "'definition-test'", status => "'COMPLETED'", end_time => $now, result => "'{\"ok\":$_->[2],\"steps\":[]}'")
        for [1, 0, 'false'], [2, 0, 'true'], [3, 1, 'true'], [4, 1, 'false'];
    run_sql($db, "INSERT INTO p2p_outbox (id, target, role, state, fault, end_time) VALUES " . join ', ',
        map { "($_->[0], '$TARGET', '$_->[1]', '$_->[2]', 'Nobody of that name.', $_->[3])" } [1, 'member', 'undeliverable', $now - 1e12], [2, 'member', 'undeliverable', $now],
        [3, 'administrator', 'undeliverable', $now], [4, 'member', 'sent', $now]);
    run_sql($db, "INSERT INTO p2p_mail_hold (target, code, fault, since, until) VALUES ('$TARGET', 'mail-signin', 'The mail server refused to let us in.', $now, 1)");
    run_sql($db, "INSERT INTO p2p_subscription (target, endpoint, status, checked) VALUES ('$TARGET', 'https://p2p.example/hooks/task', 'refused', $now)");
    run_sql($db, "INSERT INTO p2p_task_watch (target, searched, fault) VALUES ('$TARGET', $now, 'The target answered 500.')");
    run_sql($db, "INSERT INTO p2p_jwks (issuer, fault) VALUES ('https://trusted.example', 'It answered 404.'), ('https://no-more.example', 'It answered 404, too.')");
    my $json = overview($admin, sub { of_kind($_[0], 'issuer') });
    is_deeply([map { $_->{kind} } @{ $json->{attention} }], ['mail-hold', 'subscription', 'task-search', 'issuer', ('exchange-failed') x 5, ('mail-undeliverable') x 2, 'definition-test'],
        'each kind, what stops everything first, and no more than some of each');
    is_deeply([map { $_->{object} } of_kind($json, 'exchange-failed')], [map { "batch_job/40$_" } reverse 4 .. 8], 'exchanges that failed, the last ones first');
    is((of_kind($json, 'exchange-failed'))[0]{sentence}, 'Exchange 408 with Payer <B> has failed: The target refused it. See its report, and restart it when the cause is mended.', '... in words');
    is_deeply([map { [@$_{qw(object)}, $_->{sentence} =~ /(administrator|member)/] } of_kind($json, 'mail-undeliverable')], [['mail/3', 'administrator'], ['mail/2', 'member']], 'mails that did not arrive');
    is((of_kind($json, 'definition-test'))[0]{object}, "oidc_server/$payer[1]", 'definitions whose last test did not go well');
    like((of_kind($json, 'issuer'))[0]{sentence}, qr{https://trusted\.example.*It answered 404\.$}, 'an issuer that is trusted, not another one');
    like((of_kind($json, 'mail-hold'))[0]{sentence}, qr/The mail server refused to let us in/, 'why no mail goes out');
    is(scalar(grep { $_->{sentence} !~ /\.\z/ || $_->{sentence} !~ /^[A-Z]/ } @{ $json->{attention} }), 0, 'all are sentences');
    is(scalar(grep { ($_->{time} // '') !~ $WHEN } grep { $_->{kind} !~ /^(?:no-runner|jobs-unserved|issuer)$/ } @{ $json->{attention} }), 0, '... with times');
    run_sql($db, "UPDATE p2p_job SET status = 'STARTING', end_time = 0 WHERE id = 408");
    $json = overview($admin, sub { (of_kind($_[0], 'exchange-failed'))[0]{object} ne 'batch_job/408' });
    is((of_kind($json, 'exchange-failed'))[0]{object}, 'batch_job/407', 'what was begun again needs nobody');
    return;
}

# What others change, a runner among them, is seen a second later at most; what an administrator changes here, at once.
sub test_polling {
    my ($db, $admin, $payer) = @_;
    for my $path ('/admin/batch_jobs/405', '/admin/batch_jobs?status=FAILED', '/admin/oidc_servers', "/admin/oidc_servers/$payer", '/admin/mail?state=refused') {
        my $etag = answers($admin->get($path), 200, $path)->{headers}{etag};
        answers($admin->get($path, 'If-None-Match' => $etag), 304, '... is the same') for 1 .. 2;
        answers($admin->get($path, 'If-None-Match' => '"other"'), 200, '... whole for whoever has another');
    }
    my ($job, $list) = ('/admin/batch_jobs/405', '/admin/batch_jobs?status=FAILED');
    my %etag = map { ($_ => $admin->get($_)->{headers}{etag}) } $job, $list;
    run_sql($db, 'UPDATE p2p_job SET version = version + 1 WHERE id = 405');
    for my $path ($job, $list) {
        my ($end, $answer) = (time + 30);
        do { $answer = $admin->get($path, 'If-None-Match' => $etag{$path}); sleep 0.1 } until $answer->{status} == 200 || time > $end;
        is($answer->{status}, 200, "$path: a change of a runner's is seen");
    }
    for my $round (1 .. 5) {
        my $at = "/admin/oidc_servers/$payer";
        my $etag = $admin->get($at)->{headers}{etag};
        answers($admin->get($at, 'If-None-Match' => $etag), 304, 'a definition is the same');
        answers($admin->request(PATCH => $at, content => { notes => "round $round" }, headers => { 'If-Match' => $etag, 'Content-Type' => 'application/merge-patch+json' }), 200, '... is changed');
        answers($admin->get($at, 'If-None-Match' => $etag), 200, '... and is seen to be at once');
    }
    return;
}

# A row of what is asked for changes between the answers only where we change it: an hour may begin meanwhile.
sub test_etag {
    my ($db, $admin) = @_;
    my ($first, $again);
    for (1 .. 2) {
        $first = answers($admin->get($AT), 200, 'it is read');
        $again = $admin->get($AT, 'If-None-Match' => $first->{headers}{etag});
        last if $again->{status} == 304;
    }
    answers($again, 304, 'what has not changed is not sent again');
    is($again->{content}, '', '... without a body');
    sleep 1.1;
    my $later = answers($admin->get($AT), 200, 'it is read again, later');
    cmp_ok($later->{json}{time}, 'gt', $first->{json}{time}, '... anew');
    is($later->{headers}{etag}, $first->{headers}{etag}, '... with the same ETag, since only the time is another') if $later->{json}{hours}[-1]{hour} eq $first->{json}{hours}[-1]{hour};
    run_sql($db, "UPDATE p2p_stat SET errors = errors + 1 WHERE peer = 'target'");
    overview($admin, sub { (grep { $_->{peer} eq 'target' } @{ $_[0]{peers} })[0]{errors} == 4 });
    isnt($admin->get($AT)->{headers}{etag}, $first->{headers}{etag}, 'what has changed has another one');
    return;
}

sub test_rights {
    my ($httpd, $admin, $portal) = @_;
    answers(P2P::Api->new($httpd->url)->get($AT), 401, 'a stranger does not read it');
    answers($portal->get($AT), 403, 'nor does a portal');
    answers($admin->post($AT, {}), 405, 'nobody writes it');
    return;
}

each_database('overview' => sub {
    my ($db) = @_;
    my $httpd = P2P::Httpd->new(db => $db, users => \%PASSWORD, main => ['P2PTrustIssuer https://trusted.example jwks=https://trusted.example/keys audience=us administration=a'],
        directives => { P2PTarget => $TARGET, P2PRunners => 0, P2PHookURL => 'https://p2p.example/hooks/task', P2PMailServer => 'smtp://127.0.0.1:9',
            P2PMailFrom => 'p2p@payer.example', P2PMailAdmins => 'one@payer.example', P2PMailTemplates => top() . '/conf/mail' });
    $httpd->prepare->start;
    my ($admin, $portal) = map { P2P::Api->new($httpd->url, $_, $PASSWORD{$_}) } qw(admin portal);
    test_rights($httpd, $admin, $portal);
    test_empty($admin);
    my @payer = test_sums($db, $admin);
    test_queue($db, $admin, @payer);
    test_attention($db, $admin, @payer);
    test_etag($db, $admin);
    test_polling($db, $admin, $payer[0]);
    $httpd->stop;
});
done_testing;
