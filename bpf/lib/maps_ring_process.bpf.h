/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PST_MAPS_RING_PROCESS_BPF_H
#define PST_MAPS_RING_PROCESS_BPF_H

#include "bpf/lib/emit.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20); /* the loader's configuration overrides it */
} ring_process SEC(".maps");

#endif
