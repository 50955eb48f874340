#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The corpus of t/fuzz as request bodies of every route that takes one: each is answered at once, none by a fault of ours, and nothing that was secret or
# wrong comes back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use JSON::PP;
use P2P::Api;
use P2P::Databases;
use P2P::Doors;
use P2P::Httpd;
use P2P::Source;
use Test::More;

my @DEFINITIONS = map { { name => "Payer $_", issuer => "https://$_.example", clientId => 'c', fhirEndpoint => 'https://a.example:8444/fhir/r4', responseType => 'code' } } qw(a b);
my %MAY = map { $_ => 1 } 200, 201, 202, 204, 400, 404, 409, 412, 415, 422, 428;
my $LONGEST = 40_000;    # bytes of an answer: a hundred entries of a Bundle, each with its fault

sub corpus { my ($name) = @_; return map { { name => $_, bytes => P2P::Httpd::read_file(top() . "/$_") } } files(qr{/case-}, "t/fuzz/corpus/$name") }
my %CORPUS = map { $_ => [corpus($_)] } qw(order definition);

# Orders go to the first definition, changes to the second, so that orders find it as it was.
my @routes = map { { %$_, corpus => $_->{path} =~ /^\/admin\/oidc_servers(?:\/\{id\}(?:\/unbind)?)?$/ ? 'definition' : 'order' } } grep { $_->{method} =~ /^P/ } routes();
my %taken;

sub path_of { my ($route) = @_; my $first = $route->{path} =~ /^\/admin\/oidc_servers\/\{id\}$/ ? 2 : 1; return $route->{path} =~ s/\{id\}/$first/r =~ s/\{id\}/1/r }

# What is wrong with an answer, or nothing.
sub faults {
    my ($answer, $body) = @_;
    my @faults;
    push @faults, "status $answer->{status}" if !$MAY{ $answer->{status} };
    push @faults, 'a long answer' if length $answer->{content} > $LONGEST;
    push @faults, 'a header of the body' if $answer->{headers}{'x-injected'};
    if ($answer->{status} >= 400) {
        push @faults, 'no problem document' if ($answer->{headers}{'content-type'} // '') ne 'application/problem+json' || ($answer->{json}{status} // 0) != $answer->{status};
        push @faults, 'repeats what it got' if index($answer->{content}, 'SECRET') >= 0;
    }
    push @faults, 'shows a secret' if $answer->{content} =~ /SECRET-(?:client|access|refresh)/;
    return @faults;
}

sub test_route {
    my ($api, $route, $step) = @_;
    my @wrong;
    my @cases = @{ $CORPUS{ $route->{corpus} } };
    for my $i (grep { $_ % $step == 0 } 0 .. $#cases) {
        my $type = $route->{method} eq 'PATCH' ? 'application/merge-patch+json' : 'application/json';
        my $answer = $api->request($route->{method}, path_of($route), content => $cases[$i]{bytes}, headers => { 'Content-Type' => $type });
        $taken{"$route->{method} $route->{path}"}++ if $answer->{status} < 300;
        # The next one is of the same member, or has the same issuer.
        $api->request('DELETE', $answer->{headers}{location}, headers => { 'If-Match' => '*' }) if $answer->{status} =~ /^20[12]$/ && $answer->{headers}{location};
        push @wrong, map { "$cases[$i]{name}: $_" } faults($answer);
    }
    is(join("\n", @wrong), '', "$route->{method} $route->{path}");
    return;
}

cmp_ok(scalar @{ $CORPUS{$_} }, '>', 100, "the corpus of $_ is found") for sort keys %CORPUS;
cmp_ok(scalar @routes, '>=', 2, 'the routes that take bodies are found');
each_database('bodies' => sub {
    my ($db) = @_;
    my $step = $db->{driver} eq 'sqlite3' ? 1 : 3;    # what a body says is looked at before any database is
    my $httpd = P2P::Httpd->new(db => $db, users => { portal => 'pass', admin => 'pass' });
    $httpd->prepare(\@DEFINITIONS)->start;
    my $api = P2P::Api->new($httpd->url, 'admin', 'pass');
    %taken = ();
    test_route($api, $_, $step) for @routes;
    cmp_ok($taken{$_} // 0, '>=', 3, "$_: some are good ones") for 'POST /api/oidc_servers/{id}/batch_job', grep { /^P\w+ \/admin\/oidc_servers(?:\/\{id\})?$/ } map { "$_->{method} $_->{path}" } @routes;
    my $log = $httpd->log_text;
    is(scalar(() = $log =~ /exit signal|AH00051|AH00052/g), 0, 'no child of httpd died');
    is(index($log, 'SECRET'), -1, 'nothing of them stands in the log');
    $httpd->stop;
});
done_testing;
