// SPDX-License-Identifier: Apache-2.0
/* Any bytes as the loader's report: read, shown as metrics and as JSON. */
#include <fcntl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exporter/report.h"
#include "proto/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/dev/shm/pst-fuzz-XXXXXX", path[64];

static void tidy(void)
{
	unlink(path);
	rmdir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_buf out = {0};
	struct expo expo = {.out = &out};
	struct report *report;
	json_error_t error;
	uint32_t ifindex;
	const char *name;

	if (!*path) {
		pst_log_init("fuzz", PST_LOG_TEXT, PST_LOG_ERROR);
		if (!mkdtemp(dir))
			abort();
		snprintf(path, sizeof(path), "%s/loader.json", dir);
		atexit(tidy);
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) < 0 ||
		report_new(dir, 64, &report) < 0)
		abort();
	if (!report_refresh(report) && !*report_problem(report))
		abort(); /* what was not read has a reason */
	for (unsigned i = 0; i < 1000 && report_interface(report, i, &ifindex, &name); i++)
		if (!name)
			abort();
	report_expose(report, &expo);
	out.len = 0;
	report_json(report, &out);
	json_t *root =
		json_loadb((const char *)out.p, out.len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
	if (out.failed || !root)
		abort();
	json_decref(root);
	pst_buf_done(&out);
	report_free(report);
	return 0;
}
