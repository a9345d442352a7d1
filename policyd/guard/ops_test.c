// SPDX-License-Identifier: Apache-2.0
/* What would become of a packet, asked of the tables in force. */
#include <errno.h>

#include "policyd/guard/ops.h"
#include "proto/base/cleanup.h"

struct verdict {
	const char *verdict, *by;
	struct pst_block_hit hit; /* of a list */
	bool is_listed;
	const struct pst_fw_entry *entry; /* of a rule */
	const struct fw_rule *rule;       /* as it is known here; may be NULL */
};

static enum pst_block_kind ask_lists(
	const struct guard *g, const struct guard_question *q, struct pst_block_hit *ret_hit)
{
	const struct guard_table *t = &g->tables.lists;
	uint64_t generation = guard_generation(t);

	if (!generation || !q->has_src)
		return PST_BLOCK_NONE;
	return block_lookup(guard_half(t, generation), t->n, &q->src, lists_now(), ret_hit);
}

/* Of rule number @i in the table, which is as much to be trusted as everything in it. */
static const struct pst_fw_entry *entry_at(const struct guard_table *t, const union pst_line *half, long i)
{
	const struct pst_fw_head *head = (const struct pst_fw_head *)half;
	uint32_t line = (head->rules + (uint32_t)i / PST_FW_ENTRIES_A_LINE) & (t->n - 1);

	return (const struct pst_fw_entry *)&half[line] + i % PST_FW_ENTRIES_A_LINE;
}

static void ask_rules(const struct guard *g, const struct guard_question *q, struct verdict *v)
{
	const struct guard_table *t = &g->tables.firewall;
	const union pst_line *half = guard_half(t, guard_generation(t));
	const struct fw_ruleset *set = g->firewall.current.set;
	long i = fw_lookup(half, t->n, &q->packet);

	if (i < 0) {
		v->by = "policy";
		v->verdict = guard_action_name(((const struct pst_fw_head *)half)->policy);
		return;
	}
	v->by = "rule";
	v->entry = entry_at(t, half, i);
	v->verdict = guard_action_name(v->entry->action);
	v->rule = set && (size_t)i < set->n ? &set->rules[i] : NULL;
}

/* The chain of the packet programs (guard_before_rules): the lists, then the rules. */
static struct verdict judge(const struct guard *g, const struct guard_question *q)
{
	struct verdict v = {.verdict = "accept", .by = "off"};
	enum pst_block_kind kind = ask_lists(g, q, &v.hit);

	v.is_listed = kind != PST_BLOCK_NONE;
	if (kind >= PST_BLOCK_ADDRESS && g->config.ddos.lists != DDOS_COUNT) {
		v.verdict = "drop";
		v.by = "block_list";
		return v;
	}
	if (guard_generation(&g->tables.firewall))
		ask_rules(g, q, &v);
	else if (kind == PST_BLOCK_ALLOWED)
		v.by = "allow_list";
	return v;
}

static void prefix_text(const struct guard_question *q, unsigned len, char text[64])
{
	struct block_entry e = q->src;
	unsigned bits = e.ip6 ? len : len + 96u;

	e.len = (uint8_t)len;
	e.hi = bits >= 64 ? e.hi : bits ? e.hi & ~0ull << (64 - bits) : 0;
	e.lo = bits >= 128 ? e.lo : bits > 64 ? e.lo & ~0ull << (128 - bits) : 0;
	runtime_block_text(&e, text);
}

static void put_verdict(
	struct pst_buf *out, struct guard *g, const struct guard_question *q, const struct verdict *v)
{
	uint32_t now = lists_now();
	bool expires = v->is_listed && v->hit.expires != PST_BLOCK_NEVER && v->hit.expires > now;
	char prefix[64] = "";

	if (v->is_listed)
		prefix_text(q, v->hit.len, prefix);
	pst_mp_map(out, 8);
	put_text(out, "verdict", v->verdict);
	put_text(out, "by", v->by);
	put_text(out, "rule", v->rule ? v->rule->name : "");
	put_uint(out, "id", v->entry ? v->entry->id : 0);
	pst_mp_str(out, "text");
	if (v->rule)
		guard_put_rule_text(out, g, v->rule);
	else
		pst_mp_str(out, "");
	put_text(out, "prefix", prefix);
	put_text(out, "reason", v->is_listed ? block_reason(&g->lists.set.reasons, v->hit.reason) : "");
	put_uint(out, "expires_s", expires ? v->hit.expires - now : 0);
}

/* {packet: {src, dst, ...}} -> {verdict, by, rule, id, text, prefix, reason, expires_s} */
int guard_on_test(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	struct guard *g = arg;
	const struct fw_context context = {.ifindex = ifnames_index, .arg = &g->firewall.ifnames};
	const msgpack_object *packet = pst_ctl_get(request, "packet");
	struct guard_question q;
	struct verdict v;
	int e;

	if (!packet) {
		snprintf(error, size, "expected packet, a map of fields");
		return -EINVAL;
	}
	if (!guard_tables_mapped(&g->tables)) {
		snprintf(error, size,
			"not guarded: the loader guards no interface, so there is no table to ask");
		return -ENOENT;
	}
	e = guard_question_parse(packet, &context, &errors, &q);
	if (e)
		return guard_answer_error(e, &errors, error, size);
	v = judge(g, &q);
	put_verdict(reply, g, &q, &v);
	return 0;
}
