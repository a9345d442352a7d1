// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/tables.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/wire/fmt.h"

static const struct kind {
	const char *map;
	size_t offset;  /* in struct guard_tables */
	uint32_t value; /* its size; 0: to be found out */
} kinds[] = {
	{PST_MAP_GUARD, offsetof(struct guard_tables, guard), sizeof(struct pst_guard)},
	{PST_MAP_FW_LINES, offsetof(struct guard_tables, fw), 0},
	{PST_MAP_BLOCK_LINES, offsetof(struct guard_tables, block), sizeof(union pst_line)},
	{PST_MAP_GUARD_SIGS, offsetof(struct guard_tables, sigs), sizeof(struct pst_sigs)},
	{PST_MAP_OFFENDERS, offsetof(struct guard_tables, offenders), sizeof(struct pst_offenders)},
	{PST_MAP_SAMPLES, offsetof(struct guard_tables, samples), sizeof(struct pst_sample)},
	{PST_MAP_GUARD_COUNTS, offsetof(struct guard_tables, counts), sizeof(struct pst_guard_counts)},
};

static struct pst_shm *region(struct guard_tables *t, const struct kind *k)
{
	return (struct pst_shm *)((char *)t + k->offset);
}

/* ---- maps ---- */

int guard_tables_map(const struct pst_fds *fds, uint64_t now_ns, struct guard_tables *ret_tables)
{
	PST_CLEANUP(guard_tables_unmap) struct guard_tables t = {0};
	int e = 0;

	for (size_t i = 0; !e && i < PST_ARRAY_SIZE(kinds); i++)
		e = guard_region_map(fds, kinds[i].map, kinds[i].value, region(&t, &kinds[i]));
	e = e ? e : guard_tables_check(&t, now_ns);
	if (e)
		return e;
	*ret_tables = t;
	t = (struct guard_tables){0};
	return 0;
}

static int refuse(const char *map, const struct pst_shm *shm)
{
	pst_error("the loader's map has a size that is of no use map=%s value_size=%zu max_entries=%zu", map,
		shm->entry_size, shm->entries);
	return -EINVAL;
}

int guard_tables_check(struct guard_tables *t, uint64_t now_ns)
{
	struct pst_guard *g = t->guard.base;

	if (t->guard.entry_size != sizeof(*g) || t->guard.entries != 1)
		return refuse(PST_MAP_GUARD, &t->guard);
	if (t->counts.entry_size != sizeof(struct pst_guard_counts) || !t->counts.entries ||
		t->counts.entries > GUARD_CPUS_MAX)
		return refuse(PST_MAP_GUARD_COUNTS, &t->counts);
	guard_table_init(&t->firewall, &g->fw_generation, &g->fw_last, &t->fw,
		t->fw.entry_size / sizeof(union pst_line), now_ns);
	if (t->fw.entries != 2 || t->fw.entry_size % sizeof(union pst_line) || !t->firewall.n)
		return refuse(PST_MAP_FW_LINES, &t->fw);
	guard_table_init(
		&t->lists, &g->block_generation, &g->block_last, &t->block, t->block.entries / 2, now_ns);
	if (t->block.entry_size != sizeof(union pst_line) || t->block.entries % 2 || !t->lists.n)
		return refuse(PST_MAP_BLOCK_LINES, &t->block);
	if (t->sigs.entry_size != sizeof(struct pst_sigs) || t->sigs.entries != 2)
		return refuse(PST_MAP_GUARD_SIGS, &t->sigs);
	if (t->offenders.entry_size != sizeof(struct pst_offenders) ||
		t->offenders.entries != PST_OFFENDER_SETS + 1)
		return refuse(PST_MAP_OFFENDERS, &t->offenders);
	if (t->samples.entry_size != sizeof(struct pst_sample) || t->samples.entries != PST_SAMPLES)
		return refuse(PST_MAP_SAMPLES, &t->samples);
	guard_table_init(&t->signatures, &g->sig_generation, &((struct pst_sigs *)t->sigs.base)->last,
		&t->sigs, sizeof(struct pst_sigs) / sizeof(union pst_line), now_ns);
	return 0;
}

void guard_tables_unmap(struct guard_tables *t)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(kinds); i++)
		pst_shm_unmap(region(t, &kinds[i]));
	memset(t, 0, sizeof(*t));
}

struct guard_memory guard_memory_for(uint64_t lines)
{
	uint64_t half = GUARD_LINES_MIN;
	struct guard_memory m;

	while (half < lines)
		half *= 2;
	*pst_fmt_size(m.text, 2 * half * sizeof(union pst_line)) = '\0';
	return m;
}

/* ---- are they the same? ---- */

/* A word of each map that no program reads: of a table, the last one of the half that is not in force. */
static __u64 *scratch_of_half(const struct guard_table *t)
{
	union pst_line *half = guard_half(t, guard_generation(t) + 1);

	return &half[t->n - 1].u64[PST_ARRAY_SIZE(half->u64) - 1];
}

static __u64 *scratch(const struct guard_tables *t, unsigned which)
{
	struct pst_guard_counts *counts = t->counts.base;
	struct pst_offenders *offenders = t->offenders.base;

	switch (which) {
	case 0:
		return &((struct pst_guard *)t->guard.base)->fw_last;
	case 1:
		return scratch_of_half(&t->firewall);
	case 2:
		return scratch_of_half(&t->lists);
	case 3:
		return scratch_of_half(&t->signatures);
	case 4:
		return &offenders[PST_OFFENDER_HEAD].way[PST_OFFENDER_WAYS - 1].word;
	case 5:
		return &((struct pst_sample *)t->samples.base)->pad;
	default:
		return &counts->reason[PST_GUARD_REASONS_ROOM - 1].bytes;
	}
}

bool guard_tables_same(const struct guard_tables *a, const struct guard_tables *b)
{
	if (a->fw.len != b->fw.len || a->block.len != b->block.len || a->counts.len != b->counts.len)
		return false;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(kinds); i++)
		if (!guard_same_word(scratch(a, i), scratch(b, i)))
			return false;
	return true;
}

/* ---- state ---- */

uint32_t guard_attached(const struct guard_tables *t)
{
	const struct pst_guard *word = t->guard.base;

	return word ? __atomic_load_n(&word->ifaces.attached, __ATOMIC_ACQUIRE) : 0;
}

bool guard_idle(const struct guard_tables *t)
{
	return guard_tables_mapped(t) && !guard_attached(t);
}

bool guard_tables_moved(const struct guard_tables *t)
{
	const struct pst_guard *word = t->guard.base;

	return word && __atomic_load_n(&word->can, __ATOMIC_ACQUIRE) & PST_GUARD_MOVED;
}

const char *guard_state(const struct guard_tables *t, const struct guard_table *table, bool pending)
{
	if (!guard_tables_mapped(t))
		return "not guarded";
	if (pending || guard_tables_moved(t))
		return "pending";
	if (!guard_generation(table))
		return "off";
	return guard_idle(t) ? "not enforced" : "in force";
}

/* ---- staged ---- */

int guard_stage(uint32_t n, uint64_t generation, struct guard_staged *ret_staged)
{
	struct guard_staged s = {.n = n, .generation = generation};
	int e = pst_shm_fake(sizeof(union pst_line), n, &s.shm);

	s.lines = s.shm.base;
	if (!e)
		*ret_staged = s;
	return e;
}

void guard_staged_done(struct guard_staged *s)
{
	pst_shm_unmap(&s->shm);
	memset(s, 0, sizeof(*s));
}
