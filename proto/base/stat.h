/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stage's own counters and gauges: registered once by name and label, updated by plain stores from the
 * loop's thread, read by `status` (see wire/ctl.h), from which the exporter makes metrics.
 */
#ifndef PST_BASE_STAT_H
#define PST_BASE_STAT_H

#include <stdint.h>

enum pst_stat_type { PST_STAT_COUNTER, PST_STAT_GAUGE };

struct pst_stat {
	const char *name;       /* "received_events", "lost_events": snake case with its unit, no prefix */
	const char *label_name; /* NULL: none; e.g. "cause", "topic"; several: "direction,interface" */
	const char *label;      /* "retention", "proc"; static or owned by the caller for ever. Of n names:
				   split at its first n - 1 commas, "in,eth0" */
	const char *help;       /* one line */
	enum pst_stat_type type;
	uint64_t value;
	struct pst_stat *next; /* in order of registration */
};

/* Returns the one with this name and label, making it at the first call. Never NULL: beyond PST_STATS_MAX one
 * shared overflow entry named "stats_overflow" is returned. Strings are not copied. Not thread-safe: call
 * from the loop's thread. */
#define PST_STATS_MAX       1024
#define PST_STATS_EXTRA_MAX 8192 /* rows beside them, made when status is asked (wire/ctl.h) */
struct pst_stat *pst_stat(enum pst_stat_type type, const char *name, const char *label_name,
	const char *label, const char *help);
#define pst_counter(name, help) pst_stat(PST_STAT_COUNTER, name, NULL, NULL, help)
#define pst_gauge(name, help)   pst_stat(PST_STAT_GAUGE, name, NULL, NULL, help)
const struct pst_stat *pst_stat_first(void);
uint64_t pst_stat_rss_bytes(
	void);            /* of this process, from /proc/self/statm opened before the sandbox; 0 if unknown */
void pst_stat_open(void); /* opens what the above needs */
uint64_t pst_stat_cpu_ns(void); /* CLOCK_PROCESS_CPUTIME_ID */

#endif
