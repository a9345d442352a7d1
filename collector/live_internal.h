/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COLLECTOR_LIVE_INTERNAL_H
#define COLLECTOR_LIVE_INTERNAL_H

#include "collector/source.h"
#include "proto/base/ring.h"

struct live_ring {
	struct live *live;
	struct pst_ring *ring;
	enum pst_topic topic;
	struct pst_source *source;
	struct pst_stat *drained;
};

struct live {
	struct pst_loop *loop;
	const struct config *config;
	struct sink *sink;
	struct pst_fds fds;
	struct pst_shm ctl, stats;
	struct live_ring rings[PST_CLASS_MAX];
	struct pst_source *tick, *udp_timer, *flow_timer, *second;
	struct pst_stat *wakeups, *untold;
	uint64_t idle_ns;                          /* length of the last tick without a record */
	struct pst_class_stat seen[PST_CLASS_MAX]; /* sums at the last look */
	bool seen_once;
	bool told_guard; /* that its table is not ours */
	unsigned seconds;
};

/* Each second: loss counters of the kernel side, the loader's report, node_info every tenth. */
void live_on_second(void *arg);

#endif
