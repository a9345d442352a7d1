/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POLICYD_COMPILE_H
#define POLICYD_COMPILE_H

#include "policyd/rules.h"

/* A mapping of conditions. 0 or -errno with the errors noted. */
int compile_match(struct pst_conf_ctx *ctx, const struct pst_node *node, struct cond **ret_cond);
int compile_field(struct pst_conf_ctx *ctx, const struct pst_node *node, const char *name,
	struct named_field *ret_field);
void cond_free(struct cond *cond);

#endif
