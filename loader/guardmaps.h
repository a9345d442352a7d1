/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard's tables when their size changes. `guard` (the generation words), `fw_lines` and `block_lines`
 * are one thing: whoever writes them has mapped all three, so when one is made anew all are, and also when
 * another map of policyd's is. A writer that still has the old ones then moves words that no program reads,
 * and is told by one of them. What is in force goes on in the new tables.
 */
#ifndef PST_LOADER_GUARDMAPS_H
#define PST_LOADER_GUARDMAPS_H

#include "loader/maps.h"
#include "loader/net.h"

/* Is the map one of the three, and has one of policyd's that are pinned another size than it is to have? */
bool guardmaps_outgrown(const struct pins *pins, const struct loader_config *config, const char *name);
/*
 * After all maps are there: the table in force from the pinned maps into those that @maps made anew. Tables
 * that became smaller, and signatures of another size, cannot be taken over: then the log says that nothing
 * is judged until policyd has written the new ones. 0 or -errno.
 */
int guardmaps_take_over(const struct pins *pins, const struct maps *maps);
/* Those that are pinned are in use after all. */
void guardmaps_stay(const struct pins *pins);
/* Then: tables of connections that were made anew are empty, so connections are picked up in their middle
 * until policyd ends that. 0 or -errno. */
int guardmaps_pick_up(const struct pins *pins, const struct maps *maps);
/* What the programs can do on this kernel, into `guard`, for policyd. 0 or -errno. */
int guardmaps_tell(const struct maps *maps, bool syn_cookies);
/* Where the guard is attached, and whether at XDP, into what is pinned: policyd does not call enforced what
 * is only written, nor a rule that cannot do there all that it says. */
void guardmaps_attached(const struct pins *pins, const struct net *net);

#endif
