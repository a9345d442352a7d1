// SPDX-License-Identifier: Apache-2.0
/* Floods as events: each step and each signature is a vector. */
#include <stdio.h>
#include <string.h>

#include "policyd/guard/counts.h"
#include "policyd/guard/flags.h"
#include "policyd/guard/internal.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/wire/names.h"

#define RULE             "ddos"
#define SEVERITY_INFO    1
#define SEVERITY_WARNING 3

static struct vector vector(const char *name, bool dropped, struct pst_guard_count count, unsigned top)
{
	struct vector v = {.dropped = dropped, .count = count, .top = top};

	snprintf(v.name, sizeof(v.name), "%s", name);
	return v;
}

/* What a step dropped, or would have. */
static struct vector of_step(const struct guard *g, unsigned reason, unsigned dry, enum ddos_action action)
{
	bool drops = action != DDOS_COUNT;

	return vector(pst_guard_reason_name(reason), drops,
		guard_count_reason(&g->tables, drops ? reason : dry), tops_place(dry, 0));
}

static size_t list_vectors(const struct guard *g, struct vector v[DETECT_VECTORS])
{
	const struct ddos_config *c = &g->config.ddos;
	const struct signatures *s = &g->signatures;
	size_t n = 0;

	v[n++] = of_step(g, PST_GUARD_BLOCKED, PST_GUARD_DRY_BLOCKED, c->lists);
	v[n++] = of_step(g, PST_GUARD_BAD_FLAGS, PST_GUARD_DRY_BAD_FLAGS, c->flags);
	v[n++] = of_step(g, PST_GUARD_RATE, PST_GUARD_DRY_RATE, c->limits);
	v[n++] = of_step(g, PST_GUARD_OFFENDER, PST_GUARD_DRY_OFFENDER, c->offenders.action);
	for (size_t i = 0; !s->pending && i < s->set.n; i++) {
		uint8_t place = sigs_place(&s->table, &s->set.v[i]);

		v[n++] = vector(s->set.v[i].name, s->set.v[i].drop, guard_count_sig(&g->tables, place),
			tops_place(PST_GUARD_DRY_SIGNATURE, place));
	}
	return n;
}

static struct pst_val text_val(const char *text)
{
	return pst_val_str(text, (uint32_t)strlen(text));
}

static struct pst_val list_val(const struct pst_buf *elements, uint32_t n)
{
	return (struct pst_val){.p = elements->p, .len = (uint32_t)elements->len, .n = n};
}

static void pack(struct pst_buf *out, struct guard *g, const struct flood *f, uint64_t now_ns)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf sources = {0}, interfaces = {0};
	const struct top *top = &g->tops.v[f->vector.top];
	struct pst_val v[PST_FLOOD_F_N] = {0};

	v[PST_FLOOD_F_vector] = text_val(f->vector.name);
	v[PST_FLOOD_F_dropped].u = f->vector.dropped;
	v[PST_FLOOD_F_rate_packets].u = f->rate.packets;
	v[PST_FLOOD_F_rate_bytes].u = f->rate.bytes;
	v[PST_FLOOD_F_packets].u = f->total.packets;
	v[PST_FLOOD_F_bytes].u = f->total.bytes;
	v[PST_FLOOD_F_first_ns].u = f->first_ns;
	v[PST_FLOOD_F_duration_ns].u = f->last_ns - f->first_ns;
	v[PST_FLOOD_F_top_sources] = list_val(&sources, top_put(top, &sources));
	v[PST_FLOOD_F_top_interfaces] = list_val(
		&interfaces, top_put_interfaces(top, ifnames_name, &g->firewall.ifnames, &interfaces));
	v[PST_FLOOD_F_sampled].u = top->sampled;
	static_assert((int)PST_FLOOD_F_N == (int)PST_FLOOD_END_F_N, "both have the same fields");
	pst_event_pack(out, f->on ? PST_KIND_FLOOD : PST_KIND_FLOOD_END, now_ns, v);
}

/* "flood: amp-dns, 20000 packets a second, dropped" */
static void put_alert(struct guard *g, const struct pst_event *e, const struct flood *f)
{
	struct pst_val v[PST_POL_N] = {0};
	char message[200];

	snprintf(message, sizeof(message), "%s: %s, %s%llu packets a second, %s",
		f->on ? "flood" : "flood has ended", f->vector.name, f->on ? "" : "at most ",
		(unsigned long long)f->rate.packets, f->vector.dropped ? "dropped" : "counted only");
	pst_warn("%s", message);
	v[PST_POL_rule] = text_val(RULE);
	v[PST_POL_severity].u = f->on ? SEVERITY_WARNING : SEVERITY_INFO;
	v[PST_POL_message] = text_val(message);
	pst_event_append_policyd(pst_bus_put(g->bus, PST_TOPIC_ALERT), e, v);
	pst_bus_end(g->bus, PST_TOPIC_ALERT, e->ts_ns);
}

static void publish(void *arg, const struct flood *f)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf raw = {0};
	struct guard *g = arg;
	struct pst_event e;
	struct pst_cur cur;

	g->floods_detected->value += f->on;
	pack(&raw, g, f, pst_now_boot_ns());
	cur = pst_cur(raw.p, raw.len);
	if (raw.failed || pst_event_scan(&cur, &e) < 0)
		pst_error("a flood's event cannot be made vector=%s", f->vector.name);
	else
		put_alert(g, &e, f);
}

/* While signatures wait for the idle half they have no counters: nothing is looked at. Without tables nothing
 * is seen any more: what went on has ended. */
void guard_floods(struct guard *g, uint64_t now_ns)
{
	const struct detect_limits limits = {
		.packets = g->config.ddos.detect_packets, .quiet_ns = g->config.ddos.quiet_ns};
	bool there = guard_tables_mapped(&g->tables);
	struct vector v[DETECT_VECTORS];
	size_t n = 0;

	if (!limits.packets || (there && g->signatures.pending))
		return;
	if (there) {
		n = list_vectors(g, v);
		tops_look(&g->tops, g->tables.samples.base, &g->detect, v, n);
	}
	detect_look(&g->detect, &limits, v, n, now_ns, publish, g);
	g->floods->value = g->detect.n_on;
}
