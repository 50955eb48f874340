# SPDX-License-Identifier: Apache-2.0
# Queues of any length in a database, and what calls on them take (t/bench/queue_times).
package P2P::Queue;
use strict;
use warnings;
use Exporter qw(import);
use IPC::Open2;
use JSON::PP;
use P2P::Httpd;
our @EXPORT = qw(queued_jobs start_queue ask_queue end_queue);

my $TARGET = 'https://target.example/fhir';

# SQL for rows with these numbers: status, payer and further columns are expressions over i.
sub queued_jobs {
    my ($db, $first, $count, %column) = @_;
    my %all = (id => 'i', uuid => "'bench-' || i", kind => "'p2p-exchange'", target => "'$TARGET'", oidc_server_id => 1, grant_id => 'i', source_hash => "'hash-' || i",
        source_patient => "'a sealed id of a member at the source, some sixty bytes'", target_patient => "'a sealed id of a member at the target, some sixty bytes'",
        status => "'STARTING'", create_time => 'i', last_updated => 'i', version => 1, attempt => 1, %column);
    my @names = sort keys %all;
    my $last = $first + $count - 1;
    my $numbers = $db->{server} ? "generate_series($first, $last) AS n (i)"
        : "(WITH RECURSIVE n (i) AS (SELECT $first UNION ALL SELECT i + 1 FROM n WHERE i < $last) SELECT i FROM n) AS n";
    return sprintf 'INSERT INTO p2p_job (%s) SELECT %s FROM %s', join(', ', @names), join(', ', @all{@names}), $numbers;
}

# Starts the program on a database of P2P::Databases, with a connection that has seen a short queue.
sub start_queue {
    my ($db) = @_;
    my $pid = open2(my $out, my $in, P2P::Httpd::builddir() . '/t/bench/queue_times', $db->{driver}, $db->{params}, $TARGET);
    $in->autoflush(1);
    my $times = { pid => $pid, in => $in, out => $out };
    ask_queue($times, 'enqueue', 20);    # the schema is there, statements are prepared
    return $times;
}

# "claim", "enqueue" or "test" (claiming a chore), so many times: { p50, p99, max } in microseconds.
sub ask_queue {
    my ($times, $what, $calls) = @_;
    print { $times->{in} } "$what $calls\n";
    my $line = readline $times->{out};
    die "queue_times ended early\n" if !defined $line;
    return decode_json($line);
}

sub end_queue {
    my ($times) = @_;
    close $times->{in};
    waitpid $times->{pid}, 0;
    die "queue_times failed\n" if $?;
    return;
}

1;
