/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by scrape_pass.c (the thread) and scrape.c (the loop's side). */
#ifndef EXPORTER_SCRAPE_INTERNAL_H
#define EXPORTER_SCRAPE_INTERNAL_H

#include <pthread.h>

#include "exporter/scrape.h"
#include "exporter/series.h"

enum iter { ITER_SYSCALLS, ITER_INTERFACES, ITER_PROGRAMS, ITER_MAPS, ITERS };
extern const char *const scrape_iter_names[ITERS];

/* Series that come from iterators, in the order of exposition. */
enum set {
	SET_IFACE_PACKETS,
	SET_IFACE_BYTES,
	SET_RUNS,
	SET_SECONDS,
	SET_MISSES,
	SET_INSNS,
	SET_ENTRIES,
	SET_CAPACITY,
	SET_RING,
	SET_RING_CAPACITY,
	SETS
};

/* The result of a round of passes: made by the thread, then only read. */
struct snapshot {
	struct {
		int error;                 /* 0 or errno */
		uint64_t took_ns, good_ns; /* of the last good one; 0: never */
	} pass[ITERS];
	struct series_set *sets[SETS];
	struct syscall_counts *syscalls;
	bool stats_on;
};

struct scrape {
	struct scrape_config config;
	char *paths[ITERS];
	struct syscall_names names;
	/* the thread's own */
	struct syscalls *syscalls;
	uint64_t good_ns[ITERS];
	/* between the two */
	pthread_mutex_t lock;
	struct snapshot *fresh;
	struct scrape_interface interfaces[SCRAPE_INTERFACES_MAX];
	unsigned n_interfaces;
	int fresh_fd, stop_fd;
	/* the loop's */
	pthread_t thread;
	bool started;
	struct pst_source *source;
	struct snapshot *current;
	int logged[ITERS];
};

void scrape_snapshot_free(struct snapshot *snapshot); /* NULL is fine */
/* The thread: passes until stop_fd becomes readable. */
void *scrape_run_thread(void *scrape);

#endif
