// SPDX-License-Identifier: Apache-2.0
/*
 * Classes of paths: what it takes to compile 10, 1,000 and 10,000 patterns, and to look up a path that some
 * of them match and one that none does: in a kernel program, in user space, and by fnmatch() of one pattern
 * after the other. A figure a line: NAME VALUE UNIT.
 */
#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "policyd/path/path.h"
#include "proto/base/cleanup.h"
#include "proto/base/loop.h"
#include "tests/bpf/path.skel.h"

#define HALF_BYTES ((size_t)PST_PATHS_LINES * sizeof(union pst_line))
#define PATHS      16
#define REPEAT     20000
#define TEXT       128

static struct path_bpf *skel;
static union pst_line *lines;
static struct pst_paths_buf *bufs; /* one a CPU */
static char (*globs)[TEXT];        /* the patterns, for fnmatch() */

static void die(const char *what)
{
	perror(what);
	exit(PST_EXIT_SYSTEM);
}

static const char *const folders[] = {"/usr/lib/x86_64-linux-gnu", "/usr/share/doc", "/etc",
	"/var/lib/containers/overlay", "/home/someone/projects", "/opt/vendor/product", "/usr/bin",
	"/srv/www/html"};

static void text_of(char text[TEXT], enum path_kind kind, uint32_t i)
{
	static const char *const forms[PATH_KINDS] = {
		[PATH_EXACT] = "%s/package-%u/file%u.conf",
		[PATH_PREFIX] = "%s/tool-%u/run%u",
		[PATH_CHILDREN] = "%s/plugins-%u/v%u",
		[PATH_BELOW] = "%s/state-%u/d%u",
		[PATH_SUFFIX] = "%.0s.ext%u_%u",
		[PATH_GLOB] = "%s/*/cache-%u/k%u*.[ch]",
	};

	snprintf(text, TEXT, forms[kind], folders[i % PST_ARRAY_SIZE(folders)], i * 7919 % 1000, i);
}

/* Of ten patterns five are exact. */
static enum path_kind kind_of(uint32_t i)
{
	return (enum path_kind)(i % 10 < 5 ? 0 : i % 10 - 4);
}

static void make_set(struct path_set *set, uint32_t n)
{
	static const char *const behind[PATH_KINDS] = {"", "*", "/*", "/*", "", ""};

	for (uint32_t i = 0; i < n; i++) {
		struct path_error error;
		char text[TEXT / 2];
		uint32_t pattern;

		text_of(globs[i], kind_of(i), i);
		memcpy(text, globs[i], sizeof(text));
		if (path_set_add(set, kind_of(i), text, strlen(text), &pattern, &error))
			die(text);
		snprintf(globs[i], TEXT, "%s%s%s", kind_of(i) == PATH_SUFFIX ? "*" : "", text,
			behind[kind_of(i)]);
	}
}

/* One that pattern @i matches, or almost one. */
static void make_path(char path[TEXT], uint32_t i, bool hit)
{
	const char *folder = folders[i % PST_ARRAY_SIZE(folders)];
	uint32_t a = i * 7919 % 1000;

	switch (kind_of(i)) {
	case PATH_PREFIX:
		snprintf(path, TEXT, "%s/tool-%u/%s%u-x", folder, a, hit ? "run" : "ran", i);
		return;
	case PATH_CHILDREN:
		snprintf(path, TEXT, "%s/plugins-%u/%s%u/name", folder, a, hit ? "v" : "w", i);
		return;
	case PATH_BELOW:
		snprintf(path, TEXT, "%s/state-%u/%s%u/name/deeper/file", folder, a, hit ? "d" : "e", i);
		return;
	case PATH_SUFFIX:
		snprintf(path, TEXT, "%s/some/where/file.ext%u_%u%s", folder, a, i, hit ? "" : "x");
		return;
	case PATH_GLOB:
		snprintf(path, TEXT, "%s/anything/cache-%u/k%u-name.%s", folder, a, i, hit ? "c" : "o");
		return;
	default:
		snprintf(path, TEXT, "%s/package-%u/file%u.conf%s", folder, a, i, hit ? "" : "~");
	}
}

static double in_kernel(const char *path, const struct bpf_program *prog, int repeat)
{
	static const uint8_t packet[64];
	const uint32_t zero = 0;
	LIBBPF_OPTS(
		bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet), .repeat = repeat);

	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		memcpy(bufs[cpu].bytes + PST_PATHS_MARGIN, path, strlen(path));
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.path_buf), &zero, bufs, BPF_ANY))
		die("path");
	skel->bss->start = PST_PATHS_MARGIN;
	skel->bss->len = (uint32_t)strlen(path);
	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		die("test run");
	return opts.duration;
}

static double in_user_space(const char *path)
{
	uint32_t classes[PST_PATHS_AUTOMATA], sum = 0;
	uint64_t start = pst_now_mono_ns();

	for (int i = 0; i < REPEAT; i++) {
		path_lookup(lines, PST_PATHS_LINES, (const uint8_t *)path, strlen(path), classes);
		sum += classes[0];
	}
	__asm__ volatile("" ::"r"(sum));
	return (double)(pst_now_mono_ns() - start) / REPEAT;
}

static double by_fnmatch(const char *path, uint32_t n)
{
	uint32_t repeat = 1 + REPEAT / 10 / n, found = 0;
	uint64_t start = pst_now_mono_ns();

	for (uint32_t r = 0; r < repeat; r++)
		for (uint32_t i = 0; i < n; i++)
			found += !fnmatch(globs[i], path,
				kind_of(i) == PATH_CHILDREN || kind_of(i) == PATH_GLOB ? FNM_PATHNAME : 0);
	__asm__ volatile("" ::"r"(found));
	return (double)(pst_now_mono_ns() - start) / repeat;
}

static bool is_hit(const char *path)
{
	uint32_t classes[PST_PATHS_AUTOMATA], any = 0;

	path_lookup(lines, PST_PATHS_LINES, (const uint8_t *)path, strlen(path), classes);
	for (uint32_t a = 0; a < PST_PATHS_AUTOMATA; a++)
		any |= classes[a];
	return any;
}

static void measure(uint32_t n, bool hit)
{
	const char *what = hit ? "hit" : "miss";
	double kernel = 0, user = 0, linear = 0;
	char path[TEXT];

	for (uint32_t i = 0; i < PATHS; i++) {
		make_path(path, (uint32_t)((uint64_t)i * n / PATHS) + i % 10 * (n > PATHS), hit);
		if (is_hit(path) != hit)
			die(path);
		kernel += in_kernel(path, skel->progs.test_path, REPEAT) -
			  in_kernel(path, skel->progs.test_nothing, REPEAT);
		user += in_user_space(path);
		linear += by_fnmatch(path, n);
	}
	printf("path.%s_ns_%u %.1f ns\npath.%s_user_ns_%u %.1f ns\npath.%s_fnmatch_ns_%u %.1f ns\n", what, n,
		kernel / PATHS, what, n, user / PATHS, what, n, linear / PATHS);
	fflush(stdout);
}

static void compile(uint32_t n)
{
	PST_CLEANUP(path_set_done) struct path_set set = {0};
	PST_CLEANUP(path_compiled_done) struct path_compiled c = {0};
	uint32_t refused;
	uint64_t start;

	make_set(&set, n);
	start = pst_now_mono_ns();
	if (path_compile(&set, lines, PST_PATHS_LINES, &c, &refused))
		die("compile");
	printf("path.compile_ms_%u %.2f ms\npath.lines_%u %u lines\npath.automata_%u %u automata\n", n,
		(double)(pst_now_mono_ns() - start) / 1e6, n, c.lines, n, c.n);
}

/* The longest path, and as many automata as there can be, all of which go through all of it. */
static void worst(void)
{
	PST_CLEANUP(path_set_done) struct path_set set = {0};
	PST_CLEANUP(path_compiled_done) struct path_compiled c = {0};
	char path[PST_PATH_MAX + 1], text[TEXT];
	struct path_error error;
	uint32_t pattern;

	for (uint32_t i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "/**/d%u/**", i);
		if (path_set_add(&set, PATH_GLOB, text, strlen(text), &pattern, &error))
			die(text);
	}
	if (path_compile(&set, lines, PST_PATHS_LINES, &c, &pattern))
		die("compile");
	for (uint32_t i = 0; i < PST_PATH_MAX; i++)
		path[i] = "/dd"[i % 3];
	path[PST_PATH_MAX] = 0;
	printf("path.worst_us %.1f us\npath.worst_automata %u automata\n",
		in_kernel(path, skel->progs.test_path, REPEAT / 100) / 1e3, c.n);
}

int main(void)
{
	static const uint32_t sizes[] = {10, 1000, PATH_PATTERNS_MAX};

	skel = path_bpf__open_and_load();
	bufs = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*bufs));
	globs = calloc(PATH_PATTERNS_MAX, sizeof(*globs));
	if (!skel || !bufs || !globs)
		die("open");
	lines = mmap(
		NULL, HALF_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(skel->maps.path_lines), 0);
	if (lines == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < PST_ARRAY_SIZE(sizes); i++) {
		compile(sizes[i]);
		measure(sizes[i], true);
		measure(sizes[i], false);
	}
	worst();
	path_bpf__destroy(skel);
	free(bufs);
	free(globs);
	return 0;
}
