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
#include "tests/bpf/packets.h"

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
		cmocka_unit_test(check_known),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("parse", tests, map_edge, NULL);
}
