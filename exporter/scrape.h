/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own counters: passes over the pinned iterators, made by a thread of their own at their own
 * pace, since one read(2) of an iterator may take as long as the kernel likes. The loop takes the finished
 * result; no scrape waits.
 */
#ifndef EXPORTER_SCRAPE_H
#define EXPORTER_SCRAPE_H

#include "exporter/syscalls.h"
#include "proto/base/loop.h"

struct scrape;

struct scrape_config {
	struct pst_loop *loop;
	const char *iter_dir; /* <bpffs>/iters; copied */
	uint64_t interval_ns;
	uint32_t max_series, max_label_bytes, syscall_cgroups;
	void (*done)(void *arg); /* a pass is finished; may be NULL */
	void *arg;
};

/* Before the sandbox. 0 or -errno. */
int scrape_new(const struct scrape_config *config, struct scrape **ret_scrape);
/* In the sandbox: starts the thread and the first pass. 0 or -errno. */
int scrape_start(struct scrape *scrape);
void scrape_free(struct scrape *scrape); /* waits for the pass under way; NULL is fine */
void scrape_expose(const struct scrape *scrape, struct cgroups *cgroups, struct expo *expo);
/* Is there a cgroup whose name somebody should find out? */
bool scrape_nameless(const struct scrape *scrape, const struct cgroups *cgroups);
/* Names of interfaces by index, for the next pass: the loader's report knows them. Copied; beyond
 * SCRAPE_INTERFACES_MAX left out. */
#define SCRAPE_INTERFACES_MAX 256
struct scrape_interface {
	uint32_t ifindex;
	char name[16];
};
void scrape_name_interfaces(struct scrape *scrape, const struct scrape_interface *v, unsigned n);
/* Iterators whose last pass failed, as text for /readyz; "" when all is well. One that is not there is not
 * wanted (or the loader's report says why). */
void scrape_failed(const struct scrape *scrape, char *buf, size_t size);

#endif
