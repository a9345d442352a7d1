/* SPDX-License-Identifier: Apache-2.0 */
/* Shared immutable byte strings: many processes run the same program. NULL is the empty string. */
#ifndef ENRICHER_STR_H
#define ENRICHER_STR_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire/event.h"

struct str {
	uint32_t refs;
	uint32_t len;
	char bytes[];
};

static inline struct str *str_new(const void *bytes, uint32_t len)
{
	struct str *s = len ? malloc(sizeof(*s) + len) : NULL;

	if (s) {
		s->refs = 1;
		s->len = len;
		memcpy(s->bytes, bytes, len);
	}
	return s;
}
static inline struct str *str_ref(struct str *s)
{
	if (s)
		s->refs++;
	return s;
}
static inline void str_unref(struct str *s)
{
	if (s && !--s->refs)
		free(s);
}
/* Replace what @slot holds; takes @s. */
static inline void str_set(struct str **slot, struct str *s)
{
	str_unref(*slot);
	*slot = s;
}
static inline struct pst_val str_val(const struct str *s)
{
	return s ? pst_val_str(s->bytes, s->len) : (struct pst_val){0};
}

#endif
