// SPDX-License-Identifier: Apache-2.0
#include "exporter/cgroups.h"

#include <errno.h>
#include <string.h>

#include "proto/base/cache.h"
#include "proto/base/cleanup.h"

struct cgroups {
	struct pst_cache *names;
};

int cgroups_new(uint32_t max, struct cgroups **ret_cgroups)
{
	PST_FREE struct cgroups *cgroups = calloc(1, sizeof(*cgroups));
	int r;

	if (!cgroups)
		return -ENOMEM;
	r = pst_cache_new(sizeof(uint64_t), sizeof(struct cgroup_name), max, NULL, NULL, &cgroups->names);
	if (r < 0)
		return r;
	*ret_cgroups = PST_TAKE_PTR(cgroups);
	return 0;
}

void cgroups_free(struct cgroups *cgroups)
{
	if (!cgroups)
		return;
	pst_cache_free(cgroups->names);
	free(cgroups);
}

bool cgroups_known(const struct cgroups *cgroups, uint64_t id)
{
	return pst_cache_peek(cgroups->names, &id);
}

void cgroups_put(struct cgroups *cgroups, uint64_t id, const void *path, uint32_t path_len,
	const void *container, uint32_t container_len)
{
	struct cgroup_name *name;

	if (!id || !path_len)
		return;
	name = pst_cache_put(cgroups->names, &id, NULL);
	if (!name)
		return;
	name->path_len = (uint16_t)PST_MIN(path_len, (uint32_t)CGROUP_PATH_MAX);
	memcpy(name->path, path, name->path_len);
	name->container_len = (uint16_t)PST_MIN(container_len, (uint32_t)CGROUP_CONTAINER_MAX);
	memcpy(name->container, container, name->container_len);
}

const struct cgroup_name *cgroups_get(struct cgroups *cgroups, uint64_t id)
{
	return pst_cache_get(cgroups->names, &id);
}
