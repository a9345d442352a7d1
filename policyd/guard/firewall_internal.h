/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the firewall share. */
#ifndef POLICYD_GUARD_FIREWALL_INTERNAL_H
#define POLICYD_GUARD_FIREWALL_INTERNAL_H

#include "policyd/fw/parse.h"
#include "policyd/guard/firewall.h"

/* The file's text, owned; NULL where there is none and none has to be. 0 or -errno, with a message. */
int firewall_read_text(
	const char *path, bool named, char **ret_text, size_t *ret_len, struct pst_conf_errors *errors);
/* @sets: what commands changed about the document's; may be NULL. */
int firewall_parse(struct ifnames *ifnames, const char *name, const char *text, size_t len,
	struct runtime_sets *sets, struct pst_conf_errors *errors, struct fw_ruleset **ret_set);
int firewall_parse_runtime(struct ifnames *ifnames, const char *name, const struct runtime_rules *rules,
	struct pst_conf_errors *errors, struct fw_ruleset **ret_set);
/* Those by command, then the file's. */
int firewall_read_rules(struct firewall *fw, const struct runtime_rules *runtime, const char *text,
	size_t len, struct pst_conf_errors *errors, struct firewall_rules *ret_rules);

/* Reads, compiles and verifies; what is good waits to come into force. */
int firewall_build(struct firewall *fw, const struct guard_tables *tables,
	const struct runtime_rules *runtime, const char *text, size_t len, struct pst_conf_errors *errors);
/* False, with a message: what is in force comes from an earlier process, and its source is not known. */
bool firewall_may_change(
	const struct firewall *fw, const struct guard_tables *tables, struct pst_conf_errors *errors);
/* For messages. */
const char *firewall_name(const struct firewall *fw);

#endif
