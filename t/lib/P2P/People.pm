# SPDX-License-Identifier: Apache-2.0
# An installation at whose pages people sign in: t/oidc/people.js, and an httpd over https that takes its tokens and nothing else.
package P2P::People;
use strict;
use warnings;
use File::Temp qw(tempdir);
use P2P::Databases;
use P2P::Httpd;
use P2P::Oidc;
use P2P::TlsApi;

my @DEFINITIONS = ({ name => 'Payer A', issuer => 'https://a.example', clientId => 'c', fhirEndpoint => 'https://a.example/fhir', responseType => 'code' });

# Starts both, and waits until the pages know where people sign in. httpd: more of P2P::Httpd.
sub start {
    my ($class, %opt) = @_;
    my $dir = tempdir('p2p-people-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    chmod 0755, $dir;
    P2P::Httpd::make_certificate("$dir/tls");
    my $ca = "$dir/tls.pem";
    chmod 0644, $ca;
    # The provider's clients name the port that httpd will have: it is reserved for this process.
    my $httpd = P2P::Httpd->new(db => P2P::Databases::sqlite(), tls => 1, directives => { P2PRunners => 1, P2PCAFile => $ca }, %{ $opt{httpd} // {} });
    my $provider = P2P::Oidc->start(dir => $dir, program => 'people.js', certificate => { cert => $ca, key => "$dir/tls.key" }, clients => [
        { client_id => 'pages', redirect_uris => [map { $httpd->url . $_ } '/console/', '/swagger/oauth2-redirect.html'], grant_types => ['authorization_code'] },
        { client_id => 'portal', client_secret => 'THE-SECRET', token_endpoint_auth_method => 'client_secret_basic', grant_types => ['client_credentials'],
            redirect_uris => [], response_types => [] }]);
    my $origin = $provider->origin;
    $httpd->{main} = ["P2PTrustIssuer $origin audience=p2p portal=p2p.portal administration=p2p.admin", "P2PSignIn $origin pages openid p2p.portal p2p.admin"];
    $httpd->{vhost} = ['<Location "/">', 'AuthType Bearer', 'AuthName p2p', 'Require p2p-role portal', 'AuthzSendForbiddenOnFailure On', '</Location>',
        '<LocationMatch ^/(health$|openapi\.json$|swagger/|console/|$)>', 'AuthType None', 'Require all granted', '</LocationMatch>'];
    $httpd->write_config;
    $httpd->expect_log(qr/AH01631/, qr/\[ssl:warn\].*(?:AH01906|AH01873)/);
    $httpd->prepare(\@DEFINITIONS)->start;
    my $self = bless { httpd => $httpd, provider => $provider, ca => "$httpd->{dir}/tls.pem", provider_ca => $ca }, $class;
    my $api = P2P::TlsApi->new($httpd->url, $self->{ca});
    $httpd->wait_for(sub { ($api->get('/console/sign-in.json')->{json} // {})->{signIn} }, 60) or die "nobody tells where people sign in\n" . $httpd->log_text;
    return $self;
}

sub url    { return $_[0]{httpd}->url }
sub origin { return $_[0]{provider}->origin }

# An access token of the portal's.
sub token {
    my ($self) = @_;
    my $answer = P2P::TlsApi->new($self->origin, $self->{provider_ca})->with_password('portal', 'THE-SECRET')->request('POST', '/token', unchecked => 1,
        content => 'grant_type=client_credentials&scope=p2p.portal', headers => { 'Content-Type' => 'application/x-www-form-urlencoded' });
    return $answer->{json}{access_token} // die "no token: $answer->{content}\n";
}

# What flows may ask of the provider.
sub answers {
    my ($self) = @_;
    my $provider = $self->{provider};
    return { events => sub { return $provider->tell('events') }, answer => sub { return $provider->tell('answer', with => $_[0]) } };
}

sub stop { my ($self) = @_; $self->{httpd}->stop; $self->{provider}->stop; return }

1;
