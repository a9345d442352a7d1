/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of one metric by label values, bounded in number: when all series are taken, what has no series of
 * its own is counted in one whose label values are all "other". The label text is made once, when a series
 * first appears.
 */
#ifndef EXPORTER_SERIES_H
#define EXPORTER_SERIES_H

#include "exporter/expo.h"

struct series_set;

struct series_label {
	const char *name;
	const void *bytes;
	uint32_t len;
};
#define SERIES_LABELS_MAX 6
#define SERIES_LABEL(name_, bytes_, len_)                                                                    \
	((struct series_label){.name = (name_), .bytes = (bytes_), .len = (uint32_t)(len_)})
#define SERIES_TEXT(name_, text_) SERIES_LABEL(name_, text_, strlen(text_))

int series_new(uint32_t max_series, uint32_t max_label_bytes, struct series_set **ret_set);
void series_free(struct series_set *set); /* NULL is fine */
void series_freep(struct series_set **set);
/* The counter of these label values; always the same names in the same order. Never NULL; valid until the
 * next call. */
uint64_t *series_at(struct series_set *set, const struct series_label *labels, unsigned n_labels);
uint32_t series_count(const struct series_set *set);
uint64_t series_overflowed(const struct series_set *set); /* calls that got the "other" series */
/* All as samples of the open family, in order of appearance; @as_ns: values are nanoseconds. */
void series_expose(const struct series_set *set, struct expo *expo, bool as_ns);

#endif
