/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What comes of a verdict: the act is denied, its process killed, and a record told of it. A hook's program
 *is
 *
 *	if (pst_gate_closed() || !enforce_of_interest(PST_OP_X, &half))
 *		return 0;
 *	pst_judge_...(half, ..., &v);
 *	return enforce(PST_OP_X, PST_HOOK_X, half, &v);
 */
#ifndef PST_ENFORCE_BPF_H
#define PST_ENFORCE_BPF_H

#define PST_GATE_STAYS

#include "bpf/lib/cgrate.bpf.h"
#include "bpf/lib/gate.bpf.h"
#include "bpf/lib/maps_policy.bpf.h"
#include "bpf/lib/maps_ring_process.bpf.h"
#include "bpf/lib/policyjudge.bpf.h"
#include "bpf/lib/polinterest.bpf.h"
#include "bpf/lib/task.bpf.h"

#define ENFORCE_SIGKILL 9
#define ENFORCE_EPERM   1

/* Not read here: the collector finds the names of rules in it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pst_pol_labels);
} policy_names SEC(".maps");

/* Does some rule in force name the operation? Then @half is where the tables are. */
static __always_inline bool enforce_asked(__u32 op, __u32 *half)
{
	struct pst_policy *page = pst_policy_page();
	const struct pst_pol_head *head;
	__u64 generation;

	generation = page ? *(volatile __u64 *)&page->generation : 0;
	if (!generation)
		return false;
	*half = generation & 1;
	head = judge_head(generation & 1);
	return head && *(volatile const __u64 *)&head->ops & PST_OP_BIT(op);
}

/* And can one of them take what this subject does? */
static __always_inline bool enforce_of_interest(__u32 op, __u32 *half)
{
	return enforce_asked(op, half) && !pst_interest_none(*half, op);
}

/* ---- throttle ---- */

struct enforce_rate {
	__u64 cgroup;
	__u32 generation, rule;
};

/* When the bucket of a cgroup will be full again, as in bpf/lib/cgrate.bpf.h. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct enforce_rate);
	__type(value, __u64);
} policy_rates SEC(".maps");

/* The rule of the verdict, if the tables are the ones that it is of. */
static __always_inline const struct pst_pol_rule *enforce_rule(__u32 which, const struct pst_verdict *v)
{
	struct pst_half half = policy_half(which);
	const struct pst_pol_head *head = (const struct pst_pol_head *)half.lines;

	if (!head || *(volatile const __u32 *)&head->generation != v->generation)
		return NULL;
	return (const struct pst_pol_rule *)pst_line_at(&half, head->rules + v->rule);
}

/* Is this act above the rate? A rule that is gone meanwhile, or has no rate, lets nothing through. */
__noinline int enforce_above(__u32 half, __u32 rule, __u32 generation)
{
	struct pst_verdict v = {.rule = rule, .generation = generation};
	struct enforce_rate key = {.generation = generation, .rule = rule};
	const struct pst_pol_rule *r = enforce_rule(half, &v);
	__u64 now = bpf_ktime_get_ns(), gap, within, next, *full;

	if (!r)
		return 1;
	within = *(volatile const __u64 *)&r->within_ns;
	gap = *(volatile const __u64 *)&r->rate;
	if (!gap || !within)
		return 1;
	gap = within / gap;
	key.cgroup = bpf_get_current_cgroup_id();
	full = bpf_map_lookup_elem(&policy_rates, &key);
	next = full ? *(volatile __u64 *)full : 0;
	next = (next > now ? next : now) + gap;
	if (next > now + within)
		return 1;
	if (full)
		*(volatile __u64 *)full = next;
	else
		bpf_map_update_elem(&policy_rates, &key, &next, BPF_ANY);
	return 0;
}

/* ---- the record ---- */

#define ENFORCE_TAIL 8192 /* two paths */

/* Of operations that have a file, or two. */
#define ENFORCE_PATH_BIT(id, number, name, asks, help) | ((asks)&PST_ASK_BIT(PATHS) ? PST_OP_BIT(number) : 0)
#define ENFORCE_PATHS                                  (0 PST_POLICY_OPS(ENFORCE_PATH_BIT))
#define ENFORCE_TWO                                    (PST_OP_BIT(PST_OP_FILE_RENAME) | PST_OP_BIT(PST_OP_FILE_LINK))

/*
 * Made in memory of this CPU; whoever finds another owner in it at the end leaves out what may be that one's.
 * Behind the tail is as much room as the verifier thinks that it could need.
 */
struct enforce_area {
	volatile __u64 owner;
	struct pst_rec_policy rec;
	char tail[2 * ENFORCE_TAIL + 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct enforce_area);
} policy_areas SEC(".maps");

static __always_inline struct enforce_area *enforce_area_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&policy_areas, &zero);
}

/* Where the object is, unless some rule asked for it already. */
__noinline int enforce_walk(__u32 which)
{
	struct object *w = bpf_map_lookup_elem(&objects, &which);

	if (w && !w->facts.path_len)
		pst_object_walk(which, w);
	return 0;
}

/* Appends the path of an object at @at. Returns its length. */
__noinline int enforce_path(__u32 which, __u32 at)
{
	struct object *w = bpf_map_lookup_elem(&objects, &which);
	struct enforce_area *a = enforce_area_here();

	if (!w || !a || at > PST_PATH_MAX)
		return 0;
	if (!which) {
		a->rec.ino = w->facts.id.ino;
		a->rec.dev = w->facts.id.dev;
		a->rec.odd = w->facts.odd;
	}
	return pst_path_copy(&w->path, &a->tail[at], PST_PATH_MAX);
}

__noinline int enforce_paths(__u32 op)
{
	struct enforce_area *a = enforce_area_here();
	__u32 len, to = 0;

	if (!a || !(ENFORCE_PATHS & PST_OP_BIT(op & 63)))
		return 0;
	enforce_walk(OBJECT_FIRST);
	len = enforce_path(OBJECT_FIRST, 0);
	if (ENFORCE_TWO & PST_OP_BIT(op & 63)) {
		enforce_walk(OBJECT_OTHER);
		to = enforce_path(OBJECT_OTHER, len);
	}
	a->rec.path_len = len;
	a->rec.to_len = to;
	return 0;
}

static __always_inline void enforce_act(
	struct pst_rec_policy *r, const struct pst_act *act, const struct judge *j)
{
	r->target_pid = j->target_pid;
	r->target_start_ns = j->target_start;
	r->capabilities = act->capabilities;
	r->file = act->file;
	__builtin_memcpy(r->addr, act->addr, sizeof(r->addr));
	r->port = act->port;
	r->family = act->family;
	r->protocol = act->protocol;
	r->signal = act->signal;
}

/* What belongs to this task whatever comes in between. */
static __always_inline void enforce_head(
	struct enforce_area *a, __u32 op, __u32 how, const struct pst_verdict *v)
{
	struct pst_rec_policy *r = &a->rec;

	__builtin_memset(r, 0, sizeof(*r));
	pst_head(&r->h, PST_REC_POLICY, sizeof(*r));
	pst_task_current(&r->task);
	r->generation = v->generation;
	r->rule = v->rule;
	r->policy = v->policy;
	r->error = v->error;
	r->op = op;
	r->action = v->action;
	r->would = v->would;
	r->told = v->told;
	r->hook = how & 255;
	r->done = how >> 8;
}

/* A frame of its own, which is gone when the object is walked. */
__noinline int enforce_out(void)
{
	struct enforce_area *a = enforce_area_here();
	__u32 len, size;

	if (!a)
		return 0;
	len = *(volatile __u16 *)&a->rec.path_len + *(volatile __u16 *)&a->rec.to_len;
	if (len > ENFORCE_TAIL)
		len = ENFORCE_TAIL;
	__builtin_memset(&a->tail[len], 0, 8);
	size = PST_ALIGN8(sizeof(a->rec) + len);
	a->rec.h.size = size;
	pst_output(&ring_process, PST_CLASS_PROCESS, &a->rec, size);
	return 0;
}

/* @how: enum pst_policy_hook, and from bit 8 on enum pst_policy_done. */
static __always_inline void enforce_tell(__u32 op, __u32 how, const struct pst_verdict *v, bool paths)
{
	struct enforce_area *a = enforce_area_here();
	struct policy_scratch *p = policy_scratch_here();
	struct judge *j = judge_here();
	__u64 me = bpf_get_current_pid_tgid();

	if (!a || !p || !j || !pst_cgrate_ok(PST_CLASS_PROCESS, PST_REC_POLICY))
		return;
	a->owner = me;
	enforce_head(a, op, how, v);
	enforce_act(&a->rec, &p->act, j);
	if (paths)
		enforce_paths(op);
	if (a->owner != me || j->owner != me) /* what was gathered may be another task's */
		enforce_head(a, op, how, v);
	enforce_out();
}

/* Of operations without a file, in a frame of its own; the verdict by its two words. */
__noinline int enforce_tell_plain(__u32 op, __u32 how, __u64 low, __u64 high)
{
	__u64 words[2] = {low, high};
	struct pst_verdict v;

	__builtin_memcpy(&v, words, sizeof(v));
	enforce_tell(op, how, &v, false);
	return 0;
}

/* ---- what is done ---- */

/* Programs of control groups may send signals since 6.16 (ae0a457f5d33), the release that
 * pst_has_group_dead() tells. Before, what is to be killed there is denied. */
static __always_inline bool enforce_kill(__u32 hook)
{
	if (hook == PST_HOOK_CGROUP && !pst_has_group_dead())
		return false;
	return !bpf_send_signal(ENFORCE_SIGKILL);
}

/* What a hook returns: since 6.12 the verifier wants to know that it is an errno, which it does of a
 * difference. */
static __always_inline int enforce_error(__u32 error)
{
	int ret = 0;

	error &= 0xfff;
	if (!error)
		error = ENFORCE_EPERM;
	pst_hide(ret);
	return ret - (int)error;
}

/* @paths: the record has those of the object. */
static __always_inline int enforce_as(
	__u32 op, __u32 hook, __u32 half, const struct pst_verdict *v, bool paths)
{
	bool can_deny = hook == PST_HOOK_LSM || hook == PST_HOOK_CGROUP;
	bool again = pst_gate_past() > 0; /* another generation told it, and counted it */
	__u32 action = v->action, done = PST_DONE_TOLD;
	__u64 words[2];

	if (action < PST_ACT_AUDIT || action > PST_ACT_KILL)
		return 0;
	if (again && action < PST_ACT_DENY)
		return 0;
	if (action == PST_ACT_THROTTLE && !enforce_above(half, v->rule, v->generation))
		return 0;
	if (action == PST_ACT_KILL && enforce_kill(hook))
		done = PST_DONE_KILLED;
	else if (action >= PST_ACT_THROTTLE && can_deny)
		done = PST_DONE_DENIED;
	__builtin_memcpy(words, v, sizeof(*v));
	if (!again && paths)
		enforce_tell(op, hook | done << 8, v, true);
	else if (!again)
		enforce_tell_plain(op, hook | done << 8, words[0], words[1]);
	if (action < PST_ACT_THROTTLE || !can_deny)
		return 0;
	return enforce_error(v->error);
}

/* What a hook returns that can deny, and 0. @op is a constant. */
static __always_inline int enforce(__u32 op, __u32 hook, __u32 half, const struct pst_verdict *v)
{
	return enforce_as(op, hook, half, v, ENFORCE_PATHS & PST_OP_BIT(op));
}

#endif
