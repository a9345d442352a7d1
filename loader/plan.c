// SPDX-License-Identifier: Apache-2.0
#include "loader/plan.h"

#include <stdio.h>
#include <string.h>

#include "loader/object.h"

static bool forced(const struct plan *plan, enum sensor_id s)
{
	return strcmp(plan->config->rungs[s], "auto") != 0;
}

static void settle_iterators(struct plan *plan)
{
	for (size_t i = 0; i < n_iterators; i++) {
		int s = iterators[i].sensor;
		char *why = plan->o->iterators[i];

		if (s >= 0 && plan->o->sensors[s].rung == RUNG_NONE && !why[0])
			snprintf(why, WHY_MAX, "sensor %s is off", sensors[s].name);
	}
}

void plan_init(struct plan *plan, const struct loader_config *config, struct outcomes *outcomes)
{
	*plan = (struct plan){.config = config, .o = outcomes};
	memset(outcomes, 0, sizeof(*outcomes));
	for (int s = 0; s < SENSOR_MAX; s++) {
		struct outcome *o = &outcomes->sensors[s];

		o->off = !config->sensors[s] || (s == SENSOR_GUARD && !config->guarded.n);
		if (o->off || !sensors[s].rungs[0].name)
			o->rung = RUNG_NONE;
		else if (forced(plan, (enum sensor_id)s))
			o->rung = ladder_rung_find((enum sensor_id)s, config->rungs[s]);
		for (int r = 0; r < o->rung; r++)
			snprintf(o->why[r], WHY_MAX, "the configuration asks for %s", config->rungs[s]);
	}
	settle_iterators(plan);
}

void plan_demote(struct plan *plan, enum sensor_id s, const char *why)
{
	struct outcome *o = &plan->o->sensors[s];
	int next = o->rung + 1;

	if (o->rung == RUNG_NONE)
		return;
	snprintf(o->why[o->rung], WHY_MAX, "%s", why);
	o->skipped = 0;
	o->rung = next < RUNGS_MAX && sensors[s].rungs[next].name && !forced(plan, s) ? next : RUNG_NONE;
	settle_iterators(plan);
}

const struct rung *plan_rung(const struct plan *plan, enum sensor_id s)
{
	int r = plan->o->sensors[s].rung;

	return r == RUNG_NONE ? NULL : &sensors[s].rungs[r];
}

bool plan_has(const struct plan *plan, enum sensor_id s, unsigned program)
{
	const struct rung *rung = plan_rung(plan, s);
	const struct rung_program *p = rung && program < RUNG_PROGRAMS_MAX ? &rung->programs[program] : NULL;

	if (!p || !p->object || plan->o->sensors[s].skipped & 1u << program)
		return false;
	return p->kind != ATTACH_XDP || plan->config->xdp.n; /* nobody asked for XDP */
}

bool plan_iterator(const struct plan *plan, size_t iterator)
{
	return !plan->o->iterators[iterator][0];
}

enum attach_kind plan_kind(const struct plan *plan, const char *object, const char *program)
{
	for (int s = 0; s < SENSOR_MAX; s++) {
		const struct rung *rung = plan_rung(plan, (enum sensor_id)s);

		for (unsigned p = 0; rung && p < RUNG_PROGRAMS_MAX && rung->programs[p].object; p++)
			if (plan_has(plan, (enum sensor_id)s, p) &&
				!strcmp(rung->programs[p].object, object) &&
				!strcmp(rung->programs[p].program, program))
				return rung->programs[p].kind;
	}
	for (size_t i = 0; i < n_iterators; i++)
		if (plan_iterator(plan, i) && !strcmp(iterators[i].object, object) &&
			!strcmp(iterators[i].program, program))
			return ATTACH_ITER;
	return ATTACH_NONE;
}

bool plan_uses(const struct plan *plan, const char *object)
{
	for (int s = 0; s < SENSOR_MAX; s++) {
		const struct rung *rung = plan_rung(plan, (enum sensor_id)s);

		for (unsigned p = 0; rung && p < RUNG_PROGRAMS_MAX && rung->programs[p].object; p++)
			if (plan_has(plan, (enum sensor_id)s, p) && !strcmp(rung->programs[p].object, object))
				return true;
	}
	for (size_t i = 0; i < n_iterators; i++)
		if (plan_iterator(plan, i) && !strcmp(iterators[i].object, object))
			return true;
	return false;
}

static bool names_switch(const struct rung *rung, const char *object, const char *symbol)
{
	for (unsigned i = 0; i < RUNG_SWITCHES_MAX && rung->switches[i].object; i++)
		if (!strcmp(rung->switches[i].object, object) && !strcmp(rung->switches[i].symbol, symbol))
			return true;
	return false;
}

bool plan_switch(const struct plan *plan, const char *object, const char *symbol)
{
	for (int s = 0; s < SENSOR_MAX; s++) {
		const struct rung *rung = plan_rung(plan, (enum sensor_id)s);

		if (rung && names_switch(rung, object, symbol))
			return true;
	}
	return false;
}

/* Every switch that any rung of the ladder names: those that no rung in use names are set to false. */
int plan_set_switches(const struct plan *plan, const char *object, struct bpf_object *obj)
{
	for (int s = 0; s < SENSOR_MAX; s++)
		for (int r = 0; r < RUNGS_MAX && sensors[s].rungs[r].name; r++)
			for (int i = 0; i < RUNG_SWITCHES_MAX; i++) {
				const struct rung_switch *sw = &sensors[s].rungs[r].switches[i];
				int err;

				if (!sw->object || strcmp(sw->object, object))
					continue;
				err = object_set_bool(obj, sw->symbol, plan_switch(plan, object, sw->symbol));
				if (err)
					return err;
			}
	return 0;
}

static void add_text(struct fingerprint *fp, const char *text)
{
	fingerprint_add(fp, text, strlen(text) + 1);
}

struct fingerprint plan_object_key(const struct plan *plan, const char *object)
{
	struct fingerprint fp;

	fingerprint_init(&fp);
	for (int s = 0; s < SENSOR_MAX; s++) {
		const struct rung *rung = plan_rung(plan, (enum sensor_id)s);

		for (unsigned p = 0; rung && p < RUNG_PROGRAMS_MAX && rung->programs[p].object; p++)
			if (plan_has(plan, (enum sensor_id)s, p) && !strcmp(rung->programs[p].object, object))
				add_text(&fp, rung->programs[p].program);
		for (unsigned i = 0; rung && i < RUNG_SWITCHES_MAX && rung->switches[i].object; i++)
			if (!strcmp(rung->switches[i].object, object))
				add_text(&fp, rung->switches[i].symbol);
	}
	for (size_t i = 0; i < n_iterators; i++)
		if (plan_iterator(plan, i) && !strcmp(iterators[i].object, object))
			add_text(&fp, iterators[i].program);
	return fp;
}
