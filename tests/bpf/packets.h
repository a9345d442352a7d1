/* SPDX-License-Identifier: Apache-2.0 */
/* Packets for the tests of the parser and of the flow programs: how they are made, and what they are. */
#ifndef TESTS_BPF_PACKETS_H
#define TESTS_BPF_PACKETS_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "proto/abi/records.h"

/* A packet and what a parser has to find in it. */
struct packet {
	unsigned char bytes[2048];
	size_t len;
	size_t l3;   /* offset of IP */
	size_t need; /* headers end here */
	size_t seen; /* bytes without which it cannot be told what it is; most often `need` */
	uint32_t l3_len;
	uint8_t tcp_flags;
	uint8_t *next;   /* where the type of what follows is written, while it is made */
	uint8_t *length; /* and its length; v6: without the header */
	struct pst_flow_key key;
};

static inline void put16(uint8_t *at, unsigned int v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static inline uint8_t *grow(struct packet *p, size_t n)
{
	uint8_t *at = p->bytes + p->len;

	p->len += n;
	p->need = p->seen = p->len;
	return at;
}

static inline void eth(struct packet *p, unsigned int type)
{
	static const uint8_t macs[12] = {0x42, 1, 2, 3, 4, 5, 0x62, 1, 2, 3, 4, 6};

	memset(p, 0, sizeof(*p));
	memcpy(grow(p, 14), macs, 12);
	put16(p->bytes + 12, type);
	p->l3 = p->len;
}

static inline void vlan(struct packet *p, unsigned int tpid, unsigned int type)
{
	uint8_t *h = grow(p, 4);

	put16(h - 2, tpid);
	put16(h, 77);
	put16(h + 2, type);
	p->l3 = p->len;
}

static inline void ip4(struct packet *p, uint8_t protocol, size_t options)
{
	uint8_t *h = grow(p, 20 + options);
	const uint8_t s[4] = {8, 0, 9, 1}, d[4] = {10, 9, 9, 2};

	h[0] = (uint8_t)(0x40 | (5 + options / 4));
	memset(h + 20, 1, options); /* no-operation */
	h[8] = 64;
	h[9] = protocol;
	memcpy(h + 12, s, 4);
	memcpy(h + 16, d, 4);
	p->length = h + 2;
	p->key.family = AF_INET;
	p->key.protocol = protocol;
	p->key.saddr[10] = p->key.saddr[11] = p->key.daddr[10] = p->key.daddr[11] = 0xff;
	memcpy(p->key.saddr + 12, s, 4);
	memcpy(p->key.daddr + 12, d, 4);
}

static inline void ip6(struct packet *p, uint8_t next)
{
	uint8_t *h = grow(p, 40);

	h[0] = 0x60;
	h[6] = next;
	h[7] = 64;
	inet_pton(AF_INET6, "2001:db8:86dd::1", h + 8);
	inet_pton(AF_INET6, "2001:db8::2", h + 24);
	p->length = h + 4;
	p->next = h + 6;
	p->key.family = AF_INET6;
	p->key.protocol = next;
	memcpy(p->key.saddr, h + 8, 16);
	memcpy(p->key.daddr, h + 24, 16);
}

/* An extension header of @size bytes before @next. */
static inline void ext(struct packet *p, uint8_t type, uint8_t next, size_t size)
{
	uint8_t *h = grow(p, size);

	*p->next = type;
	h[0] = next;
	h[1] = (uint8_t)(type == 51 ? size / 4 - 2 : size / 8 - 1);
	p->next = h;
	p->key.protocol = next;
}

static inline void fragment6(struct packet *p, uint8_t next, unsigned int offset)
{
	uint8_t *h = grow(p, 8);

	*p->next = 44;
	h[0] = next;
	put16(h + 2, offset << 3 | 1);
	p->next = h;
	p->key.protocol = next;
}

static inline void ports(struct packet *p, size_t size)
{
	uint8_t *h = grow(p, size);

	put16(h, 40000);
	put16(h + 2, 53);
	p->key.sport = 40000;
	p->key.dport = 53;
}

static inline void tcp(struct packet *p, uint8_t flags, size_t options)
{
	uint8_t *h = p->bytes + p->len;

	ports(p, 20 + options);
	h[12] = (uint8_t)((5 + options / 4) << 4);
	h[13] = flags;
	p->tcp_flags = flags;
	p->seen = p->need - options; /* nobody reads them */
}

static inline void icmp(struct packet *p, uint8_t type, uint8_t code)
{
	uint8_t *h = grow(p, 4);

	h[0] = type;
	h[1] = code;
	p->key.sport = type;
	p->key.dport = code;
}

/* Payload, the length in the header, and Ethernet's padding. */
static inline void done(struct packet *p, size_t payload, size_t padding)
{
	p->len += payload;
	p->l3_len = (uint32_t)(p->len - p->l3);
	put16(p->length, p->key.family == AF_INET ? p->l3_len : p->l3_len - 40);
	p->len += padding;
}

/* ---- one function a packet ---- */

static void make_udp4(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 17, 0), ports(p, 8), done(p, 30, 0);
}
static void make_padded(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 17, 0), ports(p, 8), done(p, 2, 16);
}
static void make_tcp4(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 6, 0), tcp(p, 0x12, 20), done(p, 100, 0);
}
static void make_options4(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 6, 40), tcp(p, 0x02, 0), done(p, 0, 0);
}
static void make_options_gre(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 47, 12), done(p, 20, 0);
}
static void make_icmp4(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 1, 0), icmp(p, 8, 0), done(p, 60, 0);
}
static void make_sctp4(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 132, 0), ports(p, 12), done(p, 16, 0);
}
static void make_dccp4(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 33, 0), ports(p, 12), done(p, 16, 0);
}
static void make_udplite4(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 136, 0), ports(p, 8), done(p, 16, 0);
}
static void make_strange4(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 200, 0), done(p, 16, 0);
}
static void make_vlan(struct packet *p)
{
	eth(p, 0), vlan(p, 0x8100, 0x0800), ip4(p, 17, 0), ports(p, 8), done(p, 9, 0);
}
static void make_qinq(struct packet *p)
{
	eth(p, 0), vlan(p, 0x88a8, 0), vlan(p, 0x8100, 0x86dd), ip6(p, 17), ports(p, 8), done(p, 9, 0);
}
static void make_three_tags(struct packet *p)
{
	eth(p, 0), vlan(p, 0x88a8, 0), vlan(p, 0x8100, 0), vlan(p, 0x8100, 0x0800), ip4(p, 17, 0),
		ports(p, 8), done(p, 9, 0);
}
static void make_first4(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 17, 0), ports(p, 8), done(p, 100, 0);
	put16(p->bytes + p->l3 + 6, 0x2000);
}
static void make_later4(struct packet *p)
{
	eth(p, 0x0800), ip4(p, 17, 0), done(p, 100, 0);
	put16(p->bytes + p->l3 + 6, 0x0010);
}
static void make_udp6(struct packet *p)
{
	eth(p, 0x86dd), ip6(p, 17), ports(p, 8), done(p, 30, 0);
}
static void make_tcp6(struct packet *p)
{
	eth(p, 0x86dd), ip6(p, 6), tcp(p, 0x11, 12), done(p, 30, 0);
}
static void make_icmp6(struct packet *p)
{
	eth(p, 0x86dd), ip6(p, 58), icmp(p, 135, 0), done(p, 20, 0);
}
static void make_nothing6(struct packet *p)
{
	eth(p, 0x86dd), ip6(p, 59), done(p, 0, 0);
	p->l3_len = 0; /* a payload length of 0 may be a jumbogram's */
}
static void make_chain6(struct packet *p)
{
	eth(p, 0x86dd), ip6(p, 0), ext(p, 0, 60, 8), ext(p, 60, 43, 24), ext(p, 43, 51, 40),
		ext(p, 51, 6, 24);
	tcp(p, 0x18, 0), done(p, 5, 0);
}
static void make_first6(struct packet *p)
{
	eth(p, 0x86dd), ip6(p, 44), fragment6(p, 17, 0), ports(p, 8), done(p, 64, 0);
}
static void make_later6(struct packet *p)
{
	eth(p, 0x86dd), ip6(p, 44), fragment6(p, 60, 8), done(p, 64, 0);
}
static void make_eight6(struct packet *p)
{
	eth(p, 0x86dd), ip6(p, 60);
	for (int i = 0; i < 8; i++)
		ext(p, 60, i < 7 ? 60 : 17, 8);
	ports(p, 8), done(p, 1, 0);
}
static void make_nine6(struct packet *p)
{
	eth(p, 0x86dd), ip6(p, 60);
	for (int i = 0; i < 9; i++)
		ext(p, 60, i < 8 ? 60 : 17, 8);
	ports(p, 8), done(p, 1, 0);
}
static void make_long6(struct packet *p)
{
	eth(p, 0x86dd), ip6(p, 60), ext(p, 60, 17, 1024), ports(p, 8), done(p, 1, 0);
}
static void make_arp(struct packet *p)
{
	eth(p, 0x0806), (void)grow(p, 28);
}
static void make_short_ihl(struct packet *p)
{
	make_udp4(p), p->bytes[p->l3] = 0x44;
}
static void make_version4(struct packet *p)
{
	make_udp4(p), p->bytes[p->l3] = 0x65;
}
static void make_version6(struct packet *p)
{
	make_udp6(p), p->bytes[p->l3] = 0x40;
}
static void make_total4(struct packet *p)
{
	make_udp4(p), put16(p->bytes + p->l3 + 2, 19);
}
static void make_cut_by_length4(struct packet *p)
{
	make_udp4(p), put16(p->bytes + p->l3 + 2, 27);
}
static void make_cut_by_length6(struct packet *p)
{
	make_chain6(p), put16(p->bytes + p->l3 + 4, 64);
}
static void make_doff(struct packet *p)
{
	make_tcp4(p), p->bytes[p->l3 + 20 + 12] = 0x40;
}

/* @what: enum pst_parse */
static const struct {
	const char *name;
	void (*make)(struct packet *p);
	int what;
} packets[] = {
	{"UDP in IPv4", make_udp4, 0},
	{"UDP in IPv4, padded", make_padded, 0},
	{"TCP in IPv4", make_tcp4, 0},
	{"TCP in IPv4 with all options", make_options4, 0},
	{"GRE in IPv4 with options", make_options_gre, 0},
	{"ICMP", make_icmp4, 0},
	{"SCTP", make_sctp4, 0},
	{"DCCP", make_dccp4, 0},
	{"UDP-Lite", make_udplite4, 0},
	{"a protocol nobody knows", make_strange4, 0},
	{"one VLAN tag", make_vlan, 0},
	{"two VLAN tags", make_qinq, 0},
	{"three VLAN tags", make_three_tags, 1},
	{"first fragment in IPv4", make_first4, 0},
	{"later fragment in IPv4", make_later4, 0},
	{"UDP in IPv6", make_udp6, 0},
	{"TCP in IPv6", make_tcp6, 0},
	{"ICMPv6", make_icmp6, 0},
	{"IPv6 with nothing in it", make_nothing6, 0},
	{"TCP behind four extension headers", make_chain6, 0},
	{"first fragment in IPv6", make_first6, 0},
	{"later fragment in IPv6", make_later6, 0},
	{"eight extension headers", make_eight6, 0},
	{"nine extension headers", make_nine6, 3},
	{"an endless extension header", make_long6, 3},
	{"ARP", make_arp, 1},
	{"IPv4 with a short header length", make_short_ihl, 3},
	{"IPv4 that says it is IPv6", make_version4, 3},
	{"IPv6 that says it is IPv4", make_version6, 3},
	{"IPv4 with a total length below its header", make_total4, 3},
	{"IPv4 whose length ends inside UDP", make_cut_by_length4, 3},
	{"IPv6 whose length ends inside the chain", make_cut_by_length6, 3},
	{"TCP with a short data offset", make_doff, 3},
};
#define PACKETS (sizeof(packets) / sizeof(packets[0]))

#endif
