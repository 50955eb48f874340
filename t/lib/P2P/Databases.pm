# SPDX-License-Identifier: Apache-2.0
# The two databases that everything has to work with, for tests that run once on each.
package P2P::Databases;
use strict;
use warnings;
use Exporter qw(import);
use File::Basename qw(basename);
use File::Temp qw(tempdir);
use P2P::Postgres;
use Test::More;
our @EXPORT = qw(each_database run_sql);

my $postgres;

sub sqlite {
    my $dir = tempdir('p2p-sqlite-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    return { name => 'SQLite', driver => 'sqlite3', params => "$dir/p2p.db", dir => $dir };
}

# One cluster for all of a test's turns; each gets it empty.
sub postgresql {
    $postgres //= P2P::Postgres->new->start;
    $postgres->psql('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    return { name => 'PostgreSQL', driver => 'pgsql', params => $postgres->params, server => $postgres };
}

# Runs statements that both databases understand; rows come as lines, columns separated by "|".
sub run_sql {
    my ($db, $sql) = @_;
    return $db->{server}->psql($sql, $db->{database}) if $db->{server};
    open my $sqlite, '-|', 'sqlite3', '-cmd', '.timeout 5000', $db->{params}, $sql or die "sqlite3: $!\n";
    my $text = join '', <$sqlite>;
    close $sqlite or die "sqlite3 fails: $sql\n";
    return $text =~ s/\n\z//r;
}

# The databases of a test file: both. With P2P_DATABASES=one (the sanitized stage, which has all on both behind it) one of them, about as often this as that,
# always the same for a file.
sub turns {
    my @all = (\&sqlite, \&postgresql);
    return @all if ($ENV{P2P_DATABASES} // 'both') eq 'both';
    return $all[unpack('%8C*', basename($0)) % 2];
}

# Runs a subtest on each database. The code gets { name, driver, params } of an empty one, as P2P::Httpd takes it as db, with dir for SQLite (its
# folder) and server for PostgreSQL (a P2P::Postgres).
sub each_database {
    my ($name, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $db (turns()) {
        my $made = $db->();
        subtest "$name on $made->{name}" => sub { $code->($made) };
    }
    return;
}

1;
