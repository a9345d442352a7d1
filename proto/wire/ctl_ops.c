// SPDX-License-Identifier: Apache-2.0
/* What every stage answers: status, cursor, replay. */
#include "proto/wire/bus_internal.h"
#include "proto/wire/ctl_server.h"

#include <pwd.h>

#include "proto/base/cleanup.h"

#define REPLAY_BATCHES 4096

static void put_uint(struct pst_buf *out, const char *key, uint64_t value)
{
	pst_mp_str(out, key);
	pst_mp_uint(out, value);
}

static void put_text(struct pst_buf *out, const char *key, const char *text)
{
	pst_mp_str(out, key);
	pst_mp_str(out, text);
}

static uint32_t n_topics(const struct pst_bus *bus)
{
	return (uint32_t)__builtin_popcount(bus->topics);
}

static uint64_t oldest(const struct pst_bus *bus, int topic)
{
	const struct bus_topic *t = &bus->topic[topic];

	return PST_MIN(bus_ret_oldest(bus->ret, topic, t->committed), t->committed);
}

/* ---- cursor ---- */

int ctl_op_cursor(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	const struct pst_bus *bus = arg;
	uint64_t prev_epoch = 0;

	(void)request;
	if (!bus->topics) {
		snprintf(error, size, "publishes nothing");
		return -ENOENT;
	}
	bus_ret_prev(bus->ret, 0, &prev_epoch);
	pst_mp_map(reply, 3);
	put_uint(reply, "epoch", bus->epoch);
	put_uint(reply, "prev_epoch", prev_epoch);
	pst_mp_str(reply, "topics");
	pst_mp_map(reply, n_topics(bus));
	for (int i = 0; i < PST_TOPICS; i++) {
		if (!bus_publishes(bus, i))
			continue;
		pst_mp_str(reply, pst_topic_name(i));
		pst_mp_map(reply, 3);
		put_uint(reply, "oldest_seq", oldest(bus, i));
		put_uint(reply, "next_seq", bus->topic[i].committed);
		put_uint(reply, "prev_next", bus_ret_prev(bus->ret, i, &prev_epoch));
	}
	return 0;
}

/* ---- replay ---- */

struct range {
	int topic;
	uint64_t from, to;
};

static int take_range(
	const struct pst_bus *bus, const msgpack_object *request, struct range *r, char *error, size_t size)
{
	char name[9];
	uint8_t padded[8];
	uint64_t epoch;

	snprintf(error, size, "malformed request: replay takes topic, epoch, from, to");
	if (!pst_ctl_text(request, "topic", name, sizeof(name)) || !pst_ctl_u64(request, "epoch", &epoch) ||
		!pst_ctl_u64(request, "from", &r->from) || !pst_ctl_u64(request, "to", &r->to) ||
		r->from > r->to)
		return -EBADMSG;
	bus_topic_pad(padded, name);
	r->topic = pst_topic_parse((const char *)padded);
	if (r->topic < 0 || !bus_publishes(bus, r->topic)) {
		snprintf(error, size, "topic");
		return -ENOENT;
	}
	if (epoch != bus->epoch) {
		snprintf(error, size, "epoch"); /* the subscriber asks for the cursor then */
		return -ESTALE;
	}
	return 0;
}

/* Records that overlap the range, as many as a reply may hold; @pos is left where they begin. */
static uint32_t count_records(struct pst_bus *bus, const struct range *range, uint64_t *pos)
{
	struct bus_ret_rec rec;
	uint64_t at = *pos, bytes = 0;
	uint32_t n = 0;

	while (n < REPLAY_BATCHES && bus_ret_next(bus->ret, range->topic, &at, &rec)) {
		if (rec.first_seq >= range->to)
			break;
		if (rec.first_seq + rec.count <= range->from)
			continue;
		bytes += rec.len;
		if (n && bytes > BUS_REPLAY_BYTES)
			break;
		if (!n++)
			*pos = rec.pos;
	}
	return n;
}

/* As it was sealed; else (someone wrote into the file) nothing, which the subscriber counts as not held. */
static bool put_record(struct pst_bus *bus, const struct bus_ret_rec *rec, struct pst_buf *out)
{
	struct pst_batch b;
	uint8_t head[5];
	size_t before = out->len, head_len = (size_t)(pst_mp_put_bin_head(head, rec->len) - head);

	if (!pst_buf_reserve(out, head_len + rec->len) || !out->p)
		return false;
	pst_mp_raw(out, head, head_len);
	uint8_t *message = out->p + out->len;
	if (bus_ret_read(bus->ret, rec, message) < 0 || pst_batch_decode(message, rec->len, &b) < 0 ||
		b.epoch != bus->epoch || b.topic != rec->topic || b.first_seq != rec->first_seq ||
		b.count != rec->count) {
		bus->st.ret_errors->value++;
		out->len = before;
		return false;
	}
	out->len += rec->len;
	return true;
}

static uint32_t put_records(
	struct pst_bus *bus, const struct range *range, uint64_t pos, uint32_t n, struct pst_buf *out)
{
	struct bus_ret_rec rec;
	uint32_t done = 0;

	for (uint32_t i = 0; i < n && bus_ret_next(bus->ret, range->topic, &pos, &rec); i++)
		done += put_record(bus, &rec, out);
	return done;
}

int ctl_op_replay(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf batches = {0};
	struct pst_bus *bus = arg;
	struct range range;

	if (!bus->topics) {
		snprintf(error, size, "publishes nothing");
		return -ENOENT;
	}
	int r = take_range(bus, request, &range, error, size);
	if (r < 0)
		return r;
	range.to = PST_MIN(range.to, bus->topic[range.topic].committed);
	uint64_t pos = bus_ret_seek(bus->ret, range.topic, range.from);
	uint32_t n = count_records(bus, &range, &pos); /* moves pos: not to be an argument beside it */
	n = put_records(bus, &range, pos, n, &batches);
	if (batches.failed)
		return -ENOMEM;
	bus->st.served->value += n;
	pst_mp_map(reply, 3);
	pst_mp_str(reply, "batches");
	pst_mp_array(reply, n);
	if (batches.p)
		pst_mp_raw(reply, batches.p, batches.len);
	put_uint(reply, "oldest_seq", oldest(bus, range.topic));
	put_uint(reply, "next_seq", bus->topic[range.topic].committed);
	return 0;
}

/* ---- status ---- */

void ctl_remember_users(struct ctl_server *server)
{
	char buf[4096], name[64];
	struct passwd user, *found = NULL;

	if (getpwuid_r(geteuid(), &user, buf, sizeof(buf), &found) == 0 && found) {
		server->users[0] = (struct ctl_user){.uid = user.pw_uid, .known = true};
		snprintf(server->users[0].name, sizeof(server->users[0].name), "%s", user.pw_name);
	}
	snprintf(name, sizeof(name), "%s%s",
		server->bus->check_users ? server->bus->user_prefix : "penstock-", server->bus->stage);
	if (getpwnam_r(name, &user, buf, sizeof(buf), &found) == 0 && found) {
		server->users[1] = (struct ctl_user){.uid = user.pw_uid, .known = true};
		snprintf(server->users[1].name, sizeof(server->users[1].name), "%s", user.pw_name);
	}
}

static void put_user(struct pst_buf *out, const struct ctl_server *server)
{
	uid_t uid = geteuid();
	char text[24];

	snprintf(text, sizeof(text), "%u", (unsigned)uid);
	for (size_t i = 0; i < PST_ARRAY_SIZE(server->users); i++)
		if (server->users[i].known && server->users[i].uid == uid) {
			put_text(out, "user", server->users[i].name);
			return;
		}
	put_text(out, "user", text);
}

static void put_topics(struct pst_buf *out, const struct pst_bus *bus)
{
	pst_mp_str(out, "topics");
	pst_mp_map(out, n_topics(bus));
	for (int i = 0; i < PST_TOPICS; i++) {
		if (!bus_publishes(bus, i))
			continue;
		pst_mp_str(out, pst_topic_name(i));
		pst_mp_map(out, 2);
		put_uint(out, "next_seq", bus->topic[i].committed);
		put_uint(out, "oldest_seq", oldest(bus, i));
	}
}

static void put_inputs(struct pst_buf *out, const struct pst_bus *bus)
{
	uint32_t n = 0;

	for (const struct pst_sub *sub = bus->subs; sub; sub = sub->next)
		n++;
	pst_mp_str(out, "inputs");
	pst_mp_map(out, n);
	for (const struct pst_sub *sub = bus->subs; sub; sub = sub->next) {
		struct pst_sub_state state;

		pst_sub_state(sub, &state);
		pst_mp_str(out, sub->publisher);
		pst_mp_map(
			out, 4 + (uint32_t)__builtin_popcount(sub->config.topics & ((1u << PST_TOPICS) - 1)));
		pst_mp_str(out, "connected");
		pst_mp_bool(out, state.connected);
		put_uint(out, "lag_ns", state.lag_ns);
		put_uint(out, "last_rx_ns", state.last_rx_ns);
		put_uint(out, "epoch", state.epoch);
		for (int i = 0; i < PST_TOPICS; i++)
			if (sub->topic[i].wanted)
				put_uint(out, pst_topic_name(i), state.next_seq[i]);
	}
}

void pst_ctl_put_stat(struct pst_buf *out, const struct pst_stat *s)
{
	pst_mp_array(out, 6);
	pst_mp_str(out, s->name);
	if (s->label_name) {
		pst_mp_str(out, s->label_name);
		pst_mp_str(out, s->label);
	} else {
		pst_mp_nil(out);
		pst_mp_nil(out);
	}
	pst_mp_uint(out, s->type);
	pst_mp_uint(out, s->value);
	pst_mp_str(out, s->help);
}

static void put_stats(struct pst_buf *out, const struct ctl_server *server)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf rows = {0};
	uint32_t n = server->stats ? server->stats(server->stats_arg, &rows) : 0;

	for (const struct pst_stat *s = pst_stat_first(); s; s = s->next)
		n++;
	pst_mp_str(out, "stats");
	pst_mp_array(out, n);
	for (const struct pst_stat *s = pst_stat_first(); s; s = s->next)
		pst_ctl_put_stat(out, s);
	pst_mp_raw(out, rows.p, rows.len);
	out->failed |= rows.failed;
}

static void put_extra(struct pst_buf *out, const struct ctl_server *server)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf pairs = {0};
	uint32_t n = server->extra ? server->extra(server->extra_arg, &pairs) : 0;

	pst_mp_str(out, "extra");
	pst_mp_map(out, n);
	pst_mp_raw(out, pairs.p, pairs.len);
	out->failed |= pairs.failed;
}

static void update_gauges(struct pst_bus *bus)
{
	if (!bus->topics)
		return;
	bus->st.ret_events->value = 0;
	for (int i = 0; i < PST_TOPICS; i++)
		bus->st.ret_events->value += bus_ret_events(bus->ret, i);
	bus->st.ret_bytes->value = bus_ret_bytes(bus->ret);
}

int ctl_op_status(void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t size)
{
	struct pst_bus *bus = arg;

	(void)request;
	(void)error;
	(void)size;
	update_gauges(bus);
	pst_mp_map(reply, 14);
	put_text(reply, "stage", bus->stage);
	put_text(reply, "version", PST_VERSION);
	put_uint(reply, "pid", (uint64_t)getpid());
	put_uint(reply, "uptime_ns", pst_now_mono_ns() - bus->opened_ns);
	put_text(reply, "sandbox", bus->ctl->sandbox);
	put_user(reply, bus->ctl);
	put_text(reply, "node", bus->node);
	put_uint(reply, "epoch", bus->epoch);
	put_topics(reply, bus);
	put_inputs(reply, bus);
	put_uint(reply, "cpu_ns", pst_stat_cpu_ns());
	put_uint(reply, "rss_bytes", pst_stat_rss_bytes());
	put_stats(reply, bus->ctl);
	put_extra(reply, bus->ctl);
	return 0;
}
