// SPDX-License-Identifier: Apache-2.0
#include "loader/load.h"

#include <bpf/bpf.h>
#include <pthread.h>
#include <string.h>

#include "loader/object.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define THREADS_MAX 8

static struct object_params params_of(const struct build *b)
{
	return (struct object_params){
		.config = &b->l->config,
		.generation = b->generation,
		.seed = b->l->pins.state->seed,
		.path_key = b->l->pins.state->path_key,
		.id_seed = b->l->pins.state->id_seed,
		.percpu_offsets = b->l->features.percpu_offsets,
		.syn_cookies = b->l->features.results[FEATURE_SYN_COOKIES].ok,
		.net_ns = (uint32_t)b->l->features.net_ns,
	};
}

static int configure(struct build *b, const struct plan *plan, const char *name, struct bpf_object *obj)
{
	struct object_params params = params_of(b);
	struct bpf_program *prog;
	int r = object_set_params(obj, &params);

	r = r ? r : plan_set_switches(plan, name, obj);
	if (r)
		return r;
	bpf_object__for_each_program(prog, obj) bpf_program__set_autoload(
		prog, plan_kind(plan, name, bpf_program__name(prog)) != ATTACH_NONE);
	return maps_prepare(&b->maps, &b->l->pins, &b->l->config, obj);
}

static int open_one(struct build *b, const struct plan *plan, const struct image *image,
	struct bpf_object **ret_obj, char why[WHY_MAX])
{
	struct bpf_object *obj = NULL;
	int r = object_open(image, features_core_path(&b->l->features), &obj);

	if (r)
		return r;
	r = configure(b, plan, image->name, obj);
	if (r) {
		snprintf(why, WHY_MAX, "%s", strerror(-r));
		bpf_object__close(obj);
		return r;
	}
	*ret_obj = obj;
	return 0;
}

/* ---- finding out who is to blame ---- */

/* A plan of one sensor alone, or (SENSOR_MAX) one iterator alone. */
static void alone(const struct build *b, enum sensor_id sensor, size_t iterator, struct outcomes *o,
	struct plan *ret_plan)
{
	*o = b->outcomes;
	for (int s = 0; s < SENSOR_MAX; s++)
		if (s != (int)sensor)
			o->sensors[s].rung = RUNG_NONE;
	for (size_t i = 0; i < n_iterators; i++)
		if (sensor != SENSOR_MAX || i != iterator)
			snprintf(o->iterators[i], WHY_MAX, "not now");
	*ret_plan = (struct plan){.config = b->plan.config, .o = o};
}

static bool loads(struct build *b, const struct plan *plan, const struct image *image, char why[WHY_MAX])
{
	struct bpf_object *obj = NULL;

	if (!plan_uses(plan, image->name))
		return true;
	if (open_one(b, plan, image, &obj, why))
		return false;
	bool ok = !object_load(obj, &b->l->features, why);
	bpf_object__close(obj);
	return ok;
}

/* The rung fails in this object: is it an optional program? Then the rung can do without. True: something
 * changed. */
static bool blame_sensor(struct build *b, enum sensor_id s, const struct image *image)
{
	const struct rung *rung = plan_rung(&b->plan, s);
	char why[WHY_MAX], other[WHY_MAX];
	struct outcomes o;
	struct plan plan;

	if (!rung)
		return false;
	alone(b, s, 0, &o, &plan);
	if (loads(b, &plan, image, why))
		return false;
	for (unsigned p = 0; p < RUNG_PROGRAMS_MAX && rung->programs[p].object; p++) {
		if (!rung->programs[p].optional || !plan_has(&b->plan, s, p))
			continue;
		o.sensors[s].skipped |= 1u << p;
		if (loads(b, &plan, image, other)) {
			b->outcomes.sensors[s].skipped = o.sensors[s].skipped;
			pst_warn("leaving out program=%s sensor=%s: %s", rung->programs[p].program,
				sensors[s].name, why);
			return true;
		}
	}
	pst_info("sensor=%s rung=%s does not work here: %s", sensors[s].name, rung->name, why);
	plan_demote(&b->plan, s, why);
	return true;
}

static bool blame_iterator(struct build *b, size_t i, const struct image *image)
{
	char why[WHY_MAX];
	struct outcomes o;
	struct plan plan;

	if (!plan_iterator(&b->plan, i))
		return false;
	alone(b, SENSOR_MAX, i, &o, &plan);
	if (loads(b, &plan, image, why))
		return false;
	pst_warn("iterator=%s does not work here: %s", iterators[i].name, why);
	snprintf(b->outcomes.iterators[i], WHY_MAX, "%s", why);
	return true;
}

/* Each by itself loads, together they do not (too large for the verifier): one has to go, the last in the
 * list. */
static bool blame_last(struct build *b, const struct image *image, const char *why)
{
	for (int s = SENSOR_MAX - 1; s >= 0; s--) {
		struct outcomes o;
		struct plan plan;

		alone(b, (enum sensor_id)s, 0, &o, &plan);
		if (!plan_uses(&plan, image->name))
			continue;
		pst_warn("sensor=%s does not load together with others object=%s: %s", sensors[s].name,
			image->name, why);
		plan_demote(&b->plan, (enum sensor_id)s, why);
		return true;
	}
	return false;
}

static int blame(struct build *b, const struct image *image, const char *why)
{
	bool changed = false;

	for (int s = 0; s < SENSOR_MAX; s++)
		changed |= blame_sensor(b, (enum sensor_id)s, image);
	for (size_t i = 0; i < n_iterators; i++)
		changed |= blame_iterator(b, i, image);
	if (changed || blame_last(b, image, why))
		return 0;
	pst_error("object does not load object=%s error=%s", image->name, why);
	return -EIO;
}

/* ---- loading ---- */

static bool same_key(const struct fingerprint *a, const struct fingerprint *b)
{
	return a->v[0] == b->v[0] && a->v[1] == b->v[1];
}

struct job {
	const struct features *features;
	struct bpf_object *obj; /* NULL: nothing to do */
	int error;
	char why[WHY_MAX];
};

/* Jobs in the order of the images, taken by whoever is free. */
struct jobs {
	struct job v[IMAGES_MAX];
	size_t n, next;
};

/* The verifier takes most of the time of a load, and works on as many programs at once as there are CPUs. */
static void *work(void *arg)
{
	struct jobs *jobs = arg;

	for (;;) {
		size_t i = __atomic_fetch_add(&jobs->next, 1, __ATOMIC_RELAXED);

		if (i >= jobs->n)
			return NULL;
		if (jobs->v[i].obj)
			jobs->v[i].error = object_load(jobs->v[i].obj, jobs->v[i].features, jobs->v[i].why);
	}
}

static void work_all(struct jobs *jobs)
{
	pthread_t threads[THREADS_MAX];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = 0;

	for (long i = 1; i < PST_MIN(cpus, THREADS_MAX); i++)
		if (!pthread_create(&threads[n], NULL, work, jobs))
			n++;
	work(jobs);
	while (n)
		pthread_join(threads[--n], NULL);
}

/* Opens what is not loaded yet for what the plan wants of it. */
static int open_all(struct build *b, struct jobs *jobs)
{
	for (size_t i = 0; i < n_images; i++) {
		struct fingerprint key = plan_object_key(&b->plan, images[i].name);
		struct job *job = &jobs->v[i];

		job->features = &b->l->features;
		if (b->objs[i] && !same_key(&key, &b->keys[i])) {
			bpf_object__close(b->objs[i]);
			b->objs[i] = NULL;
		}
		if (b->objs[i] || !plan_uses(&b->plan, images[i].name))
			continue;
		b->keys[i] = key;
		int r = open_one(b, &b->plan, &images[i], &job->obj, job->why);
		if (r)
			return r;
	}
	jobs->n = n_images;
	return 0;
}

int load_objects(struct build *b)
{
	struct jobs jobs = {.n = 0};
	int r = open_all(b, &jobs);
	bool failed = false;

	if (!r)
		work_all(&jobs);
	for (size_t i = 0; i < n_images; i++) {
		if (r || jobs.v[i].error)
			bpf_object__close(jobs.v[i].obj);
		else if (jobs.v[i].obj)
			b->objs[i] = jobs.v[i].obj;
		failed |= jobs.v[i].error != 0;
	}
	for (size_t i = 0; i < n_images && !r; i++) {
		int error = jobs.v[i].error;

		if (!error)
			continue;
		/* ENOSPC is also what older kernels say when the verifier's log is longer than the buffer */
		r = feature_passing(error) && error != -ENOSPC ? error : blame(b, &images[i], jobs.v[i].why);
	}
	return r ? r : failed;
}
