// SPDX-License-Identifier: Apache-2.0
#include "cli/header.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/report.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/wire/ctl.h"

#define STATUS_TIMEOUT_MS 2000

/* `extra.listen` of the exporter's status: its URLs. */
static void print_urls(FILE *to, const msgpack_object *listen)
{
	for (uint32_t i = 0; listen && listen->type == MSGPACK_OBJECT_ARRAY && i < listen->via.array.size;
		i++) {
		const msgpack_object *url = &listen->via.array.ptr[i];
		char text[256];

		if (url->type != MSGPACK_OBJECT_STR)
			continue;
		pst_log_escape(text, sizeof(text), url->via.str.ptr, url->via.str.size);
		fprintf(to, "  metrics   %s/metrics\n  events    %s/api/v1/events?follow=1\n", text, text);
	}
}

static void print_api(FILE *to, const char *run_dir)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf request = {0};
	msgpack_unpacked reply;
	const msgpack_object *extra;

	pst_mp_map(&request, 1);
	pst_mp_str(&request, "op");
	pst_mp_str(&request, "status");
	if (pst_ctl_call(run_dir, "exporter", request.p, request.len, STATUS_TIMEOUT_MS, &reply) < 0)
		return;
	extra = pst_ctl_get(&reply.data, "extra");
	if (extra)
		print_urls(to, pst_ctl_get(extra, "listen"));
	msgpack_unpacked_destroy(&reply);
}

static void print_sensors(FILE *to, const json_t *report)
{
	const json_t *list = json_object_get(report, "sensors");
	size_t i;
	const json_t *s;

	fprintf(to, "  sensors  ");
	json_array_foreach(list, i, s)
	{
		const char *state = report_text(s, "state");

		if (!strcmp(state, "active") || !strcmp(state, "weaker"))
			fprintf(to, " %s(%s)", report_safe(s, "name"), report_safe(s, "rung"));
	}
	fputc('\n', to);
	json_array_foreach(list, i, s)
	{
		const json_t *why = json_object_get(s, "why_not");
		const char *state = report_text(s, "state");
		const json_t *first = json_array_get(why, 0);

		if (!strcmp(state, "off"))
			fprintf(to, "  off       %s: by the configuration\n", report_safe(s, "name"));
		else if (strcmp(state, "active"))
			fprintf(to, "  %-9s %s: not by %s: %s\n", cli_safe(state), report_safe(s, "name"),
				report_safe(first, "rung"), report_reason(first));
	}
}

static void print_interfaces(FILE *to, const json_t *report)
{
	const json_t *i;
	size_t n;

	fprintf(to, "  interfaces");
	json_array_foreach(json_object_get(report, "interfaces"), n, i)
	{
		fprintf(to, " %s-%s(%s)", report_safe(i, "name"), report_safe(i, "dir"),
			report_safe(i, "mode"));
	}
	fputc('\n', to);
}

void header_print(FILE *to, const char *run_dir)
{
	char error[256] = "";
	json_t *report = report_load(run_dir, error, sizeof(error));
	const json_t *kernel = json_object_get(report, "kernel");

	if (!report)
		fprintf(stderr, "penstock: no report of the loader: %s\n", cli_safe(error));
	fprintf(to, "Penstock %s on Linux %s, all five processes are up\n", PST_VERSION,
		report_safe(kernel, "release"));
	print_api(to, run_dir);
	if (report) {
		print_sensors(to, report);
		print_interfaces(to, report);
	}
	fprintf(to, "  stop with Ctrl-C\n\n");
	fflush(to);
	json_decref(report);
}
