/* SPDX-License-Identifier: Apache-2.0 */
/* The source role: before the payer's own FHIR server, answers get the Provenance that was asked for as they pass (fhir/injection.h). */
#ifndef P2P_MOD_INJECT_H
#define P2P_MOD_INJECT_H

#include <httpd.h>

/* Registers its hooks and filters. */
void p2p_inject_register(void);

#endif
