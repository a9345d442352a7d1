// SPDX-License-Identifier: Apache-2.0
/* What the kernel side emitted and lost, from the mapped counters; once a second. */
#include "collector/live_internal.h"
#include "proto/abi/maps.h"
#include "proto/base/log.h"
#include "proto/base/stat.h"

static const char *const names[PST_CLASS_MAX] = {"process", "net", "flow"};

static const struct counter {
	size_t offset;
	const char *name, *help;
	const char *cause; /* loss: events_lost is published for it */
} counters[] = {
	{offsetof(struct pst_class_stat, emitted), "kernel_emitted_records",
		"records that the kernel programs put into the ring", NULL},
	{offsetof(struct pst_class_stat, emitted_bytes), "kernel_emitted_bytes", "their size", NULL},
	{offsetof(struct pst_class_stat, lost), "kernel_lost_records",
		"records lost because the ring was full", "ring_full"},
	{offsetof(struct pst_class_stat, lost_bytes), "kernel_lost_bytes", "their size", NULL},
	{offsetof(struct pst_class_stat, unread), "kernel_unread",
		"fields that a kernel program could not read", NULL},
	{offsetof(struct pst_class_stat, table_full), "kernel_table_full_packets",
		"packets of flows or peers that found no free slot", "table_full"},
	{offsetof(struct pst_class_stat, table_full_bytes), "kernel_table_full_bytes", "their size", NULL},
	{offsetof(struct pst_class_stat, suppressed), "kernel_suppressed_records",
		"records held back by a rate limit in the kernel", "suppressed"},
};

static uint64_t at(const struct pst_class_stat *s, size_t offset)
{
	return *(const uint64_t *)((const char *)s + offset);
}

static void sum(const struct live *live, unsigned class, struct pst_class_stat *ret)
{
	*ret = (struct pst_class_stat){0};
	for (unsigned cpu = 0; cpu < PST_CPUS_MAX; cpu++) {
		const struct pst_class_stat *s =
			pst_shm_at(&live->stats, (size_t) class * PST_CPUS_MAX + cpu);

		for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
			*(uint64_t *)((char *)ret + counters[i].offset) += at(s, counters[i].offset);
	}
}

/*
 * Loss since the last look, told as an event. How much of what the rings lost has been told is committed with
 * that event, so that a collector also tells, once, what was lost while there was none; the other causes
 * begin with the first look.
 */
static void tell_loss(struct live *live, unsigned class, const struct counter *c, uint64_t v, uint64_t before)
{
	bool ring = c->offset == offsetof(struct pst_class_stat, lost);

	if (!live->seen_once && !ring)
		return;
	before = before > v ? 0 : before; /* the loader made the counters anew */
	if (v > before)
		sink_loss(live->sink, names[class], c->cause, v - before);
	if (ring && v != before)
		pst_bus_set_aux(live->sink->bus, PST_TOPIC_META, class, v);
}

static void look_at_class(struct live *live, unsigned class)
{
	struct pst_class_stat now;

	sum(live, class, &now);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		const struct counter *c = &counters[i];
		uint64_t v = at(&now, c->offset), before = at(&live->seen[class], c->offset);

		pst_stat(PST_STAT_COUNTER, c->name, "class", names[class], c->help)->value = v;
		if (c->cause)
			tell_loss(live, class, c, v, before);
	}
	live->seen[class] = now;
}

/* Descriptors are fetched at the start. */
static void look_for_guard(struct live *live)
{
	if (!live->sink->names.guarded || live->sink->tables.drops.shm.base || live->told_guard)
		return;
	live->told_guard = true;
	pst_warn("the guard is newer than this process: flows that it drops (policyd.flows) are not told "
		 "until the "
		 "collector is started again");
}

void live_on_second(void *arg)
{
	struct live *live = arg;

	if (live->sink->report_path)
		names_update(&live->sink->names, live->sink->report_path);
	look_for_guard(live);
	names_update_rules(&live->sink->names, pst_now_boot_ns());
	if (live->sink->recorder)
		recorder_flush(live->sink->recorder);
	if (live->seconds++ % 10 == 0) {
		struct record_head host;

		host_facts(&host);
		live->sink->wall_offset_ns = host.wall_offset_ns;
		sink_node(live->sink, live->config, host.boot_id, host.kernel);
	}
	if (!live->stats.base)
		return;
	for (unsigned i = 0; i < PST_CLASS_MAX; i++) {
		look_at_class(live, i);
		if (live->rings[i].ring)
			pst_stat(PST_STAT_GAUGE, "ring_backlog_bytes", "class", names[i],
				"bytes in the ring not yet taken")
				->value = pst_ring_backlog(live->rings[i].ring);
	}
	live->seen_once = true;
}
