// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "collector/source.h"
#include "proto/base/log.h"
#include "proto/base/stat.h"

static void count_malformed(const struct pst_rec *rec, size_t len)
{
	pst_counter("malformed_records",
		"records of a wrong size, of unknown kind, or with a tail that does not fit")
		->value++;
	pst_warn_limited("malformed record kind=%u size=%zu", len >= sizeof(*rec) ? rec->kind : 0, len);
}

static bool is_slot(uint16_t kind)
{
	return kind == PST_REC_FLOW_EVICTED || kind == PST_REC_FLOW_READ || kind == PST_REC_FLOW_DROPPED ||
	       kind == PST_REC_UDP_EVICTED || kind == PST_REC_UDP_READ;
}

static void record(struct sink *sink, const struct pst_rec *rec)
{
	union convert_room room;

	if (rec->kind == PST_REC_POLICY)
		rec = convert_policy_named(&sink->names, (const void *)rec, &room);
	recorder_write(sink->recorder, rec);
}

void sink_record(struct sink *sink, const struct pst_rec *rec, size_t len)
{
	int topic;

	if (!convert_check(rec, len)) {
		count_malformed(rec, len);
		return;
	}
	if (sink->recorder)
		record(sink, rec);
	if (is_slot(rec->kind)) {
		if (tables_record(&sink->tables, rec) < 0)
			count_malformed(rec, len);
		return;
	}
	topic = convert_topic(rec->kind);
	/* What fails after the check has no memory: nothing is in the buffer, and the bus counts it as
	 * dropped. */
	convert_record(&sink->convert, rec, len, pst_bus_put(sink->bus, topic));
	pst_bus_end(sink->bus, topic, rec->ts_ns);
}

static struct pst_val text(const char *s)
{
	return pst_val_str(s, strlen(s));
}

void sink_node(struct sink *sink, const struct config *config, const char *boot_id, const char *kernel)
{
	struct pst_val v[PST_NODE_F_N] = {0};
	uint64_t now = pst_now_boot_ns();

	v[PST_NODE_F_hostname] = text(config->common.node);
	v[PST_NODE_F_boot_id] = text(boot_id);
	v[PST_NODE_F_kernel] = text(kernel);
	v[PST_NODE_F_wall_offset_ns].i = sink->wall_offset_ns;
	v[PST_NODE_F_version] = text(PST_VERSION);
	pst_event_pack(pst_bus_put(sink->bus, PST_TOPIC_META), PST_KIND_NODE, now, v);
	pst_bus_end(sink->bus, PST_TOPIC_META, now);
}

void sink_loss(struct sink *sink, const char *where, const char *cause, uint64_t count)
{
	struct pst_val v[PST_LOSS_F_N] = {0};
	uint64_t now = pst_now_boot_ns();

	v[PST_LOSS_F_stage] = text("collector");
	v[PST_LOSS_F_where] = text(where);
	v[PST_LOSS_F_cause] = text(cause);
	v[PST_LOSS_F_count].u = count;
	pst_event_pack(pst_bus_put(sink->bus, PST_TOPIC_META), PST_KIND_LOSS, now, v);
	pst_bus_end(sink->bus, PST_TOPIC_META, now);
}
