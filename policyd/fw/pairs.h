/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of address and port together, which no class can say: a hash table within the firewall's. */
#ifndef PST_POLICYD_FW_PAIRS_H
#define PST_POLICYD_FW_PAIRS_H

#include "policyd/fw/fw.h"
#include "policyd/fw/tree.h"

/* PST_FW_PAIR etc. of a rule; 0: it has no such list. */
uint32_t fw_pair_flags(const struct fw_rule *rule);
/* The pairs of all rules, and in @head where they are. 0; -ENOSPC; -EIO: no seed is to be had. */
int fw_pairs_build(const struct fw_ruleset *set, struct fw_arena *arena, struct pst_fw_head *head);

#endif
