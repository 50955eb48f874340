/* SPDX-License-Identifier: Apache-2.0 */
/* What clang's analyzer cannot see from one file: an error that was made is never NULL. Included before each file but lib/base/error.c. */
#ifndef T_ANALYZE_MODEL_H
#define T_ANALYZE_MODEL_H

#include "base/error.h"

static inline p2p_error_t *p2p_error_made(p2p_error_t *error)
{
    if (!error) __builtin_unreachable();
    return error;
}

#define p2p_error_make(...) p2p_error_made(p2p_error_make(__VA_ARGS__))

#endif
