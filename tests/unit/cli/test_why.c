// SPDX-License-Identifier: Apache-2.0
/* Packets in words as frames, byte by byte and with right checksums; captures of both byte orders, cut
 * anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cli/why.h"
#include "proto/base/cleanup.h"

static char error[WHY_ERROR_MAX];

static void good(const struct why_words *words, struct why_frame *f)
{
	error[0] = 0;
	if (why_frame(words, f, error))
		fail_msg("%s", error);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t add(const uint8_t *p, size_t n, uint32_t s)
{
	for (size_t i = 0; i < n; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

/* With its pseudo header, but for ICMP's. */
static uint32_t transport_sum(const struct why_frame *f, size_t l3, bool ip6, uint32_t proto)
{
	size_t head = ip6 ? 40 : 20, at = ip6 ? 8 : 12, n = ip6 ? 32 : 8, bytes = f->len - l3 - head;
	uint32_t s = proto == 1 ? 0 : add(f->bytes + l3 + at, n, (uint32_t)bytes + proto);

	return add(f->bytes + l3 + head, bytes, s);
}

static void tcp(void **state)
{
	static const uint8_t want[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0xb8, 0, 40, 0, 0,
		0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2, 0x0f, 0xa0, 0x01, 0xbb, 0, 0, 0, 7, 0xff,
		0xff, 0xff, 0xff, 0x50, 0x12, 0xff, 0xff, 0, 0, 0, 0};
	const struct why_words words = {.proto = "tcp",
		.src = "192.0.2.1:4000",
		.dst = "198.51.100.2:443",
		.flags = "syn,ack",
		.seq = "7",
		.ack = "4294967295",
		.dscp = "46"};
	struct why_frame f;

	(void)state;
	good(&words, &f);
	assert_int_equal(f.len, sizeof(want));
	assert_int_equal(add(f.bytes + 14, 20, 0), 0xffff);
	assert_int_equal(transport_sum(&f, 14, false, 6), 0xffff);
	memset(f.bytes + 24, 0, 2);
	memset(f.bytes + 50, 0, 2);
	assert_memory_equal(f.bytes, want, sizeof(want));
}

static void others(void **state)
{
	static const struct {
		struct why_words words;
		uint32_t proto, len;
		bool ip6;
	} cases[] = {
		{{.proto = "udp", .src = "[2001:db8::1]:53", .dst = "[2001:db8::2]:4000"}, 17, 62, true},
		{{.proto = "udp", .src = "192.0.2.1:1", .dst = "192.0.2.2:2", .len = "1401"}, 17, 1401,
			false},
		{{.proto = "udp", .src = "192.0.2.1:1", .dst = "192.0.2.2:2", .len = "2048"}, 17, 2048,
			false},
		{{.proto = "tcp", .src = "[::1]:1", .dst = "[::2]:2"}, 6, 74, true},
		{{.proto = "icmp", .src = "192.0.2.1", .dst = "192.0.2.2"}, 1, 42, false},
		{{.proto = "icmpv6", .src = "2001:db8::1", .dst = "[2001:db8::2]"}, 58, 62, true},
		{{.proto = "icmp", .src = "192.0.2.1", .dst = "192.0.2.2", .icmp = "3/1", .vlan = "7"}, 1, 46,
			false},
	};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		size_t l3 = cases[i].words.vlan ? 18 : 14;
		bool ip6 = cases[i].ip6;
		struct why_frame f;

		good(&cases[i].words, &f);
		assert_int_equal(f.len, cases[i].len);
		assert_int_equal(get16(f.bytes + l3 - 2), ip6 ? 0x86dd : 0x0800);
		assert_int_equal(get16(f.bytes + l3 + (ip6 ? 4 : 2)), f.len - l3 - (ip6 ? 40 : 0));
		assert_int_equal(f.bytes[l3 + (ip6 ? 6 : 9)], cases[i].proto);
		assert_int_equal(transport_sum(&f, l3, ip6, cases[i].proto), 0xffff);
	}
}

static void icmp_and_tag(void **state)
{
	const struct why_words words = {
		.proto = "icmp", .src = "192.0.2.1", .dst = "192.0.2.2", .icmp = "3/1", .vlan = "4095"};
	struct why_frame f;

	(void)state;
	good(&words, &f);
	assert_int_equal(get16(f.bytes + 12), 0x8100);
	assert_int_equal(get16(f.bytes + 14), 4095);
	assert_int_equal(f.bytes[38], 3);
	assert_int_equal(f.bytes[39], 1);
}

static void refused(void **state)
{
	static const struct {
		struct why_words words;
		const char *want;
	} cases[] = {
		{{.proto = "tpc", .src = "1.2.3.4:1", .dst = "1.2.3.4:1"}, "tcp, udp"},
		{{.proto = "256", .src = "1.2.3.4", .dst = "1.2.3.4"}, "tcp, udp"},
		{{.proto = "tcp", .src = "1.2.3.4", .dst = "1.2.3.4:1"}, "port"},
		{{.proto = "tcp", .src = "1.2.3.4:", .dst = "1.2.3.4:1"}, "ADDRESS:PORT"},
		{{.proto = "tcp", .src = "1.2.3.4:65536", .dst = "1.2.3.4:1"}, "port"},
		{{.proto = "tcp", .src = "1.2.3.4:1x", .dst = "1.2.3.4:1"}, "port"},
		{{.proto = "tcp", .src = "2001:db8::1:80", .dst = "1.2.3.4:1"}, "port"},
		{{.proto = "tcp", .src = "[2001:db8::1", .dst = "1.2.3.4:1"}, "ADDRESS:PORT"},
		{{.proto = "tcp", .src = "[1.2.3.4.5]:1", .dst = "1.2.3.4:1"}, "no address"},
		{{.proto = "tcp", .src = "1.2.3.4:1", .dst = "[::1]:1"}, "IPv6"},
		{{.proto = "gre", .src = "1.2.3.4:1", .dst = "1.2.3.4"}, "no ports"},
		{{.proto = "47", .src = "", .dst = "1.2.3.4"}, "no address"},
		{{.proto = "udp", .src = "1.2.3.4:1", .dst = "1.2.3.4:1", .flags = "syn"}, "for tcp"},
		{{.proto = "udp", .src = "1.2.3.4:1", .dst = "1.2.3.4:1", .icmp = "8"}, "for icmp"},
		{{.proto = "tcp", .src = "1.2.3.4:1", .dst = "1.2.3.4:1", .flags = "syn,"}, "--flags"},
		{{.proto = "tcp", .src = "1.2.3.4:1", .dst = "1.2.3.4:1", .seq = "4294967296"}, "--seq"},
		{{.proto = "tcp", .src = "1.2.3.4:1", .dst = "1.2.3.4:1", .len = "53"}, "--len"},
		{{.proto = "tcp", .src = "1.2.3.4:1", .dst = "1.2.3.4:1", .len = "-1"}, "--len"},
		{{.proto = "icmp", .src = "1.2.3.4", .dst = "1.2.3.4", .icmp = "256"}, "--icmp"},
		{{.proto = "icmp", .src = "1.2.3.4", .dst = "1.2.3.4", .icmp = "3/"}, "--icmp"},
		{{.proto = "icmp", .src = "1.2.3.4", .dst = "1.2.3.4", .dscp = "64"}, "--dscp"},
	};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		struct why_frame f;

		error[0] = 0;
		assert_int_equal(why_frame(&cases[i].words, &f, error), -EINVAL);
		if (!strstr(error, cases[i].want))
			fail_msg("case %zu: %s", i, error);
	}
}

/* ---- captures ---- */

static uint8_t file[4096];
static size_t file_len;

static void put32(uint32_t v, bool big)
{
	for (int i = 0; i < 4; i++)
		file[file_len++] = (uint8_t)(v >> (big ? 24 - 8 * i : 8 * i));
}

static void begin(uint32_t magic, bool big)
{
	file_len = 0;
	put32(magic, big);
	put32(big ? 0x00020004 : 0x00040002, big);
	put32(0, big);
	put32(0, big);
	put32(65535, big);
	put32(1, big);
}

static void put_packet(uint32_t captured, uint32_t bytes, bool big)
{
	put32(1, big);
	put32(2, big);
	put32(captured, big);
	put32(bytes, big);
	memset(file + file_len, 0xab, captured);
	file_len += captured;
}

static void captures(void **state)
{
	(void)state;
	for (int way = 0; way < 4; way++) {
		PST_FCLOSE FILE *f = NULL;
		struct why_frame frame;
		struct why_pcap pcap;
		bool big = way & 1;

		begin(way & 2 ? 0xa1b23c4d : 0xa1b2c3d4, big);
		put_packet(60, 60, big);
		put_packet(20, 30, big);
		put_packet(10, 10, big);
		put_packet(100, 5000, big);
		put_packet(14, 14, big);
		f = fmemopen(file, file_len, "r");
		assert_non_null(f);
		assert_int_equal(why_pcap_open(f, &pcap, error), 0);
		assert_int_equal(why_pcap_next(&pcap, &frame, error), 1);
		assert_int_equal(frame.len, 60);
		assert_int_equal(frame.bytes[59], 0xab);
		assert_int_equal(why_pcap_next(&pcap, &frame, error), 1);
		assert_int_equal(frame.len, 30);
		assert_int_equal(frame.filled, 10);
		assert_int_equal(frame.bytes[19], 0xab);
		assert_int_equal(frame.bytes[20], 0);
		assert_int_equal(why_pcap_next(&pcap, &frame, error), -EMSGSIZE);
		assert_int_equal(why_pcap_next(&pcap, &frame, error), -EMSGSIZE);
		assert_non_null(strstr(error, "packet 4"));
		assert_int_equal(why_pcap_next(&pcap, &frame, error), 1);
		assert_int_equal(why_pcap_next(&pcap, &frame, error), 0);
	}
}

/* Ends between packets are ends, all others are told. */
static void cut_anywhere(void **state)
{
	(void)state;
	begin(0xa1b2c3d4, false);
	put_packet(60, 60, false);
	put_packet(40, 60, false);
	for (size_t len = 1; len < file_len; len++) {
		PST_FCLOSE FILE *f = fmemopen(file, len, "r");
		struct why_frame frame;
		struct why_pcap pcap;
		int r, n = 0;

		assert_non_null(f);
		r = why_pcap_open(f, &pcap, error);
		assert_int_equal(r, len < 24 ? -EINVAL : 0);
		if (r)
			continue;
		while ((r = why_pcap_next(&pcap, &frame, error)) == 1)
			n++;
		assert_int_equal(n, len >= 24 + 16 + 60);
		assert_int_equal(r, len == 24 || len == 24 + 16 + 60 ? 0 : -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp),
		cmocka_unit_test(others),
		cmocka_unit_test(icmp_and_tag),
		cmocka_unit_test(refused),
		cmocka_unit_test(captures),
		cmocka_unit_test(cut_anywhere),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("why", tests, NULL, NULL);
}
