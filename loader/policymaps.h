/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of policies (proto/abi/policy.h). The page `policy`, `policy_lines`, `path_lines` and
 * `policy_names` are one thing: when one has to be made anew all are, what is in force goes over, and who has
 * the old ones mapped is told by the old page. The page also says what the loader has attached.
 */
#ifndef PST_LOADER_POLICYMAPS_H
#define PST_LOADER_POLICYMAPS_H

#include "loader/maps.h"
#include "loader/plan.h"
#include "loader/region.h"

/* Is the map one of the four, and has one that is pinned another size than it is to have? */
bool policymaps_outgrown(const struct pins *pins, const struct loader_config *config, const char *name);
/* Is it the table of lines, and were its programs not attached meanwhile? Then those who left are in it. */
bool policymaps_missed(const struct pins *pins, const char *name);
/* The key of the hashes of paths, drawn once: what programs remember and what tables say is hashed with it.
 * 0 or -errno. */
int policymaps_key(struct pins *pins);
/* After all maps are there: what is in force into those that @maps made anew, and the key into the page.
 * 0 or -errno. */
int policymaps_take_over(const struct pins *pins, const struct maps *maps);
/* Those that are pinned are in use after all. */
void policymaps_stay(const struct pins *pins);
/* What is attached, operation by operation, into the page that is pinned. NULL: nothing any more. */
void policymaps_attached(const struct pins *pins, const struct outcomes *outcomes, bool kills);
/* The page of an earlier load: whoever has it mapped learns that nothing reads it any more. */
void policymaps_left(struct region *page);

/* enum pst_pol_level of an operation, by what is attached. */
uint8_t policymaps_level(const struct outcomes *outcomes, bool kills, unsigned op);
/* A sensor that would judge with less than what is attached though policies are in force, and though the
 * configuration asks for no less. NULL: none would. */
const char *policymaps_weaker(const struct pins *pins, const struct plan *plan, bool kills);

#endif
