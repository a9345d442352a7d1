/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that read policies share. */
#ifndef PST_POLICYD_POLICY_READER_H
#define PST_POLICYD_POLICY_READER_H

#include "policyd/policy/policy.h"

struct policy_reader {
	struct pst_conf_ctx ctx;
	struct pst_conf_errors *warnings; /* may be NULL */
	struct policy_set *set;
	const char *what; /* the key that is read, for messages */
	/* of the policy that is read */
	bool scope_refused;
	const struct policy_rule *asks; /* the first rule that asks for arguments */
};

#define POLICY_REJECT(r, node, ...) pst_conf_reject(&(r)->ctx, node, __VA_ARGS__)

/* All that read: 0; -EINVAL: refused and said, the rest may be read; else: give up. */

/* The rest of a message about @word: what it probably was to be, else what was expected. */
struct policy_hint {
	char text[128];
};
struct policy_hint policy_hint(const char *near, const char *expected);
/* Is this error still one of those that are kept? Only then what is near is looked for, which takes its time.
 */
static inline bool policy_wants_hint(const struct policy_reader *r)
{
	return r->ctx.errors->count < PST_CONF_ERRORS_MAX;
}
/* An error at the key's place. */
int policy_reject_key(struct policy_reader *r, const struct pst_node *node, const char *what,
	const char *const *known, size_t n, const char *expected);
int policy_read_word(struct policy_reader *r, const struct pst_node *node, const struct policy_words *words,
	unsigned *ret_value);
/* 1 to @max bytes, owned by the caller. */
int policy_read_text(struct policy_reader *r, const struct pst_node *node, size_t max, char **ret_text);
/* An address or a prefix; the node is a scalar. */
int policy_read_prefix(struct policy_reader *r, const struct pst_node *node, struct fw_prefix *ret_prefix);
/* true, false, yes, no, on, off */
bool policy_yes(const char *text, bool *ret);
/* One more element of the condition, which has room for it, and how large such a one is; 0: it is a bit. */
int policy_read_element(struct policy_reader *r, const struct pst_node *node, struct policy_cond *c);
size_t policy_element_bytes(enum policy_type type);
/* A condition with the row's key. */
int policy_read_cond(
	struct policy_reader *r, const struct pst_node *node, enum policy_key key, struct policy_cond *c);
/* Those keys of the mapping that are conditions in this place (POLICY_IN_RULE or POLICY_IN_SCOPE). */
int policy_read_conds(
	struct policy_reader *r, const struct pst_node *mapping, unsigned in, struct policy_conds *conds);
int policy_read_rules(struct policy_reader *r, const struct pst_node *node, struct policy *p);

/* What no act can match, or the kernel cannot do. */
int policy_check_scope(struct policy_reader *r, const struct pst_node *node, const struct policy *p);
int policy_check_rule(struct policy_reader *r, const struct pst_node *node, const struct policy *p,
	const struct policy_rule *rule);
/* What goes over single rules: errors and warnings. */
int policy_check(struct policy_reader *r, const struct policy *p);

#endif
