/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's own privilege: as little as this kernel asks for, as early as possible. */
#ifndef PST_LOADER_CAPS_H
#define PST_LOADER_CAPS_H

#include <stdbool.h>
#include <stdint.h>

struct caps_level {
	uint64_t kept; /* permitted and effective, bit n: capability n */
	bool bounding_empty;
	bool securebits;
	bool no_new_privs;
	bool seccomp;
	const char *why_sys_admin; /* NULL: not kept */
};

/*
 * Keeps CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (as far as they were there), and CAP_SYS_ADMIN only if a trial
 * in a child shows that the kernel refuses a tracing program without it. Empties the bounding set, locks
 * securebits, sets no_new_privs and forbids by seccomp what a loader never does (exec, ptrace, mount,
 * modules, internet sockets, ...). 0 or -errno with a log line.
 */
int caps_limit(struct caps_level *ret_level);
const char *caps_name(unsigned cap); /* "bpf"; NULL: unknown number */
#define CAPS_LAST 63

#endif
