// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as policies, in words or as the dice of random ones: what is accepted is compiled and held
 * against the plain evaluation. Then the tables are scribbled into, and looked up.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/policy/tables.h"
#include "proto/abi/lookup/policy.h"
#include "proto/base/cleanup.h"
#include "tests/unit/policyd/policy_random.h"

#define LINES 16384
#define ACTS  60

static union pst_line lines[LINES] __attribute__((aligned(64))), paths[LINES] __attribute__((aligned(64)));
static const struct policy_room room = {lines, paths, LINES, LINES};
static struct policy_sample sample;

static void scribble(const struct policy_tables *t, const uint8_t *data, size_t size)
{
	struct policy_made made = policy_tables_made(t);
	uint8_t *bytes = (uint8_t *)lines;
	uint64_t state = 3;

	for (size_t i = 0; i < size; i++)
		bytes[i * 7919 % (made.lines * sizeof(*lines))] ^= data[i];
	for (int i = 0; i < 20; i++) {
		struct policy_found found;
		struct pst_act act;

		policy_sample(t, &state, &sample);
		policy_facts(t, &sample.act, 1, &act);
		for (size_t k = 0; k < size && i % 2; k++)
			((uint8_t *)&act)[k * 31 % sizeof(act)] ^= data[k];
		found = policy_lookup(lines, LINES, &act);
		if (found.visits > PST_POL_VISITS_MAX)
			abort();
		(void)policy_tables_verdict(t, &found);
	}
}

static void check_set(const struct policy_set *set, const uint8_t *data, size_t size)
{
	static const uint64_t seed[2] = {1, 2};
	struct pst_conf_errors errors = {0};
	struct policy_tables *t = NULL;
	size_t n = ACTS;
	int e = policy_compile(set, &room, 1, seed, &errors, &t);

	if (!e != !errors.count || !e != !!t)
		abort(); /* refused, and nobody knows why */
	if (!e) {
		if (!policy_verify(t, &n, 7, &sample))
			abort();
		scribble(t, data, PST_MIN(size, (size_t)512));
	}
	policy_tables_free(t);
	pst_conf_errors_done(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_set set = {0};
	struct pst_conf_errors errors = {0};

	if (size && data[0] % 2) {
		policy_state = 1;
		policy_bytes = data + 1;
		policy_bytes_left = size - 1;
		policy_random_set(&set, 1 + data[0] / 8, 4);
		check_set(&set, data, size);
	} else if (size && !policy_parse(&set, "fuzz.yaml", data + 1, size - 1, &errors, NULL)) {
		check_set(&set, data, size);
	}
	policy_set_done(&set);
	pst_conf_errors_done(&errors);
	return 0;
}
