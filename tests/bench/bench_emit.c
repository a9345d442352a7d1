// SPDX-License-Identifier: Apache-2.0
/*
 * bench_emit BPFFS small|connect RATE SECONDS: records at a rate into the ring of a running Penstock. Prints
 * its pid, waits for a line on standard input, then emits and prints: attempted, lost, seconds, nanoseconds
 * of processor time a record.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/loop.h"
#include "tests/bench/bench_emit.skel.h"

#define BURST_MAX 64

static void die(const char *what, int error)
{
	fprintf(stderr, "bench_emit: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(PST_EXIT_SYSTEM);
}

static void reuse(struct bpf_map *map, const char *bpffs, const char *name)
{
	PST_FREE char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/maps/%s", bpffs, name) < 0)
		die(name, ENOMEM);
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_map__reuse_fd(map, fd) < 0)
		die(path, errno);
	close(fd);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t burst(int prog, uint64_t n, uint64_t seq)
{
	uint64_t args[2] = {n, seq};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(args));
	int r = bpf_prog_test_run_opts(prog, &opts);

	if (r)
		die("run", errno);
	return opts.retval;
}

/* Sleeps until the next record is due; above 10,000 a second every millisecond brings its share. */
static void emit(int prog, double rate, double seconds)
{
	uint64_t start = pst_now_mono_ns(), now = start, sent = 0, lost = 0, cpu = cpu_ns();
	uint64_t step = rate >= 1000 ? 1000000 : (uint64_t)(1e9 / rate);
	struct timespec nap = {.tv_sec = (time_t)(step / 1000000000), .tv_nsec = (long)(step % 1000000000)};

	while (now - start < (uint64_t)(seconds * 1e9)) {
		uint64_t due = (uint64_t)(rate * (double)(now - start) / 1e9);

		while (sent < due) {
			uint64_t n = PST_MIN(due - sent, (uint64_t)BURST_MAX);

			lost += burst(prog, n, sent);
			sent += n;
		}
		nanosleep(&nap, NULL);
		now = pst_now_mono_ns();
	}
	printf("%llu %llu %.6f %.1f\n", (unsigned long long)sent, (unsigned long long)lost,
		(double)(pst_now_mono_ns() - start) / 1e9,
		sent ? (double)(cpu_ns() - cpu) / (double)sent : 0);
}

int main(int argc, char **argv)
{
	bool small = argc == 5 && !strcmp(argv[2], "small");
	double rate = argc == 5 ? strtod(argv[3], NULL) : 0, seconds = argc == 5 ? strtod(argv[4], NULL) : 0;
	struct bench_emit_bpf *skel;
	int r;

	if (rate <= 0 || seconds <= 0 || (!small && strcmp(argv[2], "connect") != 0)) {
		fputs("usage: bench_emit BPFFS small|connect RATE SECONDS\n", stderr);
		return PST_EXIT_USAGE;
	}
	skel = bench_emit_bpf__open();
	if (!skel)
		die("open", errno);
	reuse(skel->maps.ring_net, argv[1], PST_MAP_RING_NET);
	reuse(skel->maps.ring_ctl, argv[1], PST_MAP_RING_CTL);
	reuse(skel->maps.class_stats, argv[1], PST_MAP_CLASS_STATS);
	r = bench_emit_bpf__load(skel);
	if (r)
		die("load", r);
	printf("%d\n", getpid());
	fflush(stdout);
	if (getchar() == '\n')
		emit(bpf_program__fd(small ? skel->progs.bench_small : skel->progs.bench_connect), rate,
			seconds);
	bench_emit_bpf__destroy(skel);
	return 0;
}
