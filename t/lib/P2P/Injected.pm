# SPDX-License-Identifier: Apache-2.0
# An httpd in the source role before a real FHIR server, with a recorder between them that keeps the server's own answers: what a client sees is held
# against what the server said.
package P2P::Injected;
use strict;
use warnings;
use parent 'P2P::Inject';
use Compress::Zlib ();
use Digest::MD5 qw(md5_hex);
use IO::Socket::INET;
use JSON::PP;

my $WHO = 'Organization/source-payer';
our $TYPE = 'http://terminology.hl7.org/CodeSystem/provenance-participant-type|author';

# source: a P2P::Hapi. Starts it.
sub before {
    my ($class, $source) = @_;
    my $self = $class->SUPER::new(handler => sub { forward($source->{port}, @_) }, modules => ['deflate'],
        proxy => ['ProxyPreserveHost On', 'ProxyPass /fhir {backend}/fhir disablereuse=on'],
        location => ['P2PProvenanceInjection On', "P2PProvenanceWho $WHO", qq(P2PProvenanceAgentType "$TYPE"),
            'P2PProvenanceProfile http://hl7.org/fhir/us/davinci-pdex/StructureDefinition/pdex-provenance']);
    $self->{source} = $source;
    return $self->start;
}

sub answer_file { my ($dir, $method, $path, $body) = @_; return "$dir/answer-" . md5_hex("$method $path $body") }

# The recorder: the same request, over HTTP/1.0 so that the answer ends with its connection, which is kept and handed on.
sub forward {
    my ($port, $r) = @_;
    my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 60) or POSIX::_exit(1);
    my %headers = (%{ $r->{headers} }, connection => 'close');
    my $text = join "\r\n", "$r->{method} $r->{path} HTTP/1.0", (map { "$_: $headers{$_}" } sort keys %headers), '', $r->{body};
    my $answer = '';
    syswrite $server, $text;
    1 while sysread $server, $answer, 1 << 20, length $answer;
    P2P::Httpd::write_file(answer_file($r->{server}{dir}, @$r{qw(method path body)}), $answer);
    $r->raw($answer);
    POSIX::_exit(0);
}

sub decoded { my ($bytes, $coding) = @_; return ($coding // '') =~ /gzip/ ? Compress::Zlib::memGunzip($bytes) // '' : $bytes }

# What the server said to that request: its body, decoded.
sub said {
    my ($self, @request) = @_;
    my ($head, $body) = split /\r\n\r\n/, P2P::Httpd::read_file(answer_file($self->{server}{dir}, @request)), 2;
    return decoded($body // '', ($head // '') =~ /^content-encoding:\s*(\S+)/mi);
}

# The references that a page's Provenance has to name.
sub named {
    my ($page) = @_;
    my @entries = grep { $_->{resource}{resourceType} ne 'Provenance' && ($_->{search}{mode} // '') ne 'outcome' } @{ $page->{entry} // [] };
    return map { my $version = $_->{resource}{meta}{versionId}; $_->{fullUrl} . (defined $version ? "/_history/$version" : '') } @entries;
}

# Follows all pages. Returns what is wrong with them, their number, and the Provenances that came (as texts). opt: method, content, type, coding.
sub walk {
    my ($self, $path, %opt) = @_;
    my (@faults, @provenances, $pages);
    my ($method, $content) = ($opt{method} // 'GET', $opt{content} // '');
    while (defined $path && $pages++ < 1000) {
        my %headers = (Accept => 'application/fhir+json', Authorization => "Bearer $self->{source}{token}", 'Cache-Control' => 'no-cache',
            ($opt{coding} ? ('Accept-Encoding' => $opt{coding}) : ()), ($method eq 'POST' ? ('Content-Type' => $opt{type}) : ()));
        my $answer = $self->ask($method, $path, headers => \%headers, ($method eq 'POST' ? (content => $content) : ()));
        my ($rest, @added) = P2P::Inject::without_injected(decoded($answer->{content}, $answer->{headers}{'content-encoding'}));
        push @faults, "page $pages: $answer->{status}" if $answer->{status} != 200;
        push @faults, "page $pages: not gzip" if ($opt{coding} // '') eq 'gzip' && ($answer->{headers}{'content-encoding'} // '') ne 'gzip';
        push @faults, "page $pages: other bytes than the server's" if $rest ne $self->said($method, $path, $content);
        my $page = eval { decode_json($rest) } // {};
        push @provenances, my @here = map { JSON::PP->new->utf8->canonical->encode(decode_json($_)->{resource}) } @added;
        my $is = join ' ', sort map { $_->{reference} } map { @{ decode_json($_)->{target} } } @here;
        my $should = join ' ', sort +named($page);
        push @faults, "page $pages: names other entries" if $is ne $should || !@here;
        my ($next) = map { $_->{url} } grep { $_->{relation} eq 'next' } @{ $page->{link} // [] };
        my $base = $self->url;
        push @faults, "page $pages: its next link is not below $base" if defined $next && index($next, "$base/");
        $path = defined $next ? substr $next, length $base : undef;
        ($method, $content) = ('GET', '');
    }
    return { faults => join("\n", @faults), pages => $pages, provenances => \@provenances };
}

1;
