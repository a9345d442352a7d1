/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies of others, as Penstock's: KubeArmorPolicy, KubeArmorHostPolicy and KubeArmorClusterPolicy,
 * Tetragon's TracingPolicy and TracingPolicyNamespaced. What a clause means is kept, or its rule is left out
 * and told; what differs in any other way is told, too. What is written is what policy_parse() takes.
 */
#ifndef PST_POLICYD_FOREIGN_H
#define PST_POLICYD_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

#include "policyd/policy/policy.h"

struct foreign_options {
	const char *cgroup; /* a glob: control groups of what the originals select; NULL: not known */
	bool block;         /* KubeArmor's posture: what no Allow names is denied, not only told */
};

/* Text that grows. */
struct foreign_buf {
	char *v;
	size_t n, room;
	bool failed; /* no memory: what it holds is of no use */
};

/* Zeroed but for the options. */
struct foreign {
	struct foreign_options options;
	struct foreign_buf yaml; /* the policies */
	struct foreign_buf said; /* lines for people: what is left out or differs, where and why */
	unsigned policies, rules, left_out, notes, n_said;
	unsigned tried;        /* rules that were read */
	struct policy_set set; /* what was written, as it is read */
};

/* One file more. 0; -EBADMSG: it cannot be read, and @errors say where; -ENOMEM. */
int foreign_read(
	struct foreign *f, const char *name, const void *bytes, size_t len, struct pst_conf_errors *errors);
void foreign_done(struct foreign *f);

/* `penstock-policyd policy import` */
int foreign_main(int argc, char **argv);

#endif
