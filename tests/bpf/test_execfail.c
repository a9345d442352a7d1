// SPDX-License-Identifier: Apache-2.0
/* Failed executions, on both rungs: fexit on the system calls, and sys_exit filtered by number. */
#include <elf.h>
#include <sys/mman.h>

#include "bpf/execfail.skel.h"
#include "bpf/execfail32.skel.h"
#include "bpf/sysexit.skel.h"
#include "tests/bpf/procs.h"
#include "tests/bpf/rungs.h"

static char base[64];

/* What the tests run against: one rung. */
struct rung {
	struct execfail_bpf *fexit;
	struct execfail32_bpf *fexit32;
	struct sysexit_bpf *sysexit;
	struct reclog recs;
};

/* Both are attached at once, each with a ring of its own; a test looks at one of them. */
static struct rung fexit_rung, sysexit_rung, *rung;

static const struct pst_rec_exec_failed *failed_of(void (*fn)(void *), void *arg)
{
	pid_t pid;

	reclog_clear(&rung->recs);
	pid = run(fn, arg);
	assert_int_equal(WEXITSTATUS(reap(pid)), 0);
	return reclog_want(&rung->recs, PST_REC_EXEC_FAILED, (unsigned int)pid);
}

static const char *failed_filename(const struct pst_rec_exec_failed *r)
{
	return tail_str(r + 1, 0, r->filename_len);
}

static const char *failed_argv(const struct pst_rec_exec_failed *r)
{
	return (const char *)(r + 1) + r->filename_len;
}

struct attempt {
	const char *path;
	char *const *argv;
	int error;
};

/* A caller that has just made its arguments has their pages; our literals may not be mapped yet after the
 * fork. */
static void touch(char *const *argv)
{
	for (int i = 0; argv && argv[i]; i++)
		(void)*(volatile char *)argv[i];
}

static void try_exec(void *arg)
{
	const struct attempt *a = arg;

	touch(a->argv);
	if (setresgid(4321, 4321, 4321) || setresuid(1234, 1234, 1234))
		_exit(98);
	execve(a->path, a->argv, (char *[]){NULL});
	_exit(errno == a->error ? 0 : 97);
}

static void assert_failed(const struct pst_rec_exec_failed *r, const struct attempt *a)
{
	assert_int_equal(r->error, a->error);
	assert_string_equal(failed_filename(r), a->path);
	assert_int_equal(r->task.uid, 1234);
	assert_int_equal(r->task.gid, 4321);
	assert_string_equal(r->task.comm, "test_execfail");
	assert_int_equal(reclog_count(&rung->recs, PST_REC_EXEC_FAILED, r->task.pid), 1);
}

static void check_errors(void **state)
{
	char plain[128], text[128];
	char *argv[] = {"name", "", "two words", NULL};
	struct attempt rows[] = {
		{"/nonexistent/program", argv, ENOENT},
		{plain, argv, EACCES},
		{text, argv, ENOEXEC},
		{"/usr", argv, EACCES},
	};
	FILE *f;

	(void)state;
	snprintf(plain, sizeof(plain), "%s/plain", base);
	snprintf(text, sizeof(text), "%s/text", base);
	copy_file("/usr/bin/true", plain, 0644);
	f = fopen(text, "w");
	assert_non_null(f);
	fputs("neither a script nor a program\n", f);
	fclose(f);
	assert_int_equal(chmod(text, 0755), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pst_rec_exec_failed *r = failed_of(try_exec, &rows[i]);

		assert_failed(r, &rows[i]);
		assert_int_equal(r->h.flags, 0);
		assert_int_equal(r->argv_len, 15);
		assert_memory_equal(failed_argv(r), "name\0\0two words", 15);
	}
}

/* Exactly what fits, one byte more, more arguments than are looked at, and no argv at all. */
static void check_argv_limits(void **state)
{
	static char fits[PST_ARGV_MAX - 1], more[PST_ARGV_MAX];
	static char *many[400];
	char *argv[3] = {"a", fits, NULL};
	struct attempt a = {"/nonexistent", argv, ENOENT};
	const struct pst_rec_exec_failed *r;

	(void)state;
	memset(fits, 'x', sizeof(fits) - 1);
	memset(more, 'y', sizeof(more) - 1);
	r = failed_of(try_exec, &a);
	assert_int_equal(r->argv_len, PST_ARGV_MAX);
	assert_int_equal(r->h.flags, 0);
	assert_memory_equal(failed_argv(r) + 2, fits, sizeof(fits) - 1);

	argv[1] = more;
	r = failed_of(try_exec, &a);
	assert_int_equal(r->argv_len, PST_ARGV_MAX);
	assert_int_equal(r->h.flags, PST_EXEC_ARGV_CUT);
	assert_memory_equal(failed_argv(r) + 2, more, PST_ARGV_MAX - 2);

	for (int i = 0; i < 399; i++)
		many[i] = "m";
	a.argv = many;
	r = failed_of(try_exec, &a);
	assert_int_equal(r->argv_len, 256 * 2 - 1);
	assert_int_equal(r->h.flags, PST_EXEC_ARGV_CUT);

	a.argv = NULL;
	r = failed_of(try_exec, &a);
	assert_int_equal(r->argv_len, 0);
	assert_int_equal(r->h.flags, 0);
}

static void try_bad_pointers(void *arg)
{
	(void)arg;
	touch((char *[]){"/usr/bin/true", NULL});
	_exit(syscall(SYS_execve, "/usr/bin/true", (void *)8, NULL) == -1 && errno == EFAULT ? 0 : 97);
}

static void check_bad_pointers(void **state)
{
	const struct pst_rec_exec_failed *r = failed_of(try_bad_pointers, NULL);

	(void)state;
	assert_int_equal(r->error, EFAULT);
	assert_string_equal(failed_filename(r), "/usr/bin/true");
	assert_int_equal(r->h.flags, PST_EXEC_ARGV_FAULT);
}

struct absent {
	char *page;
	volatile unsigned char
		present; /* in memory after the call: the kernel touched it (before 6.8 it copies first) */
};

static void try_absent_page(void *arg)
{
	struct absent *a = arg;
	char *argv[] = {"first", a->page, "third", NULL};
	unsigned char present = 0;

	touch((char *[]){argv[0], argv[2], NULL});
	execve("/nonexistent", argv, NULL);
	if (errno != ENOENT || mincore(a->page, 4096, &present))
		_exit(97);
	a->present = present & 1;
	_exit(0);
}

/* An argument that no one has touched yet cannot be read: it is left empty, and the others are there. */
static void check_absent_page(void **state)
{
	struct absent *a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct pst_rec_exec_failed *r;

	(void)state;
	assert_ptr_not_equal(a, MAP_FAILED);
	a->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(a->page, MAP_FAILED);
	r = failed_of(try_absent_page, a);
	assert_int_equal(r->h.flags, a->present ? 0 : PST_EXEC_ARGV_FAULT);
	assert_int_equal(r->argv_len, 12);
	assert_memory_equal(failed_argv(r), "first\0\0third", 12);
	munmap(a->page, 4096);
	munmap(a, 4096);
}

static void try_longest(void *arg)
{
	static char path[PST_PATH_MAX];

	(void)arg;
	memset(path, '/', sizeof(path) - 1);
	memcpy(path + sizeof(path) - 6, "/none", 5);
	execl(path, path + sizeof(path) - 2, NULL);
	_exit(errno == ENOENT ? 0 : 97);
}

static void check_longest_filename(void **state)
{
	const struct pst_rec_exec_failed *r = failed_of(try_longest, NULL);

	(void)state;
	assert_int_equal(r->filename_len, PST_PATH_MAX - 1);
	assert_int_equal(r->argv_len, 1);
	assert_memory_equal(failed_argv(r), "e", 1);
}

static void try_execveat(void *arg)
{
	int dir = open("/usr", O_RDONLY | O_DIRECTORY);
	char *argv[] = {"at", "b", NULL};

	(void)arg;
	touch(argv);
	syscall(SYS_execveat, dir, "bin/no such thing", argv, NULL, 0);
	_exit(errno == ENOENT ? 0 : 97);
}

static void check_execveat(void **state)
{
	const struct pst_rec_exec_failed *r = failed_of(try_execveat, NULL);

	(void)state;
	assert_string_equal(failed_filename(r), "bin/no such thing");
	assert_int_equal(r->argv_len, 4);
	assert_memory_equal(failed_argv(r), "at\0b", 4);
}

/* execvp looks into every folder of PATH: each try is an event. */
static void try_execvp(void *arg)
{
	(void)arg;
	setenv("PATH", "/nowhere/one:/nowhere/two:/nowhere/three", 1);
	execlp("pst-no-such", "x", NULL);
	_exit(0);
}

static void check_execvp(void **state)
{
	const struct pst_rec_exec_failed *r = failed_of(try_execvp, NULL);

	(void)state;
	assert_int_equal(reclog_count(&rung->recs, PST_REC_EXEC_FAILED, r->task.pid), 3);
	r = reclog_nth(&rung->recs, PST_REC_EXEC_FAILED, r->task.pid, 2);
	assert_string_equal(failed_filename(r), "/nowhere/three/pst-no-such");
}

static void exec_true(void *arg)
{
	(void)arg;
	execl("/usr/bin/true", "true", NULL);
}

/* One that succeeded is no failure; a call with the same number in the other numbering neither (munmap is
 * 11). */
static void check_success_is_silent(void **state)
{
	pid_t pid;

	(void)state;
	reclog_clear(&rung->recs);
	pid = run(exec_true, NULL);
	assert_int_equal(reap(pid), 0);
	syscall(SYS_munmap, 1, 1);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_EXEC_FAILED, (unsigned int)pid), 0);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_EXEC_FAILED, (unsigned int)getpid()), 0);
}

/* A 32-bit program: execve("/none", ["/none", NULL], NULL), exit(0). Written to path. */
static void write_elf32(const char *path)
{
	enum { AT = 0x8048000, HEAD = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr) };
	static const unsigned char code[] = {
		0x31,
		0xd2, /* xor edx, edx */
		0x52, /* push edx */
		0x68,
		0,
		0,
		0,
		0, /* push name */
		0x89,
		0xe1, /* mov ecx, esp */
		0xbb,
		0,
		0,
		0,
		0, /* mov ebx, name */
		0xb8,
		11,
		0,
		0,
		0, /* mov eax, execve */
		0xcd,
		0x80, /* int 0x80 */
		0x31,
		0xdb, /* xor ebx, ebx */
		0xb8,
		1,
		0,
		0,
		0, /* mov eax, exit */
		0xcd,
		0x80, /* int 0x80 */
		'/',
		'n',
		'o',
		'n',
		'e',
		'3',
		'2',
		0,
	};
	unsigned char file[HEAD + sizeof(code)] = {0};
	Elf32_Ehdr eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = AT + HEAD,
		.e_phoff = sizeof(Elf32_Ehdr),
		.e_ehsize = sizeof(Elf32_Ehdr),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 1};
	Elf32_Phdr ph = {.p_type = PT_LOAD,
		.p_vaddr = AT,
		.p_filesz = sizeof(file),
		.p_memsz = sizeof(file),
		.p_flags = PF_R | PF_X,
		.p_align = 4096};
	uint32_t name = AT + HEAD + sizeof(code) - 8;
	int fd;

	memcpy(file, &eh, sizeof(eh));
	memcpy(file + sizeof(eh), &ph, sizeof(ph));
	memcpy(file + HEAD, code, sizeof(code));
	memcpy(file + HEAD + 4, &name, 4);
	memcpy(file + HEAD + 11, &name, 4);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, file, sizeof(file)), sizeof(file));
	close(fd);
}

static void exec_given(void *arg)
{
	execl(arg, arg, NULL);
	_exit(errno == ENOEXEC ? 77 : 97);
}

static void check_32_bit(void **state)
{
	const struct pst_rec_exec_failed *r;
	char path[128];
	int status;
	pid_t pid;

	(void)state;
	if (!rung->sysexit && !rung->fexit32)
		skip_because("no first rung for 32-bit calls on this kernel");
	snprintf(path, sizeof(path), "%s/elf32", base);
	write_elf32(path);
	reclog_clear(&rung->recs);
	pid = run(exec_given, path);
	status = reap(pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip_because("this kernel runs no 32-bit programs");
	assert_int_equal(status, 0);
	r = reclog_want(&rung->recs, PST_REC_EXEC_FAILED, (unsigned int)pid);
	assert_int_equal(r->error, ENOENT);
	assert_string_equal(failed_filename(r), "/none32");
	assert_int_equal(r->argv_len, 7);
	assert_memory_equal(failed_argv(r), "/none32", 7);
	assert_int_equal(r->h.flags, 0);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_EXEC_FAILED, (unsigned int)pid), 1);
}

/* ---- the two rungs ---- */

static int fexit_open(struct rung *r)
{
	int fd;

	r->fexit = execfail_bpf__open_and_load();
	if (!r->fexit)
		return 0; /* its tests say so */
	fd = bpf_map__fd(r->fexit->maps.ring_process);
	if (execfail_bpf__attach(r->fexit))
		return -1;
	r->fexit32 = execfail32_bpf__open();
	if (r->fexit32 && (bpf_map__reuse_fd(r->fexit32->maps.ring_process, fd) ||
				  execfail32_bpf__load(r->fexit32) || execfail32_bpf__attach(r->fexit32))) {
		execfail32_bpf__destroy(r->fexit32);
		r->fexit32 = NULL;
	}
	reclog_open(&r->recs, fd);
	return 0;
}

static int sysexit_open(struct rung *r)
{
	r->sysexit = sysexit_bpf__open();
	if (!r->sysexit)
		return -1;
	r->sysexit->rodata->cfg_cred = false;
	bpf_program__set_autoload(r->sysexit->progs.cred_enter, false);
	if (sysexit_bpf__load(r->sysexit) || sysexit_bpf__attach(r->sysexit))
		return -1;
	reclog_open(&r->recs, bpf_map__fd(r->sysexit->maps.ring_process));
	return 0;
}

static int setup(void **state)
{
	(void)state;
	if (folder_make(base, sizeof(base)))
		return -1;
	return fexit_open(&fexit_rung) || sysexit_open(&sysexit_rung) ? -1 : 0;
}

static void rung_close(struct rung *r)
{
	if (r->recs.rb)
		reclog_close(&r->recs);
	execfail_bpf__destroy(r->fexit);
	execfail32_bpf__destroy(r->fexit32);
	sysexit_bpf__destroy(r->sysexit);
}

static int teardown(void **state)
{
	(void)state;
	rung_close(&fexit_rung);
	rung_close(&sysexit_rung);
	return folder_remove(base);
}

ON_RUNGS(fexit, errors)
ON_RUNGS(fexit, argv_limits)
ON_RUNGS(fexit, bad_pointers)
ON_RUNGS(fexit, absent_page)
ON_RUNGS(fexit, longest_filename)
ON_RUNGS(fexit, execveat)
ON_RUNGS(fexit, execvp)
ON_RUNGS(fexit, success_is_silent)
ON_RUNGS(fexit, 32_bit)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUNGS(fexit, errors),
		RUNGS(fexit, argv_limits),
		RUNGS(fexit, bad_pointers),
		RUNGS(fexit, absent_page),
		RUNGS(fexit, longest_filename),
		RUNGS(fexit, execveat),
		RUNGS(fexit, execvp),
		RUNGS(fexit, success_is_silent),
		RUNGS(fexit, 32_bit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
