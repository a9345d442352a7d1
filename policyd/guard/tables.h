/* SPDX-License-Identifier: Apache-2.0 */
/* The packet programs' tables in this process: mapped, their sizes, their generations (proto/abi/guard.h). */
#ifndef POLICYD_GUARD_TABLES_H
#define POLICYD_GUARD_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "policyd/guard/halves.h"

#define GUARD_CPUS_MAX 8192u

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

/* Interfaces on which programs look at the tables, as the loader says; 0: what is written is not enforced. */
uint32_t guard_attached(const struct guard_tables *tables);
/* The tables are there, and no program looks at them. */
bool guard_idle(const struct guard_tables *tables);
/* The loader has others by now, or is about to: what is written into these comes into force nowhere. */
bool guard_tables_moved(const struct guard_tables *tables);
/* "not guarded", "off", "pending", "not enforced", "in force" */
const char *guard_state(const struct guard_tables *tables, const struct guard_table *table, bool pending);
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
