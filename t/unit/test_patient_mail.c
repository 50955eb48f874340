/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a Patient's telecoms mail goes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/clock.h"
#include "fhir/patient_mail.h"

static apr_pool_t *pool;

static p2p_error_t *find(const char *body, const char **address)
{
    apr_time_t now;

    assert_true(p2p_time_parse("2026-11-22T12:00:00Z", 20, &now));
    return p2p_patient_mail(pool, body, strlen(body), now, address);
}

static void goes_to(const char *telecoms, const char *expected)
{
    const char *address = NULL;
    p2p_error_t *error = find(apr_psprintf(pool, "{\"resourceType\":\"Patient\",\"telecom\":[%s]}", telecoms), &address);

    if (error) fail_msg("%s: %s", telecoms, error->sentence);
    assert_string_equal(address, expected);
}

static void goes_nowhere(const char *body, const char *code)
{
    const char *address;
    p2p_error_t *error = find(body, &address);

    if (!error) fail_msg("%s", body);
    assert_string_equal(error->code, code);
}

#define EMAIL(value) "{\"system\":\"email\",\"value\":\"" value "\"}"
#define EMAIL_WITH(value, more) "{\"system\":\"email\",\"value\":\"" value "\"," more "}"
#define PATIENT(telecoms) "{\"resourceType\":\"Patient\",\"telecom\":[" telecoms "]}"

static void one(void **state)
{
    (void)state;
    goes_to(EMAIL("a@example.org"), "a@example.org");
    goes_to(EMAIL("  a@example.org "), "a@example.org");
    goes_to("{\"system\":\"phone\",\"value\":\"x@example.org\"}," EMAIL("a@example.org"), "a@example.org");
    goes_to("null,7,\"x\",[]," EMAIL("a@example.org"), "a@example.org");
    goes_to(EMAIL_WITH("old@example.org", "\"use\":\"old\"") "," EMAIL_WITH("a@example.org", "\"use\":\"home\""), "a@example.org");
}

static void ranks(void **state)
{
    (void)state;
    goes_to(EMAIL("a@example.org") "," EMAIL("b@example.org"), "a@example.org");
    goes_to(EMAIL("a@example.org") "," EMAIL_WITH("b@example.org", "\"rank\":9"), "b@example.org");
    goes_to(EMAIL_WITH("a@example.org", "\"rank\":2") "," EMAIL_WITH("b@example.org", "\"rank\":1"), "b@example.org");
    goes_to(EMAIL_WITH("a@example.org", "\"rank\":1") "," EMAIL_WITH("b@example.org", "\"rank\":1"), "a@example.org");
    goes_to(EMAIL_WITH("a@example.org", "\"rank\":0") "," EMAIL_WITH("b@example.org", "\"rank\":3"), "b@example.org");
    goes_to(EMAIL_WITH("x, y@example.org", "\"rank\":1") "," EMAIL_WITH("b@example.org", "\"rank\":2"), "b@example.org");
}

static void periods(void **state)
{
    static const char *const ended[] = {"2026-11-21", "2026-09", "2024", "2026-11-22T11:59:59Z", "yesterday"};
    static const char *const in_force[] = {"2026-11-22", "2026-11", "2026", "2026-11-22T12:00:01Z", "2099-01-01"};

    (void)state;
    for (apr_size_t i = 0; i < sizeof ended / sizeof *ended; i++) {
        const char *telecom = apr_psprintf(pool, EMAIL_WITH("a@example.org", "\"period\":{\"end\":\"%s\"}"), ended[i]);

        goes_nowhere(apr_psprintf(pool, PATIENT("%s"), telecom), "no-address");
        goes_to(apr_psprintf(pool, "%s,%s", telecom, EMAIL("b@example.org")), "b@example.org");
    }
    for (apr_size_t i = 0; i < sizeof in_force / sizeof *in_force; i++)
        goes_to(apr_psprintf(pool, EMAIL_WITH("a@example.org", "\"period\":{\"start\":\"2000\",\"end\":\"%s\"}"), in_force[i]), "a@example.org");
}

static void nowhere(void **state)
{
    (void)state;
    goes_nowhere("", "not-fhir");
    goes_nowhere("<html>", "not-fhir");
    goes_nowhere("[]", "not-fhir");
    goes_nowhere("{\"resourceType\":\"OperationOutcome\"}", "not-fhir");
    goes_nowhere("{\"resourceType\":\"Patient\"}", "no-address");
    goes_nowhere("{\"resourceType\":\"Patient\",\"telecom\":{}}", "no-address");
    goes_nowhere(PATIENT(""), "no-address");
    goes_nowhere(PATIENT("{\"system\":\"email\"}"), "no-address");
    goes_nowhere(PATIENT("{\"system\":\"email\",\"value\":7}"), "no-address");
    goes_nowhere(PATIENT(EMAIL("a@example.org, b@example.org")), "bad-address");
    goes_nowhere(PATIENT(EMAIL("a@example.org\\r\\nBcc: b@example.org")), "bad-address");
    goes_nowhere(PATIENT(EMAIL("Anna <a@example.org>")), "bad-address");
    goes_nowhere(PATIENT(EMAIL("anna")), "bad-address");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one), cmocka_unit_test(ranks), cmocka_unit_test(periods), cmocka_unit_test(nowhere)};
    int failures;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failures = cmocka_run_group_tests_name("patient_mail", tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return failures;
}
