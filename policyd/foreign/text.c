// SPDX-License-Identifier: Apache-2.0
/* Text that is written: YAML, and lines for people. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/foreign/internal.h"
#include "proto/base/cleanup.h"

void foreign_buf_done(struct foreign_buf *buf)
{
	free(buf->v);
	*buf = (struct foreign_buf){0};
}

static void put_bytes(struct foreign_buf *buf, const char *bytes, size_t len)
{
	size_t room = buf->room ? buf->room : 256;
	char *v;

	if (buf->failed)
		return;
	while (room < buf->n + len + 1)
		room *= 2;
	v = room == buf->room ? buf->v : realloc(buf->v, room);
	if (!v) {
		buf->failed = true;
		return;
	}
	buf->v = v;
	buf->room = room;
	memcpy(v + buf->n, bytes, len);
	buf->n += len;
	v[buf->n] = 0;
}

void foreign_put(struct foreign_buf *buf, const char *format, ...)
{
	PST_FREE char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		buf->failed = true;
		return;
	}
	put_bytes(buf, text, (size_t)n);
}

/* As many bytes as are whole characters; the text is UTF-8, as it was read from YAML. */
static size_t whole(const char *text, size_t max)
{
	size_t n = strlen(text);

	if (n <= max)
		return n;
	while (max && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--;
	return max;
}

static bool is_odd(const unsigned char *p)
{
	return *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0) ||
	       (*p == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9));
}

/* Characters that YAML takes for line breaks, or only as escapes. */
static unsigned escaped(const unsigned char *p, size_t *ret_len)
{
	*ret_len = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : 3;
	if (*p < 0x20 || *p == 0x7f)
		return *p + 0x10000u;
	if (*p == 0xc2 && p[1] < 0xa0)
		return p[1];
	if (*p == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9))
		return 0x2000u + (p[2] & 0x3fu);
	if (*p == 0xef && p[1] == 0xbb && p[2] == 0xbf)
		return 0xfeff;
	return *p == 0xef && p[1] == 0xbf && p[2] >= 0xbe ? 0xffc0u + (p[2] & 0x3fu) : 0;
}

void foreign_put_string(struct foreign_buf *buf, const char *text, size_t max)
{
	size_t n = whole(text, max), len;

	put_bytes(buf, "\"", 1);
	for (size_t i = 0; i < n; i += len) {
		unsigned c = escaped((const unsigned char *)text + i, &len);

		if (c) {
			foreign_put(buf, "\\u%04x", c & 0xffff);
			continue;
		}
		len = 1;
		if (text[i] == '"' || text[i] == '\\')
			put_bytes(buf, "\\", 1);
		put_bytes(buf, text + i, 1);
	}
	put_bytes(buf, "\"", 1);
}

void foreign_put_clean(struct foreign_buf *buf, const char *text, size_t max)
{
	size_t n = whole(text, max);

	for (size_t i = 0; i < n; i++)
		put_bytes(buf, is_odd((const unsigned char *)text + i) ? "?" : text + i, 1);
}
