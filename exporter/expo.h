/* SPDX-License-Identifier: Apache-2.0 */
/* The exposition: Prometheus text 0.0.4 or OpenMetrics 1.0, written by hand (no printf: a scrape may have
 * many lines). */
#ifndef EXPORTER_EXPO_H
#define EXPORTER_EXPO_H

#include "proto/wire/mp.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_INFO, METRIC_HISTOGRAM };

struct metric {
	const char *name; /* without prefix and suffix */
	enum metric_type type;
	const char *unit;   /* "" or the end of the name */
	const char *labels; /* for the documentation */
	const char *help;
};

enum metric_id {
#define METRIC(ID, name, type, unit, labels, help) M_##ID,
#include "exporter/metrics.def"
#undef METRIC
	METRICS_N,
};
extern const struct metric metrics_table[METRICS_N];

#define EXPO_TYPE_TEXT        "text/plain; version=0.0.4; charset=utf-8"
#define EXPO_TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

struct expo {
	struct pst_buf *out;
	bool openmetrics;
	const struct metric *metric; /* whose family is open */
	bool headed;                 /* its header is written: only before the first sample */
};

/* Begin a family. All its samples follow, before the next family. */
void expo_family(struct expo *expo, const struct metric *metric);
/* Samples. @labels is text made by expo_label ("a=\"b\",c=\"d\"") or "" or NULL. */
void expo_u64(struct expo *expo, const char *labels, uint64_t value);
void expo_ns(struct expo *expo, const char *labels, uint64_t ns); /* as seconds */
/* One histogram of the open family: @bounds_ns rising, @counts per bucket (not added up), one more than
 * bounds. */
void expo_histogram(struct expo *expo, const uint64_t *bounds_ns, const uint64_t *counts, unsigned n_bounds,
	uint64_t sum_ns);
void expo_end(struct expo *expo); /* # EOF where the format has it */

/*
 * Appends name="value" to @out, after a comma if it is not empty, with a NUL behind (not counted in len).
 * Bytes are made valid UTF-8, control characters become U+FFFD, quotes, backslashes and newlines are escaped;
 * longer than @max bytes is cut and ends with "...".
 */
void expo_label(struct pst_buf *out, const char *name, const void *bytes, size_t len, size_t max);
void expo_label_text(struct pst_buf *out, const char *name, const char *text);

void expo_uint(struct pst_buf *out, uint64_t v); /* decimal digits */
/* The metric table as Markdown, to stdout: docs/metrics.md. */
void expo_print_table(void);

#endif
