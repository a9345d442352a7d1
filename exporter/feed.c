// SPDX-License-Identifier: Apache-2.0
/* What happens to each event: counted, stored, written to followers and to the file. The hot path. */
#include "exporter/exporter.h"
#include "proto/base/cleanup.h"

#define ENRICHER_TOPICS                                                                                      \
	(1u << PST_TOPIC_PROC | 1u << PST_TOPIC_FILE | 1u << PST_TOPIC_NET | 1u << PST_TOPIC_FLOW |          \
		1u << PST_TOPIC_L7 | 1u << PST_TOPIC_META)

static void pass_on(struct exporter *x, const struct pst_event *event, bool alert)
{
	struct store_event stored = {.kind = event->kind, .raw = event->raw, .len = event->raw_len};

	stored.seq = store_add(x->store, event->kind, event->raw, event->raw_len);
	lazy_init(x->lazy, event->raw, event->raw_len);
	streams_event(x->streams, &stored, x->lazy);
	if (x->output && output_wants(x->output, event->kind, alert)) {
		const struct pst_event *full = lazy_get(x->lazy);

		if (full)
			output_event(x->output, full, counts_wall_offset(x->counts));
	}
}

static void on_batch(struct exporter *x, struct pst_sub *sub, const struct pst_batch *batch, bool alert)
{
	struct pst_batch_iter it;
	struct pst_event event;

	pst_batch_iter_init(&it, sub, batch);
	it.scan_only = true;
	while (pst_batch_iter_next(&it, &event)) {
		if (alert)
			counts_alert(x->counts, &event);
		else
			counts_event(x->counts, &event);
		pass_on(x, &event, alert);
	}
	x->store_events->value = store_next(x->store) - store_oldest(x->store);
	x->store_bytes->value = store_bytes(x->store);
	x->flows_evicted->value = flows_evicted(x->flows);
}

static void on_enricher_batch(void *arg, const struct pst_batch *batch)
{
	struct exporter *x = arg;

	on_batch(x, x->enricher, batch, false);
}

static void on_policyd_batch(void *arg, const struct pst_batch *batch)
{
	struct exporter *x = arg;

	on_batch(x, x->policyd, batch, true);
}

/* The file's end belongs to the position: what was written beyond is cut off after a crash, and comes again.
 */
static void on_commit(void *arg, uint64_t aux[PST_SUB_AUX])
{
	struct exporter *x = arg;
	struct output_mark mark;

	if (!x->output)
		return;
	output_mark(x->output, &mark);
	aux[0] = mark.file;
	aux[1] = mark.size;
	aux[2] = mark.number;
}

/* Both subscriptions write into the one file: the newer mark is where it was whole. */
int feed_recover_output(struct exporter *x)
{
	struct output_mark last = {0};
	const struct pst_sub *subs[] = {x->enricher, x->policyd};
	uint64_t aux[PST_SUB_AUX];

	for (unsigned i = 0; i < PST_ARRAY_SIZE(subs); i++)
		if (pst_sub_aux(subs[i], aux) && aux[2] > last.number)
			last = (struct output_mark){aux[0], aux[1], aux[2]};
	output_number_marks(x->output, last.number);
	return output_recover(x->config->output_path, x->config->output_keep, &last);
}

int feed_open(struct exporter *x)
{
	const struct pst_sub_config enricher = {.publisher = "enricher",
		.topics = ENRICHER_TOPICS,
		.resume = PST_RESUME_OWN,
		.on_batch = on_enricher_batch,
		.on_commit = on_commit,
		.arg = x};
	const struct pst_sub_config policyd = {.publisher = "policyd",
		.topics = 1u << PST_TOPIC_ALERT,
		.resume = PST_RESUME_OWN,
		.on_batch = on_policyd_batch,
		.on_commit = on_commit,
		.arg = x};
	int r;

	x->store_events = pst_gauge("store_events", "Events kept for /api/v1/events.");
	x->store_bytes = pst_gauge("store_bytes", "Bytes of those events.");
	x->flows_evicted = pst_counter(
		"flows_evicted", "Flows that made room for others in the table of /api/v1/flows.");
	r = pst_bus_subscribe(x->bus, &enricher, &x->enricher);
	return r ? r : pst_bus_subscribe(x->bus, &policyd, &x->policyd);
}
