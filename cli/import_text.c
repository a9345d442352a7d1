// SPDX-License-Identifier: Apache-2.0
/* Memory and text of the import. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/import_internal.h"
#include "proto/base/cleanup.h"

/* ---- text that grows ---- */

void import_buf_done(struct import_buf *buf)
{
	free(buf->v);
	*buf = (struct import_buf){0};
}

static bool make_room(struct import_buf *buf, size_t more)
{
	size_t room = buf->room ? buf->room : 4096;
	char *v;

	while (room < buf->n + more + 1)
		room *= 2;
	if (room == buf->room || buf->failed)
		return !buf->failed;
	v = realloc(buf->v, room);
	buf->failed = !v;
	if (!v)
		return false;
	buf->v = v;
	buf->room = room;
	return true;
}

void import_put(struct import_buf *buf, const char *text, size_t len)
{
	if (!make_room(buf, len))
		return;
	if (len)
		memcpy(buf->v + buf->n, text, len);
	buf->n += len;
	buf->v[buf->n] = 0;
}

static void print_v(struct import_buf *buf, const char *format, va_list ap)
{
	PST_FREE char *text = NULL;
	int n = vasprintf(&text, format, ap);

	if (n < 0) {
		text = NULL;
		buf->failed = true;
		return;
	}
	import_put(buf, text, (size_t)n);
}

void import_printf(struct import_buf *buf, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	print_v(buf, format, ap);
	va_end(ap);
}

/* Bytes of the character at @text, 0: it is none, or one that YAML or Penstock's names do not have. */
static size_t character(const unsigned char *text, size_t len)
{
	size_t n = *text < 0x80   ? 1
		   : *text < 0xc2 ? 0
		   : *text < 0xe0 ? 2
		   : *text < 0xf0 ? 3
		   : *text < 0xf5 ? 4
				  : 0;
	uint32_t c = n == 1 ? *text : n ? *text & (0xffu >> (n + 1)) : 0;

	if (!n || n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (text[i] & 0x3f);
	}
	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff)
		return 0;
	if ((n == 3 && c < 0x800) || (c >= 0xd800 && c < 0xe000) || (c & 0xfffe) == 0xfffe)
		return 0;
	return n == 4 && (c < 0x10000 || c > 0x10ffff) ? 0 : n;
}

void import_put_clean(struct import_buf *buf, const char *text, size_t len, size_t max)
{
	for (size_t at = 0, used = 0; at < len;) {
		size_t n = character((const unsigned char *)text + at, len - at);

		if (used + (n ? n : 1) > max)
			return;
		import_put(buf, n ? text + at : "?", n ? n : 1);
		used += n ? n : 1;
		at += n ? n : 1;
	}
}

/* ---- names: in quotes where they could be taken for something else ---- */

static void put_quoted(struct import_buf *to, const char *text, size_t len)
{
	import_put(to, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"' || text[i] == '\\')
			import_put(to, "\\", 1);
		import_put(to, text + i, 1);
	}
	import_put(to, "\"", 1);
}

static bool is_plain(const char *text)
{
	static const char *const special[] = {"yes", "no", "true", "false", "on", "off", "null", "y", "n"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(special); i++)
		if (!strcasecmp(special[i], text))
			return false;
	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && !(c > text && (strchr("-_.", *c) || (*c == ' ' && c[1]))))
			return false;
	return isalpha((unsigned char)text[0]);
}

void import_put_name(struct import_buf *to, const char *text, size_t len)
{
	if (is_plain(text))
		import_put(to, text, len);
	else
		put_quoted(to, text, len);
}

/* ---- memory that lives as long as the import ---- */

struct import_block {
	struct import_block *next;
	size_t used, room;
	max_align_t v[];
};

static struct import_block *block_new(struct import *im, size_t bytes)
{
	size_t room = bytes > 65536 ? bytes : 65536;
	struct import_block *b = im->bytes + room > IMPORT_BYTES_MAX ? NULL : calloc(1, sizeof(*b) + room);

	if (!b) {
		im->error = im->error ? im->error : im->bytes + room > IMPORT_BYTES_MAX ? -E2BIG : -ENOMEM;
		return NULL;
	}
	im->bytes += room;
	b->room = room;
	b->next = im->blocks;
	im->blocks = b;
	return b;
}

static size_t round_up(size_t bytes)
{
	return (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
}

void *import_alloc(struct import *im, size_t bytes)
{
	struct import_block *b = im->blocks;
	void *p;

	bytes = round_up(bytes);
	if (!b || b->room - b->used < bytes)
		b = block_new(im, bytes);
	if (!b)
		return NULL;
	p = (char *)b->v + b->used;
	b->used += bytes;
	return memset(p, 0, bytes);
}

void import_trim(struct import *im, void *last, size_t bytes)
{
	struct import_block *b = im->blocks;

	b->used = (size_t)((char *)last - (char *)b->v) + round_up(bytes);
}

char *import_format_text(struct import *im, const char *format, ...)
{
	PST_FREE char *text = NULL;
	char *copy;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		im->error = im->error ? im->error : -ENOMEM;
		return NULL;
	}
	copy = import_alloc(im, (size_t)n + 1);
	if (copy)
		memcpy(copy, text, (size_t)n + 1);
	return copy;
}

void import_free_all(struct import *im)
{
	while (im->blocks) {
		struct import_block *next = im->blocks->next;

		free(im->blocks);
		im->blocks = next;
	}
}

int import_bad(struct import *im, const char *format, ...)
{
	struct import_buf text = {0};
	va_list ap;

	va_start(ap, format);
	print_v(&text, format, ap);
	va_end(ap);
	import_put_clean(&im->said, im->name, strlen(im->name), 4096);
	import_put(&im->said, ":", 1);
	import_put_clean(&im->said, text.v ? text.v : "", text.n, 1000);
	import_put(&im->said, "\n", 1);
	import_buf_done(&text);
	return -EBADMSG;
}
