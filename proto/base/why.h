/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would the guard do to this frame? Asked of the loader, which runs the program that is attached to the
 * interface (struct pst_guard_why), by root alone.
 *
 * On the socket `loader.fds` (SOCK_SEQPACKET), in place of the one byte of fds.h: one message, struct
 * pst_why_request and behind it the frame. The answer is struct pst_why_reply, then the server closes. The
 * loader hands the frame to the kernel and reads nothing of it.
 */
#ifndef PST_BASE_WHY_H
#define PST_BASE_WHY_H

#include <net/if.h>
#include <stdint.h>

#include "proto/abi/guard.h"

#define PST_WHY_MAGIC     0x3f796877u /* "why?" */
#define PST_WHY_FRAME_MIN 14
#define PST_WHY_FRAME_MAX 2048

struct pst_why_request {
	uint32_t magic;
	uint32_t abi; /* PST_ABI_VERSION */
	char interface[IF_NAMESIZE];
};

struct pst_why_reply {
	uint32_t magic;
	uint32_t abi;
	uint32_t error;   /* errno; 0: what follows holds */
	uint32_t verdict; /* what the program returned: XDP_* or TC_ACT_* */
	char mode[16];    /* how it is attached: xdp, xdp-generic, tcx, clsact */
	struct pst_guard_why why;
};

/* Connects to the socket of a loader that is root's: a descriptor, or -errno (-EPERM: it is somebody else's).
 */
int pst_why_dial(const char *socket_path);
/*
 * 0; -EPERM: not root; -ENODEV: no such interface; -ENOTCONN: nothing guards it; -EAGAIN: disturbed each
 * time; -EPROTO: a server of another version; -ECONNREFUSED, -ENOENT: none serves; -ETIMEDOUT; -errno.
 */
int pst_why_ask(const char *socket_path, int timeout_ms, const char *interface, const void *frame,
	uint32_t len, struct pst_why_reply *ret_reply);
/* Server side: is it such a request? Then the frame, of @ret_len bytes, is behind the header. */
const struct pst_why_request *pst_why_request(const void *message, uint32_t len, uint32_t *ret_len);

#endif
