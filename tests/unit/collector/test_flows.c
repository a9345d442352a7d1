// SPDX-License-Identifier: Apache-2.0
/* What is told of flows that the guard judged: the table of those it drops, and the names of rules. */
#include "collector/tables.h"
#include "proto/abi/guard.h"
#include "tests/unit/bus_test.h"

#define SLOTS 16u

struct fixture {
	struct bus_env env;
	struct pst_bus *bus;
	struct names names;
	struct convert convert;
	struct config config;
	struct tables tables;
	struct pst_flow *slots;
	uint64_t told, last[SLOTS], gen[SLOTS]; /* packets by the records, and of each slot's flow so far */
	uint64_t ends;
};

/* Deltas of what is told, by another way than the tables' own. */
static void on_read(void *arg, const struct pst_rec *rec)
{
	const struct pst_rec_flow *r = (const void *)rec;
	struct fixture *f = arg;

	assert_int_equal(rec->kind, PST_REC_FLOW_DROPPED);
	assert_true(r->index < SLOTS);
	if (f->gen[r->index] != r->slot.gen)
		f->last[r->index] = 0;
	f->told += r->slot.packets - f->last[r->index];
	f->last[r->index] = r->slot.packets;
	f->gen[r->index] = r->slot.gen;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	tmpdir_make(f->env.dir);
	assert_int_equal(pst_loop_new(&f->env.loop), 0);
	f->bus = open_bus(&f->env, "collector", BUS_TOPIC(FLOW), 1 << 20);
	f->convert.names = &f->names;
	f->config = (struct config){.flow_active_ns = 1, .flow_idle_ns = 1, .flow_interval_ns = 1};
	f->tables = (struct tables){
		.convert = &f->convert, .bus = f->bus, .config = &f->config, .on_read = on_read, .arg = f};
	assert_int_equal(pst_shm_fake(sizeof(struct pst_flow), SLOTS, &f->tables.drops.shm), 0);
	assert_int_equal(table_open(&f->tables.drops, NULL, 1, SLOTS, 0, 0), 0);
	f->slots = f->tables.drops.shm.base;
	assert_true(asprintf(&f->names.rules_path, "%s/places", f->env.dir) > 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	table_close(&f->tables.drops);
	names_done(&f->names);
	pst_bus_free(f->bus);
	pst_loop_free(f->env.loop);
	tmpdir_remove(f->env.dir);
	free(f);
	return 0;
}

static unsigned draw(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x >> 16);
}

/* A packet of the flow that has the slot, or of another one that takes it. */
static void drop_one(struct fixture *f, bool another)
{
	struct pst_flow *s = &f->slots[draw() % SLOTS];

	if (another || !s->gen) {
		s->gone_packets += s->packets;
		s->packets = 0;
		s->gen += 2;
		s->key = (struct pst_flow_key){
			.family = 2, .protocol = 17, .sport = (uint16_t)draw(), .dir = PST_DIR_IN};
		s->first_ns = f->tables.now_ns;
		s->judged_first = s->judged_last = PST_JUDGED(PST_GUARD_RATE, PST_JUDGED_NO_RULE, 0);
	}
	s->packets++;
	s->bytes += 60;
	s->last_ns = f->tables.now_ns;
}

/* Each packet is told or counted as untold, whenever the table is looked at. */
static void nothing_is_lost_unseen(void **state)
{
	struct fixture *f = *state;
	uint64_t sent = 0;

	f->tables.now_ns = 1000000000;
	for (unsigned n = 0; n < 20000; n++) {
		drop_one(f, draw() % 8 == 0);
		sent++;
		f->tables.now_ns += 1000000;
		if (draw() % 40 == 0)
			tables_read_drops(&f->tables);
	}
	tables_read_drops(&f->tables);
	assert_int_equal(f->told + f->tables.untold_drops, sent);
	assert_true(f->told > sent / 10 && f->tables.untold_drops > 0);
}

/* The end is told once; then nothing, until the flow goes on. */
static void an_end(void **state)
{
	struct fixture *f = *state;

	f->tables.now_ns = 1000000000;
	drop_one(f, true);
	assert_int_equal(tables_read_drops(&f->tables), 1);
	assert_int_equal(tables_read_drops(&f->tables), 0);
	f->tables.now_ns += PST_GUARD_FLOW_IDLE_NS;
	assert_int_equal(tables_read_drops(&f->tables), 1);
	assert_int_equal(tables_read_drops(&f->tables), 0);
	for (unsigned i = 0; i < SLOTS; i++)
		if (f->slots[i].gen) {
			f->slots[i].packets++;
			f->slots[i].last_ns = f->tables.now_ns;
		}
	assert_int_equal(tables_read_drops(&f->tables), 1);
	assert_int_equal(f->told, 2);
}

/* The table may hold anything; what a slot says now is at most what it is told of. */
static void scribbled(void **state)
{
	struct fixture *f = *state;
	uint8_t *bytes = (uint8_t *)f->slots;

	f->tables.on_read = NULL;
	for (unsigned n = 0; n < 3000; n++) {
		for (unsigned i = 0; i < 40; i++)
			bytes[draw() % (SLOTS * sizeof(struct pst_flow))] = (uint8_t)draw();
		f->tables.now_ns = (uint64_t)draw() << 32 | draw();
		tables_read_drops(&f->tables);
	}
	for (unsigned n = 0; n < 3000; n++) {
		struct pst_rec_flow r = {
			.h = {.kind = PST_REC_FLOW_DROPPED, .size = sizeof(r), .ts_ns = draw()}};

		for (unsigned i = 0; i < sizeof(r.slot); i++)
			((uint8_t *)&r.slot)[i] = (uint8_t)draw();
		r.index = draw() % (2 * SLOTS);
		assert_int_equal(tables_record(&f->tables, &r.h), r.index < SLOTS ? 0 : -EBADMSG);
	}
}

/* ---- the event ---- */

static const struct pst_event *event_of(
	struct fixture *f, const struct pst_flow *slot, bool dropped, struct pst_buf *out)
{
	struct convert_flow c = {.slot = slot, .index = 5, .dropped = dropped, .ts_ns = 77, .end = ""};
	static struct pst_event event;
	struct pst_cur cur;

	out->len = 0;
	convert_flow(&f->convert, &c, out);
	cur = pst_cur(out->p, out->len);
	assert_int_equal(pst_event_decode(&cur, &event), 0);
	return &event;
}

static void assert_text(const struct pst_event *e, unsigned field, const char *want)
{
	assert_int_equal(e->sensor[field].len, strlen(want));
	assert_memory_equal(e->sensor[field].p, want, strlen(want));
}

static void write_places(struct fixture *f, const char *text, size_t len)
{
	char next[64];
	int fd;

	snprintf(next, sizeof(next), "%s.next", f->names.rules_path);
	fd = open(next, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	assert_int_equal(rename(next, f->names.rules_path), 0);
	f->names.rules_ino = 0; /* the file system may give the same number and the same time again */
}

static void put_places(struct fixture *f, const char *text)
{
	write_places(f, text, strlen(text));
	names_update_rules(&f->names, 1000);
}

static void verdicts(void **state)
{
	struct fixture *f = *state;
	PST_CLEANUP(pst_buf_done) struct pst_buf out = {0};
	struct pst_flow s = {.gen = 6, .key = {.family = 2}, .first_ns = 5};
	const struct pst_event *e = event_of(f, &s, false, &out);

	assert_text(e, PST_FLOW_F_verdict, "");
	put_places(f, "penstock-places 9\n3 web\n16255 last\n");
	s.judged_first = PST_JUDGED(PST_GUARD_FW_ACCEPT, 3, 9);
	s.judged_last = PST_JUDGED(PST_GUARD_FW_STEP, 16255, 9);
	e = event_of(f, &s, false, &out);
	assert_text(e, PST_FLOW_F_verdict, "pass");
	assert_text(e, PST_FLOW_F_reason, "fw_accept");
	assert_text(e, PST_FLOW_F_fw_rule, "web");
	assert_int_equal(e->sensor[PST_FLOW_F_fw_generation].u, 9);
	assert_text(e, PST_FLOW_F_last_reason, "fw_next");
	assert_text(e, PST_FLOW_F_last_fw_rule, "last");
	assert_true(e->sensor[PST_FLOW_F_flow_id].u == (5ull << 32 | 3));
	s.judged_first = PST_JUDGED(PST_GUARD_FW_REJECT, 3, 9);
	s.judged_last = PST_JUDGED(PST_GUARD_RATE, PST_JUDGED_NO_RULE, 0);
	e = event_of(f, &s, true, &out);
	assert_text(e, PST_FLOW_F_verdict, "reject");
	assert_text(e, PST_FLOW_F_fw_rule, "web");
	assert_text(e, PST_FLOW_F_last_reason, "rate");
	assert_text(e, PST_FLOW_F_last_fw_rule, "");
	assert_true(e->sensor[PST_FLOW_F_flow_id].u == (1ull << 62 | 5ull << 32 | 3));
	s.judged_first = PST_JUDGED(PST_GUARD_SYN_COOKIE, PST_JUDGED_NO_RULE, 0);
	assert_text(event_of(f, &s, true, &out), PST_FLOW_F_verdict, "answer");
	for (unsigned n = 0; n < 100000; n++) { /* no verdict without a reason that there is */
		s.judged_first = (uint64_t)draw() << 32 | draw();
		s.judged_last = (uint64_t)draw() << 32 | draw();
		e = event_of(f, &s, n & 1, &out);
		assert_int_equal(!!e->sensor[PST_FLOW_F_verdict].len, !!e->sensor[PST_FLOW_F_reason].len);
		if (!e->sensor[PST_FLOW_F_reason].len)
			assert_int_equal(e->sensor[PST_FLOW_F_fw_rule].len, 0);
	}
}

/* ---- names ---- */

static void assert_name(
	struct fixture *f, uint32_t generation, uint32_t counter, uint64_t first_ns, const char *want)
{
	assert_string_equal(names_rule(&f->names, generation, counter, first_ns, 1001), want);
}

static void generations(void **state)
{
	struct fixture *f = *state;

	assert_name(f, 4, 1, 5, "");
	put_places(f, "penstock-places 4\n1 one\n");
	assert_name(f, 4, 1, 5, "one");
	assert_name(f, 4, 2, 5, "");
	assert_name(f, 4, PST_FW_COUNTERS, 5, "");
	assert_name(f, 4, PST_JUDGED_NO_RULE, 5, "");
	assert_name(f, 5, 1, 5, "");
	assert_name(f, 0, 1, 5, "");
	put_places(f, "penstock-places 5\n1 uno\n");
	assert_name(f, 4, 1, 5, "one"); /* flows of before go on for a while */
	assert_name(f, 5, 1, 5, "uno");
	put_places(f, "penstock-places 6\n1 eins\n");
	assert_name(f, 4, 1, 5, "");
	put_places(f, "penstock-places 6\n1 eins\n"); /* saved again */
	assert_name(f, 5, 1, 5, "uno");
	assert_name(f, 6, 1, 5, "eins");
	/* tables that were made anew: numbers come again, and say nothing of flows that began before */
	put_places(f, "penstock-places 5\n1 un\n");
	assert_name(f, 5, 1, 5, "");
	assert_name(f, 6, 1, 5, "");
	assert_name(f, 5, 1, 1000, "un");
	put_places(f, "penstock-places 5\n1 ichi\n");
	assert_name(f, 5, 1, 999, "");
	assert_name(f, 5, 1, 1000, "ichi");
}

/* An unknown generation makes it look at the file, but not at each flow. */
static void looked_for(void **state)
{
	struct fixture *f = *state;
	const char *text = "penstock-places 7\n1 late\n";

	put_places(f, "penstock-places 6\n");
	write_places(f, text, strlen(text));
	assert_string_equal(names_rule(&f->names, 7, 1, 2000, 1000 + 999999), "");
	assert_string_equal(names_rule(&f->names, 7, 1, 2000, 1000 + 1000000), "late");
}

static void files(void **state)
{
	static const char *const bad[] = {"", "\n", "penstock-places\n", "penstock-places 0\n1 x\n",
		"penstock-places 3", "penstock-places 3 \n1 x\n", "penstock-places 3\n1 x",
		"penstock-places 3\nx\n", "penstock-places 3\n1\n", "penstock-places 3\n1 \n",
		"penstock-places 3\n-1 x\n", "penstock-places 3\n16256 x\n",
		"penstock-places 3\n99999999999999999999 x\n", "penstock-places 3\n1\tx\n",
		"penstock-places 3\n1 "
		"12345678901234567890123456789012345678901234567890123456789012345\n"};
	struct fixture *f = *state;
	char text[4096];

	for (size_t i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		put_places(f, bad[i]);
		assert_name(f, 3, 1, 5, "");
		assert_int_equal(f->names.rules[0].generation, 0);
	}
	write_places(f, "penstock-places 3\n1 a\0b\n", 24);
	names_update_rules(&f->names, 1000);
	assert_name(f, 3, 1, 5, "");
	for (unsigned n = 0; n < 3000; n++) {
		size_t len = (size_t)snprintf(
			text, sizeof(text), "penstock-places 3\n1 one\n2 two\n%u xyz\n", draw() % 20000);

		for (unsigned i = 0; i < 3; i++)
			text[draw() % len] = (char)draw();
		write_places(f, text, len);
		names_update_rules(&f->names, 1000);
		for (unsigned i = 0; i < 100; i++)
			assert_true(strlen(names_rule(&f->names, 3, draw() % 20000, 2000, 1001)) <=
				    PST_FW_NAME_BYTES);
	}
	unlink(f->names.rules_path);
	assert_int_equal(mkfifo(f->names.rules_path, 0600), 0);
	names_update_rules(&f->names, 1000); /* does not wait */
}

/* Whether there is a guard, as the loader's report says. */
static void guarded(void **state)
{
	static const struct {
		const char *text;
		bool guarded;
	} reports[] = {
		{"{\"sensors\":[{\"name\":\"flows\",\"rung\":\"tcx\"},{\"name\":\"guard\",\"rung\":\"xdp\"}]"
		 "}",
			true},
		{"{\"sensors\":[{\"name\":\"guard\",\"rung\":null}]}", false},
		{"{\"sensors\":[{\"name\":\"guard\",\"rung\":\"tc\"}]}", true},
		{"{\"sensors\":[7,{\"name\":7,\"rung\":\"tc\"},{\"rung\":\"tc\"}]}", false},
		{"{\"sensors\":{\"name\":\"guard\",\"rung\":\"tc\"}}", false},
		{"{}", false},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < PST_ARRAY_SIZE(reports); i++) {
		write_places(f, reports[i].text, strlen(reports[i].text));
		f->names.mtime_ns = 0;
		assert_int_equal(names_update(&f->names, f->names.rules_path), 0);
		assert_int_equal(f->names.guarded, reports[i].guarded);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		TEST(nothing_is_lost_unseen),
		TEST(an_end),
		TEST(scribbled),
		TEST(verdicts),
		TEST(generations),
		TEST(looked_for),
		TEST(files),
		TEST(guarded),
	};

	return cmocka_run_group_tests_name("flows of the guard", tests, NULL, NULL);
}
