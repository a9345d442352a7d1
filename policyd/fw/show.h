/* SPDX-License-Identifier: Apache-2.0 */
/* Rules as text: YAML that fw_parse() reads as the same rules, and lines for people. */
#ifndef PST_POLICYD_FW_SHOW_H
#define PST_POLICYD_FW_SHOW_H

#include <stdio.h>

#include "policyd/fw/fw.h"

struct fw_show_context {
	/* The interface's name, NULL: there is none any more; it is then shown as ?index, which is not read.
	 */
	const char *(*ifname)(uint32_t ifindex, void *arg);
	void *arg;
};

/* One line of flow YAML without its end: "{name: ssh, proto: tcp, dport: 22, action: accept}". */
void fw_rule_show(FILE *out, const struct fw_rule *rule, const struct fw_show_context *context);
/* A whole document. */
void fw_ruleset_show(FILE *out, const struct fw_ruleset *set, const struct fw_show_context *context);
/* What it takes, in one line without its end: "proto tcp dport 22"; long lists are cut short. */
void fw_rule_fields(FILE *out, const struct fw_rule *rule, const struct fw_show_context *context);
/* One line of a table, its end too: number, action, name, what it takes; long lists are cut short. */
void fw_rule_list(FILE *out, const struct fw_rule *rule, const struct fw_show_context *context);

#endif
