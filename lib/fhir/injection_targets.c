/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting the targets of an injected Provenance, and writing it. */
#include "fhir/injection_targets.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <apr_lib.h>
#include <apr_uuid.h>
#include <openssl/evp.h>

#include "base/clock.h"
#include "base/uri.h"

#define BYTES_FULL (512 << 10) /* of references; no more is held than this and one reference */
#define REFERENCE_MAX (P2P_INJECTION_URL_MAX + 256)
#define RUN 8192 /* bytes of text told at once, about */

void p2p_injection_targets_init(p2p_injection_targets_t *targets)
{
    targets->count = 0;
    p2p_buf_init(&targets->references, BYTES_FULL + REFERENCE_MAX);
}

void p2p_injection_targets_free(p2p_injection_targets_t *targets)
{
    targets->count = 0;
    p2p_buf_free(&targets->references);
}

/* ---- References ---- */

/* Nothing in it that a URI may not have (RFC 3986 appendix A), a line feed least of all. */
static int is_uri_text(const char *text)
{
    apr_size_t len = strlen(text);

    return len <= P2P_INJECTION_URL_MAX && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                                        "-._~:/?#[]@!$&'()*+,;=%") == len;
}

static int is_url(const char *text)
{
    apr_size_t scheme = strncasecmp(text, "https://", 8) == 0 ? 8 : strncasecmp(text, "http://", 7) == 0 ? 7 : 0;

    return scheme && (apr_isalnum(text[scheme]) || text[scheme] == '[');
}

static int is_id(const char *id)
{
    return id && p2p_is_fhir_id(id, strlen(id));
}

/* A version behind a query would be part of that; a fullUrl that has one already keeps it. */
static int takes_version(const char *url)
{
    return !strpbrk(url, "?#") && !strstr(url, "/_history/");
}

int p2p_injection_targets_add(p2p_injection_targets_t *targets, const p2p_injection_entry_t *entry)
{
    const char *url = entry->full_url, *history = "", *version = "";
    p2p_buf_t *to = &targets->references;

    if (is_id(entry->version)) {
        history = "/_history/";
        version = entry->version;
    }
    if (url && is_url(url)) {
        if (!is_uri_text(url)) return 0;
        if (takes_version(url)) p2p_buf_cat(to, url, history, version, "\n", NULL);
        else p2p_buf_cat(to, url, "\n", NULL);
    } else if (url && strncasecmp(url, "urn:", 4) == 0) {
        if (!url[4] || !is_uri_text(url)) return 0;
        p2p_buf_cat(to, url, "\n", NULL);
    } else {
        return 0;
    }
    targets->count++;
    return 1;
}

int p2p_injection_targets_full(const p2p_injection_targets_t *targets)
{
    return targets->count >= P2P_INJECTION_TARGETS_MAX || targets->references.len >= BYTES_FULL;
}

/* ---- The Provenance ---- */

typedef struct text_t {
    p2p_buf_t buf;
    apr_size_t written;
    p2p_injection_write_fn write;
    void *baton;
} text_t;

static void pass_on(text_t *text)
{
    if (text->buf.len) text->write(text->baton, text->buf.data, text->buf.len, 1);
    text->written += text->buf.len;
    p2p_buf_clear(&text->buf);
}

/* A UUID of version 5 (RFC 9562 section 5.5) over len bytes. */
static void uuid_of(char out[APR_UUID_FORMATTED_LENGTH + 1], const char *bytes, apr_size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    apr_uuid_t uuid;
    EVP_MD_CTX *sha1 = EVP_MD_CTX_new();

    if (!sha1 || apr_uuid_parse(&uuid, P2P_INJECTION_NAMESPACE) || !EVP_DigestInit_ex2(sha1, EVP_sha1(), NULL)
        || !EVP_DigestUpdate(sha1, uuid.data, sizeof uuid.data) || !EVP_DigestUpdate(sha1, bytes, len)
        || !EVP_DigestFinal_ex(sha1, digest, NULL)) abort();
    EVP_MD_CTX_free(sha1);
    memcpy(uuid.data, digest, sizeof uuid.data);
    uuid.data[6] = (uuid.data[6] & 0x0F) | 0x50;
    uuid.data[8] = (uuid.data[8] & 0x3F) | 0x80;
    apr_uuid_format(out, &uuid);
}

static void write_targets(text_t *text, const p2p_injection_targets_t *targets)
{
    const char *at = targets->references.data, *end = at + targets->references.len;

    p2p_buf_puts(&text->buf, "\"target\":[");
    while (at < end) {
        const char *behind = memchr(at, '\n', (apr_size_t)(end - at));

        if (!behind) break;
        if (at > targets->references.data) p2p_buf_puts(&text->buf, ",");
        p2p_buf_puts(&text->buf, "{\"reference\":");
        p2p_buf_json(&text->buf, at, (apr_size_t)(behind - at));
        p2p_buf_puts(&text->buf, "}");
        if (text->buf.len >= RUN) pass_on(text);
        at = behind + 1;
    }
    p2p_buf_puts(&text->buf, "]");
}

static void write_text(text_t *text, const char *before, const char *value, apr_size_t len)
{
    p2p_buf_puts(&text->buf, before);
    p2p_buf_json(&text->buf, value, len);
}

static void write_agent(text_t *text, const p2p_injection_settings_t *settings)
{
    const char *type = settings->agent_type, *bar = type ? strrchr(type, '|') : NULL;
    const char *code = bar ? bar + 1 : type;

    p2p_buf_puts(&text->buf, ",\"agent\":[{");
    if (type) {
        p2p_buf_puts(&text->buf, "\"type\":{\"coding\":[{");
        if (bar && bar > type) {
            write_text(text, "\"system\":", type, (apr_size_t)(bar - type));
            p2p_buf_puts(&text->buf, ",");
        }
        write_text(text, "\"code\":", code, strlen(code));
        p2p_buf_puts(&text->buf, "}]},");
    }
    write_text(text, "\"who\":{\"reference\":", settings->agent_who, strlen(settings->agent_who));
    p2p_buf_puts(&text->buf, "}}]");
}

apr_size_t p2p_injection_targets_write(p2p_injection_targets_t *targets, const p2p_injection_settings_t *settings,
                                       p2p_injection_write_fn write, void *baton)
{
    char uuid[APR_UUID_FORMATTED_LENGTH + 1], recorded[P2P_ISO_TIME_LEN + 1];
    text_t text = {.write = write, .baton = baton};

    p2p_buf_init(&text.buf, APR_SIZE_MAX);
    uuid_of(uuid, targets->references.data, targets->references.len);
    p2p_time_format(recorded, settings->recorded);
    p2p_buf_cat(&text.buf, ",{\"fullUrl\":\"urn:uuid:", uuid, "\",\"resource\":{\"resourceType\":\"Provenance\",\"id\":\"", uuid, "\",",
                NULL);
    if (settings->profile) {
        write_text(&text, "\"meta\":{\"profile\":[", settings->profile, strlen(settings->profile));
        p2p_buf_puts(&text.buf, "]},");
    }
    write_targets(&text, targets);
    p2p_buf_cat(&text.buf, ",\"recorded\":\"", recorded, "\"", NULL);
    write_agent(&text, settings);
    p2p_buf_puts(&text.buf, "},\"search\":{\"mode\":\"include\"}}");
    pass_on(&text);
    p2p_buf_free(&text.buf);
    p2p_buf_clear(&targets->references);
    targets->count = 0;
    return text.written;
}
