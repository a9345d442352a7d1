/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The firewall: what rules see of a packet, the search for its rule, and verdicts that are kept. */
#ifndef PST_GUARDFW_BPF_H
#define PST_GUARDFW_BPF_H

#include "bpf/lib/fwacts.bpf.h"
#include "bpf/lib/fwflow.bpf.h"
#include "bpf/lib/trial.bpf.h"

#define GUARD_TAGGED 0x10000

/* What rules see beside the parser's key: the outer tag and the traffic class. */
static __always_inline void guard_fill_head(struct guard_packet *pkt, const struct pst_cursor *c)
{
	const __u8 *tag = pst_pull(c, 0, 18), *ip;
	__u64 off = pkt->off;

	if (!pkt->tag && tag && off - pkt->p.inner_off > PST_ETH_BYTES)
		pkt->tag = GUARD_TAGGED | pst_be16(tag + 14);
	pkt->fw.root[PST_FW_VLAN] = !pkt->tag;
	pkt->fw.key[PST_FW_VLAN] = pkt->tag & 0xfff;
	if (off > PST_HEADERS_MAX)
		return;
	pst_keep(off);
	ip = pst_pull(c, off, 2);
	if (ip)
		pkt->fw.key[PST_FW_DSCP] =
			(pkt->key.family == AF_INET6 ? pst_be16(ip) >> 6 : pst_be16(ip) >> 2) & 63;
}

static __always_inline void guard_fill_key(struct guard_packet *pkt)
{
	bool is_ip6 = pkt->key.family == AF_INET6, whole = !pkt->p.later_fragment;
	bool icmp = whole && (pkt->key.protocol == IPPROTO_ICMP || pkt->key.protocol == IPPROTO_ICMPV6);
	bool ports = whole && guard_has_ports(pkt->key.protocol);
	struct pst_fw_packet *fw = &pkt->fw;

	__builtin_memcpy(fw->addr[0], pkt->key.saddr, 16);
	__builtin_memcpy(fw->addr[1], pkt->key.daddr, 16);
	fw->root[PST_FW_SADDR] = fw->root[PST_FW_DADDR] = is_ip6;
	fw->root[PST_FW_SPORT] = fw->root[PST_FW_DPORT] = !ports;
	fw->key[PST_FW_SPORT] = pkt->key.sport;
	fw->key[PST_FW_DPORT] = pkt->key.dport;
	fw->key[PST_FW_PROTO] = pkt->key.protocol | (is_ip6 ? PST_FW_PROTO_6 : 0);
	fw->root[PST_FW_L4] = icmp ? 1 : whole && pkt->key.protocol == IPPROTO_TCP ? 0 : 2;
	fw->key[PST_FW_L4] = icmp ? pkt->key.sport << 8 | pkt->key.dport : pkt->p.tcp_flags;
}

/* struct pst_fw_packet, after guard_parse_xdp(). */
__noinline int guard_fill_xdp(struct xdp_md *ctx)
{
	struct pst_cursor c = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct guard_packet *pkt = guard_packet();

	if (!pkt)
		return 0;
	c.len = (long)c.end - (long)c.data;
	guard_fill_key(pkt);
	guard_fill_head(pkt, &c);
	return 0;
}

/* struct pst_fw_packet, after guard_parse_skb(). */
__noinline int guard_fill_skb(struct __sk_buff *ctx)
{
	struct pst_cursor c = {
		.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end, .len = ctx->len};
	struct guard_packet *pkt = guard_packet();

	if (!pkt)
		return 0;
	guard_fill_key(pkt);
	guard_fill_head(pkt, &c);
	return 0;
}

/* ---- the parts of the search, each verified once ---- */

__noinline int guard_fw_classes(void)
{
	struct guard_packet *pkt = guard_packet();
	struct pst_half half;

	if (pkt && guard_fw_half(pkt, &half))
		pst_fw_classes(&half, (const struct pst_fw_head *)half.lines, &pkt->fw, &pkt->search);
	return 0;
}

/* A rule on the way that decides nothing. */
static __always_inline void guard_fw_pass(const struct pst_fw_entry *entry, void *arg)
{
	struct guard_packet *pkt = arg;

	guard_count_rule(entry->counter, pkt);
	fwacts_of(pkt, entry);
	if (guard_is_trial(pkt))
		guard_trial_passed(pkt->passed, entry->id);
	pkt->passed++;
}

__noinline int guard_fw_step(void)
{
	struct guard_packet *pkt = guard_packet();
	struct pst_half half;

	if (!pkt || !guard_fw_half(pkt, &half))
		return true;
	return pst_fw_step(
		&half, (const struct pst_fw_head *)half.lines, &pkt->fw, &pkt->search, guard_fw_pass, pkt);
}

/*
 * What a verdict comes to in the cache: the action, and the counter above it. Rules on the way that only
 * count, and what a rule does beside its verdict, are not in it: such packets are searched for each time.
 */
#define GUARD_VERDICT_NONE 0xffff0000u /* the policy */

static __always_inline __u32 guard_fw_search(struct guard_packet *pkt)
{
	int i;

	pkt->passed = 0;
	guard_fw_classes();
	for (i = 0; i < PST_FW_STEPS; i++)
		if (guard_fw_step())
			break;
	if (pkt->search.rule == PST_FW_NO_RULE)
		return GUARD_VERDICT_NONE;
	fwacts_of(pkt, &pkt->search.entry);
	return pkt->search.entry.counter << GUARD_VERDICT_COUNTER | (pkt->search.entry.action & 0xffff);
}

/* The verdict by search into guard_packet(), and into the cache if it may be kept. */
__noinline int guard_fw_miss(void)
{
	struct guard_packet *pkt = guard_packet();
	struct fwcache_place place;
	__u32 verdict, generation;

	if (!pkt)
		return 0;
	verdict = guard_fw_search(pkt);
	pkt->verdict = verdict;
	if (pkt->passed || pkt->key.family != AF_INET || (verdict & (PST_FW_LOG | PST_FW_MARK)))
		return 0;
	if (guard_is_trial(pkt))
		return 0;
	generation = pkt->fw_generation;
	if (fwcache_place(pkt->cache_key, &place))
		fwcache_put(&place, pkt->cache_key, generation, verdict, pkt->misses++);
	return 0;
}

#define GUARD_FW_USES(used, dim) ((used)&1u << (dim))
/* Whether ports and flags mean something depends on the protocol. */
#define GUARD_FW_PROTOCOL (1u << PST_FW_PROTO | 1u << PST_FW_L4 | 1u << PST_FW_SPORT | 1u << PST_FW_DPORT)
#define GUARD_FW_HEAD     (1u << PST_FW_VLAN | 1u << PST_FW_DSCP) /* guard_fill_head() */

/*
 * What tells packets over IPv4 apart that rules may judge differently: the fields that some rule looks at. Of
 * guard_fill_*() it needs GUARD_FW_HEAD alone.
 */
static __always_inline void guard_fw_key(
	const struct guard_packet *pkt, __u32 used, __u64 ret_key[FWCACHE_WORDS])
{
	__u64 saddr = *(const __u32 *)&pkt->key.saddr[12], daddr = *(const __u32 *)&pkt->key.daddr[12];
	__u64 sport = pkt->key.sport, dport = pkt->key.dport, l4 = pkt->p.tcp_flags;
	__u64 protocol = pkt->key.protocol | (__u64)pkt->p.later_fragment << 8;
	__u64 vlan = (__u64)pkt->fw.root[PST_FW_VLAN] << 28 | pkt->fw.key[PST_FW_VLAN];

	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		l4 = sport << 8 | dport;
	ret_key[0] = GUARD_FW_USES(used, PST_FW_SADDR) ? saddr << 32 : 0;
	ret_key[0] |= GUARD_FW_USES(used, PST_FW_DADDR) ? daddr : 0;
	ret_key[1] = GUARD_FW_USES(used, PST_FW_L4) ? l4 << 48 : 0;
	ret_key[1] |= used & GUARD_FW_PROTOCOL ? protocol << 32 : 0;
	ret_key[1] |= GUARD_FW_USES(used, PST_FW_SPORT) ? sport << 16 : 0;
	ret_key[1] |= GUARD_FW_USES(used, PST_FW_DPORT) ? dport : 0;
	ret_key[2] = GUARD_FW_USES(used, PST_FW_IFACE) ? (__u64)pkt->fw.ifindex << 32 : 0;
	ret_key[2] |= GUARD_FW_USES(used, PST_FW_VLAN) ? vlan : 0;
	ret_key[2] |= GUARD_FW_USES(used, PST_FW_DSCP) ? (__u64)pkt->fw.key[PST_FW_DSCP] << 16 : 0;
	ret_key[2] |= GUARD_FW_USES(used, PST_FW_STATE) ? (__u64)pkt->fw.key[PST_FW_STATE] << 24 : 0;
}

/* enum pst_guard_reason */
static __always_inline __u32 guard_fw_reason(struct guard_packet *pkt, __u32 verdict, __u32 policy)
{
	if (verdict == GUARD_VERDICT_NONE)
		return policy == PST_FW_ACCEPT ? PST_GUARD_FW_POLICY : PST_GUARD_FW_NO_MATCH;
	guard_count_rule(verdict >> GUARD_VERDICT_COUNTER, pkt);
	pkt->verdict = verdict; /* how it is answered, and whose it is */
	switch (verdict & 0xff) {
	case PST_FW_ACCEPT:
		return PST_GUARD_FW_ACCEPT;
	case PST_FW_STEP:
		return PST_GUARD_FW_STEP;
	case PST_FW_REJECT:
		return PST_GUARD_FW_REJECT;
	default:
		return PST_GUARD_FW_DROP;
	}
}

/* The rule behind a verdict that was kept is looked for, to name it; what was kept stays what counts. */
static __always_inline void guard_trial_kept(struct guard_packet *pkt, __u32 verdict)
{
	guard_fw_miss();
	pkt->cached = true;
	pkt->verdict = verdict;
}

/* What verdicts are kept by has to be filled in; for a trial all of it, to tell what it was. */
static __always_inline bool guard_fw_asks_head(const struct guard_packet *pkt, const struct pst_fw_head *head)
{
	return head->used & GUARD_FW_HEAD || guard_is_trial(pkt);
}

/* What the rules say, when an earlier packet of this kind was searched for. Else its key is noted. */
static __always_inline bool guard_fw_kept(
	struct guard_packet *pkt, const struct pst_fw_head *head, __u32 *ret_verdict)
{
	__u64 key[FWCACHE_WORDS];
	struct fwcache_place place;

	if (pkt->key.family != AF_INET)
		return false;
	guard_fw_key(pkt, head->used, key);
	if (fwcache_place(key, &place) && fwcache_find(&place, key, pkt->fw_generation, ret_verdict))
		return true;
	__builtin_memcpy(pkt->cache_key, key, sizeof(key));
	return false;
}

#endif
