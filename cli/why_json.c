// SPDX-License-Identifier: Apache-2.0
/* The loader's answer as an object: a part for each step of the guard, with policyd's names. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/why_steps.h"
#include "proto/base/cleanup.h"
#include "proto/wire/names.h"

#define SECOND_NS 1000000000ull
#define NO_RULE   0xffff /* in place of a counter: the policy */

static const char *address(const uint8_t addr[16], bool ip6, char buf[INET6_ADDRSTRLEN])
{
	const char *text = ip6 ? inet_ntop(AF_INET6, addr, buf, INET6_ADDRSTRLEN)
			       : inet_ntop(AF_INET, addr + 12, buf, INET6_ADDRSTRLEN);

	return text ? text : "?";
}

/* ---- what was asked ---- */

static void put_protocol(json_t *o, const struct pst_guard_why *w)
{
	const char *name = pst_name_of(PST_FMT_PROTO, w->key.protocol);
	bool icmp = w->key.protocol == IPPROTO_ICMP || w->key.protocol == IPPROTO_ICMPV6;
	char number[8];

	snprintf(number, sizeof(number), "%u", w->key.protocol);
	why_put_text(o, "protocol", name ? name : number);
	if (w->later_fragment)
		return;
	if (icmp) {
		why_put_number(o, "icmp_type", w->key.sport);
		why_put_number(o, "icmp_code", w->key.dport);
	} else if (w->key.sport || w->key.dport) {
		why_put_number(o, "sport", w->key.sport);
		why_put_number(o, "dport", w->key.dport);
	}
}

static void put_flags(json_t *o, uint32_t flags)
{
	static const char *const names[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"};
	json_t *list = json_array();

	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++)
		if (flags >> i & 1)
			json_array_append_new(list, json_string(names[i]));
	json_object_set_new(o, "tcp_flags", list);
}

/* What was around it. That of which nothing could be read has left its own addresses in their places. */
static void put_tunnel(json_t *o, const struct pst_guard_why *w)
{
	static const char *const names[PST_TUNNELS] = {
		[PST_TUNNEL_IPIP] = "ipip", [PST_TUNNEL_GRE] = "gre", [PST_TUNNEL_VXLAN] = "vxlan"};
	bool ip6 = w->outer.family == AF_INET6;
	char text[INET6_ADDRSTRLEN];

	if (!w->tunnel || w->tunnel >= PST_TUNNELS)
		return;
	why_put_text(o, "tunnel", names[w->tunnel]);
	why_put_text(o, "outer_src", address(w->outer.saddr, ip6, text));
	why_put_text(o, "outer_dst", address(w->outer.daddr, ip6, text));
}

static json_t *headers(const struct why_frame *frame, const struct pst_guard_why *w)
{
	bool ip6 = w->key.family == AF_INET6;
	char text[INET6_ADDRSTRLEN];
	json_t *o = json_object();

	why_put_text(o, "state",
		w->reason == PST_GUARD_TRUNCATED   ? "truncated"
		: w->reason == PST_GUARD_MALFORMED ? "malformed"
		: w->reason == PST_GUARD_NO_IP     ? "no ip"
						   : "good");
	why_put_number(o, "bytes", frame->len);
	if (frame->filled)
		why_put_number(o, "filled_bytes", frame->filled);
	if (!w->key.family)
		return o;
	put_tunnel(o, w);
	why_put_text(o, "src", address(w->key.saddr, ip6, text));
	why_put_text(o, "dst", address(w->key.daddr, ip6, text));
	put_protocol(o, w);
	if (w->key.protocol == IPPROTO_TCP && !w->later_fragment)
		put_flags(o, w->tcp_flags);
	if (w->vlan)
		why_put_number(o, "vlan", w->vlan & 0xfff);
	if (w->dscp)
		why_put_number(o, "dscp", w->dscp);
	if (w->later_fragment)
		why_put_bool(o, "later_fragment", true);
	return o;
}

/* ---- steps ---- */

static bool came_to_rules(const struct pst_guard_why *w)
{
	return w->fw_generation &&
	       (why_is_syn_reason(w->reason) || w->reason == PST_GUARD_FW_STEP ||
		       (w->reason >= PST_GUARD_FW_ACCEPT && w->reason <= PST_GUARD_FW_NO_MATCH));
}

/* The text that a list has for the source: policyd's. */
static void put_list_text(json_t *o, const char *run_dir, const char *src)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	const char *text;
	json_t *reply;
	int e;

	pst_mp_map(&request, 2);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, "firewall_test");
	pst_mp_str(&request, "packet");
	pst_mp_map(&request, 1);
	pst_mp_str(&request, "src");
	pst_mp_str(&request, src);
	reply = ask_call(run_dir, "policyd", &request, &e);
	text = json_string_value(json_object_get(reply, "reason"));
	if (text && *text)
		why_put_text(o, "text", text);
	else if (!reply)
		why_put_text(o, "unknown", ask_error(e));
	json_decref(reply);
}

/* The first @len bits of the source. */
static const char *prefix(const struct pst_guard_why *w, char buf[INET6_ADDRSTRLEN + 4])
{
	bool ip6 = w->key.family == AF_INET6;
	unsigned bits = w->hit.len + (ip6 ? 0u : 96u), whole = ip6 ? 128 : 32;
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	memcpy(addr, w->key.saddr, sizeof(addr));
	for (unsigned i = bits; i < 128; i++)
		addr[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
	if (w->hit.len >= whole)
		snprintf(buf, INET6_ADDRSTRLEN + 4, "%s", address(addr, ip6, text));
	else
		snprintf(buf, INET6_ADDRSTRLEN + 4, "%s/%u", address(addr, ip6, text), w->hit.len);
	return buf;
}

static json_t *lists(const char *run_dir, const struct pst_guard_why *w)
{
	static const char *const states[] = {"not listed", "allowed", "blocked", "blocked"};
	char text[INET6_ADDRSTRLEN + 4];
	json_t *o = json_object();

	if (!w->block_generation || !why_is_read(w)) {
		why_put_text(o, "state", w->block_generation ? "not asked" : "off");
		return o;
	}
	why_put_text(o, "state",
		w->tunnel && w->hit.kind < PST_BLOCK_ADDRESS && why_ran_dry(w, PST_GUARD_DRY_BLOCKED)
			? "outer source blocked"
		: w->hit.kind < PST_ARRAY_SIZE(states) ? states[w->hit.kind]
						       : "?");
	why_put_number(o, "generation", w->block_generation);
	if (why_ran_dry(w, PST_GUARD_DRY_BLOCKED))
		why_put_bool(o, "dry", true);
	if (!w->hit.kind)
		return o;
	why_put_text(o, "prefix", prefix(w, text));
	if (w->hit.expires != PST_BLOCK_NEVER)
		why_put_number(o, "expires_s",
			w->hit.expires - PST_MIN(w->hit.expires, (uint32_t)(w->now_ns / SECOND_NS)));
	put_list_text(o, run_dir, address(w->key.saddr, w->key.family == AF_INET6, text));
	return o;
}

static json_t *entry(const struct pst_guard_why *w, int table)
{
	static const struct {
		uint64_t bit;
		const char *name;
	} bits[] = {{PST_CT_ORIG, "first"}, {PST_CT_LOCAL, "this host"}, {PST_CT_SEEN, "seen"},
		{PST_CT_SYN, "syn"}, {PST_CT_ACKED, "acked"}, {PST_CT_FIN, "fin"}, {PST_CT_RST, "rst"},
		{PST_CT_AGAIN, "again"}};
	uint32_t now = (uint32_t)(w->now_ns / SECOND_NS), seen = w->ct[table].seen;
	json_t *o = json_object(), *sides = json_array();

	why_put_text(o, "table", table ? "ct_new" : "ct");
	why_put_number(o, "idle_s", now > seen ? now - seen : 0);
	for (int side = 0; side < 2; side++) {
		json_t *list = json_array();

		for (size_t i = 0; i < PST_ARRAY_SIZE(bits); i++)
			if (w->ct[table].half[side] & bits[i].bit)
				json_array_append_new(list, json_string(bits[i].name));
		json_array_append_new(sides, list);
	}
	json_object_set_new(o, "sides", sides);
	return o;
}

/* Without rules. */
static bool is_tracked_for_offenders(const struct pst_guard_why *w)
{
	return !w->fw_generation && w->flags & PST_GUARD_OFFENDERS && !(w->flags & PST_GUARD_FORGEABLE) &&
	       (w->reason == PST_GUARD_PASSED || why_is_syn_reason(w->reason));
}

static json_t *connection(const struct pst_guard_why *w)
{
	static const char *const states[PST_CT_STATES] = {
		"untracked", "new", "established", "related", "invalid"};
	static const char *const then[] = {"stays as it is", "begins", "is confirmed", "goes on"};
	json_t *o = json_object(), *list;

	if (w->tunnel && why_is_read(w)) {
		why_put_text(o, "state", states[PST_CT_UNTRACKED]);
		return o;
	}
	if (!(w->flags & PST_GUARD_CT) || !(came_to_rules(w) || is_tracked_for_offenders(w))) {
		why_put_text(o, "state", w->flags & PST_GUARD_CT ? "not asked" : "off");
		return o;
	}
	why_put_text(o, "state", w->ct_state < PST_CT_STATES ? states[w->ct_state] : "?");
	why_put_text(o, "then", w->ct_then < PST_ARRAY_SIZE(then) ? then[w->ct_then] : "?");
	list = json_array();
	for (int t = 0; t < 2; t++)
		if (w->ct_found >> t & 1)
			json_array_append_new(list, entry(w, t));
	json_object_set_new(o, "entries", list);
	return o;
}

/* Name and text of the rule, if policyd has the generation that judged. */
static void put_rule_names(json_t *o, const char *run_dir, const struct pst_guard_why *w)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	const json_t *row;
	json_t *reply;
	int e;

	pst_mp_map(&request, 3);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, "firewall");
	pst_mp_str(&request, "from");
	pst_mp_uint(&request, w->rule);
	pst_mp_str(&request, "limit");
	pst_mp_uint(&request, 1);
	reply = ask_call(run_dir, "policyd", &request, &e);
	row = json_array_get(json_object_get(reply, "rules"), 0);
	if (!reply) {
		why_put_text(o, "unknown", ask_error(e));
	} else if ((uint64_t)json_integer_value(json_object_get(reply, "generation")) != w->fw_generation ||
		   json_integer_value(json_array_get(row, 0)) != w->entry.id) {
		why_put_text(o, "unknown", "has other rules by now");
	} else {
		json_object_set(o, "name", json_array_get(row, 1));
		json_object_set(o, "text", json_array_get(row, 3));
	}
	json_decref(reply);
}

static const char *action_name(uint32_t action)
{
	static const char *const names[PST_FW_ACTIONS] = {"accept", "drop", "reject", "continue", "next"};

	return action < PST_FW_ACTIONS ? names[action] : "?";
}

static void put_passed(json_t *o, const struct pst_guard_why *w)
{
	uint32_t n = PST_MIN(w->n_passed, (uint32_t)PST_GUARD_WHY_PASSED);
	json_t *list = json_array();

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(list, json_integer(w->passed[i]));
	json_object_set_new(o, "passed", list);
	why_put_number(o, "passed_total", w->n_passed);
}

static json_t *rules(const char *run_dir, const struct pst_guard_why *w)
{
	bool accepts = w->reason == PST_GUARD_FW_POLICY;
	bool policy = accepts || w->reason == PST_GUARD_FW_NO_MATCH;
	json_t *o = json_object();

	if (why_is_syn_reason(w->reason)) /* it came through the rules */
		accepts = policy = w->verdict >> 16 == NO_RULE;

	if (!came_to_rules(w)) {
		why_put_text(o, "state", w->fw_generation ? "not asked" : "off");
		return o;
	}
	why_put_text(o, "state", policy ? "policy" : "rule");
	why_put_number(o, "generation", w->fw_generation);
	why_put_text(o, "action", policy ? accepts ? "accept" : "drop" : action_name(w->verdict & 0xff));
	why_put_bool(o, "cached", w->cached);
	put_passed(o, w);
	if (policy)
		return o;
	why_put_number(o, "counter", w->verdict >> 16);
	/* a kept verdict and a search that say different things would be a fault, and are shown as such */
	why_put_bool(o, "search_agrees", w->rule != UINT32_MAX && w->entry.counter == w->verdict >> 16);
	if (w->rule == UINT32_MAX)
		return o;
	why_put_number(o, "id", w->entry.id);
	put_rule_names(o, run_dir, w);
	return o;
}

/* ---- all ---- */

/* At tc what goes back to its sender is redirected, as is what goes to a scrubbing interface. */
static bool is_answered(const struct pst_why_reply *reply)
{
	return why_is_syn_reason(reply->why.reason) || reply->why.reason == PST_GUARD_FW_REJECT;
}

static const char *verdict_name(const struct pst_why_reply *reply)
{
	bool xdp = !strncmp(reply->mode, "xdp", 3);

	if (xdp)
		return reply->verdict == XDP_PASS       ? "pass"
		       : reply->verdict == XDP_DROP     ? "drop"
		       : reply->verdict == XDP_TX       ? "answer"
		       : reply->verdict == XDP_REDIRECT ? "redirect"
							: "abort";
	return reply->verdict == (uint32_t)TC_ACT_UNSPEC || reply->verdict == TC_ACT_OK ? "pass"
	       : reply->verdict == TC_ACT_SHOT                                          ? "drop"
	       : reply->verdict == TC_ACT_REDIRECT && is_answered(reply)                ? "answer"
	       : reply->verdict == TC_ACT_REDIRECT                                      ? "redirect"
											: "other";
}

json_t *why_json(const char *run_dir, const char *interface, const struct why_frame *frame,
	const struct pst_why_reply *reply)
{
	const struct pst_guard_why *w = &reply->why;
	const char *reason = pst_guard_reason_name(w->reason);
	json_t *o = json_object();

	why_put_text(o, "interface", interface);
	why_put_text(o, "mode", reply->mode);
	why_put_text(o, "verdict", verdict_name(reply));
	why_put_text(o, "reason", reason ? reason : "?");
	json_object_set_new(o, "headers", headers(frame, w));
	json_object_set_new(o, "lists", lists(run_dir, w));
	json_object_set_new(o, "offenders", why_offenders(w));
	json_object_set_new(o, "flags", why_flags(w));
	json_object_set_new(o, "signatures", why_signatures(run_dir, w));
	json_object_set_new(o, "limits", why_limits(w));
	json_object_set_new(o, "connection", connection(w));
	json_object_set_new(o, "rules", rules(run_dir, w));
	json_object_set_new(o, "syns", why_syns(w));
	return o;
}
