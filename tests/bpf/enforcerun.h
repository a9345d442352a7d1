/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of enforced policies share: control groups of their own, and policies in force for these. */
#ifndef TESTS_BPF_ENFORCERUN_H
#define TESTS_BPF_ENFORCERUN_H

#include <sys/mman.h>

#include "policyd/policy/tables.h"
#include "proto/base/cleanup.h"
#include "tests/bpf/procs.h"

#define HALF_BYTES ((size_t)PST_POL_LINES * sizeof(union pst_line))

static struct pst_policy *page;
static union pst_line *halves, *paths;
static const volatile __u64 *path_key;
static struct reclog recs;
static char base[64];
static char groups[3][320]; /* each in the one before; the last is not told of */
static char group_path[256];
static struct policy_set set;
static struct policy_tables *tables;

/* ---- control groups ---- */

static void enter(const char *dir)
{
	char path[352];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(84);
	close(fd);
}

/* As acts have it, from the hierarchy's root on. */
static void find_path(void *arg)
{
	char text[4096], *at;

	enter(groups[0]);
	slurp("/proc/self/cgroup", text, sizeof(text));
	at = strstr(text, "0::");
	_exit(!at || write(*(int *)arg, at + 3, strcspn(at + 3, "\n")) < 1);
}

/* 0, or -1. */
static int groups_make(void)
{
	const char *mounted = cgroup2();
	int pipes[2];
	ssize_t n;

	if (!mounted || pipe(pipes))
		return -1;
	snprintf(groups[0], sizeof(groups[0]), "%s/pst-enforce-%d", mounted, getpid());
	snprintf(groups[1], sizeof(groups[1]), "%.300s/in", groups[0]);
	snprintf(groups[2], sizeof(groups[2]), "%.300s/untold", groups[1]);
	if (mkdir(groups[0], 0755) || mkdir(groups[1], 0755) || mkdir(groups[2], 0755) ||
		reap(run(find_path, &pipes[1])))
		return -1;
	n = read(pipes[0], group_path, sizeof(group_path) - 1);
	close(pipes[0]);
	close(pipes[1]);
	return n < 1 ? -1 : 0;
}

static void groups_remove(void)
{
	for (int i = 2; i >= 0; i--)
		rmdir(groups[i]);
}

static void tell_group(int i, const char *below)
{
	char path[512];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", group_path, below);
	assert_int_equal(stat(groups[i], &st), 0);
	assert_int_equal(policy_cgroup_set(tables, st.st_ino, path), 0);
}

/* ---- policies ---- */

static void *mapped(struct bpf_object *o, const char *name, size_t bytes)
{
	int fd = bpf_object__find_map_fd_by_name(o, name);
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

/* Of an object that is loaded; @key: its cfg_path_key. */
static void tables_open(struct bpf_object *o, const volatile __u64 *key)
{
	page = mapped(o, "policy", sizeof(*page));
	halves = mapped(o, "policy_lines", 2 * HALF_BYTES);
	paths = mapped(o, "path_lines", 2 * HALF_BYTES);
	path_key = key;
	reclog_open(&recs, bpf_object__find_map_fd_by_name(o, "ring_process"));
}

static void lift(void)
{
	__atomic_store_n(&page->generation, 0, __ATOMIC_RELEASE);
	policy_tables_free(tables);
	tables = NULL;
	policy_set_done(&set);
}

static void tables_close(void)
{
	lift();
	reclog_close(&recs);
	munmap(page, sizeof(*page));
	munmap(halves, 2 * HALF_BYTES);
	munmap(paths, 2 * HALF_BYTES);
}

/* In force for who is in the group. */
static void put(const char *rules)
{
	static uint32_t generation;
	uint32_t half = ++generation & 1;
	const struct policy_room room = {
		halves + half * PST_POL_LINES, paths + half * PST_POL_LINES, PST_POL_LINES, PST_PATHS_LINES};
	struct pst_conf_errors errors = {0};
	PST_FREE char *text = NULL;

	lift();
	assert_true(asprintf(&text,
			    "apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: test}\nspec:\n"
			    "  scope: {cgroups: %s}\n  rules:\n%s",
			    group_path, rules) > 0);
	if (policy_parse(&set, "p.yaml", text, strlen(text), &errors, NULL) ||
		policy_compile(
			&set, &room, generation, (uint64_t[]){path_key[0], path_key[1]}, &errors, &tables))
		fail_msg("%s", errors.text ? errors.text : "refused");
	tell_group(0, "");
	tell_group(1, "/in");
	__atomic_store_n(&page->generation, generation, __ATOMIC_RELEASE);
}

static inline const char *in_base(const char *name)
{
	static char path[8][128];
	static unsigned turn;
	char *at = path[turn++ % 8];

	snprintf(at, sizeof(path[0]), "%s/%s", base, name);
	return at;
}

#endif
