// SPDX-License-Identifier: Apache-2.0
/* States into nodes (proto/abi/policy.h). A node gets its lines when something first leads to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/fw/tree.h"
#include "policyd/path/dfa.h"
#include "proto/base/cleanup.h"

struct emitter {
	const struct path_dfa *dfa;
	struct fw_arena *arena;
	uint32_t *entries; /* of states; 0: not met yet */
	uint32_t *open;    /* states whose lines are not written */
	uint32_t n_open;
};

/* States one behind the other that differ in nothing but the byte that leads on. */
struct run {
	uint32_t class, other, slash;
	uint32_t next;
	uint32_t len;
	bool slash_counts; /* some state is left by the slash */
	uint8_t bytes[PST_PATHS_RUN_BYTES];
};

static void emitter_done(struct emitter *e)
{
	free(e->entries);
	free(e->open);
}

static bool is_final(const struct path_dfa *d, uint32_t state)
{
	const struct path_state *s = &d->states[state];

	return !s->n_keys && s->other == state;
}

/*
 * The one byte that leads on from a state, where to, and where the slash leads; false: there is not one. With
 * the slash as that byte nothing else is led to by it.
 */
static bool one_byte(
	const struct path_dfa *d, uint32_t state, uint32_t *ret_byte, uint32_t *ret_to, uint32_t *ret_slash)
{
	const struct path_state *s = &d->states[state];
	const uint32_t *keys = d->keys + s->first_key;
	uint32_t slash = s->other;

	if (!s->n_keys || s->n_keys > 2)
		return false;
	if (s->n_keys == 2) {
		bool first = (keys[0] & 0xff) == '/';

		if (!first && (keys[1] & 0xff) != '/')
			return false;
		slash = keys[!first] >> PATH_KEY_STATE;
		keys += first;
	}
	*ret_byte = keys[0] & 0xff;
	*ret_to = keys[0] >> PATH_KEY_STATE;
	*ret_slash = slash;
	return true;
}

static void find_run(const struct path_dfa *d, uint32_t state, struct run *run)
{
	uint32_t byte, to, slash;

	*run = (struct run){.class = d->states[state].class, .other = d->states[state].other};
	for (; run->len < PST_PATHS_RUN_BYTES; state = to) {
		if (d->states[state].class != run->class || d->states[state].other != run->other ||
			!one_byte(d, state, &byte, &to, &slash))
			break;
		if (byte != '/' && run->slash_counts && slash != run->slash)
			break;
		if (byte != '/') {
			run->slash = slash;
			run->slash_counts = true;
		}
		run->bytes[run->len++] = (uint8_t)byte;
		run->next = to;
	}
}

/* The places in a large node of where its bytes lead; 0 is the class. */
struct many {
	uint8_t place[256];
	uint32_t to[256];
	uint32_t n;
};

static uint32_t place_of(struct many *m, uint32_t to)
{
	uint32_t at = 1;

	while (at <= m->n && m->to[at - 1] != to)
		at++;
	if (at > m->n)
		m->to[m->n++] = to;
	return at;
}

/* Nothing is found of a NUL byte, which no path has: so there are never too many places. */
static void find_many(const struct path_dfa *d, uint32_t state, struct many *m)
{
	const struct path_state *s = &d->states[state];

	m->n = 0;
	memset(m->place, (int)(s->n_keys < 255 ? place_of(m, s->other) : 0), sizeof(m->place));
	for (uint32_t i = 0; i < s->n_keys; i++) {
		uint32_t key = d->keys[s->first_key + i];

		m->place[key & 0xff] = (uint8_t)place_of(m, key >> PATH_KEY_STATE);
	}
}

/* ---- entries ---- */

static int take(struct emitter *e, uint32_t state, uint32_t kind, uint32_t lines)
{
	uint32_t line;
	int r = fw_arena_take(e->arena, lines, &line);

	if (r)
		return r;
	e->entries[state] = PST_PATHS_NODE | kind | line;
	e->open[e->n_open++] = state;
	return 0;
}

static int enter(struct emitter *e, uint32_t state, uint32_t *ret_entry)
{
	const struct path_state *s = &e->dfa->states[state];
	struct run run;
	struct many many;
	int r = 0;

	if (is_final(e->dfa, state)) {
		*ret_entry = s->class;
		return 0;
	}
	if (!s->n_keys && !s->other) {
		*ret_entry = PST_PATHS_NODE | PST_PATHS_END | s->class;
		return 0;
	}
	if (!e->entries[state]) {
		find_run(e->dfa, state, &run);
		if (run.len > 1) {
			r = take(e, state, PST_PATHS_RUN, 1);
		} else if (s->n_keys <= PST_PATHS_FEW_KEYS) {
			r = take(e, state, PST_PATHS_FEW, 1);
		} else {
			find_many(e->dfa, state, &many);
			r = take(e, state, PST_PATHS_MANY, PST_PATHS_MANY_LINES + many.n / 16 + 1);
		}
	}
	*ret_entry = e->entries[state];
	return r;
}

/* ---- lines ---- */

static int put_run(struct emitter *e, uint32_t state, union pst_line *line)
{
	struct pst_paths_run *node = (struct pst_paths_run *)line;
	struct run run;
	int r;

	find_run(e->dfa, state, &run);
	node->ends = run.class | run.len << PST_PATHS_RUN_LEN;
	memcpy(node->bytes, run.bytes, sizeof(run.bytes));
	r = enter(e, run.next, &node->next);
	r = r ? r : enter(e, run.other, &node->other);
	return r || !run.slash_counts ? r : enter(e, run.slash, &node->slash);
}

static int put_few(struct emitter *e, uint32_t state, union pst_line *line)
{
	struct pst_paths_few *node = (struct pst_paths_few *)line;
	const struct path_state *s = &e->dfa->states[state];
	const uint32_t *keys = e->dfa->keys + s->first_key;
	int r = enter(e, s->other, &node->to[PST_PATHS_FEW_KEYS]);

	node->ends = s->class;
	for (uint32_t i = 0; i < PST_PATHS_FEW_KEYS && !r; i++) {
		uint32_t key = !s->n_keys ? s->other << PATH_KEY_STATE : keys[PST_MIN(i, s->n_keys - 1)];

		node->keys |= (uint64_t)(key & 0xff) << 8 * i;
		r = enter(e, key >> PATH_KEY_STATE, &node->to[i]);
	}
	return r;
}

static int put_many(struct emitter *e, uint32_t state, union pst_line *lines)
{
	struct many many;
	int r = 0;

	find_many(e->dfa, state, &many);
	memcpy(lines, many.place, sizeof(many.place));
	lines += PST_PATHS_MANY_LINES;
	lines[0].u32[0] = e->dfa->states[state].class;
	for (uint32_t i = 1; i <= many.n && !r; i++)
		r = enter(e, many.to[i - 1], &lines[i / 16].u32[i % 16]);
	return r;
}

static int put(struct emitter *e, uint32_t state)
{
	uint32_t entry = e->entries[state];
	union pst_line *line = e->arena->lines + (entry & PST_PATHS_LINE);

	switch (entry & PST_PATHS_KIND) {
	case PST_PATHS_RUN:
		return put_run(e, state, line);
	case PST_PATHS_FEW:
		return put_few(e, state, line);
	default:
		return put_many(e, state, line);
	}
}

int path_dfa_emit(const struct path_dfa *dfa, struct fw_arena *arena, uint32_t *ret_root)
{
	PST_CLEANUP(emitter_done) struct emitter e = {.dfa = dfa, .arena = arena};
	int r;

	e.entries = calloc(dfa->n, sizeof(*e.entries));
	e.open = calloc(dfa->n, sizeof(*e.open));
	if (!e.entries || !e.open)
		return -ENOMEM;
	r = enter(&e, dfa->root, ret_root);
	while (!r && e.n_open)
		r = put(&e, e.open[--e.n_open]);
	return r;
}
