#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# /hooks/task: the secret that a runner has given to the target's Subscription opens it, and nothing else does; each form of a delivery leaves the hint that
# it should; what is hostile leaves at most one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Api;
use P2P::Databases;
use P2P::Httpd;
use P2P::Sandbox;
use P2P::Source;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $HOOK = '/hooks/task';
my $TASK = '{"resourceType":"Task","id":"t1","status":"requested"}';
my $CODE = 'http://payer-to-payer-exchange/CodeSystem/p2p-internal-codes';
my $sandbox = P2P::Sandbox->start(payers => [{ name => 'target', directives => ['SandboxActivate 0', 'SandboxDeliveryRetry 50'] }]);

# An httpd without runners whose Subscription a runner has made, and the secret.
sub start_hooked {
    my ($db) = @_;
    $sandbox->reset('target');
    my $httpd = P2P::Httpd->new(db => $db, target => $sandbox->url('target'), users => { portal => 'pass', admin => 'pass' });
    $httpd->{directives} = { P2PHookURL => $httpd->url . $HOOK, P2PRunners => 1 };
    $httpd->expect_log(qr/AH01614|AH01617|AH01618|AH01630|AH01631/);
    $httpd->write_config;
    $httpd->prepare->start;
    my $secret = $httpd->wait_for(sub { ($sandbox->subscriptions('target')->[0]{status} // '') eq 'active' && secret_of() }, 60) or die 'no Subscription: ' . $httpd->log_text;
    $httpd->stop;
    $httpd->{directives}{P2PRunners} = 0;
    $httpd->write_config;
    run_sql($db, 'DELETE FROM p2p_task_hint');
    return ($httpd->start, $secret);
}

sub secret_of {
    my ($text) = map { $_->{text} } grep { defined $_->{text} } values %{ $sandbox->dump('target', type => 'Subscription') };
    return ($text // '') =~ /Authorization: Bearer ([\w-]{43})"/ ? $1 : undef;
}

# The hints that wait, "look" for the search.
sub hints {
    my ($db) = @_;
    my $text = join ' ', map { $_ eq '' ? 'look' : $_ } split /\n/, run_sql($db, "SELECT CASE task_id WHEN '' THEN 'look' ELSE task_id END FROM p2p_task_hint ORDER BY task_id");
    run_sql($db, 'DELETE FROM p2p_task_hint');
    return $text;
}

sub send_it {
    my ($api, $secret, $method, $path, $body, %headers) = @_;
    return $api->request($method, "$HOOK$path", headers => { Authorization => "Bearer $secret", %headers }, defined $body ? (content => $body) : ());
}

sub bundle { my ($type, @entries) = @_; return qq({"resourceType":"Bundle","type":"$type","entry":[) . join(',', @entries) . ']}' }

my @FORMS = (
    ['HAPI',                       PUT => '/Task/t1', $TASK, 't1', 'Content-Type' => 'application/fhir+json; charset=UTF-8', 'If-Match' => 'W/"3"'],
    ['HAPI, no payload',           POST => '', undef, 'look', 'Content-Type' => 'application/x-www-form-urlencoded'],
    ['HAPI, search criteria',      POST => '', bundle('transaction', qq({"fullUrl":"Task/t1","resource":$TASK,"request":{"method":"PUT","url":"Task/t1"}}),
        '{"request":{"method":"PUT","url":"Task/t2"}}'), 't1 t2'],
    ['HAPI, deletion',             DELETE => '/Task/t1', undef, 't1'],
    ['Medplum',                    POST => '', $TASK, 't1', 'X-Medplum-Subscription' => 's', 'X-Medplum-Interaction' => 'update'],
    ['Medplum, deletion',          POST => '', '{}', 't9', 'X-Medplum-Deleted-Resource' => 'Task/t9', 'X-Medplum-Interaction' => 'delete'],
    ['a history Bundle',           POST => '/', bundle('history', '{"fullUrl":"https://h.example/fhir/Task/t5/_history/2","request":{"method":"PUT","url":"Task"}}'), 't5'],
    ['a batch Bundle',             POST => '', bundle('batch', qq({"resource":$TASK})), 't1'],
    ['a Task without a type',      POST => '', '{"id":"t1"}', 'look'],
    ['another resource',           PUT => '/Patient/p1', '{"resourceType":"Patient","id":"p1"}', 'look'],
    ['a Task of a hostile id',     POST => '', '{"resourceType":"Task","id":"../../metadata"}', 'look'],
    ['a hostile path',             PUT => '/Task/..%2F..%2Fmetadata', undef, undef],
    ['a path with a query',        PUT => '/Task/t1?x=Task/t2', undef, 't1'],
    ['nonsense',                   POST => '', "\0\xff{[", 'look', 'Content-Type' => 'application/fhir+json'],
    ['XML',                        POST => '', '<Task/>', 'look', 'Content-Type' => 'application/fhir+xml'],
    ['deep JSON',                  POST => '', '[' x 100_000, 'look'],
    ['more than is taken',         POST => '', '{"resourceType":"Task","id":"t1","x":"' . ('x' x 1_100_000) . '"}', 'look'],
    ['more than is taken, to one', PUT => '/Task/t1', 'x' x 1_100_000, 't1'],
);

sub test_forms {
    my ($db, $api, $secret) = @_;
    for my $form (@FORMS) {
        my ($name, $method, $path, $body, $expected, %headers) = @$form;
        my $answer = send_it($api, $secret, $method, $path, $body, %headers);
        if (!defined $expected) {
            like($answer->{status}, qr/^(?:200|400|404)$/, "$name: $answer->{status}");
            unlike(hints($db), qr/[^\w. -]/, '... and no hint but a FHIR id');
            next;
        }
        is($answer->{status}, 200, "$name: taken") or diag $answer->{content};
        is(hints($db), $expected, '... and noted');
        is($answer->{headers}{'content-type'}, 'application/fhir+json', '... with an answer in FHIR');
        is($answer->{headers}{'cache-control'}, 'no-store', '... that nobody keeps');
        my $type = ($body // '') =~ /"Bundle","type":"(\w+)"/ ? ($1 eq 'batch' ? 'batch-response' : 'transaction-response') : undef;
        is($answer->{json}{type} // $answer->{json}{resourceType}, $type // 'OperationOutcome', '... as its sender reads it');
    }
    is(run_sql($db, "SELECT COUNT(*) FROM p2p_job WHERE kind = 'task-look' AND status IN ('STARTING', 'STARTED')"), 1, 'one chore waits for all of them');
    return;
}

# The corpus of the fuzzer, which finds what nobody thought of.
sub test_corpus {
    my ($db, $api, $secret) = @_;
    for my $file (files(qr{/case-\d+$}, 't/fuzz/corpus/delivery')) {
        my ($path, $body) = split /\n/, P2P::Httpd::read_file(top() . "/$file"), 2;
        my $answer = send_it($api, $secret, 'POST', '', $body, 'X-Medplum-Deleted-Resource' => $path =~ s/[^ -~]/?/gr);
        is($answer->{status}, 200, "$file: taken");
        like(hints($db), qr/^[\w. -]+$/, '... as a hint');
    }
    return;
}

# Whatever is not the secret: 401 before the body is read; nothing is noted.
sub test_refusals {
    my ($db, $httpd, $api, $secret) = @_;
    my @wrong = ([none => undef], [empty => 'Bearer '], [another => 'Bearer ' . ('A' x 43)], ['too long' => "Bearer ${secret}A"], ['too short' => 'Bearer ' . substr($secret, 0, 42)],
        ['another case' => 'Bearer ' . ($secret =~ tr/a-zA-Z/A-Za-z/r)], ['another scheme' => "Basic $secret"], ['two' => "Bearer $secret, Bearer $secret"],
        ['a blank inside' => 'Bearer ' . substr($secret, 0, 20) . ' ' . substr($secret, 20)], ['huge' => 'Bearer ' . ('A' x 7000)]);
    for my $wrong (@wrong) {
        my $answer = $api->request(PUT => "$HOOK/Task/t1", headers => { Authorization => $wrong->[1] }, content => $TASK);
        is($answer->{status}, 401, "$wrong->[0]: 401") or diag $answer->{content};
        like($answer->{headers}{'www-authenticate'} // '', qr/^Bearer realm="p2p hook"/, '... with the scheme');
        is($answer->{headers}{'content-type'}, 'application/problem+json', '... as problem+json');
    }
    is(P2P::Api->new($httpd->url, 'admin', 'pass')->post($HOOK, $TASK)->{status}, 401, "an administrator's password opens nothing here");
    is($api->request(GET => '/admin/audit', headers => { Authorization => "Bearer $secret" })->{status}, 401, 'nor the secret anything else');
    is(hints($db), '', 'nothing of it is noted');
    my $head = "POST $HOOK HTTP/1.1\r\nHost: p2p\r\nAuthorization: Bearer wrong\r\n";
    for my $huge (['100 MB', "Content-Length: 104857600\r\n"], ['a body without an end', "Transfer-Encoding: chunked\r\n"], ['100 MB, asking first', "Content-Length: 104857600\r\nExpect: 100-continue\r\n"]) {
        like($api->raw("$head$huge->[1]\r\n"), qr{\AHTTP/1\.1 (?:401|429) .*^Connection: close\r$}ms, "$huge->[0] with a wrong secret: refused before it comes");
    }
    like($api->raw("POST $HOOK HTTP/1.1\r\nHost: p2p\r\nAuthorization: Bearer $secret\r\nContent-Length: 104857600\r\n\r\n"), qr{\AHTTP/1\.1 200 .*^Connection: close\r$}ms,
        '100 MB with the secret: taken without it');
    is(hints($db), 'look', '... as a wish to look');
    for (1 .. 400) {
        my $answer = send_it($api, 'wrong', 'POST', '');
        next if $answer->{status} == 401;
        is($answer->{status}, 429, 'wrong secrets without end: 429 in the end');
        like($answer->{headers}{'retry-after'}, qr/^\d+$/, '... with Retry-After');
        last;
    }
    is(send_it($api, $secret, 'POST', '')->{status}, 200, 'the target, at the same address, is not held up');
    is(hints($db), 'look', '... and noted');
    my @told = $httpd->log_text =~ /(\d+) more without the Subscription's secret/g;
    cmp_ok(scalar @told, '>=', 1, 'the log tells of refusals');
    return;
}

sub test_paths {
    my ($db, $api, $secret) = @_;
    for my $method (qw(GET HEAD PATCH PROPFIND)) {
        my $answer = send_it($api, $secret, $method, '/Task/t1');
        is($answer->{status}, 405, "$method: 405");
        is($answer->{headers}{allow}, 'POST, PUT, DELETE, OPTIONS', '... with what may be');
    }
    is(send_it($api, $secret, PUT => $_)->{status}, 401, "$HOOK$_ is another path") for 'x', '.json';
    is($api->request(PUT => '/hooks', headers => { Authorization => "Bearer $secret" })->{status}, 401, 'and so is what is above');
    is(send_it($api, $secret, 'POST', '', undef, Origin => 'https://elsewhere.example')->{status}, 200, 'an Origin does not matter: nothing is sent by itself here');
    is(hints($db), 'look', 'noted');
    return;
}

# As fast as they can be sent, by several at a time: one hint, whose version counts them; and no more than the limit allows.
sub test_many {
    my ($db, $api, $secret) = @_;
    my ($begun, @senders) = (time);
    for my $sender (1 .. 4) {
        my $pid = open my $told, '-|';
        die "fork: $!\n" if !defined $pid;
        if (!$pid) {
            my %count;
            $count{ send_it($api, $secret, PUT => '/Task/t1', $TASK)->{status} }++ for 1 .. 250;
            print join ' ', $count{200} // 0, $count{429} // 0;
            close STDOUT;
            POSIX::_exit(0);
        }
        push @senders, $told;
    }
    my ($taken, $limited) = (0, 0);
    for my $told (@senders) {
        my ($more, $refused) = split / /, join '', <$told>;
        $taken += $more;
        $limited += $refused;
        close $told;
    }
    my $took = time - $begun;
    is($taken + $limited, 1000, "1,000 deliveries: $taken taken, $limited to come again");
    cmp_ok($taken, '<=', 201 + 100 * $took, '... 200 at once and 100 a second');
    is(run_sql($db, 'SELECT COUNT(*), MAX(version) FROM p2p_task_hint'), "1|$taken", '... are one hint');
    hints($db);
    return;
}

# What the target sends by itself, in each form of the sandbox.
sub test_target {
    my ($db, $httpd, $api) = @_;
    my $http = P2P::Api->new($sandbox->url('target'));
    $http->{unchecked} = 1;
    my $number = 0;
    for my $words ('put whole', 'post whole', 'empty whole', 'bundle whole', 'put thrice') {
        $sandbox->set('target', delivery => $words);
        $sandbox->clear_deliveries('target');
        my $id = 'd' . ++$number;
        my $task = { resourceType => 'Task', id => $id, status => 'requested', intent => 'order', code => { coding => [{ system => $CODE, code => 'p2p-request-add-provider-id' }] } };
        is($http->request(PUT => "/Task/$id", content => $task)->{status}, 201, "$words: a Task");
        my $deliveries = $sandbox->delivered('target');
        is_deeply([map { "$_->{outcome} $_->{status}" } @{ $deliveries->{log} }], [('taken 200') x ($words =~ /thrice/ ? 3 : 1)], '... its deliveries are taken, and the answers read')
            or diag explain $deliveries;
        is(hints($db), $words =~ /empty/ ? 'look' : $id, '... and noted');
    }
    return;
}

sub test_away {
    my ($db, $httpd, $api, $secret) = @_;
    $httpd->expect_log(qr/AH0063[0-9]|AH0062[0-9]|AH0064[0-9]/, qr/\[p2p:error\].*database-(?:away|error)/, qr/\[p2p:warn\].* database: p2p_/, qr/\[dbd(?:_\w+)?:error\]/);
    is(send_it($api, $secret, 'POST', '')->{status}, 200, 'the database is there');
    $db->{server}->stop;
    sleep 0.3;    # what was read is good no longer where the secret is another
    for my $text ($secret, 'wrong') {
        my $answer = send_it($api, $text, 'POST', '');
        is($answer->{status}, 503, 'the database away: 503, whatever the secret');
        is($answer->{headers}{'retry-after'}, 5, '... with Retry-After');
    }
    $db->{server}->start;
    ok($httpd->wait_for(sub { send_it($api, $secret, 'POST', '')->{status} == 200 }), 'there again: taken');
    is(hints($db), 'look', '... and noted');
    return;
}

each_database('hook' => sub {
    my ($db) = @_;
    my ($httpd, $secret) = start_hooked($db);
    my $api = P2P::Api->new($httpd->url);
    test_target($db, $httpd, $api);
    test_forms($db, $api, $secret);
    test_corpus($db, $api, $secret);
    test_paths($db, $api, $secret);
    test_many($db, $api, $secret);
    test_refusals($db, $httpd, $api, $secret);
    test_away($db, $httpd, $api, $secret) if $db->{server};
    unlike($httpd->log_text, qr/\Q$secret\E/, 'the secret is in no line of the log');
    $httpd->stop;
});

# Without the directive there is no hook, whoever asks.
my $none = P2P::Httpd->new(db => P2P::Databases::sqlite());
$none->prepare->start;
is(P2P::Api->new($none->url)->request($_ => "$HOOK/Task/t1", headers => { Authorization => 'Bearer x' })->{status}, 404, "without P2PHookURL: $_ is a 404") for qw(POST PUT DELETE);
$none->stop;
done_testing;
