// SPDX-License-Identifier: Apache-2.0
#include "collector/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "proto/abi/guard.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/own.h"
#include "proto/base/stat.h"

#define TOLD_MAGIC 0x31444c4f54545350ull
#define TCP_FIN    0x01
#define TCP_RST    0x04

static void take_back(struct told_slot *slot, uint64_t next_seq)
{
	if (slot->seq < next_seq)
		return;
	slot->now = slot->before;
	slot->seq = 0;
}

/* Only where the file has data: looking at the rest would make it resident. */
static void take_back_all(struct told_file *f, int fd, uint64_t next_seq)
{
	off_t data = 0, hole;

	while ((data = lseek(fd, data, SEEK_DATA)) >= 0 && (hole = lseek(fd, data, SEEK_HOLE)) > data) {
		uint64_t from =
			data > (off_t)sizeof(*f) ? ((uint64_t)data - sizeof(*f)) / sizeof(*f->slot) : 0;

		for (uint64_t i = from; i < f->entries && sizeof(*f) + i * sizeof(*f->slot) < (uint64_t)hole;
			i++)
			take_back(&f->slot[i], next_seq);
		data = hole;
	}
}

/* The state's file with room for all of it (a full file system is an error here and not a signal later),
 * empty unless it is of this table. */
static int open_state(const char *path, uint64_t identity, size_t entries, size_t len, int *ret_fd)
{
	PST_CLOSE int fd = pst_own_open(path, 0600);
	struct told_file head = {0};
	int e;

	if (fd < 0)
		return fd;
	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) || head.magic != TOLD_MAGIC ||
		head.identity != identity || head.entries != entries)
		if (ftruncate(fd, 0) < 0)
			return -errno;
	e = posix_fallocate(fd, 0, (off_t)len);
	if (e)
		return -e;
	*ret_fd = PST_TAKE_FD(fd);
	return 0;
}

int table_open(struct table *t, const char *path, uint64_t identity, size_t entries, uint64_t epoch,
	uint64_t next_seq)
{
	size_t len = sizeof(struct told_file) + entries * sizeof(struct told_slot);
	PST_CLOSE int fd = -1;
	struct told_file *f;
	int e = path ? open_state(path, identity, entries, len, &fd) : 0;

	if (e) {
		pst_error("can't make the table state path=%s error=%s", path, strerror(-e));
		return e;
	}
	f = mmap(NULL, len, PROT_READ | PROT_WRITE, path ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	if (f == MAP_FAILED)
		return -errno;
	if (f->magic == TOLD_MAGIC && f->epoch == epoch)
		take_back_all(f, fd, next_seq);
	f->identity = identity;
	f->entries = entries;
	f->epoch = epoch;
	f->magic = TOLD_MAGIC;
	t->told = f;
	t->told_len = len;
	return 0;
}

void table_close(struct table *t)
{
	if (t->told)
		munmap(t->told, t->told_len);
	t->told = NULL;
	pst_shm_unmap(&t->shm);
}

static uint64_t since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

static uint64_t delta(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : 0;
}

/*
 * A slot read under @gen: is its line in the table of what was told about that generation? When the slot has
 * changed hands, the record of the eviction with the old owner's last totals is in the ring or about to be;
 * it needs what was told of the old one. So the new owner waits for it, but not for ever: the record may have
 * been lost (and counted).
 */
#define EVICTION_PASSES 3
static bool slot_taken(struct told *told, uint64_t gen)
{
	if (told->gen == gen)
		return true;
	if (told->gen && told->gen < gen && told->waiting++ < EVICTION_PASSES)
		return false;
	*told = (struct told){.gen = gen};
	return true;
}

/* The same for an eviction record: false if its generation was given up already. */
static bool slot_evicted(struct told *told, uint64_t gen)
{
	if (told->gen > gen) {
		pst_counter(
			"late_evictions", "eviction records that came after their slot's next owner was told")
			->value++;
		return false;
	}
	if (told->gen != gen)
		*told = (struct told){.gen = gen};
	return true;
}

/* Why a flow has ended at @now, or "" if it goes on. */
static const char *flow_end(const struct tables *t, const struct pst_flow *s)
{
	uint64_t idle = since(t->now_ns, s->last_ns);

	if (idle >= t->config->flow_idle_ns)
		return "idle";
	if (s->tcp_flags & (TCP_FIN | TCP_RST) && idle >= 2 * t->config->flow_interval_ns)
		return "fin";
	return "";
}

/* Keep the image before the event that is about to be put. */
static struct told *tell(const struct tables *t, struct told_slot *line, enum pst_topic topic)
{
	line->before = line->now;
	line->seq = pst_bus_next_seq(t->bus, topic);
	return &line->now;
}

static void put_flow(struct tables *t, uint64_t index, const struct pst_flow *s, struct told_slot *line,
	const char *end, bool dropped)
{
	struct told *told = tell(t, line, PST_TOPIC_FLOW);
	struct convert_flow f = {
		.slot = s, .index = index, .dropped = dropped, .ts_ns = t->now_ns, .end = end};
	struct pst_buf *out = pst_bus_put(t->bus, PST_TOPIC_FLOW);

	f.delta_packets = delta(s->packets, told->a_packets);
	f.delta_bytes = delta(s->bytes, told->a_bytes);
	convert_flow(t->convert, &f, out);
	told->a_packets = s->packets;
	told->a_bytes = s->bytes;
	told->at_ns = t->now_ns;
	told->ended = *end != 0;
	pst_bus_end(t->bus, PST_TOPIC_FLOW, t->now_ns);
}

static void record(struct tables *t, uint16_t kind, size_t size, struct pst_rec *h)
{
	*h = (struct pst_rec){.kind = kind, .size = (uint32_t)size, .ts_ns = t->now_ns};
	if (t->on_read)
		t->on_read(t->arg, h);
}

/* True if an event came of it. */
static bool look_at_flow(struct tables *t, uint64_t index, const struct pst_flow *s)
{
	struct told_slot *line = &t->flows.told->slot[index];
	struct told *told = &line->now;
	struct pst_rec_flow rec;
	const char *end;
	bool changed;

	if (!slot_taken(told, s->gen))
		return false;
	changed = told->a_packets != s->packets || !told->at_ns;
	if (!changed && told->ended)
		return false;
	end = flow_end(t, s);
	if (!*end && (!changed || (told->at_ns && since(t->now_ns, told->at_ns) < t->config->flow_active_ns)))
		return false;
	put_flow(t, index, s, line, end, false);
	rec.index = index;
	rec.slot = *s;
	record(t, PST_REC_FLOW_READ, sizeof(rec), &rec.h);
	return true;
}

/* A look at the live slot, without a copy: most of a large table has nothing to tell. What it gets wrong the
 * next pass gets right. */
static bool flow_unchanged(const struct tables *t, uint64_t index, const volatile struct pst_flow *live)
{
	const struct told *told;

	if (!live->gen)
		return true;
	told = &t->flows.told->slot[index].now;
	return told->gen == live->gen && told->a_packets == live->packets &&
	       (told->ended || since(t->now_ns, live->last_ns) < t->config->flow_interval_ns);
}

unsigned tables_read_flows(struct tables *t)
{
	unsigned n = 0;
	struct pst_flow s;

	for (size_t i = 0; t->flows.shm.base && i < t->flows.shm.entries; i++) {
		if (flow_unchanged(t, i, pst_shm_at(&t->flows.shm, i)))
			continue;
		if (pst_slot_read(&t->flows.shm, i, &s))
			n += look_at_flow(t, i, &s);
	}
	return n;
}

/* ---- what the guard drops ---- */

/*
 * The slot's line, for the flow that has it now. What flows before it dropped and nobody told is counted: the
 * slot keeps the sum of all before (`gone_packets`), the line what of it was gone when its flow began
 * (b_packets) and what was told of that flow.
 */
static struct told *drop_line(struct tables *t, struct told_slot *line, const struct pst_flow *s)
{
	struct told *told = &line->now;

	if (told->gen == s->gen)
		return told;
	t->untold_drops += delta(s->gone_packets, told->b_packets + told->a_packets);
	*told = (struct told){.gen = s->gen, .b_packets = s->gone_packets};
	return told;
}

static const char *drop_end(const struct tables *t, const struct pst_flow *s)
{
	return since(t->now_ns, s->last_ns) >= PST_GUARD_FLOW_IDLE_NS ? "idle" : "";
}

/* A slot may be another flow's soon, so what is new is told at each look. */
static bool look_at_drop(struct tables *t, uint64_t index, const struct pst_flow *s)
{
	struct told_slot *line = &t->drops.told->slot[index];
	struct told *told = drop_line(t, line, s);
	const char *end = drop_end(t, s);
	struct pst_rec_flow rec;

	if (told->at_ns && told->a_packets == s->packets && (told->ended || !*end))
		return false;
	put_flow(t, index, s, line, end, true);
	rec.index = index;
	rec.slot = *s;
	record(t, PST_REC_FLOW_DROPPED, sizeof(rec), &rec.h);
	return true;
}

static bool drop_unchanged(const struct tables *t, uint64_t index, const volatile struct pst_flow *live)
{
	const struct told *told = &t->drops.told->slot[index].now;

	return !live->gen || (told->gen == live->gen && told->ended && told->a_packets == live->packets);
}

unsigned tables_read_drops(struct tables *t)
{
	unsigned n = 0;
	struct pst_flow s;

	for (size_t i = 0; t->drops.shm.base && i < t->drops.shm.entries; i++) {
		if (drop_unchanged(t, i, pst_shm_at(&t->drops.shm, i)))
			continue;
		if (pst_slot_read(&t->drops.shm, i, &s))
			n += look_at_drop(t, i, &s);
	}
	return n;
}

static bool put_udp(struct tables *t, const struct pst_udp *s, struct told_slot *line)
{
	struct told *told = &line->now;
	struct convert_udp u = {.slot = s, .ts_ns = t->now_ns, .interval_ns = t->config->udp_interval_ns};

	if (told->a_packets == s->tx_packets && told->b_packets == s->rx_packets)
		return false;
	u.tx_packets = delta(s->tx_packets, told->a_packets);
	u.tx_bytes = delta(s->tx_bytes, told->a_bytes);
	u.rx_packets = delta(s->rx_packets, told->b_packets);
	u.rx_bytes = delta(s->rx_bytes, told->b_bytes);
	if (told->at_ns)
		u.interval_ns = since(t->now_ns, told->at_ns);
	tell(t, line, PST_TOPIC_NET);
	convert_udp(t->convert, &u, pst_bus_put(t->bus, PST_TOPIC_NET));
	*told = (struct told){.gen = s->gen,
		.a_packets = s->tx_packets,
		.a_bytes = s->tx_bytes,
		.b_packets = s->rx_packets,
		.b_bytes = s->rx_bytes,
		.at_ns = t->now_ns};
	pst_bus_end(t->bus, PST_TOPIC_NET, t->now_ns);
	return true;
}

static bool look_at_udp(struct tables *t, uint64_t index, const struct pst_udp *s)
{
	struct told_slot *line = &t->udp.told->slot[index];
	struct pst_rec_udp rec;

	if (!slot_taken(&line->now, s->gen) || !put_udp(t, s, line))
		return false;
	rec.index = index;
	rec.slot = *s;
	record(t, PST_REC_UDP_READ, sizeof(rec), &rec.h);
	return true;
}

unsigned tables_read_udp(struct tables *t)
{
	unsigned n = 0;
	struct pst_udp s;

	for (size_t i = 0; t->udp.shm.base && i < t->udp.shm.entries; i++) {
		if (!*(const volatile uint64_t *)pst_shm_at(&t->udp.shm, i))
			continue;
		if (pst_slot_read(&t->udp.shm, i, &s))
			n += look_at_udp(t, i, &s);
	}
	return n;
}

static struct told_slot *line_of(const struct table *table, uint64_t index)
{
	return table->told && index < table->told->entries ? &table->told->slot[index] : NULL;
}

static int flow_record(struct tables *t, const struct pst_rec_flow *r)
{
	struct told_slot *line = line_of(&t->flows, r->index);

	if (!line)
		return -EBADMSG;
	if (!slot_evicted(&line->now, r->slot.gen))
		return 0;
	if (r->h.kind == PST_REC_FLOW_READ) {
		put_flow(t, r->index, &r->slot, line, flow_end(t, &r->slot), false);
		return 0;
	}
	/* Nothing new to tell of a flow whose end was told with these totals. */
	if (!line->now.ended || line->now.a_packets != r->slot.packets)
		put_flow(t, r->index, &r->slot, line, "evicted", false);
	line->now = (struct told){0};
	return 0;
}

static int drop_record(struct tables *t, const struct pst_rec_flow *r)
{
	struct told_slot *line = line_of(&t->drops, r->index);

	if (!line)
		return -EBADMSG;
	drop_line(t, line, &r->slot);
	put_flow(t, r->index, &r->slot, line, drop_end(t, &r->slot), true);
	return 0;
}

static int udp_record(struct tables *t, const struct pst_rec_udp *r)
{
	struct told_slot *line = line_of(&t->udp, r->index);

	if (!line)
		return -EBADMSG;
	if (!slot_evicted(&line->now, r->slot.gen))
		return 0;
	put_udp(t, &r->slot, line);
	if (r->h.kind == PST_REC_UDP_EVICTED)
		line->now = (struct told){0};
	return 0;
}

int tables_record(struct tables *t, const struct pst_rec *rec)
{
	t->now_ns = rec->ts_ns;
	switch (rec->kind) {
	case PST_REC_FLOW_EVICTED:
	case PST_REC_FLOW_READ:
		return flow_record(t, (const void *)rec);
	case PST_REC_FLOW_DROPPED:
		return drop_record(t, (const void *)rec);
	case PST_REC_UDP_EVICTED:
	case PST_REC_UDP_READ:
		return udp_record(t, (const void *)rec);
	default:
		return -EBADMSG;
	}
}
