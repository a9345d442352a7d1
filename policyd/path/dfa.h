/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Automata from tokens. A state is the set of tokens that matches can be before, less those that others make
 * superfluous; it is made when it is first reached.
 */
#ifndef PST_POLICYD_PATH_DFA_H
#define PST_POLICYD_PATH_DFA_H

#include "policyd/path/lists.h"
#include "policyd/path/tokens.h"

/* A byte of @keys leads elsewhere than all others, which lead to @other. State 0 matches nothing any more. */
struct path_state {
	uint32_t class;
	uint32_t other;
	uint32_t first_key;
	uint32_t n_keys;
};

#define PATH_KEY_STATE 8 /* from this bit on: where to; below: the byte */

struct path_dfa {
	struct path_state *states;
	uint32_t n, size;
	uint32_t *keys;
	uint32_t n_keys, keys_size;
	uint32_t root;
	struct path_lists classes; /* of patterns */
};

/* Counted down: tokens that are put into sets. */
struct path_budget {
	uint64_t work;
	uint32_t states; /* of this automaton at most */
};

void path_dfa_done(struct path_dfa *dfa);
/* From the patterns whose first tokens these are. 0; -E2BIG: the budget is spent; -ENOMEM. */
int path_dfa_build(const struct path_tokens *tokens, const uint32_t *firsts, uint32_t n,
	struct path_budget *budget, struct path_dfa *ret_dfa);

/* Writes the states into lines; the entry of the first is ret_root. 0; -ENOSPC; -ENOMEM. */
struct fw_arena;
int path_dfa_emit(const struct path_dfa *dfa, struct fw_arena *arena, uint32_t *ret_root);

#endif
