// SPDX-License-Identifier: Apache-2.0
/* A table as commented YAML; what is printed can be read back. */
#include "proto/base/cleanup.h"
#include "proto/base/conf_internal.h"

#include <string.h>
#include <strings.h>

#define WIDTH  100
#define INDENT 2

static void indent(unsigned depth)
{
	printf("%*s", (int)(depth * INDENT), "");
}

/* "# " and the words of @text, wrapped. */
static void print_help(const char *text, unsigned depth)
{
	unsigned at = 0;

	while (*text) {
		unsigned len = (unsigned)strcspn(text, " \n");

		if (at && at + 1 + len > WIDTH) {
			putchar('\n');
			at = 0;
		}
		if (!at) {
			indent(depth);
			putchar('#');
			at = depth * INDENT + 1;
		}
		printf(" %.*s", (int)len, text);
		at += len + 1;
		text += len;
		text += strspn(text, " \n");
	}
	if (at)
		putchar('\n');
}

/* Could a YAML reader take it for something else than this very string? Letters, digits and a few signs are
 * safe. */
static bool is_plain(const char *s)
{
	static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};

	if (!*s ||
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-") != strlen(s))
		return false;
	if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/_", *s))
		return false;
	for (size_t i = 0; i < PST_ARRAY_SIZE(words); i++)
		if (!strcasecmp(s, words[i]))
			return false;
	return true;
}

/* Code point at @s; strings come from a YAML reader and so are UTF-8. Returns its length. */
static unsigned decode(const char *s, uint32_t *ret_point)
{
	unsigned char first = (unsigned char)*s;
	unsigned len = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t c = len == 1 ? first : first & (0x7fu >> len);

	for (unsigned i = 1; i < len; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80) {
			*ret_point = first;
			return 1;
		}
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	}
	*ret_point = c;
	return len;
}

/* Control characters, line ends of other alphabets and what YAML wants to see only as an escape. */
static bool must_escape(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
	       c == 0xfffe || c == 0xffff;
}

static void print_text(const char *s)
{
	if (is_plain(s)) {
		fputs(s, stdout);
		return;
	}
	putchar('"');
	while (*s) {
		uint32_t c;
		unsigned len = decode(s, &c);

		if (c == '"' || c == '\\')
			printf("\\%c", (int)c);
		else if (must_escape(c))
			printf("\\u%04x", c);
		else
			printf("%.*s", (int)len, s);
		s += len;
	}
	putchar('"');
}

static void print_strs(const struct pst_strs *strs)
{
	putchar('[');
	for (size_t i = 0; i < strs->n; i++) {
		if (i)
			fputs(", ", stdout);
		print_text(strs->v[i]);
	}
	putchar(']');
}

static void print_scalar(const void *value, const struct pst_conf_field *f)
{
	switch (f->type) {
	case PST_CONF_BOOL:
		fputs(*(const bool *)value ? "true" : "false", stdout);
		break;
	case PST_CONF_U64:
	case PST_CONF_SIZE:
	case PST_CONF_TIME:
		fputs(conf_format(f->type, *(const uint64_t *)value).s, stdout);
		break;
	case PST_CONF_STR:
		print_text(*(char *const *)value);
		break;
	case PST_CONF_ENUM:
		fputs(f->names[*(const int *)value], stdout);
		break;
	case PST_CONF_STRS:
		print_strs(value);
		break;
	case PST_CONF_SECTION:
	case PST_CONF_CUSTOM:
		break;
	}
}

static void print_fields(const void *base, const struct pst_conf_field *fields, unsigned depth)
{
	for (const struct pst_conf_field *f = fields; f->key; f++) {
		const char *value = (const char *)base + f->offset;

		if (f->help)
			print_help(f->help, depth);
		indent(depth);
		if (f->type == PST_CONF_SECTION) {
			printf("%s:\n", f->key);
			print_fields(base, f->section, depth + 1);
			continue;
		}
		if (f->type == PST_CONF_CUSTOM && f->print) {
			printf("%s: ", f->key);
			f->print(base);
			putchar('\n');
			continue;
		}
		/* What has no default, or one that is not a single value, is shown as a comment. */
		if (f->type == PST_CONF_CUSTOM || (f->type == PST_CONF_STR && !*(char *const *)value)) {
			printf("# %s:\n", f->key);
			continue;
		}
		printf("%s: ", f->key);
		print_scalar(value, f);
		putchar('\n');
	}
}

void pst_conf_print(const void *base, const struct pst_conf_field *fields)
{
	print_fields(base, fields, 0);
}

void pst_conf_print_section(const char *name, const void *base, const struct pst_conf_field *fields)
{
	printf("%s:\n", name);
	print_fields(base, fields, 1);
}
