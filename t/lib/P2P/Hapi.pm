# SPDX-License-Identifier: Apache-2.0
# Real HAPI FHIR servers for the interoperability suite: built, started, filled, read, and ended with the test.
package P2P::Hapi;
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use HTTP::Tiny;
use JSON::PP;
use P2P::Compare;
use P2P::Httpd;

my $HERE     = abs_path(dirname(__FILE__) . '/../../interop');
my $PACKAGES = 'openjdk-17-jdk-headless, maven, curl and python3';
my $PATIENCE = 300;     # seconds until a server that does not start, or does not answer, is given up
my $PAGE     = 1000;
my @running;

# Dies with a sentence where a program is missing.
sub check_tools {
    my @missing = grep { system("command -v $_ >/dev/null 2>&1") != 0 } qw(java javac jar mvn curl python3);
    die "The interoperability suite needs @missing; install the Debian packages $PACKAGES.\n" if @missing;
    return;
}

# Where the server is built, once.
sub build_dir { return P2P::Httpd::builddir() . '/hapi' }

sub build {
    check_tools();
    system("$HERE/hapi/hapi", 'build', '--dir', build_dir()) == 0 or die "HAPI FHIR cannot be built; see above.\n";
    return;
}

# name; dir: a folder for its files; token: the one Bearer token that it takes (undef: it asks for none); resthooks: does it
# take Subscriptions. Starts nothing.
sub new {
    my ($class, %opt) = @_;
    my $self = bless { %opt, port => P2P::Httpd::free_port(), owner => $$ }, $class;
    $self->{url} = "http://127.0.0.1:$self->{port}/fhir";
    $self->{http} = HTTP::Tiny->new(timeout => $PATIENCE, max_redirect => 0, keep_alive => 0);
    $self->{$_} = "$self->{dir}/$self->{name}.$_" for qw(pidfile log);
    $self->{tokens} = P2P::Httpd::write_file("$self->{dir}/$self->{name}.tokens", "$self->{token}\n", 0600) if defined $self->{token};
    return $self;
}

# Starts servers side by side and waits until they answer.
sub start_all {
    my (@servers) = @_;
    push @running, @servers;
    my %starting;
    for my $server (@servers) {
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            exec "$HERE/hapi/hapi", 'start', '--dir', build_dir(), '--port', $server->{port}, '--pidfile', $server->{pidfile}, '--log', $server->{log},
                '--wait', $PATIENCE, ($server->{tokens} ? ('--tokens', $server->{tokens}) : ()), ($server->{resthooks} ? ('--resthooks', 'true') : ()) or POSIX::_exit(70);
        }
        $starting{$pid} = $server;
    }
    my @failed = map { waitpid($_, 0) && $? ? $starting{$_}{name} : () } keys %starting;
    die "HAPI FHIR did not start (@failed); see above.\n" if @failed;
    return;
}

sub url { return $_[0]{url} }

# Ends it; a second call does nothing.
sub stop {
    my ($self) = @_;
    return if $self->{owner} != $$ || $self->{stopped}++;
    system "$HERE/hapi/hapi", 'stop', '--pidfile', $self->{pidfile};
    return;
}

END {
    my $code = $?;
    $_->stop for @running;
    $? = $code;
}

# Sends the members' files to the server and returns what load says of each.
sub load {
    my ($self, @arguments) = @_;
    my @command = ("$HERE/load", '--base', $self->{url}, ($self->{tokens} ? ('--token-file', $self->{tokens}) : ()), @arguments);
    open my $out, '-|', @command or die "load: $!\n";
    my @lines = map { decode_json($_) } <$out>;
    close $out or die "HAPI FHIR could not be loaded; see above.\n";
    return @lines;
}

# One request, path relative to the base or a URL; content a text or a structure. Searches are not answered from a cache.
sub request {
    my ($self, $method, $path, $content) = @_;
    my %headers = (Accept => 'application/fhir+json', 'Cache-Control' => 'no-cache');
    $headers{Authorization} = "Bearer $self->{token}" if defined $self->{token};
    $headers{'Content-Type'} = 'application/fhir+json' if defined $content;
    $content = encode_json($content) if ref $content;
    my $url = $path =~ m{^http://} ? $path : "$self->{url}/$path";
    return $self->{http}->request($method, $url, { headers => \%headers, (defined $content ? (content => $content) : ()) });
}

# The same, that has to be answered with 200 or 201; returns the answer's text.
sub call {
    my ($self, @request) = @_;
    my $answer = $self->request(@request);
    die "HAPI FHIR $self->{name}: $request[0] $request[1]: $answer->{status} $answer->{content}\n" if !$answer->{success};
    return $answer->{content};
}

# Calls code with each page of a search, a history or $everything, as text; code returns the page as a tree.
sub each_page {
    my ($self, $url, $code) = @_;
    for (1 .. 1000) {
        my $tree = $code->($self->call('GET', $url));
        my ($next) = grep { P2P::Compare::value_of(P2P::Compare::member($_, 'relation')) eq 'next' } P2P::Compare::items(P2P::Compare::member($tree, 'link'));
        return if !$next;
        $url = P2P::Compare::value_of(P2P::Compare::member($next, 'url'));
    }
    die "HAPI FHIR $self->{name}: too many pages\n";
}

# Everything that the server holds, as P2P::Sandbox's dump: { Type/id => { version, versions, deleted, text } }. The text is without what the
# server itself puts into meta: versionId, lastUpdated, and the id of the request behind meta.source.
sub dump {
    my ($self) = @_;
    my %found;
    $self->each_page("_history?_count=$PAGE", sub {
        my $tree = P2P::Compare::parse($_[0]);
        note_version(\%found, $_) for P2P::Compare::items(P2P::Compare::member($tree, 'entry'));
        return $tree;
    });
    return \%found;
}

# The same of some resources only; those that the server does not have are left out.
sub read_all {
    my ($self, @keys) = @_;
    my %found;
    for my $key (@keys) {
        my $answer = $self->request('GET', $key);
        next if $answer->{status} =~ /^4(?:04|10)$/;
        die "HAPI FHIR $self->{name}: GET $key: $answer->{status} $answer->{content}\n" if !$answer->{success};
        my $tree = P2P::Compare::parse($answer->{content});
        note_version(\%found, ['{', '"fullUrl"', qq("$key"), '"resource"', $tree]);
    }
    return \%found;
}

# A history is in no order that counts here: the highest version stands.
sub note_version {
    my ($found, $entry) = @_;
    my $url = P2P::Compare::value_of(P2P::Compare::member($entry, 'fullUrl')) // P2P::Compare::value_of(P2P::Compare::member(P2P::Compare::member($entry, 'request'), 'url'));
    my ($key) = $url =~ m{([A-Z]\w+/[\w.-]+)(?:/_history/\d+)?$} or die "HAPI FHIR: an odd entry of a history: $url\n";
    my $resource = P2P::Compare::member($entry, 'resource');
    my $version = $resource ? P2P::Compare::value_of(P2P::Compare::member(P2P::Compare::member($resource, 'meta'), 'versionId')) : 0;
    my $there = $found->{$key} //= { version => 0, versions => 0, deleted => 1 };
    $there->{versions}++;
    return if $version <= $there->{version};
    @$there{qw(version deleted text)} = ($version, 0, P2P::Compare::text_of(without_bookkeeping($resource)));
    return;
}

sub without_bookkeeping {
    my ($tree) = @_;
    my $meta = P2P::Compare::member($tree, 'meta');
    for my $name (qw(versionId lastUpdated)) {
        my $at = P2P::Compare::at($meta, $name);
        splice @$meta, $at - 1, 2 if defined $at;
    }
    my $at = P2P::Compare::at($meta, 'source');
    return $tree if !defined $at;
    $meta->[$at] =~ s/#[^#"]*"$/"/;
    splice @$meta, $at - 1, 2 if $meta->[$at] eq '""';
    return $tree;
}

# Puts the statements of t/interop/profiles.json there, so that $validate knows the profiles that our resources name.
sub add_profiles {
    my ($self) = @_;
    $self->call('POST', $self->{url}, P2P::Httpd::read_file("$HERE/profiles.json"));
    return $self->{profiles} = 1;
}

# The errors that $validate finds in a resource (text), against FHIR R4 and, with add_profiles, those profiles that the resource names; one that is not known
# is an error.
sub invalid {
    my ($self, $text) = @_;
    my $doc = decode_json($text);
    my $profiles = $self->{profiles} ? $doc->{meta}{profile} : undef;
    delete $doc->{meta};
    $doc->{meta} = { profile => $profiles } if $profiles;
    my $answer = $self->request('POST', "$doc->{resourceType}/\$validate", $doc);
    my $outcome = eval { decode_json($answer->{content}) } // {};
    return "$doc->{resourceType}: $answer->{status} to \$validate" if ($outcome->{resourceType} // '') ne 'OperationOutcome';
    return map { "$doc->{resourceType}/" . ($doc->{id} // 'new') . ": $_->{diagnostics}" } grep { $_->{severity} =~ /^(?:error|fatal)$/ } @{ $outcome->{issue} };
}

1;
