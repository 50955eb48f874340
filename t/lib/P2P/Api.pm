# SPDX-License-Identifier: Apache-2.0
# The portal's side of the API: requests, and answers with their JSON.
package P2P::Api;
use strict;
use warnings;
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use P2P::OpenApi;

# Each request has a connection of its own: one that is kept may be closed by httpd in the very moment that a POST goes out on it.
# url as P2P::Httpd tells it; user and password for Basic authentication, or neither.
sub new {
    my ($class, $url, $user, $password) = @_;
    my $self = bless { url => $url, http => HTTP::Tiny->new(timeout => 30, max_redirect => 0, keep_alive => 0) }, $class;
    $self->{authorization} = 'Basic ' . encode_base64("$user:$password", '') if defined $user;
    return $self;
}

# One request. content may be a text or a structure, which is sent as JSON. The answer is HTTP::Tiny's, with json added where there is any. It is held against
# mod_p2p/pages/openapi.json, unless the member or the option unchecked is set: where something else than our routes answers.
sub request {
    my ($self, $method, $path, %opt) = @_;
    my %headers = %{ $opt{headers} // {} };
    my $content = $opt{content};
    $headers{Authorization} //= $self->{authorization} if defined $self->{authorization};
    $content = JSON::PP->new->utf8->canonical->encode($content) if ref $content && ref $content ne 'CODE';
    $headers{'Content-Type'} //= 'application/json' if defined $content;
    delete $headers{$_} for grep { !defined $headers{$_} } keys %headers;
    my $answer = $self->{http}->request($method, $self->{url} . $path,
        { headers => \%headers, (defined $content ? (content => $content) : ()) });
    $answer->{content} //= '';
    $answer->{json} = eval { JSON::PP->new->utf8->decode($answer->{content}) } if ($answer->{headers}{'content-type'} // '') =~ /json/;
    P2P::OpenApi::hold($method, $path, \%headers, ref $content ? undef : $content, $answer) if !$self->{unchecked} && !$opt{unchecked};
    return $answer;
}

sub get  { my ($self, $path, %headers) = @_; return $self->request('GET', $path, headers => \%headers) }
sub post { my ($self, $path, $content, %headers) = @_; return $self->request('POST', $path, content => $content, headers => \%headers) }

# Sends bytes as they are and returns what comes back until the server closes.
sub raw {
    my ($self, $bytes) = @_;
    my ($host, $port) = $self->{url} =~ m{^http://([^:/]+):(\d+)};
    my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 10) or die "$host:$port: $!\n";
    print {$socket} $bytes;
    local $/;
    return scalar <$socket> // '';
}

1;
