/* SPDX-License-Identifier: Apache-2.0 */
/* A guard on a bus of its own, with memory files in the place of the loader's maps. */
#ifndef TESTS_GUARD_ENV_H
#define TESTS_GUARD_ENV_H

#include <sys/mman.h>
#include <sys/stat.h>

#include "policyd/guard/counts.h"
#include "policyd/guard/internal.h"
#include "proto/abi/guard.h"
#include "proto/base/log.h"
#include "proto/wire/ctl_server.h"
#include "tests/unit/bus_test.h"

#define FW_LINES    4096u /* of a half */
#define BLOCK_LINES 4096u
#define CPUS        3u
#define MS          1000000ull

enum { FD_GUARD, FD_FW, FD_BLOCK, FD_SIGS, FD_OFFENDERS, FD_SAMPLES, FD_COUNTS, FDS };

struct genv {
	char dir[32], firewall[64], allow[64], block[64];
	struct pst_loop *loop;
	struct pst_bus *bus;
	struct guard *guard;
	bool named;
	int fd[FDS];
	struct pst_guard *word; /* our own mappings of the files */
	union pst_line *fw, *lines;
	struct pst_sigs *sigs;
	struct pst_offenders *offenders;
	struct pst_sample *samples;
	struct pst_guard_counts *counts;
	uint32_t fw_lines, block_lines;
	char *allow_path, *block_path;
	char signatures[64];
	struct ddos_config ddos;
	uint64_t inner;
	uint16_t vxlan_port;
	struct pst_rates by_protocol[PST_SIG_PROTOCOLS];
	struct pst_strs allow_list, block_list;
};

static struct genv env;

static inline void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Below "rules:", one rule a line. */
static inline void write_rules(const char *policy, const char *rules)
{
	char text[8192];

	snprintf(text, sizeof(text), "firewall:\n  policy: %s\n  rules:\n%s", policy, rules);
	write_text(env.firewall, text);
}

static inline void *map_file(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static inline size_t file_size(int which)
{
	switch (which) {
	case FD_GUARD:
		return sizeof(struct pst_guard);
	case FD_FW:
		return 2ull * env.fw_lines * sizeof(union pst_line);
	case FD_BLOCK:
		return 2ull * env.block_lines * sizeof(union pst_line);
	case FD_SIGS:
		return 2 * sizeof(struct pst_sigs);
	case FD_OFFENDERS:
		return (PST_OFFENDER_SETS + 1) * sizeof(struct pst_offenders);
	case FD_SAMPLES:
		return PST_SAMPLES * sizeof(struct pst_sample);
	default:
		return CPUS * sizeof(struct pst_guard_counts);
	}
}

static inline void files_close(void)
{
	void *const maps[FDS] = {
		env.word, env.fw, env.lines, env.sigs, env.offenders, env.samples, env.counts};

	for (int i = 0; i < FDS && env.word; i++) {
		munmap(maps[i], file_size(i));
		close(env.fd[i]);
	}
	env.word = NULL;
}

/* Fresh memory, as a loader that was started anew makes it. */
static inline void files_open(uint32_t fw_lines, uint32_t block_lines)
{
	files_close();
	env.fw_lines = fw_lines;
	env.block_lines = block_lines;
	for (int i = 0; i < FDS; i++) {
		env.fd[i] = memfd_create("map", MFD_CLOEXEC);
		assert_return_code(env.fd[i], errno);
		assert_return_code(ftruncate(env.fd[i], (off_t)file_size(i)), errno);
	}
	env.word = map_file(env.fd[FD_GUARD], file_size(FD_GUARD));
	env.word->ifaces.attached = 1; /* as a loader that guards something says */
	env.fw = map_file(env.fd[FD_FW], file_size(FD_FW));
	env.lines = map_file(env.fd[FD_BLOCK], file_size(FD_BLOCK));
	env.sigs = map_file(env.fd[FD_SIGS], file_size(FD_SIGS));
	env.offenders = map_file(env.fd[FD_OFFENDERS], file_size(FD_OFFENDERS));
	env.samples = map_file(env.fd[FD_SAMPLES], file_size(FD_SAMPLES));
	env.counts = map_file(env.fd[FD_COUNTS], file_size(FD_COUNTS));
}

/* What guard_tables_map() makes of maps. */
static inline void tables_of_files(struct guard_tables *t)
{
	*t = (struct guard_tables){0};
	assert_int_equal(pst_shm_map(env.fd[FD_GUARD], sizeof(struct pst_guard), 1, true, &t->guard), 0);
	assert_int_equal(
		pst_shm_map(env.fd[FD_FW], env.fw_lines * sizeof(union pst_line), 2, true, &t->fw), 0);
	assert_int_equal(pst_shm_map(env.fd[FD_BLOCK], sizeof(union pst_line), 2ull * env.block_lines, true,
				 &t->block),
		0);
	assert_int_equal(pst_shm_map(env.fd[FD_SIGS], sizeof(struct pst_sigs), 2, true, &t->sigs), 0);
	assert_int_equal(pst_shm_map(env.fd[FD_OFFENDERS], sizeof(struct pst_offenders),
				 PST_OFFENDER_SETS + 1, true, &t->offenders),
		0);
	assert_int_equal(
		pst_shm_map(env.fd[FD_SAMPLES], sizeof(struct pst_sample), PST_SAMPLES, true, &t->samples),
		0);
	assert_int_equal(
		pst_shm_map(env.fd[FD_COUNTS], sizeof(struct pst_guard_counts), CPUS, true, &t->counts), 0);
	assert_int_equal(guard_tables_check(t, pst_now_mono_ns()), 0);
}

static inline void adopt(void)
{
	struct guard_tables t;

	tables_of_files(&t);
	guard_adopt(env.guard, &t);
}

static inline void guard_begin(void)
{
	const struct pst_bus_config bus = {.stage = "policyd",
		.run_dir = env.dir,
		.node = "n",
		.ephemeral = true,
		.topics = 1u << PST_TOPIC_ALERT,
		.retention_bytes = 1 << 20};
	struct guard_config config = {.run_dir = env.dir,
		.firewall = env.firewall,
		.firewall_named = env.named,
		.ddos = env.ddos,
		.inner = env.inner,
		.vxlan_port = env.vxlan_port};

	memcpy(config.by_protocol, env.by_protocol, sizeof(config.by_protocol));
	env.allow_path = env.allow;
	env.block_path = env.block;
	env.allow_list = (struct pst_strs){.v = &env.allow_path, .n = 1};
	env.block_list = (struct pst_strs){.v = &env.block_path, .n = 1};
	config.lists.allow = &env.allow_list;
	config.lists.block = &env.block_list;
	assert_int_equal(pst_loop_new(&env.loop), 0);
	assert_int_equal(pst_bus_open(env.loop, &bus, &env.bus), 0);
	env.bus->ctl->peer_uid = geteuid();
	assert_int_equal(guard_open(env.loop, env.bus, &config, &env.guard), 0);
}

static inline void guard_end(void)
{
	guard_free(env.guard);
	pst_bus_free(env.bus);
	pst_loop_free(env.loop);
}

/* As systemd does it: the maps stay. */
static inline void guard_restart(void)
{
	guard_end();
	guard_begin();
	adopt();
}

static inline void turn_for(uint64_t ns)
{
	uint64_t end = pst_now_mono_ns() + ns;

	while (pst_now_mono_ns() < end)
		assert_true(pst_loop_turn(env.loop, 1) >= 0);
}

/* Until what is ready is in force. */
static inline void settle(void)
{
	uint64_t end = pst_now_mono_ns() + 20000 * MS;

	while (env.guard->firewall.pending || env.guard->lists.pending || env.guard->signatures.pending) {
		assert_true(pst_loop_turn(env.loop, 5) >= 0);
		assert_true(pst_now_mono_ns() < end);
	}
}

/* So that the next switch is at once. */
static inline void pass_grace(void)
{
	settle();
	env.guard->tables.firewall.left_ns = env.guard->tables.lists.left_ns = 0;
	env.guard->tables.signatures.left_ns = 0;
}

/* The other way: nothing is switched within a second, however slow this machine is. */
static inline void hold_grace(void)
{
	env.guard->tables.firewall.left_ns = env.guard->tables.lists.left_ns = pst_now_mono_ns() + 1000 * MS;
}

static inline int genv_setup(void **state)
{
	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	env = (struct genv){0};
	tmpdir_make(env.dir);
	snprintf(env.firewall, sizeof(env.firewall), "%s/fw.yaml", env.dir);
	snprintf(env.allow, sizeof(env.allow), "%s/allow.list", env.dir);
	snprintf(env.block, sizeof(env.block), "%s/block.list", env.dir);
	snprintf(env.signatures, sizeof(env.signatures), "%s/signatures.yaml", env.dir);
	files_open(FW_LINES, BLOCK_LINES);
	return 0;
}

static inline int genv_teardown(void **state)
{
	(void)state;
	if (env.guard)
		guard_end();
	files_close();
	tmpdir_remove(env.dir);
	return 0;
}

static inline void start(void)
{
	guard_begin();
	adopt();
}

/* ---- asking ---- */

struct kv {
	const char *key, *text;
	uint64_t number;
	const struct kv *map;    /* ends with key NULL */
	const char *const *list; /* ends with NULL */
	bool yes;
};

static inline void put_list(struct pst_buf *b, const char *const *list)
{
	uint32_t n = 0;

	while (list[n])
		n++;
	pst_mp_array(b, n);
	for (; *list; list++)
		pst_mp_str(b, *list);
}

static inline void put_map(struct pst_buf *b, const char *op, const struct kv *kv)
{
	uint32_t n = op != NULL;

	for (const struct kv *p = kv; p && p->key; p++)
		n++;
	pst_mp_map(b, n);
	if (op) {
		pst_mp_str(b, "op");
		pst_mp_str(b, op);
	}
	for (; kv && kv->key; kv++) {
		pst_mp_str(b, kv->key);
		if (kv->map)
			put_map(b, NULL, kv->map);
		else if (kv->list)
			put_list(b, kv->list);
		else if (kv->yes)
			pst_mp_bool(b, true);
		else if (kv->text)
			pst_mp_str(b, kv->text);
		else
			pst_mp_uint(b, kv->number);
	}
}

static msgpack_unpacked answer;

/* The reply; its memory is good until the next one. */
static inline const msgpack_object *ask(const char *op, const struct kv *kv)
{
	struct pst_buf request = {0}, reply = {0};

	put_map(&request, op, kv);
	ctl_answer(env.bus, request.p, request.len, &reply);
	msgpack_unpacked_destroy(&answer);
	assert_int_equal(ctl_unpack_copy(reply.p, reply.len, &answer), 0);
	pst_buf_done(&request);
	pst_buf_done(&reply);
	return &answer.data;
}
#define T(k, v)                                                                                              \
	{                                                                                                    \
		.key = k, .text = v                                                                          \
	}
#define N(k, v)                                                                                              \
	{                                                                                                    \
		.key = k, .number = v                                                                        \
	}
#define Y(k)                                                                                                 \
	{                                                                                                    \
		.key = k, .yes = true                                                                        \
	}
#define M(k, ...)                                                                                            \
	{                                                                                                    \
		.key = k, .map = (const struct kv[])                                                         \
		{                                                                                            \
			__VA_ARGS__                                                                          \
		}                                                                                            \
	}
#define L(k, ...)                                                                                            \
	{                                                                                                    \
		.key = k, .list = (const char *const[])                                                      \
		{                                                                                            \
			__VA_ARGS__, NULL                                                                    \
		}                                                                                            \
	}
#define ASK(op, ...) ask(op, (const struct kv[]){__VA_ARGS__ __VA_OPT__(, ){0}})

static inline const char *text_of(const msgpack_object *o, const char *key)
{
	static char text[4][600];
	static unsigned at;
	char *buf = text[at++ % 4];

	return pst_ctl_text(o, key, buf, sizeof(text[0])) ? buf : "(none)";
}

static inline uint64_t number_of(const msgpack_object *o, const char *key)
{
	uint64_t v;

	if (!pst_ctl_u64(o, key, &v))
		fail_msg("no number %s; error %s", key, text_of(o, "error"));
	return v;
}

static inline void assert_ok(const msgpack_object *reply)
{
	if (pst_ctl_get(reply, "error"))
		fail_msg("refused: %s", text_of(reply, "error"));
}

static inline void assert_refused(const msgpack_object *reply, const char *part)
{
	const char *error = text_of(reply, "error");

	if (!strstr(error, part))
		fail_msg("expected \"%s\" in \"%s\"", part, error);
}

/* "verdict by rule" of a TCP packet. */
static inline const char *verdict(const char *src, uint64_t dport)
{
	static char text[200];
	const msgpack_object *r =
		ASK("firewall_test", M("packet", T("src", src), T("proto", "tcp"), N("dport", dport), {0}));

	assert_ok(r);
	snprintf(text, sizeof(text), "%s %s %s", text_of(r, "verdict"), text_of(r, "by"), text_of(r, "rule"));
	return text;
}

static inline const msgpack_object *firewall(void)
{
	return ASK("firewall");
}

/* A rule's packets by its name, as "firewall" tells them; -1: no such rule. */
static inline int64_t packets_of(const char *name)
{
	const msgpack_object *rules = pst_ctl_get(firewall(), "rules");

	for (uint32_t i = 0; i < rules->via.array.size; i++) {
		const msgpack_object *v = rules->via.array.ptr[i].via.array.ptr;

		if (v[1].via.str.size == strlen(name) && !memcmp(v[1].via.str.ptr, name, strlen(name)))
			return (int64_t)v[4].via.u64;
	}
	return -1;
}

/* A folder that is not empty is in the way of a file, for root too. */
static inline void obstruct(const char *path)
{
	char inner[160];

	unlink(path);
	assert_return_code(mkdir(path, 0755), errno);
	snprintf(inner, sizeof(inner), "%s/x", path);
	write_text(inner, "x");
}

static inline void clear(const char *path)
{
	char inner[160];

	snprintf(inner, sizeof(inner), "%s/x", path);
	unlink(inner);
	rmdir(path);
}

/* What programs do: the place where a rule of the table in force counts. */
static inline void count(const char *name, uint64_t packets)
{
	const struct fw_ruleset *set = env.guard->firewall.current.set;

	for (size_t i = 0; i < set->n; i++)
		if (!strcmp(set->rules[i].name, name)) {
			env.counts[i % CPUS].rule[set->rules[i].counter].packets += packets;
			return;
		}
	fail_msg("no rule %s in force", name);
}

#endif
