// SPDX-License-Identifier: Apache-2.0
/* Any bytes as events of a sensor, through the process tree and the enricher's array; what comes out decodes,
 * and the sensor's part is untouched. */
#include <stdlib.h>
#include <string.h>

#include "enricher/enrich.h"
#include "proto/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct enrich enrich;

static void open_all(void)
{
	pst_log_init("fuzz", PST_LOG_TEXT, PST_LOG_ERROR);
	if (proctree_new(64, 1000, &enrich.tree) < 0 || cgroups_new("", 64, &enrich.cgroups) < 0 ||
		names_new("/nonexistent", "/etc/services", &enrich.names) < 0)
		abort();
	/* as for a recording of another boot: no look at this host's /proc */
	enrich.offline = true;
	cgroups_set_offline(enrich.cgroups, true);
}

static void check(const struct pst_event *event, const struct pst_val *values)
{
	static struct pst_buf out;
	static struct pst_event again;
	struct pst_cur cur;

	out.len = 0;
	out.failed = false;
	pst_event_append_enricher(&out, event, values);
	if (out.failed) /* an ancestor's name may be longer than an event may carry */
		return;
	cur = pst_cur(out.p, out.len);
	if (pst_event_decode(&cur, &again) < 0 || pst_cur_left(&cur) || again.n_stages < 2 ||
		again.stage_raw_len[0] != event->stage_raw_len[0] ||
		memcmp(again.stage_raw[0], event->stage_raw[0], event->stage_raw_len[0]))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pst_event event;
	struct pst_cur cur = pst_cur(data, size);
	struct pst_val values[PST_ENR_N];

	if (!enrich.tree)
		open_all();
	while (pst_cur_left(&cur) && pst_event_decode(&cur, &event) == 0) {
		enrich_event(&enrich, &event, values);
		check(&event, values);
		proctree_expire(enrich.tree, enrich.events_ns);
	}
	if (proctree_count(enrich.tree) > 64)
		abort();
	return 0;
}
