/* SPDX-License-Identifier: Apache-2.0 */
/* Sends prepared Bundles as fast as a target takes them, over some connections, with the runner's own HTTP loop. A Bundle waits for
 * the answers to those that it refers to and for nothing else. The file holds for each one a line, "BYTES NUMBER NUMBER ..." (those it
 * waits for, counted from 0, all before it), the Bundle and a line end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "net/http_curl.h"

#define STALL_TIMEOUT apr_time_from_sec(120)
#define ANSWER_MAX (16 << 20)
#define ERROR_SHOWN 500

typedef struct loader_t loader_t;

typedef enum { WAITING, SENT, ANSWERED } state_t;

typedef struct bundle_t {
    loader_t *loader;
    char *bytes;
    apr_array_header_t *after; /* numbers, as int */
    p2p_http_body_t body;
    state_t state;
    apr_time_t begun;
} bundle_t;

struct loader_t {
    const char *target;
    int connections, under_way, first; /* all before the first have been sent */
    apr_pool_t *pool;
    p2p_clock_t clock;
    p2p_http_t *http;
    apr_array_header_t *bundles, *fields;
    apr_interval_time_t busy; /* of all connections together */
};

static void give_up(const char *what)
{
    fprintf(stderr, "loader: %s\n", what);
    exit(1);
}

/* ---- Before the clock starts ---- */

static apr_size_t read_bytes(void *baton, apr_uint64_t offset, char *out, apr_size_t room)
{
    const bundle_t *bundle = baton;
    apr_size_t len = (apr_size_t)(bundle->body.length - offset);

    if (len > room) len = room;
    memcpy(out, bundle->bytes + offset, len);
    return len;
}

static void read_head(loader_t *loader, bundle_t *bundle, char *line)
{
    char *rest = line;

    bundle->body.length = strtoull(line, &rest, 10);
    while (*rest == ' ') {
        long number = strtol(rest, &rest, 10);

        if (number < 0 || number >= loader->bundles->nelts) give_up("a Bundle waits for one that is not before it");
        APR_ARRAY_PUSH(bundle->after, int) = (int)number;
    }
    if (rest == line || *rest != '\n') give_up("a line is not \"BYTES NUMBER ...\"");
}

static void read_file(loader_t *loader, const char *path)
{
    FILE *in = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;

    if (!in) give_up("the file cannot be read");
    while (getline(&line, &room, in) > 0) {
        bundle_t *bundle = apr_pcalloc(loader->pool, sizeof *bundle);

        bundle->loader = loader;
        bundle->after = apr_array_make(loader->pool, 4, sizeof(int));
        read_head(loader, bundle, line);
        bundle->bytes = apr_palloc(loader->pool, (apr_size_t)bundle->body.length);
        if (fread(bundle->bytes, 1, (size_t)bundle->body.length, in) != bundle->body.length || getc(in) != '\n')
            give_up("a Bundle is shorter or longer than its line says");
        bundle->body.read = read_bytes;
        bundle->body.baton = bundle;
        APR_ARRAY_PUSH(loader->bundles, bundle_t *) = bundle;
    }
    free(line);
    fclose(in);
}

static void prepare(loader_t *loader, const char *file)
{
    p2p_http_curl_settings_t settings = {NULL, "mod_p2p/loader"};
    p2p_error_t *error;

    loader->clock = p2p_clock_system();
    loader->bundles = apr_array_make(loader->pool, 256, sizeof(bundle_t *));
    loader->fields = apr_array_make(loader->pool, 3, sizeof(const char *));
    APR_ARRAY_PUSH(loader->fields, const char *) = "Content-Type: application/fhir+json";
    APR_ARRAY_PUSH(loader->fields, const char *) = "Accept: application/fhir+json";
    APR_ARRAY_PUSH(loader->fields, const char *) = "Prefer: return=minimal";
    error = p2p_http_curl_make(loader->pool, &settings, &loader->clock, &loader->http);
    if (error) give_up(error->sentence);
    read_file(loader, file);
}

/* ---- While it runs ---- */

static apr_time_t now(const loader_t *loader)
{
    return loader->clock.monotonic(loader->clock.baton);
}

static bundle_t *at(const loader_t *loader, int number)
{
    return APR_ARRAY_IDX(loader->bundles, number, bundle_t *);
}

static int is_ready(const loader_t *loader, const bundle_t *bundle)
{
    int i;

    for (i = 0; i < bundle->after->nelts; i++) {
        if (at(loader, APR_ARRAY_IDX(bundle->after, i, int))->state != ANSWERED) return 0;
    }
    return bundle->state == WAITING;
}

static void send_ready(loader_t *loader);

static void on_answer(void *baton, int status, const apr_table_t *fields, const char *body, apr_size_t len, const p2p_error_t *error)
{
    bundle_t *bundle = baton;
    loader_t *loader = bundle->loader;

    (void)fields;
    if (error) give_up(error->sentence);
    if (status != 200)
        give_up(apr_psprintf(loader->pool, "the target answered %d: %.*s", status, len < ERROR_SHOWN ? (int)len : ERROR_SHOWN, body));
    bundle->state = ANSWERED;
    loader->busy += now(loader) - bundle->begun;
    loader->under_way--;
    send_ready(loader);
}

static void send_bundle(loader_t *loader, bundle_t *bundle)
{
    p2p_http_request_t request = {.method = "POST", .url = loader->target, .fields = loader->fields, .body = &bundle->body,
                                  .max_bytes = ANSWER_MAX, .stall_timeout = STALL_TIMEOUT, .connections = loader->connections};
    p2p_http_transfer_t *transfer;
    p2p_error_t *error;

    bundle->state = SENT;
    bundle->begun = now(loader);
    loader->under_way++;
    error = p2p_http_fetch(loader->http, loader->pool, &request, on_answer, bundle, &transfer);
    if (error) give_up(error->sentence);
}

static void send_ready(loader_t *loader)
{
    int i;

    while (loader->first < loader->bundles->nelts && at(loader, loader->first)->state != WAITING) loader->first++;
    for (i = loader->first; i < loader->bundles->nelts && loader->under_way < loader->connections; i++) {
        if (is_ready(loader, at(loader, i))) send_bundle(loader, at(loader, i));
    }
}

int main(int argc, char **argv)
{
    loader_t loader = {0};
    p2p_error_t *error = NULL;
    double seconds;
    apr_time_t begin;

    if (argc != 4) give_up("FILE TARGET CONNECTIONS");
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&loader.pool, NULL);
    loader.target = argv[2];
    loader.connections = atoi(argv[3]);
    prepare(&loader, argv[1]);
    begin = now(&loader);
    send_ready(&loader);
    while (!error && loader.under_way) error = loader.http->poll(loader.http, -1, apr_time_from_sec(1), NULL);
    if (error) give_up(error->sentence);
    seconds = (double)(now(&loader) - begin) / 1e6;
    printf("{\"seconds\":%.3f,\"bundles\":%d,\"busy\":%.3f}\n", seconds, loader.bundles->nelts,
           (double)loader.busy / 1e6 / seconds / loader.connections);
    apr_pool_destroy(loader.pool);
    return 0;
}
