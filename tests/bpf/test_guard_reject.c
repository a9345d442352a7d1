// SPDX-License-Identifier: Apache-2.0
/*
 * Rejected at tc: the answer byte by byte, in both families, tagged and not; what may not be answered; the
 * rate of answers. At XDP there is none, which is counted.
 */
#include "tests/bpf/ctrun.h"

#include <time.h>

#define REDIRECT 7u
#define OWN_MARK 0x70737463u
#define BURST    100 /* of answers, whatever the clock does */

static void reject_with(uint8_t with)
{
	struct fw_rule r = {.action = PST_FW_REJECT, .with = with, .counter = 9, .id = 1};
	struct fw_ruleset set = {.rules = &r, .n = 1, .policy = PST_FW_ACCEPT};

	force(&set);
}

/* Up to when the rate is used. */
static void rate_used(uint64_t until)
{
	uint64_t value[8] = {until};
	uint32_t zero = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.reject_state), &zero, value, BPF_ANY), 0);
}

static uint64_t unanswered(void)
{
	return reason((enum pst_guard_reason)PST_GUARD_UNANSWERED).packets;
}

struct answer {
	uint8_t bytes[2048];
	uint32_t len, action, mark;
};

static void answer_of(const struct packet *p, struct answer *a)
{
	struct __sk_buff ctx = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->bytes, .data_size_in = (uint32_t)p->len,
		.data_out = a->bytes, .data_size_out = sizeof(a->bytes), .ctx_out = &ctx,
		.ctx_size_out = sizeof(ctx), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.guard_tc), &opts), 0);
	a->len = opts.data_size_out;
	a->action = opts.retval;
	a->mark = ctx.mark;
}

static uint16_t sum_of(const uint8_t *at, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)(at[i] << 8 | at[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* What IP answers to @p with @bytes of @protocol, sealed at @check. */
static size_t expected(const struct packet *p, bool ip6, const uint8_t *bytes, size_t n, uint8_t protocol,
	size_t check, uint8_t *out)
{
	static const uint8_t head4[10] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64}, head6[8] = {0x60, [7] = 64};
	size_t l3 = p->l3, ip = ip6 ? 40 : 20, at = ip6 ? 8 : 12, addr = ip6 ? 16 : 4;
	uint32_t pseudo = protocol == 1 ? 0 : protocol + (uint32_t)n;

	memset(out, 0, l3 + ip + n);
	memcpy(out, p->bytes, l3);
	memcpy(out, p->bytes + 6, 6);
	memcpy(out + 6, p->bytes, 6);
	memcpy(out + l3, ip6 ? head6 : head4, ip6 ? 8 : 10);
	put16(out + l3 + (ip6 ? 4 : 2), (unsigned)(ip6 ? n : ip + n));
	out[l3 + (ip6 ? 6 : 9)] = protocol;
	memcpy(out + l3 + at, p->bytes + l3 + at + addr, addr);
	memcpy(out + l3 + at + addr, p->bytes + l3 + at, addr);
	if (!ip6)
		put16(out + l3 + 10, sum_of(out + l3, 20, 0));
	memcpy(out + l3 + ip, bytes, n);
	put16(out + l3 + ip + check, 0);
	if (pseudo)
		pseudo += 0xffff & (uint16_t)~sum_of(out + l3 + at, 2 * addr, 0);
	put16(out + l3 + ip + check, sum_of(out + l3 + ip, n, pseudo));
	return l3 + ip + n;
}

static void expect_answer(const struct packet *p, const uint8_t *out, size_t len)
{
	uint64_t rejected = reason(PST_GUARD_FW_REJECT).packets, silent = unanswered();
	struct answer a;

	rate_used(0);
	answer_of(p, &a);
	assert_int_equal(a.action, REDIRECT);
	assert_int_equal(a.mark, OWN_MARK);
	assert_int_equal(a.len, len);
	assert_memory_equal(a.bytes, out, len);
	assert_int_equal(reason(PST_GUARD_FW_REJECT).packets, rejected + 1);
	assert_int_equal(unanswered(), silent);
}

static void expect_silence(const struct packet *p)
{
	uint64_t rejected = reason(PST_GUARD_FW_REJECT).packets, silent = unanswered();
	struct answer a;

	answer_of(p, &a);
	assert_int_equal(a.action, TC_SHOT);
	assert_int_equal(a.len, p->len);
	assert_memory_equal(a.bytes, p->bytes, p->len);
	assert_int_equal(reason(PST_GUARD_FW_REJECT).packets, rejected + 1);
	assert_int_equal(unanswered(), silent + 1);
}

static struct flow flow_of(unsigned way, uint8_t protocol)
{
	return (struct flow){.ip6 = way & 1,
		.tagged = way >> 1 & 1,
		.protocol = protocol,
		.peer = 5,
		.pport = 40000,
		.hport = 80};
}

/* ---- answers ---- */

static void expect_reset(const struct flow *f, const struct segment *s)
{
	unsigned used = s->bytes + !!(s->flags & SYN) + !!(s->flags & FIN);
	uint8_t tcp[20] = {[12] = 0x50}, out[256];
	struct packet p;
	size_t len;

	flow_packet(&p, f, s);
	put16(tcp, f->hport);
	put16(tcp + 2, f->pport);
	if (s->flags & ACK) {
		put32(tcp + 4, s->ack);
		tcp[13] = RST;
	} else {
		put32(tcp + 8, s->seq + used);
		tcp[13] = RST | ACK;
	}
	len = expected(&p, f->ip6, tcp, 20, 6, 16, out);
	expect_answer(&p, out, len);
}

static void resets(void **state)
{
	static const struct segment segments[] = {
		{.flags = SYN, .seq = 1000},
		{.flags = SYN, .seq = 0xfffffff0, .bytes = 100},
		{.flags = SYN | FIN, .seq = 0xffffffff},
		{.flags = FIN, .seq = 7, .bytes = 3},
		{.seq = 7, .bytes = 1301},
		{.flags = SYN | ACK, .seq = 1, .ack = 0x80000001},
		{.flags = PSH | ACK, .seq = 1, .ack = 0xfffefdfc, .bytes = 1400},
		{.flags = FIN | ACK | URG, .seq = 1, .ack = 2, .bytes = 1},
	};

	(void)state;
	reject_with(PST_FW_WITH_DEFAULT);
	for (unsigned way = 0; way < 4; way++)
		for (size_t i = 0; i < sizeof(segments) / sizeof(*segments); i++) {
			struct flow f = flow_of(way, 6);

			expect_reset(&f, &segments[i]);
			expect_reset(&f, &segments[i]); /* as the cache has it */
		}
}

static void expect_error(const struct flow *f, const struct segment *s, uint8_t with)
{
	static const uint8_t codes[2][PST_FW_WITHS] = {{3, 3, 13, 1, 0}, {4, 4, 1, 3, 0}};
	size_t quoted = (f->ip6 ? 40u : 20u) + 8;
	uint8_t icmp[64] = {f->ip6 ? 1 : 3, codes[f->ip6][with]}, out[256];
	struct packet p;
	size_t len;

	flow_packet(&p, f, s);
	memcpy(icmp + 8, p.bytes + p.l3, quoted);
	len = expected(&p, f->ip6, icmp, 8 + quoted, f->ip6 ? 58 : 1, 2, out);
	expect_answer(&p, out, len);
}

/* Shorter than the answer and longer, of protocols with ports and without. */
static void errors(void **state)
{
	static const uint8_t protocols[] = {17, 6, 47, 132, 1};

	(void)state;
	for (uint8_t with = 0; with < PST_FW_WITHS; with++) {
		reject_with(with);
		for (unsigned way = 0; way < 4; way++)
			for (size_t i = 0; i < sizeof(protocols); i++) {
				uint8_t ask = way & 1 ? 128 : 8, icmp = way & 1 ? 58 : 1;
				struct flow f = flow_of(way, protocols[i] == 1 ? icmp : protocols[i]);
				struct segment s = {.type = ask, .flags = SYN, .bytes = 4};

				if (protocols[i] == 6 && !with)
					continue;
				expect_error(&f, &s, with);
				s.bytes = 1200;
				expect_error(&f, &s, with);
				s.bytes = 5;
				expect_error(&f, &s, with);
			}
	}
}

/* ---- none ---- */

static void what_is_an_answer_itself(void **state)
{
	(void)state;
	reject_with(PST_FW_WITH_DEFAULT);
	for (unsigned way = 0; way < 4; way++) {
		struct flow f = flow_of(way, 6);
		struct segment s = {.flags = RST, .seq = 1};
		struct packet p;

		flow_packet(&p, &f, &s);
		expect_silence(&p);
		s.flags = RST | ACK;
		flow_packet(&p, &f, &s);
		expect_silence(&p);
		f.protocol = f.ip6 ? 58 : 1;
		for (unsigned type = 0; type < 256; type++) {
			bool asks = f.ip6 ? type == 128 : type == 8 || type == 13 || type == 15 || type == 17;

			s = (struct segment){.type = (uint8_t)type, .bytes = 40};
			flow_packet(&p, &f, &s);
			if (!asks)
				expect_silence(&p);
		}
	}
}

/* One byte or some of a good datagram changed. */
static void expect_silence_with(unsigned way, size_t at, const uint8_t *bytes, size_t n)
{
	struct flow f = flow_of(way, 17);
	struct segment s = {.bytes = 64};
	struct packet p;

	flow_packet(&p, &f, &s);
	memcpy(p.bytes + at, bytes, n);
	expect_silence(&p);
}

static void who_is_not_one_host(void **state)
{
	static const uint8_t multicast[6] = {0x33, 0x33, 0, 0, 0, 1},
			     everybody[6] = {255, 255, 255, 255, 255, 255};
	static const uint8_t ip4[][4] = {{0, 0, 0, 0}, {0, 1, 2, 3}, {127, 0, 0, 1}, {224, 0, 0, 1},
		{239, 1, 2, 3}, {255, 255, 255, 255}};
	static const uint8_t ip6[][16] = {
		{0}, {[15] = 1}, {0xff, 2, [15] = 1}, {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}};

	(void)state;
	reject_with(PST_FW_WITH_PORT);
	for (unsigned way = 0; way < 4; way++) {
		size_t l3 = way & 2 ? 18 : 14;

		expect_silence_with(way, 0, multicast, 6);
		expect_silence_with(way, 0, everybody, 6);
		for (size_t i = 0; !(way & 1) && i < 6; i++) {
			expect_silence_with(way, l3 + 12, ip4[i], 4);
			expect_silence_with(way, l3 + 16, ip4[i], 4);
		}
		for (size_t i = 0; way & 1 && i < 4; i++) {
			expect_silence_with(way, l3 + 8, ip6[i], 16);
			expect_silence_with(way, l3 + 24, ip6[i], 16);
		}
	}
}

/* Fragments, the first too; options and extension headers; less than an error quotes. */
static void what_is_in_parts(void **state)
{
	static const uint8_t first[2] = {0x20, 0}, later[2] = {0, 8}, last[2] = {0x20, 8};
	struct flow f = flow_of(0, 17);
	struct segment s = {0};
	struct packet p;
	unsigned n = 0;

	(void)state;
	reject_with(PST_FW_WITH_PORT);
	expect_silence_with(0, 14 + 6, first, 2);
	expect_silence_with(0, 14 + 6, later, 2);
	expect_silence_with(0, 14 + 6, last, 2);
	for (size_t i = 0; i < PACKETS; i++) {
		const char *name = packets[i].name;

		packets[i].make(&p);
		if (packets[i].what ||
			!(strstr(name, "option") || strstr(name, "fragment") || strstr(name, "extension")))
			continue;
		expect_silence(&p);
		n++;
	}
	assert_int_equal(n, 8);
	f.protocol = 47;
	flow_packet(&p, &f, &s);
	p.len -= 4;
	put16(p.length, (unsigned)(p.len - p.l3));
	expect_silence(&p);
}

static uint64_t boot_ns(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &t), 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Those above it take nothing of it; a whole burst is answered. */
static void above_the_rate(void **state)
{
	struct flow f = flow_of(0, 6);
	struct segment s = {.flags = SYN};
	struct packet p;
	struct answer a;

	(void)state;
	reject_with(PST_FW_WITH_DEFAULT);
	flow_packet(&p, &f, &s);
	rate_used(boot_ns() + 3600000000000u);
	for (int i = 0; i < 3; i++)
		expect_silence(&p);
	rate_used(0);
	for (int i = 0; i < BURST; i++) {
		answer_of(&p, &a);
		assert_int_equal(a.action, REDIRECT);
	}
	for (int i = 0; i < 1000000 && a.action == REDIRECT; i++)
		answer_of(&p, &a);
	assert_int_equal(a.action, TC_SHOT); /* as fast as it goes, which is above 1,000 a second */
}

static void at_xdp(void **state)
{
	struct flow f = flow_of(0, 6);
	struct segment s = {.flags = SYN};
	uint64_t silent = unanswered();
	struct packet p;

	(void)state;
	reject_with(PST_FW_WITH_DEFAULT);
	flow_packet(&p, &f, &s);
	at_tc = false;
	expect(p.bytes, p.len, DROP, PST_GUARD_FW_REJECT);
	expect(p.bytes, p.len, DROP, PST_GUARD_FW_REJECT);
	assert_int_equal(unanswered(), silent + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resets),
		cmocka_unit_test(errors),
		cmocka_unit_test(what_is_an_answer_itself),
		cmocka_unit_test(who_is_not_one_host),
		cmocka_unit_test(what_is_in_parts),
		cmocka_unit_test(above_the_rate),
		cmocka_unit_test(at_xdp),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	guard_loads = LOAD_XDP | LOAD_TC;
	return cmocka_run_group_tests_name("rejected", tests, setup, teardown);
}
