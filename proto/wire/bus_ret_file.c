// SPDX-License-Identifier: Apache-2.0
/* The retention file: making, checking, resizing it; and what of it counts after a restart. */
#include "proto/wire/bus_ret.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/own.h"

uint64_t bus_ret_epoch(const struct bus_ret *ring)
{
	return ring->map->epoch;
}

uint64_t bus_ret_prev(const struct bus_ret *ring, int topic, uint64_t *ret_epoch)
{
	*ret_epoch = ring->map->prev_epoch;
	return ring->map->prev_next[topic];
}

void bus_ret_reset(struct bus_ret *ring, uint64_t epoch, uint64_t prev_epoch, const uint64_t *prev_next)
{
	volatile struct ret_head *h = ring->map;

	h->magic = 0; /* killed from here on: the next start makes a new one */
	ret_in_order();
	ret_forget_all(ring);
	h->data_bytes = ring->size;
	h->boot = ring->boot;
	h->epoch = epoch;
	h->prev_epoch = prev_epoch;
	for (int i = 0; i < PST_TOPICS; i++)
		h->prev_next[i] = prev_next ? prev_next[i] : BUS_UNKNOWN;
	ret_in_order();
	h->magic = RET_MAGIC;
}

static int settle_one(struct bus_ret *ring, struct bus_ret_rec *rec, const uint64_t next[PST_TOPICS])
{
	struct iovec iov = {rec, sizeof(*rec)};
	uint64_t end = rec->first_seq + rec->count;

	if (rec->dead)
		return 0;
	if (end <= next[rec->topic]) {
		ret_index_add(&ring->topic[rec->topic], rec);
		return 0;
	}
	if (rec->first_seq < next[rec->topic])
		return -EBADMSG; /* a commit takes whole batches: this is another run's file */
	rec->dead = 1;
	return ret_write(ring, &iov, 1, rec->pos);
}

int bus_ret_settle(struct bus_ret *ring, const uint64_t next[PST_TOPICS])
{
	struct bus_ret_rec rec;

	for (uint64_t pos = ring->map->tail; pos < ring->map->head; pos = ret_after(ring, &rec)) {
		int r = ret_peek(ring, pos, &rec);

		r = r < 0 ? r : settle_one(ring, &rec, next);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool head_valid(const volatile struct ret_head *h, uint64_t file_size)
{
	return h->magic == RET_MAGIC && h->data_bytes == file_size - HEAD_BYTES && h->epoch &&
	       h->tail <= h->head && h->head - h->tail <= h->data_bytes;
}

static int map_file(struct bus_ret *ring, uint64_t bytes)
{
	/* The control page gets its memory now: a store into it can then not fail. */
	struct stat st;

	if (fstat(ring->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size < (off_t)(HEAD_BYTES + RET_MIN) || (uint64_t)st.st_size > HEAD_BYTES + RET_MAX ||
		(st.st_size & 4095)) {
		if (ftruncate(ring->fd, 0) < 0 || ftruncate(ring->fd, (off_t)(HEAD_BYTES + bytes)) < 0)
			return -errno;
		int r = -posix_fallocate(ring->fd, 0, HEAD_BYTES);
		if (r < 0)
			return r;
		st.st_size = (off_t)(HEAD_BYTES + bytes);
	}
	void *p = mmap(NULL, HEAD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	ring->map = p;
	ring->size = (uint64_t)st.st_size - HEAD_BYTES;
	return 0;
}

static void ret_closep(struct bus_ret **ring)
{
	bus_ret_close(*ring);
}

/* Every record is where it should be. */
static bool chain_valid(struct bus_ret *ring)
{
	struct bus_ret_rec rec;
	uint64_t pos = ring->map->tail;

	while (pos < ring->map->head) {
		if (ret_peek(ring, pos, &rec) < 0)
			return false;
		pos = ret_after(ring, &rec);
	}
	return pos == ring->map->head;
}

/* 0 if it cannot be told. */
static uint64_t boot_id(void)
{
	PST_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[9] = {0};

	return fd >= 0 && read(fd, text, 8) == 8 ? strtoull(text, NULL, 16) : 0;
}

static int open_ring(const char *path, uint64_t bytes, struct bus_ret **ret_ring)
{
	PST_CLEANUP(ret_closep) struct bus_ret *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring)
		return -ENOMEM;
	ring->fd = -1;
	r = path ? pst_own_open(path, 0600) : memfd_create("penstock-retention", MFD_CLOEXEC);
	if (r < 0)
		return path ? r : -errno;
	ring->fd = r;
	r = map_file(ring, bytes);
	if (r < 0)
		return r;
	ring->boot = boot_id();
	*ret_ring = PST_TAKE_PTR(ring);
	return 0;
}

static int copy_records(struct bus_ret *from, struct bus_ret *to)
{
	PST_FREE uint8_t *buf = malloc(PST_MESSAGE_MAX);
	struct bus_ret_rec rec;
	int r = buf ? 0 : -ENOMEM;

	for (uint64_t pos = from->map->tail; pos < from->map->head && !r; pos = ret_after(from, &rec)) {
		r = ret_peek(from, pos, &rec);
		if (r < 0 || rec.dead)
			continue;
		r = bus_ret_read(from, &rec, buf);
		r = r < 0 ? r : bus_ret_append(to, rec.topic, rec.first_seq, rec.count, buf, rec.len);
		if (r == -EMSGSIZE)
			r = 0; /* larger than the new ring holds: counted as not held when asked for */
	}
	return r;
}

/* The configuration wants another size: takes what fits over into a new file. */
static int resize(const char *path, uint64_t bytes, struct bus_ret **ring)
{
	PST_CLEANUP(ret_closep) struct bus_ret *to = NULL;
	PST_FREE char *temp = NULL;
	uint64_t prev_next[PST_TOPICS];

	if (asprintf(&temp, "%s.new", path) < 0) {
		temp = NULL;
		return -ENOMEM;
	}
	if (unlink(temp) < 0 && errno != ENOENT)
		return -errno;
	int r = open_ring(temp, bytes, &to);
	if (r < 0)
		return r;
	for (int i = 0; i < PST_TOPICS; i++)
		prev_next[i] = (*ring)->map->prev_next[i];
	bus_ret_reset(to, (*ring)->map->epoch, (*ring)->map->prev_epoch, prev_next);
	r = copy_records(*ring, to);
	if (r < 0)
		return r;
	if (rename(temp, path) < 0)
		return -errno;
	ret_index_clear(to); /* comes with bus_ret_settle */
	bus_ret_close(*ring);
	*ring = PST_TAKE_PTR(to);
	return 0;
}

int bus_ret_open(const char *path, uint64_t bytes, struct bus_ret **ret_ring, bool *ret_fresh)
{
	PST_CLEANUP(ret_closep) struct bus_ret *ring = NULL;

	bytes = (PST_MIN(PST_MAX(bytes, (uint64_t)RET_MIN), RET_MAX) + 4095) & ~4095ull;
	int r = open_ring(path, bytes, &ring);
	if (r < 0)
		return r;
	assert(ring && ring->map);
	bool fresh = !ring->map->magic;
	bool damaged = !fresh && (!head_valid(ring->map, ring->size + HEAD_BYTES) || !chain_valid(ring));
	if (!fresh && !damaged && ring->map->boot != ring->boot) {
		pst_info(
			"retention file is of an earlier boot, starting a new one file=%s", path ? path : "");
		fresh = true;
	}
	if (damaged)
		pst_warn("retention file is damaged, starting a new one file=%s", path ? path : "");
	if ((damaged || fresh) && ring->size != bytes) {
		if (ftruncate(ring->fd, 0) < 0)
			return -errno;
		bus_ret_close(PST_TAKE_PTR(ring));
		r = open_ring(path, bytes, &ring);
	} else if (ring->size != bytes) {
		r = resize(path, bytes, &ring);
	}
	if (r < 0)
		return r;
	*ret_fresh = damaged || fresh;
	*ret_ring = PST_TAKE_PTR(ring);
	return 0;
}

void bus_ret_close(struct bus_ret *ring)
{
	if (!ring)
		return;
	if (ring->map)
		munmap((void *)ring->map, HEAD_BYTES);
	if (ring->fd >= 0)
		close(ring->fd);
	for (int i = 0; i < PST_TOPICS; i++)
		free(ring->topic[i].index);
	free(ring);
}
