// SPDX-License-Identifier: Apache-2.0
/* Texts: paths by the classes of automata, names by their hashes, cgroups by the classes of their paths. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/abi/lookup/pathhash.h"
#include "proto/abi/lookup/policy.h"
#include "policyd/policy/compile.h"
#include "proto/base/cleanup.h"

/* Vectors that are or-ed while classes are made: what hostile patterns may cost, a fraction of a second. */
#define WORK_MAX ((uint64_t)32 << 20)

/* The rule that has the pattern, for messages. */
static int refuse_pattern(
	struct policy_tables *t, const struct policy_ask *ask, const char *text, const char *what)
{
	return policy_refuse(t, ask->first, ask->cond, "\"%.64s\": %s", text, what);
}

/* ---- paths ---- */

static int add_pattern(struct policy_tables *t, struct path_set *set, struct policy_uses *uses,
	const struct policy_ask *ask, enum path_kind kind, const char *text)
{
	struct path_error error;
	uint32_t pattern;
	int e = path_set_add(set, kind, text, strlen(text), &pattern, &error);

	if (e && e != -ENOMEM)
		return refuse_pattern(t, ask, text, error.what);
	return e ? e : policy_uses_add(uses, pattern, ask);
}

static int read_paths(struct policy_tables *t, unsigned multi)
{
	const struct policy_asks *asks = &t->asks[PST_POL_DIMS + multi];
	int e = 0;

	for (size_t i = 0; i < asks->n; i++)
		for (uint32_t k = 0; k < asks->v[i].cond->n && !e; k++) {
			const struct policy_pattern *p = &asks->v[i].cond->patterns[k];

			e = add_pattern(t, &t->patterns, &t->uses[multi], &asks->v[i],
				policy_path_kind(p->kind), p->text);
		}
	return e;
}

/* Some rule that has this pattern in its list. */
static int refuse_automaton(struct policy_tables *t, const struct path_set *set,
	const struct policy_uses *uses, uint32_t pattern, const struct policy_asks *asks, int e)
{
	const struct policy_use *use = NULL;
	const struct path_pattern *p;

	if (pattern >= set->n || uses->starts[pattern] == uses->starts[pattern + 1])
		return 0;
	use = &uses->v[uses->starts[pattern]];
	p = &set->v[pattern];
	for (size_t i = 0; i < asks->n; i++)
		if (asks->v[i].first == use->first)
			return policy_refuse(t, use->first, asks->v[i].cond, "\"%.*s\": %s",
				(int)PST_MIN(p->len, 64), (const char *)p->text,
				e == -ENOSPC ? "the paths of all policies need more room than there is"
					     : "patterns such as this one need too many states together");
	return 0;
}

static int compile_patterns(struct policy_tables *t)
{
	uint32_t refused = UINT32_MAX;
	int e = 0, k;

	for (unsigned multi = 0; multi < PST_POL_MULTIS && !e; multi++)
		e = policy_uses_close(&t->uses[multi], t->patterns.n);
	e = e ? e : path_compile(&t->patterns, t->room.paths, t->room.n_paths, &t->compiled, &refused);
	if (e != -E2BIG && e != -ENOSPC)
		return e;
	for (unsigned multi = 0; multi < PST_POL_MULTIS; multi++) {
		k = refuse_automaton(
			t, &t->patterns, &t->uses[multi], refused, &t->asks[PST_POL_DIMS + multi], e);
		if (k)
			return k;
	}
	return e;
}

/* The array of an automaton's classes; none where no class has a rule. */
static int put_automaton(struct policy_tables *t, unsigned multi, uint32_t automaton, uint64_t *work)
{
	const struct policy_uses *uses = &t->uses[multi];
	uint32_t n = path_class_count(&t->compiled, automaton), array = 0;

	for (uint32_t class = 1; class < n; class ++) {
		struct path_class of = path_class(&t->compiled, automaton, class);
		struct policy_bits bits = {0};
		uint64_t many = policy_uses_set(uses, of.patterns, of.n, &bits);
		int e;

		*work += many + of.n;
		if (*work > WORK_MAX)
			return -EOVERFLOW;
		if (!many)
			continue;
		e = array ? 0 : fw_arena_take(&t->arena, n / 16 + 1, &array);
		e = e ? e
		      : policy_class_of(t, PST_POL_DIMS + multi, automaton, &bits,
				&t->arena.lines[array + class / 16].u32[class % 16]);
		if (e)
			return e;
	}
	policy_multi_head(t, multi)->of[automaton] = array;
	return 0;
}

static int put_base(struct policy_tables *t, unsigned multi)
{
	struct policy_bits bits;
	uint32_t base = 0, unknown = 0;
	int e;

	t->head.multi |= 1u << multi;
	policy_free_bits(t, PST_POL_DIMS + multi, true, &bits);
	e = policy_class_put(t, &t->interns, &bits, &base);
	policy_free_bits(t, PST_POL_DIMS + multi, false, &bits);
	e = e ? e : policy_class_put(t, &t->interns, &bits, &unknown);
	policy_multi_head(t, multi)->base = base;
	policy_multi_head(t, multi)->unknown = unknown;
	return e;
}

static bool is_by_name(unsigned multi)
{
	return multi == PST_POL_ANCESTOR || multi == PST_POL_SCOPE_ANCESTOR;
}

int policy_compile_texts(struct policy_tables *t)
{
	uint64_t work = 0;
	int e = 0;

	for (unsigned multi = 0; multi < PST_POL_MULTIS && !e; multi++)
		if (!is_by_name(multi))
			e = read_paths(t, multi);
	e = e ? e : compile_patterns(t);
	for (unsigned multi = 0; multi < PST_POL_MULTIS && !e; multi++) {
		if (!t->asks[PST_POL_DIMS + multi].n)
			continue;
		e = put_base(t, multi);
		for (uint32_t a = 0; a < t->compiled.n && !e && !is_by_name(multi); a++)
			e = put_automaton(t, multi, a, &work);
		if (e == -EOVERFLOW)
			return policy_refuse(t, t->asks[PST_POL_DIMS + multi].v[0].first,
				t->asks[PST_POL_DIMS + multi].v[0].cond,
				"too many rules have patterns that match the same paths");
	}
	return e;
}

/* ---- names ---- */

enum name_as { AS_PARENT, AS_MODULE, AS_ANCESTOR, AS_SCOPE_ANCESTOR, NAME_AS };

static const unsigned name_dims[NAME_AS] = {PST_POL_PARENT, PST_POL_MODULE, PST_POL_DIMS + PST_POL_ANCESTOR,
	PST_POL_DIMS + PST_POL_SCOPE_ANCESTOR};

struct name_use {
	uint64_t key;
	uint32_t as, first, end;
};

struct names {
	struct policy_tables *t;
	struct name_use *v;
	size_t n, size;
	struct pst_pol_name *made;
	size_t n_made;
	struct policy_bits miss[NAME_AS];
};

static void names_done(struct names *names)
{
	free(names->v);
	free(names->made);
}

uint64_t policy_name_key(const struct pst_pol_head *head, const char *name)
{
	const struct pst_path_key key = {{head->seed[0], head->seed[1]}};

	return pst_pathhash(&key, name, (uint32_t)strlen(name));
}

static int read_names(struct names *names, unsigned as)
{
	const struct policy_asks *asks = &names->t->asks[name_dims[as]];
	int e = 0;

	for (size_t i = 0; i < asks->n; i++)
		for (uint32_t k = 0; k < asks->v[i].cond->n && !e; k++) {
			e = array_room((void **)&names->v, &names->size, names->n, sizeof(*names->v));
			if (e)
				return e;
			names->v[names->n++] = (struct name_use){
				policy_name_key(&names->t->head, asks->v[i].cond->patterns[k].text), as,
				asks->v[i].first, asks->v[i].end};
		}
	return e;
}

static int by_name(const void *a, const void *b)
{
	const struct name_use *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->as != y->as)
		return x->as < y->as ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* The class of a name in one dimension, from the uses from *at on, which are passed. */
static int put_as(struct names *names, uint64_t key, unsigned as, size_t *at, uint32_t *ret_class)
{
	struct policy_bits bits = {0};
	bool any = false;

	if (as <= AS_MODULE)
		bits = names->miss[as];
	for (; *at < names->n && names->v[*at].key == key && names->v[*at].as == as; ++*at) {
		const struct name_use *u = &names->v[*at];

		if (any && u[-1].first == u->first) /* twice in a list */
			continue;
		any = true;
		policy_bits_flip(&bits, u->first, u->end);
	}
	if (!any && as > AS_MODULE)
		return 0;
	return policy_class_of(names->t, name_dims[as], 0, &bits, ret_class);
}

static int put_names(struct names *names)
{
	int e = 0;

	names->made = calloc(names->n + 1, sizeof(*names->made));
	if (!names->made)
		return -ENOMEM;
	for (size_t at = 0; at < names->n && !e;) {
		struct pst_pol_name *n = &names->made[names->n_made++];

		n->key = names->v[at].key;
		e = put_as(names, n->key, AS_PARENT, &at, &n->parent);
		e = e ? e : put_as(names, n->key, AS_MODULE, &at, &n->module);
		e = e ? e : put_as(names, n->key, AS_ANCESTOR, &at, &n->ancestor);
		e = e ? e : put_as(names, n->key, AS_SCOPE_ANCESTOR, &at, &n->scope_ancestor);
	}
	return e;
}

static bool place_name(union pst_line *lines, uint32_t mask, const struct pst_pol_name *name)
{
	for (uint32_t i = 0; i < PST_POL_PROBES; i++) {
		struct pst_pol_name *n = (struct pst_pol_name *)&lines[((uint32_t)name->key + i) & mask];

		for (unsigned k = 0; k < PST_POL_NAMES_A_LINE; k++)
			if (!n[k].key) {
				n[k] = *name;
				return true;
			}
	}
	return false;
}

/* Half full, or emptier until no name is further from home than a look-up goes. */
static int place_names(struct names *names)
{
	struct policy_tables *t = names->t;
	uint32_t lines = 1, before = t->arena.used;

	while ((size_t)lines * PST_POL_NAMES_A_LINE < 2 * names->n_made)
		lines *= 2;
	for (;; lines *= 2) {
		size_t i = 0;
		int e;

		t->arena.used = before;
		e = fw_arena_take(&t->arena, lines, &t->head.names);
		if (e)
			return e;
		t->head.name_mask = lines - 1;
		while (i < names->n_made &&
			place_name(t->arena.lines + t->head.names, lines - 1, &names->made[i]))
			i++;
		if (i == names->n_made)
			return 0;
	}
}

int policy_compile_names(struct policy_tables *t)
{
	PST_CLEANUP(names_done) struct names names = {.t = t};
	int e = 0;

	for (unsigned as = 0; as < NAME_AS && !e; as++) {
		uint32_t line = 0;

		e = read_names(&names, as);
		policy_free_bits(t, name_dims[as], true, &names.miss[as]);
		if (e || as > AS_MODULE || !t->asks[name_dims[as]].n)
			continue;
		e = policy_class_of(t, name_dims[as], 0, &names.miss[as], &line);
		policy_dim_head(t, name_dims[as])->miss = line;
	}
	if (e || !names.n)
		return e;
	qsort(names.v, names.n, sizeof(*names.v), by_name);
	e = put_names(&names);
	return e ? e : place_names(&names);
}

/* ---- cgroups ---- */

#define CGROUP_LINES       2048
#define CGROUP_LINES_FIRST (1u << 12)
#define CGROUP_LINES_MAX   (1u << 16)

/* The pattern and all below. */
static int add_cgroup(struct policy_tables *t, const struct policy_ask *ask, const char *text)
{
	char below[POLICY_TEXT_MAX + sizeof("/**")];
	int e;

	if (!strpbrk(text, "*?[\\"))
		return add_pattern(t, &t->cgroups, &t->cgroup_uses, ask, PATH_BELOW, text);
	e = add_pattern(t, &t->cgroups, &t->cgroup_uses, ask, PATH_GLOB, text);
	if (e)
		return e;
	if (strlen(text) + sizeof("/**") > PST_PATH_MAX)
		return refuse_pattern(t, ask, text, "longer than a cgroup's path can be");
	stpcpy(stpcpy(below, text), "/**");
	return add_pattern(t, &t->cgroups, &t->cgroup_uses, ask, PATH_GLOB, below);
}

/* Not of the tables: cgroups are looked up when they are set. */
static int compile_cgroup_patterns(struct policy_tables *t)
{
	uint32_t refused = UINT32_MAX;
	int e = policy_uses_close(&t->cgroup_uses, t->cgroups.n);

	for (uint32_t n = CGROUP_LINES_FIRST; !e && n <= CGROUP_LINES_MAX; n *= 2) {
		free(t->cgroup_lines);
		t->cgroup_lines = aligned_alloc(64, n * sizeof(*t->cgroup_lines));
		if (!t->cgroup_lines)
			return -ENOMEM;
		t->n_cgroup_lines = n;
		e = path_compile(&t->cgroups, t->cgroup_lines, n, &t->cgroups_compiled, &refused);
		if (!e)
			return 0;
		if (e == -ENOSPC && n < CGROUP_LINES_MAX)
			e = 0;
	}
	if (e == -E2BIG || e == -ENOSPC) {
		int k = refuse_automaton(
			t, &t->cgroups, &t->cgroup_uses, refused, &t->asks[PST_POL_CGROUP], e);

		return k ? k : e;
	}
	return e;
}

int policy_compile_cgroups(struct policy_tables *t)
{
	const struct policy_asks *asks = &t->asks[PST_POL_CGROUP];
	int e = 0;

	for (size_t i = 0; i < asks->n; i++)
		for (uint32_t k = 0; k < asks->v[i].cond->n && !e; k++)
			e = add_cgroup(t, &asks->v[i], asks->v[i].cond->patterns[k].text);
	if (e || !asks->n)
		return e;
	policy_free_bits(t, PST_POL_CGROUP, true, &t->cgroup_base);
	e = compile_cgroup_patterns(t);
	t->head.cgroup_mask = CGROUP_LINES - 1;
	return e ? e : fw_arena_take(&t->arena, CGROUP_LINES, &t->head.cgroups);
}

void policy_cgroup_bits(
	const struct policy_tables *t, uint32_t automaton, uint32_t class, struct policy_bits *bits)
{
	struct path_class of = path_class(&t->cgroups_compiled, automaton, class);

	policy_uses_set(&t->cgroup_uses, of.patterns, of.n, bits);
}

/* The place that has the id, or else where it may be put; NULL: there is none. */
static struct pst_pol_cgroup *cgroup_place(struct policy_tables *t, uint64_t id)
{
	uint32_t home = pst_pol_cgroup_home(&t->head, id);
	struct pst_pol_cgroup *room = NULL;

	for (uint32_t i = 0; i < PST_POL_PROBES; i++) {
		struct pst_pol_cgroup *g =
			(struct pst_pol_cgroup *)&t->arena
				.lines[t->head.cgroups + ((home + i) & t->head.cgroup_mask)];

		for (unsigned k = 0; k < PST_POL_CGROUPS_A_LINE; k++) {
			if (g[k].id == id)
				return &g[k];
			if (!room && (!g[k].id || g[k].id == PST_POL_CGROUP_GONE))
				room = &g[k];
			if (!g[k].id)
				return room;
		}
	}
	return room;
}

void policy_told(struct policy_tables *t)
{
	__atomic_fetch_add(&((struct pst_pol_head *)t->arena.lines)->told, 1, __ATOMIC_SEQ_CST);
}

int policy_cgroup_set(struct policy_tables *t, uint64_t id, const char *path)
{
	size_t len = strlen(path);
	uint32_t classes[PST_PATHS_AUTOMATA], line;
	struct policy_bits in = {0};
	struct pst_pol_cgroup *place;
	int e;

	if (!id || id == PST_POL_CGROUP_GONE || *path != '/' || len > PST_PATH_MAX)
		return -EINVAL;
	if (!t->head.cgroups)
		return 0;
	path_lookup(t->cgroup_lines, t->n_cgroup_lines, (const uint8_t *)path, len, classes);
	for (uint32_t a = 0; a < t->cgroups_compiled.n; a++)
		policy_cgroup_bits(t, a, classes[a], &in);
	for (unsigned w = 0; w < PST_ARRAY_SIZE(in.w); w++)
		in.w[w] ^= t->cgroup_base.w[w];
	place = cgroup_place(t, id);
	if (!place)
		return -ENOSPC;
	e = policy_class_put(t, &t->late, &in, &line);
	if (e)
		return e;
	__atomic_store_n(&place->class, line, __ATOMIC_RELEASE);
	__atomic_store_n(&place->id, id, __ATOMIC_RELEASE);
	policy_told(t);
	return 0;
}

void policy_cgroup_forget(struct policy_tables *t, uint64_t id)
{
	struct pst_pol_cgroup *place = t->head.cgroups ? cgroup_place(t, id) : NULL;

	if (!place || place->id != id)
		return;
	__atomic_store_n(&place->id, PST_POL_CGROUP_GONE, __ATOMIC_RELEASE);
	policy_told(t);
}

void policy_late_forget(struct policy_tables *t)
{
	policy_interns_done(&t->late);
	t->arena.used = t->mark;
	t->n_filled = 0;
	if (t->head.cgroups)
		memset(t->arena.lines + t->head.cgroups, 0, CGROUP_LINES * sizeof(union pst_line));
	if (t->head.inodes)
		memset(t->arena.lines + t->head.inodes, 0,
			((size_t)t->head.inode_mask + 1) * sizeof(union pst_line));
}
