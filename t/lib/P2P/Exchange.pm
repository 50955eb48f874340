# SPDX-License-Identifier: Apache-2.0
# Whole exchanges for tests: sandbox payers, an httpd with mod_p2p and its runner, the portal's part, and what has to hold afterwards.
package P2P::Exchange;
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use P2P::Api;
use P2P::Compare;
use P2P::Httpd;
use P2P::Json qw(value_of member items);
use P2P::Sandbox;
use Test::More;
use Time::HiRes qw(sleep time);

my $PATIENCE = $ENV{P2P_SANITIZED} || $ENV{P2P_VALGRIND_LOGS} ? 600 : 120;    # seconds until a job that does not end is given up
# A test that is ended by a signal takes its servers with it.
$SIG{$_} //= sub { exit 1 } for qw(HUP INT PIPE TERM);

my $RUNNING  = qr/^(?:STARTING|STARTED|STOPPING)$/;

# Sources of a sandbox: what P2P::Sandbox takes as payers, with tokens demanded and a client that may refresh them.
sub sandbox {
    my (@payers) = @_;
    for my $payer (@payers) {
        next if ($payer->{role} // 'source') eq 'target';
        push @{ $payer->{directives} }, 'SandboxBearer On', "SandboxClient portal SECRET-client-$payer->{name}", 'SandboxGrant SECRET-reader -';
    }
    return P2P::Sandbox->start(payers => \@payers);
}

# db: as P2P::Databases gives it. sandbox: a P2P::Sandbox. target: the payer that is it (target). sources: names of those that are defined.
# directives: of P2P::Httpd; httpd: more for it; login: [user, password] of who orders, where it has users.
# definitions: { name => { member => value } } changes a definition. Starts httpd with one runner.
sub new {
    my ($class, %opt) = @_;
    my $self = bless { target => 'target', orders => 0, leaky => [], %opt }, $class;
    my $s = $self->{sandbox};
    $self->{httpd} = P2P::Httpd->new(
        db => $self->{db}, target => $s->url($self->{target}),
        directives => { P2PRunners => 1, %{ $self->{directives} // {} } }, %{ $opt{httpd} // {} }
    );
    $self->{httpd}->prepare([map { $self->definition($_) } @{ $self->{sources} }]);
    $self->{httpd}->start;
    $self->{api} = P2P::Api->new($self->{httpd}->url, @{ $self->{login} // [] });
    my $list = $self->{api}->get('/api/oidc_servers')->{json};
    $self->{pid} = { map { $_->{name} => $_->{pid} } @{ $list->{servers} } };
    return $self;
}

sub issuer { my ($name) = @_; return "https://$name.example/issuer" }

sub definition {
    my ($self, $name) = @_;
    my $s = $self->{sandbox};
    my $sandbox_has = eval { $s->url($name) };
    return {
        name => $name, issuer => issuer($name) . '/', clientId => 'portal', clientSecret => "SECRET-client-$name", responseType => 'code',
        scopes => 'patient/*.read offline_access', organizationId => "org-$name",
        ($sandbox_has ? (fhirEndpoint => $sandbox_has, tokenEndpoint => $s->token_url($name)) : ()),
        %{ $self->{definitions}{$name} // {} },
    };
}

# ---- The portal's part ----

# Does the target give the ids?
sub assigned { my ($self) = @_; return ($self->{directives}{P2PResourceIds} // '') eq 'conditional' }

# Puts a Patient at the target.
sub add_target_patient {
    my ($self, $id) = @_;
    $self->{before}{"Patient/$id"} = 1;
    return if $self->assigned && $self->{sandbox}->load($self->{target}, qq({"resourceType":"Patient","id":"$id","active":true}\n));
    my $url = $self->{sandbox}->plain($self->{target}) . "/fhir/Patient/$id";
    my $answer = HTTP::Tiny->new->put($url, { headers => { 'Content-Type' => 'application/fhir+json' },
        content => qq({"resourceType":"Patient","id":"$id","active":true}) });
    die "sandbox target: PUT Patient: $answer->{status} $answer->{content}\n" if !$answer->{success};
    return;
}

# Orders an exchange and returns the API's answer. request: fhirBundleRequest; token => [access, refresh] given to the API in place of those of a
# grant made for it; no_patient: the target patient is not made.
sub order {
    my ($self, $source, $patient, $target_patient, %opt) = @_;
    my $n = ++$self->{orders};
    my @tokens = $opt{token} ? @{ $opt{token} } : ("SECRET-access-$n-$$", "SECRET-refresh-$n-$$");
    $self->{sandbox}->add_grant($source, @tokens, $patient) unless $opt{token};
    $self->add_target_patient($target_patient) unless $opt{no_patient};
    push @{ $self->{leaky} }, $patient unless grep { $_ eq $patient } @{ $self->{leaky} };
    my %body = (
        sourcePayer => { (length $tokens[0] ? (oidcToken => $tokens[0]) : ()), (length($tokens[1] // '') ? (oidcRefreshToken => $tokens[1]) : ()),
            patientId => $patient, (exists $opt{request} ? (fhirBundleRequest => $opt{request}) : ()) },
        targetPayer => { patientId => $target_patient, organizationId => 'the-target-payer' },
    );
    my $answer = $self->{api}->post("/api/oidc_servers/$self->{pid}{$source}/batch_job", \%body);
    $answer->{path} = "/api/oidc_servers/$self->{pid}{$source}/batch_job/$answer->{json}{batchJobId}" if $answer->{status} == 202;
    return $answer;
}

sub job { my ($self, $path) = @_; return $self->{api}->get($path)->{json} }

# Waits until the job at path has ended and returns it; meanwhile => code called at each look.
sub wait {
    my ($self, $path, %opt) = @_;
    defined $path or die "no job to wait for: its order was refused\n";
    my $end = time + ($opt{seconds} // $PATIENCE);
    while (1) {
        my $job = $self->job($path);
        return $job if $job && ($job->{batchStatus} // '') !~ $RUNNING && defined $job->{batchStatus};
        if (time > $end) {
            diag "job $path does not end: " . JSON::PP->new->canonical->encode($job // {}) . "\n" . $self->{httpd}->log_text;
            return $job // {};
        }
        $opt{meanwhile}->($job) if $opt{meanwhile};
        sleep($opt{every} // 0.1);
    }
}

# Order and wait: the ended job, or {} where it was not taken.
sub exchange {
    my ($self, @order) = @_;
    my $answer = $self->order(@order);
    is($answer->{status}, 202, 'the order is taken') or diag $answer->{content};
    return {} if $answer->{status} != 202;
    my $job = $self->wait($answer->{path});
    $job->{path} = $answer->{path};
    return $job;
}

# All pages of a job's report: { parts, resources }.
sub report {
    my ($self, $path) = @_;
    my %all = (parts => [], resources => []);
    for (my $next = "$path/report"; $next;) {
        my $page = $self->{api}->get($next)->{json} or last;
        push @{ $all{$_} }, @{ $page->{$_} } for qw(parts resources);
        $next = $page->{next};
    }
    return \%all;
}

# ---- What has to hold ----

# What an exchange of these URLs (without: $everything) has to leave: a P2P::Compare that has seen the source's answers. implementation: the
# source's implementation.url; rejected: keys that the target refuses;
# loose: as in P2P::Compare.
sub expect {
    my ($self, $source, $patient, $target_patient, %opt) = @_;
    my $endpoint = $self->{sandbox}->url($source);
    my $compare = P2P::Compare->new(namespace => issuer($source), endpoint => $endpoint, source_patient => $patient,
        target_patient => $target_patient, bases => [grep { defined } $opt{implementation}], keep => $opt{keep}, follow => $opt{follow} // 200, loose => $opt{loose} // {},
        assigned => $self->assigned, mdm => $opt{mdm});
    $self->add_answers($compare, $source, $_) for @{ $opt{urls} // ["Patient/$patient/\$everything?_count=1000"] };
    my $dump;
    $compare->settle(read => sub { $dump //= $self->{sandbox}->dump($source); my $there = $dump->{ $_[0] }; return $there && !$there->{deleted} ? $there->{text} : undef },
        rejected => $opt{rejected});
    return $compare;
}

# Follows the pages as the source writes them; their links are not what is under test here, so that only the path and query count.
sub add_answers {
    my ($self, $compare, $source, $url) = @_;
    my $base = $self->{sandbox}->plain($source) . '/fhir';
    my $http = HTTP::Tiny->new(timeout => 60);
    $url = "$base/$url";
    for (1 .. 1000) {
        my $answer = $http->get($url, { headers => { Authorization => 'Bearer SECRET-reader', Accept => 'application/fhir+json' } });
        die "sandbox source: GET $url: $answer->{status} $answer->{content}\n" if $answer->{status} != 200;
        my $tree = $compare->add_answer($answer->{content});
        my ($next) = grep { value_of(member($_, 'relation')) eq 'next' } items(member($tree, 'link'));
        return if !$next;
        my ($query) = value_of(member($next, 'url')) =~ /(\?.*)/;
        $url = "$base$query";
    }
    die "sandbox source: too many pages\n";
}

# The target's content; with: what is known there, by Type/id.
sub target_dump { my ($self) = @_; return $self->{sandbox}->dump($self->{target}) }

sub reset_target {
    my ($self) = @_;
    $self->{sandbox}->reset($self->{target});
    $self->{before} = {};
    return;
}

# Shows that a job ended as it has to and that the target has what it has to have. Options: dump (else made), status (COMPLETED), jobs (how many wrote
# the same), with (P2P::Compare of further jobs of the same payer), count => undef: the job's numbers are not known, unversioned.
sub ok_exchange {
    my ($self, $job, $compare, $name, %opt) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $dump = $opt{dump} // $self->target_dump;
    my $status = $opt{status} // 'COMPLETED';
    is($job->{batchStatus}, $status, "$name: $status") or diag explain($job);
    my $count = $compare->count;
    my @faults = P2P::Compare::account_faults($job, exists $opt{count} ? $opt{count} : $count, scalar keys %{ $compare->later },
        scalar keys %{ $opt{again} // {} });
    push @faults, $compare->faults_at($dump);
    my ($task, @task_faults) = $compare->task_faults($dump, $job, $status eq 'COMPLETED' ? 'completed' : $status eq 'FAILED' ? 'failed' : 'on-hold');
    push @faults, @task_faults;
    push @faults, $compare->provenance_faults($dump, owner => $task ? $task->{owner}{reference} : 'none',
        map { $_ => $opt{$_} } qw(jobs unversioned with again));
    is(join("\n", @faults), '', "$name: $count->{written} resources arrived as they have to be");
    return !@faults;
}

# Nothing at the target dangles, and all of it is known (what ok_exchange has looked at, or was there before).
sub ok_target {
    my ($self, $dump, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @faults = (P2P::Compare::dangling($dump), P2P::Compare::strangers($dump, $self->{before} // {}));
    return is(join("\n", @faults > 20 ? @faults[0 .. 19] : @faults), '', "$name: no reference dangles, nothing else is at the target");
}

# ---- After a fault ----

# What an undisturbed run of the same order gave, against which others are held: two sets of sentences, each empty where nothing differs.

# The job's end and its numbers. A page tells when it was made: its bytes are not the same each time.
sub job_faults {
    my ($job, $calm) = @_;
    my @faults = P2P::Compare::account_faults($job);
    push @faults, "the job is $job->{batchStatus} (" . ($job->{error}{code} // '') . ' ' . ($job->{error}{sentence} // $job->{error}{detail} // '') . "), undisturbed it was $calm->{batchStatus}" if ($job->{batchStatus} // '') ne $calm->{batchStatus};
    my ($is, $was) = map { $_->{progress} // {} } $job, $calm;
    push @faults, map { "$_ is " . ($is->{$_} // 'missing') . ", undisturbed it was $was->{$_}" } grep { $_ ne 'bytes' && ($is->{$_} // -1) != $was->{$_} } sort keys %$was;
    return @faults;
}

# The target, from two dumps. arrived: { Type/id => 1 } of what came from the source, Provenances and Tasks of its own among it.
sub target_faults {
    my ($dump, $calm, $arrived) = @_;
    my ($is, $was) = map { essence($_, $arrived) } $dump, $calm;
    my @other = grep { ($is->{$_} // 'missing') ne ($was->{$_} // 'missing') } sort keys %{ { %$is, %$was } };
    return (P2P::Compare::dangling($dump), map { "$_ is not at the target as it is undisturbed" } @other[0 .. ($#other > 9 ? 9 : $#other)]);
}

# A target's content with all that may differ between two runs put aside: texts and versions by key, the targets of each Provenance, the Tasks.
sub essence {
    my ($dump, $arrived) = @_;
    my (%all, @provenances, @tasks);
    for my $key (sort keys %$dump) {
        my $there = $dump->{$key};
        if ($arrived->{$key} || $key !~ m{^(?:Provenance|Task)/}) {
            $all{$key} = "$there->{version} $there->{text}";
            next;
        }
        my $doc = JSON::PP->new->utf8->decode($there->{text});
        push @provenances, join ' ', sort map { $_->{reference} } @{ $doc->{target} } if $key =~ /^Provenance/;
        delete @$doc{qw(id identifier authoredOn lastModified)};
        push @tasks, JSON::PP->new->canonical->encode($doc) if $key =~ /^Task/;
    }
    return { %all, 'all that is in Provenance' => join("\n", sort @provenances), 'all that is in Task' => join("\n", sort @tasks) };
}

# calm: { job, dump, arrived } of an undisturbed run.
sub ok_undisturbed {
    my ($self, $job, $calm, $name, %opt) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @faults = (job_faults($job, $calm->{job}), target_faults($opt{dump} // $self->target_dump, $calm->{dump}, $calm->{arrived}));
    return is(join("\n", @faults), '', "$name: job and target are as they are undisturbed");
}

# A job that FAILED: with this code, a sentence that matches, the accounts balanced, no secret and no member in what everyone sees.
sub ok_failed {
    my ($self, $job, $code, $like, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $error = $job->{error} // {};
    is($job->{batchStatus}, 'FAILED', "$name: FAILED") or diag explain($job);
    is($error->{code}, $code, "$name: $code") or diag explain($error);
    my $text = join ' ', map { $error->{$_} // '' } sort grep { $_ ne 'code' } keys %$error;
    like($text, $like, "$name: the sentence says what and where");
    is(join("\n", P2P::Compare::account_faults($job)), '', "$name: the accounts balance");
    my $shown = JSON::PP->new->canonical->encode($job);
    is(join(' ', grep { index($shown, $_) >= 0 } 'SECRET', '_getpages', @{ $self->{leaky} }), '', "$name: no secret and no member's id in it");
    return;
}

# Nothing in httpd's and the runner's log that opens a door or names a member, and nothing of it in the database.
sub ok_sealed {
    my ($self, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @words = ('SECRET', '_getpages', grep { length >= 8 } @{ $self->{leaky} });
    my $log = $self->{httpd}->log_text;
    is(join(' ', grep { index($log, $_) >= 0 } @words), '', "$name: no secret and no member's id in the log");
    my $stored = $self->stored;
    cmp_ok(length $stored, '>', 1000, "$name: the database was read");
    is(join(' ', grep { index($stored, $_) >= 0 } @words), '', "$name: none in the database either");
    return;
}

# Everything that the database holds, as bytes.
sub stored {
    my ($self) = @_;
    my $db = $self->{db};
    return join '', map { P2P::Httpd::read_file($_) } glob "$db->{params}*" if $db->{driver} eq 'sqlite3';
    my ($name) = $db->{params} =~ /dbname=(\w+)/;
    my @tables = split /\n/, $db->{server}->psql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", $name);
    return join "\n", map { $db->{server}->psql("SELECT t::text FROM $_ t", $name) } @tables;
}

sub stop { my ($self) = @_; return $self->{httpd}->stop }

# The runner's process id, as httpd's log tells it last; slot 0.
sub runner_pid {
    my ($self) = @_;
    my @pids = $self->{httpd}->log_text =~ /p2p-runner 0 started\D+(\d+)/g;
    return $pids[-1];
}

1;
