// SPDX-License-Identifier: Apache-2.0
/* Chains within chains, as one list: the rules of a chain take the place of the jump to it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/import_internal.h"

/* A chain that a packet is in. */
struct frame {
	const struct import_chain *chain;
	const struct import_rule *by; /* the jump; NULL: this is the hook's chain */
	struct frame *up;
	unsigned depth;
	bool more; /* packets that the hook's chain accepts meet another chain */
	struct import_alts
		alts; /* the packets that reach the next rule, as far as returns have narrowed them */
};

static void walk(struct import *im, struct frame *frame);

static bool is_base(const struct frame *frame)
{
	return !frame->by;
}

/* What the rule decides here: to return from the hook's chain is its policy. */
static enum import_verdict verdict_of(const struct frame *frame, const struct import_rule *rule)
{
	if (rule->verdict != IMPORT_RETURN || !is_base(frame))
		return rule->verdict;
	return frame->chain->drops ? IMPORT_DROP : IMPORT_ACCEPT;
}

static const char *default_name(
	const struct import *im, const struct import_rule *rule, char *to, size_t size)
{
	if (rule->name && *rule->name)
		return rule->name;
	snprintf(to, size, "%.40s %s %llu", rule->chain->name, im->place, (unsigned long long)rule->number);
	return to;
}

static const char *print(struct import *im, const struct import_rule *rule, const struct import_alts *leaf,
	const char *action, bool dry)
{
	char name[96];

	return import_print(im, rule, default_name(im, rule, name, sizeof(name)), leaf, action, dry);
}

/* ---- leaving chains ---- */

/* The packets of @leaf are gone from this chain (and, with @all, from those that jumped to it). */
static const char *leave(struct import *im, struct frame *frame, const struct import_alts *leaf, bool all)
{
	struct import_alts left[IMPORT_DEPTH_MAX + 1];
	unsigned n = 0;

	for (struct frame *f = frame; f; f = all ? f->up : NULL, n++) {
		left[n] = f->alts;
		for (unsigned i = 0; i < leaf->n; i++)
			if (!import_alts_subtract(im, &left[n], &leaf->v[i]))
				return "what it does not take cannot be said, or not in 32 rules";
	}
	n = 0;
	for (struct frame *f = frame; f; f = all ? f->up : NULL)
		f->alts = left[n++];
	return NULL;
}

/* ---- jumps ---- */

static const char *jump(struct import *im, struct frame *frame, const struct import_rule *rule,
	const struct import_alts *leaf)
{
	struct frame inner = {.chain = rule->target,
		.by = rule,
		.up = frame,
		.depth = frame->depth + 1,
		.more = frame->more,
		.alts = *leaf};

	if (inner.depth > IMPORT_DEPTH_MAX)
		return "chains jump to chains more than 16 deep";
	walk(im, &inner);
	return NULL;
}

static void leaf_of(
	struct import *im, const struct frame *frame, const struct import_rule *rule, struct import_alts *ret)
{
	ret->n = 0;
	if (!rule->never)
		import_alts_and(im, &frame->alts, &rule->cond, ret);
}

/* What the end of the chain means for packets that a goto took there. */
static const char *end_of_goto(struct import *im, struct frame *frame, const struct import_rule *rule,
	const struct import_alts *leaf, bool dry)
{
	struct import_rule silent = *rule; /* it has marked and logged before */

	silent.log = silent.has_mark = false;
	if (!is_base(frame))
		return leave(im, frame, leaf, false);
	if (frame->chain->drops)
		return print(im, &silent, leaf, "drop", dry);
	return frame->more ? leave(im, frame, leaf, true) : print(im, &silent, leaf, "accept", dry);
}

/* Behind a chain that was gone to, its caller goes on where this chain ends. */
static const char *go_to(struct import *im, struct frame *frame, const struct import_rule *rule,
	const struct import_alts *leaf)
{
	struct frame probe = *frame;
	const char *why = frame->more && is_base(frame) ? NULL : end_of_goto(im, &probe, rule, leaf, true);
	struct import_alts left;

	why = why ? why : jump(im, frame, rule, leaf);
	if (why)
		return why;
	/* those that were accepted there are gone, and not for the policy */
	leaf_of(im, frame, rule, &left);
	return left.n ? end_of_goto(im, frame, rule, &left, false) : NULL;
}

/* ---- a rule ---- */

static const char *mark_and_log(
	struct import *im, const struct import_rule *rule, const struct import_alts *leaf, bool dry)
{
	return rule->log || rule->has_mark ? print(im, rule, leaf, "continue", dry) : NULL;
}

/* NULL, or why not. @dry: whether its own rules could be said. */
static const char *take(struct import *im, struct frame *frame, const struct import_rule *rule,
	const struct import_alts *leaf, bool dry)
{
	enum import_verdict verdict = verdict_of(frame, rule);
	const char *why;

	if (verdict == IMPORT_NOTHING)
		return print(im, rule, leaf, "continue", dry);
	if (verdict == IMPORT_DROP || verdict == IMPORT_REJECT)
		return print(im, rule, leaf, verdict == IMPORT_DROP ? "drop" : "reject", dry);
	if (verdict == IMPORT_ACCEPT && !frame->more)
		return print(im, rule, leaf, "accept", dry);
	why = mark_and_log(im, rule, leaf, dry);
	if (why || dry)
		return why;
	switch (verdict) {
	case IMPORT_JUMP:
		return jump(im, frame, rule, leaf);
	case IMPORT_GOTO:
		return go_to(im, frame, rule, leaf);
	default:
		return leave(im, frame, leaf, verdict == IMPORT_ACCEPT);
	}
}

static void visit(struct import *im)
{
	if (++im->visits > IMPORT_VISITS_MAX)
		im->error = im->error ? im->error : -E2BIG;
}

/* Parts of one rule are said all or none: first it is tried. */
static const char *take_parts(struct import *im, struct frame *frame, const struct import_rule *rule)
{
	struct import_alts leaf;
	const char *why = NULL;

	for (int dry = rule->also ? 1 : 0; dry >= 0; dry--)
		for (const struct import_rule *part = rule; part && !why && !im->error; part = part->also) {
			if (part != rule)
				visit(im);
			leaf_of(im, frame, part, &leaf);
			if (leaf.n)
				why = take(im, frame, part, &leaf, dry);
		}
	return why;
}

static void walk(struct import *im, struct frame *frame)
{
	for (const struct import_rule *rule = frame->chain->first; rule && !im->error; rule = rule->next) {
		const char *why = rule->why;

		visit(im);
		if (!why && !im->error)
			why = take_parts(im, frame, rule);
		if (why && !im->error)
			import_leave_out(im, rule, frame->by, why);
	}
}

/* ---- a hook's chain ---- */

static void leave_out_all(struct import *im, const struct import_chain *chain, const char *why)
{
	for (const struct import_rule *rule = chain->first; rule; rule = rule->next)
		import_leave_out(im, rule, NULL, why);
}

void import_walk(struct import *im, struct import_chain *chain, bool more)
{
	struct frame frame = {.chain = chain, .more = more, .alts = {.n = 1, .v = {chain->base}}};
	struct import_rule policy = {.chain = chain};
	char name[128];
	const char *why = NULL;

	if (chain->nat || chain->no_device) {
		leave_out_all(im, chain,
			chain->nat ? "it is of a chain that translates addresses"
				   : "the text does not tell of which interface its chain is");
		return;
	}
	walk(im, &frame);
	if (!chain->drops || im->error || !frame.alts.n)
		return;
	snprintf(name, sizeof(name), "policy of %.24s %.24s", chain->table, chain->name);
	why = import_print(im, &policy, name, &frame.alts, "drop", false);
	if (why)
		import_leave_out(im, &policy, NULL, why);
}
