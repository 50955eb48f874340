# SPDX-License-Identifier: Apache-2.0
# A CA of a test's own, and certificates of it, by the program openssl.
package P2P::Certificates;
use strict;
use warnings;
use P2P::Httpd;

sub _openssl {
    my (@arguments) = @_;
    my $line = join ' ', map { quotemeta } 'openssl', @arguments;
    my $log = `$line 2>&1`;
    die "openssl @arguments: $log" if $?;
    return;
}

# dir: where it may write; name: the CA's, and of its files.
sub new {
    my ($class, $dir, $name) = @_;
    my $self = bless { dir => $dir, name => $name, ca => "$dir/$name.pem" }, $class;
    _openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 -subj), "/CN=$name", '-addext', 'keyUsage=critical,keyCertSign,cRLSign',
        '-keyout', "$dir/$name.key", '-out', $self->{ca});
    return $self;
}

sub ca { return $_[0]{ca} }

# Settings of P2P::Curl for a client certificate of this common name. file: its files' name (the common name); days: how long it lives, negative where it is
# over; usage: what it may be used for (clientAuth).
sub client {
    my ($self, $cn, %opt) = @_;
    my $base = "$self->{dir}/$self->{name}-" . ($opt{file} // $cn);
    _openssl(qw(req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj), "/O=callers/CN=$cn", '-keyout', "$base.key", '-out', "$base.csr");
    P2P::Httpd::write_file("$base.ext", "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=" . ($opt{usage} // 'clientAuth') . "\n");
    _openssl(qw(x509 -req -CAcreateserial -days), $opt{days} // 2, '-in', "$base.csr", '-CA', $self->{ca}, '-CAkey', "$self->{dir}/$self->{name}.key",
        '-extfile', "$base.ext", '-out', "$base.pem");
    return (cert => "$base.pem", key => "$base.key");
}

1;
