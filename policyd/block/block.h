/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block and allow lists: read from text (block_load), written as a table that the packet programs look up
 * (block_build, proto/abi/guard.h), and changed in a table that is in force (block_insert, block_remove).
 *
 * Text, one entry a line:  ADDRESS | PREFIX  [expires=DURATION | expires=TIME]  [reason=TEXT]  [# comment]
 *
 * - A prefix with bits set behind its length (10.0.0.1/8) is a bad line: whoever wrote it meant either the
 *   address or the network, and blocking the wrong one of them is worse than to ask.
 * - Octets with leading zeros (010) are bad: some read them as octal.
 * - An address written ::ffff:192.0.2.1 is that IPv4 address, which is what people copy it for; prefixes of
 *   ::ffff:0:0/96 are what they say, IPv6.
 * - What is there twice holds as long as the one that expires last, whose reason is shown; prefixes around
 *   one another likewise, and between equals the longer one. Of an address and a prefix around it the address
 *   is shown.
 * - A time in the past is no error: the entry is left out and counted.
 */
#ifndef PST_POLICYD_BLOCK_H
#define PST_POLICYD_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/abi/guard.h"
#include "proto/base/conf.h"

#define BLOCK_FILE_MAX     ((size_t)256 << 20)
#define BLOCK_LINE_MAX     1024
#define BLOCK_ENTRIES_MAX  4000000
#define BLOCK_REASON_MAX   64  /* bytes */
#define BLOCK_REASONS      256 /* 0: none was given; the last: one of those that found no place */
#define BLOCK_REASON_SLOTS 1024
#define BLOCK_GRACE_S      2

/* Texts by the number that the table holds. */
struct block_reasons {
	char *text[BLOCK_REASONS]; /* owned */
	unsigned n;                /* in use, from 1 on */
	uint8_t slots[BLOCK_REASON_SLOTS];
};

/* An address (the longest prefix) or a prefix; IPv4 in the low half of lo. */
struct block_entry {
	uint64_t hi, lo;
	uint32_t expires; /* second of CLOCK_BOOTTIME; 0: never */
	uint8_t len;
	uint8_t reason;
	bool ip6;
};

struct block_addr4 {
	uint32_t addr;
	uint32_t expires;
	uint8_t reason;
};

struct block_entries {
	struct block_entry *v;
	size_t n, size;
};

struct block_list {
	struct block_addr4 *addrs4;
	size_t n_addrs4, size4;
	struct block_entries addrs6;
	struct block_entries prefixes; /* of both families, shorter than an address */
};

/* All zero: empty. */
struct block_set {
	struct block_list block, allow;
	struct block_reasons reasons;
};

/* Both at one instant. */
struct block_clock {
	uint64_t boot_ns, unix_ns;
};

struct block_loaded {
	size_t lines, entries;
	size_t bad;     /* lines: an error each */
	size_t expired; /* entries left out */
	size_t unnamed; /* entries whose reason found no place in the table of texts */
};

void block_set_done(struct block_set *set);
struct block_clock block_clock_now(void);
/* The text of a reason; "" if none was given. */
const char *block_reason(const struct block_reasons *reasons, unsigned reason);

/*
 * Adds the lines of a file, or of @len bytes called @name, to @list. Bad lines are left out, counted, and
 * told to @errors. Returns 0, whatever the lines are like; -E2BIG: more than BLOCK_ENTRIES_MAX entries;
 * -EFBIG: more than BLOCK_FILE_MAX bytes; -ENOMEM; or what open(2) and read(2) say. After a failure the list
 * holds a part.
 */
int block_load(const char *path, const struct block_clock *clock, struct block_reasons *reasons,
	struct block_list *list, struct pst_conf_errors *errors, struct block_loaded *ret_loaded);
int block_parse(const char *name, const void *bytes, size_t len, const struct block_clock *clock,
	struct block_reasons *reasons, struct block_list *list, struct pst_conf_errors *errors,
	struct block_loaded *ret_loaded);
/* An address or a prefix without anything around it. 0 or -EINVAL. */
int block_entry_parse(const char *text, size_t len, struct block_entry *ret_entry);

struct block_options {
	uint32_t generation;
	uint32_t now;     /* second of CLOCK_BOOTTIME */
	uint32_t spare_4; /* room for so many addresses more, beside what chance leaves */
	uint32_t spare_6;
	uint64_t seed[3]; /* random bits, new for each table */
};

/* What block_build() made, for people. */
struct block_built {
	uint32_t lines; /* used */
	uint32_t buckets_4, buckets_6;
	uint32_t twice;   /* addresses that were there already */
	uint32_t records; /* of the trees */
};

/*
 * Writes the table into @lines (@n_lines, a power of two). 0; -ENOSPC, and how many lines would do in
 * ret_needed; -ENOMEM. On an error the lines hold rubbish, which harms nobody (they are not in force).
 */
int block_build(const struct block_set *set, union pst_line *lines, uint32_t n_lines,
	const struct block_options *options, struct block_built *ret_built, uint32_t *ret_needed);

/*
 * One address of the block list (its len is not looked at) in a table that may be in force; one writer at a
 * time. Readers see it whole or not at all:
 * - IPv4: the reason is written first, then address and expiry as one word. (A reader that is between the two
 *   may tell the reason of the address that has the slot next.)
 * - IPv6: the address, the reason, then the expiry, in a slot whose expiry has passed for BLOCK_GRACE_S. A
 *   reader loads the expiry first. One that finds the old expiry knows a later present, and does not match;
 *   one that finds the new expiry finds the new address behind it. (Where loads are in order, as on x86;
 *   elsewhere a packet may in that instant be held against one half each of two addresses.)
 * - How far a bucket's addresses went grows before the address appears, and never shrinks.
 * A reader's present may lag by a second; as long it may still find an IPv6 address that was removed.
 */
/* 0; 1: it was there, and now has this expiry and reason; -ENOSPC: build a new table. */
int block_insert(union pst_line *lines, uint32_t n_lines, const struct block_entry *entry, uint32_t now);
/* 0; -ENOENT. */
int block_remove(union pst_line *lines, uint32_t n_lines, const struct block_entry *entry, uint32_t now);

/* What the packet programs would find: enum pst_block_kind. */
enum pst_block_kind block_lookup(const union pst_line *lines, uint32_t n_lines,
	const struct block_entry *addr, uint32_t now, struct pst_block_hit *ret_hit);

#endif
