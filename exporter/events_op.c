// SPDX-License-Identifier: Apache-2.0
/*
 * The stored events for those who may open exporter.ctl (the CLI), without HTTP:
 *   {op:"events", filter:{key:[text,...] or text}, last:N}       the last N that match, or, without `last`,
 * all that match {op:"events", filter:{...}, epoch:E, after:SEQ}              those after event SEQ of an
 * earlier answer
 *   -> {events:[bin,...], epoch, next, more, skipped, wall_offset_ns}
 * oldest first; an answer is at most 512 KiB: while `more`, ask again with epoch and after = next. skipped:
 * events that the store no longer held when the request came to them (also when the epoch is another one: 0,
 * since that is not known).
 */
#include <errno.h>

#include "exporter/exporter.h"
#include "proto/base/cleanup.h"
#include "proto/wire/ctl.h"

#define REPLY_MAX (512u * 1024)
#define LOOK_MAX  65536 /* events looked at for one answer */
#define VALUE_MAX 256
#define LOOK_NS   100000000ull  /* for one answer: then there is more */
#define SEARCH_NS 1500000000ull /* for the beginning of the last so many: then it is refused */

static int add_value(
	struct pst_filter *filter, const char *key, const msgpack_object *v, char *error, size_t size)
{
	const char *p = v->type == MSGPACK_OBJECT_STR ? v->via.str.ptr : v->via.bin.ptr;
	uint32_t len = v->type == MSGPACK_OBJECT_STR ? v->via.str.size : v->via.bin.size;
	char value[VALUE_MAX];

	if ((v->type != MSGPACK_OBJECT_STR && v->type != MSGPACK_OBJECT_BIN) || len >= sizeof(value) ||
		memchr(p, 0, len)) {
		snprintf(error, size, "filter %s: expected text of at most %d bytes", key, VALUE_MAX - 1);
		return -EINVAL;
	}
	memcpy(value, p, len);
	value[len] = 0;
	return pst_filter_add(filter, key, value, pst_now_wall_ns(), error, size);
}

static int add_key(struct pst_filter *filter, const msgpack_object_kv *kv, char *error, size_t size)
{
	char key[32];
	int r = 0;

	if (kv->key.type != MSGPACK_OBJECT_STR || kv->key.via.str.size >= sizeof(key)) {
		snprintf(error, size, "filter: a key is not a short text");
		return -EINVAL;
	}
	memcpy(key, kv->key.via.str.ptr, kv->key.via.str.size);
	key[kv->key.via.str.size] = 0;
	if (kv->val.type != MSGPACK_OBJECT_ARRAY)
		return add_value(filter, key, &kv->val, error, size);
	for (uint32_t i = 0; !r && i < kv->val.via.array.size; i++)
		r = add_value(filter, key, &kv->val.via.array.ptr[i], error, size);
	return r;
}

static int read_filter(
	const msgpack_object *request, struct pst_filter **ret_filter, char *error, size_t size)
{
	const msgpack_object *map = pst_ctl_get(request, "filter");
	struct pst_filter *filter = NULL;
	int r;

	*ret_filter = NULL;
	if (!map || map->type == MSGPACK_OBJECT_NIL)
		return 0;
	if (map->type != MSGPACK_OBJECT_MAP) {
		snprintf(error, size, "filter: expected a map of key to texts");
		return -EINVAL;
	}
	r = pst_filter_new(&filter);
	for (uint32_t i = 0; !r && i < map->via.map.size; i++)
		r = add_key(filter, &map->via.map.ptr[i], error, size);
	if (r < 0 || pst_filter_empty(filter)) {
		pst_filter_free(filter);
		return r;
	}
	*ret_filter = filter;
	return 0;
}

struct answer {
	struct pst_buf events;
	uint32_t n;
	uint64_t cursor; /* the next to look at */
	uint64_t skipped;
};

static void collect(struct exporter *x, const struct pst_filter *filter, struct answer *a)
{
	int64_t offset = counts_wall_offset(x->counts);
	uint64_t next = store_next(x->store), stop_ns = pst_now_mono_ns() + LOOK_NS;
	struct store_event stored;

	if (a->cursor < store_oldest(x->store)) {
		a->skipped = store_oldest(x->store) - a->cursor;
		a->cursor = store_oldest(x->store);
	}
	for (unsigned i = 0; a->cursor < next && i < LOOK_MAX; i++, a->cursor++) {
		if (i && filter && pst_now_mono_ns() > stop_ns)
			return;
		const struct pst_event *event;

		store_get(x->store, a->cursor, &stored);
		if (filter && !pst_filter_wants_kind(filter, stored.kind))
			continue;
		lazy_init(x->lazy, stored.raw, stored.len);
		event = filter ? lazy_get(x->lazy) : NULL;
		if (filter && (!event || !pst_filter_match(filter, event, offset)))
			continue;
		if (a->n && a->events.len + stored.len + 8 > REPLY_MAX)
			return;
		pst_mp_bin(&a->events, stored.raw, stored.len);
		a->n++;
	}
}

static void write_answer(struct exporter *x, const struct answer *a, struct pst_buf *reply)
{
	pst_mp_map(reply, 6);
	pst_mp_str(reply, "events");
	pst_mp_array(reply, a->n);
	pst_mp_raw(reply, a->events.p, a->events.len);
	pst_mp_str(reply, "epoch");
	pst_mp_uint(reply, store_epoch(x->store));
	pst_mp_str(reply, "next");
	pst_mp_uint(reply, a->cursor - 1);
	pst_mp_str(reply, "more");
	pst_mp_bool(reply, a->cursor < store_next(x->store));
	pst_mp_str(reply, "skipped");
	pst_mp_uint(reply, a->skipped);
	pst_mp_str(reply, "wall_offset_ns");
	pst_mp_int(reply, counts_wall_offset(x->counts));
}

/* Where to begin. */
static int first_seq(
	struct exporter *x, const msgpack_object *request, const struct pst_filter *filter, uint64_t *ret_seq)
{
	uint64_t epoch, after, last;

	*ret_seq = store_oldest(x->store);
	if (pst_ctl_u64(request, "after", &after)) {
		if (pst_ctl_u64(request, "epoch", &epoch) && epoch == store_epoch(x->store) &&
			after < store_next(x->store))
			*ret_seq = after + 1;
		return 0;
	}
	if (!pst_ctl_u64(request, "last", &last))
		return 0;
	return stream_find_last(x->store, filter, last, counts_wall_offset(x->counts),
		pst_now_mono_ns() + SEARCH_NS, ret_seq);
}

static int on_events(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t error_size)
{
	struct exporter *x = arg;
	struct pst_filter *filter;
	struct answer answer = {0};
	int r;

	r = read_filter(request, &filter, error, error_size);
	if (r < 0)
		return r;
	r = first_seq(x, request, filter, &answer.cursor);
	if (r < 0)
		snprintf(error, error_size, "the filter takes too long: fewer or simpler patterns");
	else
		collect(x, filter, &answer);
	if (!r && answer.events.failed)
		r = -ENOMEM;
	if (!r)
		write_answer(x, &answer, reply);
	pst_buf_done(&answer.events);
	pst_filter_free(filter);
	return r;
}

int events_op_open(struct exporter *x)
{
	return pst_ctl_handle(x->bus, "events", on_events, x);
}
