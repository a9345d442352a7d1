/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sensor `module`: a kernel module is in place and about to be initialised. Only root can cause these, so
 * nothing bounds them. */
#include "bpf/lib/gate.bpf.h"
#include "bpf/lib/maps_ring_process.bpf.h"
#include "bpf/lib/task.bpf.h"

SEC("tp_btf/module_load")
int BPF_PROG(module_load, struct module *mod)
{
	struct pst_rec_module *r;

	if (pst_gate_closed())
		return 0;
	r = pst_reserve(&ring_process, PST_CLASS_PROCESS, sizeof(*r));
	if (!r)
		return 0;
	__builtin_memset(r->name, 0, sizeof(r->name));
	pst_head(&r->h, PST_REC_MODULE, sizeof(*r));
	pst_task_current(&r->task);
	bpf_core_read_str(r->name, sizeof(r->name), &mod->name);
	r->taints = BPF_CORE_READ(mod, taints);
	pst_submit(&ring_process, PST_CLASS_PROCESS, r, sizeof(*r));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
