// SPDX-License-Identifier: Apache-2.0
/* Globs and address ranges. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "proto/wire/filter.h"
#include "proto/wire/fmt.h"

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

/* A class at @p, which is after its '[': whether it has @c; its end in @ret_end, NULL if it is not closed and
 * so no class. */
static bool in_class(const char *p, uint8_t c, const char **ret_end)
{
	bool negated = *p == '!' || *p == '^', found = false;
	const char *first = p += negated;

	for (; *p && (*p != ']' || p == first); p++) { /* ']' in the first place is itself */
		uint8_t low = (uint8_t)*p, high = low;

		if (p[1] == '-' && p[2] && p[2] != ']') {
			high = (uint8_t)p[2];
			p += 2;
		}
		found |= c >= low && c <= high;
	}
	*ret_end = *p ? p + 1 : NULL;
	return found != negated;
}

/*
 * One element of the pattern other than '*' against one byte. Returns what follows it, NULL: no match.
 * @last_close: the last ']' of the pattern; a '[' behind it is a plain one, without a search to the end each
 * time.
 */
static const char *match_one(const char *p, const char *last_close, uint8_t c)
{
	const char *end;

	switch (*p) {
	case '\0':
		return NULL;
	case '?':
		return p + 1;
	case '[':
		if (last_close && p < last_close) {
			bool match = in_class(p + 1, c, &end);

			if (end)
				return match ? end : NULL;
		}
		break;
	case '\\':
		if (p[1])
			p++;
		break;
	default:
		break;
	}
	return (uint8_t)*p == c ? p + 1 : NULL;
}

/*
 * Only the last '*' is ever tried again: if the part after an earlier one could match later, it can match
 * where it did. So the time is at most pattern times text.
 */
bool pst_glob_match(const char *pattern, const void *bytes, size_t len)
{
	const uint8_t *s = bytes, *end = len ? s + len : s, *again = NULL;
	const char *p = pattern, *last_close = strrchr(pattern, ']'), *after_star = NULL, *next;

	while (s < end) {
		if (*p == '*') {
			after_star = ++p;
			again = s;
			if (!*p)
				return true;
			continue;
		}
		next = match_one(p, last_close, *s);
		if (next) {
			p = next;
			s++;
			continue;
		}
		if (!after_star)
			return false;
		p = after_star;
		s = ++again;
	}
	while (*p == '*')
		p++;
	return !*p;
}

int pst_cidr_parse(const char *text, struct pst_cidr *ret_cidr)
{
	struct pst_cidr cidr = {0};
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char addr[INET6_ADDRSTRLEN];
	unsigned first = 0;
	uint64_t bits;

	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, len);
	addr[len] = '\0';
	if (inet_pton(AF_INET6, addr, cidr.addr) != 1) {
		if (inet_pton(AF_INET, addr, cidr.addr + 12) != 1)
			return -EINVAL;
		memcpy(cidr.addr, v4_mapped, sizeof(v4_mapped));
		first = 96;
	}
	bits = 128 - first;
	if (slash && (slash[1 + strspn(slash + 1, "0123456789")] ||
			     pst_parse_u64(slash + 1, strlen(slash + 1), &bits) < 0 || bits > 128 - first))
		return -EINVAL;
	cidr.bits = (uint8_t)(bits + first);
	for (unsigned i = cidr.bits; i < 128; i++) /* bits of the host say nothing */
		cidr.addr[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	*ret_cidr = cidr;
	return 0;
}

/* An IPv4 address is in ranges of IPv4 only (and in those that spell ::ffff:0:0/96): ::/0 means IPv6. */
bool pst_cidr_match(const struct pst_cidr *cidr, const struct pst_val *addr)
{
	uint8_t wide[16];
	unsigned whole = cidr->bits / 8, rest = cidr->bits % 8;

	if (addr->len == 4) {
		if (cidr->bits < 96)
			return false;
		memcpy(wide, v4_mapped, sizeof(v4_mapped));
		memcpy(wide + 12, addr->p, 4);
	} else if (addr->len == 16) {
		memcpy(wide, addr->p, 16);
	} else {
		return false;
	}
	if (memcmp(wide, cidr->addr, whole))
		return false;
	return !rest || !((wide[whole] ^ cidr->addr[whole]) >> (8 - rest));
}
