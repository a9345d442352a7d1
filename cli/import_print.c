// SPDX-License-Identifier: Apache-2.0
/* Rules of the document: all cases of one, or none. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/import_internal.h"
#include "proto/base/cleanup.h"

#define CUBES_MAX 16 /* rules for one condition on TCP flags */

/* ---- TCP flags: a set of bytes as (mask, value), as few as come easily ---- */

struct cube {
	unsigned mask, value;
};

struct cubes {
	struct cube v[CUBES_MAX];
	unsigned n;
	bool too_many;
};

static bool depends_on(const struct import_spans *bytes, struct cube in, unsigned bit)
{
	for (unsigned b = 0; b < 256; b++)
		if ((b & in.mask) == in.value &&
			import_spans_has(bytes, b) != import_spans_has(bytes, b ^ bit))
			return true;
	return false;
}

static void cubes_of(const struct import_spans *bytes, struct cube in, unsigned bit, struct cubes *to)
{
	while (bit < 256 && !depends_on(bytes, in, bit))
		bit <<= 1;
	if (bit < 256) {
		cubes_of(bytes, (struct cube){in.mask | bit, in.value}, bit << 1, to);
		cubes_of(bytes, (struct cube){in.mask | bit, in.value | bit}, bit << 1, to);
	} else if (import_spans_has(bytes, in.value)) {
		if (to->n == CUBES_MAX)
			to->too_many = true;
		else
			to->v[to->n++] = in;
	}
}

static void put_flag_names(struct import_buf *to, unsigned flags, const char *none)
{
	const char *comma = "";

	for (const struct import_word *w = import_flags; w->name; w++)
		if (flags & w->value) {
			import_printf(to, "%s%s", comma, w->name);
			comma = ",";
		}
	if (!flags)
		import_printf(to, "%s", none);
}

static void put_flags(struct import_buf *to, struct cube cube)
{
	import_printf(to, ", tcp_flags: \"");
	put_flag_names(to, cube.value, "none");
	import_printf(to, " / ");
	if (cube.mask == 255)
		import_printf(to, "all");
	else
		put_flag_names(to, cube.mask, "none");
	import_printf(to, "\"");
}

/* ---- a rule ---- */

static const char *put_kind(struct import_buf *to, const struct import_cond *c)
{
	const struct import_spans *k = c->f[IMPORT_KIND];
	bool ip4 = import_spans_has(k, IMPORT_IP4), ip6 = import_spans_has(k, IMPORT_IP6);

	if (!k)
		return NULL;
	if (import_spans_has(k, IMPORT_NO_IP))
		return "\"all but IPv4\" or \"all but IPv6\" with packets that are no IP cannot be said";
	if (ip4 != ip6 && !c->f[IMPORT_SRC] && !c->f[IMPORT_DST])
		import_printf(to, ", family: %d", ip4 ? 4 : 6);
	return NULL;
}

static bool is_implied(const struct import_cond *c, enum import_field field)
{
	static const unsigned with_ports[] = {6, 17, 33, 132, 136};
	const struct import_spans *p = c->f[IMPORT_PROTO];
	size_t k = 0;

	if (field != IMPORT_PROTO || !(c->f[IMPORT_SPORT] || c->f[IMPORT_DPORT]))
		return false;
	for (size_t i = 0; i < p->n; i++)
		for (import_value n = p->v[i].lo; n <= p->v[i].hi; n++)
			if (k == PST_ARRAY_SIZE(with_ports) || with_ports[k++] != n)
				return false;
	return k == PST_ARRAY_SIZE(with_ports);
}

/* Fields but the flags, which may want several rules. */
static const char *put_fields(struct import *im, struct import_buf *to, const struct import_cond *c)
{
	const char *why = put_kind(to, c);

	for (int i = 0; i < IMPORT_FIELDS && !why; i++)
		if (c->f[i] && i != IMPORT_KIND && i != IMPORT_FLAGS && !is_implied(c, (enum import_field)i))
			why = import_put_field(im, to, c, (enum import_field)i);
	return why;
}

static void put_end(struct import_buf *to, const struct import_rule *rule, const char *action)
{
	import_printf(to, ", action: %s", action);
	if (rule->reject_with && !strcmp(action, "reject"))
		import_printf(to, ", reject_with: %s", rule->reject_with);
	if (rule->log)
		import_printf(to, ", log: yes");
	if (rule->has_mark)
		import_printf(to, ", mark: 0x%x", rule->mark);
	import_printf(to, "}\n");
}

/* One case of a rule: a line, or some of them. */
static const char *put_case(struct import_buf *to, struct import *im, const struct import_rule *rule,
	const struct import_cond *c, const char *action, unsigned *n)
{
	PST_CLEANUP(import_buf_done) struct import_buf body = {0};
	struct cubes cubes = {.n = 0};
	const char *why = put_fields(im, &body, c);

	if (why)
		return why;
	if (c->f[IMPORT_FLAGS])
		cubes_of(c->f[IMPORT_FLAGS], (struct cube){0, 0}, 1, &cubes);
	if (cubes.too_many)
		return "its TCP flags would need too many rules to say";
	for (unsigned i = 0; i < (cubes.n ? cubes.n : 1); i++) {
		import_put(to, body.v ? body.v : "", body.n);
		if (cubes.n)
			put_flags(to, cubes.v[i]);
		put_end(to, rule, action);
		im->nodes += 16;
		++*n;
	}
	to->failed |= body.failed;
	return NULL;
}

/* ---- names ---- */

/* The name, made fit, and with a number where another rule has it. */
static void put_name(struct import *im, const char *name)
{
	PST_CLEANUP(import_buf_done) struct import_buf text = {0};
	const json_t *last;
	json_int_t i;
	size_t n;

	import_put_clean(&text, name, strlen(name), IMPORT_NAME_MAX - 10);
	import_put(&text, "rule", text.n ? 0 : 4);
	if (text.failed || !text.v) {
		im->error = -ENOMEM;
		return;
	}
	n = text.n;
	last = json_object_get(im->rule_names, text.v);
	i = last ? json_integer_value(last) : 1;
	while (i < 100000 && (i > 1 || last) && json_object_get(im->rule_names, text.v)) {
		text.n = n;
		import_printf(&text, " (%d)", (int)++i);
	}
	if (text.failed || json_object_set_new(im->rule_names, text.v, json_integer(1))) {
		im->error = -ENOMEM;
		return;
	}
	if (i > 1) { /* where to go on for the next of this name */
		PST_FREE char *first = strndup(text.v, n);

		if (first)
			json_object_set_new(im->rule_names, first, json_integer(i));
	}
	import_put_name(&im->rules, text.v, text.n);
}

/* ---- all cases of a rule, or none ---- */

static const char *why_no_room(const struct import *im, const struct import_buf *lines, unsigned n, bool next)
{
	if (im->n_rules + n > IMPORT_RULES_MAX)
		return "there are more rules than Penstock takes";
	if (next && im->n_next + n > IMPORT_NEXT_MAX)
		return "there are more rules that decide nothing than Penstock takes (64)";
	if (im->elements > IMPORT_ELEMENTS_MAX || im->nodes > IMPORT_NODES_MAX ||
		im->rules.n + im->sets.n + lines->n + n * 100ul > IMPORT_YAML_MAX)
		return "the document would be larger than Penstock reads";
	return NULL;
}

static void commit(struct import *im, const struct import_buf *lines, const char *name, unsigned n, bool next)
{
	const char *at = lines->v;

	for (unsigned i = 0; i < n; i++) {
		const char *end = strchr(at, '\n') + 1;

		import_printf(&im->rules, "    - {name: ");
		put_name(im, name);
		import_put(&im->rules, at, (size_t)(end - at));
		at = end;
	}
	im->n_rules += n;
	im->n_next += next ? n : 0;
}

const char *import_print(struct import *im, const struct import_rule *rule, const char *name,
	const struct import_alts *alts, const char *action, bool dry)
{
	PST_CLEANUP(import_buf_done) struct import_buf lines = {0};
	size_t elements = im->elements, nodes = im->nodes;
	bool next = !strcmp(action, "continue");
	const char *why = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < alts->n && !why && !im->error; i++)
		why = put_case(&lines, im, rule, &alts->v[i], action, &n);
	why = why ? why : why_no_room(im, &lines, n, next);
	if (lines.failed)
		im->error = im->error ? im->error : -ENOMEM;
	if (!why && !dry && !im->error) {
		commit(im, &lines, name, n, next);
		return NULL;
	}
	im->elements = elements;
	im->nodes = nodes;
	return why;
}
