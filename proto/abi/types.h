/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * Fixed-width types for headers that both the kernel programs and user space
 * include. A BPF object includes bpf/vmlinux.h first, which defines them.
 */
#ifndef PST_ABI_TYPES_H
#define PST_ABI_TYPES_H

#ifndef __bpf__
#include <assert.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#else
#define static_assert _Static_assert
#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif
#endif

#endif
