/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scalability protocol over Unix sockets, as nng and nanomsg speak it: eight bytes of greeting each way,
 * then messages of a type byte, eight bytes of length and the body; for REQ/REP the body begins with the
 * request's number. (Mapping: https://github.com/nanomsg/nanomsg/blob/master/rfc/sp-ipc-mapping-01.txt)
 *
 * Spoken here directly and not through libnng, on the stage's own loop and without a thread:
 * docs/design/bus.md says why.
 */
#ifndef PST_WIRE_SP_H
#define PST_WIRE_SP_H

#include <sys/types.h>

#include "proto/wire/mp.h"

enum { SP_PUB = 0x20, SP_SUB = 0x21, SP_REQ = 0x30, SP_REP = 0x31 };
#define SP_GREETING 8
#define SP_HEAD     9
#define SP_MESSAGE  1 /* the type byte */

void sp_greeting(uint8_t buf[SP_GREETING], uint16_t protocol);
void sp_head(uint8_t buf[SP_HEAD], uint64_t len);
/* 0, -EBADMSG or -EMSGSIZE. */
int sp_head_len(const uint8_t buf[SP_HEAD], uint64_t max, uint64_t *ret_len);

/* Whom a socket may belong to: besides this user root and ourselves. */
struct sp_peer {
	bool check;
	uid_t uid;
};
bool sp_uid_allowed(const struct sp_peer *peer, uid_t uid);
bool sp_uid(int fd, uid_t *ret_uid); /* of the other side when it connected or listened */
/* A connected socket; -ECONNREFUSED: no one is there, -EACCES: someone else is. Never blocks. */
int sp_connect(const char *path, const struct sp_peer *peer);
/* A bound socket of mode 0600: to be opened to others, then listen(2). */
int sp_bind(const char *path);

/* One conversation, either side of REQ/REP. */
struct sp {
	int fd;
	uint16_t peer; /* protocol that the other side must speak */
	size_t max;    /* bytes of a message */
	uint8_t head[SP_HEAD];
	unsigned greeted, head_len; /* bytes received of the greeting and of a message's head */
	struct pst_buf in;
	uint64_t in_want;
	struct pst_buf out;
	size_t out_at;
};
void sp_init(struct sp *sp, int fd, uint16_t own, uint16_t peer, size_t max); /* takes the fd */
void sp_done(struct sp *sp);
/* Appends a message to what is to be written. -ENOMEM. */
int sp_put(struct sp *sp, const void *head, size_t head_len, const void *body, size_t body_len);
/* Writes what can be written. 0 or -errno. */
int sp_write(struct sp *sp);
/* Reads until one message is whole: 1, it is in sp->in until sp_next; 0: more has to come; -EPIPE: the other
 * side has closed; -EBADMSG, -EMSGSIZE, -errno. */
int sp_read(struct sp *sp);
void sp_next(struct sp *sp);
static inline bool sp_writing(const struct sp *sp)
{
	return sp->out_at < sp->out.len;
}

#endif
