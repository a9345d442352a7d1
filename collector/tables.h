/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow and UDP tables: what was reported of each slot, and what is to be reported now. The state lives in
 * a mapped file in the run folder, so that a restarted collector goes on with the right differences.
 */
#ifndef COLLECTOR_TABLES_H
#define COLLECTOR_TABLES_H

#include "collector/config.h"
#include "collector/convert.h"
#include "proto/base/shm.h"
#include "proto/wire/bus.h"

/* What was told of a slot. */
struct told {
	uint64_t gen;                /* generation that this is about; 0: none */
	uint64_t a_packets, a_bytes; /* flow; UDP: sent */
	uint64_t b_packets, b_bytes; /* UDP: received; of the guard's flows: gone before it began */
	uint64_t at_ns;              /* when */
	uint64_t ended;              /* the end was told */
	uint64_t waiting; /* passes since the slot was seen under a newer generation, see slot_taken() */
};

/* With the image before, so that what was told in a batch that was never committed can be taken back after
 * kill -9. */
struct told_slot {
	struct told now, before;
	uint64_t seq; /* of the event that told `now` */
};

struct told_file {
	uint64_t magic, identity, entries, epoch, pad[4];
	struct told_slot slot[];
};

struct table {
	struct pst_shm shm; /* slots, read-only; base NULL in a replay */
	struct told_file *told;
	size_t told_len;
};

/*
 * @path NULL: in memory. @identity names the kernel's table: another one starts afresh. @epoch and @next_seq
 * are the bus's for the table's topic: what was told by events from @next_seq on was not committed and is
 * taken back. 0 or -errno.
 */
int table_open(struct table *t, const char *path, uint64_t identity, size_t entries, uint64_t epoch,
	uint64_t next_seq);
void table_close(struct table *t);

struct tables {
	struct table flows, udp, drops; /* drops: flows of which the guard let packets not pass */
	uint64_t untold_drops;          /* packets of such flows that gave way before they were told */
	struct convert *convert;
	struct pst_bus *bus;
	const struct config *config;
	uint64_t now_ns;
	/* Called with each slot that gives an event, for a recording. May be NULL. */
	void (*on_read)(void *arg, const struct pst_rec *rec);
	void *arg;
};

/* One pass over a table: puts events for what changed. Return their number. */
unsigned tables_read_flows(struct tables *t);
unsigned tables_read_udp(struct tables *t);
unsigned tables_read_drops(struct tables *t);
/* A slot record from the ring or a file. 0 or -EBADMSG. */
int tables_record(struct tables *t, const struct pst_rec *rec);

#endif
