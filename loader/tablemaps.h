/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps of policyd's whose contents outlive a change of their size: tables in two halves, each with a word of
 * another map whose low bit says which half is in force (guardmaps.h, policymaps.h).
 */
#ifndef PST_LOADER_TABLEMAPS_H
#define PST_LOADER_TABLEMAPS_H

#include "loader/maps.h"
#include "loader/region.h"

struct tablemap {
	const char *name;
	struct region_size size; /* that it is to have */
};

/* Has one of those that are pinned another size? */
bool tablemaps_differ(const struct pins *pins, const struct tablemap *wanted, size_t n);
/* Made by this load in the place of one that is pinned. */
bool tablemaps_renewed(const struct pins *pins, const struct maps *maps, const char *name);

/* A map that is pinned, and the one that takes its place. */
struct tablemove {
	struct region from, to;
};

void tablemove_done(struct tablemove *move);
/* 1: both are there; 0: the map is new or stays; -errno. */
int tablemove_open(
	const struct pins *pins, const struct maps *maps, const char *name, struct tablemove *ret_move);
/* The halves in force of @n tables that are one, and then the word, which alone makes them count. When they
 * cannot go over the word becomes 0, and the log says so of @what. */
void tablemove_halves(
	const struct tablemove *moves, size_t n, const __u64 *from, __u64 *to, const char *what);

#endif
