/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of mail. */
#ifndef P2P_BASE_MAIL_ADDRESS_H
#define P2P_BASE_MAIL_ADDRESS_H

/* NULL where text is one plain address (RFC 5321 Mailbox with a dot-string, at most 254 bytes, ASCII, a domain name of at least one dot or "localhost", or an
 * address literal); else what is wrong with it, such as "has a line break", "is a list": no name, no comment, no quoted local part. */
const char *p2p_mail_address_check(const char *text);

#endif
