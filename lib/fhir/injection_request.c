/* SPDX-License-Identifier: Apache-2.0 */
/* Reading requests for $everything and _revinclude=Provenance:target, without keeping anything of them. */
#include "fhir/injection_request.h"

#include <string.h>
#include <strings.h>

#include <apr_lib.h>

#include "base/encode.h"
#include "base/json.h"

/* Text that is percent-encoded, from which characters are taken one by one. */
typedef struct encoded_t {
    const char *at, *end;
    int form; /* "+" is a space */
} encoded_t;

/* What the parameters say. */
typedef struct asked_t {
    int revinclude; /* of Provenance:target */
    int type;       /* _type has a value */
    int type_provenance;
} asked_t;

/* The next character, -1 at the end. A "%" without two digits behind it stands for itself. */
static int next_char(encoded_t *text)
{
    int high, low;
    char c;

    if (text->at == text->end) return -1;
    c = *text->at++;
    if (c == '+' && text->form) return ' ';
    if (c != '%' || text->end - text->at < 2) return (unsigned char)c;
    high = p2p_hex_value(text->at[0]);
    low = p2p_hex_value(text->at[1]);
    if (high < 0 || low < 0) return '%';
    text->at += 2;
    return high * 16 + low;
}

/* Does the text begin with word? Takes that away, if so. */
static int takes(encoded_t *text, const char *word)
{
    encoded_t rest = *text;

    for (; *word; word++) {
        if (next_char(&rest) != (unsigned char)*word) return 0;
    }
    *text = rest;
    return 1;
}

static int is(encoded_t text, const char *word)
{
    return takes(&text, word) && text.at == text.end;
}

/* ---- Path ---- */

static int ends_with(const char *path, const char *segment)
{
    encoded_t last = {path, path + strlen(path), 0};

    while (last.end > path && last.end[-1] == '/') last.end--;
    for (last.at = last.end; last.at > path && last.at[-1] != '/';) last.at--;
    return is(last, segment);
}

/* ---- Parameters ---- */

static int is_revinclude(encoded_t name)
{
    return takes(&name, "_revinclude") && (name.at == name.end || is(name, ":iterate") || is(name, ":recurse"));
}

static int is_provenance_target(encoded_t value)
{
    return takes(&value, "Provenance:target") && (value.at == value.end || next_char(&value) == ':');
}

/* Is Provenance in the list, whose commas may be encoded, too? */
static int lists_provenance(encoded_t value)
{
    while (value.at < value.end) {
        int c;

        while (value.at < value.end && takes(&value, " ")) continue;
        c = takes(&value, "Provenance") ? next_char(&value) : 0;
        while (c == ' ') c = next_char(&value);
        if (c == -1 || c == ',') return 1;
        while (c != -1 && c != ',') c = next_char(&value);
    }
    return 0;
}

static void read_type(asked_t *asked, encoded_t value)
{
    if (value.at == value.end) return;
    asked->type = 1;
    asked->type_provenance |= lists_provenance(value);
}

/* The parameters of a query or form: at[0..len). */
static void read_parameters(asked_t *asked, const char *at, apr_size_t len)
{
    const char *end = at + len;

    while (at < end) {
        const char *amp = memchr(at, '&', (apr_size_t)(end - at)), *behind = amp ? amp : end;
        const char *equal = memchr(at, '=', (apr_size_t)(behind - at));
        encoded_t name = {at, equal ? equal : behind, 1}, value = {equal ? equal + 1 : behind, behind, 1};

        if (is_revinclude(name)) asked->revinclude |= is_provenance_target(value);
        else if (is(name, "_type")) read_type(asked, value);
        at = amp ? amp + 1 : end;
    }
}

/* One parameter of a Parameters resource. */
static void read_parameter(asked_t *asked, json_object *parameter)
{
    const char *name = json_object_is_type(parameter, json_type_object) ? p2p_json_str(parameter, "name") : NULL;

    if (!name || strcmp(name, "_type") != 0) return;
    json_object_object_foreach(parameter, member, value) {
        const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
        encoded_t list = {text, text ? text + strlen(text) : NULL, 0};

        if (text && strncmp(member, "value", 5) == 0) read_type(asked, list);
    }
}

/* A body that is none leaves things as they are: the server will refuse it. */
static void read_parameters_resource(asked_t *asked, apr_pool_t *p, const char *body, apr_size_t len)
{
    json_object *resource, *parameters;
    size_t i;

    if (p2p_json_parse(p, body, len, &resource)) return;
    parameters = json_object_is_type(resource, json_type_object) ? p2p_json_arr(resource, "parameter") : NULL;
    for (i = 0; parameters && i < json_object_array_length(parameters); i++)
        read_parameter(asked, json_object_array_get_idx(parameters, i));
}

/* ---- The request ---- */

static int is_form(const char *content_type)
{
    static const char form[] = "application/x-www-form-urlencoded";
    char behind;

    if (!content_type || strncasecmp(content_type, form, sizeof form - 1) != 0) return 0;
    behind = content_type[sizeof form - 1];
    return !behind || behind == ';' || apr_isspace(behind);
}

static int is_json(const char *content_type)
{
    apr_size_t len = content_type ? strcspn(content_type, "; \t") : 0;

    return len >= 5 && (strncasecmp(content_type + len - 5, "/json", 5) == 0 || strncasecmp(content_type + len - 5, "+json", 5) == 0);
}

/* Of $everything, with a body that may say _type. Returns 0 where it cannot be told. */
static int read_body(asked_t *asked, apr_pool_t *p, const p2p_injection_request_t *request)
{
    if (!request->body || !request->len) return 1;
    if (is_form(request->content_type)) read_parameters(asked, request->body, request->len);
    else if (is_json(request->content_type)) read_parameters_resource(asked, p, request->body, request->len);
    else return 0;
    return 1;
}

int p2p_injection_asked(apr_pool_t *p, const p2p_injection_request_t *request)
{
    asked_t asked = {0, 0, 0};

    if (request->query) read_parameters(&asked, request->query, strlen(request->query));
    if (ends_with(request->path, "$everything")) {
        if (request->post && !read_body(&asked, p, request)) return 0;
        return !asked.type || asked.type_provenance;
    }
    if (!request->post) return asked.revinclude;
    if (!ends_with(request->path, "_search")) return 0;
    if (request->body && is_form(request->content_type)) read_parameters(&asked, request->body, request->len);
    return asked.revinclude;
}

int p2p_injection_needs_body(const p2p_injection_request_t *request)
{
    return request->post && (ends_with(request->path, "$everything") || ends_with(request->path, "_search"));
}
