/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sensor `signal`: what a process sends to one of another cgroup. The kernel's own signals (a child ended, a
 * fault, a timer, a key of the terminal) come by here too and leave after a compare or two.
 */
#include "bpf/lib/cgrate.bpf.h"
#include "bpf/lib/gate.bpf.h"
#include "bpf/lib/maps_ring_process.bpf.h"
#include "bpf/lib/task.bpf.h"

#define SEND_SIG_NOINFO 0 /* instead of a pointer: sent by a process, nothing more to tell */
#define SEND_SIG_PRIV   1 /* by the kernel */
#define SI_USER         0
#define SI_TIMER        (-2)
#define SI_MESGQ        (-3)
#define SI_ASYNCIO      (-4)
#define SI_SIGIO        (-5)
#define SI_ASYNCNL      (-60)

/*
 * Codes above 0 are the kernel's; rt_sigqueueinfo(2) refuses them. Those below are anybody's to choose, but
 * for some the kernel uses itself, at a time when the current process has nothing to do with it: those are
 * left out.
 */
static __always_inline bool signal_by_process(int code)
{
	return code <= SI_USER && code != SI_TIMER && code != SI_MESGQ && code != SI_ASYNCIO &&
	       code != SI_SIGIO && code != SI_ASYNCNL;
}

static __always_inline void signal_emit(struct task_struct *target, int sig, int code, int group, int result)
{
	struct pst_rec_signal *r = pst_reserve(&ring_process, PST_CLASS_PROCESS, sizeof(*r));

	if (!r)
		return;
	pst_head(&r->h, PST_REC_SIGNAL, sizeof(*r));
	pst_task_current(&r->task);
	pst_task_of(&r->target, target);
	r->sig = sig;
	r->code = code;
	r->result = result;
	r->group = group;
	pst_submit(&ring_process, PST_CLASS_PROCESS, r, sizeof(*r));
}

SEC("tp_btf/signal_generate")
int BPF_PROG(signal_generate, int sig, struct kernel_siginfo *info, struct task_struct *task, int group,
	int result)
{
	int code = SI_USER;

	if ((__u64)info == SEND_SIG_PRIV)
		return 0;
	if ((__u64)info != SEND_SIG_NOINFO)
		code = BPF_CORE_READ(info, si_code);
	if (!signal_by_process(code) || pst_gate_closed())
		return 0;
	if (pst_task_cgroup(task) == bpf_get_current_cgroup_id() ||
		!pst_cgrate_ok(PST_CLASS_PROCESS, PST_REC_SIGNAL))
		return 0;
	signal_emit(task, sig, code, group != 0, result);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
