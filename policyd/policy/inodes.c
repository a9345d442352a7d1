// SPDX-License-Identifier: Apache-2.0
/* Files that rules name, by their inodes: what the rules have of each such path, and where it is found. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/abi/lookup/policy.h"
#include "policyd/policy/compile.h"
#include "proto/base/cleanup.h"

/* ---- what rules have of a path ---- */

static const struct {
	unsigned multi;
	uint32_t kinds; /* of patterns with this text: bits of enum path_kind */
} as_rows[PST_POL_INODE_AS] = {
	[PST_POL_AS_FILE] = {PST_POL_PATH, 1u << PATH_EXACT | 1u << PATH_BELOW},
	[PST_POL_AS_IN] = {PST_POL_PATH, 1u << PATH_CHILDREN},
	[PST_POL_AS_ABOVE] = {PST_POL_PATH, 1u << PATH_BELOW},
	[PST_POL_AS_EXECUTABLE] = {PST_POL_EXECUTABLE, 1u << PATH_EXACT | 1u << PATH_BELOW},
	[PST_POL_AS_SCOPE_EXECUTABLE] = {PST_POL_SCOPE_EXECUTABLE, 1u << PATH_EXACT | 1u << PATH_BELOW},
	[PST_POL_AS_TARGET] = {PST_POL_TARGET, 1u << PATH_EXACT | 1u << PATH_BELOW},
};

#define KINDS (1u << PATH_EXACT | 1u << PATH_CHILDREN | 1u << PATH_BELOW)

struct naming {
	struct policy_tables *t;
	uint32_t *patterns; /* of these kinds, by text */
	size_t n;
	struct policy_bits base[PST_POL_INODE_AS];
};

static void naming_done(struct naming *names)
{
	free(names->patterns);
}

static int by_bytes(const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len)
{
	int c = memcmp(a, b, PST_MIN(a_len, b_len));

	return c ? c : (a_len > b_len) - (a_len < b_len);
}

static int by_text(const void *a, const void *b, void *set)
{
	const struct path_pattern *v = ((const struct path_set *)set)->v;
	const struct path_pattern *x = &v[*(const uint32_t *)a], *y = &v[*(const uint32_t *)b];

	return by_bytes(x->text, x->len, y->text, y->len);
}

static int find_patterns(struct naming *names)
{
	struct path_set *set = &names->t->patterns;

	names->patterns = calloc((size_t)set->n + 1, sizeof(*names->patterns));
	names->t->named = calloc((size_t)set->n + 1, sizeof(*names->t->named));
	if (!names->patterns || !names->t->named)
		return -ENOMEM;
	for (uint32_t i = 0; i < set->n; i++)
		if (KINDS >> set->v[i].kind & 1)
			names->patterns[names->n++] = i;
	qsort_r(names->patterns, names->n, sizeof(*names->patterns), by_text, set);
	return 0;
}

/* The classes of rules with a list that has the path so; of those whose list is no `not`, too. */
static int put_as(struct naming *names, unsigned as, const uint32_t *patterns, size_t n, uint32_t ret_of[2])
{
	struct policy_tables *t = names->t;
	struct policy_bits bits = {0};
	uint64_t any = 0;
	int e;

	for (size_t i = 0; i < n; i++)
		if (as_rows[as].kinds >> t->patterns.v[patterns[i]].kind & 1)
			any |= policy_uses_set(&t->uses[as_rows[as].multi], &patterns[i], 1, &bits);
	if (!any)
		return 0;
	t->head.inode_as |= 1u << as;
	e = policy_class_put(t, &t->interns, &bits, &ret_of[0]);
	any = 0;
	for (unsigned w = 0; w < PST_ARRAY_SIZE(bits.w); w++)
		any |= bits.w[w] &= ~names->base[as].w[w];
	return e || !any ? e : policy_class_put(t, &t->interns, &bits, &ret_of[1]);
}

static int put_lists(struct policy_tables *t, struct policy_interns *in,
	const struct pst_pol_inode_lists *lists, uint32_t *ret_line)
{
	union pst_line line;

	static_assert(sizeof(line) == sizeof(*lists), "as long as a line");
	memcpy(&line, lists, sizeof(line));
	return fw_intern(&in->inodes, &t->arena, &line, 1, ret_line);
}

/* The path that these patterns have in common. */
static int put_named(struct naming *names, const uint32_t *patterns, size_t n)
{
	struct policy_tables *t = names->t;
	const struct path_pattern *p = &t->patterns.v[*patterns];
	struct policy_named *named = &t->named[t->n_named];
	struct pst_pol_inode_lists lists = {0};
	bool any = false;
	int e = 0;

	for (unsigned as = 0; as < PST_POL_INODE_AS && !e; as++) {
		e = put_as(names, as, patterns, n, lists.of[as]);
		any |= lists.of[as][0] != 0;
	}
	if (e || !any)
		return e;
	*named = (struct policy_named){.text = p->text, .len = p->len};
	t->n_named++;
	return put_lists(t, &t->interns, &lists, &named->lists);
}

static const struct policy_named *find_named(const struct policy_tables *t, const uint8_t *text, uint32_t len)
{
	uint32_t lo = 0, hi = t->n_named;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = by_bytes(text, len, t->named[mid].text, t->named[mid].len);

		if (!c)
			return &t->named[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static const struct pst_pol_inode_lists *lists_at(const struct policy_tables *t, uint32_t line)
{
	return (const struct pst_pol_inode_lists *)&t->arena.lines[line & (t->arena.size - 1)];
}

/* Folders with a list that are above the path, or are it, as it is written. */
static unsigned nested(const struct policy_tables *t, const struct policy_named *named)
{
	unsigned n = 0;

	for (uint32_t len = named->len; len;) {
		const struct policy_named *above = find_named(t, named->text, len);

		n += above && lists_at(t, above->lists)->of[PST_POL_AS_ABOVE][0];
		if (len == 1)
			break;
		while (named->text[--len] != '/')
			;
		len += !len; /* "/" */
	}
	return n;
}

/* More folders above a file than an act can have are refused. */
static int check_nested(struct policy_tables *t, const struct policy_named *named)
{
	const struct policy_asks *asks = &t->asks[PST_POL_DIMS + PST_POL_PATH];

	if (!lists_at(t, named->lists)->of[PST_POL_AS_ABOVE][0] || nested(t, named) <= PST_POL_ABOVE)
		return 0;
	for (size_t i = 0; i < asks->n; i++)
		for (uint32_t k = 0; k < asks->v[i].cond->n; k++) {
			const struct policy_pattern *p = &asks->v[i].cond->patterns[k];

			if (p->kind == POLICY_TREE && strlen(p->text) == named->len &&
				!memcmp(p->text, named->text, named->len))
				return policy_refuse(t, asks->v[i].first, asks->v[i].cond,
					"\"%.64s\": it is within more than %d directories that rules name",
					p->text, PST_POL_ABOVE - 1);
		}
	return -E2BIG;
}

/* Places, at most half full. */
static int take_places(struct policy_tables *t)
{
	uint32_t lines = 1;

	while (lines * PST_POL_INODES_A_LINE < 2 * t->n_named)
		lines *= 2;
	t->head.inode_mask = lines - 1;
	return fw_arena_take(&t->arena, lines, &t->head.inodes);
}

int policy_compile_inodes(struct policy_tables *t)
{
	PST_CLEANUP(naming_done) struct naming names = {.t = t};
	int e = find_patterns(&names);

	for (unsigned as = 0; as < PST_POL_INODE_AS; as++)
		policy_free_bits(t, PST_POL_DIMS + as_rows[as].multi, true, &names.base[as]);
	for (size_t i = 0, end; i < names.n && !e; i = end) {
		for (end = i + 1; end < names.n; end++)
			if (by_text(&names.patterns[i], &names.patterns[end], &t->patterns))
				break;
		e = put_named(&names, &names.patterns[i], end - i);
	}
	for (uint32_t i = 0; i < t->n_named && !e; i++)
		e = check_nested(t, &t->named[i]);
	return e || !t->n_named ? e : take_places(t);
}

/* ---- where they are ---- */

/* The place that has the inode, or else where it may be put; NULL: there is none. */
static struct pst_pol_inode *inode_place(struct policy_tables *t, const struct pst_file_id *id)
{
	uint32_t home = pst_pol_inode_home(&t->head, id->dev, id->ino);
	struct pst_pol_inode *room = NULL;

	for (uint32_t i = 0; i < PST_POL_PROBES; i++) {
		struct pst_pol_inode *n = (struct pst_pol_inode *)&t->arena
						  .lines[t->head.inodes + ((home + i) & t->head.inode_mask)];

		for (unsigned k = 0; k < PST_POL_INODES_A_LINE; k++) {
			if (n[k].ino == id->ino && n[k].dev == id->dev)
				return &n[k];
			if (!room && (!n[k].ino || n[k].ino == PST_POL_INODE_GONE))
				room = &n[k];
			if (!n[k].ino)
				return room;
		}
	}
	return room;
}

static int put_inode(struct policy_tables *t, const struct pst_file_id *id, uint32_t lists)
{
	struct pst_pol_inode *place = inode_place(t, id);

	if (!place)
		return -ENOSPC;
	if (place->ino == id->ino && place->dev == id->dev && place->lists == lists)
		return 0;
	__atomic_store_n(&place->lists, lists, __ATOMIC_RELEASE);
	__atomic_store_n(&place->dev, id->dev, __ATOMIC_RELEASE);
	__atomic_store_n(&place->ino, id->ino, __ATOMIC_RELEASE);
	policy_told(t);
	return 0;
}

/* Rules of either class. */
static int join_class(struct policy_tables *t, uint32_t a, uint32_t b, uint32_t *ret_line)
{
	struct policy_bits x, y;

	*ret_line = a ? a : b;
	if (!a || !b || a == b)
		return 0;
	policy_class_get(t, a, &x);
	policy_class_get(t, b, &y);
	for (unsigned w = 0; w < PST_ARRAY_SIZE(x.w); w++)
		x.w[w] |= y.w[w];
	return policy_class_put(t, &t->late, &x, ret_line);
}

/* Of a file that is both. */
static int join_lists(struct policy_tables *t, uint32_t a, uint32_t b, uint32_t *ret_line)
{
	struct pst_pol_inode_lists both = {0};
	int e = 0;

	*ret_line = a;
	if (a == b)
		return 0;
	for (unsigned as = 0; as < PST_POL_INODE_AS && !e; as++)
		for (unsigned k = 0; k < 2 && !e; k++)
			e = join_class(
				t, lists_at(t, a)->of[as][k], lists_at(t, b)->of[as][k], &both.of[as][k]);
	return e ? e : put_lists(t, &t->late, &both, ret_line);
}

static bool is_id(const struct pst_file_id *id)
{
	return id->dev && id->ino && id->ino != PST_POL_INODE_GONE;
}

int policy_inode_set(struct policy_tables *t, const struct pst_file_id *id, const char *path)
{
	const struct policy_named *named;
	struct pst_pol_inode *place;
	uint32_t lists;
	int e;

	if (!is_id(id) || *path != '/')
		return -EINVAL;
	named = find_named(t, (const uint8_t *)path, (uint32_t)PST_MIN(strlen(path), (size_t)UINT32_MAX));
	if (!named)
		return 0;
	place = inode_place(t, id);
	lists = named->lists;
	e = place && place->ino == id->ino ? join_lists(t, place->lists, lists, &lists) : 0;
	return e ? e : put_inode(t, id, lists);
}

void policy_inode_forget(struct policy_tables *t, const struct pst_file_id *id)
{
	struct pst_pol_inode *place = t->head.inodes && is_id(id) ? inode_place(t, id) : NULL;

	if (!place || place->ino != id->ino || place->dev != id->dev)
		return;
	__atomic_store_n(&place->ino, PST_POL_INODE_GONE, __ATOMIC_RELEASE);
	policy_told(t);
}

/* ---- all of them ---- */

struct found {
	struct pst_file_id id;
	uint32_t lists;
};

static int by_ids(const struct pst_file_id *a, const struct pst_file_id *b)
{
	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	return (a->ino > b->ino) - (a->ino < b->ino);
}

static int by_id(const void *a, const void *b)
{
	return by_ids(&((const struct found *)a)->id, &((const struct found *)b)->id);
}

/* What is at each path, sorted; how many. */
static uint32_t find_files(const struct policy_tables *t, struct found *v, struct policy_inodes *ret)
{
	char path[PST_PATH_MAX + 1];
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->n_named; i++) {
		int e;

		memcpy(path, t->named[i].text, PST_MIN(t->named[i].len, (uint32_t)PST_PATH_MAX));
		path[PST_MIN(t->named[i].len, (uint32_t)PST_PATH_MAX)] = '\0';
		v[n].lists = t->named[i].lists;
		e = policy_file_id(path, &v[n].id);
		if (!e)
			n++;
		else
			++*(e == -ENOENT || e == -ENOTDIR ? &ret->missing
				: e == -ELOOP             ? &ret->links
				: e == -ENODATA           ? &ret->without
							  : &ret->hidden);
	}
	if (n)
		qsort(v, n, sizeof(*v), by_id);
	return n;
}

/* Those of the last time that are not there any more. */
static void forget_gone(struct policy_tables *t, const struct found *v, uint32_t n)
{
	for (uint32_t i = 0, k = 0; i < t->n_filled; i++) {
		while (k < n && by_ids(&v[k].id, &t->filled[i]) < 0)
			k++;
		if (k == n || by_ids(&v[k].id, &t->filled[i]))
			policy_inode_forget(t, &t->filled[i]);
	}
}

/* The inode of v[0], which several paths may have; how many, in ret_n. */
static int put_found(struct policy_tables *t, const struct found *v, uint32_t n, uint32_t *ret_n)
{
	uint32_t lists = v->lists, i;
	int e = 0;

	for (i = 1; i < n && !by_id(v, &v[i]); i++)
		e = e ? e : join_lists(t, lists, v[i].lists, &lists);
	*ret_n = i;
	return e ? e : put_inode(t, &v->id, lists);
}

int policy_inodes_fill(struct policy_tables *t, struct policy_inodes *ret)
{
	PST_CLEANUP(pst_freep) struct found *v = calloc((size_t)t->n_named + 1, sizeof(*v));
	struct pst_file_id *filled = calloc((size_t)t->n_named + 1, sizeof(*filled));
	uint32_t n, n_filled = 0, many;
	int e = 0;

	*ret = (struct policy_inodes){0};
	if (!v || !filled) {
		free(filled);
		return -ENOMEM;
	}
	n = find_files(t, v, ret);
	forget_gone(t, v, n);
	for (uint32_t i = 0; i < n && e != -ENOMEM; i += many) {
		e = put_found(t, &v[i], n - i, &many);
		*(e ? &ret->full : &ret->set) += many;
		filled[n_filled++] = v[i].id;
	}
	free(t->filled);
	t->filled = filled;
	t->n_filled = n_filled;
	return e == -ENOMEM ? e : 0;
}

/* ---- acts ---- */

static void where_facts(
	const struct policy_tables *t, const struct policy_where *w, struct pst_act_inodes *of)
{
	const struct pst_half half = {.lines = t->room.lines, .mask = t->room.n_lines - 1};
	const struct pst_pol_head *head = (const struct pst_pol_head *)t->room.lines;

	of->file = pst_pol_inode(&half, head, w->id.dev, w->id.ino);
	for (size_t i = 0; i < w->n_above && i < PST_ABOVE_MAX; i++)
		pst_pol_inode_above(
			&half, of, pst_pol_inode(&half, head, w->above[i].dev, w->above[i].ino), !i);
}

void policy_inode_facts(const struct policy_tables *t, const struct policy_told *told, struct pst_act *a)
{
	const struct pst_half half = {.lines = t->room.lines, .mask = t->room.n_lines - 1};
	const struct pst_pol_head *head = (const struct pst_pol_head *)t->room.lines;

	where_facts(t, &told->path, &a->path_inodes);
	where_facts(t, &told->path_to, &a->path_to_inodes);
	a->executable_inode = pst_pol_inode(&half, head, told->executable.dev, told->executable.ino);
	a->target_inode = pst_pol_inode(&half, head, told->target.dev, told->target.ino);
}
