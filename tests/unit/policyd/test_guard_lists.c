// SPDX-License-Identifier: Apache-2.0
/* From files and commands to the allow and block list in force. */
#include "tests/unit/policyd/guard_env.h"

#define MILLION 1000000u

static void reload_good(void)
{
	pass_grace();
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), 0);
	settle();
}

/* "block_list 192.0.2.0/24 reason", "off" */
static const char *listed(const char *src)
{
	static char text[200];
	const msgpack_object *r = ASK("firewall_test", M("packet", T("src", src), {0}));

	assert_ok(r);
	snprintf(text, sizeof(text), "%s%s%s %s", text_of(r, "by"), *text_of(r, "prefix") ? " " : "",
		text_of(r, "prefix"), text_of(r, "reason"));
	return text;
}

static uint64_t expires_s(const char *src)
{
	return number_of(ASK("firewall_test", M("packet", T("src", src), {0})), "expires_s");
}

static uint64_t of_block(const char *key)
{
	return number_of(pst_ctl_get(ask("lists", NULL), "block"), key);
}

/* ---- files ---- */

static void test_apply(void **state)
{
	(void)state;
	write_text(env.block, "192.0.2.0/24 reason=scan\n198.51.100.7 expires=1h\n2001:db8::1 reason=\"a "
			      "b\"\n2001:db8:1::/48\n");
	write_text(env.allow, "192.0.2.9\n");
	start();
	assert_int_equal(env.word->block_generation, 1);
	assert_string_equal(listed("192.0.2.1"), "block_list 192.0.2.0/24 scan");
	assert_string_equal(listed("198.51.100.7"), "block_list 198.51.100.7 ");
	assert_in_range(expires_s("198.51.100.7"), 3590, 3601);
	assert_int_equal(expires_s("192.0.2.1"), 0);
	assert_string_equal(listed("2001:db8::1"), "block_list 2001:db8::1 a b");
	assert_string_equal(listed("2001:db8:1:2::3"), "block_list 2001:db8:1::/48 ");
	assert_string_equal(listed("192.0.2.9"), "allow_list 192.0.2.9 ");
	assert_string_equal(listed("203.0.113.1"), "off ");

	const msgpack_object *r = ask("lists", NULL);
	assert_string_equal(text_of(r, "state"), "in force");
	assert_string_equal(text_of(r, "error"), "");
	assert_int_equal(number_of(r, "generation"), 1);
	assert_int_equal(number_of(pst_ctl_get(r, "allow"), "entries"), 1);
	assert_int_equal(number_of(pst_ctl_get(r, "allow"), "files"), 1);
	assert_int_equal(of_block("entries_4"), 1);
	assert_int_equal(of_block("entries_6"), 1);
	assert_int_equal(of_block("prefixes"), 2);
}

/* The block list comes before the rules, the allow list only before the block list. */
static void test_order_of_the_chain(void **state)
{
	(void)state;
	write_text(env.block, "192.0.2.0/24\n");
	write_text(env.allow, "192.0.2.9\n");
	write_rules("accept", "    - {name: web, proto: tcp, dport: 80, action: accept}\n"
			      "    - {name: no, proto: tcp, dport: 25, action: drop}\n");
	start();
	assert_string_equal(verdict("192.0.2.1", 80), "drop block_list ");
	assert_string_equal(verdict("192.0.2.9", 80), "accept rule web");
	assert_string_equal(verdict("192.0.2.9", 25), "drop rule no");
	assert_string_equal(verdict("192.0.2.9", 26), "accept policy ");
}

static void test_bad_line_keeps_the_old(void **state)
{
	(void)state;
	write_text(env.block, "192.0.2.1\n");
	start();
	pass_grace();
	write_text(env.block, "192.0.2.2\n10.0.0.1/8\n");
	assert_int_not_equal(guard_reload(env.guard, GUARD_ALL), 0);
	assert_non_null(strstr(guard_error(env.guard), "block.list:2:"));
	assert_non_null(strstr(text_of(ask("lists", NULL), "error"), "block.list:2:"));
	turn_for(150 * MS);
	assert_int_equal(env.word->block_generation, 1);
	assert_string_equal(listed("192.0.2.1"), "block_list 192.0.2.1 ");
	assert_string_equal(listed("192.0.2.2"), "off ");
	write_text(env.block, "192.0.2.2\n");
	reload_good();
	assert_int_equal(env.word->block_generation, 2);
	assert_string_equal(listed("192.0.2.1"), "off ");
	assert_string_equal(text_of(ask("lists", NULL), "error"), "");
}

static void test_no_files_no_lists(void **state)
{
	(void)state;
	write_text(env.block, "192.0.2.1\n");
	start();
	assert_return_code(unlink(env.block), errno);
	reload_good();
	assert_int_equal(env.word->block_generation, 0);
	assert_string_equal(listed("192.0.2.1"), "off ");
	write_text(env.block, "192.0.2.1\n");
	reload_good();
	assert_int_equal(env.word->block_generation, 2); /* no number comes twice */
}

static void write_addresses(uint32_t n)
{
	FILE *f = fopen(env.block, "we");

	assert_non_null(f);
	for (uint32_t i = 0; i < n; i++)
		fprintf(f, "%u.%u.%u.%u\n", 11 + (i >> 22), i >> 14 & 255, i >> 6 & 255, (i & 63) * 4);
	assert_int_equal(fclose(f), 0);
}

static void test_a_million(void **state)
{
	(void)state;
	files_open(FW_LINES, 1u << 19);
	write_addresses(MILLION);
	start();
	assert_int_equal(env.word->block_generation, 1);
	assert_int_equal(of_block("entries_4"), MILLION);
	for (uint32_t i = 0; i < MILLION; i += 9973) {
		char there[64], beside[64], want[128];

		snprintf(there, sizeof(there), "%u.%u.%u.%u", 11 + (i >> 22), i >> 14 & 255, i >> 6 & 255,
			(i & 63) * 4);
		snprintf(beside, sizeof(beside), "%u.%u.%u.%u", 11 + (i >> 22), i >> 14 & 255, i >> 6 & 255,
			(i & 63) * 4 + 1);
		snprintf(want, sizeof(want), "block_list %s ", there);
		assert_string_equal(listed(there), want);
		assert_string_equal(listed(beside), "off ");
	}
	assert_ok(ASK("block", T("address", "203.0.113.1")));
	assert_string_equal(listed("203.0.113.1"), "block_list 203.0.113.1 ");
}

static void test_too_many(void **state)
{
	(void)state;
	files_open(FW_LINES, 256);
	write_text(env.block, "192.0.2.1\n");
	start();
	pass_grace();
	write_addresses(5000);
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), -ENOSPC);
	assert_non_null(
		strstr(guard_error(env.guard), "lists: the entries do not fit into the table, which has "
					       "32KiB: raise loader.guard.list_memory to 128KiB\n"));
	assert_int_equal(env.word->block_generation, 1);
	assert_string_equal(listed("192.0.2.1"), "block_list 192.0.2.1 ");
	files_open(FW_LINES, 512); /* half of what the message says */
	adopt();
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), -ENOSPC);
	files_open(FW_LINES, 1024);
	adopt();
	reload_good();
	assert_int_equal(of_block("entries_4"), 5000);
}

/* ---- commands ---- */

static void test_block_in_place(void **state)
{
	(void)state;
	write_text(env.block, "192.0.2.1\n");
	start();
	assert_ok(ASK("block", T("address", "203.0.113.5"), T("reason", "by hand"), N("expires_s", 100)));
	assert_ok(ASK("block", T("address", "2001:db8::5")));
	assert_int_equal(env.word->block_generation, 1);
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 by hand");
	assert_in_range(expires_s("203.0.113.5"), 98, 100);
	assert_string_equal(listed("2001:db8::5"), "block_list 2001:db8::5 ");
	assert_int_equal(of_block("runtime_total"), 2);

	/* again: another expiry and reason */
	assert_ok(ASK("block", T("address", "203.0.113.5"), T("reason", "still"), N("expires_s", 10)));
	assert_int_equal(of_block("runtime_total"), 2);
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 still");
	assert_in_range(expires_s("203.0.113.5"), 8, 10);

	assert_ok(ASK("unblock", T("address", "203.0.113.5")));
	assert_string_equal(listed("203.0.113.5"), "off ");
	assert_int_equal(env.word->block_generation, 1);
	assert_refused(ASK("unblock", T("address", "203.0.113.5")), "was not blocked by command");
	assert_refused(ASK("unblock", T("address", "192.0.2.1")), "change the file");
	assert_string_equal(listed("192.0.2.1"), "block_list 192.0.2.1 ");
}

static void test_prefix_needs_a_new_table(void **state)
{
	(void)state;
	write_text(env.block, "192.0.2.1\n");
	start();
	pass_grace();
	assert_ok(ASK("block", T("address", "203.0.113.0/24"), T("reason", "net")));
	settle();
	assert_int_equal(env.word->block_generation, 2);
	assert_string_equal(listed("203.0.113.200"), "block_list 203.0.113.0/24 net");
	assert_string_equal(listed("192.0.2.1"), "block_list 192.0.2.1 ");
	assert_refused(ASK("unblock", T("address", "203.0.113.200")), "take out the prefix");
	assert_ok(ASK("unblock", T("address", "203.0.113.0/24")));
	settle();
	assert_int_equal(env.word->block_generation, 3);
	assert_string_equal(listed("203.0.113.200"), "off ");
	assert_int_equal(of_block("prefixes"), 0); /* the files' entries are left as they were */
	assert_int_equal(of_block("entries_4"), 1);
}

/* A table is waiting: what is blocked meanwhile is in both. */
static void test_block_while_one_waits(void **state)
{
	(void)state;
	write_text(env.block, "192.0.2.1\n192.0.2.2\n");
	start();
	hold_grace();
	write_text(env.block, "192.0.2.3\n");
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), 0);
	assert_string_equal(text_of(ask("lists", NULL), "state"), "pending");
	assert_ok(ASK("block", T("address", "203.0.113.5")));
	assert_int_equal(env.word->block_generation, 1);
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 ");
	settle();
	assert_int_equal(env.word->block_generation, 2);
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 ");
	assert_string_equal(listed("192.0.2.1"), "off ");
	hold_grace();
	write_text(env.block, "192.0.2.4\n");
	assert_int_equal(guard_reload(env.guard, GUARD_ALL), 0);
	assert_ok(ASK("unblock", T("address", "203.0.113.5")));
	assert_string_equal(listed("203.0.113.5"), "off ");
	settle();
	assert_string_equal(listed("203.0.113.5"), "off ");
}

/* Of the file's entry and the command's the one that lasts longer holds. */
static void test_an_address_of_both(void **state)
{
	(void)state;
	write_text(env.block,
		"192.0.2.1 reason=file\n192.0.2.2 expires=100s reason=file\n2001:db8::1 reason=file\n");
	start();
	assert_ok(ASK("block", T("address", "192.0.2.1"), N("expires_s", 5), T("reason", "hand")));
	assert_string_equal(listed("192.0.2.1"), "block_list 192.0.2.1 file");
	assert_int_equal(expires_s("192.0.2.1"), 0);
	assert_ok(ASK("block", T("address", "192.0.2.2"), T("reason", "hand")));
	assert_string_equal(listed("192.0.2.2"), "block_list 192.0.2.2 hand");
	assert_int_equal(expires_s("192.0.2.2"), 0);
	assert_ok(ASK("block", T("address", "2001:db8::1"), N("expires_s", 5), T("reason", "hand")));
	assert_string_equal(listed("2001:db8::1"), "block_list 2001:db8::1 file");
	assert_ok(ASK("unblock", T("address", "192.0.2.1")));
	assert_ok(ASK("unblock", T("address", "192.0.2.2")));
	assert_ok(ASK("unblock", T("address", "2001:db8::1")));
	assert_string_equal(listed("192.0.2.1"), "block_list 192.0.2.1 file");
	assert_string_equal(listed("192.0.2.2"), "block_list 192.0.2.2 file");
	assert_in_range(expires_s("192.0.2.2"), 90, 101);
	assert_string_equal(listed("2001:db8::1"), "block_list 2001:db8::1 file");
}

static void test_expiry(void **state)
{
	uint32_t until;

	(void)state;
	write_text(env.block, "192.0.2.1\n");
	start();
	until = lists_now() + 2;
	assert_ok(ASK("block", T("address", "203.0.113.5"), N("expires_s", 1)));
	assert_ok(ASK("block", T("address", "203.0.113.6"), N("expires_s", 1000)));
	while (lists_now() < until)
		turn_for(20 * MS);
	assert_string_equal(listed("203.0.113.5"), "off ");
	assert_string_equal(listed("203.0.113.6"), "block_list 203.0.113.6 ");
	turn_for(1100 * MS); /* forgotten by itself */
	assert_int_equal(env.guard->lists.runtime.n, 1);
	assert_int_equal(env.guard->lists.entries[2]->value, 1);
	assert_int_equal(of_block("runtime_total"), 1);
	assert_refused(ASK("unblock", T("address", "203.0.113.5")), "was not blocked by command");
}

static void test_restart(void **state)
{
	char path[96];

	(void)state;
	snprintf(path, sizeof(path), "%s/policyd.block.list", env.dir);
	write_text(env.block, "192.0.2.1\n");
	start();
	assert_ok(ASK(
		"block", T("address", "203.0.113.5"), N("expires_s", 500), T("reason", "a #1 \\ reason")));
	assert_ok(ASK("block", T("address", "2001:db8::/32")));
	assert_ok(ASK("block", T("address", "2001:db9::1")));
	settle();
	guard_restart();
	settle();
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 a #1 \\ reason");
	assert_in_range(expires_s("203.0.113.5"), 490, 501);
	assert_string_equal(listed("2001:db8::77"), "block_list 2001:db8::/32 ");
	assert_string_equal(listed("2001:db9::1"), "block_list 2001:db9::1 ");
	assert_string_equal(listed("192.0.2.1"), "block_list 192.0.2.1 ");
	assert_int_equal(of_block("runtime_total"), 3);

	/* what is bad, or not ours, is left out; the files' lists are in force all the same */
	write_text(path, "203.0.113.5\nrubbish\n");
	guard_restart();
	settle();
	assert_string_equal(listed("203.0.113.5"), "off ");
	assert_string_equal(listed("192.0.2.1"), "block_list 192.0.2.1 ");
	assert_return_code(unlink(path), errno);
	assert_return_code(symlink(env.block, path), errno);
	guard_restart();
	settle();
	assert_int_equal(of_block("runtime_total"), 0);
	assert_ok(ASK("block", T("address", "203.0.113.7")));
	guard_restart();
	settle();
	assert_string_equal(listed("203.0.113.7"), "block_list 203.0.113.7 ");
}

static void test_refused(void **state)
{
	static const char *const addresses[] = {
		"", "192.0.2", "192.0.2.1/33", "192.0.2.1/24", "192.0.2.1 #", "::fffff", "x"};

	(void)state;
	start();
	for (size_t i = 0; i < PST_ARRAY_SIZE(addresses); i++)
		assert_refused(ASK("block", T("address", addresses[i])), "expected address");
	assert_refused(ASK("block", T("address", "192.0.2.1"), N("expires_s", 0)), "expected expires_s");
	assert_refused(
		ASK("block", T("address", "192.0.2.1"), N("expires_s", 1ull << 31)), "expected expires_s");
	assert_refused(ASK("block", T("address", "192.0.2.1"), T("expires_s", "1h")), "expected expires_s");
	assert_refused(ASK("block", T("address", "192.0.2.1"), T("reason", "a\"b")), "expected reason");
	assert_refused(ASK("block", T("address", "192.0.2.1"), T("reason", "a\nb")), "expected reason");
	env.bus->ctl->peer_uid = geteuid() + 1;
	assert_refused(ASK("block", T("address", "192.0.2.1")), "only root");
	assert_refused(ASK("unblock", T("address", "192.0.2.1")), "only root");
	assert_int_equal(of_block("runtime_total"), 0);
	assert_int_equal(env.word->block_generation, 0);
}

/* Nothing was there before the first command. */
static void test_first_of_all(void **state)
{
	(void)state;
	start();
	assert_string_equal(text_of(ask("lists", NULL), "state"), "off");
	assert_ok(ASK("block", T("address", "203.0.113.5")));
	assert_int_equal(env.word->block_generation, 1);
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 ");
}

/* What there is no room for is not remembered either, and what was there stays. */
static void test_block_without_room(void **state)
{
	char text[64];
	unsigned n = 0;

	(void)state;
	files_open(FW_LINES, 16);
	start();
	for (; n < 200; n++) {
		pass_grace();
		snprintf(text, sizeof(text), "2001:db8::%x", n + 1);
		if (pst_ctl_get(ASK("block", T("address", text)), "error"))
			break;
		assert_string_not_equal(listed(text), "off ");
	}
	assert_in_range(n, 10, 199);
	assert_refused(ASK("block", T("address", text)), "raise loader.guard.list_memory");
	assert_int_equal(of_block("runtime_total"), n);
	assert_string_equal(listed(text), "off ");
	assert_string_equal(listed("2001:db8::1"), "block_list 2001:db8::1 ");
	assert_ok(ASK("unblock", T("address", "2001:db8::1")));
	assert_string_equal(listed("2001:db8::1"), "off ");
}

static void test_other_tables(void **state)
{
	(void)state;
	write_text(env.block, "192.0.2.1\n");
	start();
	assert_ok(ASK("block", T("address", "203.0.113.5")));
	write_text(env.block, "rubbish\n");
	files_open(FW_LINES, 2 * BLOCK_LINES);
	adopt();
	assert_int_equal(env.word->block_generation, 1);
	assert_string_equal(listed("192.0.2.1"), "block_list 192.0.2.1 ");
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 ");
}

static void test_not_saved(void **state)
{
	const msgpack_object *r;
	char path[96];

	(void)state;
	snprintf(path, sizeof(path), "%s/policyd.block.list", env.dir);
	start();
	obstruct(path);
	r = ASK("block", T("address", "203.0.113.5"));
	assert_ok(r);
	assert_non_null(strstr(text_of(r, "warning"), path));
	assert_int_equal(env.guard->lists.saved.errors->value, 1);
	settle();
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 ");
	assert_non_null(strstr(text_of(ask("lists", NULL), "warning"), path));
	clear(path);
	for (int i = 0; i < 100; i++)
		lists_tick(&env.guard->lists);
	assert_string_equal(text_of(ask("lists", NULL), "warning"), "");
	guard_restart();
	settle();
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 ");
}

/* No program reads what is written now: that is not called in force, and comes into the new tables. */
static void test_tables_that_moved(void **state)
{
	const msgpack_object *r;

	(void)state;
	write_text(env.block, "198.51.100.1\n");
	write_rules("accept", "    - {name: one, dport: 1, action: drop}\n");
	start();
	pass_grace();
	env.word->can |= PST_GUARD_MOVED;
	r = ASK("block", T("address", "203.0.113.5"));
	assert_ok(r);
	assert_string_equal(text_of(r, "state"), "pending");
	assert_ok(ASK("block", T("address", "203.0.113.0/24")));
	r = ASK("firewall_add", T("rule", "{name: two, dport: 2, action: drop}"));
	assert_ok(r);
	assert_string_equal(text_of(r, "state"), "pending");
	assert_int_equal(env.word->block_generation, 1);
	assert_int_equal(env.word->fw_generation, 1);
	files_open(2 * FW_LINES, 2 * BLOCK_LINES);
	adopt();
	settle();
	assert_string_equal(text_of(ask("lists", NULL), "state"), "in force");
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 ");
	assert_string_equal(listed("203.0.113.6"), "block_list 203.0.113.0/24 ");
	assert_string_equal(verdict("192.0.2.1", 2), "drop rule two");
}

/* No table could stay in force: what commands blocked is put into the new ones, if the allow list is good. */
static void test_bad_since_the_start(void **state)
{
	(void)state;
	write_text(env.allow, "192.0.2.9\n");
	start();
	assert_ok(ASK("block", T("address", "203.0.113.5")));
	settle();
	write_text(env.block, "198.51.100.1\n10.0.0.1/8\n");
	guard_restart();
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 ");
	files_open(FW_LINES, 2 * BLOCK_LINES);
	adopt();
	settle();
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 ");
	assert_string_equal(listed("198.51.100.1"), "off ");
	assert_string_equal(text_of(ask("lists", NULL), "state"), "in force");
	assert_non_null(strstr(text_of(ask("lists", NULL), "error"), "block.list:2:"));
	pass_grace();
	assert_ok(ASK("block", T("address", "192.0.2.0/24")));
	settle();
	assert_string_equal(listed("192.0.2.1"), "block_list 192.0.2.0/24 ");
	assert_string_equal(listed("192.0.2.9"), "allow_list 192.0.2.9 ");
	pass_grace();
	write_text(env.block, "198.51.100.1\n");
	reload_good();
	assert_string_equal(listed("198.51.100.1"), "block_list 198.51.100.1 ");
	assert_string_equal(listed("203.0.113.5"), "block_list 203.0.113.5 ");
}

/* Whom it lets in is not known: nothing is blocked, and that is said. */
static void test_bad_allow_list_since_the_start(void **state)
{
	(void)state;
	start();
	assert_ok(ASK("block", T("address", "203.0.113.5")));
	settle();
	write_text(env.allow, "10.0.0.1/8\n");
	guard_restart();
	files_open(FW_LINES, 2 * BLOCK_LINES);
	adopt();
	settle();
	assert_string_equal(listed("203.0.113.5"), "off ");
	assert_string_equal(text_of(ask("lists", NULL), "state"), "off");
	assert_non_null(strstr(text_of(ask("lists", NULL), "error"), "allow.list:1:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_apply, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_order_of_the_chain, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_bad_line_keeps_the_old, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_no_files_no_lists, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_a_million, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_too_many, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_block_in_place, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_prefix_needs_a_new_table, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_block_while_one_waits, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_an_address_of_both, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_expiry, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_restart, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_tables_that_moved, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_bad_since_the_start, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(
			test_bad_allow_list_since_the_start, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_refused, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_first_of_all, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_block_without_room, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_other_tables, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_not_saved, genv_setup, genv_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
