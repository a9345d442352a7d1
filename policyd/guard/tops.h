/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sends what the steps against floods take, from samples: a sample stands for as many packets as its step
 * counted meanwhile for each. Of each vector 64 sources are kept; a new one takes the place of the least, and
 * what that had counts as unknown. So what is told of a source is what it sent at least, as far as samples
 * go.
 */
#ifndef POLICYD_GUARD_TOPS_H
#define POLICYD_GUARD_TOPS_H

#include "policyd/guard/detect.h"
#include "proto/wire/mp.h"

#define TOP_KEPT 64
#define TOP_TOLD 5
#define TOPS     (PST_GUARD_DRY_OFFENDER - PST_GUARD_DRY_BLOCKED + 1 + PST_SIGS)

struct top_source {
	uint8_t addr[16];        /* of IPv6 the first 64 bits */
	double packets, unknown; /* of which so many may be others' */
	uint64_t samples;
};

struct tally {
	struct top_source v[TOP_KEPT];
	size_t n;
};

struct top {
	struct tally sources, interfaces; /* of an interface: its number, in the address's first bytes */
	double packets;
	uint64_t sampled; /* packets */
	uint64_t before;  /* what the vector had counted when it was last looked at */
};

struct tops {
	bool looked;
	struct top v[TOPS];
	struct pst_sample samples[PST_SAMPLES];
};

/* Samples for @packets a second: enough to tell, few enough to cost nothing. */
uint32_t tops_mask(uint64_t packets);
/* The place of a vector; @event: PST_GUARD_DRY_*, @sig: a signature's counter. TOPS: there is none. */
unsigned tops_place(unsigned event, unsigned sig);
/*
 * Takes the programs' samples, and empties their slots. What comes to a vector of which no flood goes on is
 * of this interval alone. To be called with each detect_look(), before it.
 */
void tops_look(struct tops *tops, struct pst_sample *samples, const struct detect *detect,
	const struct vector *vectors, size_t n);
/* "192.0.2.1 5000": those that sent at least a hundredth of all, at most TOP_TOLD, the most first. How many.
 */
uint32_t top_put(const struct top *top, struct pst_buf *elements);
/* "eth0 5000": likewise, over which interfaces; @name: NULL where it is not known, then "?7". */
typedef const char *top_name_fn(uint32_t ifindex, void *arg);
uint32_t top_put_interfaces(const struct top *top, top_name_fn *name, void *arg, struct pst_buf *elements);

#endif
