/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packet headers: Ethernet, up to two VLAN tags, IPv4 with options, IPv6 with
 * extension headers, fragments, and the start of TCP, UDP, UDP-Lite, DCCP, SCTP,
 * ICMP and ICMPv6. No state, no helper, never a byte out of bounds.
 *
 * Compiles for user space too, where it is tested. How bytes are reached is
 * pst_pull(): from packet memory in tc, cgroup and XDP programs and in user space;
 * a tracing program, which has only a copy, defines PST_PARSE_COPY to its size.
 */
#ifndef PST_PARSE_BPF_H
#define PST_PARSE_BPF_H

#include "proto/abi/records.h"

#ifdef __bpf__
#include <bpf/bpf_endian.h>
#define pst_ntohs(x)   bpf_ntohs(x)
#define pst_ntohl(x)   bpf_ntohl(x)
#define pst_htobe64(x) bpf_cpu_to_be64(x)
#define PST_PARSE_FN   static __always_inline
#define PST_UNROLL     _Pragma("unroll")
#else
#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#define pst_ntohs(x)   ntohs(x)
#define pst_ntohl(x)   ntohl(x)
#define pst_htobe64(x) htobe64(x)
#define PST_PARSE_FN   static inline
#define PST_UNROLL
#endif

#define PST_ETH_IP    0x0800
#define PST_ETH_ARP   0x0806
#define PST_ETH_VLAN  0x8100
#define PST_ETH_QINQ  0x88a8
#define PST_ETH_IPV6  0x86dd
#define PST_ETH_BYTES 14

#define PST_VLAN_TAGS     2
#define PST_EXT_HEADERS   8    /* more in one packet is called malformed */
#define PST_HEADERS_MAX   1024 /* link and network headers together; more is called malformed */
#define PST_PROTOCOL_REST 255  /* in counters: a protocol that pst_protocol_known() has not */

enum pst_parse {
	PST_PARSE_OK = 0,
	PST_PARSE_OTHER, /* not IP */
	PST_PARSE_SHORT, /* more bytes are needed than there are */
	PST_PARSE_BAD,   /* the header contradicts itself */
};

struct pst_cursor {
	void *data;
	void *end; /* packet memory */
	__u32 len; /* bytes in it */
};

/* What the headers say beside the key. */
struct pst_packet {
	__u32 l3_len;  /* length of the IP packet as its header says; 0: it does not (GSO above 64 KiB,
			  jumbogram) */
	__u32 hdr_len; /* bytes of layer 3 and 4 headers: what every segment of a GSO packet repeats */
	__u8 tcp_flags;
	__u8 later_fragment;
	__u16 l4_off;    /* of layer 4 from layer 3 */
	__u16 fragment;  /* 0: it is whole */
	__u16 inner_off; /* of its layer 3 from that of the packet around it (tunnel.bpf.h); 0: nothing is
			    around it */
};

#ifdef PST_PARSE_COPY
PST_PARSE_FN void *pst_pull(const struct pst_cursor *c, __u64 off, __u32 n)
{
	if (off > PST_PARSE_COPY - n || off + n > c->len)
		return NULL;
	return (char *)c->data + off;
}
#elif defined(__bpf__)
PST_PARSE_FN void *pst_pull(const struct pst_cursor *c, __u64 off, __u32 n)
{
	char *p = (char *)c->data + off;

	asm volatile("" : "+r"(p)); /* the verifier wants the check on the very pointer that is used */
	return p + n > (char *)c->end ? NULL : p;
}
#else
PST_PARSE_FN void *pst_pull(const struct pst_cursor *c, __u64 off, __u32 n)
{
	size_t len = (size_t)((char *)c->end - (char *)c->data);

	return off > len || n > len - off ? NULL : (char *)c->data + off;
}
#endif

/*
 * pst_launder: the verifier forgets how a value came about (it takes @noise for anything), and so sees one
 * state where it would otherwise follow every chain of headers to the program's end. The value stays what it
 * is. pst_keep: the compiler goes on with this very copy of a value whose bounds were just checked. An older
 * one that it has spilled to the stack has no bounds for verifiers before 6.4.
 */
#ifdef __bpf__
#define pst_launder(value, noise) asm volatile("%0 ^= %1\n\t%0 ^= %1" : "+r"(value) : "r"((__u64)(noise)))
#define pst_keep(value)           asm volatile("" : "+r"(value))
/* Of an offset whose bounds were checked: bounds that old verifiers have lost when it was on the stack. */
#define pst_rebound(off) asm volatile("%0 &= %1" : "+r"(off) : "i"(2 * PST_HEADERS_MAX - 1))
#else
#define pst_launder(value, noise) ((void)(value))
#define pst_keep(value)           ((void)(value))
#define pst_rebound(off)          ((void)(off))
#endif

/*
 * An address of any alignment to a place that is aligned. The compiler would copy it byte by byte, and who
 * then reads it as words waits until all the bytes are written.
 */
#ifdef __bpf__
#define PST_COPY_WORD(type, to, from) (*(type *)(to) = *(const type *)(from))
#else
#define PST_COPY_WORD(type, to, from) __builtin_memcpy(to, from, sizeof(type))
#endif

PST_PARSE_FN void pst_copy_addr6(__u8 *to, const __u8 *from)
{
	PST_COPY_WORD(__u64, to, from);
	PST_COPY_WORD(__u64, to + 8, from + 8);
}

/* Network order to host order from two bytes of any alignment. */
PST_PARSE_FN __u16 pst_be16(const __u8 *b)
{
	return (__u16)(b[0] << 8 | b[1]);
}

PST_PARSE_FN bool pst_protocol_known(__u8 protocol)
{
	switch (protocol) {
	case 1:   /* ICMP */
	case 2:   /* IGMP */
	case 4:   /* IPv4 in IP */
	case 6:   /* TCP */
	case 17:  /* UDP */
	case 33:  /* DCCP */
	case 41:  /* IPv6 in IP */
	case 47:  /* GRE */
	case 50:  /* ESP */
	case 51:  /* AH */
	case 58:  /* ICMPv6 */
	case 59:  /* IPv6: nothing follows */
	case 89:  /* OSPF */
	case 103: /* PIM */
	case 112: /* VRRP */
	case 132: /* SCTP */
	case 136: /* UDP-Lite */
		return true;
	default:
		return false;
	}
}

/* Ethernet at @off: type behind at most two VLAN tags, and where the next header starts. */
PST_PARSE_FN enum pst_parse pst_parse_eth_at(
	const struct pst_cursor *c, __u64 off, __u16 *ret_type, __u64 *ret_off)
{
	const __u8 *h = pst_pull(c, off, PST_ETH_BYTES);
	__u16 type;
	int i;

	if (!h)
		return PST_PARSE_SHORT;
	off += PST_ETH_BYTES;
	type = pst_be16(h + 12);
	PST_UNROLL
	for (i = 0; i < PST_VLAN_TAGS; i++) {
		if (type != PST_ETH_VLAN && type != PST_ETH_QINQ)
			break;
		h = pst_pull(c, off, 4);
		if (!h)
			return PST_PARSE_SHORT;
		type = pst_be16(h + 2);
		off += 4;
	}
	*ret_type = type;
	*ret_off = off;
	return PST_PARSE_OK;
}

PST_PARSE_FN enum pst_parse pst_parse_eth(const struct pst_cursor *c, __u16 *ret_type, __u32 *ret_off)
{
	__u64 off = 0;
	enum pst_parse what = pst_parse_eth_at(c, 0, ret_type, &off);

	if (what == PST_PARSE_OK)
		*ret_off = off;
	return what;
}

/* Bytes of a transport header that have to be there; 0: one without ports. */
PST_PARSE_FN __u32 pst_l4_bytes(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 20;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return 8;
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		return 12;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 4;
	default:
		return 0;
	}
}

/* Where the transport header is, and which. 8 bytes each, so that they stay in registers. */
struct pst_transport {
	__u64 off;
	__u64 protocol;
	__u64 later_fragment;
};

/* @host: in host order; @addr is aligned. */
PST_PARSE_FN void pst_put_addr4(__u8 *addr, __u32 host)
{
	__u64 words[2] = {0, pst_htobe64(0xffffULL << 32 | host)};

	PST_COPY_WORD(__u64, addr, &words[0]);
	PST_COPY_WORD(__u64, addr + 8, &words[1]);
}

PST_PARSE_FN void pst_parse_addr4(__u8 *addr, const __u8 *ip)
{
	__u32 low;

	PST_COPY_WORD(__u32, &low, ip);
	pst_put_addr4(addr, pst_ntohl(low));
}

PST_PARSE_FN enum pst_parse pst_parse_ip4(const struct pst_cursor *c, __u64 off, struct pst_flow_key *key,
	struct pst_packet *p, struct pst_transport *t)
{
	const __u8 *h;
	__u32 ihl;

	pst_rebound(off);
	h = pst_pull(c, off, 20);
	if (!h)
		return PST_PARSE_SHORT;
	ihl = (h[0] & 15) * 4;
	p->l3_len = pst_be16(h + 2);
	if (h[0] >> 4 != 4 || ihl < 20 || (p->l3_len && p->l3_len < ihl))
		return PST_PARSE_BAD;
	key->family = AF_INET;
	pst_parse_addr4(key->saddr, h + 12);
	pst_parse_addr4(key->daddr, h + 16);
	t->off = off + ihl;
	t->protocol = h[9];
	p->fragment = pst_be16(h + 6) & 0x3fff;
	t->later_fragment = p->fragment & 0x1fff;
	return PST_PARSE_OK;
}

/* One extension header; @t->off is checked. */
PST_PARSE_FN enum pst_parse pst_parse_ext(
	const struct pst_cursor *c, struct pst_packet *p, struct pst_transport *t)
{
	const __u8 *h = pst_pull(c, t->off, 8);
	__u64 next, len;

	if (!h)
		return PST_PARSE_SHORT;
	next = h[0];
	len = ((__u64)h[1] + 1) * 8;
	if (t->protocol == IPPROTO_AH)
		len = ((__u64)h[1] + 2) * 4;
	if (t->protocol == IPPROTO_FRAGMENT) {
		len = 8;
		p->fragment |= pst_be16(h + 2) & 0xfff9;
		t->later_fragment = pst_be16(h + 2) & 0xfff8;
	}
	pst_launder(len, c->len);
	t->off += len & 4095;
	t->protocol = next;
	return PST_PARSE_OK;
}

PST_PARSE_FN bool pst_is_ext(__u64 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT ||
	       next == IPPROTO_DSTOPTS || next == IPPROTO_AH;
}

PST_PARSE_FN enum pst_parse pst_parse_ip6(const struct pst_cursor *c, __u64 off, struct pst_flow_key *key,
	struct pst_packet *p, struct pst_transport *t)
{
	enum pst_parse what;
	const __u8 *h;
	int i;

	pst_rebound(off);
	h = pst_pull(c, off, 40);
	if (!h)
		return PST_PARSE_SHORT;
	if (h[0] >> 4 != 6)
		return PST_PARSE_BAD;
	p->l3_len = pst_be16(h + 4);
	if (p->l3_len)
		p->l3_len += 40;
	key->family = AF_INET6;
	pst_copy_addr6(key->saddr, h + 8);
	pst_copy_addr6(key->daddr, h + 24);
	t->off = off + 40;
	t->protocol = h[6];
	t->later_fragment = 0;
	for (i = 0; i < PST_EXT_HEADERS; i++) {
		if (t->later_fragment || !pst_is_ext(t->protocol))
			return PST_PARSE_OK;
		pst_launder(t->off, c->len);
		if (t->off > PST_HEADERS_MAX)
			return PST_PARSE_BAD;
		pst_keep(t->off);
		what = pst_parse_ext(c, p, t);
		if (what != PST_PARSE_OK)
			return what;
	}
	return pst_is_ext(t->protocol) ? PST_PARSE_BAD : PST_PARSE_OK;
}

PST_PARSE_FN enum pst_parse pst_parse_l4(const struct pst_cursor *c, __u64 l3, const struct pst_transport *t,
	struct pst_flow_key *key, struct pst_packet *p)
{
	__u64 l4 = t->off, need;
	const __u8 *h;

	pst_launder(l4, c->len);
	if (l4 > PST_HEADERS_MAX)
		return PST_PARSE_BAD;
	pst_keep(l4);
	key->protocol = t->protocol;
	p->later_fragment = !!t->later_fragment;
	need = t->later_fragment ? 0 : pst_l4_bytes(t->protocol);
	p->hdr_len = l4 - l3;
	p->l4_off = l4 - l3;
	if (p->l3_len && l4 - l3 + need > p->l3_len)
		return PST_PARSE_BAD; /* what follows is padding, not a header */
	if (!need)
		return pst_pull(c, l4, 0) ? PST_PARSE_OK : PST_PARSE_SHORT;
	/* a constant size for each, so that one bounds check serves */
	if (need == 20) {
		h = pst_pull(c, l4, 20);
		if (!h)
			return PST_PARSE_SHORT;
		if (h[12] >> 4 < 5)
			return PST_PARSE_BAD;
		p->tcp_flags = h[13];
		need = (h[12] >> 4) * 4;
	} else {
		h = need == 12 ? pst_pull(c, l4, 12) : need == 8 ? pst_pull(c, l4, 8) : pst_pull(c, l4, 4);
		if (!h)
			return PST_PARSE_SHORT;
	}
	p->hdr_len += need;
	if (need == 4) {
		key->sport = h[0];
		key->dport = h[1];
	} else {
		key->sport = pst_be16(h);
		key->dport = pst_be16(h + 2);
	}
	return PST_PARSE_OK;
}

/* @off has bounds. */
PST_PARSE_FN enum pst_parse pst_parse_ip_at(
	const struct pst_cursor *c, __u64 off, __u16 type, struct pst_flow_key *key, struct pst_packet *p)
{
	struct pst_transport t = {0, 0, 0};
	enum pst_parse what;

	if (type == PST_ETH_IP)
		what = pst_parse_ip4(c, off, key, p, &t);
	else if (type == PST_ETH_IPV6)
		what = pst_parse_ip6(c, off, key, p, &t);
	else
		what = PST_PARSE_OTHER;
	if (what != PST_PARSE_OK)
		return what;
	return pst_parse_l4(c, off, &t, key, p);
}

/*
 * IP at @off. Fills addresses, ports, family and protocol of @key, which the caller has zeroed, and @p. On
 * SHORT and BAD both are partly filled and mean nothing.
 */
PST_PARSE_FN enum pst_parse pst_parse_ip(
	const struct pst_cursor *c, __u64 off, __u16 type, struct pst_flow_key *key, struct pst_packet *p)
{
	pst_launder(off, c->len);
	if (off > PST_ETH_BYTES + 4 * PST_VLAN_TAGS)
		return PST_PARSE_BAD;
	pst_keep(off);
	return pst_parse_ip_at(c, off, type, key, p);
}

#ifdef __bpf__
/* For the verifier as pst_launder(): words that say nothing of the way they were made. */
PST_PARSE_FN void pst_settle(__u64 *to, const __u64 *from, __u32 words, __u64 noise)
{
	__u32 i;

	PST_UNROLL
	for (i = 0; i < words; i++) {
		__u64 word = from[i];

		pst_launder(word, noise);
		to[i] = word;
	}
}
#endif

#endif
