/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The keyed hash of a path in the walker's buffer (bpf/lib/path.bpf.h). */
#ifndef PST_PATHHASH_BPF_H
#define PST_PATHHASH_BPF_H

#include "bpf/lib/path.bpf.h"
#include "proto/abi/lookup/pathhash.h"

#define PATHHASH_PART 64 /* words */

/* The loader draws it; who makes tables of hashes is told. */
const volatile __u64 cfg_path_key[2] = {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9};

static __always_inline __u64 pst_pathhash_at(const struct pst_path *p, __u32 off)
{
	__u64 at = off;

	pst_hide(at);
	return *(const __u64 *)(p->buf + (at & (PST_PATH_MAX_MASK)));
}

/* Of buf[off .. PST_PATH_MAX), in parts: the words from @at on. */
static __always_inline void pst_path_hash_part(const struct pst_path *p, struct pst_pathhash *hash, __u32 at)
{
	struct pst_pathhash s = *hash;

	for (int i = 0; i < PATHHASH_PART; i++) {
		if (at + 8 > PST_PATH_MAX)
			break;
		pst_pathhash_word(&s, pst_pathhash_at(p, at));
		at += 8;
	}
	*hash = s;
}

static __always_inline __u64 pst_path_hash_end(const struct pst_path *p, const struct pst_pathhash *hash)
{
	__u32 len = PST_PATH_MAX - p->off;
	struct pst_pathhash s = *hash;

	return pst_pathhash_end(&s, pst_pathhash_at(p, p->off + (len & ~7u)), len);
}

#endif
