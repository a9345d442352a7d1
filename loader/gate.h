/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_LOADER_GATE_H
#define PST_LOADER_GATE_H

#include <stdint.h>

#include "proto/abi/maps.h"

/* An element of the map `gate` as it lies in memory: the kernel pads values to 8 bytes. */
struct gate_word {
	uint32_t generation;
	uint32_t pad;
};

/*
 * Lets the programs of @generation work and no others (bpf/lib/gate.bpf.h). The word of a CPU is stored by a
 * thread that runs on it, between two events and never in the middle of one. A CPU that we may not run on
 * (cpuset) gets its word from elsewhere: an event in flight there may be handled twice or not at all.
 */
void gate_move(struct gate_word *gate, uint32_t generation);

#endif
