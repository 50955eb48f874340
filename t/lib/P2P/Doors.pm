# SPDX-License-Identifier: Apache-2.0
# What opens to whom, however callers are known: the routes of mod_p2p/route.c, and functions that ask all of them as one caller.
package P2P::Doors;
use strict;
use warnings;
use Exporter qw(import);
use P2P::Source;
use Test::More;
our @EXPORT = qw(routes ask ok_portal ok_administrator ok_no_administrator ok_closed);

my @NOWHERE = ([GET => '/swagger'], [GET => '/console.js'], [GET => '/nowhere'], [GET => '/admin'], [GET => '/admin/nowhere'], [GET => '/health/x'], [GET => '/etc/passwd'],
    [PROPFIND => '/api/oidc_servers'], [OPTIONS => '/api/oidc_servers'], [OPTIONS => '/admin/oidc_servers']);

# The table of routes: { method, path, role, action } with the role in lower case (none, portal, administrator), in its order. What takes the secret of the
# Subscription, and nobody's, has the role "hook".
sub routes {
    my @routes;
    for my $line (lines_of('mod_p2p/route.c')) {
        my ($path, $method, $role, $action) = $line =~ /^    \{ "(\/[^"]*)", M_(\w+), P2P_ROLE_(\w+), \w+, (?:NULL|"(\w+)") \},/ or next;
        push @routes, { method => $method, path => $path, role => $path =~ m{^/hooks/} ? 'hook' : lc $role, action => $action };
    }
    return @routes;
}

# A file of each folder of pages.
my %PAGE = ('/swagger/*' => '/swagger/page.js', '/console/*' => '/console/');

# Asks for a route, of a thing that does not exist (each {id} is 987654321); bodies are empty objects.
sub ask {
    my ($api, $route, %headers) = @_;
    my $path = ($PAGE{ $route->{path} } // $route->{path}) =~ s/\{id\}/987654321/gr;
    return $api->request($route->{method}, $path, headers => \%headers, $route->{method} =~ /^P/ ? (content => '{}') : ());
}

sub _of { my (@roles) = @_; my %is = map { $_ => 1 } @roles; return grep { $is{ $_->{role} } } routes() }

# Each of the routes answers with this status.
sub _is {
    my ($api, $status, $name, @routes) = @_;
    my @wrong = grep { $_->[1] != $status } map { ["$_->{method} $_->{path}", ask($api, $_)->{status}] } @routes;
    is(join(', ', map { "@$_" } @wrong), '', $name);
    return;
}

# None of the routes refuses the caller: what else is said is a matter of other tests.
sub _open {
    my ($api, $name, @routes) = @_;
    my @wrong;
    for my $route (@routes) {
        my $answer = ask($api, $route);
        push @wrong, "$route->{method} $route->{path} $answer->{status}"
            if $answer->{status} =~ /^(?:401|403|405|5\d\d)$/ || ($answer->{json}{code} // '') eq 'not-found';
    }
    is(join(', ', @wrong), '', $name);
    return;
}

# A caller who is known, and no administrator. status: what administration says to him, where it is not 403. closed: a pattern of pages that are
# not open to him.
sub ok_portal {
    my ($name, $api, $status, $closed) = @_;
    is($api->get('/api/oidc_servers')->{status}, 200, "$name: the list");
    _open($api, "$name: all of /api", grep { !$closed || $_->{path} !~ $closed } _of('none', 'portal'));
    _is($api, $status // 403, "$name: nothing of /admin", _of('administrator'));
    like($api->get('/admin/nowhere')->{status}, qr/^40[134]$/, "$name: ... nor what is not there");
    return;
}

sub ok_administrator {
    my ($name, $api) = @_;
    is($api->get('/api/oidc_servers')->{status}, 200, "$name: the list");
    _open($api, "$name: everything", _of('none', 'portal', 'administrator'));
    return;
}

# One whom httpd's own configuration takes for an administrator, but not P2PAdministrators.
sub ok_no_administrator {
    my ($name, $api) = @_;
    _open($api, "$name: all of /api", _of('none', 'portal'));
    _is($api, 403, "$name: nothing of /admin", _of('administrator'));
    return;
}

# Somebody who is not known: nothing but /health and the pages answers, and nothing is told of what there is. status: 401, or 403 where nothing can be asked for. closed: a pattern
# of pages that are not open either.
sub ok_closed {
    my ($name, $api, $status, $closed) = @_;
    my %is_closed = map { $_->{path} => 1 } grep { $closed && $_->{path} =~ $closed } routes();
    _is($api, $status, "$name: no route is open", _of('portal', 'administrator'));
    _is($api, $status, "$name: ... nor is it told what there is", map { { method => $_->[0], path => $_->[1] } } @NOWHERE);
    is($api->get('/health')->{status}, 200, "$name: but /health");
    _is($api, 200, "$name: ... and the pages", grep { $_->{path} ne '/health' && !$is_closed{ $_->{path} } } _of('none'));
    _is($api, $status, "$name: ... but these", grep { $is_closed{ $_->{path} } } _of('none')) if $closed;
    return;
}

1;
