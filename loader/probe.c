// SPDX-License-Identifier: Apache-2.0
#include "loader/probe.h"

#include <bpf/libbpf.h>
#include <jansson.h>
#include <string.h>

#include "loader/object.h"
#include "loader/policyreport.h"
#include "loader/precheck.h"
#include "loader/report.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

/* The gate of a fresh map says 0, which is long before: what is attached for a moment does nothing. */
#define GENERATION_NEVER 0x7fffffffu
#define TRIALS_MAX       128

/* Tried already: two rungs may differ only in how they attach. */
struct trial {
	size_t image;
	struct fingerprint key;
	bool ok;
	char why[WHY_MAX];
};

struct prober {
	struct loader *l;
	struct loader_config
		small; /* the smallest tables: nobody will fill them; views the loader's strings */
	struct trial trials[TRIALS_MAX];
	unsigned n_trials;
};

static const struct trial *tried(const struct prober *p, size_t image, const struct fingerprint *key)
{
	for (unsigned i = 0; i < p->n_trials; i++)
		if (p->trials[i].image == image && !memcmp(&p->trials[i].key, key, sizeof(*key)))
			return &p->trials[i];
	return NULL;
}

static int try_attach(struct prober *p, const struct plan *plan, const char *object, struct bpf_object *obj,
	char why[WHY_MAX])
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
	{
		if (plan_kind(plan, object, bpf_program__name(prog)) != ATTACH_TRACE)
			continue;
		struct bpf_link *link = bpf_program__attach(prog);
		if (!link) {
			feature_why(&p->l->features, errno, why);
			return -EIO;
		}
		bpf_link__destroy(link);
	}
	return 0;
}

static int try_image(struct prober *p, const struct plan *plan, const struct image *image, char why[WHY_MAX])
{
	static const uint64_t seed[SEED_WORDS] = {1, 2, 3, 4, 5, 6, 7};
	struct object_params params = {.config = &p->small,
		.generation = GENERATION_NEVER,
		.seed = seed,
		.path_key = seed,
		.syn_cookies = feature_get(&p->l->features, FEATURE_SYN_COOKIES)->ok};
	PST_CLEANUP(maps_done) struct maps maps = {0};
	struct bpf_object *obj = NULL;
	struct bpf_program *prog;
	int r = object_open(image, features_core_path(&p->l->features), &obj);

	if (r)
		return r;
	r = object_set_params(obj, &params);
	r = r ? r : plan_set_switches(plan, image->name, obj);
	bpf_object__for_each_program(prog, obj) bpf_program__set_autoload(
		prog, plan_kind(plan, image->name, bpf_program__name(prog)) != ATTACH_NONE);
	r = r ? r : maps_prepare(&maps, NULL, &p->small, obj);
	if (r)
		feature_why(&p->l->features, r, why);
	r = r ? r : object_load(obj, &p->l->features, why);
	r = r ? r : try_attach(p, plan, image->name, obj, why);
	bpf_object__close(obj);
	return r;
}

/* Every object of the plan; the first reason is kept. */
static bool try_plan(struct prober *p, const struct plan *plan, char why[WHY_MAX])
{
	for (size_t i = 0; i < n_images; i++) {
		struct fingerprint key = plan_object_key(plan, images[i].name);
		const struct trial *known;

		if (!plan_uses(plan, images[i].name))
			continue;
		known = tried(p, i, &key);
		if (!known && p->n_trials < TRIALS_MAX) {
			struct trial *t = &p->trials[p->n_trials++];

			*t = (struct trial){.image = i, .key = key};
			t->ok = !try_image(p, plan, &images[i], t->why);
			known = t;
		}
		if (known && !known->ok) {
			snprintf(why, WHY_MAX, "%s", known->why);
			return false;
		}
	}
	return true;
}

/* One rung of one sensor by itself. */
static bool try_rung(struct prober *p, enum sensor_id s, int rung, char why[WHY_MAX])
{
	struct loader_config config = p->small;
	struct outcomes o;
	struct plan plan;

	for (int i = 0; i < SENSOR_MAX; i++) {
		config.sensors[i] = i == (int)s;
		config.rungs[i] = i == (int)s ? (char *)sensors[s].rungs[rung].name : (char *)"auto";
	}
	plan_init(&plan, &config, &o);
	for (size_t i = 0; i < n_iterators; i++)
		snprintf(o.iterators[i], WHY_MAX, "not now");
	if (precheck(&plan, &p->l->features)) {
		snprintf(why, WHY_MAX, "the kernel has no type information");
		return false;
	}
	if (plan_rung(&plan, s))
		return try_plan(p, &plan, why);
	snprintf(why, WHY_MAX, "%s", o.sensors[s].why[rung]);
	return false;
}

static bool try_iterator(struct prober *p, size_t iterator, char why[WHY_MAX])
{
	struct loader_config config = p->small;
	struct outcomes o;
	struct plan plan;

	memset(config.sensors, 0, sizeof(config.sensors));
	plan_init(&plan, &config, &o);
	for (size_t i = 0; i < n_iterators; i++)
		snprintf(o.iterators[i], WHY_MAX, "%s", i == iterator ? "" : "not now");
	if (!precheck(&plan, &p->l->features) && plan_iterator(&plan, iterator))
		return try_plan(p, &plan, why);
	snprintf(why, WHY_MAX, "%s", o.iterators[iterator]);
	return false;
}

/* ---- JSON ---- */

static json_t *row(const char *key, const char *name, bool ok, unsigned can, const char *why)
{
	return json_pack("{s:s, s:b, s:o, s:s}", key, name, "available", ok, "can", report_can(ok ? can : 0),
		"why", why);
}

static bool kills(struct prober *p)
{
	return feature_get(&p->l->features, FEATURE_SEND_SIGNAL)->ok;
}

static json_t *sensor_rows(struct prober *p, enum sensor_id s)
{
	json_t *list = json_array();

	for (int r = 0; r < RUNGS_MAX && sensors[s].rungs[r].name; r++) {
		char why[WHY_MAX] = "";
		bool ok = try_rung(p, s, r, why);

		json_array_append_new(list, row("rung", sensors[s].rungs[r].name, ok,
						    ladder_can(&sensors[s].rungs[r], kills(p)), why));
	}
	return list;
}

static const char *text(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

/* Of a row that is there. */
static const char *level_of(const json_t *can)
{
	const char *level = "none";
	const json_t *v;
	size_t i;

	json_array_foreach(can, i, v)
	{
		/* in the order of report_can(), of which deny is more than kill */
		if (strcmp(level, "deny") != 0)
			level = json_string_value(v);
	}
	return level;
}

/* What policies could do about it: by the strongest rung that is there. */
static json_t *operation(unsigned op, const json_t *list)
{
	int s = policyreport_sensor(op);
	const json_t *rungs = s < 0 ? NULL : json_object_get(json_array_get(list, (size_t)s), "rungs"), *r;
	const char *why = s < 0 ? "no program judges it" : "";
	size_t i;

	json_array_foreach(rungs, i, r)
	{
		if (json_is_true(json_object_get(r, "available")))
			return json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", ladder_op_name(op), "level",
				level_of(json_object_get(r, "can")), "sensor", sensors[s].name, "rung",
				text(r, "rung"), "why", why);
		if (!*why)
			why = text(r, "why");
	}
	return json_pack("{s:s, s:s, s:s?, s:n, s:s}", "name", ladder_op_name(op), "level", "none", "sensor",
		s < 0 ? NULL : sensors[s].name, "rung", "why", why);
}

static json_t *operations(const json_t *list)
{
	json_t *ops = json_array();

	for (unsigned op = 0; op < PST_OPS_MAX; op++)
		if (ladder_op_name(op))
			json_array_append_new(ops, operation(op, list));
	return ops;
}

static json_t *collect(struct prober *p)
{
	json_t *features = json_array(), *list = json_array(), *iters = json_array();

	for (int f = 0; f < FEATURE_MAX; f++) {
		const struct feature_result *r = feature_get(&p->l->features, (enum feature_id)f);
		json_t *j = row("name", feature_table[f].name, r->ok, feature_table[f].can, r->why);

		json_object_set_new(j, "help", json_string(feature_table[f].help));
		json_array_append_new(features, j);
	}
	for (int s = 0; s < SENSOR_MAX; s++)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:o}", "name", sensors[s].name, "help", sensors[s].help,
				      "rungs", sensor_rows(p, (enum sensor_id)s)));
	for (size_t i = 0; i < n_iterators; i++) {
		char why[WHY_MAX] = "";
		bool ok = try_iterator(p, i, why);

		json_array_append_new(iters, row("name", iterators[i].name, ok, CAN_OBSERVE, why));
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "kernel", report_kernel(&p->l->features), "features",
		features, "sensors", list, "operations", operations(list), "iterators", iters);
}

/* ---- for people ---- */

static bool colour;

static void print_row(const json_t *j, const char *first, const char *second)
{
	bool ok = json_is_true(json_object_get(j, "available"));
	const char *why = text(j, "why");
	char can[CAN_TEXT_MAX] = "";
	const json_t *v;
	size_t i;

	json_array_foreach(json_object_get(j, "can"), i, v) snprintf(
		can + strlen(can), sizeof(can) - strlen(can), "%s%s", i ? " " : "", json_string_value(v));
	printf("  %-17s%-11s%s%-4s%s %-18s%s\n", first, second, colour ? (ok ? "\033[32m" : "\033[31m") : "",
		ok ? "yes" : "no", colour ? "\033[0m" : "", can, why);
}

static void print_head(const char *title)
{
	printf("\n%s%s%s\n", colour ? "\033[1m" : "", title, colour ? "\033[0m" : "");
}

static void print_table(const json_t *root)
{
	const json_t *k = json_object_get(root, "kernel"), *j, *r;
	size_t i, n;

	printf("Linux %s  lockdown=%s  lsm=%s  unprivileged_bpf_disabled=%d\n", text(k, "release"),
		text(k, "lockdown"), text(k, "lsm"),
		(int)json_integer_value(json_object_get(k, "unprivileged_bpf_disabled")));
	print_head("Features          what it is");
	json_array_foreach(json_object_get(root, "features"), i, j)
	{
		print_row(j, text(j, "name"), "");
	}
	print_head("Sensors, strongest rung first");
	json_array_foreach(json_object_get(root, "sensors"), i, j)
	{
		json_array_foreach(json_object_get(j, "rungs"), n, r)
		{
			print_row(r, n ? "" : text(j, "name"), text(r, "rung"));
		}
	}
	print_head("Operations of policies, and what can be done about them");
	json_array_foreach(json_object_get(root, "operations"), i, j)
	{
		printf("  %-19s%-9s%s\n", text(j, "name"), text(j, "level"), text(j, "why"));
	}
	print_head("Iterators");
	json_array_foreach(json_object_get(root, "iterators"), i, j)
	{
		print_row(j, text(j, "name"), "");
	}
}

int probe(struct loader *l, bool json)
{
	static char all[] = "*", *any[] = {all};
	struct prober p = {.l = l, .small = l->config};
	json_t *root;

	if (geteuid()) {
		pst_error("must run as root");
		return -EPERM;
	}
	object_init_library();
	features_init(&l->features);
	for (int c = 0; c < PST_CLASS_MAX; c++)
		p.small.ring_bytes[c] = 65536;
	p.small.flow_slots = p.small.udp_slots = 64;
	p.small.firewall_memory = p.small.list_memory = 65536;
	p.small.connections = p.small.sources = 64;
	p.small.policy_memory = 65536;
	p.small.guarded =
		(struct pst_strs){.v = any, .n = 1}; /* the guard is off where it has no interface */
	root = collect(&p);
	if (!root)
		return -ENOMEM;
	if (json) {
		json_dumpf(root, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
		print_table(root);
	}
	json_decref(root);
	return 0;
}
