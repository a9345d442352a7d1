// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/path/tokens.h"
#include "proto/base/cleanup.h"

#define GROW_FIRST 64

static const char *const kinds[PATH_KINDS] = {
	[PATH_EXACT] = "exact",
	[PATH_PREFIX] = "prefix",
	[PATH_CHILDREN] = "children",
	[PATH_BELOW] = "below",
	[PATH_SUFFIX] = "suffix",
	[PATH_GLOB] = "glob",
};

const char *path_kind_name(enum path_kind kind)
{
	return kinds[kind];
}

bool path_kind_parse(const char *name, enum path_kind *ret_kind)
{
	for (int kind = 0; kind < PATH_KINDS; kind++)
		if (!strcmp(name, kinds[kind])) {
			*ret_kind = (enum path_kind)kind;
			return true;
		}
	return false;
}

void path_set_done(struct path_set *set)
{
	for (uint32_t i = 0; i < set->n; i++)
		free(set->v[i].text);
	free(set->v);
	free(set->slots);
	memset(set, 0, sizeof(*set));
}

static uint32_t hash(const struct path_pattern *p)
{
	uint64_t h = 0x9e3779b97f4a7c15 ^ (uint64_t)p->kind;

	for (uint32_t i = 0; i < p->len; i++) {
		h = (h ^ p->text[i]) * 0xff51afd7ed558ccd;
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

static bool is_same(const struct path_pattern *a, const struct path_pattern *b)
{
	return a->kind == b->kind && a->len == b->len && !memcmp(a->text, b->text, a->len);
}

/* The slot of a pattern like this, or where it would be. */
static uint32_t *find_slot(const struct path_set *set, const struct path_pattern *p)
{
	uint32_t at = hash(p) & (set->n_slots - 1);

	while (set->slots[at] && !is_same(&set->v[set->slots[at] - 1], p))
		at = (at + 1) & (set->n_slots - 1);
	return &set->slots[at];
}

static int make_room(struct path_set *set)
{
	uint32_t size = set->size ? set->size * 2 : GROW_FIRST;
	struct path_pattern *v;
	uint32_t *slots;

	if (set->n < set->size)
		return 0;
	v = reallocarray(set->v, size, sizeof(*v));
	if (!v)
		return -ENOMEM;
	set->v = v;
	slots = calloc(size * 2, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(set->slots);
	set->slots = slots;
	set->n_slots = size * 2;
	set->size = size;
	for (uint32_t i = 0; i < set->n; i++)
		*find_slot(set, &set->v[i]) = i + 1;
	return 0;
}

static int refuse(int e, const char *what, struct path_error *ret_error)
{
	*ret_error = (struct path_error){.what = what};
	return e;
}

int path_set_add(struct path_set *set, enum path_kind kind, const void *text, size_t len,
	uint32_t *ret_pattern, struct path_error *ret_error)
{
	PST_CLEANUP(path_tokens_done) struct path_tokens tokens = {0};
	uint8_t *bytes = NULL;
	/* one byte more is enough to be refused for its length */
	struct path_pattern p = {
		.text = (uint8_t *)text, .len = (uint32_t)PST_MIN(len, PST_PATH_MAX + 1), .kind = kind};
	uint32_t *slot;
	int e = path_tokens_add(&tokens, &p, 0, ret_error);

	if (e)
		return e;
	if (make_room(set))
		return refuse(-ENOMEM, "out of memory", ret_error);
	slot = find_slot(set, &p);
	if (*slot) {
		*ret_pattern = *slot - 1;
		return 0;
	}
	if (set->n == PATH_PATTERNS_MAX)
		return refuse(-E2BIG, "more than 10,000 different patterns", ret_error);
	if (len > PATH_TEXT_MAX - set->text)
		return refuse(-E2BIG, "more than 2 MiB of patterns", ret_error);
	bytes = malloc(len);
	if (!bytes)
		return refuse(-ENOMEM, "out of memory", ret_error);
	memcpy(bytes, text, len);
	p.text = bytes;
	set->v[set->n] = p;
	set->text += len;
	*slot = ++set->n;
	*ret_pattern = set->n - 1;
	return 0;
}
