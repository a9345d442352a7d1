/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Iterators: pinned, and read by the stages with open(2) and read(2). Each writes
 * entries of fixed layout (proto/abi/maps.h).
 */
#include "bpf/lib/common.bpf.h"
#include "bpf/lib/maps_syscalls.bpf.h"
#include "bpf/lib/maps_syscalls_end.bpf.h"
#include "bpf/lib/path.bpf.h"
#include "bpf/lib/percpu.bpf.h"
#include "bpf/lib/proc.bpf.h"

#define PF_KTHREAD 0x00200000

/* Possible CPUs (libbpf_num_possible_cpus); set by the loader, as a per-CPU value has so many parts. */
const volatile __u32 cfg_ncpus = 1;

/* ---- tasks ---- */

struct tasks_buf {
	struct pst_iter_task t;
	char path[PST_PATH_MAX + 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tasks_buf);
} tasks_buf SEC(".maps");

static __always_inline void task_who(struct pst_task *r, struct task_struct *t, const struct cred *cred)
{
	r->start_ns = t->start_boottime;
	r->cgroup_id = BPF_CORE_READ(t, cgroups, dfl_cgrp, kn, id);
	r->pid = t->tgid;
	r->tid = t->pid;
	r->uid = cred->uid.val;
	r->gid = cred->gid.val;
	bpf_probe_read_kernel_str(r->comm, sizeof(r->comm), t->comm);
}

static __always_inline void task_fields(struct pst_iter_task *r, struct task_struct *t)
{
	struct task_struct *parent = BPF_CORE_READ(t, real_parent);
	const struct cred *cred = t->cred;

	__builtin_memset(r, 0, sizeof(*r));
	task_who(&r->task, t, cred);
	r->parent_start_ns = BPF_CORE_READ(parent, group_leader, start_boottime);
	r->parent_pid = BPF_CORE_READ(parent, tgid);
	r->cap_effective = pst_caps(&cred->cap_effective);
	r->loginuid = pst_loginuid(t);
	r->euid = cred->euid.val;
	r->tty = pst_tty(t);
	r->kthread = !!(t->flags & PF_KTHREAD);
	pst_ns_fill(&r->ns, t, cred);
}

/* The executable's path behind the entry. Returns its length. */
static __always_inline __u32 task_exe(struct tasks_buf *b, struct task_struct *t)
{
	struct mm_struct *mm = BPF_CORE_READ(t, mm);
	struct pst_path *p;
	struct inode *inode;
	struct file *file;
	__u32 len;

	if (b->t.kthread || !mm)
		return 0;
	file = BPF_CORE_READ(mm, exe_file);
	if (!file)
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	b->t.exe_ino = BPF_CORE_READ(inode, i_ino);
	b->t.exe_dev = BPF_CORE_READ(inode, i_sb, s_dev);
	b->t.flags = pst_file_flags(file, inode);
	p = pst_path_resolve(
		PST_PATH_ITER, BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry));
	if (!p)
		return 0;
	if (p->cut)
		b->t.flags |= PST_EXEC_PATH_CUT;
	len = pst_path_copy(p, b->path, PST_PATH_MAX);
	b->t.path_len = len;
	return len;
}

SEC("iter/task")
int iter_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	__u32 zero = 0, len, size;
	struct tasks_buf *b;

	if (!t || t->pid != t->tgid)
		return 0;
	if (t->exit_state && !BPF_CORE_READ(t, signal, live.counter))
		return 0; /* a zombie, not yet reaped */
	b = bpf_map_lookup_elem(&tasks_buf, &zero);
	if (!b)
		return 0;
	task_fields(&b->t, t);
	len = task_exe(b, t);
	if (len > PST_PATH_MAX)
		return 0; /* cannot be; for the verifier */
	__builtin_memset(&b->path[len], 0, 8);
	size = PST_ALIGN8(sizeof(b->t) + len);
	b->t.size = size;
	bpf_seq_write(ctx->meta->seq, b, size);
	return 0;
}

/* ---- per-CPU tables: the sum of an entry over all CPUs ---- */

static __always_inline void syscalls_write_lost(struct seq_file *seq)
{
	struct pst_iter_syscall r = {.nr = PST_SYSCALL_LOST};

	for (__u32 i = 0; i < SYSCALLS_LOST_LINES; i++) {
		__u32 line = i;
		struct syscalls_lost *l = bpf_map_lookup_elem(&syscalls_lost, &line);

		if (l)
			r.count += l->count;
	}
	if (r.count)
		bpf_seq_write(seq, &r, sizeof(r));
}

/*
 * The entry to be deleted when the iterator has left it: its memory is reused at once, and from a reused
 * entry the iterator would go on in another bucket.
 */
struct syscalls_drop {
	struct pst_syscall_key key;
	__u64 set;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct syscalls_drop);
} syscalls_drop SEC(".maps");

static __always_inline void syscalls_drop_last(struct syscalls_drop *drop)
{
	struct pst_syscall_key key = drop->key;

	if (drop->set)
		bpf_map_delete_elem(&syscalls, &key);
	drop->set = 0;
}

SEC("iter/bpf_map_elem")
int iter_syscalls(struct bpf_iter__bpf_map_elem *ctx)
{
	struct pst_syscall_key *key = ctx->key;
	struct seq_file *seq = ctx->meta->seq;
	struct pst_iter_syscall r = {};
	struct syscalls_drop *drop;
	__u64 *value = ctx->value;
	__u32 zero = 0;

	drop = bpf_map_lookup_elem(&syscalls_drop, &zero);
	if (!drop)
		return 0;
	syscalls_drop_last(drop);
	if (!key || !value) {
		syscalls_write_lost(seq); /* behind the last entry */
		return 0;
	}
	for (__u32 cpu = 0; cpu < cfg_ncpus; cpu++)
		r.count += value[cpu];
	r.cgroup_id = key->cgroup_id;
	r.nr = key->nr;
	if (r.count && bpf_seq_write(seq, &r, sizeof(r)))
		return 0; /* no room in this read: it comes again */
	if (bpf_map_lookup_elem(&cgroups_gone, &r.cgroup_id)) {
		drop->key = *key;
		drop->set = 1;
	}
	return 0;
}

SEC("iter/bpf_map_elem")
int iter_interfaces(struct bpf_iter__bpf_map_elem *ctx)
{
	struct pst_iface_key *key = ctx->key;
	struct pst_iface_count *value = ctx->value;
	struct pst_iter_iface r = {};

	if (!key || !value)
		return 0;
	for (__u32 cpu = 0; cpu < cfg_ncpus; cpu++) {
		r.packets += value[cpu].packets;
		r.bytes += value[cpu].bytes;
	}
	r.ifindex = key->ifindex;
	r.netns = key->netns;
	r.ethertype = key->ethertype;
	r.protocol = key->protocol;
	r.dir = key->dir;
	if (r.packets)
		bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}

/* ---- our programs and maps ---- */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct pst_own_id);
	__type(value, __u32);
} own_ids SEC(".maps");

static __always_inline bool is_own(__u32 kind, __u32 id)
{
	struct pst_own_id key = {.kind = kind, .id = id};

	return bpf_map_lookup_elem(&own_ids, &key);
}

/*
 * Are BPF stats switched on? The iterator's own program is counted like any other, so its count grows from
 * one call of a pass to the next exactly when they are. The first entry of a pass goes by the last pass.
 */
struct stats_seen {
	__u64 session;
	__u64 runs;
	__u64 on;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stats_seen);
} stats_seen SEC(".maps");

struct prog_sums {
	__u64 runs, nsecs, misses;
};

static __always_inline void prog_sum(struct prog_sums *sum, const struct bpf_prog *prog)
{
	const struct bpf_prog_stats *stats = pst_prog_stats(prog);
	struct prog_sums one = {};

	__builtin_memset(sum, 0, sizeof(*sum));
	if (!stats)
		return;
	for (__u32 cpu = 0; cpu < cfg_ncpus; cpu++) {
		__u64 off = percpu_offset(cpu);

		if (!off || bpf_probe_read_kernel(&one, pst_prog_stats_size(), (const char *)stats + off))
			continue;
		sum->runs += one.runs;
		sum->nsecs += one.nsecs;
		sum->misses += one.misses;
	}
}

/* The program that this iterator runs: its reader's state lies before what seq_file calls private. */
static __always_inline const struct bpf_prog *own_prog(struct seq_file *seq)
{
	const struct bpf_prog *prog = NULL;
	char *target = NULL;

	bpf_core_read(&target, sizeof(target), &seq->private);
	if (!target || !bpf_core_field_exists(struct bpf_iter_priv_data, prog))
		return NULL;
	target -= bpf_core_field_offset(struct bpf_iter_priv_data, target_private);
	bpf_core_read(&prog, sizeof(prog), &((struct bpf_iter_priv_data *)target)->prog);
	return prog;
}

static __always_inline __u32 stats_on(struct bpf_iter_meta *meta)
{
	__u32 zero = 0;
	struct stats_seen *seen = bpf_map_lookup_elem(&stats_seen, &zero);
	struct prog_sums own;

	if (!seen)
		return 0;
	prog_sum(&own, own_prog(meta->seq));
	if (seen->session == meta->session_id)
		seen->on = own.runs != seen->runs;
	seen->session = meta->session_id;
	seen->runs = own.runs;
	return seen->on;
}

SEC("iter/bpf_prog")
int iter_programs(struct bpf_iter__bpf_prog *ctx)
{
	struct bpf_prog *prog = ctx->prog;
	struct pst_iter_prog r = {};
	struct prog_sums sums;
	__u32 on;

	if (!prog)
		return 0;
	on = stats_on(ctx->meta); /* at each program, or it cannot tell */
	if (!is_own(PST_OWN_PROG, prog->aux->id))
		return 0;
	prog_sum(&sums, prog);
	r.id = prog->aux->id;
	r.type = prog->type;
	bpf_probe_read_kernel_str(r.name, sizeof(r.name), prog->aux->name);
	r.run_count = sums.runs;
	r.run_time_ns = sums.nsecs;
	r.misses = sums.misses;
	r.stats_on = on;
	r.insns = prog->len;
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}

static __always_inline void map_fill_ring(struct pst_iter_map *r, struct bpf_map *map)
{
	struct bpf_ringbuf *rb = BPF_CORE_READ((struct bpf_ringbuf_map *)map, rb);
	__u64 consumed = BPF_CORE_READ(rb, consumer_pos);

	r->capacity = BPF_CORE_READ(rb, mask) + 1;
	r->used = BPF_CORE_READ(rb, producer_pos) - consumed;
	if (r->used > r->capacity) /* the consumer's page is the reader's to write */
		r->used = r->capacity;
}

static __always_inline void map_fill_hash(struct pst_iter_map *r, struct bpf_map *map)
{
	__s64 *counts = NULL, one = 0, sum = 0;

	r->used = PST_MAP_USED_UNKNOWN;
	if (!bpf_core_field_exists(map->elem_count))
		return;
	bpf_core_read(&counts, sizeof(counts), &map->elem_count);
	if (!counts || !percpu_offset(0))
		return;
	for (__u32 cpu = 0; cpu < cfg_ncpus; cpu++)
		if (!bpf_probe_read_kernel(&one, sizeof(one), (char *)counts + percpu_offset(cpu)))
			sum += one;
	r->used = sum > 0 ? sum : 0;
}

SEC("iter/bpf_map")
int iter_maps(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct pst_iter_map r = {};

	if (!map || !is_own(PST_OWN_MAP, map->id))
		return 0;
	r.id = map->id;
	r.type = map->map_type;
	bpf_probe_read_kernel_str(r.name, sizeof(r.name), map->name);
	r.max_entries = map->max_entries;
	r.value_size = map->value_size;
	r.capacity = r.used = r.max_entries;
	if (r.type == BPF_MAP_TYPE_RINGBUF)
		map_fill_ring(&r, map);
	else if (r.type == BPF_MAP_TYPE_HASH || r.type == BPF_MAP_TYPE_PERCPU_HASH ||
		 r.type == BPF_MAP_TYPE_LRU_HASH || r.type == BPF_MAP_TYPE_LRU_PERCPU_HASH)
		map_fill_hash(&r, map);
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
