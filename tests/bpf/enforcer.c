// SPDX-License-Identifier: Apache-2.0
/*
 * Policies in force without the loader and policyd, on a rung that is asked for: what tests of the engine
 * hold attacks against (tests/e2e/test_attacks.py).
 *
 *	enforcer lsm|fentry|tracepoint FILE DIR=PATH...
 *
 * DIR: a control group, which policies know as PATH. It says "in force GENERATION" or "cannot: WHY", goes on
 * until its standard input ends, and prints what was recorded, in words that tabs part: pid, operation,
 * action, what was done, generation, policy, rule.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/enforce.skel.h"
#include "bpf/enforcefile.skel.h"
#include "bpf/enforceproc.skel.h"
#include "bpf/lineage.skel.h"
#include "policyd/policy/tables.h"
#include "proto/abi/records.h"
#include "proto/base/cleanup.h"

#define HALF_BYTES ((size_t)PST_POL_LINES * sizeof(union pst_line))
#define GENERATION 3
#define EXIT_SKIP  77
#define RECORDS    65536

enum rung { BY_LSM, BY_FENTRY, BY_TRACEPOINT, RUNGS };
static const char *const rung_names[RUNGS] = {"lsm", "fentry", "tracepoint"};

static struct enforce_bpf *skel;
static struct enforcefile_bpf *files; /* not with tracepoints, which see nothing of it */
static struct enforceproc_bpf *calls; /* with tracepoints alone */
static struct lineage_bpf *lines;
static struct policy_set set;
static struct policy_tables *tables;
static struct pst_rec_policy *records;
static size_t n_records;

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

static void *mapped(const struct bpf_map *map, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (p == MAP_FAILED) {
		perror("enforcer: mmap");
		exit(111);
	}
	return p;
}

static void choose(struct bpf_program *open, struct bpf_program *exec, bool chosen)
{
	bpf_program__set_autoload(open, chosen);
	bpf_program__set_autoload(exec, chosen);
}

/* What both have is one. */
static int share(struct bpf_object *o)
{
	static const char *const names[] = {
		"lineages", "policy", "policy_lines", "path_lines", "policy_names", "ring_process"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(o, names[i]);
		int fd = bpf_object__find_map_fd_by_name(skel->obj, names[i]);

		if (!map || fd < 0 || bpf_map__reuse_fd(map, fd))
			return -1;
	}
	return 0;
}

static bool ends(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

/* Of this rung, and of this kernel: file_truncate came with 6.2. */
static bool is_chosen(const struct btf *kernel, const struct bpf_program *p, enum rung rung)
{
	const char *name = bpf_program__name(p), *function = strchr(bpf_program__section_name(p), '/') + 1;
	char hook[80];

	snprintf(hook, sizeof(hook), "%s%s", rung == BY_LSM ? "bpf_lsm_" : "", function);
	if (ends(name, "ftruncate") || ends(name, "ftruncate_f"))
		if (btf__find_by_name_kind(kernel, hook, BTF_KIND_FUNC) < 0)
			return false;
	return rung == BY_LSM ? !ends(name, "_f") : ends(name, "_f");
}

static int load_files(enum rung rung)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	struct bpf_program *p;

	files = enforcefile_bpf__open();
	if (!kernel || !files || share(files->obj))
		return -1;
	bpf_object__for_each_program(p, files->obj) bpf_program__set_autoload(p, is_chosen(kernel, p, rung));
	btf__free(kernel);
	return enforcefile_bpf__load(files) || enforcefile_bpf__attach(files) ? -1 : 0;
}

/* A kernel may have no modules, and so nothing that tells of them. */
static int load_calls(void)
{
	struct btf *kernel = btf__load_vmlinux_btf();

	calls = enforceproc_bpf__open();
	if (!kernel || !calls || share(calls->obj))
		return -1;
	calls->rodata->cfg_proc_calls = true;
	calls->rodata->cfg_made_calls = true;
	bpf_program__set_autoload(calls->progs.enforce_module,
		btf__find_by_name_kind(kernel, "btf_trace_module_load", BTF_KIND_TYPEDEF) >= 0);
	btf__free(kernel);
	return enforceproc_bpf__load(calls) || enforceproc_bpf__attach(calls) ? -1 : 0;
}

/* Ancestors are remembered from here on. */
static int load(enum rung rung)
{
	lines = lineage_bpf__open_and_load();
	if (!lines || lineage_bpf__attach(lines))
		return -1;
	skel = enforce_bpf__open();
	if (!skel)
		return -1;
	choose(skel->progs.enforce_open, skel->progs.enforce_exec, rung == BY_LSM);
	choose(skel->progs.enforce_open_f, skel->progs.enforce_exec_f, rung == BY_FENTRY);
	choose(skel->progs.enforce_open_x, skel->progs.enforce_begun, rung == BY_TRACEPOINT);
	if (bpf_map__reuse_fd(skel->maps.lineages, bpf_map__fd(lines->maps.lineages)))
		return -1;
	if (enforce_bpf__load(skel) || enforce_bpf__attach(skel))
		return -1;
	return rung == BY_TRACEPOINT ? load_calls() : load_files(rung);
}

static int tell_group(char *word)
{
	char *path = strchr(word, '=');
	struct stat st;

	if (!path)
		return -EINVAL;
	*path++ = '\0';
	return stat(word, &st) ? -errno : policy_cgroup_set(tables, st.st_ino, path);
}

static int put_in_force(const char *file, char **groups)
{
	const volatile uint64_t *key = (const void *)skel->rodata->cfg_path_key;
	union pst_line *halves = mapped(skel->maps.policy_lines, 2 * HALF_BYTES),
		       *paths = mapped(skel->maps.path_lines, 2 * HALF_BYTES);
	struct pst_policy *page = mapped(skel->maps.policy, sizeof(*page));
	const struct policy_room room = {
		halves + PST_POL_LINES, paths + PST_POL_LINES, PST_POL_LINES, PST_PATHS_LINES};
	struct pst_conf_errors errors = {0};
	struct policy_inodes inodes;

	static_assert(GENERATION % 2 == 1, "the half above");
	if (policy_read(&set, file, &errors, NULL) ||
		policy_compile(&set, &room, GENERATION, (uint64_t[]){key[0], key[1]}, &errors, &tables)) {
		fprintf(stderr, "%s\n", errors.text ? errors.text : "refused");
		return -1;
	}
	for (; *groups; groups++)
		if (tell_group(*groups)) {
			fprintf(stderr, "enforcer: %s: no such control group\n", *groups);
			return -1;
		}
	if (policy_inodes_fill(tables, &inodes))
		return -1;
	__atomic_store_n(&page->generation, GENERATION, __ATOMIC_RELEASE);
	return 0;
}

static int keep(void *ctx, void *data, size_t size)
{
	(void)ctx;
	if (size >= sizeof(*records) && ((const struct pst_rec *)data)->kind == PST_REC_POLICY &&
		n_records < RECORDS)
		memcpy(&records[n_records++], data, sizeof(*records));
	return 0;
}

/* Until nobody wants it any more. */
static int watch(void)
{
	struct ring_buffer *rb = ring_buffer__new(bpf_map__fd(skel->maps.ring_process), keep, NULL, NULL);
	struct pollfd input = {STDIN_FILENO, POLLIN, 0};

	if (!rb)
		return -1;
	while (poll(&input, 1, 20) <= 0)
		ring_buffer__consume(rb);
	ring_buffer__consume(rb);
	ring_buffer__free(rb);
	return 0;
}

static void print_records(void)
{
	for (size_t i = 0; i < n_records; i++) {
		const struct pst_rec_policy *r = &records[i];
		const struct policy_found found = {.rule = r->rule};
		struct policy_verdict v = policy_tables_verdict(tables, &found);

		printf("%u\t%u\t%u\t%u\t%u\t%s\t%s\n", r->task.pid, r->op, r->action, r->done, r->generation,
			v.policy ? v.policy->name : "", v.rule ? v.rule->name : "");
	}
}

int main(int argc, char **argv)
{
	int rung = 0;

	if (argc < 3)
		return 100;
	while (rung < RUNGS && strcmp(argv[1], rung_names[rung]))
		rung++;
	records = calloc(RECORDS, sizeof(*records));
	if (rung == RUNGS || !records)
		return 100;
	libbpf_set_print(quiet);
	if (load((enum rung)rung)) {
		puts("cannot: this kernel has no such rung");
		return rung == BY_TRACEPOINT ? 111 : EXIT_SKIP;
	}
	if (put_in_force(argv[2], argv + 3))
		return 111;
	printf("in force %d\n", GENERATION);
	fflush(stdout);
	if (watch())
		return 111;
	print_records();
	policy_tables_free(tables);
	policy_set_done(&set);
	enforcefile_bpf__destroy(files);
	enforceproc_bpf__destroy(calls);
	enforce_bpf__destroy(skel);
	lineage_bpf__destroy(lines);
	free(records);
	return fflush(stdout) ? 111 : 0;
}
