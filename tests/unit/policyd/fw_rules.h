/* SPDX-License-Identifier: Apache-2.0 */
/* Random firewall rules, for the tests and the benchmark. */
#ifndef TESTS_FW_RULES_H
#define TESTS_FW_RULES_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/abi/lookup/fw.h"
#include "policyd/fw/fw.h"

static uint64_t rule_state = 0x9e3779b97f4a7c15;

static inline uint64_t rule_draw(void)
{
	rule_state ^= rule_state >> 12;
	rule_state ^= rule_state << 25;
	rule_state ^= rule_state >> 27;
	return rule_state * 0x2545f4914f6cdd1d >> 8;
}

static inline bool rule_chance(unsigned percent)
{
	return rule_draw() % 100 < percent;
}

static inline void prefix_random(struct fw_prefix *p, bool ip6)
{
	static const uint8_t lens[] = {0, 4, 8, 12, 16, 20, 24, 24, 24, 28, 32, 32, 32};
	unsigned len = ip6 ? lens[rule_draw() % sizeof(lens)] * 2u : 96u + lens[rule_draw() % sizeof(lens)];

	if (ip6 && rule_chance(25))
		len = 128;
	memset(p, 0, sizeof(*p));
	p->len = (uint8_t)len;
	for (unsigned i = ip6 ? 0 : 12; i < 16; i++)
		p->addr[i] = (uint8_t)(rule_chance(50) ? rule_draw() % 4 : rule_draw());
	if (!ip6)
		p->addr[10] = p->addr[11] = 0xff;
	else
		p->addr[0] = 0x20;
	for (unsigned bit = len; bit < 128; bit++)
		p->addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

static inline void prefixes_random(struct fw_prefixes *list, bool ip6, unsigned most)
{
	list->n = 1 + rule_draw() % most;
	list->v = calloc(list->n, sizeof(*list->v));
	for (size_t i = 0; i < list->n; i++)
		prefix_random(&list->v[i], most > 1 && rule_chance(20) ? !ip6 : ip6);
	list->other = most > 1 && rule_chance(20);
}

static inline void ranges_random(struct fw_ranges *list, unsigned most)
{
	list->n = 1 + rule_draw() % most;
	list->v = calloc(list->n, sizeof(*list->v));
	for (size_t i = 0; i < list->n; i++) {
		uint16_t a = (uint16_t)rule_draw(), b = (uint16_t)rule_draw();

		if (rule_chance(60))
			b = a = (uint16_t)(rule_draw() % 1024);
		list->v[i] = (struct fw_range){a < b ? a : b, a < b ? b : a};
	}
	list->other = most > 1 && rule_chance(15);
}

static inline void rule_random_rest(struct fw_rule *r)
{
	if (rule_chance(10)) {
		r->has |= FW_HAS_STATE;
		r->state = (uint8_t)(rule_draw() % (1 << PST_CT_STATES));
	}
	if (rule_chance(10)) {
		r->has |= FW_HAS_DSCP;
		r->dscp = rule_draw() & rule_draw();
	}
	if (rule_chance(10))
		ranges_random(&r->vlan, 2);
	if (rule_chance(10)) {
		r->has |= FW_HAS_IFACE;
		r->n_ifaces = 1 + rule_draw() % 3;
		r->ifaces = calloc(r->n_ifaces, sizeof(*r->ifaces));
		for (size_t i = 0; i < r->n_ifaces; i++)
			r->ifaces[i] = 1 + (uint32_t)(rule_draw() % 4) * (rule_chance(20) ? 70000 : 1);
	}
}

/* @wild 0: what firewalls usually say: networks, protocol, ports, flags. Else: everything, with lists and
 * `not`. */
static inline void rule_random(struct fw_rule *r, uint32_t id, unsigned wild)
{
	bool ip6 = rule_chance(wild ? 40 : 20);
	unsigned proto = rule_chance(60) ? 6 : rule_chance(70) ? 17 : ip6 ? 58 : 1, most = wild ? 4 : 1;

	memset(r, 0, sizeof(*r));
	r->id = r->counter = id;
	r->action = (uint8_t)(rule_draw() % (wild && rule_chance(4) ? PST_FW_ACTIONS : PST_FW_NEXT));
	if (rule_chance(80))
		prefixes_random(&r->src, ip6, most);
	if (rule_chance(80))
		prefixes_random(&r->dst, ip6, most);
	if (rule_chance(20))
		r->family = ip6 ? 6 : 4;
	if (rule_chance(85)) {
		r->has |= FW_HAS_PROTO;
		r->protocols[0] = 1ULL << proto;
		if (wild && rule_chance(20))
			r->protocols[rule_draw() % 4] |= rule_draw();
	}
	if (proto != 1 && proto != 58 && rule_chance(20))
		ranges_random(&r->sport, most);
	if (proto != 1 && proto != 58 && rule_chance(80))
		ranges_random(&r->dport, most);
	if (proto == 6 && rule_chance(10)) {
		r->has |= FW_HAS_TCP_FLAGS;
		r->tcp_mask = (uint8_t)rule_draw();
		r->tcp_value = r->tcp_mask & (uint8_t)rule_draw();
	}
	if ((proto == 1 || proto == 58) && rule_chance(50)) {
		r->has |= FW_HAS_ICMP;
		if (rule_chance(80))
			ranges_random(&r->icmp, most);
	}
	if (wild)
		rule_random_rest(r);
}

/* Addresses with ports in the place of addresses, of a rule that may have ports. */
static inline void rule_random_ends(struct fw_rule *r)
{
	bool ip6 = r->family ? r->family == 6 : rule_chance(40);
	unsigned side = rule_draw() % 2;
	struct fw_prefixes *instead = side ? &r->dst : &r->src;
	struct fw_endpoints *list = &r->ends[side];

	free(instead->v);
	*instead = (struct fw_prefixes){0};
	list->n = 1 + rule_draw() % (rule_chance(20) ? 200 : 6);
	list->v = calloc(list->n, sizeof(*list->v));
	list->other = rule_chance(25);
	for (size_t i = 0; i < list->n; i++) {
		struct fw_prefix p;

		prefix_random(&p, !r->family && rule_chance(10) ? !ip6 : ip6);
		memcpy(list->v[i].addr, p.addr, sizeof(p.addr));
		list->v[i].port = (uint16_t)(rule_draw() % 16 * 1001);
	}
}

static inline void rules_random(struct fw_ruleset *set, size_t n, unsigned wild)
{
	unsigned paired = 0;

	*set = (struct fw_ruleset){.rules = calloc(n, sizeof(*set->rules)), .n = n};
	for (size_t i = 0; i < n; i++) {
		struct fw_rule *r = &set->rules[i];

		rule_random(r, (uint32_t)i, wild);
		if (wild && paired < PST_FW_PAIRED_MAX && !(r->has & FW_HAS_ICMP) &&
			!(r->has & FW_HAS_PROTO && r->protocols[0] & (1ULL << 1 | 1ULL << 58)) &&
			rule_chance(15)) {
			rule_random_ends(r);
			paired++;
		}
	}
}

#endif
