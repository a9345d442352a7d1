// SPDX-License-Identifier: Apache-2.0
#include "loader/guardmaps.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "loader/region.h"
#include "loader/tablemaps.h"
#include "proto/abi/ct.h"
#include "proto/abi/guard.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

/* What is in them goes over, and by their words policyd is told. */
static bool is_one(const char *name)
{
	return !strcmp(name, PST_MAP_GUARD) || !strcmp(name, PST_MAP_FW_LINES) ||
	       !strcmp(name, PST_MAP_BLOCK_LINES);
}

bool guardmaps_outgrown(const struct pins *pins, const struct loader_config *config, const char *name)
{
	uint32_t cpus = (uint32_t)PST_MAX(libbpf_num_possible_cpus(), 1);
	const struct tablemap wanted[] = {
		{PST_MAP_GUARD, {1, sizeof(struct pst_guard)}},
		{PST_MAP_FW_LINES, {2, (uint32_t)(config->firewall_memory / 2)}},
		{PST_MAP_BLOCK_LINES,
			{(uint32_t)(config->list_memory / sizeof(union pst_line)), sizeof(union pst_line)}},
		{PST_MAP_GUARD_SIGS, {2, sizeof(struct pst_sigs)}},
		{PST_MAP_OFFENDERS, {PST_OFFENDER_SETS + 1, sizeof(struct pst_offenders)}},
		{PST_MAP_SAMPLES, {PST_SAMPLES, sizeof(struct pst_sample)}},
		{PST_MAP_GUARD_COUNTS, {cpus, sizeof(struct pst_guard_counts)}},
	};

	return is_one(name) && tablemaps_differ(pins, wanted, PST_ARRAY_SIZE(wanted));
}

/* Those of another layout cannot go over, and what is in force would be an empty table. */
static void drop_signatures(const struct pins *pins, const struct maps *maps, struct pst_guard *to)
{
	if (!to->sig_generation || !tablemaps_renewed(pins, maps, PST_MAP_GUARD_SIGS))
		return;
	to->sig_generation = 0;
	pst_warn("signatures are off until policyd has written them anew: their table has another size");
}

int guardmaps_take_over(const struct pins *pins, const struct maps *maps)
{
	PST_CLEANUP(tablemove_done) struct tablemove guard = {0}, firewall = {0}, lists = {0};
	int r = tablemove_open(pins, maps, PST_MAP_GUARD, &guard);

	if (r <= 0 || !guard.from.p || !guard.to.p)
		return r;
	r = tablemove_open(pins, maps, PST_MAP_FW_LINES, &firewall);
	if (r > 0)
		r = tablemove_open(pins, maps, PST_MAP_BLOCK_LINES, &lists);
	if (r <= 0)
		return r;
	struct pst_guard *from = (struct pst_guard *)guard.from.p, *to = (struct pst_guard *)guard.to.p;

	memcpy(to, from, PST_MIN(guard.from.bytes, guard.to.bytes));
	__atomic_fetch_or(&from->can, PST_GUARD_MOVED, __ATOMIC_SEQ_CST);
	to->fw_generation = to->block_generation = 0;
	tablemove_halves(&firewall, 1, &from->fw_generation, &to->fw_generation, "firewall");
	tablemove_halves(&lists, 1, &from->block_generation, &to->block_generation, "allow and block list");
	drop_signatures(pins, maps, to);
	pst_info("the guard's tables have another size: policyd asks for them");
	return 0;
}

int guardmaps_tell(const struct maps *maps, bool syn_cookies)
{
	const struct map_entry *guard = maps_find(maps, PST_MAP_GUARD);
	PST_CLEANUP(region_unmap) struct region words = {0};
	int r = guard ? region_map(guard->fd, &words) : 0;

	if (guard && !r)
		__atomic_store_n(&((struct pst_guard *)words.p)->can,
			syn_cookies ? PST_GUARD_CAN_SYN_COOKIES : 0, __ATOMIC_RELAXED);
	return r;
}

static void put_attached(const struct net *net, struct pst_guard *guard)
{
	struct pst_guard_ifaces *to = &guard->ifaces;
	bool at_xdp = false;
	uint32_t n = 0;

	for (unsigned i = 0; i < net->n; i++) {
		if (net->v[i].guard == NET_NONE)
			continue;
		if (n < PST_GUARD_IFACES)
			__atomic_store_n(&to->ifindex[n], (uint32_t)net->v[i].ifindex, __ATOMIC_RELAXED);
		at_xdp |= net_is_xdp(net->v[i].guard);
		n++;
	}
	if (at_xdp)
		__atomic_fetch_or(&guard->can, PST_GUARD_AT_XDP, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&guard->can, ~(__u64)PST_GUARD_AT_XDP, __ATOMIC_RELAXED);
	__atomic_store_n(&to->attached, n, __ATOMIC_RELEASE);
}

/* 0; -ENOENT: there is none, or one of another layout; -errno. */
static int map_pinned(const struct pins *pins, struct region *ret)
{
	int r = region_map_pinned(pins, PST_MAP_GUARD, ret);

	return r || ret->bytes >= sizeof(struct pst_guard) ? r : -ENOENT;
}

void guardmaps_stay(const struct pins *pins)
{
	PST_CLEANUP(region_unmap) struct region words = {0};

	if (!map_pinned(pins, &words))
		__atomic_fetch_and(
			&((struct pst_guard *)words.p)->can, ~(__u64)PST_GUARD_MOVED, __ATOMIC_RELEASE);
}

void guardmaps_attached(const struct pins *pins, const struct net *net)
{
	PST_CLEANUP(region_unmap) struct region words = {0};
	int r = map_pinned(pins, &words);

	if (!r)
		put_attached(net, (struct pst_guard *)words.p);
	else if (r != -ENOENT)
		pst_warn_limited("cannot tell policyd where the guard is attached error=%s", strerror(-r));
}

int guardmaps_pick_up(const struct pins *pins, const struct maps *maps)
{
	const struct map_entry *guard = maps_find(maps, PST_MAP_GUARD);
	PST_CLEANUP(region_unmap) struct region words = {0};
	int r;

	if (!guard || (!tablemaps_renewed(pins, maps, PST_MAP_CT) &&
			      !tablemaps_renewed(pins, maps, PST_MAP_CT_NEW)))
		return 0;
	r = region_map(guard->fd, &words);
	if (r)
		return r;
	struct pst_guard *g = (struct pst_guard *)words.p;

	if (!(__atomic_load_n(&g->flags, __ATOMIC_RELAXED) & PST_GUARD_CT))
		return 0;
	__atomic_fetch_or(&g->flags, PST_GUARD_CT_LOOSE, __ATOMIC_RELEASE);
	pst_info("the tables of connections are new: connections are picked up in their middle for a while");
	return 0;
}
