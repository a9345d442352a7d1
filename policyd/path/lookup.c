// SPDX-License-Identifier: Apache-2.0
/* The walk of the kernel programs (bpf/lib/pathclass.bpf.h), in user space. */
#include <string.h>

#include "policyd/path/path.h"
#include "proto/abi/lookup/paths.h"
#include "proto/base/cleanup.h"

static uint32_t walk(const struct pst_half *half, const struct pst_paths_text *p, uint32_t root)
{
	struct pst_paths_walk w = {.entry = root};

	for (uint32_t i = 0; i < PST_PATH_MAX && pst_paths_goes_on(p, &w); i++)
		pst_paths_visit(half, p, &w);
	return pst_paths_class(half, w.entry);
}

void path_lookup(const union pst_line *lines, uint32_t n_lines, const uint8_t *path, size_t len,
	uint32_t ret_classes[PST_PATHS_AUTOMATA])
{
	const struct pst_half half = {.lines = lines, .mask = n_lines - 1};
	const struct pst_paths_head *head = (const struct pst_paths_head *)lines;
	struct pst_paths_buf buf;
	struct pst_paths_text p = {.bytes = buf.bytes, .start = PST_PATHS_MARGIN};

	p.len = (uint32_t)PST_MIN(len, PST_PATH_MAX);
	memset(buf.bytes, 0, PST_PATHS_MARGIN);
	memcpy(buf.bytes + p.start, path, p.len);
	memset(buf.bytes + p.start + p.len, 0, PST_PATHS_MARGIN);
	for (uint32_t a = 0; a < PST_PATHS_AUTOMATA; a++) {
		p.backward = head->backward >> a & 1;
		ret_classes[a] = a < head->n ? walk(&half, &p, head->root[a]) : 0;
	}
}
