# SPDX-License-Identifier: Apache-2.0
# The source role's stage: an httpd that proxies a FHIR server, which is a P2P::Hostile that answers whatever a test says.
package P2P::Inject;
use strict;
use warnings;
use parent 'P2P::Httpd';
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use P2P::Hostile;

my $WHO     = 'Organization/123';
my $PATIENCE = 60;

# handler: what the server behind does, given a P2P::Hostile::Request. Its port is the first of servers' one port. Options of P2P::Httpd, and:
#   location => [lines]    the source role's directives (On, with a who) of <Location /fhir>
#   after => [lines]       what comes behind it
#   proxy => [lines]       in place of ProxyPass /fhir; {backend} is the server's origin
#   backend => URL         a server behind that is there already
sub new {
    my ($class, %opt) = @_;
    my $server = $opt{handler} ? P2P::Hostile->start(1, $opt{handler}) : undef;
    my $backend = $opt{backend} // $server->origin;
    my $self = $class->SUPER::new(db => { driver => 'none', params => '' }, %opt, server => $server, behind => $backend,
        modules => [qw(proxy proxy_http), ($opt{tls} ? () : 'socache_shmcb'), @{ $opt{modules} // [] }]);
    return $self;
}

# Nothing of the target's role.
sub directive_lines { my ($self) = @_; return map { "$_ $self->{directives}{$_}" } sort keys %{ $self->{directives} // {} } }

sub vhost_lines {
    my ($self) = @_;
    my @proxy = map { s/\{backend\}/$self->{behind}/gr } @{ $self->{proxy} // ['ProxyPass /fhir {backend}/fhir disablereuse=on'] };
    my @tls = ('SSLEngine on', "SSLCertificateFile $self->{dir}/tls.pem", "SSLCertificateKeyFile $self->{dir}/tls.key");
    return (
        "<VirtualHost $self->{address}:$self->{port}>", "ServerName $self->{address}", ($self->{tls} ? @tls : ()), @proxy,
        @{ $self->{vhost} // [] },
        '<Location /fhir>', @{ $self->{location} // ['P2PProvenanceInjection On', "P2PProvenanceWho $WHO"] }, '</Location>', @{ $self->{after} // [] }, '</VirtualHost>',
    );
}

# What the server behind was asked, the last request or all: { method, path, headers, body }. Its handler notes it by note_request.
sub note_request {
    my ($r) = @_;
    open my $out, '>>', "$r->{server}{dir}/seen" or die "seen: $!\n";
    syswrite $out, encode_json({ map { $_ => $r->{$_} } qw(method path headers body) }) . "\n";
    return;
}

sub seen {
    my ($self) = @_;
    return map { decode_json($_) } split /\n/, P2P::Httpd::read_file("$self->{server}{dir}/seen");
}

# As HTTP::Tiny's request, on a connection of its own, path below the virtual host.
sub ask {
    my ($self, $method, $path, %opt) = @_;
    my $http = HTTP::Tiny->new(timeout => $PATIENCE, max_redirect => 0, keep_alive => 0);
    return $http->request($method, $self->url . $path, \%opt);
}

sub get { my ($self, $path, %headers) = @_; return $self->ask('GET', $path, headers => \%headers) }

# An open connection to httpd after a request was sent on it.
sub connection {
    my ($self, $text) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $self->{address}, PeerPort => $self->{port}, Timeout => $PATIENCE) or die "httpd: $!\n";
    syswrite $socket, $text;
    return $socket;
}

my $VALUE = qr/(?<value>\{(?:[^{}"]++|"(?:[^"\\]++|\\.)*+"|(?&value))*+\})/s;

# A Bundle's text without the entries that were put in, and these: (text, entries...).
sub without_injected {
    my ($text) = @_;
    my @added;
    my $at = 0;
    while ((my $begin = index $text, ',{"fullUrl":"urn:uuid:', $at) >= 0) {
        pos($text) = $begin + 1;
        $text =~ /\G$VALUE/gc or last;
        my $entry = $+{value};
        $at = $begin + 1;
        next if index($entry, '"resource":{"resourceType":"Provenance"') < 0;
        push @added, $entry;
        substr $text, $begin, 1 + length $entry, '';
        $at = $begin;
    }
    return ($text, @added);
}

sub DESTROY {
    my ($self) = @_;
    local $?;    # the program that ends has its own
    $self->SUPER::DESTROY;
    $self->{server}->stop if $self->{server} && $self->{owner} == $$;
    return;
}

1;
