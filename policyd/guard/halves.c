// SPDX-License-Identifier: Apache-2.0
#include "policyd/guard/halves.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

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
static int probe(const struct pst_fd *fd, uint32_t value, struct pst_fd_map *ret_map)
{
	struct pst_fd_map map = {.type = BPF_MAP_TYPE_ARRAY, .value_size = value, .max_entries = fd->size};
	struct statfs fs;
	int e;

	if (fstatfs(fd->fd, &fs) < 0)
		return -errno;
	if (fs.f_type != ANON_INODE_FS_MAGIC)
		return -EBADF;
	e = value ? 0 : probe_value(fd->fd, fd->size, &map.value_size);
	if (!e)
		*ret_map = map;
	return e;
}

int guard_region_map(const struct pst_fds *fds, const char *name, uint32_t value, struct pst_shm *ret_shm)
{
	const struct pst_fd *fd = pst_fds_find(fds, name);
	struct pst_fd_map map = {0};
	int e = fd ? pst_fds_map(fd->fd, &map) : -ENOENT;

	if (!fd)
		return e;
	if (e == -ENOENT || e == -EACCES)
		e = probe(fd, value, &map);
	if (!e && (map.type != BPF_MAP_TYPE_ARRAY || (value && map.value_size != value)))
		e = -EBADF;
	e = e ? e : pst_shm_map(fd->fd, map.value_size, map.max_entries, true, ret_shm);
	if (e)
		pst_error(
			"the loader's map cannot be used map=%s value_size=%u max_entries=%llu error=\"%s\"",
			name, map.value_size, (unsigned long long)map.max_entries, strerror(-e));
	return e == -ENOENT ? -EBADF : e;
}

/* Lines of a half; 0: none that a program could use. */
static uint32_t half_of(uint64_t lines)
{
	if (lines < GUARD_LINES_MIN || lines > GUARD_LINES_MAX || (lines & (lines - 1)))
		return 0;
	return (uint32_t)lines;
}

void guard_table_init(struct guard_table *t, __u64 *generation, __u64 *last, const struct pst_shm *lines,
	uint64_t n, uint64_t now_ns)
{
	*t = (struct guard_table){
		.generation = generation, .last = last, .lines = lines->base, .n = half_of(n)};
	t->left_ns = *generation || *last ? now_ns : 0;
}

bool guard_same_word(__u64 *a, const __u64 *b)
{
	uint64_t before = __atomic_load_n(b, __ATOMIC_RELAXED);
	bool same;

	__atomic_fetch_xor(a, 1, __ATOMIC_SEQ_CST);
	same = __atomic_load_n(b, __ATOMIC_SEQ_CST) != before;
	__atomic_fetch_xor(a, 1, __ATOMIC_SEQ_CST);
	return same;
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

void guard_switch_back(struct guard_table *t, uint64_t generation, uint64_t now_ns)
{
	*t->last = PST_MAX(*t->last, guard_generation(t));
	__atomic_store_n(t->generation, generation, __ATOMIC_RELEASE);
	t->left_ns = now_ns;
}

void guard_switch_off(struct guard_table *t, uint64_t now_ns)
{
	guard_switch_back(t, 0, now_ns);
}
