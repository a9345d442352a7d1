// SPDX-License-Identifier: Apache-2.0
/* The packet parser of the kernel programs, compiled for user space: tables, every truncation, random bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/lib/plain.bpf.h"
#include "bpf/lib/tunnel.bpf.h"
#include "tests/bpf/tunnels.h"

/* Memory that ends at a page which nobody may touch: a byte too far is a crash, with or without ASan. */
static unsigned char *edge;

static int map_edge(void **state)
{
	long page = sysconf(_SC_PAGESIZE);
	unsigned char *m = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	if (m == MAP_FAILED || mprotect(m + page, page, PROT_NONE))
		return -1;
	edge = m + page;
	return 0;
}

static unsigned plain;

/* What is plain the parser says too, and in the same words. */
static void same_if_plain(const struct pst_cursor *c, enum pst_parse what, __u16 type, __u32 off,
	const struct pst_flow_key *key, const struct pst_packet *p)
{
	struct pst_flow_key plain_key = {.sport = 0};
	struct pst_packet plain_p;
	struct pst_plain is;

	memset(&plain_p, 0, sizeof(plain_p));
	if (type != PST_ETH_IP || !pst_plain(c, off, &is))
		return;
	pst_plain_put(&is, &plain_key, &plain_p);
	assert_int_equal(what, PST_PARSE_OK);
	assert_true(p->l3_len && p->l3_len <= c->len - off);
	assert_memory_equal(&plain_key, key, sizeof(*key));
	assert_memory_equal(&plain_p, p, sizeof(*p));
	plain++;
}

static enum pst_parse parse(const void *bytes, size_t len, struct pst_flow_key *key, struct pst_packet *p,
	__u16 *type, __u32 *off)
{
	struct pst_cursor c = {.data = edge - len, .end = edge, .len = (__u32)len};
	enum pst_parse what;

	memcpy(edge - len, bytes, len);
	memset(key, 0, sizeof(*key));
	memset(p, 0, sizeof(*p));
	*type = 0;
	*off = 0;
	what = pst_parse_eth(&c, type, off);
	if (what != PST_PARSE_OK)
		return what;
	what = pst_parse_ip(&c, *off, *type, key, p);
	same_if_plain(&c, what, *type, *off, key, p);
	return what;
}

static void check_table(void **state)
{
	(void)state;
	plain = 0;
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet pkt;
		struct pst_flow_key key;
		struct pst_packet p;
		__u16 type;
		__u32 off;

		packets[i].make(&pkt);
		print_message("# %s\n", packets[i].name);
		assert_int_equal(parse(pkt.bytes, pkt.len, &key, &p, &type, &off), packets[i].what);
		if (packets[i].what == PST_PARSE_OTHER)
			continue;
		assert_int_equal(off, pkt.l3);
		if (packets[i].what != PST_PARSE_OK)
			continue;
		assert_int_equal(key.family, pkt.key.family);
		assert_int_equal(key.protocol, pkt.key.protocol);
		assert_memory_equal(key.saddr, pkt.key.saddr, 16);
		assert_memory_equal(key.daddr, pkt.key.daddr, 16);
		assert_int_equal(key.sport, pkt.key.sport);
		assert_int_equal(key.dport, pkt.key.dport);
		assert_int_equal(p.tcp_flags, pkt.tcp_flags);
		assert_int_equal(p.l3_len, pkt.l3_len);
		assert_int_equal(p.hdr_len, pkt.need - pkt.l3);
		/* what the parser has no business with */
		assert_int_equal(key.ifindex | key.dir | key.pad, 0);
		assert_int_equal(key.netns, 0);
	}
	assert_in_range(plain, 2, PACKETS);
}

/* Cut anywhere inside the headers it is SHORT, and behind them the packet is whole again as far as the parser
 * goes. */
static void check_truncated(void **state)
{
	(void)state;
	for (size_t i = 0; i < PACKETS; i++) {
		struct packet pkt;

		packets[i].make(&pkt);
		if (packets[i].what != PST_PARSE_OK)
			continue;
		for (size_t len = 0; len <= pkt.len; len++) {
			struct pst_flow_key key;
			struct pst_packet p;
			__u16 type;
			__u32 off;
			enum pst_parse what = parse(pkt.bytes, len, &key, &p, &type, &off);

			assert_int_equal(what, len < pkt.seen ? PST_PARSE_SHORT : PST_PARSE_OK);
		}
	}
}

/* Whatever a malformed header says, nothing is read outside, and the answer is one of four. */
static void check_random(void **state)
{
	unsigned char bytes[192];
	unsigned int count[4] = {0};

	(void)state;
	srandom(4711);
	for (int n = 0; n < 2000000; n++) {
		struct pst_flow_key key;
		struct pst_packet p;
		struct packet pkt;
		__u16 type;
		__u32 off;
		size_t len;
		enum pst_parse what;

		packets[random() % PACKETS].make(&pkt);
		len = pkt.len < sizeof(bytes) ? pkt.len : sizeof(bytes);
		memcpy(bytes, pkt.bytes, len);
		for (int k = random() % 6; k > 0; k--)
			bytes[(size_t)random() % len] = (unsigned char)random();
		len = (size_t)random() % (len + 1);
		what = parse(bytes, len, &key, &p, &type, &off);
		assert_in_range(what, PST_PARSE_OK, PST_PARSE_BAD);
		assert_true(p.hdr_len <= PST_HEADERS_MAX);
		count[what]++;
	}
	for (int i = 0; i < 4; i++)
		assert_true(count[i] > 1000);
	assert_true(plain > 1000);
}

/* ---- tunnels ---- */

/* As the guard does: the packet inside, if there is one. */
static enum pst_parse parse_inner(const void *bytes, size_t len, struct pst_flow_key *key,
	struct pst_packet *p, enum pst_tunnel *ret_tunnel)
{
	struct pst_cursor c = {.data = edge - len, .end = edge, .len = (__u32)len};
	struct pst_flow_key outer;
	struct pst_packet around;
	enum pst_parse what;
	__u16 type;
	__u32 off;

	memset(key, 0, sizeof(*key));
	memset(p, 0, sizeof(*p));
	*ret_tunnel = PST_TUNNEL_NONE;
	what = parse(bytes, len, &outer, &around, &type, &off);
	if (what != PST_PARSE_OK)
		return what;
	*ret_tunnel = pst_tunnel_of(&outer, &around, VXLAN_PORT);
	return *ret_tunnel ? pst_parse_inner(&c, off, *ret_tunnel, &outer, &around, key, p) : what;
}

/* Packet @i in a tunnel; false: it has no place in one of that kind. */
static bool make_inner(size_t i, const struct outer *o, struct packet *pkt, size_t *ret_l3)
{
	packets[i].make(pkt);
	if (packets[i].what == PST_PARSE_OTHER && !is_bridged(o->around))
		return false;
	*ret_l3 = put_into(pkt, o);
	return true;
}

static void check_inner(size_t i, const struct outer *o)
{
	static const enum pst_tunnel tunnels[AROUNDS] = {PST_TUNNEL_IPIP, PST_TUNNEL_GRE, PST_TUNNEL_GRE,
		PST_TUNNEL_GRE, PST_TUNNEL_GRE, PST_TUNNEL_VXLAN};
	enum pst_tunnel tunnel;
	struct pst_flow_key key;
	struct pst_packet p;
	struct packet pkt;
	size_t l3;

	if (!make_inner(i, o, &pkt, &l3))
		return;
	assert_int_equal(parse_inner(pkt.bytes, pkt.len, &key, &p, &tunnel), packets[i].what);
	assert_int_equal(tunnel, tunnels[o->around]);
	if (packets[i].what != PST_PARSE_OK)
		return;
	pkt.key.pad = 0;
	assert_memory_equal(&key, &pkt.key, sizeof(key));
	assert_int_equal(p.inner_off, pkt.l3 - l3);
	assert_int_equal(p.tcp_flags, pkt.tcp_flags);
	assert_int_equal(p.l3_len, pkt.l3_len);
	assert_int_equal(p.hdr_len, pkt.need - pkt.l3);
}

static void each_tunnel(void (*check)(size_t i, const struct outer *o))
{
	for (size_t i = 0; i < PACKETS; i++)
		for (int around = 0; around < AROUNDS; around++)
			for (int form = 0; form < 4; form++) {
				struct outer o = {around, form & 1, form & 2};

				check(i, &o);
			}
}

static void check_tunnels(void **state)
{
	(void)state;
	each_tunnel(check_inner);
}

/* Cut anywhere it is SHORT: by the frame's end, by the outer header's length, by both. */
static void check_inner_cut(size_t i, const struct outer *o)
{
	enum pst_tunnel tunnel;
	struct pst_flow_key key;
	struct pst_packet p;
	struct packet pkt;
	size_t l3, first, end;

	if (!make_inner(i, o, &pkt, &l3) || packets[i].what != PST_PARSE_OK)
		return;
	for (size_t len = 0; len < pkt.len; len++)
		assert_int_equal(parse_inner(pkt.bytes, len, &key, &p, &tunnel), PST_PARSE_SHORT);
	first = l3 + (o->ip6 ? 40 : 20) + (o->around == AROUND_VXLAN ? 8 : 0); /* the outer's are there */
	end = pkt.l3 + (pkt.l3_len ? pkt.l3_len : pkt.need - pkt.l3);
	for (size_t len = first; len < pkt.len; len++) {
		enum pst_parse what = len < end ? PST_PARSE_SHORT : PST_PARSE_OK;

		if (len - l3 == (o->ip6 ? 40u : 0u))
			continue; /* a length of 0 says nothing */
		set_outer_end(&pkt, l3, o->ip6, len);
		assert_int_equal(parse_inner(pkt.bytes, pkt.len, &key, &p, &tunnel), what);
		assert_int_equal(parse_inner(pkt.bytes, len, &key, &p, &tunnel), what);
	}
}

static void check_tunnels_cut(void **state)
{
	(void)state;
	each_tunnel(check_inner_cut);
}

static enum pst_parse inner_of(const struct packet *pkt)
{
	enum pst_tunnel tunnel;
	struct pst_flow_key key;
	struct pst_packet p;
	enum pst_parse what = parse_inner(pkt->bytes, pkt->len, &key, &p, &tunnel);

	assert_true(tunnel != PST_TUNNEL_NONE);
	return what;
}

/* A byte of the tunnel's header that is not @is: what comes of it. */
static void check_bits(enum around around, size_t byte, uint8_t is, enum pst_parse what)
{
	struct outer o = {around, false, false};
	struct packet pkt;
	size_t l3;

	make_udp4(&pkt);
	l3 = put_into(&pkt, &o);
	pkt.bytes[l3 + 20 + byte] = is;
	assert_int_equal(inner_of(&pkt), what);
}

static void check_tunnel_headers(void **state)
{
	(void)state;
	check_bits(AROUND_GRE, 0, 0x40, PST_PARSE_OTHER);         /* routing */
	check_bits(AROUND_GRE, 1, 0x01, PST_PARSE_OTHER);         /* PPTP */
	check_bits(AROUND_GRE, 1, 0x07, PST_PARSE_OTHER);         /* no version that there is */
	check_bits(AROUND_GRE, 0, 0x0f, PST_PARSE_OK);            /* reserved */
	check_bits(AROUND_GRE, 1, 0xf8, PST_PARSE_OK);            /* reserved */
	check_bits(AROUND_GRE, 2, 0x88, PST_PARSE_OTHER);         /* a type that is not IP */
	check_bits(AROUND_GRE, 4, 0x65, PST_PARSE_BAD);           /* IP of another version than its type */
	check_bits(AROUND_IPIP, 0, 0x65, PST_PARSE_BAD);          /* or protocol */
	check_bits(AROUND_IPIP, 0, 0x44, PST_PARSE_BAD);          /* a header of 16 bytes */
	check_bits(AROUND_VXLAN, 8, 0x00, PST_PARSE_BAD);         /* no network, so no header */
	check_bits(AROUND_VXLAN, 8, 0xff, PST_PARSE_OK);          /* reserved */
	check_bits(AROUND_VXLAN, 16 + 12, 0x88, PST_PARSE_OTHER); /* a frame of something else */
}

/* Redirected by WCCP, of both versions: to Linux that is IPv4 in GRE. */
static void check_wccp(void **state)
{
	const struct outer o = {AROUND_GRE, false, false};
	enum pst_tunnel tunnel;
	struct pst_flow_key key;
	struct pst_packet p;
	struct packet pkt;
	uint8_t *in;

	(void)state;
	make_udp4(&pkt);
	in = pkt.bytes + put_into(&pkt, &o) + 24;
	put16(in - 2, 0x883e);
	assert_int_equal(parse_inner(pkt.bytes, pkt.len, &key, &p, &tunnel), PST_PARSE_OK);
	assert_memory_equal(&key, &pkt.key, sizeof(key));
	memmove(in + 4, in, (size_t)(pkt.bytes + pkt.len - in));
	memset(in, 0, 4);
	pkt.len += 4;
	set_outer_end(&pkt, 14, false, pkt.len);
	assert_int_equal(parse_inner(pkt.bytes, pkt.len, &key, &p, &tunnel), PST_PARSE_OK);
	assert_memory_equal(&key, &pkt.key, sizeof(key));
	assert_int_equal(p.inner_off, 28);
}

/* What is a part of a packet has no inner headers, the first part either. */
static void check_outer_fragments(void **state)
{
	static const unsigned words[] = {0x2000, 0x2001, 0x0001, 0x1fff};
	const struct outer o = {AROUND_GRE, false, false};
	enum pst_tunnel tunnel;
	struct pst_flow_key key;
	struct pst_packet p;
	struct packet pkt;
	size_t l3;

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		make_udp4(&pkt);
		l3 = put_into(&pkt, &o);
		put16(pkt.bytes + l3 + 6, words[i]);
		assert_int_equal(parse_inner(pkt.bytes, pkt.len, &key, &p, &tunnel), PST_PARSE_OK);
		assert_int_equal(tunnel, PST_TUNNEL_NONE);
	}
	put16(pkt.bytes + l3 + 6, 0x4000); /* "do not fragment" */
	assert_int_equal(inner_of(&pkt), PST_PARSE_OK);
	for (unsigned more = 0; more < 2; more++) {
		eth(&pkt, 0x86dd), ip6(&pkt, 44), fragment6(&pkt, 47, 0), gre(&pkt, 0, 0x0800);
		pkt.bytes[pkt.l3 + 43] = (uint8_t)more;
		ip4(&pkt, 17, 0), ports(&pkt, 8);
		put16(pkt.length, 28);
		put16(pkt.bytes + pkt.l3 + 4, 8 + 4 + 28);
		assert_int_equal(parse_inner(pkt.bytes, pkt.len, &key, &p, &tunnel), PST_PARSE_OK);
		assert_int_equal(tunnel, more ? PST_TUNNEL_NONE : PST_TUNNEL_GRE);
	}
}

/* A tunnel in a tunnel is a packet of its protocol. */
static void check_one_level(void **state)
{
	(void)state;
	for (int around = 0; around < AROUNDS; around++) {
		const struct outer inside = {AROUND_GRE, true, false}, o = {around, false, false};
		enum pst_tunnel tunnel;
		struct pst_flow_key key;
		struct pst_packet p;
		struct packet pkt;

		make_udp4(&pkt);
		pkt.l3 = put_into(&pkt, &inside);
		put_into(&pkt, &o);
		assert_int_equal(parse_inner(pkt.bytes, pkt.len, &key, &p, &tunnel), PST_PARSE_OK);
		assert_int_equal(key.family, AF_INET6);
		assert_int_equal(key.protocol, 47);
		assert_int_equal(key.sport | key.dport, 0);
	}
}

static void check_tunnels_random(void **state)
{
	unsigned char bytes[256];
	unsigned int count[4] = {0};

	(void)state;
	srandom(4712);
	for (int n = 0; n < 1000000; n++) {
		const struct outer o = {random() % AROUNDS, random() & 1, random() & 1};
		enum pst_tunnel tunnel;
		struct pst_flow_key key;
		struct pst_packet p;
		struct packet pkt;
		enum pst_parse what;
		size_t len, l3;

		if (!make_inner((size_t)random() % PACKETS, &o, &pkt, &l3))
			continue;
		len = pkt.len < sizeof(bytes) ? pkt.len : sizeof(bytes);
		memcpy(bytes, pkt.bytes, len);
		for (int k = random() % 6; k > 0; k--)
			bytes[(size_t)random() % len] = (unsigned char)random();
		len -= random() % 3 ? 0 : (size_t)random() % len;
		what = parse_inner(bytes, len, &key, &p, &tunnel);
		assert_in_range(what, PST_PARSE_OK, PST_PARSE_BAD);
		assert_true(p.hdr_len <= PST_HEADERS_MAX);
		if (what == PST_PARSE_OK && tunnel)
			assert_true(
				key.family && l3 + p.inner_off + p.hdr_len <= len + 40); /* TCP's options */
		count[what]++;
	}
	for (int i = 0; i < 4; i++)
		assert_true(count[i] > 1000);
}

static void check_known(void **state)
{
	int known = 0;

	(void)state;
	for (int i = 0; i < 256; i++)
		known += pst_protocol_known((__u8)i);
	assert_true(pst_protocol_known(IPPROTO_TCP) && pst_protocol_known(IPPROTO_ICMPV6));
	assert_false(pst_protocol_known(0) || pst_protocol_known(PST_PROTOCOL_REST));
	assert_in_range(known, 10, 32); /* bounds the series that strangers can make */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_table),
		cmocka_unit_test(check_truncated),
		cmocka_unit_test(check_random),
		cmocka_unit_test(check_tunnels),
		cmocka_unit_test(check_tunnels_cut),
		cmocka_unit_test(check_tunnel_headers),
		cmocka_unit_test(check_wccp),
		cmocka_unit_test(check_outer_fragments),
		cmocka_unit_test(check_one_level),
		cmocka_unit_test(check_tunnels_random),
		cmocka_unit_test(check_known),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("parse", tests, map_edge, NULL);
}
