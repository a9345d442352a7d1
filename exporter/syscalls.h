/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System call counters: from the kernel's (cgroup, number) pairs to a bounded set of series. A counter must
 * never fall, so places are given for good: at the first pass to the busiest cgroups, later to new ones while
 * there is a place; all others are counted together as cgroup "other", and stay there.
 */
#ifndef EXPORTER_SYSCALLS_H
#define EXPORTER_SYSCALLS_H

#include "exporter/cgroups.h"
#include "exporter/expo.h"
#include "proto/abi/maps.h"

#define SYSCALLS_NR 512 /* the last one stands for all numbers from there on */

enum { ABI_NATIVE, ABI_COMPAT, ABIS };

struct syscalls;

/* Result of one pass, read by another thread than the one that makes it. */
struct syscall_counts {
	uint32_t n_slots;     /* slot 0 is "other" */
	uint64_t *cgroup_ids; /* of the slots; 0: not in use */
	uint64_t (*v)[ABIS][SYSCALLS_NR];
	uint64_t other_series; /* of what has no series of its own because the metric is full */
	uint64_t lost;         /* not counted by the kernel, as its table was full */
};

int syscalls_new(uint32_t max_cgroups, uint32_t max_series, struct syscalls **ret_syscalls);
void syscalls_free(struct syscalls *syscalls); /* NULL is fine */
int syscalls_pass(struct syscalls *syscalls, const struct pst_iter_syscall *v, size_t n,
	struct syscall_counts **ret_counts);
void syscall_counts_free(struct syscall_counts *counts); /* NULL is fine */

/* Names by number, from libseccomp. */
struct syscall_names {
	char *v[ABIS][SYSCALLS_NR];
};
void syscall_names_init(struct syscall_names *names);
void syscall_names_done(struct syscall_names *names);
void syscall_counts_expose(const struct syscall_counts *counts, const struct syscall_names *names,
	struct cgroups *cgroups, size_t max_label, struct expo *expo);
/* A cgroup with a place whose name is not known yet? */
bool syscall_counts_nameless(const struct syscall_counts *counts, const struct cgroups *cgroups);

#endif
