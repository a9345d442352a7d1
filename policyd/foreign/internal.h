/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of other formats share. */
#ifndef PST_POLICYD_FOREIGN_INTERNAL_H
#define PST_POLICYD_FOREIGN_INTERNAL_H

#include <stdint.h>

#include "policyd/foreign/foreign.h"
#include "policyd/policy/table.h"

#define FOREIGN_SAID_MAX 2000 /* lines */
#define FOREIGN_YAML_MAX (48u << 20)
#define FOREIGN_TEXT_MAX 1000 /* bytes of a text for people */

/* ---- text (text.c) ---- */

void foreign_buf_done(struct foreign_buf *buf);
void foreign_put(struct foreign_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As a scalar of YAML that is a string; at most FOREIGN_TEXT_MAX or POLICY_TEXT_MAX bytes are of use. */
void foreign_put_string(struct foreign_buf *buf, const char *text, size_t max);
/* Fit for a line of a terminal. */
void foreign_put_clean(struct foreign_buf *buf, const char *text, size_t max);

/* ---- a document that becomes policies (import.c) ---- */

struct foreign_doc {
	struct foreign *f;
	const char *file, *kind, *name, *space; /* space: its namespace, or NULL */
	const struct pst_node *root;
	char scope[8192];           /* "  scope: {...}\n", or nothing */
	bool audit;                 /* who is judged is not exactly known: nothing is held up */
	struct foreign_buf notes;   /* annotations */
	struct foreign_buf remarks; /* comments: what is always different */
};

/* The place of a clause. */
struct foreign_at {
	uint32_t line, column;
};
static inline struct foreign_at foreign_at(const struct pst_node *node)
{
	return (struct foreign_at){node->line, node->column};
}
static inline struct foreign_at foreign_at_key(const struct pst_node *node)
{
	return node->key ? (struct foreign_at){node->key_line, node->key_column} : foreign_at(node);
}

/* The clause is not in what is written: its rule is missing. */
void foreign_leave_out(const struct foreign_doc *d, struct foreign_at at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* What is written takes more or less than the original, or says less. */
void foreign_note(const struct foreign_doc *d, struct foreign_at at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One rule, as text: ", key: value" for each condition. */
struct foreign_rule {
	uint64_t ops;
	enum pst_pol_action action;
	const char *error; /* NULL: as it is by itself */
	struct foreign_buf conds;
	const char *about; /* for people, or NULL */
	struct foreign_at at;
	char label[40]; /* what it comes from: the beginning of its name */
};
void foreign_rule_done(struct foreign_rule *rule);

/* Rules that become one policy. */
struct foreign_policy {
	struct foreign_doc *d;
	const char *suffix; /* of its name */
	struct foreign_buf rules;
	unsigned n;
};
/* True: the rule is in it; false: it would not be accepted, and that it is left out was told. */
bool foreign_add(struct foreign_policy *p, const struct foreign_rule *rule);
/* Written, if it has rules; @p is done. */
void foreign_close(struct foreign_policy *p);

/* Its keys are all of @known (ends with NULL); else the first that is not. */
const struct pst_node *foreign_unknown(const struct pst_node *mapping, const char *const *known);
/* The scalar's text; NULL: there is none of this key, or it is no scalar. */
const char *foreign_text(const struct pst_node *mapping, const char *key);
bool foreign_is_true(const struct pst_node *mapping, const char *key);
void foreign_annotate(struct foreign_doc *d, const char *key, const struct pst_node *value);
/* Who is judged cannot be said: control groups as the options have them, else @all and nothing is held up. */
void foreign_scope(struct foreign_doc *d, const struct pst_node *selector, const char *all, const char *what);

/* ---- the readers ---- */

void foreign_kubearmor(struct foreign_doc *d, const struct pst_node *spec);
void foreign_tetragon(struct foreign_doc *d, const struct pst_node *spec);

#endif
