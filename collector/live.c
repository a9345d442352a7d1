// SPDX-License-Identifier: Apache-2.0
/* The running kernel as source: rings drained as NAPI does, tables read at their intervals, counters of loss
 * watched. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "collector/live_internal.h"
#include "proto/abi/guard.h"
#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/stat.h"

#define DRAIN_MAX    8192 /* records of one ring in one turn */
#define BUSY_RECORDS 1024 /* more than that in one turn: do not wait for the tick */
#define SEC          1000000000ull

static const struct {
	const char *map, *name;
	enum pst_topic topic;
} classes[PST_CLASS_MAX] = {
	[PST_CLASS_PROCESS] = {PST_MAP_RING_PROCESS, "process", PST_TOPIC_PROC},
	[PST_CLASS_NET] = {PST_MAP_RING_NET, "net", PST_TOPIC_NET},
	[PST_CLASS_FLOW] = {PST_MAP_RING_FLOW, "flow", PST_TOPIC_FLOW},
};

static bool on_record(void *arg, const void *bytes, size_t len)
{
	struct live_ring *r = arg;

	r->drained->value++;
	sink_record(r->live->sink, bytes, len);
	/* Committed together with the event that this record has become; so only after it. */
	pst_bus_set_aux(r->live->sink->bus, r->topic, 0, pst_ring_position(r->ring));
	return true;
}

static void on_commit(void *arg, enum pst_topic topic)
{
	struct live *live = arg;

	for (unsigned i = 0; i < PST_CLASS_MAX; i++)
		if (live->rings[i].ring && live->rings[i].topic == topic)
			pst_ring_release(live->rings[i].ring, pst_bus_get_aux(live->sink->bus, topic, 0));
}

/*
 * One pass over the rings. The heads of the others are taken before the process ring is drained, and they are
 * drained only that far: so an event of a process is published after the exec that made it.
 */
static unsigned drain(struct live *live)
{
	uint64_t head[PST_CLASS_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < PST_CLASS_MAX; i++)
		head[i] = live->rings[i].ring ? pst_ring_head(live->rings[i].ring) : 0;
	for (unsigned i = 0; i < PST_CLASS_MAX; i++)
		if (live->rings[i].ring)
			n += pst_ring_drain(live->rings[i].ring,
				i == PST_CLASS_PROCESS ? UINT64_MAX : head[i], DRAIN_MAX, on_record,
				&live->rings[i]);
	if (n)
		pst_bus_flush(live->sink->bus);
	for (unsigned i = 0; i < PST_CLASS_MAX; i++)
		if (live->rings[i].ring)
			pst_ring_release(live->rings[i].ring, pst_ring_position(live->rings[i].ring));
	return n;
}

static void watch(struct live *live, bool on)
{
	for (unsigned i = 0; i < PST_CLASS_MAX; i++)
		if (live->rings[i].source)
			pst_source_set_events(live->rings[i].source, on ? EPOLLIN : 0);
}

/* Sleep until a record wakes us; false if one came meanwhile. */
static bool try_sleep(struct live *live)
{
	bool asleep = true;

	for (unsigned i = 0; i < PST_CLASS_MAX; i++)
		if (live->rings[i].ring)
			asleep &= pst_ring_sleep(live->rings[i].ring);
	if (asleep)
		watch(live, true);
	return asleep;
}

static void on_tick(void *arg)
{
	struct live *live = arg;
	unsigned n = drain(live);

	if (n) {
		live->idle_ns = 0;
		pst_timer_arm(live->tick, n >= BUSY_RECORDS ? 0 : live->config->tick_ns, 0);
		return;
	}
	/* Ticks get longer while nothing comes, until it is cheaper to be woken. */
	live->idle_ns = live->idle_ns ? 2 * live->idle_ns : live->config->tick_ns;
	if (live->idle_ns >= live->config->linger_ns && try_sleep(live))
		return;
	pst_timer_arm(live->tick, PST_MIN(live->idle_ns, live->config->linger_ns), 0);
}

static void on_ring(void *arg, int fd, uint32_t events)
{
	struct live_ring *r = arg;
	struct live *live = r->live;

	(void)fd;
	(void)events;
	watch(live, false);
	for (unsigned i = 0; i < PST_CLASS_MAX; i++)
		if (live->rings[i].ring)
			pst_ring_wake(live->rings[i].ring);
	live->idle_ns = 0;
	live->wakeups->value++;
	on_tick(live);
}

static void on_udp(void *arg)
{
	struct live *live = arg;

	live->sink->tables.now_ns = pst_now_boot_ns();
	if (tables_read_udp(&live->sink->tables))
		pst_bus_flush(live->sink->bus);
}

/* What gave way in the guard's table before it was told. */
static void tell_untold(struct live *live)
{
	struct tables *t = &live->sink->tables;

	if (!t->untold_drops)
		return;
	live->untold->value += t->untold_drops;
	sink_loss(live->sink, PST_MAP_GUARD_FLOWS, "overwritten", t->untold_drops);
	t->untold_drops = 0;
}

static void on_flows(void *arg)
{
	struct live *live = arg;
	struct tables *t = &live->sink->tables;
	unsigned n;

	t->now_ns = pst_now_boot_ns();
	n = tables_read_flows(t) + tables_read_drops(t);
	tell_untold(live);
	if (n)
		pst_bus_flush(live->sink->bus);
}

/*
 * What comes from the environment may be anything, and touching a mapping behind the end of a mere file is
 * fatal.
 * @value 0: a ring.
 */
static int check_map(const struct pst_fd *fd, size_t value, uint64_t entries)
{
	struct pst_fd_map map = {0};
	int e = pst_fds_map(fd->fd, &map);

	if (e == -ENOENT || e == -EACCES)
		return 0; /* no /proc here, or root's alone, as before 5.14 (7bc3fa0172a4) */
	bool fits = value ? map.type == BPF_MAP_TYPE_ARRAY && map.max_entries >= entries
			  : map.type == BPF_MAP_TYPE_RINGBUF && map.max_entries == entries;
	if (!e && fits && map.value_size == value)
		return 0;
	pst_error(
		"the descriptor is not of this map map=%s type=%u value_size=%u max_entries=%llu wanted=%llu",
		fd->name, map.type, map.value_size, (unsigned long long)map.max_entries,
		(unsigned long long)entries);
	return -EBADF;
}

static int open_ring(struct live *live, unsigned class, uint64_t *ret_identity)
{
	struct live_ring *r = &live->rings[class];
	const struct pst_fd *fd = pst_fds_find(&live->fds, classes[class].map);
	struct pst_ring_ctl *line = live->ctl.base ? (struct pst_ring_ctl *)live->ctl.base + class : NULL;
	uint64_t identity;
	int e;

	if (!fd)
		return 0; /* no sensor of this class is loaded; the loader's report says why */
	r->live = live;
	r->topic = classes[class].topic;
	r->drained = pst_stat(PST_STAT_COUNTER, "drained_records", "class", classes[class].name,
		"records taken from the ring");
	e = check_map(fd, 0, fd->size);
	if (e)
		return e;
	e = pst_ring_open(fd->fd, fd->size, line, &r->ring);
	if (e) {
		pst_error("can't map the ring ring=%s error=%s", classes[class].map, strerror(-e));
		return e;
	}
	if (!line)
		return 0;
	/* Names this ring, so that a position of an earlier one is not taken for one of this. */
	if (!line->pad[0] && getrandom(line->pad, 8, 0) != 8)
		return -errno;
	memcpy(&identity, line->pad, sizeof(identity));
	*ret_identity = identity;
	identity ^= fd->size;
	if (pst_bus_get_aux(live->sink->bus, r->topic, 1) == identity) {
		pst_ring_seek(r->ring, pst_bus_get_aux(live->sink->bus, r->topic, 0));
		live->seen[class].lost = pst_bus_get_aux(live->sink->bus, PST_TOPIC_META, class);
	}
	pst_bus_set_aux(live->sink->bus, PST_TOPIC_META, class, live->seen[class].lost);
	pst_bus_set_aux(live->sink->bus, r->topic, 0, pst_ring_position(r->ring));
	pst_bus_set_aux(live->sink->bus, r->topic, 1, identity);
	return 0;
}

static int open_table(struct live *live, const char *map, size_t slot, const char *state, uint64_t identity,
	enum pst_topic topic, struct table *t)
{
	const struct pst_fd *fd = pst_fds_find(&live->fds, map);
	PST_FREE char *path = pst_run_path(&live->config->common, state);
	int e;

	if (!fd)
		return 0;
	if (!path)
		return -ENOMEM;
	e = check_map(fd, slot, fd->size);
	if (e)
		return e;
	e = pst_shm_map(fd->fd, slot, fd->size, false, &t->shm);
	if (e) {
		pst_error("can't map the table map=%s error=%s", map, strerror(-e));
		return e;
	}
	return table_open(t, path, identity, fd->size, pst_bus_epoch(live->sink->bus),
		pst_bus_next_seq(live->sink->bus, topic));
}

/* Not there: no policies, or a loader that does not know them. */
static int open_policy_names(struct live *live)
{
	const struct pst_fd *fd = pst_fds_find(&live->fds, PST_MAP_POLICY_NAMES);
	int e = fd ? check_map(fd, sizeof(struct pst_pol_labels), 2) : 0;

	return e || !fd ? e
			: pst_shm_map(fd->fd, sizeof(struct pst_pol_labels), 2, false,
				  &live->sink->names.policies);
}

static int open_maps(struct live *live)
{
	const struct pst_fd *ctl = pst_fds_find(&live->fds, PST_MAP_RING_CTL);
	const struct pst_fd *stats = pst_fds_find(&live->fds, PST_MAP_CLASS_STATS);
	uint64_t identity = 0;
	int e = 0;

	if (ctl)
		e = check_map(ctl, sizeof(struct pst_ring_ctl), PST_CLASS_MAX);
	if (!e && stats)
		e = check_map(stats, sizeof(struct pst_class_stat), (uint64_t)PST_CLASS_MAX * PST_CPUS_MAX);
	if (!e && ctl)
		e = pst_shm_map(ctl->fd, sizeof(struct pst_ring_ctl), PST_CLASS_MAX, true, &live->ctl);
	if (!e && stats)
		e = pst_shm_map(stats->fd, sizeof(struct pst_class_stat),
			(size_t)PST_CLASS_MAX * PST_CPUS_MAX, false, &live->stats);
	for (unsigned i = 0; !e && i < PST_CLASS_MAX; i++)
		e = open_ring(live, i, &identity);
	e = e ? e : open_policy_names(live);
	e = e ? e
	      : open_table(live, PST_MAP_FLOWS, sizeof(struct pst_flow), "collector.flows", identity,
			PST_TOPIC_FLOW, &live->sink->tables.flows);
	e = e ? e
	      : open_table(live, PST_MAP_GUARD_FLOWS, sizeof(struct pst_flow), "collector.drops", identity,
			PST_TOPIC_FLOW, &live->sink->tables.drops);
	return e ? e
		 : open_table(live, PST_MAP_UDP_PEERS, sizeof(struct pst_udp), "collector.udp", identity,
			   PST_TOPIC_NET, &live->sink->tables.udp);
}

static bool has_ring(const struct live *live)
{
	for (unsigned i = 0; i < PST_CLASS_MAX; i++)
		if (live->rings[i].ring)
			return true;
	return false;
}

int live_open(struct pst_loop *loop, const struct config *config, struct sink *sink, struct live **ret_live)
{
	struct live *live = calloc(1, sizeof(*live));
	PST_FREE char *path = pst_run_path(&config->common, "loader.fds");
	int e;

	if (!live || !path) {
		free(live);
		return -ENOMEM;
	}
	live->loop = loop;
	live->config = config;
	live->sink = sink;
	live->wakeups = pst_counter("ring_wakeups", "times that a ring woke the collector");
	e = pst_fds_fetch(path, (int)(config->loader_timeout_ns / 1000000), &live->fds);
	e = e ? e : open_maps(live);
	if (!e && !has_ring(live)) {
		pst_error("the loader handed over no ring; see penstock-loader probe");
		e = -ENOENT;
	}
	if (e) {
		live_free(live);
		return e;
	}
	live->untold = pst_counter("untold_drop_packets",
		"dropped packets of flows that gave way in the guard's table before they were told");
	sink->report_path = pst_run_path(&config->common, "loader.json");
	sink->names.rules_path = pst_run_path(&config->common, "policyd.places");
	*ret_live = live;
	return 0;
}

static int timer(struct live *live, pst_timer_fn fn, uint64_t interval_ns, struct pst_source **ret)
{
	int e = pst_loop_timer(live->loop, fn, live, ret);

	if (!e && interval_ns)
		pst_timer_arm(*ret, interval_ns, interval_ns);
	return e;
}

int live_start(struct live *live)
{
	int e = timer(live, on_tick, 0, &live->tick);

	for (unsigned i = 0; !e && i < PST_CLASS_MAX; i++) {
		const struct pst_fd *fd = pst_fds_find(&live->fds, classes[i].map);

		if (live->rings[i].ring)
			e = pst_loop_fd(
				live->loop, fd->fd, 0, on_ring, &live->rings[i], &live->rings[i].source);
	}
	if (!e && live->sink->tables.udp.told)
		e = timer(live, on_udp, live->config->udp_interval_ns, &live->udp_timer);
	if (!e && (live->sink->tables.flows.told || live->sink->tables.drops.told))
		e = timer(live, on_flows, live->config->flow_interval_ns, &live->flow_timer);
	e = e ? e : timer(live, live_on_second, SEC, &live->second);
	if (e)
		return e;
	pst_bus_on_commit(live->sink->bus, on_commit, live);
	live_on_second(live);
	pst_timer_arm(live->tick, 0, 0);
	return 0;
}

void live_free(struct live *live)
{
	if (!live)
		return;
	pst_source_free(live->tick);
	pst_source_free(live->udp_timer);
	pst_source_free(live->flow_timer);
	pst_source_free(live->second);
	for (unsigned i = 0; i < PST_CLASS_MAX; i++) {
		pst_source_free(live->rings[i].source);
		/* Nobody drains any more: the next reader is woken by the first record. */
		if (live->rings[i].ring)
			pst_ring_sleep(live->rings[i].ring);
		pst_ring_free(live->rings[i].ring);
	}
	table_close(&live->sink->tables.flows);
	table_close(&live->sink->tables.udp);
	table_close(&live->sink->tables.drops);
	pst_shm_unmap(&live->sink->names.policies);
	pst_shm_unmap(&live->ctl);
	pst_shm_unmap(&live->stats);
	pst_fds_done(&live->fds);
	free(live);
}
