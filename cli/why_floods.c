// SPDX-License-Identifier: Apache-2.0
/* What the steps against floods say of a packet. */
#include "cli/ask.h"
#include "cli/why_steps.h"
#include "proto/base/cleanup.h"
#include "proto/wire/names.h"

#define MS_NS     1000000ull
#define SECOND_NS 1000000000ull

void why_put_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text));
}

void why_put_number(json_t *object, const char *key, uint64_t number)
{
	json_object_set_new(object, key, json_integer((json_int_t)number));
}

void why_put_bool(json_t *object, const char *key, bool is)
{
	json_object_set_new(object, key, json_boolean(is));
}

bool why_is_read(const struct pst_guard_why *w)
{
	return w->key.family && w->reason != PST_GUARD_TRUNCATED && w->reason != PST_GUARD_MALFORMED &&
	       w->reason != PST_GUARD_NO_IP;
}

bool why_is_syn_reason(uint32_t reason)
{
	return reason == PST_GUARD_SYN_COOKIE || reason == PST_GUARD_SYN_LIMIT;
}

bool why_ran_dry(const struct pst_guard_why *w, enum pst_guard_event event)
{
	return w->dry >> (event - PST_GUARD_DRY_BLOCKED) & 1;
}

/* Blocked or bad in what stands before: the steps behind are not asked. */
static bool came_to_flags(const struct pst_guard_why *w)
{
	return why_is_read(w) && w->reason != PST_GUARD_BLOCKED && w->reason != PST_GUARD_OFFENDER;
}

static bool came_to_signatures(const struct pst_guard_why *w)
{
	return came_to_flags(w) && w->reason != PST_GUARD_BAD_FLAGS;
}

static bool came_to_limits(const struct pst_guard_why *w)
{
	return came_to_signatures(w) && w->reason != PST_GUARD_SIGNATURE;
}

static bool is_exempt(const struct pst_guard_why *w)
{
	return w->block_generation && w->hit.kind == PST_BLOCK_ALLOWED;
}

json_t *why_offenders(const struct pst_guard_why *w)
{
	uint64_t until_ns = (w->offender & PST_OFFENDER_TIME) << PST_OFFENDER_UNIT;
	const char *cause = pst_guard_offence_name(w->offender >> PST_OFFENDER_CAUSE_SHIFT & 7);
	json_t *o = json_object();

	why_put_text(o, "state",
		!(w->flags & PST_GUARD_OFFENDERS)                   ? "off"
		: !why_is_read(w) || w->reason == PST_GUARD_BLOCKED ? "not asked"
		: is_exempt(w)                                      ? "exempt"
		: w->offender                                       ? "blocked"
								    : "not blocked");
	if (!w->offender)
		return o;
	why_put_text(o, "cause", cause ? cause : "?");
	why_put_number(o, "expires_s", until_ns > w->now_ns ? (until_ns - w->now_ns) / SECOND_NS : 0);
	if (why_ran_dry(w, PST_GUARD_DRY_OFFENDER))
		why_put_bool(o, "dry", true);
	return o;
}

json_t *why_flags(const struct pst_guard_why *w)
{
	bool asked = came_to_flags(w) && w->key.protocol == IPPROTO_TCP && !w->later_fragment;
	bool bad = w->bad_flags >> (w->tcp_flags % PST_TCP_FLAGS) & 1;
	json_t *o = json_object();

	why_put_text(o, "state",
		!w->bad_flags  ? "off"
		: !asked       ? "not asked"
		: is_exempt(w) ? "exempt"
		: bad          ? "bad"
			       : "good");
	if (why_ran_dry(w, PST_GUARD_DRY_BAD_FLAGS))
		why_put_bool(o, "dry", true);
	return o;
}

/* Of the signature that counts in @counter: policyd's. */
static void put_signature_name(json_t *o, const char *run_dir, uint32_t counter)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	const json_t *row;
	json_t *reply;
	size_t i;
	int e;

	pst_mp_map(&request, 1);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, "ddos");
	reply = ask_call(run_dir, "policyd", &request, &e);
	json_array_foreach(json_object_get(reply, "signatures"), i,
		row) if (json_integer_value(json_array_get(row, 4)) == counter)
		json_object_set(o, "name", json_array_get(row, 0));
	if (!reply)
		why_put_text(o, "unknown", ask_error(e));
	else if (!json_object_get(o, "name"))
		why_put_text(o, "unknown", "has other signatures by now");
	json_decref(reply);
}

json_t *why_signatures(const char *run_dir, const struct pst_guard_why *w)
{
	bool matched = w->sig < PST_SIGS;
	json_t *o = json_object();

	why_put_text(o, "state",
		!w->sig_generation       ? "off"
		: !came_to_signatures(w) ? "not asked"
		: is_exempt(w)           ? "exempt"
		: matched                ? "matches"
					 : "none matches");
	if (!w->sig_generation)
		return o;
	why_put_number(o, "generation", w->sig_generation);
	if (!matched)
		return o;
	if (w->reason != PST_GUARD_SIGNATURE)
		why_put_bool(o, "dry", true);
	put_signature_name(o, run_dir, w->sig);
	return o;
}

static json_t *one_limit(
	const struct pst_guard_why *w, const struct pst_guard_why_share *share, enum pst_limit i)
{
	uint64_t burst_ns = share->rates.ahead_us[i] * 1000ull;
	uint64_t ahead_ns = share->until[i] > w->now_ns ? share->until[i] - w->now_ns : 0;
	json_t *o = json_object();

	why_put_number(o, "used_ms", ahead_ns / MS_NS);
	why_put_number(o, "burst_ms", burst_ns / MS_NS);
	why_put_number(o, "cost_us", share->cost[i] / 1000);
	why_put_bool(o, "over", share->cost[i] && ahead_ns > burst_ns);
	return o;
}

static bool has_place(const struct pst_guard_why_share *share)
{
	return share->source == PST_GUARD_SOURCE_KNOWN || share->source == PST_GUARD_SOURCE_NEW;
}

static void put_share(json_t *o, const struct pst_guard_why *w, const struct pst_guard_why_share *share)
{
	static const char *const names[PST_LIMITS] = {"packets", "bytes", "connections"};

	if (!has_place(share))
		return;
	why_put_bool(o, "known", share->source == PST_GUARD_SOURCE_KNOWN);
	for (int i = 0; i < PST_LIMITS; i++)
		if (share->rates.cost_ns[i])
			json_object_set_new(o, names[i], one_limit(w, share, (enum pst_limit)i));
}

/* Those of its protocol are beside those of all, as an object of their own. */
json_t *why_limits(const struct pst_guard_why *w)
{
	const struct pst_guard_why_share *all = &w->share[0], *own = &w->share[1];
	bool on = w->flags & (PST_GUARD_LIMITS | PST_GUARD_BY_PROTOCOL);
	json_t *o = json_object(), *protocol;

	why_put_text(o, "state",
		!on                                                                            ? "off"
		: is_exempt(w)                                                                 ? "exempt"
		: w->reason == PST_GUARD_RATE                                                  ? "over"
		: why_ran_dry(w, PST_GUARD_DRY_RATE)                                           ? "over"
		: all->source == PST_GUARD_SOURCE_FULL || own->source == PST_GUARD_SOURCE_FULL ? "no place"
		: has_place(all) || has_place(own)                                             ? "within"
		: came_to_limits(w)                                                            ? "none"
											       : "not asked");
	if (why_ran_dry(w, PST_GUARD_DRY_RATE))
		why_put_bool(o, "dry", true);
	put_share(o, w, all);
	if (!has_place(own))
		return o;
	protocol = json_object();
	put_share(protocol, w, own);
	json_object_set_new(o, "protocol", protocol);
	return o;
}

json_t *why_syns(const struct pst_guard_why *w)
{
	static const char *const states[] = {"not asked", "below the rate", "above the rate"};
	json_t *o = json_object();

	why_put_text(o, "state",
		!(w->flags & PST_GUARD_SYN)       ? "off"
		: w->syn < PST_ARRAY_SIZE(states) ? states[w->syn]
						  : "?");
	if (why_is_syn_reason(w->reason))
		why_put_text(
			o, "action", w->reason == PST_GUARD_SYN_COOKIE ? "answer with a cookie" : "drop");
	return o;
}
