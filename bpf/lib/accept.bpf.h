/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP accept, as both of its rungs see it: fentry/security_sock_graft (bpf/accept.bpf.c)
 * and raw_tp/sys_exit (bpf/sysexit.bpf.c). The second does not see what is accepted by no system call of its
 * own: io_uring, and the kernel's own servers.
 */
#ifndef PST_ACCEPT_BPF_H
#define PST_ACCEPT_BPF_H

#include "bpf/lib/sock.bpf.h"
#include "bpf/lib/sockfd.bpf.h"

/* Emits ACCEPT for a socket that the current process was just given, and makes the process its owner. */
static __always_inline void pst_accept_sock(struct sock *sk)
{
	struct pst_sock_entry *e, fresh = {};
	struct pst_sock_view v = {};
	struct pst_rec_sock *rec;
	__u64 key = pst_sock_number(sk);

	if (!pst_sock_probe(&v, sk))
		return;
	e = bpf_map_lookup_elem(&tcp_sockets, &key);
	if (!e) {
		/* not seen when it was established (or not established yet: fast open), or closed already */
		fresh.phase = PST_SOCK_OPEN;
		fresh.cookie = v.cookie ? v.cookie : pst_sock_id(key, 0);
		pst_task_current(&fresh.task);
		if (v.state != TCP_CLOSE)
			bpf_map_update_elem(&tcp_sockets, &key, &fresh, BPF_NOEXIST);
		e = &fresh;
	} else {
		pst_task_current(&e->task);
	}
	v.cookie = e->cookie;
	rec = pst_sock_record(PST_REC_TCP_ACCEPT, &v);
	if (!rec)
		return;
	rec->task = e->task;
	rec->state = v.state;
	pst_sock_submit(rec);
}

/* At the exit of accept or accept4; @ret is its result. */
static __always_inline void pst_accept_exit(long ret)
{
	struct sock *sk = ret < 0 ? NULL : pst_sock_of_fd(ret);

	if (sk)
		pst_accept_sock(sk);
}

#endif
