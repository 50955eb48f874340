# SPDX-License-Identifier: Apache-2.0
# Members for exchanges: Synthea's, and generated ones for what Synthea lacks.
package P2P::Fixtures;
use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
our @EXPORT = qw(data_dir synthea_members synthea_member);

sub data_dir { return abs_path(dirname(__FILE__) . '/../../data') }

# Synthea's members: { name, file, patient (id) }, sorted by file.
sub synthea_members {
    my @files = sort glob data_dir() . '/synthea-r4/*.json.gz';
    my @members;
    for my $file (grep { !m{/practitionerInformation} } @files) {
        gunzip($file => \my $text) or die "$file: $GunzipError\n";
        my ($id) = $text =~ /"resourceType"\s*:\s*"Patient"\s*,\s*"id"\s*:\s*"([^"]+)"/ or die "$file: no Patient\n";
        my $name = 'm' . (@members + 1);
        push @members, { name => $name, file => $file, patient => $id };
    }
    return @members;
}

# The one whose file begins so.
sub synthea_member {
    my ($begin) = @_;
    my ($member) = grep { dirname($_->{file}) . "/$begin" eq substr $_->{file}, 0, length(dirname $_->{file}) + 1 + length $begin } synthea_members();
    return $member // die "no Synthea member $begin\n";
}

1;
