/* SPDX-License-Identifier: Apache-2.0 */
/* p2p-runner hook rotate: a new secret for the hook. */
#include <sysexits.h>

#include "runner/commands.h"
#include "runner/runner.h"
#include "runner/user.h"
#include "store/audit_store.h"
#include "store/subscription_store.h"

typedef struct rotation_t {
    const p2p_spec_t *spec;
    p2p_audit_row_t row;
} rotation_t;

static p2p_error_t *rotate(p2p_db_t *db, apr_pool_t *p, void *baton)
{
    const rotation_t *rotation = baton;

    P2P_TRY(p2p_subscription_rotate(db, p, rotation->spec->keyring, rotation->spec->target, rotation->spec->hook_url));
    return p2p_audit_add(db, p, &rotation->row);
}

static p2p_error_t *carry_out(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log)
{
    rotation_t rotation = {spec, {.client = p2p_caller_name(p), .role = "administrator", .address = "local", .action = "rotate", .object = "hook",
                                  .status = 200}};
    p2p_db_t *db;

    if (!spec->hook_url)
        return p2p_error_make(p, P2P_E_INVALID, "no-hook", "There is no P2PHookURL, and so no secret that could be changed.");
    P2P_TRY(p2p_command_open(p, spec, log, &db));
    P2P_TRY(p2p_audit_next_id(db, p, &rotation.row.id));
    return p2p_db_transaction(db, p, rotate, &rotation);
}

int p2p_command_hook_rotate(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, FILE *out)
{
    p2p_error_t *error = carry_out(p, spec, log);

    if (error) {
        p2p_command_complain(error);
        return p2p_exit_code(error);
    }
    fprintf(out, "The hook has a new secret, which a runner tells the target within seconds; the old one is good for another 24 hours.\n");
    return p2p_command_done(out, EX_OK);
}
