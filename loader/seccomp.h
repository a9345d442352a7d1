/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_LOADER_SECCOMP_H
#define PST_LOADER_SECCOMP_H

/* Kills the process on what a loader never calls, refuses internet sockets. 0 or -errno. */
int seccomp_limit(void);

#endif
