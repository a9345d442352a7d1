// SPDX-License-Identifier: Apache-2.0
/* Does one rule take everything that another takes? Yes is certain; no may be "cannot tell field by field".
 */
#include <string.h>

#include "policyd/fw/covers.h"

/* Comparing every element with every other is for short lists. */
#define PAIRS_MAX 1024

bool fw_prefix_covers(const struct fw_prefix *a, const struct fw_prefix *b)
{
	unsigned bytes = a->len / 8, bits = a->len % 8;

	return a->len <= b->len && fw_prefix_is_ip4(a) == fw_prefix_is_ip4(b) &&
	       !memcmp(a->addr, b->addr, bytes) &&
	       (!bits || ((a->addr[bytes] ^ b->addr[bytes]) & (0xff00 >> bits & 0xff)) == 0);
}

static bool prefixes_share(const struct fw_prefix *a, const struct fw_prefix *b)
{
	return fw_prefix_covers(a, b) || fw_prefix_covers(b, a);
}

static bool prefixes_same(const struct fw_prefixes *a, const struct fw_prefixes *b)
{
	return a->n == b->n && !memcmp(a->v, b->v, a->n * sizeof(*a->v));
}

/* Each of @b lies in one of @a. */
static bool prefixes_in(const struct fw_prefixes *a, const struct fw_prefixes *b)
{
	if (prefixes_same(a, b))
		return true;
	if (a->n * b->n > PAIRS_MAX)
		return false;
	for (size_t i = 0, k; i < b->n; i++) {
		for (k = 0; k < a->n && !fw_prefix_covers(&a->v[k], &b->v[i]); k++)
			;
		if (k == a->n)
			return false;
	}
	return true;
}

/* Nothing of @b lies in @a, and @a names the families of @b (else it says nothing of them). */
static bool prefixes_apart(const struct fw_prefixes *a, const struct fw_prefixes *b)
{
	if (a->n * b->n > PAIRS_MAX)
		return false;
	for (size_t i = 0; i < b->n; i++) {
		bool named = false;

		for (size_t k = 0; k < a->n; k++) {
			if (prefixes_share(&a->v[k], &b->v[i]))
				return false;
			named |= fw_prefix_is_ip4(&a->v[k]) == fw_prefix_is_ip4(&b->v[i]);
		}
		if (!named)
			return false;
	}
	return true;
}

static unsigned families(const struct fw_prefixes *list)
{
	unsigned named = 0;

	for (size_t i = 0; i < list->n; i++)
		named |= fw_prefix_is_ip4(&list->v[i]) ? FW_KIND_IP4 : FW_KIND_IP6;
	return named;
}

static bool addresses(const struct fw_prefixes *a, const struct fw_prefixes *b)
{
	if (!a->n || !b->n)
		return !a->n;
	if (!a->other)
		return !b->other && prefixes_in(a, b);
	if (!b->other)
		return prefixes_apart(a, b);
	return !(families(b) & ~families(a)) && prefixes_in(b, a);
}

static bool ranges_in(const struct fw_ranges *a, const struct fw_ranges *b)
{
	if (a->n == b->n && !memcmp(a->v, b->v, a->n * sizeof(*a->v)))
		return true;
	if (a->n * b->n > PAIRS_MAX)
		return false;
	for (size_t i = 0, k; i < b->n; i++) {
		for (k = 0; k < a->n && (a->v[k].lo > b->v[i].lo || a->v[k].hi < b->v[i].hi); k++)
			;
		if (k == a->n)
			return false;
	}
	return true;
}

static bool ranges_apart(const struct fw_ranges *a, const struct fw_ranges *b)
{
	if (a->n * b->n > PAIRS_MAX)
		return false;
	for (size_t i = 0; i < b->n; i++)
		for (size_t k = 0; k < a->n; k++)
			if (a->v[k].lo <= b->v[i].hi && b->v[i].lo <= a->v[k].hi)
				return false;
	return true;
}

static bool ranges(const struct fw_ranges *a, const struct fw_ranges *b)
{
	if (!a->n || !b->n)
		return !a->n;
	if (a->other)
		return b->other ? ranges_in(b, a) : ranges_apart(a, b);
	return !b->other && ranges_in(a, b);
}

static unsigned families_of_ends(const struct fw_endpoints *list)
{
	unsigned named = 0;

	for (size_t i = 0; i < list->n; i++)
		named |= fw_addr_is_ip4(list->v[i].addr) ? FW_KIND_IP4 : FW_KIND_IP6;
	return named;
}

unsigned fw_rule_kinds(const struct fw_rule *r)
{
	unsigned kinds = FW_KIND_IP4 | FW_KIND_IP6;

	if (r->family)
		kinds = r->family == 4 ? FW_KIND_IP4 : FW_KIND_IP6;
	if (r->src.n)
		kinds &= families(&r->src);
	if (r->dst.n)
		kinds &= families(&r->dst);
	for (int side = 0; side < 2; side++)
		if (r->ends[side].n)
			kinds &= families_of_ends(&r->ends[side]);
	return kinds;
}

static bool protocols(const struct fw_rule *a, const struct fw_rule *b)
{
	uint64_t left[4] = {~0ULL, ~0ULL, ~0ULL, ~0ULL};

	if (!(a->has & FW_HAS_PROTO))
		return true;
	if (b->has & FW_HAS_PROTO)
		memcpy(left, b->protocols, sizeof(left));
	if (b->has & (FW_HAS_TCP_FLAGS | FW_HAS_ICMP))
		left[1] = left[2] = left[3] = 0;
	if (b->has & FW_HAS_TCP_FLAGS)
		left[0] &= 1ULL << 6;
	if (b->has & FW_HAS_ICMP)
		left[0] &= 1ULL << 1 | 1ULL << 58;
	for (int i = 0; i < 4; i++)
		if (left[i] & ~a->protocols[i])
			return false;
	return true;
}

static bool l4(const struct fw_rule *a, const struct fw_rule *b)
{
	if (a->has & FW_HAS_TCP_FLAGS && (!(b->has & FW_HAS_TCP_FLAGS) || a->tcp_mask & ~b->tcp_mask ||
						 (b->tcp_value & a->tcp_mask) != a->tcp_value))
		return false;
	return !(a->has & FW_HAS_ICMP) || (b->has & FW_HAS_ICMP && ranges(&a->icmp, &b->icmp));
}

static bool interfaces(const struct fw_rule *a, const struct fw_rule *b)
{
	if (!(a->has & FW_HAS_IFACE))
		return true;
	if (!(b->has & FW_HAS_IFACE) || a->n_ifaces * b->n_ifaces > PAIRS_MAX)
		return false;
	for (size_t i = 0, k; i < b->n_ifaces; i++) {
		for (k = 0; k < a->n_ifaces && a->ifaces[k] != b->ifaces[i]; k++)
			;
		if (k == a->n_ifaces)
			return false;
	}
	return true;
}

bool fw_rule_covers(const struct fw_rule *a, const struct fw_rule *b)
{
	uint64_t dscp = b->has & FW_HAS_DSCP ? b->dscp : ~0ULL;
	unsigned state = b->has & FW_HAS_STATE ? b->state : (1u << PST_CT_STATES) - 1;

	/* what pairs @b has only makes it take less */
	if (a->has & FW_HAS_NOTHING || a->ends[0].n || a->ends[1].n)
		return false;
	if (a->family && fw_rule_kinds(b) & ~(a->family == 4 ? (unsigned)FW_KIND_IP4 : FW_KIND_IP6))
		return false;
	if (a->has & FW_HAS_DSCP && dscp & ~a->dscp)
		return false;
	if (a->has & FW_HAS_STATE && state & ~(unsigned)a->state)
		return false;
	return protocols(a, b) && ranges(&a->dport, &b->dport) && ranges(&a->sport, &b->sport) && l4(a, b) &&
	       interfaces(a, b) && ranges(&a->vlan, &b->vlan) && addresses(&a->dst, &b->dst) &&
	       addresses(&a->src, &b->src);
}
