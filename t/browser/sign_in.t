#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# People sign in at the console and at the API page with a real OpenID provider, whose access tokens open the API.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Browser;
use P2P::People;
use Test::More;

my $people = P2P::People->start;
P2P::Browser::run('sign_in.js', { url => $people->url . '/', provider => $people->origin }, answers => $people->answers);
$people->stop;
done_testing;
