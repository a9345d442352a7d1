// SPDX-License-Identifier: Apache-2.0
/* The tables against the plain evaluation of the policies, on acts that sit at the rules' corners. */
#include <errno.h>
#include <string.h>

#include "proto/abi/lookup/policy.h"
#include "policyd/policy/compile.h"
#include "proto/base/cleanup.h"

#define CGROUPS    1024      /* ids that are used in turn */
#define PATHS      200       /* compared with the patterns by themselves */
#define WORK_MAX   20000000u /* conditions that are looked at in all: some nanoseconds each */
#define ACTS_LEAST 200

/* The class of a cgroup of this path, as a new one would get it; 0: not known. */
static uint64_t cgroup_of(struct policy_tables *t, size_t i, const char *path)
{
	uint64_t id = 1 + i % CGROUPS;
	int e = path ? policy_cgroup_set(t, id, path) : -EINVAL;

	if (e == -ENOSPC) { /* those before need not be known any more */
		policy_late_forget(t);
		e = policy_cgroup_set(t, id, path);
	}
	return e ? 0 : id;
}

/* Files as the kernel tells them, for the act's aliases. */
struct files {
	struct pst_file_id ids[POLICY_ALIASES_OF], above[2][2];
	struct policy_told told;
};

/* The alias is what has this inode. */
static void tell_file(struct files *f, const struct policy_alias *a, const struct pst_file_id *id)
{
	static const struct pst_file_id other = {.ino = 1, .dev = 9};
	bool second = a->of == POLICY_ALIAS_PATH_TO;
	struct pst_file_id *above = f->above[second];
	struct policy_where *where = second ? &f->told.path_to : &f->told.path;

	if (a->of == POLICY_ALIAS_EXECUTABLE) {
		f->told.executable = *id;
	} else if (a->of == POLICY_ALIAS_TARGET) {
		f->told.target = *id;
	} else if (a->as == POLICY_ALIAS_FILE) {
		where->id = *id;
	} else {
		above[0] = above[1] = other;
		above[a->as == POLICY_ALIAS_ABOVE] = *id;
		where->above = above;
		where->n_above = 2;
	}
}

bool policy_sample_facts(struct policy_tables *t, size_t i, struct policy_sample *s, struct pst_act *ret_act)
{
	uint64_t cgroup = cgroup_of(t, i, s->act.cgroup);
	struct files f = {0};
	bool good = true;

	if (!cgroup)
		s->act.cgroup = NULL;
	policy_facts(t, &s->act, cgroup, ret_act);
	for (size_t k = 0; k < s->act.n_aliases && good; k++) {
		f.ids[k] = (struct pst_file_id){.ino = 1 + i, .dev = 1 + s->act.aliases[k].of};
		good = !policy_inode_set(t, &f.ids[k], s->act.aliases[k].path);
		tell_file(&f, &s->act.aliases[k], &f.ids[k]);
	}
	policy_inode_facts(t, &f.told, ret_act);
	for (size_t k = 0; k < s->act.n_aliases; k++)
		policy_inode_forget(t, &f.ids[k]);
	return good;
}

static bool agrees(struct policy_tables *t, size_t i, struct policy_sample *s)
{
	struct policy_verdict want, got;
	struct policy_found found;
	struct pst_act act;

	if (!policy_sample_facts(t, i, s, &act))
		return false;
	want = policy_judge(t->set, &s->act);
	found = policy_lookup(t->room.lines, t->room.n_lines, &act);
	got = policy_tables_verdict(t, &found);
	return !found.cut && want.rule == got.rule && want.policy == got.policy && want.action == got.action;
}

/* As many acts as cost less than WORK_MAX. */
static size_t affordable(const struct policy_tables *t, size_t n)
{
	size_t each = t->set->n + t->set->n_elements / 8 + 1;

	for (unsigned dim = 0; dim < POLICY_DIMS_ALL; dim++)
		each += t->asks[dim].n;
	return PST_MIN(n, PST_MAX(WORK_MAX / each, (size_t)ACTS_LEAST));
}

bool policy_verify(struct policy_tables *t, size_t *n, uint64_t seed, struct policy_sample *s)
{
	uint64_t state = seed | 1;
	size_t paths = PATHS, len;
	bool good;

	memset(s, 0, sizeof(*s));
	good = path_verify(&t->patterns, &t->compiled, t->room.paths, t->room.n_paths, &paths, seed,
		(uint8_t *)s->path, &len);
	if (!good) {
		s->path[len] = 0;
		s->act.path = s->path;
		return false;
	}
	*n = affordable(t, *n);
	for (size_t i = 0; i < *n && good; i++) {
		policy_sample(t, &state, s);
		good = agrees(t, i, s);
	}
	policy_late_forget(t);
	return good;
}
