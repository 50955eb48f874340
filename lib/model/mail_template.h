/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of mails: files that an administrator may change at any time, NAME.txt (its first line the subject) and NAME.html. */
#ifndef P2P_MODEL_MAIL_TEMPLATE_H
#define P2P_MODEL_MAIL_TEMPLATE_H

#include "base/json.h"

#define P2P_MAIL_TEMPLATE_BYTES (256 * 1024) /* of a file, and of what it is filled to */

typedef struct p2p_mail_text_t {
    const char *subject; /* one line, no control characters */
    const char *text;
    const char *html;    /* NULL: there is no NAME.html */
} p2p_mail_text_t;

/* Reads the files of dir and puts values (members are strings) in place of {{name}}, escaped for where they stand: control characters become blanks, in
 * HTML & < > " ' are written as entities. What is put in is never looked at for further {{ }}. Errors: P2P_E_INVALID "mail-template", a sentence with file
 * and line: unreadable, too large, no UTF-8, no subject, a name that there is not. */
p2p_error_t *p2p_mail_template_fill(apr_pool_t *p, const char *dir, const char *name, json_object *values, p2p_mail_text_t *mail);

/* The names of all templates that there are to be, up to a NULL. */
extern const char *const p2p_mail_templates[];

#endif
