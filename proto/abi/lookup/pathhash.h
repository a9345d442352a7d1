/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause OR Apache-2.0 */
/*
 * The keyed hash that stands for a path where only whole paths are compared: SipHash-1-3. Who does not know
 * the key cannot choose a path that is taken for another one. Compiles for user space too, where the paths of
 * rules are hashed. Words are read whole: up to 7 bytes behind the path are read and not looked at.
 */
#ifndef PST_ABI_LOOKUP_PATHHASH_H
#define PST_ABI_LOOKUP_PATHHASH_H

#include "proto/abi/lookup/stride.h"

struct pst_path_key {
	__u64 k[2];
};

struct pst_pathhash {
	__u64 a, b, c, d;
};

#define PST_ROTL(x, n) ((x) << (n) | (x) >> (64 - (n)))

PST_STRIDE_FN void pst_pathhash_round(struct pst_pathhash *s)
{
	s->a += s->b;
	s->b = PST_ROTL(s->b, 13) ^ s->a;
	s->a = PST_ROTL(s->a, 32);
	s->c += s->d;
	s->d = PST_ROTL(s->d, 16) ^ s->c;
	s->a += s->d;
	s->d = PST_ROTL(s->d, 21) ^ s->a;
	s->c += s->b;
	s->b = PST_ROTL(s->b, 17) ^ s->c;
	s->c = PST_ROTL(s->c, 32);
}

PST_STRIDE_FN void pst_pathhash_begin(struct pst_pathhash *s, __u64 k0, __u64 k1)
{
	s->a = k0 ^ 0x736f6d6570736575ULL;
	s->b = k1 ^ 0x646f72616e646f6dULL;
	s->c = k0 ^ 0x6c7967656e657261ULL;
	s->d = k1 ^ 0x7465646279746573ULL;
}

PST_STRIDE_FN void pst_pathhash_word(struct pst_pathhash *s, __u64 word)
{
	s->d ^= word;
	pst_pathhash_round(s);
	s->a ^= word;
}

/* The last 0 to 7 bytes of @len are the lowest of @word. Never 0, which means that a path is not known. */
PST_STRIDE_FN __u64 pst_pathhash_end(struct pst_pathhash *s, __u64 word, __u32 len)
{
	__u64 h;

	word &= (1ULL << (len & 7) * 8) - 1;
	pst_pathhash_word(s, word | (__u64)len << 56);
	s->c ^= 0xff;
	pst_pathhash_round(s);
	pst_pathhash_round(s);
	pst_pathhash_round(s);
	h = s->a ^ s->b ^ s->c ^ s->d;
	return h ? h : 1;
}

#ifndef __bpf__
static inline __u64 pst_pathhash(const struct pst_path_key *key, const char *path, __u32 len)
{
	struct pst_pathhash s;
	__u64 word;
	__u32 i;

	pst_pathhash_begin(&s, key->k[0], key->k[1]);
	for (i = 0; i + 8 <= len; i += 8) {
		__builtin_memcpy(&word, path + i, 8);
		pst_pathhash_word(&s, word);
	}
	word = 0;
	__builtin_memcpy(&word, path + i, len - i);
	return pst_pathhash_end(&s, word, len);
}
#endif

#endif
