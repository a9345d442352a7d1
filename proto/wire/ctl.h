/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control: REQ/REP on <run>/<stage>.ctl, msgpack maps (encoded and decoded with msgpack-c). Ops that every
 * stage answers: {op:"status"}  -> {stage, version, pid, uptime_ns, sandbox, user, node, epoch,
 * topics:{proc:{next_seq, oldest_seq}}, inputs:{collector:{connected, lag_ns, proc:next_seq}}, cpu_ns,
 * rss_bytes, stats:[[name, label_name, label, type, value, help],...], extra:{...}} {op:"cursor"}  -> {epoch,
 * prev_epoch, topics:{proc:{oldest_seq, next_seq}}} {op:"replay", topic, epoch, from, to} ->
 * {batches:[bin...], oldest_seq, next_seq}; at most 512 KiB, ask again for the rest {op:"reload"}  ->
 * {ok:true} or {error} A malformed or unknown request gets {error:"..."} and is counted. Requests are at most
 * 64 KiB.
 */
#ifndef PST_WIRE_CTL_H
#define PST_WIRE_CTL_H

#include <msgpack.h>
#include <sys/types.h>

#include "proto/base/stat.h"
#include "proto/wire/bus.h"

/* Handler of an op of this stage: fill @reply with one msgpack value. Non-zero -errno: @reply is discarded
 * and {error: text} sent. */
typedef int (*pst_ctl_fn)(
	void *arg, const msgpack_object *request, struct pst_buf *reply, char *error, size_t error_size);
int pst_ctl_handle(struct pst_bus *bus, const char *op, pst_ctl_fn fn, void *arg);
/* Within a handler: the uid of the process that asks (of its socket's peer). */
uid_t pst_ctl_peer_uid(const struct pst_bus *bus);
/* Adds pairs to the `extra` map of status: write key and value, return the number of pairs. */
void pst_ctl_status_extra(struct pst_bus *bus, uint32_t (*fn)(void *arg, struct pst_buf *out), void *arg);
/* Adds rows to the `stats` of status, at most PST_STATS_EXTRA_MAX: for what has a row for each of things that
 * come and go. @fn writes them with pst_ctl_put_stat() and returns how many. */
void pst_ctl_stats_extra(struct pst_bus *bus, uint32_t (*fn)(void *arg, struct pst_buf *out), void *arg);
void pst_ctl_put_stat(struct pst_buf *out, const struct pst_stat *stat);
/* Shown in status: the sandbox's level text. */
void pst_bus_set_sandbox(struct pst_bus *bus, const char *text);

/* Value of a key in a map object, NULL if absent. */
const msgpack_object *pst_ctl_get(const msgpack_object *map, const char *key);
/* Text (str or bin) of a key, cut to size; false if absent or not text or too long. */
bool pst_ctl_text(const msgpack_object *map, const char *key, char *buf, size_t size);
bool pst_ctl_u64(const msgpack_object *map, const char *key, uint64_t *ret_value);

/* Client, asynchronous: the callback runs on the loop exactly once; @reply NULL on error (-ETIMEDOUT,
 * -ECONNREFUSED, -EBADMSG). */
typedef void (*pst_ctl_reply_fn)(void *arg, int error, const msgpack_object *reply);
int pst_ctl_request(struct pst_loop *loop, const char *run_dir, const char *stage, const void *request,
	size_t len, unsigned timeout_ms, pst_ctl_reply_fn fn, void *arg);
/* Client, blocking, for the CLI and tests: the reply's unpacked form, to be freed with
 * msgpack_unpacked_destroy. 0 or -errno. */
int pst_ctl_call(const char *run_dir, const char *stage, const void *request, size_t len, unsigned timeout_ms,
	msgpack_unpacked *ret_reply);

#endif
