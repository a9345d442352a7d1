/* SPDX-License-Identifier: Apache-2.0 */
/* Equal runs of lines in an arena are kept once. */
#ifndef PST_POLICYD_FW_INTERN_H
#define PST_POLICYD_FW_INTERN_H

#include "policyd/fw/tree.h"

/* Places of what was put into the arena, by contents. */
struct fw_intern {
	uint32_t *slots; /* line + 1 */
	size_t size, n;
};

void fw_intern_done(struct fw_intern *intern);
/* The place in @arena where @n lines like @lines lie, put there if they are not yet. 0; -ENOSPC; -ENOMEM. */
int fw_intern(struct fw_intern *intern, struct fw_arena *arena, const union pst_line *lines, uint32_t n,
	uint32_t *ret_line);

#endif
