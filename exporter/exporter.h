/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that the exporter is made of. Each part knows only those it is given; feed.c, api*.c and
 * events_op.c know all. */
#ifndef EXPORTER_EXPORTER_H
#define EXPORTER_EXPORTER_H

#include "exporter/cgroups.h"
#include "exporter/config.h"
#include "exporter/counts.h"
#include "exporter/flows.h"
#include "exporter/http.h"
#include "exporter/output.h"
#include "exporter/procs.h"
#include "exporter/report.h"
#include "exporter/scrape.h"
#include "exporter/stages.h"
#include "exporter/store.h"
#include "exporter/stream.h"
#include "proto/base/stat.h"
#include "proto/wire/bus.h"

struct exporter {
	const struct pst_common *common;
	const struct exporter_config *config;
	struct pst_loop *loop;
	struct pst_bus *bus;
	struct pst_sub *enricher, *policyd;
	struct store *store;
	struct cgroups *cgroups;
	struct flows *flows;
	struct counts *counts;
	struct streams *streams;
	struct output *output; /* NULL: none configured */
	struct scrape *scrape;
	struct stages *stages;
	struct report *report;
	struct http *http;
	struct procs_config procs;
	struct lazy_event *lazy;
	bool learning; /* asking the enricher for names of cgroups */
	struct pst_source *second;
	struct pst_stat *store_events, *store_bytes, *flows_evicted, *scrapes, *scrape_ns;
};

/* feed.c: events from the bus */
int feed_open(struct exporter *x); /* stats, subscriptions */
/* After feed_open, before the output file is opened: what it holds beyond the committed position goes. */
int feed_recover_output(struct exporter *x);

/* api.c and api_events.c: HTTP */
extern const struct route api_routes[];
void api_events(void *arg, struct request *request);
/* The filter keys of the request, those in @keys only (NULL-terminated; NULL: all); @others are not for the
 * filter. 0, with *ret_filter NULL when there are none; -errno after replying. */
int api_filter(struct request *request, const char *const *keys, const char *const *others,
	struct pst_filter **ret_filter);
void metrics_write(struct exporter *x, bool openmetrics, struct pst_buf *out);

/* events_op.c: the `events` request on exporter.ctl */
int events_op_open(struct exporter *x);

#endif
