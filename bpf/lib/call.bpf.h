/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A system call that has returned: its arguments, and the program on its return. */
#ifndef PST_CALL_BPF_H
#define PST_CALL_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/gate.bpf.h"

/* A call that has returned. */
struct call {
	struct pt_regs *regs; /* not trusted: read by helper */
	bool compat;          /* 32-bit numbering and registers */
	long ret;
};

/* The pointer is copied first, or libbpf would look for struct call in the kernel. */
#define CALL_ARG(c, native, ia32)                                                                            \
	({                                                                                                   \
		struct pt_regs *regs_ = (c)->regs;                                                           \
		(c)->compat ? (__u64)(__u32)BPF_CORE_READ(regs_, ia32)                                       \
			    : (__u64)BPF_CORE_READ(regs_, native);                                           \
	})
#define CALL_ARG0(c) CALL_ARG(c, di, bx)
#define CALL_ARG1(c) CALL_ARG(c, si, cx)
#define CALL_ARG2(c) CALL_ARG(c, dx, dx)
#define CALL_ARG3(c) CALL_ARG(c, r10, si)
#define CALL_ARG4(c) CALL_ARG(c, r8, di)

static __always_inline __s32 call_error(long ret)
{
	return ret < 0 ? -ret : 0;
}

/*
 * The registers are the only argument of the function; not read from ctx directly, since in the BTF of some
 * kernels it points to a struct that is only declared, which the verifier refuses.
 */
#define CALL_PROGRAM(name, function, is_compat, ...)                                                         \
	SEC("fexit/" function)                                                                               \
	int name(__u64 *ctx)                                                                                 \
	{                                                                                                    \
		struct call c = {.compat = is_compat, .ret = ctx[1]};                                        \
                                                                                                             \
		if (pst_gate_closed())                                                                       \
			return 0;                                                                            \
		bpf_probe_read_kernel(&c.regs, sizeof(c.regs), ctx);                                         \
		__VA_ARGS__;                                                                                 \
		return 0;                                                                                    \
	}

#endif
