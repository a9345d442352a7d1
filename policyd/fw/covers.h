/* SPDX-License-Identifier: Apache-2.0 */
/* Rules against one another, field by field. */
#ifndef PST_POLICYD_FW_COVERS_H
#define PST_POLICYD_FW_COVERS_H

#include "policyd/fw/fw.h"

/* Does @a hold all of @b? */
bool fw_prefix_covers(const struct fw_prefix *a, const struct fw_prefix *b);
/* Which kinds of packets the rule may take, as far as one field alone says so. */
enum { FW_KIND_IP4 = 1, FW_KIND_IP6 = 2 };
unsigned fw_rule_kinds(const struct fw_rule *rule);
/* Does @a take every packet that @b takes? True is certain. */
bool fw_rule_covers(const struct fw_rule *a, const struct fw_rule *b);

#endif
