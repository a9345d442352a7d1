/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the import share. The readers (import_nft*, import_ipt*) make chains of rules; a rule
 * takes the packets whose every field lies in a set of numbers. import_walk puts user chains in the place of
 * jumps; import_print writes what comes out of it.
 */
#ifndef CLI_IMPORT_INTERNAL_H
#define CLI_IMPORT_INTERNAL_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/import.h"

/* ---- bounds: of the document, as its reader has them, and of the work ---- */

#define IMPORT_RULES_MAX    15872
#define IMPORT_NEXT_MAX     64 /* rules that decide nothing */
#define IMPORT_SETS_MAX     1000
#define IMPORT_LIST_MAX     100000
#define IMPORT_ELEMENTS_MAX 2000000
#define IMPORT_NODES_MAX    450000
#define IMPORT_YAML_MAX     (15u << 20)
#define IMPORT_NAME_MAX     64
#define IMPORT_IFNAME_MAX   15
#define IMPORT_DEPTH_MAX    16 /* jumps within jumps, as the kernel allows */
#define IMPORT_ALTS_MAX     32
#define IMPORT_CHAINS_MAX   1000       /* of hooks */
#define IMPORT_VISITS_MAX   100000     /* rules, each as often as its chain is jumped to */
#define IMPORT_SAID_MAX     2000       /* lines about rules */
#define IMPORT_WORK_MAX     100000000u /* intervals compared */
#define IMPORT_BYTES_MAX    (256u << 20)

struct import;
struct import_chain;

/* ---- text that grows (import_text.c) ---- */

struct import_buf {
	char *v;
	size_t n, room;
	bool failed; /* no memory: what it holds is of no use */
};
void import_buf_done(struct import_buf *buf);
void import_put(struct import_buf *buf, const char *text, size_t len);
void import_printf(struct import_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What others wrote, fit for YAML and for a terminal: anything else becomes '?'. At most @max bytes. */
void import_put_clean(struct import_buf *buf, const char *text, size_t len, size_t max);

/* In quotes, if it could be taken for something else than text. */
void import_put_name(struct import_buf *buf, const char *text, size_t len);

/* Zeroed, and freed with the rest; NULL and im->error when there is no more. */
void *import_alloc(struct import *im, size_t bytes);
/* What was allocated last is only @bytes long. */
void import_trim(struct import *im, void *last, size_t bytes);
char *import_format_text(struct import *im, const char *format, ...) __attribute__((format(printf, 2, 3)));
void import_free_all(struct import *im);
/* Bad input: the message is remembered; always -EBADMSG. */
int import_bad(struct import *im, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- sets of numbers (import_spans.c) ---- */

__extension__ typedef unsigned __int128 import_value;

struct import_span {
	import_value lo, hi;
};

/* A set that has a name in the text, and then in the document. */
struct import_set {
	const char *name; /* in the document; NULL: not written yet */
	const char *from; /* name in the text */
	size_t n;         /* elements in the document */
};

/* Sorted, disjoint, not adjacent; immutable. */
struct import_spans {
	import_value max;       /* of all numbers there could be */
	struct import_set *set; /* these are its elements, or all but these; NULL: none is */
	bool other;
	size_t n;
	struct import_span v[];
};

struct import_list { /* in any order */
	struct import_span *v;
	size_t n, room;
};
void import_list_done(struct import_list *list);
void import_list_add(struct import *im, struct import_list *list, import_value lo, import_value hi);
const struct import_spans *import_spans_make(struct import *im, struct import_list *list, import_value max);
const struct import_spans *import_spans_one(
	struct import *im, import_value lo, import_value hi, import_value max);
const struct import_spans *import_spans_not(struct import *im, const struct import_spans *a);
const struct import_spans *import_spans_and(
	struct import *im, const struct import_spans *a, const struct import_spans *b);
bool import_spans_has(const struct import_spans *spans, import_value value);

/* ---- what a rule takes ---- */

enum import_field { /* KIND is first: it says which addresses SRC and DST are */
	IMPORT_KIND,
	IMPORT_IFACE,
	IMPORT_VLAN,
	IMPORT_PROTO,
	IMPORT_SRC,
	IMPORT_DST,
	IMPORT_SPORT,
	IMPORT_DPORT,
	IMPORT_FLAGS,
	IMPORT_ICMP, /* type << 8 | code */
	IMPORT_STATE,
	IMPORT_DSCP,
	IMPORT_FIELDS,
};

enum { IMPORT_IP4, IMPORT_IP6, IMPORT_NO_IP, IMPORT_KINDS };

#define IMPORT_IFACES                                                                                        \
	0xffffffffu /* the last number that an interface could have; names are numbered from 0 */

struct import_cond {
	const struct import_spans *f[IMPORT_FIELDS]; /* NULL: any */
};

/* False, and @cond is of no use: nothing is left. */
bool import_cond_and(struct import *im, struct import_cond *cond, const struct import_cond *with);
bool import_cond_add(struct import *im, struct import_cond *cond, enum import_field field,
	const struct import_spans *spans);

/* Cases of which a packet is in one at most. */
struct import_alts {
	struct import_cond v[IMPORT_ALTS_MAX];
	unsigned n;
};
/* False: it cannot be said, or not in so few cases; @alts is then as it was. */
bool import_alts_subtract(struct import *im, struct import_alts *alts, const struct import_cond *cond);
void import_alts_and(struct import *im, const struct import_alts *alts, const struct import_cond *cond,
	struct import_alts *ret_alts);

/* ---- words (import_words.c) ---- */

struct import_word {
	const char *name; /* in the document, and in the text */
	const char *also; /* in the text */
	unsigned value;
};
extern const struct import_word import_protocols[], import_states[], import_dscps[], import_flags[],
	import_icmp4_types[], import_icmp6_types[], import_icmp4_codes[], import_icmp6_codes[];
/* A word or a decimal or hexadecimal number up to @max (0: words only). */
bool import_word_value(
	const struct import_word *words, const char *text, size_t len, unsigned max, unsigned *ret_value);
/* The document's word for what a reject is answered with; NULL: as it is by itself, or unknown. */
const char *import_reject_with(const char *text);
const char *import_word_name(const struct import_word *words, unsigned value);
bool import_number(const char *text, size_t len, uint64_t max, uint64_t *ret_value);
/* An address of @kind; with @bits not NULL also address/bits or address/mask (-1: a mask with holes). */
bool import_address(const char *text, size_t len, int kind, import_value *ret_value, int *ret_bits);
void import_prefix(import_value address, int bits, int kind, struct import_span *ret_span);
import_value import_address_max(int kind);
/* The interface's number; false: this cannot be a name. */
bool import_iface(struct import *im, const char *name, size_t len, unsigned *ret_number);

/* ---- rules and chains ---- */

enum import_verdict {
	IMPORT_NOTHING,
	IMPORT_ACCEPT,
	IMPORT_DROP,
	IMPORT_REJECT,
	IMPORT_RETURN,
	IMPORT_JUMP,
	IMPORT_GOTO,
};

struct import_rule {
	struct import_rule *next; /* of its chain */
	struct import_rule *also; /* another part of the same rule */
	struct import_chain *chain;
	uint64_t number;  /* line or handle */
	const char *name; /* its comment, or NULL */
	const char *line; /* as it was written: this, or `expr` */
	size_t line_len;
	const json_t *expr;
	const char *why; /* it cannot be expressed; NULL: it can */
	bool never;      /* no packet meets its conditions */
	struct import_cond cond;
	enum import_verdict verdict;
	const char *target_name;
	struct import_chain *target;
	const char *reject_with; /* a word of the document; NULL: by the protocol */
	bool log, has_mark;
	uint32_t mark;
};

enum import_hook { IMPORT_NO_HOOK, IMPORT_INGRESS, IMPORT_PREROUTING, IMPORT_INPUT, IMPORT_OTHER_HOOK };

struct import_chain {
	const char *family, *table, *name;
	enum import_hook hook;
	const char *hook_name;
	bool nat, forwards; /* forwards: its hook is `forward` */
	bool no_device;     /* the text does not say of which interfaces it is */
	bool drops;         /* its policy */
	int64_t priority;
	size_t order; /* in the text */
	struct import_cond base;
	struct import_rule *first, *last;
	size_t n_rules;
};

struct import {
	const char *name, *place; /* place: "line" or "handle" */
	const struct import_options *options;
	int error; /* the first that no caller could be told of: -ENOMEM, -E2BIG */
	uint64_t work;
	size_t bytes;
	struct import_block *blocks;
	struct import_chain **chains;
	size_t n_chains;
	json_t *chain_index, *iface_index, *set_index, *set_cache, *rule_names, *set_names;
	const struct import_spans **cached; /* by the numbers in set_cache */
	size_t n_cached;
	char **ifaces;
	size_t n_ifaces;
	struct import_buf rules, sets, said;
	unsigned n_rules, n_next, n_sets, n_said, left_out, visits, notes;
	size_t elements, nodes;
};

void import_cache_set(struct import *im, const char *key, const struct import_spans *spans);
struct import_chain *import_chain_find(
	const struct import *im, const char *family, const char *table, const char *name);
struct import_chain *import_chain_add(
	struct import *im, const char *family, const char *table, const char *name);
struct import_rule *import_rule_add(struct import *im, struct import_chain *chain, uint64_t number);
bool import_rule_take(struct import *im, struct import_rule *rule, enum import_field field,
	const struct import_spans *spans);
/* The first reason stays. Always false. */
bool import_rule_refuse(struct import *im, struct import_rule *rule, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The readers: 0 or -EBADMSG. */
int import_read_nft(struct import *im, json_t *root);
int import_read_ipt(struct import *im, const char *text, size_t len, bool ip6);
bool import_nft_match(struct import *im, struct import_rule *rule, const json_t *match);
bool import_nft_spans(struct import *im, struct import_rule *rule, const json_t *left, const json_t *op,
	const json_t *right);
bool import_ipt_rule(struct import *im, struct import_rule *rule, char **words, size_t n, bool ip6);

/* The chain's rules, in the place where a packet would meet them. @more: another chain comes after it. */
void import_walk(struct import *im, struct import_chain *chain, bool more);
/* ", key: value" of a field that has a list. NULL, or why not. */
const char *import_put_field(
	struct import *im, struct import_buf *to, const struct import_cond *c, enum import_field field);
/*
 * Rules for all @alts at once, or none of them: NULL, or why not. @action: "accept", ... @dry: only tells.
 */
const char *import_print(struct import *im, const struct import_rule *rule, const char *name,
	const struct import_alts *alts, const char *action, bool dry);
/* A rule that is left out: a comment at its place, and a line in `said`. @by: the jump to its chain, or NULL.
 */
void import_leave_out(
	struct import *im, const struct import_rule *rule, const struct import_rule *by, const char *why);
void import_note(struct import *im, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
