/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * First rung of the sensors of single system calls: the return of each, so that no other call pays. The
 * programs for 32-bit callers are optional, since a kernel need not have them. x32 comes by the native
 * entries, but for ptrace and process_vm_writev, which only sys_exit sees of it.
 */
#include "bpf/lib/calls.bpf.h"
#include "bpf/lib/gate.bpf.h"

#define VM_EXEC 4
#define VM_PROT 7 /* read, write, execute: the bits of PROT_* */

static __always_inline void calls_mmap_exec(const struct call *c)
{
	if (CALL_ARG2(c) & PROT_EXEC && CALL_ARG3(c) & MAP_ANONYMOUS)
		call_mmap(c);
}

CALL_PROGRAM(calls_bpf, "__x64_sys_bpf", false, call_bpf(&c))
CALL_PROGRAM(calls_bpf32, "__ia32_sys_bpf", true, call_bpf(&c))
CALL_PROGRAM(calls_ptrace, "__x64_sys_ptrace", false, call_ptrace(&c))
CALL_PROGRAM(calls_ptrace32, "__ia32_compat_sys_ptrace", true, call_ptrace(&c))
CALL_PROGRAM(calls_vm, "__x64_sys_process_vm_writev", false, call_vm_write(&c))
CALL_PROGRAM(calls_vm32, "__ia32_sys_process_vm_writev", true, call_vm_write(&c))
CALL_PROGRAM(calls_unshare, "__x64_sys_unshare", false, call_namespace(&c, PST_NS_UNSHARE))
CALL_PROGRAM(calls_unshare32, "__ia32_sys_unshare", true, call_namespace(&c, PST_NS_UNSHARE))
CALL_PROGRAM(calls_setns, "__x64_sys_setns", false, call_namespace(&c, PST_NS_SETNS))
CALL_PROGRAM(calls_setns32, "__ia32_sys_setns", true, call_namespace(&c, PST_NS_SETNS))
CALL_PROGRAM(calls_memfd, "__x64_sys_memfd_create", false, call_memfd(&c))
CALL_PROGRAM(calls_memfd32, "__ia32_sys_memfd_create", true, call_memfd(&c))
CALL_PROGRAM(calls_perf, "__x64_sys_perf_event_open", false, call_perf(&c))
CALL_PROGRAM(calls_perf32, "__ia32_sys_perf_event_open", true, call_perf(&c))
CALL_PROGRAM(calls_mmap, "__x64_sys_mmap", false, calls_mmap_exec(&c))
CALL_PROGRAM(calls_mmap32, "__ia32_sys_mmap_pgoff", true, calls_mmap_exec(&c))

/* Before any vma changes, and before other security modules are asked: what they refuse is told too. */
SEC("fentry/security_file_mprotect")
int calls_mprotect(__u64 *ctx)
{
	struct vm_area_struct *vma = NULL;
	__u64 flags, start, prot = ctx[2];
	struct file *file;

	if (!(prot & PROT_EXEC) || pst_gate_closed())
		return 0;
	bpf_probe_read_kernel(&vma, sizeof(vma), ctx);
	flags = BPF_CORE_READ(vma, vm_flags);
	file = BPF_CORE_READ(vma, vm_file);
	if (flags & VM_EXEC || (file && !BPF_CORE_READ(vma, anon_vma)))
		return 0;
	start = BPF_CORE_READ(vma, vm_start);
	call_exec_memory_emit(start, BPF_CORE_READ(vma, vm_end) - start, PST_EXEC_MPROTECT, prot,
		flags & VM_PROT, file ? PST_MAPPING_FILE : PST_MAPPING_ANONYMOUS);
	return 0;
}

SEC("fexit/mem_open")
int calls_mem_open(__u64 *ctx)
{
	struct file *file = NULL;

	if ((int)ctx[2] || pst_gate_closed())
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), ctx + 1);
	call_proc_mem(file);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
