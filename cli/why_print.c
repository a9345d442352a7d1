// SPDX-License-Identifier: Apache-2.0
/* An answer of why_json() for people: the verdict, then a line a step. */
#include <string.h>

#include "cli/cli.h"
#include "cli/report.h"
#include "cli/why.h"
#include "proto/base/cleanup.h"

#define RED   "\033[31m"
#define GREEN "\033[32m"
#define PLAIN "\033[0m"
#define DRY   ", but it only counts"

static long long number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static bool has(const json_t *o, const char *key)
{
	return json_object_get(o, key) != NULL;
}

static bool is(const json_t *o, const char *key, const char *text)
{
	return !strcmp(report_text(o, key), text);
}

static void print_words(const json_t *list, const char *between)
{
	const json_t *word;
	size_t i;

	json_array_foreach(list, i, word) printf("%s%s", i ? between : "", cli_safe(json_string_value(word)));
}

static void print_end(const json_t *h, const char *addr, const char *port)
{
	bool ip6 = strchr(report_text(h, addr), ':');

	if (!has(h, port))
		printf(" %s", report_safe(h, addr));
	else
		printf(ip6 ? " [%s]:%lld" : " %s:%lld", report_safe(h, addr), number(h, port));
}

static void print_packet(const json_t *h)
{
	if (!has(h, "src")) {
		printf("a frame of %lld bytes", number(h, "bytes"));
		return;
	}
	printf("%s", report_safe(h, "protocol"));
	print_end(h, "src", "sport");
	printf(" >");
	print_end(h, "dst", "dport");
	if (has(h, "icmp_type"))
		printf(", type %lld/%lld", number(h, "icmp_type"), number(h, "icmp_code"));
	if (has(h, "tcp_flags")) {
		printf(", flags ");
		if (json_array_size(json_object_get(h, "tcp_flags")))
			print_words(json_object_get(h, "tcp_flags"), ",");
		else
			printf("none");
	}
	if (has(h, "vlan"))
		printf(", vlan %lld", number(h, "vlan"));
	printf(", %lld bytes", number(h, "bytes"));
}

static void print_headers(const json_t *h)
{
	printf("  headers     %s", report_safe(h, "state"));
	if (has(h, "tunnel"))
		printf(", inside of %s %s > %s", report_safe(h, "tunnel"), report_safe(h, "outer_src"),
			report_safe(h, "outer_dst"));
	if (has(h, "later_fragment"))
		printf(", a fragment but the first");
	if (has(h, "filled_bytes"))
		printf("; the capture has cut off %lld bytes, zeros in their place",
			number(h, "filled_bytes"));
	putchar('\n');
}

static void print_lists(const json_t *l)
{
	printf("  lists       %s", report_safe(l, "state"));
	if (has(l, "prefix"))
		printf(": %s", report_safe(l, "prefix"));
	if (has(l, "text"))
		printf(", %s", report_safe(l, "text"));
	if (has(l, "expires_s"))
		printf(", for %lld s more", number(l, "expires_s"));
	if (has(l, "dry"))
		printf("%s", DRY);
	if (has(l, "generation"))
		printf(" (generation %lld)", number(l, "generation"));
	if (has(l, "unknown"))
		printf("; policyd: %s", report_safe(l, "unknown"));
	putchar('\n');
}

/* Steps that have nothing to say are not shown. */
static void print_floods(const char *title, const json_t *o)
{
	if (is(o, "state", "off"))
		return;
	printf("  %-11s %s", title, report_safe(o, "state"));
	if (has(o, "name"))
		printf(": %s", report_safe(o, "name"));
	if (has(o, "unknown"))
		printf("; policyd: %s", report_safe(o, "unknown"));
	if (has(o, "action"))
		printf(": %s", report_safe(o, "action"));
	if (has(o, "cause"))
		printf(": %s, for %lld s more", report_safe(o, "cause"), number(o, "expires_s"));
	if (has(o, "dry"))
		printf("%s", DRY);
	putchar('\n');
}

/* @of: whose limits they are; @between: what comes before the next one */
static void print_shares(const json_t *l, const char *of, const char **between)
{
	static const char *const names[] = {"packets", "bytes", "connections"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++) {
		const json_t *one = json_object_get(l, names[i]);

		if (!one)
			continue;
		printf("%s %s%s %lld ms of %lld ms used%s", *between, of, names[i], number(one, "used_ms"),
			number(one, "burst_ms"), json_is_true(json_object_get(one, "over")) ? ", over" : "");
		*between = ";";
	}
}

static void print_limits(const json_t *l)
{
	const json_t *protocol = json_object_get(l, "protocol");
	const char *between = ":";

	printf("  limits      %s", report_safe(l, "state"));
	if (is(l, "state", "exempt"))
		printf(": the allow list has its source");
	else if (is(l, "state", "no place"))
		printf(": the table of sources is full, so it is not limited");
	else if (is(l, "state", "none"))
		printf(": its protocol has none");
	print_shares(l, "", &between);
	print_shares(protocol, "its protocol's ", &between);
	if (has(l, "dry"))
		printf("%s", DRY);
	if (has(l, "known") || has(protocol, "known"))
		printf("%s", json_is_true(json_object_get(l, "known")) ||
					     json_is_true(json_object_get(protocol, "known"))
				     ? ""
				     : " (a new source)");
	putchar('\n');
}

static void print_connection(const json_t *c)
{
	const json_t *e;
	size_t i;

	printf("  connection  %s", report_safe(c, "state"));
	if (has(c, "then"))
		printf("; if it passes, the connection %s", report_safe(c, "then"));
	putchar('\n');
	json_array_foreach(json_object_get(c, "entries"), i, e)
	{
		const json_t *sides = json_object_get(e, "sides");

		printf("              in %s, idle %lld s: ", report_safe(e, "table"), number(e, "idle_s"));
		print_words(json_array_get(sides, 0), " ");
		printf(" | ");
		print_words(json_array_get(sides, 1), " ");
		putchar('\n');
	}
}

static void print_rule(const json_t *r)
{
	printf("rule %lld", number(r, "id"));
	if (has(r, "name"))
		printf(", %s: %s", report_safe(r, "name"), report_safe(r, "text"));
	if (has(r, "unknown"))
		printf(" (its name: policyd: %s)", report_safe(r, "unknown"));
}

static void print_rules(const json_t *r)
{
	printf("  rules       ");
	if (!has(r, "action")) {
		printf("%s\n", report_safe(r, "state"));
		return;
	}
	printf("%s by ", report_safe(r, "action"));
	if (is(r, "state", "policy"))
		printf("the policy, no rule takes it");
	else
		print_rule(r);
	printf(" (generation %lld%s)", number(r, "generation"),
		json_is_true(json_object_get(r, "cached")) ? ", kept from an earlier packet" : "");
	if (number(r, "passed_total"))
		printf(", after %lld that only count", number(r, "passed_total"));
	if (json_is_false(json_object_get(r, "search_agrees")))
		printf("; the rules in force say otherwise");
	putchar('\n');
}

void why_print(const json_t *a, bool colour)
{
	bool pass = is(a, "verdict", "pass");

	if (has(a, "packet"))
		printf("packet %lld: ", number(a, "packet"));
	print_packet(json_object_get(a, "headers"));
	printf("\n%s%s%s at %s of %s: %s\n", colour ? pass ? GREEN : RED : "", report_safe(a, "verdict"),
		colour ? PLAIN : "", report_safe(a, "mode"), report_safe(a, "interface"),
		report_safe(a, "reason"));
	print_headers(json_object_get(a, "headers"));
	print_lists(json_object_get(a, "lists"));
	print_floods("offenders", json_object_get(a, "offenders"));
	print_floods("flags", json_object_get(a, "flags"));
	print_floods("signatures", json_object_get(a, "signatures"));
	print_limits(json_object_get(a, "limits"));
	print_connection(json_object_get(a, "connection"));
	print_rules(json_object_get(a, "rules"));
	print_floods("syns", json_object_get(a, "syns"));
}
