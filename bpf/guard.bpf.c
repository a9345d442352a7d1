/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guard: what a packet that comes in over a guarded interface has to pass, at XDP or, where that cannot
 * be attached, at tc ingress. Parsed once; each step looks into tables that policyd wrote
 * (proto/abi/guard.h), and whose contents are not trusted: they decide the verdict and nothing else.
 */
#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"
#include "bpf/lib/ct_read.bpf.h"
#include "bpf/lib/fwflow.bpf.h"
#include "bpf/lib/guardcount.bpf.h"
#include "bpf/lib/guardfw.bpf.h"
#include "bpf/lib/guardlist.bpf.h"
#include "bpf/lib/guardpkt.bpf.h"
#include "bpf/lib/inner.bpf.h"
#include "bpf/lib/link.bpf.h"
#include "bpf/lib/offend.bpf.h"
#include "bpf/lib/plain.bpf.h"
#include "bpf/lib/sample.bpf.h"
#include "bpf/lib/reject.bpf.h"
#include "bpf/lib/scrub.bpf.h"
#include "bpf/lib/sigs.bpf.h"
#include "bpf/lib/srcrate.bpf.h"
#include "bpf/lib/syncookie.bpf.h"
#include "bpf/lib/trial.bpf.h"

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

/* Steps that are on by a flag. */
#define GUARD_JUDGES (PST_GUARD_LIMITS | PST_GUARD_BY_PROTOCOL | PST_GUARD_SYN | PST_GUARD_OFFENDERS)

static __always_inline const struct pst_guard *guard_control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&guard, &zero);
}

/* No step is on that would have a say in a packet whose headers can be read, or tell of it. One line says it.
 */
static __always_inline bool guard_is_idle(const struct pst_guard *g)
{
	return !(PST_READ(g->fw_generation) | PST_READ(g->block_generation) | PST_READ(g->bad_flags) |
		 PST_READ(g->sig_generation) |
		 (PST_READ(g->flags) & (GUARD_JUDGES | GUARD_INNER | PST_GUARD_FLOWS)));
}

/* Read once: the whole packet is judged by one generation of each table. */
static __always_inline void guard_read_words(struct guard_packet *pkt, const struct pst_guard *g)
{
	pkt->fw_generation = PST_READ(g->fw_generation);
	pkt->block_generation = PST_READ(g->block_generation);
	pkt->flags = PST_READ(g->flags);
	pkt->bad_flags = PST_READ(g->bad_flags);
	pkt->sig_generation = PST_READ(g->sig_generation);
	pkt->listed = PST_BLOCK_NONE;
	pkt->allowed = false;
	pkt->dry = 0;
	pkt->offender = 0;
	pkt->acts = 0;
}

/* ---- headers ---- */

static __always_inline void guard_cursor_xdp(struct xdp_md *ctx, struct pst_cursor *ret_c)
{
	ret_c->data = (void *)(long)ctx->data;
	ret_c->end = (void *)(long)ctx->data_end;
	ret_c->len = (long)ret_c->end - (long)ret_c->data;
}

/* Layer 2, and what the lists say; true: they drop it. */
static __always_inline bool guard_link_xdp(
	struct xdp_md *ctx, struct guard_packet *pkt, const struct pst_cursor *c, const struct pst_guard *g)
{
	__u32 off = 0;
	__u16 type = 0;

	guard_begin(pkt, c->len, ctx->ingress_ifindex);
	guard_read_words(pkt, g);
	pkt->link = pst_parse_eth(c, &type, &off);
	pkt->off = off;
	pkt->type = type;
	return pkt->link == PST_PARSE_OK && guard_lists_drop(pkt, c, off, type);
}

/* IPv4 at a place that one who does not remember it has to bound. */
static __always_inline bool guard_plain_at(
	const struct pst_cursor *c, __u64 off, __u16 type, struct pst_plain *ret)
{
	if (type != PST_ETH_IP || off > PST_ETH_BYTES + 4 * PST_VLAN_TAGS)
		return false;
	pst_keep(off);
	return pst_plain(c, off, ret);
}

/* What is plain needs no parser. */
static __always_inline bool guard_is_plain(struct guard_packet *pkt, const struct pst_cursor *c)
{
	struct pst_plain is;

	if (!guard_plain_at(c, pkt->off, pkt->type, &is))
		return false;
	guard_clear(pkt);
	pst_plain_put(&is, &pkt->key, &pkt->p);
	return true;
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

/* A packet that is plain without a call. */
static __always_inline enum pst_parse guard_headers_xdp(
	struct xdp_md *ctx, struct guard_packet *pkt, const struct pst_cursor *c)
{
	return pkt->link == PST_PARSE_OK && guard_is_plain(pkt, c) ? PST_PARSE_OK : guard_parse_xdp(ctx);
}

/* @incoming: as policyd says, and the lists are asked. */
__noinline int guard_parse_skb(struct __sk_buff *ctx, bool incoming)
{
	struct pst_cursor c = {
		.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end, .len = ctx->len};
	const struct pst_guard *g = guard_control();
	struct guard_packet *pkt = guard_packet();
	enum pst_parse what;
	__u32 off = 0;
	__u16 type = 0;

	if (!pkt || !g)
		return PST_PARSE_SHORT;
	guard_begin(pkt, ctx->len, ctx->ifindex);
	guard_clear(pkt);
	if (incoming) {
		guard_read_words(pkt, g);
	}
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
	if (guard_is_plain(pkt, &c))
		return PST_PARSE_OK;
	return pst_parse_ip(&c, off, type, &pkt->key, &pkt->p);
}

/* ---- tunnels ---- */

/* The inner source, in place of the outer one, of which nothing is left to be said. */
__noinline int guard_list_inner(void)
{
	struct guard_packet *pkt = guard_packet();

	if (!pkt || !pkt->p.inner_off || !pkt->block_generation)
		return 0;
	pkt->listed = pkt->key.family == AF_INET
			      ? guard_block_4(pkt, bpf_ntohl(*(const __u32 *)(pkt->key.saddr + 12)))
			      : guard_block_6(bpf_be64_to_cpu(*(const __u64 *)pkt->key.saddr),
					bpf_be64_to_cpu(*(const __u64 *)(pkt->key.saddr + 8)));
	return 0;
}

static __always_inline enum pst_parse guard_inside_xdp(struct xdp_md *ctx)
{
	enum pst_parse what = guard_inner_xdp(ctx);

	guard_list_inner();
	return what;
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
	if (what == PST_PARSE_OTHER)
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

/* The rules in force, if they are to decide. */
static __always_inline const struct pst_fw_head *guard_rules_begin(struct guard_packet *pkt, __u32 reason)
{
	struct pst_half half;

	if (reason != GUARD_TO_RULES || !guard_fw_half(pkt, &half))
		return NULL;
	pkt->fw.key[PST_FW_STATE] = PST_CT_UNTRACKED;
	return (const struct pst_fw_head *)half.lines;
}

/* The connection's state for the rules. */
static __always_inline void guard_track_xdp(struct xdp_md *ctx, struct guard_packet *pkt)
{
	struct pst_cursor c;
	__u32 state;

	guard_cursor_xdp(ctx, &c);
	if (guard_ct_is_open(pkt, &c)) {
		pkt->fw.key[PST_FW_STATE] = PST_CT_ESTABLISHED;
		return;
	}
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
	const struct pst_fw_head *head = guard_rules_begin(pkt, reason);
	__u32 verdict;

	if (head && guard_fw_asks_head(pkt, head))
		guard_fill_xdp(ctx);
	if (guard_is_tracked(pkt, reason))
		guard_track_xdp(ctx, pkt);
	if (!head)
		return reason == GUARD_TO_RULES ? PST_GUARD_OFF : reason;
	if (!guard_fw_kept(pkt, head, &verdict)) {
		guard_fill_xdp(ctx);
		guard_fw_miss();
		verdict = pkt->verdict;
	} else if (guard_is_trial(pkt)) {
		guard_trial_kept(pkt, verdict);
	}
	return guard_fw_reason(pkt, verdict, head->policy);
}

static __always_inline int guard_chain_xdp(
	struct xdp_md *ctx, struct guard_packet *pkt, const struct pst_cursor *c)
{
	enum pst_parse what = guard_headers_xdp(ctx, pkt, c);
	bool tracked, dropped;
	__u32 reason;

	if (pkt->flags & GUARD_INNER && inner_may_be(pkt, what))
		what = guard_inside_xdp(ctx);
	reason = guard_before_rules_xdp(ctx, pkt, what);
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

static __always_inline void guard_count_idle(
	__u32 ifindex, const struct pst_plain *is, __u32 packets, __u32 bytes)
{
	guard_count_judged(ifindex, PST_GUARD_OFF, guard_protocol(AF_INET, is->protocol, 0), PST_GUARD_PASS,
		packets, bytes);
}

/*
 * With nothing switched on a packet that is plain is counted, and nothing more is made of it. It leaves the
 * scratch alone, and so also a trial in whose middle it may come.
 */
static __always_inline bool guard_idle_xdp(
	struct xdp_md *ctx, const struct pst_cursor *c, const struct pst_guard *g)
{
	struct pst_plain is;
	const __u8 *eth;

	if (!guard_is_idle(g) || guard_trial_at(ctx->ingress_ifindex))
		return false;
	eth = pst_pull(c, 0, PST_ETH_BYTES);
	if (!eth || !guard_plain_at(c, PST_ETH_BYTES, pst_load16(eth + 12), &is))
		return false;
	guard_count_idle(ctx->ingress_ifindex, &is, 1, c->len);
	return true;
}

SEC("xdp")
int guard_xdp(struct xdp_md *ctx)
{
	const struct pst_guard *g = guard_control();
	int verdict = XDP_DROP;
	struct guard_packet *pkt;
	struct pst_cursor c;

	guard_cursor_xdp(ctx, &c);
	if (!g || guard_idle_xdp(ctx, &c, g))
		return XDP_PASS;
	pkt = guard_packet();
	if (!pkt)
		return XDP_PASS;
	if (guard_link_xdp(ctx, pkt, &c, g)) {
		guard_sample(pkt, PST_GUARD_DRY_BLOCKED);
		guard_count_in(pkt, PST_GUARD_BLOCKED, true, PST_GUARD_DROP);
	} else {
		/* or the compiler holds them in registers for the chain while the lists are short of them */
		pst_hide(pkt);
		pst_hide(ctx);
		guard_cursor_xdp(ctx, &c);
		verdict = guard_chain_xdp(ctx, pkt, &c);
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

static __always_inline enum pst_parse guard_inside_skb(struct __sk_buff *ctx)
{
	enum pst_parse what = guard_inner_skb(ctx);

	if (what == PST_PARSE_SHORT && guard_pull(ctx, GUARD_PULL))
		what = guard_inner_skb(ctx);
	if (what == PST_PARSE_SHORT && guard_pull(ctx, GUARD_PULL_MAX))
		what = guard_inner_skb(ctx);
	guard_list_inner();
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
	struct pst_cursor c = {
		.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end, .len = ctx->len};
	__u32 state;

	if (guard_ct_is_open(pkt, &c)) {
		pkt->fw.key[PST_FW_STATE] = PST_CT_ESTABLISHED;
		return;
	}
	guard_read_skb(ctx, pkt);
	state = guard_ct_judge();
	if (guard_syn_may_be(pkt, state) && guard_syn_back_skb(ctx))
		state = guard_ct_begin_open(pkt);
	pkt->fw.key[PST_FW_STATE] = state;
}

static __always_inline __u32 guard_rules_skb(struct __sk_buff *ctx, struct guard_packet *pkt, __u32 reason)
{
	const struct pst_fw_head *head = guard_rules_begin(pkt, reason);
	__u32 verdict;

	if (head && guard_fw_asks_head(pkt, head))
		guard_fill_skb(ctx);
	if (guard_is_tracked(pkt, reason))
		guard_track_skb(ctx, pkt);
	if (!head)
		return reason == GUARD_TO_RULES ? PST_GUARD_OFF : reason;
	if (!guard_fw_kept(pkt, head, &verdict)) {
		guard_fill_skb(ctx);
		guard_fw_miss();
		verdict = pkt->verdict;
	} else if (guard_is_trial(pkt)) {
		guard_trial_kept(pkt, verdict);
	}
	return guard_fw_reason(pkt, verdict, head->policy);
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
	if (pkt->flags & GUARD_INNER && inner_may_be(pkt, what))
		what = guard_inside_skb(ctx);
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

/* As guard_idle_xdp(). */
static __always_inline bool guard_idle_skb(struct __sk_buff *ctx)
{
	struct pst_cursor c = {
		.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end, .len = ctx->len};
	const struct pst_guard *g = guard_control();
	struct pst_plain is;
	__u32 off = 0;
	__u16 type = 0;

	if (!g || !guard_is_idle(g) || guard_trial_at(ctx->ifindex))
		return false;
	if (pst_link_skb(ctx, &c, &type, &off) != PST_PARSE_OK || !guard_plain_at(&c, off, type, &is))
		return false;
	guard_count_idle(ctx->ifindex, &is, ctx->gso_segs > 1 ? ctx->gso_segs : 1, ctx->len);
	return true;
}

SEC("tc")
int guard_tc(struct __sk_buff *ctx)
{
	struct guard_packet *pkt;
	int verdict;

	if (guard_idle_skb(ctx))
		return TC_ACT_UNSPEC;
	verdict = guard_chain_skb(ctx, &pkt);
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
