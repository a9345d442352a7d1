/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records of sockets that are made and bound, for both rungs: bpf/sockcall.bpf.c and bpf/sysexit.bpf.c. */
#ifndef PST_SOCKCALL_BPF_H
#define PST_SOCKCALL_BPF_H

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

#endif
