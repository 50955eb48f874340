/* SPDX-License-Identifier: Apache-2.0 */
/* A mail as it goes over the wire (RFC 5322, 2045 to 2047): made of what net/smtp.h is given, with nothing in it that could be taken for more. */
#ifndef P2P_NET_SMTP_MESSAGE_H
#define P2P_NET_SMTP_MESSAGE_H

#include "base/buf.h"
#include "net/smtp.h"

#define P2P_SMTP_MESSAGE_BYTES (4 * 1024 * 1024)

/* Can the mail's addresses and Message-ID stand in a header and a command? Errors: P2P_E_INVALID "mail-address", whose sentence does not repeat them. */
p2p_error_t *p2p_smtp_message_check(apr_pool_t *p, const p2p_mail_t *mail);

/* Appends the message of a mail that has been checked: 7-bit, lines of at most 78 bytes but for those of addresses, each ended by CRLF, none beginning
 * with a dot. */
void p2p_smtp_message_write(p2p_buf_t *out, const p2p_mail_t *mail);

/* Appends a header line of text, which is UTF-8: as it is where it is plain and short, else as encoded words (RFC 2047), folded; characters stay whole. */
void p2p_smtp_header_write(p2p_buf_t *out, const char *name, const char *text);

/* Appends text as quoted-printable (RFC 2045, 6.7), its line breaks as CRLF, one at its end. */
void p2p_smtp_quoted_write(p2p_buf_t *out, const char *text);

#endif
