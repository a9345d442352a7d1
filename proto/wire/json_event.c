// SPDX-License-Identifier: Apache-2.0
/* An event as one JSON object. Keys are literals with their punctuation, made from the schema. */
#include "proto/base/cleanup.h"
#include "proto/wire/fmt.h"
#include "proto/wire/json.h"
#include "proto/wire/json_internal.h"
#include "proto/wire/names.h"

#define KEY_MAX    40 /* with the longest name, checked below */
#define NUMBER_MAX 64 /* any number or single name, quoted */

struct key {
	char text[31]; /* ,"name": copied whole, which is quicker than by length */
	uint8_t len;
};
#define KEY(name)                                                                                            \
	{                                                                                                    \
		",\"" name "\":", sizeof(",\"" name "\":") - 1                                               \
	}

#define PST_KIND(K, id, name, topic, help)     static const struct key keys_##K[] = {
#define PST_FIELD(K, name, type, format, help) KEY(#name),
#define PST_END(K)                                                                                           \
	}                                                                                                    \
	;
#include "proto/wire/schema.def"
#undef PST_KIND
#undef PST_FIELD
#undef PST_END

#define PST_KIND(K, id, name, topic, help)
#define PST_FIELD(K, name, type, format, help)                                                               \
	_Static_assert(sizeof(",\"" #name "\":") <= 32, "name too long");
#define PST_END(K)
#include "proto/wire/schema.def"
#undef PST_KIND
#undef PST_FIELD

#define PST_FIELD(K, name, type, format, help)
#define HEAD(name)                         "{\"kind\":\"" name "\",\"time\":\""
#define PST_KIND(K, id, name, topic, help) {HEAD(name), sizeof(HEAD(name)) - 1, keys_##K},
static const struct {
	const char *head;
	uint8_t head_len;
	const struct key *keys;
} kinds[] = {
#include "proto/wire/schema.def"
};

static const struct key enricher_keys[PST_ENR_N] = {
	[PST_ENR_exe] = KEY("exe"),
	[PST_ENR_user] = KEY("user"),
	[PST_ENR_parent_exe] = KEY("parent_exe"),
	[PST_ENR_ancestors] = KEY("ancestors"),
	[PST_ENR_cgroup] = KEY("cgroup"),
	[PST_ENR_container_id] = KEY("container_id"),
	[PST_ENR_container_runtime] = KEY("container_runtime"),
	[PST_ENR_unit] = KEY("unit"),
	[PST_ENR_pod_uid] = KEY("pod_uid"),
	[PST_ENR_service] = KEY("service"),
};
static const struct key policyd_keys[PST_POL_N] = {
	[PST_POL_rule] = KEY("rule"),
	[PST_POL_severity] = KEY("severity"),
	[PST_POL_message] = KEY("message"),
	[PST_POL_tags] = KEY("tags"),
	[PST_POL_suppressed] = KEY("suppressed"),
};

static inline char *put_key(char *w, const struct key *key)
{
	memcpy(w, key, sizeof(*key));
	return w + key->len;
}

/* ,"name_b64": */
static char *put_b64_key(char *w, const struct key *key)
{
	return pst_fmt_raw(pst_fmt_raw(w, key->text, key->len - 2u), "_b64\":", 6);
}

static void put_string(struct pst_buf *out, const struct key *key, const void *bytes, uint32_t len)
{
	char *w = pst_json_room(out, KEY_MAX + PST_JSON_STR_MAX(len));
	bool valid;

	if (!w)
		return;
	pst_json_end(out, pst_json_put_str(put_key(w, key), bytes, len, &valid));
	if (valid)
		return;
	w = pst_json_room(out, KEY_MAX + PST_JSON_BASE64_MAX(len));
	if (w)
		pst_json_end(out, pst_json_put_base64(put_b64_key(w, key), bytes, len));
}

/* The elements; as base64 when @base64. @ret_valid: all were UTF-8. */
static void put_elements(struct pst_buf *out, const struct pst_val *val, bool base64, bool *ret_valid)
{
	struct pst_cur c = pst_cur(val->p, val->len);
	char before = '[', *w;
	const void *bytes;
	uint32_t len;
	bool valid;

	*ret_valid = true;
	while (pst_list_next(&c, &bytes, &len)) {
		w = pst_json_room(out, 2 + PST_JSON_STR_MAX(len));
		if (!w)
			return;
		*w++ = before;
		before = ',';
		w = base64 ? pst_json_put_base64(w, bytes, len) : pst_json_put_str(w, bytes, len, &valid);
		pst_json_end(out, w);
		*ret_valid &= base64 || valid;
	}
	pst_json_raw(out, before == '[' ? "[]" : "]");
}

static void put_list(struct pst_buf *out, const struct key *key, const struct pst_val *val)
{
	bool valid;
	char *w;

	pst_mp_raw(out, key->text, key->len);
	put_elements(out, val, false, &valid);
	if (valid)
		return;
	w = pst_json_room(out, KEY_MAX);
	if (!w)
		return;
	pst_json_end(out, put_b64_key(w, key));
	put_elements(out, val, true, &valid);
}

static void put_procs(struct pst_buf *out, const struct key *key, const struct pst_val *val)
{
	static const struct key exe = KEY("exe");
	struct pst_cur c = pst_cur(val->p, val->len);
	struct pst_proc_ref proc;
	char *w, before = '[';

	pst_mp_raw(out, key->text, key->len);
	while (pst_procs_next(&c, &proc)) {
		w = pst_json_room(out, 80);
		if (!w)
			return;
		*w++ = before;
		before = ',';
		w = pst_fmt_u64(pst_fmt_raw(w, "{\"pid\":", 7), proc.pid);
		w = pst_fmt_u64(pst_fmt_raw(w, ",\"start_ns\":", 12), proc.start_ns);
		pst_json_end(out, w);
		if (proc.exe_len)
			put_string(out, &exe, proc.exe, proc.exe_len);
		pst_json_raw(out, "}");
	}
	pst_json_raw(out, before == '[' ? "[]" : "]");
}

/* ["SYN","ACK"] */
static char *put_flags(char *w, const char *const *names, unsigned n, uint64_t v)
{
	char before = '[';

	for (; v; v &= v - 1) {
		unsigned bit = (unsigned)__builtin_ctzll(v);

		*w++ = before;
		before = ',';
		*w++ = '"';
		if (bit < n)
			w = pst_fmt_raw(w, names[bit], strlen(names[bit]));
		else
			w = pst_fmt_u64(pst_fmt_raw(w, "bit", 3), bit);
		*w++ = '"';
	}
	*w++ = ']';
	return w;
}

#define FLAGS_MAX (64 * 32)

/* The list of all capabilities is what every process of root has: made once. */
static char all_caps[FLAGS_MAX];
static size_t all_caps_len;
static uint64_t all_caps_value;
__attribute__((constructor)) static void make_all_caps(void)
{
	unsigned n;
	const char *const *names = pst_name_bits(PST_FMT_CAPS, &n);

	all_caps_value = (1ull << n) - 1;
	all_caps_len = (size_t)(put_flags(all_caps, names, n, all_caps_value) - all_caps);
}

static char *put_quoted(char *w, const char *text)
{
	*w++ = '"';
	w = pst_fmt_raw(w, text, strlen(text));
	*w++ = '"';
	return w;
}

/* Names are strings always: a number that has none is one in quotes. */
static char *put_name(char *w, enum pst_field_format format, uint64_t v)
{
	const char *name = pst_name_of(format, v);

	if (name)
		return put_quoted(w, name);
	*w++ = '"';
	w = pst_fmt_u64(w, v);
	*w++ = '"';
	return w;
}

static char *put_number(char *w, enum pst_field_format format, uint64_t v)
{
	switch (format) {
	case PST_FMT_BOOL:
		return v ? pst_fmt_raw(w, "true", 4) : pst_fmt_raw(w, "false", 5);
	case PST_FMT_HEX:
		*w++ = '"';
		w = pst_fmt_hex(w, v);
		*w++ = '"';
		return w;
	case PST_FMT_DEV:
		*w++ = '"';
		w = pst_fmt_u64(w, v >> 20);
		*w++ = ':';
		w = pst_fmt_u64(w, v & 0xfffff);
		*w++ = '"';
		return w;
	case PST_FMT_NUM:
	case PST_FMT_NS:
	case PST_FMT_TIME:
	case PST_FMT_BYTES:
	case PST_FMT_ID:
	case PST_FMT_CODE:
		return pst_fmt_u64(w, v);
	default:
		return put_name(w, format, v);
	}
}

static void put_unsigned(struct pst_buf *out, const struct key *key, enum pst_field_format format, uint64_t v)
{
	unsigned n;
	const char *const *names = pst_name_bits(format, &n);
	char *w = pst_json_room(out, KEY_MAX + (names ? FLAGS_MAX : NUMBER_MAX));

	if (!w)
		return;
	w = put_key(w, key);
	if (!names)
		w = put_number(w, format, v);
	else if (format == PST_FMT_CAPS && v == all_caps_value)
		w = pst_fmt_raw(w, all_caps, all_caps_len);
	else
		w = put_flags(w, names, n, v);
	pst_json_end(out, w);
}

static void put_address(struct pst_buf *out, const struct key *key, const struct pst_val *val)
{
	char *w = pst_json_room(out, KEY_MAX + NUMBER_MAX);

	if (!w)
		return;
	w = put_key(w, key);
	*w++ = '"';
	w = pst_fmt_addr(w, val->p, val->len);
	*w++ = '"';
	pst_json_end(out, w);
}

static void put_field(
	struct pst_buf *out, const struct key *key, const struct pst_field *field, const struct pst_val *val)
{
	char *w;

	switch (field->type) {
	case PST_T_U:
		put_unsigned(out, key, field->format, val->u);
		return;
	case PST_T_S:
		put_string(out, key, val->p, val->len);
		return;
	case PST_T_A:
		put_address(out, key, val);
		return;
	case PST_T_L:
		put_list(out, key, val);
		return;
	case PST_T_P:
		put_procs(out, key, val);
		return;
	default:
		w = pst_json_room(out, KEY_MAX + NUMBER_MAX);
		if (w)
			pst_json_end(out, pst_fmt_i64(put_key(w, key), val->i));
	}
}

/* Formats that are a plain number and empty when 0: most fields of most events. */
#define PLAIN (1u << PST_FMT_NUM | 1u << PST_FMT_NS | 1u << PST_FMT_TIME | 1u << PST_FMT_BYTES)

static void put_plain(struct pst_buf *out, const struct key *key, uint64_t v)
{
	char *w = pst_json_room(out, KEY_MAX + NUMBER_MAX);

	if (w)
		pst_json_end(out, pst_fmt_u64(put_key(w, key), v));
}

static void put_sensor(struct pst_buf *out, const struct pst_event *event)
{
	const struct pst_kind *desc = event->desc;
	const struct key *keys = kinds[desc - pst_kinds].keys;
	/* nobody did it: then the ids of zero are nobody's, not those of root */
	bool no_one = !strcmp(desc->fields[0].name, "pid") && !event->sensor[0].u;

	for (unsigned i = 0; i < desc->n_fields; i++) {
		const struct pst_field *field = &desc->fields[i];
		const struct pst_val *val = &event->sensor[i];

		if (field->type == PST_T_U && (PLAIN >> field->format & 1)) {
			if (val->u)
				put_plain(out, &keys[i], val->u);
			continue;
		}
		if (pst_val_empty(val, field) || (no_one && field->format == PST_FMT_ID))
			continue;
		put_field(out, &keys[i], field, val);
	}
}

/* Names that a kind of event shares with the enricher's fields, then policyd's: a bit each. */
static uint16_t shared[PST_ARRAY_SIZE(kinds)];
__attribute__((constructor)) static void make_shared(void)
{
	_Static_assert(PST_ENR_N + PST_POL_N <= 16, "more bits are needed");

	for (size_t k = 0; k < PST_ARRAY_SIZE(kinds); k++)
		for (unsigned i = 0; i < PST_ENR_N + PST_POL_N; i++) {
			const char *name = i < PST_ENR_N ? pst_enricher_fields[i].name
							 : pst_policyd_fields[i - PST_ENR_N].name;

			if (pst_field_index(pst_kinds[k].fields, pst_kinds[k].n_fields, name) >= 0)
				shared[k] |= (uint16_t)(1u << i);
		}
}

/* An event has each name once: the sensor's, unless it is empty. */
static bool sensor_has(const struct pst_event *event, const char *name)
{
	const struct pst_kind *desc = event->desc;
	int i = pst_field_index(desc->fields, desc->n_fields, name);

	return i >= 0 && !pst_val_empty(&event->sensor[i], &desc->fields[i]);
}

static void put_added(struct pst_buf *out, const struct pst_event *event, unsigned shared_bits,
	const struct key *keys, const struct pst_field *fields, unsigned n, const struct pst_val *vals)
{
	for (unsigned i = 0; i < n; i++) {
		if (pst_val_empty(&vals[i], &fields[i]))
			continue;
		if ((shared_bits >> i & 1) && sensor_has(event, fields[i].name))
			continue;
		put_field(out, &keys[i], &fields[i], &vals[i]);
	}
}

static void put_head(struct pst_buf *out, const struct pst_event *event, int64_t wall_offset_ns)
{
	static const char unknown[] = HEAD("unknown");
	const struct pst_kind *desc = event->desc;
	char *w = pst_json_room(out, 256), time[31];

	if (!w)
		return;
	if (desc)
		w = pst_fmt_raw(w, kinds[desc - pst_kinds].head, kinds[desc - pst_kinds].head_len);
	else
		w = pst_fmt_raw(w, unknown, sizeof(unknown) - 1);
	pst_time_format(time, pst_wall_ns(event->ts_ns, wall_offset_ns));
	w = pst_fmt_raw(w, time, 30);
	w = pst_fmt_raw(w, "\",\"ts_ns\":", 10);
	w = pst_fmt_u64(w, event->ts_ns);
	if (!desc) {
		w = pst_fmt_raw(w, ",\"kind_id\":", 11);
		w = pst_fmt_u64(w, event->kind);
	}
	pst_json_end(out, w);
}

void pst_json_event(struct pst_buf *out, const struct pst_event *event, int64_t wall_offset_ns)
{
	unsigned bits = event->desc ? shared[event->desc - pst_kinds] : 0;

	put_head(out, event, wall_offset_ns);
	if (event->desc)
		put_sensor(out, event);
	if (event->n_stages > 1)
		put_added(out, event, bits, enricher_keys, pst_enricher_fields, PST_ENR_N, event->enricher);
	if (event->n_stages > 2)
		put_added(out, event, bits >> PST_ENR_N, policyd_keys, pst_policyd_fields, PST_POL_N,
			event->policyd);
	pst_json_raw(out, "}");
}
