// SPDX-License-Identifier: Apache-2.0
#include "exporter/series.h"

#include <errno.h>

#include "proto/base/cache.h"
#include "proto/base/cleanup.h"

struct series {
	uint64_t hash;
	uint64_t value;
	uint32_t text; /* offset of the label text, NUL-terminated */
	uint32_t text_len;
};

struct series_set {
	struct series *v;
	uint32_t *buckets; /* index + 1, 0: free; a power of two, at most half full */
	uint32_t n, size, n_buckets, max, max_label;
	struct pst_buf text, scratch;
	struct series other;
	bool other_named;
	uint64_t overflowed;
};

int series_new(uint32_t max_series, uint32_t max_label_bytes, struct series_set **ret_set)
{
	struct series_set *set = calloc(1, sizeof(*set));

	if (!set)
		return -ENOMEM;
	set->max = max_series;
	set->max_label = max_label_bytes;
	*ret_set = set;
	return 0;
}

void series_free(struct series_set *set)
{
	if (!set)
		return;
	pst_buf_done(&set->text);
	pst_buf_done(&set->scratch);
	free(set->buckets);
	free(set->v);
	free(set);
}

void series_freep(struct series_set **set)
{
	series_free(*set);
}

static void insert(uint32_t *buckets, uint32_t n_buckets, uint64_t hash, uint32_t index)
{
	uint32_t at = (uint32_t)hash & (n_buckets - 1);

	while (buckets[at])
		at = (at + 1) & (n_buckets - 1);
	buckets[at] = index + 1;
}

static bool grow(struct series_set *set)
{
	uint32_t size = set->size ? set->size * 2 : 16;
	PST_FREE uint32_t *buckets = calloc(size * 2, sizeof(*buckets));
	struct series *v;

	if (!buckets)
		return false;
	v = reallocarray(set->v, size, sizeof(*v));
	if (!v)
		return false;
	set->v = v;
	for (uint32_t i = 0; i < set->n; i++)
		insert(buckets, size * 2, v[i].hash, i);
	free(set->buckets);
	set->buckets = PST_TAKE_PTR(buckets);
	set->n_buckets = size * 2;
	set->size = size;
	return true;
}

static struct series *find(const struct series_set *set, uint64_t hash)
{
	const struct pst_buf *key = &set->scratch;
	uint32_t at = (uint32_t)hash & (set->n_buckets - 1);

	if (!set->n_buckets)
		return NULL;
	for (; set->buckets[at]; at = (at + 1) & (set->n_buckets - 1)) {
		struct series *s = &set->v[set->buckets[at] - 1];

		if (s->hash == hash && s->text_len == key->len &&
			!memcmp(set->text.p + s->text, key->p, key->len))
			return s;
	}
	return NULL;
}

/* Keeps the scratch text; false without memory. */
static bool keep_text(struct series_set *set, struct series *s)
{
	size_t len = set->scratch.len;

	if (set->scratch.failed || set->text.len + len + 1 > UINT32_MAX ||
		!pst_buf_reserve(&set->text, len + 1)) {
		set->text.failed = false;
		return false;
	}
	s->text = (uint32_t)set->text.len;
	s->text_len = (uint32_t)len;
	memcpy(set->text.p + set->text.len, set->scratch.p, len);
	set->text.p[set->text.len + len] = 0;
	set->text.len += len + 1;
	return true;
}

/* Something may really be called "other": then the two are one, since a series may appear only once. */
static uint64_t *other(struct series_set *set, const struct series_label *labels, unsigned n_labels)
{
	struct series *same;

	set->overflowed++;
	if (set->other_named)
		return &set->other.value;
	set->scratch.len = 0;
	set->scratch.failed = false;
	for (unsigned i = 0; i < n_labels; i++)
		expo_label_text(&set->scratch, labels[i].name, "other");
	same = set->scratch.failed ? NULL : find(set, pst_hash(set->scratch.p, set->scratch.len));
	if (same)
		return &same->value;
	set->other_named = keep_text(set, &set->other);
	return &set->other.value;
}

static bool is_other(const struct series_set *set)
{
	return set->other_named && set->scratch.len == set->other.text_len &&
	       !memcmp(set->text.p + set->other.text, set->scratch.p, set->scratch.len);
}

uint64_t *series_at(struct series_set *set, const struct series_label *labels, unsigned n_labels)
{
	struct series *s;
	uint64_t hash;

	set->scratch.len = 0;
	set->scratch.failed = false;
	for (unsigned i = 0; i < n_labels; i++)
		expo_label(&set->scratch, labels[i].name, labels[i].bytes, labels[i].len, set->max_label);
	if (set->scratch.failed)
		return other(set, labels, n_labels);
	hash = pst_hash(set->scratch.p, set->scratch.len);
	s = find(set, hash);
	if (s)
		return &s->value;
	if (is_other(set))
		return &set->other.value;
	if (set->n >= set->max || (set->n == set->size && !grow(set)))
		return other(set, labels, n_labels);
	s = &set->v[set->n];
	*s = (struct series){.hash = hash};
	if (!keep_text(set, s))
		return other(set, labels, n_labels);
	insert(set->buckets, set->n_buckets, hash, set->n++);
	return &s->value;
}

uint32_t series_count(const struct series_set *set)
{
	return set->n;
}

uint64_t series_overflowed(const struct series_set *set)
{
	return set->overflowed;
}

static void expose_one(const struct series_set *set, const struct series *s, struct expo *expo, bool as_ns)
{
	const char *labels = (const char *)set->text.p + s->text;

	if (as_ns)
		expo_ns(expo, labels, s->value);
	else
		expo_u64(expo, labels, s->value);
}

void series_expose(const struct series_set *set, struct expo *expo, bool as_ns)
{
	for (uint32_t i = 0; i < set->n; i++)
		expose_one(set, &set->v[i], expo, as_ns);
	if (set->other_named)
		expose_one(set, &set->other, expo, as_ns);
}
