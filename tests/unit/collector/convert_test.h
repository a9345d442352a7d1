/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of records made into events share. Included after tests/unit/wire_test.h or base_test.h. */
#ifndef PST_TESTS_CONVERT_TEST_H
#define PST_TESTS_CONVERT_TEST_H

#include <string.h>

#include "collector/convert.h"
#include "proto/base/cleanup.h"

#define DOER 13 /* pid of the records */
#define HEAD(type, kind_)                                                                                    \
	.h = {.kind = (kind_), .size = sizeof(struct type), .ts_ns = 7}, .task = {.pid = DOER, .comm = "doer"}

static struct convert convert;
static struct pst_buf out;

/* Lasts until the next one. */
static const struct pst_event *to_event(const void *rec)
{
	static struct pst_event event;
	const struct pst_rec *h = rec;
	struct pst_cur cur;

	out.len = 0;
	assert_int_equal(convert_record(&convert, h, h->size, &out), 0);
	cur = pst_cur(out.p, out.len);
	assert_int_equal(pst_event_decode(&cur, &event), 0);
	assert_ptr_equal(cur.p, cur.end);
	assert_int_equal(event.sensor[PST_FORK_F_pid].u, DOER);
	return &event;
}

static void assert_text(const struct pst_event *e, unsigned field, const char *want)
{
	assert_int_equal(e->sensor[field].len, strlen(want));
	assert_memory_equal(e->sensor[field].p, want, strlen(want));
}

static int teardown(void **state)
{
	(void)state;
	pst_buf_done(&out);
	return 0;
}

#endif
