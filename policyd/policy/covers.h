/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and conditions against one another. */
#ifndef PST_POLICYD_POLICY_COVERS_H
#define PST_POLICYD_POLICY_COVERS_H

#include "policyd/policy/policy.h"

/* Does @a take every act that @b takes? True is certain. Comparisons are taken from @budget; none left:
 * false.
 */
bool policy_rule_covers(const struct policy_rule *a, const struct policy_rule *b, size_t *budget);
/* No subject is taken by both conditions, which have one key. True is certain. */
bool policy_conds_apart(const struct policy_cond *a, const struct policy_cond *b);

#endif
