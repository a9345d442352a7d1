// SPDX-License-Identifier: Apache-2.0
/* key\0value\0key\0value\0...\0\0event: builds a filter and compares it with the event; the values also as
 * globs, ranges, times and field values. */
#include <errno.h>
#include <stdlib.h>

#include "proto/wire/filter.h"
#include "proto/wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition))                                                                            \
			abort();                                                                             \
	} while (0)

/* A value by itself, through all that reads text. */
static void read_value(const char *text)
{
	struct pst_cidr cidr;
	char shown[128];
	uint64_t v, back;

	if (!pst_cidr_parse(text, &cidr)) {
		struct pst_val val = pst_val_str(cidr.addr, 16);
		CHECK(pst_cidr_match(&cidr, &val)); /* its first address */
	}
	if (!pst_time_parse(text, 1700000000000000000, &v)) {
		char time[31];
		pst_time_format(time, v);
		CHECK(v >= 18400000000000000000u || (!pst_time_parse(time, 0, &back) && back == v));
	}
	for (uint8_t format = PST_FMT_NUM; format <= PST_FMT_CODE; format++)
		for (uint8_t type = PST_T_U; type <= PST_T_I; type++) {
			const struct pst_field field = {.name = "x", .type = type, .format = format};
			if (pst_val_parse(&field, text, &v) < 0)
				continue;
			struct pst_val val = {.u = v};
			CHECK(pst_val_text(&val, &field, shown, sizeof(shown)) < sizeof(shown));
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pst_event event;
	char *text = malloc(size + 2), *p = text, *end = text + size, error[64];
	struct pst_filter *filter;
	unsigned accepted = 0;

	CHECK(text && !pst_filter_new(&filter));
	if (size)
		memcpy(text, data, size);
	end[0] = end[1] = '\0';
	while (p < end && *p) {
		const char *key = p, *value = key + strlen(key) + 1;
		if (value > end)
			break;
		memset(error, '#', sizeof(error));
		int r = pst_filter_add(filter, key, value, 1700000000000000000, error, sizeof(error) - 1);
		CHECK(error[sizeof(error) - 1] == '#');
		CHECK(r == 0 || ((r == -EINVAL || r == -E2BIG) && memchr(error, 0, sizeof(error))));
		accepted += !r;
		read_value(value);
		CHECK(pst_glob_match(key, value, strlen(value)) || strcmp(key, "*"));
		p = (char *)value + strlen(value) + 1;
	}
	CHECK(pst_filter_empty(filter) == !accepted);
	p += p < end;
	struct pst_cur cur = pst_cur(p, p < end ? (size_t)(end - p) : 0);
	while (pst_cur_left(&cur) && !pst_event_decode(&cur, &event)) {
		bool match = pst_filter_match(filter, &event, 1600000000000000000);
		CHECK(!match || pst_filter_wants_kind(filter, event.kind)); /* the first test loses nothing */
		CHECK(match || accepted);
	}
	pst_filter_free(filter);
	free(text);
	return 0;
}
