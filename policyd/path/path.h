/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions on paths: read from text (path_set_add), evaluated one by one (path_matches), and compiled into
 * automata that kernel programs walk (path_compile, proto/abi/policy.h). docs/design/paths.md.
 *
 * A path is absolute, at most PST_PATH_MAX bytes, without NUL bytes, and as the kernel writes it: no empty
 * components, no "." or "..", no slash at the end but in "/". Other paths are looked up too; that conditions
 * treat all of them alike is promised for those that begin with a slash.
 */
#ifndef PST_POLICYD_PATH_H
#define PST_POLICYD_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/abi/policy.h"

#define PATH_PATTERNS_MAX 10000
#define PATH_TEXT_MAX     (2u << 20) /* bytes of all patterns together */

enum path_kind {
	PATH_EXACT,    /* this path */
	PATH_PREFIX,   /* what begins with these bytes */
	PATH_CHILDREN, /* what is in this directory itself */
	PATH_BELOW,    /* this directory and all that is below it */
	PATH_SUFFIX,   /* what ends with these bytes */
	/*
	 * Of whole paths. `?`, `[a-z]` and `[!a-z]` are one byte and `*` any number, none of them a slash; a
	 * component that is `*` alone has a byte at least. A component `**` is any number of components, none
	 * included; as the last one it is one or more. A backslash takes the meaning from what follows it.
	 */
	PATH_GLOB,
	PATH_KINDS,
};

/* Text need not end with NUL. */
struct path_pattern {
	uint8_t *text;
	uint32_t len;
	enum path_kind kind;
};

struct path_set {
	struct path_pattern *v;
	uint32_t n, size;
	size_t text;     /* bytes of all of them */
	uint32_t *slots; /* by contents: number + 1 */
	uint32_t n_slots;
};

struct path_error {
	const char *what; /* static */
	size_t at;        /* byte of the text */
};

const char *path_kind_name(enum path_kind kind);
bool path_kind_parse(const char *name, enum path_kind *ret_kind);

void path_set_done(struct path_set *set);
/*
 * The number of this pattern in the set, which it gets unless it has one. 0; -EINVAL, -E2BIG (more than
 * PATH_PATTERNS_MAX, or PATH_TEXT_MAX), -ENOMEM, and why in ret_error; the set is as it was.
 */
int path_set_add(struct path_set *set, enum path_kind kind, const void *text, size_t len,
	uint32_t *ret_pattern, struct path_error *ret_error);

/* The plain evaluation, from the text. What it took is added to @steps: some nanoseconds each. */
bool path_matches(const struct path_pattern *pattern, const uint8_t *path, size_t len, uint64_t *steps);

/* The patterns that a class stands for; class 0 is none of them. */
struct path_class {
	const uint32_t *patterns; /* ascending */
	size_t n;
};

struct path_classes;

struct path_compiled {
	struct path_classes *automata[PST_PATHS_AUTOMATA];
	uint32_t n; /* automata */
	uint32_t lines;
	uint32_t states;
};

void path_compiled_done(struct path_compiled *compiled);
struct path_class path_class(const struct path_compiled *compiled, uint32_t automaton, uint32_t class);
uint32_t path_class_count(const struct path_compiled *compiled, uint32_t automaton);

/*
 * Writes the automata into @lines (@n_lines, a power of two). 0; -E2BIG: a pattern needs too many states,
 * also by itself, or there would be too many automata; -ENOSPC: not enough lines; -ENOMEM. What could not be
 * placed is in ret_refused, a pattern's number. On an error the lines hold rubbish, which harms nobody.
 */
int path_compile(const struct path_set *set, union pst_line *lines, uint32_t n_lines,
	struct path_compiled *ret_compiled, uint32_t *ret_refused);

/* The class of each automaton, as the kernel programs find it. */
void path_lookup(const union pst_line *lines, uint32_t n_lines, const uint8_t *path, size_t len,
	uint32_t ret_classes[PST_PATHS_AUTOMATA]);

/* A path made from the corners of some patterns, or by chance; @state, not 0, goes on. Returns its length. */
size_t path_sample(const struct path_set *set, uint64_t *state, uint8_t ret_path[PST_PATH_MAX]);
/*
 * Compares lines with the plain evaluation on *n such paths, or on as many as can be compared in about a
 * second, which *n then is. True if they agree on all; else ret_path is one on which they do not, of ret_len
 * bytes.
 */
bool path_verify(const struct path_set *set, const struct path_compiled *compiled,
	const union pst_line *lines, uint32_t n_lines, size_t *n, uint64_t seed,
	uint8_t ret_path[PST_PATH_MAX], size_t *ret_len);

#endif
