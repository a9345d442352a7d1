/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that the kernel freed without delivering them.
 *
 * kfree_skb says why since 5.17 (c504e5c2f964). What is no drop:
 * - SKB_NOT_DROPPED_YET and SKB_CONSUMED;
 * - without a reason (older kernels, and SKB_DROP_REASON_NOT_SPECIFIED: call sites that say nothing): what is
 * not IP or belongs to no device (local sockets, netlink), TCP segments with FIN or RST (the last ones of an
 * orderly close are freed so), and IGMP, neighbour discovery and MLD (freed so after they were handled). With
 * a reason everything counts, also what is not IP (family 0), as long as it came from or goes to a device.
 */
#ifndef PST_DROP_BPF_H
#define PST_DROP_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/emit.bpf.h"
#include "bpf/lib/maps_ring_net.bpf.h"
#include "bpf/lib/rate.bpf.h"
#include "bpf/lib/skb.bpf.h"

#define PST_TCP_FIN 0x01
#define PST_TCP_RST 0x04

static __always_inline bool pst_has_drop_reason(void)
{
	return bpf_core_type_exists(enum skb_drop_reason);
}

/* The numbers differ between kernels; a name that this one has not is never met. */
#define pst_reason_is(reason, name)                                                                          \
	(bpf_core_enum_value_exists(enum skb_drop_reason, name) &&                                           \
		(reason) == bpf_core_enum_value(enum skb_drop_reason, name))

/* ICMPv6 types 130 to 137 and 143: MLD and neighbour discovery. */
static __always_inline bool pst_drop_is_housekeeping(const struct pst_flow_key *key)
{
	if (key->protocol == IPPROTO_IGMP)
		return true;
	return key->protocol == IPPROTO_ICMPV6 &&
	       ((key->sport >= 130 && key->sport <= 137) || key->sport == 143);
}

/* Is a packet a drop of which nobody said why it was freed? */
static __always_inline bool pst_drop_wanted(enum pst_parse what, const struct pst_skb_level *l)
{
	if (what == PST_PARSE_OTHER || what == PST_PARSE_SHORT)
		return false;
	return !(l->p.tcp_flags & (PST_TCP_FIN | PST_TCP_RST)) && !pst_drop_is_housekeeping(&l->key);
}

static __always_inline void pst_drop_ends(struct pst_rec_drop *rec, const struct pst_skb_level *l)
{
	__builtin_memcpy(rec->ends.laddr, l->key.saddr, 16);
	__builtin_memcpy(rec->ends.raddr, l->key.daddr, 16);
	rec->ends.family = l->key.family;
	rec->ends.protocol = l->key.protocol;
	rec->tcp_flags = l->p.tcp_flags;
	if (l->key.protocol == IPPROTO_ICMP || l->key.protocol == IPPROTO_ICMPV6)
		return; /* type and code are no ports */
	rec->ends.lport = l->key.sport;
	rec->ends.rport = l->key.dport;
}

static __always_inline void pst_drop_emit(struct sk_buff *skb, __u64 location, __u32 reason, __u32 ifindex,
	const struct pst_skb_level *l, bool ip)
{
	struct pst_rec_drop *rec = pst_reserve(&ring_net, PST_CLASS_NET, sizeof(*rec));

	if (!rec)
		return;
	__builtin_memset(rec, 0, sizeof(*rec));
	pst_head(&rec->h, PST_REC_DROP, sizeof(*rec));
	if (ip)
		pst_drop_ends(rec, l);
	rec->location = location;
	rec->reason = reason;
	rec->ifindex = ifindex;
	rec->len = BPF_CORE_READ(skb, len);
	rec->netns = pst_skb_netns(skb);
	pst_submit(&ring_net, PST_CLASS_NET, rec, sizeof(*rec));
}

static __always_inline void pst_drop(struct sk_buff *skb, __u64 location, __u32 reason, __u32 limit)
{
	struct pst_skb_level *l;
	enum pst_parse what;
	__u32 ifindex, depth;
	bool said = false;

	if (pst_has_drop_reason()) {
		if (pst_reason_is(reason, SKB_NOT_DROPPED_YET) || pst_reason_is(reason, SKB_CONSUMED))
			return;
		said = !pst_reason_is(reason, SKB_DROP_REASON_NOT_SPECIFIED);
	}
	ifindex = BPF_CORE_READ(skb, dev, ifindex);
	if (!ifindex)
		ifindex = BPF_CORE_READ(skb, skb_iif);
	if (!ifindex)
		return;
	/* before the packet is looked at, where that can be: a storm has to cost little */
	if (said && !pst_rate_ok(PST_RATE_DROP, limit))
		return;
	l = pst_skb_enter(&depth);
	if (!l)
		return;
	what = pst_skb_parse((__u64)skb, depth);
	if (said || (pst_drop_wanted(what, l) && pst_rate_ok(PST_RATE_DROP, limit)))
		pst_drop_emit(skb, location, reason, ifindex, l, what == PST_PARSE_OK);
	pst_skb_leave(depth);
}

#endif
