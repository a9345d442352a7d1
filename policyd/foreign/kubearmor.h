/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that read KubeArmor's policies share. */
#ifndef PST_POLICYD_FOREIGN_KUBEARMOR_H
#define PST_POLICYD_FOREIGN_KUBEARMOR_H

#include "policyd/foreign/internal.h"

#define ARMOR_EXEC PST_OP_BIT(PST_OP_PROCESS_EXEC)
#define ARMOR_OPEN PST_OP_BIT(PST_OP_FILE_OPEN)
/* what changes a file by its path */
#define ARMOR_CHANGES                                                                                        \
	(PST_OP_BIT(PST_OP_FILE_UNLINK) | PST_OP_BIT(PST_OP_FILE_RENAME) | PST_OP_BIT(PST_OP_FILE_LINK) |    \
		PST_OP_BIT(PST_OP_FILE_SYMLINK) | PST_OP_BIT(PST_OP_FILE_MKDIR) |                            \
		PST_OP_BIT(PST_OP_FILE_CHMOD) | PST_OP_BIT(PST_OP_FILE_CHOWN) |                              \
		PST_OP_BIT(PST_OP_FILE_TRUNCATE))
#define ARMOR_NET                                                                                            \
	(PST_OP_BIT(PST_OP_NET_SOCKET) | PST_OP_BIT(PST_OP_NET_CONNECT) | PST_OP_BIT(PST_OP_NET_ACCEPT))
#define ARMOR_CAP PST_OP_BIT(PST_OP_CAP_USE)

enum armor_action { ARMOR_NONE, ARMOR_ALLOW, ARMOR_AUDIT, ARMOR_BLOCK };

/* What stands in a policy, a section and a match alike, the inner before the outer. */
struct armor_common {
	enum armor_action action;
	const char *message;
};

struct armor_item {
	const struct pst_node *node;
	const char *label;
	uint64_t ops;
	struct armor_common common;
	bool read_only;
	struct foreign_buf object, source; /* conditions */
	unsigned rank;                     /* the larger, the sooner it counts */
	size_t depth, order;
};

struct armor_section {
	struct foreign_doc *d;
	const struct pst_node *node;
	const char *name;
	uint64_t ops;
	struct armor_common common;
	struct armor_item *v;
	size_t n;
	bool allows, incomplete; /* incomplete: what may be an Allow was left out */
};

/* A match of a section's lists: where it stands, and what it is of. */
struct armor_match {
	const char *section, *label, *list, *key;
	uint64_t ops;
	bool (*read)(struct armor_section *s, struct armor_item *item, const char *value);
};
extern const struct armor_match armor_matches[];
extern const size_t armor_n_matches;

/* "KEY:" with nothing behind it. */
bool armor_is_null(const struct pst_node *node);
/* What the level says, and what @outer says else. False: the action is none. */
bool armor_read_common(
	const struct pst_node *node, const struct armor_common *outer, struct armor_common *ret_common);
/* Told, and the section remembers it where it matters. */
void armor_refuse(struct armor_section *s, const struct armor_item *item, struct foreign_at at,
	const char *clause, const char *why);
/* False: it cannot be expressed, and that was told. */
bool armor_read_item(struct armor_section *s, struct armor_item *item, const struct armor_match *m);

#endif
