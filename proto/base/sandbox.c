// SPDX-License-Identifier: Apache-2.0
#include "proto/base/sandbox.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/sandbox_internal.h"

#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifdef __SANITIZE_ADDRESS__
/* The leak check at exit attaches by ptrace(2), for which a sandboxed process is killed. */
static bool sandboxed;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return sandboxed;
}
#endif

static int failed(const char *what)
{
	int r = -errno;

	pst_error("sandbox: %s: %s", what, strerror(-r));
	return r;
}

/* ---- user ---- */

static int set_groups(const struct passwd *pw)
{
	int n = 0;

	/* The first call only counts. */
	getgrouplist(pw->pw_name, pw->pw_gid, NULL, &n);
	if (n < 1 || n > NGROUPS_MAX)
		return -E2BIG;
	PST_FREE gid_t *groups = calloc((size_t)n, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	if (getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) < 0) {
		errno = EAGAIN; /* the file changed in between */
		return failed("groups of the user");
	}
	return setgroups((size_t)n, groups) < 0 ? failed("setgroups") : 0;
}

/* Beyond what the process could get back by running a file with capabilities. Only with CAP_SETPCAP. */
static void drop_bounding_set(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return failed("ambient capabilities");
	drop_bounding_set();
	return syscall(SYS_capset, &head, none) < 0 ? failed("capset") : 0;
}

static int change_user(const struct passwd *pw)
{
	pid_t parent = getppid();
	int r, sig = 0;

	if (geteuid() != 0) {
		pst_error("sandbox: only root can change to another user user=%s uid=%u", pw->pw_name,
			(unsigned)geteuid());
		return -EPERM;
	}
	r = set_groups(pw);
	if (r < 0)
		return r;
	drop_bounding_set(); /* while there is still the capability for it */
	prctl(PR_GET_PDEATHSIG, &sig, 0, 0, 0);
	if (setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0)
		return failed("setresgid");
	if (setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return failed("setresuid");
	/* The kernel forgets it with a change of user (commit_creds), and whoever starts us relies on it. */
	if (sig && prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0) < 0)
		return failed("parent death signal");
	if (sig && getppid() != parent)
		raise(sig);
	return 0;
}

int pst_sandbox_drop_user(const char *user)
{
	const struct passwd *pw = NULL;
	int r;

	if (user && *user) {
		errno = 0;
		pw = getpwnam(user);
		if (!pw) {
			pst_error("sandbox: no such user; installing makes it user=%s", user);
			return errno ? -errno : -ENOENT;
		}
		if (pw->pw_uid != geteuid() || pw->pw_uid != getuid()) {
			r = change_user(pw);
			if (r < 0)
				return r;
		}
	}
	r = drop_capabilities();
	if (r < 0)
		return r;
	if (pw && pw->pw_uid != 0 && setresuid((uid_t)-1, 0, (uid_t)-1) == 0) {
		pst_error("sandbox: root could be had back");
		return -EPERM;
	}
	return 0;
}

/* ---- all of it ---- */

/* Landlock and seccomp bind the calling thread only: another one would stay outside. */
static int check_single_thread(void)
{
	PST_CLOSEDIR DIR *tasks = opendir("/proc/self/task");
	unsigned n = 0;

	if (!tasks)
		return 0; /* no /proc: cannot tell */
	for (const struct dirent *e; (e = readdir(tasks));)
		n += e->d_name[0] != '.';
	if (n <= 1)
		return 0;
	pst_error("sandbox: entered too late, there are threads already threads=%u", n);
	return -EBUSY;
}

/* No other process of the user may attach to us, and our memory goes into no file. */
static int hide_memory(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return failed("core limit");
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? failed("dumpable") : 0;
}

static bool has_no_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &head, caps) < 0)
		return false;
	for (unsigned i = 0; i < 2; i++)
		if (caps[i].effective || caps[i].permitted || caps[i].inheritable)
			return false;
	return true;
}

static void describe(struct pst_sandbox_level *level)
{
	snprintf(level->text, sizeof(level->text), "uid=%u caps=%s%s%s landlock=%d", (unsigned)geteuid(),
		level->no_capabilities ? "none" : "some", level->no_new_privs ? " nnp" : "",
		level->seccomp ? " seccomp" : "", level->landlock_abi);
}

int pst_sandbox_enter(const struct pst_sandbox *sandbox, struct pst_sandbox_level *ret_level)
{
	struct pst_sandbox_level level = {0};
	int r;

	r = check_single_thread();
	if (r < 0)
		return r;
	r = pst_sandbox_drop_user(sandbox->user);
	if (r < 0)
		return r;
	r = hide_memory();
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failed("no_new_privs");
	r = sandbox_landlock(sandbox, &level.landlock_abi);
	if (r < 0)
		return r;
	r = sandbox_seccomp(sandbox);
	if (r < 0)
		return r;
#ifdef __SANITIZE_ADDRESS__
	sandboxed = true;
#endif
	/* What the kernel says, not what was asked of it. */
	level.seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
	level.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	level.no_capabilities = has_no_capabilities();
	describe(&level);
	*ret_level = level;
	return 0;
}
