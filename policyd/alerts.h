/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alerts of what policies did: an event of kind `policy` whose action is more than `audit` is one without any
 * rule of docs/rules.md. Each rule of a policy has the rate limit that rules have by default, so that a flood
 * of denials is a few alerts and a number.
 */
#ifndef POLICYD_ALERTS_H
#define POLICYD_ALERTS_H

#include "policyd/rules.h"
#include "proto/abi/policy.h"

/* Of one rule, by its number; when another generation has given the number to another rule that one begins
 * with what is left. */
struct policy_rate {
	struct alert_rate rate;
	uint64_t generation;
};

struct policy_alerts {
	struct policy_rate *rates; /* owned; PST_POL_RULES_MAX; NULL until there is an alert */
	/* of the last alert */
	char rule[2 * PST_POL_NAME], message[RULE_MESSAGE_MAX + 1];
	struct pst_buf tags;
};

/* The event is of kind `policy`. */
bool policy_alert_wanted(const struct pst_event *event);
/* Makes policyd's fields, good until the next call. False: held back by the rate limit, or there is no memory
 * for one. */
bool policy_alert(struct policy_alerts *alerts, const struct pst_event *event, struct pst_val v[PST_POL_N]);
void policy_alerts_done(struct policy_alerts *alerts);

#endif
