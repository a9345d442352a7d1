// SPDX-License-Identifier: Apache-2.0
/*
 * Rules that no packet reaches. A rule can only be hidden by one whose addresses (or port) hold its own, so
 * the earlier rules hang in a table by their first such field, and few of them are compared.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/covers.h"
#include "policyd/fw/reader.h"
#include "proto/base/cache.h"
#include "proto/base/cleanup.h"

/* Steps in all: what is not found by then is not warned of. */
#define WORK_MAX  2000000
#define ENTRY_MAX 64 /* elements by which one rule is found */

enum by { BY_SRC = 1, BY_DST, BY_DPORT, BY_NOTHING };

struct key {
	uint8_t by, len;
	uint8_t addr[16]; /* or the port */
};

struct entry {
	struct key key;
	uint32_t rule, next; /* next: 1 + its place; 0: none */
};

struct index {
	const struct fw_ruleset *set;
	struct entry *entries;
	uint32_t n, room;
	uint32_t *heads;
	uint32_t mask;
	uint8_t lens[BY_NOTHING][129]; /* prefix lengths that occur */
	uint32_t work;
};

static void index_done(struct index *x)
{
	free(x->entries);
	free(x->heads);
}

static int index_init(struct index *x, const struct fw_ruleset *set)
{
	uint32_t size = 64;

	while (size < set->n * 2)
		size *= 2;
	*x = (struct index){.set = set, .mask = size - 1, .room = size};
	x->heads = calloc(size, sizeof(*x->heads));
	x->entries = calloc(size, sizeof(*x->entries));
	return x->heads && x->entries ? 0 : -ENOMEM;
}

static uint32_t *head_of(struct index *x, const struct key *key)
{
	return &x->heads[pst_hash(key, sizeof(*key)) & x->mask];
}

static struct key key_of_prefix(enum by by, const struct fw_prefix *p, unsigned len)
{
	struct key key = {.by = (uint8_t)by, .len = (uint8_t)len};

	memcpy(key.addr, p->addr, (len + 7) / 8);
	if (len % 8)
		key.addr[len / 8] &= (uint8_t)(0xff00 >> len % 8);
	return key;
}

static int add(struct index *x, struct key key, uint32_t rule)
{
	uint32_t *head = head_of(x, &key);

	if (x->n == x->room) {
		uint32_t room = x->room * 2;
		struct entry *v = reallocarray(x->entries, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		x->entries = v;
		x->room = room;
	}
	x->entries[x->n] = (struct entry){.key = key, .rule = rule, .next = *head};
	*head = ++x->n;
	return 0;
}

static int add_prefixes(struct index *x, enum by by, const struct fw_prefixes *list, uint32_t rule)
{
	int e = 0;

	for (size_t i = 0; i < list->n && !e; i++) {
		x->lens[by][list->v[i].len] = 1;
		e = add(x, key_of_prefix(by, &list->v[i], list->v[i].len), rule);
	}
	return e;
}

static struct key key_of_port(uint16_t port)
{
	return (struct key){.by = BY_DPORT, .addr = {(uint8_t)(port >> 8), (uint8_t)port}};
}

static int add_rule(struct index *x, uint32_t i)
{
	const struct fw_rule *r = &x->set->rules[i];

	if (r->src.n && !r->src.other && r->src.n <= ENTRY_MAX)
		return add_prefixes(x, BY_SRC, &r->src, i);
	if (r->dst.n && !r->dst.other && r->dst.n <= ENTRY_MAX)
		return add_prefixes(x, BY_DST, &r->dst, i);
	if (r->dport.n == 1 && !r->dport.other && r->dport.v[0].lo == r->dport.v[0].hi)
		return add(x, key_of_port(r->dport.v[0].lo), i);
	return add(x, (struct key){.by = BY_NOTHING}, i);
}

/* What comparing two rules costs at most, in steps of some nanoseconds. */
static uint32_t cost(const struct fw_rule *a, const struct fw_rule *b)
{
	size_t pairs = a->src.n * b->src.n + a->dst.n * b->dst.n + a->sport.n * b->sport.n +
		       a->dport.n * b->dport.n + a->icmp.n * b->icmp.n + a->vlan.n * b->vlan.n +
		       a->n_ifaces * b->n_ifaces;

	return 1 + (uint32_t)PST_MIN(pairs, 10000u);
}

static long look(struct index *x, struct key key, const struct fw_rule *r)
{
	for (uint32_t at = *head_of(x, &key); at && x->work < WORK_MAX; at = x->entries[at - 1].next) {
		const struct entry *e = &x->entries[at - 1];

		x->work++;
		if (memcmp(&e->key, &key, sizeof(key)) != 0)
			continue;
		x->work += cost(&x->set->rules[e->rule], r);
		if (fw_rule_covers(&x->set->rules[e->rule], r))
			return e->rule;
	}
	return -1;
}

static long look_prefixes(
	struct index *x, enum by by, const struct fw_prefixes *list, const struct fw_rule *r)
{
	long found = -1;

	if (!list->n || list->other)
		return -1;
	for (unsigned len = 0; len <= list->v[0].len && found < 0; len++)
		if (x->lens[by][len])
			found = look(x, key_of_prefix(by, &list->v[0], len), r);
	return found;
}

static long find(struct index *x, const struct fw_rule *r)
{
	long found = look(x, (struct key){.by = BY_NOTHING}, r);

	if (found < 0)
		found = look_prefixes(x, BY_SRC, &r->src, r);
	if (found < 0)
		found = look_prefixes(x, BY_DST, &r->dst, r);
	if (found < 0 && r->dport.n && !r->dport.other && r->dport.v[0].lo == r->dport.v[0].hi)
		found = look(x, key_of_port(r->dport.v[0].lo), r);
	return found;
}

int fw_shadowed(const struct fw_ruleset *set, long *ret_by)
{
	PST_CLEANUP(index_done) struct index x = {0};
	int e = index_init(&x, set);

	for (size_t i = 0; i < set->n && !e; i++) {
		ret_by[i] = find(&x, &set->rules[i]);
		/* what is hidden hides nothing that is not hidden without it */
		if (ret_by[i] < 0 && set->rules[i].action != PST_FW_NEXT)
			e = add_rule(&x, (uint32_t)i);
	}
	return e;
}
