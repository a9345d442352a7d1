// SPDX-License-Identifier: Apache-2.0
/* Records of sockets that are made and bound, on both rungs: functions of the kernel, and the one program on
 * sys_exit.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bpf/sockcall.skel.h"
#include "bpf/sysexit.skel.h"
#include "tests/bpf/procs.h"
#include "tests/bpf/rungs.h"

#ifndef MAP_32BIT
#define MAP_32BIT 0x40
#endif

/* Both are attached at once, each with a ring of its own; a test looks at one of them. */
struct rung {
	struct sockcall_bpf *fexit;
	struct sysexit_bpf *sysexit;
	struct reclog recs;
};
static struct rung fexit_rung, sysexit_rung, *rung;

/* What a child is to do, and what it tells. */
static struct {
	int family, type, protocol;
	bool stranger; /* as nobody */
	struct sockaddr_storage asked, got;
	socklen_t asked_len, got_len;
	long ret;
	int error;
} * deed;

static uint32_t act(void (*fn)(void *))
{
	pid_t pid;

	reclog_clear(&rung->recs);
	pid = run(fn, NULL);
	assert_int_equal(reap(pid), 0);
	return (uint32_t)pid;
}

/* The only record of that kind by that process. */
static const void *only(int kind, uint32_t pid)
{
	const struct pst_rec *r = reclog_want(&rung->recs, kind, pid);

	assert_int_equal(reclog_count(&rung->recs, kind, pid), 1);
	return r;
}

static void done(long ret)
{
	deed->error = ret < 0 ? errno : 0;
	deed->ret = ret;
	_exit(0);
}

/* A call of 32-bit callers: what the CPU puts into its registers is not preserved. */
static long call32(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

/* Memory that 32-bit callers can name. */
static void *low(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (p == MAP_FAILED)
		_exit(91);
	return p;
}

static void done32(long ret)
{
	errno = ret < 0 ? (int)-ret : 0;
	done(ret < 0 ? -1 : ret);
}

/* ---- socket(2) ---- */

static void do_socket(void *arg)
{
	(void)arg;
	if (deed->stranger && (setgid(65534) || setuid(65534)))
		_exit(90);
	done(socket(deed->family, deed->type, deed->protocol));
}

static uint32_t make(int family, int type, int protocol)
{
	deed->family = family;
	deed->type = type;
	deed->protocol = protocol;
	return act(do_socket);
}

static void assert_made(const struct pst_rec_socket *r, int type)
{
	assert_int_equal(r->h.size, sizeof(*r));
	assert_int_equal(r->error, deed->error);
	assert_int_equal(r->family, deed->family);
	assert_int_equal(r->type, type);
	assert_int_equal(r->protocol, deed->protocol);
	assert_int_equal(r->netns, proc_ns(getpid(), "net"));
	assert_int_equal(r->pad, 0);
	assert_string_equal(r->task.comm, "test_sockcall");
}

static void told(int family, int type, int protocol)
{
	assert_made(only(PST_REC_SOCKET_CREATE, make(family, type, protocol)), type & 15);
}

static void check_socket(void **state)
{
	(void)state;
	deed->stranger = false;
	told(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	told(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	told(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	assert_int_equal(deed->error, 0);
	told(AF_INET6, SOCK_RAW, IPPROTO_RAW);
	told(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	told(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
	told(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	told(AF_VSOCK, SOCK_STREAM, 0);
	told(AF_ALG, SOCK_SEQPACKET, 0);
}

static void check_refused(void **state)
{
	(void)state;
	deed->stranger = true;
	told(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	assert_int_equal(deed->error, EPERM);
	told(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
	assert_true(deed->error == EPERM || deed->error == EAFNOSUPPORT);
	deed->stranger = false;
	told(4242, SOCK_STREAM, 0);
	assert_int_equal(deed->error, EAFNOSUPPORT);
	told(AF_INET, 14, 0);
	assert_int_equal(deed->error, EINVAL);
}

static void check_ordinary(void **state)
{
	static const int kinds[][3] = {{AF_INET, SOCK_STREAM, 0}, {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
		{AF_INET, SOCK_STREAM, 262 /* MPTCP */}, {AF_INET, SOCK_DGRAM, 0},
		{AF_INET6, SOCK_DGRAM, IPPROTO_UDP}, {AF_UNIX, SOCK_STREAM, 0}, {AF_UNIX, SOCK_SEQPACKET, 0},
		{AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}};

	(void)state;
	deed->stranger = false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		assert_int_equal(reclog_count(&rung->recs, PST_REC_SOCKET_CREATE,
					 make(kinds[i][0], kinds[i][1], kinds[i][2])),
			0);
	assert_int_equal(deed->error, 0);
}

static void do_socket32(void *arg)
{
	(void)arg;
	done32(call32(359, deed->family, deed->type, deed->protocol));
}

static void do_socketcall(void *arg)
{
	uint32_t *args = low();

	(void)arg;
	args[0] = (uint32_t)deed->family;
	args[1] = (uint32_t)deed->type;
	args[2] = (uint32_t)deed->protocol;
	done32(call32(102, 1, (long)args, 0));
}

/* The child's pid; 0: this kernel takes no int 0x80. */
static uint32_t act32(void (*fn)(void *))
{
	pid_t pid;
	int status;

	reclog_clear(&rung->recs);
	pid = run(fn, NULL);
	status = reap(pid);
	return status || deed->error == ENOSYS ? 0 : (uint32_t)pid;
}

static void check_compat(void **state)
{
	uint32_t pid;

	(void)state;
	deed->family = AF_INET;
	deed->type = SOCK_RAW;
	deed->protocol = IPPROTO_ICMP;
	pid = act32(do_socket32);
	if (!pid)
		skip_because("this kernel takes no int 0x80");
	assert_int_equal(deed->error, 0);
	assert_made(only(PST_REC_SOCKET_CREATE, pid), SOCK_RAW);
	pid = act32(do_socketcall);
	assert_int_equal(deed->error, 0);
	assert_made(only(PST_REC_SOCKET_CREATE, pid), SOCK_RAW);
}

/* ---- bind(2) ---- */

static void do_bind(void *arg)
{
	int fd = socket(deed->family, deed->type, deed->protocol);
	long ret;

	(void)arg;
	deed->got_len = sizeof(deed->got);
	ret = bind(fd, (void *)&deed->asked, deed->asked_len);
	deed->error = errno;
	if (fd < 0 || getsockname(fd, (void *)&deed->got, &deed->got_len))
		_exit(92);
	errno = deed->error;
	done(ret);
}

static uint32_t assign(int family, int type, int protocol, const void *addr, socklen_t len)
{
	deed->stranger = false;
	deed->family = family;
	deed->type = type;
	deed->protocol = protocol;
	memset(&deed->asked, 0, sizeof(deed->asked));
	memcpy(&deed->asked, addr, len);
	deed->asked_len = len;
	return act(do_bind);
}

/* What is the same of all. */
static const struct pst_rec_bind *bound(uint32_t pid)
{
	const struct pst_rec_bind *r = only(PST_REC_SOCKET_BIND, pid);

	assert_int_equal(r->h.size, sizeof(*r));
	assert_int_equal(r->error, deed->error);
	assert_int_equal(r->family, deed->family);
	assert_int_equal(r->type, deed->type);
	assert_int_equal(r->netns, proc_ns(getpid(), "net"));
	assert_string_equal(r->task.comm, "test_sockcall");
	return r;
}

static const struct pst_rec_bind *bound4(int type, uint32_t addr, uint16_t port)
{
	const struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr)};
	const struct pst_rec_bind *r = bound(assign(AF_INET, type, 0, &in, sizeof(in)));
	const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint32_t at;

	memcpy(&at, r->addr + 12, sizeof(at));
	assert_memory_equal(r->addr, mapped, sizeof(mapped));
	assert_int_equal(ntohl(at), addr);
	assert_int_equal(r->name_bytes, 0);
	return r;
}

static void check_bind_ip(void **state)
{
	const struct sockaddr_in *got4 = (void *)&deed->got;
	const struct sockaddr_in6 *got6 = (void *)&deed->got;
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct pst_rec_bind *r;
	int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in mine = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(mine);

	(void)state;
	r = bound4(SOCK_STREAM, INADDR_LOOPBACK, 0);
	assert_int_equal(deed->error, 0);
	assert_int_equal(r->protocol, IPPROTO_TCP);
	assert_true(r->port != 0);
	assert_int_equal(r->port, ntohs(got4->sin_port)); /* which the kernel chose */
	r = bound4(SOCK_DGRAM, INADDR_ANY, 0);
	assert_int_equal(r->protocol, IPPROTO_UDP);
	assert_int_equal(r->port, ntohs(got4->sin_port));

	r = bound(assign(AF_INET6, SOCK_DGRAM, 0, &in6, sizeof(in6)));
	assert_int_equal(deed->error, 0);
	assert_memory_equal(r->addr, &got6->sin6_addr, 16);
	assert_int_equal(r->port, ntohs(got6->sin6_port));

	assert_int_equal(bind(taken, (void *)&mine, sizeof(mine)), 0);
	assert_int_equal(listen(taken, 1), 0);
	assert_int_equal(getsockname(taken, (void *)&mine, &len), 0);
	r = bound4(SOCK_STREAM, INADDR_LOOPBACK, ntohs(mine.sin_port));
	assert_int_equal(r->error, EADDRINUSE);
	assert_int_equal(r->port, ntohs(mine.sin_port));
	close(taken);
	r = bound4(SOCK_DGRAM, 0xcb007107, 53); /* 203.0.113.7 is not ours */
	assert_int_equal(r->error, EADDRNOTAVAIL);
	assert_int_equal(r->port, 53);
	in6.sin6_addr = (struct in6_addr){.s6_addr = {0x20, 1, 0xd, 0xb8, 9}};
	in6.sin6_port = htons(4000);
	r = bound(assign(AF_INET6, SOCK_STREAM, 0, &in6, sizeof(in6)));
	assert_int_equal(r->error, EADDRNOTAVAIL);
	assert_memory_equal(r->addr, &in6.sin6_addr, 16);
	assert_int_equal(r->port, 4000);
	r = bound(assign(AF_INET, SOCK_STREAM, 0, &mine, 4)); /* too short: what lies behind it is not read */
	assert_int_equal(r->error, EINVAL);
	assert_int_equal(r->addr[12], 0);
	r = bound(assign(AF_INET, SOCK_RAW, IPPROTO_ICMP, &mine, sizeof(mine)));
	assert_int_equal(r->error, 0);
	assert_int_equal(r->port, 0);
	assert_int_equal(r->protocol, IPPROTO_ICMP);
}

static void assert_name(const struct pst_rec_bind *r, const struct sockaddr_un *want, socklen_t len)
{
	size_t n = len - offsetof(struct sockaddr_un, sun_path);

	assert_int_equal(r->name_bytes, n);
	assert_memory_equal(r->name, want->sun_path, n);
	for (size_t i = n; i < sizeof(r->name); i++)
		assert_int_equal(r->name[i], 0);
}

static void check_bind_unix(void **state)
{
	const struct sockaddr_un *got = (void *)&deed->got;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	const struct pst_rec_bind *r;
	socklen_t full = sizeof(un);

	(void)state;
	snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/pst-bind-%d", getpid());
	r = bound(assign(AF_UNIX, SOCK_STREAM, 0, &un, full));
	assert_int_equal(deed->error, 0);
	assert_name(r, &un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(un.sun_path) + 1));
	r = bound(assign(AF_UNIX, SOCK_DGRAM, 0, &un, full)); /* the file is there */
	assert_int_equal(r->error, EADDRINUSE);
	assert_name(r, &un, full);
	unlink(un.sun_path);

	memset(un.sun_path, 0, sizeof(un.sun_path));
	snprintf(un.sun_path + 1, 40, "pst-%d", getpid());
	un.sun_path[30] = 'x'; /* with NULs in between */
	r = bound(assign(AF_UNIX, SOCK_STREAM, 0, &un, 33));
	assert_int_equal(deed->error, 0);
	assert_name(r, &un, 33);
	r = bound(assign(AF_UNIX, SOCK_STREAM, 0, &un, full)); /* the longest there is */
	assert_int_equal(deed->error, 0);
	assert_name(r, &un, full);

	r = bound(assign(AF_UNIX, SOCK_STREAM, 0, &un, sizeof(un.sun_family)));
	assert_int_equal(deed->error, 0);
	assert_true(deed->got_len > sizeof(un.sun_family)); /* the kernel chooses one */
	assert_name(r, got, deed->got_len);
	r = bound(assign(AF_UNIX, SOCK_STREAM, 0, &un, 1));
	assert_int_equal(r->error, EINVAL);
	assert_int_equal(r->name_bytes, 0);
}

static void check_bind_others(void **state)
{
	const struct sockaddr_nl nl = {.nl_family = AF_NETLINK};
	struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = 1};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	const struct pst_rec_bind *r;
	uint32_t pid;

	(void)state;
	pid = assign(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &nl, sizeof(nl));
	assert_int_equal(deed->error, 0);
	assert_int_equal(reclog_count(&rung->recs, PST_REC_SOCKET_BIND, pid), 0);
	if (fd < 0)
		skip_because("this kernel has no packet sockets");
	close(fd);
	r = bound(assign(AF_PACKET, SOCK_RAW, 0, &ll, sizeof(ll)));
	assert_int_equal(deed->error, 0);
	assert_int_equal(r->ifindex, 1);
	assert_int_equal(r->protocol, htons(ETH_P_ARP));
	ll.sll_ifindex = 0x7ffffff0;
	r = bound(assign(AF_PACKET, SOCK_RAW, 0, &ll, sizeof(ll)));
	assert_int_equal(r->error, ENODEV);
	assert_int_equal(r->ifindex, 0x7ffffff0);
}

static void do_bind_none(void *arg)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)arg;
	if (bind(fd, (void *)&deed->asked, 16) == 0 || bind(4242, (void *)&deed->asked, 16) == 0)
		_exit(93);
	_exit(0);
}

/* Nothing is said of what is no socket, and what points nowhere is said without its address. */
static void check_bind_nothing(void **state)
{
	(void)state;
	assert_int_equal(reclog_count(&rung->recs, PST_REC_SOCKET_BIND, act(do_bind_none)), 0);
}

static void do_bind_nowhere(void *arg)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	done(bind(fd, (void *)8, 16));
}

static void check_bind_nowhere(void **state)
{
	static const uint8_t none[12];
	const struct pst_rec_bind *r;

	(void)state;
	deed->family = AF_INET;
	deed->type = SOCK_STREAM;
	r = bound(act(do_bind_nowhere));
	assert_int_equal(r->error, EFAULT);
	assert_memory_equal(r->addr, none, 10);
	assert_int_equal(r->port, 0);
}

static void do_bind32(void *arg)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in *in = low();
	socklen_t len = sizeof(*in);
	uint32_t *args = low();
	long ret;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	args[0] = (uint32_t)fd;
	args[1] = (uint32_t)(uintptr_t)in;
	args[2] = len;
	ret = arg ? call32(102, 2, (long)args, 0) : call32(361, fd, (long)in, len);
	deed->got_len = sizeof(deed->got);
	getsockname(fd, (void *)&deed->got, &deed->got_len);
	done32(ret);
}

static void do_bindcall(void *arg)
{
	(void)arg;
	do_bind32(deed);
}

static void check_bind_compat(void **state)
{
	void (*const fns[])(void *) = {do_bind32, do_bindcall};
	const struct sockaddr_in *got = (void *)&deed->got;

	(void)state;
	deed->family = AF_INET;
	deed->type = SOCK_DGRAM;
	for (int i = 0; i < 2; i++) {
		uint32_t pid = act32(fns[i]);
		const struct pst_rec_bind *r;

		if (!pid)
			skip_because("this kernel takes no int 0x80");
		r = bound(pid);
		assert_int_equal(r->error, 0);
		assert_true(r->port != 0);
		assert_int_equal(r->port, ntohs(got->sin_port));
		assert_int_equal(r->addr[12], 127);
	}
}

/* ---- the bound ---- */

#define MANY 20

static void do_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < MANY; i++)
		if (socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP) < 0)
			_exit(94);
	_exit(0);
}

/* One a second of each cgroup: what stays out is counted, as of the network. */
static void test_bound(void **state)
{
	struct sysexit_bpf *own = sysexit_bpf__open();
	struct rung bounded = {0};
	uint64_t suppressed;
	int seen, stats;

	(void)state;
	assert_non_null(own);
	own->rodata->cfg_cred = own->rodata->cfg_exec_failed = false;
	own->rodata->cfg_socket = true;
	own->rodata->cfg_cgroup_gap_ns = 1000000000;
	assert_int_equal(sysexit_bpf__load(own), 0);
	assert_int_equal(sysexit_bpf__attach(own), 0);
	stats = bpf_map__fd(own->maps.class_stats);
	reclog_open(&bounded.recs, bpf_map__fd(own->maps.ring_net));
	rung = &bounded;
	seen = reclog_count(&rung->recs, PST_REC_SOCKET_CREATE, act(do_many));
	suppressed = stat_sum(stats, PST_CLASS_NET, offsetof(struct pst_class_stat, suppressed));
	assert_true(seen >= 1 && seen < MANY);
	assert_true((uint64_t)seen + suppressed >= MANY); /* others of this cgroup may do the same */
	assert_int_equal(
		rung->recs.records, stat_sum(stats, PST_CLASS_NET, offsetof(struct pst_class_stat, emitted)));
	reclog_close(&bounded.recs);
	sysexit_bpf__destroy(own);
}

static struct sysexit_bpf *sysexit_attach(void)
{
	struct sysexit_bpf *s = sysexit_bpf__open();

	if (!s)
		return NULL;
	s->rodata->cfg_exec_failed = s->rodata->cfg_cred = false;
	s->rodata->cfg_socket = s->rodata->cfg_bind = true;
	bpf_program__set_autoload(s->progs.cred_enter, false);
	return sysexit_bpf__load(s) || sysexit_bpf__attach(s) ? NULL : s;
}

/* A network namespace of our own, whose loopback device is up. */
static int own_network(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd, e;

	if (unshare(CLONE_NEWNET))
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	e = ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	return e;
}

static int setup(void **state)
{
	(void)state;
	if (own_network())
		return -1;
	deed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (deed == MAP_FAILED)
		return -1;
	sysexit_rung.sysexit = sysexit_attach();
	if (!sysexit_rung.sysexit)
		return -1;
	reclog_open(&sysexit_rung.recs, bpf_map__fd(sysexit_rung.sysexit->maps.ring_net));
	fexit_rung.fexit = sockcall_bpf__open_and_load();
	if (!fexit_rung.fexit)
		return errno == EPERM ? 0 : -1; /* locked down */
	if (sockcall_bpf__attach(fexit_rung.fexit))
		return -1;
	reclog_open(&fexit_rung.recs, bpf_map__fd(fexit_rung.fexit->maps.ring_net));
	return 0;
}

static void rung_close(struct rung *r)
{
	if (r->recs.rb)
		reclog_close(&r->recs);
	sockcall_bpf__destroy(r->fexit);
	sysexit_bpf__destroy(r->sysexit);
}

static int teardown(void **state)
{
	(void)state;
	rung_close(&fexit_rung);
	rung_close(&sysexit_rung);
	return 0;
}

ON_RUNGS(fexit, socket)
ON_RUNGS(fexit, refused)
ON_RUNGS(fexit, ordinary)
ON_RUNGS(fexit, compat)
ON_RUNGS(fexit, bind_ip)
ON_RUNGS(fexit, bind_unix)
ON_RUNGS(fexit, bind_others)
ON_RUNGS(fexit, bind_nothing)
ON_RUNGS(fexit, bind_nowhere)
ON_RUNGS(fexit, bind_compat)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUNGS(fexit, socket),
		RUNGS(fexit, refused),
		RUNGS(fexit, ordinary),
		RUNGS(fexit, compat),
		RUNGS(fexit, bind_ip),
		RUNGS(fexit, bind_unix),
		RUNGS(fexit, bind_others),
		RUNGS(fexit, bind_nothing),
		RUNGS(fexit, bind_nowhere),
		RUNGS(fexit, bind_compat),
		cmocka_unit_test(test_bound),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
