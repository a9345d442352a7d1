// SPDX-License-Identifier: Apache-2.0
/* The batch: topic, header array, events (docs/design/bus.md). Knows nothing of sockets. */
#include "proto/wire/bus_internal.h"

#include "proto/base/cleanup.h"

#define HEADER_FIELDS 9
#define HEADER_MIN    8 /* flags came later */

void bus_topic_pad(uint8_t topic[8], const char *name)
{
	memset(topic, 0, 8);
	for (int i = 0; i < 8 && name[i]; i++)
		topic[i] = (uint8_t)name[i];
}

size_t bus_head_pack(uint8_t *buf, const struct bus_head *head)
{
	size_t stage_len = strlen(head->stage), node_len = strlen(head->node);
	uint8_t *w = buf + 8;

	bus_topic_pad(buf, pst_topic_name((enum pst_topic)head->topic));
	w = pst_mp_put_array(w, HEADER_FIELDS);
	w = pst_mp_put_uint(w, PST_WIRE_VERSION);
	w = pst_mp_put_bin_head(w, stage_len);
	w = mempcpy(w, head->stage, stage_len);
	w = pst_mp_put_bin_head(w, node_len);
	w = mempcpy(w, head->node, node_len);
	w = pst_mp_put_uint(w, head->epoch);
	w = pst_mp_put_uint(w, head->first_seq);
	w = pst_mp_put_uint(w, head->count);
	w = pst_mp_put_uint(w, head->t_first_ns);
	w = pst_mp_put_uint(w, head->t_last_ns);
	w = pst_mp_put_uint(w, head->flags);
	return (size_t)(w - buf);
}

static bool plausible(const struct pst_batch *b, uint64_t version, uint64_t count, uint64_t flags)
{
	size_t left = (size_t)(b->events.end - b->events.p);

	if (version < PST_WIRE_VERSION || version > UINT32_MAX || flags > UINT32_MAX || !b->epoch)
		return false;
	if (!b->stage_len || b->stage_len > 64 || b->node_len > 255)
		return false;
	/* An event takes a byte at least; a heartbeat has none and nothing after it. */
	if (count > PST_BATCH_EVENTS || b->first_seq > BUS_SEQ_MAX)
		return false;
	return count ? left >= count : left == 0;
}

int pst_batch_decode(const void *message, size_t len, struct pst_batch *ret_batch)
{
	struct pst_batch b = {0};

	if (len <= 8 || len > PST_MESSAGE_MAX)
		return -EBADMSG;
	b.topic = pst_topic_parse(message);
	if (b.topic < 0)
		return -EBADMSG;
	struct pst_cur cur = pst_cur((const uint8_t *)message + 8, len - 8);
	uint32_t n = pst_cur_array(&cur);
	if (cur.bad || n < HEADER_MIN)
		return -EBADMSG;
	uint64_t version = pst_cur_uint(&cur);
	b.stage = pst_cur_bytes(&cur, &b.stage_len);
	b.node = pst_cur_bytes(&cur, &b.node_len);
	b.epoch = pst_cur_uint(&cur);
	b.first_seq = pst_cur_uint(&cur);
	uint64_t count = pst_cur_uint(&cur);
	b.t_first_ns = pst_cur_uint(&cur);
	b.t_last_ns = pst_cur_uint(&cur);
	uint64_t flags = n > HEADER_MIN ? pst_cur_uint(&cur) : 0;
	for (uint32_t i = HEADER_FIELDS; i < n && !cur.bad; i++)
		pst_cur_skip(&cur); /* of a later version */
	b.events = cur;
	if (cur.bad || !plausible(&b, version, count, flags))
		return -EBADMSG;
	b.version = (uint32_t)version;
	b.count = (uint32_t)count;
	b.flags = (uint32_t)flags;
	*ret_batch = b;
	return 0;
}

void pst_batch_iter_init(struct pst_batch_iter *it, struct pst_sub *sub, const struct pst_batch *batch)
{
	*it = (struct pst_batch_iter){.sub = sub, .batch = batch, .cur = batch->events};
}

bool pst_batch_iter_next(struct pst_batch_iter *it, struct pst_event *ret_event)
{
	const struct pst_batch *b = it->batch;

	if (it->sub && it->i)
		pst_sub_mark(it->sub, b->topic, b->first_seq + it->i);
	if (it->i >= b->count)
		return false;
	int r = it->scan_only ? pst_event_scan(&it->cur, ret_event) : pst_event_decode(&it->cur, ret_event);
	if (r < 0) {
		if (it->sub)
			bus_sub_malformed(it->sub, b->topic, b->count - it->i);
		it->i = b->count;
		return false;
	}
	it->i++;
	return true;
}
