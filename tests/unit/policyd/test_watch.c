// SPDX-License-Identifier: Apache-2.0
/* Changes of rule files are noticed, also those of a file that is replaced, again and again. */
#include "policyd/watch.h"
#include "tests/unit/base_test.h"

#include "proto/base/log.h"

static char dir[32], file[64], folder[64];
#define PATH_BYTES 128
static struct pst_loop *loop;
static struct watch *watch;
static unsigned calls;

static void on_change(void *arg)
{
	(void)arg;
	calls++;
}

static void write_to(const char *path)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs("rules: []\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* As editors and configuration management do it. */
static void replace(const char *path)
{
	char next[PATH_BYTES];

	snprintf(next, sizeof(next), "%s.next", path);
	write_to(next);
	assert_return_code(rename(next, path), errno);
}

static int setup(void **state)
{
	(void)state;
	pst_log_init("test", PST_LOG_TEXT, PST_LOG_ERROR);
	tmpdir_make(dir);
	snprintf(file, sizeof(file), "%s/rules.yaml", dir);
	snprintf(folder, sizeof(folder), "%s/rules.d", dir);
	write_to(file);
	calls = 0;
	return mkdir(folder, 0755) < 0 || pst_loop_new(&loop);
}

static int teardown(void **state)
{
	char path[PATH_BYTES];

	(void)state;
	watch_free(watch);
	watch = NULL;
	pst_loop_free(loop);
	snprintf(path, sizeof(path), "%s/x.yaml", folder);
	unlink(path);
	rmdir(folder);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/v%d/rules.yaml", dir, i);
		unlink(path);
		snprintf(path, sizeof(path), "%s/v%d", dir, i);
		rmdir(path);
	}
	tmpdir_remove(dir);
	return 0;
}

static void start(char **paths, size_t n)
{
	static struct pst_strs strs;

	strs = (struct pst_strs){.v = paths, .n = n};
	assert_int_equal(watch_open(loop, &strs, on_change, NULL, &watch), 0);
}

static bool noticed(void)
{
	uint64_t end = pst_now_mono_ns() + 10000000000ull;
	unsigned before = calls;

	while (calls == before && pst_now_mono_ns() < end)
		assert_true(pst_loop_turn(loop, 100) >= 0);
	return calls == before + 1;
}

static void a_file_that_is_replaced(void **state)
{
	char *paths[] = {file};

	(void)state;
	start(paths, 1);
	for (int i = 0; i < 3; i++) {
		replace(file);
		assert_true(noticed());
		write_to(file);
		assert_true(noticed());
	}
	assert_return_code(unlink(file), errno);
	assert_true(noticed());
	write_to(file);
	assert_true(noticed());
}

/* In /tmp or a home folder something happens all the time. */
static void other_files_beside_it(void **state)
{
	char *paths[] = {file, folder}, other[PATH_BYTES];

	(void)state;
	start(paths, 2);
	snprintf(other, sizeof(other), "%s/other.yaml", dir);
	for (int i = 0; i < 10; i++)
		replace(other);
	replace(file); /* the one that is looked for, after all of these */
	assert_true(noticed());
	assert_int_equal(calls, 1);
	replace(other);
	snprintf(other, sizeof(other), "%s/x.yaml", folder);
	replace(other);
	assert_true(noticed());
	assert_int_equal(calls, 2);
}

static void link_to(const char *target, const char *path)
{
	char next[PATH_BYTES];

	snprintf(next, sizeof(next), "%s.next", path);
	assert_return_code(symlink(target, next), errno);
	assert_return_code(rename(next, path), errno);
}

/* Kubernetes' ConfigMaps: the file is a link through a link to a folder, which alone is exchanged. */
static void a_link_that_is_exchanged(void **state)
{
	char *paths[] = {file}, data[PATH_BYTES], version[3][64], inner[256];
	struct pst_strs strs = {.v = paths, .n = 1};

	(void)state;
	snprintf(data, sizeof(data), "%s/data", dir);
	for (int i = 0; i < 3; i++) {
		snprintf(version[i], sizeof(version[i]), "%s/v%d", dir, i);
		assert_return_code(mkdir(version[i], 0755), errno);
		snprintf(inner, sizeof(inner), "%s/rules.yaml", version[i]);
		write_to(inner);
	}
	link_to("v0", data);
	link_to("data/rules.yaml", file);
	assert_int_equal(watch_open_files(loop, &strs, on_change, NULL, &watch), 0);
	for (int i = 1; i < 3; i++) {
		link_to(version[i], data); /* absolute, for once */
		assert_true(noticed());
	}
	write_to(inner); /* in the folder that was not the link's at first */
	assert_true(noticed());
}

/* Links that lead in a circle, and to nothing. */
static void links_that_lead_nowhere(void **state)
{
	char *paths[] = {file};
	struct pst_strs strs = {.v = paths, .n = 1};

	(void)state;
	link_to("rules.yaml", file);
	assert_int_equal(watch_open_files(loop, &strs, on_change, NULL, &watch), 0);
	link_to("nothing/here", file);
	assert_true(noticed());
	replace(file);
	assert_true(noticed());
}

static void folders(void **state)
{
	char *f;

	(void)state;
	assert_string_equal(f = watch_folder(file), dir);
	free(f);
	assert_string_equal(f = watch_folder(folder), folder);
	free(f);
	assert_string_equal(f = watch_folder("/nonexistent/x"), "/nonexistent/x");
	free(f);
	assert_return_code(chdir(dir), errno);
	assert_string_equal(f = watch_folder("rules.yaml"), ".");
	free(f);
	assert_return_code(chdir("/"), errno);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_that_is_replaced),
		TEST(other_files_beside_it),
		TEST(a_link_that_is_exchanged),
		TEST(links_that_lead_nowhere),
		TEST(folders),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
