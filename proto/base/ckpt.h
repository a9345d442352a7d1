/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoint: how far a stage has come, in a mapped file in the run folder (<stage>.ckpt, 0640, group
 * penstock). Stores are plain memory writes, so it survives kill -9 at no cost; readers are the stage itself
 * after a restart, publishers that pace a replay by their subscribers, and `penstock status` (lag).
 *
 * One entry is one atomic unit: what was published and what had been consumed to make it change together, by
 * filling the idle copy and flipping `active` (one aligned store). So after kill -9 a stage repeats or loses
 * nothing: it goes on exactly after the last event whose result was committed.
 */
#ifndef PST_BASE_CKPT_H
#define PST_BASE_CKPT_H

#include <stdbool.h>
#include <stdint.h>

#define PST_CKPT_MAGIC   0x31504b4354535000ull
#define PST_CKPT_ENTRIES 16
#define PST_CKPT_TOPICS  8

struct pst_ckpt_words {
	uint64_t out_epoch;                /* own epoch; 0 if the entry has no output */
	uint64_t out_next;                 /* next sequence number to publish */
	uint64_t in_epoch;                 /* publisher's epoch; 0 if the entry has no input */
	uint64_t in_next[PST_CKPT_TOPICS]; /* next sequence number to handle, by topic id; UINT64_MAX: not
					      subscribed */
	uint64_t aux[3];                   /* collector: consumer position of the ring that feeds the topic */
};

struct pst_ckpt_entry {
	char name[16];         /* "out:proc", "in:enricher" */
	char in_publisher[16]; /* "collector"; "" if none */
	uint64_t active;       /* 0 or 1: which copy is valid; 2: none yet */
	struct pst_ckpt_words copy[2];
};

struct pst_ckpt {
	uint64_t magic;
	uint64_t version;    /* 1 */
	uint64_t updated_ns; /* CLOCK_BOOTTIME of the last store: a liveness sign */
	uint64_t pad[5];
	struct pst_ckpt_entry entry[PST_CKPT_ENTRIES];
};

/* Own checkpoint, made if absent; one with another magic, version or size is set aside as <path>.bad with a
 * log line.
 * @path NULL: in memory only. 0 or -errno. */
int pst_ckpt_open(const char *path, struct pst_ckpt **ret_ckpt);
/* Someone else's, read-only. -ENOENT, -EACCES, -EBADMSG. */
int pst_ckpt_view(const char *path, const struct pst_ckpt **ret_ckpt);
void pst_ckpt_close(const struct pst_ckpt *ckpt); /* NULL is fine; the file stays */
/* By name: found, or made when @make. NULL: none or no room. */
struct pst_ckpt_entry *pst_ckpt_entry(
	struct pst_ckpt *ckpt, const char *name, const char *in_publisher, bool make);
void pst_ckpt_store(struct pst_ckpt *ckpt, struct pst_ckpt_entry *entry, const struct pst_ckpt_words *words);
/* Consistent copy, also from another process; false if never stored. */
bool pst_ckpt_load(const struct pst_ckpt_entry *entry, struct pst_ckpt_words *ret_words);

#endif
