#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# A database of schema 2, with jobs in it, is upgraded: what was queued is done, what was stopped is begun again, and what was known by its hash
# (a bound member, a refresh token, an order's key) is known still.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Exchange;
use P2P::Httpd;
use Test::More;
use Time::HiRes qw(sleep time);

my $KEY    = "p2p-key 5eed0002 MFV6n8TpDjNYfaLH7BE2W4Clyu8UOV6DqM3yFzxhhqs=\n";    # what schema-2.sql is sealed with
my $SOURCE = '127.77.0.2:18080';                                                       # where its jobs look; an address of loopback that nobody else takes
my $JOBS   = '/api/oidc_servers/1/batch_job';

# Anyone's Patient with one Observation.
sub answer {
    my ($path) = @_;
    return { resourceType => 'CapabilityStatement', fhirVersion => '4.0.1' } if $path =~ m{/metadata$};
    return { access_token => 'SECRET-access', token_type => 'Bearer', expires_in => 3600 } if $path =~ m{/token$};
    my ($id) = $path =~ m{/Patient/(\w+)/} or return { resourceType => 'OperationOutcome', issue => [] };
    return { resourceType => 'Bundle', type => 'searchset', entry => [
        { resource => { resourceType => 'Patient', id => $id } },
        { resource => { resourceType => 'Observation', id => "o$id", status => 'final', code => { text => 'x' }, subject => { reference => "Patient/$id" } } } ] };
}

sub serve {
    my ($socket) = @_;
    while (my $peer = $socket->accept) {
        my $line = <$peer> // '';
        my $length = 0;
        while (my $field = <$peer>) {
            $length = $1 if $field =~ /^Content-Length: *(\d+)/i;
            last if $field =~ /^\r?\n$/;
        }
        read $peer, my ($form), $length;
        my ($path) = $line =~ m{^\w+ (\S+)};
        my $body = JSON::PP->new->utf8->encode(answer($path // ''));
        print {$peer} "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
        close $peer;
    }
    return;
}

# Its pid.
sub start_source {
    my ($host, $port) = split /:/, $SOURCE;
    my $socket = IO::Socket::INET->new(Listen => 16, LocalAddr => $host, LocalPort => $port, ReuseAddr => 1) or die "$SOURCE: $!\n";
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    $SIG{TERM} = 'DEFAULT';
    serve($socket);
    POSIX::_exit(0);
}

# The database as it was, but of today and for the target that there is.
sub load {
    my ($db, $target) = @_;
    my $now = int(time * 1_000_000);
    run_sql($db, P2P::Httpd::read_file("$FindBin::Bin/schema-2.sql") =~ s/^--.*\n//mgr);
    run_sql($db, "UPDATE $_ SET target = '$target'") for qw(p2p_job p2p_binding);
    run_sql($db, "UPDATE p2p_job SET create_time = $now, last_updated = $now, end_time = CASE WHEN end_time = 0 THEN 0 ELSE $now END");
    return;
}

sub order {
    my ($patient, $target_patient, $n) = @_;
    return { sourcePayer => { oidcToken => "SECRET-access-$n", oidcRefreshToken => "SECRET-refresh-$n", patientId => $patient },
        targetPayer => { patientId => $target_patient, organizationId => 'the-target-payer' } };
}

sub ends {
    my ($httpd, $api, $id, $name) = @_;
    my $job = $httpd->wait_for(sub { my $job = $api->get("$JOBS/$id")->{json}; return ($job->{batchStatus} // '') =~ /^(?:COMPLETED|FAILED)$/ && $job }, 120);
    is($job && $job->{batchStatus}, 'COMPLETED', "$name is COMPLETED") or diag explain($job), $httpd->log_text;
    is($job && $job->{progress}{written}, 2, '... with all that there is');
    return;
}

my $sandbox = P2P::Exchange::sandbox({ name => 'target', role => 'target' });
my $owner   = $$;
my $source  = start_source();
END { local $?; kill 'TERM', $source if $source && $owner == $$ }

sub test_known {
    my ($db, $api) = @_;
    my $again = $api->post($JOBS, order('s1', 't1', 1), 'Idempotency-Key' => 'first');
    is("$again->{status} $again->{json}{batchJobId}", '202 1', 'an order that is repeated with its key is the job that it was');
    my $moved = $api->post($JOBS, order('s2', 'somebody-else', 3));
    is("$moved->{status} $moved->{json}{code}", '409 bound-to-another', 'a member stays bound');
    my $shared = $api->post($JOBS, order('s4', 't4', 2));
    is($shared->{status}, 202, 'an order with a refresh token that was seen before') or diag $shared->{content};
    is(run_sql($db, "SELECT grant_id FROM p2p_job WHERE id = $shared->{json}{batchJobId}"), 2, '... has its grant');
    return $shared->{json}{batchJobId};
}

each_database('upgrade', sub {
    my ($db) = @_;
    $sandbox->reset('target');
    my $httpd = P2P::Httpd->new(db => $db, key => $KEY, target => $sandbox->url('target'), users => { portal => 'x', admin => 'x' },
        directives => { P2PRunners => 1 });
    load($db, $sandbox->url('target'));
    my $x = bless { sandbox => $sandbox, target => 'target' }, 'P2P::Exchange';
    $x->add_target_patient($_) for qw(t1 t2 t4);
    like($httpd->run_command('migrate'), qr/upgraded from version 2 to \d/, 'the schema is upgraded');
    $httpd->start;
    my $api = P2P::Api->new($httpd->url, 'portal', 'x');
    ends($httpd, $api, 1, 'what was queued');
    my $shared = test_known($db, $api);
    is($api->request('POST', "$JOBS/2/restart")->{status}, 202, 'what was stopped is begun again');
    ends($httpd, $api, $shared, 'the one with the shared grant');
    ends($httpd, $api, 2, 'what was stopped');
    my $admin = P2P::Api->new($httpd->url, 'admin', 'x');
    is($admin->get('/admin/batch_jobs/1')->{json}{client}, 'portal', 'administrators see what was there before');
    is($admin->get('/admin/oidc_servers/1')->{json}{clientSecretSet}, JSON::PP::true, '... and that there is a secret');
    $httpd->stop;
});
done_testing;
