// SPDX-License-Identifier: Apache-2.0
/*
 * Retention: a ring of sealed batches in <run>/<stage>.ret. A page with the control words is mapped; the data
 * is written with pwrite(2), because a full tmpfs then is an error and not a SIGBUS, and because it is no
 * part of the process's memory.
 *
 * Crash safety: a record is written outside [tail, head) and becomes part of it by one store of `head`;
 * `tail` moves before what it gave up is overwritten. So whatever kill -9 leaves behind, [tail, head) holds
 * whole records.
 */
#include "proto/wire/bus_ret.h"

#include <assert.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"

static_assert(REC_SIZE == 32 && sizeof(struct ret_head) <= HEAD_BYTES, "layout of the retention file");

static uint64_t aligned(uint64_t n)
{
	return (n + 7) & ~7ull;
}

static off_t offset(const struct bus_ret *ring, uint64_t pos)
{
	return (off_t)(HEAD_BYTES + pos % ring->size);
}

int ret_write(struct bus_ret *ring, struct iovec *iov, int n, uint64_t pos)
{
	off_t at = offset(ring, pos);

	while (n) {
		ssize_t w = pwritev(ring->fd, iov, n, at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w ? -errno : -ENOSPC;
		at += w;
		for (; n && (size_t)w >= iov->iov_len; iov++, n--)
			w -= (ssize_t)iov->iov_len;
		if (n) {
			iov->iov_base = (char *)iov->iov_base + w;
			iov->iov_len -= (size_t)w;
		}
	}
	return 0;
}

static int read_all(int fd, void *buf, size_t len, off_t at)
{
	ssize_t n = pst_pread_all(fd, buf, len, at);

	return n < 0 ? (int)n : (size_t)n < len ? -EBADMSG : 0;
}

int ret_peek(const struct bus_ret *ring, uint64_t pos, struct bus_ret_rec *ret_rec)
{
	uint64_t room = ring->size - pos % ring->size, head = ring->map->head;
	struct bus_ret_rec rec = {.magic = REC_MAGIC, .pos = pos, .topic = FILLER, .dead = 1};

	if (room >= REC_SIZE) {
		int r = read_all(ring->fd, &rec, sizeof(rec), offset(ring, pos));

		if (r < 0)
			return r;
	} else {
		rec.len = (uint32_t)room;
	}
	uint64_t size = room >= REC_SIZE ? aligned(REC_SIZE + (uint64_t)rec.len) : room;
	if (rec.magic != REC_MAGIC || rec.pos != pos || size > room || size > head - pos)
		return -EBADMSG;
	if (rec.topic == FILLER)
		rec.dead = 1; /* whatever the file says: its topic is no index */
	else if (rec.topic >= PST_TOPICS || !rec.count || rec.count > PST_BATCH_EVENTS ||
		 rec.len > PST_MESSAGE_MAX || rec.first_seq > BUS_SEQ_MAX)
		return -EBADMSG;
	*ret_rec = rec;
	return 0;
}

uint64_t ret_after(const struct bus_ret *ring, const struct bus_ret_rec *rec)
{
	uint64_t room = ring->size - rec->pos % ring->size;

	return rec->pos + (room < REC_SIZE ? room : aligned(REC_SIZE + (uint64_t)rec->len));
}

void ret_forget_all(struct bus_ret *ring)
{
	ring->map->tail = ring->map->head;
	ret_index_clear(ring);
}

/* Gives up the oldest records until [tail, @end) fits in. */
static void make_room(struct bus_ret *ring, uint64_t end)
{
	uint64_t tail = ring->map->tail;
	struct bus_ret_rec rec;

	while (end - tail > ring->size) {
		if (tail == ring->map->head || ret_peek(ring, tail, &rec) < 0) {
			ret_forget_all(ring); /* someone wrote into our file: nothing in it can be trusted */
			tail = ring->map->tail;
			break;
		}
		if (!rec.dead)
			ret_index_drop(&ring->topic[rec.topic], &rec);
		tail = ret_after(ring, &rec);
	}
	if (tail == ring->map->tail)
		return;
	ring->map->tail = tail;
	for (int i = 0; i < PST_TOPICS; i++)
		ret_index_pop(&ring->topic[i], tail);
	ret_in_order();
}

int bus_ret_append(
	struct bus_ret *ring, int topic, uint64_t first_seq, uint32_t count, const void *message, size_t len)
{
	static const uint8_t zero[8];
	uint64_t pos = ring->map->head, need = aligned(REC_SIZE + len);
	uint64_t room = ring->size - pos % ring->size;
	struct bus_ret_rec rec = {.magic = REC_MAGIC};
	struct iovec iov[3];
	int r;

	if (need > ring->size / 2)
		return -EMSGSIZE;
	make_room(ring, pos + (room < need ? room : 0) + need);
	if (room < need) {
		if (room >= REC_SIZE) {
			rec = (struct bus_ret_rec){.magic = REC_MAGIC,
				.pos = pos,
				.len = (uint32_t)(room - REC_SIZE),
				.topic = FILLER,
				.dead = 1};
			iov[0] = (struct iovec){&rec, sizeof(rec)};
			r = ret_write(ring, iov, 1, pos);
			if (r < 0)
				return r;
		}
		pos += room;
	}
	rec = (struct bus_ret_rec){.magic = REC_MAGIC,
		.len = (uint32_t)len,
		.pos = pos,
		.first_seq = first_seq,
		.count = count,
		.topic = (uint8_t)topic};
	iov[0] = (struct iovec){&rec, sizeof(rec)};
	iov[1] = (struct iovec){(void *)message, len};
	iov[2] = (struct iovec){(void *)zero, need - REC_SIZE - len};
	r = ret_write(ring, iov, iov[2].iov_len ? 3 : 2, pos);
	if (r < 0)
		return r;
	ret_in_order();
	ring->map->head = pos + need;
	ret_in_order();
	ret_index_add(&ring->topic[topic], &rec);
	return 0;
}

uint64_t bus_ret_oldest(const struct bus_ret *ring, int topic, uint64_t next)
{
	return ring->topic[topic].records ? ring->topic[topic].oldest : next;
}

uint64_t bus_ret_events(const struct bus_ret *ring, int topic)
{
	return ring->topic[topic].events;
}

uint64_t bus_ret_bytes(const struct bus_ret *ring)
{
	return ring->map->head - ring->map->tail;
}

uint64_t bus_ret_seek(const struct bus_ret *ring, int topic, uint64_t seq)
{
	uint64_t pos = ret_index_seek(&ring->topic[topic], seq);

	return PST_MIN(PST_MAX(pos, ring->map->tail), ring->map->head);
}

bool bus_ret_next(struct bus_ret *ring, int topic, uint64_t *pos, struct bus_ret_rec *ret_rec)
{
	struct bus_ret_rec rec;

	*pos = PST_MAX(*pos, ring->map->tail);
	while (*pos < ring->map->head && ret_index_jump(&ring->topic[topic], pos)) {
		if (ret_peek(ring, *pos, &rec) < 0)
			return false;
		*pos = ret_after(ring, &rec);
		if (!rec.dead && rec.topic == topic) {
			*ret_rec = rec;
			return true;
		}
	}
	return false;
}

int bus_ret_read(struct bus_ret *ring, const struct bus_ret_rec *rec, void *buf)
{
	return read_all(ring->fd, buf, rec->len, offset(ring, rec->pos) + (off_t)REC_SIZE);
}
