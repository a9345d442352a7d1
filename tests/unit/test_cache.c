// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/base/cache.h"
#include "proto/base/cleanup.h"

/* What the cache must behave like, written as plainly as can be: an array in order of use. */
struct model {
	uint64_t key[512], value[512];
	unsigned n;
};

static int model_find(const struct model *m, uint64_t key)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->key[i] == key)
			return (int)i;
	return -1;
}

static void model_remove(struct model *m, int i)
{
	m->n--;
	memmove(m->key + i, m->key + i + 1, (m->n - (unsigned)i) * 8);
	memmove(m->value + i, m->value + i + 1, (m->n - (unsigned)i) * 8);
}

static void model_push(struct model *m, uint64_t key, uint64_t value)
{
	m->key[m->n] = key;
	m->value[m->n++] = value;
}

static void assert_same(const struct pst_cache *cache, const struct model *m, size_t key_size)
{
	uint32_t cursor = UINT32_MAX;
	const void *key;
	void *value;
	unsigned n = 0;

	while (pst_cache_next(cache, &cursor, &key, &value)) {
		assert_true(n < m->n);
		assert_memory_equal(key, &m->key[n], PST_MIN(key_size, 8));
		assert_memory_equal(value, &m->value[n], 8);
		n++;
	}
	assert_int_equal(n, m->n);
	assert_int_equal(pst_cache_count(cache), m->n);
}

static void behaves_like_the_model(size_t key_size, uint32_t max)
{
	struct pst_cache *cache;
	static struct model m;
	uint64_t evictions = 0;
	unsigned rnd = 12345;

	m.n = 0;
	assert_int_equal(pst_cache_new(key_size, 8, max, NULL, NULL, &cache), 0);
	for (unsigned step = 0; step < 40000; step++) {
		unsigned char key[64] = {0};
		uint64_t k = (rnd = rnd * 1664525u + 1013904223u) >> 16;

		k %= 3 * max / 2 + 2;
		memcpy(key, &k, key_size < 8 ? key_size : 8);
		memcpy(&k, key, 8); /* short keys lose bits */
		int at = model_find(&m, k);
		uint64_t *v, was = at >= 0 ? m.value[at] : 0;
		switch ((rnd = rnd * 1664525u + 1013904223u) >> 29) {
		case 0:
			assert_int_equal(pst_cache_remove(cache, key), at >= 0);
			if (at >= 0)
				model_remove(&m, at);
			break;
		case 1:
		case 2:
			v = pst_cache_get(cache, key);
			assert_int_equal(v != NULL, at >= 0);
			if (v) {
				assert_int_equal(*v, was);
				model_remove(&m, at);
				model_push(&m, k, was);
			}
			break;
		case 3:
			v = pst_cache_peek(cache, key);
			assert_int_equal(v != NULL, at >= 0);
			if (v)
				assert_int_equal(*v, was);
			break;
		default: {
			bool made;

			v = pst_cache_put(cache, key, &made);
			assert_non_null(v);
			assert_int_equal(made, at < 0);
			assert_int_equal(*v, was);
			*v = step + 1;
			if (at >= 0) {
				model_remove(&m, at);
			} else if (m.n == max) {
				model_remove(&m, 0);
				evictions++;
			}
			model_push(&m, k, *v);
		}
		}
		if (step % 64 == 0)
			assert_same(cache, &m, key_size);
	}
	assert_same(cache, &m, key_size);
	assert_true(evictions > 100);
	assert_int_equal(pst_cache_evictions(cache), evictions);
	pst_cache_free(cache);
}

static void random_operations_match_the_model(void **state)
{
	static const size_t key_sizes[] = {1, 4, 8, 12, 16, 40};
	static const uint32_t bounds[] = {1, 2, 7, 64, 100, 300};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(key_sizes); i++)
		for (unsigned j = 0; j < PST_ARRAY_SIZE(bounds); j++)
			if (key_sizes[i] > 1 || bounds[j] <= 100)
				behaves_like_the_model(key_sizes[i], bounds[j]);
}

struct drops {
	unsigned n;
	uint64_t last;
};

static void count_drop(void *arg, void *value)
{
	struct drops *d = arg;

	d->n++;
	d->last = *(uint64_t *)value;
}

static void dropped_on_eviction_removal_and_free(void **state)
{
	struct drops d = {0};
	struct pst_cache *cache;

	(void)state;
	assert_int_equal(pst_cache_new(8, 8, 3, count_drop, &d, &cache), 0);
	for (uint64_t k = 1; k <= 3; k++)
		*(uint64_t *)pst_cache_put(cache, &k, NULL) = k * 10;
	assert_int_equal(d.n, 0);
	uint64_t k = 1;
	assert_non_null(pst_cache_get(cache, &k)); /* 2 is the oldest now */
	k = 4;
	assert_int_equal(*(uint64_t *)pst_cache_put(cache, &k, NULL), 0);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.last, 20);
	k = 3;
	assert_true(pst_cache_remove(cache, &k));
	assert_false(pst_cache_remove(cache, &k));
	assert_int_equal(d.n, 2);
	assert_int_equal(d.last, 30);
	assert_int_equal(pst_cache_evictions(cache), 1);
	pst_cache_free(cache);
	assert_int_equal(d.n, 4);
	pst_cache_free(NULL);
}

static void walk_may_remove_the_current(void **state)
{
	struct pst_cache *cache;
	uint32_t cursor = UINT32_MAX;
	const void *key;
	void *value;
	unsigned seen = 0;

	(void)state;
	assert_int_equal(pst_cache_new(4, 0, 1000, NULL, NULL, &cache), 0);
	for (uint32_t k = 0; k < 1000; k++)
		assert_non_null(pst_cache_put(cache, &k, NULL));
	while (pst_cache_next(cache, &cursor, &key, &value)) {
		uint32_t k = *(const uint32_t *)key;

		assert_int_equal(k, seen++);
		if (k % 2)
			assert_true(pst_cache_remove(cache, &k));
	}
	assert_false(pst_cache_next(cache, &cursor, &key, &value));
	assert_int_equal(seen, 1000);
	assert_int_equal(pst_cache_count(cache), 500);
	for (uint32_t k = 0; k < 1000; k++)
		assert_int_equal(pst_cache_peek(cache, &k) != NULL, k % 2 == 0);
	pst_cache_free(cache);
}

static void grows_and_reuses(void **state)
{
	struct pst_cache *cache;

	(void)state;
	assert_int_equal(pst_cache_new(16, 24, 200000, NULL, NULL, &cache), 0);
	for (unsigned round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 200000; i++) {
			uint64_t key[2] = {i, i * 7919};
			bool made;
			uint64_t *v = pst_cache_put(cache, key, &made);

			assert_true(made);
			assert_int_equal(v[0] | v[1] | v[2], 0);
			v[0] = v[2] = i;
		}
		for (uint64_t i = 0; i < 200000; i++) {
			uint64_t key[2] = {i, i * 7919};
			uint64_t *v = pst_cache_get(cache, key);

			assert_non_null(v);
			assert_int_equal(v[0], i);
			assert_true(pst_cache_remove(cache, key));
		}
		assert_int_equal(pst_cache_count(cache), 0);
	}
	assert_int_equal(pst_cache_evictions(cache), 0);
	pst_cache_free(cache);
}

static void refuses_senseless_sizes(void **state)
{
	struct pst_cache *cache = (void *)1;

	(void)state;
	assert_int_equal(pst_cache_new(0, 8, 10, NULL, NULL, &cache), -EINVAL);
	assert_int_equal(pst_cache_new(8, 8, 0, NULL, NULL, &cache), -EINVAL);
	assert_int_equal(pst_cache_new(8, SIZE_MAX, 10, NULL, NULL, &cache), -EINVAL);
	assert_int_equal(pst_cache_new(8, 8, UINT32_MAX, NULL, NULL, &cache), -EINVAL);
	assert_ptr_equal(cache, (void *)1);
}

static void hash_depends_on_every_byte(void **state)
{
	unsigned char a[40], b[40];
	unsigned ones = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(a); i++)
		a[i] = (unsigned char)(i * 37);
	for (unsigned len = 0; len <= sizeof(a); len++) {
		uint64_t h = pst_hash(a, len);

		assert_true(h == pst_hash(a, len));
		if (len < sizeof(a))
			assert_true(h != pst_hash(a, len + 1));
		for (unsigned bit = 0; bit < len * 8; bit++) {
			memcpy(b, a, sizeof(a));
			b[bit / 8] ^= (unsigned char)(1 << bit % 8);
			uint64_t diff = h ^ pst_hash(b, len);
			assert_true(diff != 0);
			if (len == sizeof(a))
				ones += (unsigned)__builtin_popcountll(diff);
		}
	}
	/* On average half of the 64 bits turn over. */
	assert_in_range(ones / (sizeof(a) * 8), 30, 34);
}

static void seed_differs_between_processes(void **state)
{
	uint64_t h[2] = {0};

	(void)state;
	for (int i = 0; i < 2; i++) {
		char command[64];
		snprintf(command, sizeof(command), "/proc/%d/exe --hash", (int)getpid());
		FILE *f = popen(command, "r");
		assert_non_null(f);
		assert_int_equal(fscanf(f, "%lx", &h[i]), 1);
		pclose(f);
	}
	assert_true(h[0] != h[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_match_the_model),
		cmocka_unit_test(dropped_on_eviction_removal_and_free),
		cmocka_unit_test(walk_may_remove_the_current),
		cmocka_unit_test(grows_and_reuses),
		cmocka_unit_test(refuses_senseless_sizes),
		cmocka_unit_test(hash_depends_on_every_byte),
		cmocka_unit_test(seed_differs_between_processes),
	};
	if (argc > 1 && !strcmp(argv[1], "--hash")) {
		printf("%lx\n", pst_hash("penstock", 8));
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
