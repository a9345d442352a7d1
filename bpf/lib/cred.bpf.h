/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* struct pst_cred from the kernel's, and the record of a change. */
#ifndef PST_CRED_BPF_H
#define PST_CRED_BPF_H

#include "bpf/lib/common.bpf.h"
#include "bpf/lib/core_fixes.bpf.h"
#include "bpf/lib/maps_ring_process.bpf.h"
#include "bpf/lib/task.bpf.h"

/* Ids and capabilities are neighbours in all known kernels, and then read at once. */
static __always_inline bool pst_cred_in_order(void)
{
	__u32 uid = bpf_core_field_offset(struct cred, uid);

	return bpf_core_field_offset(struct cred, gid) == uid + 4 &&
	       bpf_core_field_offset(struct cred, suid) == uid + 8 &&
	       bpf_core_field_offset(struct cred, sgid) == uid + 12 &&
	       bpf_core_field_offset(struct cred, euid) == uid + 16 &&
	       bpf_core_field_offset(struct cred, egid) == uid + 20 &&
	       bpf_core_field_offset(struct cred, fsuid) == uid + 24 &&
	       bpf_core_field_offset(struct cred, fsgid) == uid + 28 &&
	       bpf_core_field_offset(struct cred, cap_effective) ==
		       bpf_core_field_offset(struct cred, cap_permitted) + 8;
}

static __always_inline void pst_cred_read_whole(struct pst_cred *c, const struct cred *k)
{
	__u32 id[8] = {};
	__u64 caps[2] = {};

	bpf_probe_read_kernel(id, sizeof(id), &k->uid);
	bpf_probe_read_kernel(caps, sizeof(caps), &k->cap_permitted);
	c->uid = id[0];
	c->gid = id[1];
	c->suid = id[2];
	c->sgid = id[3];
	c->euid = id[4];
	c->egid = id[5];
	c->fsuid = id[6];
	c->fsgid = id[7];
	c->cap_permitted = caps[0];
	c->cap_effective = caps[1];
}

static __always_inline void pst_cred_read(struct pst_cred *c, const struct cred *k)
{
	if (pst_cred_in_order()) {
		pst_cred_read_whole(c, k);
		return;
	}
	__builtin_memset(c, 0, sizeof(*c));
	bpf_core_read(&c->uid, 4, &k->uid);
	bpf_core_read(&c->euid, 4, &k->euid);
	bpf_core_read(&c->suid, 4, &k->suid);
	bpf_core_read(&c->fsuid, 4, &k->fsuid);
	bpf_core_read(&c->gid, 4, &k->gid);
	bpf_core_read(&c->egid, 4, &k->egid);
	bpf_core_read(&c->sgid, 4, &k->sgid);
	bpf_core_read(&c->fsgid, 4, &k->fsgid);
	c->cap_effective = pst_caps(&k->cap_effective);
	c->cap_permitted = pst_caps(&k->cap_permitted);
}

/* Of the current task. */
static __always_inline void pst_cred_current(struct pst_cred *c)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	pst_cred_read(c, BPF_CORE_READ(t, real_cred));
}

static __always_inline bool pst_cred_same(const struct pst_cred *a, const struct pst_cred *b)
{
	return a->uid == b->uid && a->euid == b->euid && a->suid == b->suid && a->fsuid == b->fsuid &&
	       a->gid == b->gid && a->egid == b->egid && a->sgid == b->sgid && a->fsgid == b->fsgid &&
	       a->cap_effective == b->cap_effective && a->cap_permitted == b->cap_permitted;
}

/* before NULL: not known, PST_CRED_BEFORE_UNKNOWN. Says nothing when nothing changed. */
static __always_inline void pst_cred_emit(
	const struct pst_cred *before, const struct pst_cred *after, __u16 flags)
{
	struct pst_rec_cred *r;

	if (before && pst_cred_same(before, after))
		return;
	r = pst_reserve(&ring_process, PST_CLASS_PROCESS, sizeof(*r));
	if (!r)
		return;
	pst_head(&r->h, PST_REC_CRED, sizeof(*r));
	r->h.flags = flags | (before ? 0 : PST_CRED_BEFORE_UNKNOWN);
	pst_task_current(&r->task);
	if (before)
		r->before = *before;
	else
		__builtin_memset(&r->before, 0, sizeof(r->before));
	r->after = *after;
	pst_submit(&ring_process, PST_CLASS_PROCESS, r, sizeof(*r));
}

#endif
