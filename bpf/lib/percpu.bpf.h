/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading another CPU's copy of a kernel's per-CPU variable, of which only the
 * __percpu address is known: copy = address + offset of the CPU. The offset follows from a map of our own, of
 * which both the __percpu address and a CPU's copy can be had (5.19, 07343110b293). Not from a __ksym: libbpf
 * would parse all of /proc/kallsyms for it at each load (65 ms here), and data is in there only with
 * CONFIG_KALLSYMS_ALL.
 */
#ifndef PST_PERCPU_BPF_H
#define PST_PERCPU_BPF_H

#include "bpf/lib/common.bpf.h"

/* Address of __per_cpu_offset; set by the loader where the helper is missing, 0 if it does not know. */
const volatile __u64 cfg_percpu_offsets = 0;

struct percpu_probe {
	volatile __u64 self; /* address of this copy */
	volatile __u64 map;  /* address of the map */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct percpu_probe);
} percpu_probe SEC(".maps");

static __always_inline bool percpu_can_probe(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_map_lookup_percpu_elem);
}

static __always_inline __u64 percpu_probe_offset(__u32 cpu)
{
	__u32 zero = 0;
	struct percpu_probe *p = bpf_map_lookup_percpu_elem(&percpu_probe, &zero, cpu);
	__u64 base = 0;

	if (!p)
		return 0;
	/* written to memory and read back, the pointers are numbers to the verifier */
	p->self = (__u64)p;
	p->map = (__u64)&percpu_probe;
	bpf_probe_read_kernel(
		&base, sizeof(base), (void *)(p->map + bpf_core_field_offset(struct bpf_array, pptrs)));
	return base ? p->self - base : 0;
}

/* 0: cannot be had on this kernel. */
static __always_inline __u64 percpu_offset(__u32 cpu)
{
	__u64 off = 0;

	if (percpu_can_probe())
		return percpu_probe_offset(cpu);
	if (cfg_percpu_offsets)
		bpf_probe_read_kernel(
			&off, sizeof(off), (const void *)(cfg_percpu_offsets + cpu * sizeof(off)));
	return off;
}

#endif
