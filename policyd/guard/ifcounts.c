// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/ifcounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/guard/counts.h"
#include "proto/base/cleanup.h"
#include "proto/wire/names.h"

#define SWEEP_NS 60000000000ull

enum { OTHER, GONE, FIRST };

static struct pst_guard_counts *of_cpu(const struct guard_tables *t, size_t cpu)
{
	return (struct pst_guard_counts *)t->counts.base + cpu;
}

static struct pst_guard_count *cells(struct pst_guard_counts *c, size_t place)
{
	return &c->iface[place * PST_GUARD_CELLS];
}

static uint32_t owner(const struct pst_guard_counts *c, size_t place)
{
	return __atomic_load_n(&c->ifindex[place], __ATOMIC_RELAXED);
}

/* ---- adding up ---- */

static void add(struct guard_iface *to, const struct pst_guard_count *from)
{
	for (size_t i = 0; i < PST_GUARD_CELLS; i++)
		guard_count_add(&to->cell[i], &from[i]);
}

static struct guard_iface *row_of(struct guard_ifaces *all, uint32_t ifindex)
{
	for (size_t i = FIRST; i < all->n; i++)
		if (all->v[i].ifindex == ifindex)
			return &all->v[i];
	if (all->n == PST_ARRAY_SIZE(all->v))
		return &all->v[OTHER];
	all->v[all->n].ifindex = ifindex;
	return &all->v[all->n++];
}

static void add_cpu(struct guard_ifaces *all, struct pst_guard_counts *c)
{
	for (size_t place = 0; place < PST_GUARD_COUNTED_IFACES; place++) {
		uint32_t ifindex = owner(c, place);

		if (ifindex)
			add(row_of(all, ifindex), cells(c, place));
	}
	add(&all->v[OTHER], cells(c, PST_GUARD_COUNTED_OTHER));
	add(&all->v[GONE], cells(c, PST_GUARD_COUNTED_GONE));
}

/* Where an interface is shown that has no row of its own: it has no name any more, or one of the two that are
 * taken. */
static struct guard_iface *instead(struct guard_ifaces *all, const char *name)
{
	if (!name || !strcmp(name, all->v[GONE].name))
		return &all->v[GONE];
	return strcmp(name, all->v[OTHER].name) != 0 ? NULL : &all->v[OTHER];
}

static void name_all(struct guard_ifaces *all, struct ifnames *names)
{
	size_t n = FIRST;

	for (size_t i = FIRST; i < all->n; i++) {
		struct guard_iface *row = &all->v[i];
		const char *name = ifnames_name(row->ifindex, names);
		struct guard_iface *to = instead(all, name);

		if (to) {
			add(to, row->cell);
			continue;
		}
		snprintf(row->name, sizeof(row->name), "%s", name);
		all->v[n++] = *row;
	}
	all->n = n;
}

static int by_index(const void *a, const void *b)
{
	const struct guard_iface *x = a, *y = b;

	return (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

struct guard_ifaces *guard_ifaces_read(const struct guard_tables *t, struct ifnames *names)
{
	struct guard_ifaces *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->n = FIRST;
	snprintf(all->v[OTHER].name, sizeof(all->v[OTHER].name), "other");
	snprintf(all->v[GONE].name, sizeof(all->v[GONE].name), "gone");
	for (size_t cpu = 0; cpu < t->counts.entries; cpu++)
		add_cpu(all, of_cpu(t, cpu));
	name_all(all, names);
	qsort(&all->v[FIRST], all->n - FIRST, sizeof(*all->v), by_index);
	return all;
}

/* ---- cells ---- */

/* False: a cell in which no program counts. */
static bool cell_names(unsigned i, struct guard_cell *cell)
{
	bool out = i >= PST_GUARD_CELLS / 2;

	cell->direction = out ? "out" : "in";
	cell->protocol = pst_guard_protocol_name(i >> 2 & 7);
	cell->verdict = pst_guard_verdict_name(i & 3);
	return cell->protocol && cell->verdict && (!out || (i & 3) == PST_GUARD_PASS);
}

bool guard_ifaces_next(const struct guard_ifaces *all, size_t *at, struct guard_cell *ret)
{
	while (*at < all->n * PST_GUARD_CELLS) {
		size_t i = (*at)++;
		const struct guard_iface *row = &all->v[i / PST_GUARD_CELLS];

		ret->interface = row->name;
		ret->count = row->cell[i % PST_GUARD_CELLS];
		if (ret->count.packets && cell_names(i % PST_GUARD_CELLS, ret))
			return true;
	}
	return false;
}

/* ---- interfaces that are gone ---- */

static bool has(const struct guard_gone *list, uint32_t ifindex)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i] == ifindex)
			return true;
	return false;
}

/* First the sum, then the place, which a program may take from then on. */
static void release(struct pst_guard_counts *c, size_t place)
{
	struct pst_guard_count *to = cells(c, PST_GUARD_COUNTED_GONE), *from = cells(c, place);

	for (size_t i = 0; i < PST_GUARD_CELLS; i++) {
		guard_count_add(&to[i], &from[i]);
		from[i] = (struct pst_guard_count){0};
	}
	__atomic_store_n(&c->ifindex[place], 0, __ATOMIC_RELEASE);
}

static void sweep_cpu(struct pst_guard_counts *c, struct ifnames *names, const struct guard_gone *before,
	struct guard_gone *now)
{
	for (size_t place = 0; place < PST_GUARD_COUNTED_IFACES; place++) {
		uint32_t ifindex = owner(c, place);

		if (!ifindex || !ifnames_is_gone(ifindex, names))
			continue;
		if (has(before, ifindex))
			release(c, place);
		else if (now->n < PST_ARRAY_SIZE(now->v) && !has(now, ifindex))
			now->v[now->n++] = ifindex;
	}
}

void guard_ifaces_sweep(
	const struct guard_tables *t, struct ifnames *names, struct guard_gone *gone, uint64_t now_ns)
{
	struct guard_gone now = {.next_ns = now_ns + SWEEP_NS};

	if (now_ns < gone->next_ns)
		return;
	for (size_t cpu = 0; cpu < t->counts.entries; cpu++)
		sweep_cpu(of_cpu(t, cpu), names, gone, &now);
	*gone = now;
}
