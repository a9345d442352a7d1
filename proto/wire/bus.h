/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus: batches of events over the scalability protocol's pub/sub (as nng speaks it; proto/wire/sp.h),
 * with nothing lost that is not counted. docs/design/bus.md
 *
 * A message is: topic (8 bytes), header array [version, stage, node, epoch, first_seq, count, t_first_ns,
 * t_last_ns, flags], then `count` events. flags bit 0: paced, the source can wait for its subscribers (a
 * recording is played). count 0: heartbeat that tells first_seq = the next sequence number, sent each second
 * on topics that had events lately, so that a lost last batch is noticed.
 *
 * Exactly once across kill -9. Sealed batches are copied into a retention ring in a shared file
 * (<run>/<stage>.ret) and then committed together with the input position that they came from (base/ckpt.h),
 * then sent. After a restart the stage keeps its epoch, continues its numbers, and serves what was committed
 * and not received. Inputs after the commit are handled again and get the same numbers; a subscriber drops
 * what it has had.
 */
#ifndef PST_WIRE_BUS_H
#define PST_WIRE_BUS_H

#include "proto/base/ckpt.h"
#include "proto/base/loop.h"
#include "proto/wire/event.h"

#define PST_BATCH_EVENTS   512
#define PST_BATCH_BYTES    65536
#define PST_MESSAGE_MAX    (1u << 20)
#define PST_BATCH_DELAY_NS 1000000ull

enum { PST_BATCH_PACED = 1 };

struct pst_batch {
	int topic; /* enum pst_topic */
	uint32_t version;
	const char *stage; /* in place, not NUL-terminated */
	uint32_t stage_len;
	const char *node;
	uint32_t node_len;
	uint64_t epoch, first_seq, t_first_ns, t_last_ns;
	uint32_t count;
	uint32_t flags;
	struct pst_cur events;
};
/* 0 or -EBADMSG. Events themselves are not looked at. */
int pst_batch_decode(const void *message, size_t len, struct pst_batch *ret_batch);

struct pst_bus; /* one a stage: its publisher (if it has topics), its control socket, its checkpoint */

struct pst_bus_config {
	const char *stage; /* "enricher": names the sockets <run>/<stage>.pub and .ctl, and the files
			      <stage>.ckpt and .ret */
	const char *run_dir;
	const char *node;         /* host name */
	uint32_t topics;          /* bit per topic that it publishes; 0: no publisher */
	uint64_t retention_bytes; /* of all topics together; shared out by what is used; 0: 64 MiB */
	const char *const
		*subscribers;    /* stages that a paced publisher waits for, NULL-terminated; may be NULL */
	bool ephemeral;          /* no files: a CLI or a test */
	const char *user_prefix; /* sockets of stage x must be those of user <prefix>x (if there is one), of
				    root or our own; NULL: anyone's */
};

/* Step 1, before the sandbox: everything that has a path (folder, checkpoint, retention file; removes stale
 * sockets). */
int pst_bus_open(struct pst_loop *loop, const struct pst_bus_config *config, struct pst_bus **ret_bus);
/* Step 2, in the sandbox: listen on .pub and .ctl (mode 0660, group penstock), start timers. */
int pst_bus_start(struct pst_bus *bus);
/* Seals, sends, commits, gives subscribers a moment (at most 100 ms) and closes. NULL is fine. */
void pst_bus_free(struct pst_bus *bus);

/* Publishing. Write exactly one event into the buffer between put and end. */
struct pst_buf *pst_bus_put(struct pst_bus *bus, enum pst_topic topic);
/* false: the event was malformed (buffer failed) or too large and was dropped whole and counted. Seals at the
 * bounds by itself. */
bool pst_bus_end(struct pst_bus *bus, enum pst_topic topic, uint64_t ts_ns);
/* Seal, commit and send all open batches now. Without it that is done at the end of the loop's turn, at most
 * once a millisecond. */
void pst_bus_flush(struct pst_bus *bus);
/* Words that are committed with the events put so far (aux of the topic's checkpoint entry): where the source
 * goes on after them. So call it after the event that it covers was put, not before. Collector: ring
 * positions. */
void pst_bus_set_aux(struct pst_bus *bus, enum pst_topic topic, unsigned i, uint64_t value);
uint64_t pst_bus_get_aux(const struct pst_bus *bus, enum pst_topic topic,
	unsigned i); /* committed value; after open: of the run before */
/* Called right after a commit of @topic, so that the source may be released (ring space given back). */
void pst_bus_on_commit(struct pst_bus *bus, void (*fn)(void *arg, enum pst_topic topic), void *arg);
/* Pacing: while true the stage should not take more input; @fn is called when it may go on. */
void pst_bus_set_paced(struct pst_bus *bus, bool paced);
bool pst_bus_congested(struct pst_bus *bus);
void pst_bus_on_ready(struct pst_bus *bus, void (*fn)(void *arg), void *arg);
/* Events that a configured subscriber has not handled yet (the farthest behind of those that are there); 0:
 * all handled, or nobody there 5 s after the start. */
uint64_t pst_bus_backlog(struct pst_bus *bus);
uint64_t pst_bus_next_seq(const struct pst_bus *bus, enum pst_topic topic); /* of the next event put */
uint64_t pst_bus_epoch(const struct pst_bus *bus);

/* Subscribing. */
struct pst_sub;
typedef void (*pst_batch_fn)(void *arg,
	const struct pst_batch *batch); /* from first_seq on all are new; already handled ones are cut off */
typedef void (*pst_loss_fn)(void *arg, enum pst_topic topic, const char *cause, uint64_t count);

enum { PST_SUB_AUX = 3 };
struct pst_sub_config {
	const char *publisher; /* "enricher" */
	uint32_t topics;       /* bit per topic */
	/*
	 * Resume: where handled positions are kept in the checkpoint. OUT_SAME: the output topic of the same
	 * name carries it (enricher: proc -> proc). OUT_ALERT: all in the alert topic's entry (policyd). OWN:
	 * an entry "in:<publisher>" (exporter), committed after each batch. NONE: start with what comes next
	 * (CLI).
	 */
	enum { PST_RESUME_NONE, PST_RESUME_OUT_SAME, PST_RESUME_OUT_ALERT, PST_RESUME_OWN } resume;
	pst_batch_fn on_batch;
	pst_loss_fn on_loss; /* may be NULL; losses are in the stats anyway */
	/* OWN, may be NULL: asked before each commit; the words are committed with the position. */
	void (*on_commit)(void *arg, uint64_t aux[PST_SUB_AUX]);
	void *arg;
};
/* Before pst_bus_start; dialing begins there and goes on in the background until it works, for ever. */
int pst_bus_subscribe(struct pst_bus *bus, const struct pst_sub_config *config, struct pst_sub **ret_sub);
/* Called for each event handled, by the stage, when an event's outcome has been put: moves the input position
 * that the next commit takes. Batches are marked as a whole by the bus after on_batch returns; a stage only
 * needs this if it seals in the middle of a batch (the bus calls it from the event iterator). */
void pst_sub_mark(struct pst_sub *sub, enum pst_topic topic, uint64_t next_seq);
/* OWN: the words that were committed last, also by a run before this one. False: none ever were. */
bool pst_sub_aux(const struct pst_sub *sub, uint64_t ret_aux[PST_SUB_AUX]);
/* Stop and go on taking batches (pacing). */
void pst_sub_pause(struct pst_sub *sub, bool paused);
struct pst_sub_state {
	bool connected;
	uint64_t epoch;
	uint64_t next_seq[PST_TOPICS];
	uint64_t last_rx_ns; /* CLOCK_BOOTTIME; 0: nothing yet */
	uint64_t lag_ns;     /* age of the newest event handled */
};
void pst_sub_state(const struct pst_sub *sub, struct pst_sub_state *ret_state);

/*
 * Iterate a batch: decodes each event; a malformed one ends the batch, the rest of it is counted lost (cause
 * malformed). Marks the input position past an event when the next one is asked for, so that seals in between
 * commit exactly what is done.
 */
struct pst_batch_iter {
	struct pst_sub *sub;
	const struct pst_batch *batch;
	struct pst_cur cur;
	uint32_t i;
	bool scan_only; /* pst_event_scan instead of decode */
};
void pst_batch_iter_init(struct pst_batch_iter *it, struct pst_sub *sub, const struct pst_batch *batch);
bool pst_batch_iter_next(struct pst_batch_iter *it, struct pst_event *ret_event);

#endif
