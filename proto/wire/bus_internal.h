/* SPDX-License-Identifier: Apache-2.0 */
/* What the bus*.c and ctl*.c files share with each other and nobody else. See docs/design/bus.md. */
#ifndef PST_WIRE_BUS_INTERNAL_H
#define PST_WIRE_BUS_INTERNAL_H

#include <stdatomic.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "proto/base/log.h"
#include "proto/base/stat.h"
#include "proto/wire/bus.h"
#include "proto/wire/ctl_internal.h"

#define BUS_NAME_MAX      15           /* bytes of a stage's name: fits the checkpoint's fields */
#define BUS_PATH_MAX      108          /* sun_path */
#define BUS_EVENT_MAX     (256u << 10) /* bytes of one event; with an open batch still far below a message */
#define BUS_SEQ_MAX       (UINT64_MAX >> 1) /* beyond: not a sequence number that anyone counted up to */
#define BUS_QUEUE         128               /* messages that wait for one subscriber */
#define BUS_STAGED        16                /* sealed batches that wait for a commit */
#define BUS_PENDING_BYTES (16u << 20)       /* batches held behind a gap */
#define BUS_PENDING_LEAST 4096 /* a small one counts as much: the list is searched, so it is short */
#define BUS_REPLAY_BYTES  (512u << 10)
#define BUS_UNKNOWN       UINT64_MAX

/* ---- batches (bus_msg.c) ---- */

/* Topic and header as they stand before the events. Returns their length; @buf holds at least BUS_HEAD_MAX.
 */
#define BUS_HEAD_MAX 160
struct bus_head {
	int topic;
	const char *stage, *node;
	uint64_t epoch, first_seq, t_first_ns, t_last_ns;
	uint32_t count, flags;
};
size_t bus_head_pack(uint8_t *buf, const struct bus_head *head);
void bus_topic_pad(uint8_t topic[8], const char *name); /* NUL-padded, as on the wire; cut to 8 bytes */

/* ---- retention (bus_ret.c) ---- */

struct bus_ret;
struct bus_ret_rec {
	uint32_t magic;
	uint32_t len; /* of the message that follows */
	uint64_t pos; /* of this record, counted up for ever: tells a record from what was there a lap before
		       */
	uint64_t first_seq;
	uint32_t count;
	uint8_t topic;
	uint8_t dead; /* never committed, or filler */
	uint8_t pad[2];
};

/* @path NULL: in memory. *ret_fresh: there was none, or it was of no use (said in the log) and is empty now.
 */
int bus_ret_open(const char *path, uint64_t bytes, struct bus_ret **ret_ret, bool *ret_fresh);
void bus_ret_close(struct bus_ret *ret); /* NULL is fine; the file stays */
uint64_t bus_ret_epoch(const struct bus_ret *ret);
uint64_t bus_ret_prev(const struct bus_ret *ret, int topic, uint64_t *ret_epoch);
/* Empty, with a new epoch and where the last one ended. */
void bus_ret_reset(struct bus_ret *ret, uint64_t epoch, uint64_t prev_epoch, const uint64_t *prev_next);
/* After an open: forget what was not committed. -EBADMSG if what is there does not fit @next. */
int bus_ret_settle(struct bus_ret *ret, const uint64_t next[PST_TOPICS]);
int bus_ret_append(
	struct bus_ret *ret, int topic, uint64_t first_seq, uint32_t count, const void *message, size_t len);
/* First sequence number held, @next if none. */
uint64_t bus_ret_oldest(const struct bus_ret *ret, int topic, uint64_t next);
uint64_t bus_ret_bytes(const struct bus_ret *ret);
uint64_t bus_ret_events(const struct bus_ret *ret, int topic);
/* Where to begin reading for @seq; then record by record. */
uint64_t bus_ret_seek(const struct bus_ret *ret, int topic, uint64_t seq);
bool bus_ret_next(struct bus_ret *ret, int topic, uint64_t *pos, struct bus_ret_rec *ret_rec);
int bus_ret_read(struct bus_ret *ret, const struct bus_ret_rec *rec, void *buf);

/* ---- the bus ---- */

struct bus_topic {
	int id;
	struct pst_buf events; /* the open batch */
	size_t mark;           /* its length before the event that is being written */
	uint32_t count;
	bool writing;
	bool covered;    /* the input position covers all events that were put */
	bool positioned; /* has an input position at all */
	bool dirty;      /* the position moved since the last commit */
	uint64_t t_first_ns, t_last_ns;
	uint64_t next;      /* number of the next event to be sealed */
	uint64_t committed; /* ... of the next one after the last commit */
	uint64_t aux[3];
	struct pst_ckpt_words words; /* as committed last */
	struct pst_ckpt_entry *entry;
	struct pst_sub *input; /* whose position is committed with this topic */
	struct {
		struct bus_packet *packet;
		uint64_t end_seq;
	} staged[BUS_STAGED]; /* sealed, not committed yet */
	unsigned n_staged;
	unsigned heartbeats; /* still to be sent */
	struct pst_stat *published, *dropped;
};

#define BUS_PACE_FIFO 1024
#define BUS_PEERS_MAX 8
struct bus_peer { /* a subscriber that a paced publisher waits for */
	char name[BUS_NAME_MAX + 1];
	const struct pst_ckpt *view;
	uint64_t at;          /* first message that it has not handled, as a number of the FIFO */
	uint64_t looked_ns;   /* the last time that its file was opened */
	uint64_t progress_ns; /* since when it has not moved */
	uint64_t asked_ns;    /* the last pst_bus_backlog */
	uint64_t sum;         /* of its positions, to see it move */
	bool held;            /* the source is held back for it */
	bool dropped;         /* waited for no longer */
};
struct bus_pace {
	bool wanted, from_input; /* by the stage; by what a subscription receives */
	bool congested;
	struct pst_source *timer;
	struct bus_peer peers[BUS_PEERS_MAX];
	unsigned n_peers;
	struct {
		uint8_t topic;
		uint64_t end_seq, before; /* before: bytes of all earlier ones */
	} fifo[BUS_PACE_FIFO];
	uint64_t head, bytes;
	void (*ready)(void *arg);
	void *ready_arg;
	struct pst_stat *congestions, *drops;
};

struct bus_stats {
	struct pst_stat *batches, *send_dropped, *malformed, *duplicate, *replayed, *gaps, *unknown_gaps,
		*stale, *pending_dropped, *resets, *ret_errors, *ret_bytes, *ret_events, *heartbeats, *early,
		*connects, *served;
	struct pst_stat *ctl_requests, *ctl_errors, *ctl_refused;
	struct pst_stat *received[PST_TOPICS], *lost_retention, *lost_epoch, *lost_malformed;
};

struct pst_bus {
	struct pst_loop *loop;
	char stage[BUS_NAME_MAX + 1], node[65];
	char *run_dir;
	uint32_t topics;
	bool ephemeral, started, flush_pending;
	int lock_fd;
	bool has_group;
	gid_t group;
	char user_prefix[32];
	bool check_users;
	uint64_t opened_ns;
	uint64_t epoch;
	uint64_t retention_bytes;
	struct pst_ckpt *ckpt;
	struct bus_ret *ret;
	struct bus_topic topic[PST_TOPICS];
	struct bus_out *out; /* the publisher's socket */
	struct pst_source *flush_defer, *flush_timer, *heartbeat_timer;
	uint64_t flushed_ns;
	void (*on_commit)(void *arg, enum pst_topic topic);
	void *on_commit_arg;
	struct pst_sub *subs;
	struct bus_pace pace;
	struct bus_stats st;
	struct ctl_server *ctl;
};

static inline bool bus_publishes(const struct pst_bus *bus, int topic)
{
	return bus->topics & 1u << topic;
}
/* Whom the sockets of another stage may belong to. */
void bus_peer_user(const struct pst_bus *bus, const char *stage, struct sp_peer *ret_peer);
/* "<run>/<stage><suffix>"; -ENAMETOOLONG. */
int bus_path(char path[BUS_PATH_MAX], const char *run_dir, const char *stage, const char *suffix);

/* A listening socket (bus_listen.c): 0660 and the group penstock, 0600 where there is no such group. */
struct bus_listener {
	int fd;
	char path[BUS_PATH_MAX]; /* "": no file was made */
	struct pst_source *io, *timer;
	bool (*accepted)(void *arg, int fd, uid_t uid);
	void *arg;
};
/* @accepted takes the descriptor and returns true, or refuses. To be closed also when this fails. */
int bus_listener_open(struct pst_bus *bus, const char *suffix, bool (*accepted)(void *arg, int fd, uid_t uid),
	void *arg, struct bus_listener *ret_listener);
void bus_listener_close(struct bus_listener *listener);

/* Messages on their way out, shared by the queues (bus_out.c). */
struct bus_packet {
	unsigned refs, queues; /* queues: in how many subscribers' it is */
	uint32_t len;
	uint64_t number; /* in the order of sending */
	uint8_t bytes[]; /* SP_HEAD, then the message */
};
struct bus_packet *bus_packet_new(size_t len);
void bus_packet_free(struct bus_packet *packet); /* gives one reference back; NULL is fine */
static inline uint8_t *bus_packet_message(struct bus_packet *packet)
{
	return packet->bytes + SP_HEAD;
}
struct bus_out;
int bus_out_new(struct pst_bus *bus, struct bus_out **ret_out);
void bus_out_free(struct bus_out *out); /* NULL is fine */
void bus_out_send(struct bus_out *out, struct bus_packet *packet);
void bus_out_flush(struct bus_out *out, uint64_t wait_ns);

/* Publisher (bus_pub.c). */
int bus_pub_open(struct pst_bus *bus);
int bus_pub_start(struct pst_bus *bus);
void bus_pub_close(struct pst_bus *bus);
void bus_commit(struct pst_bus *bus, struct bus_topic *t);
/* The input position of @t moved past all that was put: seals and commits if there is a full batch. */
static inline void bus_position_moved(struct pst_bus *bus, struct bus_topic *t)
{
	t->covered = t->dirty = true;
	if (__builtin_expect(t->writing, 0))
		return; /* at the next put or flush */
	if (__builtin_expect(
		    t->n_staged || t->count >= PST_BATCH_EVENTS || t->events.len >= PST_BATCH_BYTES, 0))
		bus_commit(bus, t);
}
static inline void bus_arm_flush(struct pst_bus *bus)
{
	if (bus->flush_pending)
		return;
	bus->flush_pending = true;
	pst_defer_arm(bus->flush_defer);
}

/* Pacing (bus_pace.c). */
int bus_pace_open(struct pst_bus *bus, const char *const *subscribers);
void bus_pace_close(struct pst_bus *bus);
bool bus_paced(const struct pst_bus *bus);
void bus_pace_sent(struct pst_bus *bus, int topic, uint64_t end_seq, size_t bytes);
void bus_pace_check(struct pst_bus *bus);
void bus_pace_from_input(struct pst_bus *bus);

/* ---- subscriptions (bus_sub.c, bus_repair.c) ---- */

struct sub_pending {
	struct sub_pending *next;
	size_t cost;            /* of pending_bytes */
	struct pst_batch batch; /* points into message */
	uint8_t message[];
};
struct sub_topic {
	bool wanted, have; /* have: epoch and next are known */
	uint64_t epoch, next;
	uint64_t target; /* events below it are known to exist */
	bool unproven;   /* next is what the checkpoint says, and the publisher has not confirmed it yet */
	unsigned bad_replies;
	struct bus_topic *out;       /* the topic that carries its position */
	struct sub_pending *pending; /* of this epoch by number, then those of another epoch */
};
struct pst_sub {
	struct pst_bus *bus;
	struct pst_sub *next;
	struct pst_sub_config config;
	char publisher[BUS_NAME_MAX + 1];
	struct sp_peer peer; /* whom its sockets may belong to */
	char path[BUS_PATH_MAX];
	int fd; /* -1: not connected */
	struct pst_source *io, *dial, *retry;
	uint64_t redial_ns;
	bool greeted;
	struct pst_buf rx; /* received and not handled yet: from rx_at on */
	size_t rx_at;
	bool paused, paused_auto, paced;
	bool need_cursor;
	struct sub_topic topic[PST_TOPICS];
	size_t pending_bytes;
	struct pst_ckpt_entry *entry; /* OWN */
	struct ctl_client *client;
	enum { SUB_IDLE, SUB_CURSOR, SUB_REPLAY } request;
	int req_topic;
	uint64_t req_epoch, req_to, backoff_ns;
	uint64_t last_rx_ns, lag_ns;
};

int bus_sub_start(struct pst_sub *sub);
void bus_sub_dial(void *arg);
void bus_sub_hang_up(struct pst_sub *sub); /* and dial again after a while */
/* Handles what has come, as long as nothing stops it. True: there was no more. */
bool bus_sub_receive(struct pst_sub *sub);
void bus_sub_message(struct pst_sub *sub, const void *message, size_t len);
void bus_sub_free(struct pst_sub *sub);
static inline bool bus_sub_stopped(const struct pst_sub *sub)
{
	return sub->paused || sub->paused_auto;
}
void bus_sub_pause_auto(struct pst_sub *sub, bool paused);
/* Hands the events from t->next on over; @batch must reach beyond it and not begin after it. */
void bus_sub_deliver(struct pst_sub *sub, struct sub_topic *t, struct pst_batch *batch);
void bus_sub_drain_pending(struct pst_sub *sub, struct sub_topic *t);
void bus_sub_drop_pending(struct pst_sub *sub, struct sub_pending **at);
void bus_sub_lose(struct pst_sub *sub, struct sub_topic *t, struct pst_stat *cause, uint64_t count);
void bus_sub_malformed(struct pst_sub *sub, int topic, uint32_t count);
/* Position of @t changed: to be committed. */
void bus_sub_moved(struct pst_sub *sub, struct sub_topic *t);
void bus_sub_commit_own(struct pst_sub *sub);
static inline int bus_sub_topic_id(const struct pst_sub *sub, const struct sub_topic *t)
{
	return (int)(t - sub->topic);
}
/* Asks for what is missing, one request at a time (bus_repair.c). */
void bus_repair_kick(struct pst_sub *sub);
void bus_repair_retry(void *arg);
void bus_repair_reply(void *arg, int error, const void *reply, size_t len); /* to the request under way */

#endif
