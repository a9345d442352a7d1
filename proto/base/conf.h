/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration: YAML read with libyaml into a bounded tree whose nodes know their line and column, then
 * bound to a struct by a static table. Every error is `file:line:column: what was expected`, with a "did you
 * mean" for unknown keys and values. Bounds: file 1 MiB, nesting 16, nodes 100,000; no aliases, no tags (both
 * are refused with their place).
 */
#ifndef PST_BASE_CONF_H
#define PST_BASE_CONF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pst_node_type { PST_NODE_SCALAR, PST_NODE_SEQUENCE, PST_NODE_MAPPING };

struct pst_node {
	enum pst_node_type type;
	uint32_t line, column; /* from 1 */
	bool quoted;           /* scalar written in quotes: always a string */
	char *text;            /* scalar: NUL-terminated; a NUL byte inside is refused at parsing */
	const char *key;       /* this node's key in its parent mapping, or NULL */
	uint32_t key_line, key_column;
	struct pst_node *parent, *child,
		*next; /* children in file order; a root's next is the next document's */
	uint32_t n_children;
};

struct pst_doc; /* owns the tree */

/* Errors of one file. The first PST_CONF_ERRORS_MAX are kept; text lines are "file:line:column: message\n".
 */
#define PST_CONF_ERRORS_MAX 20
struct pst_conf_errors {
	uint32_t count;
	char *text; /* owned; NULL when count is 0 */
	size_t text_len;
};
void pst_conf_errors_done(struct pst_conf_errors *errors);
void pst_conf_error(struct pst_conf_errors *errors, const char *file, uint32_t line, uint32_t column,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Into the log, a line each. */
void pst_conf_errors_log(const struct pst_conf_errors *errors);
/* Nearest of @n names to @word by edit distance (at most a third of its length), or NULL. */
const char *pst_conf_did_you_mean(const char *word, const char *const *names, size_t n);

/* Parse. A file without content gives a document whose root is NULL. -ENOENT and the like go into @errors too
 * (line 0 left out). Returns 0 or -errno (-EBADMSG: syntax or bounds). */
int pst_doc_load(const char *path, struct pst_conf_errors *errors, struct pst_doc **ret_doc);
int pst_doc_parse(const char *name, const void *bytes, size_t len, struct pst_conf_errors *errors,
	struct pst_doc **ret_doc);
/* The same for what may be larger (or must be smaller) than a configuration. */
struct pst_doc_bounds {
	size_t bytes;
	uint32_t nodes;     /* scalars, sequences and mappings */
	uint32_t documents; /* between lines of "---"; 0: one */
	bool end_nul;       /* one NUL at the end of a text is left out, not refused */
};
int pst_doc_parse_within(const char *name, const void *bytes, size_t len, const struct pst_doc_bounds *bounds,
	struct pst_conf_errors *errors, struct pst_doc **ret_doc);
/* Of several documents the first that has content; the others are behind it. */
const struct pst_node *pst_doc_root(const struct pst_doc *doc);
const char *pst_doc_name(const struct pst_doc *doc);
void pst_doc_free(struct pst_doc *doc);
void pst_doc_freep(struct pst_doc **doc);
const struct pst_node *pst_node_get(const struct pst_node *mapping, const char *key); /* NULL if absent */

enum pst_conf_type {
	PST_CONF_BOOL, /* bool; true/false/yes/no/on/off */
	PST_CONF_U64,  /* uint64_t; decimal or 0x, min..max */
	PST_CONF_SIZE, /* uint64_t bytes: 64KiB, 8MiB, 1GiB, 8M, plain number; min..max */
	PST_CONF_TIME, /* uint64_t nanoseconds: 500ms, 2s, 5m, 1h, 100us, 1d; min..max */
	PST_CONF_STR,  /* char *, owned (strdup); min..max bytes if max is set */
	PST_CONF_ENUM, /* int: index into names */
	PST_CONF_STRS, /* struct pst_strs: a sequence of strings (or one scalar); max entries if max is set */
	PST_CONF_SECTION, /* nested: fields bound within the same struct */
	PST_CONF_CUSTOM,  /* parse() is called with the node */
};

struct pst_strs {
	char **v; /* owned */
	size_t n;
};
void pst_strs_done(struct pst_strs *strs);

struct pst_conf_ctx {
	const char *file;
	struct pst_conf_errors *errors;
	void *base; /* the struct being filled */
};

struct pst_conf_field {
	const char *key;
	enum pst_conf_type type;
	size_t offset;            /* into the struct; unused for SECTION and CUSTOM */
	const char *help;         /* one line, for --help-config and the man page; names the default */
	uint64_t min, max;        /* 0,0: not checked */
	const char *const *names; /* ENUM: NULL-terminated */
	const struct pst_conf_field *section; /* SECTION: its table, ends with key NULL */
	int (*parse)(struct pst_conf_ctx *ctx, const struct pst_node *node); /* CUSTOM */
	void (*print)(const void *base); /* CUSTOM: the value on one line of YAML; NULL: it is not shown */
};

/* Fill @base (which holds the defaults already) from @node by @fields. Collects all errors; 0 or -EINVAL. A
 * NULL node is fine. */
int pst_conf_bind(struct pst_conf_ctx *ctx, const struct pst_node *node, const struct pst_conf_field *fields);
/* Frees the STR and STRS members named by the table. */
void pst_conf_release(void *base, const struct pst_conf_field *fields);
/* The table as commented YAML with the values of @base (the defaults): what `--print-config` prints. */
void pst_conf_print(const void *base, const struct pst_conf_field *fields);
/* The same as a section: "name:" and the fields below it. */
void pst_conf_print_section(const char *name, const void *base, const struct pst_conf_field *fields);
/* An error at a node's place. Always returns -EINVAL. */
int pst_conf_reject(struct pst_conf_ctx *ctx, const struct pst_node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int pst_conf_parse_size(const char *text, uint64_t *ret_bytes);
int pst_conf_parse_time(const char *text, uint64_t *ret_ns);

#endif
