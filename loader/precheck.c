// SPDX-License-Identifier: Apache-2.0
#include "loader/precheck.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <string.h>

#include "loader/object.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define TARGETS_MAX 256

/* What a program of the ladder attaches to. */
struct target {
	const char *object, *program;
	char name[72];
	unsigned kind; /* BTF_KIND_*, 0: nothing to look for */
	bool found;
};

struct targets {
	struct target v[TARGETS_MAX];
	unsigned n;
};

static struct target *find(struct targets *t, const char *object, const char *program)
{
	for (unsigned i = 0; i < t->n; i++)
		if (!strcmp(t->v[i].object, object) && !strcmp(t->v[i].program, program))
			return &t->v[i];
	return NULL;
}

/* Every program of the image; the names live as long as the object, so they are taken from the caller's
 * tables later. */
static int collect(struct targets *t, const struct image *image, struct bpf_object *obj)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
	{
		struct target *target = &t->v[t->n];

		if (t->n == TARGETS_MAX)
			return -E2BIG;
		*target = (struct target){.object = image->name, .program = strdup(bpf_program__name(prog))};
		if (!target->program)
			return -ENOMEM;
		object_target(
			bpf_program__section_name(prog), target->name, sizeof(target->name), &target->kind);
		target->found = !target->kind;
		t->n++;
	}
	return 0;
}

static void release(struct targets *t)
{
	for (unsigned i = 0; i < t->n; i++)
		free((char *)t->v[i].program);
}

static int collect_all(struct targets *t)
{
	for (size_t i = 0; i < n_images; i++) {
		struct bpf_object *obj = NULL;
		int r = object_open(&images[i], NULL, &obj);

		if (r)
			return r;
		r = collect(t, &images[i], obj);
		bpf_object__close(obj);
		if (r)
			return r;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp((*(struct target *const *)a)->name, (*(struct target *const *)b)->name);
}

/* First of the sorted targets that is not before @name. */
static unsigned lower_bound(struct target *const *sorted, unsigned n, const char *name)
{
	unsigned lo = 0;

	while (n) {
		unsigned half = n / 2;

		if (strcmp(sorted[lo + half]->name, name) < 0) {
			lo += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return lo;
}

/* One walk over the kernel's types for all targets together: asking for one name is such a walk as well. */
static void look_up(struct targets *t, const struct btf *btf)
{
	struct target *sorted[TARGETS_MAX];
	uint32_t types = btf__type_cnt(btf);

	for (unsigned i = 0; i < t->n; i++)
		sorted[i] = &t->v[i];
	qsort(sorted, t->n, sizeof(void *), compare);
	for (uint32_t id = 1; id < types; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		unsigned kind = btf_kind(type);
		const char *name;

		if (kind != BTF_KIND_FUNC && kind != BTF_KIND_TYPEDEF)
			continue;
		name = btf__name_by_offset(btf, type->name_off);
		for (unsigned i = lower_bound(sorted, t->n, name); i < t->n && !strcmp(sorted[i]->name, name);
			i++)
			sorted[i]->found |= sorted[i]->kind == kind;
	}
}

/* ---- judging ---- */

static bool needs_met(const struct rung *rung, struct features *features, char why[WHY_MAX])
{
	for (unsigned f = 0; f < FEATURE_MAX; f++) {
		const struct feature_result *result;

		if (!(rung->needs & 1u << f))
			continue;
		result = feature_get(features, (enum feature_id)f);
		if (!result->ok) {
			snprintf(why, WHY_MAX, "%s: %.*s", feature_table[f].name, WHY_MAX - 24, result->why);
			return false;
		}
	}
	return true;
}

static bool programs_there(struct plan *plan, struct targets *t, enum sensor_id s, char why[WHY_MAX])
{
	const struct rung *rung = plan_rung(plan, s);

	for (unsigned p = 0; p < RUNG_PROGRAMS_MAX && rung->programs[p].object; p++) {
		struct target *target = find(t, rung->programs[p].object, rung->programs[p].program);

		if (target && target->found)
			continue;
		if (target && rung->programs[p].optional) {
			plan->o->sensors[s].skipped |= 1u << p;
			continue;
		}
		if (target)
			snprintf(why, WHY_MAX, "this kernel has no %s", target->name);
		else
			snprintf(why, WHY_MAX, "object %s has no program %s", rung->programs[p].object,
				rung->programs[p].program);
		return false;
	}
	return true;
}

static void judge(struct plan *plan, struct targets *t, struct features *features)
{
	char why[WHY_MAX];

	for (int i = 0; i < SENSOR_MAX; i++) {
		enum sensor_id s = (enum sensor_id)i;
		const struct rung *rung;

		while ((rung = plan_rung(plan, s)) &&
			!(needs_met(rung, features, why) && programs_there(plan, t, s, why))) {
			pst_debug("sensor=%s rung=%s cannot be had: %s", sensors[s].name, rung->name, why);
			plan_demote(plan, s, why);
		}
	}
	for (size_t i = 0; i < n_iterators; i++) {
		struct target *target = find(t, iterators[i].object, iterators[i].program);

		if (plan_iterator(plan, i) && !(target && target->found))
			snprintf(plan->o->iterators[i], WHY_MAX, "this kernel has no %s",
				target ? target->name : iterators[i].program);
	}
}

int precheck(struct plan *plan, struct features *features)
{
	PST_CLEANUP(release) struct targets t = {0};
	int r = collect_all(&t);

	if (r)
		return r;
	if (!features_btf(features)) {
		pst_error("the kernel has no type information (/sys/kernel/btf/vmlinux): nothing can be "
			  "loaded");
		return -EOPNOTSUPP;
	}
	look_up(&t, features->btf);
	judge(plan, &t, features);
	return 0;
}
