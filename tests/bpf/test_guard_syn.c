// SPDX-License-Identifier: Apache-2.0
/*
 * SYNs above the host's rate: answered with a cookie where somebody listens, else dropped; the answer byte by
 * byte; what comes back begins a connection if its cookie is right. In a network namespace of its own.
 */
#include "tests/bpf/ctrun.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>

#define XDP_TX   3
#define REDIRECT 7u
#define HTTP     80
#define PEER_MSS 1360
#define LOCAL    0x7f000001 /* 127.0.0.1 */

static bool has_cookies;

static void with_cookies(struct guard_bpf *s)
{
	has_cookies = libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, (enum bpf_func_id)207, NULL) == 1;
	s->rodata->cfg_syn_cookies = has_cookies;
}

/* On both families, in the namespace where the programs are run. */
static int listen_on(uint16_t port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* As policyd asks for: with 1 a listener has no cookie until its queue is full. */
static int always_cookies(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_syncookies", "we");
	int r = f && fputs("2", f) >= 0 ? 0 : -1;

	return f && fclose(f) ? -1 : r;
}

static int syn_setup(void **state)
{
	guard_prepare = with_cookies;
	return unshare(CLONE_NEWNET) || always_cookies() ? -1 : ct_setup(state);
}

static struct syn_state_of_map {
	uint64_t until;
	uint32_t answered, pad[13];
} * syn_state;

/* @rate: 0: every SYN is one too many */
static void protect(bool through)
{
	if (!syn_state)
		syn_state = guard_map(skel->maps.guard_syn, 4096);
	assert_non_null(syn_state);
	memset(syn_state, 0, sizeof(*syn_state));
	control->limits.syn_cost_ns = 1000000000;
	control->limits.syn_ahead_us = 1000;
	control->limits.syn_mss = 1460;
	if (!through)
		syn_state->until = UINT64_MAX;
	control->flags = PST_GUARD_CT | PST_GUARD_SYN | PST_GUARD_SYN_COOKIES;
	forget();
}

static struct flow http(bool ip6, uint32_t peer)
{
	return (struct flow){.ip6 = ip6, .protocol = 6, .peer = peer, .pport = 40000, .hport = HTTP};
}

/* ---- a SYN with options, right in all its sums ---- */

static uint32_t sum16(uint32_t sum, const uint8_t *at, size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(at[i] << 8 | at[i + 1]);
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Of what is at @l3: 0 if the checksum that is in it is right (RFC 9293, 3.1; RFC 8200, 8.1). */
static uint16_t tcp_sum(const uint8_t *l3, bool ip6, size_t tcp_bytes)
{
	uint32_t sum = 6 + (uint32_t)tcp_bytes;

	sum = sum16(sum, l3 + (ip6 ? 8 : 12), ip6 ? 32 : 8);
	return fold(sum16(sum, l3 + (ip6 ? 40 : 20), tcp_bytes));
}

static void seal(struct packet *p, const struct flow *f)
{
	uint8_t *l3 = p->bytes + p->l3, *tcp_at = l3 + (f->ip6 ? 40 : 20);
	size_t bytes = p->len - p->l3 - (f->ip6 ? 40 : 20);

	if (!f->ip6) {
		put16(l3 + 10, 0);
		put16(l3 + 10, fold(sum16(0, l3, 20)));
	}
	put16(tcp_at + 16, 0);
	put16(tcp_at + 16, tcp_sum(l3, f->ip6, bytes));
}

/* @options: bytes of them, MSS first */
static void syn(struct packet *p, const struct flow *f, uint32_t seq, size_t options)
{
	struct segment s = {.flags = SYN, .seq = seq};
	uint8_t *l4, *at;

	flow_packet(p, f, &s);
	l4 = p->bytes + p->l3 + (f->ip6 ? 40 : 20);
	at = grow(p, options);
	memset(at, 1, options);
	if (options >= 4) {
		at[0] = 2, at[1] = 4;
		put16(at + 2, PEER_MSS);
	}
	l4[12] = (uint8_t)((5 + options / 4) << 4);
	put16(p->length, (unsigned)(p->len - p->l3) - (f->ip6 ? 40 : 0));
	seal(p, f);
}

/* ---- what comes out ---- */

struct answer {
	uint8_t bytes[2048];
	uint32_t len;
	uint32_t action;
};

static void answer_of(const struct packet *p, struct answer *a)
{
	const struct bpf_program *prog = at_tc ? skel->progs.guard_tc : skel->progs.guard_xdp;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->bytes, .data_size_in = (uint32_t)p->len,
		.data_out = a->bytes, .data_size_out = sizeof(a->bytes), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(prog), &opts), 0);
	a->len = opts.data_size_out;
	a->action = opts.retval;
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The frame is the answer to @p, all of it; its cookie. */
static uint32_t check_answer(const struct packet *p, const struct flow *f, const struct answer *a)
{
	size_t l3 = p->l3, ip = f->ip6 ? 40 : 20, l4 = l3 + ip;
	const uint8_t *in = p->bytes, *out = a->bytes;
	uint8_t expected[24];

	assert_int_equal(a->action, at_tc ? REDIRECT : XDP_TX);
	assert_int_equal(a->len, l4 + 24);
	assert_memory_equal(out, in + 6, 6);
	assert_memory_equal(out + 6, in, 6);
	assert_memory_equal(out + 12, in + 12, l3 - 12); /* tags and type */
	if (f->ip6) {
		static const uint8_t head[8] = {0x60, 0, 0, 0, 0, 24, 6, 64};

		assert_memory_equal(out + l3, head, 8);
		assert_memory_equal(out + l3 + 8, in + l3 + 24, 16);
		assert_memory_equal(out + l3 + 24, in + l3 + 8, 16);
	} else {
		static const uint8_t head[10] = {0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6};

		assert_memory_equal(out + l3, head, 10);
		assert_int_equal(fold(sum16(0, out + l3, 20)), 0);
		assert_memory_equal(out + l3 + 12, in + l3 + 16, 4);
		assert_memory_equal(out + l3 + 16, in + l3 + 12, 4);
	}
	assert_int_equal(tcp_sum(out + l3, f->ip6, 24), 0);
	memcpy(expected, out + l4, sizeof(expected));
	memcpy(expected, in + l4 + 2, 2);
	memcpy(expected + 2, in + l4, 2);
	put32(expected + 8, get32(in + l4 + 4) + 1);
	put16(expected + 12, 0x6012);
	put16(expected + 14, 29200);
	put16(expected + 18, 0);
	put16(expected + 20, 0x0204);
	put16(expected + 22, f->ip6 ? 1440 : 1460);
	assert_memory_equal(out + l4, expected, sizeof(expected));
	return get32(out + l4 + 4);
}

static void need_cookies(void)
{
	if (!has_cookies) {
		print_message("# SKIP this kernel has no helper for SYN cookies (6.0 has)\n");
		skip();
	}
}

/* ---- tests ---- */

static void every_way(void (*try)(bool ip6, bool tagged))
{
	for (int way = 0; way < 8; way++) {
		at_tc = way & 1;
		try(way & 2, way & 4);
	}
	at_tc = false;
}

static void try_answer(bool ip6, bool tagged)
{
	struct flow f = http(ip6, 7);
	struct answer a;
	struct packet p;

	f.tagged = tagged && !at_tc; /* a test run at tc leaves the tag in the frame, which no device does */
	for (size_t options = 0; options <= 40; options += 4) {
		const uint32_t answered = PST_GUARD_CELL(PST_DIR_IN, PST_GUARD_TCP, PST_GUARD_ANSWER);
		uint64_t before = reason(PST_GUARD_SYN_COOKIE).packets;
		struct pst_guard_count cell_before = cell(answered);

		protect(false);
		syn(&p, &f, 0xfffffff0 + (uint32_t)options, options);
		answer_of(&p, &a);
		check_answer(&p, &f, &a);
		assert_int_equal(reason(PST_GUARD_SYN_COOKIE).packets, before + 1);
		assert_int_equal(cell(answered).packets, cell_before.packets + 1);
		assert_int_equal(cell(answered).bytes, cell_before.bytes + p.len);
		assert_int_equal(entries(0) + entries(1), 0); /* it leaves nothing behind */
	}
}

static void answered(void **state)
{
	int fd;

	(void)state;
	need_cookies();
	fd = listen_on(HTTP);
	every_way(try_answer);
	close(fd);
}

/* The right ACK is of a connection that is open, and so is what follows; others are of none. */
static void try_back(bool ip6, bool tagged)
{
	struct flow f = http(ip6, 8);
	struct answer a;
	struct packet p;
	uint32_t cookie;

	f.tagged = tagged && !at_tc;
	protect(false);
	syn(&p, &f, 1000, 20);
	answer_of(&p, &a);
	cookie = check_answer(&p, &f, &a);

	struct segment wrong = {.flags = ACK,
		.seq = 1001,
		.ack = cookie + 100}; /* the low bits are a place in a table of MSS */
	struct segment right = {.flags = ACK, .seq = 1001, .ack = cookie + 1};
	struct segment data = {.flags = ACK | PSH, .seq = 1001, .ack = cookie + 1, .bytes = 100};
	struct segment reset = {.flags = RST, .seq = 1001};
	struct flow other = http(ip6, 9);

	other.tagged = f.tagged;
	assert_int_equal(go(&f, &wrong), PST_CT_INVALID);
	assert_int_equal(go(&other, &right), PST_CT_INVALID);
	assert_int_equal(go(&f, &reset), PST_CT_INVALID);
	assert_int_equal(entries(0) + entries(1), 0);
	assert_int_equal(go(&f, &right), PST_CT_ESTABLISHED);
	assert_int_equal(entries(0), 1);
	assert_int_equal(go(&f, &data), PST_CT_ESTABLISHED);
	data.out = true;
	data.seq = cookie + 1;
	data.ack = 1101;
	go(&f, &data);
	assert_int_equal(go(&f, &reset), PST_CT_ESTABLISHED);
	assert_int_equal(entries(0), 1);
}

static void what_comes_back(void **state)
{
	int fd;

	(void)state;
	need_cookies();
	fd = listen_on(HTTP);
	every_way(try_back);
	close(fd);
}

/* No cookie was sent for two minutes: none can come back. */
static void cookies_end(void **state)
{
	struct flow f = http(false, 8);
	struct segment right = {.flags = ACK, .seq = 1001};
	struct answer a;
	struct packet p;
	int fd;

	(void)state;
	need_cookies();
	fd = listen_on(HTTP);
	protect(false);
	syn(&p, &f, 1000, 20);
	answer_of(&p, &a);
	right.ack = check_answer(&p, &f, &a) + 1;
	syn_state->answered -= syn_state->answered > 121 ? 121 : syn_state->answered;
	assert_int_equal(go(&f, &right), PST_CT_INVALID);
	close(fd);
}

/* Eight bytes of options before TCP. */
static void ip6_with_options(struct packet *p)
{
	ip6(p, 60);
	ext(p, 60, 6, 8);
}

static void expect_limit(const struct packet *p)
{
	expect(p->bytes, p->len, DROP, PST_GUARD_SYN_LIMIT);
}

/* What nobody would answer, or what is no plain SYN, is dropped. */
static void try_dropped(bool ip6, bool tagged)
{
	struct flow f = http(ip6, 8);
	struct packet p;
	int fd;

	(void)tagged;
	protect(false);
	syn(&p, &f, 1000, 20);
	expect_limit(&p); /* nobody listens */
	fd = listen_on(HTTP);
	control->flags &= ~(uint64_t)PST_GUARD_SYN_COOKIES;
	expect_limit(&p); /* not switched on */
	control->flags |= PST_GUARD_SYN_COOKIES;
	put16(p.length, (unsigned)(p.len - p.l3) - (ip6 ? 40 : 0) + 8);
	memset(grow(&p, 8), 'x', 8);
	seal(&p, &f);
	expect_limit(&p); /* data comes with it */
	link_header(&p, ip6, false);
	ip6 ? ip6_with_options(&p) : ip4(&p, 6, 8);
	tcp(&p, SYN, 0);
	put16(p.bytes + p.len - 18, HTTP);
	put16(p.length, (unsigned)(p.len - p.l3) - (ip6 ? 40 : 0));
	expect_limit(&p); /* something is between the headers */
	close(fd);
	assert_int_equal(entries(0) + entries(1), 0);
}

static void dropped(void **state)
{
	(void)state;
	every_way(try_dropped);
}

/* Ports that are named are answered for whoever is behind this host. */
static void ports_that_are_named(void **state)
{
	uint64_t *ports = (uint64_t *)control->syn_ports;
	struct flow f = http(false, 8);
	struct answer a;
	struct packet p;

	(void)state;
	need_cookies();
	protect(false);
	control->flags |= PST_GUARD_SYN_PORTS;
	syn(&p, &f, 1000, 20);
	expect_limit(&p);
	ports[HTTP / 64] |= 1ULL << HTTP % 64;
	answer_of(&p, &a);
	check_answer(&p, &f, &a);
	f.hport = 65535;
	syn(&p, &f, 1000, 20);
	expect_limit(&p);
	memset(ports, 0xff, sizeof(control->syn_ports));
	answer_of(&p, &a);
	check_answer(&p, &f, &a);
	memset(ports, 0, sizeof(control->syn_ports));
}

/* ---- for others, on a port where this host listens ---- */

static void shell(const char *command)
{
	if (system(command))
		fail_msg("failed: %s", command);
}

/* A router of both families, with a way out: what is not its own is forwarded. */
static void forward(void)
{
	shell("ip link set lo up && ip link add pstway type veth peer name pstwayp && ip link set pstwayp up "
	      "&& "
	      "ip link set pstway up && ip addr add 198.18.7.1/24 dev pstway && "
	      "echo 0 >/proc/sys/net/ipv6/conf/pstway/disable_ipv6 && "
	      "echo 1 >/proc/sys/net/ipv4/conf/all/forwarding && echo 1 "
	      ">/proc/sys/net/ipv6/conf/all/forwarding && "
	      "ip route add default via 198.18.7.2 && ip -6 route add 2001:db8::/32 dev pstway");
}

static void forward_no_more(void)
{
	shell("ip link del pstway && echo 0 >/proc/sys/net/ipv4/conf/all/forwarding && "
	      "echo 0 >/proc/sys/net/ipv6/conf/all/forwarding");
}

static void try_forwarded(bool ip6, bool tagged)
{
	struct flow f = http(ip6, 8);
	struct answer a;
	struct packet p;

	f.tagged = tagged && !at_tc;
	protect(false);
	syn(&p, &f, 1000, 20);
	expect_limit(&p);
	shell("ip addr add 192.0.2.1/32 dev lo && ip addr add 2001:db8::4d/128 dev lo nodad && "
	      "until ip -6 route show table local | grep -q '^local 2001:db8::4d '; do sleep 0.01; done");
	answer_of(&p, &a);
	check_answer(&p, &f, &a);
	shell("ip addr del 192.0.2.1/32 dev lo && ip addr del 2001:db8::4d/128 dev lo && "
	      "while ip -6 route show table local | grep -q '^local 2001:db8::4d '; do sleep 0.01; done");
	expect_limit(&p);
}

/* Only what is delivered here is answered for who listens here. */
static void forwarded(void **state)
{
	int fd;

	(void)state;
	need_cookies();
	forward();
	fd = listen_on(HTTP);
	every_way(try_forwarded);
	close(fd);
	forward_no_more();
}

/* What becomes of a port elsewhere, as in a container, can be said. */
static void ports_that_are_left_out(void **state)
{
	uint64_t *ports = (uint64_t *)control->syn_ports;
	int fd, other;
	struct flow f = http(false, 8), g = f;
	struct answer a;
	struct packet p;

	(void)state;
	need_cookies();
	fd = listen_on(HTTP);
	other = listen_on(HTTP + 1);
	g.hport = HTTP + 1;
	for (int tc = 0; tc < 2; tc++) {
		at_tc = tc;
		protect(false);
		control->flags |= PST_GUARD_SYN_EXCEPT;
		ports[HTTP / 64] |= 1ULL << HTTP % 64;
		syn(&p, &f, 1000, 20);
		expect_limit(&p);
		syn(&p, &g, 1000, 20);
		answer_of(&p, &a);
		check_answer(&p, &g, &a);
		ports[HTTP / 64] = 0;
		syn(&p, &f, 1000, 20);
		answer_of(&p, &a);
		check_answer(&p, &f, &a);
	}
	at_tc = false;
	close(fd);
	close(other);
}

/* Padding behind the IP packet, as of the shortest frames, is not in the answer. */
static void padded(void **state)
{
	struct flow f = http(false, 8);
	struct answer a;
	struct packet p;
	int fd;

	(void)state;
	need_cookies();
	fd = listen_on(HTTP);
	for (int tc = 0; tc < 2; tc++) {
		at_tc = tc;
		protect(false);
		syn(&p, &f, 1000, 0);
		memset(grow(&p, 6), 0xaa, 6);
		answer_of(&p, &a);
		check_answer(&p, &f, &a);
	}
	at_tc = false;
	close(fd);
}

/* Below the rate nothing is different, and what is above it takes nothing of it. */
static void below_the_rate(void **state)
{
	struct segment s = {.flags = SYN, .seq = 1000}, again = {.flags = SYN | ACK, .seq = 1};
	unsigned passed = 0;
	struct packet p;

	(void)state;
	protect(true);
	control->limits.syn_cost_ns = 1000000000;
	control->limits.syn_ahead_us = 10 * 1000000;
	for (uint32_t i = 0; i < 100; i++) {
		struct flow f = http(i & 1, i);

		flow_packet(&p, &f, &s);
		passed += run(p.bytes, p.len) == PASS;
	}
	assert_in_range(passed, 10, 12);
	assert_int_equal(entries(1), passed);
	for (int i = 0; i < 100; i++) { /* not SYNs */
		struct flow f = http(false, 1);

		flow_packet(&p, &f, &again);
		assert_int_equal(run(p.bytes, p.len), PASS);
	}
	syn_state->until -= 5000000000;
	passed = 0;
	for (uint32_t i = 0; i < 100; i++) {
		struct flow f = http(i & 1, 1000 + i);

		flow_packet(&p, &f, &s);
		passed += run(p.bytes, p.len) == PASS;
	}
	assert_in_range(passed, 5, 7);
}

/* A connection to @server over lo that the server closes first. Its client's port. */
static uint16_t wait_there(int server)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(HTTP), .sin_addr = {htonl(LOCAL)}};
	socklen_t size = sizeof(to);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;

	assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof(to)), 0);
	peer = accept(server, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(getsockname(client, (struct sockaddr *)&to, &size), 0);
	close(peer);
	close(client);
	return ntohs(to.sin_port);
}

static void local_syn(struct packet *p, uint16_t port)
{
	struct flow f = http(false, 8);

	f.pport = port;
	syn(p, &f, 1000, 20);
	put32(p->bytes + p->l3 + 12, LOCAL);
	put32(p->bytes + p->l3 + 16, LOCAL);
	seal(p, &f);
}

/* Whether a SYN may follow the last connection of its addresses and ports only the stack knows. */
static void while_one_waits(void **state)
{
	struct answer a;
	uint16_t port;
	struct packet p;
	int fd;

	(void)state;
	need_cookies();
	assert_int_equal(system("ip link set lo up"), 0);
	fd = listen_on(HTTP);
	port = wait_there(fd);
	for (int tc = 0; tc < 2; tc++) {
		at_tc = tc;
		protect(false);
		local_syn(&p, port);
		force_states(0);
		expect(p.bytes, p.len, PASS, PST_GUARD_FW_ACCEPT);
		assert_int_equal(entries(1), 1); /* as of any other that passes */
		local_syn(&p, port == 65535 ? 1024 : port + 1);
		answer_of(&p, &a);
		assert_int_equal(a.action, tc ? REDIRECT : XDP_TX);
	}
	at_tc = false;
	close(fd);
}

/* What rules or lists drop is not answered; what the allow list has is let through. */
static void others_have_their_say(void **state)
{
	struct fw_rule rule = {.action = PST_FW_DROP};
	struct fw_ruleset set = {.rules = &rule, .n = 1, .policy = PST_FW_ACCEPT};
	struct flow f = http(false, 8);
	int fd = listen_on(HTTP);
	struct packet p;

	(void)state;
	protect(false);
	syn(&p, &f, 1000, 20);
	force(&set);
	expect(p.bytes, p.len, DROP, PST_GUARD_FW_DROP);
	force_states(0);
	force_lists("", "10.0.0.8\n");
	expect(p.bytes, p.len, DROP, PST_GUARD_BLOCKED);
	force_lists("10.0.0.8\n", "");
	assert_int_equal(run(p.bytes, p.len), PASS);
	force_lists("", "");
	expect(p.bytes, p.len, has_cookies ? XDP_TX : DROP,
		has_cookies ? PST_GUARD_SYN_COOKIE : PST_GUARD_SYN_LIMIT);
	close(fd);
}

/* The answer on its way out begins no connection. */
static void own_answers_are_not_tracked(void **state)
{
	struct __sk_buff_mark {
		uint32_t len, pkt_type, mark;
	} __attribute__((packed));
	struct flow f = http(false, 8);
	struct segment s = {.out = true, .flags = SYN | ACK, .seq = 1, .ack = 1001};
	uint8_t ctx[192] = {0};
	uint32_t mark = 0x70737463;
	struct packet p;

	(void)state;
	protect(false);
	flow_packet(&p, &f, &s);
	memcpy(ctx + offsetof(struct __sk_buff_mark, mark), &mark, sizeof(mark));

	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.bytes, .data_size_in = (uint32_t)p.len,
		.ctx_in = ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.guard_tc_egress), &opts), 0);
	assert_int_equal(entries(0) + entries(1), 0);
	send_out(&p);
	assert_int_equal(entries(1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answered),
		cmocka_unit_test(what_comes_back),
		cmocka_unit_test(cookies_end),
		cmocka_unit_test(dropped),
		cmocka_unit_test(ports_that_are_named),
		cmocka_unit_test(forwarded),
		cmocka_unit_test(ports_that_are_left_out),
		cmocka_unit_test(padded),
		cmocka_unit_test(below_the_rate),
		cmocka_unit_test(while_one_waits),
		cmocka_unit_test(others_have_their_say),
		cmocka_unit_test(own_answers_are_not_tracked),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("SYNs above the rate", tests, syn_setup, teardown);
}
