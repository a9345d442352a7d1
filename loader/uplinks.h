/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces of the default routes: IPv4's and IPv6's, of the main table. */
#ifndef PST_LOADER_UPLINKS_H
#define PST_LOADER_UPLINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UPLINKS_MAX 32 /* of a family */

/* What is known of one family's. */
struct uplink_set {
	int ifindex[UPLINKS_MAX];
	unsigned n;
	bool full; /* there are more */
	bool torn; /* routes changed while they were read: some may be missing */
};

struct uplinks {
	struct uplink_set of[2]; /* IPv4, IPv6 */
	uint64_t next_ns;        /* CLOCK_MONOTONIC: not looked at before */
};

/*
 * Looks anew. A family that has no default route (any more) keeps the interfaces of its last one: the route
 * goes and comes, packets come in all the time. So does one that could not be read. True: they are others.
 */
bool uplinks_look(struct uplinks *uplinks);
bool uplinks_has(const struct uplinks *uplinks, int ifindex);
/* Walks the messages of a dump of @family's routes. 1: no default route can follow; 0; -errno. For tests. */
int uplinks_parse(const void *buf, size_t len, int family, struct uplink_set *set);

#endif
