/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that make the tables share. */
#ifndef PST_POLICYD_POLICY_COMPILE_H
#define PST_POLICYD_POLICY_COMPILE_H

#include "policyd/array.h"
#include "policyd/fw/intern.h"
#include "policyd/policy/tables.h"

/* All that return int: 0; -ENOSPC: not enough lines; -ENOMEM; -E2BIG: said in errors. */

/* A bit for each rule. */
struct policy_bits {
	uint64_t w[PST_POL_RULES_MAX / 64];
};

/* Of the rules from @first to before @end. */
void policy_bits_set(struct policy_bits *bits, uint32_t first, uint32_t end);
void policy_bits_clear(struct policy_bits *bits, uint32_t first, uint32_t end);
void policy_bits_flip(struct policy_bits *bits, uint32_t first, uint32_t end);
uint32_t policy_bits_count(const struct policy_bits *a, const struct policy_bits *b); /* of both */

/* A condition, and the rules that it is one of: all of a policy where it is its scope's. */
struct policy_ask {
	const struct policy_cond *cond;
	uint32_t first, end;
};

struct policy_asks {
	struct policy_ask *v;
	size_t n, size;
};

/* An ask that has this pattern in its list. */
struct policy_use {
	uint32_t pattern;
	uint32_t first, end;
};

/* Uses by pattern: those of pattern n are from starts[n] to before starts[n + 1]. */
struct policy_uses {
	struct policy_use *v;
	size_t n, size;
	uint32_t *starts;
};

/* Lines of classes that are in use, for the bound: in the upper half which of several that are or-ed. */
struct policy_seen {
	uint64_t *v;
	size_t n, size;
};

/* Classes and chunks that are there. */
struct policy_interns {
	struct fw_intern chunks, classes[2]; /* of one line, of two */
	struct fw_intern inodes;             /* struct pst_pol_inode_lists */
	struct policy_bits last;             /* what was put last, most of which mostly stays */
	uint32_t last_ref[PST_POL_CHUNKS_MAX];
};

struct policy_rule_at {
	const struct policy *policy;
	const struct policy_rule *rule;
	uint32_t number; /* of the policy in the set */
	uint32_t end;    /* of the policy's rules */
};

/* A path that rules name, and of which the inode counts. */
struct policy_named {
	const uint8_t *text; /* the pattern's */
	uint32_t len;
	uint32_t lists; /* line: struct pst_pol_inode_lists */
};

#define POLICY_DIMS_ALL (PST_POL_DIMS + PST_POL_MULTIS)

struct policy_tables {
	const struct policy_set *set;
	struct policy_room room;
	struct pst_conf_errors *errors; /* while it is compiled */
	struct pst_pol_head head;
	struct fw_arena arena;
	struct policy_interns interns;
	struct policy_rule_at *rules;
	uint32_t n_rules;
	struct policy_asks asks[POLICY_DIMS_ALL]; /* by enum pst_pol_dim, then enum pst_pol_multi */
	struct policy_seen seen[POLICY_DIMS_ALL];
	const struct policy_cond **arguments; /* lists, by number */
	uint32_t n_arguments;
	/* paths */
	struct path_set patterns;
	struct path_compiled compiled;
	struct policy_uses uses[PST_POL_MULTIS];
	/* cgroups */
	struct path_set cgroups;
	struct path_compiled cgroups_compiled;
	struct policy_uses cgroup_uses;
	union pst_line *cgroup_lines;
	uint32_t n_cgroup_lines;
	struct policy_bits cgroup_base;
	/* inodes */
	struct policy_named *named; /* by text */
	uint32_t n_named;
	struct pst_file_id *filled; /* by policy_inodes_fill(), sorted */
	uint32_t n_filled;
	struct policy_interns late; /* of classes behind the mark */
	uint32_t mark;              /* lines that are not classes of cgroups, or lists of inodes, set later */
};

static inline struct pst_pol_dim_head *policy_dim_head(struct policy_tables *t, unsigned dim)
{
	union pst_line *l = &t->arena.lines[PST_POL_DIM_LINE + dim / PST_POL_DIMS_A_LINE];

	return (struct pst_pol_dim_head *)l + dim % PST_POL_DIMS_A_LINE;
}

static inline struct pst_pol_multi_head *policy_multi_head(struct policy_tables *t, unsigned multi)
{
	return (struct pst_pol_multi_head *)&t->arena.lines[PST_POL_MULTI_LINE + 2 * multi];
}

int policy_refuse(struct policy_tables *t, uint32_t rule, const struct policy_cond *at, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* Rules that ask for nothing here; with @not also those that want the act in no list. */
void policy_free_bits(const struct policy_tables *t, unsigned dim, bool not, struct policy_bits *ret_bits);
/* The line of a class like this. */
int policy_class_put(struct policy_tables *t, struct policy_interns *in, const struct policy_bits *bits,
	uint32_t *ret_line);
/* The same, as one of the dimension @dim; @part: of several that are or-ed. */
int policy_class_of(struct policy_tables *t, unsigned dim, uint32_t part, const struct policy_bits *bits,
	uint32_t *ret_line);
void policy_class_get(const struct policy_tables *t, uint32_t line, struct policy_bits *ret_bits);
void policy_interns_done(struct policy_interns *in);

int policy_uses_add(struct policy_uses *uses, uint32_t pattern, const struct policy_ask *ask);
/* Sorts them, once all are there. */
int policy_uses_close(struct policy_uses *uses, uint32_t n_patterns);
void policy_uses_done(struct policy_uses *uses);
/* Sets the bits of rules that have one of the patterns in their list; returns how many words that took. */
uint64_t policy_uses_set(
	const struct policy_uses *uses, const uint32_t *patterns, size_t n, struct policy_bits *bits);

/* One dimension after the other. */
int policy_compile_dims(struct policy_tables *t);
int policy_compile_texts(struct policy_tables *t);
int policy_compile_names(struct policy_tables *t);
int policy_compile_cgroups(struct policy_tables *t);
int policy_compile_inodes(struct policy_tables *t);
int policy_check_bound(struct policy_tables *t);

uint64_t policy_name_key(const struct pst_pol_head *head, const char *name);
/* Rules whose scope takes a class of the cgroups' automata. */
void policy_cgroup_bits(
	const struct policy_tables *t, uint32_t automaton, uint32_t class, struct policy_bits *bits);
/* All cgroups and inodes that were set. */
void policy_late_forget(struct policy_tables *t);
/* What programs keep of subjects is void. */
void policy_told(struct policy_tables *t);

#endif
