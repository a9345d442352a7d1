// SPDX-License-Identifier: Apache-2.0
#include "policyd/fw/intervals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t strides[PST_FW_DIMS][PST_FW_ROOTS] = {
	[PST_FW_SADDR] = {2, 8, 0},
	[PST_FW_DADDR] = {2, 8, 0},
	[PST_FW_SPORT] = {1, 0, 0},
	[PST_FW_DPORT] = {1, 0, 0},
	[PST_FW_PROTO] = {1, 0, 0},
	[PST_FW_L4] = {1, 1, 0},
	[PST_FW_STATE] = {1, 0, 0},
	[PST_FW_DSCP] = {1, 0, 0},
	[PST_FW_VLAN] = {1, 0, 0},
	[PST_FW_IFACE] = {2, 0, 0},
};

unsigned fw_dim_strides(enum pst_fw_dim dim, unsigned root)
{
	return strides[dim][root];
}

fw_key fw_dim_max(enum pst_fw_dim dim, unsigned root)
{
	unsigned n = strides[dim][root];

	return n == PST_STRIDES_MAX ? ~(fw_key)0 : ((fw_key)1 << 16 * n) - 1;
}

int fw_span_add(struct fw_spans *s, fw_key lo, fw_key hi)
{
	if (s->n == s->size) {
		size_t size = s->size ? s->size * 2 : 16;
		struct fw_span *v = reallocarray(s->v, size, sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->v = v;
		s->size = size;
	}
	s->v[s->n++] = (struct fw_span){lo, hi};
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct fw_span *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

void fw_spans_join(struct fw_spans *s)
{
	size_t n = 0;

	if (s->n > 1)
		qsort(s->v, s->n, sizeof(*s->v), by_start);
	for (size_t i = 0; i < s->n; i++) {
		struct fw_span *last = n ? &s->v[n - 1] : NULL;

		if (last && (last->hi + 1 == 0 || s->v[i].lo <= last->hi + 1))
			last->hi = s->v[i].hi > last->hi ? s->v[i].hi : last->hi;
		else
			s->v[n++] = s->v[i];
	}
	s->n = n;
}

int fw_spans_complement(struct fw_spans *s, fw_key max)
{
	fw_key next = 0;
	size_t n = s->n;
	int e = 0;

	for (size_t i = 0; i < n && !e; i++) {
		if (s->v[i].lo > next)
			e = fw_span_add(s, next, s->v[i].lo - 1);
		if (s->v[i].hi >= max)
			next = max; /* nothing behind it; see below */
		else
			next = s->v[i].hi + 1;
	}
	if (!e && (!n || s->v[n - 1].hi < max))
		e = fw_span_add(s, next, max);
	memmove(s->v, s->v + n, (s->n - n) * sizeof(*s->v));
	s->n -= n;
	return e;
}

fw_key fw_key_load(const uint8_t *addr, size_t n)
{
	fw_key key = 0;

	for (size_t i = 16 - n; i < 16; i++)
		key = key << 8 | addr[i];
	return key;
}

static int take_prefixes(const struct fw_prefixes *list, unsigned root, struct fw_spans *s)
{
	unsigned bits = root ? 128 : 32;
	int e = 0;

	for (size_t i = 0; i < list->n && !e; i++) {
		const struct fw_prefix *p = &list->v[i];
		unsigned len = root ? p->len : p->len - 96u;
		fw_key lo;

		if (fw_prefix_is_ip4(p) != !root)
			continue;
		lo = fw_key_load(p->addr, bits / 8);
		e = fw_span_add(s, lo, len == bits ? lo : lo | (~(fw_key)0 >> (128 - bits + len)));
	}
	return e;
}

static int take_ranges(const struct fw_ranges *list, struct fw_spans *s)
{
	int e = 0;

	for (size_t i = 0; i < list->n && !e; i++)
		e = fw_span_add(s, list->v[i].lo, list->v[i].hi);
	return e;
}

/* Families of the list; what else of the addresses it takes is left to the look-up of pairs. */
static int take_families(const struct fw_endpoints *list, unsigned root, struct fw_spans *s)
{
	for (size_t i = 0; i < list->n; i++)
		if (fw_addr_is_ip4(list->v[i].addr) == !root)
			return fw_span_add(s, 0, root ? ~(fw_key)0 : UINT32_MAX);
	return 0;
}

/* Ports of the list, or any: likewise. */
static int take_ports(const struct fw_endpoints *list, struct fw_spans *s)
{
	int e = list->other ? fw_span_add(s, 0, UINT16_MAX) : 0;

	for (size_t i = 0; i < list->n && !list->other && !e; i++)
		e = fw_span_add(s, list->v[i].port, list->v[i].port);
	return e;
}

/* A field of few values: each is asked for. */
static int take_each(const struct fw_rule *r, unsigned values,
	bool (*takes)(const struct fw_rule *r, unsigned value), struct fw_spans *s)
{
	int e = 0;

	for (unsigned v = 0; v < values && !e; v++)
		if (takes(r, v))
			e = fw_span_add(s, v, v);
	return e;
}

static bool takes_proto(const struct fw_rule *r, unsigned v)
{
	if (r->has & FW_HAS_NOTHING || (r->family && !!(v & PST_FW_PROTO_6) != (r->family == 6)))
		return false;
	return !(r->has & FW_HAS_PROTO) || (r->protocols[(v & 255) / 64] >> v % 64 & 1);
}

static bool takes_flags(const struct fw_rule *r, unsigned v)
{
	return (v & r->tcp_mask) == r->tcp_value;
}

static bool takes_state(const struct fw_rule *r, unsigned v)
{
	return r->state >> v & 1;
}

static bool takes_dscp(const struct fw_rule *r, unsigned v)
{
	return r->dscp >> v & 1;
}

static int take_l4(const struct fw_rule *r, unsigned root, struct fw_spans *s)
{
	if (root == 0 && !(r->has & FW_HAS_ICMP))
		return take_each(r, 256, takes_flags, s);
	if (root == 1 && !(r->has & FW_HAS_TCP_FLAGS)) /* an empty list is any type */
		return r->icmp.n ? take_ranges(&r->icmp, s) : fw_span_add(s, 0, 0xffff);
	return 0;
}

static int take_ifaces(const struct fw_rule *r, struct fw_spans *s)
{
	int e = 0;

	for (size_t i = 0; i < r->n_ifaces && !e; i++)
		e = fw_span_add(s, r->ifaces[i], r->ifaces[i]);
	return e;
}

/* Does the rule say nothing of this dimension? */
static bool is_open(const struct fw_rule *r, enum pst_fw_dim dim)
{
	switch (dim) {
	case PST_FW_SADDR:
		return !r->src.n && !r->ends[0].n;
	case PST_FW_DADDR:
		return !r->dst.n && !r->ends[1].n;
	case PST_FW_SPORT:
		return !r->sport.n && !r->ends[0].n;
	case PST_FW_DPORT:
		return !r->dport.n && !r->ends[1].n;
	case PST_FW_PROTO: /* one that must not be open is enough for a rule that takes nothing */
		return !r->family && !(r->has & (FW_HAS_PROTO | FW_HAS_NOTHING));
	case PST_FW_L4:
		return !(r->has & (FW_HAS_TCP_FLAGS | FW_HAS_ICMP));
	case PST_FW_STATE:
		return !(r->has & FW_HAS_STATE);
	case PST_FW_DSCP:
		return !(r->has & FW_HAS_DSCP);
	case PST_FW_VLAN:
		return !r->vlan.n;
	default:
		return !(r->has & FW_HAS_IFACE);
	}
}

static int take(
	const struct fw_rule *r, enum pst_fw_dim dim, unsigned root, struct fw_spans *s, bool *ret_other)
{
	switch (dim) {
	case PST_FW_SADDR:
		if (r->ends[0].n)
			return take_families(&r->ends[0], root, s);
		*ret_other = r->src.other;
		return take_prefixes(&r->src, root, s);
	case PST_FW_DADDR:
		if (r->ends[1].n)
			return take_families(&r->ends[1], root, s);
		*ret_other = r->dst.other;
		return take_prefixes(&r->dst, root, s);
	case PST_FW_SPORT:
		if (!r->sport.n)
			return take_ports(&r->ends[0], s);
		*ret_other = r->sport.other;
		return take_ranges(&r->sport, s);
	case PST_FW_DPORT:
		if (!r->dport.n)
			return take_ports(&r->ends[1], s);
		*ret_other = r->dport.other;
		return take_ranges(&r->dport, s);
	case PST_FW_PROTO:
		return take_each(r, 2 * PST_FW_PROTO_6, takes_proto, s);
	case PST_FW_L4:
		*ret_other = root == 1 && r->icmp.other;
		return take_l4(r, root, s);
	case PST_FW_STATE:
		return take_each(r, PST_CT_STATES, takes_state, s);
	case PST_FW_DSCP:
		return take_each(r, 64, takes_dscp, s);
	case PST_FW_VLAN:
		*ret_other = r->vlan.other;
		return take_ranges(&r->vlan, s);
	default:
		return take_ifaces(r, s);
	}
}

int fw_rule_takes(const struct fw_rule *rule, enum pst_fw_dim dim, unsigned root, struct fw_spans *spans)
{
	bool other = false;
	int e;

	spans->n = 0;
	if (is_open(rule, dim))
		return FW_TAKES_ALL;
	if (!strides[dim][root])
		return FW_TAKES_NONE;
	e = take(rule, dim, root, spans, &other);
	fw_spans_join(spans);
	/* of what is named: a list of IPv4 says nothing of IPv6, one of ICMP types nothing of TCP */
	if (!e && other && spans->n)
		e = fw_spans_complement(spans, fw_dim_max(dim, root));
	if (e)
		return e;
	return spans->n ? FW_TAKES_SOME : FW_TAKES_NONE;
}
