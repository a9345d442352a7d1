/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Facts of the subject of an act: the current thread group (struct pst_subject). Ids, capabilities and cgroup
 * are read at each act; the line, which takes a look into a table or a climb, is kept in a direct-mapped
 * array by pid.
 *
 * All CPUs share the array, and a program may be stopped anywhere. So each entry has sums over what it holds:
 * a mixture of two is as good as none.
 */
#ifndef PST_POLSUBJECT_BPF_H
#define PST_POLSUBJECT_BPF_H

#include "bpf/lib/core_fixes.bpf.h"
#include "bpf/lib/lineage.bpf.h"

#define SUBJECTS 4096

/* Who it is, and which program it runs: as long as these are the same, so is the line. */
struct subject_key {
	__u64 start_ns;
	__u64 exec_id;
	__u64 exe_file; /* an address: it may be exchanged without an exec */
	__u64 pid;
};

struct subject {
	struct subject_key key;
	__u64 sum;       /* of key and the line but for the ancestors */
	__u64 sum_elder; /* of key and ancestors */
	struct pst_lineage line;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SUBJECTS);
	__type(key, __u32);
	__type(value, struct subject);
} subjects SEC(".maps");

#define SUBJECT_KEY_WORDS (sizeof(struct subject_key) / 8)

/* Words that count differently in each place. */
static __always_inline __u64 subject_sum(__u64 sum, const __u64 *words, __u32 n)
{
#pragma unroll
	for (__u32 i = 0; i < n; i++)
		sum += words[i] * (0x9e3779b97f4a7c15ULL * (2 * i + 1) | 1);
	return sum;
}

static __always_inline __u64 subject_key_sum(const struct subject_key *key)
{
	__u64 sum = subject_sum(0, (const __u64 *)key, SUBJECT_KEY_WORDS);

	return (sum ^ sum >> 29) * 0xbf58476d1ce4e5b9ULL;
}

static __always_inline void subject_key_now(struct subject_key *key)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	__u64 id = bpf_get_current_pid_tgid();
	struct mm_struct *mm;

	key->start_ns = pst_current_start_ns(id >> 32 == (__u32)id);
	key->pid = id >> 32;
	if (pst_has_task_btf()) {
		key->exec_id = pst_current_btf()->self_exec_id;
		mm = pst_current_btf()->mm;
		/* by helper, as it has to be a number to the verifier */
		bpf_core_read(&key->exe_file, sizeof(key->exe_file), &mm->exe_file);
		return;
	}
	key->exec_id = BPF_CORE_READ(t, self_exec_id);
	key->exe_file = (__u64)BPF_CORE_READ(t, mm, exe_file);
}

static __always_inline struct subject *subject_entry(void)
{
	__u32 i = bpf_get_current_pid_tgid() >> 32 & (SUBJECTS - 1);

	return bpf_map_lookup_elem(&subjects, &i);
}

/* During an exec the line is that of the program before until the tracepoint comes. */
static __always_inline void subject_under_way(struct pst_lineage *l, struct task_struct *t)
{
	lineage_push(l, l->exe_hash);
	lineage_begin(l, t);
	l->flags &= ~(__u64)PST_LINEAGE_CAPS;
}

/* Of all of a line but the ancestors. The words are given one by one: there is little room for a copy on the
 * stack. */
static __always_inline __u64 subject_head_sum(
	const struct subject_key *now, const struct pst_subject *s, __u64 caps, __u64 flags)
{
	__u64 sum = subject_key_sum(now);

	sum += s->exe.ino * 0x94d049bb133111ebULL + s->exe.dev * 0xd6e8feb86659fd93ULL;
	sum += s->exe_hash * 0xa0761d6478bd642fULL + s->parent_hash * 0xe7037ed1a0b428dbULL;
	return sum + caps * 0x8ebc6af09c88c6e3ULL + flags * 0x589965cc75374cc3ULL;
}

static __always_inline __u64 subject_elder_sum(const struct subject_key *now, const __u64 *ancestors)
{
	return subject_sum(subject_key_sum(now), ancestors, PST_LINEAGE_MAX);
}

/* The line of the current task, made anew in this CPU's buffer. False: another task has used the buffer. */
static __always_inline bool subject_line(struct lineage_buf *b)
{
	struct pst_lineage_key key = {};
	struct pst_lineage *l;

	lineage_key(&key);
	l = bpf_map_lookup_elem(&lineages, &key);
	if (!l)
		return lineage_climb(LINEAGE_ASKED);
	b->owner = bpf_get_current_pid_tgid();
	b->l = *l;
	return true;
}

/* As subject_line(), and kept; the sum over its head is the caller's to make. */
__noinline int subject_make(void)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct subject *e = subject_entry();
	struct subject_key now = {};
	__u32 slot = LINEAGE_ASKED;
	struct lineage_buf *b = bpf_map_lookup_elem(&lineage_bufs, &slot);

	if (!b || !e || !subject_line(b))
		return 0;
	subject_key_now(&now);
	e->key.start_ns = 0;
	if (b->l.exec_id != now.exec_id) {
		subject_under_way(&b->l, t);
		return b->owner == bpf_get_current_pid_tgid();
	}
	e->line = b->l;
	e->sum_elder = subject_elder_sum(&now, b->l.ancestors);
	e->key = now;
	return b->owner == bpf_get_current_pid_tgid();
}

static __always_inline bool subject_key_same(const struct subject_key *a, const struct subject_key *b)
{
	return a->start_ns == b->start_ns && a->exec_id == b->exec_id && a->exe_file == b->exe_file &&
	       a->pid == b->pid;
}

/* What a line tells. @from: in memory that others may write to. */
static __always_inline void subject_copy(
	struct pst_subject *s, const struct pst_lineage *from, __u64 *ret_caps, __u64 *ret_flags)
{
	s->exe.ino = from->exe.ino;
	s->exe.dev = from->exe.dev;
	s->exe_hash = from->exe_hash;
	s->parent_hash = from->parent_hash;
	*ret_caps = from->caps;
	*ret_flags = from->flags;
	barrier();
}

static __always_inline void subject_known(struct pst_subject *s, __u64 caps, __u64 flags)
{
	s->known = (s->exe_hash ? PST_SUBJECT_EXE : 0) | (s->exe.dev ? PST_SUBJECT_EXE_ID : 0) |
		   (s->parent_hash ? PST_SUBJECT_PARENT : 0) |
		   (flags & PST_LINEAGE_OWN ? PST_SUBJECT_OWN : 0);
	if (!(flags & (PST_LINEAGE_CLIMBED | PST_LINEAGE_CUT | PST_LINEAGE_UNNAMED)))
		s->known |= PST_SUBJECT_ANCESTORS;
	if (!(flags & PST_LINEAGE_CAPS))
		return;
	s->gained = s->holds & ~caps;
	s->known |= PST_SUBJECT_GAINED | PST_SUBJECT_REMEMBERED;
}

static __always_inline bool subject_kept(struct pst_subject *s, const struct subject_key *now)
{
	struct subject *e = subject_entry();
	__u64 caps, flags;

	if (!e || !subject_key_same(&e->key, now))
		return false;
	subject_copy(s, &e->line, &caps, &flags);
	if (subject_head_sum(now, s, caps, flags) != *(volatile __u64 *)&e->sum)
		return false;
	subject_known(s, caps, flags);
	return true;
}

static __always_inline void subject_anew(struct pst_subject *s, const struct subject_key *now)
{
	__u32 slot = LINEAGE_ASKED;
	struct lineage_buf *b = bpf_map_lookup_elem(&lineage_bufs, &slot);
	struct subject *e = subject_entry();
	__u64 caps = 0, flags = 0;
	int made = subject_make();

	if (!b || !e)
		return;
	subject_copy(s, &b->l, &caps, &flags);
	if (!made || b->owner != bpf_get_current_pid_tgid()) {
		__builtin_memset(&s->exe, 0, sizeof(s->exe));
		s->exe_hash = 0;
		s->parent_hash = 0;
		return;
	}
	e->sum = subject_head_sum(now, s, caps, flags);
	subject_known(s, caps, flags);
}

/* Effective ids and capabilities are near one another in all known kernels, and then read at once. */
static __noinline int subject_cred(struct pst_subject *s, const struct cred *c)
{
	__u32 uid = bpf_core_field_offset(struct cred, euid);
	__u32 gid = bpf_core_field_offset(struct cred, egid) - uid;
	__u32 caps = bpf_core_field_offset(struct cred, cap_effective) - uid;
	__u32 raw[12] = {};
	char *p = (char *)raw;

	if (gid == 4 && caps <= sizeof(raw) - 8) {
		bpf_probe_read_kernel(raw, caps + 8, &c->euid);
		s->uid = raw[0];
		s->gid = raw[1];
		s->holds = *(__u32 *)(p + caps) | (__u64) * (__u32 *)(p + caps + 4) << 32;
		return 0;
	}
	s->uid = BPF_CORE_READ(c, euid.val);
	s->gid = BPF_CORE_READ(c, egid.val);
	s->holds = pst_caps(&c->cap_effective);
	return 0;
}

/* Fills every byte. What the task is, and not in whose name it acts at the moment (an overlay acts in its
 * mounter's). */
static __always_inline void pst_subject(struct pst_subject *s)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct subject_key now = {};

	__builtin_memset(s, 0, sizeof(*s));
	subject_cred(s, BPF_CORE_READ(t, real_cred));
	subject_key_now(&now);
	s->start_ns = now.start_ns;
	s->pid = now.pid;
	s->cgroup_id = bpf_get_current_cgroup_id();
	if (!subject_kept(s, &now))
		subject_anew(s, &now);
}

/* What is kept of them. */
static __always_inline bool subject_elder_kept(__u64 ancestors[PST_LINEAGE_MAX])
{
	struct subject *e = subject_entry();
	struct subject_key now = {};

	if (!e)
		return false;
	subject_key_now(&now);
	if (!subject_key_same(&e->key, &now))
		return false;
	__builtin_memcpy(ancestors, e->line.ancestors, 8 * PST_LINEAGE_MAX);
	return subject_elder_sum(&now, ancestors) == *(volatile __u64 *)&e->sum_elder;
}

static __always_inline bool subject_elder_anew(__u64 ancestors[PST_LINEAGE_MAX])
{
	__u32 slot = LINEAGE_ASKED;
	struct lineage_buf *b = bpf_map_lookup_elem(&lineage_bufs, &slot);

	if (!b || !subject_make())
		return false;
	__builtin_memcpy(ancestors, b->l.ancestors, 8 * PST_LINEAGE_MAX);
	return b->owner == bpf_get_current_pid_tgid();
}

/* Of the current task, as pst_subject() has told. False: not to be had now. Whose stack is short calls one
 * after the other. */
static __always_inline bool pst_subject_ancestors(__u64 ancestors[PST_LINEAGE_MAX])
{
	return subject_elder_kept(ancestors) || subject_elder_anew(ancestors);
}

/* ---- namespaces ---- */

/* Those of the first task, which are the host's; looked up once. */
struct host_ns {
	__u64 ready;
	__u64 ns[PST_NAMESPACES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct host_ns);
} host_ns SEC(".maps");

#define HOST_NS_CLIMB 128

/* Addresses, which are only compared. A kernel without a kind of namespaces has 0 there, in all tasks. */
static __always_inline void subject_ns_read(__u64 ns[PST_NAMESPACES], struct task_struct *t)
{
	struct nsproxy *p = BPF_CORE_READ(t, nsproxy);
	struct pid *pid = BPF_CORE_READ(t, thread_pid);

	ns[PST_NS_CGROUP] = (__u64)BPF_CORE_READ(p, cgroup_ns);
	ns[PST_NS_IPC] = (__u64)BPF_CORE_READ(p, ipc_ns);
	ns[PST_NS_MNT] = (__u64)BPF_CORE_READ(p, mnt_ns);
	ns[PST_NS_NET] = (__u64)BPF_CORE_READ(p, net_ns);
	ns[PST_NS_PID] = pid ? BPF_CORE_READ(pid, level) : 0; /* the host's is the outermost */
	ns[PST_NS_TIME] = 0;
	if (bpf_core_field_exists(p->time_ns))
		ns[PST_NS_TIME] = (__u64)BPF_CORE_READ(p, time_ns);
	ns[PST_NS_USER] = (__u64)BPF_CORE_READ(t, real_cred, user_ns);
	ns[PST_NS_UTS] = (__u64)BPF_CORE_READ(p, uts_ns);
}

/* The first task is its own parent, and of number 0. */
__noinline __u64 host_ns_parent(__u64 task)
{
	struct task_struct *t = (void *)task;

	return (__u64)BPF_CORE_READ(t, real_parent);
}

__noinline int host_ns_find(void)
{
	__u32 zero = 0;
	struct host_ns *h = bpf_map_lookup_elem(&host_ns, &zero);
	__u64 task = bpf_get_current_task(), up;

	for (int i = 0; i < HOST_NS_CLIMB && h; i++) {
		up = host_ns_parent(task);
		if (up != task && up) {
			task = up;
			continue;
		}
		if (!up || BPF_CORE_READ((struct task_struct *)task, pid))
			return 0;
		subject_ns_read(h->ns, (void *)task);
		*(volatile __u64 *)&h->ready = 1;
		return 1;
	}
	return 0;
}

/* Which namespaces of the current task are the host's. Asked for only where a rule does. */
static __always_inline void pst_subject_namespaces(struct pst_subject_ns *s)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	__u32 zero = 0;
	struct host_ns *h = bpf_map_lookup_elem(&host_ns, &zero);
	__u64 ns[PST_NAMESPACES];

	s->host = 0;
	s->known = 0;
	if (!h || (!*(volatile __u64 *)&h->ready && !host_ns_find()))
		return;
	subject_ns_read(ns, t);
	s->known = (1 << PST_NAMESPACES) - 1;
	if (!BPF_CORE_READ(t, nsproxy)) /* exiting */
		s->known = 1 << PST_NS_USER;
#pragma unroll
	for (int i = 0; i < PST_NAMESPACES; i++)
		s->host |= (ns[i] == h->ns[i]) << i;
	s->host &= s->known;
}

#endif
