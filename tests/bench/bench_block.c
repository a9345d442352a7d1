// SPDX-License-Identifier: Apache-2.0
/*
 * bench_block [REPEAT]: a list of 1,000,000 addresses read from text and built into a mapped table, then
 * looked up by an XDP program in test runs, against a hash map of the same addresses. Figures as JSON lines;
 * those of look-ups are net of a program that does all but the look-up, run in turn with them.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "policyd/block/set.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/loop.h"
#include "tests/bench/bench_block.skel.h"

#define ENTRIES   1000000u
#define LINES     (1u << 19)
#define ROUNDS    5
#define LINE_TEXT 32
#define BATCH     65536u
#define REPEAT    2000000
#define PREFIXES  50000
#define ALLOWED   100

static void die(const char *what, int error)
{
	fprintf(stderr, "bench_block: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(PST_EXIT_SYSTEM);
}

static double since_ms(uint64_t start_ns)
{
	return (double)(pst_now_mono_ns() - start_ns) / 1e6;
}

/* The address of packet @i, as the programs make it. */
static uint32_t address(uint32_t i)
{
	return i * 2654435761u;
}

/* ---- loading and building ---- */

static size_t put_line(char *w, uint32_t i, bool is_ip6)
{
	uint32_t a = address(i);

	if (is_ip6)
		return (size_t)snprintf(
			w, LINE_TEXT, "2001:db8::%x:%x:%x:%x\n", i >> 16, i & 0xffff, a >> 16, a & 0xffff);
	return (size_t)snprintf(w, LINE_TEXT, "%u.%u.%u.%u\n", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

static void write_list(const char *path, bool is_ip6)
{
	PST_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	PST_FREE char *text = malloc((size_t)ENTRIES * LINE_TEXT + 1);
	size_t len = 0;
	int e;

	if (fd < 0 || !text)
		die(path, fd < 0 ? errno : ENOMEM);
	for (uint32_t i = 0; i < ENTRIES; i++)
		len += put_line(text + len, i, is_ip6);
	e = pst_write_all(fd, text, len);
	if (e)
		die(path, e);
}

/* Networks of 256 addresses, far apart. */
static void add_prefixes(struct block_list *list, uint32_t n, uint32_t from)
{
	for (uint32_t i = 0; i < n; i++) {
		struct block_entry e = {.lo = (uint32_t)((from + i) * 2246822519u) & 0xffffff00, .len = 24};

		if (block_list_add(list, &e))
			die("prefixes", ENOMEM);
	}
}

static void load_and_build(const char *name, const char *path, union pst_line *lines, bool has_prefixes)
{
	struct block_clock clock = block_clock_now();
	struct block_options options = {.now = (uint32_t)(clock.boot_ns / 1000000000)};
	struct pst_conf_errors errors = {0};
	PST_CLEANUP(block_set_done) struct block_set set = {0};
	struct block_loaded loaded;
	struct block_built built = {0};
	uint32_t needed = 0;
	uint64_t start;
	double load_ms;
	int e;

	if (getrandom(options.seed, sizeof(options.seed), 0) != sizeof(options.seed))
		die("getrandom", errno);
	start = pst_now_mono_ns();
	e = block_load(path, &clock, &set.reasons, &set.block, &errors, &loaded);
	load_ms = since_ms(start);
	if (e)
		die(path, e);
	if (has_prefixes) {
		add_prefixes(&set.block, PREFIXES, 0);
		add_prefixes(&set.allow, ALLOWED, PREFIXES);
	}
	start = pst_now_mono_ns();
	e = block_build(&set, lines, LINES, &options, &built, &needed);
	printf("{\"figure\":\"block.build.%s\",\"entries\":%zu,\"load_ms\":%.1f,\"build_ms\":%.1f,"
	       "\"lines\":%u,\"buckets\":%u}\n",
		name, loaded.entries, load_ms, since_ms(start), built.lines,
		built.buckets_4 + built.buckets_6);
	if (e)
		die("build", e);
	pst_conf_errors_done(&errors);
}

static void fill_hash(int fd)
{
	PST_FREE uint32_t *keys = malloc(BATCH * sizeof(*keys));
	PST_FREE uint64_t *values = malloc(BATCH * sizeof(*values));
	uint64_t start = pst_now_mono_ns();

	if (!keys || !values)
		die("hash", ENOMEM);
	for (uint32_t done = 0; done < ENTRIES;) {
		uint32_t n = PST_MIN(BATCH, ENTRIES - done), given = n;

		for (uint32_t i = 0; i < n; i++) {
			keys[i] = address(done + i);
			values[i] = PST_BLOCK_NEVER;
		}
		if (bpf_map_update_batch(fd, keys, values, &n, NULL) || n != given)
			die("hash", errno);
		done += n;
	}
	printf("{\"figure\":\"block.build.hash\",\"entries\":%u,\"update_batch_ms\":%.1f}\n", ENTRIES,
		since_ms(start));
}

/* ---- looking up ---- */

struct workload {
	const char *name;
	uint32_t first, n_sources;
	uint32_t verdict; /* what each packet gets */
};

/* Enough of an Ethernet and IPv4 packet. */
static const uint8_t packet[64] = {[12] = 8, [14] = 0x45, [23] = 17};

static double run(const struct bpf_program *prog, uint32_t verdict, int repeat)
{
	LIBBPF_OPTS(
		bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet), .repeat = repeat);

	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		die("test run", errno);
	if (opts.retval != verdict) {
		fprintf(stderr, "bench_block: %s returned %u\n", bpf_program__name(prog), opts.retval);
		exit(PST_EXIT_SYSTEM);
	}
	return opts.duration;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), by_value);
	return v[ROUNDS / 2];
}

static void measure(struct bench_block_bpf *skel, const struct workload *w, int repeat)
{
	struct {
		const char *name;
		const struct bpf_program *prog;
		uint32_t verdict;
		double ns[ROUNDS];
	} runs[] = {
		{"bare", skel->progs.bench_bare, 1, {0}},
		{"floor", skel->progs.bench_floor, 1, {0}},
		{"table", skel->progs.bench_table, w->verdict, {0}},
		{"hash", skel->progs.bench_hash, w->verdict, {0}},
	};
	double at[PST_ARRAY_SIZE(runs)];

	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < PST_ARRAY_SIZE(runs); i++) {
			skel->bss->first = w->first;
			skel->bss->n_sources = w->n_sources;
			skel->bss->next = 0;
			runs[i].ns[round] = run(runs[i].prog, runs[i].verdict, repeat);
		}
	for (size_t i = 0; i < PST_ARRAY_SIZE(runs); i++)
		at[i] = median(runs[i].ns);
	printf("{\"figure\":\"block.lookup.%s\",\"bare_ns\":%.0f,\"floor_ns\":%.0f,\"table_ns\":%.0f,"
	       "\"hash_ns\":%.0f,\"table_net_bare_ns\":%.0f,\"hash_net_bare_ns\":%.0f,"
	       "\"table_net_floor_ns\":%.0f,\"hash_net_floor_ns\":%.0f}\n",
		w->name, at[0], at[1], at[2], at[3], at[2] - at[0], at[3] - at[0], at[2] - at[1],
		at[3] - at[1]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const struct workload workloads[] = {
		{"hit_1000", 0, 1000, 1},
		{"hit_1000000", 0, ENTRIES, 1},
		{"miss_1000", ENTRIES, 1000, 2},
		{"miss_1000000", ENTRIES, ENTRIES, 2},
	};
	/* The hash map is still that of the addresses alone. */
	static const struct workload beside_prefixes[] = {
		{"prefixes_hit_1000000", 0, ENTRIES, 1},
		{"prefixes_miss_1000", ENTRIES, 1000, 2},
		{"prefixes_miss_1000000", ENTRIES, ENTRIES, 2},
	};
	int repeat = argc == 2 ? atoi(argv[1]) : REPEAT;
	char path[] = "/tmp/bench_block.XXXXXX";
	PST_CLOSE int fd = mkostemp(path, O_CLOEXEC);
	struct bench_block_bpf *skel = bench_block_bpf__open_and_load();
	union pst_line *lines;

	if (fd < 0 || !skel || repeat < 1)
		die("open", errno);
	lines = mmap(NULL, LINES * sizeof(*lines), PROT_READ | PROT_WRITE, MAP_SHARED,
		bpf_map__fd(skel->maps.block_lines), 0);
	if (lines == MAP_FAILED)
		die("mmap", errno);
	write_list(path, true);
	load_and_build("ip6", path, lines, false);
	write_list(path, false);
	load_and_build("ip4", path, lines, false);
	fill_hash(bpf_map__fd(skel->maps.block_hash));
	for (size_t i = 0; i < PST_ARRAY_SIZE(workloads); i++)
		measure(skel, &workloads[i], repeat);
	load_and_build("ip4_prefixes", path, lines, true);
	unlink(path);
	for (size_t i = 0; i < PST_ARRAY_SIZE(beside_prefixes); i++)
		measure(skel, &beside_prefixes[i], repeat);
	bench_block_bpf__destroy(skel);
	return 0;
}
