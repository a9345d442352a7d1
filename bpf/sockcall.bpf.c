/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sensor `socket`, first rung. __sock_create() makes every socket, whoever asks for it: socket(2),
 * socketcall(2) of 32-bit callers, io_uring, and the kernel itself.
 */
#include "bpf/lib/gate.bpf.h"
#include "bpf/lib/sockcall.bpf.h"

/* net, family, type, protocol, socket, by the kernel; what it returned */
SEC("fexit/__sock_create")
int sockcall_create(__u64 *ctx)
{
	if ((int)ctx[5] || pst_gate_closed())
		return 0;
	sockcall_socket(ctx[1], ctx[2], ctx[3], (int)ctx[6]);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
