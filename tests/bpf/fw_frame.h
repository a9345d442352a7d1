/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames from what fw_sample() says of a packet. What no frame can be is made possible first, and written
 * back into the sample; what the sample does not speak of (options, extension headers, fragments, lengths)
 * comes by chance. Checksums are 0: nobody who judges these frames reads one.
 */
#ifndef TESTS_BPF_FW_FRAME_H
#define TESTS_BPF_FW_FRAME_H

#include "tests/bpf/packets.h"
#include "tests/unit/policyd/fw_rules.h"

#define FRAME_NO_IP 2 /* in the place of the root of addresses: ARP or the like */

static inline bool frame_has_ports(unsigned proto)
{
	return proto == 6 || proto == 17 || proto == 33 || proto == 132 || proto == 136;
}

/* The next header of IPv6 may not be one of its extensions: they would be parsed. */
static inline unsigned frame_fix_proto(struct pst_fw_packet *s)
{
	unsigned proto = s->key[PST_FW_PROTO] & 255;

	if (s->root[PST_FW_SADDR] == 1 &&
		(proto == 0 || proto == 43 || proto == 44 || proto == 51 || proto == 60)) {
		proto = 47;
		s->key[PST_FW_PROTO] = PST_FW_PROTO_6 | 47;
	}
	return proto;
}

/* Is it a fragment behind the first? It is what has a protocol with ports and no ports. */
static inline bool frame_fix_l4(struct pst_fw_packet *s, unsigned proto)
{
	bool ports = frame_has_ports(proto), no_ports = s->root[PST_FW_SPORT];
	bool later = ports && proto != 33 && proto != 136 ? no_ports : rule_chance(4);

	s->root[PST_FW_SPORT] = s->root[PST_FW_DPORT] = later || !ports;
	if (later)
		s->root[PST_FW_L4] = 2;
	return later;
}

static inline void frame_link(const struct pst_fw_packet *s, struct packet *p)
{
	static const uint16_t others[] = {0x0806, 0x0806, 0x88cc, 0x8847};
	unsigned root = s->root[PST_FW_SADDR];

	eth(p, 0);
	if (!s->root[PST_FW_VLAN]) {
		vlan(p, 0x8100, 0);
		put16(p->bytes + 14, s->key[PST_FW_VLAN] | (rule_draw() & 0xf000)); /* priority */
	}
	put16(p->bytes + p->len - 2, root == 0 ? 0x0800 : root == 1 ? 0x86dd : others[rule_draw() % 4]);
}

static inline void frame_ip4(const struct pst_fw_packet *s, struct packet *p, unsigned proto, bool later)
{
	uint8_t *h = p->bytes + p->l3;
	unsigned more = rule_chance(later ? 50 : 5) ? 0x2000 : 0;

	ip4(p, (uint8_t)proto, rule_chance(10) ? rule_draw() % 11 * 4 : 0);
	memcpy(h + 12, s->addr[0] + 12, 4);
	memcpy(h + 16, s->addr[1] + 12, 4);
	h[1] = (uint8_t)(s->key[PST_FW_DSCP] << 2 | (rule_draw() & 3)); /* and ECN */
	put16(h + 6, more | (later ? 1 + rule_draw() % 0x1fff : 0));
}

/* But the authentication header, which is where nftables stops: to it that is the protocol. */
static inline void frame_extensions(struct packet *p, unsigned proto)
{
	static const uint8_t types[] = {60, 43};

	if (rule_chance(50))
		ext(p, 0, (uint8_t)proto, 8 + rule_draw() % 3 * 8);
	for (unsigned n = (unsigned)(rule_draw() % 3); n; n--)
		ext(p, types[rule_draw() % 2], (uint8_t)proto, 8 + rule_draw() % 3 * 8);
}

static inline void frame_ip6(const struct pst_fw_packet *s, struct packet *p, unsigned proto, bool later)
{
	uint8_t *h = p->bytes + p->l3;

	ip6(p, (uint8_t)proto);
	memcpy(h + 8, s->addr[0], 16);
	memcpy(h + 24, s->addr[1], 16);
	h[0] = (uint8_t)(0x60 | s->key[PST_FW_DSCP] >> 2);
	h[1] = (uint8_t)(s->key[PST_FW_DSCP] << 6 | (rule_draw() & 0x3f)); /* ECN and flow label */
	if (rule_chance(10))
		frame_extensions(p, proto);
	if (later || rule_chance(5))
		fragment6(p, (uint8_t)proto, later ? 1 + rule_draw() % 0x1fff : 0);
}

static inline void frame_l4(const struct pst_fw_packet *s, struct packet *p, unsigned proto)
{
	uint8_t *h = p->bytes + p->len;

	if (proto == 6)
		tcp(p, (uint8_t)s->key[PST_FW_L4], rule_chance(20) ? rule_draw() % 11 * 4 : 0);
	else if (frame_has_ports(proto))
		ports(p, proto == 132 || proto == 33 ? 12 : 8);
	else if (proto == 1 || proto == 58)
		icmp(p, (uint8_t)(s->key[PST_FW_L4] >> 8), (uint8_t)s->key[PST_FW_L4]);
	if (frame_has_ports(proto)) {
		put16(h, s->key[PST_FW_SPORT]);
		put16(h + 2, s->key[PST_FW_DPORT]);
	}
}

/* Without the interface, which no frame says. */
static inline void frame_build(struct pst_fw_packet *s, struct packet *p)
{
	unsigned proto;
	bool later;

	s->key[PST_FW_STATE] = PST_CT_UNTRACKED;
	frame_link(s, p);
	if (s->root[PST_FW_SADDR] == FRAME_NO_IP) {
		(void)grow(p, 28);
		return;
	}
	proto = frame_fix_proto(s);
	later = frame_fix_l4(s, proto);
	s->root[PST_FW_SADDR] == 0 ? frame_ip4(s, p, proto, later) : frame_ip6(s, p, proto, later);
	if (!later)
		frame_l4(s, p, proto);
	done(p, rule_draw() % 64, rule_chance(10) ? rule_draw() % 20 : 0);
}

#endif
