/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP accept, as both of its rungs see it: fentry/security_sock_graft (bpf/accept.bpf.c)
 * and raw_tp/sys_exit (bpf/sysexit.bpf.c). The second does not see what is accepted by no system call of its
 * own: io_uring, and the kernel's own servers.
 */
#ifndef PST_ACCEPT_BPF_H
#define PST_ACCEPT_BPF_H

#include "bpf/lib/sock.bpf.h"

#define PST_NR_SOCKETCALL 102 /* i386 only */
#define PST_SYS_ACCEPT    5   /* its first argument */
#define PST_SYS_ACCEPT4   18

#define PST_S_IFMT   0170000
#define PST_S_IFSOCK 0140000

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

/* The socket behind descriptor @fd of the current process, NULL if it is none. */
static __always_inline struct sock *pst_sock_of_fd(__u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct files_struct___net *files = (void *)BPF_CORE_READ(task, files);
	struct fdtable *fdt = BPF_CORE_READ(files, fdt);
	struct file___net *file = NULL;
	struct file **slot;
	struct socket *socket;

	if (fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	slot = BPF_CORE_READ(fdt, fd) + fd;
	if (bpf_probe_read_kernel(&file, sizeof(file), slot) || !file)
		return NULL;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & PST_S_IFMT) != PST_S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	if ((void *)BPF_CORE_READ(socket, file) != (void *)file)
		return NULL;
	return BPF_CORE_READ(socket, sk);
}

/* At the exit of accept, accept4 or, from 32-bit programs, socketcall; @ret is its result. */
static __always_inline void pst_accept_exit(struct pt_regs *regs, long ret)
{
	struct sock *sk;
	__u32 call;

	if (ret < 0)
		return;
	if (BPF_CORE_READ(regs, orig_ax) == PST_NR_SOCKETCALL) {
		call = BPF_CORE_READ(regs, bx);
		if (call != PST_SYS_ACCEPT && call != PST_SYS_ACCEPT4)
			return;
	}
	sk = pst_sock_of_fd(ret);
	if (sk)
		pst_accept_sock(sk);
}

#endif
