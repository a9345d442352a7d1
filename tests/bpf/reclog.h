/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of process records: drains one ring into memory and finds records in it. */
#ifndef TESTS_BPF_RECLOG_H
#define TESTS_BPF_RECLOG_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "proto/abi/maps.h"
#include "proto/abi/records.h"

#define skip_because(...)                                                                                    \
	do {                                                                                                 \
		printf("# skipped: " __VA_ARGS__);                                                           \
		printf("\n");                                                                                \
		fflush(stdout);                                                                              \
		skip();                                                                                      \
	} while (0)

struct reclog {
	struct ring_buffer *rb;
	unsigned char *bytes;
	size_t len, cap;
	uint64_t records;
};

/* Every record is whole: its size is what the ring says, aligned, and its head is filled. */
static int reclog_add(void *ctx, void *data, size_t size)
{
	struct reclog *log = ctx;
	struct pst_rec h;

	assert_true(size >= sizeof(h) && size <= PST_REC_MAX);
	memcpy(&h, data, sizeof(h));
	assert_int_equal(h.size, size);
	assert_int_equal(size % 8, 0);
	assert_true(h.ts_ns != 0);
	if (log->len + size > log->cap) {
		log->cap = (log->cap + size) * 2;
		log->bytes = realloc(log->bytes, log->cap);
		assert_non_null(log->bytes);
	}
	memcpy(log->bytes + log->len, data, size);
	log->len += size;
	log->records++;
	return 0;
}

static inline void reclog_open(struct reclog *log, int ring_fd)
{
	memset(log, 0, sizeof(*log));
	log->rb = ring_buffer__new(ring_fd, reclog_add, log, NULL);
	assert_non_null(log->rb);
}

static inline void reclog_close(struct reclog *log)
{
	ring_buffer__free(log->rb);
	free(log->bytes);
	memset(log, 0, sizeof(*log));
}

static inline void reclog_clear(struct reclog *log)
{
	assert_true(ring_buffer__consume(log->rb) >= 0);
	log->len = 0;
	log->records = 0;
}

/* struct pst_task lies behind the head in every record of the process class. */
static inline const struct pst_task *rec_task(const struct pst_rec *h)
{
	return (const void *)(h + 1);
}

/* The n-th record (from 0) of that kind by that process, or NULL. Of a fork: whose child it is. */
static inline const void *reclog_nth(struct reclog *log, int kind, unsigned int pid, int n)
{
	ring_buffer__consume(log->rb);
	for (size_t off = 0; off < log->len;) {
		const struct pst_rec *h = (const void *)(log->bytes + off);
		unsigned int who = rec_task(h)->pid;

		if (h->kind == PST_REC_FORK)
			who = ((const struct pst_rec_fork *)h)->child_pid;
		if (h->kind == kind && who == pid && n-- == 0)
			return h;
		off += h->size;
	}
	return NULL;
}

static inline int reclog_count(struct reclog *log, int kind, unsigned int pid)
{
	int n = 0;

	while (reclog_nth(log, kind, pid, n))
		n++;
	return n;
}

/* Waits up to two seconds for it; fails the test when it does not come. */
static inline const void *reclog_want(struct reclog *log, int kind, unsigned int pid)
{
	const struct timespec tick = {.tv_nsec = 5000000};
	const void *r;

	for (int i = 0; i < 400; i++) {
		r = reclog_nth(log, kind, pid, 0);
		if (r)
			return r;
		nanosleep(&tick, NULL);
	}
	fail_msg("no record of kind %d for pid %u", kind, pid);
	return NULL;
}

/* A string field of a tail as a NUL-terminated copy in a static buffer. */
static inline const char *tail_str(const void *tail, size_t off, size_t len)
{
	static char buf[4][PST_PATH_MAX + 1];
	static unsigned int turn;
	char *s = buf[turn++ % 4];

	assert_true(len <= PST_PATH_MAX);
	memcpy(s, (const char *)tail + off, len);
	s[len] = '\0';
	return s;
}

static inline const char *exec_filename(const struct pst_rec_exec *r)
{
	return tail_str(r + 1, 0, r->filename_len);
}

static inline const char *exec_path(const struct pst_rec_exec *r)
{
	return tail_str(r + 1, r->filename_len, r->path_len);
}

static inline const char *exec_cwd(const struct pst_rec_exec *r)
{
	return tail_str(r + 1, r->filename_len + r->path_len, r->cwd_len);
}

static inline const char *exec_argv(const struct pst_rec_exec *r)
{
	return (const char *)(r + 1) + r->filename_len + r->path_len + r->cwd_len;
}

/* Sum of one counter of a class over all CPUs; offset is that of the counter in struct pst_class_stat. */
static inline uint64_t stat_sum(int map_fd, unsigned int class, size_t offset)
{
	uint64_t sum = 0, v;
	struct pst_class_stat s;

	for (uint32_t i = class * PST_CPUS_MAX; i < (class + 1) * PST_CPUS_MAX; i++) {
		assert_int_equal(bpf_map_lookup_elem(map_fd, &i, &s), 0);
		memcpy(&v, (const char *)&s + offset, sizeof(v));
		sum += v;
	}
	return sum;
}

#endif
