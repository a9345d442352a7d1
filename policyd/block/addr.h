/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and prefixes in text. */
#ifndef PST_POLICYD_BLOCK_ADDR_H
#define PST_POLICYD_BLOCK_ADDR_H

#include "policyd/block/block.h"

/* What is wrong with a text, and at which of its bytes. */
struct block_fault {
	const char *what;
	size_t at;
};

/* The byte after four octets, or NULL. At most 16 bytes from @p on are looked at; they must be there. */
static inline const char *block_octets(const char *p, uint32_t *ret_addr)
{
	uint32_t addr = 0;

	for (int i = 0; i < 4; i++) {
		uint32_t v = (uint8_t)*p - (uint32_t)'0', digit;

		if (v > 9)
			return NULL;
		digit = (uint8_t) * ++p - (uint32_t)'0';
		if (digit <= 9) {
			uint32_t last = (uint8_t)p[1] - (uint32_t)'0';

			if (!v)
				return NULL;
			v = v * 10 + digit;
			p++;
			if (last <= 9) {
				v = v * 10 + last;
				p++;
			}
			if (v > 255)
				return NULL;
		}
		addr = addr << 8 | v;
		if (i < 3 && *p++ != '.')
			return NULL;
	}
	*ret_addr = addr;
	return p;
}

/* Exactly these @len bytes. 0, or -EINVAL with the fault. */
int block_addr_parse(
	const char *text, size_t len, struct block_entry *ret_entry, struct block_fault *ret_fault);

#endif
