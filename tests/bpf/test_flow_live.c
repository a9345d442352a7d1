// SPDX-License-Identifier: Apache-2.0
/* The flow programs on real interfaces: both ends of a veth pair, a device without link header, XDP. */
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/bpf/flowtab.h"
#include "tests/bpf/packets.h"

/* Not in the headers of this libbpf. */
#define TCX_INGRESS 46
#define TCX_EGRESS  47

static struct flowtab tab;

/* ---- attaching ---- */

/* tcx, since 6.6. A link's descriptor or -errno. */
static int attach_tcx(int prog, unsigned int ifindex, int where)
{
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)prog;
	attr.link_create.target_ifindex = ifindex;
	attr.link_create.attach_type = (uint32_t)where;
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

/* clsact, everywhere; gone with the interface. */
static int attach_clsact(int prog, unsigned int ifindex, int where)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		.attach_point = where == TCX_INGRESS ? BPF_TC_INGRESS : BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog);
	int r = bpf_tc_hook_create(&hook);

	return r && r != -EEXIST ? r : bpf_tc_attach(&hook, &opts);
}

static bool want_clsact;

static void attach(int ns, unsigned int ifindex)
{
	const int progs[2] = {
		bpf_program__fd(tab.skel->progs.flow_ingress), bpf_program__fd(tab.skel->progs.flow_egress)};

	enter(ns);
	for (int i = 0; i < 2; i++) {
		int r = want_clsact ? -EINVAL : attach_tcx(progs[i], ifindex, TCX_INGRESS + i);

		if (r < 0)
			r = attach_clsact(progs[i], ifindex, TCX_INGRESS + i);
		assert_true(r >= 0);
	}
	enter(net.home);
}

/* ---- looking ---- */

static struct pst_flow_key key_make(const char *from, unsigned int sport, const char *to, unsigned int dport,
	uint8_t protocol, unsigned int ifindex, uint32_t netns, uint8_t dir)
{
	struct pst_flow_key key = {.sport = (uint16_t)sport,
		.dport = (uint16_t)dport,
		.ifindex = ifindex,
		.family = (uint8_t)family_of(from),
		.protocol = protocol,
		.dir = dir,
		.netns = netns};

	addr_mapped(key.saddr, from);
	addr_mapped(key.daddr, to);
	return key;
}

/* The flow, when it has that many packets. */
static struct pst_flow want(const struct pst_flow_key *key, uint64_t n)
{
	struct pst_flow f = {0};

	for (int i = 0; i < 400; i++) {
		if (flow_find(&tab, key, &f) && f.packets >= n)
			break;
		tick();
	}
	assert_int_equal(f.packets, n);
	return f;
}

/* ---- UDP ---- */

static void udp(const char *a, const char *b, unsigned int port, size_t header)
{
	int fa = bound(net.a, SOCK_DGRAM, a, 20000 + port), fb = bound(net.b, SOCK_DGRAM, b, port);
	struct sockaddr_storage ss;
	socklen_t len = addr_make(&ss, b, port);
	struct pst_flow_key out, in;
	struct pst_flow f = {0}, g = {0};
	char buf[2048] = {0};

	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(sendto(fa, buf, i * 10, 0, (struct sockaddr *)&ss, len), (ssize_t)(i * 10));
		assert_int_equal(recv(fb, buf, sizeof(buf), 0), (ssize_t)(i * 10));
	}
	out = key_make(a, 20000 + port, b, port, IPPROTO_UDP, net.if_a, net.ino_a, PST_DIR_OUT);
	in = key_make(a, 20000 + port, b, port, IPPROTO_UDP, net.if_b, net.ino_b, PST_DIR_IN);
	f = want(&out, 20);
	g = want(&in, 20);
	assert_int_equal(f.bytes, 20 * header + 1900);
	assert_int_equal(g.bytes, 20 * header + 1900);
	assert_true(f.first_ns < g.first_ns && g.first_ns < f.last_ns && f.last_ns < g.last_ns);
	assert_int_equal(f.tcp_flags, 0);
	assert_int_equal(f.netns, net.ino_a);
	assert_int_equal(g.netns, net.ino_b);
	close(fa);
	close(fb);
}

static void check_udp(void **state)
{
	(void)state;
	udp("10.77.0.1", "10.77.0.2", 9001, 28);
	udp("fd77::1", "fd77::2", 9002, 48);
}

/* ---- TCP: large writes leave as GSO packets, and count as what the wire would see ---- */

/* TCP_INFO as far as it is needed: <linux/tcp.h> and <netinet/tcp.h> cannot be had together. */
struct info {
	uint8_t head[136];
	uint32_t segs_out;
	uint8_t middle[68];
	uint64_t bytes_retrans;
};
static_assert(offsetof(struct info, bytes_retrans) == 208, "layout of struct tcp_info");

static void tcp_bulk(const char *a, const char *b, unsigned int port, size_t ip_header)
{
	enum { BYTES = 3000000 };
	int l = bound(net.b, SOCK_STREAM, b, port), c = socket_in(net.a, family_of(b), SOCK_STREAM), s;
	struct pst_flow_key out, in;
	struct info info = {0};
	socklen_t len = sizeof(info);
	struct pst_flow f = {0}, g = {0};
	size_t left = BYTES;
	unsigned int cport;
	char *buf = calloc(1, BYTES);
	pid_t sink;

	assert_int_equal(listen(l, 1), 0);
	sink = fork();
	if (!sink) {
		s = accept(l, NULL, NULL);
		while (read(s, buf, BYTES) > 0)
			;
		_exit(0);
	}
	assert_int_equal(connect_to(c, b, port), 0);
	cport = local_port(c);
	while (left) {
		ssize_t w = write(c, buf, left);

		assert_true(w > 0);
		left -= (size_t)w;
	}
	assert_int_equal(shutdown(c, SHUT_WR), 0);
	assert_int_equal(read(c, buf, 1), 0);
	assert_int_equal(getsockopt(c, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	waitpid(sink, NULL, 0);
	/* the last acknowledgement leaves with the read above or just behind it */
	usleep(100000);
	out = key_make(a, cport, b, port, IPPROTO_TCP, net.if_a, net.ino_a, PST_DIR_OUT);
	in = key_make(a, cport, b, port, IPPROTO_TCP, net.if_b, net.ino_b, PST_DIR_IN);
	assert_true(flow_find(&tab, &out, &f) && flow_find(&tab, &in, &g));
	assert_in_range(f.packets, info.segs_out, info.segs_out + 1);
	assert_true(f.packets > BYTES / 1460);
	/* SYN with 20 bytes of options, the rest with 12 (time stamps) */
	assert_int_equal(f.bytes, BYTES + f.packets * (ip_header + 32) + 8 + info.bytes_retrans);
	assert_int_equal(g.packets, f.packets);
	assert_int_equal(g.bytes, f.bytes);
	assert_int_equal(f.tcp_flags & 0x3f, 0x1b); /* SYN, ACK, PSH, FIN */
	free(buf);
	close(c);
	close(l);
}

static void check_tcp(void **state)
{
	(void)state;
	tcp_bulk("10.77.0.1", "10.77.0.2", 9003, 20);
	tcp_bulk("fd77::1", "fd77::2", 9004, 40);
}

/* ---- frames ---- */

static void send_frame(const struct packet *p)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
		.sll_ifindex = (int)net.if_a,
		.sll_protocol = htons((uint16_t)(p->bytes[12] << 8 | p->bytes[13]))};
	int fd = socket_in(net.a, AF_PACKET, SOCK_RAW);

	assert_int_equal(
		sendto(fd, p->bytes, p->len, 0, (struct sockaddr *)&to, sizeof(to)), (ssize_t)p->len);
	close(fd);
}

/* Tagged frames: on the way out the tag is in the frame, on the way in beside it. */
static void check_vlan(void **state)
{
	static void (*const make[])(struct packet *) = {make_vlan, make_qinq, make_udp4, make_chain6};
	struct packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(make) / sizeof(make[0]); i++) {
		struct pst_flow_key key;

		make[i](&p);
		memset(p.bytes, 0xff, 6); /* for everybody */
		put16(p.bytes + p.need - (i == 3 ? 20 : 8), 41000 + (unsigned int)i);
		send_frame(&p);
		key = p.key;
		key.sport = (uint16_t)(41000 + i);
		key.ifindex = net.if_a;
		key.netns = net.ino_a;
		key.dir = PST_DIR_OUT;
		assert_int_equal(want(&key, 1).bytes, p.l3_len);
		key.ifindex = net.if_b;
		key.netns = net.ino_b;
		key.dir = PST_DIR_IN;
		assert_int_equal(want(&key, 1).bytes, p.l3_len);
	}
}

/* ---- a tun device ---- */

static int tun_open(int ns, const char *name, short flags)
{
	struct ifreq ifr = {.ifr_flags = flags};
	int fd, r = 0;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	enter(ns); /* the device belongs where its descriptor was opened */
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr))
		r = -errno;
	enter(net.home);
	if (r && fd >= 0)
		close(fd);
	return r ? r : fd;
}

static unsigned int index_of(int ns, const char *name)
{
	unsigned int i;

	enter(ns);
	i = if_nametoindex(name);
	enter(net.home);
	return i;
}

/*
 * No link header; and the addresses of these packets look like an Ethernet type where one would be (8.0.x.x,
 * 2001:db8:86dd::), which is what flow_link() has to see through.
 */
static void check_tun(void **state)
{
	static void (*const make[])(struct packet *) = {make_udp4, make_udp6, make_icmp4, make_chain6};
	int fd = tun_open(net.b, "tunl3", IFF_TUN | IFF_NO_PI);
	unsigned int ifindex;
	struct packet p;

	(void)state;
	if (fd < 0)
		skip_because("no tun device: %s", strerror(-fd));
	sh(net.b, "ip link set tunl3 up");
	ifindex = index_of(net.b, "tunl3");
	attach(net.b, ifindex);
	for (size_t i = 0; i < sizeof(make) / sizeof(make[0]); i++) {
		struct pst_flow_key key;

		make[i](&p);
		assert_int_equal(write(fd, p.bytes + p.l3, p.len - p.l3), (ssize_t)(p.len - p.l3));
		key = p.key;
		key.ifindex = ifindex;
		key.netns = net.ino_b;
		key.dir = PST_DIR_IN;
		assert_int_equal(want(&key, 1).bytes, p.l3_len);
	}
	close(fd);
}

/* A driver whose packets have next to nothing in their linear part. */
static void check_fragments(void **state)
{
	int fd = tun_open(net.b, "tapfrag", IFF_TAP | IFF_NO_PI | IFF_NAPI | IFF_NAPI_FRAGS);
	static void (*const make[])(struct packet *) = {make_udp6, make_tcp4, make_chain6};
	unsigned int ifindex;
	struct packet p;

	(void)state;
	if (fd < 0)
		skip_because("no tap device with fragments: %s", strerror(-fd));
	sh(net.b, "ip link set tapfrag up");
	ifindex = index_of(net.b, "tapfrag");
	attach(net.b, ifindex);
	for (size_t i = 0; i < sizeof(make) / sizeof(make[0]); i++) {
		struct iovec parts[3];
		struct pst_flow_key key;

		make[i](&p);
		memset(p.bytes, 0xff, 6);
		parts[0] = (struct iovec){p.bytes, 14};
		parts[1] = (struct iovec){p.bytes + 14, 30};
		parts[2] = (struct iovec){p.bytes + 44, p.len - 44};
		assert_int_equal(writev(fd, parts, 3), (ssize_t)p.len);
		key = p.key;
		key.ifindex = ifindex;
		key.netns = net.ino_b;
		key.dir = PST_DIR_IN;
		assert_int_equal(want(&key, 1).bytes, p.l3_len);
	}
	close(fd);
}

/* ---- interface counters ---- */

static uint64_t rx_packets(int ns, const char *name)
{
	char line[512], want_name[32];
	unsigned long long bytes, n = 0;
	FILE *f;

	snprintf(want_name, sizeof(want_name), "%s:", name);
	enter(ns);
	f = fopen("/proc/thread-self/net/dev", "r");
	enter(net.home);
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		char *at = strstr(line, want_name);

		if (at && sscanf(at + strlen(want_name), "%llu %llu", &bytes, &n) == 2)
			break;
	}
	fclose(f);
	return n;
}

static uint64_t counted(unsigned int ifindex, uint32_t netns, uint8_t dir)
{
	static const uint16_t types[] = {0x0800, 0x86dd, 0x0806, 0};
	uint64_t n = 0;

	for (int t = 0; t < 4; t++)
		for (int protocol = 0; protocol < 256; protocol++)
			n += iface_sum(&tab, ifindex, netns, types[t], (uint8_t)protocol, dir).packets;
	return n;
}

/* Both counts at a moment at which nothing came in between: the kernel sends frames of its own. */
static void counts_now(uint64_t *ret_device, uint64_t *ret_ours)
{
	uint64_t again;
	int tries = 0;

	do {
		assert_true(tries++ < 100);
		usleep(50000);
		*ret_device = rx_packets(net.b, "vb");
		*ret_ours = counted(net.if_b, net.ino_b, PST_DIR_IN);
		again = rx_packets(net.b, "vb");
	} while (again != *ret_device);
}

/* What the interface says it received is what was counted, of whatever kind. */
static void check_interface(void **state)
{
	uint64_t device, ours, device_after, ours_after;
	struct packet p;

	(void)state;
	counts_now(&device, &ours);
	for (size_t i = 0; i < PACKETS; i++) {
		packets[i].make(&p);
		if (p.len < 60) /* an empty IP packet is no frame that a socket may send */
			p.len = 60;
		memset(p.bytes, 0xff, 6);
		send_frame(&p);
	}
	counts_now(&device_after, &ours_after);
	assert_true(device_after - device >= PACKETS);
	assert_int_equal(ours_after - ours, device_after - device);
}

/* ---- XDP ---- */

static void check_xdp(void **state)
{
	struct pst_flow_key in =
		key_make("10.77.0.1", 29010, "10.77.0.2", 9010, IPPROTO_UDP, net.if_b, net.ino_b, PST_DIR_IN);
	int fa = bound(net.a, SOCK_DGRAM, "10.77.0.1", 29010),
	    fb = bound(net.b, SOCK_DGRAM, "10.77.0.2", 9010);
	struct flowtab mine;
	struct bpf_link *link;
	struct pst_flow f = {0};
	char c = 1;

	(void)state;
	flowtab_open(&mine, 64, 60000000000);
	enter(net.b);
	link = bpf_program__attach_xdp(mine.skel->progs.flow_xdp, (int)net.if_b);
	enter(net.home);
	assert_non_null(link);
	assert_int_equal(connect_to(fa, "10.77.0.2", 9010), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(send(fa, &c, 1, 0), 1);
		assert_int_equal(recv(fb, &c, 1, 0), 1);
	}
	assert_true(flow_find(&mine, &in, &f));
	assert_int_equal(f.packets, 5);
	assert_int_equal(f.bytes, 5 * 29);
	assert_int_equal(iface_sum(&mine, net.if_b, net.ino_b, 0x0800, IPPROTO_UDP, PST_DIR_IN).packets, 5);
	bpf_link__destroy(link);
	flowtab_close(&mine);
	close(fa);
	close(fb);
}

static int setup(void **state)
{
	(void)state;
	if (netpair_up())
		return -1;
	want_clsact = getenv("PST_TEST_RUNG") && *getenv("PST_TEST_RUNG") == '2';
	flowtab_open(&tab, 4096, 60000000000);
	attach(net.a, net.if_a);
	attach(net.b, net.if_b);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	netpair_down();
	flowtab_close(&tab);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_udp),
		cmocka_unit_test(check_tcp),
		cmocka_unit_test(check_vlan),
		cmocka_unit_test(check_tun),
		cmocka_unit_test(check_fragments),
		cmocka_unit_test(check_interface),
		cmocka_unit_test(check_xdp),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("flow_live", tests, setup, teardown);
}
