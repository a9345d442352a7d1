// SPDX-License-Identifier: Apache-2.0
/*
 * What it takes to gather the facts of an act: of its object, at folders of some depth, of its subject, and
 * to remember where processes come from; and to say what policies say of it. A figure a line: NAME VALUE
 * UNIT.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/lineage.skel.h"
#include "policyd/policy/tables.h"
#include "proto/abi/facts.h"
#include "proto/base/cleanup.h"
#include "proto/base/loop.h"
#include "tests/bpf/policy_engine.skel.h"
#include "tests/bpf/policy_facts.skel.h"

#define MAGIC  0x70f4c753u
#define REPEAT 1000
#define ROUNDS 41
#define FORKS  1000

enum {
	ASK_FILE = 1,
	ASK_BEGIN = 3,
	ASK_SUBJECT = 5,
	ASK_SUBJECT_ANEW = 6,
	ASK_NAMESPACES = 7,
	ASK_KEY = 8,
	ASK_NOTHING = 9,
	ASK_FD = 10
};

static struct policy_facts_bpf *facts;
static struct lineage_bpf *lines;

static void die(const char *what)
{
	perror(what);
	exit(PST_EXIT_SYSTEM);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median of nanoseconds for one. */
static double took(int fd, int what)
{
	double all[ROUNDS];

	facts->bss->repeat = REPEAT;
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t before = facts->bss->answers;

		ioctl(fd, (unsigned long)MAGIC, what);
		if (facts->bss->answers == before)
			die("no answer");
		all[i] = (double)facts->bss->took_ns / REPEAT;
	}
	facts->bss->repeat = 0;
	qsort(all, ROUNDS, sizeof(all[0]), by_size);
	return all[ROUNDS / 2];
}

static void measure(const char *name, int fd, int what)
{
	printf("facts.%s_ns %.1f ns\n", name,
		took(fd, what) - took(fd, what < ASK_SUBJECT ? ASK_FD : ASK_NOTHING));
	fflush(stdout);
}

static void measure_objects(void)
{
	static const int depths[] = {2, 6, 12, 30};
	char dir[64], path[256], name[32];

	snprintf(dir, sizeof(dir), "/tmp/pst-facts-%d", getpid());
	if (mkdir(dir, 0700) || mount("none", dir, "tmpfs", 0, NULL))
		die(dir);
	for (size_t i = 0; i < PST_ARRAY_SIZE(depths); i++) {
		int fd;

		snprintf(path, sizeof(path), "%s", dir);
		for (int d = 3; d < depths[i]; d++) {
			strcat(path, "/folder");
			if (mkdir(path, 0700) && errno != EEXIST)
				die(path);
		}
		strcat(path, "/file");
		fd = open(depths[i] == 2 ? "/etc/passwd" : path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			die(path);
		if (!i)
			measure("object_begin", fd, ASK_BEGIN);
		snprintf(name, sizeof(name), "object_path_%d", depths[i]);
		measure(name, fd, ASK_FILE);
		close(fd);
	}
	if (umount2(dir, MNT_DETACH) || rmdir(dir))
		die(dir);
}

static void measure_subject(void)
{
	measure("subject_key", 0, ASK_KEY);
	measure("subject_kept", 0, ASK_SUBJECT);
	measure("subject_climbed", 0, ASK_SUBJECT_ANEW);
	if (!fork())
		_exit(0);
	wait(NULL);
	measure("subject_anew", 0, ASK_SUBJECT_ANEW);
	measure("namespaces", 0, ASK_NAMESPACES);
}

static double per_run(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len) || !info.run_cnt)
		die("statistics");
	return (double)info.run_time_ns / (double)info.run_cnt;
}

/* By the kernel's own statistics, whose clock is some 50 ns of it. */
static void measure_lines(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (fd < 0)
		die("statistics");
	for (int i = 0; i < FORKS; i++) {
		if (!fork()) {
			execl("/bin/true", "true", NULL);
			_exit(1);
		}
		wait(NULL);
	}
	printf("facts.line_fork_ns %.1f ns\nfacts.line_exec_ns %.1f ns\nfacts.line_exit_ns %.1f ns\n",
		per_run(lines->progs.line_fork), per_run(lines->progs.line_exec),
		per_run(lines->progs.line_exit));
	close(fd);
}

/* ---- verdicts ---- */

#define VERDICT_MAGIC   0x70f4c755u
#define VERDICT_FILE    3
#define VERDICT_NOTHING 6
#define VERDICT_CONNECT 7
#define POLICIES        100

static struct policy_engine_bpf *engine;

static union pst_line *mapped(const struct bpf_map *map)
{
	void *p = mmap(NULL, (size_t)PST_POL_LINES * sizeof(union pst_line), PROT_READ | PROT_WRITE,
		MAP_SHARED, bpf_map__fd(map), 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static double verdict_took(int fd, int what)
{
	double all[ROUNDS];

	engine->bss->repeat = REPEAT;
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t before = engine->bss->answers;

		ioctl(fd, (unsigned long)VERDICT_MAGIC, what);
		if (engine->bss->answers == before)
			die("no answer");
		all[i] = (double)engine->bss->took_ns / REPEAT;
	}
	engine->bss->repeat = 0;
	qsort(all, ROUNDS, sizeof(all[0]), by_size);
	return all[ROUNDS / 2];
}

/* By policies of a rule each that all have this @rule, with their number in it: on what is behind @fd. */
static void measure_verdict_on(int fd, int what, const char *name, const char *rule)
{
	const struct policy_room room = {mapped(engine->maps.policy_lines), mapped(engine->maps.path_lines),
		PST_POL_LINES, PST_PATHS_LINES};
	const uint64_t seed[2] = {engine->rodata->cfg_path_key[0], engine->rodata->cfg_path_key[1]};
	struct pst_conf_errors errors = {0};
	struct policy_tables *t = NULL;
	struct policy_set set = {0};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	for (int i = 0; i < POLICIES; i++) {
		fprintf(f,
			"---\napiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: p%d}\n"
			"spec: {rules: [{name: r, action: audit, ",
			i);
		fprintf(f, rule, i);
		fputs("}]}\n", f);
	}
	fclose(f);
	if (fd < 0 || policy_parse(&set, "p.yaml", text, len, &errors, NULL) ||
		policy_compile(&set, &room, 1, seed, &errors, &t))
		die(errors.text ? errors.text : "policies");
	printf("facts.verdict_%s_ns %.1f ns\n", name,
		verdict_took(fd, what) - verdict_took(fd, VERDICT_NOTHING));
	fflush(stdout);
	policy_tables_free(t);
	policy_set_done(&set);
	munmap(room.lines, (size_t)PST_POL_LINES * sizeof(union pst_line));
	munmap(room.paths, (size_t)PST_PATHS_LINES * sizeof(union pst_line));
	free(text);
	close(fd);
}

/* Of an open of /etc/passwd. */
static void measure_verdict(const char *name, const char *rule)
{
	measure_verdict_on(open("/etc/passwd", O_RDONLY | O_CLOEXEC), VERDICT_FILE, name, rule);
}

/* Of a TCP connection to 10.1.2.3:443. */
static void measure_connect(const char *name, const char *rule)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(443)};

	to.sin_addr.s_addr = htonl(0x0a010203);
	memcpy(engine->bss->address, &to, sizeof(to));
	measure_verdict_on(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), VERDICT_CONNECT, name, rule);
}

static void measure_verdicts(void)
{
	engine = policy_engine_bpf__open();
	if (!engine || bpf_map__reuse_fd(engine->maps.lineages, bpf_map__fd(lines->maps.lineages)) ||
		policy_engine_bpf__load(engine) || policy_engine_bpf__attach(engine))
		die("load");
	engine->bss->magic = VERDICT_MAGIC;
	measure_verdict("off", "operations: process.exec, uids: %d");
	measure_verdict("subject", "operations: file.open, uids: 1%d");
	measure_verdict("path", "operations: file.open, paths: /etc/some%d");
	measure_verdict("folders", "operations: file.open, paths: {directory: /etc/some%d, recursive: true}");
	measure_verdict("executable", "operations: file.open, executables: /usr/bin/some%d");
	measure_verdict("all",
		"operations: file.open, paths: {prefix: /etc/some%1$d}, executables: /usr/bin/some%1$d, "
		"ancestors: /bin/some%1$d, namespaces: {mnt: other}");
	measure_connect("connect_off", "operations: file.open, uids: %d");
	measure_connect("connect_subject", "operations: net.connect, uids: 1%d");
	measure_connect("connect_address", "operations: net.connect, addresses: 10.2.%d.0/24, ports: 443");
	policy_engine_bpf__destroy(engine);
}

int main(void)
{
	lines = lineage_bpf__open_and_load();
	facts = policy_facts_bpf__open();
	if (!lines || !facts || bpf_map__reuse_fd(facts->maps.lineages, bpf_map__fd(lines->maps.lineages)) ||
		policy_facts_bpf__load(facts) || lineage_bpf__attach(lines) ||
		policy_facts_bpf__attach(facts))
		die("load");
	facts->bss->magic = MAGIC;
	measure_objects();
	measure_subject();
	measure_lines();
	measure_verdicts();
	policy_facts_bpf__destroy(facts);
	lineage_bpf__destroy(lines);
	return 0;
}
