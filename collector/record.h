/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record file: a header, then records as the kernel wrote them (abi/records.h), one after the other. Host
 * byte order; a file of a host of the other order is refused.
 */
#ifndef COLLECTOR_RECORD_H
#define COLLECTOR_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/abi/records.h"

#define RECORD_MAGIC "PSTREC\r\n"

struct record_head {
	char magic[8];
	uint32_t order;         /* 0x01020304 as written by the host */
	uint32_t abi;           /* PST_ABI_VERSION */
	int64_t wall_offset_ns; /* add to ts_ns for Unix time */
	char boot_id[40];       /* NUL-terminated */
	char hostname[72];
	char kernel[72];
	uint64_t pad[4];
};

struct recorder;
/* Truncates @path. 0 or -errno with a log line. */
int recorder_open(const char *path, struct recorder **ret_recorder);
/* For a folder where others may have put something: makes @path anew, readable for @group ((gid_t)-1: for
 * nobody else). It is full at @max_bytes, or when the others would run out of room; what comes then is lost
 * and counted. */
int recorder_open_shared(const char *path, uint64_t max_bytes, gid_t group, struct recorder **ret_recorder);
/* Failed writes are counted and said once; recording then stops. */
void recorder_write(struct recorder *recorder, const struct pst_rec *rec);
void recorder_flush(struct recorder *recorder);
struct recorder_state {
	uint64_t bytes, lost; /* written into the file; records that were not */
	bool full;
};
void recorder_state(const struct recorder *recorder, struct recorder_state *ret_state);
void recorder_free(struct recorder *recorder); /* NULL is fine; flushes */

/*
 * A recording that is read. Through a window that is a copy, not a mapping: whoever may write to the file
 * could cut it short (SIGBUS), or change a record after it was checked.
 */
struct recording {
	struct record_head head;
	int fd;
	uint64_t len;    /* of the whole file */
	uint64_t at;     /* offset of the next record */
	uint8_t *window; /* the file's bytes from `from` on, `have` of them */
	uint64_t from;
	size_t have;
};
/* 0; -EBADMSG and others after a log line that names the file and the offset. */
int recording_open(const char *path, struct recording *ret_recording);
void recording_close(struct recording *recording);
void recording_rewind(struct recording *recording);
/* Next record, good until the next call, or NULL: at the end (*ret_error 0), malformed (-EBADMSG; `at` is the
 * offset of the bad one) or not readable. */
const struct pst_rec *recording_next(struct recording *recording, int *ret_error);

/* Facts of this host for a header and for node_info. */
void host_facts(struct record_head *ret_head);

#endif
