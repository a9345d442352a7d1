// SPDX-License-Identifier: Apache-2.0
/* A frame from words: protocol, addresses, ports, and what else may be asked for. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/why.h"
#include "proto/base/cleanup.h"

#define ETH_BYTES 14

struct end {
	uint8_t addr[16];
	uint16_t port;
	bool ip6;
};

struct build {
	const struct why_words *words;
	char *error;
	struct end src, dst;
	uint64_t proto, vlan, dscp, len, seq, ack, type, code, flags;
	struct why_frame *frame;
};

__attribute__((format(printf, 2, 3))) static int refuse(const struct build *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(b->error, WHY_ERROR_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

/* Decimal digits, all of them. */
static bool to_number(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > max)
			return false;
	}
	*ret = v;
	return true;
}

static int option(const struct build *b, const char *name, const char *text, uint64_t max, uint64_t *ret)
{
	if (!text || to_number(text, max, ret))
		return 0;
	return refuse(b, "--%s: expected a number up to %llu", name, (unsigned long long)max);
}

/* ---- reading ---- */

static bool has_ports(uint64_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

static bool is_icmp(uint64_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static int read_proto(struct build *b)
{
	static const struct {
		const char *name;
		unsigned proto;
	} names[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"icmp", IPPROTO_ICMP},
		{"icmpv6", IPPROTO_ICMPV6}, {"sctp", IPPROTO_SCTP}, {"gre", IPPROTO_GRE},
		{"esp", IPPROTO_ESP}};

	for (size_t i = 0; i < PST_ARRAY_SIZE(names); i++)
		if (!strcmp(names[i].name, b->words->proto)) {
			b->proto = names[i].proto;
			return 0;
		}
	if (to_number(b->words->proto, 255, &b->proto))
		return 0;
	return refuse(b, "expected tcp, udp, icmp, icmpv6, sctp, gre, esp or a number, not \"%.40s\"",
		b->words->proto);
}

/* The address into @addr; @ret_port: what follows it, "" if nothing does. NULL: neither. */
static const char *split(const char *text, char addr[INET6_ADDRSTRLEN])
{
	const char *from = text + (*text == '['), *end, *rest;
	bool bracket = *text == '[', many = !bracket && strchr(text, ':') != strrchr(text, ':');

	end = bracket ? strchr(text, ']') : many ? text + strlen(text) : text + strcspn(text, ":");
	if (!end || end - from >= INET6_ADDRSTRLEN)
		return NULL;
	memcpy(addr, from, (size_t)(end - from));
	addr[end - from] = 0;
	rest = end + bracket;
	return !*rest ? rest : *rest == ':' && rest[1] ? rest + 1 : NULL;
}

static int read_end(const struct build *b, const char *text, struct end *ret)
{
	bool ports = has_ports(b->proto);
	char addr[INET6_ADDRSTRLEN];
	const char *port = split(text, addr);
	uint64_t number = 0;

	if (!port)
		return refuse(b, "expected %s, not \"%.60s\"",
			ports ? "ADDRESS:PORT or [ADDRESS]:PORT" : "ADDRESS", text);
	if (ports && !to_number(port, 65535, &number))
		return refuse(b,
			"expected a port behind the address, as in 192.0.2.1:80 or [2001:db8::1]:80, "
			"not \"%.60s\"",
			text);
	if (!ports && *port)
		return refuse(b, "\"%.60s\": this protocol has no ports", text);
	ret->port = (uint16_t)number;
	ret->ip6 = inet_pton(AF_INET6, addr, ret->addr) == 1;
	if (!ret->ip6 && inet_pton(AF_INET, addr, ret->addr) != 1)
		return refuse(b, "\"%.60s\" is no address", addr);
	return 0;
}

/* "syn", "syn,ack", "none" */
static int read_flags(struct build *b)
{
	static const char *const names[] = {"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"};
	const char *text = b->words->flags;

	if (!text || !strcmp(text, "none"))
		return 0;
	for (;;) {
		size_t len = strcspn(text, ","), i = 0;

		while (i < PST_ARRAY_SIZE(names) && (strlen(names[i]) != len || memcmp(names[i], text, len)))
			i++;
		if (i == PST_ARRAY_SIZE(names))
			return refuse(b,
				"--flags: expected some of fin,syn,rst,psh,ack,urg,ece,cwr or none, "
				"not \"%.40s\"",
				text);
		b->flags |= 1u << i;
		if (!text[len])
			return 0;
		text += len + 1;
	}
}

/* "8", "3/1" */
static int read_icmp(struct build *b)
{
	char type[8];
	const char *text = b->words->icmp, *slash = text ? strchr(text, '/') : NULL;
	size_t len = slash ? (size_t)(slash - text) : text ? strlen(text) : 0;

	b->type = b->proto == IPPROTO_ICMP ? 8 : 128;
	if (!text)
		return 0;
	if (len < sizeof(type)) {
		memcpy(type, text, len);
		type[len] = 0;
		if (to_number(type, 255, &b->type) && (!slash || to_number(slash + 1, 255, &b->code)))
			return 0;
	}
	return refuse(b, "--icmp: expected TYPE or TYPE/CODE, numbers up to 255");
}

static int read_options(struct build *b)
{
	const struct why_words *w = b->words;
	int r = option(b, "vlan", w->vlan, 4095, &b->vlan);

	r = r ? r : option(b, "dscp", w->dscp, 63, &b->dscp);
	r = r ? r : option(b, "len", w->len, PST_WHY_FRAME_MAX, &b->len);
	r = r ? r : option(b, "seq", w->seq, UINT32_MAX, &b->seq);
	r = r ? r : option(b, "ack", w->ack, UINT32_MAX, &b->ack);
	if (!r && b->proto != IPPROTO_TCP && (w->flags || w->seq || w->ack))
		r = refuse(b, "--flags, --seq and --ack are for tcp");
	if (!r && !is_icmp(b->proto) && w->icmp)
		r = refuse(b, "--icmp is for icmp and icmpv6");
	b->flags = b->proto == IPPROTO_TCP && !w->flags ? 2 : 0; /* SYN */
	r = r ? r : read_flags(b);
	return r ? r : read_icmp(b);
}

static int read_words(struct build *b)
{
	int r = read_proto(b);

	r = r ? r : read_end(b, b->words->src, &b->src);
	r = r ? r : read_end(b, b->words->dst, &b->dst);
	if (!r && b->src.ip6 != b->dst.ip6)
		r = refuse(b, "one address is IPv4, the other IPv6");
	return r ? r : read_options(b);
}

/* ---- writing ---- */

static uint8_t *grow(struct build *b, uint32_t n)
{
	uint8_t *at = b->frame->bytes + b->frame->len;

	b->frame->len += n;
	return at;
}

static void put16(uint8_t *at, uint64_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint64_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

static uint32_t sum(const uint8_t *p, size_t n, uint32_t from)
{
	for (size_t i = 0; i < n; i++)
		from += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return from;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void put_link(struct build *b)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};

	memcpy(grow(b, ETH_BYTES), macs, sizeof(macs));
	if (b->words->vlan) {
		put16(b->frame->bytes + b->frame->len - 2, 0x8100);
		put16(grow(b, 4), b->vlan);
	}
	put16(b->frame->bytes + b->frame->len - 2, b->src.ip6 ? 0x86dd : 0x0800);
}

/* Lengths and checksums come last. */
static uint8_t *put_ip(struct build *b)
{
	size_t n = b->src.ip6 ? 16 : 4, at = b->src.ip6 ? 8 : 12;
	uint8_t *h = grow(b, b->src.ip6 ? 40 : 20);

	if (b->src.ip6) {
		put32(h, 0x60000000u | b->dscp << 22);
		h[6] = (uint8_t)b->proto;
		h[7] = 64;
	} else {
		h[0] = 0x45;
		h[1] = (uint8_t)(b->dscp << 2);
		h[6] = 0x40; /* do not fragment */
		h[8] = 64;
		h[9] = (uint8_t)b->proto;
	}
	memcpy(h + at, b->src.addr, n);
	memcpy(h + at + n, b->dst.addr, n);
	return h;
}

static uint8_t *put_l4(struct build *b)
{
	static const uint32_t sizes[] = {[IPPROTO_ICMP] = 8, [IPPROTO_TCP] = 20, [IPPROTO_UDP] = 8};
	uint32_t size = b->proto < PST_ARRAY_SIZE(sizes) ? sizes[b->proto]
			: b->proto == IPPROTO_ICMPV6     ? 8
			: b->proto == IPPROTO_SCTP       ? 12
							 : 0;
	uint8_t *h = grow(b, size);

	if (has_ports(b->proto)) {
		put16(h, b->src.port);
		put16(h + 2, b->dst.port);
	}
	if (b->proto == IPPROTO_TCP) {
		put32(h + 4, b->seq);
		put32(h + 8, b->ack);
		h[12] = 0x50;
		h[13] = (uint8_t)b->flags;
		put16(h + 14, 65535);
	} else if (is_icmp(b->proto)) {
		h[0] = (uint8_t)b->type;
		h[1] = (uint8_t)b->code;
	}
	return h;
}

/* Where the transport's checksum is, or NULL. */
static uint8_t *checksum_of(const struct build *b, uint8_t *l4)
{
	if (b->proto == IPPROTO_TCP)
		return l4 + 16;
	if (b->proto == IPPROTO_UDP)
		return l4 + 6;
	return is_icmp(b->proto) ? l4 + 2 : NULL;
}

static void finish(const struct build *b, uint8_t *l3, uint8_t *l4)
{
	uint8_t *end = b->frame->bytes + b->frame->len, *check = checksum_of(b, l4);
	size_t n = b->src.ip6 ? 16 : 4, l4_bytes = (size_t)(end - l4);
	uint32_t s = 0;

	put16(b->src.ip6 ? l3 + 4 : l3 + 2, (uint64_t)(b->src.ip6 ? end - l4 : end - l3));
	if (!b->src.ip6)
		put16(l3 + 10, fold(sum(l3, 20, 0)));
	if (b->proto == IPPROTO_UDP)
		put16(l4 + 4, l4_bytes);
	if (b->proto != IPPROTO_ICMP) /* the pseudo header */
		s = sum(b->dst.addr, n, sum(b->src.addr, n, (uint32_t)(b->proto + l4_bytes)));
	s = sum(l4, l4_bytes, s);
	if (check)
		put16(check, b->proto == IPPROTO_UDP && !fold(s) ? 0xffff : fold(s));
}

int why_frame(const struct why_words *words, struct why_frame *ret_frame, char error[WHY_ERROR_MAX])
{
	struct build b = {.words = words, .error = error, .frame = ret_frame};
	uint8_t *l3, *l4;
	int r = read_words(&b);

	if (r)
		return r;
	*ret_frame = (struct why_frame){.len = 0};
	put_link(&b);
	l3 = put_ip(&b);
	l4 = put_l4(&b);
	if (words->len && b.len < ret_frame->len)
		return refuse(&b, "--len: the headers alone are %u bytes", ret_frame->len);
	if (words->len)
		ret_frame->len = (uint32_t)b.len;
	finish(&b, l3, l4);
	return 0;
}
