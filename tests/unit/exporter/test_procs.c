// SPDX-License-Identifier: Apache-2.0
/* The list of processes through the exporter: bounded, however long the names are, and complete. */
#include "exporter/procs.h"
#include "tests/unit/bus_test.h"

#include <jansson.h>

#define PROCESSES 1000
#define PAGE      100

static char exe[4096]; /* each byte is six in JSON */

static int on_op(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	uint64_t after = 0, n;

	(void)arg;
	(void)error;
	(void)size;
	assert_true(pst_ctl_u64(request, "after", &after));
	n = PST_MIN((uint64_t)PROCESSES - after, (uint64_t)PAGE);
	pst_mp_map(reply, 2);
	pst_mp_str(reply, "next");
	pst_mp_uint(reply, after + n < PROCESSES ? after + n : 0);
	pst_mp_str(reply, "processes");
	pst_mp_array(reply, (uint32_t)n);
	for (uint64_t pid = after + 1; pid <= after + n; pid++) {
		pst_mp_array(reply, 12);
		for (int i = 0; i < 4; i++)
			pst_mp_uint(reply, pid);
		pst_mp_bin(reply, "comm", 4);
		pst_mp_bin(reply, exe, sizeof(exe));
		pst_mp_bin(reply, "", 0);
		pst_mp_uint(reply, 1);
		for (int i = 0; i < 4; i++)
			pst_mp_bin(reply, "", 0);
	}
	return 0;
}

struct got {
	bool done;
	json_t *root;
	size_t bytes;
};

static void on_list(void *arg, int error, struct pst_buf *json)
{
	struct got *got = arg;

	assert_int_equal(error, 0);
	got->done = true;
	got->bytes = json->len;
	got->root = json_loadb((const char *)json->p, json->len, 0, NULL);
	assert_non_null(got->root);
}

/* Goes on with `next` until all have come; the number of answers. */
static unsigned walk(struct bus_env *env, uint32_t limit)
{
	struct cgroups *cgroups;
	uint32_t after = 0, expected = 1;
	unsigned answers = 0;

	assert_int_equal(cgroups_new(16, &cgroups), 0);
	const struct procs_config config = {.loop = env->loop, .run_dir = env->dir, .cgroups = cgroups};
	do {
		const struct procs_query query = {.limit = limit, .after = after};
		struct got got = {0};

		assert_int_equal(procs_list(&config, &query, on_list, &got), 0);
		RUN_UNTIL(env, got.done);
		assert_true(got.bytes < 5u << 20);
		const json_t *rows = json_object_get(got.root, "processes");
		for (size_t i = 0; i < json_array_size(rows); i++)
			assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, i), "pid")),
				expected++);
		after = (uint32_t)json_integer_value(json_object_get(got.root, "next"));
		json_decref(got.root);
		assert_true(++answers < PROCESSES);
	} while (after);
	assert_int_equal(expected, PROCESSES + 1);
	cgroups_free(cgroups);
	return answers;
}

static void complete_and_bounded(void **state)
{
	struct bus_env *env = *state;
	struct pst_bus *bus = open_bus(env, "enricher", 0, 0);

	assert_int_equal(pst_ctl_handle(bus, "processes", on_op, NULL), 0);
	assert_int_equal(pst_bus_start(bus), 0);
	memset(exe, 'x', sizeof(exe));
	assert_true(walk(env, 100000) <= 2); /* the JSON of all is about as long as the bound */
	assert_int_equal(walk(env, 250), PROCESSES / 250);
	memset(exe, 1, sizeof(exe));
	assert_true(walk(env, 100000) >= 5);
	pst_bus_free(bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(complete_and_bounded, env_setup, env_teardown),
	};

	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
