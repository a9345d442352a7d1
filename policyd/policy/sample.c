// SPDX-License-Identifier: Apache-2.0
/* Acts made from the corners of rules: what their conditions take, what they just do not, and crossed. */
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/compile.h"
#include "proto/base/cleanup.h"

/* xorshift64*: the acts are the same for the same seed. */
static uint64_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

static uint32_t below(uint64_t *state, size_t n)
{
	return (uint32_t)(draw(state) >> 33) % (uint32_t)n;
}

/* ---- texts ---- */

static struct path_pattern as_path(const struct policy_pattern *p)
{
	struct path_pattern path = {.text = (uint8_t *)p->text, .len = (uint32_t)strlen(p->text)};

	if (p->kind == POLICY_CGROUP)
		path.kind = strpbrk(p->text, "*?[\\") ? PATH_GLOB : PATH_BELOW;
	else
		path.kind = policy_path_kind(p->kind);
	return path;
}

/* A path of two elements of the list, as each other's neighbours; most are one that the first takes. */
static const char *path_of(uint64_t *state, const struct policy_cond *c, char buf[PST_PATH_MAX + 1])
{
	struct path_pattern two[2];
	const struct path_set set = {.v = two, .n = 2};
	const struct policy_pattern *p = &c->patterns[below(state, c->n)];
	size_t len;

	if (p->kind == POLICY_EXACT && below(state, 4)) {
		stpcpy(buf, p->text);
		return buf;
	}
	two[0] = as_path(p);
	two[1] = as_path(below(state, 4) ? p : &c->patterns[below(state, c->n)]);
	len = path_sample(&set, state, (uint8_t *)buf);
	buf[len] = 0;
	return buf;
}

static const char *name_of(uint64_t *state, const struct policy_cond *c, char buf[PST_PATH_MAX + 1])
{
	char *end = stpncpy(buf, c->patterns[below(state, c->n)].text, PST_PATH_MAX - 1);

	if (!below(state, 4))
		*end++ = 'x';
	*end = 0;
	return buf;
}

/* A text that the glob may take: its stars filled or left out. */
static const char *argument_of(uint64_t *state, const struct policy_cond *c, char buf[PST_PATH_MAX + 1])
{
	const char *glob = c->patterns[below(state, c->n)].text;
	char *to = buf;

	for (; *glob && to < buf + PST_PATH_MAX - 2; glob++) {
		if (*glob == '*') {
			to = below(state, 2) ? stpcpy(to, "/") : to;
			continue;
		}
		if (*glob == '\\' && glob[1])
			glob++;
		*to++ = *glob == '?' ? 'q' : *glob;
	}
	*to = 0;
	return buf;
}

/* What an element of the list names, under another name; not of what is no path. */
static bool add_alias(
	uint64_t *state, const struct policy_cond *c, enum policy_alias_of of, struct policy_sample *s)
{
	const struct policy_pattern *p = &c->patterns[below(state, c->n)];
	struct policy_alias a = {.path = p->text, .of = of};
	size_t at = 0;

	if (p->kind != POLICY_EXACT && p->kind != POLICY_DIRECTORY && p->kind != POLICY_TREE)
		return false;
	if (p->kind == POLICY_DIRECTORY)
		a.as = POLICY_ALIAS_IN;
	if (p->kind == POLICY_TREE || !below(state, 4))
		a.as = below(state, 3);
	if (of == POLICY_ALIAS_EXECUTABLE || of == POLICY_ALIAS_TARGET) /* their folders are not looked at */
		a.as = POLICY_ALIAS_FILE;
	while (at < s->act.n_aliases && s->aliases[at].of != of)
		at++;
	s->aliases[at] = a;
	s->act.n_aliases = PST_MAX(s->act.n_aliases, at + 1);
	return true;
}

/* ---- numbers ---- */

static uint32_t number_of(uint64_t *state, const struct policy_cond *c)
{
	const struct policy_range *r = &c->ranges[below(state, c->n)];

	switch (below(state, 6)) {
	case 0:
		return r->lo - 1;
	case 1:
		return r->hi + 1;
	case 2:
		return r->hi;
	default:
		return r->lo;
	}
}

/* One of the words, or by chance another one. */
static int word_of(uint64_t *state, const struct policy_cond *c, unsigned n)
{
	unsigned v = below(state, n);

	for (unsigned i = 0; i < n && below(state, 8); i++, v = (v + 1) % n)
		if (c->bits[v / 64] >> v % 64 & 1)
			break;
	return (int)v;
}

/* Some of the bits, or by chance others. */
static uint64_t bits_of(uint64_t *state, const struct policy_cond *c, unsigned n)
{
	uint64_t all = n < 64 ? (1ull << n) - 1 : ~0ull;

	switch (below(state, 4)) {
	case 0:
		return draw(state) & all & ~c->bits[0];
	case 1:
		return draw(state) & draw(state) & all;
	default:
		return 1ull << word_of(state, c, n);
	}
}

/* An address in one of the prefixes, at its ends, or right behind them. */
static void address_of(uint64_t *state, const struct policy_cond *c, struct policy_act *act)
{
	const struct fw_prefix *p = &c->prefixes[below(state, c->n)];
	unsigned how = below(state, 4), floor = fw_prefix_is_ip4(p) ? 12 : 0;

	memcpy(act->address, p->addr, sizeof(act->address));
	for (unsigned bit = p->len; bit < 128; bit++)
		if (how == 1 || (how > 1 && (draw(state) & 1)))
			act->address[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	if (how == 3)
		for (unsigned i = 16; i-- > floor && !++act->address[i];)
			;
	act->has_address = true;
}

/* ---- acts ---- */

static void meet_paths(uint64_t *state, const struct policy_cond *c, struct policy_sample *s)
{
	struct policy_act *act = &s->act;
	enum policy_alias_of of = below(state, 4) ? POLICY_ALIAS_PATH : POLICY_ALIAS_PATH_TO;

	if (!below(state, 4) && add_alias(state, c, of, s)) {
		act->path = below(state, 4) ? act->path : NULL;
		return;
	}
	if (!act->path || below(state, 2))
		act->path = path_of(state, c, s->path);
	else
		act->path_to = path_of(state, c, s->path_to);
}

/* What the object's condition speaks of. */
static void meet_object(uint64_t *state, const struct policy_cond *c, struct policy_sample *s)
{
	struct policy_act *act = &s->act;

	switch ((enum policy_key)c->key) {
	case POLICY_PATHS:
		meet_paths(state, c, s);
		break;
	case POLICY_FLAGS:
		act->flags = (uint32_t)bits_of(state, c, PST_FILE_FLAGS);
		break;
	case POLICY_ACCESS:
		act->access = (uint32_t)bits_of(state, c, PST_ACCESSES);
		break;
	case POLICY_ADDRESSES:
		address_of(state, c, act);
		break;
	case POLICY_PORTS:
		act->port = (int)(number_of(state, c) & UINT16_MAX);
		break;
	case POLICY_PROTOCOLS:
		act->protocol = word_of(state, c, 256);
		break;
	case POLICY_FAMILIES:
		act->family = word_of(state, c, 64);
		break;
	case POLICY_TARGETS:
		if (below(state, 8) || !add_alias(state, c, POLICY_ALIAS_TARGET, s))
			act->target = path_of(state, c, s->target);
		break;
	case POLICY_SIGNALS:
		act->signal = word_of(state, c, 65);
		break;
	case POLICY_CAPABILITIES:
		act->capabilities = bits_of(state, c, 41) | (below(state, 4) ? 0 : bits_of(state, c, 41));
		break;
	case POLICY_MODULES:
		act->module = name_of(state, c, s->module);
		break;
	case POLICY_ARGUMENTS:
		act->arguments = s->arguments;
		s->arguments[1] = argument_of(state, c, s->argument);
		act->n_arguments = 2;
		break;
	default:
		break;
	}
}

static void meet_ancestors(uint64_t *state, const struct policy_cond *c, struct policy_sample *s)
{
	s->act.ancestors = s->ancestors;
	s->ancestors[0] = name_of(state, c, s->ancestor);
	s->ancestors[1] = s->act.parent ? s->act.parent : "/bin/sh";
	s->act.n_ancestors = below(state, 3);
}

static void meet_namespaces(uint64_t *state, const struct policy_cond *c, struct policy_act *act)
{
	act->ns_host = (uint8_t)draw(state);
	if (below(state, 4))
		act->ns_host = (act->ns_host | c->ns_host) & (uint8_t)~c->ns_other;
}

static void meet_subject(uint64_t *state, const struct policy_cond *c, struct policy_sample *s)
{
	struct policy_act *act = &s->act;

	switch ((enum policy_key)c->key) {
	case POLICY_EXECUTABLES:
		if (below(state, 8) || !add_alias(state, c, POLICY_ALIAS_EXECUTABLE, s))
			act->executable = path_of(state, c, s->executable);
		break;
	case POLICY_PARENTS:
		act->parent = name_of(state, c, s->parent);
		break;
	case POLICY_ANCESTORS:
	case POLICY_DESCENDANTS:
		meet_ancestors(state, c, s);
		break;
	case POLICY_UIDS:
		act->uid = number_of(state, c);
		break;
	case POLICY_GIDS:
		act->gid = number_of(state, c);
		break;
	case POLICY_HOLDS:
		act->holds = bits_of(state, c, 41);
		break;
	case POLICY_GAINED:
		act->gained = bits_of(state, c, 41);
		break;
	case POLICY_NAMESPACES:
		meet_namespaces(state, c, act);
		break;
	case POLICY_CGROUPS:
		act->cgroup = path_of(state, c, s->cgroup);
		break;
	case POLICY_CONTAINERS:
	case POLICY_HOST:
		act->container = (c->key == POLICY_CONTAINERS) == !!below(state, 8);
		break;
	default:
		break;
	}
}

/* Most of what the conditions speak of. */
static void meet(uint64_t *state, const struct policy_conds *conds, struct policy_sample *s)
{
	for (size_t i = 0; i < conds->n; i++) {
		const struct policy_cond *c = &conds->v[i];

		if (!below(state, 16))
			continue;
		if (policy_is_on_object(c->key))
			meet_object(state, c, s);
		else
			meet_subject(state, c, s);
	}
}

/* What no condition speaks of: something, or not known. */
static void fill(uint64_t *state, struct policy_sample *s)
{
	struct policy_act *act = &s->act;

	*act = (struct policy_act)POLICY_ACT_INIT;
	act->ns_host = 0xff;
	act->executable = below(state, 8) ? "/usr/bin/some" : NULL;
	act->cgroup = below(state, 8) ? "/user.slice" : NULL;
	act->path = below(state, 8) ? "/srv/file" : NULL;
	act->target = below(state, 8) ? "/usr/bin/other" : NULL;
	act->parent = below(state, 8) ? "/bin/sh" : NULL;
	act->module = below(state, 8) ? "some" : NULL;
	act->port = below(state, 8) ? (int)below(state, 65536) : -1;
	act->protocol = below(state, 8) ? (int)below(state, 20) : -1;
	act->family = below(state, 8) ? (int)below(state, 20) : -1;
	act->signal = below(state, 8) ? (int)below(state, 65) : -1;
	act->uid = below(state, 4) ? 0 : (uint32_t)draw(state);
	act->gid = below(state, 4) ? 0 : (uint32_t)draw(state);
	act->container = below(state, 2);
	act->unknown = below(state, 8) ? 0 : (uint8_t)below(state, 16);
	act->capabilities = 1ull << below(state, 41);
	s->arguments[0] = "--some";
	act->arguments = below(state, 8) ? s->arguments : NULL;
	act->n_arguments = 1;
	act->ancestors = below(state, 8) ? s->ancestors : NULL;
	act->n_ancestors = 0;
	act->aliases = s->aliases;
}

static enum pst_pol_op op_of(uint64_t *state, const struct policy_rule *rule)
{
	unsigned op = below(state, PST_OPS_MAX);

	while (!(rule->ops & PST_OP_BIT(op)))
		op = (op + 1) % PST_OPS_MAX;
	return (enum pst_pol_op)op;
}

void policy_sample(const struct policy_tables *t, uint64_t *state, struct policy_sample *s)
{
	const struct policy_rule_at *a, *b;

	fill(state, s);
	s->act.op = PST_OP_FILE_OPEN;
	if (!t->n_rules)
		return;
	a = &t->rules[below(state, t->n_rules)];
	b = below(state, 3) ? a : &t->rules[below(state, t->n_rules)];
	s->act.op = op_of(state, a->rule);
	if (b != a) { /* what the first one speaks of stays its own */
		meet(state, &b->policy->scope, s);
		meet(state, &b->rule->conds, s);
	}
	meet(state, &a->rule->conds, s);
	meet(state, &a->policy->scope, s);
}
