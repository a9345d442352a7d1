/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_TESTS_OWN_NETNS_H
#define PST_TESTS_OWN_NETNS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * For generators of traffic: a mistake must not reach a real network. The initial namespace is the only one
 * with all of net.core; in a container the one of process 1 is refused too, where it may be seen.
 */
static inline void refuse_the_host(const char *program)
{
	struct stat own, first;
	bool known = !stat("/proc/self/ns/net", &own) && !access("/proc/sys/net/core/somaxconn", F_OK);
	bool seen = !stat("/proc/1/ns/net", &first);

	if (known && access("/proc/sys/net/core/netdev_max_backlog", F_OK) &&
		!(seen && own.st_dev == first.st_dev && own.st_ino == first.st_ino))
		return;
	fprintf(stderr, "%s: only for network namespaces of a test, not for the host's\n", program);
	exit(100);
}

#endif
