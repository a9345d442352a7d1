/* SPDX-License-Identifier: Apache-2.0 */
/* Mapped BPF arrays (BPF_F_MMAPABLE): plain memory, no system call to read or write. */
#ifndef PST_BASE_SHM_H
#define PST_BASE_SHM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pst_shm {
	void *base; /* page aligned */
	size_t len;
	size_t entry_size; /* rounded up to 8 as the kernel does */
	size_t entries;
};

/* Map @entries of @entry_size; read-only unless @writable. 0 or -errno. */
int pst_shm_map(int fd, size_t entry_size, size_t entries, bool writable, struct pst_shm *ret_shm);
void pst_shm_unmap(struct pst_shm *shm);
/* Anonymous memory of the same shape, for replay and tests. */
int pst_shm_fake(size_t entry_size, size_t entries, struct pst_shm *ret_shm);

static inline const void *pst_shm_at(const struct pst_shm *shm, size_t i)
{
	return (const char *)shm->base + i * shm->entry_size;
}

/*
 * Copy one slot of a slot table (first word is its generation, see abi/records.h) into @out. Returns the
 * generation (even, not 0), or 0 if the slot was never used or did not hold still after a few tries (then it
 * is written right now: the next pass gets it).
 */
uint64_t pst_slot_read(const struct pst_shm *shm, size_t i, void *out);

#endif
