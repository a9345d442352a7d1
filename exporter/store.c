// SPDX-License-Identifier: Apache-2.0
#include "exporter/store.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "proto/base/cleanup.h"

struct slot {
	uint32_t offset, len, kind;
};

struct store {
	uint8_t *arena;
	struct slot *slots; /* event seq is in slots[seq % max] */
	size_t size, head, used;
	uint64_t oldest, next, epoch;
	uint32_t max;
};

/* Pages are taken as the store fills. */
static void *map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int store_new(uint32_t max_events, size_t bytes, struct store **ret_store)
{
	PST_FREE struct store *store = calloc(1, sizeof(*store));

	if (!max_events || !bytes || bytes > UINT32_MAX)
		return -EINVAL;
	if (!store)
		return -ENOMEM;
	if (getrandom(&store->epoch, sizeof(store->epoch), 0) != sizeof(store->epoch))
		return -EIO;
	store->epoch |= 1;
	store->arena = map(bytes);
	store->slots = map(max_events * sizeof(*store->slots));
	if (!store->arena || !store->slots) {
		if (store->arena)
			munmap(store->arena, bytes);
		if (store->slots)
			munmap(store->slots, max_events * sizeof(*store->slots));
		return -ENOMEM;
	}
	store->size = bytes;
	store->max = max_events;
	store->oldest = store->next = 1;
	*ret_store = PST_TAKE_PTR(store);
	return 0;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	munmap(store->arena, store->size);
	munmap(store->slots, store->max * sizeof(*store->slots));
	free(store);
}

static struct slot *slot_of(const struct store *store, uint64_t seq)
{
	return &store->slots[seq % store->max];
}

static void drop_oldest(struct store *store)
{
	store->used -= slot_of(store, store->oldest)->len;
	store->oldest++;
}

/* Frees room for @len bytes in a row and returns where. In use is [tail, head), or [tail, end) and [0, head)
 * after a wrap. */
static size_t make_room(struct store *store, uint32_t len)
{
	while (store->used) {
		size_t tail = slot_of(store, store->oldest)->offset;

		if (store->head > tail) {
			if (store->size - store->head >= len)
				return store->head;
			store->head = 0; /* the rest of the arena stays empty in this round */
		} else {
			if (tail - store->head >= len)
				return store->head;
			drop_oldest(store);
		}
	}
	/* Only numbers without bytes may be left. */
	store->oldest = store->next;
	store->head = 0;
	return 0;
}

uint64_t store_add(struct store *store, uint32_t kind, const void *raw, uint32_t len)
{
	struct slot *slot;
	size_t at;

	if (len > store->size || !len) {
		store->oldest =
			++store->next; /* nothing before it can stay: numbers in the store have no holes */
		store->used = store->head = 0;
		return store->next - 1;
	}
	if (store->next - store->oldest == store->max)
		drop_oldest(store);
	at = make_room(store, len);
	slot = slot_of(store, store->next);
	*slot = (struct slot){.offset = (uint32_t)at, .len = len, .kind = kind};
	memcpy(store->arena + at, raw, len);
	store->head = at + len;
	store->used += len;
	return store->next++;
}

bool store_get(const struct store *store, uint64_t seq, struct store_event *ret_event)
{
	const struct slot *slot;

	if (seq < store->oldest || seq >= store->next)
		return false;
	slot = slot_of(store, seq);
	*ret_event = (struct store_event){
		.seq = seq, .kind = slot->kind, .len = slot->len, .raw = store->arena + slot->offset};
	return true;
}

uint64_t store_oldest(const struct store *store)
{
	return store->oldest;
}

uint64_t store_next(const struct store *store)
{
	return store->next;
}

uint64_t store_epoch(const struct store *store)
{
	return store->epoch;
}

size_t store_bytes(const struct store *store)
{
	return store->used;
}
