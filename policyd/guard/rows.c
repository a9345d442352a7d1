// SPDX-License-Identifier: Apache-2.0
/* Statistics that are made when somebody asks: a row for each reason, interface and rule that counted
 * something. */
#include "policyd/guard/counts.h"
#include "policyd/guard/internal.h"
#include "policyd/guard/offenders.h"
#include "proto/base/cleanup.h"
#include "proto/base/loop.h"
#include "proto/wire/names.h"

#define RULES_SHOWN 1000u

static uint32_t put(struct pst_buf *out, const char *name, const char *label_name, const char *label,
	enum pst_stat_type type, uint64_t value, const char *help)
{
	const struct pst_stat row = {.name = name,
		.label_name = label_name,
		.label = label,
		.type = type,
		.value = value,
		.help = help};

	pst_ctl_put_stat(out, &row);
	return 1;
}

static uint32_t put_reasons(const struct guard *g, struct pst_buf *out)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < PST_GUARD_REASONS; i++) {
		struct pst_guard_count c = guard_count_reason(&g->tables, i);
		const char *name = pst_guard_reason_name(i);

		n += put(out, "guard_packets", "reason", name, PST_STAT_COUNTER, c.packets,
			"packets that came in over guarded interfaces, by what became of them");
		n += put(out, "guard_bytes", "reason", name, PST_STAT_COUNTER, c.bytes, "of their frames");
	}
	return n;
}

static uint32_t put_events(const struct guard *g, struct pst_buf *out)
{
	uint32_t n = 0;

	for (unsigned i = PST_GUARD_FIRST_EVENT; i < PST_GUARD_EVENTS; i++)
		n += put(out, "guard_events", "event", pst_guard_event_name(i), PST_STAT_COUNTER,
			guard_count_reason(&g->tables, i).packets,
			"what tracking and limits did with their tables, and what steps that run dry would "
			"have "
			"dropped");
	return n;
}

/* Four labels; the name that others choose is the last, so that what is in it splits nothing. */
static uint32_t put_cell(struct pst_buf *out, const struct guard_cell *c)
{
	static const char names[] = "direction,protocol,verdict,interface";
	char label[96];

	snprintf(label, sizeof(label), "%s,%s,%s,%s", c->direction, c->protocol, c->verdict, c->interface);
	return put(out, "guard_interface_packets", names, label, PST_STAT_COUNTER, c->count.packets,
		       "packets through guarded interfaces") +
	       put(out, "guard_interface_bytes", names, label, PST_STAT_COUNTER, c->count.bytes,
		       "of their frames");
}

static uint32_t put_interfaces(struct guard *g, struct pst_buf *out)
{
	PST_FREE struct guard_ifaces *all = guard_ifaces_read(&g->tables, &g->firewall.ifnames);
	struct guard_cell cell;
	uint32_t n = 0;

	for (size_t at = 0; all && guard_ifaces_next(all, &at, &cell);)
		n += put_cell(out, &cell);
	return n;
}

static uint32_t put_signatures(const struct guard *g, struct pst_buf *out)
{
	const struct signatures *s = &g->signatures;
	uint32_t n = 0;

	for (size_t i = 0; !s->pending && i < s->set.n; i++) {
		struct pst_guard_count c = guard_count_sig(&g->tables, sigs_place(&s->table, &s->set.v[i]));

		n += put(out, "guard_signature_packets", "signature", s->set.v[i].name, PST_STAT_COUNTER,
			c.packets, "packets that a signature took, dropped or counted");
		n += put(out, "guard_signature_bytes", "signature", s->set.v[i].name, PST_STAT_COUNTER,
			c.bytes, "of their frames");
	}
	return n;
}

static uint32_t put_offenders(const struct guard *g, struct pst_buf *out)
{
	return put(out, "guard_offenders", NULL, NULL, PST_STAT_GAUGE,
		offenders_count(&g->tables, pst_now_boot_ns()),
		"sources that are blocked for what they sent");
}

static uint32_t put_rules(struct guard *g, struct pst_buf *out)
{
	const struct pst_guard_count *totals = guard_totals(&g->totals, &g->tables, pst_now_mono_ns());
	const struct fw_ruleset *set = totals ? g->firewall.current.set : NULL;
	uint32_t n = 0, shown = 0, left_out = 0;

	for (size_t i = 0; set && i < set->n; i++) {
		struct pst_guard_count c = totals[set->rules[i].counter];

		if (!c.packets)
			continue;
		if (shown == RULES_SHOWN) {
			left_out++;
			continue;
		}
		shown++;
		n += put(out, "firewall_rule_packets", "rule", set->rules[i].name, PST_STAT_COUNTER,
			c.packets, "packets that a firewall rule took");
		n += put(out, "firewall_rule_bytes", "rule", set->rules[i].name, PST_STAT_COUNTER, c.bytes,
			"of their frames");
	}
	return n +
	       put(out, "firewall_rules_not_shown", NULL, NULL, PST_STAT_GAUGE, left_out,
		       "rules that counted something and have no row of their own, as there are too many");
}

uint32_t guard_rows(void *arg, struct pst_buf *out)
{
	struct guard *g = arg;

	if (!guard_tables_mapped(&g->tables))
		return 0;
	return put_reasons(g, out) + put_events(g, out) + put_interfaces(g, out) + put_signatures(g, out) +
	       put_offenders(g, out) + put_rules(g, out);
}
