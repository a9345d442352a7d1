// SPDX-License-Identifier: Apache-2.0
/*
 * One pass of the collector over a flow table in which little has changed: its own code, on a BPF array of
 * that size, with a bus and the file of what was told. Beside it a hash map of as many entries, read by
 * BPF_MAP_LOOKUP_BATCH.
 *
 *   bench_mapscan FOLDER SLOTS PERCENT RUNS   prints a line a run: ms of processor time, events, ms of the
 * hash
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collector/tables.h"
#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/stat.h"

#define BATCH     4096
#define STEP_NS   (15ull * 1000000000) /* between two passes, as the table sees it */
#define HASH_KEY  sizeof(struct pst_flow_key)
#define HASH_DATA (sizeof(struct pst_flow) - HASH_KEY - sizeof(uint64_t))

static void check(long r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench_mapscan: %s: %s\n", what, strerror(r == -1 ? errno : (int)-r));
	exit(PST_EXIT_SYSTEM);
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- the table ---- */

static struct pst_flow *slots; /* our writable view of it, in place of the kernel program */

static void fill(size_t n, uint64_t now)
{
	for (size_t i = 0; i < n; i++) {
		struct pst_flow *s = &slots[i];

		s->key = (struct pst_flow_key){.sport = (uint16_t)i,
			.dport = 443,
			.ifindex = 1,
			.family = 2,
			.protocol = 6,
			.dir = 2};
		memcpy(s->key.daddr + 12, &(uint32_t){(uint32_t)(i >> 16)}, 4);
		s->packets = 1;
		s->bytes = 100;
		s->first_ns = s->last_ns = now;
		s->gen = 2;
	}
}

/* Every 100th at one percent; the others are alive but had no packet since. */
static void change(size_t n, unsigned percent, uint64_t now)
{
	for (size_t i = 0; i < n; i++)
		if (i * 7919 % 100 < percent) {
			slots[i].packets++;
			slots[i].bytes += 100;
			slots[i].last_ns = now;
		}
}

static struct config config = {
	.flow_interval_ns = STEP_NS,
	.flow_active_ns = STEP_NS,
	.flow_idle_ns = 86400ull * 1000000000,
	.retention_bytes = 8 << 20,
};

static void open_table(struct tables *t, const char *folder, size_t n)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	PST_FREE char *path = NULL;
	struct pst_shm writable;
	int fd = bpf_map_create(
		BPF_MAP_TYPE_ARRAY, "bench_flows", 4, sizeof(struct pst_flow), (uint32_t)n, &opts);

	check(fd, "map");
	check(pst_shm_map(fd, sizeof(struct pst_flow), n, true, &writable), "map it to write");
	check(pst_shm_map(fd, sizeof(struct pst_flow), n, false, &t->flows.shm), "map it to read");
	slots = writable.base;
	check(asprintf(&path, "%s/collector.flows", folder), "path");
	check(table_open(&t->flows, path, 1, n, pst_bus_epoch(t->bus), 0), "told");
}

static double pass(struct tables *t, uint64_t now, unsigned *ret_events)
{
	double from = cpu_ms();

	t->now_ns = now;
	*ret_events = tables_read_flows(t);
	pst_bus_flush(t->bus);
	return cpu_ms() - from;
}

/* ---- the hash ---- */

static int make_hash(size_t n)
{
	static char keys[BATCH][HASH_KEY], data[BATCH][HASH_DATA];
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "bench_hash", HASH_KEY, HASH_DATA, (uint32_t)n, NULL);

	check(fd, "hash");
	for (size_t i = 0; i < n; i += BATCH) {
		uint32_t count = (uint32_t)PST_MIN(n - i, (size_t)BATCH);

		for (uint32_t k = 0; k < count; k++)
			memcpy(keys[k], &(uint64_t){i + k}, 8);
		check(bpf_map_update_batch(fd, keys, data, &count, NULL), "fill the hash");
	}
	return fd;
}

static double read_hash(int fd, size_t n)
{
	static char keys[BATCH][HASH_KEY], data[BATCH][HASH_DATA];
	double from = cpu_ms();
	uint32_t cursor = 0, next = 0, count;
	size_t seen = 0;
	void *in = NULL;
	int r;

	do {
		count = BATCH;
		r = bpf_map_lookup_batch(fd, in, &next, keys, data, &count, NULL);
		if (r && errno != ENOENT)
			check(-1, "lookup_batch");
		seen += count;
		cursor = next;
		in = &cursor;
	} while (!r);
	if (seen != n)
		fprintf(stderr, "bench_mapscan: %zu of %zu entries of the hash were seen\n", seen, n);
	return cpu_ms() - from;
}

/* ---- */

int main(int argc, char **argv)
{
	size_t n = argc == 5 ? strtoul(argv[2], NULL, 10) : 0;
	unsigned percent = n ? (unsigned)strtoul(argv[3], NULL, 10) : 0, events;
	unsigned runs = n ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
	struct names names = {0};
	struct convert convert = {.names = &names};
	struct tables t = {.convert = &convert, .config = &config};
	struct pst_loop *loop;
	uint64_t now = STEP_NS;
	int hash;

	if (!n || !runs) {
		fputs("usage: bench_mapscan FOLDER SLOTS PERCENT RUNS\n", stderr);
		return PST_EXIT_USAGE;
	}
	pst_log_init("bench", PST_LOG_TEXT, PST_LOG_ERROR);
	pst_stat_open();
	const struct pst_bus_config bus = {.stage = "bench",
		.run_dir = argv[1],
		.node = "bench",
		.topics = 1u << PST_TOPIC_FLOW,
		.retention_bytes = config.retention_bytes};
	check(pst_loop_new(&loop), "loop");
	check(pst_bus_open(loop, &bus, &t.bus), "bus");
	open_table(&t, argv[1], n);
	check(pst_bus_start(t.bus), "bus");
	fill(n, now);
	pass(&t, now, &events); /* all are new */
	if (events != n) {
		fprintf(stderr, "bench_mapscan: %u of %zu flows were told\n", events, n);
		return PST_EXIT_SYSTEM;
	}
	hash = make_hash(n);
	for (unsigned i = 0; i < runs; i++) {
		double ms;

		now += STEP_NS;
		change(n, percent, now);
		ms = pass(&t, now, &events);
		printf("%.3f %u %.3f\n", ms, events, read_hash(hash, n));
		fflush(stdout);
	}
	pst_bus_free(t.bus);
	table_close(&t.flows);
	pst_loop_free(loop);
	return 0;
}
