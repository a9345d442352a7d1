/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every kernel program includes first: types, libbpf's helpers, the
 * records, and small things that are the same everywhere.
 */
#ifndef PST_COMMON_BPF_H
#define PST_COMMON_BPF_H

#include "bpf/vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "proto/abi/maps.h"
#include "proto/abi/records.h"

#define PST_ALIGN8(n) (((n) + 7U) & ~7U)

/* Keeps the compiler from folding a bound that the verifier has to see. */
#define pst_hide(var) asm volatile("" : "+r"(var))

#endif
