/* SPDX-License-Identifier: Apache-2.0 */
/* The flows seen lately, for /api/v1/flows: bounded, the least recently updated go first. */
#ifndef EXPORTER_FLOWS_H
#define EXPORTER_FLOWS_H

#include "proto/wire/event.h"
#include "proto/wire/filter.h"

struct flows;

/* What one event adds, for the metrics. */
struct flow_delta {
	uint8_t protocol, dir;
	bool dropped; /* by the guard, or answered: they did not come through */
	uint64_t packets, bytes;
	const void *end;  /* in the event */
	uint32_t end_len; /* 0: the flow goes on */
};

int flows_new(uint32_t max_flows, struct flows **ret_flows);
void flows_free(struct flows *flows); /* NULL is fine */
/* Take a flow event. */
void flows_update(struct flows *flows, const struct pst_event *event, struct flow_delta *ret_delta);
uint32_t flows_count(const struct flows *flows);
uint64_t flows_evicted(const struct flows *flows);

enum flows_order { FLOWS_BY_BYTES, FLOWS_BY_PACKETS, FLOWS_BY_LAST };
struct flows_query {
	const struct pst_filter *filter; /* NULL: all */
	enum flows_order order;
	uint32_t limit;
	bool active; /* leave out those that have ended */
	int64_t wall_offset_ns;
};
/* {"flows":[...],"total":N,"matched":N}, the largest or latest first. */
void flows_json(const struct flows *flows, const struct flows_query *query, struct pst_buf *out);

#endif
