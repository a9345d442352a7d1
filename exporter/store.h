/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last events, as the bytes they came in, in one piece of memory that is used round and round. Bounded by
 * number and by bytes; the oldest go first. Each event gets the next number of this store, for ever.
 */
#ifndef EXPORTER_STORE_H
#define EXPORTER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

struct store_event {
	uint64_t seq;
	uint32_t kind;
	uint32_t len;
	const uint8_t *raw; /* valid until the next store_add */
};

/* 0 or -errno. */
int store_new(uint32_t max_events, size_t bytes, struct store **ret_store);
void store_free(struct store *store); /* NULL is fine */
/* Keeps a copy and returns its number. An event larger than the whole store leaves a number that store_get
 * does not know. */
uint64_t store_add(struct store *store, uint32_t kind, const void *raw, uint32_t len);
bool store_get(const struct store *store, uint64_t seq, struct store_event *ret_event);
uint64_t store_oldest(const struct store *store); /* == store_next when it is empty */
uint64_t store_next(const struct store *store);   /* number that the next event gets; the first is 1 */
uint64_t store_epoch(const struct store *store);  /* names this run's numbers; never 0 */
size_t store_bytes(const struct store *store);    /* of the events in it */

#endif
