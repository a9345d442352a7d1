/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Signatures of floods (struct pst_sigs). Three words say which a packet may match; each of these is looked
 * at by a function of its own, so a packet costs as many steps as it may match signatures, 64 at most.
 *
 * What the host asked for is known from its connections, where they are tracked, and looked up only for a
 * packet that is about to be dropped.
 */
#ifndef PST_SIGS_BPF_H
#define PST_SIGS_BPF_H

#include "bpf/lib/ct_read.bpf.h"
#include "bpf/lib/guardpkt.bpf.h"
#include "bpf/lib/sample.bpf.h"

#define SIG_OFF_MAX 16383 /* of what is compared, in the frame */

enum sig_step {
	SIG_NEXT = 0, /* the next one is to be looked at */
	SIG_MATCH,    /* dropped */
	SIG_ASK,      /* the same one again, when it is known what the host asked for */
	SIG_END,
};

enum sig_asked {
	SIG_UNKNOWN = 0,
	SIG_UNASKED,
	SIG_ASKED,
};

static __always_inline struct pst_sigs *sig_half(const struct guard_packet *pkt)
{
	__u32 i = pkt->sig_generation & 1;

	return bpf_map_lookup_elem(&guard_sigs, &i);
}

static __always_inline __u32 sig_protocol(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return PST_SIG_TCP;
	case IPPROTO_UDP:
		return PST_SIG_UDP;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return PST_SIG_ICMP;
	default:
		return PST_SIG_OTHER;
	}
}

static __always_inline __u32 sig_payload_bytes(const struct guard_packet *pkt)
{
	__u32 l3_len = pkt->p.l3_len ? pkt->p.l3_len : pkt->bytes - pkt->off;

	return l3_len > pkt->p.hdr_len ? l3_len - pkt->p.hdr_len : 0;
}

/* Which the packet may match; false: none. */
__noinline int guard_sig_begin(void)
{
	struct guard_packet *pkt = guard_packet();
	struct pst_sigs *half = pkt ? sig_half(pkt) : NULL;
	__u64 sport, dport, protocol;

	if (!half || pkt->p.later_fragment)
		return false;
	sport = pkt->key.sport % PST_SIG_PORTS;
	dport = pkt->key.dport % PST_SIG_PORTS;
	protocol = sig_protocol(pkt->key.protocol) % PST_SIG_PROTOCOLS;
	pst_keep(sport);
	pst_keep(dport);
	pst_keep(protocol);
	if (sport >= PST_SIG_PORTS || dport >= PST_SIG_PORTS || protocol >= PST_SIG_PROTOCOLS)
		return false;
	pkt->sigs = PST_READ(half->protocol[protocol]) & PST_READ(half->sport[sport]) &
		    PST_READ(half->dport[dport]);
	pkt->payload = sig_payload_bytes(pkt);
	pkt->asked = SIG_UNKNOWN;
	return pkt->sigs != 0;
}

static __always_inline bool sig_in(__u32 v, const __u16 *range)
{
	return v >= PST_READ(range[0]) && v <= PST_READ(range[1]);
}

/* The lowest that is left, taken from what is left. */
static __always_inline const struct pst_sig *sig_take(struct guard_packet *pkt)
{
	struct pst_sigs *half = sig_half(pkt);
	__u64 left = pkt->sigs, i;

	if (!left || !half)
		return NULL;
	i = pst_fw_lowest(left);
	pst_keep(i);
	pkt->sigs = left & (left - 1);
	return i < PST_SIGS ? &half->sig[i] : NULL;
}

/* All but the payload's bytes; these are @need. */
static __always_inline bool sig_fits(const struct guard_packet *pkt, const struct pst_sig *sig, __u32 need)
{
	return PST_READ(sig->protocol) == pkt->key.protocol && sig_in(pkt->key.sport, sig->sport) &&
	       sig_in(pkt->key.dport, sig->dport) && sig_in(pkt->payload, sig->len) &&
	       PST_READ(sig->offset) + need <= pkt->payload;
}

static __always_inline __u64 sig_payload_at(const struct guard_packet *pkt, const struct pst_sig *sig)
{
	return (__u64)pkt->off + pkt->p.hdr_len + PST_READ(sig->offset);
}

static __always_inline bool sig_equal(const struct pst_sig *sig, const __u64 *bytes)
{
	return !((bytes[0] ^ PST_READ(sig->value[0])) & PST_READ(sig->mask[0])) &&
	       !((bytes[1] ^ PST_READ(sig->value[1])) & PST_READ(sig->mask[1]));
}

/* It matches: enum sig_step */
static __always_inline __u32 sig_decide(struct guard_packet *pkt, const struct pst_sig *sig, __u64 left)
{
	__u32 flags = PST_READ(sig->flags);

	if (flags & PST_SIG_UNASKED && pkt->p.inner_off)
		return SIG_NEXT; /* nobody knows what was asked through a tunnel */
	if (flags & PST_SIG_UNASKED && pkt->flags & PST_GUARD_CT) {
		if (pkt->asked == SIG_UNKNOWN) {
			pkt->sigs = left;
			return SIG_ASK;
		}
		if (pkt->asked == SIG_ASKED)
			return SIG_NEXT;
	}
	pkt->sig = PST_READ(sig->counter);
	guard_count_sig(pkt->sig, pkt);
	guard_sample(pkt, PST_GUARD_DRY_SIGNATURE);
	if (flags & PST_SIG_DROP)
		return SIG_MATCH;
	guard_note_dry(pkt, PST_GUARD_DRY_SIGNATURE);
	return SIG_NEXT;
}

/* Byte @i of the payload's @need. The compiler does not unroll a loop with two ways out. */
#define SIG_BYTE(i)                                                                                          \
	do {                                                                                                 \
		if ((i) >= need)                                                                             \
			return true;                                                                         \
		if ((const void *)(p + (i) + 1) > c->end)                                                    \
			return false;                                                                        \
		ret_bytes[(i) / 8] |= (__u64)p[i] << (i) % 8 * 8;                                            \
	} while (0)

/* @need bytes, at most 16, behind which the packet may end. No helper does that before 5.18. */
static __always_inline bool sig_read_xdp(const struct pst_cursor *c, __u64 off, __u32 need, __u64 *ret_bytes)
{
	const __u8 *p;

	if (off > SIG_OFF_MAX)
		return false;
	pst_keep(off);
	p = (const __u8 *)c->data + off;
	asm volatile("" : "+r"(p));
	SIG_BYTE(0);
	SIG_BYTE(1);
	SIG_BYTE(2);
	SIG_BYTE(3);
	SIG_BYTE(4);
	SIG_BYTE(5);
	SIG_BYTE(6);
	SIG_BYTE(7);
	SIG_BYTE(8);
	SIG_BYTE(9);
	SIG_BYTE(10);
	SIG_BYTE(11);
	SIG_BYTE(12);
	SIG_BYTE(13);
	SIG_BYTE(14);
	SIG_BYTE(15);
	return true;
}

__noinline int guard_sig_step_xdp(struct xdp_md *ctx)
{
	struct pst_cursor c = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	struct guard_packet *pkt = guard_packet();
	__u64 bytes[2] = {0, 0}, left;
	const struct pst_sig *sig;
	__u32 need;

	if (!pkt)
		return SIG_END;
	left = pkt->sigs;
	sig = sig_take(pkt);
	if (!sig)
		return SIG_END;
	need = PST_READ(sig->need);
	if (!sig_fits(pkt, sig, need))
		return SIG_NEXT;
	if (need && (!sig_read_xdp(&c, sig_payload_at(pkt, sig), need, bytes) || !sig_equal(sig, bytes)))
		return SIG_NEXT;
	return sig_decide(pkt, sig, left);
}

/* Also what is not contiguous. That @need is not 0 old verifiers see from a sum, and not from a test. */
static __always_inline bool sig_read_skb(struct __sk_buff *ctx, __u64 off, __u64 need, __u64 *ret_bytes)
{
	__u64 last = (need - 1) & (PST_SIG_BYTES - 1);

	pst_keep(last);
	if (off > SIG_OFF_MAX || last >= PST_SIG_BYTES)
		return false;
	return !bpf_skb_load_bytes(ctx, off, ret_bytes, last + 1);
}

__noinline int guard_sig_step_skb(struct __sk_buff *ctx)
{
	struct guard_packet *pkt = guard_packet();
	__u64 bytes[2] = {0, 0}, left;
	const struct pst_sig *sig;
	__u32 need;

	if (!pkt)
		return SIG_END;
	left = pkt->sigs;
	sig = sig_take(pkt);
	if (!sig)
		return SIG_END;
	need = PST_READ(sig->need);
	if (!sig_fits(pkt, sig, need))
		return SIG_NEXT;
	if (need && (!sig_read_skb(ctx, sig_payload_at(pkt, sig), need, bytes) || !sig_equal(sig, bytes)))
		return SIG_NEXT;
	return sig_decide(pkt, sig, left);
}

/* Is it what the host asked for? Of an error nothing is known. */
static __always_inline void sig_ask(int kind)
{
	struct guard_packet *pkt = guard_packet();
	__u32 state = kind == GUARD_CT_ERROR ? PST_CT_UNTRACKED : guard_ct_judge();

	if (pkt)
		pkt->asked = state == PST_CT_ESTABLISHED ? SIG_ASKED : SIG_UNASKED;
}

/* True: a signature drops it. Once more than there are signatures, as one may have to be asked about. */
__noinline int guard_signatures_xdp(struct xdp_md *ctx)
{
	__u32 i, what;

	for (i = 0; i <= PST_SIGS; i++) {
		what = guard_sig_step_xdp(ctx);
		if (what == SIG_ASK)
			sig_ask(guard_ct_read_xdp(ctx));
		else if (what != SIG_NEXT)
			return what == SIG_MATCH;
	}
	return false;
}

__noinline int guard_signatures_skb(struct __sk_buff *ctx)
{
	__u32 i, what;

	for (i = 0; i <= PST_SIGS; i++) {
		what = guard_sig_step_skb(ctx);
		if (what == SIG_ASK)
			sig_ask(guard_ct_read_skb(ctx));
		else if (what != SIG_NEXT)
			return what == SIG_MATCH;
	}
	return false;
}

#endif
