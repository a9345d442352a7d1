/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The maps of all objects. A map is declared by name; the first object that has it decides, later ones share
 * it. One that is pinned with the same definition is taken over (counters go on, descriptors of the stages
 * stay valid); one whose definition changed is made anew.
 */
#ifndef PST_LOADER_MAPS_H
#define PST_LOADER_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "loader/config.h"
#include "loader/pins.h"

#define MAPS_MAX 128

/* Bytes of a CPU's cache of verdicts: all of them together take no more than many CPUs' worth. */
uint32_t maps_fwcache_bytes(unsigned cpus);

struct bpf_object;

struct map_entry {
	char name[16];
	int fd; /* owned */
	uint32_t id, type, key_size, value_size, max_entries, flags;
	bool staged; /* made by this load, not yet in force */
};

struct maps {
	struct map_entry v[MAPS_MAX];
	unsigned n;
};

void maps_done(struct maps *maps);
/*
 * Gives every map of @obj its size from @config and a descriptor: shared, taken over from @pins (NULL: never)
 * or made and, with @pins, staged. Tables that user space may only read are frozen before anybody can reach
 * them. 0 or -errno with a log line.
 */
int maps_prepare(struct maps *maps, const struct pins *pins, const struct loader_config *config,
	struct bpf_object *obj);
const struct map_entry *maps_find(const struct maps *maps, const char *name);

#endif
