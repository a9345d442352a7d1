/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records of sockets that are made and bound, for both rungs: bpf/sockcall.bpf.c and bpf/sysexit.bpf.c. */
#ifndef PST_SOCKCALL_BPF_H
#define PST_SOCKCALL_BPF_H

#include <bpf/bpf_endian.h>

#include "bpf/lib/call.bpf.h"
#include "bpf/lib/cgrate.bpf.h"
#include "bpf/lib/common.bpf.h"
#include "bpf/lib/maps_ring_net.bpf.h"
#include "bpf/lib/sockfd.bpf.h"
#include "bpf/lib/task.bpf.h"
#include "bpf/vmlinux_net.h"

/* How 32-bit callers name their calls in socketcall(2), and we all of them. */
enum sockcall {
	SOCKCALL_NONE = 0,
	SOCKCALL_SOCKET = 1,
	SOCKCALL_BIND = 2,
	SOCKCALL_ACCEPT = 5,
	SOCKCALL_ACCEPT4 = 18,
};

#define AF_UNIX       1
#define AF_NETLINK    16
#define SOCK_STREAM   1
#define SOCK_DGRAM    2
#define SOCK_TYPES    15 /* without SOCK_CLOEXEC and SOCK_NONBLOCK */
#define IPPROTO_MPTCP 262
#define NETLINK_ROUTE 0

/* Which call it was; the words that it was given into @args, three at most. Reading memory may fail: zeros.
 */
static __always_inline __u32 sockcall_socketcall(const struct call *c, __u32 args[3])
{
	if (bpf_probe_read_user(args, 3 * sizeof(*args), (const void *)CALL_ARG1(c))) {
		pst_count_unread(PST_CLASS_NET);
		return SOCKCALL_NONE;
	}
	return CALL_ARG0(c);
}

static __always_inline __u32 sockcall_netns(void)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	return BPF_CORE_READ(t, nsproxy, net_ns, ns.inum);
}

static __always_inline void *sockcall_begin(__u32 kind, __u32 size)
{
	struct pst_rec *h;

	if (!pst_cgrate_ok(PST_CLASS_NET, kind))
		return NULL;
	h = bpf_ringbuf_reserve(&ring_net, size, 0);
	if (!h) {
		pst_count_lost(PST_CLASS_NET, size);
		return NULL;
	}
	pst_head(h, kind, size);
	return h;
}

#define SOCKCALL_BEGIN(kind, type) ((struct type *)sockcall_begin(kind, sizeof(struct type)))
#define SOCKCALL_END(r)            pst_submit(&ring_net, PST_CLASS_NET, r, sizeof(*(r)))

/* ---- socket(2) ---- */

/* Neither TCP nor UDP nor Unix, nor what asks for addresses and routes. */
static __always_inline bool sockcall_unusual(__u32 family, __u32 type, __u32 protocol)
{
	if (family == AF_UNIX)
		return false;
	if (family == AF_NETLINK)
		return protocol != NETLINK_ROUTE;
	if (family != AF_INET && family != AF_INET6)
		return true;
	if (type == SOCK_STREAM)
		return protocol && protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP;
	return type != SOCK_DGRAM || (protocol && protocol != IPPROTO_UDP);
}

static __always_inline void sockcall_socket(__u32 family, __u32 type, __u32 protocol, long ret)
{
	struct pst_rec_socket *r;

	type &= SOCK_TYPES;
	if (!sockcall_unusual(family, type, protocol))
		return;
	r = SOCKCALL_BEGIN(PST_REC_SOCKET_CREATE, pst_rec_socket);
	if (!r)
		return;
	pst_task_current(&r->task);
	r->error = call_error(ret);
	r->family = family;
	r->type = type;
	r->protocol = protocol;
	r->netns = sockcall_netns();
	r->pad = 0;
	SOCKCALL_END(r);
}

/* ---- bind(2) ---- */

#define AF_PACKET 17
#define AF_VSOCK  40
#define SOCK_RAW  3

/* Room for a sockaddr of any family but Unix; by words, the family in the first half of the first. */
#define SOCKCALL_ADDR_WORDS 8
#define SOCKCALL_ADDR_BYTES 28 /* of IPv6, the longest that is looked into */

static __always_inline void sockcall_v4(struct pst_rec_bind *r, __be32 addr, __be16 port)
{
	__u32 *w = (__u32 *)r->addr;

	w[2] = bpf_htonl(0xffff);
	w[3] = addr;
	r->port = bpf_ntohs(port);
}

/* What an IP socket is bound to, the port that the kernel chose among it. */
static __always_inline void sockcall_bound_ip(struct pst_rec_bind *r, struct sock *sk)
{
	__be16 port = BPF_CORE_READ((struct inet_sock *)sk, inet_sport);

	if (r->family == AF_INET) {
		sockcall_v4(r, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr), port);
	} else {
		bpf_core_read(r->addr, sizeof(r->addr), &sk->__sk_common.skc_v6_rcv_saddr);
		r->port = bpf_ntohs(port);
	}
	if (r->type == SOCK_RAW)
		r->port = 0; /* its protocol is there */
}

/* @bytes with the family. */
static __always_inline void sockcall_name(struct pst_rec_bind *r, const char *at, __u32 bytes, bool user)
{
	long e;

	bytes = bytes > 2 ? bytes - 2 : 0;
	if (bytes >= sizeof(r->name))
		return; /* no address of a Unix socket */
	bytes &= PST_BIND_NAME_BYTES - 1;
	e = user ? bpf_probe_read_user(r->name, bytes, at + 2)
		 : bpf_probe_read_kernel(r->name, bytes, at + 2);
	if (e)
		pst_count_unread(PST_CLASS_NET);
	else
		r->name_bytes = bytes;
}

static __always_inline void sockcall_bound_unix(struct pst_rec_bind *r, struct sock *sk)
{
	struct unix_address *a;

	if (!bpf_core_field_exists(((struct unix_sock *)0)->addr))
		return;
	a = BPF_CORE_READ((struct unix_sock *)sk, addr);
	if (a)
		sockcall_name(r, (char *)a + bpf_core_field_offset(struct unix_address, name),
			BPF_CORE_READ(a, len), false);
}

static __always_inline void sockcall_asked(struct pst_rec_bind *r, __u64 at, __u32 bytes)
{
	__u32 w[SOCKCALL_ADDR_WORDS] = {};

	if (bytes > SOCKCALL_ADDR_BYTES)
		bytes = SOCKCALL_ADDR_BYTES;
	if (bpf_probe_read_user(w, bytes & 31, (const void *)at))
		pst_count_unread(PST_CLASS_NET);
	if (r->family == AF_INET) {
		sockcall_v4(r, w[1], w[0] >> 16);
	} else if (r->family == AF_INET6) {
		__builtin_memcpy(r->addr, w + 2, sizeof(r->addr));
		r->port = bpf_ntohs(w[0] >> 16);
	} else if (r->family == AF_PACKET) {
		r->protocol = w[0] >> 16;
		r->ifindex = w[1];
	} else if (r->family == AF_VSOCK) {
		r->port = w[1];
	}
}

static __always_inline void sockcall_bind_fill(
	struct pst_rec_bind *r, struct sock *sk, __u64 at, __u32 bytes, long ret)
{
	bool ip = r->family == AF_INET || r->family == AF_INET6;

	if (r->family == AF_UNIX && !ret)
		sockcall_bound_unix(r, sk);
	else if (r->family == AF_UNIX)
		sockcall_name(r, (const char *)at, bytes, true);
	else if (ip && !ret)
		sockcall_bound_ip(r, sk);
	else
		sockcall_asked(r, at, bytes);
}

/* Netlink sockets are bound at each use, to a number that tells nothing; the others are told. */
static __always_inline void sockcall_bind(__u32 fd, __u64 at, __u32 bytes, long ret)
{
	struct sock *sk = pst_sock_of_fd(fd);
	struct pst_rec_bind *r;
	__u16 family;

	if (!sk)
		return;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family == AF_NETLINK)
		return;
	r = SOCKCALL_BEGIN(PST_REC_SOCKET_BIND, pst_rec_bind);
	if (!r)
		return;
	pst_task_current(&r->task);
	__builtin_memset(r->addr, 0, sizeof(*r) - offsetof(struct pst_rec_bind, addr));
	r->error = call_error(ret);
	r->netns = sockcall_netns();
	r->family = family;
	r->type = BPF_CORE_READ(sk, sk_type);
	if (family == AF_INET || family == AF_INET6)
		r->protocol = BPF_CORE_READ(sk, sk_protocol);
	sockcall_bind_fill(r, sk, at, bytes, ret);
	SOCKCALL_END(r);
}

#endif
