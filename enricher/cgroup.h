/* SPDX-License-Identifier: Apache-2.0 */
/* What a cgroup's path says: container, runtime, systemd unit, Kubernetes pod. Paths are hostile. */
#ifndef ENRICHER_CGROUP_H
#define ENRICHER_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "enricher/str.h"

struct cgroup_facts {
	struct str *path;
	struct str *container_id;
	struct str *pod_uid;
	struct str *unit;
	const char *runtime; /* static; "" if no container */
};

/* Slices of @path; what it does not say is empty. */
struct cgroup_parts {
	const char *container_id, *pod_uid, *unit;
	uint32_t container_id_len, pod_uid_len, unit_len;
	const char *runtime;
	char pod_uid_buf[40]; /* systemd writes a pod's uid with _ for - */
};
void cgroup_parse(const char *path, size_t len, struct cgroup_parts *ret_parts);
/* Lines of /proc/PID/cgroup and of /proc/PID/mountinfo; see cgroups_of_process and cgroups_find_root. */
bool cgroup_read(FILE *file, bool v2_only, struct cgroup_facts *ret_facts);
char *cgroup_mount(FILE *mountinfo);

struct cgroups; /* bounded cache: cgroup v2 id -> facts */
/* @root: the cgroup2 mount ("" if none), @max entries. */
int cgroups_new(const char *root, uint32_t max, struct cgroups **ret_cgroups);
void cgroups_free(struct cgroups *cgroups);
/* Where cgroup2 is mounted on this host, from /proc/self/mountinfo; owned. NULL: nowhere. */
char *cgroups_find_root(void);
/* True if v1 hierarchies are in use beside v2: then the path of a container may only be in them. */
bool cgroups_hybrid(void);
/*
 * Facts of a v2 id, from the cache, else from /proc/@pid/cgroup (@pid 0: no), else by a walk of the tree, at
 * most twice a second. NULL: not known. Valid until the next call.
 */
const struct cgroup_facts *cgroups_get(struct cgroups *cgroups, uint64_t id, uint32_t pid);
/* Facts of a process by all its hierarchies (hybrid hosts): the first path that names a container, else the
 * v2 path. Owned strings go into
 * @ret_facts; false if the process is gone. */
bool cgroups_of_process(uint32_t pid, struct cgroup_facts *ret_facts);
void cgroup_facts_done(struct cgroup_facts *facts);
void cgroup_facts_copy(struct cgroup_facts *to, const struct cgroup_facts *from);
/* Only what events say: no look at this host's /proc and cgroupfs (a recording of another boot is played). */
void cgroups_set_offline(struct cgroups *cgroups, bool offline);

#endif
