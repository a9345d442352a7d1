// SPDX-License-Identifier: Apache-2.0
/*
 * A publisher's retention file, written over anywhere: opened, walked, settled, read and written again. What
 * it gives are records of its own bounds, and the walk ends.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/wire/bus_ret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS  200
#define MESSAGE  2000
#define FILE_LEN (HEAD_BYTES + RET_MIN)

static char dir[] = "/dev/shm/pst-fuzz-XXXXXX", path[64];
static uint8_t image[FILE_LEN];
static uint64_t at[RECORDS]; /* offsets of records in the file */
static int fd;

static void tidy(void)
{
	unlink(path);
	rmdir(dir);
}

/* A ring that has gone round more than once, of two topics. */
static void make_image(void)
{
	static uint8_t message[MESSAGE];
	struct bus_ret *ring;
	struct bus_ret_rec rec;
	bool fresh;
	unsigned n = 0;

	pst_log_init("fuzz", PST_LOG_TEXT, PST_LOG_ERROR);
	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%s/x.ret", dir);
	atexit(tidy);
	if (bus_ret_open(path, RET_MIN, &ring, &fresh) < 0)
		abort();
	bus_ret_reset(ring, 77, 0, NULL);
	for (unsigned i = 0; i < RECORDS; i++)
		if (bus_ret_append(ring, i % 2, i / 2 * 10, 10, message, MESSAGE - 7 * (i % 50)) < 0)
			abort();
	for (int t = 0; t < 2; t++)
		for (uint64_t pos = bus_ret_seek(ring, t, 0);
			n < RECORDS && bus_ret_next(ring, t, &pos, &rec);)
			at[n++] = HEAD_BYTES + rec.pos % ring->size;
	if (!n)
		abort();
	for (unsigned i = n; i < RECORDS; i++)
		at[i] = at[i % n];
	bus_ret_close(ring);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, image, FILE_LEN, 0) != FILE_LEN)
		abort();
}

struct input {
	const uint8_t *p, *end;
};
static unsigned take(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

/* Some bytes into the control page, a record's head, or anywhere. */
static void damage(struct input *in)
{
	unsigned what = take(in), n = 1 + take(in) % 16;
	uint64_t off = take(in);

	if (what % 3 == 0)
		off %= sizeof(struct ret_head);
	else if (what % 3 == 1)
		off = at[take(in) % RECORDS] + off % REC_SIZE;
	else
		off = (off << 16 | take(in) << 8 | take(in)) % FILE_LEN;
	n = (unsigned)PST_MIN(n, PST_MIN(FILE_LEN - off, (uint64_t)(in->end - in->p)));
	if (n && pwrite(fd, in->p, n, (off_t)off) != n)
		abort();
	in->p += n;
}

static void use(struct bus_ret *ring)
{
	static uint8_t message[PST_MESSAGE_MAX];
	struct bus_ret_rec rec;
	unsigned n = 0;

	for (int t = 0; t < PST_TOPICS; t++)
		for (uint64_t pos = bus_ret_seek(ring, t, 30); bus_ret_next(ring, t, &pos, &rec);) {
			if (rec.len > PST_MESSAGE_MAX || rec.topic != t || ++n > FILE_LEN / REC_SIZE)
				abort();
			bus_ret_read(ring, &rec, message);
		}
	if (bus_ret_bytes(ring) > ring->size)
		abort();
	memset(message, 0, MESSAGE);
	for (unsigned i = 0; i < 3; i++)
		bus_ret_append(ring, 0, 5000 + i, 1, message, MESSAGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	uint64_t next[PST_TOPICS];
	struct bus_ret *ring = NULL;
	bool fresh;

	if (!*path)
		make_image();
	if (size > 512)
		return 0;
	if (ftruncate(fd, FILE_LEN) < 0 || pwrite(fd, image, FILE_LEN, 0) != FILE_LEN)
		abort();
	for (int i = 0; i < PST_TOPICS; i++)
		next[i] = take(&in) * 8;
	bool settle = take(&in) % 2;
	while (in.p < in.end)
		damage(&in);
	if (bus_ret_open(path, RET_MIN, &ring, &fresh) < 0)
		return 0;
	if (fresh)
		bus_ret_reset(ring, 78, 0, NULL);
	else if (settle && bus_ret_settle(ring, next) < 0)
		bus_ret_reset(ring, 78, 0, NULL);
	use(ring);
	bus_ret_close(ring);
	return 0;
}
