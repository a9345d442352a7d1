/* SPDX-License-Identifier: Apache-2.0 */
/* When a flood begins and when it has ended, from counters that are looked at now and then. */
#ifndef POLICYD_GUARD_DETECT_H
#define POLICYD_GUARD_DETECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/abi/guard.h"

#define DETECT_NAME_MAX 63
#define DETECT_VECTORS  (4 + PST_SIGS)

/* A counter that only grows, or begins anew. */
struct vector {
	char name[DETECT_NAME_MAX + 1];
	bool dropped; /* else its packets are counted only */
	unsigned top; /* its place in struct tops */
	struct pst_guard_count count;
};

struct flood {
	struct vector vector;               /* as it was when it was last looked at */
	bool on;                            /* it goes on */
	uint64_t first_ns, last_ns;         /* when it began; the end of the last interval with many */
	struct pst_guard_count total, rate; /* since it began; a second, the most */
};

struct detect {
	struct flood v[DETECT_VECTORS];
	size_t n, n_on;
	uint64_t looked_ns; /* 0: never */
};

struct detect_limits {
	uint64_t packets; /* a second */
	uint64_t quiet_ns;
};

/* @flood: began, when it is on, or else has ended. */
typedef void detect_fn(void *arg, const struct flood *flood);

/* What was counted by @now_ns. A vector that is not among them any more has ended; one that is new begins at
 * what it has. @n is at most DETECT_VECTORS. */
void detect_look(struct detect *detect, const struct detect_limits *limits, const struct vector *vectors,
	size_t n, uint64_t now_ns, detect_fn *fn, void *arg);

/* Does a flood of this vector go on? */
bool detect_is_on(const struct detect *detect, const char *name);

#endif
