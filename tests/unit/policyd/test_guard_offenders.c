// SPDX-License-Identifier: Apache-2.0
/* Offenders: what policyd tells the programs, what it reads of them, and how one is let in again. */
#include "policyd/guard/offenders.h"
#include "tests/unit/policyd/guard_env.h"

#define NS 1000000000ull
#define ON (PST_GUARD_OFFENDERS | PST_GUARD_FORGEABLE)

static const struct offenders_config ten = {
	.after = 10, .within_ns = 10 * NS, .for_ns = 600 * NS, .action = DDOS_DROP};

/* Each word and flag, and nothing where it is off. */
static void test_words(void **state)
{
	(void)state;
	start();
	assert_int_equal(env.word->flags, 0);
	assert_int_equal(env.word->limits.offend_cost, 0);
	guard_end();
	env.ddos.offenders = ten;
	start();
	/* whose an address is, connections tell */
	assert_int_equal(env.word->flags & ~(uint64_t)PST_GUARD_CT_LOOSE, PST_GUARD_OFFENDERS | PST_GUARD_CT);
	assert_int_equal(env.word->limits.offend_cost, NS >> 10);
	assert_in_range(env.word->limits.offend_ahead, 9 * (NS >> 10), 10 * (NS >> 10));
	assert_int_equal(env.word->limits.offend_for, 600 * NS >> 20);
	guard_end();
	env.ddos.offenders.forgeable = true;
	env.ddos.offenders.action = DDOS_COUNT;
	start();
	assert_int_equal(env.word->flags & ~(uint64_t)PST_GUARD_CT_LOOSE, ON | PST_GUARD_DRY_OFFENDERS);
	guard_end();
	env.ddos.offenders.after = 0;
	env.ddos.offenders.action = DDOS_DROP;
	start(); /* and off again, though an earlier process had it on */
	assert_int_equal(env.word->flags, 0);
	assert_int_equal(env.word->limits.offend_for, 0);
}

/* Numbers that do not fit a word are cut, and none of them blocks at once. */
static void test_corners(void **state)
{
	static const uint64_t after[] = {1, 2, 3, 1000, 1000000}, within[] = {NS, 10 * NS, 3600 * NS};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(after); i++)
		for (size_t k = 0; k < PST_ARRAY_SIZE(within); k++) {
			const struct offenders_config c = {
				.after = after[i], .within_ns = within[k], .for_ns = 7 * 86400 * NS};
			struct pst_guard_limits l = {0};

			offenders_limits(&c, &l);
			assert_true(l.offend_cost && l.offend_for);
			assert_true((uint64_t)l.offend_cost * after[i] >= l.offend_ahead);
			assert_true((uint64_t)l.offend_cost * (after[i] - 1) < l.offend_ahead);
		}
}

/* As the programs have it: bytes as they lie in the packet. */
static uint64_t source(const char *address)
{
	struct block_entry e;

	assert_int_equal(block_entry_parse(address, strlen(address), &e), 0);
	return e.ip6 ? htobe64(e.hi) : (uint64_t)htobe32((uint32_t)e.lo) << 32;
}

static struct pst_offender *put(unsigned i, const char *address, int64_t left_s, uint64_t bits)
{
	struct pst_offender *o = &env.offenders[i * 37 % PST_OFFENDER_SETS].way[i % PST_OFFENDER_WAYS];
	uint64_t until = pst_now_boot_ns() + (uint64_t)left_s * NS;

	o->source = source(address);
	o->word = (until >> PST_OFFENDER_UNIT & PST_OFFENDER_TIME) | 0x123ull << 48 | bits;
	return o;
}

/* "address cause left", or "(none)". */
static const char *row_text(unsigned i)
{
	static char text[4][200];
	static unsigned at;
	const msgpack_object *list = pst_ctl_get(pst_ctl_get(ASK("lists"), "offenders"), "list");
	char *buf = text[at++ % 4];
	const msgpack_object *row;

	if (i >= list->via.array.size)
		return "(none)";
	row = list->via.array.ptr[i].via.array.ptr;
	snprintf(buf, sizeof(text[0]), "%.*s %.*s %s", (int)row[0].via.str.size, row[0].via.str.ptr,
		(int)row[2].via.str.size, row[2].via.str.ptr,
		row[1].via.u64 > 590 && row[1].via.u64 <= 600 ? "600" : "other");
	return buf;
}

static uint64_t total(void)
{
	return number_of(pst_ctl_get(ASK("lists"), "offenders"), "total");
}

#define CAUSE(c) ((uint64_t)(c) << PST_OFFENDER_CAUSE_SHIFT)

static void test_list(void **state)
{
	(void)state;
	env.ddos.offenders = ten;
	start();
	assert_string_equal(row_text(0), "(none)");
	put(1, "192.0.2.1", 600, PST_OFFENDER_BLOCKED);
	put(2, "2001:db8:1:2::7", 600, PST_OFFENDER_BLOCKED | CAUSE(PST_OFFENCE_SIGNATURE));
	put(3, "192.0.2.3", 600, 0);                   /* only counted */
	put(4, "192.0.2.4", -1, PST_OFFENDER_BLOCKED); /* over */
	put(5, "192.0.2.5", 9, PST_OFFENDER_BLOCKED | CAUSE(PST_OFFENCE_FLAGS));
	put(6, "192.0.2.6", 600, PST_OFFENDER_BLOCKED | CAUSE(7)); /* nobody's */
	assert_string_equal(row_text(0), "192.0.2.1 rate 600");
	assert_string_equal(row_text(1), "2001:db8:1:2::/64 signature 600");
	assert_string_equal(row_text(2), "192.0.2.5 bad_flags other");
	assert_string_equal(row_text(3), "192.0.2.6 ? 600");
	assert_string_equal(row_text(4), "(none)");
	assert_int_equal(total(), 4);
	assert_string_equal(text_of(pst_ctl_get(ASK("lists"), "offenders"), "action"), "drop");
}

/* All places taken: a bounded answer, and the number of all. What is in the table may be anything. */
static void test_many(void **state)
{
	(void)state;
	start();
	for (unsigned i = 0; i < PST_OFFENDER_SETS * PST_OFFENDER_WAYS; i++) {
		struct pst_offender *o = &env.offenders[i / PST_OFFENDER_WAYS].way[i % PST_OFFENDER_WAYS];

		o->source = 0x0123456789abcdefull * (i + 1);
		o->word = ~0ull;
	}
	assert_int_equal(total(), PST_OFFENDER_SETS * PST_OFFENDER_WAYS);
	assert_string_not_equal(row_text(OFFENDERS_SHOWN - 1), "(none)");
	assert_string_equal(row_text(OFFENDERS_SHOWN), "(none)");
	assert_string_equal(text_of(pst_ctl_get(ASK("lists"), "offenders"), "action"), "off");
}

static void test_unblock(void **state)
{
	struct pst_offender *four, *six;

	(void)state;
	env.ddos.offenders = ten;
	start();
	four = put(1, "192.0.2.1", 600, PST_OFFENDER_BLOCKED);
	six = put(2, "2001:db8:1:2::", 600, PST_OFFENDER_BLOCKED);
	put(3, "192.0.2.3", 600, 0);
	assert_refused(ASK("unblock", T("address", "192.0.2.2")), "was not blocked by command");
	assert_refused(ASK("unblock", T("address", "192.0.2.0/24")), "was not blocked by command");
	assert_refused(ASK("unblock", T("address", "192.0.2.3")), "was not blocked by command");
	assert_refused(ASK("unblock", T("address", "2001:db8:1::/48")), "was not blocked by command");
	assert_int_equal(total(), 2);
	assert_ok(ASK("unblock", T("address", "192.0.2.1")));
	assert_int_equal(four->word, 0);
	assert_int_equal(total(), 1);
	assert_ok(ASK("unblock", T("address", "2001:db8:1:2::99"))); /* an address of it */
	assert_int_equal(six->word, 0);
	six = put(2, "2001:db8:1:2::", 600, PST_OFFENDER_BLOCKED);
	assert_ok(ASK("unblock", T("address", "2001:db8:1:2::/64")));
	assert_int_equal(total(), 0);
	assert_refused(ASK("unblock", T("address", "2001:db8:1:2::/64")), "was not blocked by command");
	/* on both: off both */
	put(1, "192.0.2.1", 600, PST_OFFENDER_BLOCKED);
	assert_ok(ASK("block", T("address", "192.0.2.1")));
	settle();
	assert_ok(ASK("unblock", T("address", "192.0.2.1")));
	settle();
	assert_int_equal(total(), 0);
	assert_string_equal(verdict("192.0.2.1", 80), "accept off ");
	env.bus->ctl->peer_uid = 12345;
	put(1, "192.0.2.1", 600, PST_OFFENDER_BLOCKED);
	assert_true(pst_ctl_get(ASK("unblock", T("address", "192.0.2.1")), "error") != NULL);
	assert_int_equal(total(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_words, genv_setup, genv_teardown),
		cmocka_unit_test(test_corners),
		cmocka_unit_test_setup_teardown(test_list, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_many, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_unblock, genv_setup, genv_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
