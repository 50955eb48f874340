# SPDX-License-Identifier: Apache-2.0
# Starts t/oidc/provider.js, a real OpenID provider that also keeps the doors of the sandbox's payers, and talks to it.
package P2P::Oidc;
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Open2 qw(open2);
use JSON::PP;

my $folder = abs_path(dirname(__FILE__) . '/../../oidc');

# certificate: { cert, key } as P2P::Sandbox makes one. clients: the provider's, as it takes them. dir: a folder of the test's own.
# program: signin.js in place of provider.js; arguments: its further ones.
sub start {
    my ($class, %opt) = @_;
    die "t/oidc has no node_modules: run npm ci there (./quickstart test does)\n" if !-d "$folder/node_modules/oidc-provider";
    my $clients = "$opt{dir}/clients.json";
    open my $out, '>', $clients or die "$clients: $!\n";
    print {$out} JSON::PP->new->utf8->encode($opt{clients});
    close $out or die "$clients: $!\n";
    my $self = bless { owner => $$ }, $class;
    $self->{pid} = open2($self->{from}, $self->{to}, 'sh', '-c', 'log=$1; shift; exec node "$@" 2>"$log"', 'sh', "$opt{dir}/provider.log",
        "$folder/" . ($opt{program} // 'provider.js'), $opt{certificate}{cert}, $opt{certificate}{key}, $clients, @{ $opt{arguments} // [] });
    $self->{to}->autoflush(1);
    $self->{origin} = $self->answer->{origin};
    return $self;
}

# The next line that is an answer; what the provider has to say besides is passed over.
sub answer {
    my ($self) = @_;
    my $from = $self->{from};
    while (my $line = <$from>) {
        return decode_json($line) if $line =~ /^\{/;
    }
    die "the OpenID provider ended\n";
}

sub tell {
    my ($self, $command, %more) = @_;
    print { $self->{to} } encode_json({ do => $command, %more }), "\n";
    return $self->answer;
}

sub origin { return $_[0]{origin} }

sub stop {
    my ($self) = @_;
    return if !$self->{pid} || $self->{owner} != $$;
    close $self->{to};
    local $?;
    waitpid delete $self->{pid}, 0;
    return;
}

sub DESTROY { my ($self) = @_; return $self->stop }

1;
