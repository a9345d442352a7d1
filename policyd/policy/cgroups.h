/* SPDX-License-Identifier: Apache-2.0 */
/* Which cgroups there are: ids and paths, as they come and go. */
#ifndef PST_POLICYD_POLICY_CGROUPS_H
#define PST_POLICYD_POLICY_CGROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/loop.h"

#define CGROUPS_MAX 8192 /* what the tables have places for */

struct cgroups;

/* Of a cgroup that has come, its path from the root of the hierarchy; NULL: it is gone. */
typedef void (*cgroups_fn)(void *arg, uint64_t id, const char *path);

/* The folder where cgroup2 is mounted: @configured, or where it is found. NULL: there is none. */
const char *cgroups_root(const char *configured);
/* Looks at all, and calls @fn for those and from then on. 0 or -errno. */
int cgroups_open(
	struct pst_loop *loop, const char *root, cgroups_fn fn, void *arg, struct cgroups **ret_cgroups);
void cgroups_free(struct cgroups *cgroups); /* NULL is fine */
/* All that are known. */
void cgroups_each(const struct cgroups *cgroups, cgroups_fn fn, void *arg);
size_t cgroups_count(const struct cgroups *cgroups);
/* Folders that were not looked at, as there are too many or the kernel would not watch them. */
uint64_t cgroups_missed(const struct cgroups *cgroups);
/* For tests: as after events that the kernel lost. */
void cgroups_rescan(struct cgroups *cgroups);

#endif
