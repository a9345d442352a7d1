/* SPDX-License-Identifier: Apache-2.0 */
/* Which rung of each sensor is in use, and why no stronger one. */
#ifndef PST_LOADER_PLAN_H
#define PST_LOADER_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "loader/feature.h"
#include "loader/images.h"
#include "loader/ladder.h"

#define ITERATORS_MAX 8
#define RUNG_NONE     -1

/* What became of a sensor; kept in the state map, as the report needs it after a restart too. */
struct outcome {
	int32_t rung;     /* in use, or RUNG_NONE */
	uint32_t off;     /* 1: switched off by the configuration */
	uint32_t skipped; /* bit n: optional program n of the rung is not there */
	uint32_t pad;
	char why[RUNGS_MAX][WHY_MAX]; /* "" while a rung has not failed */
};

struct outcomes {
	struct outcome sensors[SENSOR_MAX];
	char iterators[ITERATORS_MAX][WHY_MAX]; /* "" when it is there */
};

struct plan {
	const struct loader_config *config;
	struct outcomes *o; /* not owned */
};

/* Every sensor at its strongest allowed rung, iterators by their sensors. */
void plan_init(struct plan *plan, const struct loader_config *config, struct outcomes *outcomes);
/* The rung in use of this sensor failed: note why, go on to the next one (if the configuration does not force
 * this one). */
void plan_demote(struct plan *plan, enum sensor_id sensor, const char *why);
const struct rung *plan_rung(const struct plan *plan, enum sensor_id sensor); /* NULL: none */
/* The programs of a rung in use that are not skipped. */
bool plan_has(const struct plan *plan, enum sensor_id sensor, unsigned program);
bool plan_iterator(const struct plan *plan, size_t iterator);

/* How @program of @object is to be attached; ATTACH_NONE: not wanted. */
enum attach_kind plan_kind(const struct plan *plan, const char *object, const char *program);
bool plan_uses(const struct plan *plan, const char *object);
/* Does a rung in use set this switch of the object? */
bool plan_switch(const struct plan *plan, const char *object, const char *symbol);
/* Sets all switches of the object before it is loaded. 0 or -errno with a log line. */
struct bpf_object;
int plan_set_switches(const struct plan *plan, const char *object, struct bpf_object *obj);
/* What an object is loaded for: programs and switches, to see whether it has to be loaded anew. */
struct fingerprint plan_object_key(const struct plan *plan, const char *object);

#endif
