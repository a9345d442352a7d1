/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a rule rejects at tc is answered over its own frame, which goes back to where it came from: TCP with a
 * reset (RFC 9293, 3.10.7.1), all else, and TCP where the rule names an error, with ICMP or ICMPv6. What may
 * not be answered (RFC 1122, 3.2.2; RFC 4443, 2.4), has more headers than one for each layer, or is above the
 * rate of answers, is only dropped, and counted.
 */
#ifndef PST_REJECT_BPF_H
#define PST_REJECT_BPF_H

#include "bpf/lib/guardpkt.bpf.h"
#include "bpf/lib/syncookie.bpf.h"
#include "bpf/vmlinux_net.h"

/* Of all answers: the burst is more than a clock in jiffies needs. */
#define REJECT_COST_NS  1000000ULL /* 1,000 a second */
#define REJECT_AHEAD_NS 100000000ULL

#define REJECT_QUOTED    8 /* bytes behind the IP header that an error quotes */
#define REJECT_ICMP      8 /* bytes of its header */
#define REJECT_TCP       20
#define REJECT_UDP_CHECK 6 /* offset of the checksum in UDP */
#define REJECT_PARTIAL   3 /* CHECKSUM_PARTIAL: a device is to fill in the checksum */

#define REJECT_BYTES_4 (20 + REJECT_ICMP + 20 + REJECT_QUOTED)
#define REJECT_BYTES_6 (40 + REJECT_ICMP + 40 + REJECT_QUOTED)

struct reject_frame {
	__u8 mac[16]; /* 12 */
	__u8 ip[40];  /* the packet's */
	__u8 l4[24];  /* 20 of TCP, 8 of others */
	__u8 out[REJECT_BYTES_6];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct reject_frame);
} reject_frame SEC(".maps");

/* Up to when (ns of CLOCK_BOOTTIME) the rate of answers has been used; a cache line. */
struct reject_state {
	__u64 until;
	__u64 pad[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct reject_state);
} reject_state SEC(".maps");

/* ---- may it be answered? ---- */

static __always_inline bool reject_in_rate(struct guard_packet *pkt)
{
	__u32 zero = 0;
	struct reject_state *s = bpf_map_lookup_elem(&reject_state, &zero);
	__u64 now = guard_now_ns(pkt), until;

	if (!s)
		return false;
	until = PST_READ(s->until);
	if (until > now + REJECT_AHEAD_NS || guard_is_trial(pkt))
		return until <= now + REJECT_AHEAD_NS;
	if (until < now)
		PST_WRITE(s->until, now + REJECT_COST_NS);
	else
		__sync_fetch_and_add(&s->until, REJECT_COST_NS);
	return true;
}

/* One host's, and not this host's own: no 0.0.0.0/8, 127.0.0.0/8, multicast, broadcast. */
static __always_inline bool reject_is_host_4(const __u8 *addr)
{
	return addr[0] && addr[0] != 127 && addr[0] < 224;
}

/* Nor ::/16, where ::, ::1 and mapped ones are. */
static __always_inline bool reject_is_host_6(const __u8 *addr)
{
	return addr[0] != 0xff && (addr[0] | addr[1]);
}

static __always_inline bool reject_between_hosts(const struct guard_packet *pkt)
{
	if (pkt->key.family == AF_INET)
		return reject_is_host_4(pkt->key.saddr + 12) && reject_is_host_4(pkt->key.daddr + 12);
	return reject_is_host_6(pkt->key.saddr) && reject_is_host_6(pkt->key.daddr);
}

/* Of ICMP only what asks: no error, and no answer. The type is in sport. */
static __always_inline bool reject_may_protocol(const struct guard_packet *pkt)
{
	__u32 type = pkt->key.sport;

	if (pkt->key.protocol == IPPROTO_TCP)
		return !(pkt->p.tcp_flags & 0x04);
	if (pkt->key.protocol == IPPROTO_ICMP)
		return type == 8 || type == 13 || type == 15 || type == 17;
	return pkt->key.protocol != IPPROTO_ICMPV6 || type == 128;
}

static __always_inline bool reject_may(const struct guard_packet *pkt)
{
	return syn_is_plain(pkt) && !pkt->p.later_fragment &&
	       pkt->p.l3_len >= pkt->p.l4_off + REJECT_QUOTED && reject_may_protocol(pkt) &&
	       reject_between_hosts(pkt);
}

/* ---- the packet ---- */

static __always_inline bool reject_load(
	struct __sk_buff *ctx, const struct guard_packet *pkt, struct reject_frame *f)
{
	__u32 off = pkt->off, l4 = off + pkt->p.l4_off;
	long r = pkt->key.family == AF_INET ? bpf_skb_load_bytes(ctx, off, f->ip, 20)
					    : bpf_skb_load_bytes(ctx, off, f->ip, 40);

	if (off)
		r = r ? r : bpf_skb_load_bytes(ctx, 0, f->mac, 12);
	r = r                                  ? r
	    : pkt->key.protocol == IPPROTO_TCP ? bpf_skb_load_bytes(ctx, l4, f->l4, REJECT_TCP)
					       : bpf_skb_load_bytes(ctx, l4, f->l4, REJECT_QUOTED);
	return !r;
}

/* For one host by its frame too, and no first fragment: who has the rest of it? */
static __always_inline bool reject_is_whole(const struct guard_packet *pkt, const struct reject_frame *f)
{
	return !(pkt->off && f->mac[0] & 1) &&
	       !(pkt->key.family == AF_INET && *(const __u16 *)(f->ip + 6) & bpf_htons(0x3fff));
}

/* ---- the answer ---- */

static __always_inline void reject_ip4(struct reject_frame *f, __u32 bytes, __u32 protocol)
{
	const __u32 *in = (const __u32 *)f->ip;
	__u32 *out = (__u32 *)f->out;

	out[0] = bpf_htonl(0x45000000 | bytes);
	out[1] = bpf_htonl(0x4000); /* DF */
	out[2] = bpf_htonl(SYN_TTL << 24 | protocol << 16);
	out[3] = in[4];
	out[4] = in[3];
	*(__u16 *)(f->out + 10) = syn_fold(bpf_csum_diff(NULL, 0, out, 20, 0));
}

static __always_inline void reject_ip6(struct reject_frame *f, __u32 bytes, __u32 protocol)
{
	const __u64 *in = (const __u64 *)f->ip;
	__u64 *out = (__u64 *)f->out;

	*(__u32 *)f->out = bpf_htonl(0x60000000);
	*(__u32 *)(f->out + 4) = bpf_htonl((bytes - 40) << 16 | protocol << 8 | SYN_TTL);
	out[1] = in[3];
	out[2] = in[4];
	out[3] = in[1];
	out[4] = in[2];
}

/* Of the answer's addresses, length and protocol, to go on with. */
static __always_inline __u64 reject_pseudo(
	const struct reject_frame *f, bool ip4, __u32 bytes, __u32 protocol)
{
	__u64 sum = bpf_htons(protocol) + bpf_htons(bytes);

	return ip4 ? bpf_csum_diff(NULL, 0, (__u32 *)(f->out + 12), 8, sum)
		   : bpf_csum_diff(NULL, 0, (__u32 *)(f->out + 8), 32, sum);
}

/* Ports change sides; who sent an ACK gets its number back, else all that was sent is acknowledged. */
static __always_inline void reject_make_reset(
	const struct guard_packet *pkt, const struct reject_frame *f, __u32 *out)
{
	const __u32 *in = (const __u32 *)f->l4;
	__u32 flags = pkt->p.tcp_flags, used = pkt->p.l3_len - pkt->p.hdr_len;

	out[0] = in[0] << 16 | in[0] >> 16;
	out[1] = flags & 0x10 ? in[2] : 0;
	used += (flags & 1) + (flags >> 1 & 1); /* FIN and SYN have a number each */
	out[2] = flags & 0x10 ? 0 : bpf_htonl(bpf_ntohl(in[1]) + used);
	out[3] = bpf_htonl(flags & 0x10 ? 0x50040000 : 0x50140000);
	out[4] = 0;
}

/* A device that fills in the checksum wants the sum of the pseudo header in its place. */
static __always_inline __u16 reject_seal(__u64 pseudo, __u64 sum, bool partial)
{
	return partial ? ~syn_fold(pseudo) : syn_fold(sum);
}

static __always_inline void reject_reset(
	const struct guard_packet *pkt, struct reject_frame *f, bool ip4, bool partial)
{
	__u32 ip = ip4 ? 20 : 40, *tcp = (__u32 *)(f->out + ip);
	__u64 pseudo;

	if (ip4)
		reject_ip4(f, ip + REJECT_TCP, IPPROTO_TCP);
	else
		reject_ip6(f, ip + REJECT_TCP, IPPROTO_TCP);
	reject_make_reset(pkt, f, tcp);
	pseudo = reject_pseudo(f, ip4, REJECT_TCP, IPPROTO_TCP);
	*(__u16 *)(f->out + ip + SYN_CHECK) =
		reject_seal(pseudo, bpf_csum_diff(NULL, 0, tcp, REJECT_TCP, pseudo), partial);
}

/* Type 3 and type 1, by enum pst_fw_with, four bits each. */
#define REJECT_CODES_4 0x01d33ULL
#define REJECT_CODES_6 0x03144ULL

static __always_inline __u32 reject_code(__u64 codes, __u32 with)
{
	return codes >> 4 * (with & 7) & 15;
}

/*
 * Where a device is to fill in the checksum of UDP, it will do so in two bytes of ours that mean nothing:
 * what it finds there makes the sum come out right, whatever it is.
 */
static __always_inline void reject_error_4(struct reject_frame *f, __u32 with)
{
	__u8 *icmp = f->out + 20;

	reject_ip4(f, REJECT_BYTES_4, IPPROTO_ICMP);
	__builtin_memset(icmp, 0, REJECT_ICMP);
	icmp[0] = 3;
	icmp[1] = reject_code(REJECT_CODES_4, with);
	__builtin_memcpy(icmp + REJECT_ICMP, f->ip, 20);
	__builtin_memcpy(icmp + REJECT_ICMP + 20, f->l4, REJECT_QUOTED);
	*(__u16 *)(icmp + 2) = syn_fold(bpf_csum_diff(NULL, 0, (__u32 *)icmp, REJECT_BYTES_4 - 20, 0));
}

static __always_inline void reject_error_6(struct reject_frame *f, __u32 with, bool partial)
{
	__u8 *icmp = f->out + 40;
	__u64 pseudo;

	reject_ip6(f, REJECT_BYTES_6, IPPROTO_ICMPV6);
	__builtin_memset(icmp, 0, REJECT_ICMP);
	icmp[0] = 1;
	icmp[1] = reject_code(REJECT_CODES_6, with);
	__builtin_memcpy(icmp + REJECT_ICMP, f->ip, 40);
	__builtin_memcpy(icmp + REJECT_ICMP + 40, f->l4, REJECT_QUOTED);
	pseudo = reject_pseudo(f, false, REJECT_BYTES_6 - 40, IPPROTO_ICMPV6);
	*(__u16 *)(icmp + 2) = syn_fold(bpf_csum_diff(NULL, 0, (__u32 *)icmp, REJECT_BYTES_6 - 40, pseudo));
	if (partial)
		*(__u16 *)(icmp + REJECT_UDP_CHECK) = ~syn_fold(pseudo);
}

/* The whole frame, whatever it was before; @bytes, a constant, of @f->out behind the link's header. */
static __always_inline bool reject_store(
	struct __sk_buff *ctx, const struct guard_packet *pkt, struct reject_frame *f, __u32 bytes)
{
	__u32 off = pkt->off;
	long r = bpf_skb_change_tail(ctx, off + bytes, 0);

	if (!r && off) {
		__u16 *w = (__u16 *)f->mac, i, keep;

		PST_SLOTS_UNROLL
		for (i = 0; i < 3; i++) {
			keep = w[i];
			w[i] = w[i + 3];
			w[i + 3] = keep;
		}
		r = bpf_skb_store_bytes(ctx, 0, f->mac, 12, BPF_F_RECOMPUTE_CSUM);
	}
	return !r && !bpf_skb_store_bytes(ctx, off, f->out, bytes, BPF_F_RECOMPUTE_CSUM);
}

static __always_inline bool reject_is_partial(struct __sk_buff *ctx)
{
	struct sk_buff *skb = (void *)ctx;

	return BPF_CORE_READ_BITFIELD_PROBED(skb, ip_summed) == REJECT_PARTIAL;
}

static __always_inline bool reject_answer(struct __sk_buff *ctx, const struct guard_packet *pkt,
	struct reject_frame *f, __u32 with, bool partial)
{
	bool ip4 = pkt->key.family == AF_INET;

	/* where a device fills in TCP's checksum, an error would have it in the header that it quotes */
	if (pkt->key.protocol == IPPROTO_TCP && (!with || partial)) {
		if (ip4) /* as a constant: the offsets that follow from it are verified */
			reject_reset(pkt, f, true, partial);
		else
			reject_reset(pkt, f, false, partial);
		return ip4 ? reject_store(ctx, pkt, f, 20 + REJECT_TCP)
			   : reject_store(ctx, pkt, f, 40 + REJECT_TCP);
	}
	if (partial && pkt->key.protocol != IPPROTO_UDP)
		return false;
	if (ip4)
		reject_error_4(f, with);
	else
		reject_error_6(f, with, partial);
	return ip4 ? reject_store(ctx, pkt, f, REJECT_BYTES_4) : reject_store(ctx, pkt, f, REJECT_BYTES_6);
}

/* True: the frame is the answer. @with: enum pst_fw_with */
__noinline int guard_reject_skb(struct __sk_buff *ctx, __u32 with)
{
	struct guard_packet *pkt = guard_packet();
	__u32 zero = 0;
	struct reject_frame *f = bpf_map_lookup_elem(&reject_frame, &zero);

	if (!pkt || !f || !reject_may(pkt) || !reject_load(ctx, pkt, f) || !reject_is_whole(pkt, f) ||
		!reject_in_rate(pkt))
		return false;
	return reject_answer(ctx, pkt, f, with, reject_is_partial(ctx));
}

/* What becomes of a packet that a rule rejects. */
static __always_inline int guard_rejected_skb(struct __sk_buff *ctx, const struct guard_packet *pkt)
{
	if (!guard_reject_skb(ctx, pkt->verdict >> PST_FW_WITH & 7)) {
		guard_count_reason(PST_GUARD_UNANSWERED, pkt);
		return TC_ACT_SHOT;
	}
	ctx->mark = PST_GUARD_OWN_MARK;
	return bpf_redirect(ctx->ifindex, 0);
}

#endif
