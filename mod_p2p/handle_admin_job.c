/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs across definitions, for administrators: the handlers of /api, come to on another way. */
#include "handlers.h"
#include "job_reply.h"

int p2p_handle_admin_jobs(request_rec *r, const p2p_match_t *match)
{
    (void)match;
    return p2p_job_show_list(r, &(p2p_job_way_t){ .administration = 1 });
}

int p2p_handle_admin_job(request_rec *r, const p2p_match_t *match)
{
    return p2p_job_show(r, &(p2p_job_way_t){ .id = match->ids[0], .administration = 1 });
}

int p2p_handle_admin_job_stop(request_rec *r, const p2p_match_t *match)
{
    return p2p_job_do_stop(r, &(p2p_job_way_t){ .id = match->ids[0], .administration = 1 });
}

int p2p_handle_admin_job_restart(request_rec *r, const p2p_match_t *match)
{
    return p2p_job_do_restart(r, &(p2p_job_way_t){ .id = match->ids[0], .administration = 1 });
}

int p2p_handle_admin_report(request_rec *r, const p2p_match_t *match)
{
    return p2p_job_show_report(r, &(p2p_job_way_t){ .id = match->ids[0], .administration = 1 });
}
