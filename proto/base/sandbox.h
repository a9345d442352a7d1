/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox of a stage: change to the stage's user, no capability, no_new_privs, Landlock on paths (ABI 1
 * and later, as far as the kernel has it), seccomp that kills the process on bpf(2) and what else no stage
 * needs (execve, ptrace, mount, module loading, ...) and refuses the rest of the list with EPERM. Entered
 * once, before the first thread is started.
 */
#ifndef PST_BASE_SANDBOX_H
#define PST_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#define PST_GROUP "penstock" /* may connect to the sockets */

enum pst_sandbox_access { PST_PATH_READ = 1, PST_PATH_WRITE = 2, PST_PATH_CREATE = 4 };

struct pst_sandbox_path {
	const char *path; /* file, or folder with all below; one that does not exist is left out */
	unsigned access;
};

struct pst_sandbox {
	const char *user; /* NULL or already that user: no change. Its groups come from the group file. */
	const struct pst_sandbox_path *paths; /* ends with path NULL */
	bool inet;                            /* may make AF_INET/AF_INET6 sockets (the exporter) */
	bool inet_connect;                    /* with inet: and connect with them */
	bool interfaces;                      /* may ask for names and numbers of network interfaces */
};

/* What was reached, for status and logs. */
struct pst_sandbox_level {
	int landlock_abi; /* 0: this kernel has none, or it is switched off at boot */
	bool seccomp;
	bool no_new_privs;
	bool no_capabilities;
	char text[96]; /* "uid=997 caps=none nnp seccomp landlock=3" */
};

/* Change to the user, keep nothing. 0 or -errno with a log line. Not root and another user wanted: -EPERM. */
int pst_sandbox_drop_user(const char *user);
/* All of it. A kernel without Landlock is reported in the level and logged once, not an error; anything else
 * that fails is. */
int pst_sandbox_enter(const struct pst_sandbox *sandbox, struct pst_sandbox_level *ret_level);

#endif
