// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a recording: opened as a file, each record sent through everything that a replay does. What is
 * published are events that decode.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collector/source.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/wire/bus_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SLOTS 64

static struct sink sink;
static char path[32];
static int fd;

/* What policyd may have written: any texts. Of one half the last rule has an end, of the other nothing. */
static void make_policy_names(void)
{
	struct pst_pol_labels *half;

	if (pst_shm_fake(sizeof(*half), 2, &sink.names.policies) < 0)
		abort();
	half = sink.names.policies.base;
	memset(half, 0xff, 2 * sizeof(*half));
	half[0].generation = 6;
	half[1].generation = 7;
	memcpy(half[1].rule[4].policy, "policy", 7);
	memcpy(half[1].rule[4].rule, "\xff\n", 3);
}

/* As `penstock record` writes it: a record that is as good as the one it is made of. */
static void check_named(const struct pst_rec *rec)
{
	static union convert_room room;
	const struct pst_rec *named;

	if (rec->kind != PST_REC_POLICY || !convert_check(rec, rec->size))
		return;
	named = convert_policy_named(&sink.names, (const void *)rec, &room);
	if (!convert_check(named, named->size))
		abort();
}

static void open_all(void)
{
	struct pst_bus_config config = {.stage = "collector",
		.run_dir = "/nonexistent",
		.topics = 1u << PST_TOPIC_PROC | 1u << PST_TOPIC_NET | 1u << PST_TOPIC_FLOW |
			  1u << PST_TOPIC_META,
		.retention_bytes = 1 << 20,
		.ephemeral = true};
	struct pst_loop *loop;

	pst_log_init("fuzz", PST_LOG_TEXT, PST_LOG_ERROR);
	fd = memfd_create("recording", 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	sink.convert.names = &sink.names;
	sink.tables = (struct tables){.convert = &sink.convert, .config = &collector_config};
	if (fd < 0 || pst_loop_new(&loop) < 0 || pst_bus_open(loop, &config, &sink.bus) < 0 ||
		table_open(&sink.tables.flows, NULL, 1, SLOTS, 0, 0) < 0 ||
		table_open(&sink.tables.udp, NULL, 1, SLOTS, 0, 0) < 0)
		abort();
	sink.tables.bus = sink.bus;
	make_policy_names();
}

/* What stands in the open batches. */
static void check_published(void)
{
	static struct pst_event event;

	for (int i = 0; i < PST_TOPICS; i++) {
		const struct bus_topic *t = &sink.bus->topic[i];
		struct pst_cur cur = pst_cur(t->events.p, t->events.len);

		if (t->writing)
			abort(); /* put without end: the next put would be fatal */
		for (uint32_t n = 0; n < t->count; n++)
			if (pst_event_decode(&cur, &event) < 0)
				abort();
		if (pst_cur_left(&cur))
			abort();
	}
}

static void play(struct recording *r)
{
	const struct pst_rec *rec;
	uint64_t at = r->at;
	int error;

	while ((rec = recording_next(r, &error))) {
		if (r->at <= at || r->at > r->len || (uintptr_t)rec % 8 || rec->size != r->at - at)
			abort();
		at = r->at;
		check_named(rec);
		sink_record(&sink, rec, rec->size);
		check_published();
	}
	if (!error != (r->at == r->len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct recording recording;

	if (!sink.bus)
		open_all();
	if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	memset(sink.tables.flows.told->slot, 0, SLOTS * sizeof(struct told_slot));
	memset(sink.tables.udp.told->slot, 0, SLOTS * sizeof(struct told_slot));
	if (recording_open(path, &recording) == 0) {
		play(&recording);
		recording_close(&recording);
	}
	pst_bus_flush(sink.bus);
	return 0;
}
