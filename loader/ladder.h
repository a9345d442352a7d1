/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hook ladder as data: a sensor lists its implementations from the strongest to the weakest, a rung says
 * which programs of which object it is made of, how they are attached and which load-time switches it sets.
 */
#ifndef PST_LOADER_LADDER_H
#define PST_LOADER_LADDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loader/config.h"
#include "proto/abi/policy_ops.h"

#define RUNGS_MAX         3
#define RUNG_PROGRAMS_MAX 18
#define RUNG_SWITCHES_MAX 4
#define CAN_TEXT_MAX      32

enum attach_kind {
	ATTACH_NONE,
	ATTACH_TRACE,  /* raw_tp, tp_btf, fentry, fexit: a link of its own, gated by generation */
	ATTACH_CGROUP, /* link at the root cgroup, program replaced in place */
	ATTACH_TC_IN,  /* per interface: tcx link or clsact filter */
	ATTACH_TC_OUT,
	ATTACH_XDP,
	ATTACH_GUARD_XDP, /* per guarded interface: XDP, else tc */
	ATTACH_GUARD_IN,
	ATTACH_GUARD_OUT,
	ATTACH_ITER, /* pinned iterator */
};

enum can { CAN_OBSERVE = 1, CAN_DENY = 2, CAN_KILL = 4 };

struct rung_program {
	const char *object;
	const char *program;
	enum attach_kind kind;
	bool optional; /* its absence from this kernel does not fail the rung */
};

/* A `const volatile bool` that is true exactly when a rung in use names it. */
struct rung_switch {
	const char *object;
	const char *symbol;
};

struct rung {
	const char *name; /* "fexit", "raw_tp": what `rungs:` in the configuration names */
	unsigned can;
	uint32_t needs; /* bit n: enum feature_id n, looked at before anything is loaded */
	struct rung_program programs[RUNG_PROGRAMS_MAX]; /* ends with object NULL */
	struct rung_switch switches[RUNG_SWITCHES_MAX];
};

struct sensor {
	const char *name;
	const char *help;
	uint64_t ops;                 /* PST_OP_BIT() of those that it judges by policies */
	struct rung rungs[RUNGS_MAX]; /* ends with name NULL */
};

extern const struct sensor sensors[SENSOR_MAX];

/* Iterators: each is there when the sensor whose table it reads is (or always). */
struct iterator {
	const char *name; /* pin under iters/ */
	const char *object;
	const char *program;
	const char *map;   /* iterates over this map, or NULL */
	const char *stage; /* whose it is */
	int sensor;        /* enum sensor_id, -1: always */
};

extern const struct iterator iterators[];
extern const size_t n_iterators;

const char *ladder_op_name(unsigned op); /* of policies; NULL: there is none of that number */
/* What a rung can do where the kernel has, or has not, the helper that kills. */
unsigned ladder_can(const struct rung *rung, bool kills);

int ladder_rung_find(enum sensor_id sensor, const char *name); /* index or -1 */

#endif
