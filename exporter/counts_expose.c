// SPDX-License-Identifier: Apache-2.0
/* The counts as metrics. */
#include <stdio.h>

#include "exporter/counts_internal.h"
#include "proto/abi/records.h"
#include "proto/base/cleanup.h"

static void expose(struct expo *expo, enum metric_id id, uint64_t value)
{
	expo_family(expo, &metrics_table[id]);
	expo_u64(expo, NULL, value);
}

static void expose_label(struct expo *expo, const char *name, const char *text, uint64_t value)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf label = {0};

	expo_label_text(&label, name, text);
	if (!label.failed)
		expo_u64(expo, (const char *)label.p, value);
}

static void expose_two(struct expo *expo, enum metric_id id, const char *name, const char *a,
	uint64_t a_value, const char *b, uint64_t b_value)
{
	expo_family(expo, &metrics_table[id]);
	expose_label(expo, name, a, a_value);
	expose_label(expo, name, b, b_value);
}

/* The last one holds what is no errno at all. */
static void expose_errnos(
	struct expo *expo, enum metric_id id, const char *name, const uint64_t *v, const char *zero)
{
	expo_family(expo, &metrics_table[id]);
	if (zero)
		expose_label(expo, name, zero, v[0]);
	for (unsigned i = 1; i < ERRNOS; i++) {
		const char *known = i < ERRNOS - 1 ? strerrorname_np((int)i) : "other";
		char number[24];

		snprintf(number, sizeof(number), "errno_%u", i);
		if (v[i])
			expose_label(expo, name, known ? known : number, v[i]);
	}
}

static void expose_exits(const struct counts *counts, struct expo *expo)
{
	expo_family(expo, &metrics_table[M_PROCESS_EXITS]);
	expo_u64(expo, "result=\"success\",signal=\"\"", counts->exit_ok);
	expo_u64(expo, "result=\"failure\",signal=\"\"", counts->exit_failed);
	for (unsigned i = 0; i < SIGNALS; i++) {
		PST_CLEANUP(pst_buf_done) struct pst_buf label = {0};
		const char *abbrev = i ? sigabbrev_np((int)i) : NULL;
		char text[24];

		if (!counts->exit_signals[i])
			continue;
		if (abbrev)
			snprintf(text, sizeof(text), "SIG%s", abbrev);
		else if (i)
			snprintf(text, sizeof(text), "SIG%u", i);
		else
			snprintf(text, sizeof(text), "other");
		expo_label_text(&label, "result", "signal");
		expo_label_text(&label, "signal", text);
		if (!label.failed)
			expo_u64(expo, (const char *)label.p, counts->exit_signals[i]);
	}
}

static const char *const dir_names[DIRS] = {"none", "in", "out"};

static void expose_flows(struct expo *expo, enum metric_id id, const uint64_t v[PROTOCOLS][DIRS])
{
	static const struct pst_field field = {.name = "protocol", .type = PST_T_U, .format = PST_FMT_PROTO};

	expo_family(expo, &metrics_table[id]);
	for (unsigned p = 0; p < PROTOCOLS; p++) {
		for (unsigned d = 0; d < DIRS; d++) {
			PST_CLEANUP(pst_buf_done) struct pst_buf label = {0};
			struct pst_val val = {.u = p};
			char text[32];

			if (!v[p][d])
				continue;
			pst_val_text(&val, &field, text, sizeof(text));
			expo_label_text(&label, "protocol", text);
			expo_label_text(&label, "direction", dir_names[d]);
			if (!label.failed)
				expo_u64(expo, (const char *)label.p, v[p][d]);
		}
	}
}

static void expose_kinds(const struct counts *counts, struct expo *expo)
{
	expo_family(expo, &metrics_table[M_EVENTS]);
	for (size_t i = 0; i < pst_n_kinds; i++)
		if (pst_kinds[i].id < KINDS)
			expose_label(expo, "kind", pst_kinds[i].name, counts->kinds[pst_kinds[i].id]);
	expose_label(expo, "kind", "unknown", counts->kind_unknown);
}

static void expose_set(struct expo *expo, enum metric_id id, const struct series_set *set)
{
	expo_family(expo, &metrics_table[id]);
	series_expose(set, expo, false);
}

static void expose_overflow(const struct counts *counts, struct expo *expo)
{
	const struct {
		const char *name;
		const struct series_set *set;
	} sets[] = {{"penstock_packet_drops", counts->drops}, {"penstock_flow_ends", counts->flow_ends},
		{"penstock_alerts", counts->alerts}, {"penstock_events_lost", counts->lost},
		{"penstock_policy_acts", counts->policy_acts}};

	expo_family(expo, &metrics_table[M_SERIES_OVERFLOW]);
	for (unsigned i = 0; i < PST_ARRAY_SIZE(sets); i++)
		expose_label(expo, "metric", sets[i].name, series_overflowed(sets[i].set));
}

static void expose_net(const struct counts *counts, struct expo *expo)
{
	const uint64_t *kinds = counts->kinds;

	expose_errnos(expo, M_TCP_CONNECTS, "result", counts->connects, "ok");
	expo_family(expo, &metrics_table[M_TCP_CONNECT_DURATION]);
	expo_histogram(expo, counts_connect_bounds_ns, counts->connect_buckets, CONNECT_BOUNDS,
		counts->connect_sum_ns);
	expose(expo, M_TCP_ACCEPTS, kinds[PST_KIND_ACCEPT]);
	expose(expo, M_TCP_LISTENS, kinds[PST_KIND_LISTEN]);
	expose(expo, M_TCP_CLOSES, kinds[PST_KIND_CLOSE]);
	expose_two(expo, M_TCP_BYTES, "direction", "in", counts->tcp_received, "out", counts->tcp_sent);
	expose(expo, M_TCP_RETRANSMITS, kinds[PST_KIND_RETRANSMIT]);
	expose_two(expo, M_TCP_RESETS, "direction", "in", counts->resets[PST_DIR_IN], "out",
		counts->resets[PST_DIR_OUT]);
	expose_two(expo, M_UDP_PACKETS, "direction", "in", counts->udp_packets_received, "out",
		counts->udp_packets_sent);
	expose_two(expo, M_UDP_BYTES, "direction", "in", counts->udp_bytes_received, "out",
		counts->udp_bytes_sent);
	expose_set(expo, M_PACKET_DROPS, counts->drops);
	expose_flows(expo, M_FLOW_PACKETS, counts->flow_packets);
	expose_flows(expo, M_FLOW_BYTES, counts->flow_bytes);
	expose_set(expo, M_FLOW_ENDS, counts->flow_ends);
	expose(expo, M_FLOWS, flows_count(counts->flows));
}

void counts_expose(const struct counts *counts, struct expo *expo)
{
	const uint64_t *kinds = counts->kinds;

	expose_kinds(counts, expo);
	expose_set(expo, M_ALERTS, counts->alerts);
	expose_set(expo, M_POLICY_ACTS, counts->policy_acts);
	expose(expo, M_PROCESS_FORKS, kinds[PST_KIND_FORK]);
	expose(expo, M_PROCESS_EXECS, kinds[PST_KIND_EXEC]);
	expose_errnos(expo, M_PROCESS_EXEC_FAILURES, "error", counts->exec_errors, NULL);
	expose_exits(counts, expo);
	expose(expo, M_PROCESS_CRED_CHANGES, kinds[PST_KIND_CRED]);
	expose_net(counts, expo);
	expose_set(expo, M_EVENTS_LOST, counts->lost);
	expose_overflow(counts, expo);
	if (counts->node.len && !counts->node.failed) {
		expo_family(expo, &metrics_table[M_NODE]);
		expo_u64(expo, (const char *)counts->node.p, 1);
	}
}
