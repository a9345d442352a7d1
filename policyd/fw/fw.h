/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firewall rules: as they are written (struct fw_rule), evaluated one by one (fw_linear), and compiled into
 * the table that the packet programs look up (fw_compile, proto/abi/guard.h).
 */
#ifndef PST_POLICYD_FW_H
#define PST_POLICYD_FW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/abi/guard.h"

/* IPv4 as ::ffff:0:0/96 and longer. Bits behind the prefix are zero. */
struct fw_prefix {
	uint8_t addr[16];
	uint8_t len;
};

struct fw_prefixes {
	struct fw_prefix *v;
	size_t n;
	bool other; /* true: all but these */
};

struct fw_range {
	uint16_t lo, hi;
};

struct fw_ranges {
	struct fw_range *v;
	size_t n;
	bool other;
};

/* An address with a port. */
struct fw_endpoint {
	uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint16_t port;
};

struct fw_endpoints {
	struct fw_endpoint *v;
	size_t n;
	bool other;
};

enum fw_has {
	FW_HAS_PROTO = 1,
	FW_HAS_TCP_FLAGS = 2,
	FW_HAS_ICMP = 4,
	FW_HAS_STATE = 8,
	FW_HAS_DSCP = 16,
	FW_HAS_IFACE = 32,
	FW_HAS_NOTHING = 64, /* it names an empty set: no packet matches */
};

/* What is not set matches everything; lists that are empty too. */
struct fw_rule {
	char *name;                  /* unique in a set that was parsed; may be NULL in one that was not */
	uint8_t family;              /* 4, 6, 0: both, and what is no IP */
	uint8_t has;                 /* enum fw_has */
	uint8_t tcp_mask, tcp_value; /* TCP with (flags & mask) == value */
	uint8_t state;               /* bit n: enum pst_ct_state n */
	uint8_t action;              /* enum pst_fw_action */
	uint8_t with;                /* enum pst_fw_with; of PST_FW_REJECT */
	bool log;
	bool has_mark;
	uint32_t mark;
	uint32_t id;           /* number in the source; also in events and counters */
	uint32_t counter;      /* place in pst_guard_counts.rule */
	uint64_t dscp;         /* bit n: DSCP n */
	uint64_t protocols[4]; /* bit n: IP protocol n */
	struct fw_prefixes src, dst;
	struct fw_endpoints ends[2];   /* source, destination; where they are, src or dst is empty */
	struct fw_ranges sport, dport; /* only packets that have ports */
	struct fw_ranges icmp;         /* type << 8 | code, of ICMP or ICMPv6 */
	struct fw_ranges vlan;         /* only tagged packets */
	uint32_t *ifaces;
	size_t n_ifaces;
};

/* What the elements of a set are. */
enum fw_holds { FW_HOLDS_UNKNOWN /* it is empty */, FW_HOLDS_ADDRESSES, FW_HOLDS_PORTS, FW_HOLDS_ENDPOINTS };

/* A set of the document, for people. */
struct fw_set_info {
	char *name;
	enum fw_holds holds;
	size_t n; /* elements */
};

struct fw_ruleset {
	struct fw_rule *rules;
	size_t n;
	enum pst_fw_action policy;
	struct fw_set_info *sets;
	size_t n_sets;
};

bool fw_prefix_is_ip4(const struct fw_prefix *prefix);
bool fw_addr_is_ip4(const uint8_t addr[16]);
void fw_rule_done(struct fw_rule *rule);
void fw_ruleset_done(struct fw_ruleset *set);
/* Also the struct itself; NULL is fine. */
void fw_ruleset_free(struct fw_ruleset *set);
void fw_ruleset_freep(struct fw_ruleset **set);

/* Does the rule match? */
bool fw_rule_matches(const struct fw_rule *rule, const struct pst_fw_packet *packet);
/* The plain evaluation: index of the first rule that matches and is not PST_FW_NEXT, or -1 (the policy
 * holds). */
long fw_linear(const struct fw_ruleset *set, const struct pst_fw_packet *packet);
/* Of several packets; each rule is fetched into the cache once for all of them. */
void fw_linear_many(
	const struct fw_ruleset *set, const struct pst_fw_packet *packets, size_t n, long *ret_rules);
/* The same from compiled lines. */
long fw_lookup(const union pst_line *lines, uint32_t n_lines, const struct pst_fw_packet *packet);

/* What fw_compile() made, for people. */
struct fw_compiled {
	uint32_t lines; /* used */
	size_t chunks, classes;
};

/*
 * Writes the table into @lines (@n_lines, a power of two). 0; -ENOSPC: it needs more lines; -E2BIG: more than
 * PST_FW_RULES_MAX rules, or than PST_FW_NEXT_MAX that say nothing, or than PST_FW_PAIRED_MAX with addresses
 * and ports in one list; -ENOMEM. On an error the lines hold
 * rubbish, which harms nobody (they are not in force).
 */
int fw_compile(const struct fw_ruleset *set, union pst_line *lines, uint32_t n_lines, uint32_t generation,
	struct fw_compiled *ret_compiled);

/* A packet made from the corners of some rule, or by chance; @state, not 0, goes on. */
void fw_sample(const struct fw_ruleset *set, uint64_t *state, struct pst_fw_packet *ret_packet);
/*
 * Compares lines with the plain evaluation on @n packets made from the rules' own corners and at random.
 * True if they agree on all; else ret_packet is one on which they do not.
 */
bool fw_verify(const struct fw_ruleset *set, const union pst_line *lines, uint32_t n_lines, size_t n,
	uint64_t seed, struct pst_fw_packet *ret_packet);

#endif
