/* SPDX-License-Identifier: Apache-2.0 */
/* File systems that the loader needs, and the run folder. */
#ifndef PST_LOADER_MOUNTS_H
#define PST_LOADER_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Makes sure that @folder will lie on a bpffs: mounts one at /sys/fs/bpf when none is there, and lets others
 * pass through the folders above (systemd mounts it 0700). 0 or -errno with a log line.
 */
int mounts_bpffs(const char *folder);
bool mounts_is_bpffs(const char *path);
/*
 * Root of the cgroup2 hierarchy: @wanted ("auto": found in mountinfo, else with @may_mount a mount that
 * nobody else sees). Descriptor or -errno; @ret_text tells where it was found or why not.
 */
int mounts_cgroup(const char *wanted, bool may_mount, char *ret_text, size_t size);
/* Reads a file of securityfs ("lsm", "lockdown") also where it is not mounted. Length, or -errno. */
ssize_t mounts_securityfs_read(const char *name, char *buf, size_t size);
/* Makes the run folder if it is missing: root:@group, 0770 and sticky, as the stages make their sockets
 * there. */
int mounts_run_dir(const char *run_dir, gid_t group);

#endif
