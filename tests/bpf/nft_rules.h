/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firewall rules in nft's language, for a chain at the ingress hook of `table netdev`: it sees frames as a
 * program at XDP does, before routing, defragmentation and connection tracking.
 *
 * Which rule decides is written into the frame's destination address, which no rule looks at. What a rule
 * drops is sent to the device `dropped` before it is dropped, and what the chain accepts goes on to a second
 * chain, which sends it to `passed`.
 *
 * A rule of one line becomes two where it speaks of both IPv4 and IPv6; a packet is of one of them.
 */
#ifndef TESTS_BPF_NFT_RULES_H
#define TESTS_BPF_NFT_RULES_H

#include <arpa/inet.h>
#include <stdio.h>

#include "policyd/fw/fw.h"

#define NFT_POLICY 0xffff /* in place of a rule's number */

static inline void nft_range(FILE *f, const struct fw_range *r)
{
	fprintf(f, r->lo == r->hi ? "%u" : "%u-%u", r->lo, r->hi);
}

/* Without braces nft compares, with them it looks into a set. */
static inline void nft_ranges(FILE *f, const char *field, const struct fw_ranges *list)
{
	if (!list->n)
		return;
	fprintf(f, "%s %s%s", field, list->other ? "!= " : "", list->n > 1 ? "{ " : "");
	for (size_t i = 0; i < list->n; i++) {
		fputs(i ? ", " : "", f);
		nft_range(f, &list->v[i]);
	}
	fputs(list->n > 1 ? " } " : " ", f);
}

static inline bool nft_is_of(const struct fw_prefix *p, int family)
{
	return fw_prefix_is_ip4(p) == (family == 4);
}

static inline size_t nft_count_of(const struct fw_prefixes *list, int family)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += nft_is_of(&list->v[i], family);
	return n;
}

static inline void nft_prefixes(FILE *f, const char *field, const struct fw_prefixes *list, int family)
{
	size_t n = nft_count_of(list, family);
	const char *comma = "";
	char text[64];

	if (!n)
		return;
	fprintf(f, "%s %s %s%s", family == 4 ? "ip" : "ip6", field, list->other ? "!= " : "",
		n > 1 ? "{ " : "");
	for (size_t i = 0; i < list->n; i++) {
		const struct fw_prefix *p = &list->v[i];

		if (!nft_is_of(p, family))
			continue;
		inet_ntop(family == 4 ? AF_INET : AF_INET6, p->addr + (family == 4 ? 12 : 0), text,
			sizeof(text));
		fprintf(f, "%s%s/%d", comma, text, p->len - (family == 4 ? 96 : 0));
		comma = ", ";
	}
	fputs(n > 1 ? " } " : " ", f);
}

static inline void nft_bits(FILE *f, const char *field, const uint64_t *bits, unsigned n)
{
	const char *comma = "";

	fprintf(f, "%s { ", field);
	for (unsigned i = 0; i < n; i++)
		if (bits[i / 64] >> i % 64 & 1) {
			fprintf(f, "%s%u", comma, i);
			comma = ", ";
		}
	fputs(" } ", f);
}

/* ---- layer 4 ---- */

static inline void nft_only(uint64_t *protocols, const uint8_t *list, size_t n)
{
	uint64_t these[4] = {0};

	for (size_t i = 0; i < n; i++)
		these[list[i] / 64] |= 1ULL << list[i] % 64;
	for (int i = 0; i < 4; i++)
		protocols[i] &= these[i];
}

/* Those whose packets the rule can match. False: it matches by no protocol. */
static inline bool nft_protocols(const struct fw_rule *r, uint64_t *protocols)
{
	static const uint8_t tcp[] = {6}, icmp[] = {1, 58}, ports[] = {6, 17, 33, 132, 136};

	memset(protocols, 0xff, 4 * sizeof(*protocols));
	if (r->has & FW_HAS_PROTO)
		memcpy(protocols, r->protocols, 4 * sizeof(*protocols));
	if (r->sport.n || r->dport.n)
		nft_only(protocols, ports, sizeof(ports));
	if (r->has & FW_HAS_TCP_FLAGS)
		nft_only(protocols, tcp, sizeof(tcp));
	if (r->has & FW_HAS_ICMP)
		nft_only(protocols, icmp, sizeof(icmp));
	return r->has & (FW_HAS_PROTO | FW_HAS_TCP_FLAGS | FW_HAS_ICMP) || r->sport.n || r->dport.n;
}

/* The only one, or -1 */
static inline int nft_protocol(const uint64_t *protocols)
{
	int only = -1;

	for (int i = 0; i < 256; i++)
		if (protocols[i / 64] >> i % 64 & 1) {
			if (only >= 0)
				return -1;
			only = i;
		}
	return only;
}

/*
 * That there is a header at all: later fragments have none. Of 1, 2 or 4 bytes nftables makes a fast read,
 * which takes other bytes of a later fragment for the header (nft_payload_fast_eval()); a read of 3 asks.
 */
#define NFT_HAS_HEADER "@th,0,24 0-0xffffff "

static inline bool nft_is_not_one(const struct fw_ranges *list)
{
	return list->other && list->n == 1 && list->v[0].lo == list->v[0].hi;
}

static inline void nft_ports(FILE *f, const struct fw_rule *r, int protocol)
{
	const char *name = protocol == 6     ? "tcp"
			   : protocol == 17  ? "udp"
			   : protocol == 33  ? "dccp"
			   : protocol == 132 ? "sctp"
			   : protocol == 136 ? "udplite"
					     : "th";
	char field[32];

	/* without a mask nft 1.0.6 makes one comparison of `sport != 1 dport != 2`, which says: not both */
	snprintf(field, sizeof(field), "%s sport%s", name, nft_is_not_one(&r->sport) ? " & 0xffff" : "");
	nft_ranges(f, field, &r->sport);
	snprintf(field, sizeof(field), "%s dport", name);
	nft_ranges(f, field, &r->dport);
}

/* Type and code by nft's own names for them where it has some; a range of both is 16 bits to it. */
static inline void nft_icmp(FILE *f, const struct fw_rule *r, int family, int protocol)
{
	const struct fw_ranges *list = &r->icmp;
	const char *name = family == 4 && protocol == 1    ? "icmp"
			   : family == 6 && protocol == 58 ? "icmpv6"
							   : NULL;

	if (name && list->n == 1 && !list->other && list->v[0].lo == list->v[0].hi)
		fprintf(f, "%s type %d %s code %d ", name, list->v[0].lo >> 8, name, list->v[0].lo & 255);
	else
		nft_ranges(f, "@th,0,16", list);
}

static inline void nft_l4(FILE *f, const struct fw_rule *r, int family)
{
	uint64_t protocols[4];
	bool named = nft_protocols(r, protocols);
	int protocol = nft_protocol(protocols);

	if (protocol >= 0)
		fprintf(f, "meta l4proto %d ", protocol);
	else if (named)
		nft_bits(f, "meta l4proto", protocols, 256);
	if (r->sport.n || r->dport.n || r->has & (FW_HAS_TCP_FLAGS | FW_HAS_ICMP))
		fputs(NFT_HAS_HEADER, f);
	nft_ports(f, r, protocol);
	if (r->has & FW_HAS_TCP_FLAGS)
		fprintf(f, "tcp flags & 0x%02x == 0x%02x ", r->tcp_mask, r->tcp_value);
	if (r->has & FW_HAS_ICMP)
		nft_icmp(f, r, family, protocol);
}

/* ---- a rule, a table ---- */

static inline void nft_match(FILE *f, const struct fw_rule *r, int family)
{
	if (r->has & FW_HAS_IFACE) {
		fputs("iif { ", f);
		for (size_t i = 0; i < r->n_ifaces; i++)
			fprintf(f, "%s%u", i ? ", " : "", r->ifaces[i]);
		fputs(" } ", f);
	}
	nft_ranges(f, "vlan id", &r->vlan);
	if (family)
		fprintf(f, "meta protocol %s ", family == 4 ? "ip" : "ip6");
	nft_prefixes(f, "saddr", &r->src, family);
	nft_prefixes(f, "daddr", &r->dst, family);
	if (r->has & FW_HAS_DSCP)
		nft_bits(f, family == 4 ? "ip dscp" : "ip6 dscp", &r->dscp, 64);
	nft_l4(f, r, family);
}

static inline void nft_decide(FILE *f, unsigned number, unsigned action)
{
	if (action == PST_FW_NEXT) {
		fprintf(f, "counter name \"rule%u\"\n", number);
		return;
	}
	fprintf(f, "ether daddr set 02:00:00:00:%02x:%02x ", number >> 8, number & 255);
	fputs(action == PST_FW_ACCEPT || action == PST_FW_STEP ? "accept\n" : "dup to \"dropped\" drop\n", f);
}

/* Can it match a packet of this family? 0: of any. */
static inline bool nft_can(const struct fw_rule *r, int family)
{
	uint64_t p[4];

	if (nft_protocols(r, p) && !(p[0] | p[1] | p[2] | p[3]))
		return false;
	if (r->has & FW_HAS_DSCP && !r->dscp)
		return false;
	return !family ||
	       ((!r->family || r->family == family) && (!r->src.n || nft_count_of(&r->src, family)) &&
		       (!r->dst.n || nft_count_of(&r->dst, family)));
}

static inline void nft_rule(FILE *f, const struct fw_rule *r, unsigned number)
{
	bool by_family = r->family || r->src.n || r->dst.n || r->has & FW_HAS_DSCP;

	for (int family = by_family ? 4 : 0; family <= 6; family += by_family ? 2 : 8) {
		if (!nft_can(r, family))
			continue;
		fputs("\t\t", f);
		nft_match(f, r, family);
		nft_decide(f, number, r->action);
	}
}

/* @devices: where frames come in. */
static inline void nft_table(FILE *f, const struct fw_ruleset *set, const char *devices)
{
	bool accept = set->policy == PST_FW_ACCEPT;

	fprintf(f, "table netdev guard\ndelete table netdev guard\ntable netdev guard {\n");
	for (size_t i = 0; i < set->n; i++)
		if (set->rules[i].action == PST_FW_NEXT)
			fprintf(f, "\tcounter rule%zu { }\n", i);
	fprintf(f, "\tchain rules {\n\t\ttype filter hook ingress devices = { %s } priority 0; policy %s;\n",
		devices, accept ? "accept" : "drop");
	for (size_t i = 0; i < set->n; i++)
		nft_rule(f, &set->rules[i], (unsigned)i);
	/* the policy decides by itself, but of what it drops we have to hear too */
	fprintf(f, "\t\tether daddr set 02:00:00:00:%02x:%02x%s\n\t}\n", NFT_POLICY >> 8, NFT_POLICY & 255,
		accept ? "" : " dup to \"dropped\"");
	fprintf(f,
		"\tchain passed {\n\t\ttype filter hook ingress devices = { %s } priority 10; policy drop;\n",
		devices);
	fprintf(f, "\t\tfwd to \"passed\"\n\t}\n}\n");
}

#endif
