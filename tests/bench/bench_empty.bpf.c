// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
/* Floors: what an attached program costs that does nothing. */
#include "bpf/lib/common.bpf.h"
#include "bpf/vmlinux_net.h"

SEC("raw_tp/sys_enter")
int empty_enter(__u64 *ctx)
{
	(void)ctx;
	return 0;
}

SEC("tc")
int empty_tc(struct __sk_buff *ctx)
{
	(void)ctx;
	return -1; /* TC_ACT_UNSPEC: as if it were not there */
}

SEC("xdp")
int empty_drop(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
