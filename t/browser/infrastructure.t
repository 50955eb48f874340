#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What the other files here rest on: pages with a fault are seen to have it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Browser;
use Test::More;

P2P::Browser::run('infrastructure.js', {},
    answers => { sum => sub { my ($n) = @_; return { sum => $n->[0] + $n->[1], text => $n->[2] } }, dies => sub { die "not today\n" } });
done_testing;
