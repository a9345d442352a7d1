/* SPDX-License-Identifier: Apache-2.0 */
/* A number for each of many strings: names of rules and of sets. */
#ifndef PST_POLICYD_FW_NAMES_H
#define PST_POLICYD_FW_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fw_name {
	const char *name; /* the caller's; NULL: free */
	uint32_t value;
};

/* Zeroed: empty. */
struct fw_names {
	struct fw_name *v;
	size_t n, size;
};

void fw_names_done(struct fw_names *names);
/* 0, -ENOMEM, or -EEXIST: it is there already. */
int fw_names_add(struct fw_names *names, const char *name, uint32_t value);
bool fw_names_find(const struct fw_names *names, const char *name, uint32_t *ret_value);

#endif
