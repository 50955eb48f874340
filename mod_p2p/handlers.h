/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers that the table of routes names. Each answers or returns a problem's status. */
#ifndef P2P_MOD_HANDLERS_H
#define P2P_MOD_HANDLERS_H

#include "route.h"

/* GET /api/oidc_servers and /api/oidc_servers/{id} (guide, "P2P exchange"). An archived definition is not
 * found. */
int p2p_handle_oidc_servers(request_rec *r, const p2p_match_t *match);
int p2p_handle_oidc_server(request_rec *r, const p2p_match_t *match);

/* GET /api/oidc_servers/{id}/batch_job?status=&page=: the caller's jobs, newest first, 50 a page. */
int p2p_handle_jobs(request_rec *r, const p2p_match_t *match);

/* POST /api/oidc_servers/{id}/batch_job: enqueues an exchange, once for an Idempotency-Key, and wakes the runners; 202. */
int p2p_handle_job_post(request_rec *r, const p2p_match_t *match);

/* GET /api/oidc_servers/{id}/batch_job/{id}. */
int p2p_handle_job(request_rec *r, const p2p_match_t *match);

/* DELETE …/batch_job/{id}: stops it; 200 where it is STOPPED, 202 where it is STOPPING. */
int p2p_handle_job_stop(request_rec *r, const p2p_match_t *match);

/* POST …/batch_job/{id}/restart, with new tokens in a body or without: queues it again and wakes the runners; 202. */
int p2p_handle_job_restart(request_rec *r, const p2p_match_t *match);

/* GET …/batch_job/{id}/report?page=: requests, parts and resources that were rejected or skipped, 100 of each a
 * page, and the sums of all. */
int p2p_handle_report(request_rec *r, const p2p_match_t *match);

/* GET /admin/oidc_servers?name=&issuer=&organization=&archived=&page=: definitions, 50 a page. */
int p2p_handle_admin_servers(request_rec *r, const p2p_match_t *match);

/* POST /admin/oidc_servers: 201. */
int p2p_handle_admin_server_post(request_rec *r, const p2p_match_t *match);

/* GET, PUT, PATCH (JSON merge patch) and DELETE /admin/oidc_servers/{id}. */
int p2p_handle_admin_server(request_rec *r, const p2p_match_t *match);
int p2p_handle_admin_server_put(request_rec *r, const p2p_match_t *match);
int p2p_handle_admin_server_patch(request_rec *r, const p2p_match_t *match);
int p2p_handle_admin_server_delete(request_rec *r, const p2p_match_t *match);

/* GET /admin/oidc_servers/{id}/use: what removing it touches. */
int p2p_handle_admin_server_use(request_rec *r, const p2p_match_t *match);

/* POST /admin/oidc_servers/{id}/unbind: a source patient may be somebody else's at the target from now on; 204. */
int p2p_handle_admin_server_unbind(request_rec *r, const p2p_match_t *match);

/* POST /admin/oidc_servers/{id}/test: has a runner try the definition, one test at a time; 202. GET …/test/{id}: how it goes, and what came of
 * it. */
int p2p_handle_admin_test_post(request_rec *r, const p2p_match_t *match);
int p2p_handle_admin_test(request_rec *r, const p2p_match_t *match);

/* The same of any definition's jobs, whatever their kind: /admin/batch_jobs?status=&server=&page=, /admin/batch_jobs/{id}, its restart and its
 * report. Administrators get more of a job (model/job.h). */
int p2p_handle_admin_jobs(request_rec *r, const p2p_match_t *match);
int p2p_handle_admin_job(request_rec *r, const p2p_match_t *match);
int p2p_handle_admin_job_stop(request_rec *r, const p2p_match_t *match);
int p2p_handle_admin_job_restart(request_rec *r, const p2p_match_t *match);
int p2p_handle_admin_report(request_rec *r, const p2p_match_t *match);

/* GET /admin/overview: sums of the last 48 hours, peers, queue, runners, and what needs a person. */
int p2p_handle_overview(request_rec *r, const p2p_match_t *match);

/* GET /admin/audit?object=&client=&page=: newest first, 100 a page. */
int p2p_handle_audit(request_rec *r, const p2p_match_t *match);

/* GET /admin/mail?state=&page=: mails newest first, 100 a page, how many there are in which state, and why all rest. GET /admin/mail/{id}.
 * POST /admin/mail/{id}/resend: back to the queue, and wakes the runners; 202. */
int p2p_handle_admin_mails(request_rec *r, const p2p_match_t *match);
int p2p_handle_admin_mail(request_rec *r, const p2p_match_t *match);
int p2p_handle_admin_mail_resend(request_rec *r, const p2p_match_t *match);

/* POST, PUT and DELETE of /hooks/task and all below it: notes what a Subscription of the target tells of, and wakes the runners. */
int p2p_handle_hook(request_rec *r, const p2p_match_t *match);

/* GET /health: 200 where the database answers and has a schema that this program serves. */
int p2p_handle_health(request_rec *r, const p2p_match_t *match);

/* GET /, /openapi.json, /swagger/… and /console/…: files of P2PPages, to everybody and without the database (pages.h). /console is a 308. */
int p2p_handle_api_page(request_rec *r, const p2p_match_t *match);
int p2p_handle_openapi(request_rec *r, const p2p_match_t *match);
int p2p_handle_swagger(request_rec *r, const p2p_match_t *match);
int p2p_handle_console(request_rec *r, const p2p_match_t *match);

/* GET /console/sign-in.json: where people sign in, as far as that is known, to everybody. */
int p2p_handle_sign_in(request_rec *r, const p2p_match_t *match);

/* The path and a slash behind it: 308, with a relative Location. */
int p2p_handle_slash(request_rec *r);

#endif
