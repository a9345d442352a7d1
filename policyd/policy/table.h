/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy may say, as tables: the parser, the JSON Schema and the documentation are made from them. */
#ifndef PST_POLICYD_POLICY_TABLE_H
#define PST_POLICYD_POLICY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/abi/policy_ops.h"

/* Conditions. Those on the object come first and have the numbers of enum pst_pol_ask. */
enum policy_key {
	POLICY_PATHS = PST_ASK_PATHS,
	POLICY_FLAGS = PST_ASK_FLAGS,
	POLICY_ACCESS = PST_ASK_ACCESS,
	POLICY_ADDRESSES = PST_ASK_ADDRESSES,
	POLICY_PORTS = PST_ASK_PORTS,
	POLICY_PROTOCOLS = PST_ASK_PROTOCOLS,
	POLICY_FAMILIES = PST_ASK_FAMILIES,
	POLICY_TARGETS = PST_ASK_TARGETS,
	POLICY_SIGNALS = PST_ASK_SIGNALS,
	POLICY_CAPABILITIES = PST_ASK_CAPABILITIES,
	POLICY_MODULES = PST_ASK_MODULES,
	POLICY_ARGUMENTS = PST_ASK_ARGUMENTS,
	POLICY_EXECUTABLES = PST_ASKS,
	POLICY_PARENTS,
	POLICY_ANCESTORS,
	POLICY_UIDS,
	POLICY_GIDS,
	POLICY_HOLDS,
	POLICY_GAINED,
	POLICY_NAMESPACES,
	POLICY_CGROUPS,
	POLICY_CONTAINERS,
	POLICY_HOST,
	POLICY_DESCENDANTS,
	POLICY_KEYS,
};

enum policy_type {
	POLICY_T_PATTERNS,  /* paths: text, or {prefix:}, {directory:}, {suffix:}, {glob:} */
	POLICY_T_FILES,     /* exact paths */
	POLICY_T_CGROUPS,   /* globs of paths, with all below */
	POLICY_T_GLOBS,     /* globs of any text */
	POLICY_T_NAMES,     /* of modules */
	POLICY_T_IDS,       /* numbers and ranges */
	POLICY_T_PORTS,     /* likewise */
	POLICY_T_WORDS,     /* of the row's words */
	POLICY_T_ADDRESSES, /* addresses and prefixes */
	POLICY_T_NAMESPACES,
	POLICY_T_TRUE, /* true, or left out */
	POLICY_TYPES,
};

/* Numbers that have names. */
struct policy_words {
	const char *what; /* "protocol": for messages */
	const char *examples;
	const char *(*name)(unsigned value); /* NULL: has none */
	unsigned n;                          /* values are below */
	bool numbers;                        /* may be given as well */
};

enum { POLICY_IN_RULE = 1, POLICY_IN_SCOPE = 2 };

struct policy_row {
	const char *key;
	enum policy_type type;
	uint8_t in;
	const struct policy_words *words;
	const char *help;
};

struct policy_op {
	const char *name;
	enum pst_pol_op number;
	uint32_t asks; /* PST_ASK_BIT() */
	const char *help;
};

extern const struct policy_row policy_rows[POLICY_KEYS];
extern const struct policy_op policy_ops[];
extern const size_t policy_n_ops;
extern const struct policy_words policy_actions, policy_errnos, policy_modes, policy_needs, policy_ns_kinds,
	policy_op_words;

/* The operation's name; NULL: there is none of this number. */
const char *policy_op_name(unsigned number);
static inline bool policy_is_on_object(enum policy_key key)
{
	return (unsigned)key < PST_ASKS;
}
/* All operations that can have the condition, as bits. */
uint64_t policy_key_ops(enum policy_key key);
bool policy_word(const struct policy_words *words, const char *text, unsigned *ret_value);
/* The word that @text was probably to be, or NULL. */
const char *policy_word_near(const struct policy_words *words, const char *text);

#endif
