/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP accept, first rung: security_sock_graft(), which gives an accepted socket its file; also io_uring and
 * the kernel's own servers come by. Not the return of inet_csk_accept(): a server sleeps in it, and whoever
 * sleeps in a function while any fexit program of it comes or goes (an upgrade of ours, another tracer)
 * returns past all of them (bpf_tramp_image_put(), e21aa341785c). Where fentry programs are refused,
 * bpf/sysexit.bpf.c does it.
 */
#include "bpf/lib/accept.bpf.h"
#include "bpf/lib/gate.bpf.h"

SEC("fentry/security_sock_graft")
int BPF_PROG(accept_graft, struct sock *sk)
{
	if (!pst_gate_closed())
		pst_accept_sock(sk);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
