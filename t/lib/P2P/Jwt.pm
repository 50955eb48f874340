# SPDX-License-Identifier: Apache-2.0
# An issuer's keys and the tokens that it signs with them, right ones and wrong ones; openssl does the arithmetic.
package P2P::Jwt;
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256);
use Exporter qw(import);
use File::Temp qw(tempdir);
use JSON::PP;
use MIME::Base64 qw(encode_base64url);
our @EXPORT_OK = qw(new_key jwk_set sign pack_token ALGORITHMS);

use constant ALGORITHMS => qw(RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512);
my %CURVE = (ES256 => ['P-256', 32], ES384 => ['P-384', 48], ES512 => ['P-521', 66]);
my $json = JSON::PP->new->utf8->canonical;
my $dir;
my $count = 0;

sub run {
    my ($command) = @_;
    my $out = `$command 2>$dir/openssl.log`;
    die "$command: " . do { local (@ARGV, $/) = "$dir/openssl.log"; <> } if $?;
    return $out;
}

# A key for an algorithm (an RSA key does for all of RS and PS): { algorithm, pem (a file), jwk (public), kid }. bits => 2048 of an RSA key.
sub new_key {
    my ($algorithm, $kid, %opt) = @_;
    $dir //= tempdir('p2p-jwt-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $pem = sprintf '%s/%d.pem', $dir, $count++;
    my $bits = $opt{bits} // 2048;
    my $kind = $CURVE{$algorithm} ? "ec -pkeyopt ec_paramgen_curve:$CURVE{$algorithm}[0]" : "rsa -pkeyopt rsa_keygen_bits:$bits";
    run("openssl genpkey -algorithm $kind -out $pem");
    my $key = { algorithm => $algorithm, pem => $pem, kid => $kid };
    $key->{jwk} = { ($CURVE{$algorithm} ? curve_members($key) : rsa_members($key)), use => 'sig', (defined $kid ? (kid => $kid) : ()) };
    return $key;
}

sub rsa_members {
    my ($key) = @_;
    my ($hex) = run("openssl rsa -in $key->{pem} -noout -modulus") =~ /Modulus=([0-9A-F]+)/ or die "no modulus\n";
    return (kty => 'RSA', n => encode_base64url(pack 'H*', $hex), e => 'AQAB');
}

sub curve_members {
    my ($key) = @_;
    my ($name, $size) = @{ $CURVE{ $key->{algorithm} } };
    my $point = substr run("openssl pkey -in $key->{pem} -pubout -outform DER"), -2 * $size;
    return (kty => 'EC', crv => $name, x => encode_base64url(substr $point, 0, $size), y => encode_base64url(substr $point, $size));
}

# The text of a JWK set of the public halves.
sub jwk_set { return $json->encode({ keys => [map { $_->{jwk} } @_] }) }

# What is signed, from a header and claims (hashes, or text as it is).
sub input_of { return join '.', map { encode_base64url(ref $_ ? $json->encode($_) : $_) } @_ }

# A token of parts as they are: header, claims, signature (bytes).
sub pack_token { my ($header, $claims, $signature) = @_; return input_of($header, $claims) . '.' . encode_base64url($signature) }

sub signature_of {
    my ($key, $algorithm, $input) = @_;
    my ($bits) = $algorithm =~ /(\d+)$/;
    my $pss = $algorithm =~ /^PS/ ? '-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest' : '';
    open my $out, '>', "$dir/input" or die "$dir/input: $!\n";
    print {$out} $input;
    close $out;
    my $signature = run("openssl dgst -sha$bits -sign $key->{pem} $pss $dir/input");
    return $CURVE{$algorithm} ? raw_of($signature, $CURVE{$algorithm}[1]) : $signature;
}

# Two numbers in DER as two of a fixed length (RFC 7518 section 3.4).
sub raw_of {
    my ($der, $size) = @_;
    my $at = ord(substr $der, 1, 1) & 0x80 ? 3 : 2;
    my $raw = '';
    for (1 .. 2) {
        my $length = ord substr $der, $at + 1, 1;
        my $number = substr $der, $at + 2, $length;
        $number =~ s/^\0+//;
        $raw .= ("\0" x ($size - length $number)) . $number;
        $at += 2 + $length;
    }
    return $raw;
}

# A signed token. header => {...} replaces members of the header (undef removes them); algorithm => another one than the key's; hmac => the
# secret of a symmetric one.
sub sign {
    my ($key, $claims, %opt) = @_;
    my $algorithm = $opt{algorithm} // $key->{algorithm};
    my %header = (alg => $algorithm, typ => 'at+jwt', kid => $key->{kid}, %{ $opt{header} // {} });
    delete $header{$_} for grep { !defined $header{$_} } keys %header;
    my $input = input_of(\%header, $claims);
    my $signature = defined $opt{hmac} ? hmac_sha256($input, $opt{hmac}) : signature_of($key, $algorithm, $input);
    return "$input." . encode_base64url($signature);
}

1;
