/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of an array map, mapped. */
#ifndef PST_LOADER_REGION_H
#define PST_LOADER_REGION_H

#include <stddef.h>
#include <stdint.h>

#include "loader/pins.h"

struct region {
	char *p; /* NULL: not mapped */
	size_t bytes;
};

struct region_size {
	uint32_t entries, value_bytes;
};

/* Of any map. 0 or -errno. */
int region_size(int fd, struct region_size *ret_size);
/* For reading and writing. 0 or -errno. */
int region_map(int fd, struct region *ret_region);
/* The same of a map that is pinned; -ENOENT: there is none. */
int region_map_pinned(const struct pins *pins, const char *name, struct region *ret_region);
void region_unmap(struct region *region);

#endif
