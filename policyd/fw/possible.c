// SPDX-License-Identifier: Apache-2.0
/* Is there a packet that a rule matches? */
#include <errno.h>
#include <stdlib.h>

#include "policyd/fw/intervals.h"
#include "policyd/fw/reader.h"

#define FAMILY_4 1u
#define FAMILY_6 2u
#define VLAN_MAX 4095

struct check {
	const struct fw_rule *rule;
	struct fw_spans spans;
	enum fw_key key;
	const char *why;
};

static int refuse(struct check *c, enum fw_key key, const char *why)
{
	c->key = key;
	c->why = why;
	return 0;
}

/* 1 if keys up to @max are left behind the root. A list that says what it takes always leaves some. */
static int leaves(struct check *c, enum pst_fw_dim dim, unsigned root, fw_key max)
{
	int e = fw_rule_takes(c->rule, dim, root, &c->spans);

	if (e < 0 || e != FW_TAKES_SOME)
		return e < 0 ? e : e == FW_TAKES_ALL;
	return c->spans.v[0].lo <= max;
}

static int ranges_leave(
	struct check *c, enum fw_key key, const struct fw_ranges *list, enum pst_fw_dim dim, fw_key max)
{
	int e = list->n && list->other ? leaves(c, dim, dim == PST_FW_L4, max) : 1;

	return e ? e : refuse(c, key, "what is not to match is everything");
}

static int check_ranges(struct check *c)
{
	const struct fw_rule *r = c->rule;
	int e = ranges_leave(c, FW_KEY_VLAN, &r->vlan, PST_FW_VLAN, VLAN_MAX);

	if (e > 0)
		e = ranges_leave(c, FW_KEY_SPORT, &r->sport, PST_FW_SPORT, 0xffff);
	if (e > 0)
		e = ranges_leave(c, FW_KEY_DPORT, &r->dport, PST_FW_DPORT, 0xffff);
	if (e > 0 && r->has & FW_HAS_ICMP)
		e = ranges_leave(c, FW_KEY_ICMP, &r->icmp, PST_FW_L4, 0xffff);
	return e;
}

static int check_bits(struct check *c)
{
	const struct fw_rule *r = c->rule;

	if (r->has & FW_HAS_STATE && !r->state)
		return refuse(c, FW_KEY_STATE, "no state is left");
	if (r->has & FW_HAS_DSCP && !r->dscp)
		return refuse(c, FW_KEY_DSCP, "no DSCP is left");
	if (r->has & FW_HAS_PROTO && !(r->protocols[0] | r->protocols[1] | r->protocols[2] | r->protocols[3]))
		return refuse(c, FW_KEY_PROTO, "no protocol is left");
	if (r->has & FW_HAS_IFACE && !r->n_ifaces)
		return refuse(c, FW_KEY_INTERFACE, "no interface is named");
	return 1;
}

/* Families of which the list takes addresses, or -ENOMEM. */
static int families_of(struct check *c, const struct fw_prefixes *list, enum pst_fw_dim dim)
{
	unsigned families = 0;

	if (!list->n)
		return FAMILY_4 | FAMILY_6;
	for (size_t i = 0; i < list->n; i++)
		families |= fw_prefix_is_ip4(&list->v[i]) ? FAMILY_4 : FAMILY_6;
	for (unsigned root = 0; root < 2 && list->other; root++) {
		int e = families >> root & 1 ? leaves(c, dim, root, fw_dim_max(dim, root)) : 1;

		if (e < 0)
			return e;
		if (!e)
			families &= ~(1u << root);
	}
	return (int)families;
}

static int families_of_ends(const struct fw_endpoints *list)
{
	int families = list->n ? 0 : (int)(FAMILY_4 | FAMILY_6);

	for (size_t i = 0; i < list->n; i++)
		families |= fw_addr_is_ip4(list->v[i].addr) ? FAMILY_4 : FAMILY_6;
	return families;
}

static int check_families(struct check *c)
{
	const struct fw_rule *r = c->rule;
	int family = !r->family ? (int)(FAMILY_4 | FAMILY_6) : r->family == 4 ? FAMILY_4 : FAMILY_6;
	int src = r->ends[0].n ? families_of_ends(&r->ends[0]) : families_of(c, &r->src, PST_FW_SADDR);
	int dst = r->ends[1].n ? families_of_ends(&r->ends[1]) : families_of(c, &r->dst, PST_FW_DADDR);

	if (src < 0 || dst < 0)
		return -ENOMEM;
	if (!src || !dst)
		return refuse(c, src ? FW_KEY_DST : FW_KEY_SRC, "what is not to match is everything");
	if (!(family & src))
		return refuse(c, FW_KEY_SRC, "no address is of the rule's family");
	if (!(family & dst))
		return refuse(c, FW_KEY_DST, "no address is of the rule's family");
	if (!(family & src & dst))
		return refuse(c, FW_KEY_DST, "no address is of the same family as one of src");
	return 1;
}

static bool takes_protocol(const struct fw_rule *r, unsigned protocol)
{
	return !(r->has & FW_HAS_PROTO) || r->protocols[protocol / 64] >> protocol % 64 & 1;
}

static bool takes_ports(const struct fw_rule *r)
{
	/* TCP, UDP, DCCP, SCTP, UDP-Lite */
	return takes_protocol(r, 6) || takes_protocol(r, 17) || takes_protocol(r, 33) ||
	       takes_protocol(r, 132) || takes_protocol(r, 136);
}

static int check_protocols(struct check *c)
{
	const struct fw_rule *r = c->rule;
	bool ends = r->ends[0].n || r->ends[1].n, ports = r->sport.n || r->dport.n || ends;
	bool flags = r->has & FW_HAS_TCP_FLAGS, icmp = r->has & FW_HAS_ICMP;

	if (flags && r->tcp_value & ~r->tcp_mask)
		return refuse(c, FW_KEY_TCP_FLAGS, "a flag is to be set and not looked at");
	if (icmp && (ports || flags))
		return refuse(c, FW_KEY_ICMP, ports ? "ICMP has no ports" : "ICMP has no TCP flags");
	if (ports && !takes_ports(r))
		return refuse(c,
			r->ends[1].n   ? FW_KEY_DST
			: r->ends[0].n ? FW_KEY_SRC
			: r->dport.n   ? FW_KEY_DPORT
				       : FW_KEY_SPORT,
			"proto has no ports, expected tcp, udp or sctp");
	if (flags && !takes_protocol(r, 6))
		return refuse(c, FW_KEY_TCP_FLAGS, "proto does not have tcp");
	if (icmp && !takes_protocol(r, 1) && !takes_protocol(r, 58))
		return refuse(c, FW_KEY_ICMP, "proto has neither icmp nor icmpv6");
	return 1;
}

int fw_rule_possible(const struct fw_rule *rule, enum fw_key *ret_key, const char **ret_why)
{
	struct check c = {.rule = rule};
	int e = check_bits(&c);

	e = e > 0 ? check_ranges(&c) : e;
	e = e > 0 ? check_families(&c) : e;
	e = e > 0 ? check_protocols(&c) : e;
	free(c.spans.v);
	if (!e) {
		*ret_key = c.key;
		*ret_why = c.why;
	}
	return e;
}
