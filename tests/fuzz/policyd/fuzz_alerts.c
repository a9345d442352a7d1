// SPDX-License-Identifier: Apache-2.0
/* Any bytes as events, and the alerts that those of policies make: texts that fit, and events again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/alerts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct pst_event *e, const struct pst_val v[PST_POL_N])
{
	static struct pst_buf out;
	static struct pst_event alert;
	struct pst_cur cur;

	if (v[PST_POL_rule].len >= 2 * PST_POL_NAME || v[PST_POL_message].len > RULE_MESSAGE_MAX ||
		!v[PST_POL_rule].len || ((const char *)v[PST_POL_rule].p)[v[PST_POL_rule].len] ||
		((const char *)v[PST_POL_message].p)[v[PST_POL_message].len] || v[PST_POL_severity].u < 3)
		abort();
	out.len = 0;
	pst_event_append_policyd(&out, e, v);
	cur = pst_cur(out.p, out.len);
	if (out.failed || pst_event_decode(&cur, &alert) < 0 || alert.n_stages != 3)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy_alerts alerts;
	static struct pst_event e;
	struct pst_cur cur = pst_cur(data, size);

	while (pst_cur_left(&cur) && !pst_event_decode(&cur, &e)) {
		struct pst_val v[PST_POL_N] = {0};

		if (e.kind == PST_KIND_POLICY && policy_alert_wanted(&e) && policy_alert(&alerts, &e, v))
			check(&e, v);
	}
	policy_alerts_done(&alerts);
	return 0;
}
