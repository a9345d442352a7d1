// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/wire_test.h"

static struct pst_event event, other; /* a KiB each */

/* ---- the schema's tables ---- */

static void kinds_are_found(void **state)
{
	(void)state;
	assert_true(pst_n_kinds > 10 && pst_n_kinds <= 64); /* tables of bits have that many */
	for (size_t i = 0; i < pst_n_kinds; i++) {
		const struct pst_kind *k = &pst_kinds[i];
		if (i)
			assert_true(k->id > pst_kinds[i - 1].id);
		assert_ptr_equal(pst_kind_by_id(k->id), k);
		assert_ptr_equal(pst_kind_by_name(k->name, strlen(k->name)), k);
		assert_true(k->topic < PST_TOPICS && k->n_fields > 0 && k->n_fields <= PST_SENSOR_FIELDS_MAX);
	}
	assert_null(pst_kind_by_id(0));
	assert_null(pst_kind_by_id(63));
	assert_null(pst_kind_by_id(UINT32_MAX));
	assert_null(pst_kind_by_name("process_exe", 11));
	assert_null(pst_kind_by_name("process_exec_", 13));
	assert_null(pst_kind_by_name("", 0));
	assert_int_equal(pst_kind_by_name("process_exec_failed", 12)->id, PST_KIND_EXEC);
}

static void no_name_is_used_twice(void **state)
{
	static const char *const taken[] = {"kind", "kind_id", "time", "ts_ns"};

	(void)state;
	for (size_t k = 0; k < pst_n_kinds; k++)
		for (unsigned f = 0; f < pst_kinds[k].n_fields; f++) {
			const char *name = pst_kinds[k].fields[f].name;
			assert_int_equal(
				pst_field_index(pst_kinds[k].fields, pst_kinds[k].n_fields, name), f);
			assert_null(strstr(name, "_b64"));
			for (size_t t = 0; t < PST_ARRAY_SIZE(taken); t++)
				assert_string_not_equal(name, taken[t]);
			assert_int_equal(pst_field_index(pst_policyd_fields, PST_POL_N, name), -ENOENT);
		}
	for (unsigned f = 0; f < PST_ENR_N; f++)
		assert_int_equal(
			pst_field_index(pst_policyd_fields, PST_POL_N, pst_enricher_fields[f].name), -ENOENT);
}

static void topics_are_found(void **state)
{
	(void)state;
	for (int t = 0; t < PST_TOPICS; t++) {
		char name[8] = "";
		memcpy(name, pst_topic_name((enum pst_topic)t), strlen(pst_topic_name((enum pst_topic)t)));
		assert_int_equal(pst_topic_parse(name), t);
		name[7] = 'x';
		assert_int_equal(pst_topic_parse(name), -EINVAL);
	}
	assert_int_equal(pst_topic_parse("procfoo"), -EINVAL);
	assert_int_equal(pst_topic_parse("\0\0\0\0\0\0\0"), -EINVAL);
	assert_string_equal(pst_topic_name((enum pst_topic)99), "?");
}

/* ---- vectors ---- */

static void compare_vector(const char *name, const struct bytes *message)
{
	char path[512];
	struct pst_buf got = {0};

	snprintf(path, sizeof(path), VECTORS "/%s.json", name);
	char *want = read_file(path);
	if (vec_render(&got, message->p, message->len) < 0)
		fail_msg("%s is refused", name);
	if (strcmp(want, buf_text(&got)))
		fail_msg("%s: what is decoded differs from the .json:\n%s", name, buf_text(&got));
	free(want);
	pst_buf_done(&got);
}

static void vectors_are_decoded(void **state)
{
	(void)state;
	assert_true(each_vector(compare_vector) >= pst_n_kinds);
}

static unsigned refused(const char *why, const struct bytes *b)
{
	struct pst_cur c = pst_cur(b->p, b->len);

	if (pst_event_decode(&c, &event) != -EBADMSG || !c.bad)
		fail_msg("accepted: %s", why);
	return 1;
}

static void malformed_events_are_refused(void **state)
{
	char *text = read_file(VECTORS "/malformed.txt"), *saved = NULL;
	unsigned n = 0;

	(void)state;
	for (char *line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		if (*line == '#')
			continue;
		struct bytes b = from_hex(line);
		n += refused(strchr(line, '#'), &b);
		bytes_done(&b);
	}
	assert_true(n > 20);
	free(text);
}

/* ---- any bytes ---- */

/* What every decoded event must be good for, whoever made it. */
static void use(const struct pst_event *e)
{
	struct pst_buf out = {0}, json = {0};
	char text[64];

	for (int stage = 1; stage <= 2; stage++) {
		out.len = 0;
		if (stage == 1)
			pst_event_append_enricher(&out, e, e->enricher);
		else
			pst_event_append_policyd(&out, e, e->policyd);
		assert_false(out.failed);
		struct pst_cur c = pst_cur(out.p, out.len);
		assert_int_equal(pst_event_decode(&c, &other), 0);
		assert_int_equal(pst_cur_left(&c), 0);
		assert_true(other.n_stages > (unsigned)stage);
		assert_int_equal(other.stage_raw_len[0], e->stage_raw_len[0]);
		assert_memory_equal(other.stage_raw[0], e->stage_raw[0], e->stage_raw_len[0]);
	}
	pst_json_event(&json, e, VEC_WALL_OFFSET);
	if (!json_valid(json.p, json.len))
		fail_msg("%s", buf_text(&json));
	for (unsigned f = 0; e->desc && f < e->desc->n_fields; f++)
		assert_true(
			pst_val_text(&e->sensor[f], &e->desc->fields[f], text, sizeof(text)) < sizeof(text));
	pst_buf_done(&out);
	pst_buf_done(&json);
}

/* Decodes, scans and compares the two. False: refused. */
static bool survive(const uint8_t *p, size_t len)
{
	struct pst_cur a = pst_cur(p, len), b = a;
	int scanned = pst_event_scan(&b, &other);

	if (pst_event_decode(&a, &event) < 0) {
		assert_true(a.bad);
		return false;
	}
	assert_int_equal(scanned, 0); /* a decoder that looks at less accepts no less */
	assert_ptr_equal(a.p, b.p);
	assert_int_equal(other.kind, event.kind);
	assert_int_equal(other.ts_ns, event.ts_ns);
	assert_int_equal(other.n_stages, event.n_stages);
	assert_int_equal(other.raw_len, event.raw_len);
	for (unsigned i = 0; i < event.n_stages; i++) {
		assert_ptr_equal(other.stage_raw[i], event.stage_raw[i]);
		assert_int_equal(other.stage_raw_len[i], event.stage_raw_len[i]);
	}
	use(&event);
	return true;
}

static uint64_t seed;
static unsigned accepted, rounds;

static void mutate(uint8_t *p, size_t len)
{
	for (uint64_t n = random_u64(&seed) % 4; n-- && len;) {
		uint64_t r = random_u64(&seed);
		uint8_t *at = p + (r >> 16) % len;

		if (r & 1)
			*at ^= (uint8_t)(1u << (r >> 8 & 7));
		else if (r & 2)
			*at = (uint8_t)(0x80 | (r >> 8)); /* heads of all sorts */
		else
			*at = (uint8_t)(r >> 8);
	}
}

static void mutate_vector(const char *name, const struct bytes *message)
{
	struct pst_batch batch;

	(void)name;
	assert_int_equal(pst_batch_decode(message->p, message->len, &batch), 0);
	for (uint32_t i = 0; i < batch.count; i++) {
		const uint8_t *start = batch.events.p;
		assert_int_equal(pst_event_scan(&batch.events, &event), 0);
		size_t len = (size_t)(batch.events.p - start);
		for (unsigned r = 0; r < (len > 3000 ? 10 : 200); r++) {
			size_t cut = r % 3 ? len : random_u64(&seed) % (len + 1);
			uint8_t *copy = malloc(cut ? cut : 1);

			assert_non_null(copy);
			memcpy(copy, start, cut);
			mutate(copy, cut);
			accepted += survive(copy, cut);
			rounds++;
			free(copy);
		}
	}
}

static void mutated_vectors_are_survived(void **state)
{
	(void)state;
	seed = 0x9e3779b97f4a7c15;
	each_vector(mutate_vector);
	assert_true(rounds > 10000 && accepted > rounds / 10 && accepted < rounds);
}

static void random_bytes_are_survived(void **state)
{
	uint8_t head[] = {0x95, 2, 7, 0x9f, 0x9a, 0x95};

	(void)state;
	seed = 42;
	for (int i = 0; i < 50000; i++) {
		size_t len = random_u64(&seed) % 64;
		uint8_t *p = malloc(len + 1);

		assert_non_null(p);
		for (size_t j = 0; j < len; j++)
			p[j] = j < 4 ? head[j] : (uint8_t)random_u64(&seed);
		survive(p, len);
		free(p);
	}
}

static void cut_at_every_byte(const char *name, const struct bytes *message)
{
	struct pst_batch batch;

	assert_int_equal(pst_batch_decode(message->p, message->len, &batch), 0);
	for (uint32_t i = 0; i < batch.count; i++) {
		const uint8_t *start = batch.events.p;
		assert_int_equal(pst_event_decode(&batch.events, &event), 0);
		size_t len = (size_t)(batch.events.p - start);
		for (size_t n = 0; n < len && n < 3000; n++) {
			uint8_t *copy = malloc(n ? n : 1);
			memcpy(copy, start, n);
			struct pst_cur a = pst_cur(copy, n), b = a;
			if (!pst_event_decode(&a, &other) || !pst_event_scan(&b, &other))
				fail_msg("%s, event %u: %zu of %zu bytes are enough", name, i, n, len);
			free(copy);
		}
	}
}

static void cut_events_are_refused(void **state)
{
	(void)state;
	each_vector(cut_at_every_byte);
}

/* ---- encoding ---- */

static void trailing_defaults_are_left_out(void **state)
{
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0};
	struct pst_buf b = {0};

	(void)state;
	pst_event_pack(&b, PST_KIND_LOSS, 300, v);
	assert_buf(&b, "93 41 cd012c 90");
	v[PST_LOSS_F_where] = pst_val_str("w", 1);
	b.len = 0;
	pst_event_pack(&b, PST_KIND_LOSS, 0, v);
	assert_buf(&b, "93 41 00 92 c400 c40177");
	pst_buf_done(&b);
}

static void missing_fields_are_zero_again(void **state)
{
	struct bytes full = from_hex("95 41 07 94 c40161 c40162 c40163 09 91 c40164 91 c40165"),
		     empty = from_hex("93 41 07 90");
	struct pst_cur c = pst_cur(full.p, full.len);

	(void)state;
	assert_int_equal(pst_event_decode(&c, &event), 0);
	assert_int_equal(event.sensor[PST_LOSS_F_count].u, 9);
	assert_int_equal(event.enricher[PST_ENR_exe].len, 1);
	assert_int_equal(event.policyd[PST_POL_rule].len, 1);
	c = pst_cur(empty.p, empty.len); /* into the same struct */
	assert_int_equal(pst_event_decode(&c, &event), 0);
	for (int i = 0; i < PST_LOSS_F_N; i++)
		assert_true(!event.sensor[i].u && !event.sensor[i].len && !event.sensor[i].n);
	for (int i = 0; i < PST_ENR_N; i++)
		assert_true(!event.enricher[i].u && !event.enricher[i].len && !event.enricher[i].n);
	for (int i = 0; i < PST_POL_N; i++)
		assert_true(!event.policyd[i].u && !event.policyd[i].len && !event.policyd[i].n);
	bytes_done(&full);
	bytes_done(&empty);
}

static void what_breaks_the_limits_is_not_written(void **state)
{
	static char text[PST_STRING_MAX + 1];
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0}, enr[PST_ENR_N] = {0};
	struct pst_buf b = {0};

	(void)state;
	pst_mp_nil(&b);
	v[PST_LOSS_F_where] = pst_val_str(text, PST_STRING_MAX);
	pst_event_pack(&b, PST_KIND_LOSS, 1, v);
	assert_false(b.failed);
	assert_int_equal(b.len, 1 + 3 + 1 + 2 + 3 + PST_STRING_MAX);
	b.len = 1;
	v[PST_LOSS_F_where].len++;
	pst_event_pack(&b, PST_KIND_LOSS, 1, v);
	assert_true(b.failed);
	assert_int_equal(b.len, 1);
	b.failed = false;
	pst_event_pack(&b, 60000, 1, v);
	assert_true(b.failed);
	assert_int_equal(b.len, 1);
	b.failed = false;
	pst_list_add(&b, text, sizeof(text));
	assert_true(b.failed);
	b.failed = false;
	pst_procs_add(&b, 1, 2, text, sizeof(text));
	assert_true(b.failed);
	assert_int_equal(b.len, 1);
	b.failed = false;
	enr[PST_ENR_exe] = pst_val_str(text, sizeof(text));
	struct bytes plain = from_hex("93 41 07 90");
	struct pst_cur c = pst_cur(plain.p, plain.len);
	assert_int_equal(pst_event_decode(&c, &event), 0);
	pst_event_append_enricher(&b, &event, enr);
	assert_true(b.failed);
	assert_int_equal(b.len, 1);
	bytes_done(&plain);
	pst_buf_done(&b);
}

static void append_case(const char *received, int stage, const char *want)
{
	struct bytes b = from_hex(received);
	struct pst_cur c = pst_cur(b.p, b.len);
	struct pst_buf out = {0};
	struct pst_val enr[PST_ENR_N] = {0}, pol[PST_POL_N] = {0};

	enr[PST_ENR_user] = pst_val_str("u", 1);
	pol[PST_POL_severity].u = 4;
	assert_int_equal(pst_event_scan(&c, &event), 0); /* a scan is enough */
	if (stage == 1)
		pst_event_append_enricher(&out, &event, enr);
	else
		pst_event_append_policyd(&out, &event, pol);
	assert_buf(&out, want);
	bytes_done(&b);
	pst_buf_done(&out);
}

static void the_received_bytes_are_copied(void **state)
{
	(void)state;
	append_case("93 41 07 90", 1, "94 41 07 90 92c400c40175");
	append_case("93 41 07 90", 2, "95 41 07 90 90 92c40004");
	append_case("94 41 07 90 91c40178", 1, "94 41 07 90 92c400c40175");
	append_case("94 41 07 90 91c40178", 2, "95 41 07 90 91c40178 92c40004");
	append_case("95 41 07 90 91c40178 91c40179", 1, "95 41 07 90 92c400c40175 91c40179");
	append_case("95 41 07 90 91c40178 91c40179", 2, "95 41 07 90 91c40178 92c40004");
	/* unknown fields, roundabout forms, what comes after policyd, an unknown kind */
	append_case("97 cd0041 cf0000000000000007 95c400c400c40001c3 90 90 c0 a178", 1,
		"97 cd0041 cf0000000000000007 95c400c400c40001c3 92c400c40175 90 c0 a178");
	append_case("97 cd0041 07 90 90 91c400 c0 a178", 2, "97 cd0041 07 90 90 92c40004 c0 a178");
	append_case("dc0003 cdffff 07 92c00a", 1, "94 cdffff 07 92c00a 92c400c40175");
}

static void lists_are_built_and_walked(void **state)
{
	static const struct {
		const char *argv;
		uint32_t len, n;
		const char *want;
	} cases[] = {{"", 0, 0, ""}, {"a", 1, 1, "c40161"}, {"a\0b", 3, 2, "c40161 c40162"},
		{"a\0", 2, 2, "c40161 c400"}, {"\0", 1, 2, "c400 c400"}, {"\0\0a", 3, 3, "c400 c400 c40161"}};
	struct pst_buf b = {0};
	uint32_t n, len;
	const void *p;

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		b.len = 0;
		pst_list_add_nul(&b, cases[i].argv, cases[i].len, &n);
		assert_int_equal(n, cases[i].n);
		assert_buf(&b, cases[i].want);
		struct pst_cur c = pst_cur(b.p, b.len);
		for (uint32_t k = 0; k < n; k++)
			assert_true(pst_list_next(&c, &p, &len));
		assert_false(pst_list_next(&c, &p, &len));
	}
	struct pst_cur bad = pst_cur("\xc4\x05x", 3);
	assert_false(pst_list_next(&bad, &p, &len));
	b.len = 0;
	pst_procs_add(&b, 4294967295, UINT64_MAX, "/x", 2);
	pst_procs_add(&b, 1, 2, NULL, 0);
	struct pst_cur c = pst_cur(b.p, b.len);
	struct pst_proc_ref proc;
	assert_true(pst_procs_next(&c, &proc));
	assert_int_equal(proc.pid, UINT32_MAX);
	assert_int_equal(proc.start_ns, UINT64_MAX);
	assert_int_equal(proc.exe_len, 2);
	assert_memory_equal(proc.exe, "/x", 2);
	assert_true(pst_procs_next(&c, &proc));
	assert_int_equal(proc.exe_len, 0);
	assert_false(pst_procs_next(&c, &proc));
	bad = pst_cur("\x92\x01\x02", 3);
	assert_false(pst_procs_next(&bad, &proc));
	pst_buf_done(&b);
}

/* ---- fields ---- */

static void fields_are_found_by_name(void **state)
{
	const struct pst_field *f = NULL;

	(void)state;
	for (size_t k = 0; k < pst_n_kinds; k++) {
		memset(&event, 0, sizeof(event));
		event.desc = &pst_kinds[k];
		event.kind = event.desc->id;
		for (unsigned i = 0; i < event.desc->n_fields; i++) {
			const char *name = event.desc->fields[i].name;
			if (pst_field_index(pst_enricher_fields, PST_ENR_N, name) >= 0)
				continue; /* next test */
			assert_ptr_equal(pst_event_field(&event, name, &f), &event.sensor[i]);
			assert_ptr_equal(f, &event.desc->fields[i]);
		}
		assert_ptr_equal(
			pst_event_field(&event, "container_id", &f), &event.enricher[PST_ENR_container_id]);
		assert_ptr_equal(f, &pst_enricher_fields[PST_ENR_container_id]);
		assert_ptr_equal(pst_event_field(&event, "rule", &f), &event.policyd[PST_POL_rule]);
		assert_ptr_equal(f, &pst_policyd_fields[PST_POL_rule]);
		f = NULL;
		assert_null(pst_event_field(&event, "no_such_field", &f));
		assert_null(pst_event_field(&event, "", &f));
		assert_null(f);
	}
	memset(&event, 0, sizeof(event)); /* an unknown kind */
	assert_null(pst_event_field(&event, "pid", &f));
	assert_ptr_equal(pst_event_field(&event, "user", &f), &event.enricher[PST_ENR_user]);
}

static void of_two_of_one_name_the_first_that_is_not_empty(void **state)
{
	const struct pst_field *f;

	(void)state;
	memset(&event, 0, sizeof(event));
	event.desc = pst_kind_by_id(PST_KIND_EXEC);
	assert_ptr_equal(pst_event_field(&event, "exe", &f), &event.sensor[PST_EXEC_F_exe]);
	event.enricher[PST_ENR_exe] = pst_val_str("e", 1);
	assert_ptr_equal(pst_event_field(&event, "exe", &f), &event.enricher[PST_ENR_exe]);
	event.sensor[PST_EXEC_F_exe] = pst_val_str("s", 1);
	assert_ptr_equal(pst_event_field(&event, "exe", &f), &event.sensor[PST_EXEC_F_exe]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_are_found),
		cmocka_unit_test(no_name_is_used_twice),
		cmocka_unit_test(topics_are_found),
		cmocka_unit_test(vectors_are_decoded),
		cmocka_unit_test(malformed_events_are_refused),
		cmocka_unit_test(mutated_vectors_are_survived),
		cmocka_unit_test(random_bytes_are_survived),
		cmocka_unit_test(cut_events_are_refused),
		cmocka_unit_test(trailing_defaults_are_left_out),
		cmocka_unit_test(missing_fields_are_zero_again),
		cmocka_unit_test(what_breaks_the_limits_is_not_written),
		cmocka_unit_test(the_received_bytes_are_copied),
		cmocka_unit_test(lists_are_built_and_walked),
		cmocka_unit_test(fields_are_found_by_name),
		cmocka_unit_test(of_two_of_one_name_the_first_that_is_not_empty),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
