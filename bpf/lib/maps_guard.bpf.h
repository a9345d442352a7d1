/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PST_MAPS_GUARD_BPF_H
#define PST_MAPS_GUARD_BPF_H

#include "bpf/lib/common.bpf.h"
#include "proto/abi/guard.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_guard);
} guard SEC(".maps");

#define PST_FW_LINES 65536 /* of a half. 4 MiB: the largest value of kernels before 5.17 */

/* An entry is a half. The loader sets the value's size and cfg_fw_mask together. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, PST_FW_LINES * sizeof(union pst_line));
} fw_lines SEC(".maps");

#define PST_BLOCK_LINES 65536 /* of a half */

/*
 * An entry is a line, since a million addresses take more than the largest map value of 5.10, and nearly all
 * look-ups are for one line. The loader sets the size and cfg_block_mask together.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * PST_BLOCK_LINES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, union pst_line);
} block_lines SEC(".maps");

/* An entry is a half. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_sigs);
} guard_sigs SEC(".maps");

/* An entry a CPU; the loader sets how many. Mapped, so that reading all takes no system call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_guard_counts);
} guard_counts SEC(".maps");

#endif
