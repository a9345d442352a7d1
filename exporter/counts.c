// SPDX-License-Identifier: Apache-2.0
#include "exporter/counts_internal.h"

#include <errno.h>

#include "exporter/pick.h"
#include "proto/abi/records.h"
#include "proto/base/cleanup.h"
#include "proto/base/loop.h"

int counts_new(const struct counts_bounds *bounds, struct flows *flows, struct cgroups *cgroups,
	struct counts **ret_counts)
{
	struct counts *counts = calloc(1, sizeof(*counts));
	struct series_set **sets[] = {
		&counts->drops, &counts->flow_ends, &counts->alerts, &counts->lost, &counts->policy_acts};

	if (!counts)
		return -ENOMEM;
	counts->flows = flows;
	counts->cgroups = cgroups;
	counts->max_label = bounds->max_label_bytes;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(sets); i++) {
		int r = series_new(bounds->max_series, bounds->max_label_bytes, sets[i]);

		if (r < 0) {
			counts_free(counts);
			return r;
		}
	}
	*ret_counts = counts;
	return 0;
}

void counts_free(struct counts *counts)
{
	if (!counts)
		return;
	series_free(counts->drops);
	series_free(counts->flow_ends);
	series_free(counts->alerts);
	series_free(counts->lost);
	series_free(counts->policy_acts);
	pst_buf_done(&counts->node);
	free(counts);
}

static unsigned dir_of(uint64_t dir)
{
	return dir < DIRS ? (unsigned)dir : 0;
}

static void count_exec(struct counts *counts, const struct pst_event *event)
{
	struct pick sensor = pick_from(event, 0), enricher;
	uint64_t id = pick_uint(&sensor, PST_EXEC_F_cgroup_id);
	uint32_t path_len, container_len;
	const void *path, *container;

	if (!id || cgroups_known(counts->cgroups, id))
		return;
	enricher = pick_from(event, 1);
	path = pick_bytes(&enricher, PST_ENR_cgroup, &path_len);
	container = pick_bytes(&enricher, PST_ENR_container_id, &container_len);
	cgroups_put(counts->cgroups, id, path, path_len, container, container_len);
}

static void count_exec_failed(struct counts *counts, const struct pst_event *event)
{
	struct pick sensor = pick_from(event, 0);
	uint64_t error = pick_uint(&sensor, PST_EXEC_FAILED_F_error);

	counts->exec_errors[error && error < ERRNOS ? error : ERRNOS - 1]++;
}

static void count_exit(struct counts *counts, const struct pst_event *event)
{
	struct pick sensor = pick_from(event, 0);
	uint64_t code = pick_uint(&sensor, PST_EXIT_F_exit_code);
	uint64_t signo = pick_uint(&sensor, PST_EXIT_F_signal);

	if (signo)
		counts->exit_signals[signo < SIGNALS ? signo : 0]++;
	else if (code)
		counts->exit_failed++;
	else
		counts->exit_ok++;
}

static void count_connect(struct counts *counts, const struct pst_event *event)
{
	struct pick sensor = pick_from(event, 0);
	uint64_t error = pick_uint(&sensor, PST_CONNECT_F_error);
	uint64_t ns = pick_uint(&sensor, PST_CONNECT_F_duration_ns);
	unsigned i = 0;

	counts->connects[error < ERRNOS ? error : ERRNOS - 1]++;
	while (i < CONNECT_BOUNDS && ns > counts_connect_bounds_ns[i])
		i++;
	counts->connect_buckets[i]++;
	counts->connect_sum_ns += ns;
}

static void count_close(struct counts *counts, const struct pst_event *event)
{
	struct pick sensor = pick_from(event, 0);

	counts->tcp_sent += pick_uint(&sensor, PST_CLOSE_F_bytes_sent);
	counts->tcp_received += pick_uint(&sensor, PST_CLOSE_F_bytes_received);
}

static void count_reset(struct counts *counts, const struct pst_event *event)
{
	struct pick sensor = pick_from(event, 0);

	counts->resets[dir_of(pick_uint(&sensor, PST_RESET_F_dir))]++;
}

static void count_drop(struct counts *counts, const struct pst_event *event)
{
	struct pick sensor = pick_from(event, 0);
	struct series_label label = {.name = "reason"};

	label.bytes = pick_bytes(&sensor, PST_DROP_F_reason, &label.len);
	if (!label.len)
		label = SERIES_TEXT("reason", "unknown");
	(*series_at(counts->drops, &label, 1))++;
}

static void count_udp(struct counts *counts, const struct pst_event *event)
{
	struct pick sensor = pick_from(event, 0);

	counts->udp_packets_sent += pick_uint(&sensor, PST_UDP_F_packets_sent);
	counts->udp_bytes_sent += pick_uint(&sensor, PST_UDP_F_bytes_sent);
	counts->udp_packets_received += pick_uint(&sensor, PST_UDP_F_packets_received);
	counts->udp_bytes_received += pick_uint(&sensor, PST_UDP_F_bytes_received);
}

static void count_flow(struct counts *counts, const struct pst_event *event)
{
	struct flow_delta delta;
	unsigned dir;

	flows_update(counts->flows, event, &delta);
	if (delta.dropped) /* penstock_guard_packets_total has these */
		return;
	dir = dir_of(delta.dir);
	counts->flow_packets[delta.protocol][dir] += delta.packets;
	counts->flow_bytes[delta.protocol][dir] += delta.bytes;
	if (delta.end_len) {
		struct series_label label = SERIES_LABEL("reason", delta.end, delta.end_len);

		(*series_at(counts->flow_ends, &label, 1))++;
	}
}

static void count_lost(struct counts *counts, const struct pst_event *event)
{
	struct pick sensor = pick_from(event, 0);
	struct series_label labels[3] = {{.name = "stage"}, {.name = "where"}, {.name = "cause"}};
	uint64_t n;

	labels[0].bytes = pick_bytes(&sensor, PST_LOSS_F_stage, &labels[0].len);
	labels[1].bytes = pick_bytes(&sensor, PST_LOSS_F_where, &labels[1].len);
	labels[2].bytes = pick_bytes(&sensor, PST_LOSS_F_cause, &labels[2].len);
	n = pick_uint(&sensor, PST_LOSS_F_count);
	*series_at(counts->lost, labels, 3) += n;
}

static void count_policy(struct counts *counts, const struct pst_event *event)
{
	static const struct {
		const char *name;
		unsigned field;
	} from[] = {{"policy", PST_POLICY_F_policy}, {"rule", PST_POLICY_F_policy_rule},
		{"action", PST_POLICY_F_action}, {"done", PST_POLICY_F_done}};
	struct pick sensor = pick_from(event, 0);
	struct series_label labels[PST_ARRAY_SIZE(from)];

	for (size_t i = 0; i < PST_ARRAY_SIZE(from); i++) {
		labels[i].name = from[i].name;
		labels[i].bytes = pick_bytes(&sensor, from[i].field, &labels[i].len);
	}
	(*series_at(counts->policy_acts, labels, PST_ARRAY_SIZE(from)))++;
}

static void take_node(struct counts *counts, const struct pst_event *event)
{
	struct pick sensor = pick_from(event, 0);
	const void *hostname, *boot_id, *kernel;
	uint32_t hostname_len, boot_id_len, kernel_len;

	hostname = pick_bytes(&sensor, PST_NODE_F_hostname, &hostname_len);
	boot_id = pick_bytes(&sensor, PST_NODE_F_boot_id, &boot_id_len);
	kernel = pick_bytes(&sensor, PST_NODE_F_kernel, &kernel_len);
	counts->wall_offset_ns = pick_int(&sensor, PST_NODE_F_wall_offset_ns);
	counts->has_wall_offset = true;
	counts->node.len = 0;
	expo_label(&counts->node, "node", hostname, hostname_len, counts->max_label);
	expo_label(&counts->node, "kernel", kernel, kernel_len, counts->max_label);
	expo_label(&counts->node, "boot_id", boot_id, boot_id_len, counts->max_label);
}

void counts_event(struct counts *counts, const struct pst_event *event)
{
	if (event->kind >= KINDS || !pst_kind_by_id(event->kind)) {
		counts->kind_unknown++;
		return;
	}
	counts->kinds[event->kind]++;
	switch (event->kind) {
	case PST_KIND_EXEC:
		return count_exec(counts, event);
	case PST_KIND_EXEC_FAILED:
		return count_exec_failed(counts, event);
	case PST_KIND_EXIT:
		return count_exit(counts, event);
	case PST_KIND_CONNECT:
		return count_connect(counts, event);
	case PST_KIND_CLOSE:
		return count_close(counts, event);
	case PST_KIND_RESET:
		return count_reset(counts, event);
	case PST_KIND_DROP:
		return count_drop(counts, event);
	case PST_KIND_UDP:
		return count_udp(counts, event);
	case PST_KIND_FLOW:
		return count_flow(counts, event);
	case PST_KIND_LOSS:
		return count_lost(counts, event);
	case PST_KIND_POLICY:
		return count_policy(counts, event);
	case PST_KIND_NODE:
		return take_node(counts, event);
	default:
		return;
	}
}

void counts_alert(struct counts *counts, const struct pst_event *event)
{
	struct pick policyd = pick_from(event, 2);
	struct series_label labels[2] = {{.name = "rule"}, {.name = "severity"}};
	struct pst_val severity = {0};
	char text[32];

	labels[0].bytes = pick_bytes(&policyd, PST_POL_rule, &labels[0].len);
	severity.u = pick_uint(&policyd, PST_POL_severity);
	labels[1].len =
		(uint32_t)pst_val_text(&severity, &pst_policyd_fields[PST_POL_severity], text, sizeof(text));
	labels[1].bytes = text;
	(*series_at(counts->alerts, labels, 2))++;
}

int64_t counts_wall_offset(const struct counts *counts)
{
	return counts->has_wall_offset ? counts->wall_offset_ns
				       : (int64_t)(pst_now_wall_ns() - pst_now_boot_ns());
}
