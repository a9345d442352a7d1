// SPDX-License-Identifier: Apache-2.0
#include "policyd/block/addr.h"

#include <errno.h>
#include <string.h>

#include "proto/base/cleanup.h"

#define TEXT_MAX 64 /* more than an address and a length can need */

static int fault(struct block_fault *f, size_t at, const char *what)
{
	*f = (struct block_fault){.what = what, .at = at};
	return -EINVAL;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Why block_octets() did not take it. */
static int explain_octets(const char *text, struct block_fault *f)
{
	const char *p = text;

	for (int i = 0; i < 4; i++) {
		size_t digits = strspn(p, "0123456789");

		if (!digits)
			break;
		if (digits > 1 && *p == '0')
			return fault(f, (size_t)(p - text), "expected an octet without leading zeros");
		if (digits > 3 || (digits == 3 && strncmp(p, "255", 3) > 0))
			return fault(f, (size_t)(p - text), "expected an octet of 0 to 255");
		p += digits;
		if (i < 3 && *p++ != '.')
			break;
	}
	return fault(f, 0, "expected an IPv4 or IPv6 address or prefix, such as 192.0.2.1 or 2001:db8::/32");
}

static int parse_ip4(const char *text, struct block_entry *e, struct block_fault *f)
{
	uint32_t addr;
	const char *end = block_octets(text, &addr);

	if (!end || *end)
		return explain_octets(text, f);
	*e = (struct block_entry){.lo = addr, .len = 32};
	return 0;
}

static int hex_digit(char c)
{
	unsigned digit = (uint8_t)c - (unsigned)'0', letter = (uint8_t)(c | 0x20) - (unsigned)'a';

	return digit <= 9 ? (int)digit : letter < 6 ? (int)letter + 10 : -1;
}

/* Up to four hexadecimal digits; how many there are. */
static int take_group(const char *p, uint16_t *ret_group)
{
	int n = 0, digit;

	*ret_group = 0;
	for (; n < 4 && (digit = hex_digit(p[n])) >= 0; n++)
		*ret_group = (uint16_t)(*ret_group << 4 | digit);
	return n;
}

struct groups {
	uint16_t v[PST_STRIDES_MAX];
	int n, gap; /* where "::" is, or -1 */
};

/* Groups to the end of the text, the last two perhaps as octets. */
static bool take_groups(const char *p, struct groups *g)
{
	while (g->n < PST_STRIDES_MAX) {
		int digits = take_group(p, &g->v[g->n]);
		uint32_t addr;

		if (digits && p[digits] == '.' && g->n <= PST_STRIDES_MAX - 2) {
			const char *end = block_octets(p, &addr);

			if (!end || *end)
				return false;
			g->v[g->n++] = (uint16_t)(addr >> 16);
			g->v[g->n++] = (uint16_t)addr;
			return true;
		}
		p += digits;
		g->n++;
		if (!digits || !*p)
			return digits;
		if (*p++ != ':')
			return false;
		if (*p != ':')
			continue;
		if (g->gap >= 0)
			return false;
		g->gap = g->n;
		if (!*++p)
			return true;
	}
	return false;
}

static bool take_ip6(const char *p, struct groups *g)
{
	*g = (struct groups){.gap = -1};
	if (*p == ':') {
		if (p[1] != ':')
			return false;
		g->gap = 0;
		p += 2;
	}
	if ((*p || g->gap) && !take_groups(p, g))
		return false;
	return g->gap < 0 ? g->n == PST_STRIDES_MAX : g->n < PST_STRIDES_MAX;
}

static int parse_ip6(const char *text, struct block_entry *e, struct block_fault *f)
{
	struct groups g;
	uint64_t words[2] = {0};

	if (!take_ip6(text, &g))
		return fault(f, 0, "expected an IPv6 address such as 2001:db8::1");
	for (int i = 0; i < g.n; i++) {
		int at = g.gap >= 0 && i >= g.gap ? PST_STRIDES_MAX - g.n + i : i;

		words[at / 4] |= (uint64_t)g.v[i] << (48 - 16 * (at % 4));
	}
	*e = (struct block_entry){.hi = words[0], .lo = words[1], .len = 128, .ip6 = true};
	return 0;
}

/* Bits behind the prefix. */
static bool has_rest(const struct block_entry *e)
{
	unsigned len = e->ip6 ? e->len : 96u + e->len;

	if (len >= 64)
		return len < 128 && e->lo & (~0ull >> (len - 64));
	return e->lo || e->hi & (~0ull >> len);
}

static int parse_len(const char *text, struct block_entry *e, size_t at, struct block_fault *f)
{
	unsigned v = 0, max = e->len, n = 0;

	for (; is_digit(text[n]) && n < 3; n++)
		v = v * 10 + (unsigned)(text[n] - '0');
	if (!n || text[n] || v > max || (n > 1 && *text == '0'))
		return fault(f, at,
			max == 32 ? "expected a prefix length of 0 to 32"
				  : "expected a prefix length of 0 to 128");
	e->len = (uint8_t)v;
	if (has_rest(e))
		return fault(f, at,
			"the address has bits behind this length: expected the first address of the prefix");
	return 0;
}

/* A mapped address is what an IPv4 peer of an IPv6 socket is called. */
static void unmap(struct block_entry *e)
{
	if (e->ip6 && e->len == 128 && !e->hi && e->lo >> 32 == 0xffff)
		*e = (struct block_entry){.lo = (uint32_t)e->lo, .len = 32};
}

int block_addr_parse(
	const char *text, size_t len, struct block_entry *ret_entry, struct block_fault *ret_fault)
{
	char buf[TEXT_MAX + 16] = "", *slash;
	struct block_entry entry = {0};
	int e;

	if (len > TEXT_MAX || memchr(text, '\0', len))
		return explain_octets("", ret_fault);
	memcpy(buf, text, len);
	slash = strchr(buf, '/');
	if (slash)
		*slash = '\0';
	e = strchr(buf, ':') ? parse_ip6(buf, &entry, ret_fault) : parse_ip4(buf, &entry, ret_fault);
	if (!e && slash)
		e = parse_len(slash + 1, &entry, (size_t)(slash + 1 - buf), ret_fault);
	if (e)
		return e;
	unmap(&entry);
	*ret_entry = entry;
	return 0;
}

int block_entry_parse(const char *text, size_t len, struct block_entry *ret_entry)
{
	struct block_fault f;

	return block_addr_parse(text, len, ret_entry, &f);
}
