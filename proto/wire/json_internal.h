/* SPDX-License-Identifier: Apache-2.0 */
/* Between json.c and json_event.c: writing into room that was reserved. */
#ifndef PST_WIRE_JSON_INTERNAL_H
#define PST_WIRE_JSON_INTERNAL_H

#include "proto/wire/mp.h"

#define PST_JSON_STR_MAX(len)                                                                                \
	(6 * (size_t)(len) + 10) /* all escaped as \u0000; eight more, since words are stored whole */
#define PST_JSON_BASE64_MAX(len) ((size_t)(len) / 3 * 4 + 6)

/* NULL without memory. */
static inline char *pst_json_room(struct pst_buf *out, size_t n)
{
	return pst_buf_reserve(out, n) ? (char *)out->p + out->len : NULL;
}
static inline void pst_json_end(struct pst_buf *out, const char *w)
{
	out->len = (size_t)((const uint8_t *)w - out->p);
}
/* With quotes, at @w, where as many bytes as above may be written. @ret_valid: the bytes were UTF-8. */
char *pst_json_put_str(char *w, const void *bytes, size_t len, bool *ret_valid);
char *pst_json_put_base64(char *w, const void *bytes, size_t len);

#endif
