/* SPDX-License-Identifier: Apache-2.0 */
/* References: where they lead, whether that may be, and the bytes of a resource with new ones put in. */
#include "sandbox.h"

static int is_id_char(char c)
{
    return apr_isalnum(c) || c == '-' || c == '.';
}

sandbox_str_t sandbox_relative_key(sandbox_str_t text)
{
    sandbox_str_t none = {NULL, 0};
    apr_size_t i = 0, id;

    if (!text.n || !apr_isupper(text.p[0])) return none;
    while (i < text.n && apr_isalpha(text.p[i])) i++;
    if (i == text.n || text.p[i] != '/') return none;
    for (id = ++i; i < text.n && is_id_char(text.p[i]);) i++;
    if (i == id || i - id > SANDBOX_ID_MAX || (i < text.n && text.p[i] != '/')) return none;
    return (sandbox_str_t){text.p, i};
}

static void refuse(sandbox_op_t *op, int status, const char *diagnostics)
{
    op->status = status;
    op->diagnostics = diagnostics;
}

static const char *in_path(const sandbox_apply_t *apply, const sandbox_op_t *op, const sandbox_ref_t *ref)
{
    return apr_psprintf(apply->pool, "specified in path: %.*s.%.*s", (int)op->entry->type.n,
                        op->entry->type.p,
                        (int)ref->path.n, ref->path.p);
}

static int must_hold(const sandbox_apply_t *apply, const sandbox_ref_t *ref)
{
    return !apply->loading && apply->payer->integrity && ref->checked;
}

static void resolve_relative(sandbox_apply_t *apply, sandbox_op_t *op, sandbox_ref_t *ref, sandbox_str_t key)
{
    sandbox_resource_t *to = sandbox_find(apply->store, key.p, key.n);

    if (sandbox_lives(to) || (to && to->txn == apply->txn)) {
        ref->to = to;
    } else if (must_hold(apply, ref)) {
        refuse(op, HTTP_BAD_REQUEST,
               apr_psprintf(apply->pool, "HAPI-%s: Resource %.*s %s, %s", to && to->now ? "1096" : "1094",
                            (int)key.n, key.p,
                            to && to->now ? "is deleted" : "not found", in_path(apply, op, ref)));
    } else {
        ref->to = sandbox_intern(apply->store, key.p, key.n);
    }
}

static void resolve_urn(sandbox_apply_t *apply, sandbox_op_t *op, sandbox_ref_t *ref)
{
    sandbox_op_t *target = apply->urns ? apr_hash_get(apply->urns, ref->text.p,
                                                      (apr_ssize_t)ref->text.n) : NULL;

    if (target && target->res) {
        ref->to = target->res;
        if (!apply->loading || !apply->payer->keep_urn)
            ref->instead = (sandbox_str_t){target->res->key, target->res->key_len};
    } else if (must_hold(apply, ref)) {
        refuse(op, HTTP_BAD_REQUEST,
               apr_psprintf(apply->pool, "HAPI-0541: Unable to satisfy placeholder ID %.*s, %s",
                            (int)ref->text.n,
                            ref->text.p, in_path(apply, op, ref)));
    }
}

/* The last two segments, Type/id, of a URL that may carry a version behind them. */
static sandbox_str_t key_of_url(sandbox_str_t url)
{
    sandbox_str_t key = {NULL, 0}, rest;

    for (apr_size_t i = 0; i + 1 < url.n; i++) {
        if (url.p[i] != '/') continue;
        rest = (sandbox_str_t){url.p + i + 1, url.n - i - 1};
        rest = sandbox_relative_key(rest);
        if (rest.n) key = rest;
    }
    return key;
}

static void resolve_absolute(sandbox_apply_t *apply, sandbox_op_t *op, sandbox_ref_t *ref)
{
    sandbox_str_t key = key_of_url(ref->text);

    if (must_hold(apply, ref)) {
        refuse(op, HTTP_BAD_REQUEST,
               apr_psprintf(apply->pool, "HAPI-0507: Resource contains external reference to URL \"%.*s\" but this server is "
                            "not configured to allow external references, %s", (int)ref->text.n, ref->text.p,
                            in_path(apply, op, ref)));
    } else if (key.n && apply->loading) {
        ref->to = sandbox_intern(apply->store, key.p, key.n);
    } else if (key.n) {
        ref->to = sandbox_find(apply->store, key.p, key.n);
    }
}

static void resolve_conditional(sandbox_apply_t *apply, sandbox_op_t *op, sandbox_ref_t *ref,
                                const char *question)
{
    char *args = apr_pstrmemdup(apply->pool, question + 1,
                                (apr_size_t)(ref->text.p + ref->text.n - question - 1));
    const char *token = sandbox_param(apply->pool, args, "identifier"),
        *bar = token ? strchr(token, '|') : NULL;
    sandbox_str_t type = {ref->text.p, (apr_size_t)(question - ref->text.p)}, system = {NULL, 0},
        value = {"", 0};
    sandbox_resource_t *to = NULL;

    if (token) value = (sandbox_str_t){bar ? bar + 1 : token, strlen(bar ? bar + 1 : token)};
    if (bar) system = (sandbox_str_t){token, (apr_size_t)(bar - token)};
    if (value.n && sandbox_ident_find(apply->store, type, system, value, &to) == 1) {
        ref->to = to;
        ref->instead = (sandbox_str_t){to->key, to->key_len};
    } else if (must_hold(apply, ref)) {
        refuse(op, HTTP_NOT_FOUND,
               apr_psprintf(apply->pool, "HAPI-1091: Invalid match URL \"%.*s\" - No resources match this search",
                            (int)ref->text.n, ref->text.p));
    }
}

static int begins(sandbox_str_t text, const char *word)
{
    return text.n >= strlen(word) && memcmp(text.p, word, strlen(word)) == 0;
}

void sandbox_ref_resolve(sandbox_apply_t *apply, sandbox_op_t *op, sandbox_ref_t *ref)
{
    sandbox_str_t key = sandbox_relative_key(ref->text);
    const char *question;

    if (key.n) {
        resolve_relative(apply, op, ref, key);
    } else if (begins(ref->text, "urn:uuid:") || begins(ref->text, "urn:oid:")) {
        resolve_urn(apply, op, ref);
    } else if (begins(ref->text, "http://") || begins(ref->text, "https://")) {
        resolve_absolute(apply, op, ref);
    } else if (ref->text.n && apr_isupper(ref->text.p[0])) {
        question = memchr(ref->text.p, '?', ref->text.n);
        if (question) resolve_conditional(apply, op, ref, question);
    }
}

/* Copies from *at up to stop, then text in quotes, and goes on behind skip bytes. */
static void edit(p2p_buf_t *buf, const char **at, const char *stop, apr_size_t skip, sandbox_str_t text)
{
    p2p_buf_add(buf, *at, (apr_size_t)(stop - *at));
    p2p_buf_add(buf, "\"", 1);
    p2p_buf_add(buf, text.p, text.n);
    p2p_buf_add(buf, "\"", 1);
    *at = stop + skip;
}

/* Spelled with escapes the id is no slice of the resource: then it counts as missing. */
static int has_id(const sandbox_entry_t *entry)
{
    return entry->id.p > entry->bytes.p && entry->id.p < entry->bytes.p + entry->bytes.n;
}

static void edit_id(p2p_buf_t *buf, const char **at, const sandbox_entry_t *entry, sandbox_str_t id)
{
    if (has_id(entry)) {
        edit(buf, at, entry->id.p - 1, entry->id.n + 2, id);
        return;
    }
    p2p_buf_puts(buf, "{\"id\":");
    *at = entry->bytes.p + 1;
    edit(buf, at, *at, 0, id);
    p2p_buf_puts(buf, ",");
}

static int needs_splice(const sandbox_apply_t *apply, const sandbox_entry_t *entry)
{
    for (int i = 0; i < entry->ref_count; i++)
        if (apply->doc->refs[entry->first_ref + i].instead.n) return 1;
    return 0;
}

sandbox_str_t sandbox_splice(sandbox_apply_t *apply, sandbox_entry_t *entry, sandbox_str_t id)
{
    const char *at = entry->bytes.p, *id_at = has_id(entry) ? entry->id.p : at;
    sandbox_str_t result;
    p2p_buf_t buf;

    if (!id.n && !needs_splice(apply, entry))
        return (sandbox_str_t){sandbox_keep(apply->store, entry->bytes.p, entry->bytes.n), entry->bytes.n};
    p2p_buf_init(&buf, (apr_size_t)1 << 30);
    for (int i = 0; i < entry->ref_count; i++) {
        const sandbox_ref_t *ref = &apply->doc->refs[entry->first_ref + i];

        if (id.n && id_at < ref->at) {
            edit_id(&buf, &at, entry, id);
            id.n = 0;
        }
        if (ref->instead.n) edit(&buf, &at, ref->at, ref->at_len, ref->instead);
    }
    if (id.n) edit_id(&buf, &at, entry, id);
    p2p_buf_add(&buf, at, (apr_size_t)(entry->bytes.p + entry->bytes.n - at));
    result = (sandbox_str_t){sandbox_keep(apply->store, buf.data, buf.len), buf.len};
    p2p_buf_free(&buf);
    return result;
}

void sandbox_links(sandbox_apply_t *apply, sandbox_entry_t *entry, sandbox_resource_t *res)
{
    const sandbox_ref_t *refs = apply->doc->refs + entry->first_ref;
    const sandbox_ident_t *idents = apply->doc->idents + entry->first_ident;
    apr_uint32_t count = 0;

    res->member = NULL;
    if ((apr_uint32_t)entry->ref_count > res->ref_count)
        res->refs = sandbox_alloc(apply->store, (apr_size_t)entry->ref_count * sizeof(*res->refs));
    for (int i = 0; i < entry->ref_count; i++) {
        if (!refs[i].to) continue;
        res->refs[count++] = refs[i].to;
        if (refs[i].is_member && !res->member && sandbox_res_type_is(refs[i].to, "Patient"))
            res->member = refs[i].to;
    }
    res->ref_count = count;
    for (int i = 0; i < entry->ident_count; i++)
        sandbox_ident_add(apply->store, res, idents[i].system, idents[i].value);
}
