# SPDX-License-Identifier: Apache-2.0
# The sandbox's member portal before an httpd of a test's own: what each of the two has to know of the other.
package P2P::Portal;
use strict;
use warnings;
use P2P::Source;

# The target payer, for P2P::Sandbox->start(payers => [...]): member is the Patient whom the portal plays. The portal's pages are at ORIGIN/portal/.
sub payer {
    my ($name, $member, @directives) = @_;
    return { name => $name, directives => ['SandboxPortal /portal "' . top() . '/t/sandbox/portal"', "SandboxMember $member", 'SandboxOrganization target-payer', 'SandboxAudience p2p', @directives] };
}

# For P2P::Httpd->new: the portal's tokens open /api, and its pages may call it. What else opens it is as the test has it (users).
sub options {
    my ($origin, %opt) = @_;
    my $prefix = $opt{prefix} // '';
    return (
        directives => { P2PTrustIssuer => "$origin audience=p2p portal=p2p.portal", P2PCorsOrigins => $origin, %{ $opt{directives} // {} } },
        vhost => ["<Location $prefix/api>", '<If "%{HTTP:Authorization} =~ /^Bearer /i">', 'AuthType Bearer', 'AuthName p2p', 'Require p2p-role portal',
            'AuthzSendForbiddenOnFailure On', '</If>', '</Location>', @{ $opt{vhost} // [] }],
    );
}

# Tells the portal where the API is; as soon as the runner has the payer's keys, its pages are let in.
sub connect_to {
    my ($sandbox, $name, $httpd) = @_;
    return $sandbox->set($name, api => $httpd->url);
}

1;
