// SPDX-License-Identifier: Apache-2.0
/* The meaning of a rule, one field after the other: what the compiled table is held against. */
#include <stdlib.h>
#include <string.h>

#include "proto/abi/lookup/fw.h"
#include "policyd/fw/fw.h"

void fw_rule_done(struct fw_rule *rule)
{
	free(rule->name);
	free(rule->src.v);
	free(rule->dst.v);
	free(rule->ends[0].v);
	free(rule->ends[1].v);
	free(rule->sport.v);
	free(rule->dport.v);
	free(rule->icmp.v);
	free(rule->vlan.v);
	free(rule->ifaces);
	memset(rule, 0, sizeof(*rule));
}

void fw_ruleset_done(struct fw_ruleset *set)
{
	for (size_t i = 0; i < set->n; i++)
		fw_rule_done(&set->rules[i]);
	free(set->rules);
	for (size_t i = 0; i < set->n_sets; i++)
		free(set->sets[i].name);
	free(set->sets);
	memset(set, 0, sizeof(*set));
}

void fw_ruleset_free(struct fw_ruleset *set)
{
	if (set)
		fw_ruleset_done(set);
	free(set);
}

void fw_ruleset_freep(struct fw_ruleset **set)
{
	fw_ruleset_free(*set);
}

static bool prefix_has(const struct fw_prefix *p, const uint8_t *addr)
{
	unsigned bytes = p->len / 8, bits = p->len % 8;

	return !memcmp(p->addr, addr, bytes) &&
	       (!bits || ((p->addr[bytes] ^ addr[bytes]) & (0xff00 >> bits & 0xff)) == 0);
}

bool fw_addr_is_ip4(const uint8_t addr[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(addr, mapped, sizeof(mapped));
}

bool fw_prefix_is_ip4(const struct fw_prefix *p)
{
	return p->len >= 96 && fw_addr_is_ip4(p->addr);
}

/* Prefixes speak of their own family only; all but these: of the families named. */
static bool prefixes_have(const struct fw_prefixes *list, const uint8_t *addr, unsigned root)
{
	bool named = false;

	if (!list->n)
		return true;
	for (size_t i = 0; i < list->n; i++) {
		if (fw_prefix_is_ip4(&list->v[i]) != !root)
			continue;
		named = true;
		if (prefix_has(&list->v[i], addr))
			return !list->other;
	}
	return named && list->other;
}

/* As prefixes, of packets that have ports. */
static bool endpoints_have(const struct fw_endpoints *list, const struct pst_fw_packet *p, int side)
{
	unsigned root = p->root[PST_FW_SADDR + side];
	bool named = false;

	if (!list->n)
		return true;
	if (p->root[PST_FW_SPORT + side])
		return false;
	for (size_t i = 0; i < list->n; i++) {
		if (fw_addr_is_ip4(list->v[i].addr) != !root)
			continue;
		named = true;
		if (list->v[i].port == p->key[PST_FW_SPORT + side] &&
			!memcmp(list->v[i].addr, p->addr[side], sizeof(list->v[i].addr)))
			return !list->other;
	}
	return named && list->other;
}

static bool ranges_have(const struct fw_ranges *list, uint16_t x)
{
	for (size_t i = 0; i < list->n; i++)
		if (x >= list->v[i].lo && x <= list->v[i].hi)
			return !list->other;
	return !list->n || list->other;
}

static bool protocol_matches(const struct fw_rule *r, uint16_t proto)
{
	unsigned p = proto & 255;

	if (r->family && !!(proto & PST_FW_PROTO_6) != (r->family == 6))
		return false;
	return !(r->has & FW_HAS_PROTO) || (r->protocols[p / 64] >> p % 64 & 1);
}

static bool l4_matches(const struct fw_rule *r, uint16_t key, unsigned root)
{
	if (r->has & FW_HAS_TCP_FLAGS && (root != 0 || (key & r->tcp_mask) != r->tcp_value))
		return false;
	if (r->has & FW_HAS_ICMP && (root != 1 || !ranges_have(&r->icmp, key)))
		return false;
	return true;
}

static bool iface_matches(const struct fw_rule *r, uint32_t ifindex)
{
	for (size_t i = 0; i < r->n_ifaces; i++)
		if (r->ifaces[i] == ifindex)
			return true;
	return false;
}

/* What is cheap to look at first. */
bool fw_rule_matches(const struct fw_rule *r, const struct pst_fw_packet *p)
{
	bool ports = !p->root[PST_FW_SPORT];

	return !(r->has & FW_HAS_NOTHING) && protocol_matches(r, p->key[PST_FW_PROTO]) &&
	       (!r->sport.n || (ports && ranges_have(&r->sport, p->key[PST_FW_SPORT]))) &&
	       (!r->dport.n || (ports && ranges_have(&r->dport, p->key[PST_FW_DPORT]))) &&
	       prefixes_have(&r->src, p->addr[0], p->root[PST_FW_SADDR]) &&
	       prefixes_have(&r->dst, p->addr[1], p->root[PST_FW_DADDR]) &&
	       endpoints_have(&r->ends[0], p, 0) && endpoints_have(&r->ends[1], p, 1) &&
	       l4_matches(r, p->key[PST_FW_L4], p->root[PST_FW_L4]) &&
	       (!(r->has & FW_HAS_STATE) || (r->state >> p->key[PST_FW_STATE] & 1)) &&
	       (!(r->has & FW_HAS_DSCP) || (r->dscp >> (p->key[PST_FW_DSCP] & 63) & 1)) &&
	       (!r->vlan.n || (!p->root[PST_FW_VLAN] && ranges_have(&r->vlan, p->key[PST_FW_VLAN]))) &&
	       (!(r->has & FW_HAS_IFACE) || iface_matches(r, p->ifindex));
}

void fw_linear_many(
	const struct fw_ruleset *set, const struct pst_fw_packet *packets, size_t n, long *ret_rules)
{
	size_t open = n;

	for (size_t k = 0; k < n; k++)
		ret_rules[k] = -1;
	for (size_t i = 0; i < set->n && open; i++) {
		if (set->rules[i].action == PST_FW_NEXT)
			continue;
		for (size_t k = 0; k < n; k++)
			if (ret_rules[k] < 0 && fw_rule_matches(&set->rules[i], &packets[k])) {
				ret_rules[k] = (long)i;
				open--;
			}
	}
}

long fw_linear(const struct fw_ruleset *set, const struct pst_fw_packet *p)
{
	long rule;

	fw_linear_many(set, p, 1, &rule);
	return rule;
}

/* ---- the compiled table ---- */

static void passed(const struct pst_fw_entry *entry, void *arg)
{
	(void)entry;
	(void)arg;
}

long fw_lookup(const union pst_line *lines, uint32_t n_lines, const struct pst_fw_packet *p)
{
	const struct pst_half half = {.lines = lines, .mask = n_lines - 1};
	const struct pst_fw_head *head = (const struct pst_fw_head *)lines;
	struct pst_fw_search s;

	pst_fw_classes(&half, head, p, &s);
	for (int i = 0; i < PST_FW_STEPS; i++)
		if (pst_fw_step(&half, head, p, &s, passed, NULL))
			break;
	return s.rule == PST_FW_NO_RULE ? -1 : (long)s.rule;
}
