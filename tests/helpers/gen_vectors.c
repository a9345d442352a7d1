// SPDX-License-Identifier: Apache-2.0
/*
 * Writes the test vectors into a folder: gen_vectors DIR. Values are fixed, so that the same schema gives the
 * same files; a new kind or field makes new bytes at the ends and changes nothing else.
 */
#include <stdio.h>
#include <stdlib.h>

#include "proto/base/cleanup.h"
#include "tests/vectors/vectors.h"

struct vector {
	struct pst_batch head;
	struct pst_buf events, expected;
};

static struct pst_buf arena[64]; /* what values point to; kept until the end */
static unsigned n_arena;

static struct pst_buf *keep(void)
{
	if (n_arena == PST_ARRAY_SIZE(arena))
		abort();
	return &arena[n_arena++];
}

static void drop_arena(void)
{
	while (n_arena)
		pst_buf_done(&arena[--n_arena]);
}

/* ---- values ---- */

/* @len bytes of @text over and over. */
static struct pst_val long_text(const char *text, size_t len)
{
	struct pst_buf *b = keep();
	size_t n = strlen(text);

	for (size_t i = 0; i < len; i++)
		pst_mp_raw(b, &text[i % n], 1);
	return pst_val_str(b->p, len);
}

static struct pst_val text(const char *s)
{
	return pst_val_str(s, strlen(s));
}

static struct pst_val list_of(const struct pst_val *texts, uint32_t n)
{
	struct pst_buf *b = keep();

	for (uint32_t i = 0; i < n; i++)
		pst_list_add(b, texts[i].p, texts[i].len);
	return (struct pst_val){.p = b->p, .len = (uint32_t)b->len, .n = n};
}

static struct pst_val same_list(const char *element, uint32_t n)
{
	struct pst_buf *b = keep();

	for (uint32_t i = 0; i < n; i++)
		pst_list_add(b, element, (uint32_t)strlen(element));
	return (struct pst_val){.p = b->p, .len = (uint32_t)b->len, .n = n};
}

static struct pst_val procs(uint32_t n)
{
	static const char *const exes[] = {"/usr/bin/bash", "", "/usr/sbin/sshd", "/tmp/\xff\xfe"};
	struct pst_buf *b = keep();

	for (uint32_t i = 0; i < n; i++) {
		const char *exe = exes[i % PST_ARRAY_SIZE(exes)];
		pst_procs_add(b, 4000000 >> i, 7000000000 * (uint64_t)(n - i), exe, (uint32_t)strlen(exe));
	}
	return (struct pst_val){.p = b->p, .len = (uint32_t)b->len, .n = n};
}

static uint64_t typical_number(unsigned format, unsigned i)
{
	switch (format) {
	case PST_FMT_PROTO:
		return 6;
	case PST_FMT_DIR:
		return 1 + i % 2;
	case PST_FMT_ERRNO:
		return 111;
	case PST_FMT_SIGNAL:
		return 9;
	case PST_FMT_CAPS:
		return i % 2 ? 0x1ffffffffff : 0xa80425fb;
	case PST_FMT_TCPFLAGS:
		return 0x12;
	case PST_FMT_TCPSTATE:
		return 1 + i % 13;
	case PST_FMT_FAMILY:
		return i % 2 ? 2 : 10;
	case PST_FMT_DEV:
		return 136 << 20 | i;
	case PST_FMT_EXECFLAGS:
		return 0x89;
	case PST_FMT_CREDFLAGS:
		return 2;
	case PST_FMT_FILEFLAGS:
		return 9;
	case PST_FMT_ACCESS:
		return 3;
	case PST_FMT_PATHODD:
		return 0x41;
	case PST_FMT_ID:
		return i % 3 ? 1000 + i : i % 2 ? 0 : 4294967295;
	case PST_FMT_SEVERITY:
		return 3;
	case PST_FMT_BOOL:
		return 1;
	case PST_FMT_TIME:
		return 90123456789012 + i;
	default:
		return 17 * (uint64_t)(i + 1) * (i + 1) * (i + 1);
	}
}

static struct pst_val typical(const struct pst_field *f, unsigned i)
{
	static const uint8_t v4[4] = {192, 0, 2, 33}, v6[16] = {0x20, 1, 0xd, 0xb8, [7] = 1, [15] = 7};
	const struct pst_val words[] = {text("first"), text(""), text("third word")};

	switch (f->type) {
	case PST_T_U:
		return (struct pst_val){.u = typical_number(f->format, i)};
	case PST_T_I:
		return (struct pst_val){.i = -1234567890123};
	case PST_T_A:
		return i % 4 < 2 ? pst_val_str(v4, 4) : pst_val_str(v6, 16);
	case PST_T_L:
		return list_of(words, 3);
	case PST_T_P:
		return procs(2);
	default:
		return text(f->name);
	}
}

static struct pst_val greatest(const struct pst_field *f, unsigned i)
{
	static const uint8_t ones[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff};

	switch (f->type) {
	case PST_T_U:
		return (struct pst_val){.u = UINT64_MAX - (i & 1)};
	case PST_T_I:
		return (struct pst_val){.i = INT64_MIN};
	case PST_T_A:
		return pst_val_str(ones, 16);
	case PST_T_L:
		return same_list("x", 70);
	case PST_T_P:
		return procs(16);
	default:
		return long_text("long\\\"\n", 33);
	}
}

static void fill(struct pst_val *vals, const struct pst_field *fields, unsigned n,
	struct pst_val (*value)(const struct pst_field *, unsigned))
{
	for (unsigned i = 0; i < n; i++)
		vals[i] = value(&fields[i], i);
}

/* ---- vectors ---- */

static void begin(struct vector *v, enum pst_topic topic)
{
	*v = (struct vector){.head = {
				     .topic = (int)topic,
				     .version = PST_WIRE_VERSION,
				     .stage = "collector",
				     .stage_len = 9,
				     .node = "host-1",
				     .node_len = 6,
				     .epoch = 0x0123456789abcdef,
				     .first_seq = 70000,
				     .t_first_ns = 90123456780000,
				     .t_last_ns = 90123456790000,
			     }};
}

/* The expectation of an event that was encoded otherwise; its bytes come from the caller. */
static void expect(struct vector *v, struct pst_event *e)
{
	e->desc = pst_kind_by_id(e->kind);
	pst_json_raw(&v->expected, v->head.count ? ",\n" : "\n");
	vec_event(&v->expected, e);
	v->head.count++;
}

static void again(const struct pst_buf *bytes, struct pst_event *ret_event)
{
	struct pst_cur c = pst_cur(bytes->p, bytes->len);

	if (pst_event_decode(&c, ret_event) < 0)
		abort();
}

/* Encodes as the stages do: the sensor's packed, the others appended to what they received. */
static void add(struct vector *v, struct pst_event *e, bool enricher, bool policyd)
{
	static struct pst_event received;
	struct pst_buf a = {0}, b = {0}, c = {0};

	pst_event_pack(&a, e->kind, e->ts_ns, e->sensor);
	again(&a, &received);
	if (enricher)
		pst_event_append_enricher(&b, &received, e->enricher);
	else
		pst_mp_raw(&b, a.p, a.len);
	again(&b, &received);
	if (policyd)
		pst_event_append_policyd(&c, &received, e->policyd);
	else
		pst_mp_raw(&c, b.p, b.len);
	if (a.failed || b.failed || c.failed)
		abort();
	pst_mp_raw(&v->events, c.p, c.len);
	e->n_stages = policyd ? 3 : enricher ? 2 : 1;
	expect(v, e);
	pst_buf_done(&a);
	pst_buf_done(&b);
	pst_buf_done(&c);
}

static void put_header(struct pst_buf *out, const struct pst_batch *b, bool later)
{
	char topic[8] = "";

	memcpy(topic, pst_topic_name((enum pst_topic)b->topic),
		strlen(pst_topic_name((enum pst_topic)b->topic)));
	pst_mp_raw(out, topic, sizeof(topic));
	pst_mp_array(out, later ? 11 : 9);
	pst_mp_uint(out, b->version);
	pst_mp_bin(out, b->stage, b->stage_len);
	pst_mp_bin(out, b->node, b->node_len);
	pst_mp_uint(out, b->epoch);
	pst_mp_uint(out, b->first_seq);
	pst_mp_uint(out, b->count);
	pst_mp_uint(out, b->t_first_ns);
	pst_mp_uint(out, b->t_last_ns);
	pst_mp_uint(out, b->flags);
	if (later) {
		pst_mp_str(out, "of a later version");
		pst_mp_map(out, 1);
		pst_mp_nil(out);
		pst_mp_bool(out, true);
	}
}

static const char *dir;

static FILE *create(const char *name, const char *suffix)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix);
	FILE *f = fopen(path, "w");
	if (!f) {
		perror(path);
		exit(PST_EXIT_SYSTEM);
	}
	return f;
}

static void finish(struct vector *v, const char *name, bool later)
{
	PST_FCLOSE FILE *hex = create(name, ".hex");
	PST_FCLOSE FILE *json = create(name, ".json");
	struct pst_buf message = {0}, expected = {0};

	put_header(&message, &v->head, later);
	pst_mp_raw(&message, v->events.p, v->events.len);
	for (size_t i = 0; i < message.len; i++)
		fprintf(hex, "%02x%s", message.p[i], i % 48 == 47 || i + 1 == message.len ? "\n" : "");
	vec_head(&expected, &v->head);
	pst_mp_raw(&expected, v->expected.p, v->expected.len);
	vec_tail(&expected);
	fwrite(expected.p, 1, expected.len, json);
	if (message.failed || expected.failed || v->events.failed || v->expected.failed)
		abort();
	pst_buf_done(&message);
	pst_buf_done(&expected);
	pst_buf_done(&v->events);
	pst_buf_done(&v->expected);
	drop_arena();
}

/* ---- what is in them ---- */

static struct pst_event e;

static void fresh(uint32_t kind, uint64_t ts_ns)
{
	memset(&e, 0, sizeof(e));
	e.kind = kind;
	e.ts_ns = ts_ns;
}

/* Of one kind: empty, typical, greatest, with the other stages' arrays, and with policyd's only. */
static void kind_vector(const struct pst_kind *kind)
{
	struct vector v;

	begin(&v, kind->topic);
	fresh(kind->id, 0);
	add(&v, &e, false, false);
	fresh(kind->id, 90123456780000);
	fill(e.sensor, kind->fields, kind->n_fields, typical);
	add(&v, &e, false, false);
	fill(e.enricher, pst_enricher_fields, PST_ENR_N, typical);
	add(&v, &e, true, false);
	fill(e.policyd, pst_policyd_fields, PST_POL_N, typical);
	add(&v, &e, true, true);
	memset(e.enricher, 0, sizeof(e.enricher));
	add(&v, &e, false, true);
	fresh(kind->id, UINT64_MAX);
	fill(e.sensor, kind->fields, kind->n_fields, greatest);
	fill(e.enricher, pst_enricher_fields, PST_ENR_N, greatest);
	fill(e.policyd, pst_policyd_fields, PST_POL_N, greatest);
	add(&v, &e, true, true);
	finish(&v, kind->name, false);
}

static void strings_vector(void)
{
	static const char *const hostile[] = {
		"",
		"plain",
		"quote\" backslash\\ slash/ <b>&amp;</b>",
		"\x01\x02\x1f\x7f\b\t\n\f\r",
		"\x1b[31mred\x1b[0m",
		"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
		"\xe2\x80\xa8 and \xe2\x80\xa9",
		"\xe2\x80\xae"
		"desrever",
		"\xc2\x80\xc2\x9f\xc2\xa0",
		"\xff\xfe",
		"\xc0\xaf",
		"\xe0\x80\xaf",
		"\xed\xa0\x80",
		"\xf4\x90\x80\x80",
		"\xf5\x80",
		"cut \xe2\x82",
		"cut \xf0\x9f\x98",
		"\xf0\x9f\x98 between \xe2\x28\xa1",
		"\x80\x80\x80",
		"1234567\"",
		"12345678\xff",
		"sixteen bytes ab\xc3",
		"a string of more than two words of eight bytes, with a \xc3 near its end\xbf",
	};
	struct pst_val texts[PST_ARRAY_SIZE(hostile) + 1];
	struct vector v;

	begin(&v, PST_TOPIC_PROC);
	for (size_t i = 0; i < PST_ARRAY_SIZE(hostile); i++) {
		texts[i] = text(hostile[i]);
		fresh(PST_KIND_EXEC_FAILED, i);
		e.sensor[PST_EXEC_FAILED_F_pid].u = 1;
		e.sensor[PST_EXEC_FAILED_F_comm] = texts[i];
		e.sensor[PST_EXEC_FAILED_F_filename] = texts[i];
		e.sensor[PST_EXEC_FAILED_F_argv] = list_of(&texts[i], 1);
		add(&v, &e, false, false);
	}
	texts[PST_ARRAY_SIZE(hostile)] = pst_val_str("with\0NUL\0", 9);
	fresh(PST_KIND_EXEC_FAILED, 99);
	e.sensor[PST_EXEC_FAILED_F_filename] = texts[PST_ARRAY_SIZE(hostile)];
	e.sensor[PST_EXEC_FAILED_F_argv] = list_of(texts, PST_ARRAY_SIZE(texts));
	add(&v, &e, false, false);
	finish(&v, "strings", false);
}

static void limits_vector(void)
{
	static const int64_t numbers[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296,
		INT64_MAX, -1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, INT64_MIN};
	static const uint32_t lengths[] = {0, 1, 31, 32, 255, 256};
	struct pst_val texts[PST_ARRAY_SIZE(lengths)];
	struct vector v;

	begin(&v, PST_TOPIC_META);
	for (size_t i = 0; i < PST_ARRAY_SIZE(numbers); i++) {
		fresh(PST_KIND_NODE, (uint64_t)numbers[i]);
		e.sensor[PST_NODE_F_wall_offset_ns].i = numbers[i];
		add(&v, &e, false, false);
		fresh(PST_KIND_LOSS, 1);
		e.sensor[PST_LOSS_F_count].u = (uint64_t)numbers[i];
		add(&v, &e, false, false);
	}
	for (size_t i = 0; i < PST_ARRAY_SIZE(lengths); i++) {
		texts[i] = long_text("0123456789", lengths[i]);
		fresh(PST_KIND_LOSS, lengths[i]);
		e.sensor[PST_LOSS_F_cause] = texts[i];
		add(&v, &e, false, false);
	}
	fresh(PST_KIND_EXEC_FAILED, 1);
	e.sensor[PST_EXEC_FAILED_F_filename] = long_text("/0123456", PST_STRING_MAX);
	e.sensor[PST_EXEC_FAILED_F_argv] = list_of(texts, PST_ARRAY_SIZE(texts));
	add(&v, &e, false, false);
	finish(&v, "limits", false);
}

/* One value of each type that msgpack has, as a later version might add; all within the bounds. */
static void put_later_fields(struct pst_buf *b)
{
	static const uint8_t others[] = {0xca, 0x3f, 0x80, 0, 0, 0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0,
		0, /* 1.0 twice */
		0xd4, 1, 2, 0xd5, 1, 2, 3, 0xd6, 1, 2, 3, 4, 5, 0xc7, 3, 1, 7, 8, 9, 0xc8, 0, 1, 1, 7};

	pst_mp_nil(b);
	pst_mp_bool(b, false);
	pst_mp_int(b, -70000);
	pst_mp_str(b, "text");
	pst_mp_bin(b, "bytes", 5);
	pst_mp_raw(b, others, sizeof(others)); /* 7 values */
	pst_mp_map(b, 1);
	pst_mp_str(b, "key");
	for (int i = 0; i < 4; i++) /* the outer arrays and the map are three of the eight levels */
		pst_mp_array(b, 1);
	pst_mp_array(b, 0);
}
#define LATER_FIELDS 13

/* All fields, then those of a later version; the enricher's and policyd's the same. */
static void put_later_event(struct pst_buf *b, uint32_t n_outer)
{
	pst_mp_array(b, n_outer);
	pst_mp_uint(b, PST_KIND_LOSS);
	pst_mp_uint(b, 5);
	pst_mp_array(b, 4 + LATER_FIELDS);
	pst_mp_bin(b, "collector", 9);
	pst_mp_bin(b, "process", 7);
	pst_mp_bin(b, "ring_full", 9);
	pst_mp_uint(b, 3);
	put_later_fields(b);
	pst_mp_array(b, PST_ENR_N + LATER_FIELDS);
	for (unsigned i = 0; i < PST_ENR_N; i++)
		if (i == PST_ENR_ancestors)
			pst_mp_array(b, 0);
		else
			pst_mp_bin(b, "e", 1);
	put_later_fields(b);
	pst_mp_array(b, PST_POL_N + LATER_FIELDS);
	pst_mp_bin(b, "r", 1);
	pst_mp_uint(b, 5);
	pst_mp_bin(b, "m", 1);
	pst_mp_array(b, 0);
	pst_mp_uint(b, 0);
	put_later_fields(b);
	for (uint32_t i = 5; i < n_outer; i++)
		pst_mp_array(b, 0);
}

static void expect_later_event(struct vector *v)
{
	fresh(PST_KIND_LOSS, 5);
	e.n_stages = 3;
	e.sensor[PST_LOSS_F_stage] = text("collector");
	e.sensor[PST_LOSS_F_where] = text("process");
	e.sensor[PST_LOSS_F_cause] = text("ring_full");
	e.sensor[PST_LOSS_F_count].u = 3;
	for (unsigned i = 0; i < PST_ENR_N; i++)
		if (i != PST_ENR_ancestors)
			e.enricher[i] = text("e");
	e.policyd[PST_POL_rule] = text("r");
	e.policyd[PST_POL_severity].u = 5;
	e.policyd[PST_POL_message] = text("m");
	expect(v, &e);
}

static void evolution_vector(void)
{
	/* [65, 7, [str, bin16, str8, int64 of 9]] with heads longer than they need be */
	static const uint8_t roundabout[] = {0xdd, 0, 0, 0, 3, 0xcf, 0, 0, 0, 0, 0, 0, 0, 65, 0xcd, 0, 7,
		0xdc, 0, 4, 0xa1, 's', 0xc5, 0, 1, 'w', 0xd9, 1, 'c', 0xd3, 0, 0, 0, 0, 0, 0, 0, 9};
	struct vector v;

	begin(&v, PST_TOPIC_META);
	put_later_event(&v.events, 5);
	expect_later_event(&v);
	put_later_event(&v.events, 7); /* a stage after policyd */
	expect_later_event(&v);
	pst_mp_raw(&v.events, roundabout, sizeof(roundabout));
	fresh(PST_KIND_LOSS, 7);
	e.n_stages = 1;
	e.sensor[PST_LOSS_F_stage] = text("s");
	e.sensor[PST_LOSS_F_where] = text("w");
	e.sensor[PST_LOSS_F_cause] = text("c");
	e.sensor[PST_LOSS_F_count].u = 9;
	expect(&v, &e);
	/* a kind of a later version, with the fields that all kinds have */
	pst_mp_array(&v.events, 4);
	pst_mp_uint(&v.events, 60000);
	pst_mp_uint(&v.events, 8);
	pst_mp_array(&v.events, LATER_FIELDS);
	put_later_fields(&v.events);
	pst_mp_array(&v.events, 2);
	pst_mp_bin(&v.events, "/bin/x", 6);
	pst_mp_bin(&v.events, "root", 4);
	fresh(60000, 8);
	e.n_stages = 2;
	e.enricher[PST_ENR_exe] = text("/bin/x");
	e.enricher[PST_ENR_user] = text("root");
	expect(&v, &e);
	finish(&v, "evolution", true);
}

static void heartbeat_vector(void)
{
	struct vector v;

	begin(&v, PST_TOPIC_FLOW);
	v.head.flags = PST_BATCH_PACED;
	finish(&v, "heartbeat", false);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: gen_vectors DIR\n", stderr);
		return PST_EXIT_USAGE;
	}
	dir = argv[1];
	for (size_t k = 0; k < pst_n_kinds; k++)
		kind_vector(&pst_kinds[k]);
	strings_vector();
	limits_vector();
	evolution_vector();
	heartbeat_vector();
	return PST_EXIT_OK;
}
