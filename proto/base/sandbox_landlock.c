// SPDX-License-Identifier: Apache-2.0
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/sandbox_internal.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Newer than the headers of Debian 12. */
#define FS_TRUNCATE                (1ull << 14) /* ABI 3, Linux 6.2 */
#define FS_IOCTL_DEV               (1ull << 15) /* ABI 5, Linux 6.10 */
#define NET_BIND_TCP               (1ull << 0)  /* ABI 4, Linux 6.7 */
#define NET_CONNECT_TCP            (1ull << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ull << 0) /* ABI 6, Linux 6.12 */
#define SCOPE_SIGNAL               (1ull << 1)
#define ABI_KNOWN                  7 /* what it adds concerns audit logs only */

struct ruleset {
	uint64_t fs, net, scoped; /* the kernel accepts zeros that it does not know */
};

/* What the kernel can refuse; what is not here it would let pass. */
static struct ruleset handled(int abi, const struct pst_sandbox *sandbox)
{
	struct ruleset r = {.fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1}; /* all of ABI 1 */

	if (abi >= 2)
		r.fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		r.fs |= FS_TRUNCATE;
	if (abi >= 4 && !sandbox->inet)
		r.net |= NET_BIND_TCP;
	if (abi >= 4 && !(sandbox->inet && sandbox->inet_connect))
		r.net |= NET_CONNECT_TCP;
	if (abi >= 5)
		r.fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		r.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
	return r;
}

static uint64_t rights(unsigned access, bool is_dir)
{
	uint64_t r = 0;

	if (access & PST_PATH_READ)
		r |= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	if (access & PST_PATH_WRITE)
		r |= LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE;
	if (access & PST_PATH_CREATE)
		r |= LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
		     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
		     LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER;
	if (!is_dir) /* the kernel refuses a rule with rights that a file cannot have */
		r &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE;
	return r;
}

static int allow(int ruleset_fd, const struct ruleset *ruleset, const struct pst_sandbox_path *p)
{
	struct landlock_path_beneath_attr rule = {0};
	struct stat st;

	PST_CLOSE int fd = open(p->path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;

		/* Not there, or out of this user's reach anyway: nothing to allow. */
		if (r == -ENOENT || r == -ENOTDIR || r == -EACCES) {
			pst_debug("sandbox: left out path=%s: %s", p->path, strerror(-r));
			return 0;
		}
		pst_error("sandbox: cannot open path=%s: %s", p->path, strerror(-r));
		return r;
	}
	rule.parent_fd = fd;
	rule.allowed_access = rights(p->access, S_ISDIR(st.st_mode)) & ruleset->fs;
	if (!rule.allowed_access)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) {
		int r = -errno;

		pst_error("sandbox: Landlock refuses a rule path=%s: %s", p->path, strerror(-r));
		return r;
	}
	return 0;
}

int sandbox_landlock(const struct pst_sandbox *sandbox, int *ret_abi)
{
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 1) {
		pst_warn("sandbox: no Landlock on this kernel, files are guarded by their modes alone: %s",
			abi < 0 ? strerror(errno) : "unknown version");
		*ret_abi = 0;
		return 0;
	}
	struct ruleset ruleset = handled(abi, sandbox);
	PST_CLOSE int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	if (fd < 0) {
		int r = -errno;

		pst_error("sandbox: Landlock refuses the ruleset abi=%d: %s", abi, strerror(-r));
		return r;
	}
	for (const struct pst_sandbox_path *p = sandbox->paths; p && p->path; p++) {
		int r = allow(fd, &ruleset, p);

		if (r < 0)
			return r;
	}
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0) {
		int r = -errno;

		pst_error("sandbox: Landlock: %s", strerror(-r));
		return r;
	}
	*ret_abi = PST_MIN(abi, ABI_KNOWN);
	return 0;
}
