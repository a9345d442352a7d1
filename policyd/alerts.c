// SPDX-License-Identifier: Apache-2.0
#include "policyd/alerts.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"

#define TEXT_MAX 256                     /* of one field in a message */
#define TAIL_MAX (2 * PST_POL_NAME + 32) /* room for what decided, which is behind all else */

struct text {
	char *at;
	size_t len, size; /* one byte more is there */
};

static void put(struct text *t, const char *s)
{
	size_t n = strnlen(s, t->size - t->len);

	memcpy(t->at + t->len, s, n);
	t->len += n;
	t->at[t->len] = 0;
}

static const struct pst_val *sensor(const struct pst_event *e, unsigned field)
{
	return &e->sensor[field];
}

static void put_field(struct text *t, const struct pst_event *e, unsigned field)
{
	size_t room = PST_MIN(t->size - t->len, (size_t)TEXT_MAX);

	t->len += pst_val_text(sensor(e, field), &e->desc->fields[field], t->at + t->len, room + 1);
}

static bool is(const struct pst_event *e, unsigned field, const char *word)
{
	const struct pst_val *v = sensor(e, field);

	return v->len == strlen(word) && !memcmp(v->p, word, v->len);
}

static const struct {
	const char *action;
	uint64_t severity;
	const char *not_done; /* it was told, and nothing else */
} actions[] = {{"alert", 3, "seen"}, {"throttle", 3, "not denied"}, {"deny", 4, "not denied"},
	{"kill", 5, "not killed"}};

/* Its place in the table, or its length. */
static size_t action_of(const struct pst_event *e)
{
	size_t i = 0;

	while (i < PST_ARRAY_SIZE(actions) && !is(e, PST_POLICY_F_action, actions[i].action))
		i++;
	return i;
}

bool policy_alert_wanted(const struct pst_event *e)
{
	return action_of(e) < PST_ARRAY_SIZE(actions);
}

/* ---- how often ---- */

static struct alert_rate *rate_of(struct policy_alerts *a, const struct pst_event *e)
{
	struct policy_rate *r;
	uint64_t generation = sensor(e, PST_POLICY_F_policy_generation)->u;

	if (!a->rates)
		a->rates = calloc(PST_POL_RULES_MAX, sizeof(*a->rates));
	if (!a->rates)
		return NULL;
	r = &a->rates[sensor(e, PST_POLICY_F_policy_rule_id)->u % PST_POL_RULES_MAX];
	if (!r->rate.burst)
		r->rate = ALERT_RATE;
	if (r->generation != generation)
		r->rate.suppressed = 0; /* these may have been of another rule */
	r->generation = generation;
	return &r->rate;
}

/* ---- what is said ---- */

struct operation {
	unsigned number; /* 0: none that is known here */
	unsigned asks;   /* PST_ASK_BIT() */
};

static struct operation operation_of(const struct pst_event *e)
{
#define OP_OF(id, number, name, asks, help)                                                                  \
	if (is(e, PST_POLICY_F_operation, name))                                                             \
		return (struct operation){number, asks};
	PST_POLICY_OPS(OP_OF)
#undef OP_OF
	return (struct operation){0};
}

static const char *verb(unsigned operation)
{
	static const char *const verbs[PST_OPS_MAX] = {
		[PST_OP_PROCESS_EXEC] = "runs",
		[PST_OP_PROCESS_PTRACE] = "traces",
		[PST_OP_PROCESS_SIGNAL] = "sends",
		[PST_OP_PROCESS_SETID] = "changes its ids",
		[PST_OP_PROCESS_CAPSET] = "sets capabilities",
		[PST_OP_PROCESS_NAMESPACE] = "changes its namespaces",
		[PST_OP_PROCESS_MODULE] = "loads a kernel module",
		[PST_OP_PROCESS_BPF] = "calls bpf",
		[PST_OP_PROCESS_PERF] = "opens a perf event",
		[PST_OP_PROCESS_MEMFD] = "makes a file in memory",
		[PST_OP_PROCESS_MPROTECT] = "changes what its memory allows",
		[PST_OP_FILE_OPEN] = "opens",
		[PST_OP_FILE_UNLINK] = "removes",
		[PST_OP_FILE_RENAME] = "renames",
		[PST_OP_FILE_LINK] = "links",
		[PST_OP_FILE_SYMLINK] = "makes the link",
		[PST_OP_FILE_MKDIR] = "makes the directory",
		[PST_OP_FILE_CHMOD] = "changes the mode of",
		[PST_OP_FILE_CHOWN] = "changes the owner of",
		[PST_OP_FILE_TRUNCATE] = "cuts",
		[PST_OP_FILE_MOUNT] = "mounts at",
		[PST_OP_FILE_UMOUNT] = "unmounts",
		[PST_OP_FILE_PIVOT_ROOT] = "makes its root",
		[PST_OP_NET_SOCKET] = "makes a socket",
		[PST_OP_NET_CONNECT] = "connects to",
		[PST_OP_NET_SENDMSG] = "sends to",
		[PST_OP_NET_BIND] = "binds",
		[PST_OP_NET_LISTEN] = "listens at",
		[PST_OP_NET_ACCEPT] = "accepts at",
		[PST_OP_CAP_USE] = "uses",
	};
	return operation < PST_OPS_MAX ? verbs[operation] : NULL;
}

static void put_end(struct text *t, const struct pst_event *e, unsigned addr, unsigned port)
{
	bool v6 = sensor(e, addr)->len == 16;

	if (!sensor(e, addr)->len && !sensor(e, port)->u)
		return;
	put(t, v6 ? " [" : " ");
	if (sensor(e, addr)->len)
		put_field(t, e, addr);
	else
		put(t, "*");
	put(t, v6 ? "]:" : ":");
	put_field(t, e, port);
}

static void put_object(struct text *t, const struct pst_event *e, unsigned asks)
{
	if (sensor(e, PST_POLICY_F_path)->len) {
		put(t, " ");
		put_field(t, e, PST_POLICY_F_path);
	} else if (asks & PST_ASK_BIT(PATHS)) {
		put(t, " a file whose path is not known");
	}
	if (sensor(e, PST_POLICY_F_to_path)->len) {
		put(t, " to ");
		put_field(t, e, PST_POLICY_F_to_path);
	}
	put_end(t, e, PST_POLICY_F_raddr, PST_POLICY_F_rport);
	put_end(t, e, PST_POLICY_F_laddr, PST_POLICY_F_lport);
	if (sensor(e, PST_POLICY_F_signal)->u) {
		put(t, " ");
		put_field(t, e, PST_POLICY_F_signal);
	}
	if (sensor(e, PST_POLICY_F_target_pid)->u) {
		put(t, " to ");
		put_field(t, e, PST_POLICY_F_target_pid);
	}
	if (sensor(e, PST_POLICY_F_capabilities)->u) {
		put(t, " ");
		put_field(t, e, PST_POLICY_F_capabilities);
	}
}

/* The program if it is known, or the thread's name. */
static void put_who(struct text *t, const struct pst_event *e)
{
	const struct pst_val *exe = &e->enricher[PST_ENR_exe];
	size_t room = PST_MIN(t->size - t->len, (size_t)TEXT_MAX);

	if (e->n_stages > 1 && exe->len)
		t->len += pst_val_text(exe, &pst_enricher_fields[PST_ENR_exe], t->at + t->len, room + 1);
	else
		put_field(t, e, PST_POLICY_F_comm);
}

/* The name, or # and the number if it is not known. */
static void put_name(struct text *t, const struct pst_event *e, unsigned name, unsigned number)
{
	if (sensor(e, name)->len) {
		put_field(t, e, name);
		return;
	}
	put(t, "#");
	put_field(t, e, number);
}

static void put_policy(struct text *t, const struct pst_event *e)
{
	put_name(t, e, PST_POLICY_F_policy, PST_POLICY_F_policy_id);
}

static void put_rule(struct text *t, const struct pst_event *e)
{
	put_name(t, e, PST_POLICY_F_policy_rule, PST_POLICY_F_policy_rule_id);
}

/* "denied: /usr/bin/cat opens /etc/shadow (policy secrets, rule nobody else does)" @t has TAIL_MAX bytes
 * more. */
static void say(struct text *t, const struct pst_event *e, const char *not_done)
{
	struct operation operation = operation_of(e);
	const char *does = verb(operation.number);

	if (is(e, PST_POLICY_F_done, "told"))
		put(t, not_done);
	else
		put_field(t, e, PST_POLICY_F_done);
	put(t, ": ");
	put_who(t, e);
	put(t, " ");
	if (does)
		put(t, does);
	else
		put_field(t, e, PST_POLICY_F_operation);
	put_object(t, e, operation.asks);
	t->size += TAIL_MAX;
	put(t, " (policy ");
	put_policy(t, e);
	put(t, ", rule ");
	put_rule(t, e);
	put(t, ")");
}

static void name(struct text *t, const struct pst_event *e)
{
	put_policy(t, e);
	put(t, "/");
	put_rule(t, e);
}

static struct pst_val tags(struct policy_alerts *a, const char *action)
{
	a->tags.len = 0;
	a->tags.failed = false;
	pst_list_add(&a->tags, "policy", 6);
	pst_list_add(&a->tags, action, (uint32_t)strlen(action));
	if (a->tags.failed)
		return (struct pst_val){0};
	return (struct pst_val){.p = a->tags.p, .len = (uint32_t)a->tags.len, .n = 2};
}

bool policy_alert(struct policy_alerts *a, const struct pst_event *e, struct pst_val v[PST_POL_N])
{
	struct alert_rate *rate = rate_of(a, e);
	struct text rule = {.at = a->rule, .size = sizeof(a->rule) - 1};
	struct text message = {.at = a->message, .size = sizeof(a->message) - 1 - TAIL_MAX};
	size_t action = action_of(e);

	if (action == PST_ARRAY_SIZE(actions) || !rate || !alert_take(rate, e->ts_ns))
		return false;
	name(&rule, e);
	say(&message, e, actions[action].not_done);
	v[PST_POL_rule] = pst_val_str(rule.at, rule.len);
	v[PST_POL_severity].u = actions[action].severity;
	v[PST_POL_message] = pst_val_str(message.at, message.len);
	v[PST_POL_tags] = tags(a, actions[action].action);
	v[PST_POL_suppressed].u = rate->suppressed;
	rate->suppressed = 0;
	return true;
}

void policy_alerts_done(struct policy_alerts *a)
{
	free(a->rates);
	pst_buf_done(&a->tags);
	*a = (struct policy_alerts){0};
}
