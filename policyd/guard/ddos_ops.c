// SPDX-License-Identifier: Apache-2.0
/* What policyd answers about floods on its control socket. */
#include "policyd/guard/counts.h"
#include "policyd/guard/flags.h"
#include "policyd/guard/internal.h"
#include "policyd/guard/offenders.h"
#include "policyd/guard/ops.h"
#include "proto/base/cleanup.h"
#include "proto/wire/names.h"

const char *ddos_action_name(enum ddos_action action)
{
	return action == DDOS_DROP ? "drop" : action == DDOS_COUNT ? "count" : "off";
}

/* [name, action, packets, bytes, dry packets, dry bytes] */
static void put_step(
	struct pst_buf *out, const struct guard *g, unsigned reason, unsigned dry, enum ddos_action action)
{
	struct pst_guard_count c = guard_count_reason(&g->tables, reason);
	struct pst_guard_count d = guard_count_reason(&g->tables, dry);

	pst_mp_array(out, 6);
	pst_mp_str(out, pst_guard_reason_name(reason));
	pst_mp_str(out, ddos_action_name(action));
	pst_mp_uint(out, c.packets);
	pst_mp_uint(out, c.bytes);
	pst_mp_uint(out, d.packets);
	pst_mp_uint(out, d.bytes);
}

/* The most that one of them does. */
static enum ddos_action of_signatures(const struct guard *g)
{
	const struct sig_set *set = &g->signatures.set;
	enum ddos_action action = DDOS_OFF;

	if (!guard_generation(&g->tables.signatures))
		return DDOS_OFF;
	for (size_t i = 0; i < set->n; i++)
		action = set->v[i].drop ? DDOS_DROP : PST_MAX(action, DDOS_COUNT);
	return action;
}

/* [name, action, packets, bytes, its place among the counters] */
static void put_signatures(struct pst_buf *out, const struct guard *g)
{
	const struct signatures *s = &g->signatures;

	pst_mp_str(out, "signatures");
	pst_mp_array(out, (uint32_t)s->set.n);
	for (size_t i = 0; i < s->set.n; i++) {
		struct pst_guard_count c = {0};

		uint32_t place = s->pending ? PST_SIGS : (uint32_t)sigs_place(&s->table, &s->set.v[i]);

		if (!s->pending)
			c = guard_count_sig(&g->tables, place);
		pst_mp_array(out, 5);
		pst_mp_str(out, s->set.v[i].name);
		pst_mp_str(out, ddos_action_name(s->set.v[i].drop ? DDOS_DROP : DDOS_COUNT));
		pst_mp_uint(out, c.packets);
		pst_mp_uint(out, c.bytes);
		pst_mp_uint(out, place);
	}
}

static void put_steps(struct pst_buf *out, const struct guard *g)
{
	const struct ddos_config *c = &g->config.ddos;

	pst_mp_str(out, "steps");
	pst_mp_array(out, 5);
	put_step(out, g, PST_GUARD_BLOCKED, PST_GUARD_DRY_BLOCKED,
		guard_generation(&g->tables.lists) ? c->lists : DDOS_OFF);
	put_step(out, g, PST_GUARD_OFFENDER, PST_GUARD_DRY_OFFENDER, offenders_action(&c->offenders));
	put_step(out, g, PST_GUARD_BAD_FLAGS, PST_GUARD_DRY_BAD_FLAGS, c->flags);
	put_step(out, g, PST_GUARD_SIGNATURE, PST_GUARD_DRY_SIGNATURE, of_signatures(g));
	put_step(out, g, PST_GUARD_RATE, PST_GUARD_DRY_RATE,
		guard_has_limits(&g->config) ? c->limits : DDOS_OFF);
}

/* The interface is "" when there is to be none, its number 0 while there is none. */
static void put_scrub(struct pst_buf *out, const struct guard *g)
{
	struct pst_guard_count c = guard_count_reason(&g->tables, PST_GUARD_SCRUBBED);

	pst_mp_str(out, "scrub");
	pst_mp_array(out, 4);
	pst_mp_str(out, g->config.ddos.scrub ? g->config.ddos.scrub : "");
	pst_mp_uint(out, g->scrub_ifindex);
	pst_mp_uint(out, c.packets);
	pst_mp_uint(out, c.bytes);
}

/* {} -> {not_enforced, guarded, state, error, steps: [[name, action, packets, bytes, dry packets, dry
 * bytes]], signatures: [[name, action, packets, bytes, counter]], scrub: [interface, its number, packets,
 * bytes]} */
int guard_on_ddos(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	const struct guard *g = arg;

	(void)request;
	(void)error;
	(void)size;
	pst_mp_map(reply, 7);
	guard_put_idle(reply, &g->tables);
	pst_mp_str(reply, "guarded");
	pst_mp_bool(reply, guard_tables_mapped(&g->tables));
	put_text(reply, "state", signatures_state(&g->signatures, &g->tables));
	put_text(reply, "error", g->signatures_error ? g->signatures_error : "");
	put_steps(reply, g);
	put_signatures(reply, g);
	put_scrub(reply, g);
	return 0;
}
