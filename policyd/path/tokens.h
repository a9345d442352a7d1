/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns as rows of tokens: where a match can be is a set of tokens (policyd/path/dfa.h). */
#ifndef PST_POLICYD_PATH_TOKENS_H
#define PST_POLICYD_PATH_TOKENS_H

#include "policyd/path/path.h"

enum path_token_type {
	PATH_LITERAL, /* the byte arg */
	PATH_SET,     /* a byte of the set arg; no set has the slash */
	PATH_ANY,     /* a byte, not the slash */
	PATH_STAR,    /* any number of those; the pattern's component begins with token arg */
	PATH_DEEP,    /* nothing, or anything that ends with a slash */
	PATH_REST,    /* a byte, and then anything; PATH_ALL follows */
	PATH_INSIDE,  /* nothing, or a slash and then anything; PATH_ALL follows */
	PATH_STOP,    /* the end of the path */
	PATH_ALL,     /* anything */
};

struct path_token {
	uint32_t type : 8, pattern : 24;
	uint32_t arg;
};

struct path_bytes {
	uint64_t has[4];
};

/* Of one pattern after the other. */
struct path_tokens {
	struct path_token *v;
	uint32_t n, size;
	struct path_bytes *sets;
	uint32_t n_sets, sets_size;
};

/* What a pattern asks of the automaton that it is put into. */
enum path_shape {
	PATH_FORWARD,  /* literals: any number of these make an automaton that grows with them */
	PATH_BACKWARD, /* the same, from the end */
	PATH_PLAIN,    /* a glob */
	PATH_WILD,     /* one with PATH_DEEP: it goes on beside all others */
	PATH_SHAPES,
};

void path_tokens_done(struct path_tokens *tokens);
/* Adds those of a pattern. 0; -EINVAL and why in ret_error; -ENOMEM. */
int path_tokens_add(struct path_tokens *tokens, const struct path_pattern *pattern, uint32_t number,
	struct path_error *ret_error);
/* Of the pattern added last, whose tokens begin at @first; those of PATH_BACKWARD are turned round here. */
enum path_shape path_tokens_shape(struct path_tokens *tokens, uint32_t first, enum path_kind kind);

#endif
