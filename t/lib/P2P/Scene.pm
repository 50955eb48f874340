# SPDX-License-Identifier: Apache-2.0
# An installation at which everything has happened that the pages tell of: exchanges that were completed, failed, refused, stopped or wait, mails sent and
# refused, changes of definitions, refusals. All texts that others supply come from one function.
package P2P::Scene;
use strict;
use warnings;
use P2P::Api;
use P2P::Databases;
use P2P::Exchange;
use P2P::Fixtures;
use P2P::Notify;
use P2P::Smtpd;
use Test::More;

our %PASSWORD = (portal => 'opens-the-portal', admin => 'opens-it-all');
my $PATIENCE = $ENV{P2P_SANITIZED} ? 300 : 90;

# text => sub { my ($where, $plain) = @_; … }: what stands there in place of a plain text ($plain itself). prefix, directives, vhost: of P2P::Httpd.
# empty => 1: nothing has happened, and there is no definition.
sub new {
    my ($class, %opt) = @_;
    my $self = bless { text => sub { $_[1] }, %opt }, $class;
    my $member = sub { my ($name) = @_; return tangled_member(12, 3, "member-$name-of-the-source")->{lines} };
    $self->{sandbox} = P2P::Exchange::sandbox({ name => 'a', directives => ['SandboxPageSize 40'] }, { name => 'b' }, { name => 'c' }, { name => 'target', role => 'target' });
    $self->{sandbox}->load($_, $member->($_)) for qw(a b c);
    $self->{smtpd} = P2P::Smtpd->start;
    $self->{caller} = $self->text('client', 'Portal of the payer');
    $self->{notify} = P2P::Notify->new(
        name => 'target', db => P2P::Databases::sqlite(), sandbox => $self->{sandbox}, smtpd => $self->{smtpd}, sources => $self->{empty} ? [] : [qw(a b c)], admins => ['first'],
        directives => { P2PRetryFor => 3600, P2PBundleSize => 50, %{ $self->{directives} // {} } },
        httpd => { users => { %PASSWORD, $self->{caller} => 'opens-the-portal' }, prefix => $self->{prefix} // '', vhost => $self->{vhost} // [] },
    );
    $self->{x} = $self->{notify}{x};
    $self->{admin} = P2P::Api->new($self->httpd->url, 'admin', $PASSWORD{admin});
    $self->{x}{api} = P2P::Api->new($self->httpd->url, $self->{caller}, 'opens-the-portal');
    # A test's password that is wrong, sources and mail servers that refuse.
    $self->httpd->expect_log(qr/AH01617|AH01618/, qr/\[p2p:(?:warn|error)\]/);
    return $self->{empty} ? $self : $self->happen;
}

sub text { my ($self, $where, $plain) = @_; return $self->{text}->($where, $plain) }
sub httpd { return $_[0]{notify}->httpd }
sub url   { return $_[0]->httpd->url }

sub wait_for {
    my ($self, $what, $question) = @_;
    return $self->httpd->wait_for($question, $PATIENCE) || die "$what does not come about\n" . $self->httpd->log_text;
}

sub good { my ($answer, $what) = @_; die "$what: $answer->{status} $answer->{content}\n" if $answer->{status} >= 300; return $answer }

sub happen {
    my ($self) = @_;
    my $x = $self->{x};
    $x->{pid} = { map { $_->{name} => $_->{pid} } @{ good($self->{admin}->get('/api/oidc_servers'), 'list')->{json}{servers} } };
    $self->{notify}->wait_ready;
    $self->{smtpd}->fault(rcpt => { 'refused@example.org' => '550 5.1.1 ' . $self->text('smtp', 'no such mailbox here') });
    $self->fault('b', status => 403, text => $self->text('source-outcome', 'The record is closed.'));
    $self->fault('c', status => 503, retryAfter => 3000);
    my %path = (completed => $self->order('a', 'member-a-of-the-source', 'here-1'), failed => $self->order('b', 'member-b-of-the-source', 'here-2'),
        waiting => $self->order('c', 'member-c-of-the-source', 'here-3'), stopped => $self->order('c', 'another-member-of-c', 'here-4'));
    $self->add_payer($_, 'refused@example.org') for 'here-1';
    $self->add_payer('here-2', 'member@example.org');
    $self->{path} = \%path;
    $self->{id}   = { map { $_ => $path{$_} =~ m{(\d+)$} } keys %path };
    $x->wait($path{$_}, seconds => $PATIENCE) for qw(completed failed);
    $self->edit;
    $self->{sandbox}->faults('target', { do => 'status', match => 'POST /fhir', status => 422, count => 0, text => $self->text('target-outcome', 'This is not how we like it.') });
    $self->{sandbox}->load('a', tangled_member(3, 2, 'second-member-of-a')->{lines});
    $path{rejected} = $self->order('a', 'second-member-of-a', 'here-5');
    $self->{id}{rejected} = ($path{rejected} =~ m{(\d+)$})[0];
    good($x->{api}->request('DELETE', $path{stopped}), 'stop');
    $x->wait($path{$_}, seconds => $PATIENCE) for qw(rejected stopped);
    $self->{sandbox}->faults('target', []);
    $self->wait_for('a mail that is refused', sub { $self->{notify}->sql("SELECT COUNT(*) FROM p2p_outbox WHERE state = 'undeliverable'") > 0 });
    return $self;
}

# The source answers everything that is read of a record so.
sub fault { my ($self, $name, %what) = @_; return $self->{sandbox}->faults($name, { do => 'status', match => 'GET /fhir/Patient', count => 0, %what }) }

sub order {
    my ($self, @order) = @_;
    return good($self->{x}->order(@order), 'order')->{headers}{location} =~ s{^\Q${\ ($self->{prefix} // '')}\E(?=/)}{}r;
}

# A member asks for a payer that is not listed, and the target's staff says something.
sub add_payer {
    my ($self, $patient, $email) = @_;
    my $notify = $self->{notify};
    my $id = $notify->post(patient => $patient, payer => $self->text('payer-name', 'Old Payer'), first => $self->text('first-name', 'Evelyn'), email => $email);
    my $task = $notify->fhir('GET', "Task/$id")->{json};
    $notify->fhir('PUT', "Task/$id", { %$task, status => 'rejected', statusReason => { text => $self->text('status-reason', 'We know that one.') } });
    return;
}

# What an administrator does: a definition with texts, one that is refused, a test that finds faults.
sub edit {
    my ($self) = @_;
    my $admin = $self->{admin};
    my %texts = (name => $self->text('name', 'Payer with a note'), notes => $self->text('notes', 'Ask for Mary.'), organizationId => $self->text('organization', '12345'),
        scopes => $self->text('scopes', 'openid'), customTokenParams => $self->text('parameters', 'memberId'), clientId => $self->text('client-id', 'p2p'));
    my $b = $self->{x}->definition('b');
    my $made = good($admin->post('/admin/oidc_servers', { %$b, %texts, issuer => 'https://texts.example/issuer' }), 'definition')->{json};
    $self->{id}{definition} = $made->{pid};
    $admin->post('/admin/oidc_servers', { name => '' });
    $self->{sandbox}->faults('b', { do => 'status', match => 'metadata', status => 500, count => 0, text => $self->text('metadata-outcome', 'Out of order.') });
    my $test = good($admin->post("/admin/oidc_servers/$made->{pid}/test", {}), 'test')->{headers}{location};
    $self->{test} = $test =~ s{^\Q${\ ($self->{prefix} // '')}\E(?=/)}{}r;
    $self->wait_for('the test of a definition', sub { ($admin->get($self->{test})->{json}{status} // '') !~ /^(?:STARTING|STARTED|queued|running)$/ });
    return;
}

sub stop { my ($self) = @_; $self->{notify}->stop; $self->{smtpd}->stop; $self->{sandbox}->stop; return }

1;
