// SPDX-License-Identifier: Apache-2.0
/* What policyd tells the programs about floods, and what it answers about them. */
#include "tests/unit/policyd/guard_env.h"

static const char *step_text(unsigned i)
{
	static char text[4][200];
	static unsigned at;
	const msgpack_object *steps = pst_ctl_get(ask("ddos", NULL), "steps");
	char *buf = text[at++ % 4];
	const msgpack_object *row;

	assert_non_null(steps);
	assert_true(steps->type == MSGPACK_OBJECT_ARRAY && i < steps->via.array.size);
	row = steps->via.array.ptr[i].via.array.ptr;
	snprintf(buf, sizeof(text[0]), "%.*s %.*s %llu %llu", (int)row[0].via.str.size, row[0].via.str.ptr,
		(int)row[1].via.str.size, row[1].via.str.ptr, (unsigned long long)row[2].via.u64,
		(unsigned long long)row[4].via.u64);
	return buf;
}

/* Each word and flag, and nothing where a step is off. */
static void test_words(void **state)
{
	(void)state;
	start();
	assert_int_equal(env.word->bad_flags, 0);
	assert_int_equal(env.word->flags, 0);
	guard_end();
	env.ddos = (struct ddos_config){.lists = DDOS_COUNT, .limits = DDOS_COUNT, .flags = DDOS_COUNT};
	start();
	assert_int_equal(env.word->flags, PST_GUARD_DRY_LISTS | PST_GUARD_DRY_LIMITS | PST_GUARD_DRY_FLAGS);
	assert_int_equal(env.word->bad_flags & 1, 1); /* none at all */
	assert_int_equal(env.word->bad_flags >> 0x03 & 1, 1);
	assert_int_equal(env.word->bad_flags >> 0x02 & 1, 0);
	guard_end();
	env.ddos = (struct ddos_config){.flags = DDOS_DROP};
	start();
	assert_int_equal(env.word->flags, 0);
	assert_int_not_equal(env.word->bad_flags, 0);
	guard_end();
	env.ddos = (struct ddos_config){0};
	start(); /* and off again, though an earlier process had it on */
	assert_int_equal(env.word->bad_flags, 0);
}

static void test_steps(void **state)
{
	(void)state;
	env.ddos = (struct ddos_config){.lists = DDOS_COUNT, .limits = DDOS_DROP, .flags = DDOS_DROP};
	write_text(env.block, "192.0.2.1\n");
	start();
	env.counts[0].reason[PST_GUARD_BAD_FLAGS] = (struct pst_guard_count){7, 700};
	env.counts[2].reason[PST_GUARD_BAD_FLAGS] = (struct pst_guard_count){1, 100};
	env.counts[1].reason[PST_GUARD_DRY_BLOCKED] = (struct pst_guard_count){5, 500};
	assert_string_equal(step_text(0), "blocked count 0 5");
	assert_string_equal(step_text(1), "offender off 0 0");
	assert_string_equal(step_text(2), "bad_flags drop 8 0");
	assert_string_equal(step_text(3), "signature off 0 0");
	assert_string_equal(step_text(4), "rate off 0 0");
	/* what is only counted decides nothing */
	assert_string_equal(verdict("192.0.2.1", 80), "accept off ");
}

/* ---- signatures ---- */

static const struct pst_sigs *in_force(void)
{
	uint64_t generation = env.word->sig_generation;

	assert_int_not_equal(generation, 0);
	return &env.sigs[generation & 1];
}

/* "name action packets" of signature number @i. */
static const char *signature_text(unsigned i)
{
	static char text[4][200];
	static unsigned at;
	const msgpack_object *list = pst_ctl_get(ask("ddos", NULL), "signatures");
	char *buf = text[at++ % 4];
	const msgpack_object *row;

	assert_non_null(list);
	if (i >= list->via.array.size)
		return "(none)";
	row = list->via.array.ptr[i].via.array.ptr;
	snprintf(buf, sizeof(text[0]), "%.*s %.*s %llu", (int)row[0].via.str.size, row[0].via.str.ptr,
		(int)row[1].via.str.size, row[1].via.str.ptr, (unsigned long long)row[2].via.u64);
	return buf;
}

#define A "  - {name: a, protocol: udp, source_port: 7, action: drop}\n"
#define B "  - {name: b, protocol: udp, port: 9, length: 1-9, action: count}\n"

static void write_signatures(const char *list)
{
	char text[1000];

	snprintf(text, sizeof(text), "signatures:\n%s", list);
	write_text(env.signatures, text);
}

static int reload_signatures(void)
{
	int e;

	pass_grace();
	e = guard_reload(env.guard, GUARD_SIGNATURES);
	settle();
	return e;
}

/* Into force, all or nothing; what is bad changes nothing and is said. */
static void test_signatures(void **state)
{
	(void)state;
	env.ddos.signatures = env.signatures;
	start();
	assert_int_equal(env.word->sig_generation, 0); /* there is no file and none has to be */
	write_signatures(A B);
	assert_int_equal(reload_signatures(), 0);
	assert_int_equal(in_force()->sig[0].sport[0], 7);
	assert_int_equal(in_force()->sig[0].flags, PST_SIG_DROP);
	assert_int_equal(in_force()->sig[1].len[1], 9);
	assert_int_equal(in_force()->protocol[PST_SIG_UDP], 3);
	assert_int_equal(in_force()->dport[9], 3);
	assert_int_equal(in_force()->dport[8], 1);
	assert_int_equal(env.word->flags & PST_GUARD_CT, 0);
	uint64_t generation = env.word->sig_generation;

	write_signatures(A "  - {name: c, protocol: udp, port: 70000}\n");
	assert_int_not_equal(reload_signatures(), 0);
	assert_int_equal(env.word->sig_generation, generation);
	assert_non_null(strstr(text_of(ask("ddos", NULL), "error"), "signatures.yaml:3:"));
	assert_string_equal(signature_text(1), "b count 0");
	write_signatures(" []\n");
	assert_int_equal(reload_signatures(), 0);
	assert_int_equal(env.word->sig_generation, 0);
	assert_string_equal(text_of(ask("ddos", NULL), "state"), "off");
}

/* Other tables come, and policyd has not asked yet: of the table that both share no half is written, as which
 * is in force only the new word says. */
static void test_signatures_of_tables_that_moved(void **state)
{
	uint64_t generation;

	(void)state;
	env.ddos.signatures = env.signatures;
	write_signatures(A B);
	start();
	settle();
	generation = env.word->sig_generation;
	env.word->can |= PST_GUARD_MOVED;
	for (int i = 0; i < 3; i++) {
		env.guard->tables.signatures.left_ns = 0;
		write_signatures(i % 2 ? A : B);
		assert_int_equal(guard_reload(env.guard, GUARD_SIGNATURES), 0);
		assert_int_equal(env.word->sig_generation, generation);
		assert_int_equal(in_force()->sig[0].flags & PST_SIG_DROP, PST_SIG_DROP);
		assert_string_equal(text_of(ask("ddos", NULL), "state"), "pending");
	}
	env.word->can &= ~(uint64_t)PST_GUARD_MOVED;
	adopt();
	settle();
	assert_int_equal(in_force()->sig[0].flags & PST_SIG_DROP, 0);
	assert_string_equal(text_of(ask("ddos", NULL), "state"), "in force");
}

/* The loader takes its tables away: nothing is seen of what went on, which is told as any end. */
static void test_floods_without_tables(void **state)
{
	uint64_t now = 100 * 1000 * MS;

	(void)state;
	env.ddos.limits = DDOS_DROP;
	env.ddos.detect_packets = 1000;
	env.ddos.quiet_ns = 3600 * 1000 * MS;
	start();
	guard_floods(env.guard, now);
	env.counts[0].reason[PST_GUARD_RATE].packets += 5000;
	guard_floods(env.guard, now += 1000 * MS);
	assert_int_equal(env.guard->floods->value, 1);
	guard_tables_unmap(&env.guard->tables);
	guard_floods(env.guard, now += 1000 * MS);
	assert_int_equal(env.guard->floods->value, 0);
	adopt();
	guard_floods(env.guard, now += 1000 * MS);
	env.counts[0].reason[PST_GUARD_RATE].packets += 5000;
	guard_floods(env.guard, now += 1000 * MS);
	assert_int_equal(env.guard->floods->value, 1);
}

/* A counter is its signature's, wherever that stands, and begins at 0. */
static void test_signature_counters(void **state)
{
	(void)state;
	env.ddos.signatures = env.signatures;
	write_signatures(A B);
	env.counts[1].sig[0] = env.counts[1].sig[5] = (struct pst_guard_count){99, 9900}; /* somebody's */
	start();
	settle();
	assert_string_equal(signature_text(0), "a drop 0");
	env.counts[1].sig[in_force()->sig[1].counter].packets = 4;
	env.counts[2].sig[in_force()->sig[1].counter].packets = 3;
	assert_string_equal(signature_text(1), "b count 7");
	write_signatures("  - {name: z, protocol: tcp, port: 1, action: drop}\n" B);
	assert_int_equal(reload_signatures(), 0);
	assert_string_equal(signature_text(0), "z drop 0");
	assert_string_equal(signature_text(1), "b count 7");
	pass_grace();
	guard_restart();
	settle();
	assert_string_equal(signature_text(1), "b count 7");
}

/* Those that are built in let pass what the host asked for: connections are tracked for them. */
static void test_amplification(void **state)
{
	(void)state;
	env.ddos.amplification = DDOS_COUNT;
	start();
	settle();
	assert_int_equal(env.word->flags & PST_GUARD_CT, PST_GUARD_CT);
	assert_string_equal(signature_text(0), "amp-dns count 0");
	assert_int_equal(in_force()->sig[0].flags, PST_SIG_UNASKED);
	guard_end();
	env.ddos.amplification = DDOS_DROP;
	start();
	settle();
	assert_string_equal(signature_text(0), "amp-dns drop 0");
	guard_end();
	env.ddos.amplification = DDOS_OFF;
	start();
	settle();
	assert_int_equal(env.word->sig_generation, 0);
	assert_int_equal(env.word->flags & PST_GUARD_CT, 0);
}

static void test_limits_by_protocol(void **state)
{
	(void)state;
	env.by_protocol[PST_SIG_ICMP] = (struct pst_rates){.cost_ns = {1000, 0, 0}, .ahead_us = {500, 0, 0}};
	start();
	assert_int_equal(env.word->flags, PST_GUARD_BY_PROTOCOL);
	assert_int_equal(env.word->by_protocol[PST_SIG_ICMP].ahead_us[PST_LIMIT_PACKETS], 500);
	assert_int_equal(env.word->by_protocol[PST_SIG_TCP].cost_ns[PST_LIMIT_PACKETS], 0);
	guard_end();
	memset(env.by_protocol, 0, sizeof(env.by_protocol));
	start(); /* off again, though an earlier process had it on */
	assert_int_equal(env.word->flags, 0);
	assert_int_equal(env.word->by_protocol[PST_SIG_ICMP].cost_ns[PST_LIMIT_PACKETS], 0);
}

/* By name, as long as there is one of it. */
static void test_scrub(void **state)
{
	const msgpack_object *row;

	(void)state;
	env.ddos.scrub = "lo";
	start();
	assert_int_equal(env.word->flags, PST_GUARD_SCRUB);
	assert_int_equal(env.word->scrub_ifindex, 1);
	env.counts[1].reason[PST_GUARD_SCRUBBED] = (struct pst_guard_count){7, 700};
	row = pst_ctl_get(ask("ddos", NULL), "scrub")->via.array.ptr;
	assert_int_equal(row[0].via.str.size, 2);
	assert_int_equal(row[1].via.u64, 1);
	assert_int_equal(row[2].via.u64, 7);
	guard_end();
	env.ddos.scrub = "no-such-device";
	start();
	assert_int_equal(env.word->flags, 0);
	assert_int_equal(env.word->scrub_ifindex, 0);
	guard_end();
	env.word->scrub_ifindex = 5; /* an earlier process's */
	env.ddos.scrub = NULL;
	start();
	assert_int_equal(env.word->flags, 0);
	assert_int_equal(env.word->scrub_ifindex, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_words, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_steps, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_floods_without_tables, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_signatures, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(
			test_signatures_of_tables_that_moved, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_signature_counters, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_amplification, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_limits_by_protocol, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_scrub, genv_setup, genv_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
