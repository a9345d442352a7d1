/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SYNs above the host's rate. Those that are for a listening socket are answered here, by the kernel's own
 * SYN cookie (RFC 4987, 3.6), and leave nothing behind; the others, and all where the kernel has no such
 * helper (before 6.0), are dropped. Who sends the cookie back is real: the ACK begins a connection that is
 * open, and the stack takes it for what it is, as the secret is its own. For this the stack has to have sent
 * cookies lately itself: net.ipv4.tcp_syncookies has to be 2.
 *
 * The answer has no option but MSS: a cookie has no room for window scale and SACK without the timestamp
 * offsets, which only the stack knows.
 */
#ifndef PST_SYNCOOKIE_BPF_H
#define PST_SYNCOOKIE_BPF_H

#include "bpf/lib/guardpkt.bpf.h"

const volatile __u32 cfg_syn_cookies = 0; /* the kernel has the helpers */

#define SYN_TCP_MIN   20
#define SYN_TCP_MAX   60
#define SYN_OUR_BYTES 24    /* of the answer's TCP header: with MSS */
#define SYN_WINDOW    29200 /* what any stack takes before it has said how much */
#define SYN_VALID     120   /* seconds that Linux takes a cookie for good */
#define SYN_TTL       64
#define SYN_CHECK     16 /* offset of the checksum in the TCP header */
#define SYN_GOES_ON   PST_GUARD_REASONS
#define SYN_OWN_MARK  PST_GUARD_OWN_MARK /* of an answer on its way out: no connection begins with it */

/* The rate of all SYNs, as of one source in srcrate.bpf.h. */
struct syn_state {
	__u64 until;    /* ns of CLOCK_BOOTTIME up to which the rate has been used */
	__u32 answered; /* second of the last answer */
	__u32 pad[13];
};
static_assert(sizeof(struct syn_state) == 64, "a cache line");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct syn_state);
} guard_syn SEC(".maps");

/* The packet's headers, and then those of the answer. */
struct syn_frame {
	__u8 mac[16]; /* 12 */
	__u8 ip[40];
	__u8 tcp[SYN_TCP_MAX + 4];
	__u8 out[SYN_OUR_BYTES];
	__s64 cookie; /* of the listener; 0: none is known */
	struct bpf_fib_lookup route;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct syn_frame);
} syn_frame SEC(".maps");

static __always_inline struct syn_frame *syn_frame_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&syn_frame, &zero);
}

static __always_inline bool syn_is_syn(const struct guard_packet *pkt)
{
	return pkt->key.protocol == IPPROTO_TCP && !pkt->p.later_fragment &&
	       (pkt->p.tcp_flags & 0x12) == 0x02;
}

/* Above the rate of SYNs? Those above it take nothing of it, so it is what comes through. */
__noinline int guard_syn_over(void)
{
	struct guard_packet *pkt = guard_packet();
	__u32 zero = 0;
	struct syn_state *s = bpf_map_lookup_elem(&guard_syn, &zero);
	const struct pst_guard *g = bpf_map_lookup_elem(&guard, &zero);
	__u64 now, cost;
	bool over;

	if (!pkt || !s || !g)
		return false;
	now = guard_now_ns(pkt);
	cost = (__u64)PST_READ(g->limits.syn_cost_ns) * pkt->packets;
	over = PST_READ(s->until) > now + PST_READ(g->limits.syn_ahead_us) * 1000ULL;
	if (guard_is_trial(pkt))
		pkt->syn = over ? PST_GUARD_WHY_SYN_OVER : PST_GUARD_WHY_SYN_WITHIN;
	if (over || guard_is_trial(pkt))
		return over;
	if (PST_READ(s->until) < now)
		PST_WRITE(s->until, now + cost);
	else
		__sync_fetch_and_add(&s->until, cost);
	return false;
}

/* ---- whom it is for ---- */

static __always_inline bool syn_port_is_set(__u32 port)
{
	__u32 zero = 0;
	const struct pst_guard *g = bpf_map_lookup_elem(&guard, &zero);
	__u64 word = port >> 6 & (PST_GUARD_PORT_WORDS - 1);

	pst_keep(word);
	return g && PST_READ(g->syn_ports[word]) >> (port & 63) & 1;
}

static __always_inline __u32 syn_tuple(const struct guard_packet *pkt, struct bpf_sock_tuple *t)
{
	__builtin_memset(t, 0, sizeof(*t));
	if (pkt->key.family == AF_INET) {
		__builtin_memcpy(&t->ipv4.saddr, &pkt->key.saddr[12], 4);
		__builtin_memcpy(&t->ipv4.daddr, &pkt->key.daddr[12], 4);
		t->ipv4.sport = bpf_htons(pkt->key.sport);
		t->ipv4.dport = bpf_htons(pkt->key.dport);
		return sizeof(t->ipv4);
	}
	__builtin_memcpy(t->ipv6.saddr, pkt->key.saddr, 16);
	__builtin_memcpy(t->ipv6.daddr, pkt->key.daddr, 16);
	t->ipv6.sport = bpf_htons(pkt->key.sport);
	t->ipv6.dport = bpf_htons(pkt->key.dport);
	return sizeof(t->ipv6);
}

/* Nothing between the headers, or around them. */
static __always_inline bool syn_is_plain(const struct guard_packet *pkt)
{
	return pkt->p.l4_off == (pkt->key.family == AF_INET ? 20 : 40) && !pkt->p.inner_off &&
	       pkt->off <= PST_ETH_BYTES + 4 * PST_VLAN_TAGS;
}

static __always_inline bool syn_has_data(const struct guard_packet *pkt)
{
	return pkt->p.l3_len != pkt->p.hdr_len;
}

static __always_inline __u32 syn_tcp_bytes(const struct guard_packet *pkt)
{
	return pkt->p.hdr_len - pkt->p.l4_off;
}

/* ---- the answer ---- */

/* The cookie, or negative. */
static __always_inline __s64 syn_cookie(const struct guard_packet *pkt, struct syn_frame *f)
{
	__u64 bytes = syn_tcp_bytes(pkt);

	pst_keep(bytes);
	if (bytes < SYN_TCP_MIN || bytes > SYN_TCP_MAX)
		return -1;
	if (pkt->key.family == AF_INET)
		return bpf_tcp_raw_gen_syncookie_ipv4((void *)f->ip, (void *)f->tcp, bytes);
	return bpf_tcp_raw_gen_syncookie_ipv6((void *)f->ip, (void *)f->tcp, bytes);
}

static __always_inline void syn_put16(__u8 *at, __u16 v)
{
	*(__u16 *)at = bpf_htons(v);
}

static __always_inline __u16 syn_fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void syn_make_tcp(struct syn_frame *f, __u32 cookie, __u16 mss)
{
	__u32 *word = (__u32 *)f->out;
	const __u32 *their = (const __u32 *)f->tcp;

	word[0] = their[0] << 16 | their[0] >> 16; /* the ports change sides */
	word[1] = bpf_htonl(cookie);
	word[2] = bpf_htonl(bpf_ntohl(their[1]) + 1);
	f->out[12] = SYN_OUR_BYTES / 4 << 4;
	f->out[13] = 0x12;
	syn_put16(f->out + 14, SYN_WINDOW);
	word[4] = 0;
	f->out[20] = 2; /* MSS */
	f->out[21] = 4;
	syn_put16(f->out + 22, mss);
}

static __always_inline void syn_make_ip4(struct syn_frame *f)
{
	__u32 *word = (__u32 *)f->ip, saddr = word[3];

	word[0] = bpf_htonl(0x45000000 | (20 + SYN_OUR_BYTES));
	word[1] = bpf_htonl(0x4000); /* DF */
	word[2] = bpf_htonl(SYN_TTL << 24 | IPPROTO_TCP << 16);
	word[3] = word[4];
	word[4] = saddr;
	*(__u16 *)(f->ip + 10) = syn_fold(bpf_csum_diff(NULL, 0, word, 20, 0));
}

static __always_inline void syn_make_ip6(struct syn_frame *f)
{
	__u64 *word = (__u64 *)f->ip, hi = word[1], lo = word[2];

	*(__u32 *)f->ip = bpf_htonl(0x60000000);
	*(__u32 *)(f->ip + 4) = bpf_htonl(SYN_OUR_BYTES << 16 | IPPROTO_TCP << 8 | SYN_TTL);
	word[1] = word[3];
	word[2] = word[4];
	word[3] = hi;
	word[4] = lo;
}

static __always_inline void syn_make_mac(struct syn_frame *f)
{
	__u16 *w = (__u16 *)f->mac, i, keep;

	PST_SLOTS_UNROLL
	for (i = 0; i < 3; i++) {
		keep = w[i];
		w[i] = w[i + 3];
		w[i + 3] = keep;
	}
}

/* The whole TCP checksum; the answer's addresses and header are there. */
static __always_inline __u16 syn_check(const struct guard_packet *pkt, struct syn_frame *f)
{
	__u64 sum = bpf_htons(IPPROTO_TCP) + bpf_htons(SYN_OUR_BYTES);

	sum = pkt->key.family == AF_INET ? bpf_csum_diff(NULL, 0, (__u32 *)(f->ip + 12), 8, sum)
					 : bpf_csum_diff(NULL, 0, (__u32 *)(f->ip + 8), 32, sum);
	return syn_fold(bpf_csum_diff(NULL, 0, (__u32 *)f->out, SYN_OUR_BYTES, sum));
}

enum syn_whose {
	SYN_NOBODYS = 0,
	SYN_OURS,   /* to be answered */
	SYN_STACKS, /* its client's last connection waits there: only the stack knows whether this may follow
		       it */
};

/*
 * The listener's cookie. The stack takes one that comes back only if that listener has sent some lately; this
 * helper notes that it has, the raw ones do not. False: its queue is full, or it sends none.
 */
static __always_inline bool syn_of_listener(
	const struct guard_packet *pkt, struct syn_frame *f, struct bpf_sock *sk, __u64 tcp_bytes)
{
	pst_keep(tcp_bytes);
	if (tcp_bytes < SYN_TCP_MIN || tcp_bytes > SYN_TCP_MAX)
		return false;
	if (!guard_is_trial(pkt))
		f->cookie = bpf_tcp_gen_syncookie(sk, f->ip, sizeof(f->ip), (void *)f->tcp, tcp_bytes);
	return f->cookie >= 0;
}

/*
 * Is it for this host, as the stack will route it? What is only forwarded is for somebody else, who may
 * listen on the same port. (Marks are not known yet; the table of local addresses comes before rules with
 * marks.)
 */
static __always_inline bool syn_is_local(void *ctx, const struct guard_packet *pkt, struct syn_frame *f)
{
	struct bpf_fib_lookup *r = &f->route;
	long to;

	__builtin_memset(r, 0, sizeof(*r));
	r->family = pkt->key.family == AF_INET ? AF_INET : AF_INET6;
	r->l4_protocol = IPPROTO_TCP;
	r->sport = bpf_htons(pkt->key.sport);
	r->dport = bpf_htons(pkt->key.dport);
	r->ifindex = pkt->fw.ifindex;
	if (pkt->key.family == AF_INET) {
		__builtin_memcpy(r->src, &pkt->key.saddr[12], 4);
		__builtin_memcpy(r->dst, &pkt->key.daddr[12], 4);
	} else {
		__builtin_memcpy(r->src, pkt->key.saddr, 16);
		__builtin_memcpy(r->dst, pkt->key.daddr, 16);
	}
	to = bpf_fib_lookup(ctx, r, sizeof(*r), 0);
	return to == BPF_FIB_LKUP_RET_NOT_FWDED || to == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/* Sockets are asked: of ports that are named it is not, nor of those that are left out. */
static __always_inline bool syn_asks(const struct guard_packet *pkt)
{
	return !(pkt->flags & PST_GUARD_SYN_PORTS) &&
	       !(pkt->flags & PST_GUARD_SYN_EXCEPT && syn_port_is_set(pkt->key.dport));
}

/* @sk: what the stack would hand it to; NULL: nothing. Let go of here. */
static __always_inline __u32 syn_whose(
	void *ctx, const struct guard_packet *pkt, struct syn_frame *f, struct bpf_sock *sk, __u64 tcp_bytes)
{
	bool wanted = pkt->flags & PST_GUARD_SYN_PORTS && syn_port_is_set(pkt->key.dport);
	__u32 state = 0;

	f->cookie = 0;
	if (sk) {
		state = sk->state;
		if (state != TCP_TIME_WAIT && (wanted || syn_asks(pkt)) && syn_is_local(ctx, pkt, f))
			wanted |= state == TCP_LISTEN ? syn_of_listener(pkt, f, sk, tcp_bytes)
						      : state == TCP_NEW_SYN_RECV;
		bpf_sk_release(sk);
	}
	if (state == TCP_TIME_WAIT)
		return SYN_STACKS;
	return wanted ? SYN_OURS : SYN_NOBODYS;
}

/* Headers of the answer from those of the SYN, less the TCP checksum. */
static __always_inline bool syn_make(const struct guard_packet *pkt, struct syn_frame *f)
{
	__u32 zero = 0, mss;
	const struct pst_guard *g = bpf_map_lookup_elem(&guard, &zero);
	__s64 cookie = f->cookie > 0 ? f->cookie : syn_cookie(pkt, f);

	if (!g || cookie < 0)
		return false;
	mss = PST_READ(g->limits.syn_mss);
	syn_make_tcp(f, cookie, pkt->key.family == AF_INET ? mss : mss - 20);
	syn_make_mac(f);
	if (pkt->key.family == AF_INET)
		syn_make_ip4(f);
	else
		syn_make_ip6(f);
	return true;
}

static __always_inline void syn_note(struct guard_packet *pkt)
{
	__u32 zero = 0, now = guard_now(pkt);
	struct syn_state *s = bpf_map_lookup_elem(&guard_syn, &zero);

	if (s && !guard_is_trial(pkt) && PST_READ(s->answered) != now)
		PST_WRITE(s->answered, now);
}

/* ---- at XDP ---- */

static __always_inline __u32 syn_whose_xdp(
	struct xdp_md *ctx, const struct guard_packet *pkt, struct syn_frame *f, __u64 tcp_bytes)
{
	struct bpf_sock_tuple t;

	if (syn_tuple(pkt, &t) == sizeof(t.ipv4))
		return syn_whose(ctx, pkt, f,
			bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0), tcp_bytes);
	return syn_whose(
		ctx, pkt, f, bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0), tcp_bytes);
}

static __always_inline bool syn_load_xdp(
	struct xdp_md *ctx, const struct guard_packet *pkt, struct syn_frame *f, __u64 tcp_bytes)
{
	__u32 l4 = pkt->off + pkt->p.l4_off;
	long r = pkt->key.family == AF_INET ? bpf_xdp_load_bytes(ctx, pkt->off, f->ip, 20)
					    : bpf_xdp_load_bytes(ctx, pkt->off, f->ip, 40);

	pst_keep(tcp_bytes);
	if (r || tcp_bytes < SYN_TCP_MIN || tcp_bytes > SYN_TCP_MAX)
		return false;
	return !bpf_xdp_load_bytes(ctx, l4, f->tcp, tcp_bytes);
}

static __always_inline bool syn_store_xdp(
	struct xdp_md *ctx, const struct guard_packet *pkt, struct syn_frame *f)
{
	__u32 l4 = pkt->off + pkt->p.l4_off;
	long r = bpf_xdp_adjust_tail(ctx, (int)(l4 + SYN_OUR_BYTES - pkt->bytes));

	r = r ? r : bpf_xdp_store_bytes(ctx, 0, f->mac, 12);
	if (!r && pkt->key.family == AF_INET)
		r = bpf_xdp_store_bytes(ctx, pkt->off, f->ip, 20);
	else if (!r)
		r = bpf_xdp_store_bytes(ctx, pkt->off, f->ip, 40);
	return !r && !bpf_xdp_store_bytes(ctx, l4, f->out, SYN_OUR_BYTES);
}

/*
 * enum pst_guard_reason of a SYN above the rate. PST_GUARD_SYN_COOKIE: it is the answer now;
 * SYN_GOES_ON: for the stack.
 */
__noinline int guard_syn_answer_xdp(struct xdp_md *ctx)
{
	struct guard_packet *pkt = guard_packet();
	struct syn_frame *f = syn_frame_here();
	__u32 tcp_bytes, whose;

	if (!cfg_syn_cookies || !pkt || !f || !(pkt->flags & PST_GUARD_SYN_COOKIES) || !syn_is_plain(pkt) ||
		syn_has_data(pkt))
		return PST_GUARD_SYN_LIMIT;
	tcp_bytes = syn_tcp_bytes(pkt);
	if (bpf_xdp_load_bytes(ctx, 0, f->mac, 12) || !syn_load_xdp(ctx, pkt, f, tcp_bytes))
		return PST_GUARD_SYN_LIMIT;
	whose = syn_whose_xdp(ctx, pkt, f, tcp_bytes);
	if (whose == SYN_STACKS)
		return SYN_GOES_ON;
	if (whose == SYN_NOBODYS || !syn_make(pkt, f))
		return PST_GUARD_SYN_LIMIT;
	*(__u16 *)(f->out + SYN_CHECK) = syn_check(pkt, f);
	if (!syn_store_xdp(ctx, pkt, f))
		return PST_GUARD_SYN_LIMIT;
	syn_note(pkt);
	return PST_GUARD_SYN_COOKIE;
}

/* ---- at tc ---- */

static __always_inline __u32 syn_whose_skb(
	struct __sk_buff *ctx, const struct guard_packet *pkt, struct syn_frame *f, __u64 tcp_bytes)
{
	struct bpf_sock_tuple t;

	if (syn_tuple(pkt, &t) == sizeof(t.ipv4))
		return syn_whose(ctx, pkt, f,
			bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0), tcp_bytes);
	return syn_whose(
		ctx, pkt, f, bpf_skc_lookup_tcp(ctx, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0), tcp_bytes);
}

static __always_inline bool syn_load_skb(
	struct __sk_buff *ctx, const struct guard_packet *pkt, struct syn_frame *f, __u64 tcp_bytes)
{
	__u32 l4 = pkt->off + pkt->p.l4_off;
	long r = pkt->key.family == AF_INET ? bpf_skb_load_bytes(ctx, pkt->off, f->ip, 20)
					    : bpf_skb_load_bytes(ctx, pkt->off, f->ip, 40);

	pst_keep(tcp_bytes);
	if (r || tcp_bytes < SYN_TCP_MIN || tcp_bytes > SYN_TCP_MAX)
		return false;
	return !bpf_skb_load_bytes(ctx, l4, f->tcp, tcp_bytes);
}

/*
 * The checksum is changed by what changed: whether the field has the sum or is still to be filled in by a
 * device is known to the helper only. The addresses changed sides, so their sum is what it was.
 */
static __always_inline bool syn_store_skb(
	struct __sk_buff *ctx, const struct guard_packet *pkt, struct syn_frame *f, __u64 tcp_bytes)
{
	__u32 l4 = pkt->off + pkt->p.l4_off;
	__u16 *their = (__u16 *)(f->tcp + SYN_CHECK), check = *their;
	__s64 diff;
	long r;

	pst_keep(tcp_bytes);
	if (tcp_bytes < SYN_TCP_MIN || tcp_bytes > SYN_TCP_MAX)
		return false;
	*their = 0;
	diff = bpf_csum_diff((__u32 *)f->tcp, tcp_bytes & 60, (__u32 *)f->out, SYN_OUR_BYTES, 0);
	*(__u16 *)(f->out + SYN_CHECK) = check;
	r = bpf_skb_change_tail(ctx, l4 + SYN_OUR_BYTES, 0);
	r = r ? r : bpf_skb_store_bytes(ctx, 0, f->mac, 12, 0);
	if (!r && pkt->key.family == AF_INET)
		r = bpf_skb_store_bytes(ctx, pkt->off, f->ip, 20, 0);
	else if (!r)
		r = bpf_skb_store_bytes(ctx, pkt->off, f->ip, 40, 0);
	r = r ? r : bpf_skb_store_bytes(ctx, l4, f->out, SYN_OUR_BYTES, 0);
	r = r ? r : bpf_l4_csum_replace(ctx, l4 + SYN_CHECK, 0, diff, 0);
	r = r ? r
	      : bpf_l4_csum_replace(ctx, l4 + SYN_CHECK, bpf_htons(tcp_bytes), bpf_htons(SYN_OUR_BYTES),
			BPF_F_PSEUDO_HDR | 2);
	return !r;
}

__noinline int guard_syn_answer_skb(struct __sk_buff *ctx)
{
	struct guard_packet *pkt = guard_packet();
	struct syn_frame *f = syn_frame_here();
	__u32 tcp_bytes, whose;

	if (!cfg_syn_cookies || !pkt || !f || !(pkt->flags & PST_GUARD_SYN_COOKIES) || !syn_is_plain(pkt) ||
		syn_has_data(pkt))
		return PST_GUARD_SYN_LIMIT;
	tcp_bytes = syn_tcp_bytes(pkt);
	if (bpf_skb_load_bytes(ctx, 0, f->mac, 12) || !syn_load_skb(ctx, pkt, f, tcp_bytes))
		return PST_GUARD_SYN_LIMIT;
	whose = syn_whose_skb(ctx, pkt, f, tcp_bytes);
	if (whose == SYN_STACKS)
		return SYN_GOES_ON;
	if (whose == SYN_NOBODYS || !syn_make(pkt, f) || !syn_store_skb(ctx, pkt, f, tcp_bytes))
		return PST_GUARD_SYN_LIMIT;
	ctx->mark = SYN_OWN_MARK;
	syn_note(pkt);
	return PST_GUARD_SYN_COOKIE;
}

/* ---- what comes back ---- */

/* Worth a look: cookies were sent lately, and this is a segment with an ACK. */
static __always_inline bool syn_may_be_back(struct guard_packet *pkt)
{
	__u32 zero = 0;
	const struct syn_state *s = bpf_map_lookup_elem(&guard_syn, &zero);

	return s && PST_READ(s->answered) && (__s32)(guard_now(pkt) - PST_READ(s->answered)) <= SYN_VALID &&
	       (pkt->p.tcp_flags & 0x16) == 0x10 && syn_is_plain(pkt);
}

static __always_inline bool syn_is_cookie(const struct guard_packet *pkt, struct syn_frame *f)
{
	if (pkt->key.family == AF_INET)
		return !bpf_tcp_raw_check_syncookie_ipv4((void *)f->ip, (void *)f->tcp);
	return !bpf_tcp_raw_check_syncookie_ipv6((void *)f->ip, (void *)f->tcp);
}

/* The ACK of a cookie: true */
__noinline int guard_syn_back_xdp(struct xdp_md *ctx)
{
	struct guard_packet *pkt = guard_packet();
	struct syn_frame *f = syn_frame_here();

	return cfg_syn_cookies && pkt && f && syn_may_be_back(pkt) &&
	       syn_load_xdp(ctx, pkt, f, SYN_TCP_MIN) && syn_is_cookie(pkt, f);
}

__noinline int guard_syn_back_skb(struct __sk_buff *ctx)
{
	struct guard_packet *pkt = guard_packet();
	struct syn_frame *f = syn_frame_here();

	return cfg_syn_cookies && pkt && f && syn_may_be_back(pkt) &&
	       syn_load_skb(ctx, pkt, f, SYN_TCP_MIN) && syn_is_cookie(pkt, f);
}

#endif
