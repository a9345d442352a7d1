// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a cgroup path: slices stay inside it. */
#include <stdint.h>
#include <stdlib.h>

#include "enricher/cgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = (const char *)data;
	struct cgroup_parts r;

	cgroup_parse(path, size, &r);
	if (r.container_id_len &&
		(r.container_id < path || r.container_id + r.container_id_len > path + size))
		abort();
	if (r.unit_len && (r.unit < path || r.unit + r.unit_len > path + size))
		abort();
	return 0;
}
