// SPDX-License-Identifier: Apache-2.0
/* Policy documents: what they mean, what is refused and where, what is warned of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policyd/policy/policy.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define HEAD     "apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n"
#define IN_SCOPE "  scope: {cgroups: /x}\n  rules:\n"
#define RULE     "    - {name: r, operations: file.open, action: allow}\n"

struct result {
	struct policy_set set;
	struct pst_conf_errors errors, warnings;
	int e;
};

static struct result parse_len(const char *text, size_t len)
{
	struct result r = {0};

	r.e = policy_parse(&r.set, "p.yaml", text, len, &r.errors, &r.warnings);
	assert_int_equal(r.e != 0, r.errors.count != 0);
	return r;
}

static struct result parse(const char *text)
{
	return parse_len(text, strlen(text));
}

static void done(struct result *r)
{
	policy_set_done(&r->set);
	pst_conf_errors_done(&r->errors);
	pst_conf_errors_done(&r->warnings);
}

static void must_be_good(const struct result *r, const char *text)
{
	if (r->e)
		fail_msg("%s\n%.500s", r->errors.text, text);
}

/* One policy with this rule. */
static struct result parse_rule(const char *fields)
{
	PST_FREE char *text = NULL;

	assert_true(asprintf(&text, HEAD IN_SCOPE "    - {name: r, %s}\n", fields) > 0);
	return parse(text);
}

/* ---- what is refused, and where ---- */

struct refused {
	const char *text, *error;
};

static void check_refused(const char *text, const struct result *r, const char *error)
{
	if (!r->e)
		fail_msg("accepted: %s", text);
	if (!strstr(r->errors.text, error))
		fail_msg("expected: %s\ngot: %sof: %s", error, r->errors.text, text);
}

static const struct refused bad_rules[] = {
	{"operations: file.opne, action: deny",
		":7:29: operations: \"file.opne\" is no operation, did you mean \"file.open\"?"},
	{"operations: [file.open, nothing.such], action: deny",
		":7:41: operations: \"nothing.such\" is no operation, expected one such as file.open"},
	{"operations: [], action: deny", ":7:29: operations: the list is empty: nothing could match"},
	{"operations: {a: b}, action: deny", ":7:29: operations: expected one such as file.open"},
	{"action: deny", ":7:7: the rule has no operations, expected a list such as [file.open]"},
	{"operations: file.open", ":7:7: the rule has no action, expected allow"},
	{"operations: file.open, action: dney",
		":7:48: action: \"dney\" is no action, did you mean \"deny\"?"},
	{"operations: file.open, action: [deny]", ":7:48: action: expected allow, audit"},
	{"operations: file.open, action: deny, pahts: /x",
		":7:54: unknown key \"pahts\" of a rule, did you mean \"paths\"?"},
	{"operations: file.open, action: deny, zzz: /x",
		":7:54: unknown key \"zzz\" of a rule, expected name, operations"},
	{"operations: file.open, action: deny, cgroups: /x",
		":7:54: cgroups says who is judged: expected it in the policy's scope"},
	{"operations: file.open, action: deny, host: true", ":7:54: host says who is judged"},
	{"operations: file.open, action: deny, description: []", ":7:67: description: expected a text"},
	/* errno, rate */
	{"operations: file.open, action: deny, errno: EPREM",
		":7:61: errno: \"EPREM\" is no errno, did you mean \"EPERM\"?"},
	{"operations: file.open, action: deny, errno: 13",
		":7:61: errno: \"13\" is no errno, expected a name such as EPERM"},
	{"operations: file.open, action: kill, errno: EPERM", ":7:61: errno: what is killed gets no error"},
	{"operations: file.open, action: audit, errno: EPERM",
		":7:62: errno: what is let through gets no error"},
	{"operations: file.open, action: throttle", ":7:48: action: throttle needs a rate"},
	{"operations: file.open, action: deny, rate: 1/1s",
		":7:60: rate: expected action throttle, not deny"},
	{"operations: file.open, action: throttle, rate: 0/1s", ":7:64: rate: expected 1 to 1000000 times"},
	{"operations: file.open, action: throttle, rate: 1/0s", ":7:64: rate: expected"},
	{"operations: file.open, action: throttle, rate: 1/2d", ":7:64: rate: expected"},
	{"operations: file.open, action: throttle, rate: 10", ":7:64: rate: expected"},
	{"operations: file.open, action: throttle, rate: -1/s", ":7:64: rate: expected"},
	/* paths */
	{"operations: file.open, action: deny, paths: []", ":7:61: paths: the list is empty"},
	{"operations: file.open, action: deny, paths: etc/shadow",
		":7:61: paths: \"etc/shadow\": expected an absolute path"},
	{"operations: file.open, action: deny, paths: [/ok, /etc/../shadow]",
		":7:67: paths: \"/etc/../shadow\": \"..\": expected the path that it leads to"},
	{"operations: file.open, action: deny, paths: /etc/..", "\"..\": expected"},
	{"operations: file.open, action: deny, paths: /etc/./x", "\".\": expected the path without it"},
	{"operations: file.open, action: deny, paths: /etc//x", "\"//\": expected one slash"},
	{"operations: file.open, action: deny, paths: /etc/", "expected no slash at the end"},
	{"operations: file.open, action: deny, paths: \"\"", "expected a text, this is empty"},
	{"operations: file.open, action: deny, paths: {}",
		":7:61: paths: expected a path, or {prefix: /...}"},
	{"operations: file.open, action: deny, paths: {not: /x, glob: /y}",
		":7:61: paths: expected a value, a list of values, or {not: value or list}"},
	{"operations: file.open, action: deny, paths: {not: []}", ":7:67: paths: the list is empty"},
	{"operations: file.open, action: deny, paths: {not: {not: /x}}", "unknown key \"not\" of a path"},
	{"operations: file.open, action: deny, paths: [[/x]]",
		":7:62: paths: expected one value in each place of the list"},
	{"operations: file.open, action: deny, paths: {glbo: /x}",
		":7:62: unknown key \"glbo\" of a path, did you mean \"glob\"?"},
	{"operations: file.open, action: deny, paths: {prefix: /x, suffix: y}",
		":7:61: paths: expected one of prefix, suffix"},
	{"operations: file.open, action: deny, paths: {recursive: true}", ":7:61: paths: expected a path"},
	{"operations: file.open, action: deny, paths: {prefix: [/x]}", ":7:70: paths: expected a path"},
	{"operations: file.open, action: deny, paths: {glob: /x, recursive: true}",
		":7:83: paths: recursive is for directory alone"},
	{"operations: file.open, action: deny, paths: {directory: /x, recursive: perhaps}",
		"paths: recursive: expected true or false"},
	{"operations: file.open, action: deny, paths: {directory: /x/}", "expected no slash at the end"},
	{"operations: file.open, action: deny, paths: {prefix: x}", "expected an absolute path"},
	{"operations: file.open, action: deny, paths: {prefix: /a/../b}", "\"..\""},
	{"operations: file.open, action: deny, paths: {suffix: a/}", "no path ends so"},
	{"operations: file.open, action: deny, paths: {suffix: /../x}", "no path has a component"},
	{"operations: file.open, action: deny, paths: {glob: \"*.key\"}", "expected an absolute path"},
	{"operations: file.open, action: deny, paths: {glob: \"/x/[ab\"}",
		":7:68: paths: \"/x/[ab\": expected a ] behind this bracket"},
	{"operations: file.open, action: deny, paths: {glob: \"/x/[]\"}", "expected a ] behind this bracket"},
	{"operations: file.open, action: deny, paths: {glob: \"/x/[b-a]\"}",
		"the range ends before it begins"},
	{"operations: file.open, action: deny, paths: {glob: \"/x/[a/b]\"}", "a slash cannot be in brackets"},
	{"operations: file.open, action: deny, paths: {glob: '/x\\'}", "expected a byte after the backslash"},
	{"operations: file.open, action: deny, paths: {glob: '/x\\\\\\'}",
		"expected a byte after the backslash"},
	{"operations: file.open, action: deny, paths: {glob: '/x\\\\**'}", "** is a component of its own"},
	{"operations: file.open, action: deny, paths: {glob: \"/x**\"}", "** is a component of its own"},
	{"operations: file.open, action: deny, paths: {glob: \"/**x\"}", "** is a component of its own"},
	{"operations: file.open, action: deny, paths: {glob: \"/x/***\"}", "** is a component of its own"},
	{"operations: file.open, action: deny, paths: {not: {directory: /, recursive: true}}",
		"paths: not: all there is: nothing could match"},
	{"operations: file.open, action: deny, paths: {not: {glob: /**}}", "paths: not: all there is"},
	/* words */
	{"operations: file.open, action: deny, access: wirte",
		":7:62: access: \"wirte\" is no access, did you mean \"write\"?"},
	{"operations: file.open, action: deny, flags: [memfd, x]",
		":7:69: flags: \"x\" is no flag of a file, expected memfd"},
	{"operations: net.connect, action: deny, protocols: 256", "protocols: \"256\" is no protocol"},
	{"operations: net.connect, action: deny, protocols: 0x6", "protocols: \"0x6\" is no protocol"},
	{"operations: net.connect, action: deny, families: 64", "families: \"64\" is no address family"},
	{"operations: process.signal, action: deny, signals: SIGKIL", "did you mean \"SIGKILL\"?"},
	{"operations: process.signal, action: deny, signals: 65", "signals: \"65\" is no signal"},
	{"operations: cap.use, action: deny, capabilities: CAP_SYS_ADMN", "did you mean \"CAP_SYS_ADMIN\"?"},
	{"operations: cap.use, action: deny, holds: 21", "holds: \"21\" is no capability"},
	/* numbers */
	{"operations: file.open, action: deny, uids: root",
		":7:60: uids: \"root\": expected an id of 0 to 4294967294"},
	{"operations: file.open, action: deny, uids: 4294967295", "expected an id"},
	{"operations: file.open, action: deny, gids: 1-2-3", "expected an id"},
	{"operations: file.open, action: deny, uids: 0x10", "expected an id"},
	{"operations: file.open, action: deny, uids: -5", "expected an id"},
	{"operations: file.open, action: deny, gids: 20-10",
		":7:60: gids: the range 20-10 is empty, expected 10-20"},
	{"operations: file.open, action: deny, gids: {not: 0-4294967294}", "gids: not: all there is"},
	{"operations: net.connect, action: deny, ports: 65536", "expected a port of 0 to 65535"},
	{"operations: net.connect, action: deny, ports: [22, 90-80]",
		":7:68: ports: the range 90-80 is empty, expected 80-90"},
	{"operations: net.connect, action: deny, ports: {not: 0-65535}", "ports: not: all there is"},
	/* addresses */
	{"operations: net.connect, action: deny, addresses: localhost",
		":7:67: addresses: \"localhost\": expected"},
	{"operations: net.connect, action: deny, addresses: 10.0.0.1/8",
		"the address has bits behind this length"},
	{"operations: net.connect, action: deny, addresses: 10.0.0.0/33",
		"expected a prefix length of 0 to 32"},
	{"operations: net.connect, action: deny, addresses: {not: [0.0.0.0/0, \"::/0\"]}",
		"addresses: not: all there is"},
	{"operations: net.connect, action: deny, addresses: 10.0.0.0/8, families: inet6",
		"addresses: nothing could match: none is of the families"},
	{"operations: net.connect, action: deny, addresses: \"::1\", families: [inet, unix]",
		"addresses: nothing could match"},
	{"operations: net.connect, action: deny, ports: 80, families: unix",
		"families: nothing could match: only inet and inet6"},
	{"operations: net.connect, action: deny, ports: 80, protocols: icmp",
		"ports: nothing could match: none of the protocols has ports"},
	/* names, files, namespaces */
	{"operations: process.module, action: deny, modules: a.b",
		"modules: \"a.b\": expected 1 to 55 letters"},
	{"operations: file.open, action: deny, parents: {glob: /x}",
		":7:63: parents: expected a value, a list of values"},
	{"operations: file.open, action: deny, ancestors: [x]",
		"ancestors: \"x\": expected an absolute path"},
	{"operations: file.open, action: deny, namespaces: host",
		"namespaces: expected kinds with host or other"},
	{"operations: file.open, action: deny, namespaces: {}",
		"namespaces: expected kinds with host or other"},
	{"operations: file.open, action: deny, namespaces: {pdi: host}",
		":7:67: namespaces: \"pdi\" is no kind of namespace, did you mean \"pid\"?"},
	{"operations: file.open, action: deny, namespaces: {pid: mine}",
		":7:72: namespaces: pid: expected host or other"},
	/* conditions that the operation cannot have */
	{"operations: process.bpf, action: deny, paths: /x",
		":7:63: paths: process.bpf has none, so the rule could never take it"},
	{"operations: [file.open, file.unlink], action: deny, access: write", "access: file.unlink has none"},
	{"operations: net.socket, action: deny, ports: 80", "ports: net.socket has none"},
	{"operations: file.open, action: deny, targets: /x", "targets: file.open has none"},
	{"operations: cap.use, action: deny, arguments: x", "arguments: cap.use has none"},
	/* what comes too late */
	{"operations: process.exec, action: deny, arguments: --privileged",
		":7:68: arguments: they are known when the program has been started, too late to deny: "
		"expected action: kill"},
	{"operations: process.exec, action: throttle, rate: 1/1s, arguments: x", "too late to deny"},
};

static void rules_are_refused_with_a_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(bad_rules); i++) {
		struct result r = parse_rule(bad_rules[i].text);

		check_refused(bad_rules[i].text, &r, bad_rules[i].error);
		done(&r);
	}
}

#define SPEC  "apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p}\n"
#define RULES "  rules: [{name: r, operations: file.open, action: allow}]\n"

static const struct refused bad_docs[] = {
	{"", "p.yaml: there is no policy in it"},
	{"# nothing\n---\n---\n", "p.yaml: there is no policy in it"},
	{"just text\n", ":1:1: expected a policy: a mapping with apiVersion, kind, metadata and spec"},
	{"a: [\n", ":2:1: "},
	{"apiVersion: penstock.dev/v2\nkind: Policy\nmetadata: {name: p}\nspec:\n" RULES,
		":1:13: apiVersion: expected penstock.dev/v1"},
	{"apiVersion: penstock.dev/v1\nkind: Polcy\nmetadata: {name: p}\nspec:\n" RULES,
		":2:7: kind: expected Policy"},
	{"kind: Policy\nmetadata: {name: p}\nspec:\n" RULES,
		":1:1: apiVersion is missing, expected penstock.dev/v1"},
	{"apiVersion: penstock.dev/v1\nkind: Policy\nspec:\n" RULES, ":1:1: metadata is missing"},
	{"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p}\n", ":1:1: spec is missing"},
	{SPEC "sepc: {}\nspec:\n" RULES, ":4:1: unknown key \"sepc\" of a policy, did you mean \"spec\"?"},
	{SPEC "spec: [1]\n", ":4:7: expected a policy's spec: a mapping with mode, requires, scope or rules"},
	{SPEC "spec: {}\n", ":4:7: rules is missing"},
	{SPEC "spec: {rules: []}\n", ":4:15: rules: expected a list of rules"},
	{SPEC "spec: {rules: {}}\n", ":4:15: rules: expected a list of rules"},
	{SPEC "spec: {rules: [x]}\n", ":4:16: expected a rule such as"},
	{SPEC "spec: {rules: [{operations: file.open, action: allow}]}\n", ":4:16: the rule has no name"},
	{SPEC "spec: {rules: [{name: \"\", operations: file.open, action: allow}]}\n",
		"name: expected a text of 1 to 63 bytes"},
	{SPEC "spec: {rules: [{name: \"a\\nb\", operations: file.open, action: allow}]}\n",
		":4:23: name: expected a text without control characters"},
	{SPEC "spec:\n  mode: enforced\n" RULES,
		":5:9: mode: \"enforced\" is no mode, did you mean \"enforce\"?"},
	{SPEC "spec:\n  requires: all\n" RULES,
		":5:13: requires: \"all\" is no capability of the kernel, expected deny, kill or observe"},
	{SPEC "spec:\n  scope: {}\n" RULES, ":5:10: scope: it is empty"},
	{SPEC "spec:\n  scope: here\n" RULES, ":5:10: expected a scope: a mapping"},
	{SPEC "spec:\n  scope: {paths: /x}\n" RULES,
		":5:11: unknown key \"paths\" of a scope, expected cgroups"},
	{SPEC "spec:\n  scope: {cgruops: /x}\n" RULES,
		":5:11: unknown key \"cgruops\" of a scope, did you mean \"cgroups\"?"},
	{SPEC "spec:\n  scope: {containers: true, host: true}\n" RULES,
		":5:35: host: nothing is in containers and in none"},
	{SPEC "spec:\n  scope: {containers: false}\n" RULES, ":5:23: containers: expected true"},
	{SPEC "spec:\n  scope: {cgroups: x}\n" RULES, ":5:20: cgroups: \"x\": expected an absolute path"},
	{SPEC "spec:\n  scope: {cgroups: {not: /}}\n" RULES, ":5:20: cgroups: not: all there is"},
	{SPEC "spec:\n  scope: {cgroups: {not: [/x, /]}}\n" RULES, ":5:20: cgroups: not: all there is"},
	{SPEC "spec:\n  scope: {cgroups: []}\n" RULES, ":5:20: cgroups: the list is empty"},
	{SPEC "spec:\n  scope: {descendantsOf: {glob: /x}}\n" RULES,
		":5:26: descendantsOf: expected a value"},
	{SPEC "spec:\n  scope: {uids: 5-1}\n" RULES, ":5:17: uids: the range 5-1 is empty"},
	{SPEC "spec:\n  scope: {uids: [1-9]}\n  rules: [{name: r, operations: file.open, uids: 10, action: "
	      "allow}]\n",
		":6:50: uids: nothing could match: the policy's scope has none of them"},
	{SPEC "spec:\n  scope: {executables: /a}\n  rules: [{name: r, operations: file.open, executables: "
	      "[/b, /c], action: allow}]\n",
		"executables: nothing could match: the policy's scope"},
	{SPEC "spec:\n  requires: deny\n  rules: [{name: r, operations: process.exec, arguments: x, action: "
	      "kill}]\n",
		":6:58: arguments: they are known when the program has been started, too late to deny: "
		"expected requires: kill"},
	{SPEC "spec:\n  rules:\n    - {name: git, operations: process.exec, arguments: x, action: allow}\n   "
	      " - {name: rest, operations: process.exec, action: deny}\n",
		":7:54: action: the rule \"git\" in line 6 asks for arguments, which are known too late to "
		"deny process.exec after it"},
	{SPEC "spec:\n  rules:\n    - {name: a, operations: file.open, action: allow}\n    - {name: b, "
	      "operations: file.link, action: allow}\n    - {name: a, operations: file.chmod, action: "
	      "allow}\n",
		":8:7: the name \"a\" is that of the rule in line 6 already"},
	{SPEC "spec:\n" RULES "---\n" SPEC "spec:\n" RULES,
		":9:18: name: \"p\" is the name of the policy in p.yaml:1 already"},
	{SPEC "spec:\n" RULES "---\n[]\n", ":7:1: expected a policy"},
	{"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: Upper}\nspec:\n" RULES,
		":3:18: name: expected 1 to 63 of a-z, 0-9 and -"},
	{"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: a-}\nspec:\n" RULES,
		"with no - at the ends"},
	{"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: [a]}\nspec:\n" RULES,
		":3:18: name: expected"},
	{"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {}\nspec:\n" RULES, ":3:11: name is missing"},
	{"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: x\nspec:\n" RULES,
		":3:11: expected metadata: a mapping"},
	{"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p, anotations: {}}\nspec:\n" RULES,
		":3:21: unknown key \"anotations\" of metadata, did you mean \"annotations\"?"},
	{"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p, annotations: [a]}\nspec:\n" RULES,
		":3:34: annotations: expected a mapping"},
	{"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p, labels: {a: [b]}}\nspec:\n" RULES,
		":3:33: labels: expected a text"},
};

static void documents_are_refused_with_a_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(bad_docs); i++) {
		struct result r = parse(bad_docs[i].text);

		check_refused(bad_docs[i].text, &r, bad_docs[i].error);
		done(&r);
	}
}

static void all_errors_of_a_file_are_told(void **state)
{
	struct result r =
		parse("apiVersion: x\nkind: y\nmetadata: {name: A}\nspec:\n  mode: on\n  scope: {uids: x}\n"
		      "  rules:\n    - {name: r, operations: [a, b], action: c, paths: [d, {glob: e}]}\n"
		      "    - {operations: file.open, action: deny}\n");

	(void)state;
	assert_int_equal(r.errors.count, 11);
	done(&r);
}

/* ---- what is understood ---- */

static const char full[] =
	"apiVersion: penstock.dev/v1\n"
	"kind: Policy\n"
	"metadata:\n"
	"  name: secrets\n"
	"  labels: {team: a}\n"
	"  annotations: {reason: for people}\n"
	"spec:\n"
	"  mode: audit\n"
	"  requires: kill\n"
	"  scope:\n"
	"    cgroups: [/system.slice/nginx.service, \"/docker/*\"]\n"
	"    containers: true\n"
	"    uids: [33, 1000-60000]\n"
	"    executables: {not: [/usr/sbin/nginx, {prefix: /opt/}]}\n"
	"    descendantsOf: [/usr/sbin/sshd]\n"
	"  rules:\n"
	"    - name: first\n"
	"      description: what it is for\n"
	"      operations: [file.open, process.exec]\n"
	"      paths: [/etc/shadow, {directory: /etc/ssh}, {directory: /srv, recursive: yes}, {glob: "
	"\"/home/*/.ssh/**\"}, {suffix: .key}, {prefix: /a}]\n"
	"      flags: {not: memfd}\n"
	"      action: deny\n"
	"      errno: EACCES\n"
	"    - name: second\n"
	"      operations: [net.connect]\n"
	"      addresses: [10.0.0.0/8, \"2001:db8::/32\", 192.0.2.1]\n"
	"      ports: [443, 8000-8099]\n"
	"      protocols: [tcp, 17]\n"
	"      families: inet\n"
	"      gids: 0\n"
	"      holds: [CAP_SYS_ADMIN, CAP_BPF]\n"
	"      gained: {not: [CAP_KILL]}\n"
	"      namespaces: {pid: host, net: other}\n"
	"      parents: /bin/sh\n"
	"      ancestors: {not: /usr/sbin/sshd}\n"
	"      action: throttle\n"
	"      rate: 100/1m\n"
	"    - {name: third, operations: process.exec, arguments: [\"--cap-add=*\"], action: kill}\n"
	"    - {name: fourth, operations: process.module, modules: [nf-tables], action: alert}\n"
	"    - {name: fifth, operations: process.signal, signals: [SIGKILL, 64], targets: {glob: /usr/**}, "
	"action: audit}\n";

static void check_scope(const struct policy *p)
{
	const struct policy_cond *c = policy_cond_of(&p->scope, POLICY_CGROUPS);

	assert_int_equal(p->scope.n, 5);
	assert_int_equal(c->n, 2);
	assert_string_equal(c->patterns[1].text, "/docker/*");
	assert_int_equal(c->patterns[1].kind, POLICY_CGROUP);
	c = policy_cond_of(&p->scope, POLICY_UIDS);
	assert_true(c->n == 2 && c->ranges[0].lo == 33 && c->ranges[0].hi == 33 && c->ranges[1].lo == 1000 &&
		    c->ranges[1].hi == 60000);
	c = policy_cond_of(&p->scope, POLICY_EXECUTABLES);
	assert_true(c->other && c->n == 2 && c->patterns[1].kind == POLICY_PREFIX);
	assert_non_null(policy_cond_of(&p->scope, POLICY_CONTAINERS));
	assert_null(policy_cond_of(&p->scope, POLICY_HOST));
	assert_string_equal(
		policy_cond_of(&p->scope, POLICY_DESCENDANTS)->patterns[0].text, "/usr/sbin/sshd");
}

static void check_files(const struct policy_rule *rule)
{
	static const enum policy_pattern_kind kinds[] = {
		POLICY_EXACT, POLICY_DIRECTORY, POLICY_TREE, POLICY_GLOB, POLICY_SUFFIX, POLICY_PREFIX};
	const struct policy_cond *c = policy_cond_of(&rule->conds, POLICY_PATHS);

	assert_true(rule->ops == (PST_OP_BIT(PST_OP_FILE_OPEN) | PST_OP_BIT(PST_OP_PROCESS_EXEC)));
	assert_int_equal(rule->action, PST_ACT_DENY);
	assert_int_equal(rule->error, EACCES);
	assert_int_equal(rule->line, 17);
	assert_int_equal(c->n, PST_ARRAY_SIZE(kinds));
	for (size_t i = 0; i < PST_ARRAY_SIZE(kinds); i++)
		assert_int_equal(c->patterns[i].kind, kinds[i]);
	c = policy_cond_of(&rule->conds, POLICY_FLAGS);
	assert_true(c->other && c->bits[0] == 1u << PST_FILE_MEMFD);
}

static void check_net(const struct policy_rule *rule)
{
	const struct policy_cond *c = policy_cond_of(&rule->conds, POLICY_ADDRESSES);

	assert_int_equal(c->n, 3);
	assert_true(c->prefixes[0].len == 104 && c->prefixes[0].addr[12] == 10 &&
		    c->prefixes[0].addr[11] == 0xff);
	assert_true(
		c->prefixes[1].len == 32 && c->prefixes[1].addr[0] == 0x20 && c->prefixes[1].addr[3] == 0xb8);
	assert_true(c->prefixes[2].len == 128 && c->prefixes[2].addr[15] == 1);
	c = policy_cond_of(&rule->conds, POLICY_PROTOCOLS);
	assert_true(c->bits[0] == (1u << 6 | 1u << 17));
	assert_true(policy_cond_of(&rule->conds, POLICY_FAMILIES)->bits[0] == 1u << AF_INET);
	assert_true(policy_cond_of(&rule->conds, POLICY_HOLDS)->bits[0] == (1ull << 21 | 1ull << 39));
	assert_true(policy_cond_of(&rule->conds, POLICY_GAINED)->other);
	c = policy_cond_of(&rule->conds, POLICY_NAMESPACES);
	assert_true(c->ns_host == 1u << PST_NS_PID && c->ns_other == 1u << PST_NS_NET);
	assert_int_equal(rule->action, PST_ACT_THROTTLE);
	assert_true(rule->rate == 100 && rule->within_ns == 60000000000ull);
}

static void a_policy_is_understood(void **state)
{
	struct result r = parse(full);
	const struct policy *p;

	(void)state;
	must_be_good(&r, full);
	assert_int_equal(r.warnings.count, 0);
	assert_int_equal(r.set.n, 1);
	p = r.set.v[0];
	assert_string_equal(p->name, "secrets");
	assert_string_equal(p->file, "p.yaml");
	assert_int_equal(p->mode, POLICY_AUDIT);
	assert_int_equal(p->requires, POLICY_KILL);
	assert_int_equal(p->n, 5);
	check_scope(p);
	check_files(&p->rules[0]);
	check_net(&p->rules[1]);
	assert_int_equal(
		policy_cond_of(&p->rules[2].conds, POLICY_ARGUMENTS)->patterns[0].kind, POLICY_TEXT_GLOB);
	assert_string_equal(
		policy_cond_of(&p->rules[3].conds, POLICY_MODULES)->patterns[0].text, "nf_tables");
	assert_true(policy_cond_of(&p->rules[4].conds, POLICY_SIGNALS)->bits[1] == 1);
	done(&r);
}

static void defaults(void **state)
{
	struct result r = parse(HEAD IN_SCOPE RULE);

	(void)state;
	must_be_good(&r, "defaults");
	assert_int_equal(r.set.v[0]->mode, POLICY_ENFORCE);
	assert_int_equal(r.set.v[0]->requires, POLICY_AS_RULES);
	assert_int_equal(r.set.v[0]->rules[0].conds.n, 0);
	done(&r);
}

static void several_documents_in_a_file(void **state)
{
	struct result r = parse(
		"---\n# a comment\n---\n" HEAD IN_SCOPE RULE
		"---\n---\napiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: q}\nspec:\n" IN_SCOPE
			RULE "...\n");

	(void)state;
	must_be_good(&r, "documents");
	assert_int_equal(r.set.n, 2);
	assert_int_equal(r.set.v[0]->line, 4);
	assert_string_equal(r.set.v[1]->name, "q");
	done(&r);
}

/* ---- warnings ---- */

static const struct refused warned[] = {
	{HEAD "  rules:\n    - {name: a, operations: file.open, action: kill}\n",
		":6:7: the rule \"a\" can kill any process of the host: the policy \"p\" has no scope"},
	{HEAD "  scope: {cgroups: [/x, /], uids: 0-4294967294}\n  rules:\n    - {name: a, operations: "
	      "file.open, "
	      "action: throttle, rate: 1/1s}\n",
		":7:7: the rule \"a\" can hold up any process"},
	{HEAD "  scope: {host: true}\n  rules:\n    - {name: a, operations: file.open, action: deny}\n",
		":7:7: the rule \"a\" can hold up any process of the host: the policy \"p\" has a scope that "
		"leaves none out"},
	{HEAD IN_SCOPE "    - {name: a, operations: file.open, action: deny}\n    - {name: b, operations: "
		       "file.open, paths: /x, action: allow}\n",
		":8:7: the rule \"b\" is never reached: \"a\" in line 7 takes all that it takes"},
	{HEAD IN_SCOPE "    - {name: a, operations: file.open, paths: {directory: /etc, recursive: true}, "
		       "action: deny}\n    - {name: b, operations: file.open, paths: [/etc/x, {directory: "
		       "/etc/ssh}], uids: 0, action: allow}\n",
		":8:7: the rule \"b\" is never reached: \"a\""},
	{HEAD IN_SCOPE "    - {name: a, operations: file.open, action: allow}\n    - {name: b, operations: "
		       "file.link, action: allow}\n    - {name: c, operations: [file.open, file.link], "
		       "action: deny}\n",
		":9:7: the rule \"c\" is never reached: rules before it take all of its operations"},
	{HEAD IN_SCOPE "    - {name: a, operations: net.connect, ports: {not: 22}, action: allow}\n    - "
		       "{name: b, operations: net.connect, ports: {not: [20-30]}, action: deny}\n",
		"\"b\" is never reached"},
	{HEAD IN_SCOPE "    - {name: a, operations: net.connect, addresses: 10.0.0.0/8, action: allow}\n    "
		       "- {name: b, operations: net.connect, addresses: 10.1.0.0/16, action: deny}\n",
		"\"b\" is never reached"},
	{HEAD IN_SCOPE "    - {name: a, operations: file.open, access: [read, write], action: allow}\n    - "
		       "{name: b, operations: file.open, access: read, action: deny}\n",
		"\"b\" is never reached"},
	{HEAD IN_SCOPE "    - {name: a, operations: file.open, paths: \"/home/*/x\", action: deny}\n",
		":7:47: paths: \"/home/*/x\" is a file of exactly this name, did you mean {glob: ...}?"},
	{HEAD IN_SCOPE "    - {name: a, operations: file.open, parents: \"/bin/*\", action: deny}\n",
		"patterns cannot be here"},
};

static void what_is_not_meant_is_warned_of(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(warned); i++) {
		struct result r = parse(warned[i].text);

		must_be_good(&r, warned[i].text);
		if (r.warnings.count != 1 || !strstr(r.warnings.text, warned[i].error))
			fail_msg("expected: %s\ngot %u: %s", warned[i].error, r.warnings.count,
				r.warnings.text ? r.warnings.text : "none");
		done(&r);
	}
}

static const char *const not_warned[] = {
	HEAD "  mode: off\n  rules:\n    - {name: a, operations: file.open, action: kill}\n",
	HEAD "  rules:\n    - {name: a, operations: file.open, action: alert}\n",
	HEAD IN_SCOPE "    - {name: a, operations: file.open, paths: /x, action: deny}\n    - {name: b, "
		      "operations: file.open, action: allow}\n",
	HEAD IN_SCOPE "    - {name: a, operations: file.open, paths: {directory: /etc}, action: deny}\n    - "
		      "{name: b, operations: file.open, paths: /etc/ssh/x, action: allow}\n",
	HEAD IN_SCOPE "    - {name: a, operations: file.open, paths: {not: /x}, action: deny}\n    - {name: "
		      "b, operations: file.open, paths: /x, action: allow}\n",
	HEAD IN_SCOPE "    - {name: a, operations: net.connect, addresses: 0.0.0.0/0, action: allow}\n    - "
		      "{name: b, operations: net.connect, addresses: \"2001:db8::/32\", action: deny}\n",
	HEAD IN_SCOPE "    - {name: a, operations: net.connect, ports: {not: [20-30]}, action: allow}\n    - "
		      "{name: b, operations: net.connect, ports: {not: 22}, action: deny}\n",
	HEAD IN_SCOPE "    - {name: a, operations: [file.open], action: allow}\n    - {name: b, operations: "
		      "[file.open, file.link], action: deny}\n",
};

static void what_is_meant_is_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(not_warned); i++) {
		struct result r = parse(not_warned[i]);

		must_be_good(&r, not_warned[i]);
		if (r.warnings.count)
			fail_msg("%s%s", r.warnings.text, not_warned[i]);
		done(&r);
	}
}

/* ---- bounds ---- */

/* @n times @format, which has one %zu, between the two texts. */
static char *repeat(const char *before, const char *format, size_t n, const char *after, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	assert_non_null(out);
	fputs(before, out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, format, i);
	fputs(after, out);
	fclose(out);
	return text;
}

static struct result parse_repeated(const char *before, const char *format, size_t n, const char *after)
{
	size_t len;
	PST_FREE char *text = repeat(before, format, n, after, &len);

	return parse_len(text, len);
}

static void all_is_bounded(void **state)
{
	static const char one[] =
		"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p%zu}\nspec: {rules: [{name: r, "
		"operations: cap.use, action: audit}]}\n---\n";
	struct result r;

	(void)state;
	r = parse_repeated(HEAD IN_SCOPE,
		"    - {name: r%zu, operations: file.open, uids: 7, action: allow}\n", POLICY_RULES_MAX, "");
	must_be_good(&r, "as many rules as there may be");
	assert_int_equal(r.set.n_rules, POLICY_RULES_MAX);
	done(&r);
	r = parse_repeated(HEAD IN_SCOPE, "    - {name: r%zu, operations: file.open, action: allow}\n",
		POLICY_RULES_MAX + 1, "");
	check_refused("rules", &r, ":7:5: here all policies have more than 10000 rules");
	done(&r);
	r = parse_repeated("", one, POLICY_POLICIES_MAX, "");
	must_be_good(&r, "as many policies as there may be");
	assert_int_equal(r.set.n, POLICY_POLICIES_MAX);
	done(&r);
	r = parse_repeated("---\n", "---\n", 2 * POLICY_POLICIES_MAX, "");
	check_refused("documents", &r, "more than 8000 documents in a file");
	done(&r);
	r = parse_repeated("", one, POLICY_POLICIES_MAX + 1, "");
	check_refused("policies", &r, ":20001:1: more than 4000 policies");
	done(&r);
	r = parse_repeated(HEAD IN_SCOPE "    - {name: r, operations: net.connect, action: deny, ports: [1",
		", %zu", POLICY_LIST_MAX, "]}\n");
	check_refused("list", &r, "ports: more than 1000 elements");
	done(&r);
	r = parse_repeated(HEAD IN_SCOPE "    - {name: r, operations: file.open, action: deny, paths: /x",
		"%010zu", 500, "}\n");
	check_refused("path", &r, "longer than 4095 bytes");
	done(&r);
	r = parse_repeated(HEAD IN_SCOPE RULE "#", "%020zu", POLICY_FILE_BYTES / 20, "");
	check_refused("file", &r, "p.yaml: larger than 4096 KiB");
	done(&r);
}

static void elements_of_all_lists_are_bounded(void **state)
{
	size_t len;
	PST_FREE char *list = repeat("[1", ", %zu", POLICY_LIST_MAX - 1, "]", &len);
	PST_FREE char *text = NULL;
	struct policy_set set = {0};
	struct pst_conf_errors errors = {0};
	size_t n = 0;
	int e = 0;

	(void)state;
	for (; !e && n < 1000; n++) {
		free(PST_TAKE_PTR(text));
		assert_true(asprintf(&text,
				    "apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: "
				    "p%zu}\nspec: {rules: [{name: r, "
				    "operations: net.bind, action: audit, ports: %s}]}\n",
				    n, list) > 0);
		e = policy_parse(&set, "p.yaml", text, strlen(text), &errors, NULL);
	}
	assert_int_equal(e, -EINVAL);
	assert_int_equal(n - 1, POLICY_ELEMENTS_MAX / POLICY_LIST_MAX);
	assert_non_null(strstr(errors.text, "here all lists have more than 200000 elements"));
	policy_set_done(&set);
	pst_conf_errors_done(&errors);
}

/* ---- files ---- */

static void write_file(const char *folder, const char *name, const char *text)
{
	PST_FREE char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	PST_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pst_write_all(fd, text, strlen(text)), 0);
}

static void remove_file(const char *folder, const char *name)
{
	PST_FREE char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	unlink(path);
}

static void files_and_folders(void **state)
{
	char folder[] = "/tmp/pst-policy-XXXXXX", *paths[2] = {folder, NULL};
	struct pst_strs named = {.v = paths, .n = 1}, files = {0};
	struct result r = {0};

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(policy_files(&named, &r.errors, &files), -ENOENT);
	assert_non_null(strstr(r.errors.text, "there is no *.yaml or *.yml in this folder"));
	pst_conf_errors_done(&r.errors);
	write_file(folder, "b.yaml", HEAD IN_SCOPE RULE);
	write_file(folder, "a.yml", HEAD IN_SCOPE RULE);
	write_file(folder, ".hidden.yaml", "bad");
	write_file(folder, "note.txt", "bad");
	assert_int_equal(policy_files(&named, &r.errors, &files), 0);
	assert_int_equal(files.n, 2);
	assert_non_null(strstr(files.v[0], "/a.yml"));
	assert_int_equal(policy_read(&r.set, files.v[0], &r.errors, &r.warnings), 0);
	assert_int_equal(policy_read(&r.set, files.v[1], &r.errors, &r.warnings), -EINVAL);
	assert_non_null(strstr(
		r.errors.text, "b.yaml:3:18: name: \"p\" is the name of the policy in /tmp/pst-policy-"));
	assert_non_null(strstr(r.errors.text, "/a.yml:1 already"));
	assert_int_equal(policy_read(&r.set, folder, &r.errors, NULL), -EINVAL);
	assert_int_equal(policy_read(&r.set, "/nowhere/at/all", &r.errors, NULL), -ENOENT);
	paths[1] = (char[]){"/nowhere/at/all"};
	named.n = 2;
	pst_strs_done(&files);
	assert_int_equal(policy_files(&named, &r.errors, &files), -ENOENT);
	remove_file(folder, "b.yaml");
	remove_file(folder, "a.yml");
	remove_file(folder, ".hidden.yaml");
	remove_file(folder, "note.txt");
	assert_int_equal(rmdir(folder), 0);
	done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_refused_with_a_place),
		cmocka_unit_test(documents_are_refused_with_a_place),
		cmocka_unit_test(all_errors_of_a_file_are_told),
		cmocka_unit_test(a_policy_is_understood),
		cmocka_unit_test(defaults),
		cmocka_unit_test(several_documents_in_a_file),
		cmocka_unit_test(what_is_not_meant_is_warned_of),
		cmocka_unit_test(what_is_meant_is_not),
		cmocka_unit_test(all_is_bounded),
		cmocka_unit_test(elements_of_all_lists_are_bounded),
		cmocka_unit_test(files_and_folders),
	};

	return cmocka_run_group_tests_name("policy_parse", tests, NULL, NULL);
}
