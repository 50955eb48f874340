# SPDX-License-Identifier: Apache-2.0
# An installation that tells people: a sandbox target with Tasks and Subscriptions, httpd with its runner, and its share of a mail server; what was told to
# whom, and whether anything is still under way.
package P2P::Notify;
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use P2P::AddPayer;
use P2P::Databases;
use P2P::Exchange;
use P2P::Httpd;
use P2P::Smtpd;
use P2P::Source;
use Test::More;
use Time::HiRes qw(sleep time);

our $PATIENCE = $ENV{P2P_SANITIZED} ? 240 : 90;    # seconds until what does not come is given up
my $JSON = JSON::PP->new->utf8->canonical;

# name: of the target in the sandbox, and of its mails' sender. db, sandbox, smtpd, sources: as P2P::Exchange and P2P::Smtpd know them. admins: names of
# administrators (first, second). age => 1: searches are made due, where nothing tells of Tasks, or not of all; unsearched => 1: searches are in vain.
# directives, httpd: more of both. Starts httpd.
sub new {
    my ($class, %opt) = @_;
    my $self = bless { admins => [qw(first second)], sources => [], told => [], %opt, from => "$opt{name}\@payer.example" }, $class;
    my $smtpd = $self->{smtpd};
    $self->{x} = P2P::Exchange->new(
        db => $self->{db}, sandbox => $self->{sandbox}, target => $self->{name}, sources => $self->{sources},
        directives => { $smtpd->directives(P2PMailFrom => $self->{from}, P2PMailAdmins => join ' ', $self->admins), %{ $self->{directives} // {} } },
        httpd => { hook => 1, %{ $self->{httpd} // {} } },
    );
    $self->{http} = HTTP::Tiny->new(timeout => 60, keep_alive => 0);
    $self->{sandbox}->load($self->{name}, qq({"resourceType":"Organization","id":"target-payer","name":"Target Payer"}\n));    # the Task's owner
    return $self;
}

sub admins { my ($self) = @_; return map { "$_.$self->{name}\@payer.example" } @{ $self->{admins} } }
sub httpd { return $_[0]{x}{httpd} }
sub api   { return $_[0]{x}{api} }
sub sql   { my ($self, $sql) = @_; return run_sql($self->{db}, $sql) }

# ---- The target ----

# A request to the target's FHIR server: { status, json }.
sub fhir {
    my ($self, $method, $path, $content) = @_;
    $content = $JSON->encode($content) if ref $content;
    my $url = $self->{sandbox}->plain($self->{name}) . "/fhir/$path";
    my $answer = $self->{http}->request($method, $url, { headers => { 'Content-Type' => 'application/fhir+json', Accept => 'application/fhir+json' }, (defined $content ? (content => $content) : ()) });
    $answer->{json} = eval { $JSON->decode($answer->{content}) };
    return $answer;
}

# A Patient with this address in its record, or none.
sub add_patient {
    my ($self, $id, $address) = @_;
    my %patient = (resourceType => 'Patient', id => $id, active => JSON::PP::true);
    $patient{telecom} = [{ system => 'email', value => $address }] if defined $address;
    $self->{sandbox}->load($self->{name}, $JSON->encode(\%patient) . "\n");
    return $id;
}

# Posts the guide's Task with these values, or this text, and returns its id.
sub post {
    my ($self, @value) = @_;
    my $answer = $self->fhir('POST', 'Task', @value == 1 ? $value[0] : P2P::AddPayer::sample(@value));
    die "sandbox $self->{name}: POST Task: $answer->{status} $answer->{content}\n" if $answer->{status} != 201;
    my ($id) = ($answer->{headers}{location} // '') =~ m{Task/([^/]+)};
    return $id // $answer->{json}{id};
}

sub set_status {
    my ($self, $id, $status) = @_;
    my $task = $self->fhir('GET', "Task/$id")->{json};
    my $answer = $self->fhir('PUT', "Task/$id", { %$task, status => $status });
    die "sandbox $self->{name}: PUT Task: $answer->{status} $answer->{content}\n" if $answer->{status} != 200;
    return;
}

# ---- Mail ----

my %subject;

# The template that a mail was made of, by its subject.
sub template_of {
    my ($mail) = @_;
    %subject = map { subject_of($_) } files(qr{\.txt$}, 'conf/mail') if !%subject;
    my $subject = P2P::Smtpd::header($mail, 'Subject') // '';
    my ($name) = grep { $subject =~ $subject{$_} } sort keys %subject;
    return $name // "odd subject: $subject";
}

sub subject_of {
    my ($file) = @_;
    my ($name) = $file =~ m{([\w-]+)\.txt$};
    my ($subject) = (lines_of($file))[0] =~ /^Subject: (.*)/;
    my $pattern = join '.*', map { quotemeta } split /\{\{[\w-]+\}\}/, $subject, -1;
    return ($name => qr/^$pattern$/s);
}

# What came of this installation: mails as P2P::Smtpd tells them.
sub mails {
    my ($self) = @_;
    return grep { $_->{from} eq $self->{from} } $self->{smtpd}->mails;
}

# "template address", one for each mail that came, sorted.
sub told { my ($self) = @_; return sort map { template_of($_) . ' ' . join ',', @{ $_->{to} } } $self->mails }

# Is nothing under way: no delivery, no hint, no chore, no mail that waits? Then what was told is all.
sub is_quiet {
    my ($self) = @_;
    return if $self->{sandbox}->deliveries($self->{name})->{waiting};
    my $kinds = $self->{unsearched} ? q('subscription', 'mail') : q('subscription', 'task-look', 'mail');
    my ($hints, $mails, $chores) = map { $self->sql($_) } 'SELECT COUNT(*) FROM p2p_task_hint' . ($self->{unsearched} ? " WHERE task_id <> ''" : ''),
        "SELECT COUNT(*) FROM p2p_outbox WHERE state = 'queued'",
        "SELECT COUNT(*) FROM p2p_job WHERE kind IN ($kinds) AND status IN ('STARTING', 'STARTED')";
    return !$hints && !$mails && !$chores;
}

# The next search is due at once.
sub age_search {
    my ($self) = @_;
    $self->sql('UPDATE p2p_task_watch SET due = 0');
    return;
}

# How often the target has been searched, or was asked to: a number that grows. Undefined before the first search.
sub searched { my ($self) = @_; my $time = $self->sql('SELECT searched FROM p2p_task_watch'); return $time =~ /^[1-9]/ ? $time : undef }

# Waits until what was told is this and no more is under way; a test of it. What: "template address" each; those of earlier calls count along.
sub ok_told {
    my ($self, $name, @what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    push @{ $self->{told} }, @what;
    my $expected = join "\n", sort @{ $self->{told} };
    my $end = time + $PATIENCE;
    my ($told, $aged) = ('', 0);
    while (1) {
        # Quiet first, told then: what is told in between counts.
        my $quiet = $self->is_quiet;
        $told = join "\n", $self->told;
        last if $told eq $expected && $quiet;
        last if time > $end || ($quiet && !$self->{age} && length $told > length $expected);
        if ($self->{age} && $quiet && time > $aged + 1) {
            $self->age_search;
            $aged = time;
        }
        sleep 0.05;
    }
    my $ok = is($told, $expected, "$self->{name}: $name") or $self->explain_mail;
    return $ok;
}

# Why something was not told.
sub explain_mail {
    my ($self) = @_;
    diag "$self->{name}: quiet: " . ($self->is_quiet ? 'yes' : 'no');
    diag $self->sql('SELECT subject, status, template, role, state, code, fault FROM p2p_outbox');
    diag $self->sql('SELECT subject, status FROM p2p_task_event');
    diag $self->sql("SELECT kind, status, error_code FROM p2p_job WHERE kind <> 'p2p-exchange'");
    diag $JSON->encode($self->{sandbox}->deliveries($self->{name}));
    diag $self->httpd->log_text;
    return;
}

# The runner has looked at the target for the first time, and the Subscription is as it will be.
sub wait_ready {
    my ($self) = @_;
    $self->httpd->wait_for(sub { defined $self->searched && $self->sql('SELECT COUNT(*) FROM p2p_subscription WHERE status IN (\'active\', \'refused\')') }, $PATIENCE)
        or die "$self->{name}: the runner does not look at the target\n" . $self->httpd->log_text;
    return $self;
}

sub stop { my ($self) = @_; return $self->httpd->stop }

1;
