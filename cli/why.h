/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock why`: frames from words or a capture, and what the guard says of them. */
#ifndef CLI_WHY_H
#define CLI_WHY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/base/why.h"

#define WHY_ERROR_MAX 160

struct why_frame {
	uint8_t bytes[PST_WHY_FRAME_MAX];
	uint32_t len;
	uint32_t filled; /* zeros in place of what the capture has cut off */
};

/* ---- a packet in words ---- */

struct why_words {
	const char *proto, *src, *dst;                            /* ADDRESS:PORT, [ADDRESS]:PORT, ADDRESS */
	const char *flags, *icmp, *vlan, *dscp, *len, *seq, *ack; /* NULL: not given */
};

/* 0, or -EINVAL with a message. */
int why_frame(const struct why_words *words, struct why_frame *ret_frame, char error[WHY_ERROR_MAX]);

/* ---- a capture ---- */

struct why_pcap {
	FILE *file; /* the caller's */
	bool swapped;
	uint64_t at; /* offset of the next packet */
	unsigned n;  /* number of the last one */
};

/* The file's header. 0, or -EINVAL with a message. */
int why_pcap_open(FILE *file, struct why_pcap *ret_pcap, char error[WHY_ERROR_MAX]);
/*
 * 1: a frame; 0: the end; -EMSGSIZE with a message: this one is too large or too short to be asked about, the
 * next one may do; -EINVAL with a message: the file is damaged.
 */
int why_pcap_next(struct why_pcap *pcap, struct why_frame *ret_frame, char error[WHY_ERROR_MAX]);

/* ---- the answer ---- */

/* As an object (owned), with the names that policyd has for it. */
json_t *why_json(const char *run_dir, const char *interface, const struct why_frame *frame,
	const struct pst_why_reply *reply);
/* That object for people. */
void why_print(const json_t *answer, bool colour);

#endif
