/* SPDX-License-Identifier: Apache-2.0 */
/* p2p-runner reseal: how it goes, and what is left. */
#include "runner/commands.h"
#include <inttypes.h>
#include <string.h>
#include <sysexits.h>
#include "runner/runner.h"
#include "store/reseal.h"

#define TOLD 100 /* values that cannot be opened, by name */

typedef struct telling_t {
    FILE *out;
    int unopenable;
} telling_t;

static void progress(void *baton, const char *table, apr_int64_t resealed)
{
    telling_t *telling = baton;

    fprintf(telling->out, "%s: %" PRId64 " values sealed anew\n", table, (int64_t)resealed);
    fflush(telling->out);
}

static void unopenable(void *baton, const char *where, const p2p_error_t *error)
{
    telling_t *telling = baton;

    telling->unopenable++;
    if (telling->unopenable <= TOLD) fprintf(stderr, "p2p-runner: %s: %s (%s)\n", where, error->sentence, error->code);
    if (telling->unopenable == TOLD + 1) fprintf(stderr, "p2p-runner: and further ones\n");
}

static int has_key(const p2p_keyring_t *keyring, const char *id)
{
    int i = p2p_keyring_count(keyring) - 1;

    while (i >= 0 && strcmp(p2p_keyring_id(keyring, i), id)) i--;
    return i >= 0;
}

/* What there is of other keys than the first, and the exit code that it makes. */
static int tell_others(const p2p_spec_t *spec, const apr_array_header_t *counts, FILE *out)
{
    const char *first = p2p_keyring_id(spec->keyring, 0);
    int code = EX_OK;

    for (int i = 0; i < counts->nelts; i++) {
        const p2p_sealed_count_t *count = &APR_ARRAY_IDX(counts, i, p2p_sealed_count_t);
        int known = has_key(spec->keyring, count->key_id);

        if (!strcmp(count->key_id, first)) continue;
        fprintf(out, "%s, %s: %" PRId64 " values ", count->table, count->column, (int64_t)count->count);
        if (*count->key_id) fprintf(out, "of key %s%s\n", count->key_id, known ? "" : ", which is missing in P2PSecretKeyFile");
        else fprintf(out, "that are damaged\n");
        if (!known) code = EX_DATAERR;
        else if (!code) code = EX_TEMPFAIL;
    }
    return code;
}

/* Something of a key that is there is left after a reseal: it cannot be opened, or somebody has sealed it since. */
static int sum_up(apr_pool_t *p, p2p_db_t *db, const p2p_spec_t *spec, const telling_t *telling, int only_look)
{
    const char *first = p2p_keyring_id(spec->keyring, 0);
    apr_array_header_t *counts;
    apr_int64_t good = 0;
    p2p_error_t *error = p2p_sealed_counts(db, p, &counts);
    int code;

    if (error) {
        p2p_command_complain(error);
        return p2p_exit_code(error);
    }
    for (int i = 0; i < counts->nelts; i++) {
        const p2p_sealed_count_t *count = &APR_ARRAY_IDX(counts, i, p2p_sealed_count_t);

        if (!strcmp(count->key_id, first)) good += count->count;
    }
    fprintf(telling->out, "%" PRId64 " values are sealed with key %s, the first.\n", (int64_t)good, first);
    code = tell_others(spec, counts, telling->out);
    if (telling->unopenable) code = EX_DATAERR;
    if (!code) fprintf(telling->out, "No other key is needed.\n");
    else if (only_look) return code;
    else if (code == EX_DATAERR) fprintf(stderr, "p2p-runner: What cannot be opened was left as it is.\n");
    else
        fprintf(stderr, "p2p-runner: Somebody still seals with another key: see that key %s is the first at every httpd, and run reseal again.\n",
                first);
    return code;
}

int p2p_command_reseal(apr_pool_t *p, const p2p_spec_t *spec, const p2p_log_t *log, int only_look, FILE *out)
{
    telling_t telling = {out, 0};
    p2p_reseal_watch_t watch = {progress, unopenable, &telling};
    apr_int64_t resealed;
    p2p_db_t *db;
    p2p_error_t *error = p2p_command_open(p, spec, log, &db);

    if (!error && !only_look) error = p2p_reseal(db, p, spec->keyring, &watch, &resealed);
    if (error) {
        p2p_command_complain(error);
        return p2p_exit_code(error);
    }
    if (!only_look) fprintf(out, "%" PRId64 " values were sealed anew.\n", (int64_t)resealed);
    return p2p_command_done(out, sum_up(p, db, spec, &telling, only_look));
}
