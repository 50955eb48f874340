/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of mails: files that an administrator may change at any time, NAME.txt (its first line the subject) and NAME.html. */
#ifndef P2P_MODEL_MAIL_TEMPLATE_H
#define P2P_MODEL_MAIL_TEMPLATE_H

#include "base/json.h"

#define P2P_MAIL_TEMPLATE_BYTES (256 * 1024) /* of a file, and of what it is filled to */
#define P2P_MAIL_TEMPLATE_TEST "test"        /* what p2p-runner mail test sends */

typedef struct p2p_mail_text_t {
    const char *subject; /* one line, no control characters */
    const char *text;
    const char *html;    /* NULL: there is no NAME.html */
} p2p_mail_text_t;

/* Reads the files of dir and puts values (members are strings) in place of {{name}}, escaped for where they stand: control characters, line breaks and
 * signs that turn the direction of writing become blanks, in HTML & < > " ' are written as entities. What is put in is never looked at for further {{ }}.
 * Errors: P2P_E_INVALID "mail-template", a sentence with file and line: unreadable, too large, no UTF-8, no subject, a name that there is not. */
p2p_error_t *p2p_mail_template_fill(apr_pool_t *p, const char *dir, const char *name, json_object *values, p2p_mail_text_t *mail);

/* A template that there is to be, and the names of its values, parted by blanks. */
typedef struct p2p_mail_template_t {
    const char *name, *values;
} p2p_mail_template_t;

/* All of them, up to one without a name. */
extern const p2p_mail_template_t p2p_mail_templates[];

/* Can all of them be used? Fills each with stand-ins for its values; the first fault, as above. */
p2p_error_t *p2p_mail_templates_check(apr_pool_t *p, const char *dir);

#endif
