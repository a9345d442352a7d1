// SPDX-License-Identifier: Apache-2.0
/*
 * What policies in force cost those whom they are not about, and those whom they are: open and close, and
 * fork, exec and exit, over and over, with no program, with empty ones at the same hooks, and with 1,000
 * policies of ten rules in force, by turns within a moment. On the strongest rung that the kernel has. A
 * figure a line: NAME VALUE UNIT.
 */
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/enforce.skel.h"
#include "bpf/lineage.skel.h"
#include "proto/base/cleanup.h"
#include "proto/base/loop.h"
#include "tests/bench/bench_empty.skel.h"
#include "tests/bench/policies.h"

#define HALF_BYTES ((size_t)PST_POL_LINES * sizeof(union pst_line))
#define POLICIES   999 /* and one more */
#define ROUNDS     41
#define OPENS      4000
#define EXECS      40

enum rung { BY_LSM, BY_FENTRY, BY_TRACEPOINT, RUNGS };
enum with { NONE, EMPTY, ENFORCE, WITHS };
enum { OPEN, EXEC, HOOKS };

static const char *const rung_names[RUNGS] = {"lsm", "fentry", "tracepoint"};
static enum rung rung;
static struct enforce_bpf *skel;
static struct bench_empty_bpf *empty;
static struct lineage_bpf *lines;
static struct bpf_link *links[HOOKS];

struct hooks {
	struct bpf_program *at[RUNGS][HOOKS];
};

static struct hooks enforcing(void)
{
	return (struct hooks){{{skel->progs.enforce_open, skel->progs.enforce_exec},
		{skel->progs.enforce_open_f, skel->progs.enforce_exec_f},
		{skel->progs.enforce_open_x, skel->progs.enforce_begun}}};
}

static struct hooks idle(void)
{
	return (struct hooks){{{empty->progs.empty_open, empty->progs.empty_exec},
		{empty->progs.empty_open_f, empty->progs.empty_exec_f},
		{empty->progs.empty_exit, empty->progs.empty_begun}}};
}

static void choose(struct hooks h)
{
	for (int r = 0; r < RUNGS; r++)
		for (int i = 0; i < HOOKS; i++)
			bpf_program__set_autoload(h.at[r][i], (int)rung == r);
}

static void detach(void)
{
	for (int i = 0; i < HOOKS; i++) {
		bpf_link__destroy(links[i]);
		links[i] = NULL;
	}
}

static int attach(enum with with)
{
	struct hooks h = with == EMPTY ? idle() : enforcing();

	for (int i = 0; with != NONE && i < HOOKS; i++) {
		links[i] = bpf_program__attach(h.at[rung][i]);
		if (!links[i])
			return -1;
	}
	return 0;
}

/* False: this kernel has no such rung. */
static bool load(void)
{
	skel = enforce_bpf__open();
	empty = bench_empty_bpf__open();
	if (!skel || !empty)
		die("open");
	choose(enforcing());
	choose(idle());
	if (bpf_map__reuse_fd(skel->maps.lineages, bpf_map__fd(lines->maps.lineages)))
		die("lineages");
	if (!enforce_bpf__load(skel) && !bench_empty_bpf__load(empty) && !attach(ENFORCE)) {
		detach();
		return true;
	}
	detach();
	enforce_bpf__destroy(skel);
	bench_empty_bpf__destroy(empty);
	return false;
}

/* ---- policies ---- */

static void *mapped(const struct bpf_map *map, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (p == MAP_FAILED)
		die("map");
	return p;
}

static void put_in_force(struct policy_set *set, uint32_t generation)
{
	static struct pst_policy *page;
	static union pst_line *halves, *paths;
	const volatile uint64_t *key = (const void *)skel->rodata->cfg_path_key;
	struct pst_conf_errors errors = {0};
	struct policy_tables *tables = NULL;

	if (!page) {
		page = mapped(skel->maps.policy, sizeof(*page));
		halves = mapped(skel->maps.policy_lines, 2 * HALF_BYTES);
		paths = mapped(skel->maps.path_lines, 2 * HALF_BYTES);
	}
	const struct policy_room room = {halves + (generation & 1) * PST_POL_LINES,
		paths + (generation & 1) * PST_POL_LINES, PST_POL_LINES, PST_PATHS_LINES};

	if (policy_compile(set, &room, generation, (uint64_t[]){key[0], key[1]}, &errors, &tables))
		die(errors.text ? errors.text : "compile");
	__atomic_store_n(&page->generation, generation, __ATOMIC_RELEASE);
	policy_tables_free(tables);
}

/* A policy that is about this process, and about other files. */
static void add_own(struct policy_set *set)
{
	struct pst_conf_errors errors = {0};
	char text[512];

	snprintf(text, sizeof(text),
		"apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: own}\nspec:\n"
		"  scope: {uids: %u}\n"
		"  rules:\n"
		"    - {name: a, operations: [file.open, process.exec], paths: [{directory: /none, "
		"recursive: "
		"true}, {suffix: .none}], action: audit}\n",
		geteuid());
	if (policy_parse(set, "own.yaml", text, strlen(text), &errors, NULL))
		die(errors.text);
}

/* ---- work ---- */

static void opens(void)
{
	for (int i = 0; i < OPENS; i++) {
		int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			die("open");
		close(fd);
	}
}

static void execs(void)
{
	static char *const argv[] = {(char *)"true", NULL}, *const env[] = {NULL};

	for (int i = 0; i < EXECS; i++) {
		pid_t pid;

		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, env) || waitpid(pid, NULL, 0) != pid)
			die("spawn");
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Medians of nanoseconds for one, by turns. */
static void measure(const char *name, void (*work)(void), int n)
{
	static const char *const names[WITHS] = {"none", "empty", "in_force"};
	double all[WITHS][ROUNDS], ns[WITHS];

	for (int r = 0; r < ROUNDS; r++)
		for (enum with w = 0; w < WITHS; w++) {
			uint64_t start;

			if (attach(w))
				die("attach");
			work(); /* warm */
			start = pst_now_mono_ns();
			work();
			all[w][r] = (double)(pst_now_mono_ns() - start) / n;
			detach();
		}
	for (enum with w = 0; w < WITHS; w++) {
		qsort(all[w], ROUNDS, sizeof(double), by_size);
		ns[w] = all[w][ROUNDS / 2];
		printf("policy.%s_%s_ns %.1f ns\n", name, names[w], ns[w]);
	}
	printf("policy.%s_percent %.2f %%\n", name, 100 * (ns[ENFORCE] - ns[NONE]) / ns[NONE]);
	printf("hook.%s_ns %.1f ns\n", name, ns[ENFORCE] - ns[EMPTY]);
	fflush(stdout);
}

int main(void)
{
	PST_CLEANUP(policy_set_done) struct policy_set set = {0};

	libbpf_set_print(NULL);
	lines = lineage_bpf__open_and_load();
	if (!lines || lineage_bpf__attach(lines))
		die("lineage");
	while (!load())
		if (++rung == RUNGS)
			die("load");
	printf("# rung %s\n", rung_names[rung]);
	make_set(&set, POLICIES);
	put_in_force(&set, 2);
	measure("open", opens, OPENS);
	measure("exec", execs, EXECS);
	add_own(&set);
	put_in_force(&set, 3);
	measure("open_in_scope", opens, OPENS);
	measure("exec_in_scope", execs, EXECS);
	enforce_bpf__destroy(skel);
	bench_empty_bpf__destroy(empty);
	lineage_bpf__destroy(lines);
	return 0;
}
