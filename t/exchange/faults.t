#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Sources and targets that fail: the job is COMPLETED where the trouble passes, else FAILED with a sentence that says what and where; what landed stays,
# the accounts balance, and nobody's data or token shows.
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
my $dir = tempdir('p2p-faults-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;
my $file = write_data("$dir/member.ndjson", tangled_member(40, 5, $PATIENT)->{lines});
my $ALL = '$everything';
my $PAGES = '_getpages=';

sub rule { my ($do, $match, %more) = @_; return { do => $do, match => "GET $match", %more } }

# name => { faults of the source, directives, completes => 1 | code and sentence of the failure, page => how many parts have landed at least }
my %SOURCE = (
    'metadata-404'      => { faults => [rule(status => '/metadata', status => 404, count => 0)], code => 'source-answered', like => qr/metadata.*404/ },
    'metadata-html'     => { faults => [rule(status => '/metadata', status => 200, body => 'html', count => 0)], code => 'not-fhir', like => qr/CapabilityStatement/ },
    'metadata-other'    => { faults => [rule(status => '/metadata', status => 200, body => '{"hello":1}', count => 0)], code => 'not-fhir', like => qr/CapabilityStatement/ },
    'fhir-r5'           => { directives => ['SandboxFhirVersion 5.0.0'], code => 'not-r4', like => qr/R4/ },
    'fhir-stu3'         => { directives => ['SandboxFhirVersion 3.0.2'], code => 'not-r4', like => qr/R4/ },
    'no-such-patient'   => { faults => [rule(status => $ALL, status => 404, count => 0)], code => 'source-answered', like => qr{Patient/\{id\}/\$everything.*404} },
    'forbidden'         => { faults => [rule(status => $ALL, status => 403, count => 0)], code => 'source-refuses', like => qr{403.*authorise} },
    'not-fhir'          => { faults => [rule(status => $ALL, status => 200, body => '{"hello":1}', count => 0)], code => 'not-fhir', like => qr{\$everything.*not FHIR} },
    'a-list'            => { faults => [rule(status => $ALL, status => 200, body => '[]', count => 0)], code => 'not-fhir', like => qr{not FHIR} },
    'html'              => { faults => [rule(status => $ALL, status => 200, body => 'html', count => 0)], code => 'not-json', like => qr{\$everything} },
    'empty'             => { faults => [rule(status => $ALL, status => 200, body => 'empty', count => 0)], code => 'json-cut-short', like => qr{\$everything} },
    'not-json-page'     => { faults => [rule('not-json' => $PAGES, nth => 2, count => 0)], code => 'not-json', like => qr{^GET http}, parts => 1 },
    'not-json-once'     => { faults => [rule('not-json' => $PAGES, nth => 2)], completes => 1 },
    'cut-always'        => { faults => [rule(cut => $PAGES, nth => 3, after => 700, count => 0)], code => 'cut-short', like => qr{^GET http}, parts => 1 },
    'cut-once'          => { faults => [rule(cut => $PAGES, nth => 2, after => 900)], completes => 1 },
    'cut-everywhere'    => { faults => [rule(cut => '*', every => 3, after => 1500, count => 0)], completes => 1 },
    'cut-chunked'       => { faults => [rule(cut => $PAGES, after => 900, length => 'chunked')], completes => 1 },
    'cut-wrong-length'  => { faults => [rule(cut => $PAGES, after => 900, length => 'wrong')], completes => 1 },
    'cut-no-length'     => { faults => [rule(cut => $PAGES, after => 900, length => 'none')], completes => 1 },
    'drop-once'         => { faults => [rule(drop => '*', nth => 3, every => 4, count => 2)], completes => 1 },
    'status-500-once'   => { faults => [rule(status => '*', status => 500, nth => 2, every => 3, count => 3)], completes => 1 },
    'status-503-retry'  => { faults => [rule(status => $PAGES, status => 503, retryAfter => 1)], completes => 1 },
    'status-429-date'   => { faults => [rule(status => $PAGES, status => 429, retryAfter => 1, retryDate => 1)], completes => 1 },
    'status-503-always' => { faults => [rule(status => $PAGES, status => 503, nth => 2, count => 0)], code => 'source-answered', like => qr{503}, parts => 1 },
    'expired-once'      => { faults => [rule('expired-token' => $PAGES, nth => 2)], completes => 1, refreshes => 1 },
    'expired-always'    => { faults => [rule('expired-token' => $PAGES, nth => 2, count => 0)], code => 'source-refuses', like => qr{401.*authorise again} },
    'short-lived'       => { directives => ['SandboxTokenLifetime 1', 'SandboxDelay 250'], completes => 1, refreshes => 2 },
    'short-unrotated'   => { directives => ['SandboxTokenLifetime 1', 'SandboxDelay 250', 'SandboxRotate Off'], completes => 1, refreshes => 2 },
    'refresh-only'      => { token => ['', 'SECRET-refresh-alone'], grant => ['-', 'SECRET-refresh-alone'], completes => 1, refreshes => 1 },
    'access-only'       => { token => ['SECRET-access-alone', ''], grant => ['SECRET-access-alone', '-'], completes => 1 },
    'unknown-refresh'   => { token => ['', 'SECRET-nobody-knows-this'], code => 'token-refused', like => qr{authorise the exchange again}i },
    'another-patient'   => { token => ['', 'SECRET-of-another'], grant => ['-', 'SECRET-of-another', 'somebody-else'], code => 'token-of-another-patient', like => qr{another patient} },
    'page-loop'         => { faults => [rule('page-loop' => $PAGES, nth => 2, to => 0)], code => 'page-loop', like => qr{circle} },
    'page-loop-self'    => { faults => [rule('page-loop' => $PAGES, count => 0, to => 10)], code => 'page-loop', like => qr{circle} },
    'link-elsewhere'    => { directives => ['SandboxNextLink internal-host'], code => 'next-link-elsewhere', like => qr{another origin, http://fhir\.internal:8080,.*P2POrigins http://fhir\.internal:8080 and P2PAllowHttp On} },
    'redirect-away'     => { faults => [rule(redirect => $ALL, location => 'http://127.0.0.1:9/fhir/elsewhere', count => 0)], code => 'redirect-elsewhere', like => qr{\$everything.*another origin, http://127\.0\.0\.1:9,.*P2POrigins http://127\.0\.0\.1:9} },
    'unreachable'       => { definition => { fhirEndpoint => 'http://127.0.0.1:9/fhir' }, code => 'unreachable', like => qr{cannot be reached} },
);

my $sandbox = P2P::Exchange::sandbox(
    (map { { name => $_, data => [$file], directives => ['SandboxPageSize 10', @{ $SOURCE{$_}{directives} // [] }] } } sort keys %SOURCE),
    { name => 'plain', data => [$file], directives => ['SandboxPageSize 10'] },
    { name => 'target', role => 'target' },
);

# What a source would give if it were well; its grant for reading does not wear out.
sub expectation {
    my ($x, $name) = @_;
    my $twin = $x->expect('plain', $PATIENT, "target-$name");
    @$twin{qw(namespace endpoint)} = (P2P::Exchange::issuer($name), $sandbox->url($name));
    $twin->{bases} = [$sandbox->url($name)];
    delete $twin->{ids};
    return $twin;
}

# What landed of a failed job is at the target as it has to be, and has its Provenance.
sub ok_landed {
    my ($x, $job, $compare, $dump, $name, $parts) = @_;
    my $landed = $x->report($job->{path})->{parts};
    my @written = grep { $_->{written} } @$landed;
    cmp_ok(scalar(grep { $_->{landed} } @$landed), '>=', $parts, "$name: what landed before is in the report");
    my $sum = 0;
    $sum += $_->{written} for @written;
    is($job->{progress}{written}, $sum, "$name: ... and in the job's numbers");
    my ($named, %seen) = (0);
    for my $key (grep { m{^Provenance/} } keys %$dump) {
        $named++, $seen{$1}++ while $dump->{$key}{text} =~ m{"reference":"([A-Z]\w+/p2p-\w+)/_history/1"}g;
    }
    my %mine = map { $compare->target_key($_) => $_ } $compare->arrived;
    my @there = grep { $dump->{$_} } keys %mine;
    is(scalar(@there), $sum, "$name: ... which is all that is at the target");
    is(join(' ', grep { ($seen{$_} // 0) != 1 } @there), '', "$name: ... each of it with its Provenance");
    my @faults = grep { $_ } map { $compare->compare_one($mine{$_}, $dump->{$_}{text}) } @there;
    is(join("\n", @faults), '', "$name: ... what is at the target is as it has to be");
    return;
}

sub order_source {
    my ($x, $name) = @_;
    my $case = $SOURCE{$name};
    $sandbox->faults($name, $case->{faults} // []);
    $sandbox->add_grant($name, @{ $case->{grant} }) if $case->{grant};
    return $x->order($name, $PATIENT, "target-$name", ($case->{token} ? (token => $case->{token}) : ()));
}

sub check_source {
    my ($x, $name, $job, $dump) = @_;
    my $case = $SOURCE{$name};
    my $compare = expectation($x, $name);
    if ($case->{completes}) {
        $x->ok_exchange($job, $compare, $name, dump => $dump);
    } else {
        $x->ok_failed($job, $case->{code}, $case->{like}, $name);
        ok_landed($x, $job, $compare, $dump, $name, $case->{parts} // 0);
        my (undef, @faults) = $job->{taskId} ? $compare->task_faults($dump, $job, 'failed') : ();
        is(join("\n", @faults), '', "$name: the Task says that it failed") if $job->{taskId};
    }
    my @grants = @{ $sandbox->grants($name) };
    is(scalar(grep { $_->{replays} } @grants), 0, "$name: no refresh token was used twice") unless $case->{code} && $case->{code} eq 'unreachable';
    return if !defined $case->{refreshes};
    my $refreshes = 0;
    $refreshes += $_->{refreshes} for @grants;
    cmp_ok($refreshes, '>=', $case->{refreshes}, "$name: refreshed $refreshes times");
    return;
}

sub test_sources {
    my ($x) = @_;
    $sandbox->set($_, order => 'file') for sort keys %SOURCE;
    $sandbox->reset($_) for sort keys %SOURCE;
    my %answers = map { $_ => order_source($x, $_) } sort keys %SOURCE;
    is(join(' ', grep { $answers{$_}{status} != 202 } sort keys %answers), '', 'all orders are taken');
    my %jobs;
    for my $name (sort keys %SOURCE) {
        $jobs{$name} = $x->wait($answers{$name}{path});
        $jobs{$name}{path} = $answers{$name}{path};
    }
    my $dump = $x->target_dump;
    check_source($x, $_, $jobs{$_}, $dump) for sort keys %SOURCE;
    is(join("\n", P2P::Compare::dangling($dump)), '', 'no reference dangles at the target');
    return;
}

# ---- The target ----

sub exchange_plain {
    my ($x, @faults) = @_;
    $x->reset_target;
    $sandbox->faults('target', [@faults]);
    my $job = $x->exchange('plain', $PATIENT, 'target-plain');
    $sandbox->faults('target', []);
    return $job;
}

# Each of these refused by the target, with what refers to it left logical. Circles come last in a list of their own: of a circle that one of its
# resources breaks, references within may be logical; the others are written again when all of them are there.
sub test_refused {
    my ($x, @keys) = @_;
    my $circle = ref $keys[-1] ? pop @keys : [];
    my $name = 'refused: ' . join ' ', @keys;
    my $plain = $x->expect('plain', $PATIENT, 'target-plain');
    my $compare = $x->expect('plain', $PATIENT, 'target-plain', rejected => { map { $_ => 1 } @keys },
        loose => { map { ("Observation/$_" => 1) } @$circle });
    my $job = exchange_plain($x, map { { do => 'reject', match => 'POST *', resource => $plain->target_key($_), status => 422, text => "no $_ here" } } @keys);
    my $dump = $x->target_dump;
    my %again = map { ("Observation/$_" => 1) } @$circle;
    if ($x->{record}) { $x->ok_exchange($job, $compare, $name, dump => $dump, again => \%again) }
    else {
        $x->ok_failed($job, 'resources-rejected', qr/report/, $name);
        $x->ok_exchange($job, $compare, $name, dump => $dump, again => \%again, status => 'FAILED');
    }
    $x->ok_target($dump, $name);
    my @rejected = grep { $_->{outcome} eq 'rejected' } @{ $x->report($job->{path})->{resources} };
    is_deeply([sort map { "$_->{type}/$_->{id}" } @rejected], [sort @keys], "$name: the report says which");
    is(scalar(grep { !length($_->{detail} // '') } @rejected), 0, "$name: ... with the target's words");
    is(join(' ', grep { ($_->{code} // '') ne 'refused' || ($_->{reason} // '') !~ /refused/ } @rejected), '', "$name: ... and why");
    return;
}

sub test_passing {
    my ($x, $name, @faults) = @_;
    my $job = exchange_plain($x, @faults);
    my $dump = $x->target_dump;
    $x->ok_exchange($job, $x->expect('plain', $PATIENT, 'target-plain'), "target: $name", dump => $dump);
    $x->ok_target($dump, "target: $name");
    return $job;
}

sub target_rule { my ($do, $match, %more) = @_; return { do => $do, match => "POST $match", %more } }

sub test_target {
    my ($x) = @_;
    test_passing($x, '503 once', target_rule(status => '/fhir', status => 503, nth => 2));
    test_passing($x, '429 with Retry-After', target_rule(status => '/fhir', status => 429, retryAfter => 1));
    test_passing($x, '409 once', target_rule(status => '/fhir', status => 409));
    test_passing($x, "409 once to the payer's Organization", { do => 'status', match => 'PUT /fhir/Organization', status => 409 });
    test_passing($x, 'the connection goes once', target_rule(drop => '/fhir', nth => 2));
    test_refused($x, 'Observation/circle-2', [map { "circle-$_" } 1, 3, 4, 5]);
    test_refused($x, 'Observation/chain-20', 'Observation/tree-9', 'Observation/alone');
    test_refused($x, "Patient/$PATIENT");
    my $job = exchange_plain($x, target_rule(status => '/fhir', status => 503, nth => 2, count => 0));
    $x->ok_failed($job, 'target-unavailable', qr/503/, 'target: 503 always');
    $job = exchange_plain($x, target_rule(status => '/fhir', status => 401, count => 0));
    $x->ok_failed($job, 'target-refuses', qr/401.*P2PTargetAuth/, 'target: 401');
    $job = test_passing($x, 'well again');
    return;
}

sub test_bundle_limits {
    my ($x) = @_;
    $sandbox->set('target', maxEntries => 7);
    test_passing($x, 'Bundles of more than 7 are too large');
    $sandbox->set('target', maxEntries => 0, maxBody => 9000);
    test_passing($x, 'bodies of more than 9,000 bytes are too large');
    $sandbox->set('target', maxBody => 0);
    return;
}

sub test_no_task {
    my ($x) = @_;
    $x->reset_target;
    $sandbox->faults('target', [{ do => 'status', match => 'PUT /Task/', status => 422, count => 0 }]);
    my $job = $x->exchange('plain', $PATIENT, 'target-plain');
    $sandbox->faults('target', []);
    is($job->{batchStatus}, 'COMPLETED', 'a target that refuses Tasks does not stop an exchange');
    is($job->{taskId}, undef, '... which has no Task then');
    is(join("\n", $x->expect('plain', $PATIENT, 'target-plain')->faults_at($x->target_dump)), '', '... and is complete');
    return;
}

sub test_no_target_patient {
    my ($x) = @_;
    $x->reset_target;
    $sandbox->clear_requests('plain');
    my $job = $x->exchange('plain', $PATIENT, 'target-plain', no_patient => 1);
    $x->ok_failed($job, 'no-target-patient', qr/target.*Patient/, 'no target patient');
    is($sandbox->requests('plain')->{total}, 0, '... before anything is retrieved');
    is(scalar(keys %{ $x->target_dump }), 0, '... and nothing is written');
    return;
}

sub expect_logs { my ($x) = @_; $x->{httpd}->expect_log(qr/Its Task keeps its old status|It goes on without a Task/); return }

each_database('faults', sub {
    my ($db) = @_;
    my $x = P2P::Exchange->new(db => $db, sandbox => $sandbox, sources => [sort('plain', keys %SOURCE)],
        definitions => { map { $SOURCE{$_}{definition} ? ($_ => $SOURCE{$_}{definition}) : () } keys %SOURCE });
    expect_logs($x);
    $x->reset_target;
    test_sources($x);
    test_target($x);
    test_bundle_limits($x);
    test_no_task($x);
    test_no_target_patient($x);
    $x->ok_sealed('faults');
    $x->stop;
});

# What the settings change, and a target that is not there, on one database.
my $record = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['plain'], directives => { P2PRejected => 'record' });
$record->{record} = 1;
test_refused($record, 'Observation/chain-20', 'Observation/right-2', [qw(eight left-1 left-2 right-1)]);
$record->stop;

my $keep = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['plain'],
    directives => { P2PVersionedReferences => 'Off', P2PBundleSize => 9 });
$keep->reset_target;
$sandbox->clear_requests('target');
$keep->ok_exchange($keep->exchange('plain', $PATIENT, 'target-plain'), $keep->expect('plain', $PATIENT, 'target-plain'), 'without versions', unversioned => 1);
cmp_ok((sort { $b <=> $a } map { $_->{url} =~ m{/fhir/?$} && $_->{method} eq 'POST' ? $_->{bytesIn} : 0 } @{ $sandbox->requests('target')->{log} })[0], '<', 16_000, 'in Bundles of nine');
$keep->stop;

my $nowhere = P2P::Exchange->new(db => P2P::Databases::sqlite(), sandbox => $sandbox, sources => ['plain'], directives => { P2PTarget => 'http://127.0.0.1:9/fhir' });
$nowhere->{httpd}->expect_log(qr/Task/);
my $job = $nowhere->exchange('plain', $PATIENT, 'target-plain');
$nowhere->ok_failed($job, 'unreachable', qr/target.*cannot be reached/, 'a target that is not there');
$nowhere->stop;

done_testing;
