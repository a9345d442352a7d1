/* SPDX-License-Identifier: Apache-2.0 */
/* The `stats` of a status reply as metrics: names made fit, units made base units, several stages merged into
 * families. */
#ifndef EXPORTER_STAGE_STATS_H
#define EXPORTER_STAGE_STATS_H

#include <msgpack.h>

#include "exporter/expo.h"

struct stage_stats;

/* @stats: [[name, label_name, label, type, value, help], ...] or anything else; several labels as struct
 * pst_stat has them. NULL only without memory. */
struct stage_stats *stage_stats_parse(const char *stage, const msgpack_object *stats, size_t max_label);
void stage_stats_free(struct stage_stats *stats); /* NULL is fine */
/* All as families of their own, and M_STATS_SKIPPED. */
void stage_stats_expose(const struct stage_stats *const *stats, unsigned n, struct expo *expo);

#endif
