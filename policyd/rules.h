/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules: conditions on an event's fields, compiled from YAML (docs/rules.md), and what to say when they hold.
 *
 *   rules:
 *     - name: shell-in-container
 *       kinds: [process_exec]
 *       match:
 *         exe: {in: [/bin/sh, /bin/bash, /usr/bin/bash]}
 *         container_id: {exists: true}
 *         not: {user: builder}
 *       severity: warning
 *       message: "shell {exe} in container {container_id}"
 *       rate: 10/1m
 *
 * Several keys of one mapping must all hold; `and`, `or` take sequences of mappings, `not` a mapping.
 */
#ifndef POLICYD_RULES_H
#define POLICYD_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/conf.h"
#include "proto/wire/event.h"
#include "proto/wire/filter.h"

#define RULES_MAX        10000
#define RULE_MESSAGE_MAX 1024
#define RULE_REFS        2   /* a name may stand for a sensor's field and the enricher's */
#define KIND_MAX         128 /* kinds by id that rules can match */

enum op {
	OP_AND,
	OP_OR,
	OP_NOT,
	OP_EQUALS,
	OP_IN,
	OP_PREFIX,
	OP_SUFFIX,
	OP_CONTAINS,
	OP_GLOB,
	OP_CIDR,
	OP_GREATER,
	OP_LESS,
	OP_EXISTS
};

struct value {
	char *text; /* owned, NUL-terminated */
	uint32_t len;
	bool is_number;
	uint64_t number;
	struct pst_cidr cidr;
};

/* Where a field is in events of one kind. */
struct field_ref {
	uint8_t stage; /* 0 sensor, 1 enricher, 2 policyd */
	uint8_t index;
	const struct pst_field *field; /* NULL: none */
};

struct named_field {
	char *name;                             /* owned */
	struct field_ref (*by_kind)[RULE_REFS]; /* KIND_MAX of them, owned */
};

struct cond {
	enum op op;
	struct cond *child, *next; /* AND, OR, NOT: list of operands; owned */
	struct named_field field;
	struct value *values; /* IN and CIDR: several; owned */
	uint32_t n_values;
	bool wanted; /* EXISTS */
};

/* A message: literal text and fields in turn. */
struct part {
	char *literal; /* owned; NULL: a field */
	struct named_field field;
};

/* A rate limit: @burst alerts, one more each @interval_ns / burst; burst 0: none. */
struct alert_rate {
	uint64_t burst, interval_ns;
	double tokens;
	uint64_t refilled_ns, suppressed; /* @suppressed: since the last alert */
};

/* What is given without a word about it. */
#define ALERT_RATE ((struct alert_rate){.burst = 10, .tokens = 10, .interval_ns = 1000000000ull})

struct rule {
	char *name; /* owned */
	uint64_t severity;
	uint8_t kinds[KIND_MAX / 8];
	struct cond *match; /* NULL: every event of the kinds */
	struct part *parts;
	uint32_t n_parts;
	struct pst_buf tags; /* encoded list */
	uint32_t n_tags;
	struct alert_rate rate;
	uint64_t matched, alerts;
};

struct rules {
	struct rule *v;
	size_t n;
	uint32_t *by_kind[KIND_MAX]; /* indexes of the rules that want a kind */
	uint32_t n_by_kind[KIND_MAX];
};

/* Compile files and folders. On any error all of it is refused and @errors says where. A path that is not
 * there is one if @must_exist. 0 or -errno. */
int rules_load(const struct pst_strs *paths, bool must_exist, struct pst_conf_errors *errors,
	struct rules **ret_rules);
/* One document in memory, for tests and fuzzing. */
int rules_parse(const char *name, const void *bytes, size_t len, struct pst_conf_errors *errors,
	struct rules **ret_rules);
void rules_free(struct rules *rules); /* NULL is fine */
bool rules_want(const struct rules *rules, uint32_t kind);
/* Counters of a rule go on after a reload if it kept its name. */
void rules_inherit(struct rules *to, const struct rules *from);

bool cond_match(const struct cond *cond, const struct pst_event *event);
/* The message's text; returns its length (at most RULE_MESSAGE_MAX). */
size_t rule_message(const struct rule *rule, const struct pst_event *event, char buf[RULE_MESSAGE_MAX + 1]);
/* May it alert now? Else it is counted as suppressed. */
bool alert_take(struct alert_rate *rate, uint64_t now_ns);

/* Resolve a field's name for all kinds; -ENOENT if no kind has it. */
int named_field_init(struct named_field *field, const char *name);
void named_field_done(struct named_field *field);
/* The value in this event, NULL if absent or empty. */
const struct pst_val *named_field_get(
	const struct named_field *field, const struct pst_event *event, const struct pst_field **ret_field);
/* All field names, for "did you mean"; static. */
size_t named_field_names(const char *const **ret_names);

#endif
