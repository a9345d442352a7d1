// SPDX-License-Identifier: Apache-2.0
#include "loader/gate.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

static void store(struct gate_word *gate, unsigned cpu, uint32_t generation)
{
	__atomic_store_n(&gate[cpu % PST_CPUS_MAX].generation, generation, __ATOMIC_SEQ_CST);
}

void gate_move(struct gate_word *gate, uint32_t generation)
{
	long n = sysconf(_SC_NPROCESSORS_CONF);
	unsigned cpus = n > 0 ? (unsigned)n : 1;
	size_t size = CPU_ALLOC_SIZE(cpus);
	PST_FREE cpu_set_t *before = CPU_ALLOC(cpus);
	PST_FREE cpu_set_t *one = CPU_ALLOC(cpus);

	if (before && one && !sched_getaffinity(0, size, before)) {
		for (unsigned cpu = 0; cpu < cpus; cpu++) {
			CPU_ZERO_S(size, one);
			CPU_SET_S(cpu, size, one);
			if (!sched_setaffinity(0, size, one))
				store(gate, cpu, generation);
		}
		sched_setaffinity(0, size, before);
	}
	for (unsigned cpu = 0; cpu < PST_CPUS_MAX; cpu++) /* offline, out of reach, or not there yet */
		store(gate, cpu, generation);
}
