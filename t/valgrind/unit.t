#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The unit tests under valgrind: no invalid access, nothing lost for good.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use P2P::Source;
use Test::More;

my $build = $ENV{P2P_BUILDDIR} // top() . '/run/build';
my @programs = map { s/\.c$//r } files(qr{/test_\w+\.c$}, 't/unit');
ok(@programs > 0, 'there are unit tests');
chdir top() or die "chdir: $!";
for my $program (@programs) {
    my $said = qx{valgrind -q --error-exitcode=87 --leak-check=full --errors-for-leak-kinds=definite '$build/$program' 2>&1};
    is($? >> 8, 0, $program) or diag($said);
}
done_testing();
