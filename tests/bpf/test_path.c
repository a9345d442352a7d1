// SPDX-License-Identifier: Apache-2.0
/* The classes of paths in a program of the kernel: loaded, and the same as in user space. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "proto/base/cleanup.h"
#include "tests/bpf/path.skel.h"
#include "tests/unit/policyd/path_patterns.h"

#define HALF_BYTES ((size_t)PST_PATHS_LINES * sizeof(union pst_line))

static struct path_bpf *skel;
static union pst_line *halves[2];
static struct pst_paths_buf *bufs; /* one a CPU */

static int load(void **state)
{
	void *map;

	(void)state;
	skel = path_bpf__open_and_load();
	bufs = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*bufs));
	if (!skel || !bufs)
		return -1;
	map = mmap(NULL, 2 * HALF_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		bpf_map__fd(skel->maps.path_lines), 0);
	if (map == MAP_FAILED)
		return -1;
	halves[0] = map;
	halves[1] = halves[0] + PST_PATHS_LINES;
	return 0;
}

static int unload(void **state)
{
	(void)state;
	munmap(halves[0], 2 * HALF_BYTES);
	free(bufs);
	path_bpf__destroy(skel);
	return 0;
}

/* The program finds the path on whatever CPU it runs, with rubbish around it. */
static void put_path(uint32_t start, const uint8_t *path, size_t len)
{
	const uint32_t zero = 0;

	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++) {
		memset(bufs[cpu].bytes, (int)path_draw(256), sizeof(bufs[cpu].bytes));
		memcpy(bufs[cpu].bytes + start, path, len);
	}
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.path_buf), &zero, bufs, BPF_ANY), 0);
	skel->bss->start = start;
	skel->bss->len = (uint32_t)len;
}

static void run(uint32_t half)
{
	const uint8_t packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	skel->bss->half = half;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.test_path), &opts), 0);
	assert_int_equal(opts.retval, 2);
}

static void must_be_same(uint32_t half, const uint8_t *path, size_t len)
{
	uint32_t start =
		path_draw(2)
			? PST_PATHS_MARGIN
			: PST_PATHS_MARGIN + path_draw(PST_PATHS_ROOM - 2 * PST_PATHS_MARGIN - (uint32_t)len);
	uint32_t classes[PST_PATHS_AUTOMATA];

	put_path(start, path, len);
	run(half);
	path_lookup(halves[half], PST_PATHS_LINES, path, len, classes);
	if (memcmp(classes, skel->bss->classes, sizeof(classes)) != 0)
		fail_msg("another class in the kernel: %.*s", (int)len, (const char *)path);
}

static void compile(const struct path_set *set, uint32_t half, struct path_compiled *ret_compiled)
{
	uint32_t refused;

	assert_int_equal(path_compile(set, halves[half], PST_PATHS_LINES, ret_compiled, &refused), 0);
}

static void same_as_in_user_space(void **state)
{
	uint8_t path[PST_PATH_MAX];
	unsigned found = 0;

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		struct path_set set = {0};
		struct path_compiled c;

		for (uint32_t i = 1 + path_draw(20); i; i--)
			path_add_random(&set, round % 2 ? PATH_GLOB : (enum path_kind)path_draw(PATH_KINDS));
		compile(&set, round / 2 % 2, &c);
		for (unsigned i = 0; i < 150; i++) {
			must_be_same(round / 2 % 2, path, path_sample(&set, &path_state, path));
			for (uint32_t a = 0; a < c.n; a++)
				found += path_class(&c, a, skel->bss->classes[a]).n > 0;
		}
		path_compiled_done(&c);
		path_set_done(&set);
	}
	assert_true(found > 1000);
}

/* The longest ones, byte for byte: as many steps as there are at most. */
static void longest_paths(void **state)
{
	static const char *const globs[] = {"/**/*x?", "/**/y*", "/**/*b[!x]/**", "/*/*/**/z"};
	uint8_t path[PST_PATH_MAX];
	struct path_set set = {0};
	struct path_error error;
	struct path_compiled c;
	uint32_t pattern;

	(void)state;
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 3 ? (uint8_t)("xyb"[path_draw(3)]) : '/';
	for (size_t i = 0; i < PST_ARRAY_SIZE(globs); i++)
		assert_int_equal(
			path_set_add(&set, PATH_GLOB, globs[i], strlen(globs[i]), &pattern, &error), 0);
	for (unsigned i = 0; i < 60; i++) { /* for several automata */
		char text[16];

		assert_int_equal(
			path_set_add(&set, PATH_GLOB, text,
				(size_t)snprintf(text, sizeof(text), "/**/x%u/**", i), &pattern, &error),
			0);
	}
	path[sizeof(path) - 1] = 'z';
	path[sizeof(path) - 2] = '/';
	assert_int_equal(path_set_add(&set, PATH_EXACT, path, sizeof(path), &pattern, &error), 0);
	compile(&set, 0, &c);
	assert_true(c.n > 8);
	must_be_same(0, path, sizeof(path));
	assert_true(path_class(&c, 0, skel->bss->classes[0]).n == 1);
	path[sizeof(path) - 1] = 'y';
	must_be_same(0, path, sizeof(path));
	must_be_same(0, path, 0);
	must_be_same(0, path, 1);
	path_compiled_done(&c);
	path_set_done(&set);
}

/* What is before and behind a path does not count, also where it would go on matching. */
static void parts_of_the_buffer(void **state)
{
	static const char whole[] = "/usr/lib/x86_64-linux-gnu/security/pam_unix.so";
	const uint8_t *bytes = (const uint8_t *)whole;
	uint32_t len = sizeof(whole) - 1, classes[PST_PATHS_AUTOMATA], pattern;
	struct path_set set = {0};
	struct path_error error;
	struct path_compiled c;

	(void)state;
	for (int kind = 0; kind < PATH_KINDS; kind++)
		assert_int_equal(path_set_add(&set, (enum path_kind)kind, whole, len, &pattern, &error), 0);
	assert_int_equal(path_set_add(&set, PATH_SUFFIX, whole + 5, len - 5, &pattern, &error), 0);
	assert_int_equal(path_set_add(&set, PATH_GLOB, "/usr/*/x*/**", 12, &pattern, &error), 0);
	compile(&set, 0, &c);
	for (uint32_t from = 0; from < len; from++)
		for (uint32_t to = from; to <= len; to += from && to < len ? len - to : 1) {
			put_path(PST_PATHS_MARGIN, bytes, len);
			skel->bss->start = PST_PATHS_MARGIN + from;
			skel->bss->len = to - from;
			run(0);
			path_lookup(halves[0], PST_PATHS_LINES, bytes + from, to - from, classes);
			assert_memory_equal(classes, skel->bss->classes, sizeof(classes));
		}
	path_compiled_done(&c);
	path_set_done(&set);
}

static void scribbled_tables(void **state)
{
	uint8_t path[PST_PATH_MAX], *bytes = (uint8_t *)halves[1];
	struct path_set set = {0};
	struct path_compiled c;

	(void)state;
	for (int i = 0; i < 50; i++)
		path_add_random(&set, (enum path_kind)path_draw(PATH_KINDS));
	compile(&set, 1, &c);
	for (unsigned round = 0; round < 500; round++) {
		for (int k = 0; k < 20; k++)
			bytes[path_draw(c.lines * sizeof(union pst_line))] = (uint8_t)path_draw(256);
		/* numbers beyond what there is: nothing is promised of the classes */
		put_path(PST_PATHS_MARGIN, path, path_sample(&set, &path_state, path));
		skel->bss->start = path_draw(4) ? PST_PATHS_MARGIN : path_draw(1u << 31);
		skel->bss->len = path_draw(4) ? skel->bss->len : path_draw(1u << 31);
		run(path_draw(8) ? 1 : path_draw(1u << 31));
	}
	/* as long as its numbers are good, rubbish is the same rubbish in the kernel */
	for (unsigned round = 0; round < 500; round++) {
		for (size_t i = 0; i < 4096 * sizeof(union pst_line); i += 1 + path_draw(64))
			bytes[i] = (uint8_t)path_draw(256);
		put_path(PST_PATHS_MARGIN, path, path_sample(&set, &path_state, path));
		run(1);
	}
	path_compiled_done(&c);
	path_set_done(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_in_user_space),
		cmocka_unit_test(longest_paths),
		cmocka_unit_test(parts_of_the_buffer),
		cmocka_unit_test(scribbled_tables),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
