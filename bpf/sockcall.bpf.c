/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sensors `socket` and `bind`, first rung. __sock_create() makes every socket, whoever asks for it:
 * socket(2), socketcall(2) of 32-bit callers, io_uring, and the kernel itself. Of bind(2) the call is what
 * knows its outcome.
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

static __always_inline void sockcall_bind32(const struct call *c)
{
	__u32 args[3] = {};

	if ((__u32)CALL_ARG0(c) == SOCKCALL_BIND && sockcall_socketcall(c, args) == SOCKCALL_BIND)
		sockcall_bind(args[0], args[1], args[2], c->ret);
}

CALL_PROGRAM(sockcall_bound, "__x64_sys_bind", false,
	sockcall_bind(CALL_ARG0(&c), CALL_ARG1(&c), CALL_ARG2(&c), c.ret))
CALL_PROGRAM(sockcall_bound32, "__ia32_sys_bind", true,
	sockcall_bind(CALL_ARG0(&c), CALL_ARG1(&c), CALL_ARG2(&c), c.ret))
CALL_PROGRAM(sockcall_multi32, "__ia32_compat_sys_socketcall", true, sockcall_bind32(&c))

char LICENSE[] SEC("license") = "Dual BSD/GPL";
