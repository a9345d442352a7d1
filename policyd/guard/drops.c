// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/drops.h"

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

/* NULL: policyd.drop holds for it. */
static const struct drops_entry *entry_of(const struct drops_config *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (pst_ifpattern_match(c->v[i].pattern, name))
			return &c->v[i];
	return NULL;
}

static bool put(__u64 table[PST_GUARD_IFACES], uint32_t ifindex, uint64_t flags)
{
	for (uint32_t i = 0; i < PST_GUARD_IFACE_TRIES; i++) {
		__u64 *slot = &table[(ifindex + i) % PST_GUARD_IFACES];

		if (*slot && *slot >> 32 != ifindex)
			continue;
		*slot = (uint64_t)ifindex << 32 | flags;
		return true;
	}
	return false;
}

static void add(
	const struct drops_config *c, struct ifnames *names, uint32_t ifindex, __u64 table[PST_GUARD_IFACES])
{
	const char *name = ifindex ? ifnames_name(ifindex, names) : NULL;
	const struct drops_entry *e = name ? entry_of(c, name) : NULL;

	if (e && !put(table, ifindex, (c->all & ~e->set) | (e->flags & e->set)))
		pst_warn_limited("too many interfaces whose numbers differ by multiples of %d: policyd.drop "
				 "holds for interface=%s",
			PST_GUARD_IFACES, name);
}

bool drops_set(
	const struct drops_config *c, struct ifnames *names, struct pst_guard_ifaces *ifaces, bool judges)
{
	__u64 table[PST_GUARD_IFACES] = {0};
	uint32_t n = c->n && judges ? __atomic_load_n(&ifaces->attached, __ATOMIC_ACQUIRE) : 0;
	bool any = false;

	if (n > PST_GUARD_IFACES)
		pst_warn_limited("more than %d guarded interfaces: policyd.drop holds for the rest, and not "
				 "policyd.drop.interfaces",
			PST_GUARD_IFACES);
	for (uint32_t i = 0; i < PST_MIN(n, (uint32_t)PST_GUARD_IFACES); i++)
		add(c, names, __atomic_load_n(&ifaces->ifindex[i], __ATOMIC_RELAXED), table);
	for (uint32_t i = 0; i < PST_GUARD_IFACES; i++) {
		any |= table[i] != 0;
		if (ifaces->drop[i] != table[i])
			__atomic_store_n(&ifaces->drop[i], table[i], __ATOMIC_RELAXED);
	}
	return any;
}
