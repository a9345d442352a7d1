// SPDX-License-Identifier: Apache-2.0
/* A compiled table against the plain evaluation of its rules, on packets that sit at the rules' corners. */
#include <string.h>

#include "policyd/fw/fw.h"
#include "proto/base/cleanup.h"

#define BATCH 64 /* packets that are evaluated together */

/* xorshift64*: the packets are the same for the same seed. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

static uint32_t below(uint64_t *state, size_t n)
{
	return (uint32_t)(draw(state) >> 33) % (uint32_t)n;
}

/* An address in one of the prefixes, at its ends, or right behind them; left alone if it is of the other
 * family. */
static void address_of(uint64_t *state, const struct fw_prefixes *list, unsigned root, uint8_t addr[16])
{
	const struct fw_prefix *p = list->n ? &list->v[below(state, list->n)] : NULL;
	unsigned how = below(state, 4), floor = root ? 0 : 12;

	if (!p || fw_prefix_is_ip4(p) != !root)
		return;
	memcpy(addr, p->addr, 16);
	for (unsigned bit = p->len; bit < 128; bit++)
		if (how == 1 || (how > 1 && (draw(state) & 1)))
			addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	if (how == 3)
		for (unsigned i = 16; i-- > floor && !++addr[i];)
			;
}

/* An address and port of the list, or of two of its elements. */
static void endpoint_of(
	uint64_t *state, const struct fw_endpoints *list, unsigned root, int side, struct pst_fw_packet *p)
{
	const struct fw_endpoint *a = list->n ? &list->v[below(state, list->n)] : NULL;
	const struct fw_endpoint *b = a && !below(state, 4) ? &list->v[below(state, list->n)] : a;

	if (!a || fw_addr_is_ip4(a->addr) != !root || !below(state, 8))
		return;
	memcpy(p->addr[side], a->addr, sizeof(a->addr));
	p->key[PST_FW_SPORT + side] = b->port;
	p->root[PST_FW_SPORT] = p->root[PST_FW_DPORT] = !below(state, 16);
}

static uint16_t value_of(uint64_t *state, const struct fw_ranges *list)
{
	const struct fw_range *r;

	if (!list->n || !below(state, 4))
		return (uint16_t)draw(state);
	r = &list->v[below(state, list->n)];
	switch (below(state, 4)) {
	case 0:
		return r->lo;
	case 1:
		return r->hi;
	case 2:
		return (uint16_t)(r->lo - 1);
	default:
		return (uint16_t)(r->hi + 1);
	}
}

static uint8_t protocol_of(uint64_t *state, const struct fw_rule *r)
{
	static const uint8_t usual[] = {6, 6, 6, 17, 17, 1, 58, 132, 47, 0};
	uint8_t start = (uint8_t)draw(state);

	if (!(r->has & FW_HAS_PROTO) || !below(state, 4))
		return usual[below(state, PST_ARRAY_SIZE(usual))];
	for (unsigned i = 0; i < 256; i++) {
		uint8_t p = (uint8_t)(start + i);

		if (r->protocols[p / 64] >> p % 64 & 1)
			return p;
	}
	return start;
}

static void random_addresses(uint64_t *state, struct pst_fw_packet *p)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	for (int side = 0; side < 2; side++)
		for (int i = 0; i < 16; i++)
			p->addr[side][i] =
				i < 12 && !p->root[PST_FW_SADDR] ? mapped[i] : (uint8_t)draw(state);
}

/* A packet of what rules a (addresses) and b (the rest) speak of; a quarter of the fields by chance. */
static void make_packet(
	uint64_t *state, const struct fw_rule *a, const struct fw_rule *b, struct pst_fw_packet *p)
{
	uint8_t proto = protocol_of(state, b), root;

	memset(p, 0, sizeof(*p));
	root = a->family ? a->family == 6 : (uint8_t)below(state, 2);
	if (a->src.n)
		root = !fw_prefix_is_ip4(&a->src.v[0]);
	for (int side = 0; side < 2; side++)
		if (a->ends[side].n)
			root = !fw_addr_is_ip4(a->ends[side].v[below(state, a->ends[side].n)].addr);
	p->root[PST_FW_SADDR] = p->root[PST_FW_DADDR] = root;
	random_addresses(state, p);
	address_of(state, &a->src, root, p->addr[0]);
	address_of(state, &a->dst, root, p->addr[1]);
	p->key[PST_FW_PROTO] = root ? proto | PST_FW_PROTO_6 : proto;
	p->root[PST_FW_SPORT] = p->root[PST_FW_DPORT] =
		!below(state, 8) || (proto != 6 && proto != 17 && proto != 132);
	p->key[PST_FW_SPORT] = value_of(state, &b->sport);
	p->key[PST_FW_DPORT] = value_of(state, &b->dport);
	endpoint_of(state, &a->ends[0], root, 0, p);
	endpoint_of(state, &a->ends[1], root, 1, p);
	p->root[PST_FW_L4] = proto == 6 ? 0 : proto == 1 || proto == 58 ? 1 : 2;
	p->key[PST_FW_L4] = p->root[PST_FW_L4] ? value_of(state, &b->icmp) : (uint8_t)draw(state);
	if (!p->root[PST_FW_L4] && below(state, 2))
		p->key[PST_FW_L4] = (p->key[PST_FW_L4] & (uint8_t)~b->tcp_mask) | b->tcp_value;
	p->key[PST_FW_STATE] = (uint16_t)below(state, PST_CT_STATES);
	p->key[PST_FW_DSCP] = (uint16_t)below(state, 64);
	p->root[PST_FW_VLAN] = (uint8_t)below(state, 2);
	p->key[PST_FW_VLAN] = value_of(state, &b->vlan) & 0xfff;
	p->ifindex =
		b->n_ifaces && below(state, 4) ? b->ifaces[below(state, b->n_ifaces)] : below(state, 8) + 1;
}

void fw_sample(const struct fw_ruleset *set, uint64_t *state, struct pst_fw_packet *ret_packet)
{
	static const struct fw_rule nothing;
	const struct fw_rule *a = set->n ? &set->rules[below(state, set->n)] : &nothing;
	const struct fw_rule *b = set->n && below(state, 4) == 0 ? &set->rules[below(state, set->n)] : a;

	make_packet(state, a, b, ret_packet);
}

bool fw_verify(const struct fw_ruleset *set, const union pst_line *lines, uint32_t n_lines, size_t n,
	uint64_t seed, struct pst_fw_packet *ret_packet)
{
	struct pst_fw_packet packets[BATCH];
	uint64_t state = seed | 1;
	long rules[BATCH];

	for (size_t done = 0, many; done < n; done += many) {
		many = PST_MIN(n - done, (size_t)BATCH);
		for (size_t i = 0; i < many; i++)
			fw_sample(set, &state, &packets[i]);
		fw_linear_many(set, packets, many, rules);
		for (size_t i = 0; i < many; i++)
			if (rules[i] != fw_lookup(lines, n_lines, &packets[i])) {
				*ret_packet = packets[i];
				return false;
			}
	}
	return true;
}
