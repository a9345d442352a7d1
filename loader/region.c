// SPDX-License-Identifier: Apache-2.0
#include "loader/region.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/mman.h>

#include "proto/base/cleanup.h"

int region_size(int fd, struct region_size *ret_size)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	*ret_size = (struct region_size){0};
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	*ret_size = (struct region_size){info.max_entries, info.value_size};
	return 0;
}

int region_map(int fd, struct region *ret_region)
{
	struct region_size size;
	size_t bytes;
	int r = region_size(fd, &size);
	void *p;

	if (r)
		return r;
	bytes = (size_t)size.entries * size.value_bytes;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*ret_region = (struct region){p, bytes};
	return 0;
}

int region_map_pinned(const struct pins *pins, const char *name, struct region *ret_region)
{
	PST_CLOSE int fd = pins_get(pins, PIN_MAPS, name);

	return fd < 0 ? fd : region_map(fd, ret_region);
}

void region_unmap(struct region *r)
{
	if (r->p)
		munmap(r->p, r->bytes);
	*r = (struct region){0};
}
