/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting what is wrong with a request body, and reading text members the same way everywhere. */
#include "model/field_error.h"

#include <stdarg.h>
#include <string.h>
#include <apr_strings.h>

apr_array_header_t *p2p_field_errors(apr_pool_t *p)
{
    return apr_array_make(p, 4, sizeof(p2p_field_error_t));
}

void p2p_field_error(apr_array_header_t *errors, const char *prefix, const char *name, const char *detail,
                     ...)
{
    p2p_field_error_t *error = apr_array_push(errors);
    va_list args;

    error->pointer = apr_pstrcat(errors->pool, prefix, *name ? "/" : "", name, NULL);
    va_start(args, detail);
    error->detail = apr_pvsprintf(errors->pool, detail, args);
    va_end(args);
}

static int has_control(const char *text, int lines)
{
    for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
        int line = *s == '\n' || *s == '\r' || *s == '\t';

        if ((*s < 0x20 && !(lines && line)) || *s == 0x7f) return 1;
    }
    return 0;
}

const char *p2p_field_text(apr_array_header_t *errors, json_object *doc, const char *prefix, const char *name,
                           apr_size_t max, int lines)
{
    json_object *value;
    const char *text;

    if (!json_object_object_get_ex(doc, name, &value) || !value) return "";
    if (!json_object_is_type(value, json_type_string)) {
        p2p_field_error(errors, prefix, name, "must be a string");
        return "";
    }
    text = json_object_get_string(value);
    if ((apr_size_t)json_object_get_string_len(value) > max) {
        p2p_field_error(errors, prefix, name, "must not be longer than %" APR_SIZE_T_FMT " bytes", max);
        return "";
    }
    if (strlen(text) != (apr_size_t)json_object_get_string_len(value) || has_control(text, lines)) {
        p2p_field_error(errors, prefix, name, "must not contain control characters");
        return "";
    }
    return apr_pstrdup(errors->pool, text);
}
