/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of the loader's that have two halves, in this process: mapped, numbered, switched. Those of the
 * packet programs (policyd/guard/tables.h) and those of policies (policyd/policy/force_internal.h).
 */
#ifndef POLICYD_GUARD_HALVES_H
#define POLICYD_GUARD_HALVES_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/abi/guard.h"
#include "proto/base/fds.h"
#include "proto/base/shm.h"

#define GUARD_LINES_MIN 16u
#define GUARD_LINES_MAX (1u << 24) /* of a half: 1 GiB */

/*
 * A half that was in force is not written before so much time has passed since it ceased to be: programs that
 * had read the old word are done with it. They run for some microseconds with bottom halves off, an interrupt
 * or a hypervisor may stretch that to some milliseconds. Should one take longer, its packet is judged by
 * rubbish: nothing worse, as programs trust no table.
 */
#define GUARD_GRACE_NS 100000000ull

/* One of the tables with halves. Not mapped: lines is NULL. */
struct guard_table {
	__u64 *generation; /* the word that says what is in force */
	__u64 *last;       /* the last number given */
	union pst_line *lines;
	uint32_t n;       /* lines of a half */
	uint64_t left_ns; /* when a half ceased to be in force, CLOCK_MONOTONIC; 0: none ever was */
};

/* The array that the loader handed over under this name, writable; @value: bytes of an entry, 0: to be found
 * out. 0; -ENOENT: there is none; -EBADF, -EINVAL (after a log line): it is no such map; -errno. */
int guard_region_map(const struct pst_fds *fds, const char *name, uint32_t value, struct pst_shm *ret_shm);
/* Is a word of one mapping that of another one? It is changed for a moment. */
bool guard_same_word(__u64 *a, const __u64 *b);
/* When a half was left is not known: it may have been right now. */
void guard_table_init(struct guard_table *table, __u64 *generation, __u64 *last, const struct pst_shm *lines,
	uint64_t n, uint64_t now_ns);

/* What is in force; 0: nothing. */
uint64_t guard_generation(const struct guard_table *table);
/* A number for the next table: never one that was in use, never 0, and its low bit is not the half in force.
 */
uint64_t guard_next_generation(const struct guard_table *table);
union pst_line *guard_half(const struct guard_table *table, uint64_t generation);
/* Nanoseconds until the idle half may be written; 0: now. */
uint64_t guard_grace_left(const struct guard_table *table, uint64_t now_ns);
/* Puts the idle half, which is complete, in force. */
void guard_switch(struct guard_table *table, uint64_t generation, uint64_t now_ns);
/* Nothing is in force any more. */
void guard_switch_off(struct guard_table *table, uint64_t now_ns);
/* Puts the other half, in which nothing was written since it was in force under @generation, back in force;
 * 0: nothing is in force any more, as before. */
void guard_switch_back(struct guard_table *table, uint64_t generation, uint64_t now_ns);

#endif
