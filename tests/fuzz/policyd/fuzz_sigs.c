// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a document of signatures; what is accepted makes a table that a program can use, and other
 * bytes as the table before it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/ddos/sigs.h"

static void check_entry(const struct pst_sig *e)
{
	if (e->sport[0] > e->sport[1] || e->dport[0] > e->dport[1] || e->len[0] > e->len[1] ||
		e->need > PST_SIG_BYTES || e->counter >= PST_SIGS)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sig_set set;
	static struct pst_sigs table, old;
	struct pst_conf_errors errors = {0};
	uint64_t fresh;
	int e;

	set.n = 0;
	e = sigs_parse("fuzz", (const char *)data, size, &errors, &set);
	if (!e != !errors.count || (e && set.n))
		abort();
	if (!e && sigs_build(&set, &table))
		abort();
	if (!e) {
		memcpy(&old, data, size < sizeof(old) ? size : sizeof(old));
		sigs_places(&table, &old, &fresh);
		for (unsigned i = 0; i < PST_SIGS; i++)
			check_entry(&table.sig[i]);
		for (size_t i = 0; i < set.n; i++)
			if (sigs_place(&table, &set.v[i]) >= PST_SIGS)
				abort();
	}
	pst_conf_errors_done(&errors);
	return 0;
}
