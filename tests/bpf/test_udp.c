// SPDX-License-Identifier: Apache-2.0
/* UDP accounting of bpf/udp.bpf.c, read from the frozen table as the collector does. */
#include <linux/udp.h>
#include <sys/mman.h>

#include "bpf/udp.skel.h"
#include "tests/bpf/netpair.h"
#include "tests/bpf/procs.h"
#include "tests/bpf/slotread.h"

#define SLOTS 1024

/* One instance for most tests, and one with a single bucket and little patience. */
struct instance {
	struct udp_bpf *skel;
	struct reclog recs;
	const struct pst_udp *slots;
	uint32_t n;
};
static struct instance big, small;
static int cgroup_fd;

/* ---- reading ---- */

static bool find(const struct instance *in, int fd, unsigned int rport, struct pst_udp *ret)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	for (uint32_t i = 0; i < in->n; i++)
		if (slot_read(&in->slots[i], ret) && ret->key.cookie == cookie && ret->key.rport == rport)
			return true;
	return false;
}

/* Traffic of socket @fd with a peer's port; waits until as many packets were received as sent, or so it
 * seems. */
static struct pst_udp want(const struct instance *in, int fd, unsigned int rport, uint64_t tx, uint64_t rx)
{
	struct pst_udp u = {0};

	for (int i = 0; i < 400; i++) {
		if (find(in, fd, rport, &u) && u.tx_packets >= tx && u.rx_packets >= rx)
			break;
		tick();
	}
	assert_int_equal(u.tx_packets, tx);
	assert_int_equal(u.rx_packets, rx);
	return u;
}

static uint64_t counter(const struct instance *in, size_t offset)
{
	return stat_sum(bpf_map__fd(in->skel->maps.class_stats), PST_CLASS_NET, offset);
}

static void assert_peer(const struct pst_udp *u, const char *lip, unsigned int lport, const char *rip,
	unsigned int rport, uint32_t netns)
{
	uint8_t addr[16];

	addr_mapped(addr, lip);
	assert_memory_equal(u->laddr, addr, 16);
	addr_mapped(addr, rip);
	assert_memory_equal(u->key.raddr, addr, 16);
	assert_int_equal(u->key.lport, lport);
	assert_int_equal(u->key.rport, rport);
	assert_int_equal(u->key.family, family_of(rip));
	assert_int_equal(u->netns, netns);
	assert_int_not_equal(u->last_ns, 0);
	assert_int_equal(u->pad, 0);
	assert_int_equal(u->gen & 1, 0);
}

static uint64_t cgroup_of_me(void)
{
	char buf[4096], path[4500], *at;
	struct stat st;

	proc_slurp(getpid(), "cgroup", buf, sizeof(buf));
	at = strncmp(buf, "0::", 3) ? strstr(buf, "\n0::") + 1 : buf;
	at[strcspn(at, "\n")] = '\0';
	snprintf(path, sizeof(path), "%s%s", cgroup2(), at + 3);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void assert_owner(const struct pst_udp *u, pid_t pid)
{
	assert_int_equal(u->pid, pid);
	if (pid == getpid())
		assert_int_equal(
			u->start_ns / (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK)), proc_start_ticks(pid));
	assert_int_equal(u->cgroup_id, cgroup_of_me());
}

/* ---- traffic ---- */

static void say(int fd, const char *to, unsigned int port, size_t size)
{
	static const char zeros[65507];
	struct sockaddr_storage ss;
	socklen_t len = addr_make(&ss, to, port);

	assert_int_equal(sendto(fd, zeros, size, 0, (struct sockaddr *)&ss, len), (ssize_t)size);
}

static void hear(int fd, size_t size)
{
	char buf[65536];

	assert_int_equal(recv(fd, buf, sizeof(buf), 0), (ssize_t)size);
}

static void exchange(const char *a, const char *b, unsigned int port)
{
	int fa = bound(net.a, SOCK_DGRAM, a, 20000 + port), fb = bound(net.b, SOCK_DGRAM, b, port);
	struct pst_udp u;

	for (size_t i = 0; i < 10; i++) {
		say(fa, b, port, i * 100);
		hear(fb, i * 100);
	}
	/* the one only receives, and its owner is known all the same */
	u = want(&big, fb, 20000 + port, 0, 10);
	assert_peer(&u, b, port, a, 20000 + port, net.ino_b);
	assert_int_equal(u.rx_bytes, 4500);
	assert_int_equal(u.tx_bytes, 0);
	assert_owner(&u, getpid());
	say(fb, a, 20000 + port, 7);
	hear(fa, 7);
	u = want(&big, fa, port, 10, 1);
	assert_peer(&u, a, 20000 + port, b, port, net.ino_a);
	assert_int_equal(u.tx_bytes, 4500);
	assert_int_equal(u.rx_bytes, 7);
	assert_owner(&u, getpid());
	u = want(&big, fb, 20000 + port, 1, 10);
	assert_int_equal(u.tx_bytes, 7);
	close(fa);
	close(fb);
}

static void check_v4(void **state)
{
	(void)state;
	exchange("10.77.0.1", "10.77.0.2", 8001);
}

static void check_v6(void **state)
{
	(void)state;
	exchange("fd77::1", "fd77::2", 8002);
}

/* An AF_INET6 socket that speaks IPv4; and an automatic port, so that nobody ever bound it. */
static void check_mapped(void **state)
{
	int fa = socket_in(net.a, AF_INET6, SOCK_DGRAM), fb = bound(net.b, SOCK_DGRAM, "::", 8003);
	struct pst_udp u;

	(void)state;
	say(fa, "::ffff:10.77.0.2", 8003, 50);
	hear(fb, 50);
	u = want(&big, fa, 8003, 1, 0);
	assert_peer(&u, "10.77.0.1", local_port(fa), "10.77.0.2", 8003, net.ino_a);
	assert_owner(&u, getpid());
	u = want(&big, fb, local_port(fa), 0, 1);
	assert_peer(&u, "10.77.0.2", 8003, "10.77.0.1", local_port(fa), net.ino_b);
	close(fa);
	close(fb);
}

/* One call, ten datagrams on the wire. */
static void check_gso(void **state)
{
	int fa = bound(net.a, SOCK_DGRAM, "10.77.0.1", 28004),
	    fb = bound(net.b, SOCK_DGRAM, "10.77.0.2", 8004);
	int segment = 100;
	struct pst_udp u;

	(void)state;
	assert_int_equal(setsockopt(fa, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	say(fa, "10.77.0.2", 8004, 950);
	for (int i = 0; i < 10; i++)
		hear(fb, i < 9 ? 100 : 50);
	u = want(&big, fa, 8004, 10, 0);
	assert_int_equal(u.tx_bytes, 950);
	u = want(&big, fb, 28004, 0, 10);
	assert_int_equal(u.rx_bytes, 950);
	close(fa);
	close(fb);
}

/* Fragments are no datagrams. */
static void check_fragments(void **state)
{
	int fa = bound(net.a, SOCK_DGRAM, "10.77.0.1", 28005),
	    fb = bound(net.b, SOCK_DGRAM, "10.77.0.2", 8005);
	struct pst_udp u;

	(void)state;
	say(fa, "10.77.0.2", 8005, 20000);
	hear(fb, 20000);
	u = want(&big, fa, 8005, 1, 0);
	assert_int_equal(u.tx_bytes, 20000);
	u = want(&big, fb, 28005, 0, 1);
	assert_int_equal(u.rx_bytes, 20000);
	close(fa);
	close(fb);
}

/* An extension header before UDP. */
static void check_options(void **state)
{
	const unsigned char dstopts[8] = {0, 0, 1, 4, 0, 0, 0, 0}; /* PadN */
	int fa = bound(net.a, SOCK_DGRAM, "fd77::1", 28006), fb = bound(net.b, SOCK_DGRAM, "fd77::2", 8006);
	struct pst_udp u;

	(void)state;
	assert_int_equal(setsockopt(fa, IPPROTO_IPV6, IPV6_DSTOPTS, dstopts, sizeof(dstopts)), 0);
	say(fa, "fd77::2", 8006, 33);
	hear(fb, 33);
	u = want(&big, fa, 8006, 1, 0);
	assert_int_equal(u.tx_bytes, 33);
	u = want(&big, fb, 28006, 0, 1);
	assert_int_equal(u.rx_bytes, 33);
	close(fa);
	close(fb);
}

/* The socket is older than the programs: its owner shows when it sends. */
static void check_owner_late(void **state)
{
	int fa = bound(net.a, SOCK_DGRAM, "10.77.0.1", 28007),
	    fb = bound(net.b, SOCK_DGRAM, "10.77.0.2", 8007);
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	struct pst_udp u;

	(void)state;
	assert_int_equal(getsockopt(fb, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	assert_int_equal(bpf_map_delete_elem(bpf_map__fd(big.skel->maps.udp_owners), &cookie), 0);
	say(fa, "10.77.0.2", 8007, 1);
	hear(fb, 1);
	u = want(&big, fb, 28007, 0, 1);
	assert_int_equal(u.pid, 0);
	assert_int_equal(u.start_ns, 0);
	assert_int_equal(u.cgroup_id, cgroup_of_me()); /* the socket's */
	say(fb, "10.77.0.1", 28007, 1);
	hear(fa, 1);
	u = want(&big, fb, 28007, 1, 1);
	assert_owner(&u, getpid());
	close(fa);
	close(fb);
}

/* Bound by one process, used by another. */
static void check_activation(void **state)
{
	int fa = bound(net.a, SOCK_DGRAM, "10.77.0.1", 28008),
	    fb = bound(net.b, SOCK_DGRAM, "10.77.0.2", 8008);
	struct pst_udp u;
	pid_t pid;

	(void)state;
	say(fa, "10.77.0.2", 8008, 1);
	u = want(&big, fb, 28008, 0, 1);
	assert_owner(&u, getpid());
	pid = fork();
	if (!pid) {
		char c;

		if (recv(fb, &c, 1, 0) != 1)
			_exit(1);
		say(fb, "10.77.0.1", 28008, 1);
		_exit(0);
	}
	assert_int_equal(reap(pid), 0);
	hear(fa, 1);
	u = want(&big, fb, 28008, 1, 1);
	assert_owner(&u, pid);
	close(fa);
	close(fb);
}

static uint32_t used(const struct instance *in)
{
	struct pst_udp u;
	uint32_t n = 0;

	for (uint32_t i = 0; i < in->n; i++)
		n += slot_read(&in->slots[i], &u) && (u.netns == net.ino_a || u.netns == net.ino_b);
	return n;
}

static void check_others(void **state)
{
	int l = bound(net.b, SOCK_STREAM, "10.77.0.2", 8009), c = socket_in(net.a, AF_INET, SOCK_STREAM), s;
	uint32_t before = used(&big);

	(void)state;
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(connect_to(c, "10.77.0.2", 8009), 0);
	s = accept(l, NULL, NULL);
	assert_int_equal(write(c, "tcp", 3), 3);
	hear(s, 3);
	close(c);
	close(s);
	close(l);
	sh(net.a, "ip neigh flush dev va");
	assert_int_equal(used(&big), before);
}

/* The programs write what user space cannot. */
static void check_frozen(void **state)
{
	uint32_t zero = 0;
	struct pst_udp u = {0};
	int fd = bpf_map__fd(big.skel->maps.udp_peers);

	(void)state;
	assert_int_not_equal(bpf_map_update_elem(fd, &zero, &u, 0), 0);
	assert_ptr_equal(
		mmap(NULL, sizeof(u) * big.n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

/* ---- a table that is full ---- */

static void instance_open(struct instance *in, uint32_t slots, uint64_t idle_ns)
{
	size_t size = sizeof(struct pst_udp) * slots, page = (size_t)sysconf(_SC_PAGESIZE);
	const struct bpf_program *p;

	in->n = slots;
	in->skel = udp_bpf__open();
	assert_non_null(in->skel);
	in->skel->rodata->cfg_udp_mask = slots - 1;
	in->skel->rodata->cfg_udp_idle_ns = idle_ns;
	assert_int_equal(bpf_map__set_max_entries(in->skel->maps.udp_peers, slots), 0);
	assert_int_equal(bpf_map__set_max_entries(in->skel->maps.ring_net, 1 << 20), 0);
	assert_int_equal(udp_bpf__load(in->skel), 0);
	assert_int_equal(bpf_map_freeze(bpf_map__fd(in->skel->maps.udp_peers)), 0);
	in->slots = mmap(NULL, (size + page - 1) / page * page, PROT_READ, MAP_SHARED,
		bpf_map__fd(in->skel->maps.udp_peers), 0);
	assert_ptr_not_equal(in->slots, MAP_FAILED);
	reclog_open(&in->recs, bpf_map__fd(in->skel->maps.ring_net));
	p = in->skel->progs.udp_egress;
	in->skel->links.udp_egress = bpf_program__attach_cgroup(p, cgroup_fd);
	in->skel->links.udp_ingress = bpf_program__attach_cgroup(in->skel->progs.udp_ingress, cgroup_fd);
	in->skel->links.udp_bind4 = bpf_program__attach_cgroup(in->skel->progs.udp_bind4, cgroup_fd);
	in->skel->links.udp_bind6 = bpf_program__attach_cgroup(in->skel->progs.udp_bind6, cgroup_fd);
	assert_true(in->skel->links.udp_egress && in->skel->links.udp_ingress && in->skel->links.udp_bind4 &&
		    in->skel->links.udp_bind6);
}

static void instance_close(struct instance *in)
{
	reclog_close(&in->recs);
	udp_bpf__destroy(in->skel);
}

static const struct pst_rec_udp *evicted(struct instance *in, unsigned int rport)
{
	ring_buffer__consume(in->recs.rb);
	for (size_t off = 0; off < in->recs.len;) {
		const struct pst_rec_udp *r = (const void *)(in->recs.bytes + off);

		if (r->h.kind == PST_REC_UDP_EVICTED && r->slot.key.rport == rport &&
			r->slot.netns == net.ino_a)
			return r;
		off += r->h.size;
	}
	return NULL;
}

/* Eight slots: more peers are turned away and counted, until others were idle for a second; these go out with
 * their totals. */
static void check_eviction(void **state)
{
	enum { IDLE_MS = 1500 };
	const struct pst_rec_udp *r;
	uint64_t full, bytes;
	struct pst_udp u;
	int fa, seen = 0;

	(void)state;
	instance_open(&small, 8, IDLE_MS * 1000000ULL);
	fa = bound(net.a, SOCK_DGRAM, "10.77.0.1", 28100);
	full = counter(&small, offsetof(struct pst_class_stat, table_full));
	bytes = counter(&small, offsetof(struct pst_class_stat, table_full_bytes));
	/* nobody listens; what others on this host send may take slots too */
	for (unsigned int i = 0; i < 20; i++)
		for (unsigned int k = 0; k <= i % 3; k++)
			say(fa, "10.77.0.2", 8100 + i, 10);
	full = counter(&small, offsetof(struct pst_class_stat, table_full)) - full;
	bytes = counter(&small, offsetof(struct pst_class_stat, table_full_bytes)) - bytes;
	assert_true(full >= 12 && bytes >= 120);
	usleep((IDLE_MS + 300) * 1000);
	for (unsigned int i = 0; i < 20; i++)
		say(fa, "10.77.0.2", 8200 + i, 10);
	for (unsigned int i = 0; i < 20; i++) {
		r = evicted(&small, 8100 + i);
		if (!r)
			continue;
		seen++;
		assert_int_equal(r->h.size, sizeof(*r));
		assert_true(r->index < 8);
		assert_int_equal(r->slot.gen & 1, 0);
		assert_int_equal(r->slot.tx_packets, 1 + i % 3);
		assert_int_equal(r->slot.tx_bytes, 10 * (1 + i % 3));
		assert_peer(&r->slot, "10.77.0.1", 28100, "10.77.0.2", 8100 + i, net.ino_a);
		assert_owner(&r->slot, getpid());
		/* the slot is another's now */
		assert_true(slot_read(&small.slots[r->index], &u));
		assert_int_equal(u.gen, r->slot.gen + 2);
		assert_false(find(&small, fa, 8100 + i, &u));
	}
	assert_in_range(seen, 1, 8);
	close(fa);
	instance_close(&small);
}

static int setup(void **state)
{
	(void)state;
	if (netpair_up() || !cgroup2())
		return -1;
	cgroup_fd = open(cgroup2(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup_fd < 0)
		return -1;
	instance_open(&big, SLOTS, 60000000000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	instance_close(&big);
	close(cgroup_fd);
	netpair_down();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_v4),
		cmocka_unit_test(check_v6),
		cmocka_unit_test(check_mapped),
		cmocka_unit_test(check_gso),
		cmocka_unit_test(check_fragments),
		cmocka_unit_test(check_options),
		cmocka_unit_test(check_owner_late),
		cmocka_unit_test(check_activation),
		cmocka_unit_test(check_others),
		cmocka_unit_test(check_frozen),
		cmocka_unit_test(check_eviction),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("udp", tests, setup, teardown);
}
