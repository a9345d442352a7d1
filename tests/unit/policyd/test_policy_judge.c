// SPDX-License-Identifier: Apache-2.0
/* What policies say of acts: each condition with what it takes and what it does not, then whole policies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "policyd/policy/act.h"
#include "proto/base/cleanup.h"

static struct policy_set must_parse(const char *text)
{
	struct pst_conf_errors errors = {0};
	struct policy_set set = {0};

	if (policy_parse(&set, "p.yaml", text, strlen(text), &errors, NULL))
		fail_msg("%s%s", errors.text, text);
	return set;
}

static struct policy_act_text must_be_act(const char *text)
{
	struct pst_conf_errors errors = {0};
	struct policy_act_text act;

	if (policy_act_parse(text, &errors, &act))
		fail_msg("%s%s", errors.text, text);
	return act;
}

/* ---- patterns ---- */

static const struct {
	enum policy_pattern_kind kind;
	const char *pattern, *text;
	bool takes;
} patterns[] = {
	{POLICY_EXACT, "/etc/x", "/etc/x", true},
	{POLICY_EXACT, "/etc/x", "/etc/xy", false},
	{POLICY_EXACT, "/etc/*", "/etc/x", false},
	{POLICY_PREFIX, "/etc/x", "/etc/xy/z", true},
	{POLICY_PREFIX, "/etc/x", "/etc/", false},
	{POLICY_SUFFIX, ".key", "/a/b.key", true},
	{POLICY_SUFFIX, ".key", "/a/b.keys", false},
	{POLICY_SUFFIX, "longer than it", "/a", false},
	{POLICY_DIRECTORY, "/etc", "/etc/x", true},
	{POLICY_DIRECTORY, "/etc", "/etc", false},
	{POLICY_DIRECTORY, "/etc", "/etc/ssh/x", false},
	{POLICY_DIRECTORY, "/etc", "/etcetera", false},
	{POLICY_DIRECTORY, "/", "/", false},
	{POLICY_DIRECTORY, "/", "/x", true},
	{POLICY_DIRECTORY, "/", "/x/y", false},
	{POLICY_TREE, "/etc", "/etc/ssh/x", true},
	{POLICY_TREE, "/etc", "/etc", true},
	{POLICY_TREE, "/etc", "/etcetera/x", false},
	{POLICY_TREE, "/", "/any/thing", true},
	{POLICY_GLOB, "/home/*/x", "/home/a/x", true},
	{POLICY_GLOB, "/home/*/x", "/home/a/b/x", false},
	{POLICY_GLOB, "/home/*/x", "/home//x", false},
	{POLICY_GLOB, "/*", "/", false},
	{POLICY_GLOB, "/*", "/a", true},
	{POLICY_GLOB, "/*", "/.a", true},
	{POLICY_GLOB, "/a/*b/c", "/a/b/c", true},
	{POLICY_GLOB, "/a*", "/a", true},
	{POLICY_GLOB, "/a*b*c", "/aXbXbXc", true},
	{POLICY_GLOB, "/a*b*c", "/aXbX/c", false},
	{POLICY_GLOB, "/a?c", "/abc", true},
	{POLICY_GLOB, "/a?c", "/a/c", false},
	{POLICY_GLOB, "/[a-c]x", "/bx", true},
	{POLICY_GLOB, "/[a-c]x", "/dx", false},
	{POLICY_GLOB, "/[!a-c]x", "/dx", true},
	{POLICY_GLOB, "/a[!b]c", "/a/c", false},
	{POLICY_GLOB, "/[]a]x", "/]x", true},
	{POLICY_GLOB, "/[a-]x", "/-x", true},
	{POLICY_GLOB, "/a\\*", "/a*", true},
	{POLICY_GLOB, "/a\\*", "/ab", false},
	{POLICY_GLOB, "/a\\\\b", "/a\\b", true},
	{POLICY_GLOB, "/a/**", "/a/b/c", true},
	{POLICY_GLOB, "/a/**", "/a", false},
	{POLICY_GLOB, "/a/**", "/a/", false},
	{POLICY_GLOB, "/a/**/x", "/a/x", true},
	{POLICY_GLOB, "/a/**/x", "/a/b/c/x", true},
	{POLICY_GLOB, "/a/**/x", "/a/bx", false},
	{POLICY_GLOB, "/a/**/x", "/a/b/cx", false},
	{POLICY_GLOB, "/**/x/*.y", "/a/x/b/x/c.y", true},
	{POLICY_GLOB, "/**", "/", false},
	{POLICY_GLOB, "/**", "/a", true},
	{POLICY_TEXT_GLOB, "--cap-add=*", "--cap-add=a/b", true},
	{POLICY_TEXT_GLOB, "*a?c*", "xxabcxx", true},
	{POLICY_TEXT_GLOB, "a**c", "abc", true},
	{POLICY_TEXT_GLOB, "abc", "abcd", false},
	{POLICY_CGROUP, "/docker/*", "/docker/1", true},
	{POLICY_CGROUP, "/docker/*", "/docker/1/init/x", true},
	{POLICY_CGROUP, "/docker/*", "/docker", false},
	{POLICY_CGROUP, "/a.slice", "/a.slice", true},
	{POLICY_CGROUP, "/a.slice", "/a.slice/x", true},
	{POLICY_CGROUP, "/a.slice", "/a.slices/x", false},
	{POLICY_CGROUP, "/", "/a", true},
	{POLICY_CGROUP, "/", "/", true},
};

static void patterns_take(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(patterns); i++) {
		const struct policy_pattern p = {patterns[i].kind, (char *)(uintptr_t)patterns[i].pattern};
		const char *fault = policy_pattern_fault(p.kind, p.text);

		if (fault && p.kind != POLICY_SUFFIX)
			fail_msg("%s: %s", p.text, fault);
		if (policy_pattern_takes(&p, patterns[i].text) != patterns[i].takes)
			fail_msg("kind %d %s: %s", p.kind, p.text, patterns[i].text);
	}
}

/* A pattern that another covers takes nothing that the other does not. */
static void covering_is_certain(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(patterns); i++)
		for (size_t j = 0; j < PST_ARRAY_SIZE(patterns); j++) {
			const struct policy_pattern a = {patterns[i].kind,
							    (char *)(uintptr_t)patterns[i].pattern},
						    b = {patterns[j].kind,
							    (char *)(uintptr_t)patterns[j].pattern};

			for (size_t k = 0; policy_pattern_covers(&a, &b) && k < PST_ARRAY_SIZE(patterns); k++)
				if (policy_pattern_takes(&b, patterns[k].text) &&
					!policy_pattern_takes(&a, patterns[k].text))
					fail_msg(
						"%s covers %s, and not %s", a.text, b.text, patterns[k].text);
		}
}

/* ---- conditions: one rule, and acts that it takes or not ---- */

#define HEAD "apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p}\n"

static const struct {
	const char *fields, *act; /* of the rule; what follows the operation */
	bool takes;
} conditions[] = {
	{"operations: file.open", "file.open", true},
	{"operations: file.open", "file.link", false},
	{"operations: [cap.use, process.exec]", "process.exec", true},
	/* paths */
	{"operations: file.open, paths: /x", "file.open, path: /x", true},
	{"operations: file.open, paths: /x", "file.open, path: /y", false},
	{"operations: file.open, paths: /x", "file.open", false},
	{"operations: file.open, paths: [/y, {directory: /d}]", "file.open, path: /d/x", true},
	{"operations: file.open, paths: {not: [/y, /z]}", "file.open, path: /x", true},
	{"operations: file.open, paths: {not: [/y, /z]}", "file.open, path: /z", false},
	{"operations: file.open, paths: {not: /y}", "file.open", false},
	{"operations: file.rename, paths: /x", "file.rename, path: /y, to: /x", true},
	{"operations: file.rename, paths: /x", "file.rename, path: /x, to: /y", true},
	{"operations: file.rename, paths: {not: /x}", "file.rename, path: /y, to: /x", false},
	{"operations: file.rename, paths: {not: /x}", "file.rename, path: /y, to: /z", true},
	/* by inode: what is named exactly, and what is in a folder that is; texts are no inodes */
	{"operations: file.open, paths: /x", "file.open, path: /y, same: [/x]", true},
	{"operations: file.open, paths: /x", "file.open, path: /y, same: [/z, /x]", true},
	{"operations: file.open, paths: /x", "file.open, same: [/x]", true},
	{"operations: file.open, paths: /x", "file.open, path: /y, folders: [/x]", false},
	{"operations: file.open, paths: {not: /x}", "file.open, path: /y, same: [/x]", false},
	{"operations: file.open, paths: {not: /x}", "file.open, path: /y, same: [/z]", true},
	{"operations: file.open, paths: {not: /x}", "file.open, same: [/z]", false},
	{"operations: file.open, paths: {directory: /x}", "file.open, path: /y, folders: [/x, /]", true},
	{"operations: file.open, paths: {directory: /x}", "file.open, path: /y, folders: [/z, /x]", false},
	{"operations: file.open, paths: {directory: /x}", "file.open, path: /y, same: [/x]", false},
	{"operations: file.open, paths: {directory: /x, recursive: true}",
		"file.open, path: /y, folders: [/z, /x]", true},
	{"operations: file.open, paths: {directory: /x, recursive: true}", "file.open, path: /y, same: [/x]",
		true},
	{"operations: file.open, paths: {directory: /x, recursive: true}",
		"file.open, path: /y, same: [/x/z]", false},
	{"operations: file.open, paths: {prefix: /x}", "file.open, path: /y, same: [/x]", false},
	{"operations: file.open, paths: {glob: /x*}", "file.open, path: /y, same: [/x]", false},
	{"operations: file.open, paths: {suffix: x}", "file.open, path: /y, folders: [/x]", false},
	{"operations: file.open, executables: /x", "file.open, executable: /y, sameExecutable: [/x]", true},
	{"operations: file.open, executables: /x", "file.open, sameExecutable: [/x]", true},
	{"operations: file.open, executables: {not: /x}", "file.open, executable: /y, sameExecutable: [/x]",
		false},
	{"operations: file.open, executables: {not: /x}", "file.open, sameExecutable: [/z]", false},
	{"operations: file.open, executables: /x", "file.open, executable: /y, same: [/x]", false},
	{"operations: file.rename, paths: /x", "file.rename, path: /y", false},
	/* flags, access */
	{"operations: process.exec, flags: [memfd, unlinked]", "process.exec, flags: [memfd]", true},
	{"operations: process.exec, flags: [memfd, unlinked]", "process.exec, flags: [upper, setid]", false},
	{"operations: process.exec, flags: {not: upper}", "process.exec", true},
	{"operations: process.exec, flags: {not: upper}", "process.exec, flags: [upper, setid]", false},
	{"operations: file.open, access: [write, append]", "file.open, access: [read, write]", true},
	{"operations: file.open, access: [write, append]", "file.open, access: [read]", false},
	{"operations: file.open, access: {not: write}", "file.open, access: [read]", true},
	{"operations: file.open, access: {not: write}", "file.open, access: [read, write]", false},
	/* the network */
	{"operations: net.connect, addresses: 10.0.0.0/8", "net.connect, address: 10.9.8.7", true},
	{"operations: net.connect, addresses: 10.0.0.0/8", "net.connect, address: 11.0.0.0", false},
	{"operations: net.connect, addresses: 10.0.0.0/8", "net.connect, family: unix", false},
	{"operations: net.connect, addresses: {not: 10.0.0.0/8}", "net.connect, address: 11.0.0.0", true},
	{"operations: net.connect, addresses: {not: 10.0.0.0/8}", "net.connect, family: unix", false},
	{"operations: net.connect, addresses: {not: 10.0.0.0/8}", "net.connect, address: 10.0.0.1", false},
	{"operations: net.connect, addresses: 0.0.0.0/0", "net.connect, address: \"2001:db8::1\"", false},
	{"operations: net.connect, addresses: \"::/0\"", "net.connect, address: \"2001:db8::1\"", true},
	{"operations: net.connect, addresses: \"::/0\"", "net.connect, address: 192.0.2.1", false},
	{"operations: net.connect, addresses: \"2001:db8::/33\"", "net.connect, address: \"2001:db8:8000::\"",
		false},
	{"operations: net.bind, ports: 0-1023", "net.bind, port: 1023", true},
	{"operations: net.bind, ports: [22, 80]", "net.bind, port: 81", false},
	{"operations: net.bind, ports: 0-65535", "net.bind", false},
	{"operations: net.bind, ports: {not: 22}", "net.bind", false},
	{"operations: net.bind, ports: {not: 22}", "net.bind, port: 23", true},
	{"operations: net.socket, protocols: [icmp, 132]", "net.socket, protocol: sctp", true},
	{"operations: net.socket, protocols: {not: [tcp, udp]}", "net.socket, protocol: tcp", false},
	{"operations: net.socket, protocols: 255", "net.socket, protocol: 255", true},
	{"operations: net.socket, families: [packet, netlink]", "net.socket, family: packet", true},
	{"operations: net.socket, families: {not: [inet, inet6, unix]}", "net.socket, family: alg", true},
	{"operations: net.socket, families: {not: [inet, inet6, unix]}", "net.socket, family: unix", false},
	{"operations: net.connect, families: inet", "net.connect, address: 10.0.0.1", true},
	/* other objects */
	{"operations: process.ptrace, targets: {directory: /usr/sbin}",
		"process.ptrace, target: /usr/sbin/sshd", true},
	{"operations: process.ptrace, targets: {not: /x}", "process.ptrace", false},
	{"operations: process.signal, signals: [SIGKILL, SIGSTOP]", "process.signal, signal: SIGKILL", true},
	{"operations: process.signal, signals: {not: SIGTERM}", "process.signal, signal: SIGTERM", false},
	{"operations: process.signal, signals: 64", "process.signal, signal: 64", true},
	{"operations: cap.use, capabilities: [CAP_SYS_ADMIN]", "cap.use, capabilities: [CAP_SYS_ADMIN]",
		true},
	{"operations: cap.use, capabilities: [CAP_SYS_ADMIN]", "cap.use, capabilities: [CAP_BPF]", false},
	{"operations: process.capset, capabilities: {not: CAP_BPF}",
		"process.capset, capabilities: [CAP_BPF, CAP_KILL]", false},
	{"operations: process.module, modules: nf-tables", "process.module, module: nf_tables", true},
	{"operations: process.module, modules: {not: [a, b]}", "process.module, module: c", true},
	{"operations: process.exec, arguments: [\"--privileged\", \"--cap-add=*\"]",
		"process.exec, arguments: [docker, --cap-add=ALL]", true},
	{"operations: process.exec, arguments: x", "process.exec, arguments: []", false},
	{"operations: process.exec, arguments: {not: x}", "process.exec, arguments: []", true},
	{"operations: process.exec, arguments: {not: x}", "process.exec", false},
	{"operations: process.exec, arguments: {not: x}", "process.exec, arguments: [a, x]", false},
	/* the subject */
	{"operations: file.open, executables: /bin/sh", "file.open, executable: /bin/sh", true},
	{"operations: file.open, executables: {prefix: /bin/}", "file.open, executable: /usr/bin/sh", false},
	{"operations: file.open, executables: {not: {prefix: /bin/}}", "file.open, executable: /usr/bin/sh",
		true},
	{"operations: file.open, executables: {not: /x}", "file.open", false},
	{"operations: file.open, parents: [/a, /b]", "file.open, parent: /b", true},
	{"operations: file.open, parents: /a", "file.open, parent: /b, ancestors: [/a]", false},
	{"operations: file.open, parents: {not: /a}", "file.open, parent: /b", true},
	{"operations: file.open, ancestors: /a", "file.open, parent: /b, ancestors: [/c, /a]", true},
	{"operations: file.open, ancestors: /b", "file.open, parent: /b", true},
	{"operations: file.open, ancestors: /x", "file.open, executable: /x, ancestors: [/c]", false},
	{"operations: file.open, ancestors: {not: /a}", "file.open, ancestors: [/c]", true},
	{"operations: file.open, ancestors: {not: /a}", "file.open, ancestors: [/c, /a]", false},
	{"operations: file.open, ancestors: {not: /a}", "file.open", false},
	{"operations: file.open, uids: [0, 1000-2000]", "file.open, uid: 1500", true},
	{"operations: file.open, uids: [0, 1000-2000]", "file.open, uid: 2001", false},
	{"operations: file.open, uids: {not: 0}", "file.open, uid: 33", true},
	{"operations: file.open, uids: {not: 0}", "file.open", false},
	{"operations: file.open, gids: 4", "file.open, gid: 4", true},
	{"operations: file.open, gids: {not: 4}", "file.open, gid: 4", false},
	{"operations: file.open, holds: [CAP_SYS_ADMIN, CAP_BPF]", "file.open, holds: [CAP_KILL, CAP_BPF]",
		true},
	{"operations: file.open, holds: CAP_SYS_ADMIN", "file.open, holds: [CAP_KILL]", false},
	{"operations: file.open, holds: {not: CAP_SYS_ADMIN}", "file.open", true},
	{"operations: file.open, gained: CAP_SYS_ADMIN", "file.open, holds: [CAP_SYS_ADMIN]", false},
	{"operations: file.open, gained: CAP_SYS_ADMIN", "file.open, gained: [CAP_SYS_ADMIN]", true},
	{"operations: file.open, namespaces: {pid: other}", "file.open, namespaces: {pid: other}", true},
	{"operations: file.open, namespaces: {pid: other}", "file.open", false},
	{"operations: file.open, namespaces: {pid: host, net: other}", "file.open, namespaces: {net: other}",
		true},
	{"operations: file.open, namespaces: {pid: host, net: other}",
		"file.open, namespaces: {net: other, pid: other}", false},
	/* all of them */
	{"operations: file.open, paths: /x, uids: 7", "file.open, path: /x, uid: 7", true},
	{"operations: file.open, paths: /x, uids: 7", "file.open, path: /x, uid: 8", false},
	{"operations: file.open, paths: /x, uids: 7", "file.open, path: /y, uid: 7", false},
};

static bool judge_rule(const char *scope, const char *fields, const char *act_fields)
{
	PST_FREE char *text = NULL, *act_text = NULL;
	struct policy_verdict v;

	assert_true(asprintf(&text, HEAD "spec:\n%s  rules: [{name: r, action: audit, %s}]\n", scope,
			    fields) > 0);
	assert_true(asprintf(&act_text, "{operation: %s}", act_fields) > 0);
	PST_CLEANUP(policy_set_done) struct policy_set set = must_parse(text);
	PST_CLEANUP(policy_act_done) struct policy_act_text act = must_be_act(act_text);
	v = policy_judge(&set, &act.act);
	assert_int_equal(v.action, v.rule ? PST_ACT_AUDIT : PST_ACT_NONE);
	return v.rule;
}

static void conditions_take(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(conditions); i++)
		if (judge_rule("", conditions[i].fields, conditions[i].act) != conditions[i].takes)
			fail_msg("%s %s %s", conditions[i].fields,
				conditions[i].takes ? "does not take" : "takes", conditions[i].act);
}

static const struct {
	const char *scope, *act;
	bool takes;
} scopes[] = {
	{"cgroups: /docker/*", "cgroup: /docker/1", true},
	{"cgroups: /docker/*", "cgroup: /docker/1/below/it", true},
	{"cgroups: /docker/*", "cgroup: /docker", false},
	{"cgroups: [/a, /b]", "cgroup: /b/c", true},
	{"cgroups: [/a, /b]", "cgroup: /bc", false},
	{"cgroups: {not: [/a, /b]}", "cgroup: /bc", true},
	{"cgroups: {not: [/a, /b]}", "cgroup: /a/x", false},
	{"cgroups: \"/kubepods.slice/**/cri-*.scope\"", "cgroup: /kubepods.slice/x/y/cri-1.scope/init", true},
	{"cgroups: /a", "uid: 0", false},
	{"containers: true", "container: true", true},
	{"containers: true", "container: false", false},
	{"host: true", "container: true", false},
	{"host: true", "uid: 1", true},
	{"uids: [33, 1000-60000]", "uid: 33", true},
	{"uids: [33, 1000-60000]", "uid: 34", false},
	{"uids: {not: 0}", "uid: 0", false},
	{"executables: {directory: /usr/sbin}", "executable: /usr/sbin/nginx", true},
	{"executables: {directory: /usr/sbin}", "executable: /usr/bin/x", false},
	{"executables: {not: /a}", "executable: /b", true},
	{"descendantsOf: /usr/sbin/sshd", "ancestors: [/bin/sh, /usr/sbin/sshd]", true},
	{"descendantsOf: /usr/sbin/sshd", "executable: /usr/sbin/sshd, ancestors: [/sbin/init]", false},
	{"descendantsOf: [/a, /usr/sbin/sshd]", "parent: /usr/sbin/sshd", true},
	{"descendantsOf: {not: /usr/sbin/sshd}", "ancestors: [/bin/sh]", true},
	{"cgroups: /a, uids: 7, containers: true", "cgroup: /a, uid: 7, container: true", true},
	{"cgroups: /a, uids: 7, containers: true", "cgroup: /a, uid: 7", false},
	{"cgroups: /a, uids: 7, containers: true", "cgroup: /a, uid: 8, container: true", false},
};

static void scopes_say_who_is_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(scopes); i++) {
		PST_FREE char *scope = NULL, *act = NULL;

		assert_true(asprintf(&scope, "  scope: {%s}\n", scopes[i].scope) > 0);
		assert_true(asprintf(&act, "file.open, %s", scopes[i].act) > 0);
		if (judge_rule(scope, "operations: file.open", act) != scopes[i].takes)
			fail_msg("%s: %s", scopes[i].scope, scopes[i].act);
	}
}

/* ---- whole policies ---- */

#define POLICY(name, spec)                                                                                   \
	"---\napiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: " name "}\nspec: {" spec "}\n"

static const char secrets[] =
	POLICY("secrets", "rules: ["
			  "{name: sshd, operations: file.open, paths: {directory: /etc/ssh}, executables: "
			  "/usr/sbin/sshd, action: allow},"
			  "{name: told, operations: file.open, paths: /etc/ssh/moduli, action: audit},"
			  "{name: nobody, operations: [file.open, file.unlink], paths: [/etc/shadow, "
			  "{directory: /etc/ssh, recursive: true}], action: deny}]");

static const char exec_only[] = POLICY("exec-only",
	"scope: {cgroups: /web}, rules: ["
	"{name: known, operations: process.exec, paths: [/bin/sh, {directory: /usr/lib/web}], action: allow},"
	"{name: rest, operations: process.exec, action: kill}]");

static const char levels[] = POLICY("a-audit",
	"rules: [{name: r, operations: file.open, paths: {prefix: /l}, action: audit}]") POLICY("b-alert",
	"rules: [{name: r, operations: file.open, paths: {prefix: /l2}, action: alert}]") POLICY("c-throttle",
	"rules: [{name: r, operations: file.open, paths: {prefix: /l23}, action: throttle, rate: 1/1s}]")
	POLICY("d-deny", "rules: [{name: r, operations: file.open, paths: {prefix: /l234}, action: deny}]")
		POLICY("e-kill",
			"rules: [{name: r, operations: file.open, paths: {prefix: /l2345}, action: kill}]")
			POLICY("f-allow", "rules: [{name: r, operations: file.open, action: allow}]");

static const char modes[] = POLICY(
	"off", "mode: off, rules: [{name: r, operations: file.open, action: kill}]") POLICY("audit",
	"mode: audit, rules: [{name: r, operations: file.open, paths: {prefix: /a}, action: deny},"
	"{name: told, operations: file.link, action: alert}]") POLICY("audit2",
	"mode: audit, rules: [{name: r, operations: file.open, paths: /a/kill, action: kill}]") POLICY("on",
	"mode: enforce, rules: [{name: r, operations: file.open, paths: /a/x, action: deny, errno: EACCES},"
	"{name: s, operations: file.open, paths: /a/told, action: audit}]");

static const char equals[] = POLICY("one", "rules: [{name: r, operations: file.open, action: deny}]")
	POLICY("two", "rules: [{name: r, operations: file.open, action: deny}]");

static const struct {
	const char *policies, *act, *verdict; /* "action policy/rule", and what it would */
} verdicts[] = {
	/* the first rule of a policy says */
	{secrets, "file.open, path: /etc/ssh/key, executable: /usr/sbin/sshd", "allow secrets/sshd"},
	{secrets, "file.open, path: /etc/ssh/key, executable: /bin/cat", "deny secrets/nobody"},
	{secrets, "file.open, path: /etc/ssh/key", "deny secrets/nobody"},
	{secrets, "file.open, path: /etc/ssh/moduli, executable: /bin/cat", "audit secrets/told"},
	{secrets, "file.open, path: /etc/ssh/d/x, executable: /usr/sbin/sshd", "deny secrets/nobody"},
	{secrets, "file.unlink, path: /etc/ssh/key, executable: /usr/sbin/sshd", "deny secrets/nobody"},
	{secrets, "file.open, path: /etc/passwd", "none"},
	{secrets, "file.chmod, path: /etc/shadow", "none"},
	/* allow-lists */
	{exec_only, "process.exec, path: /bin/sh, cgroup: /web/1", "allow exec-only/known"},
	{exec_only, "process.exec, path: /usr/lib/web/x, cgroup: /web", "allow exec-only/known"},
	{exec_only, "process.exec, path: /bin/nc, cgroup: /web/1", "kill exec-only/rest"},
	{exec_only, "process.exec, path: /bin/nc, cgroup: /other", "none"},
	{exec_only, "file.open, path: /bin/nc, cgroup: /web", "none"},
	/* of several the strongest */
	{levels, "file.open, path: /x", "allow f-allow/r"},
	{levels, "file.open, path: /l", "audit a-audit/r"},
	{levels, "file.open, path: /l2", "alert b-alert/r"},
	{levels, "file.open, path: /l23", "throttle c-throttle/r"},
	{levels, "file.open, path: /l234", "deny d-deny/r"},
	{levels, "file.open, path: /l2345", "kill e-kill/r"},
	{equals, "file.open", "deny one/r"},
	/* modes */
	{modes, "file.open, path: /x", "none"},
	{modes, "file.open, path: /a/y", "audit audit/r would deny"},
	{modes, "file.link, path: /x", "alert audit/told"},
	{modes, "file.open, path: /a/x", "deny on/r"},
	{modes, "file.open, path: /a/told", "audit audit/r would deny"},
	{modes, "file.open, path: /a/kill", "audit audit2/r would kill"},
};

static void policies_say_together(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(verdicts); i++) {
		PST_FREE char *act_text = NULL, *got = NULL;

		assert_true(asprintf(&act_text, "{operation: %s}", verdicts[i].act) > 0);
		PST_CLEANUP(policy_set_done) struct policy_set set = must_parse(verdicts[i].policies);
		PST_CLEANUP(policy_act_done) struct policy_act_text act = must_be_act(act_text);
		struct policy_verdict v = policy_judge(&set, &act.act);

		if (v.rule)
			assert_true(
				asprintf(&got, "%s %s/%s%s%s", policy_actions.name(v.action), v.policy->name,
					v.rule->name, v.would != v.action ? " would " : "",
					v.would != v.action ? policy_actions.name(v.would) : "") > 0);
		if (strcmp(got ? got : "none", verdicts[i].verdict) != 0)
			fail_msg("%s: expected %s, got %s", verdicts[i].act, verdicts[i].verdict,
				got ? got : "none");
	}
}

/* ---- acts in words ---- */

static const struct {
	const char *text, *error;
} bad_acts[] = {
	{"", "act: expected an act such as"},
	{"[]", "act:1:1: expected an act such as"},
	{"{}", "act:1:1: operation is missing"},
	{"{operation: file.opne}",
		"act:1:13: operation: \"file.opne\" is no operation, did you mean \"file.open\"?"},
	{"{operation: file.open, pth: /x}",
		"act:1:24: unknown key \"pth\" of an act, did you mean \"path\"?"},
	{"{operation: file.open, path: [/x]}", "act:1:30: path: expected a text"},
	{"{operation: file.open, path: \"\"}", "path: expected a text"},
	{"{operation: file.open, path: etc/shadow}",
		"act:1:30: path: \"etc/shadow\": expected an absolute path"},
	{"{operation: file.open, executable: /bin/../x}", "executable: \"/bin/../x\": \"..\": expected"},
	{"{operation: file.open, cgroup: system.slice}", "cgroup: \"system.slice\": expected an absolute"},
	{"{operation: file.open, ancestors: [/x, y]}", "ancestors: \"y\": expected an absolute path"},
	{"{operation: file.open, ancestors: /x}", "ancestors: expected a list"},
	{"{operation: file.open, uid: root}", "uid: expected a number of 0 to 4294967295"},
	{"{operation: file.open, access: read}", "access: expected a list"},
	{"{operation: file.open, access: [rd]}", "access: \"rd\" is no access"},
	{"{operation: file.open, container: maybe}", "container: expected true or false"},
	{"{operation: net.bind, port: 65536}", "port: expected a number of 0 to 65535"},
	{"{operation: net.bind, address: 10.0.0.0/8}", "address: expected an address, not a prefix"},
	{"{operation: net.bind, address: [1]}", "address: expected an address"},
	{"{operation: net.bind, namespaces: {pid: x}}", "namespaces: pid: expected host or other"},
	{"{operation: file.open", "act:2:1: "},
};

static void acts_are_refused_with_a_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(bad_acts); i++) {
		struct pst_conf_errors errors = {0};
		struct policy_act_text act;

		assert_int_not_equal(policy_act_parse(bad_acts[i].text, &errors, &act), 0);
		if (!strstr(errors.text, bad_acts[i].error))
			fail_msg("expected: %s\ngot: %s", bad_acts[i].error, errors.text);
		pst_conf_errors_done(&errors);
	}
}

/* What is not known of an act is in no list, and in no `not`. */
static void what_is_not_known_is_in_nothing(void **state)
{
	static const struct {
		const char *rule, *scope;
		uint8_t unknown;
	} rows[] = {
		{"gained: CAP_KILL", "", POLICY_UNKNOWN_GAINED},
		{"gained: {not: CAP_KILL}", "", POLICY_UNKNOWN_GAINED},
		{"namespaces: {mnt: host}", "", POLICY_UNKNOWN_NS},
		{"namespaces: {mnt: other}", "", POLICY_UNKNOWN_NS},
		{"flags: setid", "", POLICY_UNKNOWN_FILE},
		{"flags: {not: setid}", "", POLICY_UNKNOWN_FILE},
		{"access: read", "", POLICY_UNKNOWN_FILE},
		{"access: {not: read}", "", POLICY_UNKNOWN_FILE},
		{"uids: 0", "containers: true", POLICY_UNKNOWN_CONTAINER},
		{"uids: 0", "host: true", POLICY_UNKNOWN_CONTAINER},
		{"uids: 0", "containers: true", POLICY_UNKNOWN_NS},
		{"uids: 0", "host: true", POLICY_UNKNOWN_NS},
	};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(rows); i++) {
		PST_CLEANUP(policy_set_done) struct policy_set set = {0};
		struct policy_act act = POLICY_ACT_INIT;
		unsigned known = 0;
		char text[512];

		snprintf(text, sizeof(text),
			"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p}\n"
			"spec: {scope: {uids: 0-9%s%s}, rules: [{name: r, operations: file.open, %s, action: "
			"kill}]}\n",
			*rows[i].scope ? ", " : "", rows[i].scope, rows[i].rule);
		set = must_parse(text);
		act.op = PST_OP_FILE_OPEN;
		for (unsigned v = 0; v < 32; v++) {
			act.gained = v & 1 ? 1ull << 5 : 0;
			act.ns_host = v & 2 ? 0xff : 0;
			act.container = v & 4;
			act.flags = v & 8 ? 1u << PST_FILE_SETID : 0;
			act.access = v & 16 ? 1u << PST_ACCESS_READ : 0;
			act.unknown = 0;
			known += policy_judge(&set, &act).action == PST_ACT_KILL;
			act.unknown = rows[i].unknown;
			assert_int_equal(policy_judge(&set, &act).action, PST_ACT_NONE);
		}
		assert_int_equal(known, 16);
	}
}

static void numbers_of_operations_only_grow(void **state)
{
	static const char *const names[] = {"process.exec", "process.ptrace", "process.signal",
		"process.setid", "process.capset", "process.namespace", "process.module", "process.bpf",
		"process.perf", "process.memfd", "process.mprotect", "file.open", "file.unlink",
		"file.rename", "file.link", "file.symlink", "file.mkdir", "file.chmod", "file.chown",
		"file.truncate", "file.mount", "file.umount", "file.pivot_root", "net.socket", "net.connect",
		"net.sendmsg", "net.bind", "net.listen", "net.accept", "cap.use"};

	(void)state;
	assert_true(policy_n_ops >= PST_ARRAY_SIZE(names));
	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++)
		assert_string_equal(policy_op_name((unsigned)i + 1), names[i]);
	for (size_t i = 0; i < policy_n_ops; i++)
		assert_true(policy_ops[i].number > 0 && policy_ops[i].number < PST_OPS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_take),
		cmocka_unit_test(covering_is_certain),
		cmocka_unit_test(conditions_take),
		cmocka_unit_test(scopes_say_who_is_judged),
		cmocka_unit_test(policies_say_together),
		cmocka_unit_test(acts_are_refused_with_a_place),
		cmocka_unit_test(what_is_not_known_is_in_nothing),
		cmocka_unit_test(numbers_of_operations_only_grow),
	};

	return cmocka_run_group_tests_name("policy_judge", tests, NULL, NULL);
}
