// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/tables.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/wire/fmt.h"

static const struct kind {
	const char *map;
	size_t offset;  /* in struct guard_tables */
	uint32_t value; /* its size; 0: to be found out */
} kinds[] = {
	{PST_MAP_GUARD, offsetof(struct guard_tables, guard), sizeof(struct pst_guard)},
	{PST_MAP_FW_LINES, offsetof(struct guard_tables, fw), 0},
	{PST_MAP_BLOCK_LINES, offsetof(struct guard_tables, block), sizeof(union pst_line)},
	{PST_MAP_GUARD_SIGS, offsetof(struct guard_tables, sigs), sizeof(struct pst_sigs)},
	{PST_MAP_OFFENDERS, offsetof(struct guard_tables, offenders), sizeof(struct pst_offenders)},
	{PST_MAP_SAMPLES, offsetof(struct guard_tables, samples), sizeof(struct pst_sample)},
	{PST_MAP_GUARD_COUNTS, offsetof(struct guard_tables, counts), sizeof(struct pst_guard_counts)},
};

static struct pst_shm *region(struct guard_tables *t, const struct kind *k)
{
	return (struct pst_shm *)((char *)t + k->offset);
}

/* ---- maps ---- */

/* The kernel maps no more of an array than there is of it: the largest that it maps is its size. */
static int probe_value(int fd, uint64_t entries, uint32_t *ret_value)
{
	for (uint32_t n = GUARD_LINES_MAX; n >= GUARD_LINES_MIN; n /= 2) {
		struct pst_shm shm = {0};

		if (pst_shm_map(fd, (size_t)n * sizeof(union pst_line), entries, true, &shm) < 0)
			continue;
		pst_shm_unmap(&shm);
		*ret_value = n * (uint32_t)sizeof(union pst_line);
		return 0;
	}
	return -EBADF;
}

/*
 * Within the sandbox /proc is out of reach. A BPF map has no file behind it, which is what matters: touching
 * a mapping behind the end of a file is fatal, and of an array no more is mapped than there is.
 */
static int probe(const struct pst_fd *fd, const struct kind *k, struct pst_fd_map *ret_map)
{
	struct pst_fd_map map = {.type = BPF_MAP_TYPE_ARRAY, .value_size = k->value, .max_entries = fd->size};
	struct statfs fs;
	int e;

	if (fstatfs(fd->fd, &fs) < 0)
		return -errno;
	if (fs.f_type != ANON_INODE_FS_MAGIC)
		return -EBADF;
	e = k->value ? 0 : probe_value(fd->fd, fd->size, &map.value_size);
	if (!e)
		*ret_map = map;
	return e;
}

static int map_one(const struct pst_fd *fd, const struct kind *k, struct pst_shm *ret_shm)
{
	struct pst_fd_map map = {0};
	int e = pst_fds_map(fd->fd, &map);

	if (e == -ENOENT || e == -EACCES)
		e = probe(fd, k, &map);
	if (!e && (map.type != BPF_MAP_TYPE_ARRAY || (k->value && map.value_size != k->value)))
		e = -EBADF;
	e = e ? e : pst_shm_map(fd->fd, map.value_size, map.max_entries, true, ret_shm);
	if (e)
		pst_error(
			"the loader's map cannot be used map=%s value_size=%u max_entries=%llu error=\"%s\"",
			fd->name, map.value_size, (unsigned long long)map.max_entries, strerror(-e));
	return e;
}

int guard_tables_map(const struct pst_fds *fds, uint64_t now_ns, struct guard_tables *ret_tables)
{
	PST_CLEANUP(guard_tables_unmap) struct guard_tables t = {0};
	int e = 0;

	for (size_t i = 0; !e && i < PST_ARRAY_SIZE(kinds); i++) {
		const struct pst_fd *fd = pst_fds_find(fds, kinds[i].map);

		e = fd ? map_one(fd, &kinds[i], region(&t, &kinds[i])) : -ENOENT;
	}
	e = e ? e : guard_tables_check(&t, now_ns);
	if (e)
		return e;
	*ret_tables = t;
	t = (struct guard_tables){0};
	return 0;
}

static int refuse(const char *map, const struct pst_shm *shm)
{
	pst_error("the loader's map has a size that is of no use map=%s value_size=%zu max_entries=%zu", map,
		shm->entry_size, shm->entries);
	return -EINVAL;
}

/* Lines of a half; 0: none that a program could use. */
static uint32_t half_of(uint64_t lines)
{
	if (lines < GUARD_LINES_MIN || lines > GUARD_LINES_MAX || (lines & (lines - 1)))
		return 0;
	return (uint32_t)lines;
}

/* When a half was left is not known: it may have been right now. */
static void table_init(struct guard_table *t, __u64 *generation, __u64 *last, const struct pst_shm *lines,
	uint64_t n, uint64_t now_ns)
{
	*t = (struct guard_table){
		.generation = generation, .last = last, .lines = lines->base, .n = half_of(n)};
	t->left_ns = *generation || *last ? now_ns : 0;
}

int guard_tables_check(struct guard_tables *t, uint64_t now_ns)
{
	struct pst_guard *g = t->guard.base;

	if (t->guard.entry_size != sizeof(*g) || t->guard.entries != 1)
		return refuse(PST_MAP_GUARD, &t->guard);
	if (t->counts.entry_size != sizeof(struct pst_guard_counts) || !t->counts.entries ||
		t->counts.entries > GUARD_CPUS_MAX)
		return refuse(PST_MAP_GUARD_COUNTS, &t->counts);
	table_init(&t->firewall, &g->fw_generation, &g->fw_last, &t->fw,
		t->fw.entry_size / sizeof(union pst_line), now_ns);
	if (t->fw.entries != 2 || t->fw.entry_size % sizeof(union pst_line) || !t->firewall.n)
		return refuse(PST_MAP_FW_LINES, &t->fw);
	table_init(&t->lists, &g->block_generation, &g->block_last, &t->block, t->block.entries / 2, now_ns);
	if (t->block.entry_size != sizeof(union pst_line) || t->block.entries % 2 || !t->lists.n)
		return refuse(PST_MAP_BLOCK_LINES, &t->block);
	if (t->sigs.entry_size != sizeof(struct pst_sigs) || t->sigs.entries != 2)
		return refuse(PST_MAP_GUARD_SIGS, &t->sigs);
	if (t->offenders.entry_size != sizeof(struct pst_offenders) ||
		t->offenders.entries != PST_OFFENDER_SETS + 1)
		return refuse(PST_MAP_OFFENDERS, &t->offenders);
	if (t->samples.entry_size != sizeof(struct pst_sample) || t->samples.entries != PST_SAMPLES)
		return refuse(PST_MAP_SAMPLES, &t->samples);
	table_init(&t->signatures, &g->sig_generation, &((struct pst_sigs *)t->sigs.base)->last, &t->sigs,
		sizeof(struct pst_sigs) / sizeof(union pst_line), now_ns);
	return 0;
}

void guard_tables_unmap(struct guard_tables *t)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(kinds); i++)
		pst_shm_unmap(region(t, &kinds[i]));
	memset(t, 0, sizeof(*t));
}

struct guard_memory guard_memory_for(uint64_t lines)
{
	uint64_t half = GUARD_LINES_MIN;
	struct guard_memory m;

	while (half < lines)
		half *= 2;
	*pst_fmt_size(m.text, 2 * half * sizeof(union pst_line)) = '\0';
	return m;
}

/* ---- are they the same? ---- */

/* Does a change of one word show in the other? */
static bool same_word(__u64 *a, const __u64 *b)
{
	uint64_t before = __atomic_load_n(b, __ATOMIC_RELAXED);
	bool same;

	__atomic_fetch_xor(a, 1, __ATOMIC_SEQ_CST);
	same = __atomic_load_n(b, __ATOMIC_SEQ_CST) != before;
	__atomic_fetch_xor(a, 1, __ATOMIC_SEQ_CST);
	return same;
}

/* A word of each map that no program reads: of a table, the last one of the half that is not in force. */
static __u64 *scratch_of_half(const struct guard_table *t)
{
	union pst_line *half = guard_half(t, guard_generation(t) + 1);

	return &half[t->n - 1].u64[PST_ARRAY_SIZE(half->u64) - 1];
}

static __u64 *scratch(const struct guard_tables *t, unsigned which)
{
	struct pst_guard_counts *counts = t->counts.base;
	struct pst_offenders *offenders = t->offenders.base;

	switch (which) {
	case 0:
		return &((struct pst_guard *)t->guard.base)->fw_last;
	case 1:
		return scratch_of_half(&t->firewall);
	case 2:
		return scratch_of_half(&t->lists);
	case 3:
		return scratch_of_half(&t->signatures);
	case 4:
		return &offenders[PST_OFFENDER_HEAD].way[PST_OFFENDER_WAYS - 1].word;
	case 5:
		return &((struct pst_sample *)t->samples.base)->pad;
	default:
		return &counts->reason[PST_GUARD_REASONS_ROOM - 1].bytes;
	}
}

bool guard_tables_same(const struct guard_tables *a, const struct guard_tables *b)
{
	if (a->fw.len != b->fw.len || a->block.len != b->block.len || a->counts.len != b->counts.len)
		return false;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(kinds); i++)
		if (!same_word(scratch(a, i), scratch(b, i)))
			return false;
	return true;
}

/* ---- generations ---- */

uint64_t guard_generation(const struct guard_table *t)
{
	return t->lines ? __atomic_load_n(t->generation, __ATOMIC_RELAXED) : 0;
}

uint64_t guard_next_generation(const struct guard_table *t)
{
	uint64_t now = guard_generation(t), next = PST_MAX(now, *t->last) + 1;

	if (now && !((next ^ now) & 1))
		next++;
	/* Programs keep its lower half beside verdicts, where 0 is "none". */
	return (uint32_t)next ? next : next + 2;
}

union pst_line *guard_half(const struct guard_table *t, uint64_t generation)
{
	return t->lines + (generation & 1) * t->n;
}

uint32_t guard_attached(const struct guard_tables *t)
{
	const struct pst_guard *word = t->guard.base;

	return word ? __atomic_load_n(&word->ifaces.attached, __ATOMIC_ACQUIRE) : 0;
}

bool guard_idle(const struct guard_tables *t)
{
	return guard_tables_mapped(t) && !guard_attached(t);
}

bool guard_tables_moved(const struct guard_tables *t)
{
	const struct pst_guard *word = t->guard.base;

	return word && __atomic_load_n(&word->can, __ATOMIC_ACQUIRE) & PST_GUARD_MOVED;
}

const char *guard_state(const struct guard_tables *t, const struct guard_table *table, bool pending)
{
	if (!guard_tables_mapped(t))
		return "not guarded";
	if (pending || guard_tables_moved(t))
		return "pending";
	if (!guard_generation(table))
		return "off";
	return guard_idle(t) ? "not enforced" : "in force";
}

uint64_t guard_grace_left(const struct guard_table *t, uint64_t now_ns)
{
	uint64_t end = t->left_ns + GUARD_GRACE_NS;

	return t->left_ns && end > now_ns ? end - now_ns : 0;
}

void guard_switch(struct guard_table *t, uint64_t generation, uint64_t now_ns)
{
	*t->last = generation;
	__atomic_store_n(t->generation, generation, __ATOMIC_RELEASE);
	t->left_ns = now_ns;
}

void guard_switch_off(struct guard_table *t, uint64_t now_ns)
{
	*t->last = PST_MAX(*t->last, guard_generation(t));
	__atomic_store_n(t->generation, 0, __ATOMIC_RELEASE);
	t->left_ns = now_ns;
}

/* ---- staged ---- */

int guard_stage(uint32_t n, uint64_t generation, struct guard_staged *ret_staged)
{
	struct guard_staged s = {.n = n, .generation = generation};
	int e = pst_shm_fake(sizeof(union pst_line), n, &s.shm);

	s.lines = s.shm.base;
	if (!e)
		*ret_staged = s;
	return e;
}

void guard_staged_done(struct guard_staged *s)
{
	pst_shm_unmap(&s->shm);
	memset(s, 0, sizeof(*s));
}
