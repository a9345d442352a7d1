/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference reader of a slot table (proto/abi/records.h): plain memory, no system call, no lock. A slot is
 * 16 words; the first is gen.
 */
#ifndef TESTS_BPF_SLOTREAD_H
#define TESTS_BPF_SLOTREAD_H

#include <stdbool.h>
#include <stdint.h>

#define SLOT_WORDS 16
#define SLOT_TRIES 64

/* Copies a slot. False: never used, or changing hands all the time (it is read at the next pass). */
static inline bool slot_read(const void *slot, void *ret_copy)
{
	const uint64_t *from = slot;
	uint64_t *to = ret_copy;

	for (int tries = 0; tries < SLOT_TRIES; tries++) {
		uint64_t gen = __atomic_load_n(&from[0], __ATOMIC_ACQUIRE);

		if (!gen)
			return false;
		if (gen & 1)
			continue;
		to[0] = gen;
		for (int i = 1; i < SLOT_WORDS; i++)
			to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&from[0], __ATOMIC_RELAXED) == gen)
			return true;
	}
	return false;
}

#endif
