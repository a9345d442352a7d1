// SPDX-License-Identifier: Apache-2.0
/* /metrics: everything that has something to say, one after the other. */
#include "exporter/exporter.h"
#include "proto/base/cleanup.h"

void metrics_write(struct exporter *x, bool openmetrics, struct pst_buf *out)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf label = {0};
	struct expo expo = {.out = out, .openmetrics = openmetrics};
	uint64_t start = pst_now_mono_ns();

	expo_label_text(&label, "version", PST_VERSION);
	expo_family(&expo, &metrics_table[M_BUILD]);
	if (!label.failed)
		expo_u64(&expo, (const char *)label.p, 1);
	counts_expose(x->counts, &expo);
	scrape_expose(x->scrape, x->cgroups, &expo);
	report_expose(x->report, &expo);
	stages_expose(x->stages, &expo);
	expo_end(&expo);
	x->scrapes->value++;
	x->scrape_ns->value += pst_now_mono_ns() - start;
}
