/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by counts.c, which counts, and counts_expose.c, which tells. */
#ifndef EXPORTER_COUNTS_INTERNAL_H
#define EXPORTER_COUNTS_INTERNAL_H

#include "exporter/counts.h"
#include "exporter/series.h"

#define KINDS     128 /* ids from here on are counted as unknown */
#define ERRNOS    160
#define SIGNALS   72
#define PROTOCOLS 256
#define DIRS      3

static const uint64_t counts_connect_bounds_ns[] = {100000, 250000, 500000, 1000000, 2500000, 5000000,
	10000000, 25000000, 50000000, 100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000,
	10000000000, 30000000000};
#define CONNECT_BOUNDS (sizeof(counts_connect_bounds_ns) / sizeof(counts_connect_bounds_ns[0]))

struct counts {
	struct flows *flows;
	struct cgroups *cgroups;
	uint64_t kinds[KINDS], kind_unknown;
	uint64_t exec_errors[ERRNOS];
	uint64_t exit_ok, exit_failed, exit_signals[SIGNALS];
	uint64_t connects[ERRNOS];
	uint64_t connect_buckets[CONNECT_BOUNDS + 1], connect_sum_ns;
	uint64_t tcp_sent, tcp_received;
	uint64_t resets[DIRS];
	uint64_t udp_packets_sent, udp_packets_received, udp_bytes_sent, udp_bytes_received;
	uint64_t flow_packets[PROTOCOLS][DIRS], flow_bytes[PROTOCOLS][DIRS];
	struct series_set *drops, *flow_ends, *alerts, *lost, *policy_acts;
	int64_t wall_offset_ns;
	bool has_wall_offset;
	struct pst_buf node; /* labels of the info metric, "" until node_info has come */
	uint32_t max_label;
};

#endif
