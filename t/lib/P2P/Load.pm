# SPDX-License-Identifier: Apache-2.0
# What the benchmark's parts api, flood and console share: an httpd with TLS, PostgreSQL and bearer tokens, requests on it, and what came of them.
package P2P::Load;
use strict;
use warnings;
use Exporter qw(import);
use JSON::PP;
use P2P::Api;
use P2P::Bench;
use P2P::Curl;
use P2P::Httpd;
use P2P::Jwt qw(new_key jwk_set sign);
use P2P::Postgres;
our @EXPORT = qw(start_service bearer claims requests start_load finish_load load_once $SERVER $STATIC $AUDIENCE);

our $SERVER   = '/api/oidc_servers/1';
our $STATIC   = '/static/definition.json';
our $AUDIENCE = 'https://p2p.example';
my $ISSUER    = 'https://login.example';
my %DEFINITION = (
    name => 'P2P Source Payer A', issuer => 'https://sourcepayera.example/issuer', clientId => 'p2pexchangeclientId',
    scopes => 'openid profile offline_access', customTokenParams => 'memberId', organizationId => 'ABCD', responseType => 'code',
    authWellKnown => 'https://sourcepayera.example/.well-known/openid-configuration',
    tokenEndpoint => 'https://sourcepayera.example/token-endpoint', fhirEndpoint => 'https://sourcepayera.example/fhir-endpoint',
);

# { httpd, postgres, keys, dir }: a definition at $SERVER, a static file of the same bytes at $STATIC, and $most connections that are answered at a time.
sub start_service {
    my ($dir, $most) = @_;
    my %keys = map { $_ => new_key($_, lc $_) } qw(RS256 ES512);
    my $set = P2P::Httpd::write_file("$dir/keys.json", jwk_set(map { $keys{$_} } sort keys %keys));
    mkdir $_ for "$dir/www", "$dir/www/static";
    my $postgres = P2P::Postgres->new->start;
    my $threads = $most + 8;    # in either child: connections do not come to them evenly
    my $httpd = P2P::Httpd->new(db => { driver => 'pgsql', params => $postgres->params }, tls => 1,
        main => ['StartServers 2', "ThreadsPerChild $threads", "ThreadLimit $threads", 'MaxRequestWorkers ' . 2 * $threads, 'MaxSpareThreads ' . 2 * $threads,
            'MaxKeepAliveRequests 0', "DocumentRoot $dir/www", "P2PTrustIssuer $ISSUER keys=$set audience=$AUDIENCE portal=p2p administration=p2p.admin"],
        vhost => ['<Location "/">', 'AuthType Bearer', 'AuthName p2p', 'Require p2p-role portal', 'AuthzSendForbiddenOnFailure On', '</Location>',
            '<Location "/static">', 'SetHandler none', 'Require all granted', '</Location>']);
    $httpd->prepare([\%DEFINITION])->start;
    my $self = { httpd => $httpd, postgres => $postgres, keys => \%keys, dir => $dir };
    P2P::Httpd::write_file("$dir/www$STATIC", definition_text($self));
    return $self;
}

sub definition_text {
    my ($self) = @_;
    my $api = P2P::Api->new($self->{httpd}->url);
    $api->{http} = P2P::Curl->new(ca => $self->{httpd}->dir . '/tls.pem');
    my $answer = $api->get($SERVER, bearer($self, 'first') =~ /^(\w+): (.*)/);
    die "the definition is answered with $answer->{status}: $answer->{content}\n" if $answer->{status} != 200;
    return $answer->{content};
}

# Claims of a client's token, or others.
sub claims { my ($client, %other) = @_; return { iss => $ISSUER, aud => $AUDIENCE, sub => $client, client_id => $client, scope => 'p2p', exp => time + 3600, %other } }

# The header of a client with a token that is good; claims as claims() takes them.
sub bearer { my ($self, $client, %claims) = @_; return 'Authorization: Bearer ' . sign($self->{keys}{RS256}, claims($client, %claims)) }

# A file of requests, each [path, headers ...].
sub requests {
    my ($self, $name, @requests) = @_;
    return P2P::Httpd::write_file("$self->{dir}/$name.requests", join '', map { "GET " . join("\t", @$_) . "\n" } @requests);
}

# So many connections for so many seconds; rate 0: as fast as they are answered.
sub start_load {
    my ($self, $file, %how) = @_;
    my @command = (P2P::Httpd::builddir() . '/t/bench/http_load', $self->{httpd}->port, $how{connections}, $how{seconds}, $how{rate} // 0, $file);
    open my $out, '-|', @command or die "$command[0]: $!\n";
    return $out;
}

# What came of it: { answered, rate, p50, p99, max (ms), statuses }. All must have been answered with status.
sub finish_load {
    my ($out, $name, @expected) = @_;
    my $got = decode_json(do { local $/; scalar(<$out>) } || '{}');
    close $out or die "http_load failed\n";
    my %other = %{ $got->{statuses} };
    delete @other{@expected};
    die "$name: answers that were not expected: " . encode_json($got) . "\n" if %other || !$got->{answered};
    return $got;
}

# Alone, with the processor time in microseconds that httpd's children took for each answer (cpu).
sub load_once {
    my ($self, $file, $name, %how) = @_;
    my $before = cpu_of($self->{httpd}->pid);
    my $got = finish_load(start_load($self, $file, %how), $name, 200);
    $got->{cpu} = (cpu_of($self->{httpd}->pid) - $before) / $got->{answered} * 1e6;
    return $got;
}

# Seconds of a process's children, ticks of a hundredth.
sub cpu_of {
    my ($parent) = @_;
    my $ticks = 0;
    for my $file (glob '/proc/[0-9]*/stat') {
        my @fields = split ' ', P2P::Httpd::read_file($file) =~ s/^.*\) //r;
        $ticks += $fields[11] + $fields[12] if ($fields[1] // 0) == $parent;
    }
    return $ticks / 100;
}

1;
