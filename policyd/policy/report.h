/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with policies, and what they say, for people and as JSON. */
#ifndef PST_POLICYD_POLICY_REPORT_H
#define PST_POLICYD_POLICY_REPORT_H

#include "policyd/policy/policy.h"
#include "proto/wire/mp.h"

struct policy_report {
	bool json; /* collect; else it goes to stderr at once */
	struct pst_buf errors, warnings;
};

void policy_report_done(struct policy_report *report);
/* Of a file (NULL: of none); @errors and @warnings are emptied. */
void policy_report_add(struct policy_report *report, const char *file, struct pst_conf_errors *errors,
	struct pst_conf_errors *warnings);
/* To stdout. @set: NULL: it is not good. */
void policy_report_json(const struct policy_report *report, const struct policy_set *set);
/* What each policy says, and what happens, to stdout; returns the latter. */
enum pst_pol_action policy_report_verdict(
	const struct policy_set *set, const struct policy_act *act, bool json);

#endif
