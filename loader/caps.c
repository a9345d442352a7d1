// SPDX-License-Identifier: Apache-2.0
#include "loader/caps.h"

#include <bpf/bpf.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "loader/seccomp.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define BIT(n) (1ull << (n))
#define WANTED (BIT(CAP_BPF) | BIT(CAP_PERFMON) | BIT(CAP_NET_ADMIN))

static const char *const names[] = {"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill",
	"setgid", "setuid", "setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin",
	"net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace",
	"sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config",
	"mknod", "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
	"wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore"};

const char *caps_name(unsigned cap)
{
	return cap < PST_ARRAY_SIZE(names) ? names[cap] : NULL;
}

static int get(uint64_t *ret_permitted)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	*ret_permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

static int set(uint64_t caps)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
		{.effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32)},
	};

	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* In the child: does a tracing program load with @caps alone? */
static int try_load(uint64_t caps)
{
	static const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd;

	if (set(caps) < 0)
		return 1;
	fd = bpf_prog_load(
		BPF_PROG_TYPE_RAW_TRACEPOINT, "pst_try", "GPL", insns, PST_ARRAY_SIZE(insns), NULL);
	return fd >= 0 ? 0 : errno == EPERM ? 2 : 1;
}

/* True only if the refusal goes away with CAP_SYS_ADMIN: a kernel before 5.8, or one that is patched that
 * way. */
static bool needs_sys_admin(uint64_t permitted)
{
	int result[2];

	if (!(permitted & BIT(CAP_SYS_ADMIN)))
		return false;
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();
		int status;

		if (!pid)
			_exit(try_load((permitted & WANTED) | (i ? BIT(CAP_SYS_ADMIN) : 0)));
		if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
			return false;
		result[i] = WEXITSTATUS(status);
		if (!result[i])
			return i == 1;
	}
	return false;
}

static bool empty_bounding(void)
{
	bool all = true;

	for (unsigned c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		all &= !prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	return all;
}

static bool lock_securebits(void)
{
	unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
			     SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
			     SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

	return !prctl(PR_SET_SECUREBITS, bits, 0, 0, 0);
}

int caps_limit(struct caps_level *ret_level)
{
	struct caps_level level = {0};
	uint64_t permitted = 0;
	int r = get(&permitted);

	if (r)
		return r;
	level.kept = permitted & WANTED;
	if (needs_sys_admin(permitted)) {
		level.kept |= BIT(CAP_SYS_ADMIN);
		level.why_sys_admin = "this kernel refuses tracing programs without it";
	}
	/* both need CAP_SETPCAP, so before the capabilities go; where it is missing there was little to begin
	 * with */
	level.bounding_empty = empty_bounding();
	level.securebits = lock_securebits();
	r = set(level.kept);
	if (!r && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r) {
		pst_error("cannot drop capabilities error=%s", strerror(-r));
		return r;
	}
	level.no_new_privs = true;
	r = seccomp_limit();
	if (r)
		pst_warn("no seccomp filter error=%s", strerror(-r));
	level.seccomp = !r;
	*ret_level = level;
	return 0;
}
