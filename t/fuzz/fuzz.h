/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target gives to libFuzzer, and to the replay of its corpus. */
#ifndef P2P_FUZZ_H
#define P2P_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Runs one input; returns 0, or ends the process by abort() where a rule is broken. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
