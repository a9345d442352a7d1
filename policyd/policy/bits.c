// SPDX-License-Identifier: Apache-2.0
/* Bit vectors over rules, and the classes that they become. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/compile.h"
#include "proto/abi/lookup/stride.h"
#include "proto/base/cleanup.h"

#define CHUNK_WORDS (PST_POL_CHUNK_RULES / 64)

/* The part of word @w that is from @first to before @end. */
static uint64_t part(uint32_t w, uint32_t first, uint32_t end)
{
	uint64_t mask = ~0ULL;

	if (w == first / 64)
		mask &= ~0ULL << first % 64;
	if (w == end / 64)
		mask &= ~(~0ULL << end % 64);
	return mask;
}

static bool goes_on(uint32_t w, uint32_t end)
{
	return w < PST_POL_RULES_MAX / 64 && w * 64 < end;
}

void policy_bits_set(struct policy_bits *bits, uint32_t first, uint32_t end)
{
	for (uint32_t w = first / 64; goes_on(w, end); w++)
		bits->w[w] |= part(w, first, end);
}

void policy_bits_clear(struct policy_bits *bits, uint32_t first, uint32_t end)
{
	for (uint32_t w = first / 64; goes_on(w, end); w++)
		bits->w[w] &= ~part(w, first, end);
}

void policy_bits_flip(struct policy_bits *bits, uint32_t first, uint32_t end)
{
	for (uint32_t w = first / 64; goes_on(w, end); w++)
		bits->w[w] ^= part(w, first, end);
}

uint32_t policy_bits_count(const struct policy_bits *a, const struct policy_bits *b)
{
	uint32_t n = 0;

	for (unsigned w = 0; w < PST_ARRAY_SIZE(a->w); w++)
		n += (uint32_t)__builtin_popcountll(a->w[w] & b->w[w]);
	return n;
}

void policy_free_bits(const struct policy_tables *t, unsigned dim, bool not, struct policy_bits *ret_bits)
{
	memset(ret_bits, 0, sizeof(*ret_bits));
	policy_bits_set(ret_bits, 0, t->n_rules);
	for (size_t i = 0; i < t->asks[dim].n; i++) {
		const struct policy_ask *ask = &t->asks[dim].v[i];

		if (!not || !ask->cond->other)
			policy_bits_clear(ret_bits, ask->first, ask->end);
	}
}

/* ---- classes ---- */

void policy_interns_done(struct policy_interns *in)
{
	fw_intern_done(&in->chunks);
	fw_intern_done(&in->classes[0]);
	fw_intern_done(&in->classes[1]);
	fw_intern_done(&in->inodes);
	memset(in, 0, sizeof(*in));
}

/* The chunk's word in a class; 0: it has no rule. */
static int put_chunk(
	struct policy_tables *t, struct policy_interns *in, const uint64_t *words, uint32_t *ret_ref)
{
	union pst_line line;
	uint32_t at, used = 0;
	int e;

	for (uint32_t w = 0; w < CHUNK_WORDS; w++) {
		line.u64[w] = words[w];
		used |= (uint32_t) !!words[w] << w;
	}
	*ret_ref = 0;
	if (!used)
		return 0;
	e = fw_intern(&in->chunks, &t->arena, &line, 1, &at);
	if (e)
		return e;
	if (at > PST_POL_REF_LINE)
		return -ENOSPC;
	*ret_ref = at | used << PST_POL_REF_WORDS;
	return 0;
}

int policy_class_put(struct policy_tables *t, struct policy_interns *in, const struct policy_bits *bits,
	uint32_t *ret_line)
{
	union pst_line class[2];
	uint32_t *words = class[0].u32, first = 0, n = 0;

	memset(class, 0, sizeof(class));
	for (uint32_t chunk = 0; chunk < PST_POL_CHUNKS_MAX; chunk++) {
		const uint64_t *w = bits->w + (size_t)chunk * CHUNK_WORDS;
		uint64_t *last = in->last.w + (size_t)chunk * CHUNK_WORDS;
		uint32_t ref = in->last_ref[chunk];

		if (memcmp(w, last, sizeof(union pst_line)) != 0) {
			int e = put_chunk(t, in, w, &ref);

			if (e)
				return e;
			memcpy(last, w, sizeof(union pst_line));
			in->last_ref[chunk] = ref;
		}
		if (!ref)
			continue;
		first = words[0] ? first : chunk;
		words[0] |= 1u << chunk;
		n = 1 + chunk - first;
		words[n] = ref;
	}
	return fw_intern(&in->classes[n / 16], &t->arena, class, 1 + n / 16, ret_line);
}

/* Lines may be in force, where others could have written: what is read lies within them. */
void policy_class_get(const struct policy_tables *t, uint32_t line, struct policy_bits *ret_bits)
{
	const struct pst_half half = {.lines = t->arena.lines, .mask = t->arena.size - 1};
	uint32_t chunks = pst_line_at(&half, line)->u32[0];

	memset(ret_bits, 0, sizeof(*ret_bits));
	for (uint32_t chunk = 0; chunk < PST_POL_CHUNKS_MAX && chunks; chunk++)
		if (chunks >> chunk & 1) {
			uint32_t at = 1 + chunk - (uint32_t)__builtin_ctz(chunks);
			uint32_t ref = pst_line_at(&half, line + at / 16)->u32[at % 16];

			memcpy(ret_bits->w + (size_t)chunk * CHUNK_WORDS,
				pst_line_at(&half, ref & PST_POL_REF_LINE), sizeof(union pst_line));
		}
}

int policy_class_of(struct policy_tables *t, unsigned dim, uint32_t part, const struct policy_bits *bits,
	uint32_t *ret_line)
{
	struct policy_seen *seen = &t->seen[dim];
	int e = policy_class_put(t, &t->interns, bits, ret_line);

	e = e ? e : array_room((void **)&seen->v, &seen->size, seen->n, sizeof(*seen->v));
	if (!e)
		seen->v[seen->n++] = (uint64_t)part << 32 | *ret_line;
	return e;
}

/* ---- uses ---- */

int policy_uses_add(struct policy_uses *u, uint32_t pattern, const struct policy_ask *ask)
{
	int e = array_room((void **)&u->v, &u->size, u->n, sizeof(*u->v));

	if (!e)
		u->v[u->n++] = (struct policy_use){pattern, ask->first, ask->end};
	return e;
}

static int by_pattern(const void *a, const void *b)
{
	const struct policy_use *x = a, *y = b;

	if (x->pattern != y->pattern)
		return x->pattern < y->pattern ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

int policy_uses_close(struct policy_uses *u, uint32_t n_patterns)
{
	size_t at = 0;

	u->starts = calloc((size_t)n_patterns + 1, sizeof(*u->starts));
	if (!u->starts)
		return -ENOMEM;
	if (u->n)
		qsort(u->v, u->n, sizeof(*u->v), by_pattern);
	for (uint32_t i = 0; i <= n_patterns; i++) {
		while (at < u->n && u->v[at].pattern < i)
			at++;
		u->starts[i] = (uint32_t)at;
	}
	return 0;
}

void policy_uses_done(struct policy_uses *u)
{
	free(u->v);
	free(u->starts);
}

uint64_t policy_uses_set(
	const struct policy_uses *u, const uint32_t *patterns, size_t n, struct policy_bits *bits)
{
	uint64_t words = 0;

	for (size_t i = 0; i < n; i++)
		for (uint32_t k = u->starts[patterns[i]]; k < u->starts[patterns[i] + 1]; k++) {
			policy_bits_set(bits, u->v[k].first, u->v[k].end);
			words += 1 + (u->v[k].end - u->v[k].first) / 64;
		}
	return words;
}
