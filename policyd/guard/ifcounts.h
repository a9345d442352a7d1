/* SPDX-License-Identifier: Apache-2.0 */
/* What the packet programs counted by interface, direction, protocol and verdict, over all CPUs. */
#ifndef POLICYD_GUARD_IFCOUNTS_H
#define POLICYD_GUARD_IFCOUNTS_H

#include "policyd/guard/ifname.h"
#include "policyd/guard/tables.h"

/* That are told apart: CPUs may have given places to different ones. Each has 32 cells at most, and a cell
 * takes some 270 bytes in status, which is to stay below PST_MESSAGE_MAX with all the rest. */
#define GUARD_IFACES_MAX 64

struct guard_iface {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	struct pst_guard_count cell[PST_GUARD_CELLS]; /* by PST_GUARD_CELL */
};

/* The first is "other", what found no place, the second "gone", of interfaces that are no more. */
struct guard_ifaces {
	struct guard_iface v[GUARD_IFACES_MAX + 2];
	size_t n;
};

/* Owned; NULL without memory. Zeros where nothing is mapped. */
struct guard_ifaces *guard_ifaces_read(const struct guard_tables *tables, struct ifnames *names);

/* One cell that counted something. */
struct guard_cell {
	const char *interface, *direction, *protocol, *verdict;
	struct pst_guard_count count;
};
/* The next one from *@at on, which is 0 at first; false: no more. */
bool guard_ifaces_next(const struct guard_ifaces *ifaces, size_t *at, struct guard_cell *ret_cell);

/* Interfaces that were gone when it was last looked; zeroed at first. */
struct guard_gone {
	uint32_t v[GUARD_IFACES_MAX];
	size_t n;
	uint64_t next_ns; /* CLOCK_MONOTONIC: then it is looked again */
};

/* Once a minute: frees the places of those that were gone a minute ago and still are. By then no packet of
 * theirs is under way. */
void guard_ifaces_sweep(
	const struct guard_tables *tables, struct ifnames *names, struct guard_gone *gone, uint64_t now_ns);

#endif
