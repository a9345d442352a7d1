/* SPDX-License-Identifier: Apache-2.0 */
/* From a sensor's event to the enricher's array, and from process events to the tree. */
#ifndef ENRICHER_ENRICH_H
#define ENRICHER_ENRICH_H

#include "enricher/cgroup.h"
#include "enricher/names.h"
#include "enricher/proctree.h"
#include "proto/wire/event.h"

#define ANCESTORS_MAX 16

struct enrich {
	struct proctree *tree;
	struct cgroups *cgroups;
	struct names *names;
	bool hybrid;              /* containers may be in v1 hierarchies only */
	bool offline;             /* a recording of another boot: nothing of this host applies */
	struct pst_buf ancestors; /* scratch */
	uint64_t events_ns;       /* time of the newest event */
	bool missed;              /* an event's process was not known: the tree wants reading again */
};

/* Learn from the event, then fill @ret (PST_ENR_N values, valid until the next call). */
void enrich_event(struct enrich *e, const struct pst_event *event, struct pst_val *ret);

#endif
