// SPDX-License-Identifier: Apache-2.0
/* Any bytes as /proc/PID/cgroup, /proc/PID/mountinfo, the user file and the file of services; the first byte
 * says which. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "enricher/cgroup.h"
#include "enricher/names.h"
#include "proto/base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_cgroup(FILE *file, bool v2_only)
{
	struct cgroup_facts facts = {0};

	if (cgroup_read(file, v2_only, &facts) && !facts.runtime)
		abort();
	if (facts.container_id && facts.container_id->len > 64)
		abort();
	cgroup_facts_done(&facts);
}

static void as_names(const uint8_t *data, size_t size, bool users)
{
	static char path[32];
	static int fd;
	struct names *names;

	if (!fd) {
		fd = memfd_create("names", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size ||
		names_new(users ? path : "/nonexistent", users ? "/nonexistent" : path, &names) < 0)
		abort();
	for (uint32_t i = 0; i < 512; i++)
		if (names_user(names, i).len > 32 || names_service(names, 6, (uint16_t)i).len > 32 ||
			names_service(names, 17, (uint16_t)(i * 128)).len > 32)
			abort();
	names_free(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PST_FREE char *root = NULL;

	if (size < 2)
		return 0;
	if (*data % 5 >= 3) {
		as_names(data + 1, size - 1, *data % 5 == 3);
		return 0;
	}
	PST_FCLOSE FILE *file = fmemopen((void *)(uintptr_t)(data + 1), size - 1, "r");
	if (!file)
		return 0;
	if (*data % 5 == 2)
		root = cgroup_mount(file);
	else
		as_cgroup(file, *data % 5);
	if (root && (strlen(root) > 4095 || !*root))
		abort();
	return 0;
}
