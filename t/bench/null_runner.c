/* SPDX-License-Identifier: Apache-2.0 */
/* The floor of the benchmark: the runner's own HTTP loop fetches the pages of a record while it sends the Bundles that a
 * runner would make of it, which lie in memory before the clock starts; between them it does nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "exchange/outgoing.h"
#include "fhir/provenance.h"
#include "net/http_curl.h"

#define STALL_TIMEOUT apr_time_from_sec(60)
#define ANSWER_MAX (16 << 20)
#define NEXT "\"relation\":\"next\",\"url\":\""
#define HEAD_BYTES 4096 /* so much of a page's beginning is searched for the next link, which the sandbox writes first */

typedef struct settings_t {
    const char *file, *source, *target, *ca_file, *token, *id_namespace, *source_patient, *target_patient;
    int page_size, bundle_size, connections;
} settings_t;

typedef struct text_t {
    char *bytes;
    apr_size_t len;
} text_t;

typedef struct null_t null_t;

typedef struct page_t {
    null_t *null;
    char head[HEAD_BYTES + 1];
    apr_size_t head_len;
    int followed;
} page_t;

typedef struct post_t {
    null_t *null;
    const text_t *text;
    p2p_http_body_t body;
} post_t;

struct null_t {
    settings_t set;
    apr_pool_t *pool;
    p2p_clock_t clock;
    p2p_http_t *http;
    p2p_http_auth_t auth;
    apr_array_header_t *bundles, *get_fields, *post_fields;
    int next_bundle, posts, gets, pages;
};

static void give_up(const char *what)
{
    fprintf(stderr, "null_runner: %s\n", what);
    exit(1);
}

/* ---- Before the clock starts ---- */

/* What a runner would send: the same text, from the same code. */
static void keep_bundle(null_t *null, p2p_outgoing_t *outgoing)
{
    text_t *text = apr_array_push(null->bundles);
    apr_size_t done = 0, n = 1;

    p2p_outgoing_start(outgoing, 0);
    text->len = (apr_size_t)outgoing->body.length;
    text->bytes = malloc(text->len);
    if (!text->bytes) abort();
    for (; n && done < text->len; done += n) n = outgoing->body.read(outgoing, done, text->bytes + done, text->len - done);
    if (done != text->len) give_up("a Bundle is shorter than it says");
}

static p2p_resource_t *map_line(p2p_mapper_t *mapper, apr_pool_t *scratch, const char *line, apr_size_t len)
{
    p2p_bundle_entry_t entry = {.resource = line, .len = len};
    p2p_resource_t *resource;
    p2p_error_t *error = p2p_map(mapper, scratch, &entry, &resource);

    if (error) give_up(error->sentence);
    apr_pool_clear(scratch);
    return resource;
}

/* A page's Provenance names each of its resources in version 1: the target is empty before. */
static p2p_resource_t *make_provenance(const null_t *null, p2p_mapper_t *mapper, p2p_id_deriver_t *deriver, int page,
                                       const p2p_buf_t *targets)
{
    static const char sha256[] = "0000000000000000000000000000000000000000000000000000000000000000";
    const char *number = apr_itoa(null->pool, page);
    char id[P2P_RESOURCE_ID_LEN + 1];
    p2p_provenance_t provenance = {id, null->clock.now(null->clock.baton), id, null->set.source, sha256};
    unsigned type = (unsigned)p2p_mapper_type_number(mapper, "Provenance", 10);
    unsigned char digest[P2P_DIGEST_BYTES];
    p2p_resource_t *resource;
    p2p_buf_t text;

    p2p_id_digest(deriver, "Provenance", 10, number, strlen(number), digest);
    p2p_id_text(digest, id);
    p2p_buf_init(&text, 1 << 20);
    p2p_provenance_begin(&text, &provenance);
    p2p_buf_add(&text, targets->data, targets->len);
    p2p_provenance_end(&text, &provenance);
    resource = p2p_resource_own(NULL, type, digest, text.data, text.len);
    p2p_buf_free(&text);
    return resource;
}

static void add_resource(null_t *null, p2p_mapper_t *mapper, p2p_outgoing_t **open, p2p_resource_t *resource)
{
    p2p_outgoing_add(*open, resource);
    if ((*open)->count < null->set.bundle_size) return;
    keep_bundle(null, *open);
    p2p_outgoing_free(*open);
    *open = p2p_outgoing_make(mapper);
}

static void prebuild(null_t *null, FILE *in, p2p_mapper_t *mapper)
{
    p2p_id_deriver_t *deriver = p2p_id_deriver_make(null->pool, "floor");
    p2p_outgoing_t *open = p2p_outgoing_make(mapper);
    p2p_buf_t targets;
    apr_pool_t *scratch;
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int on_page = 0, page = 0;

    apr_pool_create(&scratch, null->pool);
    p2p_buf_init(&targets, 1 << 20);
    while ((len = getline(&line, &room, in)) > 1) {
        p2p_resource_t *resource = map_line(mapper, scratch, line, (apr_size_t)len - 1);
        char id[P2P_RESOURCE_ID_LEN + 1];

        p2p_id_text(resource->digest, id);
        p2p_provenance_target(&targets, on_page == 0, p2p_mapper_type(mapper, resource->type), id, "1");
        add_resource(null, mapper, &open, resource);
        if (++on_page < null->set.page_size) continue;
        add_resource(null, mapper, &open, make_provenance(null, mapper, deriver, page++, &targets));
        p2p_buf_clear(&targets);
        on_page = 0;
    }
    if (on_page) add_resource(null, mapper, &open, make_provenance(null, mapper, deriver, page, &targets));
    if (open->count) keep_bundle(null, open);
    p2p_outgoing_free(open);
    p2p_buf_free(&targets);
    free(line);
}

static void build(null_t *null)
{
    const settings_t *set = &null->set;
    p2p_map_settings_t map = {set->id_namespace, set->source, set->source_patient, set->target_patient, 0};
    FILE *in = fopen(set->file, "r");

    if (!in) give_up("the record cannot be read");
    null->bundles = apr_array_make(null->pool, 1024, sizeof(text_t));
    prebuild(null, in, p2p_mapper_make(null->pool, &map));
    fclose(in);
}

/* ---- Pages ---- */

static void get(null_t *null, const char *url);

/* The next page is fetched while this one still comes, as the runner does. */
static void follow(page_t *page)
{
    char *url = strstr(page->head, NEXT), *end;

    if (!url) return;
    url += sizeof NEXT - 1;
    end = strchr(url, '"');
    if (!end) return;
    *end = '\0';
    page->followed = 1;
    get(page->null, url);
}

static p2p_http_flow_t on_data(void *baton, const char *bytes, apr_size_t len)
{
    page_t *page = baton;

    if (page->followed || page->head_len == HEAD_BYTES) return P2P_HTTP_GO;
    if (len > HEAD_BYTES - page->head_len) len = HEAD_BYTES - page->head_len;
    memcpy(page->head + page->head_len, bytes, len);
    page->head_len += len;
    page->head[page->head_len] = '\0';
    follow(page);
    return P2P_HTTP_GO;
}

static void on_page(void *baton, int status, const p2p_error_t *error)
{
    page_t *page = baton;

    if (error) give_up(error->sentence);
    if (status != 200) give_up(apr_psprintf(page->null->pool, "the source answered %d", status));
    page->null->gets--;
    page->null->pages++;
    free(page);
}

static void get(null_t *null, const char *url)
{
    page_t *page = calloc(1, sizeof *page);
    p2p_http_request_t request = {.method = "GET", .url = url, .fields = null->get_fields, .auth = &null->auth, .gzip = 1,
                                  .stall_timeout = STALL_TIMEOUT, .connections = null->set.connections, .baton = page,
                                  .data = on_data, .done = on_page};
    p2p_error_t *error;

    if (!page) abort();
    page->null = null;
    null->gets++;
    error = p2p_http_start(null->http, &request, NULL);
    if (error) give_up(error->sentence);
}

/* ---- Bundles ---- */

static void send_bundles(null_t *null);

static apr_size_t read_text(void *baton, apr_uint64_t offset, char *out, apr_size_t room)
{
    const post_t *post = baton;
    apr_size_t len = post->text->len - (apr_size_t)offset;

    if (len > room) len = room;
    memcpy(out, post->text->bytes + offset, len);
    return len;
}

static void on_answer(void *baton, int status, const p2p_error_t *error)
{
    post_t *post = baton;
    null_t *null = post->null;

    if (error) give_up(error->sentence);
    if (status != 200) give_up(apr_psprintf(null->pool, "the target answered %d", status));
    free(post);
    null->posts--;
    send_bundles(null);
}

static void send_bundle(null_t *null, const text_t *text)
{
    post_t *post = calloc(1, sizeof *post);
    p2p_http_request_t request = {.method = "POST", .url = null->set.target, .fields = null->post_fields,
                                  .max_bytes = ANSWER_MAX, .stall_timeout = STALL_TIMEOUT,
                                  .connections = null->set.connections, .baton = post, .done = on_answer};
    p2p_error_t *error;

    if (!post) abort();
    post->null = null;
    post->text = text;
    post->body = (p2p_http_body_t){read_text, post, text->len};
    request.body = &post->body;
    null->posts++;
    error = p2p_http_start(null->http, &request, NULL);
    if (error) give_up(error->sentence);
}

static void send_bundles(null_t *null)
{
    while (null->posts < null->set.connections && null->next_bundle < null->bundles->nelts)
        send_bundle(null, &APR_ARRAY_IDX(null->bundles, null->next_bundle++, text_t));
}

/* ---- The whole ---- */

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static apr_array_header_t *fields_of(apr_pool_t *p, const char *first, const char *second, const char *third)
{
    apr_array_header_t *fields = apr_array_make(p, 3, sizeof(const char *));

    APR_ARRAY_PUSH(fields, const char *) = first;
    if (second) APR_ARRAY_PUSH(fields, const char *) = second;
    if (third) APR_ARRAY_PUSH(fields, const char *) = third;
    return fields;
}

static void prepare(null_t *null)
{
    p2p_http_curl_settings_t settings = {null->set.ca_file, "mod_p2p/floor"};
    p2p_error_t *error;

    null->clock = p2p_clock_system();
    null->auth.bearer = null->set.token;
    null->get_fields = fields_of(null->pool, "Accept: application/fhir+json", NULL, NULL);
    null->post_fields = fields_of(null->pool, "Content-Type: application/fhir+json", "Accept: application/fhir+json",
                                  "Prefer: return=minimal");
    error = p2p_http_curl_make(null->pool, &settings, &null->clock, &null->http);
    if (error) give_up(error->sentence);
}

static void run(null_t *null)
{
    p2p_error_t *error = NULL;

    get(null, apr_psprintf(null->pool, "%s/Patient/%s/$everything", null->set.source, null->set.source_patient));
    send_bundles(null);
    while (!error && (null->gets || null->posts)) error = null->http->poll(null->http, -1, apr_time_from_sec(1), NULL);
    if (error) give_up(error->sentence);
}

static void read_settings(settings_t *set, char **argv)
{
    const char **words[] = {&set->file, &set->source, &set->target, &set->ca_file, &set->token, &set->id_namespace,
                            &set->source_patient, &set->target_patient};
    apr_size_t i;

    for (i = 0; i < sizeof words / sizeof *words; i++) *words[i] = *argv++;
    set->page_size = atoi(*argv++);
    set->bundle_size = atoi(*argv++);
    set->connections = atoi(*argv);
}

int main(int argc, char **argv)
{
    null_t null = {0};
    apr_time_t begin;
    double cpu, seconds;

    if (argc != 12) give_up("FILE SOURCE TARGET CA-FILE TOKEN NAMESPACE SOURCE-PATIENT TARGET-PATIENT PAGE-SIZE BUNDLE-SIZE CONNECTIONS");
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&null.pool, NULL);
    read_settings(&null.set, argv + 1);
    prepare(&null);
    build(&null);
    cpu = cpu_seconds();
    begin = null.clock.monotonic(null.clock.baton);
    run(&null);
    seconds = (double)(null.clock.monotonic(null.clock.baton) - begin) / 1e6;
    printf("{\"seconds\":%.3f,\"cpu\":%.3f,\"pages\":%d,\"bundles\":%d}\n", seconds, cpu_seconds() - cpu, null.pages,
           null.bundles->nelts);
    apr_pool_destroy(null.pool);
    return 0;
}
