/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that answer requests share. */
#ifndef POLICYD_GUARD_OPS_H
#define POLICYD_GUARD_OPS_H

#include "policyd/guard/internal.h"

/* The first message, without its newline; @e. */
int guard_answer_error(int e, const struct pst_conf_errors *errors, char *error, size_t size);
/* not_enforced: tables are there that no program looks at. */
void guard_put_idle(struct pst_buf *out, const struct guard_tables *tables);
/* {ok, state, generation, warning, not_enforced}: a change is in force, or will be; it is warned of if it may
 * not stay. 0.
 */
int guard_answer_state(const struct guard *guard, const char *state, uint64_t generation,
	const struct saving *saved, struct pst_buf *reply);
/* Its five pairs, for who has more to say. */
void guard_put_state(struct pst_buf *out, const struct guard *guard, const char *state, uint64_t generation,
	const struct saving *saved);
void guard_put_warning(struct pst_buf *out, const struct saving *saved);
/* What a rule takes, as people read it. */
void guard_put_rule_text(struct pst_buf *out, struct guard *guard, const struct fw_rule *rule);
const char *guard_action_name(unsigned action);

/* pst_ctl_fn; @guard is the struct guard. */
int guard_on_test(
	void *guard, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);
int guard_on_sets(
	void *guard, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);
int guard_on_set_change(
	void *guard, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);
int guard_on_lists(
	void *guard, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);
int guard_on_block(
	void *guard, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);
int guard_on_unblock(
	void *guard, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size);

#endif
