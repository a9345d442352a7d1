/* SPDX-License-Identifier: Apache-2.0 */
/* The retention ring's insides, for the bus_ret*.c files. */
#ifndef PST_WIRE_BUS_RET_H
#define PST_WIRE_BUS_RET_H

#include "proto/wire/bus_internal.h"

#define RET_MAGIC  0x31544552545350ull /* "PSTRET1" */
#define REC_MAGIC  0x43455250u
#define REC_SIZE   sizeof(struct bus_ret_rec)
#define HEAD_BYTES 4096
#define FILLER     0xff
#define RET_MIN    (1u << 18)
#define RET_MAX    (1ull << 36)

struct ret_head {
	uint64_t magic, data_bytes;
	uint64_t epoch, prev_epoch;
	uint64_t prev_next[PST_TOPICS];
	uint64_t tail, head; /* positions, counted up for ever; offset = position % data_bytes */
	uint64_t boot; /* of the kernel: after another boot files that lay on a disk may be from different
			  moments */
};

struct ret_entry { /* all records of the topic from first_seq on are at pos or after it */
	uint64_t first_seq, pos;
};
struct ret_topic {
	struct ret_entry *index; /* a ring, too */
	uint32_t begin, n, size;
	uint64_t records, events, oldest;
};

struct bus_ret {
	int fd;
	uint64_t size;
	uint64_t boot;
	volatile struct ret_head *map;
	struct ret_topic topic[PST_TOPICS];
};

/* Nothing moves past this in the program; what is older in program order is in the page cache first, also
 * when the process is killed. */
static inline void ret_in_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* Index (bus_ret_index.c): in memory, sparse, so that a ring of many small batches needs little. */
#define RET_STRIDE (16u << 10) /* an entry of a topic stands for this much of the ring */
void ret_index_add(struct ret_topic *t, const struct bus_ret_rec *rec);
void ret_index_drop(struct ret_topic *t, const struct bus_ret_rec *rec);
void ret_index_pop(struct ret_topic *t, uint64_t tail);
void ret_index_clear(struct bus_ret *ring);
/* Moves @pos on to where the topic's next record at or after it can be; false: there is none. */
bool ret_index_jump(const struct ret_topic *t, uint64_t *pos);
uint64_t ret_index_seek(const struct ret_topic *t, uint64_t seq);

/* Records (bus_ret.c). */
int ret_write(struct bus_ret *ring, struct iovec *iov, int n, uint64_t pos);
/* What stands at @pos; a gap at the end of the ring that is too small for a record comes as filler. -EBADMSG.
 */
int ret_peek(const struct bus_ret *ring, uint64_t pos, struct bus_ret_rec *ret_rec);
uint64_t ret_after(const struct bus_ret *ring, const struct bus_ret_rec *rec);
void ret_forget_all(struct bus_ret *ring);

#endif
