/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard's tables as they were when they came into force, in memory of the loader's own, where policyd,
 * which writes them, cannot reach. They are kept while the loader serves: those in force, and those before.
 * Nobody here understands what is in them: which of the two are good is for people to say.
 */
#ifndef PST_LOADER_COPIES_H
#define PST_LOADER_COPIES_H

#include <stdbool.h>
#include <stdint.h>

#include "loader/pins.h"
#include "loader/region.h"
#include "proto/abi/guard.h"

#define COPIES_MAX 2

enum copies_table { COPIES_FIREWALL, COPIES_LISTS, COPIES_SIGNATURES, COPIES_TABLES };

struct copy {
	struct pst_guard words;
	struct region half[COPIES_TABLES]; /* of the table that was in force; p NULL: none was */
	uint64_t sum[COPIES_TABLES];
	uint64_t taken_boot_ns;
};

struct copies {
	struct copy *v[COPIES_MAX]; /* the latest first; NULL: not yet */
	uint64_t seen[COPIES_TABLES];
	unsigned looks;
	/* bit n: table n in force is another than when it came into force, though its generation is not */
	unsigned changed;
};

/* Each second: copies what has been in force since the last look, and now and then compares it. */
void copies_look(struct copies *copies, const struct pins *pins);
/* "firewall", "firewall, signatures", ... into @buf; "" if nothing was changed. */
const char *copies_changed(const struct copies *copies, char *buf, size_t size);
/*
 * Puts copy @which in force, under new generations, which ret_generations gets. 0; -ENOENT: there is no such
 * copy; -ESTALE: the tables have another size by now; -errno.
 */
int copies_restore(struct copies *copies, const struct pins *pins, unsigned which,
	uint64_t ret_generations[COPIES_TABLES]);
void copies_done(struct copies *copies);

#endif
