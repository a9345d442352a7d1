/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that read a firewall document share. */
#ifndef PST_POLICYD_FW_READER_H
#define PST_POLICYD_FW_READER_H

#include "policyd/fw/names.h"
#include "policyd/fw/parse.h"
#include "policyd/fw/words.h"

/* In the order in which they are read and shown. */
enum fw_key {
	FW_KEY_NAME,
	FW_KEY_FAMILY,
	FW_KEY_INTERFACE,
	FW_KEY_VLAN,
	FW_KEY_PROTO,
	FW_KEY_SRC,
	FW_KEY_DST,
	FW_KEY_SPORT,
	FW_KEY_DPORT,
	FW_KEY_TCP_FLAGS,
	FW_KEY_ICMP,
	FW_KEY_STATE,
	FW_KEY_DSCP,
	FW_KEY_ACTION,
	FW_KEY_REJECT_WITH,
	FW_KEY_LOG,
	FW_KEY_MARK,
	FW_KEYS,
};

/* Of the lists, the one that @holds says is used. */
struct fw_set {
	const char *name; /* the document's */
	enum fw_holds holds;
	bool bad; /* refused already: who names it says nothing more */
	struct fw_prefixes addrs;
	struct fw_ranges ranges;
	struct fw_endpoints ends;
};

struct fw_reader {
	struct pst_conf_ctx ctx;
	const struct fw_context *context;
	struct fw_set *sets;
	size_t n_sets;
	struct fw_names set_names, rule_names;
	size_t elements, n_next, n_paired;
	char what[FW_NAME_MAX + 16];        /* the key or set that is read, for messages */
	const struct pst_node *at[FW_KEYS]; /* of the rule that is read */
};

#define FW_REJECT(r, node, ...) pst_conf_reject(&(r)->ctx, node, __VA_ARGS__)

/* All of these: 0; -EINVAL: refused and said, the next value may be read; else: give up. */
typedef int fw_element(struct fw_reader *r, const struct pst_node *node, void *list);

/* A value or a list of values. */
int fw_read_each(struct fw_reader *r, const struct pst_node *node, fw_element *element, void *list);
/* The same, or {not: value or list}. */
int fw_read_list(
	struct fw_reader *r, const struct pst_node *node, fw_element *element, void *list, bool *ret_other);
/* Is this error still one of those that are kept? Only then a hint is looked for, which takes its time. */
static inline bool fw_wants_hint(const struct fw_reader *r)
{
	return r->ctx.errors->count < PST_CONF_ERRORS_MAX;
}
/* Says what is no such word. */
int fw_reject_word(
	struct fw_reader *r, const struct pst_node *node, const struct fw_words *words, const char *text);
/* Adds to a list that doubles; @node: whose fault it is when it grows too long. */
int fw_append(struct fw_reader *r, const struct pst_node *node, void **v, size_t *n, const void *from,
	size_t more, size_t bytes);

/* What a rule's src or dst may be: addresses, or addresses with ports. */
struct fw_side {
	struct fw_prefixes *addrs;
	struct fw_endpoints *ends;
};

/* All also take the elements of $set. */
fw_element fw_read_prefix;   /* struct fw_prefixes */
fw_element fw_read_endpoint; /* struct fw_endpoints */
fw_element fw_read_address;  /* struct fw_side */
fw_element fw_read_port;     /* struct fw_ranges */
fw_element fw_read_vlan;     /* struct fw_ranges; no sets */

/* What an element is, by its looks: not $set. */
enum fw_holds fw_element_holds(const char *text);
/* Into the set's list of what it holds. */
int fw_read_element(struct fw_reader *r, const struct pst_node *node, struct fw_set *set);
void fw_set_done(struct fw_set *set);
size_t fw_set_size(const struct fw_set *set);

int fw_read_sets(struct fw_reader *r, const struct pst_node *node);
void fw_sets_done(struct fw_reader *r);
/* Names and sizes, for people. */
int fw_sets_info(const struct fw_reader *r, struct fw_ruleset *set);
/* The set that "$name" names: of @holds, or empty. */
int fw_find_set(
	struct fw_reader *r, const struct pst_node *node, enum fw_holds holds, const struct fw_set **ret_set);
/* What commands changed about a set that was just read from @node. */
int fw_set_change(struct fw_reader *r, const struct pst_node *node, struct fw_set *set);

/* Words of the one protocol that the rule takes; false: it may take both ICMP and ICMPv6. */
bool fw_icmp_words(
	const struct fw_rule *rule, const struct fw_words **ret_types, const struct fw_words **ret_codes);
int fw_read_icmp(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule);
int fw_read_tcp_flags(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule);

/* Reads a rule; its possibility is checked. */
int fw_read_rule(struct fw_reader *r, const struct pst_node *node, struct fw_rule *rule);

/* 1: some packet matches the rule; 0: none can, ret_key and ret_why say why; -ENOMEM. */
int fw_rule_possible(const struct fw_rule *rule, enum fw_key *ret_key, const char **ret_why);

/* For each rule, in @ret_by: the index of an earlier one that takes all it takes, or -1. Finds what can be
 * found one rule against one other, field by field, in bounded time. */
int fw_shadowed(const struct fw_ruleset *set, long *ret_by);

#endif
