// SPDX-License-Identifier: Apache-2.0
/* Who sends what the steps against floods take: from samples, second by second. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/guard/tops.h"
#include "proto/wire/event.h"

#define S 1000000000ull

static struct tops tops;
static struct detect detect;
static struct pst_sample slots[PST_SAMPLES];
static struct vector v[2];
static unsigned filled;
static uint64_t now;

static void note(void *arg, const struct flood *f)
{
	(void)arg;
	(void)f;
}

static int begin(void **state)
{
	(void)state;
	memset(&tops, 0, sizeof(tops));
	memset(&detect, 0, sizeof(detect));
	memset(slots, 0, sizeof(slots));
	v[0] = (struct vector){.name = "rate", .top = tops_place(PST_GUARD_DRY_RATE, 0)};
	v[1] = (struct vector){.name = "sig", .top = tops_place(PST_GUARD_DRY_SIGNATURE, 9)};
	filled = 0;
	now = 100 * S;
	return 0;
}

static void sample(const char *addr, unsigned event, unsigned sig, unsigned packets)
{
	struct pst_sample *s = &slots[filled++ % PST_SAMPLES];

	*s = (struct pst_sample){.event = (uint8_t)event,
		.sig = (uint8_t)sig,
		.packets = (uint16_t)packets,
		.ifindex = strchr(addr, ':') ? 7 : 2};
	if (strchr(addr, ':')) {
		assert_int_equal(inet_pton(AF_INET6, addr, s->source), 1);
	} else {
		s->source[10] = s->source[11] = 0xff;
		assert_int_equal(inet_pton(AF_INET, addr, s->source + 12), 1);
	}
}

static void of_rate(const char *addr, unsigned n)
{
	while (n--)
		sample(addr, PST_GUARD_DRY_RATE, 0, 1);
}

/* As policyd does it: then the slots are empty, and the next second has others. */
static void second(uint64_t rate, uint64_t sig)
{
	const struct detect_limits limits = {.packets = 1000, .quiet_ns = 2 * S};

	v[0].count.packets += rate;
	v[1].count.packets += sig;
	now += S;
	tops_look(&tops, slots, &detect, v, 2);
	detect_look(&detect, &limits, v, 2, now, note, NULL);
	for (unsigned i = 0; i < PST_SAMPLES; i++)
		assert_int_equal(slots[i].event, 0);
	filled = 0;
}

static const char *text_of(struct pst_buf list, uint32_t n)
{
	static char text[4][600];
	static unsigned at;
	char *buf = text[at++ % 4], *w = buf;
	struct pst_cur cur = pst_cur(list.p, list.len);
	const void *bytes;
	uint32_t len;

	*w = '\0';
	while (pst_list_next(&cur, &bytes, &len)) {
		w += sprintf(w, "%s%.*s", w == buf ? "" : ", ", (int)len, (const char *)bytes);
		n--;
	}
	assert_int_equal(n, 0);
	pst_buf_done(&list);
	return buf;
}

/* "a 5, b 3" of a vector. */
static const char *told(const struct vector *of)
{
	struct pst_buf list = {0};
	uint32_t n = top_put(&tops.v[of->top], &list);

	return text_of(list, n);
}

static const char *name_of(uint32_t ifindex, void *arg)
{
	(void)arg;
	return ifindex == 2 ? "eth0" : NULL;
}

static const char *told_interfaces(const struct vector *of)
{
	struct pst_buf list = {0};
	uint32_t n = top_put_interfaces(&tops.v[of->top], name_of, NULL, &list);

	return text_of(list, n);
}

static void test_shares(void **state)
{
	(void)state;
	second(0, 0);
	of_rate("192.0.2.1", 60);
	of_rate("192.0.2.2", 30);
	of_rate("2001:db8:1:2::5", 5); /* addresses of one network are one source */
	of_rate("2001:db8:1:2::6", 5);
	sample("192.0.2.9", PST_GUARD_DRY_SIGNATURE, 9, 1);
	sample("192.0.2.9", PST_GUARD_DRY_SIGNATURE, 9, 1);
	sample("192.0.2.8", PST_GUARD_DRY_SIGNATURE, 9, 2); /* that GRO made one */
	sample("192.0.2.8", PST_GUARD_DRY_SIGNATURE, 9, 4);
	second(100000, 4000);
	assert_string_equal(told(&v[0]), "192.0.2.1 60000, 192.0.2.2 30000, 2001:db8:1:2::/64 10000");
	assert_string_equal(told(&v[1]), "192.0.2.8 3000, 192.0.2.9 1000");
	assert_string_equal(told_interfaces(&v[0]), "eth0 90000, ?7 10000");
	assert_string_equal(told_interfaces(&v[1]), "eth0 4000");
	assert_int_equal(tops.v[v[0].top].sampled, 100);
	assert_int_equal(tops.v[v[1].top].sampled, 8);
}

/* While a flood goes on all of it counts; what was before it does not, nor what was before policyd. */
static void test_of_one_flood(void **state)
{
	(void)state;
	of_rate("192.0.2.7", 500);
	second(1000000, 0);
	assert_string_equal(told(&v[0]), "");
	of_rate("192.0.2.6", 10);
	second(500, 0); /* few: none */
	of_rate("192.0.2.1", 10);
	second(20000, 0);
	of_rate("192.0.2.2", 10);
	second(5000, 0);
	second(0, 0);
	assert_string_equal(told(&v[0]), "192.0.2.1 20000, 192.0.2.2 5000");
	second(0, 0);
	second(0, 0); /* it ended */
	of_rate("192.0.2.3", 10);
	second(7000, 0);
	assert_string_equal(told(&v[0]), "192.0.2.3 7000");
}

/* Each from another source: nobody is named, one that sends more is, however many forged ones come between.
 */
static void test_forged(void **state)
{
	char addr[32];

	(void)state;
	second(0, 0);
	for (int round = 0; round < 20; round++) {
		for (unsigned i = 0; i < PST_SAMPLES; i++) {
			snprintf(addr, sizeof(addr), "10.%u.%u.%u", rand() % 256, rand() % 256, rand() % 256);
			of_rate(addr, 1);
		}
		second(1000000, 0);
		assert_string_equal(told(&v[0]), "");
	}
	for (int round = 0; round < 20; round++) {
		for (unsigned i = 0; i < PST_SAMPLES; i++) {
			snprintf(addr, sizeof(addr), "10.%u.%u.%u", rand() % 256, rand() % 256, rand() % 256);
			of_rate(i % 10 ? addr : "192.0.2.1", 1);
		}
		second(1000000, 0);
	}
	assert_int_equal(strncmp(told(&v[0]), "192.0.2.1 ", 10), 0);
	assert_null(strchr(told(&v[0]), ','));
	assert_string_equal(told_interfaces(&v[0]), "eth0 40000000");
	assert_in_range(strtoul(told(&v[0]) + 10, NULL, 10), 1000000, 2100000);
}

static void test_five_at_most(void **state)
{
	char addr[32];

	(void)state;
	second(0, 0);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(addr, sizeof(addr), "192.0.2.%u", i % 10);
		of_rate(addr, 1);
	}
	second(1000, 0);
	const char *text = told(&v[0]);
	unsigned commas = 0;

	for (const char *p = text; *p; p++)
		commas += *p == ',';
	assert_int_equal(commas, TOP_TOLD - 1);
}

/* What is in the slots may be anything. */
static void test_rubbish(void **state)
{
	(void)state;
	for (int round = 0; round < 300; round++) {
		for (size_t i = 0; i < sizeof(slots); i++)
			((uint8_t *)slots)[i] = (uint8_t)(round & 1 ? rand() : 0xff);
		for (unsigned i = 0; i < PST_SAMPLES; i += 3)
			slots[i].event = (uint8_t)(PST_GUARD_DRY_BLOCKED + rand() % 8);
		second((uint64_t)rand() << 20, round & 2 ? 0 : UINT64_MAX / 3);
		told(&v[0]);
		told(&v[1]);
		told_interfaces(&v[0]);
	}
}

static void test_mask(void **state)
{
	static const struct {
		uint64_t packets;
		uint32_t mask;
	} cases[] = {{0, 0}, {1, 0}, {1000, 0}, {1023, 0}, {1024, 1}, {10000, 15}, {1000000, 1023},
		{UINT64_MAX, 0xffff}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(tops_mask(cases[i].packets), cases[i].mask);
	for (unsigned event = 0; event < 70; event++)
		for (unsigned sig = 0; sig < 300; sig++)
			assert_true(tops_place(event, sig) <= TOPS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_shares, begin),
		cmocka_unit_test_setup(test_of_one_flood, begin),
		cmocka_unit_test_setup(test_forged, begin),
		cmocka_unit_test_setup(test_five_at_most, begin),
		cmocka_unit_test_setup(test_rubbish, begin),
		cmocka_unit_test_setup(test_mask, begin),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
