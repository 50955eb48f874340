/* SPDX-License-Identifier: Apache-2.0 */
/* Making, copying and completing error records. */
#include "base/error.h"

#include <stdarg.h>
#include <apr_strings.h>

#define DETAIL_MAX 4096

p2p_error_t *p2p_error_make(apr_pool_t *p, p2p_error_kind_t kind, const char *code, const char *sentence, ...)
{
    p2p_error_t *e = apr_pcalloc(p, sizeof *e);
    va_list args;

    e->kind = kind;
    e->code = code;
    va_start(args, sentence);
    e->sentence = apr_pvsprintf(p, sentence, args);
    va_end(args);
    return e;
}

p2p_error_t *p2p_error_detail(apr_pool_t *p, p2p_error_t *e, const char *detail)
{
    if (e) e->detail = detail ? apr_pstrndup(p, detail, DETAIL_MAX) : NULL;
    return e;
}

p2p_error_t *p2p_error_copy(apr_pool_t *p, const p2p_error_t *e)
{
    p2p_error_t *copy;

    if (!e) return NULL;
    copy = apr_pcalloc(p, sizeof *copy);
    copy->kind = e->kind;
    copy->code = e->code;
    copy->sentence = apr_pstrdup(p, e->sentence);
    copy->detail = apr_pstrdup(p, e->detail);
    return copy;
}
