// SPDX-License-Identifier: Apache-2.0
/* What a stage says of itself becomes metrics that hold together, whatever it says. */
#include "exporter/stages.h"
#include "tests/unit/base_test.h"

#include "proto/wire/mp.h"

static void put_input(struct pst_buf *out, const char *publisher, size_t len, uint64_t lag_ns)
{
	pst_mp_bin(out, publisher, (uint32_t)len);
	pst_mp_map(out, 2);
	pst_mp_str(out, "connected");
	pst_mp_bool(out, true);
	pst_mp_str(out, "lag_ns");
	pst_mp_uint(out, lag_ns);
}

static unsigned count(const struct pst_buf *text, const char *needle)
{
	unsigned n = 0;

	for (const char *p = (const char *)text->p; (p = strstr(p, needle)); p++)
		n++;
	return n;
}

static void an_input_that_is_told_of_twice(void **state)
{
	struct pst_buf reply = {0}, out = {0};
	struct expo expo = {.out = &out};
	struct pst_loop *loop;
	struct stages *stages;
	msgpack_unpacked value;

	(void)state;
	assert_int_equal(pst_loop_new(&loop), 0);
	const struct stages_config config = {.loop = loop, .run_dir = "/nonexistent", .max_label_bytes = 64};
	assert_int_equal(stages_new(&config, &stages), 0);
	pst_mp_map(&reply, 1);
	pst_mp_str(&reply, "inputs");
	pst_mp_map(&reply, 5);
	put_input(&reply, "collector", 9, 1);
	put_input(&reply, "collector", 9, 2);
	put_input(&reply, "enricher", 8, 3);
	put_input(&reply, "collector\0x", 11, 4);
	put_input(&reply, "a\"} 1\nb", 7, 5);
	msgpack_unpacked_init(&value);
	assert_int_equal(
		msgpack_unpack_next(&value, (const char *)reply.p, reply.len, NULL), MSGPACK_UNPACK_SUCCESS);
	stages_take(stages, 1, 0, &value.data);
	stages_expose(stages, &expo);
	pst_mp_raw(&out, "", 1);
	assert_false(out.failed);
	assert_int_equal(
		count(&out, "penstock_stage_input_connected{stage=\"enricher\",publisher=\"collector\"}"), 1);
	assert_int_equal(count(&out, "penstock_stage_input_connected{"), 3);
	assert_int_equal(count(&out, "publisher=\"a\\\"} 1\\nb\""), 2); /* and its lag */
	msgpack_unpacked_destroy(&value);
	pst_buf_done(&reply);
	pst_buf_done(&out);
	stages_free(stages);
	pst_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_input_that_is_told_of_twice),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
