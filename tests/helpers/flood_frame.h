/* SPDX-License-Identifier: Apache-2.0 */
/* What flood is told to send, and the frames of it: built once, and made another packet's by fill(). */
#ifndef PST_TESTS_FLOOD_FRAME_H
#define PST_TESTS_FLOOD_FRAME_H

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FRAME_MAX  1514
#define FIRST_PORT 1024
#define PORTS      60000

enum kind {
	KIND_SYN,
	KIND_ACK,
	KIND_UDP,
	KIND_ICMP,
	KINDS,
};

static const struct {
	const char *name;
	size_t header, check; /* bytes; where the checksum is */
} kinds[KINDS] = {
	[KIND_SYN] = {"syn", sizeof(struct tcphdr), offsetof(struct tcphdr, th_sum)},
	[KIND_ACK] = {"ack", sizeof(struct tcphdr), offsetof(struct tcphdr, th_sum)},
	[KIND_UDP] = {"udp", sizeof(struct udphdr), offsetof(struct udphdr, uh_sum)},
	[KIND_ICMP] = {"icmp", sizeof(struct icmphdr), offsetof(struct icmphdr, checksum)},
};

struct flood {
	const char *interface, *kind_text, *mac_text, *source_text, *dest_text, *ports_text;
	uint64_t sources, payload, rate, duration_ns, packets, cpu;

	enum kind kind;
	bool is_ip6;
	uint8_t mac[ETH_ALEN], own_mac[ETH_ALEN], source[16], dest[16];
	uint16_t port, n_ports;
	uint64_t next; /* number of the next packet */
	uint64_t sent, refused;
};

/* A frame and where its parts are; the sums are of what is the same in every packet. */
struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t len, l4;
	uint8_t *source; /* the word of the address that changes */
	uint32_t first_source, ip_sum, l4_sum;
};

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v);
}

static uint32_t sum32(uint32_t v)
{
	return (v >> 16) + (v & 0xffff);
}

static uint32_t sum_of(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint32_t folded(uint32_t sum)
{
	sum = sum32(sum);
	return ~sum32(sum) & 0xffff;
}

static void put_ip4(const struct flood *f, struct frame *m, uint8_t protocol)
{
	struct iphdr *ip = (struct iphdr *)(m->bytes + ETH_HLEN);

	*ip = (struct iphdr){
		.version = 4, .ihl = 5, .ttl = 64, .frag_off = htons(IP_DF), .protocol = protocol};
	ip->tot_len = htons((uint16_t)(m->len - ETH_HLEN));
	memcpy(&ip->daddr, f->dest, 4);
	m->source = (uint8_t *)&ip->saddr;
	m->ip_sum = sum_of((uint8_t *)ip, sizeof(*ip));
}

static void put_ip6(const struct flood *f, struct frame *m, uint8_t protocol)
{
	struct ip6_hdr *ip = (struct ip6_hdr *)(m->bytes + ETH_HLEN);

	*ip = (struct ip6_hdr){.ip6_flow = htonl(6u << 28), .ip6_nxt = protocol, .ip6_hlim = 64};
	ip->ip6_plen = htons((uint16_t)(m->len - m->l4));
	memcpy(&ip->ip6_src, f->source, 16);
	memcpy(&ip->ip6_dst, f->dest, 16);
	m->source = (uint8_t *)&ip->ip6_src + 4;
	memset(m->source, 0, 4);
}

/* The transport header without what changes, and the sum of it and of the pseudo header. */
static void put_l4(const struct flood *f, struct frame *m, uint8_t protocol)
{
	uint8_t *l4 = m->bytes + m->l4;
	size_t len = m->len - m->l4, addresses = f->is_ip6 ? 32 : 8;

	memset(l4, 'x', len);
	memset(l4, 0, kinds[f->kind].header);
	if (f->kind == KIND_UDP) {
		put16(l4 + 4, (uint32_t)len);
	} else if (f->kind == KIND_ICMP) {
		l4[0] = f->is_ip6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
	} else {
		l4[12] = sizeof(struct tcphdr) / 4 << 4;
		l4[13] = f->kind == KIND_SYN ? TH_SYN : TH_ACK;
		put16(l4 + 14, 65535);
	}
	m->l4_sum = sum_of(l4, len);
	if (f->kind != KIND_ICMP || f->is_ip6) /* the addresses are the last of the IP header */
		m->l4_sum += sum_of(l4 - addresses, addresses) + protocol + (uint32_t)len;
}

static void build(const struct flood *f, struct frame *m)
{
	static const uint8_t protocols[KINDS] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	uint8_t protocol = f->is_ip6 && f->kind == KIND_ICMP ? IPPROTO_ICMPV6 : protocols[f->kind];
	struct ether_header *eth = (struct ether_header *)m->bytes;

	memcpy(eth->ether_dhost, f->mac, ETH_ALEN);
	memcpy(eth->ether_shost, f->own_mac, ETH_ALEN);
	eth->ether_type = htons(f->is_ip6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	m->l4 = ETH_HLEN + (f->is_ip6 ? sizeof(struct ip6_hdr) : sizeof(struct iphdr));
	m->len = m->l4 + kinds[f->kind].header + f->payload;
	if (f->is_ip6)
		put_ip6(f, m, protocol);
	else
		put_ip4(f, m, protocol);
	put_l4(f, m, protocol);
	memcpy(&m->first_source, f->source + (f->is_ip6 ? 4 : 0), 4);
	m->first_source = ntohl(m->first_source);
}

/* What is of packet @n alone. */
static void fill(const struct flood *f, struct frame *m, uint64_t n)
{
	uint32_t source = m->first_source + (uint32_t)(n % f->sources);
	uint32_t sport = FIRST_PORT + (uint32_t)(n / f->sources % PORTS),
		 dport = f->port + (uint32_t)(n % f->n_ports);
	uint32_t number = (uint32_t)n * 2654435761u, sum = m->l4_sum;
	uint8_t *l4 = m->bytes + m->l4;

	put32(m->source, source);
	if (!f->is_ip6)
		put16(m->bytes + ETH_HLEN + offsetof(struct iphdr, check), folded(m->ip_sum + sum32(source)));
	if (f->kind != KIND_ICMP || f->is_ip6)
		sum += sum32(source);
	if (f->kind == KIND_ICMP) {
		put16(l4 + 4, sport);
		put16(l4 + 6, dport);
	} else {
		put16(l4, sport);
		put16(l4 + 2, dport);
	}
	sum += sport + dport;
	if (f->kind == KIND_SYN || f->kind == KIND_ACK) {
		put32(l4 + 4, number);
		sum += sum32(number);
	}
	sum = folded(sum);
	if (f->kind == KIND_UDP && !sum)
		sum = 0xffff;
	put16(l4 + kinds[f->kind].check, sum);
}

#endif
