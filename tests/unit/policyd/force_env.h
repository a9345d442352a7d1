/* SPDX-License-Identifier: Apache-2.0 */
/* Policies on a bus of their own, with memory files in the place of the loader's maps. */
#ifndef TESTS_FORCE_ENV_H
#define TESTS_FORCE_ENV_H

#include "policyd/policy/act.h"
#include "policyd/policy/force_internal.h"
#include "tests/unit/policyd/guard_env.h"

enum { FORCE_PAGE, FORCE_LINES, FORCE_PATHS, FORCE_NAMES, FORCE_MAPS };

struct force_env {
	struct force *force;
	int fd[FORCE_MAPS];
	struct pst_policy *page; /* our own mappings of the files */
	union pst_line *lines;
	union pst_line *paths;
	struct pst_pol_labels *names;
	char folder[64], groups[64];
	char *files_path;
	struct pst_strs files;
};

static struct force_env fenv;

static const size_t force_sizes[FORCE_MAPS] = {sizeof(struct pst_policy),
	2 * PST_POL_LINES * sizeof(union pst_line), 2 * PST_PATHS_LINES * sizeof(union pst_line),
	2 * sizeof(struct pst_pol_labels)};

static inline void force_files_close(void)
{
	void *const maps[FORCE_MAPS] = {fenv.page, fenv.lines, fenv.paths, fenv.names};

	for (int i = 0; i < FORCE_MAPS && fenv.page; i++) {
		munmap(maps[i], force_sizes[i]);
		close(fenv.fd[i]);
	}
	fenv.page = NULL;
}

/* Fresh memory, as a loader that was started anew makes it: of a kernel that can do all. */
static inline void force_files_open(void)
{
	void *maps[FORCE_MAPS];

	force_files_close();
	for (int i = 0; i < FORCE_MAPS; i++) {
		fenv.fd[i] = memfd_create("map", MFD_CLOEXEC);
		assert_return_code(fenv.fd[i], errno);
		assert_return_code(ftruncate(fenv.fd[i], (off_t)force_sizes[i]), errno);
		maps[i] = map_file(fenv.fd[i], force_sizes[i]);
	}
	fenv.page = maps[FORCE_PAGE];
	fenv.lines = maps[FORCE_LINES];
	fenv.paths = maps[FORCE_PATHS];
	fenv.names = maps[FORCE_NAMES];
	fenv.page->key[0] = 11;
	fenv.page->key[1] = 22;
	memset(fenv.page->level, PST_LEVEL_DENY, sizeof(fenv.page->level));
}

/* What force_tables_map() makes of maps. */
static inline void force_tables_of_files(struct force_tables *t)
{
	struct pst_shm *shm[FORCE_MAPS] = {&t->page, &t->lines, &t->paths, &t->names};

	*t = (struct force_tables){0};
	for (int i = 0; i < FORCE_MAPS; i++) {
		size_t n = i == FORCE_PAGE ? 1 : 2;

		assert_int_equal(pst_shm_map(fenv.fd[i], force_sizes[i] / n, n, true, shm[i]), 0);
	}
	assert_int_equal(force_tables_check(t, pst_now_mono_ns()), 0);
}

static inline void force_begin(void)
{
	const struct pst_bus_config bus = {.stage = "policyd",
		.run_dir = env.dir,
		.node = "n",
		.ephemeral = true,
		.topics = 1u << PST_TOPIC_ALERT,
		.retention_bytes = 1 << 20};
	struct force_config config = {
		.run_dir = env.dir, .files = &fenv.files, .cgroup_root = *fenv.groups ? fenv.groups : NULL};

	fenv.files_path = fenv.folder;
	fenv.files = (struct pst_strs){.v = &fenv.files_path, .n = 1};
	assert_int_equal(pst_loop_new(&env.loop), 0);
	assert_int_equal(pst_bus_open(env.loop, &bus, &env.bus), 0);
	env.bus->ctl->peer_uid = geteuid();
	assert_int_equal(force_open(env.loop, env.bus, &config, &fenv.force), 0);
}

static inline void force_map(void)
{
	struct force_tables t;

	force_tables_of_files(&t);
	force_adopt(fenv.force, &t);
}

static inline void force_end(void)
{
	force_free(fenv.force);
	fenv.force = NULL;
	pst_bus_free(env.bus);
	pst_loop_free(env.loop);
}

static inline void force_start(void)
{
	force_begin();
	force_map();
}

/* Until what is ready is in force. */
static inline void force_settle(void)
{
	uint64_t end = pst_now_mono_ns() + 20000 * MS;

	while (fenv.force->pending && fenv.force->next.ready && !fenv.force->held) {
		assert_true(pst_loop_turn(env.loop, 5) >= 0);
		assert_true(pst_now_mono_ns() < end);
	}
}

/* As systemd does it: the maps stay. */
static inline void force_restart(void)
{
	force_end();
	force_start();
	force_settle();
}

/* So that the next switch is at once. */
static inline void force_pass_grace(void)
{
	force_settle();
	fenv.force->tables.half.left_ns = 0;
}

static inline int fenv_setup(void **state)
{
	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	env = (struct genv){0};
	fenv = (struct force_env){0};
	tmpdir_make(env.dir);
	snprintf(fenv.folder, sizeof(fenv.folder), "%s/policies", env.dir);
	force_files_open();
	return 0;
}

static inline int fenv_teardown(void **state)
{
	(void)state;
	if (fenv.force)
		force_end();
	force_files_close();
	tmpdir_remove(env.dir);
	return 0;
}

/* ---- policies ---- */

#define POLICY(name, spec)                                                                                   \
	"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: " name "}\nspec:\n" spec
#define SCOPED "  scope: {uids: 33}\n"
#define RULE_ON(op, path, action)                                                                            \
	"    - {name: r, operations: [" op "], paths: " path ", action: " action "}\n"
/* Of www-data. */
#define DENY(name, path) POLICY(name, SCOPED "  rules:\n" RULE_ON("file.open", path, "deny"))

static inline void upload(const char *id, const char *file, const char *text)
{
	assert_ok(ASK("policy_upload", T("id", id), T("file", file), T("text", text)));
}

static char upload_id[32];

static inline void upload_one(const char *text)
{
	static unsigned n;

	snprintf(upload_id, sizeof(upload_id), "u%u", n++);
	upload(upload_id, "p.yaml", text);
}

/* {op: policy_apply} of one file. */
#define APPLY(text, ...)                                                                                     \
	(upload_one(text), ASK("policy_apply", T("id", upload_id) __VA_OPT__(, ) __VA_ARGS__))

/* "action policy rule" of what is in force, for an act in the words of `penstock policy test`; in the cgroup
 * @id. */
static inline const char *verdict_in(const char *words, uint64_t id)
{
	static char text[4][200];
	static unsigned at;
	char *buf = text[at++ % 4];
	struct pst_conf_errors errors = {0};
	struct policy_act_text act;
	struct policy_verdict v;
	struct policy_found found;
	struct pst_act facts;
	uint64_t generation = fenv.page->generation;

	if (!generation)
		return "off";
	assert_int_equal(generation, fenv.force->current.generation);
	assert_int_equal(policy_act_parse(words, &errors, &act), 0);
	policy_facts(fenv.force->current.tables, &act.act, id, &facts);
	found = policy_lookup(fenv.lines + (generation & 1) * PST_POL_LINES, PST_POL_LINES, &facts);
	v = policy_tables_verdict(fenv.force->current.tables, &found);
	policy_act_done(&act);
	if (!v.rule)
		return "none";
	snprintf(buf, sizeof(text[0]), "%s %s %s", policy_actions.name(v.action), v.policy->name,
		v.rule->name);
	return buf;
}

static inline const char *verdict_on(const char *words)
{
	return verdict_in(words, 0);
}

#define OPEN(path) "{operation: file.open, uid: 33, path: " path "}"

/* "name mode file rules requires level" of row @n. */
static inline const char *row(uint32_t n)
{
	static char text[400];
	const msgpack_object *rows = pst_ctl_get(ASK("policy_list"), "policies");
	size_t len = 0;

	if (n >= rows->via.array.size)
		return "";
	for (uint32_t i = 0; i < 6; i++) {
		const msgpack_object *o = &rows->via.array.ptr[n].via.array.ptr[i];

		len += (size_t)(o->type == MSGPACK_OBJECT_STR
					? snprintf(text + len, sizeof(text) - len, "%s%.*s", i ? " " : "",
						  (int)o->via.str.size, o->via.str.ptr)
					: snprintf(text + len, sizeof(text) - len, " %llu",
						  (unsigned long long)o->via.u64));
	}
	return text;
}

/* What is achieved of a rule. */
static inline const char *achieved(const char *policy, uint32_t rule)
{
	static char text[200];
	const msgpack_object *rules = pst_ctl_get(ASK("policy_show", T("name", policy)), "rules"), *o;

	assert_non_null(rules);
	assert_true(rule < rules->via.array.size);
	o = &rules->via.array.ptr[rule].via.array.ptr[3];
	snprintf(text, sizeof(text), "%.*s", (int)o->via.str.size, o->via.str.ptr);
	return text;
}

#endif
