/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel programs, compiled into this binary. */
#ifndef PST_LOADER_IMAGES_H
#define PST_LOADER_IMAGES_H

#include <stddef.h>
#include <stdint.h>

struct image {
	const char *name; /* bpf/<name>.bpf.c */
	const void *(*bytes)(size_t *ret_size);
};

/* In the order in which they are loaded. */
extern const struct image images[];
extern const size_t n_images;

#define IMAGES_MAX 32

int image_find(const char *name); /* index or -1 */

struct fingerprint {
	uint64_t v[2];
};
/* Two independent 64-bit sums: against accidents, not against an attacker (who would be root). Never all
 * zero. */
void fingerprint_init(struct fingerprint *fp);
void fingerprint_add(struct fingerprint *fp, const void *bytes, size_t len);

#endif
