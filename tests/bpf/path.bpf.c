// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
/* The walk of bpf/lib/pathclass.bpf.h by itself, for its test and its benchmark. */
#include "bpf/lib/pathclass.bpf.h"
#include "bpf/vmlinux_net.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pst_paths_buf);
} path_buf SEC(".maps");

static __always_inline const struct pst_paths_buf *pathclass_buf(__u32 which)
{
	__u32 zero = 0;

	(void)which;
	return bpf_map_lookup_elem(&path_buf, &zero);
}

/* Set between runs: where the path is, and in which half it is looked up. */
__u32 start, len, half;

__u32 classes[PST_PATHS_AUTOMATA];

SEC("xdp")
int test_path(struct xdp_md *ctx)
{
	__u32 n = pathclass_automata(half), i;

	(void)ctx;
	for (i = 0; i < PST_PATHS_AUTOMATA; i++)
		classes[i] = i < n ? pathclass(half, i, start, len) : 0;
	return 2; /* XDP_PASS */
}

/* What the benchmark takes off. */
SEC("xdp")
int test_nothing(struct xdp_md *ctx)
{
	(void)ctx;
	return 2;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
