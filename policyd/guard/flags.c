// SPDX-License-Identifier: Apache-2.0
/* What the packet programs do beside looking into tables: one word of flags, and the limits. */
#include "policyd/guard/flags.h"

#include <string.h>

#include "policyd/guard/internal.h"
#include "policyd/guard/offenders.h"
#include "policyd/guard/tops.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

/* Connections that are older than their tracking are picked up from a segment in their middle for so long. */
#define LOOSE_NS 60000000000ull

#define DROP_FLAGS ((uint64_t)PST_GUARD_DROP_TRUNCATED | PST_GUARD_DROP_MALFORMED | PST_GUARD_DROP_NO_IP)

static bool names_state(const struct firewall_rules *rules)
{
	for (size_t i = 0; rules->set && i < rules->set->n; i++)
		if (rules->set->rules[i].has & FW_HAS_STATE)
			return true;
	return false;
}

/* Of the rules in force and of those that come, and of signatures: tracking begins before the first packet is
 * asked for it. */
static uint64_t tracking(struct guard *g, uint64_t flags, uint64_t now_ns)
{
	const struct firewall *fw = &g->firewall;
	/* the rules in force may be an earlier process's: then tracking goes on as that had it */
	bool theirs = !fw->current.set && guard_generation(&g->tables.firewall) && flags & PST_GUARD_CT;

	/* and so may the signatures, when none could be read since, or until new ones are in force */
	bool their_sigs = (!g->signatures.loaded || g->signatures.pending) &&
			  guard_generation(&g->tables.signatures) && flags & PST_GUARD_CT;

	if (!theirs && !their_sigs && !names_state(&fw->current) && !names_state(&fw->next) &&
		!signatures_ask(&g->signatures) && !offenders_ask(&g->config.ddos.offenders))
		return 0;
	if (!(flags & PST_GUARD_CT))
		pst_info("connections are tracked");
	/* an earlier process, or the loader, whose tables of connections are new, asks for it */
	if (!(flags & PST_GUARD_CT) || (flags & PST_GUARD_CT_LOOSE && !(g->flags & PST_GUARD_CT_LOOSE)))
		g->loose_until_ns = now_ns + LOOSE_NS;
	return PST_GUARD_CT | (now_ns < g->loose_until_ns ? PST_GUARD_CT_LOOSE : 0);
}

static bool limits_all(const struct guard_config *c)
{
	return c->limits.cost_ns[PST_LIMIT_PACKETS] || c->limits.cost_ns[PST_LIMIT_BYTES] ||
	       c->limits.cost_ns[PST_LIMIT_CONNECTIONS];
}

static bool limits_protocols(const struct guard_config *c)
{
	for (unsigned p = 0; p < PST_SIG_PROTOCOLS; p++)
		for (unsigned i = 0; i < PST_LIMITS; i++)
			if (c->by_protocol[p].cost_ns[i])
				return true;
	return false;
}

bool guard_has_limits(const struct guard_config *c)
{
	return limits_all(c) || limits_protocols(c);
}

/* What cannot be read could be what a list or a limit is there for. */
static bool judges(const struct guard *g)
{
	return guard_generation(&g->tables.firewall) || guard_generation(&g->tables.lists) ||
	       guard_has_limits(&g->config) || g->config.limits.syn_cost_ns ||
	       g->config.ddos.flags == DDOS_DROP || guard_generation(&g->tables.signatures);
}

static void set_limits(const struct guard *g, struct pst_guard *word)
{
	struct pst_guard_limits limits = g->config.limits;

	offenders_limits(&g->config.ddos.offenders, &limits);
	limits.sample_mask = tops_mask(g->config.ddos.detect_packets);
	if (memcmp(&word->limits, &limits, sizeof(limits)) != 0)
		word->limits = limits;
	if (memcmp(word->by_protocol, g->config.by_protocol, sizeof(word->by_protocol)) != 0)
		memcpy(word->by_protocol, g->config.by_protocol, sizeof(word->by_protocol));
}

static void set_bad_flags(const struct guard *g, struct pst_guard *word)
{
	uint64_t bad = g->config.ddos.flags == DDOS_OFF ? 0 : ddos_bad_flags();

	if (word->bad_flags != bad)
		__atomic_store_n(&word->bad_flags, bad, __ATOMIC_RELAXED);
}

/* Made anew it has another number; while it is not there, its packets are dropped as ever. */
static uint64_t scrub(struct guard *g, struct pst_guard *word)
{
	const char *name = g->config.ddos.scrub;
	uint32_t index = name ? ifnames_index(name, &g->firewall.ifnames) : 0;

	if (name && !index && !g->scrub_told)
		pst_warn(
			"there is no scrubbing interface: what would go there is dropped interface=%s", name);
	if (index && index != g->scrub_ifindex)
		pst_info("what signatures and limits drop is sent to interface=%s ifindex=%u", name, index);
	g->scrub_told = name && !index;
	g->scrub_ifindex = index;
	if (word->scrub_ifindex != index)
		__atomic_store_n(&word->scrub_ifindex, index, __ATOMIC_RELAXED);
	return index ? PST_GUARD_SCRUB : 0;
}

/* Before the flags: a program that sees them finds the port. */
static uint64_t inner(const struct guard *g, struct pst_guard *word)
{
	if (word->vxlan_port != g->config.vxlan_port)
		__atomic_store_n(&word->vxlan_port, g->config.vxlan_port, __ATOMIC_RELEASE);
	return g->config.inner;
}

void guard_flags_set(struct guard *g, uint64_t now_ns)
{
	struct pst_guard *word = g->tables.guard.base;
	uint64_t flags, before;

	if (!word)
		return;
	before = __atomic_load_n(&word->flags, __ATOMIC_ACQUIRE);
	flags = tracking(g, before, now_ns) | ddos_dry_runs(&g->config.ddos) |
		offenders_flags(&g->config.ddos.offenders) |
		(g->config.ddos.detect_packets ? PST_GUARD_SAMPLES : 0u) |
		(g->config.flows ? PST_GUARD_FLOWS : 0u);
	if (judges(g))
		flags |= g->config.drop.all & DROP_FLAGS;
	if (drops_set(&g->config.drop, &g->firewall.ifnames, &word->ifaces, judges(g)))
		flags |= PST_GUARD_DROP_IFACES;
	flags |= (limits_all(&g->config) ? PST_GUARD_LIMITS : 0u) |
		 (limits_protocols(&g->config) ? PST_GUARD_BY_PROTOCOL : 0u);
	set_limits(g, word);
	flags |= scrub(g, word) | inner(g, word);
	flags |= syn_flags(&g->syn, &g->config, word);
	if (flags != before)
		__atomic_store_n(&word->flags, flags, __ATOMIC_RELEASE);
	/* last: whether it runs dry is known by then */
	set_bad_flags(g, word);
	g->flags = flags;
}
