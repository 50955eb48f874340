/* SPDX-License-Identifier: Apache-2.0 */
/* Sending one mail to one recipient, as the rest of the library sees it. net/smtp_curl.h makes the real one; tests make others. */
#ifndef P2P_NET_SMTP_H
#define P2P_NET_SMTP_H

#include <apr_pools.h>
#include <apr_time.h>
#include "base/error.h"

/* All UTF-8, without NUL. */
typedef struct p2p_mail_t {
    const char *from, *to;   /* addresses that p2p_mail_address_check has passed */
    const char *message_id;  /* without <> */
    const char *subject;     /* one line */
    const char *text, *html; /* html may be NULL */
    apr_time_t date;
} p2p_mail_t;

typedef enum {
    P2P_SMTP_SENT,   /* the server has it */
    P2P_SMTP_LATER,  /* not now: 4xx, or nobody there */
    P2P_SMTP_NEVER,  /* 5xx to this recipient or this message */
    P2P_SMTP_FAULT   /* 5xx to AUTH, STARTTLS or the sender, or a certificate that is not good: no mail will do any better */
} p2p_smtp_outcome_t;

#define P2P_SMTP_AWAY "unreachable" /* the code of a P2P_SMTP_LATER that no mail is to blame for: there is no connection to the server */

/* why is NULL where it was sent; it lives until this returns. Its sentence names no address and no text of a mail; its detail is the server's line. Its code:
 * P2P_SMTP_AWAY; "timed-out", "cut-short", "bad-answer" where the mail had been begun by then; "tls-refused", "mail-refused", "mail-sign-in", "mail-sender"
 * where the server will not have us; "mail-later", "mail-recipient", "mail-message" for its word about this mail; "mail-address", "too-large" where it was
 * not asked. */
typedef void (*p2p_smtp_fn)(void *baton, p2p_smtp_outcome_t outcome, const p2p_error_t *why);

typedef struct p2p_smtp_t p2p_smtp_t;
struct p2p_smtp_t {
    /* Sends it; what mail names lives until fn has been called, from the loop, once, unless p is destroyed before: then it is given up. Connections are kept
     * for the next mail. */
    void (*send)(p2p_smtp_t *smtp, apr_pool_t *p, const p2p_mail_t *mail, p2p_smtp_fn fn, void *baton);
};

#endif
