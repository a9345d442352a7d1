/* SPDX-License-Identifier: Apache-2.0 */
/* The process tree: from events, and after a restart from the pinned task iterator. Bounded. */
#ifndef ENRICHER_PROCTREE_H
#define ENRICHER_PROCTREE_H

#include <stdbool.h>
#include <stdint.h>

#include "enricher/cgroup.h"
#include "enricher/str.h"
#include "proto/abi/maps.h"

#define PROC_ARGV_MAX 1024 /* bytes of argv kept for the process list */

struct proc_key {
	uint64_t start_ns;
	uint32_t pid;
	uint32_t pad;
};

struct proc {
	struct proc_key parent;
	uint64_t cgroup_id;
	uint64_t ended_ns; /* 0: alive */
	uint32_t uid;
	bool kthread;
	bool unplaced; /* hybrid hosts: `container` is inherited and wants looking up */
	char comm[PST_COMM_LEN];
	struct str *exe;
	struct str *argv;              /* NUL-separated, cut at PROC_ARGV_MAX */
	struct cgroup_facts container; /* hybrid hosts: by process, inherited; else empty */
};

struct proctree;
int proctree_new(uint32_t max, uint64_t linger_ns, struct proctree **ret_tree);
void proctree_free(struct proctree *tree);
struct proc *proctree_get(struct proctree *tree, uint32_t pid, uint64_t start_ns); /* NULL: unknown */
/* Found or made (zeroed). NULL without memory. Pointers stay valid until the next put. */
struct proc *proctree_put(struct proctree *tree, uint32_t pid, uint64_t start_ns);
void proctree_end(struct proctree *tree, uint32_t pid, uint64_t start_ns, uint64_t now_ns);
/* Forget processes that ended longer than linger ago. */
void proctree_expire(struct proctree *tree, uint64_t now_ns);
uint32_t proctree_count(const struct proctree *tree);
/*
 * Reads the iterator at @path: adds what is not known, keeps what is. @hybrid: also each process's container.
 * 0 or -errno.
 */
int proctree_load(struct proctree *tree, const char *path, bool hybrid);
/* Alive ones with pid > @after in rising order, at most @max: pids and values. Returns their number. */
struct proc_row {
	struct proc_key key;
	const struct proc *proc;
};
uint32_t proctree_list(struct proctree *tree, uint32_t after, struct proc_row *rows, uint32_t max);

#endif
