/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics made from events as they pass by. Cheap: most kinds cost one addition, the others a look at a few
 * fields. */
#ifndef EXPORTER_COUNTS_H
#define EXPORTER_COUNTS_H

#include "exporter/cgroups.h"
#include "exporter/expo.h"
#include "exporter/flows.h"
#include "proto/wire/event.h"

struct counts;

struct counts_bounds {
	uint32_t max_series, max_label_bytes;
};

/* @flows and @cgroups are fed too and outlive the counts. 0 or -errno. */
int counts_new(const struct counts_bounds *bounds, struct flows *flows, struct cgroups *cgroups,
	struct counts **ret_counts);
void counts_free(struct counts *counts); /* NULL is fine */
/* An event that was scanned, not necessarily decoded. */
void counts_event(struct counts *counts, const struct pst_event *event);
/* An event that policyd made an alert: counted as that only, since the enricher's own has passed already. */
void counts_alert(struct counts *counts, const struct pst_event *event);
/* Wall clock minus event time as node_info last told it, else of this host now. */
int64_t counts_wall_offset(const struct counts *counts);
void counts_expose(const struct counts *counts, struct expo *expo);

#endif
