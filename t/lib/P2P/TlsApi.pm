# SPDX-License-Identifier: Apache-2.0
# P2P::Api over https, by P2P::Curl.
package P2P::TlsApi;
use strict;
use warnings;
use parent 'P2P::Api';
use P2P::Curl;

# url as P2P::Httpd tells it; ca: the file of the certificate that httpd is held against; settings: further ones of P2P::Curl.
sub new {
    my ($class, $url, $ca, %settings) = @_;
    my $self = $class->SUPER::new($url);
    $self->{http} = P2P::Curl->new(ca => $ca, settings => \%settings);
    return $self;
}

# The same with a password, or a bearer token.
sub with_password {
    my ($self, $user, $password) = @_;
    return bless { %$self, authorization => P2P::Api->new('', $user, $password)->{authorization} }, ref $self;
}
sub with_token { my ($self, $token) = @_; return bless { %$self, authorization => "Bearer $token" }, ref $self }

1;
