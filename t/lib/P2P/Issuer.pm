# SPDX-License-Identifier: Apache-2.0
# An authorization server that publishes what a test says: its document, its keys, and its word about opaque tokens.
package P2P::Issuer;
use strict;
use warnings;
use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use P2P::Hostile;
use P2P::Httpd;

sub start {
    my ($class) = @_;
    my $self = bless { dir => tempdir('p2p-issuer-XXXXXX', TMPDIR => 1, CLEANUP => 1) }, $class;
    $self->publish('keys', { keys => [] });
    $self->publish('words', {});
    $self->{server} = P2P::Hostile->start(1, sub { $self->answer(@_) });
    return $self;
}

sub issuer { return $_[0]{server}->origin }

# What it says from now on: keys (a JWK set, as text or structure), words (token => its introspection), document (members of its document; undef: none).
sub publish {
    my ($self, $name, $what) = @_;
    P2P::Httpd::write_file("$self->{dir}/new", ref $what ? encode_json($what) : $what);
    rename "$self->{dir}/new", "$self->{dir}/$name" or die "$self->{dir}/$name: $!\n";
    return;
}

# Answers 503 to everything (1), or as it should (0).
sub break { my ($self, $broken) = @_; return $broken ? $self->publish('broken', '1') : unlink "$self->{dir}/broken" }

sub answer {
    my ($self, $request) = @_;
    my $json = 'Content-Type: application/json';
    return $request->reply(503, '{}', $json) if -e "$self->{dir}/broken";
    my $issuer = "http://127.0.0.1:$request->{port}";
    my %document = (issuer => $issuer, jwks_uri => "$issuer/jwks", introspection_endpoint => "$issuer/introspect",
        authorization_endpoint => "$issuer/authorize", token_endpoint => "$issuer/token");
    my $more = P2P::Httpd::read_file("$self->{dir}/document");
    %document = (%document, %{ decode_json($more) }) if $more ne '';
    delete $document{$_} for grep { !defined $document{$_} } keys %document;
    return $request->reply(200, encode_json(\%document), $json) if $request->{path} eq '/.well-known/openid-configuration';
    return $request->reply(200, P2P::Httpd::read_file("$self->{dir}/keys"), $json) if $request->{path} eq '/jwks';
    return $self->introspect($request) if $request->{path} eq '/introspect';
    return $request->reply(404, '{}', $json);
}

# Of the client us alone, by Basic.
sub introspect {
    my ($self, $request) = @_;
    my $json = 'Content-Type: application/json';
    my ($basic) = ($request->{headers}{authorization} // '') =~ /^Basic (\S+)$/;
    return $request->reply(401, '{"error":"invalid_client"}', $json) if ($basic // '') eq '' || decode_base64($basic) ne 'us:THE-SECRET';
    my ($token) = $request->{body} =~ /(?:^|&)token=([^&]*)/;
    $token =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    my $words = decode_json(P2P::Httpd::read_file("$self->{dir}/words"));
    return $request->reply(200, encode_json($words->{$token} // { active => JSON::PP::false }), $json);
}

# How often a path was asked for.
sub asked { my ($self, $path) = @_; return scalar grep { $_->{path} eq $path } $self->{server}->requests }

sub stop { my ($self) = @_; $self->{server}->stop; return }

1;
