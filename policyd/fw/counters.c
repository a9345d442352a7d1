// SPDX-License-Identifier: Apache-2.0
/* Where rules count, across updates. */
#include <errno.h>
#include <stdlib.h>

#include "policyd/fw/names.h"
#include "policyd/fw/parse.h"
#include "proto/base/cleanup.h"

#define OLD_USES 1
#define NEW_USES 2

struct places {
	uint8_t *used;
	uint32_t *of; /* rule of the new set -> place, or max: none yet */
	uint32_t max;
};

static void places_done(struct places *p)
{
	free(p->used);
	free(p->of);
}

/* Namesakes keep their places. */
static int keep(struct places *p, const struct fw_ruleset *old, const struct fw_ruleset *new_set)
{
	PST_CLEANUP(fw_names_done) struct fw_names names = {0};
	uint32_t place;

	for (size_t i = 0; old && i < old->n; i++) {
		place = old->rules[i].counter;
		if (place >= p->max)
			continue;
		p->used[place] |= OLD_USES;
		if (old->rules[i].name && fw_names_add(&names, old->rules[i].name, place) == -ENOMEM)
			return -ENOMEM;
	}
	for (size_t i = 0; i < new_set->n; i++) {
		p->of[i] = p->max;
		if (!new_set->rules[i].name || !fw_names_find(&names, new_set->rules[i].name, &place) ||
			p->used[place] & NEW_USES)
			continue;
		p->used[place] |= NEW_USES;
		p->of[i] = place;
	}
	return 0;
}

/* The rest: first what nobody uses, then what the old rules leave. */
static void fill(struct places *p, size_t n)
{
	size_t rule = 0;

	for (uint8_t busy = OLD_USES | NEW_USES; busy; busy = busy == NEW_USES ? 0 : NEW_USES)
		for (uint32_t place = 0; place < p->max; place++) {
			while (rule < n && p->of[rule] < p->max)
				rule++;
			if (rule == n)
				return;
			if (p->used[place] & busy)
				continue;
			p->used[place] |= NEW_USES;
			p->of[rule] = place;
		}
}

int fw_counters_assign(
	const struct fw_ruleset *old, struct fw_ruleset *new_set, uint32_t max, bool *ret_fresh)
{
	PST_CLEANUP(places_done) struct places p = {.max = max};

	if (new_set->n > max)
		return -ENOSPC;
	p.used = calloc((size_t)max + 1, 1);
	p.of = calloc(new_set->n + 1, sizeof(*p.of));
	if (!p.used || !p.of || keep(&p, old, new_set) < 0)
		return -ENOMEM;
	if (ret_fresh)
		for (size_t i = 0; i < new_set->n; i++)
			ret_fresh[i] = p.of[i] == max;
	fill(&p, new_set->n);
	for (size_t i = 0; i < new_set->n; i++)
		new_set->rules[i].counter = p.of[i];
	return 0;
}
