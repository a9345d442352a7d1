// SPDX-License-Identifier: Apache-2.0
/* Every case runs in a child that enters the sandbox (as nobody when started by root) and tries from inside.
 */
#include "tests/unit/base_test.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"
#include "proto/base/sandbox.h"

#include <arpa/inet.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

#define USER     "nobody"
#define NOT_HERE 77

static char dir[32], outside[32];
static struct pst_sandbox_level level;
static int landlock_abi;

#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			dprintf(2, "%s:%d: %s (%m)\n", __FILE__, __LINE__, #cond);                           \
			_exit(1);                                                                            \
		}                                                                                            \
	} while (0)
#define REFUSED(call, error) CHECK((call) < 0 && errno == (error))

/* ---- the frame ---- */

static void enter_with(struct pst_sandbox sandbox)
{
	char ro[64], missing[64];

	snprintf(ro, sizeof(ro), "%s/readonly", dir);
	snprintf(missing, sizeof(missing), "%s/not/there", dir);
	const struct pst_sandbox_path paths[] = {
		{ro, PST_PATH_READ},
		{dir, PST_PATH_READ | PST_PATH_WRITE | PST_PATH_CREATE},
		{missing, PST_PATH_READ},
		{"/proc", PST_PATH_READ},
		{"/dev/null", PST_PATH_READ | PST_PATH_WRITE | PST_PATH_CREATE},
		{0},
	};
	/* The folder's rule would also cover readonly: the case of a narrower rule is a folder of its own. */
	const struct pst_sandbox_path only_ro[] = {{ro, PST_PATH_READ}, {0}};
	const char *which = getenv("PATHS");
	sandbox.user = geteuid() ? NULL : USER;
	sandbox.paths = which ? only_ro : paths;
	CHECK(pst_sandbox_enter(&sandbox, &level) == 0);
}

static void enter(bool inet, bool inet_connect)
{
	enter_with((struct pst_sandbox){.inet = inet, .inet_connect = inet_connect});
}

typedef void (*child_fn)(void);

static int run_child(child_fn fn)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(20);
		pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int setup(void **state)
{
	char file[64];

	(void)state;
	tmpdir_make(dir);
	tmpdir_make(outside);
	chmod(dir, 0777);
	chmod(outside, 0777);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(file, sizeof(file), "%s/readonly", i ? outside : dir);
		int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
		if (fd < 0 || fchmod(fd, 0666) || write(fd, "text", 4) != 4)
			return -1;
		close(fd);
	}
	landlock_abi = (int)syscall(444, NULL, 0, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tmpdir_remove(dir);
	tmpdir_remove(outside);
	return 0;
}

#define CASE(name)                                                                                           \
	static void child_##name(void);                                                                      \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		(void)state;                                                                                 \
		int status = run_child(child_##name);                                                        \
		if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_HERE)                                    \
			skip();                                                                              \
		assert_int_equal(status, 0);                                                                 \
	}                                                                                                    \
	static void child_##name(void)

/* ---- rights ---- */

CASE(no_right_is_left)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];
	bool root = !geteuid();
	struct rlimit core;
	gid_t groups[64];

	enter(false, false);
	CHECK(!syscall(SYS_capget, &head, caps));
	for (unsigned i = 0; i < 2; i++)
		CHECK(!caps[i].effective && !caps[i].permitted && !caps[i].inheritable);
	if (root) {
		uid_t r, e, s;
		gid_t rg, eg, sg;

		for (unsigned long cap = 0; cap < 64; cap++)
			CHECK(prctl(PR_CAPBSET_READ, cap, 0, 0, 0) <= 0);
		CHECK(!getresuid(&r, &e, &s) && r == 65534 && e == r && s == r);
		CHECK(!getresgid(&rg, &eg, &sg) && rg == 65534 && eg == rg && sg == rg);
		CHECK(getgroups(64, groups) <= 1);
		CHECK(strstr(level.text, "uid=65534"));
	}
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	CHECK(!getrlimit(RLIMIT_CORE, &core) && !core.rlim_cur && !core.rlim_max);
	CHECK(level.seccomp && level.no_new_privs && level.no_capabilities);
	CHECK(level.landlock_abi == (landlock_abi < 0 ? 0 : PST_MIN(landlock_abi, 7)));
	CHECK(strstr(level.text, " caps=none nnp seccomp landlock="));
}

/* A user that the group file lists in a group beside its own; NULL if this system has none. */
static const char *member_of_a_group(gid_t *ret_gid)
{
	const struct group *g;

	setgrent();
	while ((g = getgrent()))
		for (char **m = g->gr_mem; *m; m++) {
			const struct passwd *pw = getpwnam(*m);

			if (pw && pw->pw_uid && pw->pw_gid != g->gr_gid) {
				*ret_gid = g->gr_gid;
				return *m;
			}
		}
	return NULL;
}

CASE(groups_of_the_user_are_kept)
{
	gid_t want, groups[64];
	const char *user = geteuid() ? NULL : member_of_a_group(&want);
	bool found = false;

	if (!user)
		_exit(NOT_HERE);
	struct pst_sandbox sandbox = {.user = user};
	CHECK(!pst_sandbox_enter(&sandbox, &level));
	int n = getgroups(64, groups);
	for (int i = 0; i < n; i++)
		found |= groups[i] == want;
	CHECK(found);
}

/* ---- what ends the process ---- */

struct forbidden {
	const char *name;
	long nr;
	long a, b, c;
};

static struct forbidden attempt;

static void child_attempt(void)
{
	enter(true, true);
	syscall(attempt.nr, attempt.a, attempt.b, attempt.c, 0, 0, 0);
}

static void forbidden_calls_end_the_process(void **state)
{
	/* With arguments that would do no harm if they went through. */
	static const struct forbidden calls[] = {
		{"bpf", SYS_bpf, 0, 0, 0},
		{"bpf obj_get", SYS_bpf, 7, 0, 0},
		{"execve", SYS_execve, 0, 0, 0},
		{"execveat", SYS_execveat, -1, 0, 0},
		{"ptrace", SYS_ptrace, 0xffff, 0, 0},
		{"process_vm_readv", SYS_process_vm_readv, 0, 0, 0},
		{"process_vm_writev", SYS_process_vm_writev, 0, 0, 0},
		{"mount", SYS_mount, 0, 0, 0},
		{"umount2", SYS_umount2, 0, 0, 0},
		{"pivot_root", SYS_pivot_root, 0, 0, 0},
		{"chroot", SYS_chroot, 0, 0, 0},
		{"setns", SYS_setns, -1, 0, 0},
		{"unshare", SYS_unshare, 0, 0, 0},
		{"init_module", SYS_init_module, 0, 0, 0},
		{"finit_module", SYS_finit_module, -1, 0, 0},
		{"delete_module", SYS_delete_module, 0, 0, 0},
		{"kexec_load", SYS_kexec_load, 0, 0x7fffffff, 0},
		{"reboot", SYS_reboot, 0, 0, 0},
		{"swapon", SYS_swapon, 0, 0, 0},
		{"keyctl", SYS_keyctl, 0xffff, 0, 0},
		{"add_key", SYS_add_key, 0, 0, 0},
		{"request_key", SYS_request_key, 0, 0, 0},
		{"perf_event_open", SYS_perf_event_open, 0, 0, 0},
		{"userfaultfd", SYS_userfaultfd, -1, 0, 0},
		{"io_uring_setup", SYS_io_uring_setup, 0, 0, 0},
		{"io_uring_enter", SYS_io_uring_enter, -1, 0, 0},
		{"io_uring_register", SYS_io_uring_register, -1, 0, 0},
		{"open_by_handle_at", SYS_open_by_handle_at, -1, 0, 0},
		{"pidfd_getfd", SYS_pidfd_getfd, -1, 0, 0},
		{"open_tree", SYS_open_tree, -1, 0, 0},
		{"fsopen", SYS_fsopen, 0, 0, 0},
		{"setuid", SYS_setuid, 0, 0, 0},
		{"setresuid", SYS_setresuid, 0, 0, 0},
		{"setresgid", SYS_setresgid, 0, 0, 0},
		{"setgroups", SYS_setgroups, 0, 0, 0},
		{"setfsuid", SYS_setfsuid, 0, 0, 0},
		{"capset", SYS_capset, 0, 0, 0},
#ifdef __x86_64__
		{"getpid as x32", 0x40000000 + SYS_getpid, 0, 0, 0},
#endif
	};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(calls); i++) {
		attempt = calls[i];
		int status = run_child(child_attempt);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s was survived: status %x", calls[i].name, (unsigned)status);
	}
}

#ifdef __x86_64__
static void child_i386(void)
{
	long r = 20; /* getpid of the 32-bit table */

	enter(false, false);
	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
}
#endif

static void foreign_architecture_ends_the_process(void **state)
{
	(void)state;
#ifdef __x86_64__
	int status = run_child(child_i386);
	assert_true(WIFSIGNALED(status));
	/* SIGSEGV: a kernel without the 32-bit entry */
	assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
#else
	skip();
#endif
}

/* ---- what is refused ---- */

CASE(interfaces_by_name_and_number)
{
	struct ifreq r = {.ifr_name = "lo"};

	enter_with((struct pst_sandbox){.interfaces = true});
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);
	CHECK(!ioctl(s, SIOCGIFINDEX, &r) && r.ifr_ifindex > 0);
	memset(r.ifr_name, 0, sizeof(r.ifr_name));
	CHECK(!ioctl(s, SIOCGIFNAME, &r) && !strcmp(r.ifr_name, "lo"));
	strcpy(r.ifr_name, "nosuch0");
	REFUSED(ioctl(s, SIOCGIFINDEX, &r), ENODEV);
	REFUSED(ioctl(s, SIOCGIFFLAGS, &r), EPERM);
	REFUSED(ioctl(s, SIOCSIFNAME, &r), EPERM);
	REFUSED(socket(AF_INET, SOCK_DGRAM, 0), EPERM);
}

CASE(the_rest_is_refused)
{
	struct rlimit limit = {0, 0};
	pid_t parent = getppid();
	int fd[2];

	enter(false, false);
	REFUSED(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), EPERM);
	REFUSED(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM);
	REFUSED(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWNET, 0, 0, 0, 0),
		EPERM);
#ifdef SYS_fork
	REFUSED(syscall(SYS_fork), EPERM);
	REFUSED(syscall(SYS_vfork), EPERM);
#endif
	REFUSED(syscall(SYS_clone3, NULL, 0), ENOSYS);
	REFUSED(syscall(454, 0, 0, 0, 0), ENOSYS);
	REFUSED(kill(parent, 0), EPERM);
	REFUSED(syscall(SYS_tgkill, parent, parent, 0), EPERM);
	CHECK(!syscall(SYS_tgkill, getpid(), getpid(), 0));
	REFUSED(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL), EPERM);
	CHECK(!syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit));
	REFUSED(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), EPERM);
	REFUSED(prctl(PR_SET_PTRACER, parent, 0, 0, 0), EPERM);
	REFUSED(ioctl(0, TIOCSTI, "x"), EPERM);
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct ifreq r = {.ifr_name = "lo"};
	REFUSED(ioctl(s, SIOCGIFINDEX, &r), EPERM);
	REFUSED(ioctl(s, SIOCGIFNAME, &r), EPERM);
	REFUSED(memfd_create("x", 0), EPERM);
	REFUSED(syscall(SYS_seccomp, 1, 0, NULL), EPERM);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
		errno == EPERM);
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	REFUSED(mprotect(p, 4096, PROT_READ | PROT_EXEC), EPERM);
	static const int families[] = {AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG};
	for (unsigned i = 0; i < PST_ARRAY_SIZE(families); i++) {
		REFUSED(socket(families[i], SOCK_STREAM, 0), EPERM);
		REFUSED(socket(families[i], SOCK_RAW, 0), EPERM);
	}
	REFUSED(socketpair(AF_INET, SOCK_STREAM, 0, fd), EPERM);
}

/* ---- files ---- */

CASE(only_listed_files)
{
	char path[64], other[64];

	snprintf(path, sizeof(path), "%s/new", dir);
	snprintf(other, sizeof(other), "%s/newer", dir);
	enter(false, false);
	if (!level.landlock_abi)
		_exit(NOT_HERE);
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, "x", 1) == 1 && !ftruncate(fd, 0));
	CHECK(!rename(path, other) && !unlink(other));
	snprintf(path, sizeof(path), "%s/folder", dir);
	CHECK(!mkdir(path, 0700) && !rmdir(path));
	CHECK(open("/proc/self/stat", O_RDONLY | O_CLOEXEC) >= 0);
	CHECK(open("/dev/null", O_RDWR | O_CLOEXEC) >= 0);
	REFUSED(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC), EACCES);
	snprintf(path, sizeof(path), "%s/readonly", outside);
	REFUSED(open(path, O_RDONLY | O_CLOEXEC), EACCES);
	REFUSED(open(path, O_WRONLY | O_CLOEXEC), EACCES);
	REFUSED(unlink(path), EACCES);
	if (level.landlock_abi >= 3)
		REFUSED(truncate(path, 0), EPERM); /* not in the filter at all */
	snprintf(other, sizeof(other), "%s/moved", dir);
	CHECK(rename(path, other) < 0 && (errno == EXDEV || errno == EACCES));
	snprintf(path, sizeof(path), "%s/new", outside);
	REFUSED(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), EACCES);
	REFUSED(open("/etc/passwd", O_RDONLY | O_CLOEXEC), EACCES);
	REFUSED(open("/dev/zero", O_RDONLY | O_CLOEXEC), EACCES);
	REFUSED(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC), EACCES);
}

CASE(read_only_is_read_only)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/readonly", dir);
	setenv("PATHS", "readonly", 1);
	enter(false, false);
	if (!level.landlock_abi)
		_exit(NOT_HERE);
	CHECK(open(path, O_RDONLY | O_CLOEXEC) >= 0);
	REFUSED(open(path, O_RDWR | O_CLOEXEC), EACCES);
	if (level.landlock_abi >= 3)
		REFUSED(open(path, O_RDONLY | O_TRUNC | O_CLOEXEC), EACCES);
	snprintf(path, sizeof(path), "%s/new", dir);
	REFUSED(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), EACCES);
}

/* ---- sockets ---- */

static int unix_socket(const char *path, bool is_server, int type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int s = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	CHECK(s >= 0 && len < sizeof(addr.sun_path));
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] != '@'));
	int r = is_server ? bind(s, (struct sockaddr *)&addr, size)
			  : connect(s, (struct sockaddr *)&addr, size);
	if (r < 0 || (is_server && listen(s, 4) < 0)) {
		int e = errno;

		close(s);
		errno = e;
		return -1;
	}
	return s;
}

CASE(unix_sockets)
{
	char path[64], foreign[64], name[64], buf[4];
	int fds[2];

	snprintf(path, sizeof(path), "%s/socket", dir);
	snprintf(foreign, sizeof(foreign), "%s/socket", outside);
	snprintf(name, sizeof(name), "@pst-sandbox-%d", (int)getpid());
	int before = unix_socket(name, true, SOCK_STREAM); /* made outside of the sandbox */
	CHECK(before >= 0);
	enter(false, false);
	int s = unix_socket(path, true, SOCK_SEQPACKET);
	CHECK(s >= 0 && !chmod(path, 0660));
	int c = unix_socket(path, false, SOCK_SEQPACKET);
	CHECK(c >= 0);
	int a = accept4(s, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	CHECK(a >= 0 && send(c, "hi", 2, MSG_NOSIGNAL) == 2 && recv(a, buf, sizeof(buf), 0) == 2);
	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds));
	if (level.landlock_abi) {
		REFUSED(unix_socket(foreign, true, SOCK_STREAM), EACCES);
	}
	if (level.landlock_abi >= 6)
		REFUSED(unix_socket(name, false, SOCK_STREAM), EPERM);
	unlink(path);
}

static int tcp_listen(uint16_t *ret_port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(s >= 0 && !bind(s, (struct sockaddr *)&addr, len) && !listen(s, 4));
	CHECK(!getsockname(s, (struct sockaddr *)&addr, &len));
	*ret_port = ntohs(addr.sin_port);
	return s;
}

static int tcp_connect(uint16_t port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	CHECK(s >= 0);
	return connect(s, (struct sockaddr *)&addr, sizeof(addr));
}

CASE(a_server_only_serves)
{
	uint16_t port;

	enter(true, false);
	tcp_listen(&port);
	CHECK(socket(AF_INET6, SOCK_STREAM, 0) >= 0 || errno == EAFNOSUPPORT);
	if (level.landlock_abi >= 4)
		REFUSED(tcp_connect(port), EACCES);
	/* Without connect(2), without TCP: not by other ways, either. */
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	REFUSED(sendto(s, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&addr, sizeof(addr)), EPERM);
	struct msghdr m = {.msg_name = &addr, .msg_namelen = sizeof(addr)};
	REFUSED(sendmsg(s, &m, MSG_FASTOPEN), EPERM);
	REFUSED(socket(AF_INET, SOCK_DGRAM, 0), EPERM);
	REFUSED(socket(AF_INET, SOCK_RAW, IPPROTO_TCP), EPERM);
	REFUSED(socket(AF_INET, SOCK_STREAM, 262), EPERM); /* MPTCP */
	REFUSED(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP), EPERM);
	REFUSED(socket(AF_NETLINK, SOCK_RAW, 0), EPERM);
}

CASE(a_client_may_connect)
{
	uint16_t port;

	enter(true, true);
	tcp_listen(&port);
	CHECK(!tcp_connect(port));
	CHECK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0);
	REFUSED(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
}

CASE(a_tcp_socket_from_before_is_bound_too)
{
	uint16_t port;
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	tcp_listen(&port);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enter(false, false);
	if (level.landlock_abi < 4)
		_exit(NOT_HERE);
	addr.sin_port = htons(port);
	REFUSED(connect(s, (struct sockaddr *)&addr, sizeof(addr)), EACCES);
	addr.sin_port = 0;
	REFUSED(bind(s, (struct sockaddr *)&addr, sizeof(addr)), EACCES);
}

/* ---- what a stage needs ---- */

static void *thread(void *arg)
{
	pthread_setname_np(pthread_self(), "worker");
	free(malloc(1 << 20));
	eventfd_write(*(int *)arg, 1);
	return NULL;
}

static void on_event(void *arg, int fd, uint32_t events)
{
	eventfd_t value;

	(void)events;
	CHECK(!eventfd_read(fd, &value));
	*(unsigned *)arg += (unsigned)value;
}

static void on_tick(void *arg)
{
	(*(unsigned *)arg)++;
}

CASE(a_stage_still_works)
{
	PST_CLEANUP(pst_loop_freep) struct pst_loop *loop = NULL;
	struct pst_source *s;
	pthread_t threads[4];
	unsigned events = 0, ticks = 0;

	CHECK(!pst_loop_new(&loop) && !pst_loop_signals(loop, NULL, NULL));
	enter(false, false);
	PST_CLOSE int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(fd >= 0);
	CHECK(!pst_loop_fd(loop, fd, EPOLLIN, on_event, &events, &s));
	CHECK(!pst_loop_timer(loop, on_tick, &ticks, &s));
	pst_timer_arm(s, 1000000, 1000000);
	for (unsigned i = 0; i < 4; i++)
		CHECK(!pthread_create(&threads[i], NULL, thread, &fd));
	while (events < 4 || ticks < 5)
		CHECK(pst_loop_turn(loop, -1) >= 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK(!pthread_join(threads[i], NULL));
	PST_CLOSE int notify = inotify_init1(IN_CLOEXEC);
	CHECK(notify >= 0 && inotify_add_watch(notify, dir, IN_CREATE) >= 0);
	PST_CLOSE int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
	CHECK(timer >= 0);
	char *big = malloc(64 << 20);
	CHECK(big);
	memset(big, 1, 64 << 20);
	free(big);
	struct pst_loop *another = NULL;
	CHECK(!pst_loop_new(&another));
	pst_loop_free(another);
}

/* ---- what goes wrong on the way in ---- */

static void *sleeper(void *arg)
{
	pause();
	return arg;
}

CASE(threads_come_too_late)
{
	pthread_t t;
	struct pst_sandbox sandbox = {.user = NULL};

	CHECK(freopen("/dev/null", "w", stderr));
	CHECK(!pthread_create(&t, NULL, sleeper, NULL));
	CHECK(pst_sandbox_enter(&sandbox, &level) == -EBUSY);
}

CASE(unknown_user)
{
	struct pst_sandbox sandbox = {.user = "no-such-user-here"};

	CHECK(freopen("/dev/null", "w", stderr));
	CHECK(pst_sandbox_enter(&sandbox, &level) == -ENOENT);
	CHECK(pst_sandbox_drop_user("no-such-user-here") == -ENOENT);
}

CASE(only_root_changes_user)
{
	struct pst_sandbox sandbox = {.user = "root"};

	CHECK(freopen("/dev/null", "w", stderr));
	if (!geteuid())
		CHECK(!pst_sandbox_drop_user(USER));
	CHECK(pst_sandbox_enter(&sandbox, &level) == -EPERM);
	const struct passwd *pw = getpwuid(geteuid());
	CHECK(!pw || !pst_sandbox_drop_user(pw->pw_name)); /* already that user */
	CHECK(!pst_sandbox_drop_user(NULL));
	CHECK(!pst_sandbox_drop_user(""));
}

CASE(no_way_back_to_root)
{
	CHECK(geteuid() || !pst_sandbox_drop_user(USER));
	REFUSED(setresuid(0, 0, 0), EPERM);
	REFUSED(setresgid(0, 0, 0), EPERM);
	REFUSED(setgroups(0, NULL), EPERM);
	REFUSED(syscall(SYS_chroot, "/"), EPERM);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_right_is_left),
		TEST(groups_of_the_user_are_kept),
		TEST(forbidden_calls_end_the_process),
		TEST(foreign_architecture_ends_the_process),
		TEST(the_rest_is_refused),
		TEST(interfaces_by_name_and_number),
		TEST(only_listed_files),
		TEST(read_only_is_read_only),
		TEST(unix_sockets),
		TEST(a_server_only_serves),
		TEST(a_client_may_connect),
		TEST(a_tcp_socket_from_before_is_bound_too),
		TEST(a_stage_still_works),
		TEST(threads_come_too_late),
		TEST(unknown_user),
		TEST(only_root_changes_user),
		TEST(no_way_back_to_root),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
