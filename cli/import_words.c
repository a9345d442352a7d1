// SPDX-License-Identifier: Apache-2.0
/* Words and numbers of the three languages. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/import_internal.h"
#include "proto/base/cleanup.h"

const struct import_word import_protocols[] = {
	{"tcp", NULL, 6},
	{"udp", NULL, 17},
	{"icmp", NULL, 1},
	{"icmpv6", "ipv6-icmp", 58},
	{"sctp", NULL, 132},
	{"hopopt", "ip", 0},
	{"igmp", NULL, 2},
	{"ipip", "ipencap", 4},
	{"dccp", NULL, 33},
	{"ipv6", NULL, 41},
	{"rsvp", NULL, 46},
	{"gre", NULL, 47},
	{"esp", NULL, 50},
	{"ah", NULL, 51},
	{"eigrp", NULL, 88},
	{"ospf", "ospfigp", 89},
	{"pim", NULL, 103},
	{"ipcomp", "comp", 108},
	{"vrrp", NULL, 112},
	{"l2tp", NULL, 115},
	{"udplite", NULL, 136},
	{0},
};

/* The document has a list of them: the order is as good as any. */
const struct import_word import_states[] = {
	{"new", NULL, 0},
	{"established", NULL, 1},
	{"related", NULL, 2},
	{"invalid", NULL, 3},
	{"untracked", NULL, 4},
	{0},
};

const struct import_word import_dscps[] = {
	{"cs0", "be", 0},
	{"le", "lephb", 1},
	{"cs1", NULL, 8},
	{"af11", NULL, 10},
	{"af12", NULL, 12},
	{"af13", NULL, 14},
	{"cs2", NULL, 16},
	{"af21", NULL, 18},
	{"af22", NULL, 20},
	{"af23", NULL, 22},
	{"cs3", NULL, 24},
	{"af31", NULL, 26},
	{"af32", NULL, 28},
	{"af33", NULL, 30},
	{"cs4", NULL, 32},
	{"af41", NULL, 34},
	{"af42", NULL, 36},
	{"af43", NULL, 38},
	{"cs5", NULL, 40},
	{"va", "voice-admit", 44},
	{"ef", NULL, 46},
	{"cs6", NULL, 48},
	{"cs7", NULL, 56},
	{0},
};

const struct import_word import_flags[] = {
	{"fin", NULL, 1},
	{"syn", NULL, 2},
	{"rst", NULL, 4},
	{"psh", NULL, 8},
	{"ack", NULL, 16},
	{"urg", NULL, 32},
	{"ece", "ecn", 64},
	{"cwr", NULL, 128},
	{0},
};

const struct import_word import_icmp4_types[] = {
	{"echo-reply", "pong", 0},
	{"destination-unreachable", NULL, 3},
	{"source-quench", NULL, 4},
	{"redirect", NULL, 5},
	{"echo-request", "ping", 8},
	{"router-advertisement", NULL, 9},
	{"router-solicitation", NULL, 10},
	{"time-exceeded", "ttl-exceeded", 11},
	{"parameter-problem", NULL, 12},
	{"timestamp-request", NULL, 13},
	{"timestamp-reply", NULL, 14},
	{"info-request", NULL, 15},
	{"info-reply", NULL, 16},
	{"address-mask-request", NULL, 17},
	{"address-mask-reply", NULL, 18},
	{0},
};

const struct import_word import_icmp6_types[] = {
	{"destination-unreachable", NULL, 1},
	{"packet-too-big", NULL, 2},
	{"time-exceeded", "ttl-exceeded", 3},
	{"parameter-problem", NULL, 4},
	{"echo-request", NULL, 128},
	{"echo-reply", NULL, 129},
	{"mld-query", "mld-listener-query", 130},
	{"mld-report", "mld-listener-report", 131},
	{"mld-done", "mld-listener-done", 132},
	{"mld-done", "mld-listener-reduction", 132},
	{"router-solicitation", "nd-router-solicit", 133},
	{"router-advertisement", "nd-router-advert", 134},
	{"neighbor-solicitation", "nd-neighbor-solicit", 135},
	{"neighbor-advertisement", "nd-neighbor-advert", 136},
	{"redirect", "nd-redirect", 137},
	{"router-renumbering", NULL, 138},
	{"ind-neighbor-solicitation", "ind-neighbor-solicit", 141},
	{"ind-neighbor-advertisement", "ind-neighbor-advert", 142},
	{"mld2-report", "mld2-listener-report", 143},
	{0},
};

const struct import_word import_icmp4_codes[] = {
	{"net-unreachable", NULL, 0},
	{"host-unreachable", NULL, 1},
	{"prot-unreachable", NULL, 2},
	{"port-unreachable", NULL, 3},
	{"frag-needed", NULL, 4},
	{"net-prohibited", NULL, 9},
	{"host-prohibited", NULL, 10},
	{"admin-prohibited", NULL, 13},
	{0},
};

const struct import_word import_icmp6_codes[] = {
	{"no-route", NULL, 0},
	{"admin-prohibited", NULL, 1},
	{"addr-unreachable", NULL, 3},
	{"port-unreachable", NULL, 4},
	{"policy-fail", NULL, 5},
	{"reject-route", NULL, 6},
	{0},
};

static bool is_word(const char *word, const char *text, size_t len)
{
	return word && strlen(word) == len && !strncasecmp(word, text, len);
}

bool import_word_value(
	const struct import_word *words, const char *text, size_t len, unsigned max, unsigned *ret_value)
{
	uint64_t n;

	for (; words->name; words++) {
		if (!is_word(words->name, text, len) && !is_word(words->also, text, len))
			continue;
		*ret_value = words->value;
		return true;
	}
	if (!max || !import_number(text, len, max, &n))
		return false;
	*ret_value = (unsigned)n;
	return true;
}

const char *import_word_name(const struct import_word *words, unsigned value)
{
	for (; words->name; words++)
		if (words->value == value)
			return words->name;
	return NULL;
}

/* Port unreachable is what they send by themselves: here that is a reset for TCP, which says the same. */
const char *import_reject_with(const char *text)
{
	static const struct {
		const char *text, *word;
	} words[] = {{"host-unreachable", "host-unreachable"}, {"addr-unreachable", "host-unreachable"},
		{"net-unreachable", "no-route"}, {"no-route", "no-route"},
		{"admin-prohibited", "admin-prohibited"}, {"adm-prohibited", "admin-prohibited"},
		{"net-prohibited", "admin-prohibited"}, {"host-prohibited", "admin-prohibited"}};

	text += !strncmp(text, "icmp-", 5) ? 5 : !strncmp(text, "icmp6-", 6) ? 6 : 0;
	for (size_t i = 0; i < PST_ARRAY_SIZE(words); i++)
		if (!strcmp(words[i].text, text))
			return words[i].word;
	return NULL;
}

bool import_number(const char *text, size_t len, uint64_t max, uint64_t *ret_value)
{
	unsigned base = len > 2 && text[0] == '0' && (text[1] | 32) == 'x' ? 16 : 10;
	uint64_t n = 0;

	for (size_t i = base == 16 ? 2 : 0; i < len; i++) {
		unsigned c = (unsigned char)text[i];
		unsigned digit = isdigit(c) ? c - '0' : isxdigit(c) ? (c | 32) - 'a' + 10 : 16;

		if (digit >= base || n > (max - digit) / base)
			return false;
		n = n * base + digit;
	}
	*ret_value = n;
	return len > 0 && n <= max;
}

/* ---- addresses ---- */

static unsigned width(int kind)
{
	return kind == IMPORT_IP4 ? 32 : 128;
}

import_value import_address_max(int kind)
{
	return kind == IMPORT_IP4 ? 0xffffffffu : ~(import_value)0;
}

static bool plain_address(const char *text, size_t len, int kind, import_value *ret_value)
{
	char copy[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	import_value v = 0;

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = 0;
	if (strlen(copy) != len || inet_pton(kind == IMPORT_IP4 ? AF_INET : AF_INET6, copy, bytes) != 1)
		return false;
	for (unsigned i = 0; i < width(kind) / 8; i++)
		v = v << 8 | bytes[i];
	*ret_value = v;
	return true;
}

/* Bits of the mask, -1: it has holes. */
static int mask_bits(import_value mask, int kind)
{
	import_value rest = ~mask & import_address_max(kind);
	int zeros = 0;

	if (rest & (rest + 1))
		return -1;
	for (; rest; rest >>= 1)
		zeros++;
	return (int)width(kind) - zeros;
}

bool import_address(const char *text, size_t len, int kind, import_value *ret_value, int *ret_bits)
{
	const char *slash = ret_bits ? memchr(text, '/', len) : NULL;
	size_t n = slash ? (size_t)(slash - text) : len, rest = slash ? len - n - 1 : 0;
	import_value mask;
	uint64_t bits = width(kind);

	if (!plain_address(text, n, kind, ret_value))
		return false;
	if (!ret_bits)
		return true;
	if (slash && !import_number(slash + 1, rest, width(kind), &bits)) {
		if (!plain_address(slash + 1, rest, kind, &mask))
			return false;
		*ret_bits = mask_bits(mask, kind);
		return true;
	}
	*ret_bits = (int)bits;
	return true;
}

void import_prefix(import_value address, int bits, int kind, struct import_span *ret_span)
{
	unsigned behind = width(kind) - (unsigned)bits;
	import_value host = behind == 128 ? ~(import_value)0 : ((import_value)1 << behind) - 1;

	ret_span->lo = address & ~host;
	ret_span->hi = address | host;
}

/* ---- interfaces ---- */

bool import_iface(struct import *im, const char *name, size_t len, unsigned *ret_number)
{
	char copy[IMPORT_IFNAME_MAX + 1];
	const json_t *known;
	char **v;

	if (!len || len > IMPORT_IFNAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] <= 0x20 || (unsigned char)name[i] >= 0x7f ||
			strchr("/:*+?", name[i]))
			return false;
	memcpy(copy, name, len);
	copy[len] = 0;
	known = json_object_get(im->iface_index, copy);
	if (known) {
		*ret_number = (unsigned)json_integer_value(known);
		return true;
	}
	v = reallocarray(im->ifaces, im->n_ifaces + 1, sizeof(*v));
	if (v)
		im->ifaces = v;
	if (!v || json_object_set_new(im->iface_index, copy, json_integer((json_int_t)im->n_ifaces)) ||
		!(v[im->n_ifaces] = import_format_text(im, "%s", copy))) {
		im->error = im->error ? im->error : -ENOMEM;
		return false;
	}
	*ret_number = (unsigned)im->n_ifaces++;
	return true;
}
