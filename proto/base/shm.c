// SPDX-License-Identifier: Apache-2.0
#include "proto/base/shm.h"
#include "proto/base/cleanup.h"

#include <string.h>
#include <sys/mman.h>

#define SLOT_TRIES 4

/* Bytes of the whole map, or 0 if there is no such map. */
static size_t total(size_t entry_size, size_t entries)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes;

	if (!entry_size || !entries || __builtin_mul_overflow(entry_size, entries, &bytes) ||
		__builtin_add_overflow(bytes, page - 1, &bytes) || bytes > SIZE_MAX / 2)
		return 0;
	return bytes & ~(page - 1);
}

static int map_shm(
	int fd, int flags, size_t entry_size, size_t entries, bool writable, struct pst_shm *ret_shm)
{
	size_t rounded = (entry_size + 7) & ~(size_t)7,
	       len = rounded >= entry_size ? total(rounded, entries) : 0;

	if (!len)
		return -EINVAL;
	void *base = mmap(NULL, len, PROT_READ | (writable ? PROT_WRITE : 0), flags, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	*ret_shm = (struct pst_shm){.base = base, .len = len, .entry_size = rounded, .entries = entries};
	return 0;
}

int pst_shm_map(int fd, size_t entry_size, size_t entries, bool writable, struct pst_shm *ret_shm)
{
	return map_shm(fd, MAP_SHARED, entry_size, entries, writable, ret_shm);
}

int pst_shm_fake(size_t entry_size, size_t entries, struct pst_shm *ret_shm)
{
	return map_shm(-1, MAP_SHARED | MAP_ANONYMOUS, entry_size, entries, true, ret_shm);
}

void pst_shm_unmap(struct pst_shm *shm)
{
	if (shm->base)
		munmap(shm->base, shm->len);
	*shm = (struct pst_shm){0};
}

uint64_t pst_slot_read(const struct pst_shm *shm, size_t i, void *out)
{
	if (i >= shm->entries || shm->entry_size < sizeof(uint64_t))
		return 0;
	const uint64_t *slot = pst_shm_at(shm, i);

	for (unsigned tries = 0; tries < SLOT_TRIES; tries++) {
		uint64_t gen = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

		if (!gen)
			return 0;
		if (gen & 1)
			continue; /* being filled */
		memcpy(out, slot, shm->entry_size);
		/* The copy is complete before the generation is looked at again. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(slot, __ATOMIC_RELAXED) == gen)
			return gen;
	}
	return 0;
}
