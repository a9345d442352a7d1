// SPDX-License-Identifier: Apache-2.0
/* The inodes of what rules name, so that it is found under its other names, too (docs/design/policy.md). */
#include "policyd/policy/force_internal.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"

#define LOOK_NS   1000000000ull /* a file that was replaced is another one after that */
#define LOOK_PART 50            /* of the time no more than one part is spent on it */

static void show(struct force *f, const struct policy_inodes *seen)
{
	f->inodes->value = seen->set;
	f->inodes_missed->value = seen->hidden + seen->full;
}

/* What is only known by its path is told, once for each change. */
static void tell(struct force *f, const struct policy_inodes *seen)
{
	uint32_t missed = seen->hidden + seen->full;

	if (missed == f->inodes_told)
		return;
	f->inodes_told = missed;
	if (missed)
		pst_warn("files that rules name are known by their paths alone: other names of them are not "
			 "taken not_to_be_looked_at=%u no_room=%u",
			seen->hidden, seen->full);
}

void force_see_inodes(struct force *f, struct policy_tables *t)
{
	uint64_t start = pst_now_mono_ns(), took;
	struct policy_inodes seen;

	if (policy_inodes_fill(t, &seen)) {
		pst_warn_limited("out of memory: files that rules name were not looked at");
		return;
	}
	took = pst_now_mono_ns() - start;
	f->inodes_next_ns = start + PST_MAX(LOOK_NS, LOOK_PART * took);
	show(f, &seen);
	tell(f, &seen);
}

void force_look_at_inodes(struct force *f)
{
	if (f->current.tables && force_tables_mapped(&f->tables) && pst_now_mono_ns() >= f->inodes_next_ns)
		force_see_inodes(f, f->current.tables);
}
