// SPDX-License-Identifier: Apache-2.0
/*
 * What a client of the HTTP API sends: line 1 the query, then the headers Accept, Host, Authorization and
 * Last-Event-ID. Parsed, made into a filter, matched, and put into a metric's label.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exporter/auth.h"
#include "exporter/expo.h"
#include "exporter/params.h"
#include "exporter/stream.h"
#include "proto/wire/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pst_event event;

static void make_event(void)
{
	static struct pst_buf raw;
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0};
	struct pst_cur cur;

	if (raw.len)
		return;
	v[PST_CONNECT_F_pid].u = 7;
	v[PST_CONNECT_F_comm] = pst_val_str("co\xffmm", 5);
	v[PST_CONNECT_F_raddr] = pst_val_str("\x0a\0\0\1", 4);
	v[PST_CONNECT_F_rport].u = 443;
	pst_event_pack(&raw, PST_KIND_CONNECT, 1, v);
	cur = pst_cur(raw.p, raw.len);
	if (pst_event_decode(&cur, &event) < 0)
		abort();
}

static void use_params(const struct params *params)
{
	struct pst_filter *filter;
	char error[160];
	uint64_t number;
	bool flag;

	if (pst_filter_new(&filter) < 0)
		abort();
	for (unsigned i = 0; i < params->n; i++) {
		const struct param *p = &params->v[i];

		error[0] = 0;
		if (pst_filter_add(filter, p->key, p->value, 1700000000000000000u, error, sizeof(error)) ==
				-EINVAL &&
			strlen(error) >= sizeof(error))
			abort();
		params_u64(params, p->key, 1, 1000, 5, &number, error, sizeof(error));
		params_bool(params, p->key, &flag, error, sizeof(error));
	}
	pst_filter_wants_kind(filter, PST_KIND_CONNECT);
	pst_filter_match(filter, &event, 0);
	pst_filter_free(filter);
}

/* A label value is one line, ends with its quote, and has no bare quote or backslash inside. */
static void check_label(const char *bytes, size_t len)
{
	struct pst_buf out = {0};

	expo_label(&out, "a", bytes, len, 64);
	if (out.failed || out.len < 4 || out.p[out.len - 1] != '"' || out.p[out.len])
		abort();
	for (size_t i = 3; i < out.len - 1; i++) {
		if (out.p[i] == '\n' || out.p[i] == '"' || out.p[i] < 0x20)
			abort();
		if (out.p[i] == '\\' && !strchr("\\\"n", out.p[++i]))
			abort();
	}
	pst_buf_done(&out);
}

static void use_headers(char *rest)
{
	static const char *const types[] = {"application/x-ndjson", "text/event-stream", "application/json"};
	static const char *const versions[] = {"1.0.0", NULL, "1"};
	static const char *const names[] = {"node.example"};
	static struct auth auth = {.bearer = "token", .basic = "YTpi"};
	uint64_t epoch, seq;
	char *line;
	int choice;

	choice = accept_choose(strsep(&rest, "\n"), types, versions, 3);
	if (choice < -1 || choice > 2)
		abort();
	host_allowed(strsep(&rest, "\n"), names, 1);
	auth_check(&auth, strsep(&rest, "\n"));
	line = strsep(&rest, "\n");
	if (line && stream_id_parse(line, &epoch, &seq) == 0 && !epoch)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct params params;
	char error[160], *text, *rest, *query;

	if (size > 65536)
		return 0;
	make_event();
	text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	check_label(text, size);
	rest = text;
	query = strsep(&rest, "\n");
	if (params_parse(query, &params, error, sizeof(error)) == 0)
		use_params(&params);
	use_headers(rest);
	free(text);
	return 0;
}
