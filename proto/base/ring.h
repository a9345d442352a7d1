/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader of a BPF ring buffer from its descriptor alone: no call of bpf(2). The consumer page is mapped
 * read-write, the data read-only and, to keep resident memory at the ring's size, once and not twice: a
 * record that wraps is put together in a buffer. Layout: kernel/bpf/ringbuf.c (consumer page, producer page,
 * data; 8-byte head {len with BUSY and DISCARD bits, pg_off}).
 */
#ifndef PST_BASE_RING_H
#define PST_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pst_ring;
struct pst_ring_ctl;

/* @bytes is valid until the callback returns and 8-byte aligned. In the callback pst_ring_position() is
 * already behind this record. Return false to stop draining after it. */
typedef bool (*pst_ring_fn)(void *arg, const void *bytes, size_t len);

/* @fd is not taken; @size is the ring's data size (power of two); @ctl its line in ring_ctl or NULL. 0 or
 * -errno. */
int pst_ring_open(int fd, size_t size, struct pst_ring_ctl *ctl, struct pst_ring **ret_ring);
void pst_ring_free(struct pst_ring *ring);
/* Producer position now: a bound for pst_ring_drain. */
uint64_t pst_ring_head(const struct pst_ring *ring);
/*
 * Hands records to @fn from the read position until position @until (or UINT64_MAX: the head), @max records,
 * a record that is still being written, or @fn says stop. Moves the read position only; space goes back to
 * the kernel with pst_ring_release, once what was read is safe (the collector: committed). Returns the number
 * of records handed over.
 */
unsigned pst_ring_drain(struct pst_ring *ring, uint64_t until, unsigned max, pst_ring_fn fn, void *arg);
uint64_t pst_ring_position(
	const struct pst_ring *ring); /* read position: after the last record handed over */
void pst_ring_release(struct pst_ring *ring,
	uint64_t position); /* give back all before @position; never beyond the read position */
/* Go on from @position instead of the consumer position, if it lies between that and the head (after a
 * restart: what was committed but not yet released). False: it does not, nothing changed. */
bool pst_ring_seek(struct pst_ring *ring, uint64_t position);
uint64_t pst_ring_backlog(const struct pst_ring *ring); /* bytes not consumed */
/* NAPI-like idling. sleep(): clear `awake`, look again; returns true if it may really sleep (then wait for
 * the fd by epoll), false if records came meanwhile (awake stays set). wake(): mark awake while draining on a
 * tick. */
bool pst_ring_sleep(struct pst_ring *ring);
void pst_ring_wake(struct pst_ring *ring);

#endif
