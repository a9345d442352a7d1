// SPDX-License-Identifier: Apache-2.0
#include "exporter/flows.h"

#include <errno.h>

#include "exporter/pick.h"
#include "proto/abi/records.h"
#include "proto/base/cache.h"
#include "proto/base/cleanup.h"
#include "proto/wire/json.h"

struct flow_key {
	uint8_t saddr[16], daddr[16];
	uint16_t sport, dport;
	uint8_t protocol, dir;
	uint16_t dropped; /* the same flow may be one that passes, too: by the guard's rules, or its limits */
	uint32_t ifindex, net_ns;
};

struct flow {
	uint64_t packets, bytes, first_ns, last_ns, flow_id;
	uint32_t tcp_flags, fw_generation;
	uint8_t family;
	/* NUL-padded, cut */
	char end[11], interface[16], service[16], verdict[8], reason[16], last_reason[16];
	char fw_rule[PST_FW_NAME_BYTES + 1], last_fw_rule[PST_FW_NAME_BYTES + 1];
};

struct flows {
	struct pst_cache *table;
};

int flows_new(uint32_t max_flows, struct flows **ret_flows)
{
	PST_FREE struct flows *flows = calloc(1, sizeof(*flows));
	int r;

	if (!flows)
		return -ENOMEM;
	r = pst_cache_new(sizeof(struct flow_key), sizeof(struct flow), max_flows, NULL, NULL, &flows->table);
	if (r < 0)
		return r;
	*ret_flows = PST_TAKE_PTR(flows);
	return 0;
}

void flows_free(struct flows *flows)
{
	if (!flows)
		return;
	pst_cache_free(flows->table);
	free(flows);
}

static void copy_text(char *to, size_t size, const void *bytes, uint32_t len)
{
	memset(to, 0, size);
	memcpy(to, bytes, PST_MIN(len, size - 1));
}

static void pick_text(struct pick *pick, uint32_t field, char *to, size_t size)
{
	uint32_t len;
	const void *text = pick_bytes(pick, field, &len);

	copy_text(to, size, text, len);
}

/* What the guard made of it. */
static void pick_judged(struct pick *sensor, struct flow *flow)
{
	pick_text(sensor, PST_FLOW_F_verdict, flow->verdict, sizeof(flow->verdict));
	pick_text(sensor, PST_FLOW_F_reason, flow->reason, sizeof(flow->reason));
	pick_text(sensor, PST_FLOW_F_fw_rule, flow->fw_rule, sizeof(flow->fw_rule));
	flow->fw_generation = (uint32_t)pick_uint(sensor, PST_FLOW_F_fw_generation);
	pick_text(sensor, PST_FLOW_F_last_reason, flow->last_reason, sizeof(flow->last_reason));
	pick_text(sensor, PST_FLOW_F_last_fw_rule, flow->last_fw_rule, sizeof(flow->last_fw_rule));
}

/* Fields are picked in the order of the schema. */
void flows_update(struct flows *flows, const struct pst_event *event, struct flow_delta *ret_delta)
{
	struct pick sensor = pick_from(event, 0), enricher = pick_from(event, 1);
	struct flow_key key = {0};
	struct flow new = {0}, *flow;
	struct flow_delta delta = {0};

	key.protocol = (uint8_t)pick_uint(&sensor, PST_FLOW_F_protocol);
	new.family = (uint8_t)pick_uint(&sensor, PST_FLOW_F_family);
	pick_addr(&sensor, PST_FLOW_F_saddr, key.saddr);
	key.sport = (uint16_t)pick_uint(&sensor, PST_FLOW_F_sport);
	pick_addr(&sensor, PST_FLOW_F_daddr, key.daddr);
	key.dport = (uint16_t)pick_uint(&sensor, PST_FLOW_F_dport);
	key.dir = (uint8_t)pick_uint(&sensor, PST_FLOW_F_dir);
	key.ifindex = (uint32_t)pick_uint(&sensor, PST_FLOW_F_ifindex);
	pick_text(&sensor, PST_FLOW_F_interface, new.interface, sizeof(new.interface));
	new.packets = pick_uint(&sensor, PST_FLOW_F_packets);
	new.bytes = pick_uint(&sensor, PST_FLOW_F_bytes);
	delta.packets = pick_uint(&sensor, PST_FLOW_F_delta_packets);
	delta.bytes = pick_uint(&sensor, PST_FLOW_F_delta_bytes);
	new.tcp_flags = (uint32_t)pick_uint(&sensor, PST_FLOW_F_tcp_flags);
	new.first_ns = pick_uint(&sensor, PST_FLOW_F_first_ns);
	new.last_ns = pick_uint(&sensor, PST_FLOW_F_last_ns);
	delta.end = pick_bytes(&sensor, PST_FLOW_F_end, &delta.end_len);
	copy_text(new.end, sizeof(new.end), delta.end, delta.end_len);
	new.flow_id = pick_uint(&sensor, PST_FLOW_F_flow_id);
	key.net_ns = (uint32_t)pick_uint(&sensor, PST_FLOW_F_net_ns);
	pick_judged(&sensor, &new);
	key.dropped = delta.dropped = new.verdict[0] && strcmp(new.verdict, "pass") != 0;
	pick_text(&enricher, PST_ENR_service, new.service, sizeof(new.service));
	delta.protocol = key.protocol;
	delta.dir = key.dir;
	*ret_delta = delta;
	flow = pst_cache_put(flows->table, &key, NULL);
	if (flow)
		*flow = new;
}

uint32_t flows_count(const struct flows *flows)
{
	return pst_cache_count(flows->table);
}

uint64_t flows_evicted(const struct flows *flows)
{
	return pst_cache_evictions(flows->table);
}

/* ---- listing ---- */

static struct pst_val text_val(const char *text, size_t size)
{
	return pst_val_str(text, strnlen(text, size));
}

/* The entry as the event that it came from, so that filter and JSON are the same as everywhere. Points into
 * @key and @flow. */
static void as_event(const struct flow_key *key, const struct flow *flow, struct pst_event *event)
{
	struct pst_val *s = event->sensor;

	s[PST_FLOW_F_protocol].u = key->protocol;
	s[PST_FLOW_F_family].u = flow->family;
	s[PST_FLOW_F_saddr] = pst_val_addr(key->saddr);
	s[PST_FLOW_F_sport].u = key->sport;
	s[PST_FLOW_F_daddr] = pst_val_addr(key->daddr);
	s[PST_FLOW_F_dport].u = key->dport;
	s[PST_FLOW_F_dir].u = key->dir;
	s[PST_FLOW_F_ifindex].u = key->ifindex;
	s[PST_FLOW_F_interface] = text_val(flow->interface, sizeof(flow->interface));
	s[PST_FLOW_F_packets].u = flow->packets;
	s[PST_FLOW_F_bytes].u = flow->bytes;
	s[PST_FLOW_F_tcp_flags].u = flow->tcp_flags;
	s[PST_FLOW_F_first_ns].u = flow->first_ns;
	s[PST_FLOW_F_last_ns].u = flow->last_ns;
	s[PST_FLOW_F_end] = text_val(flow->end, sizeof(flow->end));
	s[PST_FLOW_F_flow_id].u = flow->flow_id;
	s[PST_FLOW_F_net_ns].u = key->net_ns;
	s[PST_FLOW_F_verdict] = text_val(flow->verdict, sizeof(flow->verdict));
	s[PST_FLOW_F_reason] = text_val(flow->reason, sizeof(flow->reason));
	s[PST_FLOW_F_fw_rule] = text_val(flow->fw_rule, sizeof(flow->fw_rule));
	s[PST_FLOW_F_fw_generation].u = flow->fw_generation;
	s[PST_FLOW_F_last_reason] = text_val(flow->last_reason, sizeof(flow->last_reason));
	s[PST_FLOW_F_last_fw_rule] = text_val(flow->last_fw_rule, sizeof(flow->last_fw_rule));
	event->enricher[PST_ENR_service] = text_val(flow->service, sizeof(flow->service));
	event->kind = PST_KIND_FLOW;
	event->desc = pst_kind_by_id(PST_KIND_FLOW);
	event->ts_ns = flow->last_ns;
	event->n_stages = 2;
}

struct row {
	uint64_t rank;
	const struct flow_key *key;
	const struct flow *flow;
};

static uint64_t rank_of(const struct flow *flow, enum flows_order order)
{
	return order == FLOWS_BY_BYTES     ? flow->bytes
	       : order == FLOWS_BY_PACKETS ? flow->packets
					   : flow->last_ns;
}

static int by_rank(const void *a, const void *b)
{
	uint64_t x = ((const struct row *)a)->rank, y = ((const struct row *)b)->rank;

	return x < y ? 1 : x > y ? -1 : 0;
}

static uint32_t collect(
	const struct flows *flows, const struct flows_query *query, struct pst_event *event, struct row *rows)
{
	uint32_t cursor = UINT32_MAX, n = 0;
	const void *key;
	void *value;

	while (pst_cache_next(flows->table, &cursor, &key, &value)) {
		const struct flow *flow = value;

		if (query->active && flow->end[0])
			continue;
		if (query->filter) {
			as_event(key, flow, event);
			if (!pst_filter_match(query->filter, event, query->wall_offset_ns))
				continue;
		}
		rows[n++] = (struct row){.rank = rank_of(flow, query->order), .key = key, .flow = flow};
	}
	return n;
}

void flows_json(const struct flows *flows, const struct flows_query *query, struct pst_buf *out)
{
	uint32_t total = flows_count(flows), n;
	PST_FREE struct row *rows = calloc(total + 1, sizeof(*rows));
	PST_FREE struct pst_event *event = calloc(1, sizeof(*event));

	if (!rows || !event) {
		out->failed = true;
		return;
	}
	n = collect(flows, query, event, rows);
	qsort(rows, n, sizeof(*rows), by_rank);
	pst_json_raw(out, "{\"flows\":[");
	for (uint32_t i = 0; i < n && i < query->limit; i++) {
		if (i)
			pst_json_raw(out, ",");
		as_event(rows[i].key, rows[i].flow, event);
		pst_json_event(out, event, query->wall_offset_ns);
	}
	pst_json_raw(out, "],\"matched\":");
	pst_json_uint(out, n);
	pst_json_raw(out, ",\"total\":");
	pst_json_uint(out, total);
	pst_json_raw(out, "}\n");
}
