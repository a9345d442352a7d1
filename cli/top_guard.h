/* SPDX-License-Identifier: Apache-2.0 */
/* What the guard counted in an interval, by verdict and by rule: the third table of `penstock top`. */
#ifndef CLI_TOP_GUARD_H
#define CLI_TOP_GUARD_H

#include <jansson.h>
#include <stdbool.h>

struct top_guard {
	json_t *before; /* counters at the end of the last interval; NULL: not known */
	json_t *rows;   /* of the last interval, most packets first: [{what, name, action, packets, bytes}] */
	json_t *cells;  /* as before, by interface */
	json_t *moved;  /* in the last interval, by interface (top_iface.h) */
};

/* Ends an interval: asks policyd. Without an answer there are no rows, and the next interval has none. */
void top_guard_sample(struct top_guard *guard, const char *run_dir);
void top_guard_print(const struct top_guard *guard, double seconds, size_t rows);
/* The same as JSON, owned. */
json_t *top_guard_json(const struct top_guard *guard, double seconds, size_t rows);
void top_guard_done(struct top_guard *guard);

#endif
