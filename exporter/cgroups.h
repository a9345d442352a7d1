/* SPDX-License-Identifier: Apache-2.0 */
/* Names of cgroups by id, learned from what the enricher says. Bounded. */
#ifndef EXPORTER_CGROUPS_H
#define EXPORTER_CGROUPS_H

#include <stdbool.h>
#include <stdint.h>

#define CGROUP_PATH_MAX      256
#define CGROUP_CONTAINER_MAX 64

struct cgroup_name {
	uint16_t path_len, container_len;
	char path[CGROUP_PATH_MAX]; /* cut */
	char container[CGROUP_CONTAINER_MAX];
};

struct cgroups;

int cgroups_new(uint32_t max, struct cgroups **ret_cgroups);
void cgroups_free(struct cgroups *cgroups); /* NULL is fine */
bool cgroups_known(const struct cgroups *cgroups, uint64_t id);
void cgroups_put(struct cgroups *cgroups, uint64_t id, const void *path, uint32_t path_len,
	const void *container, uint32_t container_len);
const struct cgroup_name *cgroups_get(struct cgroups *cgroups, uint64_t id); /* NULL: not known */

#endif
