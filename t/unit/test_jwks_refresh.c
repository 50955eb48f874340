/* SPDX-License-Identifier: Apache-2.0 */
/* What trusted issuers publish is fetched by the rules; what cannot be used leaves what is there, and a sentence. */
#include "chore_fixture.h"

#include "runner/trusts.h"
#include "store/jwks_store.h"

#define ISSUER "https://issuer.example"
#define KEY "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"1\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\"," \
            "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"%s}"
#define DOCUMENT "{\"issuer\":\"" ISSUER "/\",\"jwks_uri\":\"https://keys.example/jwks\",\"introspection_endpoint\":\"https://issuer.example/ask\"}"

static const char *keys(const char *more)
{
    return apr_psprintf(pool, "{\"keys\":[" KEY "]}", more);
}

static p2p_trust_t *trust(p2p_trust_kind_t kind, const char *issuer)
{
    p2p_trust_t *made = apr_array_push(context.spec->trusts);

    *made = (p2p_trust_t){.kind = kind, .issuer = issuer, .jwks_uri = "", .keys = "", .introspection_endpoint = "", .client_id = "", .client_secret = ""};
    return made;
}

static void sign_in_at(const char *issuer)
{
    p2p_spec_t *spec = apr_pmemdup(pool, context.spec, sizeof *spec);

    spec->sign_in_issuer = issuer;
    context.spec = spec;
}

static p2p_jwks_t *stored(const char *issuer)
{
    p2p_jwks_t *jwks;

    expect_ok(p2p_jwks_get(db, pool, issuer, &jwks));
    return jwks;
}

static void refresh(const char *issuer)
{
    work_off(claimed_chore(P2P_KIND_REFRESH, 0, issuer));
    assert_int_equal(ask_int("SELECT COUNT(*) FROM p2p_job"), 0);
}

/* One refresh that leaves this fault, with nothing asked for beyond the answers. */
static void refused(const char *fault)
{
    int before = fake.count, answers = fake.answer_count;

    refresh(ISSUER);
    if (!strstr(stored(ISSUER)->fault, fault)) fail_msg("%s", stored(ISSUER)->fault);
    assert_string_equal(stored(ISSUER)->document, keys(""));
    assert_int_equal(fake.count - before, answers);
}

static void by_discovery(void **state)
{
    (void)state;
    trust(P2P_TRUST_PUBLISHED, ISSUER);
    fake_answer(&fake, 200, DOCUMENT);
    fake_answer(&fake, 200, keys(""));
    refresh(ISSUER);
    assert_string_equal(fake.asked[0].url, ISSUER "/.well-known/openid-configuration");
    assert_string_equal(fake.asked[1].url, "https://keys.example/jwks");
    assert_null(fake.asked[1].bearer);
    assert_string_equal(stored(ISSUER)->document, keys(""));
    assert_string_equal(stored(ISSUER)->introspection_endpoint, "https://issuer.example/ask");
    assert_string_equal(stored(ISSUER)->fault, "");
}

static void what_cannot_be_used(void **state)
{
    char *huge = apr_palloc(pool, 300000);

    (void)state;
    memset(huge, ' ', 299999);
    huge[299999] = 0;
    trust(P2P_TRUST_PUBLISHED, ISSUER);
    fake_answer(&fake, 200, DOCUMENT);
    fake_answer(&fake, 200, keys(""));
    refresh(ISSUER);
    fake_answer(&fake, 302, "");
    refused("https://issuer.example/.well-known/openid-configuration redirects (302)");
    fake_answer(&fake, 404, "");
    refused("answered 404");
    fake_answer(&fake, 200, "<html>");
    refused("not a JSON object");
    fake_answer(&fake, 200, huge);
    refused("");
    assert_string_not_equal(stored(ISSUER)->fault, "");
    fake_answer(&fake, 200, "{\"issuer\":\"https://other.example\",\"jwks_uri\":\"https://keys.example/jwks\"}");
    refused("another issuer");
    fake_answer(&fake, 200, "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"http://keys.example/jwks\"}");
    refused("no jwks_uri that can be used");
    fake_answer(&fake, 200, "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"http://localhost/jwks\"}");
    refused("no jwks_uri that can be used");
    fake_answer(&fake, 200, DOCUMENT);
    fake_failure(&fake, "unreachable");
    refused("unreachable");
    fake_answer(&fake, 200, DOCUMENT);
    fake_answer(&fake, 301, "");
    refused("https://keys.example/jwks redirects (301)");
    fake_answer(&fake, 200, DOCUMENT);
    fake_answer(&fake, 200, keys(",\"d\":\"SECRETSECRET\""));
    refused("https://keys.example/jwks ");
    assert_null(strstr(stored(ISSUER)->fault, "SECRET"));
    fake_answer(&fake, 200, DOCUMENT);
    fake_answer(&fake, 200, "{\"keys\":[]}");
    refused("https://keys.example/jwks ");
}

/* An answer that does not come ends it. */
static void silence(void **state)
{
    (void)state;
    trust(P2P_TRUST_PUBLISHED, ISSUER);
    refresh(ISSUER);
    assert_non_null(strstr(stored(ISSUER)->fault, "no whole answer in time"));
    assert_true(fake.asked[0].is_over);
}

static void by_a_named_place(void **state)
{
    (void)state;
    trust(P2P_TRUST_PUBLISHED, ISSUER)->jwks_uri = "https://issuer.example/keys";
    fake_answer(&fake, 200, keys(""));
    refresh(ISSUER);
    assert_string_equal(fake.asked[0].url, "https://issuer.example/keys");
    assert_string_equal(stored(ISSUER)->document, keys(""));
}

static void introspection_needs_no_keys(void **state)
{
    (void)state;
    trust(P2P_TRUST_INTROSPECTION, ISSUER);
    fake_answer(&fake, 200, DOCUMENT);
    refresh(ISSUER);
    assert_int_equal(fake.count, 1);
    assert_string_equal(stored(ISSUER)->introspection_endpoint, "https://issuer.example/ask");
    fake_answer(&fake, 200, "{\"issuer\":\"" ISSUER "\"}");
    refresh(ISSUER);
    assert_non_null(strstr(stored(ISSUER)->fault, "no introspection_endpoint"));
    assert_string_equal(stored(ISSUER)->introspection_endpoint, "https://issuer.example/ask");
}

static void nobody_trusts_it(void **state)
{
    (void)state;
    refresh(ISSUER);
    assert_int_equal(fake.count, 0);
    assert_null(stored(ISSUER));
}

/* ---- Where people sign in ---- */

#define ENDPOINTS(authorization, token) "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"https://keys.example/jwks\",\"introspection_endpoint\":" \
    "\"https://issuer.example/ask\",\"authorization_endpoint\":\"" authorization "\",\"token_endpoint\":\"" token \
    "\",\"authorization_response_iss_parameter_supported\":true}"
#define GOOD_ENDPOINTS ENDPOINTS("https://issuer.example/authorize", "https://issuer.example/token")

static void expect_endpoints(void)
{
    assert_string_equal(stored(ISSUER)->authorization_endpoint, "https://issuer.example/authorize");
    assert_string_equal(stored(ISSUER)->token_endpoint, "https://issuer.example/token");
    assert_int_equal(stored(ISSUER)->names_issuer, 1);
}

static void endpoints_beside_keys(void **state)
{
    (void)state;
    trust(P2P_TRUST_PUBLISHED, ISSUER);
    fake_answer(&fake, 200, GOOD_ENDPOINTS);
    fake_answer(&fake, 200, keys(""));
    refresh(ISSUER);
    assert_string_equal(stored(ISSUER)->authorization_endpoint, ""); /* nobody signs in */
    sign_in_at(ISSUER);
    fake_answer(&fake, 200, GOOD_ENDPOINTS);
    fake_answer(&fake, 200, keys(""));
    refresh(ISSUER);
    expect_endpoints();
    assert_string_equal(stored(ISSUER)->document, keys(""));
}

/* Others than those that can be used leave what is there, and cost no keys. */
static void unusable_endpoints(void **state)
{
    static const char *const bad[] = {
        ENDPOINTS("http://issuer.example/authorize", "https://issuer.example/token"), ENDPOINTS("javascript:alert(1)", "https://issuer.example/token"),
        ENDPOINTS("https://issuer.example/a", "https://user:word@issuer.example/token"), ENDPOINTS("https://issuer.example/a", "http://localhost/token"),
        ENDPOINTS("https://issuer.example/a", "https://issuer.example; script-src *"), ENDPOINTS("https://issuer.example/a", "https://x/\\r\\nSet-Cookie: a=b"),
        ENDPOINTS("https://issuer.example/a", ""), "{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"https://keys.example/jwks\"}",
    };

    (void)state;
    trust(P2P_TRUST_PUBLISHED, ISSUER);
    sign_in_at(ISSUER);
    fake_answer(&fake, 200, GOOD_ENDPOINTS);
    fake_answer(&fake, 200, keys(""));
    refresh(ISSUER);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        fake_answer(&fake, 200, bad[i]);
        fake_answer(&fake, 200, keys(""));
        run_sql("UPDATE p2p_jwks SET document = ''");
        refresh(ISSUER);
        expect_endpoints();
        assert_string_equal(stored(ISSUER)->document, keys(""));
        assert_string_equal(stored(ISSUER)->fault, "");
    }
}

static void endpoints_where_no_keys_are_needed(void **state)
{
    p2p_trust_t *of_file = trust(P2P_TRUST_KEYS, ISSUER);

    (void)state;
    sign_in_at(ISSUER);
    fake_answer(&fake, 200, GOOD_ENDPOINTS);
    refresh(ISSUER);
    assert_int_equal(fake.count, 1);
    expect_endpoints();
    fake_answer(&fake, 200, "{\"issuer\":\"" ISSUER "\"}");
    refresh(ISSUER);
    assert_non_null(strstr(stored(ISSUER)->fault, "no authorization_endpoint that can be used"));
    expect_endpoints();

    of_file->kind = P2P_TRUST_INTROSPECTION;
    of_file->introspection_endpoint = "https://elsewhere.example/ask";
    run_sql("DELETE FROM p2p_jwks");
    fake_answer(&fake, 200, GOOD_ENDPOINTS);
    refresh(ISSUER);
    expect_endpoints();
    assert_int_equal(fake.count, 3);
}

/* The key set's own place needs no document: what is wrong with that is no reason to be without keys. */
static void endpoints_beside_a_named_place(void **state)
{
    (void)state;
    trust(P2P_TRUST_PUBLISHED, ISSUER)->jwks_uri = "https://issuer.example/keys";
    sign_in_at(ISSUER);
    fake_answer(&fake, 503, "");
    fake_answer(&fake, 200, keys(""));
    refresh(ISSUER);
    assert_string_equal(stored(ISSUER)->document, keys(""));
    assert_string_equal(stored(ISSUER)->authorization_endpoint, "");
    fake_answer(&fake, 200, GOOD_ENDPOINTS);
    fake_answer(&fake, 200, keys(""));
    refresh(ISSUER);
    expect_endpoints();
    assert_string_equal(fake.asked[2].url, ISSUER "/.well-known/openid-configuration");
    assert_string_equal(fake.asked[3].url, "https://issuer.example/keys");
    assert_string_equal(stored(ISSUER)->source, "https://issuer.example/keys");
}

/* ---- Definitions ---- */

static void of_a_definition(void **state)
{
    (void)state;
    trust(P2P_TRUST_DEFINITION, server->issuer);
    run_sql("UPDATE p2p_oidc_server SET client_secret = '', key_text = '', auth_well_known = 'https://source.example/well-known'");
    fake_answer(&fake, 200, "{\"issuer\":\"https://source.example\",\"jwks_uri\":\"https://source.example/jwks\"}");
    fake_answer(&fake, 200, keys(""));
    refresh(server->issuer);
    assert_string_equal(fake.asked[0].url, "https://source.example/well-known");
    assert_string_equal(stored(server->issuer)->document, keys(""));
    trust(P2P_TRUST_DEFINITION, ISSUER);
    refresh(ISSUER);
    assert_non_null(strstr(stored(ISSUER)->fault, "no definition of this issuer"));
}

static int asked_old(void)
{
    int asked;

    expect_ok(p2p_trusts_ask_old(&context, pool, &asked));
    return asked;
}

static void whose_time_has_come(void **state)
{
    (void)state;
    trust(P2P_TRUST_PUBLISHED, ISSUER);
    trust(P2P_TRUST_KEYS, "https://keys-in-a-file.example");
    trust(P2P_TRUST_INTROSPECTION, "https://endpoint-is-named.example")->introspection_endpoint = "https://x.example/ask";
    trust(P2P_TRUST_INTROSPECTION, "https://opaque.example");
    trust(P2P_TRUST_DEFINITION, server->issuer); /* it has keys */
    assert_int_equal(asked_old(), 2);
    assert_int_equal(asked_old(), 0);
    assert_null(p2p_trust_of(context.spec, "https://keys-in-a-file.example"));
    run_sql("UPDATE p2p_oidc_server SET key_text = ''");
    assert_int_equal(asked_old(), 1);
    sign_in_at("https://keys-in-a-file.example");
    assert_int_equal(asked_old(), 1);
}

/* ---- Its end ---- */

static void stopped(void **state)
{
    p2p_chore_t *chore;
    p2p_job_t *job;
    void *work;

    (void)state;
    trust(P2P_TRUST_PUBLISHED, ISSUER);
    chore = claimed_chore(P2P_KIND_REFRESH, 0, ISSUER);
    work = begin_work(chore);
    fake_step(&fake);
    assert_int_equal(fake.count, 1);
    job = reload(&chore->job);
    expect_ok(p2p_job_stop(db, pool, 0, &job));
    p2p_work_refresh.tick(work);
    fake_step(&fake);
    assert_int_equal(ended, 1);
    assert_true(fake.asked[0].is_over);
    p2p_work_refresh.destroy(work);
    assert_string_equal(ask_sql("SELECT status FROM p2p_job"), "STOPPED");
}

static void another_has_it(void **state)
{
    p2p_chore_t *chore;
    void *work;

    (void)state;
    trust(P2P_TRUST_PUBLISHED, ISSUER);
    chore = claimed_chore(P2P_KIND_REFRESH, 0, ISSUER);
    work = begin_work(chore);
    fake_step(&fake);
    expire("A");
    expect_ok(p2p_chore_claim(db, pool, TARGET, "B", &chore));
    p2p_work_refresh.tick(work);
    fake_step(&fake);
    assert_int_equal(ended, 1);
    p2p_work_refresh.destroy(work);
    assert_string_equal(ask_sql("SELECT lease_owner FROM p2p_job"), "B");
}

static void abandoned(void **state)
{
    void *work;

    (void)state;
    trust(P2P_TRUST_PUBLISHED, ISSUER);
    work = begin_work(claimed_chore(P2P_KIND_REFRESH, 0, ISSUER));
    fake_step(&fake);
    assert_false(p2p_work_refresh.busy(work));
    p2p_work_refresh.destroy(work);
    assert_true(fake.asked[0].is_over);
    assert_int_equal(ended, 0);
    assert_true(p2p_timers_next(fake.timers) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHORE_TEST(by_discovery), CHORE_TEST(what_cannot_be_used), CHORE_TEST(silence), CHORE_TEST(by_a_named_place),
        CHORE_TEST(introspection_needs_no_keys), CHORE_TEST(nobody_trusts_it), CHORE_TEST(of_a_definition), CHORE_TEST(endpoints_beside_keys), CHORE_TEST(unusable_endpoints),
        CHORE_TEST(endpoints_where_no_keys_are_needed), CHORE_TEST(endpoints_beside_a_named_place), CHORE_TEST(whose_time_has_come),
        CHORE_TEST(stopped), CHORE_TEST(another_has_it), CHORE_TEST(abandoned),
    };

    return run_group("jwks_refresh", tests, sizeof tests / sizeof *tests);
}
