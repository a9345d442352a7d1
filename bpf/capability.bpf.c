/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sensor `capability`: what the kernel was asked whether a process may, and its answer. That is asked often,
 * and mostly the same again, so one record is made an interval of each cgroup, program, capability and
 * answer; all that is folded into it is counted.
 *
 * First rung: security_capable(), whose return is the answer of all security modules. Second: the tracepoint
 * in the one about capabilities (6.14, d48da4d5ed76). Not an LSM program: it is not asked when another module
 * has refused.
 */
#include "bpf/lib/cgrate.bpf.h"
#include "bpf/lib/gate.bpf.h"
#include "bpf/lib/maps_ring_process.bpf.h"
#include "bpf/lib/task.bpf.h"

#define CAP_OPT_NOAUDIT 2
#define USER_NS_INIT    0xeffffffdU /* PROC_USER_INIT_INO */

/* How long equal checks are folded into one record. */
const volatile __u64 cfg_capability_ns = 0;

struct cap_key {
	__u64 cgroup_id;
	__u64 exe_ino;
	__u32 exe_dev;
	__u32 what; /* capability, and flags from bit 8 on */
};

struct cap_entry {
	__u64 told_ns;
	__u64 checks; /* since there is this entry */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct cap_key);
	__type(value, struct cap_entry);
} capability_uses SEC(".maps");

/* The program that runs; zeros: a thread of the kernel. Plain loads are a third of the time of helper calls.
 */
static __always_inline void cap_program(struct cap_key *key)
{
	struct task_struct *t;
	struct inode *inode;

	if (pst_has_task_btf()) {
		inode = pst_current_btf()->mm->exe_file->f_inode;
		key->exe_ino = inode->i_ino;
		key->exe_dev = inode->i_sb->s_dev;
		return;
	}
	t = (void *)bpf_get_current_task();
	inode = BPF_CORE_READ(t, mm, exe_file, f_inode);
	key->exe_ino = BPF_CORE_READ(inode, i_ino);
	key->exe_dev = BPF_CORE_READ(inode, i_sb, s_dev);
}

/* How often it was checked with this check; 0: folded, or over the bound. */
static __always_inline __u64 cap_count(const struct cap_key *key)
{
	struct cap_entry *e = bpf_map_lookup_elem(&capability_uses, key), fresh = {.checks = 1};
	__u64 now = bpf_ktime_get_ns();

	if (e)
		__sync_fetch_and_add(&e->checks, 1);
	if (e && now - e->told_ns < cfg_capability_ns) {
		pst_cgrate_held(PST_CLASS_PROCESS);
		return 0;
	}
	if (!pst_cgrate_ok(PST_CLASS_PROCESS, PST_REC_CAPABILITY))
		return 0;
	if (e) {
		e->told_ns = now;
		return e->checks;
	}
	fresh.told_ns = now;
	bpf_map_update_elem(&capability_uses, key, &fresh, BPF_NOEXIST);
	return 1;
}

static __always_inline void cap_check(struct user_namespace *ns, __u32 capability, __u32 flags)
{
	__u32 user_ns = ns->ns.inum;
	struct pst_rec_capability *r;
	struct cap_key key = {};
	__u64 checks;

	if (user_ns == USER_NS_INIT)
		flags |= PST_CAP_INIT_NS;
	key.cgroup_id = bpf_get_current_cgroup_id();
	key.what = (capability & 0xff) | flags << 8;
	cap_program(&key);
	checks = cap_count(&key);
	if (!checks)
		return;
	r = pst_reserve(&ring_process, PST_CLASS_PROCESS, sizeof(*r));
	if (!r)
		return;
	pst_head(&r->h, PST_REC_CAPABILITY, sizeof(*r));
	pst_task_current(&r->task);
	r->checks = checks;
	r->capability = capability;
	r->flags = flags;
	r->user_ns = user_ns;
	r->pad = 0;
	pst_submit(&ring_process, PST_CLASS_PROCESS, r, sizeof(*r));
}

SEC("fexit/security_capable")
int BPF_PROG(capability_asked, const struct cred *cred, struct user_namespace *ns, int capability,
	unsigned int options, int answer)
{
	__u32 flags = answer ? 0 : PST_CAP_GRANTED;

	if (!pst_gate_closed())
		cap_check(ns, capability, options & CAP_OPT_NOAUDIT ? flags | PST_CAP_NOAUDIT : flags);
	return 0;
}

SEC("tp_btf/cap_capable")
int BPF_PROG(capability_traced, const struct cred *cred, struct user_namespace *ns,
	const struct user_namespace *of, int capability, int answer)
{
	__u32 flags = PST_CAP_AUDIT_UNKNOWN;

	if (!pst_gate_closed())
		cap_check(ns, capability, answer ? flags : flags | PST_CAP_GRANTED);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
