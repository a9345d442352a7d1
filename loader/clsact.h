/* SPDX-License-Identifier: Apache-2.0 */
/* Filters on the clsact qdisc: not links, so what was made is remembered in a pinned map. */
#ifndef PST_LOADER_CLSACT_H
#define PST_LOADER_CLSACT_H

#include <stdbool.h>
#include <stdint.h>

#include "loader/pins.h"

/* Our filters on an interface; odd: egress. */
enum clsact_slot { CLSACT_IN, CLSACT_OUT, CLSACT_GUARD_IN, CLSACT_GUARD_OUT, CLSACT_SLOTS };

/* Value of the map `qdiscs`, by ifindex. Earlier loaders wrote the first three words. */
struct qdisc_note {
	uint32_t made;    /* 1: the qdisc was made by us */
	uint32_t flow[2]; /* priorities at ingress and egress; 0: no filter of ours */
	uint16_t guard[2];
};

/*
 * Of this folder's filters among those of one priority: other agents use small handles, another instance has
 * another folder.
 */
uint32_t clsact_handle(const char *root);

/* Descriptor of the map, made when @make; -ENOENT. */
int clsact_open(const struct pins *pins, bool make);
/* Attaches at priority @first or the next one that takes us, or replaces the program of our filter in place.
 * 0 or -errno. */
int clsact_attach(
	int qdiscs, uint32_t handle, int ifindex, enum clsact_slot slot, uint32_t first, int prog_fd);
/* Removes our filter; the qdisc too when we made it and nobody else has a filter there. */
void clsact_detach(int qdiscs, uint32_t handle, int ifindex, enum clsact_slot slot);
/* Is our filter there, with this program? Also true when it cannot be told just now. */
bool clsact_there(int qdiscs, uint32_t handle, int ifindex, enum clsact_slot slot, uint32_t prog_id);
/* The interface is gone: forget it. */
void clsact_forget(int qdiscs, int ifindex);
/* Every interface that has a note. */
void clsact_each(int qdiscs, void (*fn)(void *arg, int ifindex), void *arg);

#endif
