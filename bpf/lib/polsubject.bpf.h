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

#include "bpf/lib/cred.bpf.h"
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
	__u64 sum;       /* of key and the line's head */
	__u64 sum_elder; /* of key and ancestors */
	struct pst_lineage line;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SUBJECTS);
	__type(key, __u32);
	__type(value, struct subject);
} subjects SEC(".maps");

#define SUBJECT_HEAD_WORDS (__builtin_offsetof(struct pst_lineage, ancestors) / 8)
#define SUBJECT_KEY_WORDS  (sizeof(struct subject_key) / 8)

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

static __always_inline void subject_key_now(struct subject_key *key, struct task_struct *t)
{
	__u64 id = bpf_get_current_pid_tgid();

	key->start_ns = pst_current_start_ns(id >> 32 == (__u32)id);
	key->exec_id = BPF_CORE_READ(t, self_exec_id);
	key->exe_file = (__u64)BPF_CORE_READ(t, mm, exe_file);
	key->pid = id >> 32;
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

static __always_inline __u64 subject_head_sum(const struct subject_key *now, const struct pst_lineage *l)
{
	return subject_sum(subject_key_sum(now), (const __u64 *)l, SUBJECT_HEAD_WORDS);
}

static __always_inline __u64 subject_elder_sum(const struct subject_key *now, const __u64 *ancestors)
{
	return subject_sum(subject_key_sum(now), ancestors, PST_LINEAGE_MAX);
}

/* The line of the current task, made anew in this CPU's buffer. False: another task has used the buffer. */
static __always_inline bool subject_line(struct lineage_buf *b, struct task_struct *t)
{
	struct pst_lineage_key key = {};
	struct pst_lineage *l;

	lineage_key(&key, t);
	l = bpf_map_lookup_elem(&lineages, &key);
	if (!l)
		return lineage_climb(LINEAGE_ASKED);
	b->owner = bpf_get_current_pid_tgid();
	b->l = *l;
	return true;
}

/* As subject_line(), and kept. */
__noinline int subject_make(void)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct subject *e = subject_entry();
	struct subject_key now = {};
	__u32 slot = LINEAGE_ASKED;
	struct lineage_buf *b = bpf_map_lookup_elem(&lineage_bufs, &slot);

	if (!b || !e || !subject_line(b, t))
		return 0;
	subject_key_now(&now, t);
	if (b->l.exec_id != now.exec_id) {
		subject_under_way(&b->l, t);
		return b->owner == bpf_get_current_pid_tgid();
	}
	e->key = now;
	e->line = b->l;
	e->sum = subject_head_sum(&now, &b->l);
	e->sum_elder = subject_elder_sum(&now, b->l.ancestors);
	if (b->owner == bpf_get_current_pid_tgid())
		return 1;
	e->key.start_ns = 0;
	return 0;
}

static __always_inline bool subject_key_same(const struct subject_key *a, const struct subject_key *b)
{
	return a->start_ns == b->start_ns && a->exec_id == b->exec_id && a->exe_file == b->exe_file &&
	       a->pid == b->pid;
}

/* Head of the line that is kept. False: none, or a mixture. */
static __always_inline bool subject_kept(struct pst_lineage *head, const struct subject_key *now)
{
	struct subject *e = subject_entry();

	if (!e || !subject_key_same(&e->key, now))
		return false;
	__builtin_memcpy(head, &e->line, SUBJECT_HEAD_WORDS * 8);
	return subject_head_sum(now, head) == *(volatile __u64 *)&e->sum;
}

static __always_inline bool subject_made(struct pst_lineage *head)
{
	__u32 slot = LINEAGE_ASKED;
	struct lineage_buf *b = bpf_map_lookup_elem(&lineage_bufs, &slot);

	if (!subject_make() || !b)
		return false;
	__builtin_memcpy(head, &b->l, SUBJECT_HEAD_WORDS * 8);
	return b->owner == bpf_get_current_pid_tgid();
}

static __always_inline void subject_from_line(struct pst_subject *s, const struct pst_lineage *head)
{
	s->exe = head->exe;
	s->exe_hash = head->exe_hash;
	s->parent_hash = head->parent_hash;
	s->known = (head->exe_hash ? PST_SUBJECT_EXE : 0) | (head->exe.dev ? PST_SUBJECT_EXE_ID : 0) |
		   (head->parent_hash ? PST_SUBJECT_PARENT : 0);
	if (!(head->flags & (PST_LINEAGE_CLIMBED | PST_LINEAGE_CUT | PST_LINEAGE_UNNAMED)))
		s->known |= PST_SUBJECT_ANCESTORS;
	if (!(head->flags & PST_LINEAGE_CAPS))
		return;
	s->gained = s->holds & ~head->caps;
	s->known |= PST_SUBJECT_GAINED | PST_SUBJECT_REMEMBERED;
}

/* Fills every byte. What the task is, and not in whose name it acts at the moment (an overlay acts in its
 * mounter's). */
static __always_inline void pst_subject(struct pst_subject *s)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	const struct cred *real = BPF_CORE_READ(t, real_cred);
	struct pst_lineage head = {};
	struct subject_key now = {};
	struct pst_cred cred;

	__builtin_memset(s, 0, sizeof(*s));
	pst_cred_read(&cred, real);
	subject_key_now(&now, t);
	s->start_ns = now.start_ns;
	s->pid = now.pid;
	s->cgroup_id = bpf_get_current_cgroup_id();
	s->uid = cred.euid;
	s->gid = cred.egid;
	s->holds = cred.cap_effective;
	if (subject_kept(&head, &now) || subject_made(&head))
		subject_from_line(s, &head);
}

/* Of the current task, as pst_subject() has told. False: not to be had now. */
static __always_inline bool pst_subject_ancestors(__u64 ancestors[PST_LINEAGE_MAX])
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct subject *e = subject_entry();
	struct subject_key now = {};
	__u32 slot = LINEAGE_ASKED;
	struct lineage_buf *b = bpf_map_lookup_elem(&lineage_bufs, &slot);

	if (!e || !b)
		return false;
	subject_key_now(&now, t);
	if (subject_key_same(&e->key, &now)) {
		__builtin_memcpy(ancestors, e->line.ancestors, 8 * PST_LINEAGE_MAX);
		if (subject_elder_sum(&now, ancestors) == *(volatile __u64 *)&e->sum_elder)
			return true;
	}
	if (!subject_make())
		return false;
	__builtin_memcpy(ancestors, b->l.ancestors, 8 * PST_LINEAGE_MAX);
	return b->owner == bpf_get_current_pid_tgid();
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
