/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What policies say of an act of the current task, now: the facts of its subject and object, the classes of
 * their paths, and the look-up. What cannot be told is not known: it is in no list, and in no `not`.
 *
 * All is gathered in memory of this CPU, which other tasks may use meanwhile where programs can be preempted;
 * so each looks for its own number at the end, as in bpf/lib/polobject.bpf.h, and begins again. Functions
 * take numbers only, as 5.10 asks for; that is why the file's address lies in memory, too.
 */
#ifndef PST_POLICYJUDGE_BPF_H
#define PST_POLICYJUDGE_BPF_H

#include "bpf/lib/pathclass.bpf.h"
#include "bpf/lib/polinode.bpf.h"
#include "bpf/lib/polsubject.bpf.h"

#define JUDGE_TRIES   3
#define JUDGE_CGROUPS 32 /* how deep a group may lie in one that is known */

/* A new program has begun: what is told of the subject is told of that. */
#define JUDGE_BEGUN 1

/* The end of a connection, and which of that is known (PST_KNOWN_*). Members as in struct pst_act.
 */
struct judge_end {
	__u32 addr[4];
	__u32 known;
	__u16 port;
	__u8 is_ip6, protocol, family;
	__u8 type; /* of the socket */
	__u8 pad[2];
};

/* A process, and what is asked of it or of the kernel; members as in struct pst_act. */
struct judge_proc {
	__u64 target; /* a task's address; 0: there is none, or it is not known which */
	__u64 capabilities;
	__u64 module;
	__u32 known; /* PST_KNOWN_* but for the target's */
	__u8 signal, file;
	__u8 pad[2];
};

/* What an act is on: a file that is, or is to be, open; or a name in a folder, of which there may be no file
 * yet, or two; or an end of a connection; or a process. What it is not is NULL. */
struct judge_on {
	struct file *file;
	__u32 asked, how;
	struct vfsmount *mnt, *to_mnt;
	struct dentry *dentry, *to_dentry;
	const struct judge_end *end;
	const struct judge_proc *proc;
};

struct judge {
	volatile __u64 owner; /* as struct object's */
	volatile __u64 file;
	volatile __u64 mnt, dentry; /* 0: there is none */
	volatile __u64 to_mnt, to_dentry;
	volatile __u32 asked; /* flags of the open, where they are at hand */
	volatile __u32 how;   /* JUDGE_BEGUN */
	volatile __u32 generation;
	__u32 pad;
	volatile __u64 tables; /* bpf/lib/polinterest.bpf.h */
	volatile __u64
		target_start; /* of the process that it is on, and its thread group; 0: none is known */
	volatile __u32 target_pid;
	__u32 pad2;
	struct pst_subject subject;
	struct pst_subject_ns ns;
	struct pst_verdict verdict;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct judge);
} judges SEC(".maps");

/* Acts by enum pst_pol_told. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PST_TOLD_LOST + 1);
	__type(key, __u32);
	__type(value, __u64);
} judge_counts SEC(".maps");

static __always_inline struct judge *judge_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&judges, &zero);
}

static __always_inline void judge_count(__u32 told)
{
	__u64 *n = bpf_map_lookup_elem(&judge_counts, &told);

	if (n)
		*n += 1;
}

static __always_inline const struct pst_paths_buf *pathclass_buf(__u32 which)
{
	return bpf_map_lookup_elem(&objects, &which);
}

static __always_inline const struct pst_pol_head *judge_head(__u32 half)
{
	return (const struct pst_pol_head *)policy_half(half).lines;
}

/* ---- the subject ---- */

/* Functions one beside the other, as the stack is short. */
__noinline int judge_subject(void)
{
	struct judge *j = judge_here();

	if (j)
		pst_subject(&j->subject);
	return 0;
}

/* What is told of it, into the act. */
__noinline int judge_subject_known(void)
{
	struct policy_scratch *p = policy_scratch_here();
	struct judge *j = judge_here();
	const struct pst_subject *s;
	struct pst_act *a;

	if (!p || !j)
		return 0;
	s = &j->subject;
	a = &p->act;
	a->cgroup = s->cgroup_id;
	a->uid = s->uid;
	a->gid = s->gid;
	a->holds = s->holds;
	a->gained = s->gained;
	a->parent = s->parent_hash;
	a->known |= s->known & PST_SUBJECT_GAINED ? PST_KNOWN_GAINED : 0;
	a->known |= s->known & PST_SUBJECT_PARENT ? PST_KNOWN_PARENT : 0;
	return 0;
}

/* Looked at once by the verifier. */
__noinline int judge_cgroup_known(__u32 which, __u64 id)
{
	struct pst_half half = policy_half(which);

	return half.lines && pst_pol_cgroup_class(&half, (const struct pst_pol_head *)half.lines, id);
}

/* A group that policyd has not told of yet is its nearest ancestor that it has. */
__noinline int judge_cgroup(__u32 half)
{
	struct policy_scratch *p = policy_scratch_here();
	struct task_struct *t = (void *)bpf_get_current_task();
	struct cgroup *group;
	__u64 id;

	if (!p || judge_cgroup_known(half, p->act.cgroup))
		return 0;
	group = BPF_CORE_READ(t, cgroups, dfl_cgrp);
	for (int i = 0; i < JUDGE_CGROUPS; i++) {
		/* css is the first member of its group */
		group = (struct cgroup *)BPF_CORE_READ(group, self.parent);
		if (!group)
			break;
		id = BPF_CORE_READ(group, kn, id);
		if (!judge_cgroup_known(half, id))
			continue;
		p->act.cgroup = id;
		break;
	}
	return 0;
}

__noinline int judge_namespaces(void)
{
	struct policy_scratch *p = policy_scratch_here();
	struct judge *j = judge_here();

	if (!p || !j)
		return 0;
	pst_subject_namespaces(&j->ns);
	p->act.ns = j->ns.host | PST_ACT_SOMEWHERE;
	p->act.known |= j->ns.known == (1 << PST_NAMESPACES) - 1 ? PST_KNOWN_NS : 0;
	return 0;
}

__noinline int judge_ancestors_kept(void)
{
	struct policy_scratch *p = policy_scratch_here();

	return p && subject_elder_kept(p->act.ancestor);
}

__noinline int judge_ancestors_anew(void)
{
	struct policy_scratch *p = policy_scratch_here();

	return p && subject_elder_anew(p->act.ancestor);
}

__noinline int judge_ancestors_known(void)
{
	struct policy_scratch *p = policy_scratch_here();
	__u32 n = 0;

	static_assert(PST_POL_ANCESTORS == PST_LINEAGE_MAX, "as many as are remembered");
	if (!p)
		return 0;
#pragma unroll
	for (int i = 0; i < PST_POL_ANCESTORS; i++)
		n += p->act.ancestor[i] != 0;
	p->act.n_ancestors = n;
	p->act.known |= PST_KNOWN_ANCESTORS;
	return 0;
}

/* Not known if there is one that is not. */
__noinline int judge_ancestors(void)
{
	struct judge *j = judge_here();

	if (!j || !(j->subject.known & PST_SUBJECT_ANCESTORS))
		return 0;
	if (judge_ancestors_kept() || judge_ancestors_anew())
		judge_ancestors_known();
	return 0;
}

/* The class that each automaton has for the path in objects[which]; @known: whose path it is. */
static __always_inline void judge_path(__u32 half, __u32 which, __u32 known)
{
	struct policy_scratch *p = policy_scratch_here();
	struct object *w = bpf_map_lookup_elem(&objects, &which);
	__u32 how = (half & PATHCLASS_HALF) | PATHCLASS_BUF(which), n = pathclass_automata(how), i, class;

	if (!p || !w)
		return;
	for (i = 0; i < PST_PATHS_AUTOMATA; i++) {
		if (i >= n)
			break;
		class = pathclass(how, i, __builtin_offsetof(struct object, path.buf) + w->facts.path_off,
			w->facts.path_len);
		if (known == PST_KNOWN_PATH)
			p->act.path[i] = class;
		else if (known == PST_KNOWN_PATH_TO)
			p->act.path_to[i] = class;
		else if (known == PST_KNOWN_TARGET)
			p->act.target[i] = class;
		else
			p->act.executable[i] = class;
	}
	p->act.known |= known;
}

/* Its path is that of the exec, of which only the hash is remembered: if the file is called otherwise by now,
 * or the process says that it is another one, the path is not known. */
__noinline int judge_executable(__u32 half)
{
	struct judge *j = judge_here();

	if (!j || j->how & JUDGE_BEGUN || !(j->subject.known & PST_SUBJECT_EXE))
		return 0;
	if (lineage_exe(bpf_get_current_task()) == j->subject.exe_hash)
		judge_path(half, OBJECT_EXE, PST_KNOWN_EXECUTABLE);
	return 0;
}

/* ---- the object ---- */

static __always_inline struct object *judge_named(__u32 which, __u64 mnt, __u64 dentry)
{
	struct dentry *d = (void *)dentry;

	return pst_object_path(which, (void *)mnt, d, BPF_CORE_READ(d, d_inode));
}

/* What it is. */
__noinline int judge_object(void)
{
	struct policy_scratch *p = policy_scratch_here();
	struct judge *j = judge_here();
	struct object *w;

	if (!p || !j)
		return 0;
	if (j->dentry)
		w = judge_named(OBJECT_FIRST, j->mnt, j->dentry);
	else
		w = pst_object_file(OBJECT_FIRST, (struct file *)j->file, j->asked);
	if (!w)
		return 0;
	p->act.file = (w->facts.flags & 15) << 4 | (w->facts.access & 15);
	if (w->facts.known & PST_OBJECT_FLAGS && w->facts.known & PST_OBJECT_ACCESS)
		p->act.known |= PST_KNOWN_FILE;
	return 0;
}

__noinline int judge_other(void)
{
	struct judge *j = judge_here();

	if (j)
		judge_named(OBJECT_OTHER, j->to_mnt, j->to_dentry);
	return 0;
}

/* Where it is. Of two paths one of which is not known the other one is judged. */
__noinline int judge_place(__u32 half, __u32 which)
{
	struct policy_scratch *p = policy_scratch_here();
	struct object *w = bpf_map_lookup_elem(&objects, &which);

	if (!w || !p)
		return 0;
	pst_object_walk(which, w);
	if (w->facts.known & PST_OBJECT_PATH)
		judge_path(half, which, p->act.known & PST_KNOWN_PATH ? PST_KNOWN_PATH_TO : PST_KNOWN_PATH);
	return 0;
}

/* Likewise, and what rules have of its inodes. */
static __always_inline void judge_where(__u32 half, __u32 which, __u32 multi, __u32 inodes)
{
	if (multi & 1u << PST_POL_PATH)
		judge_place(half, which);
	if (inodes & POLINODE_FILE)
		polinode_file(half, which);
	if (inodes & POLINODE_FOLDERS)
		polinode_folders(half, which);
}

/* What rules have of the executable's inode, of which they name some. */
__noinline int judge_executable_inode(__u32 half)
{
	struct policy_scratch *p = policy_scratch_here();
	struct judge *j = judge_here();

	if (!p || !j || j->how & JUDGE_BEGUN)
		return 0;
	p->act.executable_inode = polinode(half, j->subject.exe.dev, j->subject.exe.ino);
	return 0;
}

static __always_inline void judge_end(const struct judge_end *end)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_act *a;

	if (!p)
		return;
	a = &p->act;
	__builtin_memcpy(a->addr, end->addr, sizeof(a->addr));
	a->is_ip6 = end->is_ip6;
	a->protocol = end->protocol;
	a->family = end->family;
	a->port = end->port;
	a->known |= end->known;
}

/* ---- another process ---- */

/*
 * What it runs: the file's path, in objects[OBJECT_EXE], and its inode. If it is remembered what it was
 * started as, and the file is called otherwise by now, the path is not known, as of the subject.
 */
__noinline int judge_target(__u32 half, __u64 task)
{
	struct policy_scratch *p = policy_scratch_here();
	struct task_struct *t = (void *)task;
	__u32 which = OBJECT_EXE;
	struct object *w = bpf_map_lookup_elem(&objects, &which);
	struct pst_lineage_key key = {};
	const struct pst_lineage *l;
	__u64 hash;

	if (!p || !w || !BPF_CORE_READ(t, mm, exe_file))
		return 0; /* a thread of the kernel */
	key.start_ns = BPF_CORE_READ(t, group_leader, start_boottime);
	key.pid = BPF_CORE_READ(t, tgid);
	hash = lineage_exe(task);
	if (w->facts.known & PST_OBJECT_ID)
		p->act.target_inode = polinode(half, w->facts.id.dev, w->facts.id.ino);
	l = bpf_map_lookup_elem(&lineages, &key);
	if (hash && (!l || l->exe_hash == hash))
		judge_path(half, OBJECT_EXE, PST_KNOWN_TARGET);
	return 0;
}

static __always_inline void judge_proc(
	__u32 half, const struct pst_pol_head *head, const struct judge_proc *on)
{
	struct policy_scratch *p = policy_scratch_here();
	struct task_struct *t = (void *)on->target;
	struct judge *j = judge_here();

	if (!p || !j)
		return;
	p->act.capabilities = on->capabilities;
	p->act.module = on->module;
	p->act.signal = on->signal;
	p->act.file = on->file;
	p->act.known |= on->known;
	if (!t)
		return;
	j->target_pid = BPF_CORE_READ(t, tgid);
	j->target_start = BPF_CORE_READ(t, group_leader, start_boottime);
	if (head->multi & 1u << PST_POL_TARGET || head->inode_as & POLINODE_TARGET)
		judge_target(half, (__u64)t);
}

/* ---- the verdict ---- */

/* All that some rule asks for: of the subject, */
static __always_inline void judge_gather_subject(__u32 half, __u32 used, __u32 multi, __u32 inodes)
{
	judge_subject();
	judge_subject_known();
	if (used & 1u << PST_POL_CGROUP)
		judge_cgroup(half);
	if (used & 1u << PST_POL_NS)
		judge_namespaces();
	if (multi & (1u << PST_POL_ANCESTOR | 1u << PST_POL_SCOPE_ANCESTOR))
		judge_ancestors();
	if (multi & (1u << PST_POL_EXECUTABLE | 1u << PST_POL_SCOPE_EXECUTABLE))
		judge_executable(half);
	if (inodes & POLINODE_EXECUTABLE)
		judge_executable_inode(half);
}

/* and of a file, or of two paths. */
static __always_inline void judge_gather_file(__u32 half, __u32 multi, __u32 inodes, bool two)
{
	judge_object();
	judge_where(half, OBJECT_FIRST, multi, inodes);
	if (!two)
		return;
	judge_other();
	judge_where(half, OBJECT_OTHER, multi, inodes);
}

/* Of what was found in the tables. */
__noinline int judge_verdict(__u32 which)
{
	struct policy_scratch *p = policy_scratch_here();
	struct pst_half half = policy_half(which);
	const struct pst_pol_head *head = (const struct pst_pol_head *)half.lines;
	struct judge *j = judge_here();
	const struct pst_pol_rule *r;
	struct pst_verdict *v;

	if (!p || !j || !head)
		return 0;
	v = &j->verdict;
	__builtin_memset(v, 0, sizeof(*v));
	v->generation = j->generation;
	v->rule = p->search.rule;
	v->told = pst_pol_is_cut(&p->act, &p->search) ? PST_TOLD_SOME : PST_TOLD_ALL;
	if (v->rule == PST_POL_NO_RULE)
		return 0;
	r = (const struct pst_pol_rule *)pst_line_at(&half, head->rules + v->rule);
	v->policy = r->policy;
	v->error = r->error;
	v->action = r->action;
	v->would = r->would;
	return 0;
}

/* This CPU's memory is the current task's from here on. */
static __always_inline void judge_begin(__u32 half, struct judge *j, __u32 op, const struct judge_on *on)
{
	struct policy_scratch *p = policy_scratch_here();
	const struct pst_pol_head *head = judge_head(half);

	if (!p || !head)
		return;
	j->owner = bpf_get_current_pid_tgid();
	j->file = (__u64)on->file;
	j->mnt = (__u64)on->mnt;
	j->dentry = (__u64)on->dentry;
	j->to_mnt = (__u64)on->to_mnt;
	j->to_dentry = (__u64)on->to_dentry;
	j->target_start = 0;
	j->target_pid = 0;
	j->asked = on->asked;
	j->how = on->how;
	j->generation = *(volatile const __u32 *)&head->generation;
	__builtin_memset(&p->act, 0, sizeof(p->act));
	p->act.op = op;
}

__noinline int judge_search(__u32 half)
{
	policy_look(half);
	return judge_verdict(half);
}

/* Of what judge_begin() has noted, and of @on's end or process, if it is one. Not a function of its own:
 * calls may be no deeper than eight. */
static __always_inline void judge_look(__u32 half, const struct judge_on *on)
{
	const struct pst_pol_head *head = judge_head(half);

	if (!head)
		return;
	judge_gather_subject(half, head->used, head->multi, head->inode_as);
	if (on->end)
		judge_end(on->end);
	else if (on->proc)
		judge_proc(half, head, on->proc);
	else
		judge_gather_file(half, head->multi, head->inode_as, on->to_dentry);
	judge_search(half);
}

/* False: it may be anybody's, or half of it of other tables. */
static __always_inline bool judge_told(__u32 half, const struct judge *j, struct pst_verdict *ret)
{
	const struct pst_pol_head *head = judge_head(half);

	*ret = j->verdict;
	barrier();
	return j->owner == bpf_get_current_pid_tgid() && head &&
	       *(volatile const __u32 *)&head->generation == ret->generation;
}

static __always_inline void judge_none(struct pst_verdict *ret, __u8 told)
{
	__builtin_memset(ret, 0, sizeof(*ret));
	ret->rule = PST_POL_NO_RULE;
	ret->told = told;
}

/* An act of an operation, by the tables in @half. Fills every byte. */
static __always_inline void judge_act(
	__u32 half, __u32 op, const struct judge_on *on, struct pst_verdict *ret)
{
	const struct pst_pol_head *head = judge_head(half);
	struct judge *j = judge_here();

	judge_none(ret, PST_TOLD_NOT);
	if (!head || !j || !(head->ops & PST_OP_BIT(op)))
		return;
	for (__u32 i = 0; i < JUDGE_TRIES; i++) {
		judge_begin(half, j, op, on);
		judge_look(half, on);
		if (judge_told(half, j, ret)) {
			judge_count(ret->told);
			return;
		}
	}
	judge_none(ret, PST_TOLD_LOST);
	judge_count(PST_TOLD_LOST);
}

/* An operation of the network: what @end is, is the operation's matter (bpf/lib/polnet.bpf.h). */
static __always_inline void judge_net(
	__u32 half, __u32 op, const struct judge_end *end, struct pst_verdict *ret)
{
	judge_act(half, op, &(struct judge_on){.end = end}, ret);
}

/* file.open: the file that is to be opened, or is open. @asked: flags of the call where they are at hand. */
static __always_inline void pst_judge_open(
	__u32 half, struct file *file, __u32 asked, struct pst_verdict *ret)
{
	judge_act(half, PST_OP_FILE_OPEN, &(struct judge_on){.file = file, .asked = asked}, ret);
}

/* process.exec before anything has happened: the subject is who starts the program. Of a script both it and
 * its interpreter come here. */
static __always_inline void pst_judge_exec(__u32 half, struct linux_binprm *bprm, struct pst_verdict *ret)
{
	judge_act(half, PST_OP_PROCESS_EXEC, &(struct judge_on){.file = BPF_CORE_READ(bprm, file)}, ret);
}

/*
 * process.exec at its end (sched_process_exec): ids and capabilities are the new program's, who started it is
 * among the ancestors, and the path of its executable is not known any more. Of a script its interpreter is
 * the program.
 */
static __always_inline void pst_judge_begun(__u32 half, struct pst_verdict *ret)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	const struct judge_on on = {.file = BPF_CORE_READ(t, mm, exe_file), .how = JUDGE_BEGUN};

	judge_act(half, PST_OP_PROCESS_EXEC, &on, ret);
}

#endif
