/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `penstock-loader restore`, asked of the loader that serves, by root alone. On the socket `loader.fds`, in
 * place of the one byte of proto/base/fds.h: one message, struct restore_request; the answer is struct
 * restore_reply, then the server closes.
 */
#ifndef PST_LOADER_RESTORE_H
#define PST_LOADER_RESTORE_H

#include "loader/copies.h"
#include "loader/loader.h"

#define RESTORE_MAGIC 0x6b636162u /* "back" */
#define RESTORE_LIST  UINT32_MAX  /* nothing is put back */

struct restore_request {
	uint32_t magic;
	uint32_t abi;   /* PST_ABI_VERSION */
	uint32_t which; /* copy, or RESTORE_LIST */
};

struct restore_kept {
	uint64_t age_ns;
	uint64_t generation[COPIES_TABLES]; /* 0: off */
};

struct restore_reply {
	uint32_t magic;
	uint32_t abi;
	uint32_t error;   /* errno; 0: what follows holds */
	uint32_t changed; /* as struct copies */
	uint32_t n;
	uint32_t pad;
	struct restore_kept kept[COPIES_MAX]; /* after it was put back: that alone */
};

/* Server side: is it such a request? */
const struct restore_request *restore_request(const void *message, uint32_t len);
/* 0, or -errno when the answer could not be sent. */
int restore_answer(const struct loader *l, int sock, uid_t uid, const struct restore_request *request);

/* The command. An exit code, after messages on standard error. */
int restore_main(const struct loader *l, bool list, bool previous);

#endif
