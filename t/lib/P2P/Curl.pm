# SPDX-License-Identifier: Apache-2.0
# HTTP::Tiny's request for https, done by the program curl: Perl's own TLS is a package that the tests do without.
package P2P::Curl;
use strict;
use warnings;
use File::Temp;

# ca: file of the certificates that are trusted. settings: { cert => FILE, ... }, further ones of curl's configuration; undef for those without a value.
sub new { my ($class, %opt) = @_; return bless {%opt}, $class }

sub quoted { my ($text) = @_; return '"' . ($text =~ s/([\\"])/\\$1/gr) . '"' }

# As HTTP::Tiny: { status, headers, content }, status 599 where nobody answered. Nothing of it stands in the list of processes.
sub request {
    my ($self, $method, $url, $opt) = @_;
    my %file = map { $_ => File::Temp->new } qw(config body head answer);
    my @lines = ("url = " . quoted($url), "request = $method", 'silent', 'show-error', 'noproxy = "*"', 'max-time = 60',
        'path-as-is', 'cacert = ' . quoted($self->{ca}), "dump-header = $file{head}", "output = $file{answer}");
    my $settings = $self->{settings} // {};
    push @lines, map { defined $settings->{$_} ? "$_ = " . quoted($settings->{$_}) : $_ } sort keys %$settings;
    push @lines, 'head' if $method eq 'HEAD';
    push @lines, map { 'header = ' . quoted("$_: $opt->{headers}{$_}") } sort keys %{ $opt->{headers} // {} };
    if (defined $opt->{content}) {
        print { $file{body} } $opt->{content};
        push @lines, 'data-binary = "@' . $file{body} . '"';
    }
    print { $file{config} } map { "$_\n" } @lines;
    $_->flush for @file{qw(config body)};
    my $said = qx{curl --config '$file{config}' 2>&1};
    return { status => 599, success => 0, headers => {}, content => $said } if $?;
    return answer_of(map { my $handle = $file{$_}; local $/; scalar(<$handle>) // '' } qw(head answer));
}

# Of several heads the last one counts: 100 Continue may come before it.
sub answer_of {
    my ($heads, $content) = @_;
    my ($head) = reverse grep { /\S/ } split /\r?\n\r?\n/, $heads;
    my ($status) = $head =~ m{^HTTP/\S+ (\d{3})};
    my %headers = map { /^([^:\s]+):\s*(.*?)\s*$/ ? (lc $1 => $2) : () } split /\r?\n/, $head;
    return { status => $status, success => $status =~ /^2/ ? 1 : 0, headers => \%headers, content => $content };
}

1;
