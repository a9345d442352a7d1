// SPDX-License-Identifier: Apache-2.0
/* Records of policies to events: names of the right generation or none, and records that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/abi/facts.h"
#include "proto/base/stat.h"
#include "proto/wire/names.h"
#include "tests/unit/collector/convert_test.h"

#define GENERATION 7 /* of the second half */
#define RULE       (PST_POL_RULES_MAX - 1)

static struct names names;
static union {
	struct pst_rec h;
	struct pst_rec_policy r;
	char bytes[PST_REC_MAX];
} rec;

static void make(unsigned op, const char *path, const char *to)
{
	char *p = (char *)(&rec.r + 1);

	memset(&rec, 0, sizeof(rec));
	rec.r = (struct pst_rec_policy){.h = {.kind = PST_REC_POLICY, .ts_ns = 7},
		.task = {.pid = DOER, .comm = "doer"},
		.generation = GENERATION,
		.rule = RULE,
		.policy = 3,
		.op = (uint8_t)op,
		.action = PST_ACT_DENY,
		.would = PST_ACT_DENY,
		.done = PST_DONE_DENIED,
		.hook = PST_HOOK_LSM,
		.told = PST_TOLD_ALL,
		.path_len = (uint16_t)strlen(path),
		.to_len = (uint16_t)strlen(to)};
	p = mempcpy(p, path, strlen(path));
	p = mempcpy(p, to, strlen(to));
	rec.h.size = (uint32_t)((p - rec.bytes) + 7) & ~7u;
}

static const struct pst_event *event(void)
{
	const struct pst_event *e = to_event(&rec);

	assert_int_equal(e->kind, PST_KIND_POLICY);
	assert_int_equal(e->ts_ns, 7);
	return e;
}

static struct pst_pol_labels *half(unsigned n)
{
	return (struct pst_pol_labels *)(uintptr_t)pst_shm_at(&names.policies, n);
}

static int setup(void **state)
{
	(void)state;
	convert.names = &names;
	assert_int_equal(pst_shm_fake(sizeof(struct pst_pol_labels), 2, &names.policies), 0);
	half(1)->generation = GENERATION;
	strcpy(half(1)->rule[RULE].policy, "secrets");
	strcpy(half(1)->rule[RULE].rule, "nobody else does");
	strcpy(half(0)->rule[RULE].policy, "other");
	strcpy(half(0)->rule[RULE].rule, "of the other half");
	return 0;
}

static int done(void **state)
{
	pst_shm_unmap(&names.policies);
	return teardown(state);
}

static void opens(void **state)
{
	const struct pst_event *e;

	(void)state;
	make(PST_OP_FILE_OPEN, "/etc/shadow", "");
	rec.r.error = EACCES;
	rec.r.dev = 8 << 20 | 1;
	rec.r.ino = 99;
	rec.r.odd = 0x41;
	rec.r.file = 1u << (4 + PST_FILE_SETID) | 1u << PST_ACCESS_READ | 1u << PST_ACCESS_APPEND;
	e = event();
	assert_text(e, PST_POLICY_F_operation, "file.open");
	assert_text(e, PST_POLICY_F_policy, "secrets");
	assert_text(e, PST_POLICY_F_policy_rule, "nobody else does");
	assert_text(e, PST_POLICY_F_action, "deny");
	assert_text(e, PST_POLICY_F_would, "");
	assert_text(e, PST_POLICY_F_done, "denied");
	assert_text(e, PST_POLICY_F_hook, "lsm");
	assert_int_equal(e->sensor[PST_POLICY_F_error].u, EACCES);
	assert_int_equal(e->sensor[PST_POLICY_F_policy_generation].u, GENERATION);
	assert_int_equal(e->sensor[PST_POLICY_F_policy_id].u, 3);
	assert_int_equal(e->sensor[PST_POLICY_F_policy_rule_id].u, RULE);
	assert_text(e, PST_POLICY_F_path, "/etc/shadow");
	assert_text(e, PST_POLICY_F_to_path, "");
	assert_int_equal(e->sensor[PST_POLICY_F_path_odd].u, 0x41);
	assert_int_equal(e->sensor[PST_POLICY_F_dev].u, 8 << 20 | 1);
	assert_int_equal(e->sensor[PST_POLICY_F_ino].u, 99);
	assert_int_equal(e->sensor[PST_POLICY_F_file_flags].u, 8);
	assert_int_equal(e->sensor[PST_POLICY_F_access].u, 9);
	assert_int_equal(e->sensor[PST_POLICY_F_partial].u, 0);
	assert_int_equal(e->sensor[PST_POLICY_F_family].u, 0);
	make(PST_OP_FILE_RENAME, "/a", "/b\xff\n");
	e = event();
	assert_text(e, PST_POLICY_F_path, "/a");
	assert_text(e, PST_POLICY_F_to_path, "/b\xff\n");
}

/* What is done is one thing, what the rule says another. */
static void acts(void **state)
{
	const struct pst_event *e;

	(void)state;
	make(PST_OP_PROCESS_EXEC, "/bin/sh", "");
	rec.r.error = 0;
	assert_int_equal(event()->sensor[PST_POLICY_F_error].u, EPERM); /* as the hook does */
	rec.r.error = 0xf000 | ENOENT;
	assert_int_equal(event()->sensor[PST_POLICY_F_error].u, ENOENT);
	rec.r.action = PST_ACT_AUDIT;
	rec.r.would = PST_ACT_KILL;
	rec.r.done = PST_DONE_TOLD;
	rec.r.hook = PST_HOOK_TRACEPOINT;
	rec.r.told = PST_TOLD_SOME;
	e = event();
	assert_text(e, PST_POLICY_F_action, "audit");
	assert_text(e, PST_POLICY_F_would, "kill");
	assert_text(e, PST_POLICY_F_done, "told");
	assert_text(e, PST_POLICY_F_hook, "tracepoint");
	assert_int_equal(e->sensor[PST_POLICY_F_error].u, 0);
	assert_int_equal(e->sensor[PST_POLICY_F_partial].u, 1);
	rec.r.done = PST_DONE_KILLED;
	rec.r.hook = PST_HOOK_FENTRY;
	e = event();
	assert_text(e, PST_POLICY_F_done, "killed");
	assert_text(e, PST_POLICY_F_hook, "fentry");
	assert_int_equal(e->sensor[PST_POLICY_F_error].u, 0);
}

static void objects(void **state)
{
	const struct pst_event *e;

	(void)state;
	make(PST_OP_NET_CONNECT, "", "");
	memcpy(rec.r.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\2", 16);
	rec.r.port = 443;
	rec.r.family = AF_INET;
	rec.r.protocol = 6;
	rec.r.hook = PST_HOOK_CGROUP;
	e = event();
	assert_int_equal(e->sensor[PST_POLICY_F_raddr].len, 4);
	assert_memory_equal(e->sensor[PST_POLICY_F_raddr].p, "\x0a\0\0\2", 4);
	assert_int_equal(e->sensor[PST_POLICY_F_rport].u, 443);
	assert_int_equal(e->sensor[PST_POLICY_F_laddr].len, 0);
	assert_int_equal(e->sensor[PST_POLICY_F_lport].u, 0);
	assert_int_equal(e->sensor[PST_POLICY_F_family].u, AF_INET);
	assert_int_equal(e->sensor[PST_POLICY_F_protocol].u, 6);
	assert_text(e, PST_POLICY_F_hook, "cgroup");
	rec.r.op = PST_OP_NET_BIND;
	rec.r.family = AF_INET6;
	rec.r.addr[10] = 0;
	e = event();
	assert_int_equal(e->sensor[PST_POLICY_F_laddr].len, 16);
	assert_int_equal(e->sensor[PST_POLICY_F_lport].u, 443);
	assert_int_equal(e->sensor[PST_POLICY_F_raddr].len, 0);
	rec.r.family = AF_UNIX; /* has neither */
	assert_int_equal(event()->sensor[PST_POLICY_F_laddr].len, 0);
	make(PST_OP_PROCESS_SIGNAL, "", "");
	rec.r.signal = 9;
	rec.r.target_pid = 55;
	rec.r.target_start_ns = 66;
	rec.r.capabilities = 1ull << 63 | 1;
	rec.r.port = 1;
	e = event();
	assert_int_equal(e->sensor[PST_POLICY_F_signal].u, 9);
	assert_int_equal(e->sensor[PST_POLICY_F_target_pid].u, 55);
	assert_int_equal(e->sensor[PST_POLICY_F_target_start_ns].u, 66);
	assert_true(e->sensor[PST_POLICY_F_capabilities].u == (1ull << 63 | 1));
	assert_int_equal(e->sensor[PST_POLICY_F_lport].u + e->sensor[PST_POLICY_F_rport].u, 0);
}

static uint64_t unnamed(void)
{
	return pst_counter("unnamed_policy_events", "")->value;
}

static void assert_unnamed(void)
{
	uint64_t before = unnamed();
	const struct pst_event *e = event();

	assert_text(e, PST_POLICY_F_policy, "");
	assert_text(e, PST_POLICY_F_policy_rule, "");
	assert_int_equal(e->sensor[PST_POLICY_F_policy_rule_id].u, rec.r.rule);
	assert_int_equal(unnamed(), before + 1);
}

static void names_of_another_generation_are_none(void **state)
{
	uint64_t before = unnamed();

	(void)state;
	make(PST_OP_FILE_OPEN, "/x", "");
	assert_text(event(), PST_POLICY_F_policy, "secrets");
	assert_int_equal(unnamed(), before);
	rec.r.generation = GENERATION + 2; /* the same half, later */
	assert_unnamed();
	rec.r.generation = GENERATION - 1; /* the other half has no generation */
	assert_unnamed();
	half(0)->generation = GENERATION - 1;
	assert_text(event(), PST_POLICY_F_policy, "other");
	rec.r.generation = 0;
	half(0)->generation = 0; /* being written */
	assert_unnamed();
	rec.r.generation = GENERATION;
	half(1)->generation = GENERATION | 1ull << 32; /* numbers of records have 32 bits */
	assert_text(event(), PST_POLICY_F_policy, "secrets");
	half(1)->generation = GENERATION;
}

static void bad_names_are_none(void **state)
{
	static struct pst_pol_label kept;
	struct pst_pol_label *label = &half(1)->rule[RULE];
	struct pst_shm none = {0}, map = names.policies;
	uint32_t rules[] = {PST_POL_RULES_MAX, PST_POL_RULES_MAX + 1, UINT32_MAX};

	(void)state;
	kept = *label;
	make(PST_OP_FILE_OPEN, "/x", "");
	for (size_t i = 0; i < PST_ARRAY_SIZE(rules); i++) {
		rec.r.rule = rules[i];
		assert_unnamed();
	}
	rec.r.rule = 0; /* has no texts */
	assert_unnamed();
	rec.r.rule = RULE;
	memset(label->policy, 'x', sizeof(label->policy)); /* does not end */
	assert_unnamed();
	*label = kept;
	memset(label->rule, 'x', sizeof(label->rule));
	assert_unnamed();
	label->rule[sizeof(label->rule) - 1] = 0; /* the longest */
	assert_int_equal(event()->sensor[PST_POLICY_F_policy_rule].len, PST_POL_NAME - 1);
	memcpy(label->rule, "\xff\n\033[2J", 7); /* any bytes: readers escape them */
	assert_text(event(), PST_POLICY_F_policy_rule, "\xff\n\033[2J");
	*label = kept;
	names.policies = none; /* no map, as in a replay */
	assert_unnamed();
	names.policies = map;
	assert_text(event(), PST_POLICY_F_policy_rule, "nobody else does");
}

/* What is recorded has its names with it. */
static void recorded(void **state)
{
	struct pst_shm none = {0}, map = names.policies;
	static union convert_room room, again;
	struct pst_pol_label *label;
	const struct pst_event *e;

	(void)state;
	for (unsigned n = 0; n < 9; n++) { /* however the paths end */
		make(PST_OP_FILE_RENAME, "/12345678" + n, "/to");
		assert_ptr_equal(convert_policy_named(&names, &rec.r, &room), &room.rec);
		assert_int_equal(room.rec.size, rec.h.size + sizeof(*label));
		assert_true(convert_check(&room.rec, room.rec.size));
		assert_ptr_equal(convert_policy_named(&names, (const void *)&room, &again), &room.rec);
		names.policies = none;
		e = to_event(&room);
		names.policies = map;
		assert_text(e, PST_POLICY_F_policy, "secrets");
		assert_text(e, PST_POLICY_F_policy_rule, "nobody else does");
		assert_text(e, PST_POLICY_F_path, "/12345678" + n);
		assert_text(e, PST_POLICY_F_to_path, "/to");
	}
	rec.r.generation++; /* nobody knows them: as it is */
	assert_ptr_equal(convert_policy_named(&names, &rec.r, &again), &rec.h);
	for (uint32_t len = room.rec.size - 1; len >= room.rec.size - sizeof(*label); len--) {
		room.rec.size = len;
		assert_false(convert_check(&room.rec, len));
		room.rec.size = rec.h.size + sizeof(*label);
	}
	label = (void *)(room.bytes + rec.h.size);
	memset(label->rule, 'x', sizeof(label->rule)); /* a file may say anything */
	assert_text(to_event(&room), PST_POLICY_F_policy, "");
	memset(label, 0, sizeof(*label));
	assert_text(to_event(&room), PST_POLICY_F_policy_rule, "");
}

static bool stop;

/* As policyd writes them: no generation, the texts, the generation. */
static void write_names(uint64_t generation, const char *text)
{
	struct pst_pol_label *label = &half(1)->rule[RULE];

	__atomic_store_n(&half(1)->generation, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	strcpy(label->policy, text);
	strcpy(label->rule, text);
	__atomic_store_n(&half(1)->generation, generation, __ATOMIC_RELEASE);
}

static void *writer(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		write_names(GENERATION + 2, "nine");
		sched_yield();
		write_names(GENERATION, "seven");
		sched_yield();
	}
	return arg;
}

static void names_that_are_written_meanwhile(void **state)
{
	struct pst_pol_label kept = half(1)->rule[RULE], label;
	unsigned got = 0, missed = 0;
	pthread_t thread;

	(void)state;
	write_names(GENERATION, "seven");
	assert_int_equal(pthread_create(&thread, NULL, writer, NULL), 0);
	while (got < 1000 || missed < 1000) {
		if (!names_policy(&names, GENERATION, RULE, &label)) {
			missed++;
			continue;
		}
		got++;
		assert_string_equal(label.policy, "seven");
		assert_string_equal(label.rule, "seven");
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	half(1)->rule[RULE] = kept;
}

static void numbers_without_a_name(void **state)
{
	const struct pst_event *e;

	(void)state;
	for (unsigned any = 0; any < 256; any++) {
		make(any, "/x", "/y");
		rec.r.action = rec.r.would = rec.r.done = rec.r.hook = (uint8_t)any;
		rec.r.file = rec.r.odd = rec.r.told = rec.r.family = rec.r.protocol = (uint8_t)any;
		e = event();
		assert_true(e->sensor[PST_POLICY_F_operation].len && e->sensor[PST_POLICY_F_action].len);
		assert_true(e->sensor[PST_POLICY_F_done].len && e->sensor[PST_POLICY_F_hook].len);
	}
	assert_text(e, PST_POLICY_F_operation, "255");
	assert_text(e, PST_POLICY_F_action, "255");
	assert_text(e, PST_POLICY_F_done, "255");
	assert_text(e, PST_POLICY_F_hook, "255");
}

static void lies(void **state)
{
	static char path[PST_PATH_MAX + 1];
	const struct pst_event *e;
	uint32_t size;

	(void)state;
	make(PST_OP_FILE_OPEN, "/etc/x", "/y");
	size = rec.h.size;
	for (uint32_t len = 0; len < size; len++) {
		rec.h.size = len;
		assert_false(convert_check(&rec.h, len));
	}
	rec.h.size = size;
	rec.r.path_len = 7; /* one byte more than there is room for */
	rec.r.to_len = 2;
	assert_false(convert_check(&rec.h, size));
	rec.r.path_len = rec.r.to_len = UINT16_MAX;
	assert_false(convert_check(&rec.h, size));
	memset(path, 'p', PST_PATH_MAX);
	make(PST_OP_FILE_LINK, path, path);
	e = event();
	assert_int_equal(e->sensor[PST_POLICY_F_path].len, PST_PATH_MAX);
	assert_int_equal(e->sensor[PST_POLICY_F_to_path].len, PST_PATH_MAX);
	rec.h.size += 8;
	rec.r.to_len = PST_PATH_MAX + 1; /* no string of an event is longer */
	assert_false(convert_check(&rec.h, rec.h.size));
	assert_int_equal(convert_record(&convert, &rec.h, rec.h.size, &out), -EBADMSG);
}

/* What the schema shows them as are the numbers of the records. */
static void formats(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(pst_name_value(PST_FMT_FILEFLAGS, "setid", 5, &value), 0);
	assert_int_equal(value, 1u << PST_FILE_SETID);
	assert_int_equal(pst_name_value(PST_FMT_ACCESS, "append", 6, &value), 0);
	assert_int_equal(value, 1u << PST_ACCESS_APPEND);
	assert_int_equal(pst_name_value(PST_FMT_PATHODD, "own", 3, &value), 0);
	assert_int_equal(value, PST_ODD_OWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens),
		cmocka_unit_test(acts),
		cmocka_unit_test(objects),
		cmocka_unit_test(names_of_another_generation_are_none),
		cmocka_unit_test(bad_names_are_none),
		cmocka_unit_test(recorded),
		cmocka_unit_test(names_that_are_written_meanwhile),
		cmocka_unit_test(numbers_without_a_name),
		cmocka_unit_test(lies),
		cmocka_unit_test(formats),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, done);
}
