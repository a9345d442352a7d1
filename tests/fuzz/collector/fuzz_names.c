// SPDX-License-Identifier: Apache-2.0
/* Any bytes as the loader's report, for what the collector takes from it. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/names.h"
#include "proto/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/dev/shm/pst-fuzz-XXXXXX", path[64];

static void tidy(void)
{
	unlink(path);
	rmdir(dir);
}

static void check(const char *text)
{
	if (strlen(text) > 64)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct names names;
	int fd;

	if (!*path) {
		pst_log_init("fuzz", PST_LOG_TEXT, PST_LOG_ERROR);
		if (!mkdtemp(dir))
			abort();
		snprintf(path, sizeof(path), "%s/loader.json", dir);
		atexit(tidy);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) < 0)
		abort();
	names.mtime_ns = 0;
	names_update(&names, path);
	for (uint32_t i = 0; i < NAMES_MAX + 2; i++) {
		check(names_drop(&names, i));
		check(names_reset(&names, i));
	}
	check(names_drop(&names, UINT32_MAX));
	for (unsigned i = 0; i < names.n_ifaces; i++)
		check(names.iface[i].name);
	return 0;
}
