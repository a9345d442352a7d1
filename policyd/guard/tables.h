/* SPDX-License-Identifier: Apache-2.0 */
/* The packet programs' tables in this process: mapped, their sizes, their generations (proto/abi/guard.h). */
#ifndef POLICYD_GUARD_TABLES_H
#define POLICYD_GUARD_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/abi/guard.h"
#include "proto/base/fds.h"
#include "proto/base/shm.h"

#define GUARD_LINES_MIN 16u
#define GUARD_LINES_MAX (1u << 24) /* of a half: 1 GiB */
#define GUARD_CPUS_MAX  8192u

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

struct guard_tables {
	struct pst_shm guard, fw, block, sigs, offenders, samples, counts;
	struct guard_table firewall, lists, signatures;
};

/* Maps what the loader handed over. 0; -ENOENT: it guards nothing; -EBADF, -EINVAL (after a log line): these
 * are no such maps; -errno. */
int guard_tables_map(const struct pst_fds *fds, uint64_t now_ns, struct guard_tables *ret_tables);
/* The part behind the maps: are the regions what they should be? Fills in the two tables. 0 or -EINVAL. */
int guard_tables_check(struct guard_tables *tables, uint64_t now_ns);
/* Memory that the loader has to give to a table whose halves have at least so many lines, as its
 * configuration says it: "16MiB". */
struct guard_memory {
	char text[16];
};
struct guard_memory guard_memory_for(uint64_t lines);
/* Zeroed: nothing is mapped. */
void guard_tables_unmap(struct guard_tables *tables);
/* Are these the same maps? */
bool guard_tables_same(const struct guard_tables *a, const struct guard_tables *b);

static inline bool guard_tables_mapped(const struct guard_tables *tables)
{
	return tables->guard.base;
}

/* What is in force; 0: nothing. */
uint64_t guard_generation(const struct guard_table *table);
/* Interfaces on which programs look at the tables, as the loader says; 0: what is written is not enforced. */
uint32_t guard_attached(const struct guard_tables *tables);
/* The tables are there, and no program looks at them. */
bool guard_idle(const struct guard_tables *tables);
/* The loader has others by now, or is about to: what is written into these comes into force nowhere. */
bool guard_tables_moved(const struct guard_tables *tables);
/* "not guarded", "off", "pending", "not enforced", "in force" */
const char *guard_state(const struct guard_tables *tables, const struct guard_table *table, bool pending);
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

/* A table that is made in memory of our own, checked there, and copied when the idle half may be written. */
struct guard_staged {
	struct pst_shm shm;
	union pst_line *lines; /* NULL: none */
	uint32_t n;            /* of a half */
	uint32_t used;
	uint64_t generation;
};

/* For a half of @n lines. 0 or -ENOMEM. */
int guard_stage(uint32_t n, uint64_t generation, struct guard_staged *ret_staged);
void guard_staged_done(struct guard_staged *staged); /* zeroed: nothing to do */

#endif
