/* SPDX-License-Identifier: Apache-2.0 */
/* Ids that the target assigns: how resources are addressed before and after they are known, and the map that keeps them. */
#include <stdio.h>
#include <unistd.h>

#include "map_fixture.h"

#include "base/seal_keys.h"
#include "exchange/address.h"
#include "store/migrate.h"

static p2p_db_t *db;
static p2p_keyring_t *ring;
static p2p_ids_t *ids;
static p2p_job_t job;
static const char *file;

static void expect_ok(const p2p_error_t *error)
{
    if (error) fail_msg("%s: %s (%s)", error->code, error->sentence, error->detail ? error->detail : "");
}

static void quiet(void *baton, p2p_log_level_t level, const char *line)
{
    (void)baton;
    (void)level;
    (void)line;
}

static void open_ids(const char *owner)
{
    static const p2p_log_t log = {P2P_LOG_ERROR, quiet, NULL};
    p2p_ids_settings_t settings = {NULL, ring, &job, owner};

    expect_ok(p2p_db_open(pool, "sqlite3", file, &log, &db));
    settings.db = db;
    ids = p2p_ids_make(pool, &settings);
}

/* A job that "me" holds, at an empty database; and a mapper for a target that assigns ids. */
static int set_up_map(void **state)
{
    p2p_map_settings_t settings = {ISSUER, ENDPOINT, MEMBER, TARGET, 1};
    const char *key;
    int from, to;

    (void)state;
    renew();
    mapper = p2p_mapper_make(pool, &settings);
    file = apr_psprintf(pool, "%s/p2p-address-%d.db", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
    unlink(file);
    ring = p2p_keyring_make(pool);
    expect_ok(p2p_key_generate(pool, &key));
    expect_ok(p2p_keyring_add(ring, key));
    job = (p2p_job_t){.id = 1, .epoch = 1, .target = "https://target.example/fhir"};
    open_ids("me");
    expect_ok(p2p_migrate(db, pool, &from, &to));
    expect_ok(p2p_db_run(db, pool, "INSERT INTO p2p_job (id, uuid, status, lease_owner, lease_epoch) VALUES (1, 'u', 'STARTED', 'me', 1)"));
    return 0;
}

static int tear_down_map(void **state)
{
    (void)state;
    unlink(file);
    return 0;
}

/* The Bundle that is sent for these resources (texts parted by NULL), with ids as in map_fixture. */
static const char *sent(int batch, ...)
{
    p2p_outgoing_t *outgoing = p2p_outgoing_make(mapper);
    const char *text;
    p2p_resource_t *resource;
    apr_size_t at = 0, n;
    char *body;
    va_list texts;

    va_start(texts, batch);
    while ((text = va_arg(texts, const char *)) != NULL) {
        expect_ok(map_text(text, strlen(text), NULL, &resource));
        p2p_outgoing_add(outgoing, resource);
    }
    va_end(texts);
    apr_pool_create(&outgoing->pool, pool);
    expect_ok(p2p_address(outgoing, ids, batch, 0));
    p2p_outgoing_start(outgoing, batch);
    body = apr_palloc(pool, (apr_size_t)outgoing->body.length + 1);
    while ((n = outgoing->body.read(outgoing->body.baton, at, body + at, (apr_size_t)outgoing->body.length - at)) > 0) at += n;
    assert_true(at == outgoing->body.length);
    body[at] = '\0';
    expect_ok(p2p_scan_all(body, at, NULL, NULL, pool));
    p2p_outgoing_free(outgoing);
    return body;
}

static void note(const char *type, const char *id, const char *target)
{
    p2p_id_pair_t pair = {p2p_id_derive(pool, deriver, type, id), type, target}, *pairs[] = {&pair};

    expect_ok(p2p_ids_note(ids, pool, pairs, 1));
}

static const char *known(const char *type, const char *id)
{
    p2p_id_pair_t pair = {p2p_id_derive(pool, deriver, type, id), type, NULL}, *pairs[] = {&pair};

    expect_ok(p2p_ids_find(ids, pool, pairs, 1));
    return pair.target ? pair.target : "(unknown)";
}

/* What becomes of one resource of a type without identifiers: its own bytes with no id, then with one. */
static void expect_bytes(const char *text, const char *without, const char *with)
{
    const char *begin = "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[{\"resource\":";

    assert_string_equal(sent(1, text, NULL), apr_pstrcat(pool, begin, without, ",\"request\":{\"method\":\"POST\",\"url\":\"Binary\"}}]}", NULL));
    note("Binary", "1", "one");
    assert_string_equal(sent(1, text, NULL), apr_pstrcat(pool, begin, with, ",\"request\":{\"method\":\"PUT\",\"url\":\"Binary/one\"}}]}", NULL));
    expect_ok(p2p_ids_forget(ids, pool, p2p_id_derive(pool, deriver, "Binary", "1")));
    assert_string_equal(known("Binary", "1"), "(unknown)");
}

#define META "\"meta\":{\"source\":\"" ENDPOINT "/Binary/1\"}"

static void the_id_wherever_it_stands(void **state)
{
    (void)state;
    expect_bytes("{\"resourceType\":\"Binary\",\"id\":\"1\"}", "{\"resourceType\":\"Binary\"," META "}",
                 "{\"resourceType\":\"Binary\"," META ",\"id\":\"one\"}");
    expect_bytes("{\"id\":\"1\",\"resourceType\":\"Binary\"}", "{\"resourceType\":\"Binary\"," META "}",
                 "{\"id\":\"one\",\"resourceType\":\"Binary\"," META "}");
    expect_bytes("{ \"id\" : \"1\" , \"resourceType\" : \"Binary\" , \"data\":\"eA==\" }",
                 "{  \"resourceType\" : \"Binary\"," META " , \"data\":\"eA==\" }",
                 "{ \"id\":\"one\", \"resourceType\" : \"Binary\"," META " , \"data\":\"eA==\" }");
    expect_bytes("{\"resourceType\":\"Binary\",\"data\":\"eA==\"\n,\n\"id\"\n:\n\"1\"\n}",
                 "{\"resourceType\":\"Binary\"," META ",\"data\":\"eA==\"\n\n}",
                 "{\"resourceType\":\"Binary\"," META ",\"data\":\"eA==\"\n,\"id\":\"one\"\n}");
    expect_bytes("{\"resourceType\":\"Binary\",\"meta\":{\"versionId\":\"3\"},\"id\":\"1\",\"data\":\"eA==\"}",
                 "{\"resourceType\":\"Binary\"," META ",\"data\":\"eA==\"}",
                 "{\"resourceType\":\"Binary\"," META ",\"id\":\"one\",\"data\":\"eA==\"}");
}

#define IDENTIFIER(key) "\"identifier\":[{\"system\":\"" ENDPOINT "\",\"value\":\"" key "\"}]"
#define SOURCE(key) "\"meta\":{\"source\":\"" ENDPOINT "/" key "\"}"
#define CONDITION(type, id) type "?identifier=https%3A%2F%2Fpayer.example%2Ffhir%7C" type "%2F" id

static const char encounter[] = "{\"resourceType\":\"Encounter\",\"id\":\"e\",\"subject\":{\"reference\":\"Patient/" MEMBER "\"}}";
static const char observation[] = "{\"resourceType\":\"Observation\",\"id\":\"o\",\"encounter\":{\"reference\":\"Encounter/e\"}}";

/* A urn of a resource, and where it stands in a Bundle. */
static const char *urn_in(const char *bundle)
{
    const char *at = strstr(bundle, "\"fullUrl\":\"urn:uuid:");

    assert_non_null(at);
    return apr_pstrmemdup(pool, at + 11, 45);
}

static void references(void **state)
{
    const char *text = sent(0, encounter, observation, NULL), *urn = urn_in(text);

    (void)state;
    assert_string_equal(text, apr_pstrcat(pool, "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[{\"fullUrl\":\"", urn, "\",\"resource\":"
        "{\"resourceType\":\"Encounter\"," SOURCE("Encounter/e") "," IDENTIFIER("Encounter/e") ",\"subject\":{\"reference\":\"Patient/" TARGET "\"}},"
        "\"request\":{\"method\":\"PUT\",\"url\":\"" CONDITION("Encounter", "e") "\"}},{\"fullUrl\":\"", urn_in(strstr(text, "\"request\"")),
        "\",\"resource\":{\"resourceType\":\"Observation\"," SOURCE("Observation/o") "," IDENTIFIER("Observation/o")
        ",\"encounter\":{\"reference\":\"", urn, "\"}},\"request\":{\"method\":\"PUT\",\"url\":\"" CONDITION("Observation", "o") "\"}}]}", NULL));
    note("Encounter", "e", "given-1");
    text = sent(0, encounter, observation, NULL);
    assert_non_null(strstr(text, "[{\"resource\":{\"resourceType\":\"Encounter\"," SOURCE("Encounter/e") "," IDENTIFIER("Encounter/e")
                                 ",\"id\":\"given-1\",\"subject\""));
    assert_non_null(strstr(text, "\"request\":{\"method\":\"PUT\",\"url\":\"Encounter/given-1\"}"));
    assert_non_null(strstr(text, "\"encounter\":{\"reference\":\"Encounter/given-1\"}"));
    assert_null(strstr(text, "p2p-"));
}

/* In a batch nothing refers to what is in it; what is not known becomes logical. */
static void unknown_in_a_batch(void **state)
{
    const char *text = sent(1, encounter, observation, NULL);

    (void)state;
    assert_null(strstr(text, "fullUrl"));
    assert_non_null(strstr(text, "\"encounter\":{\"identifier\":{\"system\":\"urn:ietf:rfc:3986\",\"value\":\"" ENDPOINT "/Encounter/e\"}}"));
}

/* What bears no identifier of ours is created: a type that has none, or one that the source has filled. */
static void created(void **state)
{
    const char *text = sent(0, "{\"resourceType\":\"QuestionnaireResponse\",\"id\":\"q\",\"identifier\":{\"value\":\"x\"}}",
                            "{\"resourceType\":\"QuestionnaireResponse\",\"id\":\"r\"}", NULL);

    (void)state;
    assert_non_null(strstr(text, "\"request\":{\"method\":\"POST\",\"url\":\"QuestionnaireResponse\"}"));
    assert_non_null(strstr(text, "\"url\":\"" CONDITION("QuestionnaireResponse", "r") "\""));
    assert_string_equal(p2p_address_query(pool, "urn:a|b", "c,d$e\\f"), "identifier=urn%3Aa%5C%7Cb%7Cc%5C%2Cd%5C%24e%5C%5Cf");
}

static void own_resources(void **state)
{
    const char *id = p2p_id_derive(pool, deriver, "Encounter", "e"), *own = p2p_id_derive(pool, deriver, "Provenance", "p");
    const char *text = apr_psprintf(pool, "{\"resourceType\":\"Provenance\",\"id\":\"%s\",\"target\":[{\"reference\":\"Encounter/%s/_history/3\"}]}",
                                    own, id);
    apr_size_t ref = (apr_size_t)(strstr(text, id) - text);
    p2p_outgoing_t *outgoing = p2p_outgoing_make(mapper);
    unsigned char digest[P2P_DIGEST_BYTES];
    char body[512] = "";
    p2p_resource_t *resource;

    (void)state;
    note("Encounter", "e", "given-1");
    p2p_id_digest(deriver, "Provenance", 10, "p", 1, digest);
    resource = p2p_resource_own_open(NULL, (unsigned)p2p_mapper_type_number(mapper, "Provenance", 10), digest, text, strlen(text),
                                     (apr_size_t)(strstr(text, ",\"id\"") - text), &ref, 1);
    expect_render(resource, text);
    p2p_outgoing_add(outgoing, resource);
    apr_pool_create(&outgoing->pool, pool);
    expect_ok(p2p_address(outgoing, ids, 1, 0));
    p2p_outgoing_start(outgoing, 1);
    outgoing->body.read(outgoing->body.baton, 0, body, sizeof body - 1);
    assert_string_equal(body, "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[{\"resource\":{\"resourceType\":\"Provenance\",\"target\":"
                        "[{\"reference\":\"Encounter/given-1/_history/3\"}]},\"request\":{\"method\":\"POST\",\"url\":\"Provenance\"}}]}");
    p2p_outgoing_free(outgoing);
}

/* ---- The map ---- */

static void the_map(void **state)
{
    enum { COUNT = 6000 }; /* more than the cache holds */
    p2p_rows_t rows;
    p2p_id_pair_t *pairs[COUNT];
    int i;

    (void)state;
    for (i = 0; i < COUNT; i++) {
        const char *id = apr_psprintf(pool, "%d", i);

        pairs[i] = apr_palloc(pool, sizeof **pairs);
        *pairs[i] = (p2p_id_pair_t){p2p_id_derive(pool, deriver, "Basic", id), "Basic", apr_pstrcat(pool, "planted-", id, NULL)};
    }
    expect_ok(p2p_ids_note(ids, pool, pairs, COUNT));
    assert_string_equal(known("Basic", "0"), "planted-0");
    open_ids("me"); /* another runner */
    for (i = 0; i < COUNT; i += 7) {
        const char *id = apr_psprintf(pool, "%d", i);

        assert_string_equal(known("Basic", id), apr_pstrcat(pool, "planted-", id, NULL));
        assert_string_equal(known("Basic", id), apr_pstrcat(pool, "planted-", id, NULL));
    }
    note("Basic", "7", "planted-anew");
    assert_string_equal(known("Basic", "7"), "planted-anew");
    expect_ok(p2p_db_select(db, pool, P2P_SQL_ID_MAP_FIND, &rows, job.target, p2p_id_derive(pool, deriver, "Basic", "7"), "", "", "", "",
                            "", "", "", "", "", "", "", "", "", "", ""));
    assert_int_equal(rows.count, 1);
    assert_null(strstr(rows.cell[0][1], "planted")); /* sealed */
}

static void of_one_target(void **state)
{
    (void)state;
    note("Basic", "1", "one");
    job.target = "https://other.example/fhir";
    open_ids("me");
    assert_string_equal(known("Basic", "1"), "(unknown)");
}

/* A runner that lost its lease notes and forgets nothing. */
static void fenced(void **state)
{
    p2p_id_pair_t pair = {p2p_id_derive(pool, deriver, "Basic", "1"), "Basic", "two"}, *pairs[] = {&pair};
    const p2p_error_t *error;

    (void)state;
    note("Basic", "1", "one");
    open_ids("somebody-else");
    error = p2p_ids_note(ids, pool, pairs, 1);
    assert_int_equal(error->kind, P2P_E_LOST);
    error = p2p_ids_forget(ids, pool, pair.source);
    assert_int_equal(error->kind, P2P_E_LOST);
    assert_string_equal(known("Basic", "1"), "one");
}

#define WITH_MAP(test) cmocka_unit_test_setup_teardown(test, set_up_map, tear_down_map)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MAP(the_id_wherever_it_stands), WITH_MAP(references), WITH_MAP(unknown_in_a_batch), WITH_MAP(created),
        WITH_MAP(own_resources), WITH_MAP(the_map), WITH_MAP(of_one_target), WITH_MAP(fenced)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
