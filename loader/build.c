// SPDX-License-Identifier: Apache-2.0
#include "loader/build.h"

#include <bpf/bpf.h>
#include <string.h>

#include "loader/load.h"
#include "loader/precheck.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define ROUNDS_MAX 128 /* every round takes away a rung or a program */

/* ---- attaching ---- */

struct bpf_program *build_program(const struct build *b, const char *object, const char *program)
{
	int i = image_find(object);

	if (i < 0 || !b->objs[i])
		return NULL;
	struct bpf_program *prog = bpf_object__find_program_by_name(b->objs[i], program);
	return prog && bpf_program__fd(prog) >= 0 ? prog : NULL;
}

static void drop_links(struct build *b)
{
	for (unsigned i = 0; i < b->n_links; i++)
		bpf_link__destroy(b->links[i]);
	b->n_links = 0;
}

static bool already_attached(const struct build *b, const struct rung_program *p)
{
	return pins_is_staged(&b->l->pins, PIN_LINKS, p->program);
}

static int keep_link(struct build *b, enum pin_dir dir, const char *name, struct bpf_link *link)
{
	if (b->n_links == BUILD_LINKS_MAX) {
		bpf_link__destroy(link);
		return -E2BIG;
	}
	b->links[b->n_links++] = link;
	return pins_stage(&b->l->pins, dir, name, bpf_link__fd(link));
}

/* 0; 1: this kernel does not attach it, @ret_error says why; -errno: something else went wrong. */
static int stage_program(struct build *b, const struct rung_program *p, int *ret_error)
{
	struct bpf_program *prog = build_program(b, p->object, p->program);
	struct bpf_link *link;

	if (!prog)
		return -ESRCH;
	if (p->kind == ATTACH_CGROUP && b->l->cgroup_fd < 0) {
		*ret_error = b->l->cgroup_fd;
		return 1;
	}
	if (p->kind != ATTACH_TRACE)
		return pins_stage(&b->l->pins, PIN_PROGS, p->program, bpf_program__fd(prog));
	if (already_attached(b, p)) /* two sensors share it */
		return 0;
	link = bpf_program__attach(prog);
	if (link)
		return keep_link(b, PIN_LINKS, p->program, link);
	*ret_error = -errno;
	return feature_passing(errno) ? -errno : 1;
}

/* 0, 1: the sensor has another rung now, -errno. */
static int stage_sensor(struct build *b, enum sensor_id s)
{
	const struct rung *rung = plan_rung(&b->plan, s);

	for (unsigned p = 0; rung && p < RUNG_PROGRAMS_MAX && rung->programs[p].object; p++) {
		int error = 0,
		    r = plan_has(&b->plan, s, p) ? stage_program(b, &rung->programs[p], &error) : 0;
		char why[WHY_MAX];

		if (!r)
			continue;
		if (error && rung->programs[p].kind == ATTACH_CGROUP)
			snprintf(why, sizeof(why), "%.150s", b->l->cgroup_text);
		else
			feature_why(&b->l->features, r < 0 ? r : error, why);
		pst_info("sensor=%s rung=%s program=%s cannot be attached: %s", sensors[s].name, rung->name,
			rung->programs[p].program, why);
		if (r < 0)
			return r;
		if (rung->programs[p].optional)
			b->outcomes.sensors[s].skipped |= 1u << p;
		else
			plan_demote(&b->plan, s, why);
		return 1;
	}
	return 0;
}

static int stage_iterator(struct build *b, size_t i)
{
	struct bpf_program *prog = build_program(b, iterators[i].object, iterators[i].program);
	const struct map_entry *map = iterators[i].map ? maps_find(&b->maps, iterators[i].map) : NULL;
	union bpf_iter_link_info info = {.map.map_fd = map ? (uint32_t)map->fd : 0};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = map ? &info : NULL,
		.link_info_len = map ? sizeof(info) : 0);
	struct bpf_link *link;

	if (!prog || (iterators[i].map && !map))
		return -ESRCH;
	link = bpf_program__attach_iter(prog, &opts);
	if (!link)
		return -errno;
	return keep_link(b, PIN_ITERS, iterators[i].name, link);
}

static int stage_round(struct build *b)
{
	for (int s = 0; s < SENSOR_MAX; s++) {
		int r = stage_sensor(b, (enum sensor_id)s);

		if (r)
			return r;
	}
	for (size_t i = 0; i < n_iterators; i++) {
		int r = plan_iterator(&b->plan, i) ? stage_iterator(b, i) : 0;

		if (!r)
			continue;
		if (feature_passing(r))
			return r;
		feature_why(&b->l->features, r, b->outcomes.iterators[i]);
		pst_warn("iterator=%s cannot be attached: %s", iterators[i].name, b->outcomes.iterators[i]);
	}
	return 0;
}

/* What an attempt left in staging, but not the maps: they are shared by the next one. */
static void drop_attempt(struct build *b)
{
	drop_links(b);
	pins_drop_staged_but_maps(&b->l->pins);
}

int build_run(struct build *b, struct loader *l, uint32_t generation)
{
	int r;

	*b = (struct build){.l = l, .generation = generation};
	plan_init(&b->plan, &l->config, &b->outcomes);
	r = precheck(&b->plan, &l->features);
	if (r)
		return r;
	for (int round = 0; round < ROUNDS_MAX; round++) {
		r = load_objects(b);
		if (!r)
			r = stage_round(b);
		if (r <= 0)
			return r;
		drop_attempt(b);
	}
	pst_error("the ladder does not settle");
	return -ELOOP;
}

void build_done(struct build *b)
{
	drop_links(b);
	for (size_t i = 0; i < n_images; i++)
		bpf_object__close(b->objs[i]);
	maps_done(&b->maps);
	memset(b->objs, 0, sizeof(b->objs));
}
