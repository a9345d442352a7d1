// SPDX-License-Identifier: Apache-2.0
#include "loader/policymaps.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "loader/tablemaps.h"
#include "proto/abi/facts.h"
#include "proto/abi/policy.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

/* ---- sizes ---- */

#define N_MAPS 4

static void wanted_sizes(const struct loader_config *config, struct tablemap wanted[N_MAPS])
{
	uint32_t half = (uint32_t)(config->policy_memory / 4);

	wanted[0] = (struct tablemap){PST_MAP_POLICY, {1, sizeof(struct pst_policy)}};
	wanted[1] = (struct tablemap){PST_MAP_POLICY_LINES, {2, half}};
	wanted[2] = (struct tablemap){PST_MAP_PATH_LINES, {2, half}};
	wanted[3] = (struct tablemap){PST_MAP_POLICY_NAMES, {2, sizeof(struct pst_pol_labels)}};
}

bool policymaps_outgrown(const struct pins *pins, const struct loader_config *config, const char *name)
{
	struct tablemap wanted[N_MAPS];

	wanted_sizes(config, wanted);
	for (size_t i = 0; i < N_MAPS; i++)
		if (!strcmp(wanted[i].name, name))
			return tablemaps_differ(pins, wanted, N_MAPS);
	return false;
}

bool policymaps_missed(const struct pins *pins, const char *name)
{
	static const char *const programs[] = {"line_fork", "line_exec", "line_exit"};

	if (strcmp(name, PST_MAP_LINEAGES) != 0)
		return false;
	for (size_t i = 0; i < PST_ARRAY_SIZE(programs); i++)
		if (!pins_exists(pins, PIN_LINKS, programs[i]))
			return true;
	return !pins_exists(pins, PIN_MAPS, PST_MAP_POLICY); /* which says since when lines are kept */
}

/* ---- contents ---- */

/* 0; -ENOENT: there is none, or one of another layout; -errno. */
static int page_pinned(const struct pins *pins, struct region *ret)
{
	int r = region_map_pinned(pins, PST_MAP_POLICY, ret);

	return r || ret->bytes >= sizeof(struct pst_policy) ? r : -ENOENT;
}

int policymaps_key(struct pins *pins)
{
	PST_CLEANUP(region_unmap) struct region page = {0};
	uint64_t *key = pins->state->path_key;

	if (key[0] || key[1])
		return 0;
	/* a state that was made anew; tables may be in force */
	if (!page_pinned(pins, &page))
		memcpy(key, ((struct pst_policy *)page.p)->key, sizeof(pins->state->path_key));
	if (key[0] || key[1])
		return 0;
	return getrandom(key, sizeof(pins->state->path_key), 0) == (ssize_t)sizeof(pins->state->path_key)
		       ? 0
		       : -EIO;
}

static void take_page(const struct tablemove *move, const struct tablemove halves[3])
{
	struct pst_policy *from = (struct pst_policy *)move->from.p, *to = (struct pst_policy *)move->to.p;

	memcpy(to, from, PST_MIN(move->from.bytes, move->to.bytes));
	to->generation = to->flags = 0;
	__atomic_fetch_or(&from->flags, PST_POLICY_MOVED, __ATOMIC_SEQ_CST);
	tablemove_halves(halves, 3, &from->generation, &to->generation, "set of policies");
	pst_info("the tables of policies have another size: policyd asks for them");
}

static int take_tables(const struct pins *pins, const struct maps *maps)
{
	static const char *const names[] = {PST_MAP_POLICY_LINES, PST_MAP_PATH_LINES, PST_MAP_POLICY_NAMES};
	PST_CLEANUP(tablemove_done) struct tablemove page = {0};
	struct tablemove halves[3] = {0};
	int r = tablemove_open(pins, maps, PST_MAP_POLICY, &page);

	for (size_t i = 0; i < PST_ARRAY_SIZE(names) && r > 0; i++)
		r = tablemove_open(pins, maps, names[i], &halves[i]);
	if (r > 0)
		take_page(&page, halves);
	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++)
		tablemove_done(&halves[i]);
	return PST_MIN(r, 0);
}

static int tell_key(const struct pins *pins, const struct maps *maps)
{
	const struct map_entry *map = maps_find(maps, PST_MAP_POLICY);
	PST_CLEANUP(region_unmap) struct region page = {0};
	int r = map ? region_map(map->fd, &page) : 0;

	if (map && !r)
		memcpy(((struct pst_policy *)page.p)->key, pins->state->path_key,
			sizeof(pins->state->path_key));
	return r;
}

int policymaps_take_over(const struct pins *pins, const struct maps *maps)
{
	int r = take_tables(pins, maps);

	return r ? r : tell_key(pins, maps);
}

void policymaps_stay(const struct pins *pins)
{
	PST_CLEANUP(region_unmap) struct region page = {0};

	if (!page_pinned(pins, &page))
		__atomic_fetch_and(
			&((struct pst_policy *)page.p)->flags, ~(__u64)PST_POLICY_MOVED, __ATOMIC_RELEASE);
}

/* ---- what is attached ---- */

static uint8_t level_of(unsigned can)
{
	return can & CAN_DENY ? PST_LEVEL_DENY : can & CAN_KILL ? PST_LEVEL_KILL : PST_LEVEL_OBSERVE;
}

uint8_t policymaps_level(const struct outcomes *outcomes, bool kills, unsigned op)
{
	uint8_t level = PST_LEVEL_NONE;

	for (int s = 0; s < SENSOR_MAX && outcomes; s++) {
		int r = outcomes->sensors[s].rung;

		if (r != RUNG_NONE && sensors[s].ops & PST_OP_BIT(op))
			level = PST_MAX(level, level_of(ladder_can(&sensors[s].rungs[r], kills)));
	}
	return level;
}

static void put_levels(struct pst_policy *page, const struct outcomes *outcomes, bool kills)
{
	for (unsigned op = 0; op < PST_OPS_MAX; op++)
		__atomic_store_n(&page->level[op], policymaps_level(outcomes, kills, op), __ATOMIC_RELEASE);
}

void policymaps_attached(const struct pins *pins, const struct outcomes *outcomes, bool kills)
{
	PST_CLEANUP(region_unmap) struct region page = {0};
	int r = page_pinned(pins, &page);

	if (!r)
		put_levels((struct pst_policy *)page.p, outcomes, kills);
	else if (r != -ENOENT)
		pst_warn_limited("cannot tell policyd what its policies can do error=%s", strerror(-r));
}

void policymaps_left(struct region *region)
{
	struct pst_policy *page = (struct pst_policy *)region->p;

	if (region->bytes < sizeof(*page))
		return;
	put_levels(page, NULL, false);
	__atomic_fetch_or(&page->flags, PST_POLICY_MOVED, __ATOMIC_SEQ_CST);
}

/* ---- what would be lost ---- */

static bool is_pinned(const struct pins *pins, const struct rung *rung)
{
	for (unsigned p = 0; p < RUNG_PROGRAMS_MAX && rung->programs[p].object; p++)
		if (!rung->programs[p].optional && !pins_exists(pins, PIN_LINKS, rung->programs[p].program))
			return false;
	return true;
}

/* Of what is attached, whatever build did it. */
static uint8_t pinned_level(const struct pins *pins, int s, bool kills)
{
	for (int r = 0; r < RUNGS_MAX && sensors[s].rungs[r].name; r++)
		if (is_pinned(pins, &sensors[s].rungs[r]))
			return level_of(ladder_can(&sensors[s].rungs[r], kills));
	return PST_LEVEL_NONE;
}

static uint8_t planned_level(const struct plan *plan, int s, bool kills)
{
	const struct rung *rung = plan_rung(plan, (enum sensor_id)s);

	return rung ? level_of(ladder_can(rung, kills)) : PST_LEVEL_NONE;
}

const char *policymaps_weaker(const struct pins *pins, const struct plan *plan, bool kills)
{
	PST_CLEANUP(region_unmap) struct region page = {0};

	if (page_pinned(pins, &page) || !((struct pst_policy *)page.p)->generation)
		return NULL;
	for (int s = 0; s < SENSOR_MAX; s++)
		if (sensors[s].ops && !plan->o->sensors[s].off && !strcmp(plan->config->rungs[s], "auto") &&
			planned_level(plan, s, kills) < pinned_level(pins, s, kills))
			return sensors[s].name;
	return NULL;
}
