// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into the loader: kills it, or makes a call fail, at the n-th call of a kind that changes
 * something. PST_AT=pin:3             killed before the third pin is made PST_AT=pin:3 PST_FAIL=1  that call
 * fails with ENOMEM
 */
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool hit(const char *what)
{
	const char *want = getenv("PST_AT"), *colon = want ? strchr(want, ':') : NULL;
	static int n;

	if (!colon || strlen(what) != (size_t)(colon - want) || strncmp(want, what, strlen(what)) != 0)
		return false;
	if (++n != atoi(colon + 1))
		return false;
	if (!getenv("PST_FAIL"))
		kill(getpid(), SIGKILL);
	errno = ENOMEM;
	return true;
}

/* The next definition of the function that this is called in. */
#define NEXT(type) ((type)dlsym(RTLD_NEXT, __func__))

int bpf_obj_pin(int fd, const char *path)
{
	return hit("pin") ? -ENOMEM : NEXT(int (*)(int, const char *))(fd, path);
}

int bpf_link_update(int link, int prog, const void *opts)
{
	return hit("update") ? -ENOMEM : NEXT(int (*)(int, int, const void *))(link, prog, opts);
}

int bpf_map_create(int type, const char *name, unsigned k, unsigned v, unsigned n, const void *opts)
{
	if (hit("map"))
		return -ENOMEM;
	return NEXT(int (*)(int, const char *, unsigned, unsigned, unsigned, const void *))(
		type, name, k, v, n, opts);
}

int rename(const char *from, const char *to)
{
	return hit("rename") ? -1 : NEXT(int (*)(const char *, const char *))(from, to);
}

int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
	return hit("cpu") ? -1 : NEXT(int (*)(pid_t, size_t, const cpu_set_t *))(pid, size, set);
}
