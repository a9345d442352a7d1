// SPDX-License-Identifier: Apache-2.0
/* The list of processes goes out in pages that fit an answer, whatever the processes are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "enricher/list.h"
#include "proto/base/cleanup.h"

#define PROCESSES 1000

static struct enrich en;

static int setup(void **state)
{
	(void)state;
	en = (struct enrich){.offline = true};
	if (proctree_new(4096, 1, &en.tree) || cgroups_new("", 16, &en.cgroups) ||
		names_new("/nonexistent", "/nonexistent", &en.names))
		return -1;
	cgroups_set_offline(en.cgroups, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	proctree_free(en.tree);
	cgroups_free(en.cgroups);
	names_free(en.names);
	return 0;
}

static void fill(uint32_t exe_len)
{
	char exe[4096];

	memset(exe, 'x', sizeof(exe));
	for (uint32_t pid = 1; pid <= PROCESSES; pid++) {
		struct proc *p = proctree_put(en.tree, pid, pid);

		assert_non_null(p);
		str_set(&p->exe, str_new(exe, exe_len));
	}
}

static void ask(uint64_t after, uint64_t limit, struct pst_buf *reply, msgpack_unpacked *ret_reply)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf question = {0};
	msgpack_unpacked request;
	char error[160] = "";

	pst_mp_map(&question, 2);
	pst_mp_str(&question, "after");
	pst_mp_uint(&question, after);
	pst_mp_str(&question, "limit");
	pst_mp_uint(&question, limit);
	msgpack_unpacked_init(&request);
	assert_int_equal(msgpack_unpack_next(&request, (const char *)question.p, question.len, NULL),
		MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(list_processes(&en, &request.data, reply, error, sizeof(error)), 0);
	msgpack_unpacked_destroy(&request);
	assert_false(reply->failed);
	assert_true(reply->len <= PST_MESSAGE_MAX - 4096);
	msgpack_unpacked_init(ret_reply);
	assert_int_equal(msgpack_unpack_next(ret_reply, (const char *)reply->p, reply->len, NULL),
		MSGPACK_UNPACK_SUCCESS);
}

/* All of them, once, in rising order. */
static unsigned walk(uint64_t limit)
{
	uint64_t after = 0, expected = 1;
	unsigned pages = 0;

	do {
		PST_CLEANUP(pst_buf_done) struct pst_buf bytes = {0};
		msgpack_unpacked reply;

		ask(after, limit, &bytes, &reply);
		const msgpack_object *rows = pst_ctl_get(&reply.data, "processes");
		assert_non_null(rows);
		for (uint32_t i = 0; i < rows->via.array.size; i++)
			assert_int_equal(rows->via.array.ptr[i].via.array.ptr[0].via.u64, expected++);
		assert_true(pst_ctl_u64(&reply.data, "next", &after));
		msgpack_unpacked_destroy(&reply);
		assert_true(++pages < 100);
	} while (after);
	assert_int_equal(expected, PROCESSES + 1);
	return pages;
}

static void short_names(void **state)
{
	(void)state;
	fill(16);
	assert_int_equal(walk(256), PROCESSES / 256 + 1);
	assert_int_equal(walk(UINT32_MAX), PROCESSES / 256 + 1);
	assert_int_equal(walk(300), PROCESSES / 256 + 1);
}

static void long_names(void **state)
{
	(void)state;
	fill(4096);
	assert_true(walk(256) > PROCESSES / 256 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(short_names, setup, teardown),
		cmocka_unit_test_setup_teardown(long_names, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
