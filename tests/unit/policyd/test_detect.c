// SPDX-License-Identifier: Apache-2.0
/* When a flood begins and ends, second by second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/guard/detect.h"

#define S 1000000000ull

static const struct detect_limits limits = {.packets = 1000, .quiet_ns = 3 * S};
static struct detect detect;
static struct vector v[2];
static uint64_t now;
static unsigned begun, ended;
static struct flood last;

static void note(void *arg, const struct flood *f)
{
	(void)arg;
	begun += f->on;
	ended += !f->on;
	last = *f;
}

static int begin(void **state)
{
	(void)state;
	memset(&detect, 0, sizeof(detect));
	memset(v, 0, sizeof(v));
	snprintf(v[0].name, sizeof(v[0].name), "a");
	snprintf(v[1].name, sizeof(v[1].name), "b");
	begun = ended = 0;
	now = 100 * S;
	return 0;
}

static void look(size_t n)
{
	detect_look(&detect, &limits, v, n, now, note, NULL);
}

/* A second in which so many packets of 100 bytes came. */
static void second(uint64_t packets)
{
	now += S;
	v[0].count.packets += packets;
	v[0].count.bytes += packets * 100;
	look(2);
}

static void test_one(void **state)
{
	(void)state;
	v[0].count.packets = 1000000; /* counted before anybody looked */
	look(2);
	second(999);
	assert_int_equal(begun, 0);
	second(1000);
	assert_int_equal(begun, 1);
	assert_string_equal(last.vector.name, "a");
	assert_int_equal(last.rate.packets, 1000);
	assert_int_equal(last.rate.bytes, 100000);
	assert_int_equal(last.total.packets, 1000);
	assert_int_equal(last.first_ns, 101 * S);
	assert_int_equal(detect.n_on, 1);
	second(5000);
	for (int i = 0; i < 20; i++) /* not many, and not few: it goes on */
		second(i & 1 ? 500 : 0);
	assert_int_equal(begun, 1);
	assert_int_equal(ended, 0);
	second(100);
	second(100);
	assert_int_equal(ended, 0);
	second(100);
	assert_int_equal(ended, 1);
	assert_int_equal(detect.n_on, 0);
	assert_int_equal(last.rate.packets, 5000);
	assert_int_equal(last.total.packets, 1000 + 5000 + 10 * 500 + 300);
	assert_int_equal(last.last_ns - last.first_ns, 22 * S);
	for (int i = 0; i < 5; i++)
		second(100);
	second(2000); /* another one */
	assert_int_equal(begun, 2);
	assert_int_equal(last.total.packets, 2000);
}

/* Per second, however long nobody looked; a counter that begins anew is no flood. */
static void test_rates(void **state)
{
	(void)state;
	look(2);
	now += 9 * S;
	second(9000);
	assert_int_equal(begun, 0);
	v[0].count = (struct pst_guard_count){0};
	second(0);
	second(999);
	assert_int_equal(begun, 0);
	look(2); /* no time has passed */
	v[0].count.packets += 1000;
	now += S / 2;
	look(2);
	assert_int_equal(begun, 1);
	assert_int_equal(last.rate.packets, 2000);
}

/* A vector that goes, as a signature that is taken out, has ended; one that comes begins at what it has. */
static void test_others(void **state)
{
	(void)state;
	look(1);
	v[1].count.packets = 5000000;
	second(2000);
	assert_int_equal(begun, 1);
	snprintf(v[0].name, sizeof(v[0].name), "c");
	second(2000);
	assert_int_equal(ended, 1);
	assert_string_equal(last.vector.name, "a");
	assert_int_equal(begun, 1);
	now += S;
	v[1].count.packets += 1000;
	look(2);
	assert_int_equal(begun, 2);
	assert_string_equal(last.vector.name, "b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one, begin),
		cmocka_unit_test_setup(test_rates, begin),
		cmocka_unit_test_setup(test_others, begin),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
