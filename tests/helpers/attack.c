// SPDX-License-Identifier: Apache-2.0
/*
 * Attacks that runtime policies are tested with (tests/e2e/attacks.py). It reads lines of words that tabs
 *part,
 *
 *	DEED DOOR WAY WHO FOLDER NAME [WORD]...
 *
 * makes a process for each, lets it do the deed, and prints a line: what came of it, and what was got hold
 *of. The first is ok, an error's name, killed, cannot: REASON (nothing was tried), broken: WHAT (the test
 *is); of a race ok=N ERROR=N ... of its attempts. The second is '!' for what is forbidden, '.' for its
 *neighbour.
 *
 * attack sleep: does nothing, as one whom others attack.
 * attack prove: the proof, by the name that it has.
 */
#include "tests/helpers/attack_procs.h"

/* Of a race, and some times as many where chance has it so. */
#define ATTEMPTS      400
#define ATTEMPTS_EXEC 40 /* which take longer */
#define PROOFS        4096
#define SECONDS       60 /* after which an attack is ended */

typedef long (*deed_fn)(const struct at *at);

static const struct {
	const char *name;
	deed_fn act;
} deeds[] = {
	{"read", do_read},
	{"read-open", do_read_open},
	{"read-openat2", do_read_openat2},
	{"read-beneath", do_read_beneath},
	{"read-in-root", do_read_in_root},
	{"read-cached", do_read_cached},
	{"read-handle", do_read_handle},
	{"read-rdwr", do_read_rdwr},
	{"read-creat", do_read_noaccess},
	{"write", do_write},
	{"append", do_append},
	{"create", do_create},
	{"creat", do_creat},
	{"open-truncating", do_open_truncating},
	{"tmpfile", do_tmpfile},
	{"write-again", do_write_again},
	{"exec", do_exec},
	{"execat", do_execat},
	{"exec-child", do_exec_child},
	{"exec-ldso", do_exec_ldso},
	{"exec-shell", do_exec_shell},
	{"exec-shebang", do_exec_shebang},
	{"exec-copy", do_exec_copy},
	{"exec-memfd", do_exec_memfd},
	{"exec-unlinked", do_exec_unlinked},
	{"unlink", do_unlink},
	{"unlinkat", do_unlinkat},
	{"rmdir", do_rmdir},
	{"unlinkat-dir", do_unlinkat_dir},
	{"rename", do_rename},
	{"renameat2", do_renameat2},
	{"rename-over", do_rename_over},
	{"rename-exchange", do_rename_exchange},
	{"rename-parent", do_rename_parent},
	{"link", do_link},
	{"linkat", do_linkat},
	{"link-over", do_link_over},
	{"symlink", do_symlink},
	{"symlinkat", do_symlinkat},
	{"mkdir", do_mkdir},
	{"mkdirat", do_mkdirat},
	{"chmod", do_chmod},
	{"fchmodat", do_fchmodat},
	{"fchmod", do_fchmod},
	{"fchmodat2", do_fchmodat2},
	{"chown", do_chown},
	{"lchown", do_lchown},
	{"fchown", do_fchown},
	{"fchownat", do_fchownat},
	{"truncate", do_truncate},
	{"mount-bind", do_mount_bind},
	{"mount-tmpfs", do_mount_tmpfs},
	{"mount-new", do_mount_new},
	{"mount-tree", do_mount_tree},
	{"mount-move", do_mount_move},
	{"umount", do_umount},
	{"umount-lazy", do_umount_lazy},
	{"pivot-root", do_pivot_root},
	{"connect", do_connect},
	{"connect-udp", do_connect_udp},
	{"connect-mptcp", do_connect_mptcp},
	{"connect-unspec-first", do_connect_unspec_first},
	{"connect-dup", do_connect_passed},
	{"connect-nonblocking", do_connect_nonblocking},
	{"connect-race", do_connect_race},
	{"fastopen-sendto", do_fastopen_sendto},
	{"fastopen-sendmsg", do_fastopen_sendmsg},
	{"fastopen-option", do_fastopen_option},
	{"socketcall-connect", do_socketcall_connect},
	{"bind", do_bind},
	{"bind-udp", do_bind_udp},
	{"socketcall-bind", do_socketcall_bind},
	{"listen", do_listen},
	{"listen-unbound", do_listen_unbound},
	{"socketcall-listen", do_socketcall_listen},
	{"accept", do_accept},
	{"accept-old", do_accept_old},
	{"socketcall-accept", do_socketcall_accept},
	{"sendto", do_sendto},
	{"sendmsg", do_sendmsg},
	{"sendmmsg", do_sendmmsg},
	{"send-unspec", do_send_unspec},
	{"send-connected", do_send_connected},
	{"socketcall-sendto", do_socketcall_sendto},
	{"send-raw", do_send_raw},
	{"send-packet", do_send_packet},
	{"socket", do_socket},
	{"socketcall-socket", do_socketcall_socket},
	{"socketpair", do_socketpair},
	{"ptrace-attach", do_ptrace_attach},
	{"ptrace-seize", do_ptrace_seize},
	{"vm-read", do_vm_read},
	{"proc-mem", do_proc_mem},
	{"pidfd-getfd", do_pidfd_getfd},
	{"kill", do_kill},
	{"tkill", do_tkill},
	{"tgkill", do_tgkill},
	{"kill-group", do_kill_group},
	{"sigqueue", do_sigqueue},
	{"pidfd-signal", do_pidfd_signal},
	{"setuid", do_setuid},
	{"setresuid", do_setresuid},
	{"setreuid", do_setreuid},
	{"setgid", do_setgid},
	{"setfsuid", do_setfsuid},
	{"capset", do_capset},
	{"unshare", do_unshare},
	{"clone", do_clone},
	{"clone3", do_clone3},
	{"setns", do_setns},
	{"memfd", do_memfd},
	{"memfd-secret", do_memfd_secret},
	{"mprotect", do_mprotect},
	{"pkey-mprotect", do_pkey_mprotect},
	{"mmap-rwx", do_mmap_rwx},
	{"mmap-twice", do_mmap_twice},
	{"shmat", do_shmat},
	{"read-implies-exec", do_read_implies_exec},
	{"module", do_module},
	{"bpf-map", do_bpf_map},
	{"bpf-program", do_bpf_program},
	{"perf", do_perf},
	{"cap-chroot", do_cap_chroot},
	{"cap-mknod", do_cap_mknod},
	{"cap-raw", do_cap_raw},
	{"cap-nice", do_cap_nice},
};

static deed_fn deed;
static struct at at;

/* ---- once, or again and again ---- */

static void tell(long r)
{
	if (r < 0)
		done("%s", strerrorname_np((int)-r) ? strerrorname_np((int)-r) : "an error without a name");
	done("ok");
}

/* Until what is forbidden and its neighbour were both met: got hold of, or one of them refused. */
static void tell_race(void)
{
	unsigned seen[256] = {0}, refused = 0; /* by error */
	int least = deed == do_exec_child ? ATTEMPTS_EXEC : ATTEMPTS,
	    most = deed == do_exec_child ? 5 * least : 10 * least;
	char text[256] = "";
	size_t len = 0;

	for (int i = 0; i < least || (proven != 3 && !(seen[0] && refused) && i < most); i++) {
		uint8_t error = (uint8_t)-deed(&at);

		seen[error]++;
		refused += error && error != ENOENT; /* half of one name and half of the other */
	}
	for (int e = 0; e < 256; e++)
		if (seen[e] && len < sizeof(text) - 40)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s=%u", len ? " " : "",
				e ? strerrorname_np(e) : "ok", seen[e]);
	done("%s", text);
}

static void act(void)
{
	if (racing)
		tell_race();
	long r = deed(&at);

	if (racing) /* the deed itself has begun one */
		tell_race();
	tell(r);
}

/* ---- who does it ---- */

static void *act_in_thread(void *arg)
{
	act();
	return arg;
}

static void who_self(void)
{
	act();
}

static void who_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, act_in_thread, NULL))
		done("broken: no thread");
	pthread_join(thread, NULL);
}

/* Passes on what became of a child. */
static void as_child(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, __WALL), "wait");
	if (WIFSIGNALED(status))
		kill(getpid(), WTERMSIG(status));
	_exit(WEXITSTATUS(status));
}

static void who_child(void)
{
	pid_t pid = fork();

	if (!pid)
		act();
	as_child(pid);
}

/* The parent waits until the child is gone, and both have the same memory. */
static void who_vfork(void)
{
	pid_t pid = vfork();

	if (!pid)
		act();
	as_child(pid);
}

static int open_for_all(void *arg)
{
	long fd = open_at(&at, O_RDONLY);

	(void)arg;
	_exit(fd < 0 ? (int)-fd : 0);
}

/* Another process with the same table of descriptors opens the file; whatever happens to that one, this one
 * reads. */
static void who_clone_files(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	struct stat st;
	int status, pid = clone(open_for_all, stack + sizeof(stack), CLONE_FILES | CLONE_VM | SIGCHLD, NULL);

	must(pid, "clone");
	must(waitpid(pid, &status, 0), "wait");
	if (WIFEXITED(status) && WEXITSTATUS(status))
		tell(-WEXITSTATUS(status));
	for (int fd = 3; fd < 64; fd++) /* who was killed could not say which one */
		if (!fstat(fd, &st) && S_ISREG(st.st_mode))
			take(fd);
	if (WIFSIGNALED(status))
		kill(getpid(), WTERMSIG(status));
	tell(0);
}

/* Reads whatever file is opened, as soon as it is there. */
static void *peek(void *arg)
{
	char byte;

	for (;;)
		if (read(*(int *)arg, &byte, 1) == 1)
			prove(byte);
	return NULL;
}

/* Another thread has the descriptor before the call that opens it has returned. */
static void who_peeks(void)
{
	pthread_t thread;
	static int next;

	next = (int)must(dup(0), "dup");
	close(next);
	if (pthread_create(&thread, NULL, peek, &next))
		done("broken: no thread");
	act();
}

static void who_renamed(void)
{
	must(prctl(PR_SET_NAME, "trusted", 0, 0, 0), "PR_SET_NAME");
	act();
}

/* One map of our program becomes memory with the same bytes. */
static void let_go(unsigned long from, unsigned long to, int protection)
{
	size_t len = to - from;
	void *copy = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(copy == MAP_FAILED ? -1 : 0, "mmap");
	memcpy(copy, (void *)from, len);
	must(mprotect(copy, len, protection), "mprotect");
	must(mremap(copy, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)from) == MAP_FAILED ? -1 : 0,
		"mremap");
}

/* /proc/PID/exe is another program's: the first further word. The kernel wants no map of the old one. */
static void who_exe_swapped(void)
{
	char exe[512] = "", maps[65536], *line, *rest, mode[8], path[512];
	unsigned long from, to;
	ssize_t len;
	int fd;

	must(readlink("/proc/self/exe", exe, sizeof(exe) - 1), "readlink");
	fd = (int)must(open("/proc/self/maps", O_RDONLY), "open of its maps");
	for (len = 0; len < (ssize_t)sizeof(maps) - 1;) {
		ssize_t n = must(read(fd, maps + len, sizeof(maps) - 1 - (size_t)len), "read");

		if (!n)
			break;
		len += n;
	}
	maps[len] = 0;
	for (line = strtok_r(maps, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %511s", &from, &to, mode, path) == 4 &&
			!strcmp(path, exe))
			let_go(from, to,
				(mode[0] == 'r' ? PROT_READ : 0) | (mode[1] == 'w' ? PROT_WRITE : 0) |
					(mode[2] == 'x' ? PROT_EXEC : 0));
	fd = (int)must(open(extra[0], O_RDONLY), "open of another program");
	if (prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, fd, 0, 0))
		done("cannot: PR_SET_MM_EXE_FILE: %s", strerrorname_np(errno));
	act();
}

/* Leaves its control group: the first further word is the file that it has to write to. */
static void who_leaves(void)
{
	int fd = (int)must(open(extra[0], O_WRONLY), "open of cgroup.procs");

	must(write(fd, "0", 1), "write to cgroup.procs");
	act();
}

static const struct {
	const char *name;
	void (*go)(void);
} whos[] = {
	{"self", who_self},
	{"thread", who_thread},
	{"child", who_child},
	{"vfork", who_vfork},
	{"clone-files", who_clone_files},
	{"peeks", who_peeks},
	{"renamed", who_renamed},
	{"exe-swapped", who_exe_swapped},
	{"leaves", who_leaves},
};

/* ---- the runner ---- */

#define FIND(table, word, what)                                                                              \
	({                                                                                                   \
		size_t i_ = 0;                                                                               \
		while (i_ < sizeof(table) / sizeof(table[0]) && strcmp(table[i_].name, word))                \
			i_++;                                                                                \
		if (i_ == sizeof(table) / sizeof(table[0]))                                                  \
			done("broken: no %s %s", what, word);                                                \
		&table[i_];                                                                                  \
	})

static void attack(char **words)
{
	for (door = 0; door < DOORS && strcmp(door_names[door], words[1]); door++)
		;
	if (door == DOORS)
		done("broken: no door %s", words[1]);
	folder = words[4];
	name = words[5];
	for (int i = 0; i < 8 && words[6 + i]; i++)
		extra[i] = words[6 + i];
	ask_door();
	deed = FIND(deeds, words[0], "deed")->act;
	turn_us = deed == do_exec_child ? 100 : 0;
	at = FIND(ways, words[2], "way")->go();
	if (deed == do_mount_bind || deed == do_mount_tmpfs || deed == do_mount_new ||
		deed == do_mount_tree || deed == do_mount_move || deed == do_umount ||
		deed == do_umount_lazy || deed == do_pivot_root)
		own_mounts(0);
	FIND(whos, words[3], "one who")->go();
	done("broken: nobody told");
}

static void child(char **words, int result, int proof)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	alarm(SECONDS);
	dup2(result, RESULT_FD);
	dup2(proof, PROOF_FD);
	fcntl(RESULT_FD, F_SETFD, FD_CLOEXEC);
	attack(words);
}

static size_t drain(int fd, char *text, size_t size)
{
	ssize_t n;
	size_t len = 0;

	while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	return len;
}

/* Who the attack left behind: ended, as its pipes would stay open. */
static void end_orphans(void)
{
	char text[4096], *at_pid, *rest;
	int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	size_t len = fd < 0 ? 0 : drain(fd, text, sizeof(text));

	if (fd >= 0)
		close(fd);
	if (len)
		for (at_pid = strtok_r(text, " ", &rest); at_pid; at_pid = strtok_r(NULL, " ", &rest))
			kill(atoi(at_pid), SIGKILL);
	while (len && waitpid(-1, NULL, 0) > 0)
		;
}

static void say(int status, const char *result, const char *proof)
{
	char seen[3] = "", *to = seen;

	for (const char *c = "!."; *c; c++)
		if (strchr(proof, *c))
			*to++ = *c;
	*to = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		result = "killed";
	else if (WIFSIGNALED(status))
		result = strsignal(WTERMSIG(status));
	else if (!*result)
		result = WEXITSTATUS(status) ? "broken: it said nothing" : "ok"; /* another program now */
	printf("%s\t%s\n", result, seen);
	fflush(stdout);
}

static void one(char **words)
{
	char result[512], proof[PROOFS + 1];
	int results[2], proofs[2], status;
	pid_t pid;

	if (pipe2(results, O_CLOEXEC) || pipe2(proofs, O_CLOEXEC))
		exit(111);
	pid = fork();
	if (!pid)
		child(words, results[1], proofs[1]);
	close(results[1]);
	close(proofs[1]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		exit(111);
	end_orphans();
	drain(results[0], result, sizeof(result));
	drain(proofs[0], proof, sizeof(proof));
	close(results[0]);
	close(proofs[0]);
	say(status, result, proof);
}

static int sleep_here(void)
{
	signal(MILD, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (write(1, "\n", 1) != 1)
		return 111;
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	static char line[65536];

	if (argc == 2 && !strcmp(argv[1], "sleep"))
		return sleep_here();
	if (argc == 2 && !strcmp(argv[1], "prove"))
		return write(PROOF_FD, strstr(argv[0], "public") ? "." : "!", 1) != 1;
	/* Numbers of their own, so that no descriptor of the runner lands there. */
	if (dup2(2, RESULT_FD) < 0 || dup2(2, PROOF_FD) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		return 111;
	while (fgets(line, sizeof(line), stdin)) {
		char *words[16] = {0}, *rest = NULL;
		int n = 0;

		line[strcspn(line, "\n")] = 0;
		for (char *w = strtok_r(line, "\t", &rest); w && n < 15; w = strtok_r(NULL, "\t", &rest))
			words[n++] = w;
		if (n < 6) {
			puts("broken: a line of too few words\t");
			fflush(stdout);
			continue;
		}
		one(words);
	}
	return 0;
}
