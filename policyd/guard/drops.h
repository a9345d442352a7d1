/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with packets that cannot be read, where it differs from interface to interface. */
#ifndef POLICYD_GUARD_DROPS_H
#define POLICYD_GUARD_DROPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policyd/guard/ifname.h"
#include "proto/abi/guard.h"
#include "proto/base/ifpattern.h"

#define DROPS_MAX 64

/* Of the interfaces that a name or a glob matches; the first entry that matches one holds. */
struct drops_entry {
	char pattern[PST_IFPATTERN_MAX + 1];
	uint64_t set;   /* PST_GUARD_DROP_* that it says something of; of the rest policyd.drop does */
	uint64_t flags; /* what it says */
};

struct drops_config {
	uint64_t all; /* PST_GUARD_DROP_* of policyd.drop */
	struct drops_entry v[DROPS_MAX];
	size_t n;
};

/*
 * For the interfaces on which the loader says that the guard is, into the programs' table, if anything
 * @judges at all. True: some interface has flags of its own.
 */
bool drops_set(const struct drops_config *config, struct ifnames *names, struct pst_guard_ifaces *ifaces,
	bool judges);

#endif
