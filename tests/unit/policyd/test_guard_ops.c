// SPDX-License-Identifier: Apache-2.0
/* What is answered about the guard: packets in the words of rules, pages of rules, rows of statistics. */
#include "tests/unit/policyd/guard_env.h"

#define MANY 1200

static const char *verdict_of(const struct kv *packet)
{
	static char text[300];
	const struct kv request[] = {{.key = "packet", .map = packet}, {0}};
	const msgpack_object *r = ask("firewall_test", request);

	if (pst_ctl_get(r, "error"))
		snprintf(text, sizeof(text), "error %s", text_of(r, "error"));
	else
		snprintf(text, sizeof(text), "%s %s", text_of(r, "verdict"), text_of(r, "rule"));
	return text;
}
#define VERDICT(...) verdict_of((const struct kv[]){__VA_ARGS__ __VA_OPT__(, ){0}})

static void test_packets(void **state)
{
	(void)state;
	write_rules("drop", "    - {name: lo, interface: lo, action: accept}\n"
			    "    - {name: src, src: 192.0.2.0/24, action: accept}\n"
			    "    - {name: dst, dst: 2001:db8::/32, action: accept}\n"
			    "    - {name: sport, proto: udp, sport: 53, action: accept}\n"
			    "    - {name: flags, tcp_flags: \"syn / syn,ack\", dport: 7, action: accept}\n"
			    "    - {name: ping, family: 4, icmp: echo-request, action: accept}\n"
			    "    - {name: ping6, family: 6, icmp: echo-request, action: accept}\n"
			    "    - {name: vlan, vlan: 30, action: accept}\n"
			    "    - {name: voice, dscp: ef, action: accept}\n"
			    "    - {name: answers, state: established, action: reject}\n"
			    "    - {name: gre, proto: gre, action: accept}\n"
			    "    - {name: web6, family: 6, dport: 80, action: accept}\n");
	start();
	assert_string_equal(VERDICT(), "drop ");
	assert_string_equal(VERDICT(T("interface", "lo")), "accept lo");
	assert_string_equal(VERDICT(T("src", "192.0.2.7")), "accept src");
	assert_string_equal(VERDICT(T("src", "192.0.3.7")), "drop ");
	assert_string_equal(VERDICT(T("dst", "2001:db8::1")), "accept dst");
	assert_string_equal(VERDICT(T("dst", "2001:db9::1"), T("dport", "80")), "accept web6");
	assert_string_equal(VERDICT(T("dst", "198.51.100.1"), N("dport", 80)), "drop ");
	assert_string_equal(VERDICT(T("proto", "udp"), N("sport", 53)), "accept sport");
	assert_string_equal(VERDICT(T("proto", "tcp"), N("sport", 53)), "drop ");
	assert_string_equal(VERDICT(T("tcp_flags", "syn"), N("dport", 7)), "accept flags");
	assert_string_equal(VERDICT(T("tcp_flags", "syn,ack"), N("dport", 7)), "drop ");
	assert_string_equal(VERDICT(T("proto", "icmp"), T("icmp", "echo-request")), "accept ping");
	assert_string_equal(VERDICT(T("icmp", "8")), "accept ping");
	assert_string_equal(VERDICT(N("icmp", 8), T("src", "2001:db9::1")), "drop ");
	assert_string_equal(VERDICT(T("proto", "icmpv6"), T("icmp", "echo-request")), "accept ping6");
	assert_string_equal(VERDICT(T("icmp", "128/0"), T("src", "2001:db9::1")), "accept ping6");
	assert_string_equal(VERDICT(N("vlan", 30)), "accept vlan");
	assert_string_equal(VERDICT(N("vlan", 31)), "drop ");
	assert_string_equal(VERDICT(T("dscp", "ef")), "accept voice");
	assert_string_equal(VERDICT(N("dscp", 46)), "accept voice");
	assert_string_equal(VERDICT(T("state", "established")), "reject answers");
	assert_string_equal(VERDICT(T("proto", "gre")), "accept gre");
	assert_string_equal(VERDICT(N("proto", 47)), "accept gre");
}

static void test_bad_packets(void **state)
{
	const struct {
		struct kv kv[3];
		const char *error;
	} bad[] = {
		{{T("scr", "192.0.2.1")}, "expected src, dst, proto"},
		{{T("src", "192.0.2.0/24")}, "src: expected one address"},
		{{T("src", "$office")}, "src"},
		{{T("src", "192.0.2.1\", action: \"drop")}, "expected a number or a short text"},
		{{T("src", "192.0.2.1\\")}, "expected a number or a short text"},
		{{T("src", "192.0.2.1\n")}, "expected a number or a short text"},
		{{T("dport", "1-2")}, "dport: expected one number"},
		{{N("dport", 65536)}, "dport"},
		{{T("interface", "nosuch0")}, "there is no interface"},
		{{T("proto", "icmp"), N("dport", 1)}, "nothing could match"},
		{{T("src", "192.0.2.1"), T("dst", "2001:db8::1")}, "nothing could match"},
		{{T("state", "odd")}, "state"},
		{{M("src", {0})}, "expected a number or a short text"},
	};

	(void)state;
	write_rules("drop", "    - {name: x, dport: 80, action: accept}\n");
	start();
	for (size_t i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		const char *text = verdict_of(bad[i].kv);

		if (strncmp(text, "error ", 6) != 0 || !strstr(text, bad[i].error))
			fail_msg("packet %zu: expected \"%s\" in \"%s\"", i, bad[i].error, text);
	}
	assert_refused(ask("firewall_test", NULL), "expected packet");
	assert_refused(ASK("firewall_test", N("packet", 7)), "expected a map");
}

static void write_many(void)
{
	FILE *f = fopen(env.firewall, "we");

	assert_non_null(f);
	fputs("firewall:\n  rules:\n", f);
	for (unsigned i = 0; i < MANY; i++)
		fprintf(f, "    - {name: \"rule \\\"%u\\\"\", src: 10.0.%u.%u, action: drop}\n", i, i >> 8,
			i & 255);
	assert_int_equal(fclose(f), 0);
}

static void test_pages(void **state)
{
	const msgpack_object *rules;
	char name[32];

	(void)state;
	files_open(1u << 15, BLOCK_LINES);
	write_many();
	start();
	assert_int_equal(number_of(firewall(), "total"), MANY);
	assert_int_equal(pst_ctl_get(firewall(), "rules")->via.array.size, 500);
	assert_int_equal(pst_ctl_get(ASK("firewall", N("limit", 100000)), "rules")->via.array.size, 500);
	assert_int_equal(pst_ctl_get(ASK("firewall", N("from", 1100)), "rules")->via.array.size, 100);
	assert_int_equal(pst_ctl_get(ASK("firewall", N("from", UINT64_MAX)), "rules")->via.array.size, 0);
	rules = pst_ctl_get(ASK("firewall", N("from", 7), N("limit", 3)), "rules");
	assert_int_equal(rules->via.array.size, 3);
	for (uint32_t i = 0; i < 3; i++) {
		const msgpack_object *v = rules->via.array.ptr[i].via.array.ptr;

		snprintf(name, sizeof(name), "rule \"%u\"", 7 + i);
		assert_int_equal(v[0].via.u64, 8 + i);
		assert_int_equal(v[1].via.str.size, strlen(name));
		assert_memory_equal(v[1].via.str.ptr, name, strlen(name));
		assert_memory_equal(v[2].via.str.ptr, "drop", 4);
		assert_memory_equal(v[3].via.str.ptr, "src 10.0.0.", 11);
	}
}

/* The value of a row of status; -1: there is none. */
static int64_t row(const msgpack_object *stats, const char *name, const char *label)
{
	for (uint32_t i = 0; i < stats->via.array.size; i++) {
		const msgpack_object *v = stats->via.array.ptr[i].via.array.ptr;

		if (v[0].via.str.size != strlen(name) || memcmp(v[0].via.str.ptr, name, strlen(name)) != 0)
			continue;
		if (!label || (v[2].type == MSGPACK_OBJECT_STR && v[2].via.str.size == strlen(label) &&
				      !memcmp(v[2].via.str.ptr, label, strlen(label))))
			return (int64_t)v[4].via.u64;
	}
	return -1;
}

static void test_rows(void **state)
{
	const msgpack_object *stats;
	uint32_t without;

	(void)state;
	files_open(1u << 15, BLOCK_LINES);
	write_many();
	start();
	without = pst_ctl_get(ask("status", NULL), "stats")->via.array.size;
	env.counts[0].reason[PST_GUARD_BLOCKED] = (struct pst_guard_count){5, 500};
	env.counts[2].reason[PST_GUARD_BLOCKED] = (struct pst_guard_count){2, 200};
	count("rule \"3\"", 40);
	count("rule \"5\"", 50);
	env.guard->totals.until_ns = 0;
	stats = pst_ctl_get(ask("status", NULL), "stats");
	assert_int_equal(stats->via.array.size, without + 4);
	assert_int_equal(row(stats, "guard_packets", "blocked"), 7);
	assert_int_equal(row(stats, "guard_bytes", "blocked"), 700);
	assert_int_equal(row(stats, "guard_packets", "fw_no_match"), 0);
	assert_int_equal(row(stats, "firewall_rule_packets", "rule \"3\""), 40);
	assert_int_equal(row(stats, "firewall_rule_packets", "rule \"5\""), 50);
	assert_int_equal(row(stats, "firewall_rule_packets", "rule \"4\""), -1);
	assert_int_equal(row(stats, "firewall_rules_not_shown", NULL), 0);
	assert_int_equal(row(stats, "firewall_rules", NULL), MANY);
	assert_int_equal(row(stats, "firewall_generation", NULL), 1);

	/* status adds up once a second at most; who asks about a rule gets what is there */
	env.guard->totals.until_ns = UINT64_MAX;
	count("rule \"3\"", 2);
	stats = pst_ctl_get(ask("status", NULL), "stats");
	assert_int_equal(row(stats, "firewall_rule_packets", "rule \"3\""), 40);
	assert_int_equal(packets_of("rule \"3\""), 42);
	env.guard->totals.until_ns = pst_now_mono_ns();
	stats = pst_ctl_get(ask("status", NULL), "stats");
	assert_int_equal(row(stats, "firewall_rule_packets", "rule \"3\""), 42);
	/* or when rules have come that count where others did */
	env.guard->totals.until_ns = UINT64_MAX;
	count("rule \"3\"", 1);
	pass_grace();
	assert_int_equal(guard_reload(env.guard, GUARD_FIREWALL), 0);
	settle();
	stats = pst_ctl_get(ask("status", NULL), "stats");
	assert_int_equal(row(stats, "firewall_rule_packets", "rule \"3\""), 43);

	env.guard->totals.until_ns = 0;
	for (unsigned i = 0; i < PST_FW_COUNTERS; i++)
		env.counts[1].rule[i].packets = 1;
	stats = pst_ctl_get(ask("status", NULL), "stats");
	assert_int_equal(stats->via.array.size, without + 2000);
	assert_int_equal(row(stats, "firewall_rule_packets", "rule \"999\""), 1);
	assert_int_equal(row(stats, "firewall_rule_packets", "rule \"1000\""), -1);
	assert_int_equal(row(stats, "firewall_rules_not_shown", NULL), MANY - 1000);
}

/* In status as labels, and with the first rules as rows. */
static void test_interfaces(void **state)
{
	const uint32_t cell = PST_GUARD_CELL(PST_DIR_IN, PST_GUARD_TCP, PST_GUARD_DROP);
	const msgpack_object *stats, *rows, *r;
	uint32_t without;

	(void)state;
	files_open(1u << 15, BLOCK_LINES);
	write_many();
	start();
	without = pst_ctl_get(ask("status", NULL), "stats")->via.array.size;
	env.counts[1].ifindex[1] = 1; /* lo */
	env.counts[1].iface[PST_GUARD_CELLS + cell] = (struct pst_guard_count){3, 300};
	env.counts[2].iface[PST_GUARD_COUNTED_OTHER * PST_GUARD_CELLS + cell] =
		(struct pst_guard_count){4, 400};
	stats = pst_ctl_get(ask("status", NULL), "stats");
	assert_int_equal(stats->via.array.size, without + 4);
	assert_int_equal(row(stats, "guard_interface_packets", "in,tcp,drop,lo"), 3);
	assert_int_equal(row(stats, "guard_interface_bytes", "in,tcp,drop,lo"), 300);
	assert_int_equal(row(stats, "guard_interface_packets", "in,tcp,drop,other"), 4);
	rows = pst_ctl_get(ask("firewall", NULL), "interfaces");
	assert_int_equal(rows->via.array.size, 2);
	r = &rows->via.array.ptr[1];
	assert_int_equal(r->via.array.size, 6);
	assert_memory_equal(r->via.array.ptr[0].via.str.ptr, "lo", 2);
	assert_int_equal(r->via.array.ptr[4].via.u64, 3);
	assert_int_equal(r->via.array.ptr[5].via.u64, 300);
}

static uint32_t extra(void *arg, struct pst_buf *out)
{
	return guard_status(arg, out);
}

static void test_status(void **state)
{
	const msgpack_object *o;

	(void)state;
	write_rules("drop", "    - {name: x, dport: 80, action: accept}\n");
	guard_begin();
	pst_ctl_status_extra(env.bus, extra, env.guard);
	o = pst_ctl_get(ask("status", NULL), "extra");
	assert_string_equal(text_of(o, "firewall"), "not guarded");
	assert_string_equal(text_of(o, "lists"), "not guarded");
	assert_int_equal(number_of(o, "firewall_generation"), 0);
	adopt();
	o = pst_ctl_get(ask("status", NULL), "extra");
	assert_string_equal(text_of(o, "firewall"), "in force");
	assert_string_equal(text_of(o, "lists"), "off");
	assert_int_equal(number_of(o, "firewall_generation"), 1);
	assert_int_equal(number_of(o, "firewall_rules"), 1);
	write_text(env.block, "rubbish\n");
	guard_reload(env.guard, GUARD_ALL);
	o = pst_ctl_get(ask("status", NULL), "extra");
	assert_string_equal(text_of(o, "firewall_error"), "");
	assert_non_null(strstr(text_of(o, "lists_error"), "block.list:1:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_packets, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_bad_packets, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_pages, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_rows, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_interfaces, genv_setup, genv_teardown),
		cmocka_unit_test_setup_teardown(test_status, genv_setup, genv_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
