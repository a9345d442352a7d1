// SPDX-License-Identifier: Apache-2.0
/* Any bytes as an address list; what is accepted is built into a table, and each of its entries found there.
 */
#include <stdint.h>
#include <stdlib.h>

#include "policyd/block/block.h"

#define LINES (1u << 12)
#define NOW_S 1000

static void find(const union pst_line *lines, const struct block_entry *entry)
{
	struct pst_block_hit hit;
	enum pst_block_kind kind = block_lookup(lines, LINES, entry, NOW_S, &hit);

	if (kind != PST_BLOCK_ADDRESS && kind != PST_BLOCK_PREFIX)
		abort();
}

static void find_all(const union pst_line *lines, const struct block_list *list)
{
	for (size_t i = 0; i < list->n_addrs4; i++) {
		struct block_entry entry = {.lo = list->addrs4[i].addr, .len = 32};

		find(lines, &entry);
	}
	for (size_t i = 0; i < list->addrs6.n; i++)
		find(lines, &list->addrs6.v[i]);
	for (size_t i = 0; i < list->prefixes.n; i++)
		find(lines, &list->prefixes.v[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static union pst_line lines[LINES];
	static const struct block_clock clock = {
		.boot_ns = NOW_S * 1000000000ull, .unix_ns = 1893456000000000000ull};
	static const struct block_options options = {.now = NOW_S, .seed = {1, 2, 3}};
	struct pst_conf_errors errors = {0};
	struct block_set set = {0};
	struct block_loaded loaded;
	struct block_built built;
	uint32_t needed;

	if (block_parse("fuzz", data, size, &clock, &set.reasons, &set.block, &errors, &loaded))
		abort();
	if (loaded.bad != errors.count || loaded.bad + loaded.entries + loaded.expired > loaded.lines)
		abort();
	if (!block_build(&set, lines, LINES, &options, &built, &needed))
		find_all(lines, &set.block);
	pst_conf_errors_done(&errors);
	block_set_done(&set);
	return 0;
}
