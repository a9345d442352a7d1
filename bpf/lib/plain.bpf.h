/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What nearly all packets are: IPv4 without options and whole, with TCP or UDP in it, and as long as it says.
 * Known by one check of bounds, and in registers. What is not plain is the parser's (parse.bpf.h), which says
 * the same of what is (tests/bpf/test_parse.c). Compiles for user space too.
 */
#ifndef PST_PLAIN_BPF_H
#define PST_PLAIN_BPF_H

#include "bpf/lib/parse.bpf.h"

#define PST_PLAIN_BYTES 40 /* both headers; with UDP some payload or padding, which short frames have */

struct pst_plain {
	__u32 saddr, daddr; /* host order, as all */
	__u16 sport, dport;
	__u16 l3_len, hdr_len;
	__u8 protocol, tcp_flags;
};

PST_PARSE_FN __u32 pst_load32(const __u8 *b)
{
	__u32 word;

	PST_COPY_WORD(__u32, &word, b);
	return pst_ntohl(word);
}

PST_PARSE_FN __u16 pst_load16(const __u8 *b)
{
	__u16 word;

	PST_COPY_WORD(__u16, &word, b);
	return pst_ntohs(word);
}

/* IPv4 at @off. False: it is something else, or does not fit. */
PST_PARSE_FN bool pst_plain(const struct pst_cursor *c, __u64 off, struct pst_plain *ret)
{
	const __u8 *h = pst_pull(c, off, PST_PLAIN_BYTES);
	__u32 l3_len, tcp;

	if (!h || h[0] != 0x45 || pst_load16(h + 6) & 0x3fff)
		return false;
	l3_len = pst_load16(h + 2);
	tcp = pst_load16(h + 32);
	ret->protocol = h[9];
	ret->l3_len = l3_len;
	if (ret->protocol == IPPROTO_TCP) {
		if (l3_len < 40 || tcp < 0x5000)
			return false;
		ret->hdr_len = 20 + (tcp >> 12) * 4;
		ret->tcp_flags = tcp;
	} else {
		if (ret->protocol != IPPROTO_UDP || l3_len < 28)
			return false;
		ret->hdr_len = 28;
		ret->tcp_flags = 0;
	}
	ret->saddr = pst_load32(h + 12);
	ret->daddr = pst_load32(h + 16);
	ret->sport = pst_load16(h + 20);
	ret->dport = pst_load16(h + 22);
	return l3_len <= c->len - off;
}

/* As pst_parse_ip() has it; what @key says beside is left alone. */
PST_PARSE_FN void pst_plain_put(const struct pst_plain *is, struct pst_flow_key *key, struct pst_packet *p)
{
	pst_put_addr4(key->saddr, is->saddr);
	pst_put_addr4(key->daddr, is->daddr);
	key->sport = is->sport;
	key->dport = is->dport;
	key->family = AF_INET;
	key->protocol = is->protocol;
	p->l3_len = is->l3_len;
	p->hdr_len = is->hdr_len;
	p->tcp_flags = is->tcp_flags;
	p->later_fragment = 0;
	p->l4_off = 20;
}

#endif
