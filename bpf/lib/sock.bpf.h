/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading TCP sockets, and the record that their events make. */
#ifndef PST_SOCK_BPF_H
#define PST_SOCK_BPF_H

#include <bpf/bpf_endian.h>

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/core_fixes.bpf.h"
#include "bpf/lib/emit.bpf.h"
#include "bpf/lib/maps_net.bpf.h"
#include "bpf/lib/maps_ring_net.bpf.h"
#include "bpf/lib/task.bpf.h"

/* Random, set by the loader: keeps the ids that stand in for cookies from telling kernel addresses. */
const volatile __u64 cfg_id_seed = 0x9e3779b97f4a7c15;

#define PST_V4MAPPED bpf_htonl(0xffff) /* third word of ::ffff:a.b.c.d */

/* What a record says of a socket. */
struct pst_sock_view {
	__u32 laddr[4];
	__u32 raddr[4];
	__u64 cookie;
	__u32 netns;
	__be16 lport; /* inet_sport: skc_num is 0 already when a socket with an automatic port reaches
			 TCP_CLOSE */
	__be16 rport;
	__u16 family;
	__u8 state;
};

static __always_inline void pst_set_v4(__u32 *addr, __be32 ip)
{
	addr[0] = 0;
	addr[1] = 0;
	addr[2] = PST_V4MAPPED;
	addr[3] = ip;
}

static __always_inline bool pst_is_v4mapped(const __u32 *addr)
{
	return !addr[0] && !addr[1] && addr[2] == PST_V4MAPPED;
}

/* bpf_get_socket_cookie() for tracing came in 5.12 (c5dbb89fc2ac), in the release of bpf_check_mtu(). */
static __always_inline bool pst_has_sock_cookie(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id___net, BPF_FUNC_check_mtu___net);
}

/* Stands in for a cookie that nobody has drawn yet; @salt tells sockets apart that had the same address. */
static __always_inline __u64 pst_sock_id(__u64 sk, __u64 salt)
{
	__u64 h = ((sk ^ cfg_id_seed) + salt) * 0xd6e8feb86659fd93ULL;

	h ^= h >> 32;
	h *= cfg_id_seed | 1;
	return h | 1ULL << 63; /* cookies count up from 1 and never get there */
}

/*
 * For sockets that the verifier knows: plain loads. The cookie is drawn if need be, and on kernels that
 * cannot do that an id is made up.
 */
static __always_inline void pst_sock_view(struct pst_sock_view *v, struct sock *sk, struct tcp_sock *tp)
{
	v->family = sk->__sk_common.skc_family;
	v->state = sk->__sk_common.skc_state;
	v->lport = tp->inet_conn.icsk_inet.inet_sport;
	v->rport = sk->__sk_common.skc_dport;
	v->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum); /* see proc.bpf.h */
	if (v->family == AF_INET6) {
		v->laddr[0] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		v->laddr[1] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		v->laddr[2] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		v->laddr[3] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[3];
		v->raddr[0] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[0];
		v->raddr[1] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[1];
		v->raddr[2] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[2];
		v->raddr[3] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[3];
		if (!pst_is_v4mapped(v->raddr))
			return;
		v->family = AF_INET; /* a v6 socket with a v4-mapped peer speaks IPv4 */
	}
	pst_set_v4(v->laddr, sk->__sk_common.skc_rcv_saddr);
	pst_set_v4(v->raddr, sk->__sk_common.skc_daddr);
}

/* For any address, by helper calls. False: it is no TCP socket. */
static __always_inline bool pst_sock_probe(struct pst_sock_view *v, struct sock *sk)
{
	struct inet_sock *inet = (void *)sk;

	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return false;
	v->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (v->family != AF_INET && v->family != AF_INET6)
		return false;
	v->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	v->lport = BPF_CORE_READ(inet, inet_sport);
	v->rport = BPF_CORE_READ(sk, __sk_common.skc_dport);
	v->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	v->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	if (v->family == AF_INET6) {
		BPF_CORE_READ_INTO(&v->laddr, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&v->raddr, sk, __sk_common.skc_v6_daddr);
		if (!pst_is_v4mapped(v->raddr))
			return true;
		v->family = AF_INET;
	}
	pst_set_v4(v->laddr, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	pst_set_v4(v->raddr, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	return true;
}

/* The verifier forbids arithmetic on pointers that it knows: as a mere number, by way of the stack. */
static __always_inline __u64 pst_sock_number(struct sock *sk)
{
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &sk);
	return number;
}

/* A socket that the verifier knows. */
static __always_inline __u64 pst_sock_cookie(struct sock *sk, __u64 salt)
{
	__u64 cookie;

	if (pst_has_sock_cookie())
		return bpf_get_socket_cookie(sk);
	cookie = sk->__sk_common.skc_cookie.counter;
	return cookie ? cookie : pst_sock_id(pst_sock_number(sk), salt);
}

static __always_inline void pst_copy_addr(__u8 *to, const __u32 *from)
{
	__u32 *w = (__u32 *)to;

	w[0] = from[0];
	w[1] = from[1];
	w[2] = from[2];
	w[3] = from[3];
}

/* A record with head, ends, cookie and netns; the rest is zero. NULL: lost, and counted. Ends in
 * pst_sock_submit(). */
static __always_inline struct pst_rec_sock *pst_sock_record(__u16 kind, const struct pst_sock_view *v)
{
	struct pst_rec_sock *rec = pst_reserve(&ring_net, PST_CLASS_NET, sizeof(*rec));

	if (!rec)
		return NULL;
	__builtin_memset(rec, 0, sizeof(*rec));
	pst_head(&rec->h, kind, sizeof(*rec));
	pst_copy_addr(rec->ends.laddr, v->laddr);
	pst_copy_addr(rec->ends.raddr, v->raddr);
	rec->ends.lport = bpf_ntohs(v->lport);
	rec->ends.rport = bpf_ntohs(v->rport);
	rec->ends.family = v->family;
	rec->ends.protocol = IPPROTO_TCP;
	rec->cookie = v->cookie;
	rec->netns = v->netns;
	return rec;
}

static __always_inline void pst_sock_submit(struct pst_rec_sock *rec)
{
	pst_submit(&ring_net, PST_CLASS_NET, rec, sizeof(*rec));
}

#endif
