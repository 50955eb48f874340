/* SPDX-License-Identifier: Apache-2.0 */
/* Names as people write them, compared without regard to case. */
#ifndef P2P_BASE_FOLD_H
#define P2P_BASE_FOLD_H

/* Are these (UTF-8) the same name? White space around them does not count, nor does the case of letters: Unicode's simple folding of the Latin,
 * Greek, Cyrillic and Armenian alphabets. Letters are not decomposed (a letter with an accent is not one that a combining accent follows), "ß" is
 * not "ss". Nothing is the same as a name that is empty or no UTF-8. */
int p2p_same_name(const char *a, const char *b);

#endif
