// SPDX-License-Identifier: Apache-2.0
/* One table of keys: how a value is read, and how an event is compared with it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/wire/filter.h"
#include "proto/wire/json.h"

#define TEXT_MAX  1024 /* of one value */
#define GLOB_MAX  256  /* with a '*': bounds what a look at an event can cost */
#define KINDS_MAX 64

struct value {
	uint8_t key;
	char *text;      /* owned */
	uint64_t number; /* also a bit per kind */
	struct pst_cidr cidr;
};

struct pst_filter {
	uint32_t keys;  /* given, a bit each */
	uint64_t kinds; /* wanted, a bit per index in pst_kinds */
	bool unknown_kinds;
	unsigned n;
	struct value values[PST_FILTER_VALUES_MAX];
};

/* What a value is compared with. */
struct subject {
	const struct pst_event *event;
	uint64_t wall_ns;
};

/* Fields of each kind that are addresses or ports, a bit each. */
static uint64_t addresses[KINDS_MAX], ports[KINDS_MAX];
__attribute__((constructor)) static void find_ends(void)
{
	static const char *const names[] = {"lport", "rport", "sport", "dport"};

	for (size_t k = 0; k < pst_n_kinds && k < KINDS_MAX; k++) {
		const struct pst_kind *kind = &pst_kinds[k];

		for (unsigned f = 0; f < kind->n_fields; f++)
			if (kind->fields[f].type == PST_T_A)
				addresses[k] |= 1ull << f;
		for (unsigned i = 0; i < PST_ARRAY_SIZE(names); i++) {
			int f = pst_field_index(kind->fields, kind->n_fields, names[i]);

			if (f >= 0)
				ports[k] |= 1ull << f;
		}
	}
}

/* ---- reading values ---- */

static int parse_text(struct value *v, uint64_t now)
{
	(void)v;
	(void)now;
	return 0;
}

static int parse_kind(struct value *v, uint64_t now)
{
	(void)now;
	for (size_t k = 0; k < pst_n_kinds && k < KINDS_MAX; k++)
		if (pst_glob_match(v->text, pst_kinds[k].name, strlen(pst_kinds[k].name)))
			v->number |= 1ull << k;
	return v->number || pst_glob_match(v->text, "unknown", 7) ? 0 : -EINVAL;
}

static int parse_with(struct value *v, uint8_t format, uint64_t max)
{
	const struct pst_field field = {.type = PST_T_U, .format = format};

	return pst_val_parse(&field, v->text, &v->number) < 0 || v->number > max ? -EINVAL : 0;
}

static int parse_u32(struct value *v, uint64_t now)
{
	(void)now;
	return parse_with(v, PST_FMT_NUM, UINT32_MAX);
}

static int parse_port(struct value *v, uint64_t now)
{
	(void)now;
	return parse_with(v, PST_FMT_NUM, UINT16_MAX);
}

static int parse_severity(struct value *v, uint64_t now)
{
	(void)now;
	return parse_with(v, PST_FMT_SEVERITY, 5);
}

static int parse_bool(struct value *v, uint64_t now)
{
	(void)now;
	return parse_with(v, PST_FMT_BOOL, 1);
}

static int parse_address(struct value *v, uint64_t now)
{
	(void)now;
	return pst_cidr_parse(v->text, &v->cidr);
}

static int parse_time(struct value *v, uint64_t now)
{
	return pst_time_parse(v->text, now, &v->number);
}

/* ---- comparing ---- */

static const struct pst_val *field_of(const struct subject *s, const char *name, uint8_t type)
{
	const struct pst_field *field;
	const struct pst_val *val = pst_event_field(s->event, name, &field);

	return val && field->type == type ? val : NULL;
}

static bool is_text(const struct subject *s, const char *name, const struct value *v)
{
	const struct pst_val *val = field_of(s, name, PST_T_S);

	return val && val->len == strlen(v->text) && !memcmp(val->p, v->text, val->len);
}

static bool is_glob(const struct subject *s, const char *name, const struct value *v)
{
	const struct pst_val *val = field_of(s, name, PST_T_S);

	return val && val->len && pst_glob_match(v->text, val->p, val->len);
}

static bool is_alert(const struct pst_event *event)
{
	return event->n_stages > 2 && event->policyd[PST_POL_rule].len;
}

static bool match_kind(const struct subject *s, const struct value *v)
{
	const struct pst_kind *desc = s->event->desc;

	return desc ? v->number >> (desc - pst_kinds) & 1 : pst_glob_match(v->text, "unknown", 7);
}

static bool match_pid(const struct subject *s, const struct value *v)
{
	const struct pst_val *pid = field_of(s, "pid", PST_T_U), *child = field_of(s, "child_pid", PST_T_U);

	return (pid && pid->u == v->number) || (child && child->u == v->number);
}

static bool match_uid(const struct subject *s, const struct value *v)
{
	const struct pst_val *uid = field_of(s, "uid", PST_T_U), *pid = field_of(s, "pid", PST_T_U);

	return uid && uid->u == v->number && pid && pid->u; /* without a process it is nobody's, not root's */
}

static bool match_comm(const struct subject *s, const struct value *v)
{
	return is_glob(s, "comm", v);
}

static bool match_exe(const struct subject *s, const struct value *v)
{
	return is_glob(s, "exe", v);
}

static bool match_user(const struct subject *s, const struct value *v)
{
	return is_text(s, "user", v);
}

static bool match_rule(const struct subject *s, const struct value *v)
{
	return is_glob(s, "rule", v);
}

static bool match_policy(const struct subject *s, const struct value *v)
{
	return is_glob(s, "policy", v);
}

static bool match_container(const struct subject *s, const struct value *v)
{
	const struct pst_val *id = &s->event->enricher[PST_ENR_container_id];
	size_t len = strlen(v->text);

	return id->len >= len && !memcmp(id->p, v->text, len);
}

static bool match_address(const struct subject *s, const struct value *v)
{
	const struct pst_kind *desc = s->event->desc;

	for (uint64_t left = desc ? addresses[desc - pst_kinds] : 0; left; left &= left - 1)
		if (pst_cidr_match(&v->cidr, &s->event->sensor[__builtin_ctzll(left)]))
			return true;
	return false;
}

/* An ICMP packet has a type and a code there. */
static bool has_ports(const struct subject *s)
{
	const struct pst_val *protocol = field_of(s, "protocol", PST_T_U);

	return !protocol || (protocol->u != IPPROTO_ICMP && protocol->u != IPPROTO_ICMPV6);
}

static bool match_port(const struct subject *s, const struct value *v)
{
	const struct pst_kind *desc = s->event->desc;

	for (uint64_t left = desc ? ports[desc - pst_kinds] : 0; left; left &= left - 1)
		if (s->event->sensor[__builtin_ctzll(left)].u == v->number)
			return has_ports(s);
	return false;
}

static bool match_alert(const struct subject *s, const struct value *v)
{
	return is_alert(s->event) == v->number;
}

static bool match_severity(const struct subject *s, const struct value *v)
{
	return is_alert(s->event) && s->event->policyd[PST_POL_severity].u >= v->number;
}

static bool match_since(const struct subject *s, const struct value *v)
{
	return s->wall_ns >= v->number;
}

static bool match_until(const struct subject *s, const struct value *v)
{
	return s->wall_ns <= v->number;
}

#define TIME_TEXT "a time (2024-05-01T12:00:00Z), Unix seconds, or how long ago (5m)"
static const struct key {
	const char *name;
	int (*parse)(struct value *v, uint64_t now);
	bool (*match)(const struct subject *s, const struct value *v);
	const char *expected;
} keys[] = {
	{"kind", parse_kind, match_kind,
		"a kind of event or a pattern of its name, such as process_exec or tcp_*"},
	{"pid", parse_u32, match_pid, "a process id"},
	{"comm", parse_text, match_comm, "a thread name or a pattern of it"},
	{"exe", parse_text, match_exe, "the path of a program or a pattern of it"},
	{"container", parse_text, match_container, "a container id or how it begins"},
	{"address", parse_address, match_address, "an address or a range, such as 10.0.0.0/8 or ::1"},
	{"port", parse_port, match_port, "a port, 0 to 65535"},
	{"user", parse_text, match_user, "a user name"},
	{"uid", parse_u32, match_uid, "a user id"},
	{"alert", parse_bool, match_alert, "true or false"},
	{"severity", parse_severity, match_severity, "debug, info, notice, warning, error or critical"},
	{"rule", parse_text, match_rule, "a rule's name or a pattern of it"},
	{"policy", parse_text, match_policy, "a policy's name or a pattern of it"},
	{"since", parse_time, match_since, TIME_TEXT},
	{"until", parse_time, match_until, TIME_TEXT},
};
#define N_KEYS   PST_ARRAY_SIZE(keys)
#define KEY_KIND 0

/* The order of the table above. */
const char *const pst_filter_keys[] = {"kind", "pid", "comm", "exe", "container", "address", "port", "user",
	"uid", "alert", "severity", "rule", "policy", "since", "until", NULL};
_Static_assert(PST_ARRAY_SIZE(pst_filter_keys) == N_KEYS + 1, "the two tables of keys differ");

int pst_filter_new(struct pst_filter **ret_filter)
{
	struct pst_filter *filter = calloc(1, sizeof(*filter));

	if (!filter)
		return -ENOMEM;
	*ret_filter = filter;
	return 0;
}

void pst_filter_free(struct pst_filter *filter)
{
	if (!filter)
		return;
	for (unsigned i = 0; i < filter->n; i++)
		free(filter->values[i].text);
	free(filter);
}

static int find_key(const char *name)
{
	for (unsigned i = 0; i < N_KEYS; i++)
		if (!strcmp(keys[i].name, name))
			return (int)i;
	return -ENOENT;
}

static void say_keys(char *error, size_t size)
{
	size_t len = (size_t)snprintf(error, size, "unknown key, expected one of");

	for (unsigned i = 0; i < N_KEYS && len < size; i++)
		len += (size_t)snprintf(error + len, size - len, "%s %s", i ? "," : "", keys[i].name);
}

/* The value itself is not repeated: where the message goes, its bytes may not be welcome. */
int pst_filter_add(struct pst_filter *filter, const char *key, const char *value, uint64_t now_unix_ns,
	char *error, size_t size)
{
	int k = find_key(key), r;

	if (k < 0) {
		say_keys(error, size);
		return -EINVAL;
	}
	if (filter->n == PST_FILTER_VALUES_MAX) {
		snprintf(error, size, "%s: more than %d values", keys[k].name, PST_FILTER_VALUES_MAX);
		return -E2BIG;
	}
	int max = strchr(value, '*') ? GLOB_MAX : TEXT_MAX;
	if (strlen(value) > (size_t)max) {
		snprintf(error, size, "%s: longer than %d bytes", keys[k].name, max);
		return -E2BIG;
	}
	struct value v = {.key = (uint8_t)k, .text = strdup(value)};
	if (!v.text) {
		snprintf(error, size, "%s: out of memory", keys[k].name);
		return -ENOMEM;
	}
	r = *value ? keys[k].parse(&v, now_unix_ns) : -EINVAL;
	if (r < 0) {
		free(v.text);
		snprintf(error, size, "%s: expected %s", keys[k].name, keys[k].expected);
		return -EINVAL;
	}
	if (k == KEY_KIND) {
		filter->kinds |= v.number;
		filter->unknown_kinds |= pst_glob_match(v.text, "unknown", 7);
	}
	filter->keys |= 1u << k;
	filter->values[filter->n++] = v;
	return 0;
}

bool pst_filter_match(const struct pst_filter *filter, const struct pst_event *event, int64_t wall_offset_ns)
{
	const struct subject s = {.event = event, .wall_ns = pst_wall_ns(event->ts_ns, wall_offset_ns)};
	uint32_t matched = 0;

	if (pst_filter_empty(filter))
		return true;
	for (unsigned i = 0; i < filter->n; i++) {
		const struct value *v = &filter->values[i];
		uint32_t bit = 1u << v->key;

		if (!(matched & bit) && keys[v->key].match(&s, v))
			matched |= bit;
	}
	return matched == filter->keys;
}

bool pst_filter_empty(const struct pst_filter *filter)
{
	return !filter || !filter->keys;
}

bool pst_filter_wants_kind(const struct pst_filter *filter, uint32_t kind)
{
	const struct pst_kind *desc = pst_kind_by_id(kind);

	if (!filter || !(filter->keys & 1u << KEY_KIND))
		return true;
	return desc ? filter->kinds >> (desc - pst_kinds) & 1 : filter->unknown_kinds;
}
