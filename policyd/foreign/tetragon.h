/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that read Tetragon's policies share. */
#ifndef PST_POLICYD_FOREIGN_TETRAGON_H
#define PST_POLICYD_FOREIGN_TETRAGON_H

#include "policyd/foreign/internal.h"

/* How the operation is to the function that is hooked. */
enum tracing_fit {
	TRACING_SAME,
	TRACING_NEAR,  /* it takes less, or at another time: always told */
	TRACING_WIDER, /* it takes more: only for what is told, and not where it would hold up or let through
			*/
};

/* What an argument of the function is. */
enum tracing_arg {
	TRACING_NO_ARG,
	TRACING_PATH,
	TRACING_WRITTEN,  /* a path as the caller wrote it */
	TRACING_MAY,      /* MAY_READ and the like */
	TRACING_PROT,     /* PROT_READ and the like */
	TRACING_FAMILY,   /* a number */
	TRACING_SOCKADDR, /* the address that is connected or bound to */
	TRACING_SOCKET,   /* of which it is: protocol and family */
	TRACING_PEER,     /* a socket by its other end */
	TRACING_OWN,      /* a socket by its own end */
	TRACING_SIGNAL,
	TRACING_CAP,
	TRACING_MODULE,
};

struct tracing_hook {
	const char *call;
	enum pst_pol_op op;
	enum tracing_fit fit;
	const char *why;   /* of NEAR and WIDER */
	const char *conds; /* conditions that come with it, or NULL */
	struct {
		unsigned index;
		enum tracing_arg arg;
	} args[3];
};

/* NULL: no operation is like this function. Names of system calls may have their architecture's prefix. */
const struct tracing_hook *tracing_hook_find(const char *call);

/* A selector on its way to one rule or two. */
struct tracing_selector {
	struct foreign_doc *d;
	const struct tracing_hook *hook;
	const struct pst_node *entry, *node; /* of the hook; NULL: it has none */
	const char *label;
	bool args_have_other_numbers; /* a tracepoint's */
	struct foreign_rule rule;
	struct foreign_buf own, children; /* the program itself, those that descend from it */
	uint64_t keys;                    /* conditions that are there */
};

/* False: that it cannot be expressed was told. */
bool tracing_refuse(const struct tracing_selector *s, struct foreign_at at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Is it the first condition of this kind? */
bool tracing_take_key(struct tracing_selector *s, const struct pst_node *node, enum policy_key key);
bool tracing_read_args(struct tracing_selector *s, const struct pst_node *list);
bool tracing_read_subject(struct tracing_selector *s);
/* The values of a filter: at least one scalar. */
bool tracing_values(
	const struct tracing_selector *s, const struct pst_node *filter, const struct pst_node **ret_values);

#endif
