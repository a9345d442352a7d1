// SPDX-License-Identifier: Apache-2.0
/* What policyd answers about the guard on its control socket (docs/design/guard.md has the ops). */
#include <errno.h>
#include <string.h>

#include "policyd/fw/parse.h"
#include "policyd/fw/words.h"
#include "policyd/guard/counts.h"
#include "policyd/guard/ops.h"
#include "proto/base/cleanup.h"
#include "proto/wire/names.h"

#define RULES_A_REPLY 500u
#define TEXT_MAX      400 /* bytes of a rule's text that are shown */

int guard_check_user(const struct pst_bus *bus, char *error, size_t size)
{
	uid_t uid = pst_ctl_peer_uid(bus);

	if (uid == 0 || uid == geteuid())
		return 0;
	snprintf(error, size, "only root may change what is in force");
	return -EACCES;
}

int guard_answer_error(int e, const struct pst_conf_errors *errors, char *error, size_t size)
{
	const char *text = errors->text ? errors->text : strerror(-e);

	snprintf(error, size, "%.*s", (int)strcspn(text, "\n"), text);
	return e;
}

void guard_put_warning(struct pst_buf *out, const struct saving *saved)
{
	char text[512];

	saving_warning(saved, text, sizeof(text));
	put_text(out, "warning", text);
}

const char *guard_action_name(unsigned action)
{
	const char *name = fw_word_name(&fw_actions, action & 0xff);

	return name ? name : "?";
}

void guard_put_rule_text(struct pst_buf *out, struct guard *g, const struct fw_rule *r)
{
	const struct fw_show_context context = {.ifname = ifnames_noted, .arg = &g->firewall.ifnames};
	PST_FREE char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f)
		fw_rule_fields(f, r, &context);
	if (!f || fclose(f)) {
		pst_mp_str(out, "");
		return;
	}
	if (len > TEXT_MAX)
		memcpy(text + TEXT_MAX - 3, "...", 4);
	pst_mp_str(out, text);
}

void guard_put_idle(struct pst_buf *out, const struct guard_tables *tables)
{
	pst_mp_str(out, "not_enforced");
	pst_mp_bool(out, guard_idle(tables));
}

void guard_put_state(struct pst_buf *out, const struct guard *g, const char *state, uint64_t generation,
	const struct saving *saved)
{
	guard_put_idle(out, &g->tables);
	pst_mp_str(out, "ok");
	pst_mp_bool(out, true);
	put_text(out, "state", state);
	put_uint(out, "generation", generation);
	guard_put_warning(out, saved);
}

int guard_answer_state(const struct guard *g, const char *state, uint64_t generation,
	const struct saving *saved, struct pst_buf *reply)
{
	pst_mp_map(reply, 5);
	guard_put_state(reply, g, state, generation, saved);
	return 0;
}

/* ---- firewall ---- */

static void put_rule(struct pst_buf *out, struct guard *g, const struct fw_rule *r, bool counts)
{
	struct pst_guard_count c = {0};

	if (counts)
		c = guard_count_rule(&g->tables, r->counter);
	pst_mp_array(out, 6);
	pst_mp_uint(out, r->id);
	pst_mp_str(out, r->name);
	pst_mp_str(out, guard_action_name(r->action));
	guard_put_rule_text(out, g, r);
	pst_mp_uint(out, c.packets);
	pst_mp_uint(out, c.bytes);
}

static void put_rules(struct pst_buf *out, struct guard *g, uint64_t from, uint64_t limit)
{
	const struct firewall_rules *rules = firewall_shown(&g->firewall);
	uint64_t n = rules ? rules->set->n : 0;

	from = PST_MIN(from, n);
	n = PST_MIN(n - from, PST_MIN(limit, (uint64_t)RULES_A_REPLY));
	pst_mp_str(out, "rules");
	pst_mp_array(out, (uint32_t)n);
	for (uint64_t i = from; i < from + n; i++) {
		/* what waits to come into force has places that may be another rule's until then */
		bool counts = !g->firewall.pending || (rules->fresh && !rules->fresh[i]);

		put_rule(out, g, &rules->set->rules[i], counts);
	}
}

static void put_reasons(struct pst_buf *out, const struct guard *g)
{
	pst_mp_str(out, "reasons");
	pst_mp_array(out, PST_GUARD_REASONS);
	for (unsigned i = 0; i < PST_GUARD_REASONS; i++) {
		struct pst_guard_count c = guard_count_reason(&g->tables, i);

		pst_mp_array(out, 3);
		pst_mp_str(out, pst_guard_reason_name(i));
		pst_mp_uint(out, c.packets);
		pst_mp_uint(out, c.bytes);
	}
}

/* With the first rules alone: who asks for more of them has them. */
static void put_interfaces(struct pst_buf *out, struct guard *g, bool asked)
{
	PST_FREE struct guard_ifaces *all =
		asked ? guard_ifaces_read(&g->tables, &g->firewall.ifnames) : NULL;
	PST_CLEANUP(pst_buf_done) struct pst_buf rows = {0};
	struct guard_cell c;
	uint32_t n = 0;

	for (size_t at = 0; all && guard_ifaces_next(all, &at, &c); n++) {
		pst_mp_array(&rows, 6);
		pst_mp_str(&rows, c.interface);
		pst_mp_str(&rows, c.direction);
		pst_mp_str(&rows, c.protocol);
		pst_mp_str(&rows, c.verdict);
		pst_mp_uint(&rows, c.count.packets);
		pst_mp_uint(&rows, c.count.bytes);
	}
	pst_mp_str(out, "interfaces");
	pst_mp_array(out, n);
	pst_mp_raw(out, rows.p, rows.len);
	out->failed |= rows.failed;
}

/* {from, limit} -> {state, error, file, generation, policy, total, rules: [[id, name, action, text, packets,
 * bytes]], reasons: [[name, packets, bytes]], interfaces: [[name, direction, protocol, verdict, packets,
 * bytes]], warning, idle} */
static int on_firewall(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	struct guard *g = arg;
	const struct firewall_rules *rules = firewall_shown(&g->firewall);
	uint64_t from = 0, limit = RULES_A_REPLY;
	char idle[GUARD_ACTS_TEXT];

	(void)error;
	(void)size;
	pst_ctl_u64(request, "from", &from);
	pst_ctl_u64(request, "limit", &limit);
	guard_acts_text(g, idle, sizeof(idle));
	pst_mp_map(reply, 11);
	put_text(reply, "idle", idle);
	put_text(reply, "state", firewall_state(&g->firewall, &g->tables));
	put_text(reply, "error", g->firewall_error ? g->firewall_error : "");
	put_text(reply, "file", g->firewall.path && g->firewall.text ? g->firewall.path : "");
	put_uint(reply, "generation", guard_generation(&g->tables.firewall));
	put_text(reply, "policy", rules ? guard_action_name(rules->set->policy) : "");
	put_uint(reply, "total", rules ? rules->set->n : 0);
	put_rules(reply, g, from, limit);
	put_reasons(reply, g);
	put_interfaces(reply, g, !from);
	guard_put_warning(reply, &g->firewall.saved_rules);
	return 0;
}

static int answer_firewall(struct guard *g, struct pst_buf *reply)
{
	guard_commit(g);
	return guard_answer_state(g, firewall_state(&g->firewall, &g->tables),
		guard_generation(&g->tables.firewall), &g->firewall.saved_rules, reply);
}

/* {rule: text, before: name} */
static int on_add(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	char text[RUNTIME_RULE_MAX + 1], before[FW_NAME_MAX + 1];
	struct guard *g = arg;
	bool has_before;
	int e = guard_check_user(g->bus, error, size);

	if (e)
		return e;
	has_before = pst_ctl_text(request, "before", before, sizeof(before));
	if (!pst_ctl_text(request, "rule", text, sizeof(text)) ||
		(pst_ctl_get(request, "before") && !has_before)) {
		snprintf(error, size, "expected rule, a text of at most %d bytes, and maybe before, a name",
			RUNTIME_RULE_MAX);
		return -EINVAL;
	}
	e = firewall_add(&g->firewall, &g->tables, text, has_before ? before : NULL, &errors);
	return e ? guard_answer_error(e, &errors, error, size) : answer_firewall(g, reply);
}

/* {name} */
static int on_delete(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	PST_CLEANUP(pst_conf_errors_done) struct pst_conf_errors errors = {0};
	char name[FW_NAME_MAX + 1];
	struct guard *g = arg;
	int e = guard_check_user(g->bus, error, size);

	if (e)
		return e;
	if (!pst_ctl_text(request, "name", name, sizeof(name))) {
		snprintf(error, size, "expected name, that of a rule");
		return -EINVAL;
	}
	e = firewall_delete(&g->firewall, &g->tables, name, &errors);
	return e ? guard_answer_error(e, &errors, error, size) : answer_firewall(g, reply);
}

int guard_ops(struct guard *g)
{
	static const struct {
		const char *name;
		pst_ctl_fn fn;
	} ops[] = {
		{"firewall", on_firewall},
		{"firewall_test", guard_on_test},
		{"firewall_add", on_add},
		{"firewall_delete", on_delete},
		{"firewall_sets", guard_on_sets},
		{"firewall_set", guard_on_set_change},
		{"lists", guard_on_lists},
		{"block", guard_on_block},
		{"unblock", guard_on_unblock},
		{"ddos", guard_on_ddos},
	};
	int e = 0;

	for (size_t i = 0; !e && i < PST_ARRAY_SIZE(ops); i++)
		e = pst_ctl_handle(g->bus, ops[i].name, ops[i].fn, g);
	if (!e)
		pst_ctl_stats_extra(g->bus, guard_rows, g);
	return e;
}
