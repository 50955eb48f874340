/* SPDX-License-Identifier: Apache-2.0 */
/* What FHIR R4 says of a resource type, as far as an exchange needs it. */
#ifndef P2P_FHIR_RESOURCE_TYPE_H
#define P2P_FHIR_RESOURCE_TYPE_H

typedef enum {
    P2P_IDENTIFIER_NONE, /* the type has no identifier element, or is not one of R4's */
    P2P_IDENTIFIER_ONE,  /* 0..1 */
    P2P_IDENTIFIER_MANY  /* 0..* */
} p2p_identifier_kind_t;

/* How many identifiers a resource of this type may have (R4 4.0.1 definitions). */
p2p_identifier_kind_t p2p_identifier_kind(const char *type);

/* Does a resource of this type tell the server how to behave (a Subscription, a SearchParameter …)? No part of a member's record, and at
 * the target it would do what the source wants. */
int p2p_is_server_type(const char *type);

#endif
