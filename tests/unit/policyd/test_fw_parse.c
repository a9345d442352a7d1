// SPDX-License-Identifier: Apache-2.0
/* Firewall documents: what they mean, what is refused and where, and back to text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "policyd/fw/parse.h"
#include "policyd/fw/reader.h"
#include "policyd/fw/show.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "tests/unit/policyd/fw_rules.h"

/* ---- interfaces: "eth0" to "eth9" are 1 to 10, "lo" is 11, "if#N" is N ---- */

static uint32_t find_interface(const char *name, void *arg)
{
	unsigned n;
	char end;

	(void)arg;
	if (sscanf(name, "eth%1u%c", &n, &end) == 1)
		return n + 1;
	if (!strcmp(name, "lo"))
		return 11;
	return sscanf(name, "if#%u%c", &n, &end) == 1 ? n : 0;
}

static const char *name_interface(uint32_t index, void *arg)
{
	static char name[24];

	(void)arg;
	if (index == 99)
		return NULL;
	snprintf(name, sizeof(name), index <= 10 ? "eth%u" : "if#%u", index <= 10 ? index - 1 : index);
	return name;
}

static const struct fw_context context = {.ifindex = find_interface};
static const struct fw_show_context show_context = {.ifname = name_interface};

static int parse(const char *text, struct pst_conf_errors *errors, struct pst_conf_errors *warnings,
	struct fw_ruleset **ret_set)
{
	return fw_parse("fw.yaml", text, strlen(text), &context, errors, warnings, ret_set);
}

static struct fw_ruleset *must_parse(const char *text)
{
	struct pst_conf_errors errors = {0};
	struct fw_ruleset *set = NULL;

	if (parse(text, &errors, NULL, &set))
		fail_msg("%s\n%.300s", errors.text ? errors.text : "no error text", text);
	assert_int_equal(errors.count, 0);
	return set;
}

static char *shown(const struct fw_rule *rule)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fw_rule_show(out, rule, &show_context);
	fclose(out);
	return text;
}

/* ---- fields ---- */

static const struct {
	const char *fields, *shown; /* shown NULL: the same */
} good[] = {
	{"family: 4", NULL},
	{"family: ipv6", "family: 6"},
	{"interface: eth0", NULL},
	{"interface: [eth1, \"if#70000\"]", NULL},
	{"vlan: 5", NULL},
	{"vlan: [1, 100-199, 4095]", NULL},
	{"vlan: {not: 1}", NULL},
	{"proto: tcp", NULL},
	{"proto: TCP", "proto: tcp"},
	{"proto: 6", "proto: tcp"},
	{"proto: [udp, 250, 0x06]", "proto: [tcp, udp, 250]"},
	{"proto: ipv6-icmp", "proto: icmpv6"},
	{"proto: {not: [tcp, udp]}", NULL},
	{"src: 192.0.2.1", NULL},
	{"src: 192.0.2.0/24", NULL},
	{"src: 192.0.2.1/32", "src: 192.0.2.1"},
	{"src: 0.0.0.0/0", NULL},
	{"src: 2001:db8::/32", NULL},
	{"src: \"::/0\"", NULL},
	{"src: \"::1\"", NULL},
	{"src: \"2001:db8::\"", NULL},
	{"src: 2001:db8::1/128", "src: 2001:db8::1"},
	{"src: [192.0.2.0/24, 2001:db8::/32]", NULL},
	{"src: {not: [192.0.2.0/24, 2001:db8::/32]}", NULL},
	{"src: {not: 192.0.2.0/24}, dst: 198.51.100.7", NULL},
	{"src: $office", "src: [192.0.2.0/24, 2001:db8::/32]"},
	{"dst: [$office, 203.0.113.5]", "dst: [192.0.2.0/24, 2001:db8::/32, 203.0.113.5]"},
	{"dst: $all.of_it", "dst: [192.0.2.0/24, 2001:db8::/32, 203.0.113.5]"},
	{"dst: {not: $office}", "dst: {not: [192.0.2.0/24, 2001:db8::/32]}"},
	{"dst: \"192.0.2.1:443\"", NULL},
	{"src: 192.0.2.1:443", "src: \"192.0.2.1:443\""},
	{"dst: \"[2001:db8::1]:53\"", NULL},
	{"dst: {not: [\"192.0.2.1:443\", \"[2001:db8::1]:53\"]}", NULL},
	{"dst: [$pairs, 192.0.2.9:1]", "dst: [\"192.0.2.7:80\", \"[2001:db8::7]:80\", \"192.0.2.9:1\"]"},
	{"dst: [$nobody, $pairs]", "dst: [\"192.0.2.7:80\", \"[2001:db8::7]:80\"]"},
	{"dst: [$nobody, $office]", "dst: [192.0.2.0/24, 2001:db8::/32]"},
	{"proto: udp, dst: {not: $nobody}", "proto: udp"},
	{"dport: {not: $nobody}", "dport: 0-65535"},
	{"sport: 53", NULL},
	{"sport: \"53\"", "sport: 53"},
	{"dport: 0-65535", NULL},
	{"dport: [22, 8000-8099, $web]", "dport: [22, 8000-8099, 80, 443]"},
	{"dport: {not: $web}", "dport: {not: [80, 443]}"},
	{"dport: $one", "dport: 7"},
	{"tcp_flags: syn", "tcp_flags: \"syn\""},
	{"tcp_flags: [fin, psh, urg]", "tcp_flags: \"fin,psh,urg\""},
	{"tcp_flags: \"fin, psh | urg\"", "tcp_flags: \"fin,psh,urg\""},
	{"tcp_flags: \"syn / syn,ack\"", NULL},
	{"tcp_flags: syn/all", "tcp_flags: \"syn / all\""},
	{"tcp_flags: none", "tcp_flags: \"none / all\""},
	{"tcp_flags: none / none", "tcp_flags: \"none / none\""},
	{"tcp_flags: 0x12/0x3f", "tcp_flags: \"syn,ack / fin,syn,rst,psh,ack,urg\""},
	{"icmp: any", NULL},
	{"icmp: 8", NULL},
	{"icmp: [3/4, 3-5, 3/1-4/7]", NULL},
	{"proto: icmp, icmp: echo-request", NULL},
	{"proto: icmpv6, icmp: echo-request", NULL},
	{"proto: icmp, icmp: 8", "proto: icmp, icmp: echo-request"},
	{"proto: icmpv6, icmp: 8", NULL},
	{"family: 6, icmp: [packet-too-big, 135]",
		"family: 6, icmp: [packet-too-big, neighbor-solicitation]"},
	{"proto: icmp, icmp: destination-unreachable/frag-needed", NULL},
	{"proto: icmp, icmp: 3/port-unreachable",
		"proto: icmp, icmp: destination-unreachable/port-unreachable"},
	{"proto: icmpv6, icmp: destination-unreachable/4",
		"proto: icmpv6, icmp: destination-unreachable/port-unreachable"},
	{"proto: icmp, icmp: {not: [redirect, 9-10]}", NULL},
	{"state: established", NULL},
	{"state: [established, related]", NULL},
	{"state: {not: invalid}", "state: [untracked, new, established, related]"},
	{"dscp: ef", NULL},
	{"dscp: [af11, cs1, 3]", "dscp: [3, cs1, af11]"},
	{"dscp: 46", "dscp: ef"},
	{"dscp: cs0", "dscp: be"},
	{"dscp: {not: be}", NULL},
};

#define SETS                                                                                                 \
	"sets: {office: [192.0.2.0/24, 2001:db8::/32], web: [80, 443], one: 7, "                             \
	"all.of_it: [$office, 203.0.113.5], pairs: [192.0.2.7:80, \"[2001:db8::7]:80\"], nobody: []}"

static void test_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(good); i++) {
		char text[512], expected[512];
		struct fw_ruleset *set;

		snprintf(text, sizeof(text), "firewall: {" SETS ", rules: [{name: a, %s, action: drop}]}",
			good[i].fields);
		snprintf(expected, sizeof(expected), "{name: a, %s, action: drop}",
			good[i].shown ? good[i].shown : good[i].fields);
		set = must_parse(text);
		PST_FREE char *is = shown(&set->rules[0]);
		assert_string_equal(is, expected);
		fw_ruleset_free(set);
	}
}

static const struct {
	const char *rule, *shown;
} effects[] = {
	{"name: a, action: accept", "{name: a, action: accept}"},
	{"action: REJECT, name: b-1", "{name: b-1, action: reject}"},
	{"name: \"say \\\"hi\\\" \\\\ \", action: continue, log: on",
		"{name: \"say \\\"hi\\\" \\\\ \", action: continue, log: yes}"},
	{"name: \xc3\xbc, action: drop, log: no, mark: 16", "{name: \"\xc3\xbc\", action: drop, mark: 0x10}"},
	{"name: a, action: drop, mark: 0xffffffff, log: true",
		"{name: a, action: drop, log: yes, mark: 0xffffffff}"},
	{"name: a, action: reject, reject_with: net-unreachable, mark: 3",
		"{name: a, action: reject, reject_with: no-route, mark: 0x3}"},
	{"name: a, action: next, log: yes", "{name: a, action: next, log: yes}"},
	{"name: a, action: reject, reject_with: port-unreachable",
		"{name: a, action: reject, reject_with: port-unreachable}"},
	{"name: a, action: drop, mark: 0", "{name: a, action: drop, mark: 0x0}"},
};

static void test_effects(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(effects); i++) {
		char text[512];
		struct fw_ruleset *set;

		snprintf(text, sizeof(text), "firewall: {rules: [{%s}]}", effects[i].rule);
		set = must_parse(text);
		PST_FREE char *is = shown(&set->rules[0]);
		assert_string_equal(is, effects[i].shown);
		fw_ruleset_free(set);
	}
}

static void test_document(void **state)
{
	struct fw_ruleset *set = must_parse("firewall: {}");

	(void)state;
	assert_int_equal(set->n, 0);
	assert_int_equal(set->policy, PST_FW_ACCEPT);
	fw_ruleset_free(set);
	set = must_parse("firewall:\n"
			 "  rules:\n" /* sets may stand below the rules */
			 "    - {name: a, src: $x, action: accept}\n"
			 "    - {name: b, action: reject, log: yes, mark: 3}\n"
			 "  sets:\n"
			 "    x: 192.0.2.1\n"
			 "  policy: drop\n");
	assert_int_equal(set->n, 2);
	assert_int_equal(set->policy, PST_FW_DROP);
	assert_string_equal(set->rules[1].name, "b");
	assert_int_equal(set->rules[1].id, 2);
	assert_int_equal(set->rules[1].counter, 1);
	assert_int_equal(set->rules[1].action, PST_FW_REJECT);
	assert_true(set->rules[1].log && set->rules[1].has_mark && set->rules[1].mark == 3);
	fw_ruleset_free(set);
}

/* ---- what is refused ---- */

/* In a rule; the field stands in line 1, column 30. */
static const struct {
	const char *field;
	unsigned column;
	const char *message;
} bad[] = {
	{"family: 5", 38, "family: \"5\" is no family, expected 4 or 6"},
	{"family: [4]", 38, "family: expected one value"},
	{"interface: eth77", 41,
		"interface: there is no interface \"eth77\", expected the name of one that exists"},
	{"interface: \"\"", 41,
		"interface: there is no interface \"\", expected the name of one that exists"},
	{"interface: abcdefghijklmnop", 41, "interface: \"abcdefghijklmnop\" is longer than 15 bytes"},
	{"interface: {not: eth0}", 41, "interface: expected a value or a list of values"},
	{"vlan: 4096", 36, "vlan: \"4096\": expected a VLAN id of 0 to 4095 or a range such as 100-199"},
	{"vlan: {not: 0-4095}", 36, "vlan: nothing could match: what is not to match is everything"},
	{"proto: tpc", 37, "proto: \"tpc\" is no protocol, did you mean \"tcp\"?"},
	{"proto: 256", 37,
		"proto: \"256\" is no protocol, expected tcp, udp, icmp, icmpv6 or a number up to 255"},
	{"proto: []", 37, "proto: the list is empty: nothing could match"},
	{"proto: {not: 0, and: 1}", 37, "proto: expected a value, a list of values, or {not: value or list}"},
	{"proto: {no: 0}", 37, "proto: expected a value, a list of values, or {not: value or list}"},
	{"src: 10.0.0.300", 35,
		"src: \"10.0.0.300\" is no address, expected one such as 192.0.2.1, 192.0.2.0/24, "
		"2001:db8::/32 or $set"},
	{"src: 10.0.0.0/33", 35, "src: \"10.0.0.0/33\": expected 0 to 32 behind the /"},
	{"src: 10.0.0.0/", 35, "src: \"10.0.0.0/\": expected 0 to 32 behind the /"},
	{"src: 2001:db8::/129", 35, "src: \"2001:db8::/129\": expected 0 to 128 behind the /"},
	{"src: 192.0.2.5/24", 35, "src: 192.0.2.5/24 has bits behind its prefix, expected 192.0.2.0/24"},
	{"src: 2001:db8::1/32", 35, "src: 2001:db8::1/32 has bits behind its prefix, expected 2001:db8::/32"},
	{"src: \"::ffff:1.2.3.4\"", 35,
		"src: \"::ffff:1.2.3.4\" is an IPv4 address, expected it written as one"},
	{"src: 10.0.0.1:http", 35,
		"src: \"10.0.0.1:http\" is no address with a port, expected one such as 192.0.2.1:443 or "
		"\"[2001:db8::1]:443\""},
	{"src: 10.0.0.0/8:80", 35,
		"src: \"10.0.0.0/8:80\" is no address with a port, expected one such as 192.0.2.1:443 or "
		"\"[2001:db8::1]:443\""},
	{"src: \"[10.0.0.1]:80\"", 35,
		"src: \"[10.0.0.1]:80\" is no address with a port, expected one such as 192.0.2.1:443 or "
		"\"[2001:db8::1]:443\""},
	{"src: \"[::ffff:10.0.0.1]:80\"", 35,
		"src: \"[::ffff:10.0.0.1]:80\" is no address with a port, expected one such as "
		"192.0.2.1:443 or \"[2001:db8::1]:443\""},
	{"src: \"[2001:db8::1]\"", 35,
		"src: \"[2001:db8::1]\" is no address with a port, expected one such as 192.0.2.1:443 or "
		"\"[2001:db8::1]:443\""},
	{"src: [10.0.0.1:80, 10.0.0.2]", 49,
		"src: addresses with ports and without in one list, expected a rule for each"},
	{"proto: icmp, dst: 10.0.0.1:80", 48,
		"dst: nothing could match: proto has no ports, expected tcp, udp or sctp"},
	{"family: 6, dst: 10.0.0.1:80", 46, "dst: nothing could match: no address is of the rule's family"},
	{"dport: $pairs", 37, "dport: the set \"pairs\" holds addresses with ports, expected one of ports"},
	{"src: [10.0.0.1, [10.0.0.2]]", 46, "src: expected one value in each place of the list"},
	{"src: $ofice", 35, "src: there is no set \"ofice\", did you mean \"$office\"?"},
	{"src: $zzz", 35, "src: there is no set \"zzz\", expected one that is defined above"},
	{"src: $web", 35, "src: the set \"web\" holds ports, expected one of addresses"},
	{"src: {not: [0.0.0.0/0, \"::/0\"]}", 35,
		"src: nothing could match: what is not to match is everything"},
	{"src: {not: [0.0.0.0/1, 128.0.0.0/1]}", 35,
		"src: nothing could match: what is not to match is everything"},
	{"family: 4, src: 2001:db8::/32", 46, "src: nothing could match: no address is of the rule's family"},
	{"family: 6, dst: 192.0.2.1", 46, "dst: nothing could match: no address is of the rule's family"},
	{"src: 192.0.2.1, dst: 2001:db8::/32", 51,
		"dst: nothing could match: no address is of the same family as one of src"},
	{"dport: $office", 37, "dport: the set \"office\" holds addresses, expected one of ports"},
	{"dport: https", 37,
		"dport: \"https\": expected a port of 0 to 65535, a range such as 8000-8099, or $set"},
	{"dport: 65536", 37,
		"dport: \"65536\": expected a port of 0 to 65535, a range such as 8000-8099, or $set"},
	{"dport: -1", 37, "dport: \"-1\": expected a port of 0 to 65535, a range such as 8000-8099, or $set"},
	{"dport: 90-80", 37, "dport: the range 90-80 is empty, expected 80-90"},
	{"dport: {not: 0-65535}", 37, "dport: nothing could match: what is not to match is everything"},
	{"proto: icmp, dport: 80", 50,
		"dport: nothing could match: proto has no ports, expected tcp, udp or sctp"},
	{"proto: gre, sport: 80", 49,
		"sport: nothing could match: proto has no ports, expected tcp, udp or sctp"},
	{"icmp: 8, dport: 80", 36, "icmp: nothing could match: ICMP has no ports"},
	{"icmp: 8, tcp_flags: syn", 36, "icmp: nothing could match: ICMP has no TCP flags"},
	{"proto: udp, icmp: 8", 48, "icmp: nothing could match: proto has neither icmp nor icmpv6"},
	{"proto: udp, tcp_flags: syn", 53, "tcp_flags: nothing could match: proto does not have tcp"},
	{"tcp_flags: sin", 41, "tcp_flags: \"sin\" is no TCP flag, did you mean \"fin\"?"},
	{"tcp_flags: [syn, 300]", 47,
		"tcp_flags: \"300\" is no TCP flag, expected fin, syn, rst, psh, ack, urg, ece, cwr, none or "
		"all"},
	{"tcp_flags: syn /", 41, "tcp_flags: expected flags such as syn or \"syn / syn,ack\""},
	{"tcp_flags: syn / ack", 41,
		"tcp_flags: nothing could match: syn is to be set and not looked at, expected it behind the "
		"/ too"},
	{"icmp: echo-request", 36,
		"icmp: \"echo-request\" is another number in ICMP than in ICMPv6, expected proto: icmp or "
		"proto: "
		"icmpv6 beside it"},
	{"proto: icmp, icmp: echo-requst", 49,
		"icmp: \"echo-requst\" is no type of ICMP, did you mean \"echo-request\"?"},
	{"proto: icmp, icmp: packet-too-big", 49,
		"icmp: \"packet-too-big\" is no type of ICMP, expected echo-request or a number up to 255"},
	{"proto: icmp, icmp: 3/echo", 49,
		"icmp: \"echo\" is no code of the type, expected a number up to 255"},
	{"proto: icmp, icmp: redirect/port-unreachable", 49,
		"icmp: \"port-unreachable\" is a code of type 3, expected one of type 5"},
	{"icmp: 256", 36, "icmp: \"256\": expected numbers up to 255 such as 8, 3/4, 3-5 or 3/0-3/5"},
	{"icmp: 3-4/5", 36, "icmp: \"3-4/5\": expected numbers up to 255 such as 8, 3/4, 3-5 or 3/0-3/5"},
	{"icmp: 5-3", 36, "icmp: the range 5-3 is empty: its end is below its start"},
	{"icmp: {not: 0-255}", 36, "icmp: nothing could match: what is not to match is everything"},
	{"state: estabilshed", 37, "state: \"estabilshed\" is no state, did you mean \"established\"?"},
	{"state: 1", 37,
		"state: \"1\" is no state, expected new, established, related, invalid or untracked"},
	{"state: {not: [untracked, new, established, related, invalid]}", 37,
		"state: nothing could match: no state is left"},
	{"dscp: 64", 36, "dscp: \"64\" is no DSCP, expected ef, af11, cs1 or a number up to 63"},
	{"dscp: af14", 36, "dscp: \"af14\" is no DSCP, did you mean \"af11\"?"},
	{"log: maybe", 35, "log: \"maybe\": expected yes or no"},
	{"mark: 0x100000000", 36, "mark: \"0x100000000\": expected a number of 32 bits, such as 16 or 0x10"},
	{"reject_with: no-route", 43, "reject_with: the action is not reject"},
	{"mark: 0x70737463", 36, "mark: \"0x70737463\" is the guard's own, expected another"},
	{"mark: 1f", 36, "mark: \"1f\": expected a number of 32 bits, such as 16 or 0x10"},
	{"dprot: 22", 30, "unknown key \"dprot\" of a rule, did you mean \"dport\"?"},
	{"sauce: 22", 30,
		"unknown key \"sauce\" of a rule, expected name, family, interface, vlan, proto, src, dst, "
		"sport, dport, "
		"tcp_flags, icmp, state, dscp, action, reject_with, log or mark"},
};

static void expect_errors(const char *text, const char *expected)
{
	struct pst_conf_errors errors = {0}, warnings = {0};
	struct fw_ruleset *set = NULL;

	if (!parse(text, &errors, &warnings, &set))
		fail_msg("accepted: %s", text);
	assert_null(set);
	if (!errors.text || strcmp(errors.text, expected) != 0)
		fail_msg("%.300s\nsays:     %s\nexpected: %s", text, errors.text ? errors.text : "nothing",
			expected);
	assert_int_equal(warnings.count, 0);
	pst_conf_errors_done(&errors);
}

static void test_bad_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(bad); i++) {
		char text[512], expected[512];

		snprintf(text, sizeof(text), "firewall: {rules: [{name: a, %s, action: drop}],\n " SETS "}",
			bad[i].field);
		snprintf(expected, sizeof(expected), "fw.yaml:1:%u: %s\n", bad[i].column, bad[i].message);
		expect_errors(text, expected);
	}
}

#define NO_FIREWALL "expected one key, firewall, with policy, sets and rules below it\n"

static const struct {
	const char *text, *errors;
} documents[] = {
	{"", "fw.yaml: " NO_FIREWALL},
	{"# nothing", "fw.yaml: " NO_FIREWALL},
	{"rules: []", "fw.yaml:1:1: " NO_FIREWALL},
	{"firewall:", "fw.yaml:1:10: " NO_FIREWALL},
	{"firewall: [", "fw.yaml:2:1: did not find expected node content (while parsing a flow node, which "
			"began in line 2)\n"},
	{"firewall: {polcy: drop}",
		"fw.yaml:1:12: unknown key \"polcy\" of the firewall, did you mean \"policy\"?\n"},
	{"firewall: {x: drop}",
		"fw.yaml:1:12: unknown key \"x\" of the firewall, expected policy, sets or rules\n"},
	{"firewall: {policy: reject}", "fw.yaml:1:20: policy: expected accept or drop\n"},
	{"firewall: {rules: {}}", "fw.yaml:1:19: rules: expected a list of rules\n"},
	{"firewall: {rules: [5]}",
		"fw.yaml:1:20: expected a rule such as {name: ssh, proto: tcp, dport: 22, action: accept}\n"},
	{"firewall: {rules: [{}]}",
		"fw.yaml:1:20: the rule has no name, expected one that no other rule has\n"
		"fw.yaml:1:20: the rule has no action, expected accept, drop, reject, continue or next\n"},
	{"firewall: {rules: [{name: \"\", action: drop}]}",
		"fw.yaml:1:27: name: expected 1 to 64 bytes without control characters\n"},
	{"firewall: {rules: [{name: \"a\\tb\", action: dorp}]}",
		"fw.yaml:1:27: name: expected 1 to 64 bytes without control characters\n"
		"fw.yaml:1:43: action: \"dorp\" is no action, did you mean \"drop\"?\n"},
	{"firewall:\n  rules:\n  - {name: a, action: drop, proto: tcp}\n  - {name: a, action: drop, proto: "
	 "udp}",
		"fw.yaml:4:12: name: \"a\" is the name of the rule in line 3 already, expected another\n"},
	{"firewall: {rules: [{name: a, name: b, action: drop}]}",
		"fw.yaml:1:30: key \"name\" is here a second time; the first is in line 1\n"},
	{"firewall: {sets: []}",
		"fw.yaml:1:18: sets: expected names with lists, such as {office: [192.0.2.0/24]}\n"},
	{"firewall: {sets: {a: [10.0.0.1:80, 10.0.0.1]}}",
		"fw.yaml:1:36: set a: \"10.0.0.1\" is no address with a port, expected one such as "
		"192.0.2.1:443 or \"[2001:db8::1]:443\"\n"},
	{"firewall: {sets: {a: {not: 10.0.0.1}}}",
		"fw.yaml:1:22: set a: expected a value or a list of values\n"},
	{"firewall: {sets: {\"a b\": 1}}", "fw.yaml:1:19: \"a b\" is no name of a set, expected 1 to 64 "
					   "letters, digits, \"-\", \"_\" or \".\"\n"},
	{"firewall: {sets: {a: [80, 10.0.0.1]}}", "fw.yaml:1:27: set a: \"10.0.0.1\": expected a port of 0 "
						  "to 65535, a range such as 8000-8099, or $set\n"},
	/* a bad set is told of once, and a set does not hold itself or what is below it */
	{"firewall: {sets: {a: [x, 1.2.3], b: $a, c: $d, d: $d}, rules: [{name: a, src: $a, action: drop}]}",
		"fw.yaml:1:23: set a: \"x\" is no address, expected one such as 192.0.2.1, 192.0.2.0/24, "
		"2001:db8::/32 or $set\n"
		"fw.yaml:1:26: set a: \"1.2.3\" is no address, expected one such as 192.0.2.1, 192.0.2.0/24, "
		"2001:db8::/32 or $set\n"
		"fw.yaml:1:44: set c: there is no set \"d\", expected one that is defined above\n"
		"fw.yaml:1:51: set d: there is no set \"d\", expected one that is defined above\n"},
	/* all errors of a rule and of a document */
	{"firewall:\n"
	 "  rules:\n"
	 "    - {name: a, proto: tpc, dport: [1, x, 5-4], action: drop}\n"
	 "    - {name: b, proto: icmp, dport: 1, action: accept}\n"
	 "    - name: c\n"
	 "      src: 1.2.3\n",
		"fw.yaml:3:24: proto: \"tpc\" is no protocol, did you mean \"tcp\"?\n"
		"fw.yaml:3:40: dport: \"x\": expected a port of 0 to 65535, a range such as 8000-8099, or "
		"$set\n"
		"fw.yaml:3:43: dport: the range 5-4 is empty, expected 4-5\n"
		"fw.yaml:4:37: dport: nothing could match: proto has no ports, expected tcp, udp or sctp\n"
		"fw.yaml:6:12: src: \"1.2.3\" is no address, expected one such as 192.0.2.1, 192.0.2.0/24, "
		"2001:db8::/32 or $set\n"
		"fw.yaml:5:7: the rule has no action, expected accept, drop, reject, continue or next\n"},
};

static void test_bad_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(documents); i++)
		expect_errors(documents[i].text, documents[i].errors);
}

/* ---- sets that commands change ---- */

/* @before, then @n times @each (with %zu), then @after */
static char *repeat(const char *before, size_t n, const char *each, const char *after)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs(before, out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, each, i);
	fputs(after, out);
	fclose(out);
	return text;
}

static bool takes(const struct fw_ruleset *set, size_t rule, const char *src, uint16_t dport)
{
	static union pst_line lines[4096] __attribute__((aligned(64)));
	struct fw_compiled made;
	struct pst_fw_packet p = {.root = {[PST_FW_DSCP] = 0, [PST_FW_VLAN] = 1}};
	uint8_t *addr = p.addr[0];

	addr[10] = addr[11] = p.addr[1][10] = p.addr[1][11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, src, addr + 12), 1);
	p.key[PST_FW_PROTO] = 6;
	p.key[PST_FW_DPORT] = dport;
	assert_int_equal(fw_compile(set, lines, PST_ARRAY_SIZE(lines), 1, &made), 0);
	assert_int_equal(fw_lookup(lines, PST_ARRAY_SIZE(lines), &p), fw_linear(set, &p));
	return fw_rule_matches(&set->rules[rule], &p);
}

#define FOUR_RULES                                                                                           \
	"rules: [{name: a, src: $s, action: drop}, {name: b, src: {not: $s}, action: drop}, "                \
	"{name: c, proto: tcp, dport: $p, action: drop}, {name: d, dport: {not: $p}, action: drop}]}"

static void test_empty_sets(void **state)
{
	struct fw_ruleset *set = must_parse("firewall: {sets: {s: [], p: []}, " FOUR_RULES);

	(void)state;
	assert_int_equal(set->n_sets, 2);
	assert_string_equal(set->sets[1].name, "p");
	assert_int_equal(set->sets[1].holds, FW_HOLDS_UNKNOWN);
	/* nobody is in it, everybody is not */
	assert_false(takes(set, 0, "10.0.0.1", 80));
	assert_true(takes(set, 1, "10.0.0.1", 80));
	assert_false(takes(set, 2, "10.0.0.1", 80));
	assert_true(takes(set, 3, "10.0.0.1", 80));
	fw_ruleset_free(set);
}

static struct fw_ruleset *parse_changed(
	const char *text, struct fw_set_change *changes, size_t n, struct pst_conf_errors *errors)
{
	const struct fw_context changed = {.changes = changes, .n_changes = n};
	struct fw_ruleset *set = NULL;
	int e = fw_parse("fw.yaml", text, strlen(text), &changed, errors, NULL, &set);

	assert_int_equal(!e, !errors->count);
	return set;
}

static void test_set_changes(void **state)
{
	static char s[] = "s", p[] = "p", none[] = "none", ten[] = "10.0.0.1", net[] = "10.1.0.0/16",
		    eleven[] = "11.0.0.1", port[] = "80", rubbish[] = "x";
	struct fw_set_change changes[] = {
		{.set = s, .element = ten, .add = true},
		{.set = s, .element = net, .add = true}, /* the file has it */
		{.set = s, .element = eleven},           /* twice in the file */
		{.set = s, .element = port},             /* of another kind */
		{.set = s, .element = rubbish, .add = true},
		{.set = p, .element = port, .add = true},
		{.set = none, .element = ten, .add = true},
	};
	struct pst_conf_errors errors = {0};
	struct fw_ruleset *set = parse_changed(
		"firewall: {sets: {s: [11.0.0.1, 10.1.0.0/16, 11.0.0.1, 12.0.0.0/8], p: []}, " FOUR_RULES,
		changes, PST_ARRAY_SIZE(changes), &errors);

	(void)state;
	assert_non_null(set);
	assert_int_equal(set->sets[0].n, 3);
	assert_int_equal(set->sets[1].holds, FW_HOLDS_PORTS);
	assert_true(takes(set, 0, "10.0.0.1", 1));
	assert_true(takes(set, 0, "10.1.2.3", 1));
	assert_true(takes(set, 0, "12.2.3.4", 1));
	assert_false(takes(set, 0, "11.0.0.1", 1));
	assert_true(takes(set, 2, "11.0.0.1", 80));
	assert_false(takes(set, 3, "11.0.0.1", 80));
	for (size_t i = 0; i < PST_ARRAY_SIZE(changes); i++)
		assert_int_equal(changes[i].done, i == 0 || i == 2 || i == 5);
	fw_ruleset_free(set);
	/* who asks is told */
	changes[4].errors = &errors;
	assert_null(parse_changed(
		"firewall: {sets: {s: [10.0.0.1]}}", changes, PST_ARRAY_SIZE(changes), &errors));
	assert_string_equal(errors.text,
		"fw.yaml:1:22: set s: \"x\" is no address, expected one such as 192.0.2.1, 192.0.2.0/24, "
		"2001:db8::/32 or $set\n");
	pst_conf_errors_done(&errors);
}

/* A set that is full takes no more, and the document stays good. */
static void test_set_without_room(void **state)
{
	static char a[] = "a", element[] = "11.0.0.1";
	PST_FREE char *text = repeat("firewall:\n sets:\n  a:\n", FW_SET_MAX, "  - 10.0.0.1\n", "");
	struct fw_set_change change = {.set = a, .element = element, .add = true};
	struct pst_conf_errors errors = {0};
	struct fw_ruleset *set = parse_changed(text, &change, 1, &errors);

	(void)state;
	assert_non_null(set);
	assert_false(change.done);
	fw_ruleset_free(set);
	change.errors = &errors;
	assert_null(parse_changed(text, &change, 1, &errors));
	assert_non_null(strstr(errors.text, "set a: more than 100000 elements"));
	pst_conf_errors_done(&errors);
}

static void test_element_text(void **state)
{
	static const struct {
		const char *element, *text; /* NULL: refused */
	} elements[] = {{"192.0.2.1", "192.0.2.1"}, {"192.0.2.1/32", "192.0.2.1"},
		{"192.0.2.0/24", "192.0.2.0/24"}, {"0.0.0.0/0", "0.0.0.0/0"},
		{"2001:DB8:0::1", "2001:db8::1"}, {"2001:db8::/32", "2001:db8::/32"}, {"::/0", "::/0"},
		{"80", "80"}, {"0080", "80"}, {"80-90", "80-90"}, {"80-80", "80"},
		{"192.0.2.1:080", "192.0.2.1:80"}, {"[2001:DB8::1]:53", "[2001:db8::1]:53"}, {"", NULL},
		{"$set", NULL}, {"192.0.2.1/24", NULL}, {"90-80", NULL}, {"65536", NULL},
		{"192.0.2.1:65536", NULL}, {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127", NULL},
		{"[fff1:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
			"[fff1:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(elements); i++) {
		struct pst_conf_errors errors = {0};
		char text[FW_ELEMENT_MAX];
		int e = fw_element_text(elements[i].element, &errors, text);

		assert_int_equal(!e, elements[i].text != NULL);
		assert_int_equal(!e, !errors.count);
		if (!e)
			assert_string_equal(text, elements[i].text);
		pst_conf_errors_done(&errors);
	}
}

/* ---- bounds ---- */

static void expect_bound(char *text, const char *error)
{
	if (error)
		expect_errors(text, error);
	else
		fw_ruleset_free(must_parse(text));
	free(text);
}

static void test_bounds(void **state)
{
	const char *rule = " - {name: r%zu, action: drop}\n", *next = " - {name: r%zu, action: continue}\n";

	(void)state;
	expect_bound(repeat("firewall:\n rules:\n", PST_FW_RULES_MAX, rule, ""), NULL);
	expect_bound(repeat("firewall:\n rules:\n", PST_FW_RULES_MAX + 1, rule, ""),
		"fw.yaml:15875:4: more than 15872 rules\n");
	expect_bound(repeat("firewall:\n rules:\n", PST_FW_NEXT_MAX, next, ""), NULL);
	expect_bound(repeat("firewall:\n rules:\n", PST_FW_NEXT_MAX + 1, next, ""),
		"fw.yaml:67:24: action: more than 64 rules that continue\n");
	expect_bound(repeat("firewall:\n rules:\n", PST_FW_PAIRED_MAX,
			     " - {name: r%zu, dst: 10.0.0.1:80, action: drop}\n", ""),
		NULL);
	expect_bound(repeat("firewall:\n rules:\n", PST_FW_PAIRED_MAX + 1,
			     " - {name: r%zu, dst: 10.0.0.1:80, action: drop}\n", ""),
		"fw.yaml:67:21: dst: more than 64 rules with addresses and ports in one list\n");
	expect_bound(repeat("firewall:\n sets:\n  a:\n", FW_SET_MAX, "  - 10.0.0.1\n", ""), NULL);
	expect_bound(repeat("firewall:\n sets:\n  a:\n", FW_SET_MAX + 1, "  - 10.0.0.1\n", ""),
		"fw.yaml:100004:5: set a: more than 100000 elements\n");
	expect_bound(repeat("firewall:\n sets:\n", FW_SETS_MAX, "  s%zu: 1\n", ""), NULL);
	expect_bound(repeat("firewall:\n sets:\n", FW_SETS_MAX + 1, "  s%zu: 1\n", ""),
		"fw.yaml:3:3: sets: more than 1000 sets\n");
	expect_bound(repeat("firewall: {sets: {", FW_NAME_MAX + 1, "a", ": 1}}"),
		"fw.yaml:1:19: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" is no "
		"name of a "
		"set, expected 1 to 64 letters, digits, \"-\", \"_\" or \".\"\n");
	expect_bound(repeat("firewall: {rules: [{action: drop, name: ", FW_NAME_MAX + 1, "a", "}]}"),
		"fw.yaml:1:41: name: expected 1 to 64 bytes without control characters\n");
	expect_bound(repeat("firewall: {rules: [{action: drop, name: ", FW_NAME_MAX, "a", "}]}"), NULL);
	expect_bound(repeat("firewall: {rules: [{name: a, action: drop, tcp_flags: ", 40, "syn|", "}]}"),
		"fw.yaml:1:55: tcp_flags: longer than 127 bytes\n");
	expect_bound(repeat("#", FW_TEXT_MAX, "a", ""), "fw.yaml: larger than 16384 KiB\n");
	expect_bound(repeat("firewall: [", FW_NODES_MAX, "1,", "]"),
		"fw.yaml:1:1000008: more than 500000 values\n");
}

/* A large set in many rules: the whole is bounded, too. */
static void test_all_elements(void **state)
{
	const size_t fits = FW_ELEMENTS_MAX / FW_SET_MAX - 1;
	PST_FREE char *list = repeat("firewall:\n sets:\n  a:\n", FW_SET_MAX, "  - 10.0.0.1\n", " rules:\n");

	(void)state;
	expect_bound(repeat(list, fits, " - {name: r%zu, src: $a, action: drop}\n", ""), NULL);
	expect_bound(repeat(list, fits + 1, " - {name: r%zu, src: $a, action: drop}\n", ""),
		"fw.yaml:100024:21: src: here all lists have more than 2000000 elements (a set counts "
		"wherever it is "
		"named)\n");
}

static void test_many_errors(void **state)
{
	PST_FREE char *text =
		repeat("firewall:\n rules:\n", 1000, " - {name: r%zu, proto: tpc, action: drop}\n", "");
	struct pst_conf_errors errors = {0};
	struct fw_ruleset *set = NULL;
	unsigned lines = 0;

	(void)state;
	assert_int_equal(parse(text, &errors, NULL, &set), -EINVAL);
	assert_int_equal(errors.count, 1000);
	for (const char *c = errors.text; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, PST_CONF_ERRORS_MAX);
	pst_conf_errors_done(&errors);
}

/* ---- round trip ---- */

static void assert_same_ranges(const struct fw_ranges *a, const struct fw_ranges *b)
{
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->other, b->other);
	if (a->n)
		assert_memory_equal(a->v, b->v, a->n * sizeof(*a->v));
}

static void assert_same_prefixes(const struct fw_prefixes *a, const struct fw_prefixes *b)
{
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->other, b->other);
	if (a->n)
		assert_memory_equal(a->v, b->v, a->n * sizeof(*a->v));
}

static void assert_same_endpoints(const struct fw_endpoints *a, const struct fw_endpoints *b)
{
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->other, b->other);
	if (a->n)
		assert_memory_equal(a->v, b->v, a->n * sizeof(*a->v));
}

static void assert_same_rule(const struct fw_rule *a, const struct fw_rule *b)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->family, b->family);
	assert_int_equal(a->has, b->has);
	assert_int_equal(a->tcp_mask, b->tcp_mask);
	assert_int_equal(a->tcp_value, b->tcp_value);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->action, b->action);
	assert_int_equal(a->with, b->with);
	assert_int_equal(a->log, b->log);
	assert_int_equal(a->has_mark, b->has_mark);
	assert_int_equal(a->mark, b->mark);
	assert_true(a->dscp == b->dscp);
	assert_memory_equal(a->protocols, b->protocols, sizeof(a->protocols));
	assert_same_prefixes(&a->src, &b->src);
	assert_same_prefixes(&a->dst, &b->dst);
	assert_same_endpoints(&a->ends[0], &b->ends[0]);
	assert_same_endpoints(&a->ends[1], &b->ends[1]);
	assert_same_ranges(&a->sport, &b->sport);
	assert_same_ranges(&a->dport, &b->dport);
	assert_same_ranges(&a->icmp, &b->icmp);
	assert_same_ranges(&a->vlan, &b->vlan);
	assert_int_equal(a->n_ifaces, b->n_ifaces);
	if (a->n_ifaces)
		assert_memory_equal(a->ifaces, b->ifaces, a->n_ifaces * sizeof(*a->ifaces));
}

/* What random rules may hold and no document: a VLAN id that no tag has. */
static void make_writable(struct fw_rule *r, size_t i)
{
	static const char *const forms[] = {"rule %zu", "%zu", " %zu: [x]", "\"%zu\\", "\xe2\x82\xac #%zu"};
	char name[32];

	snprintf(name, sizeof(name), forms[i % PST_ARRAY_SIZE(forms)], i);
	r->name = strdup(name);
	for (size_t k = 0; k < r->vlan.n; k++) {
		r->vlan.v[k].hi &= 0xfff;
		r->vlan.v[k].lo = PST_MIN(r->vlan.v[k].lo & 0xfff, r->vlan.v[k].hi);
	}
	r->with = r->action == PST_FW_REJECT ? (uint8_t)(rule_draw() % PST_FW_WITHS) : 0;
	r->log = rule_chance(10);
	r->has_mark = rule_chance(10);
	r->mark = r->has_mark ? (uint32_t)rule_draw() : 0;
}

/* A rule that is said to match nothing matches none of the packets that are made from its own corners. */
static void assert_matches_nothing(const struct fw_rule *rule)
{
	struct fw_rule first = *rule;
	struct fw_ruleset set = {.rules = &first, .n = 1};
	static union pst_line none[4096] __attribute__((aligned(64)));
	struct fw_ruleset empty = {0};
	struct fw_compiled made;
	struct pst_fw_packet p;

	first.action = PST_FW_DROP;
	assert_int_equal(fw_compile(&empty, none, 4096, 1, &made), 0);
	if (!fw_verify(&set, none, 4096, 300, rule_draw(), &p)) {
		PST_FREE char *text = shown(rule);
		fail_msg("matches, and is said not to: %s", text);
	}
}

static char *document(const struct fw_ruleset *set)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fw_ruleset_show(out, set, &show_context);
	fclose(out);
	return text;
}

static void round_trip(unsigned wild, size_t n)
{
	struct fw_ruleset set, *again;
	enum fw_key key;
	const char *why;
	size_t kept = 0, next = 0;

	rules_random(&set, n, wild);
	for (size_t i = 0; i < n; i++) {
		make_writable(&set.rules[i], i);
		if (!fw_rule_possible(&set.rules[i], &key, &why))
			assert_matches_nothing(&set.rules[i]);
		else if (set.rules[i].action != PST_FW_NEXT || next++ < PST_FW_NEXT_MAX) {
			set.rules[kept++] = set.rules[i];
			continue;
		}
		fw_rule_done(&set.rules[i]);
	}
	set.n = kept;
	set.policy = wild % 2 ? PST_FW_DROP : PST_FW_ACCEPT;
	assert_true(kept >= n / 4);
	PST_FREE char *text = document(&set);
	again = must_parse(text);
	assert_int_equal(again->n, kept);
	assert_int_equal(again->policy, set.policy);
	for (size_t i = 0; i < kept; i++)
		assert_same_rule(&set.rules[i], &again->rules[i]);
	fw_ruleset_free(again);
	fw_ruleset_done(&set);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++)
		round_trip(i % 5, 200);
	round_trip(0, 0);
}

/* ---- lists for people ---- */

static void test_list(void **state)
{
	struct fw_ruleset *set =
		must_parse("firewall:\n rules:\n"
			   " - {name: ssh, interface: eth0, proto: tcp, src: {not: 192.0.2.0/24}, dport: 22, "
			   "action: accept, log: yes}\n"
			   " - {name: many, dport: [1, 2, 3, 4, 5, 6], tcp_flags: syn/all, action: reject}\n"
			   " - {name: rest, action: drop}\n");
	PST_FREE char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	set->rules[0].ifaces[0] = 99; /* has gone */
	for (size_t i = 0; i < set->n; i++)
		fw_rule_list(out, &set->rules[i], &show_context);
	fclose(out);
	assert_string_equal(text,
		"    1  accept    ssh                       interface ?99 proto tcp src not 192.0.2.0/24 "
		"dport 22 log yes\n"
		"    2  reject    many                      dport 1,2,3,4,+2 tcp_flags syn/all\n"
		"    3  drop      rest                      any\n");
	fw_ruleset_free(set);
}

/* ---- rules that no packet reaches ---- */

static const struct {
	const char *first, *second;
	bool hidden;
} pairs[] = {
	{"", "", true},
	{"", "src: 192.0.2.1", true},
	{"src: 192.0.2.0/24", "src: 192.0.2.1", true},
	{"src: 192.0.2.0/24", "src: [192.0.2.1, 192.0.2.128/25]", true},
	{"src: 192.0.2.0/24", "src: [192.0.2.1, 192.0.3.1]", false},
	{"src: 192.0.2.1", "src: 192.0.2.0/24", false},
	{"src: 192.0.2.0/24", "dst: 192.0.2.0/24", false},
	{"src: \"::/0\"", "src: 192.0.2.1", false},
	{"src: {not: 192.0.2.0/24}", "src: 192.0.3.1", true},
	{"src: {not: 192.0.2.0/24}", "src: 192.0.2.1", false},
	{"src: {not: 192.0.2.0/24}", "src: 2001:db8::1", false},
	{"src: {not: 192.0.2.0/24}", "src: {not: 192.0.0.0/16}", true},
	{"src: {not: 192.0.2.0/24}", "src: {not: 192.0.2.0/25}", false},
	{"src: {not: 192.0.2.0/24}", "src: {not: [192.0.0.0/16, 2001:db8::/32]}", false},
	{"src: 192.0.2.0/24", "src: {not: 192.0.3.0/24}", false},
	{"dst: 192.0.2.0/24", "dst: 192.0.2.1, src: 192.0.2.1", true},
	{"family: 4", "src: 192.0.2.1", true},
	{"family: 4", "family: 6", false},
	{"family: 4", "proto: tcp", false},
	{"family: 4", "state: new", false},
	{"proto: tcp", "proto: tcp, dport: 80", true},
	{"proto: tcp", "dport: 80", false},
	{"proto: tcp", "tcp_flags: syn", true},
	{"proto: [icmp, icmpv6]", "icmp: 3", true},
	{"proto: icmp", "icmp: 3", false},
	{"proto: {not: tcp}", "proto: udp", true},
	{"proto: [tcp, udp]", "proto: [udp, sctp]", false},
	{"dport: 80", "dport: 80, proto: tcp", true},
	{"dport: 80-90", "dport: [80, 85-90]", true},
	{"dport: 80-90", "dport: 80-91", false},
	{"dport: {not: 80}", "dport: 81", true},
	{"dport: {not: 80}", "dport: 70-90", false},
	{"dport: {not: 80}", "", false},
	{"dport: {not: 80}", "dport: {not: 70-90}", true},
	{"sport: 80", "dport: 80", false},
	{"tcp_flags: syn", "tcp_flags: [syn, ack]", true},
	{"tcp_flags: syn/all", "tcp_flags: syn", false},
	{"icmp: any", "icmp: 8", true},
	{"icmp: 8", "icmp: any", false},
	{"icmp: 3", "icmp: 3/4", true},
	{"state: [new, established]", "state: new", true},
	{"state: new", "", false},
	{"dscp: [ef, af11]", "dscp: ef", true},
	{"dscp: ef", "dscp: {not: be}", false},
	{"vlan: 1-10", "vlan: 5", true},
	{"vlan: 1-10", "", false},
	{"interface: [eth0, eth1]", "interface: eth1", true},
	{"interface: eth0", "interface: [eth0, eth1]", false},
};

static void expect_warning(const char *first, const char *action, const char *second, const char *expected)
{
	struct pst_conf_errors errors = {0}, warnings = {0};
	struct fw_ruleset *set = NULL;
	char text[512];

	snprintf(text, sizeof(text),
		"firewall:\n rules:\n - {name: a, action: %s%s%s}\n - {name: b, action: accept%s%s}", action,
		*first ? ", " : "", first, *second ? ", " : "", second);
	assert_int_equal(parse(text, &errors, &warnings, &set), 0);
	if (strcmp(warnings.text ? warnings.text : "", expected) != 0)
		fail_msg("%s\nwarns: %s", text, warnings.text ? warnings.text : "of nothing");
	pst_conf_errors_done(&warnings);
	fw_ruleset_free(set);
}

static void test_hidden(void **state)
{
	const char *warning =
		"fw.yaml:4:4: no packet reaches the rule \"b\": \"a\" in line 3 takes all that it takes\n";

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(pairs); i++) {
		expect_warning(pairs[i].first, "drop", pairs[i].second, pairs[i].hidden ? warning : "");
		expect_warning(pairs[i].first, "continue", pairs[i].second, "");
	}
	expect_warning("family: 6, proto: icmp", "drop", "src: 192.0.2.1, proto: icmpv6",
		"fw.yaml:3:4: the rule \"a\" takes ICMP in IPv6 packets, did you mean \"icmpv6\"?\n"
		"fw.yaml:4:4: the rule \"b\" takes ICMPv6 in IPv4 packets, did you mean \"icmp\"?\n");
	expect_warning("family: 6, proto: [icmp, icmpv6]", "drop", "family: 4, proto: [icmpv6, 132]", "");
}

/* No false alarm: what is said to be hidden is never the first that matches. */
static void test_hidden_at_random(void **state)
{
	static union pst_line lines[1 << 14] __attribute__((aligned(64)));
	size_t found = 0;

	(void)state;
	for (unsigned round = 0; round < 150; round++) {
		struct fw_ruleset set, without = {0};
		struct fw_compiled made;
		struct pst_fw_packet p;
		long by[60];

		rules_random(&set, PST_ARRAY_SIZE(by), round % 3);
		for (size_t i = 0; i < set.n; i++) { /* few fields: many are hidden */
			struct fw_rule *r = &set.rules[i];

			if (rule_chance(70))
				r->src.n = 0;
			if (rule_chance(70))
				r->dst.n = 0;
			if (rule_chance(50))
				r->dport.n = 0;
			if (rule_chance(50))
				r->sport.n = 0;
		}
		assert_int_equal(fw_shadowed(&set, by), 0);
		without.rules = calloc(set.n, sizeof(*without.rules));
		for (size_t i = 0; i < set.n; i++) {
			without.rules[i] = set.rules[i];
			if (by[i] < 0)
				continue;
			assert_true(by[i] < (long)i && set.rules[by[i]].action != PST_FW_NEXT);
			without.rules[i].action = PST_FW_NEXT; /* as if it was not there */
			found++;
		}
		without.n = set.n;
		if (fw_compile(&without, lines, PST_ARRAY_SIZE(lines), 1, &made) == 0 &&
			!fw_verify(&set, lines, PST_ARRAY_SIZE(lines), 3000, rule_draw(), &p))
			fail_msg("rule %ld matches first, and is said to be hidden", fw_linear(&set, &p));
		free(without.rules);
		fw_ruleset_done(&set);
	}
	assert_true(found > 100);
}

/* ---- counters ---- */

static struct fw_ruleset *named(const char *const *names, size_t n)
{
	struct fw_ruleset *set = calloc(1, sizeof(*set));

	set->rules = calloc(n + 1, sizeof(*set->rules));
	set->n = n;
	for (size_t i = 0; i < n; i++)
		set->rules[i].name = strdup(names[i]);
	return set;
}

#define NAMED(...) named((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / 8)

static void expect_places(const struct fw_ruleset *old, struct fw_ruleset *set, uint32_t max,
	const uint32_t *places, const bool *fresh)
{
	bool is_fresh[8];

	assert_int_equal(fw_counters_assign(old, set, max, is_fresh), 0);
	for (size_t i = 0; i < set->n; i++) {
		assert_int_equal(set->rules[i].counter, places[i]);
		assert_int_equal(is_fresh[i], fresh[i]);
	}
}

static void test_counters(void **state)
{
	struct fw_ruleset *a = NAMED("x", "y", "z"), *b = NAMED("new", "z", "x"),
			  *c = NAMED("q", "r", "z", "s");
	struct fw_ruleset *d = NAMED("1", "2", "3", "4", "5", "6");

	(void)state;
	expect_places(NULL, a, 5, (uint32_t[]){0, 1, 2}, (bool[]){true, true, true});
	/* y's place is not taken while others are free: the old table counts there until it is replaced */
	expect_places(a, b, 5, (uint32_t[]){3, 2, 0}, (bool[]){true, false, false});
	/* and is when none are */
	expect_places(b, c, 5, (uint32_t[]){1, 4, 2, 0}, (bool[]){true, true, false, true});
	assert_int_equal(fw_counters_assign(c, d, 5, NULL), -ENOSPC);
	assert_int_equal(fw_counters_assign(c, d, 6, NULL), 0);
	fw_ruleset_free(a);
	fw_ruleset_free(b);
	fw_ruleset_free(c);
	fw_ruleset_free(d);
}

/* ---- the manual, and how long it takes ---- */

static const char mistakes[] = "firewall:\n"
			       "  rules:\n"
			       "    - {name: a, proto: tpc, dport: 22, action: accept}\n"
			       "    - {name: b, proto: icmp, dport: 80, action: drop}\n"
			       "    - {name: c, interface: wan0, action: drop}\n";

/* Every example of docs/firewall.md that is a whole document, and its messages. */
static void test_manual(void **state)
{
	static char page[65536];
	FILE *in = fopen("docs/firewall.md", "r");
	unsigned n = 0;

	(void)state;
	if (!in)
		skip(); /* run from elsewhere */
	page[fread(page, 1, sizeof(page) - 1, in)] = 0;
	fclose(in);
	char *messages = strstr(page, "```\nfw.yaml:");
	assert_non_null(messages);
	messages += 4;
	*strstr(messages, "```") = 0; /* below it are no documents */
	for (char *at = page; (at = strstr(at, "```yaml\nfirewall:")); n++) {
		char *end = strstr(at + 8, "```");

		assert_non_null(end);
		*end = 0;
		fw_ruleset_free(must_parse(at + 8));
		at = end + 1;
	}
	assert_true(n >= 5);
	expect_errors(mistakes, messages);
}

static void test_time(void **state)
{
	struct fw_ruleset set, *again = NULL;
	struct pst_conf_errors errors = {0}, warnings = {0};
	struct timespec from, to;

	(void)state;
	rules_random(&set, 10000, 0);
	for (size_t i = 0; i < set.n; i++) {
		/* a rule that takes everything would hide all that follow */
		while (!set.rules[i].src.n || !set.rules[i].dst.n) {
			fw_rule_done(&set.rules[i]);
			rule_random(&set.rules[i], (uint32_t)i, 0);
		}
		make_writable(&set.rules[i], i * 5);
	}
	PST_FREE char *text = document(&set);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	assert_int_equal(parse(text, &errors, &warnings, &again), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	print_message("10,000 rules, %zu bytes, %u warnings: %ld us of CPU time\n", strlen(text),
		warnings.count, (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000);
	pst_conf_errors_done(&warnings);
	fw_ruleset_free(again);
	fw_ruleset_done(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_effects),
		cmocka_unit_test(test_document),
		cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_bad_documents),
		cmocka_unit_test(test_empty_sets),
		cmocka_unit_test(test_set_changes),
		cmocka_unit_test(test_set_without_room),
		cmocka_unit_test(test_element_text),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_all_elements),
		cmocka_unit_test(test_many_errors),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_hidden_at_random),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
