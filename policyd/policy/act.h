/* SPDX-License-Identifier: Apache-2.0 */
/* An act in words: {operation: file.open, path: /etc/shadow, executable: /bin/cat, uid: 33} */
#ifndef PST_POLICYD_POLICY_ACT_H
#define PST_POLICYD_POLICY_ACT_H

#include "policyd/policy/policy.h"

/* What is not said is not known; ids are 0, sets empty, namespaces the host's. */
struct policy_act_text {
	struct policy_act act;
	struct pst_doc *doc; /* whose texts the act has */
	const char **ancestors, **arguments;
	struct policy_alias *aliases;
};

/* YAML or JSON. 0 or -errno with what is wrong in @errors. */
int policy_act_parse(const char *text, struct pst_conf_errors *errors, struct policy_act_text *ret_act);
void policy_act_done(struct policy_act_text *act);
/* The key of each value there is, for documentation; NULL: no more. */
const char *policy_act_key(size_t i, const char **ret_help);

#endif
