/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guard: what a packet that comes in over a guarded interface has to pass, at XDP or, where that cannot
 * be attached, at tc ingress. Parsed once; each step looks into tables that policyd wrote
 * (proto/abi/guard.h), and whose contents are not trusted: they decide the verdict and nothing else.
 */
#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"
#include "bpf/lib/ct_read.bpf.h"
#include "bpf/lib/fwacts.bpf.h"
#include "bpf/lib/fwflow.bpf.h"
#include "bpf/lib/guardcount.bpf.h"
#include "bpf/lib/guardpkt.bpf.h"
#include "bpf/lib/link.bpf.h"
#include "bpf/lib/offend.bpf.h"
#include "bpf/lib/sample.bpf.h"
#include "bpf/lib/reject.bpf.h"
#include "bpf/lib/scrub.bpf.h"
#include "bpf/lib/sigs.bpf.h"
#include "bpf/lib/srcrate.bpf.h"
#include "bpf/lib/syncookie.bpf.h"
#include "bpf/lib/trial.bpf.h"

const volatile __u32 cfg_block_mask = PST_BLOCK_LINES - 1; /* lines in a half of `block_lines` - 1 */

#define GUARD_TAGGED 0x10000

static __always_inline void guard_begin(struct guard_packet *pkt, __u32 bytes, __u32 ifindex)
{
	ifindex = guard_trial_begin(pkt, ifindex);
	barrier();
	pkt->packets = 1;
	pkt->bytes = bytes;
	pkt->tag = 0;
	pkt->fw.ifindex = ifindex;
}

/* Nothing of it has been parsed. */
static __always_inline void guard_clear(struct guard_packet *pkt)
{
	__builtin_memset(&pkt->key, 0, sizeof(pkt->key) + sizeof(pkt->p));
}

/* Read once: the whole packet is judged by one generation of each table. */
static __always_inline void guard_read_words(struct guard_packet *pkt)
{
	__u32 zero = 0;
	struct pst_guard *g = bpf_map_lookup_elem(&guard, &zero);

	pkt->fw_generation = g ? *(volatile __u64 *)&g->fw_generation : 0;
	pkt->block_generation = g ? *(volatile __u64 *)&g->block_generation : 0;
	pkt->flags = g ? *(volatile __u64 *)&g->flags : 0;
	pkt->bad_flags = g ? *(volatile __u64 *)&g->bad_flags : 0;
	pkt->sig_generation = g ? *(volatile __u64 *)&g->sig_generation : 0;
	pkt->listed = PST_BLOCK_NONE;
	pkt->allowed = false;
	pkt->dry = 0;
	pkt->offender = 0;
	pkt->acts = 0;
}

/* ---- allow and block list ---- */

static __always_inline struct pst_half guard_block_half(const struct guard_packet *pkt)
{
	return (struct pst_half){
		.table = &block_lines,
		.base = pkt->block_generation & 1 ? cfg_block_mask + 1 : 0,
		.mask = cfg_block_mask,
	};
}

/* enum pst_block_kind of the source; what it matched in guard_packet(). */
static __always_inline __u32 guard_block_4(struct guard_packet *pkt, __u32 addr)
{
	struct pst_half half = guard_block_half(pkt);
	struct pst_block_hit hit = {};
	__u32 kind = pst_block_match_4(&half, addr, guard_now(pkt), &hit);

	pkt->hit = hit;
	return kind;
}

__noinline int guard_block_6(__u64 hi, __u64 lo)
{
	struct guard_packet *pkt = guard_packet();
	const struct pst_block_addr addr = {.hi = hi, .lo = lo};
	struct pst_block_hit hit = {};
	struct pst_half half;
	int kind;

	if (!pkt)
		return PST_BLOCK_NONE;
	half = guard_block_half(pkt);
	kind = pst_block_match_6(&half, &addr, guard_now(pkt), &hit);
	pkt->hit = hit;
	return kind;
}

/* What counters and samples tell of a packet of which nothing more is read. */
static __always_inline void guard_key_head(struct guard_packet *pkt, __u8 family, __u8 protocol)
{
	pkt->key.family = family;
	pkt->key.protocol = protocol;
}

/* @ip: from the protocol on. */
static __always_inline __u32 guard_listed_4(struct guard_packet *pkt, const __u8 *ip)
{
	__u32 kind = guard_block_4(pkt, bpf_ntohl(*(const __u32 *)(ip + 3)));

	if (kind >= PST_BLOCK_ADDRESS) {
		guard_key_head(pkt, AF_INET, ip[0]);
		pst_parse_addr4(pkt->key.saddr, ip + 3);
	}
	return kind;
}

static __always_inline __u32 guard_listed_6(struct guard_packet *pkt, const __u8 *ip)
{
	__u32 kind = guard_block_6(
		bpf_be64_to_cpu(*(const __u64 *)(ip + 2)), bpf_be64_to_cpu(*(const __u64 *)(ip + 10)));

	if (kind >= PST_BLOCK_ADDRESS) {
		guard_key_head(pkt, AF_INET6, ip[0]);
		__builtin_memcpy(pkt->key.saddr, ip + 2, 16);
	}
	return kind;
}

/* enum pst_block_kind of the source: at a fixed place behind the link header, whatever else is there. */
static __always_inline __u32 guard_listed(
	struct guard_packet *pkt, const struct pst_cursor *c, __u64 off, __u16 type)
{
	const __u8 *ip;

	if (type == PST_ETH_IP) {
		ip = pst_pull(c, off + 9, 7);
		return ip ? guard_listed_4(pkt, ip) : PST_BLOCK_NONE;
	}
	if (type != PST_ETH_IPV6)
		return PST_BLOCK_NONE;
	ip = pst_pull(c, off + 6, 18);
	return ip ? guard_listed_6(pkt, ip) : PST_BLOCK_NONE;
}

/*
 * Before anything else of the packet is read, so that what is blocked costs little. True: the lists drop it.
 * A dry run, a trial and the table of flows, which tell what the packet was, go on.
 */
static __always_inline bool guard_lists_drop(
	struct guard_packet *pkt, const struct pst_cursor *c, __u64 off, __u16 type)
{
	if (!pkt->block_generation)
		return false;
	pkt->listed = guard_listed(pkt, c, off, type);
	return pkt->listed >= PST_BLOCK_ADDRESS && !(pkt->flags & (PST_GUARD_DRY_LISTS | PST_GUARD_FLOWS)) &&
	       !guard_is_trial(pkt);
}

/* ---- headers ---- */

/* Layer 2, and what the lists say; true: they drop it. */
static __always_inline bool guard_link_xdp(struct xdp_md *ctx, struct guard_packet *pkt)
{
	struct pst_cursor c = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	__u32 off = 0;
	__u16 type = 0;

	c.len = (long)c.end - (long)c.data;
	guard_begin(pkt, c.len, ctx->ingress_ifindex);
	guard_read_words(pkt);
	pkt->link = pst_parse_eth(&c, &type, &off);
	pkt->off = off;
	pkt->type = type;
	return pkt->link == PST_PARSE_OK && guard_lists_drop(pkt, &c, off, type);
}

/* The packet's headers into guard_packet(); enum pst_parse. Verified once, as it is no static function. */
__noinline int guard_parse_xdp(struct xdp_md *ctx)
{
	struct pst_cursor c = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct guard_packet *pkt = guard_packet();

	if (!pkt)
		return PST_PARSE_SHORT;
	c.len = (long)c.end - (long)c.data;
	guard_clear(pkt);
	if (pkt->link != PST_PARSE_OK)
		return pkt->link;
	return pst_parse_ip(&c, pkt->off, pkt->type, &pkt->key, &pkt->p);
}

/* @incoming: as policyd says, and the lists are asked. */
__noinline int guard_parse_skb(struct __sk_buff *ctx, bool incoming)
{
	struct pst_cursor c = {
		.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end, .len = ctx->len};
	struct guard_packet *pkt = guard_packet();
	enum pst_parse what;
	__u32 off = 0;
	__u16 type = 0;

	if (!pkt)
		return PST_PARSE_SHORT;
	guard_begin(pkt, ctx->len, ctx->ifindex);
	guard_clear(pkt);
	if (incoming)
		guard_read_words(pkt);
	if (ctx->gso_segs > 1)
		pkt->packets = ctx->gso_segs;
	if (ctx->vlan_present)
		pkt->tag = GUARD_TAGGED | (ctx->vlan_tci & 0xffff);
	what = pst_link_skb(ctx, &c, &type, &off);
	pkt->off = off;
	pkt->type = type;
	if (what != PST_PARSE_OK)
		return what;
	if (incoming && guard_lists_drop(pkt, &c, off, type))
		return PST_PARSE_OK;
	return pst_parse_ip(&c, off, type, &pkt->key, &pkt->p);
}

/* What rules see beside the parser's key: the outer tag and the traffic class. */
static __always_inline void guard_fill_head(struct guard_packet *pkt, const struct pst_cursor *c)
{
	const __u8 *tag = pst_pull(c, 0, 18), *ip;
	__u64 off = pkt->off;

	if (!pkt->tag && tag && off > PST_ETH_BYTES)
		pkt->tag = GUARD_TAGGED | pst_be16(tag + 14);
	pkt->fw.root[PST_FW_VLAN] = !pkt->tag;
	pkt->fw.key[PST_FW_VLAN] = pkt->tag & 0xfff;
	if (off > PST_ETH_BYTES + 4 * PST_VLAN_TAGS)
		return;
	pst_keep(off);
	ip = pst_pull(c, off, 2);
	if (ip)
		pkt->fw.key[PST_FW_DSCP] =
			(pkt->key.family == AF_INET6 ? pst_be16(ip) >> 6 : pst_be16(ip) >> 2) & 63;
}

static __always_inline void guard_fill_key(struct guard_packet *pkt)
{
	bool is_ip = pkt->key.family, is_ip6 = pkt->key.family == AF_INET6;
	bool whole = is_ip && !pkt->p.later_fragment;
	bool icmp = whole && (pkt->key.protocol == IPPROTO_ICMP || pkt->key.protocol == IPPROTO_ICMPV6);
	bool ports = whole && guard_has_ports(pkt->key.protocol);
	struct pst_fw_packet *fw = &pkt->fw;

	__builtin_memcpy(fw->addr[0], pkt->key.saddr, 16);
	__builtin_memcpy(fw->addr[1], pkt->key.daddr, 16);
	fw->root[PST_FW_SADDR] = fw->root[PST_FW_DADDR] = is_ip ? is_ip6 : 2;
	fw->root[PST_FW_SPORT] = fw->root[PST_FW_DPORT] = !ports;
	fw->key[PST_FW_SPORT] = pkt->key.sport;
	fw->key[PST_FW_DPORT] = pkt->key.dport;
	fw->key[PST_FW_PROTO] = !is_ip   ? PST_FW_PROTO_OTHER
				: is_ip6 ? pkt->key.protocol | PST_FW_PROTO_6
					 : pkt->key.protocol;
	fw->root[PST_FW_L4] = icmp ? 1 : whole && pkt->key.protocol == IPPROTO_TCP ? 0 : 2;
	fw->key[PST_FW_L4] = icmp ? pkt->key.sport << 8 | pkt->key.dport : pkt->p.tcp_flags;
	fw->key[PST_FW_STATE] = PST_CT_UNTRACKED;
	fw->root[PST_FW_DSCP] = !is_ip;
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

/* ---- firewall: the parts of the search, each verified once ---- */

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
	return pst_fw_step(&half, (const struct pst_fw_head *)half.lines, &pkt->search, guard_fw_pass, pkt);
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
	if (pkt->passed || pkt->fw.root[PST_FW_SADDR] || (verdict & (PST_FW_LOG | PST_FW_MARK)))
		return 0;
	if (guard_is_trial(pkt))
		return 0;
	generation = pkt->fw_generation;
	if (fwcache_place(pkt->cache_key, &place))
		fwcache_put(&place, pkt->cache_key, generation, verdict, pkt->misses++);
	return 0;
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
static __always_inline void guard_trial_cached(struct guard_packet *pkt, __u32 verdict)
{
	guard_fw_miss();
	pkt->cached = true;
	pkt->verdict = verdict;
}

__noinline int guard_firewall(void)
{
	struct guard_packet *pkt = guard_packet();
	const struct pst_fw_head *head;
	struct fwcache_place place;
	struct pst_half half;
	__u32 verdict;

	if (!pkt || !guard_fw_half(pkt, &half))
		return PST_GUARD_OFF;
	head = (const struct pst_fw_head *)half.lines;
	if (!pkt->fw.root[PST_FW_SADDR]) {
		fwcache_key(&pkt->fw, head->used, pkt->cache_key);
		if (fwcache_place(pkt->cache_key, &place) &&
			fwcache_find(&place, pkt->cache_key, pkt->fw_generation, &verdict)) {
			if (guard_is_trial(pkt))
				guard_trial_cached(pkt, verdict);
			return guard_fw_reason(pkt, verdict, head->policy);
		}
	}
	guard_fw_miss();
	return guard_fw_reason(pkt, pkt->verdict, head->policy);
}

/* ---- the chain ---- */

/* A step that drops: its reason, or, while it runs dry, its event, and the packet goes on. */
static __always_inline bool guard_drops(struct guard_packet *pkt, __u64 dry, __u32 event)
{
	guard_sample(pkt, event);
	if (!(pkt->flags & dry))
		return true;
	guard_note_dry(pkt, event);
	return false;
}

static __always_inline bool guard_has_bad_flags(const struct guard_packet *pkt)
{
	return pkt->bad_flags && pkt->key.protocol == IPPROTO_TCP && !pkt->p.later_fragment &&
	       pkt->bad_flags >> (pkt->p.tcp_flags % PST_TCP_FLAGS) & 1;
}

/* The frame may be padded, but not shorter than its IP packet. */
static __always_inline bool guard_is_cut(const struct guard_packet *pkt)
{
	return pkt->p.l3_len > pkt->bytes - pkt->off;
}

#define GUARD_TO_RULES PST_GUARD_REASONS       /* no reason yet: the rules decide */
#define GUARD_GO_ON    (PST_GUARD_REASONS + 1) /* nor do they yet: the steps behind do */

/* What source and headers alone decide; enum pst_guard_reason or GUARD_GO_ON. */
static __always_inline __u32 guard_by_headers(struct guard_packet *pkt, enum pst_parse what)
{
	if (pkt->listed >= PST_BLOCK_ADDRESS && guard_drops(pkt, PST_GUARD_DRY_LISTS, PST_GUARD_DRY_BLOCKED))
		return PST_GUARD_BLOCKED;
	if (what == PST_PARSE_SHORT || (what == PST_PARSE_OK && guard_is_cut(pkt)))
		return PST_GUARD_TRUNCATED;
	if (what == PST_PARSE_BAD)
		return PST_GUARD_MALFORMED;
	if (!pkt->key.family)
		return PST_GUARD_NO_IP;
	pkt->allowed = pkt->listed == PST_BLOCK_ALLOWED;
	if (pkt->flags & PST_GUARD_OFFENDERS && !pkt->allowed && guard_is_offender() &&
		guard_drops(pkt, PST_GUARD_DRY_OFFENDERS, PST_GUARD_DRY_OFFENDER))
		return PST_GUARD_OFFENDER;
	if (!pkt->allowed && guard_has_bad_flags(pkt) &&
		guard_drops(pkt, PST_GUARD_DRY_FLAGS, PST_GUARD_DRY_BAD_FLAGS))
		return PST_GUARD_BAD_FLAGS;
	return GUARD_GO_ON;
}

/* Steps that are on by a flag. */
#define GUARD_JUDGES (PST_GUARD_LIMITS | PST_GUARD_BY_PROTOCOL | PST_GUARD_SYN | PST_GUARD_OFFENDERS)

/* The limits, then on to the rules if there are any; enum pst_guard_reason or GUARD_TO_RULES. */
static __always_inline __u32 guard_by_source(struct guard_packet *pkt)
{
	if (pkt->flags & (PST_GUARD_LIMITS | PST_GUARD_BY_PROTOCOL) && !pkt->allowed &&
		guard_over_limits(pkt) && guard_drops(pkt, PST_GUARD_DRY_LIMITS, PST_GUARD_DRY_RATE))
		return PST_GUARD_RATE;
	if (pkt->fw_generation)
		return GUARD_TO_RULES;
	return pkt->block_generation || pkt->bad_flags || pkt->sig_generation || pkt->flags & GUARD_JUDGES
		       ? PST_GUARD_PASSED
		       : PST_GUARD_OFF;
}

static __always_inline bool guard_may_match(const struct guard_packet *pkt)
{
	return pkt->sig_generation && !pkt->allowed && guard_sig_begin();
}

/* Everything up to the rules; enum pst_guard_reason or GUARD_TO_RULES. */
static __always_inline __u32 guard_before_rules_xdp(
	struct xdp_md *ctx, struct guard_packet *pkt, enum pst_parse what)
{
	__u32 reason = guard_by_headers(pkt, what);

	if (reason != GUARD_GO_ON)
		return reason;
	if (guard_may_match(pkt) && guard_signatures_xdp(ctx))
		return PST_GUARD_SIGNATURE;
	return guard_by_source(pkt);
}

static __always_inline __u32 guard_before_rules_skb(
	struct __sk_buff *ctx, struct guard_packet *pkt, enum pst_parse what)
{
	__u32 reason = guard_by_headers(pkt, what);

	if (reason != GUARD_GO_ON)
		return reason;
	if (guard_may_match(pkt) && guard_signatures_skb(ctx))
		return PST_GUARD_SIGNATURE;
	return guard_by_source(pkt);
}

#define GUARD_REASON(reason) (1u << (reason))
#define GUARD_DROPPED                                                                                        \
	(GUARD_REASON(PST_GUARD_BLOCKED) | GUARD_REASON(PST_GUARD_RATE) | GUARD_REASON(PST_GUARD_FW_DROP) |  \
		GUARD_REASON(PST_GUARD_FW_REJECT) | GUARD_REASON(PST_GUARD_FW_NO_MATCH) |                    \
		GUARD_REASON(PST_GUARD_BAD_FLAGS) | GUARD_REASON(PST_GUARD_SIGNATURE) |                      \
		GUARD_REASON(PST_GUARD_SYN_LIMIT) | GUARD_REASON(PST_GUARD_OFFENDER))
#define GUARD_UNREAD                                                                                         \
	(GUARD_REASON(PST_GUARD_TRUNCATED) | GUARD_REASON(PST_GUARD_MALFORMED) |                             \
		GUARD_REASON(PST_GUARD_NO_IP))
static_assert(PST_GUARD_REASONS <= 32, "a set of reasons is a word");

/* Is what cannot be read for this reason dropped where it came in? Nothing but such packets comes here. */
__noinline int guard_drops_unread(__u32 reason)
{
	struct guard_packet *pkt = guard_packet();
	__u32 zero = 0, i;
	const struct pst_guard *g = bpf_map_lookup_elem(&guard, &zero);
	__u64 flags, ifindex;

	if (!pkt || !g)
		return false;
	flags = pkt->flags;
	ifindex = pkt->fw.ifindex;
	for (i = 0; flags & PST_GUARD_DROP_IFACES && i < PST_GUARD_IFACE_TRIES; i++) {
		__u64 at = (ifindex + i) % PST_GUARD_IFACES, own;

		pst_keep(at);
		if (at >= PST_GUARD_IFACES)
			break;
		own = *(const volatile __u64 *)&g->ifaces.drop[at];
		if (own >> 32 == ifindex)
			flags = own & 0xffffff;
	}
	if (reason == PST_GUARD_TRUNCATED)
		return !!(flags & PST_GUARD_DROP_TRUNCATED);
	if (reason == PST_GUARD_MALFORMED)
		return !!(flags & PST_GUARD_DROP_MALFORMED);
	return !!(flags & PST_GUARD_DROP_NO_IP);
}

static __always_inline bool guard_is_dropped(__u32 reason)
{
	if (GUARD_UNREAD & GUARD_REASON(reason & 31))
		return guard_drops_unread(reason);
	return reason < PST_GUARD_REASONS && GUARD_DROPPED & GUARD_REASON(reason);
}

/* Counts; true: it is dropped. */
static __always_inline bool guard_end(struct guard_packet *pkt, __u32 reason)
{
	bool dropped = guard_is_dropped(reason);

	pkt->reason = reason;
	guard_count_in(pkt, reason, reason != PST_GUARD_TRUNCATED && reason != PST_GUARD_MALFORMED,
		dropped                          ? PST_GUARD_DROP
		: reason == PST_GUARD_SYN_COOKIE ? PST_GUARD_ANSWER
						 : PST_GUARD_PASS);
	if (pkt->flags & PST_GUARD_FLOWS)
		fwflow_judged(!dropped && reason != PST_GUARD_SYN_COOKIE);
	return dropped;
}

/* A SYN that would come through, when there are too many. */
static __always_inline bool guard_syn_too_many(const struct guard_packet *pkt, __u32 reason)
{
	return pkt->flags & PST_GUARD_SYN && syn_is_syn(pkt) &&
	       !((GUARD_DROPPED | GUARD_UNREAD) & GUARD_REASON(reason & 31)) && !pkt->allowed &&
	       guard_syn_over();
}

static __always_inline __u32 guard_syn_reason(__u32 reason, __u32 answer)
{
	return answer == SYN_GOES_ON ? reason : answer;
}

/* What no connection explains may be a cookie that comes back. */
static __always_inline bool guard_syn_may_be(const struct guard_packet *pkt, __u32 state)
{
	return pkt->flags & PST_GUARD_SYN_COOKIES && pkt->ct.kind == GUARD_CT_TCP &&
	       (state == PST_CT_INVALID || state == PST_CT_NEW);
}

/* Rules may ask for its state, and what is dropped later whose its address is. */
static __always_inline bool guard_is_tracked(const struct guard_packet *pkt, __u32 reason)
{
	return pkt->flags & PST_GUARD_CT &&
	       (reason == GUARD_TO_RULES || (reason == PST_GUARD_PASSED && guard_offend_asks(pkt)));
}

/* The connection's state for the rules. */
static __always_inline void guard_track_xdp(struct xdp_md *ctx, struct guard_packet *pkt)
{
	__u32 state;

	if (guard_ct_read_xdp(ctx) == GUARD_CT_ERROR)
		guard_ct_quoted_xdp(ctx);
	state = guard_ct_judge();
	if (guard_syn_may_be(pkt, state) && guard_syn_back_xdp(ctx))
		state = guard_ct_begin_open(pkt);
	pkt->fw.key[PST_FW_STATE] = state;
}

/* Tracked if anything asks for it, and by the rules if there are any in force. */
static __always_inline __u32 guard_rules_xdp(struct xdp_md *ctx, struct guard_packet *pkt, __u32 reason)
{
	if (reason == GUARD_TO_RULES)
		guard_fill_xdp(ctx);
	if (guard_is_tracked(pkt, reason))
		guard_track_xdp(ctx, pkt);
	return reason == GUARD_TO_RULES ? guard_firewall() : reason;
}

static __always_inline int guard_chain_xdp(struct xdp_md *ctx, struct guard_packet *pkt)
{
	__u32 reason = guard_before_rules_xdp(ctx, pkt, guard_parse_xdp(ctx));
	bool tracked, dropped;

	if (guard_offends(pkt, reason))
		guard_offend_xdp(ctx, pkt, reason);
	tracked = guard_is_tracked(pkt, reason);
	reason = guard_rules_xdp(ctx, pkt, reason);
	if (guard_syn_too_many(pkt, reason))
		reason = guard_syn_reason(reason, guard_syn_answer_xdp(ctx));
	dropped = guard_end(pkt, reason);
	if (pkt->acts & PST_FW_LOG)
		fwacts_log_xdp(ctx);
	if (dropped) {
		if (reason == PST_GUARD_FW_REJECT)
			guard_count_reason(PST_GUARD_UNANSWERED, pkt);
		return guard_scrub(pkt, reason, XDP_DROP);
	}
	if (reason == PST_GUARD_SYN_COOKIE)
		return XDP_TX;
	if (tracked)
		guard_ct_settle(pkt);
	if (pkt->acts & PST_FW_MARK)
		fwacts_pass_xdp(pkt);
	return XDP_PASS;
}

SEC("xdp")
int guard_xdp(struct xdp_md *ctx)
{
	struct guard_packet *pkt = guard_packet();
	int verdict = XDP_DROP;

	if (!pkt)
		return XDP_PASS;
	if (guard_link_xdp(ctx, pkt)) {
		guard_sample(pkt, PST_GUARD_DRY_BLOCKED);
		guard_count_in(pkt, PST_GUARD_BLOCKED, true, PST_GUARD_DROP);
	} else {
		verdict = guard_chain_xdp(ctx, pkt);
	}
	guard_leave(pkt);
	return verdict;
}

/*
 * Headers that are made contiguous when they are not: first what link, IP and transport take by all that is
 * sensible, then as far as is read of any packet.
 */
#define GUARD_PULL     256
#define GUARD_PULL_MAX (CT_OFF_MAX + 60)

static __always_inline bool guard_pull(struct __sk_buff *ctx, __u32 most)
{
	__u32 len = ctx->len;
	long have = (long)ctx->data_end - (long)ctx->data;

	return have < len && have < most && !bpf_skb_pull_data(ctx, len < most ? len : most);
}

static __always_inline enum pst_parse guard_parse_pulled(struct __sk_buff *ctx, bool incoming)
{
	enum pst_parse what = guard_parse_skb(ctx, incoming);

	if (what == PST_PARSE_SHORT && guard_pull(ctx, GUARD_PULL))
		what = guard_parse_skb(ctx, incoming);
	if (what == PST_PARSE_SHORT && guard_pull(ctx, GUARD_PULL_MAX))
		what = guard_parse_skb(ctx, incoming);
	return what;
}

/* False: ICMP that cannot be read. */
static __always_inline bool guard_read_contiguous(struct __sk_buff *ctx, const struct guard_packet *pkt)
{
	if (guard_ct_read_skb(ctx) == GUARD_CT_ERROR)
		guard_ct_quoted_skb(ctx);
	return pkt->ct.kind != GUARD_CT_BAD;
}

/* Reads what tracking needs; an ICMP error's quotation may lie behind what is contiguous. */
static __always_inline void guard_read_skb(struct __sk_buff *ctx, const struct guard_packet *pkt)
{
	bool read = guard_read_contiguous(ctx, pkt);

	if (!read && guard_pull(ctx, GUARD_PULL))
		read = guard_read_contiguous(ctx, pkt);
	if (!read && guard_pull(ctx, GUARD_PULL_MAX))
		guard_read_contiguous(ctx, pkt);
}

static __always_inline void guard_track_skb(struct __sk_buff *ctx, struct guard_packet *pkt)
{
	__u32 state;

	guard_read_skb(ctx, pkt);
	state = guard_ct_judge();
	if (guard_syn_may_be(pkt, state) && guard_syn_back_skb(ctx))
		state = guard_ct_begin_open(pkt);
	pkt->fw.key[PST_FW_STATE] = state;
}

static __always_inline __u32 guard_rules_skb(struct __sk_buff *ctx, struct guard_packet *pkt, __u32 reason)
{
	if (reason == GUARD_TO_RULES)
		guard_fill_skb(ctx);
	if (guard_is_tracked(pkt, reason))
		guard_track_skb(ctx, pkt);
	return reason == GUARD_TO_RULES ? guard_firewall() : reason;
}

static __always_inline int guard_chain_skb(struct __sk_buff *ctx, struct guard_packet **ret_pkt)
{
	enum pst_parse what = guard_parse_pulled(ctx, true);
	struct guard_packet *pkt = guard_packet();
	__u32 reason;
	bool tracked, dropped;

	*ret_pkt = pkt;
	if (!pkt)
		return TC_ACT_UNSPEC;
	reason = guard_before_rules_skb(ctx, pkt, what);
	if (guard_offends(pkt, reason))
		guard_offend_skb(ctx, pkt, reason);
	tracked = guard_is_tracked(pkt, reason);
	reason = guard_rules_skb(ctx, pkt, reason);
	if (guard_syn_too_many(pkt, reason))
		reason = guard_syn_reason(reason, guard_syn_answer_skb(ctx));
	dropped = guard_end(pkt, reason);
	if (pkt->acts & PST_FW_LOG)
		fwacts_log_skb(ctx);
	if (dropped)
		return reason == PST_GUARD_FW_REJECT ? guard_rejected_skb(ctx, pkt)
						     : guard_scrub(pkt, reason, TC_ACT_SHOT);
	if (reason == PST_GUARD_SYN_COOKIE)
		return bpf_redirect(ctx->ifindex, 0);
	if (tracked)
		guard_ct_settle(pkt);
	if (pkt->acts & PST_FW_MARK)
		fwacts_pass_skb(ctx, pkt);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int guard_tc(struct __sk_buff *ctx)
{
	struct guard_packet *pkt;
	int verdict = guard_chain_skb(ctx, &pkt);

	if (pkt)
		guard_leave(pkt);
	return verdict;
}

/* What the host sends: never dropped, only tracked, so that answers are known for what they are. */
static __always_inline void guard_egress(struct __sk_buff *ctx, struct guard_packet *pkt, __u64 flags)
{
	pkt->flags = flags;
	guard_read_skb(ctx, pkt);
	pkt->ct.local = 1;
	guard_ct_judge();
	guard_ct_settle(pkt);
}

/* Its protocol, for counting; tracked if @flags say so. */
static __always_inline __u32 guard_out(struct __sk_buff *ctx, struct guard_packet *pkt, __u64 flags)
{
	enum pst_parse what = guard_parse_pulled(ctx, false);
	__u32 protocol = PST_GUARD_OTHER;

	if (what == PST_PARSE_OK || what == PST_PARSE_OTHER)
		protocol = guard_protocol(pkt->key.family, pkt->key.protocol, pkt->type);
	if (what == PST_PARSE_OK && flags & PST_GUARD_CT)
		guard_egress(ctx, pkt, flags);
	guard_leave(pkt);
	return protocol;
}

SEC("tc")
int guard_tc_egress(struct __sk_buff *ctx)
{
	struct guard_packet *pkt = guard_packet();
	__u32 zero = 0, protocol = GUARD_LOOK_CLOSER;
	const struct pst_guard *g = bpf_map_lookup_elem(&guard, &zero);
	__u64 flags;

	/* answers of the guard's own are counted where it gave them */
	if (!pkt || !g || ctx->mark == SYN_OWN_MARK)
		return TC_ACT_UNSPEC;
	flags = *(const volatile __u64 *)&g->flags;
	if (!(flags & PST_GUARD_CT))
		protocol = guard_protocol_out(ctx);
	if (protocol == GUARD_LOOK_CLOSER)
		protocol = guard_out(ctx, pkt, flags);
	guard_count_out(ctx, protocol);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
