// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as the answer of another stage: to `status`, which becomes metrics and JSON, and to `processes`,
 * whose rows become JSON and are matched by a filter. The first byte says which.
 */
#include <stdlib.h>

#include "exporter/procs.h"
#include "exporter/stages.h"
#include "proto/base/log.h"
#include "proto/wire/ctl_internal.h"
#define JSON_CHECK_DEPTH 32
#include "tests/vectors/json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct stages *stages;
static struct cgroups *cgroups;
static struct pst_filter *filter;

static void open_all(void)
{
	struct stages_config config = {
		.run_dir = "/nonexistent", .interval_ns = 1000000000, .max_label_bytes = 128};
	char error[160];

	pst_log_init("fuzz", PST_LOG_TEXT, PST_LOG_ERROR);
	if (pst_loop_new(&config.loop) < 0 || stages_new(&config, &stages) < 0 ||
		cgroups_new(64, &cgroups) < 0 || pst_filter_new(&filter) < 0 ||
		pst_filter_add(filter, "comm", "a*", 0, error, sizeof(error)) < 0)
		abort();
}

/* @buf between @begin and @end, without the line ends between rows. */
static void check_json(struct pst_buf *buf, char begin, char end)
{
	struct pst_buf whole = {0};

	pst_mp_raw(&whole, &begin, 1);
	for (size_t i = 0; i < buf->len; i++)
		if (buf->p[i] != '\n')
			pst_mp_raw(&whole, buf->p + i, 1);
	pst_mp_raw(&whole, &end, 1);
	if (buf->failed || whole.failed || !json_valid(whole.p, whole.len))
		abort();
	pst_buf_done(&whole);
}

/* Every line of the exposition is a comment or a sample. */
static void check_metrics(const struct pst_buf *out)
{
	for (size_t at = 0; at < out->len;) {
		const uint8_t *line = out->p + at, *end = memchr(line, '\n', out->len - at);

		if (!end || (*line != '#' && memcmp(line, "penstock_", 9)))
			abort();
		at += (size_t)(end - line) + 1;
	}
}

static void as_status(const msgpack_object *reply)
{
	struct pst_buf out = {0};
	struct expo expo = {.out = &out};
	char missing[256];

	stages_take(stages, 1, 0, reply);
	stages_expose(stages, &expo);
	if (out.failed)
		abort();
	check_metrics(&out);
	out.len = 0;
	stages_json(stages, &out);
	check_json(&out, '{', '}');
	stages_missing(stages, missing, sizeof(missing));
	pst_buf_done(&out);
}

static void as_processes(const msgpack_object *reply, bool filtered)
{
	const struct procs_config config = {.cgroups = cgroups};
	const struct procs_query query = {.filter = filtered ? filter : NULL, .limit = 16};
	struct pst_buf out = {0};

	procs_write(&config, &query, reply, &out);
	check_json(&out, '[', ']');
	pst_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	msgpack_unpacked value;

	if (!stages)
		open_all();
	if (!size || ctl_unpack(data + 1, size - 1, &value) < 0)
		return 0;
	if (*data % 3 == 0)
		as_status(&value.data);
	else
		as_processes(&value.data, *data % 3 == 1);
	msgpack_unpacked_destroy(&value);
	return 0;
}
