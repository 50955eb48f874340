# SPDX-License-Identifier: Apache-2.0
# The guide's Add Payer Task, from conf/, with its placeholders filled in.
package P2P::AddPayer;
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP;
use POSIX qw(strftime);

my $FILE  = abs_path(dirname(__FILE__) . '/../../..') . '/conf/add-payer-task.json';
my $PHONE = '1111111111';
my %PLACEHOLDER = (
    Patient_ID => 'patient', Organization_ID => 'organization', Task_Creation_Date_Time => 'time', Task_Last_Updated_Date_Time => 'time',
    member_first_name => 'first', requester_last_name => 'last', new_payer_name => 'payer', member_email_address => 'email',
);

sub sample_text {
    open my $in, '<', $FILE or die "$FILE: $!\n";
    local $/;
    return scalar <$in>;
}

# The sample as JSON text (bytes). patient, organization, first, last, payer, email, phone: characters, escaped as JSON wants it; time (now).
sub sample {
    my (%value) = @_;
    %value = (patient => 'member-1', organization => 'target-payer', time => strftime('%Y-%m-%dT%H:%M:%SZ', gmtime), first => 'Evelyn', last => 'McCullough',
        payer => 'Old Payer', email => 'member@example.org', phone => '555-0100', %value);
    my $json = JSON::PP->new->ascii->allow_nonref;
    my $written = sub { substr $json->encode("$_[0]"), 1, -1 };
    my $text = sample_text();
    $text =~ s/<(\w+)>/$written->($value{ $PLACEHOLDER{$1} })/ge;
    $text =~ s/$PHONE/$written->($value{phone})/ge;
    return $text;
}

# The value of an input of a Task that has been decoded.
sub input {
    my ($task, $code) = @_;
    my ($input) = grep { $_->{type}{coding}[0]{code} eq $code } @{ $task->{input} };
    return $input->{valueString};
}

1;
