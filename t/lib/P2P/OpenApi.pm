# SPDX-License-Identifier: Apache-2.0
# Holds requests and answers against mod_p2p/pages/openapi.json: what it does not tell must not happen.
package P2P::OpenApi;
use strict;
use warnings;
use Digest::MD5 qw(md5);
use Encode qw(encode_utf8);
use P2P::Source;

# Routes that serve pages to browsers, and no operation: what they answer is t/api/pages.t's.
sub pages { return ('/', '/swagger/*', '/console/*') }

# What httpd itself may say to any request, whatever the operation: the answer "default" tells how.
my %OWN = map { $_ => 1 } qw(405 408 411 412 413 414 417 431 501 505);
# Of what is not told of at all (another path, another method, OPTIONS) these may be said, as problems.
my %ELSEWHERE = (%OWN, map { $_ => 1 } qw(400 401 403 404 429 500 503));
# Headers that an answer has only where it is told.
my @TOLD = qw(ETag Location Retry-After Allow);

my ($doc, $validator, @paths, %operations, %good, @faults);

# ---- Reading the document ----

sub _at {
    my ($thing) = @_;
    while (ref $thing eq 'HASH' && $thing->{'$ref'}) {
        my (undef, @way) = split m{/}, $thing->{'$ref'};
        $thing = $doc;
        $thing = $thing->{$_} for @way;
    }
    return $thing;
}

# All of a schema, references followed, each once.
sub _walk {
    my ($schema, $visit, $seen) = @_;
    return if !ref $schema || $seen->{$schema}++;
    if (ref $schema eq 'HASH') {
        return _walk(_at($schema), $visit, $seen) if $schema->{'$ref'};
        $visit->($schema);
        _walk($_, $visit, $seen) for values %$schema;
    } elsif (ref $schema eq 'ARRAY') {
        _walk($_, $visit, $seen) for @$schema;
    }
    return;
}

sub _is_object { my ($schema) = @_; return ref $schema->{properties} eq 'HASH' && !ref $schema->{type} && ($schema->{type} // '') eq 'object' }

# Clients have to live with members that they do not know; here one that is not told of is a fault.
sub _close_answers {
    my (%of_requests, %seen);
    my @operations = map { values %{ $operations{$_} } } keys %operations;
    _walk([map { $_->{schema} } map { values %{ _at($_->{requestBody} // {})->{content} // {} } } @operations], sub { $of_requests{ $_[0] } = 1 if _is_object($_[0]) }, {});
    my @answers = map { map { _at($_) } values %{ $_->{responses} } } @operations;
    _walk([map { $_->{schema} } map { values %{ $_->{content} // {} } } @answers], sub {
        my ($schema) = @_;
        return if !_is_object($schema);
        die "openapi.json: a schema serves for what is sent and for answers\n" if $of_requests{$schema};
        $schema->{additionalProperties} = JSON::PP::false() if !exists $schema->{additionalProperties};
    }, \%seen);
    return;
}

# A path's template as a pattern: what an {id} may be is its parameter's schema.
sub _pattern {
    my ($path, $item) = @_;
    my ($any) = grep { ref $_ eq 'HASH' && $_->{parameters} } values %$item;
    my %schema = map { $_->{name} => _at($_->{schema}) } map { _at($_) } @{ $any->{parameters} // [] };
    my $pattern = join '', map {
        !/^\{(.*)\}$/ ? quotemeta : ($schema{$1}{type} // '') eq 'integer' ? '[1-9][0-9]{0,17}' : '[^/]+'
    } split /(\{\w+\})/, $path;
    return qr/^$pattern$/;
}

# Only what validates: examples and words are left out, since every schema of what is given is looked at.
sub _load {
    return if $doc;
    require JSON::Validator::Schema::Draft201909;
    require Mojo::JSON;
    require JSON::PP;
    $doc = Mojo::JSON::decode_json(join "\n", lines_of('mod_p2p/pages/openapi.json'));
    for my $path (sort { ($a =~ tr/{//) <=> ($b =~ tr/{//) || $a cmp $b } keys %{ $doc->{paths} }) {
        push @paths, [_pattern($path, $doc->{paths}{$path}), $path];
        $operations{$path} = { map { /^[a-z]+$/ && ref $doc->{paths}{$path}{$_} eq 'HASH' ? (uc $_ => $doc->{paths}{$path}{$_}) : () } keys %{ $doc->{paths}{$path} } };
    }
    _close_answers();
    my @schemas;
    _walk({ paths => $doc->{paths}, map { $_ => $doc->{components}{$_} } qw(responses parameters headers) },
        sub { push @schemas, $_[0]{schema} if ref $_[0]{schema} eq 'HASH'; delete @{ $_[0] }{qw(example examples)} }, {});
    $validator = JSON::Validator::Schema::Draft201909->new->recursive_data_protection(0);
    $validator->formats({ %{ $validator->formats }, int64 => sub { undef } });    # 18 digits at most: Perl has them
    $validator->resolve({ components => { schemas => $doc->{components}{schemas} }, all => \@schemas });
    return;
}

# ---- Finding what a request is about ----

# The path as httpd takes it, without its query. What is below /hooks/task is one thing there.
sub _plain {
    my ($path) = @_;
    $path =~ s/[?#].*//s;
    $path =~ s/%(?!2f)([0-9a-f]{2})/chr hex $1/gei;    # an encoded slash is one to nobody
    $path =~ s{/+}{/}g;
    1 while $path =~ s{/\.(?=/|$)}{} || $path =~ s{/[^/]+/\.\.(?=/|$)}{};
    return $path;
}

# The operations of a path by method; undef where there are none.
sub _find {
    my ($path) = @_;
    my ($found) = grep { $path =~ $_->[0] } @paths;
    return $operations{ $found->[1] } if $found && $found->[1] !~ m{^/hooks/};
    return if $path !~ m{^/hooks/task(?:/|$)};
    return { map { %{ $operations{$_} } } grep { m{^/hooks/} } sort keys %operations };
}

sub _is_page { my ($path) = @_; return grep { m{^(.*)/\*$} ? $path =~ m{^\Q$1\E(?:/|$)} : $path eq $_ } pages() }

# ---- Judging ----

sub _faults { my ($where, $data, $schema) = @_; return map { $where . $_->path . ': ' . $_->message } $validator->validate($data, $schema) }

sub _type { my ($header) = @_; return lc(($header // '') =~ s/\s*;.*//sr) }

# A header's text as its schema knows it.
sub _value { my ($text, $schema) = @_; return (_at($schema)->{type} // '') eq 'integer' && $text =~ /^\d{1,18}$/ ? 0 + $text : $text }

sub _header_faults {
    my ($told, $headers) = @_;
    my @faults;
    for my $name (sort keys %$told) {
        my ($header, $text) = (_at($told->{$name}), $headers->{ lc $name });
        if (defined $text) { push @faults, _faults("the header $name", _value($text, $header->{schema}), $header->{schema}) }
        elsif ($header->{required}) { push @faults, "the header $name is missing" }
    }
    push @faults, map { "the header $_ is not told of" } grep { defined $headers->{ lc $_ } && !$told->{$_} } @TOLD;
    return @faults;
}

# An answer that is told of.
sub _answer_faults {
    my ($method, $told, $answer) = @_;
    my $headers = $answer->{headers};
    my @faults = _header_faults($told->{headers} // {}, $headers);
    my $type = _type($headers->{'content-type'});
    my $content = $answer->{content} // '';
    if (!$told->{content}) {
        push @faults, 'a body is not told of' if length $content;
        return @faults;
    }
    my $media = $told->{content}{$type} or return (@faults, "the content type '$type' is not told of");
    return @faults if $method eq 'HEAD';
    return @faults if $headers->{'content-encoding'};
    my $known = md5("$media " . (utf8::is_utf8($content) ? encode_utf8($content) : $content));
    return @faults if $good{$known};
    my $data = $answer->{json} // eval { JSON::PP->new->utf8->allow_nonref->decode($content) };
    my @wrong = defined $data ? _faults('', $data, $media->{schema}) : 'the body is no JSON';
    $good{$known} = 1 if !@wrong;
    return (@faults, @wrong);
}

# What a request that was taken has to be.
sub _request_faults {
    my ($operation, $query, $headers, $content) = @_;
    return if $operation->{'x-role'} eq 'hook';    # whatever comes is taken
    my %parameters = map { ("$_->{in} $_->{name}" => $_) } map { _at($_) } @{ $operation->{parameters} // [] };
    my @faults;
    for my $pair (split /&/, $query // '') {
        my ($name, $value) = map { s/\+/ /gr =~ s/%([0-9a-fA-F]{2})/chr hex $1/ger } split /=/, $pair, 2;
        my $told = $parameters{"query $name"};
        push @faults, $told ? map { "the query's $name$_" } _faults('', _value($value // '', $told->{schema}), $told->{schema}) : "the query's $name is not told of";
    }
    my $body = _at($operation->{requestBody}) or return @faults;
    if (!length($content // '')) {
        push @faults, 'a body is required' if $body->{required};
        return @faults;
    }
    my ($type) = map { _type($headers->{$_}) } grep { lc($_) eq 'content-type' } keys %$headers;
    my $media = $body->{content}{$type} // (($type // '') =~ /\+json$/ ? $body->{content}{'application/json'} : undef) or return (@faults, 'the content type of the request is not told of');
    my $data = eval { JSON::PP->new->utf8->allow_nonref->decode($content) };
    push @faults, defined $data ? map { "the request's body$_" } _faults('', $data, $media->{schema}) : 'the body of the request is no JSON';
    return @faults;
}

# What httpd says of its own accord, or for what is not there.
sub _elsewhere_faults {
    my ($method, $methods, $answer, $statuses) = @_;
    my $status = $answer->{status};
    if ($method eq 'OPTIONS' && $status == 204) {
        return 'OPTIONS is answered for a path that is not told of' if !$methods;
        return _allow_faults($methods, $answer->{headers}{'access-control-allow-methods'} // $answer->{headers}{allow});
    }
    return "the status $status is not told of" if !$statuses->{$status};
    return 'a path that is told of is not found' if $status == 404 && $methods && $method ne 'OPTIONS';
    my @faults = $status == 405 && $methods ? _allow_faults($methods, $answer->{headers}{allow}) : ();
    my %headers = map { $_ => { schema => { type => 'string' } } } qw(Allow Location Retry-After);
    return (@faults, _answer_faults($method, { headers => \%headers, content => { 'application/problem+json' => { schema => $doc->{components}{schemas}{Problem} } } }, $answer))
        if !$methods || !$methods->{$method} || $status == 405;
    return (@faults, _answer_faults($method, _at($methods->{$method}{responses}{default}), $answer));
}

sub _allow_faults {
    my ($methods, $allow) = @_;
    my @told = sort 'OPTIONS', (map { $_ eq 'GET' ? qw(GET HEAD) : $_ } keys %$methods);
    my @said = sort split /,\s*/, $allow // '';
    return "@told" eq "@said" ? () : "Allow has @said, and @told are told of";
}

# What is wrong with an answer (HTTP::Tiny's, with json) to a request, or with a request that was taken: sentences with JSON pointers. content is text or undef.
sub faults {
    my ($method, $path, $headers, $content, $answer) = @_;
    my $status = $answer->{status};
    return if $status == 599;    # nobody answered
    _load();
    my ($query) = $path =~ /\?([^#]*)/;
    my $methods = _find(_plain($path));
    return if !$methods && (_is_page($path) || _is_page(_plain($path)));
    my $name = $method eq 'HEAD' ? 'GET' : $method;
    my $operation = $methods && $methods->{$name};
    return _elsewhere_faults($method, $methods, $answer, \%ELSEWHERE) if !$operation;
    my $told = $operation->{responses}{$status};
    return $OWN{$status} ? _elsewhere_faults($name, $methods, $answer, \%OWN) : "the status $status is not told of" if !$told;
    my @faults = _answer_faults($method, _at($told), $answer);
    push @faults, _request_faults($operation, $query, $headers, $content) if $status =~ /^2/;
    return @faults;
}

# What is wrong with a document as an example of an operation: as its body, or as an answer that is good; where it is neither, of what comes nearest.
sub example_faults {
    my ($method, $path, $data) = @_;
    _load();
    my $operation = (_find($path) // {})->{$method} or return "there is no $method $path";
    my @bodies = (_at($operation->{requestBody} // {}), map { _at($operation->{responses}{$_}) } grep { /^2/ } sort keys %{ $operation->{responses} });
    my @found = sort { @$a <=> @$b } map { [_faults('', $data, $_->{schema})] } map { values %{ $_->{content} // {} } } @bodies;
    return @found ? @{ $found[0] } : 'it has no documents';
}

# Dies where something is wrong, and sees to it that the test fails even where somebody catches that.
sub hold {
    my ($method, $path, $headers, $content, $answer) = @_;
    my @found = faults($method, $path, $headers, $content, $answer) or return;
    splice @found, 5, @found, '...' if @found > 5;
    my $said = "openapi.json and what happened differ: $method $path, $answer->{status}: " . join('; ', @found);
    push @faults, $said;
    die "$said\n    " . substr($answer->{content} // '', 0, 500) . "\n";
}

END {
    if (@faults) {
        print {*STDERR} map { "# $_\n" } @faults;
        $? = 1 if !$?;
    }
}

1;
