// SPDX-License-Identifier: Apache-2.0
/* Policies as tables against their plain evaluation: corners by hand, random sets, spoiled tables. */
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
#include <sys/stat.h>
#include <unistd.h>

#include "proto/abi/lookup/policy.h"
#include "policyd/policy/act.h"
#include "policyd/policy/tables.h"
#include "proto/base/cleanup.h"
#include "tests/unit/policyd/policy_random.h"

#define LINES (1u << 15)
#define PATHS (1u << 15)

static struct policy_room room = {.n_lines = LINES, .n_paths = PATHS};
static const uint64_t seed[2] = {0x1234567890abcdef, 0xfedcba0987654321};

static int make_room(void **state)
{
	(void)state;
	room.lines = aligned_alloc(64, LINES * sizeof(*room.lines));
	room.paths = aligned_alloc(64, PATHS * sizeof(*room.paths));
	return room.lines && room.paths ? 0 : -1;
}

static int free_room(void **state)
{
	(void)state;
	free(room.lines);
	free(room.paths);
	return 0;
}

static struct policy_set must_parse(const char *text)
{
	struct pst_conf_errors errors = {0};
	struct policy_set set = {0};

	if (policy_parse(&set, "p.yaml", text, strlen(text), &errors, NULL))
		fail_msg("%s%s", errors.text, text);
	return set;
}

static struct policy_tables *must_compile(const struct policy_set *set)
{
	struct pst_conf_errors errors = {0};
	struct policy_tables *t = NULL;

	if (policy_compile(set, &room, 1, seed, &errors, &t))
		fail_msg("%s", errors.text ? errors.text : "refused, and nobody knows why");
	return t;
}

static const char *words_of(const struct policy_verdict *v)
{
	static char words[2][256];
	static unsigned n;
	char *to = words[n++ % 2];

	snprintf(to, sizeof(words[0]), "%s %s", v->rule ? v->policy->name : "none",
		v->rule ? v->rule->name : "");
	return to;
}

static const char *or_unknown(const char *text)
{
	return text ? text : "?";
}

static void must_agree(struct policy_tables *t, const struct policy_set *set, size_t n, uint64_t seed_of_acts)
{
	PST_CLEANUP(pst_freep) struct policy_sample *s = malloc(sizeof(*s));
	struct policy_verdict want, got;
	struct policy_found found;
	struct pst_act act;

	if (policy_verify(t, &n, seed_of_acts, s))
		return;
	assert_true(policy_sample_facts(t, 9, s, &act));
	found = policy_lookup(room.lines, room.n_lines, &act);
	want = policy_judge(set, &s->act);
	got = policy_tables_verdict(t, &found);
	fail_msg("%s %s by %s of %s in %s uid %u: %s, not %s", policy_op_name(s->act.op),
		or_unknown(s->act.path), or_unknown(s->act.executable), or_unknown(s->act.parent),
		or_unknown(s->act.cgroup), s->act.uid, words_of(&got), words_of(&want));
}

/* The act's aliases, as the kernel would tell them: each path by an inode of its own, but that of the file.
 */
static void tell_inodes(struct policy_tables *t, const struct policy_act *act, struct pst_act *facts)
{
	struct pst_file_id above[PST_ABOVE_MAX];
	struct policy_told told = {.path.above = above};

	for (size_t i = 0; i < act->n_aliases; i++) {
		const struct policy_alias *a = &act->aliases[i];
		struct pst_file_id id = {.ino = 1, .dev = 1 + a->of};

		if (a->as != POLICY_ALIAS_FILE)
			id.ino = 2 + told.path.n_above;
		assert_int_equal(policy_inode_set(t, &id, a->path), 0);
		if (a->of == POLICY_ALIAS_EXECUTABLE)
			told.executable = id;
		else if (a->of == POLICY_ALIAS_TARGET)
			told.target = id;
		else if (a->as == POLICY_ALIAS_FILE)
			told.path.id = id;
		else
			above[told.path.n_above++] = id;
	}
	policy_inode_facts(t, &told, facts);
	policy_inode_forget(t, &told.path.id);
	policy_inode_forget(t, &told.executable);
	policy_inode_forget(t, &told.target);
	for (size_t i = 0; i < told.path.n_above; i++)
		policy_inode_forget(t, &above[i]);
}

#define POLICY(name, body)                                                                                   \
	"---\napiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: " name "}\nspec:\n" body "\n"

/* ---- one act ---- */

/* The rule that the tables say, as the plain evaluation does too. */
static void check_act(
	const struct policy_set *set, struct policy_tables *t, const char *text, const char *rule)
{
	struct pst_conf_errors errors = {0};
	struct policy_act_text parsed;
	struct policy_verdict got, want;
	struct policy_found found;
	struct pst_act act;
	uint64_t cgroup = 0;

	if (policy_act_parse(text, &errors, &parsed))
		fail_msg("%s%s", errors.text, text);
	if (parsed.act.cgroup)
		assert_int_equal(policy_cgroup_set(t, cgroup = 77, parsed.act.cgroup), 0);
	policy_facts(t, &parsed.act, cgroup, &act);
	tell_inodes(t, &parsed.act, &act);
	found = policy_lookup(room.lines, room.n_lines, &act);
	got = policy_tables_verdict(t, &found);
	want = policy_judge(set, &parsed.act);
	if (got.rule != want.rule || strcmp(got.rule ? got.rule->name : "none", rule) != 0)
		fail_msg("%s: %s, expected %s (%s)", text, words_of(&got), rule, words_of(&want));
	policy_act_done(&parsed);
}

static const struct {
	const char *policies;
	struct {
		const char *act, *rule;
	} acts[10];
} corners[] = {
	/* the first of a policy, the strongest of several */
	{POLICY("a", "  rules:\n"
		     "    - {name: own, operations: file.open, paths: /etc/x, executables: /bin/a, action: "
		     "allow}\n"
		     "    - {name: rest, operations: file.open, paths: {directory: /etc}, action: deny}\n")
			POLICY("b", "  rules: [{name: told, operations: file.open, action: alert}]"),
		{{"{operation: file.open, path: /etc/x, executable: /bin/a}", "told"},
			{"{operation: file.open, path: /etc/x, executable: /bin/b}", "rest"},
			{"{operation: file.open, path: /etc/x}", "rest"},
			{"{operation: file.open, path: /etc/y/z}", "told"},
			{"{operation: file.open}", "told"},
			{"{operation: file.unlink, path: /etc/x}", "none"}}},
	/* of equal actions the one that would do more, then the first */
	{POLICY("a", "  rules: [{name: one, operations: process.bpf, action: audit}]") POLICY("b",
		 "  mode: audit\n  rules: [{name: two, operations: process.bpf, action: kill}]") POLICY("c",
		 "  mode: audit\n  rules: [{name: three, operations: process.bpf, action: kill}]"),
		{{"{operation: process.bpf}", "two"}}},
	/* what is not known is in no list and in no `not` */
	{POLICY("a", "  rules:\n"
		     "    - {name: in, operations: net.connect, ports: 443, action: audit}\n"
		     "    - {name: out, operations: net.connect, ports: {not: 443}, action: deny}\n"
		     "    - {name: not here, operations: file.open, paths: {not: {directory: /a, recursive: "
		     "true}}, action: kill}\n"),
		{{"{operation: net.connect, port: 443}", "in"},
			{"{operation: net.connect, port: 442}", "out"}, {"{operation: net.connect}", "none"},
			{"{operation: file.open, path: /b}", "not here"},
			{"{operation: file.open, path: /a/b}", "none"}, {"{operation: file.open}", "none"}}},
	/* either path of a rename; none of them in `not` */
	{POLICY("a",
		 "  rules:\n"
		 "    - {name: to, operations: file.rename, paths: {prefix: /etc/s}, action: deny}\n"
		 "    - {name: else, operations: file.rename, paths: {not: {suffix: .ok}}, action: alert}\n"),
		{{"{operation: file.rename, path: /a, to: /etc/shadow}", "to"},
			{"{operation: file.rename, path: /etc/shadow, to: /a}", "to"},
			{"{operation: file.rename, path: /a, to: /b}", "else"},
			{"{operation: file.rename, path: /a.ok, to: /b}", "none"},
			{"{operation: file.rename, path: /a, to: /b.ok}", "none"}}},
	/* inodes: under other names, in folders that are bound elsewhere, without a name */
	{POLICY("a", "  rules:\n"
		     "    - {name: own, operations: file.open, paths: [/etc/x, {directory: /etc/d}], "
		     "executables: /bin/a, action: allow}\n"
		     "    - {name: file, operations: file.open, paths: [/etc/x, /etc/z], action: deny}\n"
		     "    - {name: in, operations: file.open, paths: {directory: /etc/d}, action: deny}\n"
		     "    - {name: tree, operations: file.open, paths: {directory: /etc, recursive: true}, "
		     "action: alert}\n"
		     "    - {name: else, operations: file.open, paths: {not: [/q, {directory: /r}]}, action: "
		     "kill}\n"),
		{{"{operation: file.open, path: /tmp/y, same: [/etc/x]}", "file"},
			{"{operation: file.open, same: [/etc/z]}", "file"},
			{"{operation: file.open, path: /tmp/y, same: [/etc/x], executable: /b, "
			 "sameExecutable: [/bin/a]}",
				"own"},
			{"{operation: file.open, folders: [/etc/d, /etc, /], sameExecutable: [/bin/a]}",
				"own"},
			{"{operation: file.open, path: /mnt/y, folders: [/etc/d, /etc]}", "in"},
			{"{operation: file.open, path: /mnt/y, folders: [/other, /etc/d, /etc]}", "tree"},
			{"{operation: file.open, path: /mnt/y, same: [/q]}", "none"},
			{"{operation: file.open, path: /mnt/y, folders: [/r, /etc/x]}", "none"},
			{"{operation: file.open, path: /mnt/y, folders: [/etc/x, /r]}", "else"},
			{"{operation: file.open, same: [/other], folders: [/etc/x]}", "none"}}},
	/* a file that is several; a scope's executable */
	{POLICY("a", "  scope: {executables: [/bin/a, /bin/b]}\n"
		     "  rules:\n"
		     "    - {name: both, operations: file.open, paths: {not: [/e, /f]}, action: kill}\n"
		     "    - {name: e, operations: file.open, paths: /e, action: audit}\n"
		     "    - {name: f, operations: file.open, paths: /f, action: deny}\n")
			POLICY("b", "  scope: {executables: {not: /bin/a}}\n"
				    "  rules: [{name: f, operations: file.open, paths: /f, action: kill}]"),
		{{"{operation: file.open, path: /x, same: [/e], sameExecutable: [/bin/a]}", "e"},
			{"{operation: file.open, path: /x, same: [/f, /e], sameExecutable: [/bin/b]}", "e"},
			{"{operation: file.open, path: /x, same: [/f], sameExecutable: [/bin/b]}", "f"},
			{"{operation: file.open, path: /x, same: [/f], executable: /x, sameExecutable: "
			 "[/bin/b]}",
				"f"},
			{"{operation: file.open, path: /x, same: [/e], executable: /x}", "none"},
			{"{operation: file.open, path: /x, executable: /bin/b}", "both"}}},
	/* another process by the inode of its program */
	{POLICY("a",
		 "  rules:\n"
		 "    - {name: own, operations: process.ptrace, targets: [/bin/a, /bin/b], action: allow}\n"
		 "    - {name: other, operations: process.ptrace, targets: {not: /bin/c}, action: deny}\n"),
		{{"{operation: process.ptrace, target: /x, sameTarget: [/bin/b]}", "own"},
			{"{operation: process.ptrace, sameTarget: [/bin/a]}", "own"},
			{"{operation: process.ptrace, target: /x, sameTarget: [/bin/c]}", "none"},
			{"{operation: process.ptrace, sameTarget: [/bin/c]}", "none"},
			{"{operation: process.ptrace, target: /x, sameTarget: [/bin/d]}", "other"}}},
	/* cgroups, by globs and all below */
	{POLICY("a", "  scope: {cgroups: [/system.slice/x, \"/docker/*\"]}\n"
		     "  rules: [{name: own, operations: process.exec, paths: /a, action: allow}, {name: all, "
		     "operations: process.exec, action: deny}]")
			POLICY("b", "  scope: {cgroups: {not: /docker}}\n  rules: [{name: other, operations: "
				    "process.exec, action: audit}]"),
		{{"{operation: process.exec, path: /b, cgroup: /docker/1/init}", "all"},
			{"{operation: process.exec, path: /a, cgroup: /system.slice/x}", "other"},
			{"{operation: process.exec, path: /a, cgroup: /docker}", "none"},
			{"{operation: process.exec, path: /a, cgroup: /docker/2}", "own"},
			{"{operation: process.exec, path: /a, cgroup: /system.slice/xy}", "other"},
			{"{operation: process.exec, path: /a}", "none"}}},
	/* what no vector says; sets */
	{POLICY("a", "  rules:\n"
		     "    - {name: gains, operations: process.capset, capabilities: [CAP_SYS_ADMIN, "
		     "CAP_KILL], gained: {not: CAP_KILL}, action: kill}\n"
		     "    - {name: args, operations: process.exec, arguments: [\"--priv*\"], holds: "
		     "CAP_KILL, action: alert}\n"
		     "    - {name: access, operations: file.open, access: {not: [write, append]}, flags: "
		     "memfd, action: alert}\n"),
		{{"{operation: process.capset, capabilities: [CAP_KILL, CAP_CHOWN]}", "gains"},
			{"{operation: process.capset, capabilities: [CAP_KILL], holds: [CAP_KILL], gained: "
			 "[CAP_KILL]}",
				"none"},
			{"{operation: process.capset, capabilities: [CAP_CHOWN]}", "none"},
			{"{operation: process.exec, arguments: [x, --privileged], holds: [CAP_KILL]}",
				"args"},
			{"{operation: process.exec, arguments: [x, --privileged]}", "none"},
			{"{operation: process.exec, holds: [CAP_KILL]}", "none"},
			{"{operation: file.open, access: [read], flags: [memfd]}", "access"},
			{"{operation: file.open, access: [read, write], flags: [memfd]}", "none"}}},
	/* ancestors, parents, modules */
	{POLICY("a", "  scope: {descendantsOf: /bin/sshd}\n  rules: [{name: below, operations: "
		     "process.module, modules: {not: [good, fine]}, action: deny}]")
			POLICY("b", "  rules: [{name: child, operations: process.module, parents: /bin/sh, "
				    "ancestors: {not: /bin/sshd}, action: kill}]"),
		{{"{operation: process.module, module: evil, ancestors: [/bin/sshd, /bin/x]}", "below"},
			{"{operation: process.module, module: good, ancestors: [/bin/sshd, /bin/x]}", "none"},
			{"{operation: process.module, ancestors: [/bin/sshd]}", "none"},
			{"{operation: process.module, module: good, parent: /bin/sh, ancestors: [/bin/y]}",
				"child"},
			{"{operation: process.module, module: good, parent: /bin/sh, ancestors: [/bin/sshd]}",
				"none"},
			{"{operation: process.module, module: good, parent: /bin/s}", "none"}}},
	/* ids of scope and rule; addresses of both families; namespaces */
	{POLICY("a",
		 "  scope: {uids: 1000-2000}\n"
		 "  rules:\n"
		 "    - {name: ids, operations: process.setid, uids: {not: 1500}, gids: [0, 4294967294], "
		 "action: deny}\n"
		 "    - {name: net, operations: net.connect, addresses: {not: 10.0.0.0/8}, action: deny}\n"
		 "    - {name: ns, operations: process.bpf, namespaces: {mnt: other, user: host}, action: "
		 "deny}\n"),
		{{"{operation: process.setid, uid: 2000, gid: 4294967294}", "ids"},
			{"{operation: process.setid, uid: 1500}", "none"},
			{"{operation: process.setid, uid: 2001}", "none"},
			{"{operation: net.connect, uid: 1000, address: 10.0.0.1}", "none"},
			{"{operation: net.connect, uid: 1000, address: 11.0.0.1}", "net"},
			{"{operation: net.connect, uid: 1000, address: 2001:db8::1}", "net"},
			{"{operation: process.bpf, uid: 1000, namespaces: {mnt: other}}", "ns"},
			{"{operation: process.bpf, uid: 1000, namespaces: {mnt: other, user: other}}",
				"none"}}},
};

static void corners_are_as_they_are_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(corners); i++) {
		PST_CLEANUP(policy_set_done) struct policy_set set = must_parse(corners[i].policies);
		PST_CLEANUP(policy_tables_freep) struct policy_tables *t = must_compile(&set);

		for (size_t k = 0; k < PST_ARRAY_SIZE(corners[i].acts) && corners[i].acts[k].act; k++)
			check_act(&set, t, corners[i].acts[k].act, corners[i].acts[k].rule);
		must_agree(t, &set, 2000, i + 1);
	}
}

static void no_policies_say_nothing(void **state)
{
	PST_CLEANUP(policy_set_done) struct policy_set set = {0};
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = must_compile(&set);

	(void)state;
	check_act(&set, t, "{operation: file.open, path: /x}", "none");
	assert_int_equal(((const struct pst_pol_head *)room.lines)->ops, 0);
	must_agree(t, &set, 100, 1);
}

/* What is off is not there at all. */
static void policies_that_are_off_are_left_out(void **state)
{
	PST_CLEANUP(policy_set_done)
	struct policy_set set = must_parse(
		POLICY("a", "  mode: \"off\"\n  rules: [{name: x, operations: process.bpf, action: kill}]"));
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = must_compile(&set);

	(void)state;
	check_act(&set, t, "{operation: process.bpf}", "none");
	assert_int_equal(policy_tables_made(t).rules, 0);
}

/* Of each operation, how many acts of the comparison meet no rule and how many one. */
static void count_acts(
	const struct policy_tables *t, const struct policy_set *set, unsigned ops[PST_OPS_MAX][2])
{
	PST_CLEANUP(pst_freep) struct policy_sample *s = malloc(sizeof(*s));
	uint64_t seed_of_acts = 3;

	for (unsigned i = 0; i < 1000; i++) {
		policy_sample(t, &seed_of_acts, s);
		ops[s->act.op][policy_judge(set, &s->act).rule != NULL]++;
	}
}

static void random_sets_are_as_they_are_written(void **state)
{
	unsigned ops[PST_OPS_MAX][2] = {0};
	static const struct {
		unsigned policies, rules, rounds;
	} sizes[] = {{1, 3, 40}, {5, 4, 40}, {40, 8, 10}, {300, 4, 3}};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(sizes); i++)
		for (unsigned round = 0; round < sizes[i].rounds; round++) {
			PST_CLEANUP(policy_set_done) struct policy_set set = {0};
			PST_CLEANUP(policy_tables_freep) struct policy_tables *t = NULL;

			policy_random_set(&set, sizes[i].policies, sizes[i].rules);
			t = must_compile(&set);
			must_agree(t, &set, 3000, round + 1);
			count_acts(t, &set, ops);
		}
	/* the acts of the comparison meet rules, of all operations, and do not */
	for (size_t i = 0; i < policy_n_ops; i++)
		if (ops[policy_ops[i].number][0] < 100 || ops[policy_ops[i].number][1] < 100)
			fail_msg("%s: %u acts met a rule, %u none", policy_ops[i].name,
				ops[policy_ops[i].number][1], ops[policy_ops[i].number][0]);
}

/* ---- what cannot be ---- */

static void check_refused(const struct policy_set *set, const struct policy_room *where, const char *place)
{
	struct pst_conf_errors errors = {0};
	struct policy_tables *t = NULL;

	assert_int_equal(policy_compile(set, where, 1, seed, &errors, &t), -E2BIG);
	assert_null(t);
	assert_non_null(errors.text);
	if (!strstr(errors.text, place))
		fail_msg("expected %s: %s", place, errors.text);
	pst_conf_errors_done(&errors);
}

/* So many policies of this text. */
static struct policy_set many(unsigned n, const char *format, const char *other)
{
	PST_CLEANUP(pst_freep) char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct policy_set set;

	for (unsigned i = 0; i < n; i++) {
		fprintf(f, POLICY("p%u", "  rules:\n    - {name: r"), i);
		fprintf(f, i % 2 ? format : other, i);
		fputs("}\n", f);
	}
	fclose(f);
	set = must_parse(text);
	return set;
}

static void sets_in_which_an_act_meets_too_many_are_refused(void **state)
{
	static const char all[] = ", operations: file.open, action: audit";
	static const char one[] = ", operations: file.open, paths: /x%u, action: deny";
	static const char by_uid[] = ", operations: file.open, uids: %u, action: deny";
	PST_CLEANUP(policy_set_done) struct policy_set few = many(PST_POL_VISITS_MAX, all, all);
	PST_CLEANUP(policy_set_done) struct policy_set more = many(PST_POL_VISITS_MAX + 1, all, all);
	PST_CLEANUP(policy_set_done) struct policy_set apart = many(4000, one, by_uid);
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = must_compile(&few);

	(void)state;
	policy_tables_freep(&t);
	check_refused(&more, &room, "p.yaml:8199:7: policy p1024: rule \"r\": one act of file.open");
	t = must_compile(&apart);
	must_agree(t, &apart, 3000, 1);
}

static void what_does_not_fit_is_refused(void **state)
{
	PST_CLEANUP(policy_set_done)
	struct policy_set set = many(2000, ", operations: file.open, paths: /x/%u/y, action: deny",
		", operations: file.open, paths: /x/%u/y, action: alert");
	struct policy_room small = room;

	(void)state;
	for (small.n_lines = 32; small.n_lines < 4096; small.n_lines *= 2)
		check_refused(&set, &small, "p.yaml:");
	small = room;
	small.n_paths = 256;
	check_refused(&set, &small, "the paths of all policies need more room");
}

static void globs_that_multiply_are_refused(void **state)
{
	static const char glob[] = ", operations: file.open, paths: {glob: \"/**/d%u/**/x\"}, action: deny";
	PST_CLEANUP(policy_set_done) struct policy_set set = many(1000, glob, glob);

	(void)state;
	check_refused(&set, &room, "need too many states together");
}

/* ---- cgroups come and go ---- */

static void cgroups_come_and_go(void **state)
{
	PST_CLEANUP(policy_set_done)
	struct policy_set set = must_parse(POLICY(
		"a", "  scope: {cgroups: /a}\n  rules: [{name: x, operations: process.bpf, action: kill}]"));
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = must_compile(&set);
	struct policy_act act = POLICY_ACT_INIT;
	struct pst_act facts;
	uint32_t lines, known = 0;

	(void)state;
	act.op = PST_OP_PROCESS_BPF;
	assert_int_equal(policy_cgroup_set(t, 0, "/a"), -EINVAL);
	assert_int_equal(policy_cgroup_set(t, PST_POL_CGROUP_GONE, "/a"), -EINVAL);
	assert_int_equal(policy_cgroup_set(t, 1, "a"), -EINVAL);
	assert_int_equal(policy_cgroup_set(t, 1, "/a/b"), 0);
	assert_int_equal(policy_cgroup_set(t, 2, "/b"), 0);
	lines = policy_tables_made(t).lines;
	/* all that are like one of these take no more lines; many come and go */
	for (uint64_t id = 3; id < 200000; id++) {
		assert_int_equal(policy_cgroup_set(t, id, id % 2 ? "/a/c" : "/c"), 0);
		policy_facts(t, &act, id, &facts);
		assert_int_equal(
			policy_lookup(room.lines, room.n_lines, &facts).rule, id % 2 ? 0 : PST_POL_NO_RULE);
		policy_cgroup_forget(t, id);
		assert_int_equal(policy_lookup(room.lines, room.n_lines, &facts).rule, PST_POL_NO_RULE);
	}
	assert_int_equal(policy_tables_made(t).lines, lines);
	policy_facts(t, &act, 1, &facts);
	assert_int_equal(policy_lookup(room.lines, room.n_lines, &facts).rule, 0);
	assert_int_equal(policy_cgroup_set(t, 1, "/b"), 0); /* another one of this id */
	assert_int_equal(policy_lookup(room.lines, room.n_lines, &facts).rule, PST_POL_NO_RULE);
	/* as many as there is room for: at the end it is told */
	while (known < 100000 && !policy_cgroup_set(t, 1000000 + known, "/a"))
		known++;
	assert_in_range(known, 4096, 8192);
	assert_int_equal(policy_cgroup_set(t, 1000000 + known, "/a"), -ENOSPC);
	for (uint32_t i = 0; i < known; i++) {
		policy_facts(t, &act, 1000000 + i, &facts);
		assert_int_equal(policy_lookup(room.lines, room.n_lines, &facts).rule, 0);
	}
}

/* ---- inodes come and go ---- */

/* The rule that an open by another name meets, or PST_POL_NO_RULE. */
static uint32_t rule_of(const struct policy_tables *t, const struct pst_file_id *id,
	const struct pst_file_id *above, size_t n)
{
	const struct policy_told told = {.path = {.id = *id, .above = above, .n_above = n}};
	struct policy_act act = POLICY_ACT_INIT;
	struct pst_act facts;

	act.op = PST_OP_FILE_OPEN;
	act.path = "/elsewhere";
	policy_facts(t, &act, 0, &facts);
	policy_inode_facts(t, &told, &facts);
	return policy_lookup(room.lines, room.n_lines, &facts).rule;
}

static uint32_t rule_of_file(const struct policy_tables *t, uint64_t ino)
{
	return rule_of(t, &(struct pst_file_id){.ino = ino, .dev = 5}, NULL, 0);
}

static int set_inode(struct policy_tables *t, uint64_t ino, uint32_t dev, const char *path)
{
	return policy_inode_set(t, &(struct pst_file_id){.ino = ino, .dev = dev}, path);
}

static void inodes_come_and_go(void **state)
{
	PST_CLEANUP(policy_set_done)
	struct policy_set set = must_parse(POLICY("a",
		"  rules:\n"
		"    - {name: a, operations: file.open, paths: [/a, /b], action: kill}\n"
		"    - {name: c, operations: file.open, paths: [/c, {suffix: .x}], action: deny}\n"));
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = must_compile(&set);
	uint32_t lines, known = 0;

	(void)state;
	assert_int_equal(set_inode(t, 0, 5, "/a"), -EINVAL);
	assert_int_equal(set_inode(t, 7, 0, "/a"), -EINVAL);
	assert_int_equal(set_inode(t, PST_POL_INODE_GONE, 5, "/a"), -EINVAL);
	assert_int_equal(set_inode(t, 7, 5, "a"), -EINVAL);
	assert_int_equal(set_inode(t, 7, 5, "/nobody/names/it"), 0);
	assert_int_equal(set_inode(t, 7, 5, "/b.x"), 0);
	assert_int_equal(rule_of_file(t, 7), PST_POL_NO_RULE);
	assert_int_equal(rule_of_file(t, 0), PST_POL_NO_RULE);
	lines = policy_tables_made(t).lines;
	/* many come and go, and take no lines */
	for (uint64_t ino = 100; ino < 100000; ino++) {
		const struct pst_file_id id = {.ino = ino, .dev = 5};

		assert_int_equal(policy_inode_set(t, &id, ino % 2 ? "/a" : "/c"), 0);
		assert_int_equal(rule_of_file(t, ino), ino % 2 ? 0 : 1);
		assert_int_equal(rule_of_file(t, ino + 1), PST_POL_NO_RULE);
		policy_inode_forget(t, &id);
		assert_int_equal(rule_of_file(t, ino), PST_POL_NO_RULE);
	}
	assert_int_equal(policy_tables_made(t).lines, lines);
	/* of another device it is another file */
	assert_int_equal(set_inode(t, 7, 6, "/a"), 0);
	assert_int_equal(rule_of_file(t, 7), PST_POL_NO_RULE);
	assert_int_equal(set_inode(t, 7, 5, "/c"), 0);
	assert_int_equal(rule_of_file(t, 7), 1);
	/* one that is both is taken by the first */
	assert_int_equal(set_inode(t, 7, 5, "/b"), 0);
	assert_int_equal(rule_of_file(t, 7), 0);
	policy_inode_forget(t, &(struct pst_file_id){.ino = 8, .dev = 5});
	policy_inode_forget(t, &(struct pst_file_id){.ino = 7, .dev = 5});
	assert_int_equal(rule_of_file(t, 7), PST_POL_NO_RULE);
	assert_int_equal(rule_of(t, &(struct pst_file_id){.ino = 7, .dev = 6}, NULL, 0), 0);
	/* more than rules name: at the end it is told */
	while (known < 1000 && !set_inode(t, 1000 + known, 5, "/a"))
		known++;
	assert_in_range(known, 3, 64);
	assert_int_equal(set_inode(t, 1000 + known, 5, "/a"), -ENOSPC);
	for (uint32_t i = 0; i < known; i++)
		assert_int_equal(rule_of_file(t, 1000 + i), 0);
}

/* Lines in force are anybody's who can write to them: nothing else is read, as a sanitizer sees. */
static void inodes_in_scribbled_tables(void **state)
{
	static const char *const paths[] = {"/etc/s1", "/etc/ssh", "/etc", "/usr/bin", "/srv"};
	PST_CLEANUP(policy_set_done) struct policy_set set = {0};
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = NULL;
	struct policy_inodes made;

	(void)state;
	policy_random_set(&set, 60, 6);
	for (unsigned round = 0; round < 50; round++) {
		policy_tables_freep(&t);
		t = must_compile(&set);
		for (unsigned i = 0; i < 500; i++) {
			room.lines[policy_draw(policy_tables_made(t).lines)].u32[policy_draw(16)] =
				policy_draw(4) ? policy_draw(UINT32_MAX) : policy_draw(LINES);
			(void)set_inode(t, 1 + policy_draw(3), 5, paths[policy_draw(5)]);
			(void)rule_of_file(t, 1 + policy_draw(3));
		}
		assert_int_equal(policy_inodes_fill(t, &made), 0);
	}
}

/* As many folders that rules name as an act can have above it; more are refused, and counted where they are
 * more all the same. */
static void folders_above(void **state)
{
	static const char *const names[] = {
		"/", "/a", "/a/b", "/a/b/c", "/a/b/c/d", "/a/b/c/d/e", "/a/b/c/d/e/f", "/a/b/c/d/e/f/g"};
	struct pst_file_id above[12];
	PST_CLEANUP(pst_freep) char *text = NULL;
	struct policy_told told = {.path = {.above = above, .n_above = 12}};
	struct policy_act act = POLICY_ACT_INIT;
	struct pst_act facts;
	char all[2048] = "";

	(void)state;
	static_assert(PST_ARRAY_SIZE(names) == PST_POL_ABOVE, "all that are possible");
	for (unsigned i = 0; i < PST_POL_ABOVE; i++) {
		const char *name = names[PST_POL_ABOVE - 1 - i];

		snprintf(all + strlen(all), sizeof(all) - strlen(all),
			"    - {name: r%u, operations: file.open, paths: {directory: %s, recursive: true}, "
			"uids: %u, action: kill}\n",
			i, name, i);
	}
	assert_true(asprintf(&text, POLICY("a", "  rules:\n%s"), all) > 0);
	PST_CLEANUP(policy_set_done) struct policy_set set = must_parse(text);
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = must_compile(&set);

	must_agree(t, &set, 2000, 1);
	for (unsigned i = 0; i < PST_ARRAY_SIZE(above); i++)
		above[i] = (struct pst_file_id){.ino = 100 + i, .dev = 1};
	for (unsigned i = 0; i < PST_POL_ABOVE; i++)
		assert_int_equal(policy_inode_set(t, &above[1 + i], names[PST_POL_ABOVE - 1 - i]), 0);
	act.op = PST_OP_FILE_OPEN;
	act.path = "elsewhere"; /* no automaton takes it */
	for (uint32_t uid = 0; uid <= PST_POL_ABOVE; uid++) {
		struct policy_found found;

		act.uid = uid;
		policy_facts(t, &act, 0, &facts);
		policy_inode_facts(t, &told, &facts);
		found = policy_lookup(room.lines, room.n_lines, &facts);
		assert_int_equal(found.rule, uid < PST_POL_ABOVE ? uid : PST_POL_NO_RULE);
		assert_false(found.cut);
	}
	assert_int_equal(policy_inode_set(t, &above[9], "/a"), 0); /* bound once more, into itself */
	policy_inode_facts(t, &told, &facts);
	assert_true(policy_lookup(room.lines, room.n_lines, &facts).cut);
	snprintf(all + strlen(all), sizeof(all) - strlen(all),
		"    - {name: more, operations: file.open, paths: {directory: /a/b/c/d/e/f/g/h, recursive: "
		"true}, action: kill}\n");
	PST_CLEANUP(pst_freep) char *more = NULL;

	assert_true(asprintf(&more, POLICY("a", "  rules:\n%s"), all) > 0);
	PST_CLEANUP(policy_set_done) struct policy_set refused = must_parse(more);

	check_refused(&refused, &room, "within more than 7 directories");
}

/* What is there when they are looked up, and later. */
static void inodes_of_files(void **state)
{
	char base[] = "/tmp/pst-inodes-XXXXXX", path[256];
	PST_CLEANUP(pst_freep) char *text = NULL;
	struct pst_file_id a, b, dir, none, again;
	struct policy_inodes made;

	(void)state;
	assert_non_null(mkdtemp(base));
	assert_int_equal(chdir(base), 0);
	assert_int_equal(mkdir("dir", 0755) || mkdir("dir/in", 0755), 0);
	assert_true(close(creat("a", 0600)) == 0 && close(creat("dir/in/b", 0600)) == 0);
	assert_int_equal(symlink("a", "link") || symlink("dir", "over") || link("a", "hard"), 0);
	assert_true(
		asprintf(&text,
			POLICY("a",
				"  rules:\n"
				"    - {name: a, operations: file.open, paths: %1$s/a, action: kill}\n"
				"    - {name: dir, operations: file.open, paths: {directory: %1$s/dir, "
				"recursive: true}, action: kill}\n"
				"    - {name: hard, operations: file.open, paths: [%1$s/hard, %1$s/new], "
				"action: kill}\n"
				"    - {name: rest, operations: file.open, paths: [%1$s/link, "
				"%1$s/over/in/b, %1$s/gone, %1$s/a/x, {prefix: %1$s/dir}], action: kill}\n"),
			base) > 0);
	PST_CLEANUP(policy_set_done) struct policy_set set = must_parse(text);
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = must_compile(&set);

	snprintf(path, sizeof(path), "%s/a", base);
	assert_int_equal(policy_file_id(path, &a), 0);
	snprintf(path, sizeof(path), "%s/dir", base);
	assert_int_equal(policy_file_id(path, &dir), 0);
	snprintf(path, sizeof(path), "%s/dir/in/b", base);
	assert_int_equal(policy_file_id(path, &b), 0);
	snprintf(path, sizeof(path), "%s/over/in/b", base);
	assert_int_equal(policy_file_id(path, &none), -ELOOP);
	snprintf(path, sizeof(path), "%s/link", base);
	assert_int_equal(policy_file_id(path, &none), -ELOOP);
	snprintf(path, sizeof(path), "%s/a/x", base);
	assert_int_equal(policy_file_id(path, &none), -ENOTDIR);
	assert_int_equal(policy_file_id("/", &none), 0);

	assert_int_equal(policy_inodes_fill(t, &made), 0);
	assert_int_equal(made.set, 3);
	assert_int_equal(made.links, 2);
	assert_int_equal(made.missing, 3);
	assert_int_equal(made.hidden + made.without + made.full, 0);
	assert_int_equal(rule_of(t, &a, NULL, 0), 0);
	assert_int_equal(rule_of(t, &b, &dir, 1), 1);
	assert_int_equal(rule_of(t, &b, NULL, 0), PST_POL_NO_RULE);
	/* another one takes its place: the first is the hard link's alone, then nobody's */
	assert_int_equal(rename("a", "kept") || close(creat("a", 0600)), 0);
	assert_int_equal(policy_inodes_fill(t, &made), 0);
	assert_int_equal(made.set, 3);
	snprintf(path, sizeof(path), "%s/a", base);
	assert_int_equal(policy_file_id(path, &again), 0);
	assert_int_equal(rule_of(t, &again, NULL, 0), 0);
	assert_int_equal(rule_of(t, &a, NULL, 0), 2);
	assert_int_equal(rename("hard", "new"), 0);
	assert_int_equal(policy_inodes_fill(t, &made), 0);
	assert_int_equal(rule_of(t, &a, NULL, 0), 2);
	assert_int_equal(unlink("new") || policy_inodes_fill(t, &made), 0);
	assert_int_equal(made.set, 2);
	assert_int_equal(rule_of(t, &a, NULL, 0), PST_POL_NO_RULE);
	assert_int_equal(rule_of(t, &again, NULL, 0), 0);
	assert_int_equal(rule_of(t, &b, &dir, 1), 1);
	/* the comparison leaves nothing behind */
	must_agree(t, &set, 1000, 1);
	assert_int_equal(rule_of(t, &again, NULL, 0), PST_POL_NO_RULE);
	assert_int_equal(policy_inodes_fill(t, &made), 0);
	assert_int_equal(rule_of(t, &again, NULL, 0), 0);
	assert_int_equal(unlink("a") || unlink("kept") || unlink("link") || unlink("over") ||
				 unlink("dir/in/b") || rmdir("dir/in") || rmdir("dir") || chdir("/") ||
				 rmdir(base),
		0);
}

/* ---- spoiled tables ---- */

/* A bit that the rules have is flipped: the comparison finds it. */
static void spoiled_tables_are_found(void **state)
{
	PST_CLEANUP(pst_freep) struct policy_sample *s = malloc(sizeof(*s));
	PST_CLEANUP(policy_set_done) struct policy_set set = {0};
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = NULL;
	const struct pst_pol_head *head = (const struct pst_pol_head *)room.lines;
	unsigned found = 0, tried = 0;
	struct pst_pol_rule *rule;
	uint32_t used;
	size_t n;

	(void)state;
	policy_random_set(&set, 30, 6);
	t = must_compile(&set);
	must_agree(t, &set, 5000, 1);
	used = policy_tables_made(t).lines;
	/* rules: another end of their policy, an action */
	for (uint32_t i = 0; i < head->n_rules; i++) {
		rule = (struct pst_pol_rule *)&room.lines[head->rules + i];
		rule->end += 64;
	}
	n = 5000;
	assert_false(policy_verify(t, &n, 1, s));
	for (uint32_t i = 0; i < head->n_rules; i++) {
		rule = (struct pst_pol_rule *)&room.lines[head->rules + i];
		rule->end -= 64;
		rule->action = (uint8_t)(PST_ACTIONS - rule->action);
		rule->would = rule->action;
	}
	n = 5000;
	assert_false(policy_verify(t, &n, 1, s));
	policy_tables_freep(&t);
	/* any line of classes and their bits */
	for (uint32_t line = PST_POL_FIRST_LINE; line < used; line += 7) {
		union pst_line before;

		t = must_compile(&set);
		before = room.lines[line];
		for (int w = 0; w < 8; w++)
			room.lines[line].u64[w] =
				before.u64[w] ? before.u64[w] ^ (0x0101010101010101ull << w) : 0;
		n = 5000;
		if (memcmp(&before, &room.lines[line], sizeof(before)) != 0) {
			tried++;
			found += !policy_verify(t, &n, 1, s);
		}
		policy_tables_freep(&t);
	}
	/* some lines say what no act of these can ask (a protocol's array) */
	assert_true(tried > 20);
	if (found * 4 < tried)
		fail_msg("of %u spoiled lines %u were found", tried, found);
}

/* A path's automata are compared, too. */
static void spoiled_automata_are_found(void **state)
{
	PST_CLEANUP(pst_freep) struct policy_sample *s = malloc(sizeof(*s));
	PST_CLEANUP(policy_set_done)
	struct policy_set set = must_parse(POLICY("a", "  rules: [{name: x, operations: file.open, paths: "
						       "[/etc/shadow, {suffix: .key}], action: deny}]"));
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = must_compile(&set);
	size_t n = 1000;

	(void)state;
	assert_true(policy_verify(t, &n, 1, s));
	for (uint32_t i = 2; i < policy_tables_made(t).path_lines; i++)
		memset(&room.paths[i].u64[2], 'x', 48);
	assert_false(policy_verify(t, &n, 1, s));
	assert_string_not_equal(s->path, "");
}

/* Whatever the tables and the act hold, nothing outside of them is read (what reads it is a sanitizer's to
 * see), and it ends. */
static void scribbled_tables_are_read_within(void **state)
{
	PST_CLEANUP(policy_set_done) struct policy_set set = {0};
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = NULL;
	PST_CLEANUP(pst_freep) struct policy_sample *s = malloc(sizeof(*s));
	PST_CLEANUP(pst_freep) union pst_line *copy = NULL;
	uint32_t n_lines = 32, rules;
	uint64_t seed_of_acts = 5;

	(void)state;
	policy_random_set(&set, 60, 6);
	t = must_compile(&set);
	rules = policy_tables_made(t).rules;
	while (n_lines < policy_tables_made(t).lines)
		n_lines *= 2;
	copy = aligned_alloc(64, n_lines * sizeof(*copy));
	for (unsigned round = 0; round < 300; round++) {
		uint32_t scribbles = 1u << policy_draw(14);

		memcpy(copy, room.lines, n_lines * sizeof(*copy));
		for (uint32_t i = 0; i < scribbles; i++)
			copy[round % 3 ? policy_draw(n_lines) : policy_draw(PST_POL_FIRST_LINE)]
				.u32[policy_draw(16)] =
				policy_draw(4) ? policy_draw(UINT32_MAX) : policy_draw(n_lines);
		for (unsigned i = 0; i < 40; i++) {
			struct policy_found found;
			struct pst_act act;

			policy_sample(t, &seed_of_acts, s);
			policy_facts(t, &s->act, 0, &act);
			for (unsigned k = 0; k < sizeof(act) && i % 2; k++)
				((uint8_t *)&act)[k] ^= (uint8_t)(policy_draw(4) ? 0 : policy_draw(256));
			found = policy_lookup(copy, n_lines, &act);
			assert_true(found.visits <= PST_POL_VISITS_MAX);
			(void)policy_tables_verdict(t, &found);
		}
	}
	assert_true(rules > 50);
}

/* As many as there may be; more than that in tables that somebody wrote into: cut, and it says so. */
static void a_search_ends_at_its_bound(void **state)
{
	static const char open[] = ", operations: file.open, holds: CAP_KILL, action: audit";
	static const char both[] = ", operations: [file.open, file.mkdir], holds: CAP_KILL, action: audit";
	PST_CLEANUP(policy_set_done) struct policy_set set = many(PST_POL_VISITS_MAX, open, both);
	PST_CLEANUP(policy_set_done) struct policy_set more = many(PST_POL_VISITS_MAX + 2, both, open);
	PST_CLEANUP(policy_tables_freep) struct policy_tables *t = must_compile(&set);
	struct policy_act act = POLICY_ACT_INIT;
	struct policy_found found;
	struct pst_act facts;

	(void)state;
	act.op = PST_OP_FILE_OPEN;
	policy_facts(t, &act, 0, &facts);
	found = policy_lookup(room.lines, room.n_lines, &facts);
	assert_int_equal(found.visits, PST_POL_VISITS_MAX);
	assert_int_equal(found.rule, PST_POL_NO_RULE);
	assert_false(found.cut);
	facts.holds = ~0ull;
	found = policy_lookup(room.lines, room.n_lines, &facts);
	assert_int_equal(found.rule, 0);
	assert_in_range(found.visits, 1, 64);  /* nothing behind it is stronger */
	for (size_t i = 1; i < more.n; i += 2) /* not file.open, until somebody says so */
		more.v[i]->rules[0].ops = PST_OP_BIT(PST_OP_FILE_MKDIR);
	policy_tables_freep(&t);
	t = must_compile(&more);
	((struct pst_pol_head *)room.lines)->used &= ~(1u << PST_POL_OP);
	facts.holds = 0;
	found = policy_lookup(room.lines, room.n_lines, &facts);
	assert_int_equal(found.visits, PST_POL_VISITS_MAX);
	assert_true(found.cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corners_are_as_they_are_written),
		cmocka_unit_test(no_policies_say_nothing),
		cmocka_unit_test(policies_that_are_off_are_left_out),
		cmocka_unit_test(random_sets_are_as_they_are_written),
		cmocka_unit_test(sets_in_which_an_act_meets_too_many_are_refused),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(globs_that_multiply_are_refused),
		cmocka_unit_test(cgroups_come_and_go),
		cmocka_unit_test(inodes_come_and_go),
		cmocka_unit_test(inodes_in_scribbled_tables),
		cmocka_unit_test(folders_above),
		cmocka_unit_test(inodes_of_files),
		cmocka_unit_test(spoiled_tables_are_found),
		cmocka_unit_test(spoiled_automata_are_found),
		cmocka_unit_test(scribbled_tables_are_read_within),
		cmocka_unit_test(a_search_ends_at_its_bound),
	};

	return cmocka_run_group_tests(tests, make_room, free_room);
}
