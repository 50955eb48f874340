# SPDX-License-Identifier: Apache-2.0
# An httpd with the shipped configuration, conf/p2p.conf, moved to where a test may write: what is tested is the text that an administrator starts from.
package P2P::Shipped;
use strict;
use warnings;
use parent 'P2P::Httpd';
use P2P::Source;

# What p2p.conf says for the main server and for the virtual host: two texts, without comments.
sub _parts {
    my $text = join "\n", grep { !/^\s*#/ } lines_of('conf/p2p.conf');
    my ($vhost) = $text =~ /<VirtualHost [^>]*>\n(.*)<\/VirtualHost>/s;
    my ($main) = $text =~ /^(.*?)^Listen /ms;
    return ($main, $vhost);
}

# conf/NAME.conf: what is to stand in the main server, as a hash; the modules it asks for; its own lines.
sub example {
    my ($name) = @_;
    my @lines = lines_of("conf/$name.conf");
    my %main;
    for my $line (grep { /^#> / } @lines) {
        my ($directive, $value) = $line =~ /^#> (\S+) (.*)/;
        push @{ $main{$directive} }, $value;
    }
    my ($modules) = map { /^# Modules \(a2enmod\): (.*)/ ? $1 : () } @lines;
    return (\%main, [split ' ', $modules // ''], join "\n", grep { !/^#/ } @lines);
}

# As P2P::Httpd->new, and:
#   auth => 'auth-certificate'         that example of conf/ in place of the <Location> parts of p2p.conf
#   replace => { 'text' => 'other' }   changes in both, beside the folder (/etc/p2p)
#   administrators => 'admin'          P2PAdministrators (none, as shipped, or what the example says)
sub new {
    my ($class, %opt) = @_;
    my ($main, $vhost) = _parts();
    my %directives = map { /^(\S+) (.*)/ ? ($1 => [$2]) : () } split /\n/, $main;
    my (@modules, %more);
    if (my $auth = $opt{auth}) {
        my ($wants, $modules, $text) = example($auth);
        $vhost =~ s/^\s*<Location.*<\/Location(?:Match)?>\n//ms;
        $vhost .= $text;
        %more = %$wants;
        @modules = @$modules;
    }
    $directives{P2PAdministrators} = [$opt{administrators}] if $opt{administrators};
    my %loaded = map { $_ => 1 } P2P::Httpd::module_names(), qw(ssl socache_shmcb);
    delete $directives{$_} for qw(DBDriver DBDParams DBDMax P2PTarget P2PSecretKeyFile);    # a test's own
    my $self = $class->SUPER::new(%opt, tls => 1, shipped => $vhost, modules => [(grep { !$loaded{$_}++ } @modules), @{ $opt{modules} // [] }],
        directives => { P2PAdministrators => undef, %{ $opt{directives} // {} } }, shipped_main => { %directives, %more });
    return $self;
}

sub moved {
    my ($self, $text) = @_;
    my $replace = $self->{replace} // {};
    $text =~ s/\Q$_\E/$replace->{$_}/g for sort keys %$replace;
    $text =~ s{/etc/p2p}{$self->{dir}}g;
    return $text;
}

sub directive_lines {
    my ($self) = @_;
    my $main = $self->{shipped_main};
    return ($self->SUPER::directive_lines, map { my $name = $_; map { $self->moved("$name $_") } @{ $main->{$name} } } sort keys %$main);
}

sub vhost_lines {
    my ($self) = @_;
    return ("<VirtualHost $self->{address}:$self->{port}>", "ServerName $self->{address}", split(/\n/, $self->moved($self->{shipped})), '</VirtualHost>');
}

# Passwords where the shipped file has them, made by htpasswd as it says (with less work, since tests call often).
sub make_passwords {
    my ($self) = @_;
    my $file = "$self->{dir}/htpasswd";
    P2P::Httpd::write_file($file, '');
    for my $name (sort keys %{ $self->{users} }) {
        open my $in, '|-', 'sh', '-c', 'exec htpasswd -i -B -C 4 "$@" 2>/dev/null', 'sh', $file, $name or die "htpasswd: $!\n";
        print {$in} $self->{users}{$name};
        close $in or die "htpasswd fails\n";
    }
    return;
}

1;
