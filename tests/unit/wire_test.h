/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests of proto/wire's codec share. */
#ifndef PST_TESTS_WIRE_TEST_H
#define PST_TESTS_WIRE_TEST_H

#include "tests/unit/base_test.h"
#include "proto/base/cleanup.h"
#include "tests/vectors/json_check.h"
#include "tests/vectors/vectors.h"

#define VECTORS "proto/wire/vectors" /* the tests run in the root of the repository */

struct bytes {
	uint8_t *p; /* exactly @len, so that the sanitizer sees a read behind the end */
	size_t len;
};

static inline void bytes_done(struct bytes *b)
{
	free(b->p);
}

/* Hex digits up to something that is neither one nor white space. */
static inline struct bytes from_hex(const char *text)
{
	struct bytes b = {.p = malloc(strlen(text) / 2 + 1)};
	unsigned byte;

	assert_non_null(b.p);
	for (;; text += 2) {
		text += strspn(text, " \n");
		if (strspn(text, "0123456789abcdef") < 2)
			break;
		assert_int_equal(sscanf(text, "%2x", &byte), 1);
		b.p[b.len++] = (uint8_t)byte;
	}
	uint8_t *exact = malloc(b.len ? b.len : 1);
	assert_non_null(exact);
	memcpy(exact, b.p, b.len);
	free(b.p);
	b.p = exact;
	return b;
}

static inline char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	assert_true(getdelim(&text, &size, EOF, f) > 0);
	fclose(f);
	return text;
}

/* Calls @fn for the message of each vector. */
static inline unsigned each_vector(void (*fn)(const char *name, const struct bytes *message))
{
	DIR *d = opendir(VECTORS);
	struct dirent *entry;
	unsigned n = 0;

	if (!d)
		fail_msg("%s: %s", VECTORS, strerror(errno));
	while ((entry = readdir(d))) {
		char path[512];
		size_t len = strlen(entry->d_name);

		if (len < 4 || strcmp(entry->d_name + len - 4, ".hex"))
			continue;
		snprintf(path, sizeof(path), VECTORS "/%.*s", (int)len, entry->d_name);
		char *text = read_file(path);
		struct bytes b = from_hex(text);
		entry->d_name[len - 4] = '\0';
		fn(entry->d_name, &b);
		bytes_done(&b);
		free(text);
		n++;
	}
	closedir(d);
	return n;
}

/* Repeatable. */
static inline uint64_t random_u64(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline void assert_buf(const struct pst_buf *buf, const char *hex)
{
	struct bytes want = from_hex(hex);

	assert_int_equal(buf->len, want.len);
	assert_memory_equal(buf->p, want.p, want.len);
	bytes_done(&want);
}

/* The buffer's text, until it is written again. */
static inline const char *buf_text(struct pst_buf *buf)
{
	assert_true(pst_buf_reserve(buf, 1));
	buf->p[buf->len] = '\0';
	return (const char *)buf->p;
}

#endif
