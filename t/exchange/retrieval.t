#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What sources do with pages: redirects, links of all forms and to names that only count inside, links that expire, totals that are wrong, pages
# without end. All of it arrives, once; and where it cannot, a sentence says why and what to do.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use P2P::Compare;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use Test::More;

my $PATIENT = 'the-member-of-the-source';
my $INSIDE = 'http://fhir.internal:8080/fhir';
my $dir = tempdir('p2p-retrieval-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $file = write_data("$dir/member.ndjson", tangled_member(40, 5, $PATIENT)->{lines});
my $ALL = '$everything';
my $PAGES = '_getpages=';

sub rule { my ($do, $match, %more) = @_; return { do => $do, match => "GET $match", %more } }

# name => { faults of the source (code: where its address is needed), directives, notes => { code => how many }, code and sentence of the failure }
my %CASES = (
    'redirect'           => { faults => sub { rule(redirect => $ALL, location => "$_[0]/Patient/$PATIENT/$ALL?_count=10") } },
    'redirect-307-page'  => { faults => sub { rule(redirect => $PAGES, nth => 2, status => 307, location => "/fhir/Patient/$PATIENT/$ALL?_count=10") }, notes => { 'total-differs' => 1 } },
    'redirect-twice'     => { faults => sub { map { rule(redirect => $ALL, nth => $_, status => 308, location => "$_[0]/Patient/$PATIENT/$ALL?_count=1$_") } 1, 2 } },
    'redirect-self'      => { faults => sub { rule(redirect => $ALL, count => 0, location => "$_[0]/Patient/$PATIENT/$ALL") }, code => 'redirect-loop', like => qr/circle/ },
    'redirect-loop'      => { faults => sub { my $n = 0; map { rule(redirect => $ALL, nth => $n++ % 2 + 1, every => 2, count => 0, location => "$_[0]/Patient/$PATIENT/$ALL?n=$_") } 1, 2 }, code => 'redirect-loop', like => qr/circle/ },
    'redirect-endless'   => { faults => sub { map { rule(redirect => $ALL, nth => $_, location => "$_[0]/Patient/$PATIENT/$ALL?n=$_") } 1 .. 8 }, code => 'too-many-redirects', like => qr/more than 5/ },
    'redirect-bad'       => { faults => sub { rule(redirect => $ALL, location => 'gopher://x/') }, code => 'redirect-unusable', like => qr/redirect/ },
    'redirect-listed'    => { faults => sub { rule(redirect => $ALL, location => "LISTED/Patient/$PATIENT/$ALL?_count=10") }, notes => { 'total-differs' => 0 } },
    'expired-410'        => { faults => sub { rule(status => $PAGES, nth => 2, status => 410) }, notes => { expired => 1 } },
    'expired-404'        => { faults => sub { rule(status => $PAGES, nth => 3, status => 404) }, notes => { expired => 1 } },
    'expired-400'        => { faults => sub { rule(status => $PAGES, nth => 1, status => 400) }, notes => { expired => 1 } },
    'expired-often'      => { faults => sub { rule(status => $PAGES, nth => 3, every => 5, status => 410, count => 3) }, notes => { expired => 3 } },
    'expired-always'     => { faults => sub { rule(status => $PAGES, nth => 3, status => 410, count => 0) }, code => 'pages-expire', like => qr/begun anew 3 times.*order less/, notes => { expired => 3 } },
    'total-more'         => { faults => sub { rule('wrong-total' => '*', to => 7, count => 0) }, notes => { 'total-differs' => 1 } },
    'total-less'         => { faults => sub { rule('wrong-total' => '*', to => -7, count => 0) }, notes => { 'total-differs' => 1 } },
    'total-last'         => { directives => ['SandboxTotal last'], notes => { 'total-differs' => 0 } },
    'total-last-wrong'   => { directives => ['SandboxTotal last'], faults => sub { rule('wrong-total' => '*', to => 1, count => 0) }, notes => { 'total-differs' => 1 } },
    'total-none'         => { directives => ['SandboxTotal none'], notes => { 'total-differs' => 0 } },
    'total-cut'          => { faults => sub { rule(cut => $PAGES, nth => 2, after => 900) }, notes => { 'total-differs' => 0 } },
    'endless'            => { faults => sub { rule(endless => '*', count => 0) }, code => 'nothing-new', like => qr/10\d\d in a row brought nothing new/ },
    'xml-links'          => { faults => sub { (rule('xml-links' => '*', count => 0), rule(status => 'xml', status => 406, count => 0)) } },
    'links-relative'     => { directives => ['SandboxNextLink relative', 'SandboxNextPad 4096'] },
    'links-query'        => { directives => ['SandboxNextLink query', 'SandboxLinkLast On'] },
    'inside-told'        => { directives => ['SandboxNextLink internal-host', "SandboxImplementationUrl $INSIDE"], implementation => $INSIDE },
    'inside-shown'       => { directives => ["SandboxBaseUrl $INSIDE"] },
    'inside-shown-late'  => { directives => ["SandboxBaseUrl $INSIDE", 'SandboxLinkLast On'] },
    'short-lived'        => { directives => ['SandboxTokenLifetime 2', 'SandboxDelay 150', 'SandboxNextPad 1'], faults => sub { rule(status => $PAGES, every => 2, status => 429, retryAfter => 1, count => 3) }, refreshes => 1 },
    'waits-too-long'     => { faults => sub { rule(status => $PAGES, nth => 2, status => 503, retryAfter => 100_000, count => 0) }, code => 'source-answered', like => qr/503/ },
);

my $sandbox = P2P::Exchange::sandbox(
    (map { { name => $_, data => [$file], directives => ['SandboxPageSize 10', @{ $CASES{$_}{directives} // [] }] } } sort keys %CASES),
    { name => 'plain', data => [$file], directives => ['SandboxPageSize 10'] },
    { name => 'target', role => 'target' },
);
# Another origin, that demands no token.
my $files = P2P::Sandbox->start(payers => [{ name => 'files', data => [$file], directives => ['SandboxPageSize 10'] }]);

# What a source would give if it were well.
sub expectation {
    my ($x, $name) = @_;
    my $case = $CASES{$name};
    my $twin = $x->expect('plain', $PATIENT, "target-$name");
    @$twin{qw(namespace endpoint)} = (P2P::Exchange::issuer($name), $sandbox->url($name));
    $twin->{bases} = [$sandbox->url($name), grep { defined } $case->{implementation}];
    delete $twin->{ids};
    return $twin;
}

sub order_case {
    my ($x, $name) = @_;
    my @faults = $CASES{$name}{faults} ? $CASES{$name}{faults}->($sandbox->url($name)) : ();
    for (@faults) { $_->{location} =~ s/^LISTED/$files->url('files')/e if $_->{location} }
    $sandbox->reset($name);
    $sandbox->faults($name, \@faults);
    return $x->order($name, $PATIENT, "target-$name");
}

sub check_notes {
    my ($x, $name, $job) = @_;
    my $want = $CASES{$name}{notes} or return;
    my %got = map { $_ => 0 } keys %$want;
    my @rows = grep { $_->{outcome} eq 'note' } @{ $x->report($job->{path})->{resources} };
    $got{ $_->{code} }++ for @rows;
    is_deeply(\%got, $want, "$name: the report says so") or diag explain(\@rows);
    is(scalar(grep { !$_->{reason} || !$_->{detail} } @rows), 0, "$name: ... and what it means");
    return;
}

sub check_case {
    my ($x, $name, $job, $dump) = @_;
    my $case = $CASES{$name};
    check_notes($x, $name, $job);
    if ($case->{code}) {
        $x->ok_failed($job, $case->{code}, $case->{like}, $name);
        return;
    }
    my $compare = expectation($x, $name);
    $x->ok_exchange($job, $compare, $name, dump => $dump, count => undef);
    my $refreshes = 0;
    $refreshes += $_->{refreshes} for @{ $sandbox->grants($name) };
    cmp_ok($refreshes, '>=', $case->{refreshes}, "$name: refreshed $refreshes times") if $case->{refreshes};
    return;
}

# Nothing that opens a door went to the other origin.
sub check_listed {
    my ($x) = @_;
    my $log = $files->requests('files')->{log};
    cmp_ok(scalar @$log, '>', 3, 'the other origin was asked for the pages');
    is(scalar(grep { $_->{auth} ne 'none' } @$log), 0, '... without a token') or diag explain $log->[0];
    return;
}

each_database('retrieval', sub {
    my ($db) = @_;
    my $origin = $files->url('files') =~ s{(//[^/]+).*}{$1}r;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => [sort('plain', keys %CASES)], directives => { P2POrigins => $origin, P2PRetryFor => 6 });
    $x->reset_target;
    my %answers = map { $_ => order_case($x, $_) } sort keys %CASES;
    my %jobs;
    for my $name (sort keys %CASES) {
        $jobs{$name} = $x->wait($answers{$name}{path});
        $jobs{$name}{path} = $answers{$name}{path};
    }
    my $dump = $x->target_dump;
    check_case($x, $_, $jobs{$_}, $dump) for sort keys %CASES;
    check_listed($x);
    is(join("\n", P2P::Compare::dangling($dump)), '', 'no reference dangles at the target');
    $x->ok_sealed('retrieval');
    $x->stop;
});

# More is referred to than may be fetched.
my $limited = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['plain'], directives => { P2PFollowReferences => 2 });
$limited->reset_target;
my $job = $limited->exchange('plain', $PATIENT, 'target-plain', request => 'Observation/chain-1');
is($job->{batchStatus}, 'COMPLETED', 'more is referred to than may be fetched');
my ($row) = grep { $_->{code} eq 'follow-limit' } @{ $limited->report($job->{path})->{resources} };
like($row->{detail} // '', qr/^\d+ resources/, '... which the report tells') or diag explain($limited->report($job->{path})->{resources});
$limited->stop;

# One of them cannot be read, ever: that is not waited for as a source that is away is.
my $patient = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['plain'], directives => { P2PRetryFor => 3600 });
$patient->reset_target;
$sandbox->faults('plain', [rule(status => 'Observation/chain-40', status => 500, count => 0)]);
$job = $patient->exchange('plain', $PATIENT, 'target-plain', request => 'Observation/chain-39');
is($job->{batchStatus}, 'COMPLETED', 'one that is referred to cannot be read');
($row) = grep { $_->{code} eq 'not-received' && $_->{id} eq 'chain-40' } @{ $patient->report($job->{path})->{resources} };
like($row->{detail} // '', qr/500/, '... which the report tells');
$sandbox->faults('plain', []);
$patient->stop;

done_testing;
