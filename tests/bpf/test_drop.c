// SPDX-License-Identifier: Apache-2.0
/* Records of dropped packets: what counts as one, what they say, and how many a storm may make. */
#include <bpf/btf.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>

#include "bpf/socket.skel.h"
#include "tests/bpf/netpair.h"
#include "tests/bpf/packets.h"

#define RATE 20

static struct socket_bpf *skel;
static struct reclog recs;
static struct btf *kernel;

/* Number of a drop reason on this kernel; -1: it has not this one. */
static int reason_named(const char *name)
{
	const struct btf_type *t;
	int id = btf__find_by_name_kind(kernel, "skb_drop_reason", BTF_KIND_ENUM);

	if (id < 0)
		return -1;
	t = btf__type_by_id(kernel, (unsigned int)id);
	for (int i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(kernel, btf_enum(t)[i].name_off), name))
			return btf_enum(t)[i].val;
	return -1;
}

static bool has_reasons(void)
{
	return reason_named("SKB_DROP_REASON_NOT_SPECIFIED") >= 0;
}

static const struct pst_rec_drop *drop_nth(uint32_t netns, unsigned int dport, int n)
{
	ring_buffer__consume(recs.rb);
	for (size_t off = 0; off < recs.len;) {
		const struct pst_rec_drop *r = (const void *)(recs.bytes + off);

		if (r->h.kind == PST_REC_DROP && r->netns == netns && (!dport || r->ends.rport == dport) &&
			n-- == 0)
			return r;
		off += r->h.size;
	}
	return NULL;
}

static int drop_count(uint32_t netns, unsigned int dport)
{
	int n = 0;

	while (drop_nth(netns, dport, n))
		n++;
	return n;
}

static struct pst_rec_drop drop_want(uint32_t netns, unsigned int dport)
{
	for (int i = 0; i < 1000; i++) {
		const struct pst_rec_drop *r = drop_nth(netns, dport, 0);

		if (r)
			return *r;
		tick();
	}
	fail_msg("no drop for port %u", dport);
	return (struct pst_rec_drop){0};
}

/* The rate's second is over: the next packets are all reported. */
static void fresh_second(void)
{
	usleep(1200000);
	reclog_clear(&recs);
}

static void assert_drop(const struct pst_rec_drop *r, const char *from, unsigned int sport, const char *to,
	unsigned int dport, int protocol)
{
	static const uint8_t zeros[7];
	uint8_t addr[16];

	addr_mapped(addr, from);
	assert_memory_equal(r->ends.laddr, addr, 16);
	addr_mapped(addr, to);
	assert_memory_equal(r->ends.raddr, addr, 16);
	assert_int_equal(r->ends.lport, sport);
	assert_int_equal(r->ends.rport, dport);
	assert_int_equal(r->ends.family, family_of(to));
	assert_int_equal(r->ends.protocol, protocol);
	assert_int_equal(r->ends.pad, 0);
	assert_int_equal(r->ifindex, net.if_b);
	assert_int_equal(r->netns, net.ino_b);
	assert_int_not_equal(r->location, 0);
	assert_memory_equal(r->pad, zeros, 7);
	if (has_reasons())
		assert_int_equal(r->reason, reason_named("SKB_DROP_REASON_NO_SOCKET"));
	else
		assert_int_equal(r->reason, 0);
}

static void say(int fd, const char *to, unsigned int port)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_make(&ss, to, port);

	assert_int_equal(sendto(fd, "0123456789", 10, 0, (struct sockaddr *)&ss, len), 10);
}

static void closed_udp(const char *from, const char *to, unsigned int port)
{
	int fd = bound(net.a, SOCK_DGRAM, from, 20000 + port);
	struct pst_rec_drop r;

	say(fd, to, port);
	r = drop_want(net.ino_b, port);
	assert_drop(&r, from, 20000 + port, to, port, IPPROTO_UDP);
	assert_int_equal(r.tcp_flags, 0);
	assert_in_range(
		r.len, 10, 10 + 8 + 40 + 14); /* how much of the headers is gone depends on the place */
	assert_int_equal(drop_count(net.ino_b, port), 1);
	close(fd);
}

static void check_udp(void **state)
{
	(void)state;
	fresh_second();
	closed_udp("10.77.0.1", "10.77.0.2", 7001);
	closed_udp("fd77::1", "fd77::2", 7002);
}

static void check_tcp(void **state)
{
	int fd = bound(net.a, SOCK_STREAM, "10.77.0.1", 27003);
	struct pst_rec_drop r;

	(void)state;
	fresh_second();
	assert_int_equal(connect_to(fd, "10.77.0.2", 7003), -1);
	r = drop_want(net.ino_b, 7003);
	assert_drop(&r, "10.77.0.1", 27003, "10.77.0.2", 7003, IPPROTO_TCP);
	assert_int_equal(r.tcp_flags, 0x02 | (r.tcp_flags & 0xc0)); /* SYN, and ECN if it is asked for */
	close(fd);
}

/* Ordinary traffic with everything that belongs to it drops nothing. */
static void check_silence(void **state)
{
	char buf[64];
	int fa, fb;

	(void)state;
	fresh_second();
	for (int family = 0; family < 2; family++) {
		const char *ip = family ? "fd77::2" : "10.77.0.2";

		for (int first = 0; first < 2; first++) {
			int l = bound(net.b, SOCK_STREAM, ip, 7010), s[2];

			assert_int_equal(listen(l, 5), 0);
			s[0] = socket_in(net.a, family_of(ip), SOCK_STREAM);
			assert_int_equal(connect_to(s[0], ip, 7010), 0);
			s[1] = accept(l, NULL, NULL);
			assert_int_equal(write(s[0], "ping", 4), 4);
			assert_int_equal(read(s[1], buf, sizeof(buf)), 4);
			assert_int_equal(write(s[1], "pong!", 5), 5);
			assert_int_equal(read(s[0], buf, sizeof(buf)), 5);
			close(s[first]);
			assert_int_equal(read(s[!first], buf, sizeof(buf)), 0);
			close(s[!first]);
			close(l);
		}
		fa = bound(net.a, SOCK_DGRAM, family ? "fd77::1" : "10.77.0.1", 7011);
		fb = bound(net.b, SOCK_DGRAM, ip, 7012);
		say(fa, ip, 7012);
		assert_int_equal(read(fb, buf, sizeof(buf)), 10);
		close(fa);
		close(fb);
	}
	/* neighbours are looked for anew, in both directions */
	sh(net.a, "ip neigh flush dev va && ip -6 neigh flush dev va");
	sh(net.b, "ip neigh flush dev vb && ip -6 neigh flush dev vb");
	fa = socket_in(net.a, AF_INET6, SOCK_STREAM);
	fb = bound(net.b, SOCK_STREAM, "fd77::2", 7013);
	assert_int_equal(listen(fb, 1), 0);
	assert_int_equal(connect_to(fa, "fd77::2", 7013), 0);
	close(fa);
	close(fb);
	usleep(300000);
	ring_buffer__consume(recs.rb);
	for (size_t off = 0; off < recs.len;) {
		const struct pst_rec_drop *r = (const void *)(recs.bytes + off);

		off += r->h.size;
		if (r->h.kind != PST_REC_DROP || (r->netns != net.ino_a && r->netns != net.ino_b))
			continue;
		/* the last one is closed with the connection still in its queue: a reset follows, and is no
		 * surprise */
		if (r->ends.lport == 7013 || r->ends.rport == 7013)
			continue;
		fail_msg("dropped: reason %u, protocol %u, ports %u to %u, flags %#x, family %u", r->reason,
			r->ends.protocol, r->ends.lport, r->ends.rport, r->tcp_flags, r->ends.family);
	}
}

static void send_frame(const void *bytes, size_t len)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)net.if_a};
	int fd;

	enter(net.a);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	enter(net.home);
	assert_true(fd >= 0);
	assert_int_equal(sendto(fd, bytes, len, 0, (struct sockaddr *)&to, sizeof(to)), (ssize_t)len);
	close(fd);
}

/* A frame of a protocol that nobody takes, sent to everybody: reported without addresses, where a reason is
 * given. */
static void check_not_ip(void **state)
{
	int reason = reason_named("SKB_DROP_REASON_UNHANDLED_PROTO");
	static const struct pst_ends none;
	struct pst_rec_drop r;
	unsigned char frame[60];

	(void)state;
	if (reason < 0)
		skip_because("this kernel does not say why such a frame was dropped");
	memset(frame, 0xff, 6);
	memset(frame + 6, 2, sizeof(frame) - 6);
	put16(frame + 12, 0x88b5);
	fresh_second();
	send_frame(frame, sizeof(frame));
	for (int i = 0;; i++) {
		r = drop_want(net.ino_b, 0);
		if (r.reason == (uint32_t)reason)
			break;
		assert_true(i < 100);
		reclog_clear(&recs);
	}
	assert_memory_equal(&r.ends, &none, sizeof(none));
	assert_int_equal(r.ifindex, net.if_b);
	assert_in_range(r.len, 46, 60);
}

/* A storm makes so many records and no more, and what was held back is counted to the packet. */
static void check_rate(void **state)
{
	int fd = bound(net.a, SOCK_DGRAM, "10.77.0.1", 27005), stats = bpf_map__fd(skel->maps.class_stats);
	const size_t at = offsetof(struct pst_class_stat, suppressed);
	uint64_t held;
	int got = 0;

	(void)state;
	/* The rate is the host's, and others may have used up a second's share. */
	for (int i = 0; i < 20 && !got; i++) {
		fresh_second();
		held = stat_sum(stats, PST_CLASS_NET, at);
		for (int n = 0; n < 500; n++)
			say(fd, "10.77.0.2", 7005);
		usleep(100000);
		got = drop_count(net.ino_b, 7005);
		held = stat_sum(stats, PST_CLASS_NET, at) - held;
	}
	assert_in_range(got, 1, 2 * RATE * sysconf(_SC_NPROCESSORS_ONLN));
	assert_true((uint64_t)got + held >= 500);
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	kernel = btf__load_vmlinux_btf();
	if (!kernel || netpair_up())
		return -1;
	skel = socket_bpf__open();
	if (!skel || bpf_map__set_max_entries(skel->maps.ring_net, 1 << 20))
		return -1;
	skel->rodata->cfg_drop_rate = RATE;
	bpf_program__set_autoload(skel->progs.socket_state, false);
	bpf_program__set_autoload(skel->progs.socket_retrans, false);
	bpf_program__set_autoload(skel->progs.reset_sent, false);
	bpf_program__set_autoload(skel->progs.reset_received, false);
	if (socket_bpf__load(skel) || socket_bpf__attach(skel))
		return -1;
	reclog_open(&recs, bpf_map__fd(skel->maps.ring_net));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	reclog_close(&recs);
	socket_bpf__destroy(skel);
	btf__free(kernel);
	netpair_down();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_udp),
		cmocka_unit_test(check_tcp),
		cmocka_unit_test(check_silence),
		cmocka_unit_test(check_not_ip),
		cmocka_unit_test(check_rate),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("drop", tests, setup, teardown);
}
