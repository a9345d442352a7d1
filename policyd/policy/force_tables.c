// SPDX-License-Identifier: Apache-2.0
/* The tables that kernel programs look up, mapped (proto/abi/policy.h). */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "policyd/policy/force_internal.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

static const struct kind {
	const char *map;
	size_t offset; /* in struct force_tables */
	uint32_t value, entries;
} kinds[] = {
	{PST_MAP_POLICY, offsetof(struct force_tables, page), sizeof(struct pst_policy), 1},
	{PST_MAP_POLICY_LINES, offsetof(struct force_tables, lines), PST_POL_LINES * sizeof(union pst_line),
		2},
	{PST_MAP_PATH_LINES, offsetof(struct force_tables, paths), PST_PATHS_LINES * sizeof(union pst_line),
		2},
	{PST_MAP_POLICY_NAMES, offsetof(struct force_tables, names), sizeof(struct pst_pol_labels), 2},
};

static struct pst_shm *region(struct force_tables *t, const struct kind *k)
{
	return (struct pst_shm *)((char *)t + k->offset);
}

int force_tables_map(const struct pst_fds *fds, uint64_t now_ns, struct force_tables *ret_tables)
{
	PST_CLEANUP(force_tables_unmap) struct force_tables t = {0};
	int e = 0;

	for (size_t i = 0; !e && i < PST_ARRAY_SIZE(kinds); i++)
		e = guard_region_map(fds, kinds[i].map, kinds[i].value, region(&t, &kinds[i]));
	e = e ? e : force_tables_check(&t, now_ns);
	if (e)
		return e;
	*ret_tables = t;
	t = (struct force_tables){0};
	return 0;
}

int force_tables_check(struct force_tables *t, uint64_t now_ns)
{
	struct pst_policy *page = t->page.base;

	for (size_t i = 0; i < PST_ARRAY_SIZE(kinds); i++) {
		const struct pst_shm *shm = region(t, &kinds[i]);

		if (shm->entry_size == kinds[i].value && shm->entries == kinds[i].entries)
			continue;
		pst_error(
			"the loader's map has a size that is of no use map=%s value_size=%zu max_entries=%zu",
			kinds[i].map, shm->entry_size, shm->entries);
		return -EINVAL;
	}
	guard_table_init(&t->half, &page->generation, &page->last, &t->lines, PST_POL_LINES, now_ns);
	return 0;
}

void force_tables_unmap(struct force_tables *t)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(kinds); i++)
		pst_shm_unmap(region(t, &kinds[i]));
	memset(t, 0, sizeof(*t));
}

/* Words of each map that no program reads: of those with halves, in the idle one. */
static __u64 *scratch(const struct force_tables *t, unsigned which)
{
	struct policy_room idle = force_tables_room(t, guard_generation(&t->half) + 1);
	struct pst_pol_labels *names = t->names.base;

	switch (which) {
	case 0:
		return t->half.last;
	case 1:
		return &idle.lines[idle.n_lines - 1].u64[0];
	case 2:
		return &idle.paths[idle.n_paths - 1].u64[0];
	default:
		return &names->pad[0];
	}
}

bool force_tables_same(const struct force_tables *a, const struct force_tables *b)
{
	for (unsigned i = 0; i < PST_ARRAY_SIZE(kinds); i++)
		if (!guard_same_word(scratch(a, i), scratch(b, i)))
			return false;
	return true;
}

bool force_tables_moved(const struct force_tables *t)
{
	const struct pst_policy *page = force_page(t);

	return page && __atomic_load_n(&page->flags, __ATOMIC_ACQUIRE) & PST_POLICY_MOVED;
}

struct policy_room force_tables_room(const struct force_tables *t, uint64_t generation)
{
	return (struct policy_room){.lines = guard_half(&t->half, generation),
		.paths = (union pst_line *)t->paths.base + (generation & 1) * PST_PATHS_LINES,
		.n_lines = PST_POL_LINES,
		.n_paths = PST_PATHS_LINES};
}

void force_tables_label(const struct force_tables *t, const struct policy_tables *of, uint64_t generation)
{
	struct pst_pol_labels *labels = (struct pst_pol_labels *)t->names.base + (generation & 1);
	const struct policy_rule *rule;
	const struct policy *policy;

	__atomic_store_n(&labels->generation, 0, __ATOMIC_SEQ_CST);
	memset(labels->rule, 0, sizeof(labels->rule));
	for (uint32_t i = 0; i < PST_POL_RULES_MAX && policy_tables_rule(of, i, &policy, &rule); i++) {
		memcpy(labels->rule[i].policy, policy->name, strnlen(policy->name, PST_POL_NAME - 1));
		memcpy(labels->rule[i].rule, rule->name, strnlen(rule->name, PST_POL_NAME - 1));
	}
	__atomic_store_n(&labels->generation, generation, __ATOMIC_RELEASE);
}

struct force_levels force_tables_levels(const struct force_tables *t)
{
	const struct pst_policy *page = force_page(t);
	struct force_levels levels = {0};

	for (unsigned i = 0; page && i < PST_OPS_MAX; i++)
		levels.of[i] = __atomic_load_n(&page->level[i], __ATOMIC_RELAXED);
	return levels;
}
