// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"

#include "exporter/store.h"

static void empty(void **state)
{
	struct store *store;
	struct store_event event;

	(void)state;
	assert_int_equal(store_new(4, 100, &store), 0);
	assert_int_equal(store_oldest(store), 1);
	assert_int_equal(store_next(store), 1);
	assert_int_not_equal(store_epoch(store), 0);
	assert_false(store_get(store, 0, &event));
	assert_false(store_get(store, 1, &event));
	store_free(store);
	assert_int_equal(store_new(0, 100, &store), -EINVAL);
	assert_int_equal(store_new(4, 0, &store), -EINVAL);
}

static void bounded_by_number(void **state)
{
	struct store *store;
	struct store_event event;

	(void)state;
	assert_int_equal(store_new(4, 4096, &store), 0);
	for (unsigned i = 1; i <= 10; i++) {
		uint8_t byte = (uint8_t)i;

		assert_int_equal(store_add(store, i, &byte, 1), i);
	}
	assert_int_equal(store_oldest(store), 7);
	assert_int_equal(store_next(store), 11);
	for (unsigned i = 7; i <= 10; i++) {
		assert_true(store_get(store, i, &event));
		assert_int_equal(event.kind, i);
		assert_int_equal(event.seq, i);
		assert_int_equal(event.raw[0], i);
	}
	assert_false(store_get(store, 6, &event));
	assert_false(store_get(store, 11, &event));
	assert_int_equal(store_bytes(store), 4);
	store_free(store);
}

/* Everything that is in the store is what was put there, at every step, whatever the sizes. */
static void agrees_with_a_model(void **state)
{
	enum { STEPS = 20000, BYTES = 1000, EVENTS = 37 };
	struct store *store;
	static uint32_t lens[STEPS + 1];
	uint64_t seed = 42;

	(void)state;
	assert_int_equal(store_new(EVENTS, BYTES, &store), 0);
	for (unsigned i = 1; i <= STEPS; i++) {
		uint8_t bytes[BYTES];
		size_t sum = 0;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		lens[i] = 1 + (uint32_t)(seed >> 33) % (i % 100 ? 120 : BYTES);
		memset(bytes, (int)i, lens[i]);
		assert_int_equal(store_add(store, i, bytes, lens[i]), i);
		assert_int_equal(store_next(store), i + 1);
		assert_true(store_oldest(store) <= i);
		for (uint64_t seq = store_oldest(store); seq <= i; seq++) {
			struct store_event event;

			assert_true(store_get(store, seq, &event));
			assert_int_equal(event.len, lens[seq]);
			assert_int_equal(event.kind, seq);
			assert_int_equal(event.raw[0], (uint8_t)seq);
			assert_int_equal(event.raw[event.len - 1], (uint8_t)seq);
			sum += event.len;
		}
		assert_true(sum <= BYTES);
		assert_int_equal(sum, store_bytes(store));
	}
	/* it does not throw away more than a wrap needs */
	assert_true(store_bytes(store) > BYTES / 3);
	store_free(store);
}

static void too_large(void **state)
{
	struct store *store;
	struct store_event event;
	uint8_t bytes[200] = {1};

	(void)state;
	assert_int_equal(store_new(8, 100, &store), 0);
	store_add(store, 1, bytes, 10);
	assert_int_equal(store_add(store, 2, bytes, 101), 2);
	assert_false(store_get(store, 1, &event));
	assert_false(store_get(store, 2, &event));
	assert_int_equal(store_oldest(store), 3);
	assert_int_equal(store_add(store, 3, bytes, 100), 3);
	assert_true(store_get(store, 3, &event));
	store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(bounded_by_number),
		cmocka_unit_test(agrees_with_a_model),
		cmocka_unit_test(too_large),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
