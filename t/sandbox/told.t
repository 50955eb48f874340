#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The sandbox payer as a target with Tasks: their searches and times, Subscriptions and their statuses, deliveries in all forms. Another payer takes the deliveries.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use HTTP::Tiny;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);
use P2P::Sandbox;

my $json = JSON::PP->new->canonical;
my $http = HTTP::Tiny->new(timeout => 20, max_redirect => 0);
my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;
my $tls = P2P::Sandbox::make_cert($dir);
chmod 0644, $tls->{cert};
my $patients = qq({"resourceType":"Patient","id":"m1"}\n{"resourceType":"Patient","id":"m2"}\n{"resourceType":"Organization","id":"o9"}\n);
my $s = P2P::Sandbox->start(dir => $dir, payers => [
    {name => 'target', directives => ['SandboxDeliveryRetry 20', 'SandboxDeliveryTries 4', qq(SandboxDeliveryCA "$tls->{cert}"), 'SandboxActivate 0']},
    {name => 'slow',   directives => ['SandboxActivate -1']},
    {name => 'refuses', directives => ['SandboxRefuseTasks 404', 'SandboxRefuseSubscriptions 400']},
    {name => 'ahead',   directives => ['SandboxClock 3600', 'SandboxStaleSearch 60']},
    {name => 'taker',   directives => ['SandboxReferentialIntegrity Off']},
    {name => 'door',    directives => ['SandboxReferentialIntegrity Off', 'SandboxBearer On', 'SandboxGrant hook-secret -'], tls => $tls},
]);
$s->load($_, $patients) for qw(target ahead);

sub ask {
    my ($payer, $method, $path, $body, %headers) = @_;
    my $answer = $http->request($method, $s->plain($payer) . "/fhir$path",
        {headers => {'Content-Type' => 'application/fhir+json', %headers}, defined $body ? (content => ref $body ? $json->encode($body) : $body) : ()});
    $answer->{json} = eval { decode_json($answer->{content}) };
    return $answer;
}

my $codes = 'http://codes.example/cs';
sub task { my ($id, %more) = @_; return {resourceType => 'Task', id => $id, status => 'requested', intent => 'order', for => {reference => 'Patient/m1'},
        code => {coding => [{system => $codes, code => 'add'}]}, requester => {reference => 'Patient/m1'}, %more} }
sub ids { my ($payer, $query, %headers) = @_; my $answer = ask($payer, 'GET', "/Task$query", undef, %headers); return join ' ', map { $_->{resource}{id} } @{$answer->{json}{entry}} }
sub next_of { my ($bundle) = @_; my ($link) = grep { $_->{relation} eq 'next' } @{$bundle->{link}}; return $link && $link->{url} }

# Until it is so, within a minute.
sub until_so { my ($is, $what) = @_; for (1 .. 3000) { return pass $what if $is->(); sleep 0.02 } fail $what }

subtest 'meta is the server\'s' => sub {
    my $answer = ask('target', 'PUT', '/Task/t1', task('t1', meta => {versionId => '9', lastUpdated => '2001-01-01T00:00:00Z', tag => [{code => 'x'}]}));
    is $answer->{status}, 201, 'a Task is taken';
    my $meta = ask('target', 'GET', '/Task/t1')->{json}{meta};
    is $meta->{versionId}, '1', 'versionId';
    like $meta->{lastUpdated}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'lastUpdated';
    cmp_ok $meta->{lastUpdated}, 'gt', '2020', 'of the server, not of the client';
    is_deeply $meta->{tag}, [{code => 'x'}], 'the rest stays';
    is_deeply $answer->{json}{meta}, $meta, 'the answer to the write says the same';
    is_deeply ask('target', 'GET', '/Task?_id=t1')->{json}{entry}[0]{resource}{meta}, $meta, 'and the search';
    is ask('target', 'PUT', '/Task/t1', ask('target', 'GET', '/Task/t1')->{json})->{headers}{etag}, 'W/"1"', 'what was read and is written back makes no version';
    unlike $s->dump('target')->{'Task/t1'}{text}, qr/lastUpdated/, 'it is not stored';
};

subtest 'searches' => sub {
    ask('target', 'PUT', '/Task/t2', task('t2', status => 'draft', code => {coding => [{system => 'urn:other', code => 'add'}, {system => $codes, code => 'more'}]}));
    ask('target', 'PUT', '/Task/t3', task('t3', requester => {reference => 'Patient/m2'}, owner => {reference => 'Organization/o9'}));
    is ids('target', "?code=$codes%7Cadd"), 't1 t3', 'code=system|code';
    is ids('target', "?code=$codes%7Cadd,$codes%7Cmore"), 't1 t2 t3', 'alternatives';
    is ids('target', '?code=add'), 't1 t2 t3', 'code alone';
    is ids('target', '?code=%7Cadd'), '', 'no system';
    is ids('target', "?code=$codes%7C"), 't1 t2 t3', 'a system alone';
    is ids('target', '?requester=Patient/m2'), 't3', 'requester=';
    is ids('target', '?owner=o9'), 't3', 'owner=';
    is ids('target', '?patient=m1&status=draft'), 't2', 'patient and status';
    is ids('target', '?requester=Patient/m'), '', 'part of a reference is none';
};

subtest '_lastUpdated, _sort and pages' => sub {
    my %at;
    for my $id (qw(u1 u2 u3)) {
        ask('target', 'PUT', "/Task/$id", task($id, code => {coding => [{system => 'urn:time', code => 'x'}]}));
        $at{$id} = ask('target', 'GET', "/Task/$id")->{json}{meta}{lastUpdated};
        sleep 0.003;
    }
    my $code = '?code=urn:time%7Cx';
    is ids('target', "$code&_lastUpdated=ge$at{u2}"), 'u2 u3', 'ge';
    is ids('target', "$code&_lastUpdated=gt$at{u2}"), 'u3', 'gt, to the millisecond';
    is ids('target', "$code&_lastUpdated=ge$at{u2}&_lastUpdated=lt$at{u3}"), 'u2', 'ge and lt';
    is ids('target', "$code&_lastUpdated=le$at{u1}"), 'u1', 'le';
    (my $zone = $at{u2}) =~ s/Z$/%2B00:00/;
    is ids('target', "$code&_lastUpdated=ge$zone"), 'u2 u3', 'with a zone';
    is ids('target', "$code&_lastUpdated=ge" . substr($at{u1}, 0, 10)), 'u1 u2 u3', 'a day';
    is ids('target', "$code&_sort=-_lastUpdated"), 'u3 u2 u1', 'newest first';
    ask('target', 'PUT', '/Task/u1', task('u1', status => 'accepted', code => {coding => [{system => 'urn:time', code => 'x'}]}));
    is ids('target', "$code&_sort=_lastUpdated"), 'u2 u3 u1', 'oldest first; an update is new';
    my $page = ask('target', 'GET', "/Task$code&_sort=-_lastUpdated&_count=2")->{json};
    is scalar @{$page->{entry}}, 2, '_count';
    is decode_json($http->get(next_of($page))->{content})->{entry}[0]{resource}{id}, 'u2', 'the next link leads on';
};

subtest 'a server whose clock is ahead and whose searches are stale' => sub {
    my $answer = ask('ahead', 'PUT', '/Task/a1', task('a1'));
    my $last = ask('ahead', 'GET', '/Task/a1')->{json}{meta}{lastUpdated};
    my @now = gmtime(time + 1800);
    cmp_ok $last, 'gt', sprintf('%04d-%02d-%02dT%02d:%02d', $now[5] + 1900, $now[4] + 1, @now[3, 2, 1]), 'lastUpdated is of its clock';
    my ($hour) = $answer->{headers}{date} =~ / (\d\d):\d\d:\d\d GMT$/;
    is $hour, substr($last, 11, 2), 'the Date header too' if substr($last, 14, 5) gt '00:05';
    is ids('ahead', '?code=add'), 'a1', 'found';
    ask('ahead', 'PUT', '/Task/a2', task('a2'));
    is ids('ahead', '?code=add'), 'a1', 'the same search is answered from memory';
    is ids('ahead', '?code=add', 'Cache-Control' => 'no-cache'), 'a1 a2', 'unless no-cache is asked for';
};

sub subscription {
    my ($id, $taker, %more) = @_;
    my $status = delete $more{status} // 'requested';
    my $criteria = delete $more{criteria} // "Task?code=$codes|add";
    return {resourceType => 'Subscription', $id ? (id => $id) : (), status => $status, reason => 'test', criteria => $criteria,
        channel => {type => 'rest-hook', endpoint => $s->url($taker), payload => 'application/fhir+json', %more}};
}

subtest 'Subscriptions' => sub {
    is ask('target', 'PUT', '/Subscription/s1', subscription('s1', 'taker'))->{status}, 201, 'taken';
    until_so(sub { ask('target', 'GET', '/Subscription/s1')->{json}{status} eq 'active' }, 'requested becomes active');
    my $url = $s->url('taker');
    is ask('target', 'GET', "/Subscription?url=$url")->{json}{total}, 1, 'found by url';
    is ask('target', 'GET', '/Subscription?url=http://x.example/')->{json}{total}, 0, 'not by another';
    is ask('target', 'POST', '/Subscription', subscription('', 'taker'), 'If-None-Exist' => "url=$url")->{status}, 200, 'If-None-Exist finds it';
    is scalar @{$s->subscriptions('target')}, 1, 'and makes none';
    is $s->subscriptions('target', 'error')->[0]{status}, 'error', 'control sets its status';
    is ask('target', 'GET', '/Subscription/s1')->{json}{status}, 'error', 'which is read';
    my $answer = ask('slow', 'POST', '/Subscription', subscription('', 'taker'));
    is $answer->{status}, 201, 'one of the server\'s own id';
    sleep 0.3;
    is $s->subscriptions('slow')->[0]{status}, 'requested', 'a server that never activates';
    my $id = $answer->{json}{id};
    is ask('slow', 'PUT', "/Subscription/$id", {%{$answer->{json}}, status => 'active'})->{json}{status}, 'active', 'it is set to active by the client';
    is ask('slow', 'DELETE', "/Subscription/$id")->{status}, 200, 'deleted';
    is_deeply $s->subscriptions('slow'), [], 'and gone';
    is ask('target', 'POST', '/Subscription', $_->[1])->{status}, 422, "refused: $_->[0]"
        for ['no status', subscription('', 'taker', status => '')], ['other criteria', subscription('', 'taker', criteria => 'Patient?name=x')],
        ['an unknown parameter', subscription('', 'taker', criteria => 'Task?colour=red')], ['no endpoint', subscription('', 'taker', endpoint => '')];
};

subtest 'a target that refuses' => sub {
    is ask('refuses', 'PUT', '/Subscription/s1', subscription('s1', 'taker'))->{status}, 400, 'Subscriptions';
    is ask('refuses', 'GET', '/Subscription?url=x')->{status}, 400, 'their search';
    is ask('refuses', 'POST', '/Task', task('x'))->{status}, 404, 'Tasks';
    is ask('refuses', 'GET', '/Task/x')->{json}{resourceType}, 'OperationOutcome', 'with an outcome';
    is ask('refuses', 'POST', '', {resourceType => 'Bundle', type => 'transaction', entry => [{resource => task('x'), request => {method => 'PUT', url => 'Task/x'}}]})->{status}, 404, 'in a transaction too';
    is_deeply [map { $_->{type} } @{ask('refuses', 'GET', '/metadata')->{json}{rest}[0]{resource}}], ['Patient'], 'and its CapabilityStatement does not name them';
    is_deeply [map { $_->{type} } @{ask('target', 'GET', '/metadata')->{json}{rest}[0]{resource}}], [qw(Patient Task Subscription)], 'others do';
};

# A Subscription that is active at once, the taker empty, and what the taker then got.
sub begin {
    my ($words, $taker, %more) = @_;
    $s->set('target', delivery => $words, delivery => $words);
    $s->subscriptions('target', 'off');
    ask('target', 'PUT', '/Subscription/now', subscription('now', $taker, status => 'active', %more));
    $s->$_($taker) for qw(reset clear_requests);
    $s->clear_deliveries('target');
}

sub write_tasks { my ($from, $to, %more) = @_; for my $n ($from .. $to) { my $got = ask('target', 'PUT', "/Task/d$n", task("d$n", %more)); $got->{status} < 300 or die $got->{content} } }
sub got { my ($taker) = @_; $s->delivered('target'); return grep { $_->{url} =~ m{^/fhir} } @{$s->requests($taker)->{log}} }

subtest 'put' => sub {
    begin('put whole', 'taker');
    write_tasks(1, 2);
    ask('target', 'PUT', '/Task/other', task('other', code => {coding => [{system => $codes, code => 'other'}]}));
    my @got = got('taker');
    is_deeply [sort map { "$_->{method} $_->{url}" } @got], ['PUT /fhir/Task/d1', 'PUT /fhir/Task/d2'], 'what fits the criteria, each where it belongs';
    is $got[0]{ifMatch}, 'W/"1"', 'If-Match';
    is $got[0]{contentType}, 'application/fhir+json; charset=UTF-8', 'Content-Type';
    is decode_json($s->dump('taker')->{'Task/d1'}{text})->{status}, 'requested', 'and the resource';
    is_deeply [map { $_->{outcome} } @{$s->deliveries('target')->{log}}], ['taken', 'taken'], 'noted';
    write_tasks(1, 1);
    is scalar(got('taker')), 2, 'the same Task again delivers nothing';
    write_tasks(1, 1, status => 'accepted');
    is +(got('taker'))[2]{ifMatch}, 'W/"2"', 'another version does';
    begin('put whole', 'taker', payload => undef);
    write_tasks(1, 1, status => 'rejected');
    @got = got('taker');
    is_deeply [map { "$_->{method} $_->{url} $_->{bytesIn} $_->{contentType}" } @got], ['POST /fhir 0 application/x-www-form-urlencoded'],
        'without a payload: an empty POST, once though it was refused';
};

subtest 'post, empty, bundle' => sub {
    begin('post', 'taker', endpoint => $s->url('taker') . '/Task');
    write_tasks(3, 3);
    my @got = got('taker');
    is "$got[0]{method} $got[0]{url}", 'POST /fhir/Task', 'post';
    cmp_ok $got[0]{bytesIn}, '>', 100, 'with the resource';
    begin('empty', 'taker', endpoint => $s->url('taker') . '/Task');
    write_tasks(4, 4);
    @got = got('taker');
    is "$got[0]{method} $got[0]{url} $got[0]{bytesIn}", 'POST /fhir/Task 0', 'empty';
    begin('bundle', 'taker');
    write_tasks(5, 5);
    is_deeply [map { "$_->{method} $_->{url} $_->{status}" } got('taker')], ['POST /fhir 200'], 'a transaction';
    is decode_json($s->dump('taker')->{'Task/d5'}{text})->{id}, 'd5', 'that puts the Task';
};

subtest 'deletions' => sub {
    begin('put', 'taker');
    write_tasks(6, 7);
    ask('target', 'DELETE', '/Task/d6');
    ok !(grep { $_->{method} eq 'DELETE' } got('taker')), 'nothing is said of them';
    $s->set('target', deliverDeletes => 1);
    ask('target', 'DELETE', '/Task/d7');
    is_deeply [map { $_->{url} } grep { $_->{method} eq 'DELETE' } got('taker')], ['/fhir/Task/d7'], 'unless it is asked for';
    begin('post', 'taker', endpoint => $s->url('taker') . '/Task');
    ask('target', 'DELETE', '/Task/d5');
    is +(got('taker'))[0]{bytesIn}, 2, 'Medplum sends {}';
    $s->set('target', deliverDeletes => 0);
};

subtest 'thrice, half' => sub {
    begin('put thrice', 'taker');
    write_tasks(10, 19);
    my @got = map { $_->{url} } got('taker');
    my %times;
    $times{$_}++ for @got;
    is_deeply [values %times], [(3) x 10], 'each three times';
    my @sorted = sort @got;
    isnt "@got", "@sorted", 'and not in order';
    begin('put half', 'taker');
    write_tasks(20, 29);
    is scalar(got('taker')), 5, 'every second is lost';
    is $s->deliveries('target')->{lost}, 5, 'and counted';
    $s->set('target', delivery => 'whole');
};

subtest 'failures' => sub {
    begin('put whole', 'taker');
    $s->faults('taker', {do => 'status', status => 500, count => 2});
    write_tasks(30, 30);
    is_deeply [map { $_->{status} } got('taker')], [500, 500, 201], 'tried again until it is taken';
    is $s->deliveries('target')->{log}[0]{tries}, 3, 'three tries';
    begin('put whole', 'taker');
    $s->faults('taker', {do => 'status', status => 500, count => 0});
    write_tasks(31, 31);
    is scalar(got('taker')), 4, 'given up';
    is_deeply [@{$s->deliveries('target')->{log}[0]}{qw(outcome status)}], ['failed', 500], 'and noted';
    is +(grep { $_->{id} eq 'now' } @{$s->subscriptions('target')})[0]{status}, 'active', 'the Subscription stays active';
    $s->set('target', offWhenFailed => 1);
    write_tasks(32, 32);
    got('taker');
    until_so(sub { (grep { $_->{id} eq 'now' } @{$s->subscriptions('target')})[0]{status} eq 'off' }, 'or goes off, as at Medplum');
    $s->set('target', offWhenFailed => 0);
    $s->faults('taker', {do => 'status', status => 200, body => '{}', count => 0});
    begin('put whole', 'taker');
    write_tasks(33, 33);
    is $s->deliveries('target')->{log}[0]{status}, -200, 'an answer that is no resource counts as a failure' if got('taker');
    $s->faults('taker', []);
};

subtest 'https and a secret' => sub {
    begin('put whole', 'door', header => ['Authorization: Bearer hook-secret']);
    write_tasks(40, 40);
    is_deeply [map { "$_->{method} $_->{status}" } got('door')], ['PUT 201'], 'the channel\'s header opens the door, over TLS';
    begin('put whole', 'door', header => ['Authorization: Bearer wrong']);
    write_tasks(41, 41);
    is +(got('door'))[-1]{status}, 401, 'another does not';
};

subtest 'it ends, whatever waits' => sub {
    begin('put whole', 'taker');
    $s->faults('taker', {do => 'stall', ms => 60000, count => 0});
    write_tasks(50, 55);
    my $pid = $s->pid;
    $s->stop;
    ok !kill(0, $pid), 'stopped, though deliveries are under way';
    ok !-e "$dir/sandbox.pid", 'and cleared up behind itself';
};
done_testing;
