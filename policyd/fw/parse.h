/* SPDX-License-Identifier: Apache-2.0 */
/* Firewall rules from YAML (docs/firewall.md), and where their counters are. */
#ifndef PST_POLICYD_FW_PARSE_H
#define PST_POLICYD_FW_PARSE_H

#include "policyd/fw/fw.h"
#include "proto/base/conf.h"

#define FW_TEXT_MAX     (16u << 20) /* bytes of a document */
#define FW_NODES_MAX    500000      /* values in it */
#define FW_SETS_MAX     1000
#define FW_SET_MAX      100000  /* elements of a set, or of a rule's list */
#define FW_ELEMENTS_MAX 2000000 /* of all lists; a set counts wherever it is named */
#define FW_NAME_MAX     64      /* bytes of a rule's or set's name */
#define FW_IFNAME_MAX   15

/* An element that was put into a set of the document, or taken out of it, by command. */
struct fw_set_change {
	char *set, *element;
	bool add;
	bool done; /* out: the set is another by it; not if there is no such set, or it has been so before */
	struct pst_conf_errors *errors; /* gets what is wrong with the element; NULL: nobody asks */
};

struct fw_context {
	/* The interface's index, 0: there is none of this name. */
	uint32_t (*ifindex)(const char *name, void *arg);
	void *arg;
	struct fw_set_change *changes;
	size_t n_changes;
};

#define FW_ELEMENT_MAX 64 /* bytes of an element's text, its NUL included */
/* The one way to write an element (address, network, port, range, address with port): 0 or -EINVAL. */
int fw_element_text(const char *element, struct pst_conf_errors *errors, char ret_text[FW_ELEMENT_MAX]);

/*
 * @len bytes of YAML into a fresh rule set, which the caller frees. @name stands for the file in messages.
 * @errors gets all that is wrong; @warnings (may be NULL) the rules that no packet can reach. Returns 0 or
 * -errno; on an error nothing is handed out. A rule's id is its number in the document, from 1; its counter
 * is that less 1 until fw_counters_assign().
 */
int fw_parse(const char *name, const char *text, size_t len, const struct fw_context *context,
	struct pst_conf_errors *errors, struct pst_conf_errors *warnings, struct fw_ruleset **ret_set);

/*
 * Places in pst_guard_counts.rule, below @max, for the rules of @new_set: a rule that has a namesake in @old
 * (may be NULL) takes its place over; others get a free one, if possible one that no rule of @old counts in,
 * since those count until the new table is in force. ret_fresh (may be NULL; one a rule) says which places
 * are to begin at 0. -ENOSPC: more rules than places; -ENOMEM. @new_set is untouched on an error.
 */
int fw_counters_assign(
	const struct fw_ruleset *old, struct fw_ruleset *new_set, uint32_t max, bool *ret_fresh);

#endif
