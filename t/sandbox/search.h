/* SPDX-License-Identifier: Apache-2.0 */
/* What search.c, page.c and metadata.c know of each other. */
#ifndef P2P_SANDBOX_SEARCH_H
#define P2P_SANDBOX_SEARCH_H

#include "sandbox.h"

/* file, type, reverse-type or "shuffled SEED"; 0 where text is none of them. */
int sandbox_order_read(const char *text, sandbox_order_t *order, apr_uint64_t *seed);

/* Answers with count entries of the remembered search from offset on; 410 where it is forgotten. */
int sandbox_page(sandbox_call_t *call, apr_uint32_t number, apr_size_t offset, int count);
/* Answers with the total alone. */
int sandbox_page_count(sandbox_call_t *call, apr_uint32_t number);

/* The CapabilityStatement. */
int sandbox_metadata(sandbox_call_t *call);
/* The SMART (or OpenID) configuration. */
int sandbox_well_known(sandbox_call_t *call, int smart);

#endif
