// SPDX-License-Identifier: Apache-2.0
/* Nothing degrades silently: what rules ask for that the guard cannot do at XDP, where it is there. */
#include <stdio.h>
#include <string.h>

#include "policyd/guard/internal.h"
#include "proto/base/log.h"

enum acts_idle {
	ACTS_MARK = 1,
	ACTS_REJECT = 2,
};

static bool at_xdp(const struct guard *g)
{
	const struct pst_guard *word = g->tables.guard.base;

	return guard_tables_mapped(&g->tables) &&
	       __atomic_load_n(&word->can, __ATOMIC_RELAXED) & PST_GUARD_AT_XDP;
}

static unsigned idle(const struct guard *g)
{
	const struct firewall_rules *rules = firewall_shown(&g->firewall);
	unsigned what = 0;

	for (size_t i = 0; at_xdp(g) && rules && i < rules->set->n; i++) {
		what |= rules->set->rules[i].has_mark ? ACTS_MARK : 0;
		what |= rules->set->rules[i].action == PST_FW_REJECT ? ACTS_REJECT : 0;
	}
	return what;
}

static void describe(unsigned what, char *text, size_t size)
{
	bool mark = what & ACTS_MARK, reject = what & ACTS_REJECT;

	snprintf(text, size, "%s%s%s", reject ? "rejects are not answered" : "", mark && reject ? ", " : "",
		mark ? "marks are not set" : "");
	if (what)
		snprintf(text + strlen(text), size - strlen(text),
			" on interfaces that are guarded at XDP (penstock status), only at tc");
}

void guard_acts_text(const struct guard *g, char *text, size_t size)
{
	describe(idle(g), text, size);
}

void guard_acts_tick(struct guard *g)
{
	unsigned now = idle(g);
	char text[GUARD_ACTS_TEXT];

	if (now & ~g->idle_told) {
		describe(now, text, sizeof(text));
		pst_warn("%s; loader.rungs.guard: tc has all of them there", text);
	}
	g->idle_told = now;
}
