// SPDX-License-Identifier: Apache-2.0
/* Evaluating conditions: the hot path of policyd. */
#include <string.h>

#include "policyd/rules.h"

#define REWIND_NS 10000000000ull

static bool text_is(enum op op, const struct value *want, const void *bytes, size_t len)
{
	switch (op) {
	case OP_EQUALS:
	case OP_IN:
		return len == want->len && !memcmp(bytes, want->text, len);
	case OP_PREFIX:
		return len >= want->len && !memcmp(bytes, want->text, want->len);
	case OP_SUFFIX:
		return len >= want->len &&
		       !memcmp((const char *)bytes + len - want->len, want->text, want->len);
	case OP_CONTAINS:
		return memmem(bytes, len, want->text, want->len) != NULL;
	case OP_GLOB:
		return pst_glob_match(want->text, bytes, len);
	default:
		return false;
	}
}

static bool number_is(enum op op, const struct value *want, uint64_t number)
{
	switch (op) {
	case OP_EQUALS:
	case OP_IN:
		return want->is_number && number == want->number;
	case OP_GREATER:
		return number > want->number;
	case OP_LESS:
		return number < want->number;
	default:
		return false;
	}
}

/* A list matches if one of its elements does. */
static bool list_is(enum op op, const struct value *want, const struct pst_val *v)
{
	struct pst_cur cur = pst_cur(v->p, v->len);
	const void *bytes;
	uint32_t len;

	while (pst_list_next(&cur, &bytes, &len))
		if (text_is(op, want, bytes, len))
			return true;
	return false;
}

static bool procs_are(enum op op, const struct value *want, const struct pst_val *v)
{
	struct pst_cur cur = pst_cur(v->p, v->len);
	struct pst_proc_ref p;

	while (pst_procs_next(&cur, &p))
		if (text_is(op, want, p.exe, p.exe_len))
			return true;
	return false;
}

static bool addr_is(
	enum op op, const struct value *want, const struct pst_val *v, const struct pst_field *field)
{
	char text[64];
	size_t len;

	if (op == OP_CIDR || op == OP_EQUALS || op == OP_IN)
		return pst_cidr_match(&want->cidr, v);
	len = pst_val_text(v, field, text, sizeof(text));
	return text_is(op, want, text, len);
}

static bool value_is(
	enum op op, const struct value *want, const struct pst_val *v, const struct pst_field *field)
{
	char text[64];

	switch (field->type) {
	case PST_T_S:
		return text_is(op, want, v->p, v->len);
	case PST_T_L:
		return list_is(op, want, v);
	case PST_T_P:
		return procs_are(op, want, v);
	case PST_T_A:
		return addr_is(op, want, v, field);
	default:
		if (op <= OP_IN || op == OP_GREATER || op == OP_LESS)
			return number_is(op, want, v->u);
		/* prefix, glob, ... of a number: of what people see ("tcp") */
		return text_is(op, want, text, pst_val_text(v, field, text, sizeof(text)));
	}
}

static bool leaf_match(const struct cond *c, const struct pst_event *e)
{
	const struct pst_field *field;
	const struct pst_val *v = named_field_get(&c->field, e, &field);

	if (c->op == OP_EXISTS)
		return (v && !pst_val_empty(v, field)) == c->wanted;
	if (!v)
		return false;
	for (uint32_t i = 0; i < c->n_values; i++)
		if (value_is(c->op, &c->values[i], v, field))
			return true;
	return false;
}

/* Depth is bounded by the parser (nesting 16). */
bool cond_match(const struct cond *c, const struct pst_event *e)
{
	switch (c->op) {
	case OP_AND:
		for (const struct cond *k = c->child; k; k = k->next)
			if (!cond_match(k, e))
				return false;
		return true;
	case OP_OR:
		for (const struct cond *k = c->child; k; k = k->next)
			if (cond_match(k, e))
				return true;
		return false;
	case OP_NOT:
		return !cond_match(c->child, e);
	default:
		return leaf_match(c, e);
	}
}

size_t rule_message(const struct rule *r, const struct pst_event *e, char buf[RULE_MESSAGE_MAX + 1])
{
	size_t len = 0;

	for (uint32_t i = 0; i < r->n_parts && len < RULE_MESSAGE_MAX; i++) {
		const struct part *p = &r->parts[i];
		const struct pst_field *field;
		const struct pst_val *v;

		if (p->literal) {
			size_t n = strnlen(p->literal, RULE_MESSAGE_MAX - len);

			memcpy(buf + len, p->literal, n);
			len += n;
			continue;
		}
		v = named_field_get(&p->field, e, &field);
		if (v)
			len += pst_val_text(v, field, buf + len, RULE_MESSAGE_MAX + 1 - len);
	}
	buf[len] = 0;
	return len;
}

bool alert_take(struct alert_rate *r, uint64_t now_ns)
{
	uint64_t passed = now_ns > r->refilled_ns ? now_ns - r->refilled_ns : 0;

	if (!r->burst)
		return true;
	/* Events of different rings are a little out of order, and no time is granted twice; a recording that
	 * is played again goes back by more. */
	if (passed || r->refilled_ns - now_ns > REWIND_NS)
		r->refilled_ns = now_ns;
	r->tokens += (double)passed * (double)r->burst / (double)r->interval_ns;
	if (r->tokens > (double)r->burst)
		r->tokens = (double)r->burst;
	if (r->tokens < 1) {
		r->suppressed++;
		return false;
	}
	r->tokens -= 1;
	return true;
}
