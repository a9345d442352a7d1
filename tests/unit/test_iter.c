// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/base_test.h"
#include "proto/base/cleanup.h"
#include "proto/base/iter.h"

#include <sys/wait.h>

static char dir[32], path[64];

static int setup(void **state)
{
	(void)state;
	tmpdir_make(dir);
	snprintf(path, sizeof(path), "%s/tasks", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tmpdir_remove(dir);
	return 0;
}

static void write_file(const void *bytes, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

struct sum {
	unsigned n, stop_at;
	uint64_t last;
};

static int on_fixed(void *arg, const void *element, size_t len)
{
	struct sum *s = arg;
	uint64_t word[3];

	assert_int_equal(len, 24);
	assert_int_equal((uintptr_t)element % 8, 0);
	memcpy(word, element, 24);
	assert_int_equal(word[0], s->n);
	assert_int_equal(word[2], s->n * 3);
	s->n++;
	return s->n == s->stop_at ? -ECANCELED : 0;
}

static void fixed_elements(void **state)
{
	enum { N = 10000 };
	PST_FREE uint64_t *words = calloc(N, 24);
	struct sum s = {0};

	(void)state;
	for (uint64_t i = 0; i < N; i++) {
		words[3 * i] = i;
		words[3 * i + 2] = i * 3;
	}
	write_file(words, N * 24);
	unsigned fds = open_fds();
	assert_int_equal(pst_iter_fixed(path, 24, on_fixed, &s), N);
	assert_int_equal(s.n, N);
	s = (struct sum){.stop_at = 5000};
	assert_int_equal(pst_iter_fixed(path, 24, on_fixed, &s), -ECANCELED);
	assert_int_equal(s.n, 5000);
	write_file(words, 24 * 3 + 23); /* cut */
	s = (struct sum){0};
	assert_int_equal(pst_iter_fixed(path, 24, on_fixed, &s), -EBADMSG);
	assert_int_equal(s.n, 3);
	write_file("", 0);
	assert_int_equal(pst_iter_fixed(path, 24, on_fixed, &s), 0);
	assert_int_equal(open_fds(), fds);
}

static int on_sized(void *arg, const void *element, size_t len)
{
	struct sum *s = arg;
	const unsigned char *b = element;
	uint32_t size;

	memcpy(&size, element, 4);
	assert_int_equal(size, len);
	assert_int_equal((uintptr_t)element % 8, 0);
	for (size_t i = 4; i < len; i++)
		assert_int_equal(b[i], (unsigned char)s->n);
	s->n++;
	return 0;
}

static size_t make_sized(unsigned char *buf, unsigned n)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t size = 16 + i * 1000 % 12280 / 8 * 8;

		memset(buf + len, (int)i, size);
		memcpy(buf + len, &size, 4);
		len += size;
	}
	return len;
}

static void sized_elements(void **state)
{
	PST_FREE unsigned char *buf = malloc(200 * 12288);
	struct sum s = {0};

	(void)state;
	size_t len = make_sized(buf, 200);
	write_file(buf, len);
	assert_int_equal(pst_iter_sized(path, 16, on_sized, &s), 200);
	assert_int_equal(s.n, 200);
}

/* A pipe gives what comes in pieces of any length. */
static void elements_in_pieces(void **state)
{
	PST_FREE unsigned char *buf = malloc(60 * 12288);
	struct sum s = {0};

	(void)state;
	size_t len = make_sized(buf, 60);
	assert_int_equal(mkfifo(path, 0600), 0);
	pid_t pid = fork();
	if (!pid) {
		int fd = open(path, O_WRONLY);
		size_t piece = 1;
		for (size_t at = 0; at < len; at += piece) {
			piece = PST_MIN(piece * 7 % 1999 + 1, len - at);
			if (write(fd, buf + at, piece) != (ssize_t)piece)
				_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(pst_iter_sized(path, 16, on_sized, &s), 60);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void broken_sizes(void **state)
{
	static const uint32_t sizes[] = {0, 8, 15, 17, 12296, 0xffffffff, 0x80000000};
	unsigned char buf[64] = {0};

	(void)state;
	for (unsigned i = 0; i < PST_ARRAY_SIZE(sizes); i++) {
		struct sum s = {0};
		uint32_t good = 16;

		memset(buf, 0, sizeof(buf));
		memcpy(buf, &good, 4);
		memcpy(buf + 16, &sizes[i], 4);
		write_file(buf, sizeof(buf));
		assert_int_equal(pst_iter_sized(path, 16, on_sized, &s), -EBADMSG);
		assert_int_equal(s.n, 1);
	}
	uint32_t beyond = 56; /* more than follows */
	memcpy(buf + 16, &beyond, 4);
	write_file(buf, sizeof(buf));
	struct sum s = {0};
	assert_int_equal(pst_iter_sized(path, 16, on_sized, &s), -EBADMSG);
	write_file(buf, 18); /* ends within a size */
	s = (struct sum){0};
	assert_int_equal(pst_iter_sized(path, 16, on_sized, &s), -EBADMSG);
}

static void cannot_read(void **state)
{
	struct sum s = {0};

	(void)state;
	assert_int_equal(pst_iter_fixed("/nonexistent", 8, on_fixed, &s), -ENOENT);
	assert_int_equal(pst_iter_fixed(dir, 8, on_fixed, &s), -EISDIR);
	assert_int_equal(pst_iter_fixed(path, 0, on_fixed, &s), -EINVAL);
	assert_int_equal(pst_iter_fixed(path, 12289, on_fixed, &s), -EINVAL);
	assert_int_equal(pst_iter_sized(path, 12289, on_fixed, &s), -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fixed_elements),
		TEST(sized_elements),
		TEST(elements_in_pieces),
		TEST(broken_sizes),
		TEST(cannot_read),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("iter", tests, NULL, NULL);
}
