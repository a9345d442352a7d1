// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a rules file; what is accepted is run on an event. */
#include <stdint.h>
#include <stdlib.h>

#include "policyd/rules.h"

static void make_event(struct pst_buf *out)
{
	struct pst_buf argv = {0};
	struct pst_val v[PST_EXEC_F_N] = {0};

	pst_list_add(&argv, "curl", 4);
	pst_list_add(&argv, "-k", 2);
	v[PST_EXEC_F_pid].u = 42;
	v[PST_EXEC_F_uid].u = 1000;
	v[PST_EXEC_F_comm] = pst_val_str("curl", 4);
	v[PST_EXEC_F_exe] = pst_val_str("/usr/bin/curl", 13);
	v[PST_EXEC_F_argv] = (struct pst_val){.p = argv.p, .len = (uint32_t)argv.len, .n = 2};
	pst_event_pack(out, PST_KIND_EXEC, 5, v);
	pst_buf_done(&argv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pst_buf event;
	struct pst_conf_errors errors = {0};
	struct rules *rules = NULL;
	struct pst_event e;
	struct pst_cur cur;

	if (!event.len)
		make_event(&event);
	cur = pst_cur(event.p, event.len);
	if (pst_event_decode(&cur, &e) < 0)
		abort();
	if (!rules_parse("fuzz.yaml", data, size, &errors, &rules)) {
		for (uint32_t i = 0; i < rules->n_by_kind[e.kind]; i++) {
			struct rule *r = &rules->v[rules->by_kind[e.kind][i]];
			char text[RULE_MESSAGE_MAX + 1];

			if ((!r->match || cond_match(r->match, &e)) && alert_take(&r->rate, e.ts_ns))
				rule_message(r, &e, text);
		}
	}
	rules_free(rules);
	pst_conf_errors_done(&errors);
	return 0;
}
