// SPDX-License-Identifier: Apache-2.0
/*
 * What is read here was written by the kernel, but the consumer position may have been left by a former self
 * that was taken over: every length is checked before use, and nonsense leads to the producer position,
 * counted.
 */
#include "proto/base/ring.h"
#include "proto/abi/records.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/stat.h"

#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>

#define HEAD_BYTES 8 /* struct bpf_ringbuf_hdr: u32 len, u32 pg_off */
#define LEN_MASK   (~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT))

struct pst_ring {
	uint64_t *consumer_pos;       /* page of its own, read-write */
	const uint64_t *producer_pos; /* page before the data, read-only */
	const unsigned char *data;
	size_t size, page;
	uint64_t mask;
	uint64_t read;     /* after the last record handed over */
	uint64_t released; /* what the kernel has been told; only we write it */
	struct pst_ring_ctl *ctl;
	bool corrupt_said;
	struct pst_stat *corrupt;
	uint64_t wrapped[PST_REC_MAX / 8]; /* a record that wraps, put together */
};

static uint64_t load_head(const struct pst_ring *r)
{
	return __atomic_load_n(r->producer_pos, __ATOMIC_ACQUIRE);
}

static void store_released(struct pst_ring *r, uint64_t position)
{
	r->released = position;
	/* Everything that was read from the freed space comes before this store. */
	__atomic_store_n(r->consumer_pos, position, __ATOMIC_RELEASE);
}

/* Can @position be one of this ring's, with the head where it is? */
static bool is_plausible(const struct pst_ring *r, uint64_t position, uint64_t head)
{
	return position % 8 == 0 && position <= head && head - position <= r->size;
}

/* There is no way to find the next record: go on with what comes from now on. */
static void resync(struct pst_ring *r, const char *what, uint64_t value)
{
	uint64_t head = load_head(r);

	r->corrupt->value++;
	if (!r->corrupt_said)
		pst_error("ring buffer is corrupt, skipping what it holds: %s value=%llu position=%llu "
			  "head=%llu",
			what, (unsigned long long)value, (unsigned long long)r->read,
			(unsigned long long)head);
	r->corrupt_said = true;
	r->read = head;
	store_released(r, head);
}

int pst_ring_open(int fd, size_t size, struct pst_ring_ctl *ctl, struct pst_ring **ret_ring)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (size < page || size > (1ul << 31) || (size & (size - 1)))
		return -EINVAL;
	PST_FREE struct pst_ring *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	void *consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (consumer == MAP_FAILED)
		return -errno;
	/* Once, not twice as libbpf does: the second mapping of the data would count as resident again. */
	void *producer = mmap(NULL, page + size, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (producer == MAP_FAILED) {
		int e = -errno;

		munmap(consumer, page);
		return e;
	}
	r->consumer_pos = consumer;
	r->producer_pos = producer;
	r->data = (const unsigned char *)producer + page;
	r->size = size;
	r->page = page;
	r->mask = size - 1;
	r->ctl = ctl;
	r->corrupt = pst_counter(
		"ring_corrupt", "Times that a ring buffer's contents made no sense and were skipped.");
	r->read = r->released = __atomic_load_n(r->consumer_pos, __ATOMIC_ACQUIRE);
	if (!is_plausible(r, r->read, load_head(r)))
		resync(r, "consumer position", r->read);
	*ret_ring = PST_TAKE_PTR(r);
	return 0;
}

void pst_ring_free(struct pst_ring *ring)
{
	if (!ring)
		return;
	munmap(ring->consumer_pos, ring->page);
	munmap((void *)ring->producer_pos, ring->page + ring->size);
	free(ring);
}

uint64_t pst_ring_head(const struct pst_ring *ring)
{
	return load_head(ring);
}

uint64_t pst_ring_position(const struct pst_ring *ring)
{
	return ring->read;
}

uint64_t pst_ring_backlog(const struct pst_ring *ring)
{
	return load_head(ring) - ring->read;
}

/* Address of @len bytes at @position; those that wrap are copied. */
static const void *bytes_at(struct pst_ring *r, uint64_t position, uint32_t len)
{
	size_t at = position & r->mask, until_end = r->size - at;

	if (len <= until_end)
		return r->data + at;
	memcpy(r->wrapped, r->data + at, until_end);
	memcpy((char *)r->wrapped + until_end, r->data, len - until_end);
	return r->wrapped;
}

/* NULL: what the length says cannot be. */
static const char *check_record(uint32_t len, uint64_t left)
{
	if (!len)
		return "empty record";
	if (len > PST_REC_MAX)
		return "record too long";
	if (HEAD_BYTES + (((uint64_t)len + 7) & ~7ull) > left)
		return "record beyond the head";
	return NULL;
}

unsigned pst_ring_drain(struct pst_ring *ring, uint64_t until, unsigned max, pst_ring_fn fn, void *arg)
{
	uint64_t head = load_head(ring);
	unsigned n = 0;
	bool more = true;

	if (!is_plausible(ring, ring->released, head)) {
		resync(ring, "producer position", head);
		return 0;
	}
	while (more && n < max && ring->read < head && ring->read < until) {
		uint32_t word = __atomic_load_n(
			(const uint32_t *)(ring->data + (ring->read & ring->mask)), __ATOMIC_ACQUIRE);
		uint32_t len = word & LEN_MASK;
		const char *nonsense = check_record(len, head - ring->read);

		if (nonsense) {
			resync(ring, nonsense, len);
			break;
		}
		if (word & BPF_RINGBUF_BUSY_BIT)
			break;
		uint64_t at = ring->read + HEAD_BYTES;
		ring->read = at + ((len + 7) & ~7u);
		if (word & BPF_RINGBUF_DISCARD_BIT)
			continue;
		n++;
		more = fn(arg, bytes_at(ring, at, len), len);
	}
	return n;
}

void pst_ring_release(struct pst_ring *ring, uint64_t position)
{
	if (position > ring->released && position <= ring->read && position % 8 == 0)
		store_released(ring, position);
}

bool pst_ring_seek(struct pst_ring *ring, uint64_t position)
{
	if (position % 8 || position < ring->released || position > load_head(ring))
		return false;
	ring->read = position;
	return true;
}

bool pst_ring_sleep(struct pst_ring *ring)
{
	if (!ring->ctl)
		return load_head(ring) == ring->read;
	/*
	 * Either the program sees awake = 0 and wakes us, or we see the record that it had reserved by then:
	 * a store and a load of another word, each side in that order, hence the full barrier. A record that
	 * is still being written counts as one: its writer may have looked at `awake` before we cleared it.
	 */
	__atomic_store_n(&ring->ctl->awake, 0, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (load_head(ring) == ring->read)
		return true;
	pst_ring_wake(ring);
	return false;
}

void pst_ring_wake(struct pst_ring *ring)
{
	/* Mostly it is set already: then the line stays shared with the producers. */
	if (ring->ctl && !__atomic_load_n(&ring->ctl->awake, __ATOMIC_RELAXED))
		__atomic_store_n(&ring->ctl->awake, 1, __ATOMIC_RELAXED);
}
