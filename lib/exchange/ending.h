/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a job in the database, and who is told of it. */
#ifndef P2P_EXCHANGE_ENDING_H
#define P2P_EXCHANGE_ENDING_H

#include "exchange/stages.h"

/* Ends the job's row: FAILED where it has an error, else STOPPED or COMPLETED. That it came to an end (not that it was stopped) is an event,
 * noted in the same transaction with the mails that it leads to; these are sent at once. Errors: those of p2p_job_finish; the same call again
 * ends it once. p is for scratch. */
p2p_error_t *p2p_ending_note(const p2p_exchange_t *x, apr_pool_t *p);

#endif
