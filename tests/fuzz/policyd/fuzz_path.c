// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as patterns (a byte for the kind, the text, NUL) and last a path. What is accepted is compiled
 * and held against the plain evaluation; then the table is scribbled into.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/path/path.h"
#include "proto/base/cleanup.h"

#define LINES    16384
#define PATTERNS 200

static union pst_line lines[LINES] __attribute__((aligned(64)));

static void check_path(
	const struct path_set *set, const struct path_compiled *c, const uint8_t *path, size_t len)
{
	uint32_t classes[PST_PATHS_AUTOMATA];
	size_t found = 0, matching = 0;
	uint64_t steps = 0;

	path_lookup(lines, LINES, path, len, classes);
	for (uint32_t a = 0; a < c->n; a++)
		found += path_class(c, a, classes[a]).n;
	for (uint32_t i = 0; i < set->n; i++)
		matching += path_matches(&set->v[i], path, len, &steps);
	if (found != matching)
		abort();
}

static void check_set(const struct path_set *set, const uint8_t *path, size_t len)
{
	uint8_t sample[PST_PATH_MAX], *bytes = (uint8_t *)lines;
	uint32_t refused = UINT32_MAX, classes[PST_PATHS_AUTOMATA];
	struct path_compiled c;
	size_t sample_len, n = 100;

	if (path_compile(set, lines, LINES, &c, &refused)) {
		if (refused >= set->n)
			abort(); /* refused, and nobody knows what */
		return;
	}
	if (!path_verify(set, &c, lines, LINES, &n, 7, sample, &sample_len))
		abort();
	if (len && path[0] == '/' && !memchr(path, 0, len))
		check_path(set, &c, path, len);
	for (size_t i = 0; i < len; i++)
		bytes[(size_t)i * 7919 % (c.lines * sizeof(*lines))] ^= path[i];
	path_lookup(lines, LINES, path, len, classes);
	path_compiled_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct path_set set = {0};
	const uint8_t *end;

	while (size && set.n < PATTERNS && (end = memchr(data, 0, size))) {
		struct path_error error = {0};
		uint32_t pattern = UINT32_MAX;
		size_t len = (size_t)(end - data);
		int e = len ? path_set_add(&set, (enum path_kind)(data[0] % PATH_KINDS), data + 1, len - 1,
				      &pattern, &error)
			    : 0;

		if (e ? !error.what || error.at > len : len && pattern >= set.n)
			abort();
		data += len + 1;
		size -= len + 1;
	}
	check_set(&set, data, PST_MIN(size, (size_t)PST_PATH_MAX));
	path_set_done(&set);
	return 0;
}
