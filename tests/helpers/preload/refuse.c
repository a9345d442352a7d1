// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into the loader: the kernel refuses what PST_REFUSE names, separated by commas. prog:guard is
 * programs whose name begins so (EACCES, as the verifier says), link:47 is links of that attach type
 * (EINVAL), get:xdp_ is opening pins whose name begins so (ENOMEM). PST_REFUSE_WHILE: only while this file is
 * there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIST_MAX 256

static bool listed(const char *what)
{
	const char *env = getenv("PST_REFUSE");
	char list[LIST_MAX], *rest = list;

	snprintf(list, sizeof(list), "%s", env ? env : "");
	for (char *item; (item = strsep(&rest, ",")) != NULL;)
		if (*item && !strncmp(what, item, strlen(item)))
			return true;
	return false;
}

static bool for_now(void)
{
	const char *path = getenv("PST_REFUSE_WHILE");

	return !path || !access(path, F_OK);
}

static int refused(long cmd, const union bpf_attr *attr)
{
	char what[64];

	if (!for_now())
		return 0;
	if (cmd == BPF_OBJ_GET) {
		const char *path = (const char *)(uintptr_t)attr->pathname, *name = strrchr(path, '/');

		snprintf(what, sizeof(what), "get:%.50s", name ? name + 1 : path);
		return listed(what) ? ENOMEM : 0;
	}
	if (cmd == BPF_PROG_LOAD) {
		snprintf(what, sizeof(what), "prog:%.15s", attr->prog_name);
		return listed(what) ? EACCES : 0;
	}
	if (cmd == BPF_LINK_CREATE) {
		snprintf(what, sizeof(what), "link:%u", attr->link_create.attach_type);
		return listed(what) ? EINVAL : 0;
	}
	return 0;
}

long syscall(long number, ...)
{
	long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	long a[6];
	va_list args;
	int error;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	error = number == SYS_bpf ? refused(a[0], (const union bpf_attr *)a[1]) : 0;
	if (!error)
		return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	errno = error;
	return -1;
}
