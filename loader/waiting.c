// SPDX-License-Identifier: Apache-2.0
#include "loader/waiting.h"

#include "loader/patterns.h"
#include "proto/abi/guard.h"
#include "proto/base/log.h"

const char *waiting_name(enum waiting_list list)
{
	static const char *const names[] = {"guard.interfaces", "interfaces", "xdp"};

	return names[list];
}

const struct pst_strs *waiting_patterns(const struct loader_config *config, enum waiting_list list)
{
	return list == WAITING_GUARD        ? &config->guarded
	       : list == WAITING_INTERFACES ? &config->interfaces
					    : &config->xdp;
}

static bool is_on(const struct loader_config *config, enum waiting_list list)
{
	return config->sensors[list == WAITING_GUARD ? SENSOR_GUARD : SENSOR_FLOWS];
}

/* The loopback interface is never guarded, so who asks for it waits for another. */
static bool counts(const struct net_iface *iface, enum waiting_list list)
{
	return list != WAITING_GUARD || iface->ifindex != PST_GUARD_WHY_IFINDEX;
}

static uint64_t look(const struct loader_config *config, const struct net *net, enum waiting_list list)
{
	const struct pst_strs *patterns = waiting_patterns(config, list);
	uint64_t left = is_on(config, list) ? patterns_asking(patterns) : 0;

	for (unsigned i = 0; i < net->n && left; i++)
		if (counts(&net->v[i], list))
			left &= ~patterns_hit(patterns, net->v[i].name, net->v[i].uplink);
	return left;
}

static void say(enum waiting_list list, const char *entry, bool waits, bool serving)
{
	if (!waits)
		pst_info("an interface is there that was waited for list=loader.%s entry=\"%s\"",
			waiting_name(list), entry);
	else
		pst_warn("no interface matches, %s list=loader.%s entry=\"%s\"",
			serving ? "waiting for one" : "and nobody waits for one: load again when it is there",
			waiting_name(list), entry);
}

void waiting_look(
	struct waiting *waiting, const struct loader_config *config, const struct net *net, bool serving)
{
	for (int list = 0; list < WAITING_LISTS; list++) {
		uint64_t now = look(config, net, (enum waiting_list)list);
		uint64_t changed = now ^ waiting->entries[list];
		const struct pst_strs *patterns = waiting_patterns(config, (enum waiting_list)list);

		waiting->entries[list] = now;
		for (size_t i = 0; i < patterns->n && i < PATTERNS_MAX; i++)
			if (changed >> i & 1)
				say((enum waiting_list)list, patterns->v[i], now >> i & 1, serving);
	}
}
