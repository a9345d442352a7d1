// SPDX-License-Identifier: Apache-2.0
/* TCP records of bpf/socket.bpf.c, and of accept on both of its rungs, from real connections. */
#include <sys/mman.h>

#include "bpf/accept.skel.h"
#include "bpf/socket.skel.h"
#include "bpf/sysexit.skel.h"
#include "tests/bpf/netpair.h"
#include "tests/bpf/procs.h"

#define UID 1234
#define GID 4321

static struct socket_bpf *skel;
static struct sysexit_bpf *sysexit_skel;
static struct accept_bpf *accept_skel;
static struct reclog recs;

/* ---- finding records ---- */

/* The n-th socket record of that kind between these ports, as the end with @lport saw it; 0: any port. */
static const struct pst_rec_sock *sock_nth(
	int kind, uint32_t netns, unsigned int lport, unsigned int rport, int n)
{
	ring_buffer__consume(recs.rb);
	for (size_t off = 0; off < recs.len;) {
		const struct pst_rec_sock *r = (const void *)(recs.bytes + off);

		if (r->h.kind == kind && kind != PST_REC_DROP && r->netns == netns &&
			(!lport || r->ends.lport == lport) && (!rport || r->ends.rport == rport) && n-- == 0)
			return r;
		off += r->h.size;
	}
	return NULL;
}

static int sock_count(int kind, uint32_t netns, unsigned int lport, unsigned int rport)
{
	int n = 0;

	while (sock_nth(kind, netns, lport, rport, n))
		n++;
	return n;
}

/* Waits for it, up to ten seconds; it stays the only one. A copy, since the log may move. */
static struct pst_rec_sock sock_want(int kind, uint32_t netns, unsigned int lport, unsigned int rport)
{
	for (int i = 0; i < 2000; i++) {
		const struct pst_rec_sock *r = sock_nth(kind, netns, lport, rport, 0);

		if (r)
			return *r;
		tick();
	}
	fail_msg("no record of kind %d for port %u to %u", kind, lport, rport);
	return (struct pst_rec_sock){0};
}

/* ---- checking them ---- */

static void assert_ends(const struct pst_ends *e, const char *lip, unsigned int lport, const char *rip,
	unsigned int rport, int family)
{
	uint8_t addr[16];

	addr_mapped(addr, lip);
	assert_memory_equal(e->laddr, addr, 16);
	addr_mapped(addr, rip);
	assert_memory_equal(e->raddr, addr, 16);
	assert_int_equal(e->lport, lport);
	assert_int_equal(e->rport, rport);
	assert_int_equal(e->family, family);
	assert_int_equal(e->protocol, IPPROTO_TCP);
	assert_int_equal(e->pad, 0);
}

/* What the client or server process is, taken down by itself. */
struct who {
	pid_t pid;
	uint64_t start_ticks;
	char comm[PST_COMM_LEN];
};

static void assert_task(const struct pst_task *t, const struct who *who)
{
	assert_int_equal(t->pid, who->pid);
	assert_int_equal(t->tid, who->pid);
	assert_int_equal(t->start_ns / (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK)), who->start_ticks);
	assert_int_equal(t->uid, UID);
	assert_int_equal(t->gid, GID);
	assert_string_equal(t->comm, who->comm);
	assert_int_not_equal(t->cgroup_id, 0);
}

static void assert_nobody(const struct pst_task *t)
{
	static const struct pst_task nobody;

	assert_memory_equal(t, &nobody, sizeof(nobody));
}

/* What does not apply is zero. */
static void assert_rest_zero(const struct pst_rec_sock *r)
{
	assert_int_equal(r->pad, 0);
	assert_int_equal(r->pad2, 0);
	if (r->h.kind != PST_REC_TCP_CLOSE && r->h.kind != PST_REC_TCP_RETRANSMIT) {
		assert_int_equal(r->bytes_sent, 0);
		assert_int_equal(r->bytes_received, 0);
	}
	if (r->h.kind != PST_REC_TCP_CONNECT)
		assert_int_equal(r->error, 0);
	if (r->h.kind != PST_REC_TCP_LISTEN)
		assert_int_equal(r->backlog, 0);
	if (r->h.kind != PST_REC_TCP_RESET)
		assert_int_equal(r->dir | r->reason, 0);
	if (r->h.kind != PST_REC_TCP_CONNECT && r->h.kind != PST_REC_TCP_CLOSE)
		assert_int_equal(r->duration_ns, 0);
}

/* ---- peers: processes of their own, under another user and name ---- */

static void become(struct who *who, const char *comm)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, comm);
	if (setresgid(GID, GID, GID) || setresuid(UID, UID, UID))
		_exit(90);
	who->pid = getpid();
	who->start_ticks = proc_start_ticks(who->pid);
	snprintf(who->comm, sizeof(who->comm), "%s", comm);
}

static void give(int fd, size_t n)
{
	static const char zeros[65536];

	while (n) {
		ssize_t w = write(fd, zeros, n < sizeof(zeros) ? n : sizeof(zeros));

		if (w <= 0)
			_exit(91);
		n -= (size_t)w;
	}
}

static void take(int fd, size_t n)
{
	char buf[65536];

	while (n) {
		ssize_t r = read(fd, buf, n < sizeof(buf) ? n : sizeof(buf));

		if (r <= 0)
			_exit(92);
		n -= (size_t)r;
	}
}

static void eof(int fd)
{
	char c;

	if (read(fd, &c, 1) != 0)
		_exit(93);
}

struct scene {
	const char *client_ip, *server_ip; /* as the kernel names the ends */
	const char *dial;                  /* what the client asks for; NULL: server_ip */
	const char *listen;                /* what the server binds; NULL: server_ip */
	int family;
	unsigned int port;
	size_t up, down;   /* bytes */
	bool server_first; /* closes first */
};

/* Shared with the peers. */
struct scene_result {
	struct who client, server;
	unsigned int client_port;
	uint32_t ready;
};

static void server(const struct scene *s, struct scene_result *res)
{
	int l, c;

	l = bound(net.b, SOCK_STREAM, s->listen ? s->listen : s->server_ip, s->port);
	become(&res->server, "net-server"); /* no way into a namespace from here on */
	if (listen(l, 7))
		_exit(94);
	__atomic_store_n(&res->ready, 1, __ATOMIC_RELEASE);
	c = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	if (c < 0)
		_exit(95);
	take(c, s->up);
	give(c, s->down);
	if (!s->server_first)
		eof(c);
	close(c);
	_exit(0);
}

static void client(const struct scene *s, struct scene_result *res)
{
	const char *dial = s->dial ? s->dial : s->server_ip;
	int c;

	while (!__atomic_load_n(&res->ready, __ATOMIC_ACQUIRE))
		tick();
	c = socket_in(net.a, family_of(dial), SOCK_STREAM);
	become(&res->client, "net-client");
	if (connect_to(c, dial, s->port))
		_exit(96);
	res->client_port = local_port(c);
	give(c, s->up);
	take(c, s->down);
	if (s->server_first)
		eof(c);
	close(c);
	_exit(0);
}

static void *shared(size_t size)
{
	void *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(m, MAP_FAILED);
	return m;
}

static struct scene_result play(const struct scene *s)
{
	struct scene_result *res = shared(sizeof(*res)), ret;
	pid_t srv, cli;

	reclog_clear(&recs);
	srv = fork();
	if (!srv)
		server(s, res);
	cli = fork();
	if (!cli)
		client(s, res);
	assert_int_equal(reap(cli), 0);
	assert_int_equal(reap(srv), 0);
	ret = *res;
	munmap(res, sizeof(*res));
	return ret;
}

/* ---- a connection's life ---- */

static void assert_life(const struct scene *s)
{
	struct scene_result res = play(s);
	struct pst_rec_sock lis, con, acc, end_c, end_s;
	unsigned int cp = res.client_port;

	con = sock_want(PST_REC_TCP_CONNECT, net.ino_a, cp, s->port);
	assert_ends(&con.ends, s->client_ip, cp, s->server_ip, s->port, s->family);
	assert_task(&con.task, &res.client);
	assert_int_equal(con.error, 0);
	assert_int_equal(con.state, TCP_SYN_SENT);
	assert_in_range(con.duration_ns, 1, 5000000000);
	assert_int_not_equal(con.cookie, 0);
	assert_rest_zero(&con);

	lis = sock_want(PST_REC_TCP_LISTEN, net.ino_b, s->port, 0);
	assert_task(&lis.task, &res.server);
	assert_int_equal(lis.backlog, 7);
	assert_int_equal(lis.state, TCP_CLOSE);
	assert_rest_zero(&lis);

	acc = sock_want(PST_REC_TCP_ACCEPT, net.ino_b, s->port, cp);
	assert_ends(&acc.ends, s->server_ip, s->port, s->client_ip, cp, s->family);
	assert_task(&acc.task, &res.server);
	assert_rest_zero(&acc);

	end_c = sock_want(PST_REC_TCP_CLOSE, net.ino_a, cp, s->port);
	assert_ends(&end_c.ends, s->client_ip, cp, s->server_ip, s->port, s->family);
	assert_task(&end_c.task, &res.client);
	assert_int_equal(end_c.cookie, con.cookie);
	assert_int_equal(end_c.bytes_sent, s->up);
	assert_int_equal(end_c.bytes_received, s->down);
	assert_in_range(end_c.duration_ns, 1, end_c.h.ts_ns - con.h.ts_ns + 1000000);
	assert_int_not_equal(end_c.srtt_us, 0);
	assert_rest_zero(&end_c);

	end_s = sock_want(PST_REC_TCP_CLOSE, net.ino_b, s->port, cp);
	assert_ends(&end_s.ends, s->server_ip, s->port, s->client_ip, cp, s->family);
	assert_task(&end_s.task, &res.server);
	assert_int_equal(end_s.cookie, acc.cookie);
	assert_int_not_equal(end_s.cookie, end_c.cookie);
	assert_int_equal(end_s.bytes_sent, s->down);
	assert_int_equal(end_s.bytes_received, s->up);
	assert_in_range(end_s.duration_ns, 1, 20000000000);
	assert_rest_zero(&end_s);

	/* each exactly once, and an orderly close drops no packet */
	assert_int_equal(sock_count(PST_REC_TCP_CONNECT, net.ino_a, cp, s->port), 1);
	assert_int_equal(sock_count(PST_REC_TCP_ACCEPT, net.ino_b, s->port, cp), 1);
	assert_int_equal(sock_count(PST_REC_TCP_CLOSE, net.ino_a, cp, s->port), 1);
	assert_int_equal(sock_count(PST_REC_TCP_CLOSE, net.ino_b, s->port, cp), 1);
	assert_int_equal(sock_count(PST_REC_TCP_RESET, net.ino_a, 0, 0), 0);
	assert_int_equal(sock_count(PST_REC_TCP_RESET, net.ino_b, 0, 0), 0);
}

static const struct scene v4 = {"10.77.0.1", "10.77.0.2", NULL, NULL, AF_INET, 5001, 100000, 23456, false};

static void check_v4(void **state)
{
	(void)state;
	assert_life(&v4);
}

static void check_v4_server_first(void **state)
{
	struct scene s = v4;

	(void)state;
	s.port = 5002;
	s.server_first = true;
	assert_life(&s);
}

static void check_v6(void **state)
{
	struct scene s = {"fd77::1", "fd77::2", NULL, NULL, AF_INET6, 5003, 1, 300000, false};

	(void)state;
	assert_life(&s);
}

/* Both ends are AF_INET6 sockets, and IPv4 is spoken. */
static void check_mapped(void **state)
{
	struct scene s = {"10.77.0.1", "10.77.0.2", "::ffff:10.77.0.2", "::", AF_INET, 5004, 5, 0, true};

	(void)state;
	assert_life(&s);
}

static void check_no_data(void **state)
{
	struct scene s = v4;

	(void)state;
	s.port = 5005;
	s.up = s.down = 0;
	assert_life(&s);
}

/* ---- connections that fail ---- */

static void assert_me(const struct pst_task *t)
{
	assert_int_equal(t->pid, getpid());
	assert_string_equal(t->comm, "test_socket");
}

static void nonblocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static struct pst_rec_sock failed_connect(const char *from, const char *to, unsigned int port, int error)
{
	struct pst_rec_sock r;
	unsigned int lport = 20000 + port;
	int fd = bound(net.a, SOCK_STREAM, from, lport);

	reclog_clear(&recs);
	assert_int_equal(connect_to(fd, to, port), -1);
	assert_int_equal(errno, error);
	close(fd);
	r = sock_want(PST_REC_TCP_CONNECT, net.ino_a, lport, port);
	assert_ends(&r.ends, from, lport, to, port, family_of(to));
	assert_me(&r.task);
	assert_int_equal(r.error, error);
	assert_int_equal(r.state, TCP_SYN_SENT);
	assert_int_not_equal(r.duration_ns, 0);
	assert_rest_zero(&r);
	/* a connection that never was is not closed */
	assert_int_equal(sock_count(PST_REC_TCP_CONNECT, net.ino_a, lport, port), 1);
	assert_int_equal(sock_count(PST_REC_TCP_CLOSE, net.ino_a, lport, port), 0);
	return r;
}

static void refused(const char *from, const char *to, unsigned int port)
{
	struct pst_rec_sock con = failed_connect(from, to, port, ECONNREFUSED), got;

	got = sock_want(PST_REC_TCP_RESET, net.ino_a, 20000 + port, port);
	assert_ends(&got.ends, from, 20000 + port, to, port, family_of(to));
	assert_me(&got.task);
	assert_int_equal(got.dir, PST_DIR_IN);
	assert_int_equal(got.state, TCP_SYN_SENT);
	assert_int_equal(got.cookie, con.cookie);
	if (sock_count(PST_REC_TCP_RESET, net.ino_b, port, 0)) { /* of no socket: since 6.11 */
		got = sock_want(PST_REC_TCP_RESET, net.ino_b, port, 20000 + port);
		assert_ends(&got.ends, to, port, from, 20000 + port, family_of(to));
		assert_nobody(&got.task);
		assert_int_equal(got.dir, PST_DIR_OUT);
		assert_int_equal(got.cookie, 0);
		assert_int_not_equal(got.reason, 0);
	}
}

static void check_refused(void **state)
{
	(void)state;
	refused("10.77.0.1", "10.77.0.2", 6001);
	refused("fd77::1", "fd77::2", 6002);
}

/* The peer is there and says nothing: a SYN or two more, then the kernel gives up. */
static void check_timeout(void **state)
{
	struct pst_rec_sock r, again;

	(void)state;
	sysctl_net(net.a, "ipv4/tcp_syn_retries", "1");
	sh(net.a, "ip neigh replace 10.77.0.77 lladdr 02:00:00:00:00:77 dev va nud permanent");
	r = failed_connect("10.77.0.1", "10.77.0.77", 6003, ETIMEDOUT);
	assert_true(r.duration_ns > 1000000000);
	again = sock_want(PST_REC_TCP_RETRANSMIT, net.ino_a, 26003, 6003);
	assert_ends(&again.ends, "10.77.0.1", 26003, "10.77.0.77", 6003, AF_INET);
	assert_me(&again.task);
	assert_int_equal(again.state, TCP_SYN_SENT);
	assert_int_equal(again.retransmits, 1);
	assert_int_equal(again.bytes_sent, 0);
	assert_int_equal(again.cookie, r.cookie);
	assert_int_equal(sock_count(PST_REC_TCP_RETRANSMIT, net.ino_a, 26003, 6003), r.retransmits);
}

/* A route that ends in "unreachable", of which the peer tells. */
static void check_unreachable(void **state)
{
	(void)state;
	sh(net.a, "ip route add 10.78.0.0/24 via 10.77.0.2");
	sh(net.b, "ip route add unreachable 10.78.0.0/24");
	sysctl_net(net.b, "ipv4/ip_forward", "1");
	failed_connect("10.77.0.1", "10.78.0.1", 6004, EHOSTUNREACH);
}

/* Given up by the process before there was an answer. */
static void check_cancelled(void **state)
{
	struct pst_rec_sock r;
	int fd = bound(net.a, SOCK_STREAM, "10.77.0.1", 26005);

	(void)state;
	sh(net.a, "ip neigh replace 10.77.0.77 lladdr 02:00:00:00:00:77 dev va nud permanent");
	reclog_clear(&recs);
	nonblocking(fd);
	assert_int_equal(connect_to(fd, "10.77.0.77", 6005), -1);
	assert_int_equal(errno, EINPROGRESS);
	close(fd);
	r = sock_want(PST_REC_TCP_CONNECT, net.ino_a, 26005, 6005);
	assert_int_equal(r.error, ECANCELED);
	assert_me(&r.task);
	assert_int_equal(sock_count(PST_REC_TCP_CLOSE, net.ino_a, 26005, 6005), 0);
}

/* The only port of the range is taken by a connection to the same end. */
static void check_no_port(void **state)
{
	struct pst_rec_sock r;
	int l = bound(net.b, SOCK_STREAM, "10.77.0.2", 6006), one, two;

	(void)state;
	assert_int_equal(listen(l, 5), 0);
	sysctl_net(net.a, "ipv4/ip_local_port_range", "33333 33333");
	one = socket_in(net.a, AF_INET, SOCK_STREAM);
	two = socket_in(net.a, AF_INET, SOCK_STREAM);
	assert_int_equal(connect_to(one, "10.77.0.2", 6006), 0);
	reclog_clear(&recs);
	assert_int_equal(connect_to(two, "10.77.0.2", 6006), -1);
	assert_int_equal(errno, EADDRNOTAVAIL);
	r = sock_want(PST_REC_TCP_CONNECT, net.ino_a, 0, 6006);
	assert_int_equal(r.error, EADDRNOTAVAIL);
	assert_me(&r.task);
	sysctl_net(net.a, "ipv4/ip_local_port_range", "32768 60999");
	close(one);
	close(two);
	close(l);
}

/* ---- connections that end badly ---- */

struct link {
	int listener, client, server;
	unsigned int port, client_port;
};

static struct link link_up(unsigned int port, bool accepted)
{
	struct link l = {.port = port, .server = -1};

	l.listener = bound(net.b, SOCK_STREAM, "10.77.0.2", port);
	assert_int_equal(listen(l.listener, 5), 0);
	l.client = socket_in(net.a, AF_INET, SOCK_STREAM);
	assert_int_equal(connect_to(l.client, "10.77.0.2", port), 0);
	l.client_port = local_port(l.client);
	if (accepted) {
		l.server = accept(l.listener, NULL, NULL);
		assert_true(l.server >= 0);
		assert_int_equal(fcntl(l.server, F_SETFD, FD_CLOEXEC), 0);
	}
	return l;
}

/* SO_LINGER 0: the close is a reset, which one side sends and the other receives. */
static void check_reset(void **state)
{
	const struct linger hard = {1, 0};
	struct link l = link_up(6010, true);
	struct pst_rec_sock out, in, end_c, end_s;

	(void)state;
	reclog_clear(&recs);
	assert_int_equal(write(l.client, "hello", 5), 5);
	usleep(50000);
	assert_int_equal(setsockopt(l.client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	close(l.client);
	out = sock_want(PST_REC_TCP_RESET, net.ino_a, l.client_port, 6010);
	in = sock_want(PST_REC_TCP_RESET, net.ino_b, 6010, l.client_port);
	end_c = sock_want(PST_REC_TCP_CLOSE, net.ino_a, l.client_port, 6010);
	end_s = sock_want(PST_REC_TCP_CLOSE, net.ino_b, 6010, l.client_port);
	assert_ends(&out.ends, "10.77.0.1", l.client_port, "10.77.0.2", 6010, AF_INET);
	assert_int_equal(out.dir, PST_DIR_OUT);
	if (out.cookie >> 63 == 0) /* without the helper the end of a socket is the end of its id */
		assert_int_equal(out.cookie, end_c.cookie);
	assert_me(&out.task);
	assert_ends(&in.ends, "10.77.0.2", 6010, "10.77.0.1", l.client_port, AF_INET);
	assert_int_equal(in.dir, PST_DIR_IN);
	assert_int_equal(in.state, TCP_ESTABLISHED);
	assert_int_equal(in.cookie, end_s.cookie);
	assert_me(&in.task);
	assert_int_equal(end_c.bytes_sent, 5);
	assert_int_equal(end_s.bytes_received, 5);
	assert_int_equal(end_s.state, TCP_ESTABLISHED);
	assert_int_equal(sock_count(PST_REC_TCP_CLOSE, net.ino_a, l.client_port, 6010), 1);
	assert_int_equal(sock_count(PST_REC_TCP_CLOSE, net.ino_b, 6010, l.client_port), 1);
	close(l.server);
	close(l.listener);
}

/* The listener goes while a connection waits to be accepted: it is closed, and nobody owned it. */
static void check_never_accepted(void **state)
{
	struct link l = link_up(6011, false);
	struct pst_rec_sock r;

	(void)state;
	reclog_clear(&recs);
	close(l.listener);
	r = sock_want(PST_REC_TCP_CLOSE, net.ino_b, 6011, l.client_port);
	assert_nobody(&r.task);
	assert_int_equal(r.bytes_sent, 0);
	assert_int_equal(r.bytes_received, 0);
	assert_int_not_equal(r.duration_ns, 0);
	assert_int_equal(sock_count(PST_REC_TCP_CLOSE, net.ino_b, 6011, l.client_port), 1);
	assert_int_equal(sock_count(PST_REC_TCP_ACCEPT, net.ino_b, 6011, 0), 0);
	close(l.client);
}

/* The peer's frames go astray for a while. */
static void check_retransmit(void **state)
{
	struct link l = link_up(6012, true);
	struct pst_rec_sock r, end;

	(void)state;
	reclog_clear(&recs);
	sh(net.a, "ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:77 dev va nud permanent");
	assert_int_equal(write(l.client, "lost", 4), 4);
	r = sock_want(PST_REC_TCP_RETRANSMIT, net.ino_a, l.client_port, 6012);
	sh(net.a, "ip neigh del 10.77.0.2 dev va");
	assert_ends(&r.ends, "10.77.0.1", l.client_port, "10.77.0.2", 6012, AF_INET);
	assert_me(&r.task);
	assert_int_equal(r.state, TCP_ESTABLISHED);
	assert_int_not_equal(r.retransmits, 0);
	assert_int_equal(r.bytes_sent, 0);
	take(l.server, 4);
	close(l.client);
	eof(l.server);
	close(l.server);
	close(l.listener);
	end = sock_want(PST_REC_TCP_CLOSE, net.ino_a, l.client_port, 6012);
	assert_int_equal(end.cookie, r.cookie);
	assert_int_equal(end.bytes_sent, 4);
	assert_true(end.retransmits >= r.retransmits);
	assert_int_equal(end.retransmits, sock_count(PST_REC_TCP_RETRANSMIT, net.ino_a, l.client_port, 6012));
}

/* A connection that was there before the programs: the one who closes it is its owner, and the bytes are
 * right. */
static void check_from_before(void **state)
{
	struct link l = link_up(6013, true);
	struct pst_rec_sock r;
	uint64_t key, next;
	int fd = bpf_map__fd(skel->maps.tcp_sockets), err = bpf_map_get_next_key(fd, NULL, &next);

	(void)state;
	assert_int_equal(write(l.client, "12345678", 8), 8);
	take(l.server, 8);
	while (!err) { /* forget everybody */
		key = next;
		err = bpf_map_get_next_key(fd, &key, &next);
		bpf_map_delete_elem(fd, &key);
	}
	close(l.client);
	eof(l.server);
	close(l.server);
	close(l.listener);
	r = sock_want(PST_REC_TCP_CLOSE, net.ino_a, l.client_port, 6013);
	assert_me(&r.task);
	assert_int_equal(r.bytes_sent, 8);
	assert_int_equal(r.bytes_received, 0);
	assert_int_equal(r.duration_ns, 0);
	r = sock_want(PST_REC_TCP_CLOSE, net.ino_b, 6013, l.client_port);
	assert_me(&r.task);
	assert_int_equal(r.bytes_sent, 0);
	assert_int_equal(r.bytes_received, 8);
}

/* Connected twice: two active opens, two outcomes; and a socket that is not TCP has none. */
static void check_reused(void **state)
{
	const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	struct link l = link_up(6014, true);
	int udp = bound(net.a, SOCK_DGRAM, "10.77.0.1", 26014);

	(void)state;
	reclog_clear(&recs);
	assert_int_equal(connect(l.client, &nowhere, sizeof(nowhere)), 0);
	sock_want(PST_REC_TCP_CLOSE, net.ino_a, l.client_port, 6014);
	assert_int_equal(connect_to(l.client, "10.77.0.2", 6014), 0);
	assert_int_equal(sock_want(PST_REC_TCP_CONNECT, net.ino_a, 0, 6014).error, 0);
	assert_int_equal(connect_to(udp, "10.77.0.2", 6014), 0);
	close(udp);
	usleep(20000);
	assert_int_equal(sock_count(PST_REC_TCP_CONNECT, net.ino_a, 0, 6014), 1);
	close(l.client);
	close(l.server);
	close(l.listener);
}

/* A full ring loses records, and says how many. */
static void check_full_ring(void **state)
{
	int fd = bpf_map__fd(skel->maps.class_stats), made = 0;
	uint64_t emitted, lost, got;

	(void)state;
	reclog_clear(&recs);
	emitted = stat_sum(fd, PST_CLASS_NET, offsetof(struct pst_class_stat, emitted));
	lost = stat_sum(fd, PST_CLASS_NET, offsetof(struct pst_class_stat, lost));
	while (made < 20000 && stat_sum(fd, PST_CLASS_NET, offsetof(struct pst_class_stat, lost)) < lost + 10)
		for (int i = 0; i < 100; i++, made++) {
			int s = socket_in(net.a, AF_INET, SOCK_STREAM);

			assert_int_equal(connect_to(s, "127.0.0.1", 9), -1);
			close(s);
		}
	emitted = stat_sum(fd, PST_CLASS_NET, offsetof(struct pst_class_stat, emitted)) - emitted;
	assert_true(stat_sum(fd, PST_CLASS_NET, offsetof(struct pst_class_stat, lost)) >= lost + 10);
	got = recs.records;
	ring_buffer__consume(recs.rb);
	got = recs.records - got;
	assert_in_range(emitted, 1, got);
	reclog_clear(&recs);
}

/* ---- set-up ---- */

static int share(struct bpf_map *to, const struct bpf_map *from)
{
	return bpf_map__reuse_fd(to, bpf_map__fd(from));
}

/* Accept on the first rung where it can be had, else on the second; PST_TEST_RUNG=2 asks for the second. */
static int load_accept(void)
{
	const char *want = getenv("PST_TEST_RUNG");

	accept_skel = accept_bpf__open();
	if (!accept_skel || share(accept_skel->maps.ring_net, skel->maps.ring_net) ||
		share(accept_skel->maps.ring_ctl, skel->maps.ring_ctl) ||
		share(accept_skel->maps.class_stats, skel->maps.class_stats) ||
		share(accept_skel->maps.tcp_sockets, skel->maps.tcp_sockets))
		return -1;
	if (!(want && *want == '2') && !accept_bpf__load(accept_skel) && !accept_bpf__attach(accept_skel)) {
		print_message("# accept: fentry/security_sock_graft\n");
		return 0;
	}
	accept_bpf__destroy(accept_skel);
	accept_skel = NULL;
	sysexit_skel = sysexit_bpf__open();
	if (!sysexit_skel || share(sysexit_skel->maps.ring_net, skel->maps.ring_net) ||
		share(sysexit_skel->maps.ring_ctl, skel->maps.ring_ctl) ||
		share(sysexit_skel->maps.class_stats, skel->maps.class_stats) ||
		share(sysexit_skel->maps.tcp_sockets, skel->maps.tcp_sockets))
		return -1;
	sysexit_skel->rodata->cfg_accept = true;
	sysexit_skel->rodata->cfg_exec_failed = false;
	sysexit_skel->rodata->cfg_cred = false;
	bpf_program__set_autoload(sysexit_skel->progs.cred_enter, false);
	if (sysexit_bpf__load(sysexit_skel))
		return -1;
	print_message("# accept: sys_exit\n");
	return sysexit_bpf__attach(sysexit_skel);
}

static int setup(void **state)
{
	(void)state;
	if (netpair_up())
		return -1;
	skel = socket_bpf__open();
	if (!skel || bpf_map__set_max_entries(skel->maps.ring_net, 1 << 20))
		return -1;
	bpf_program__set_autoload(skel->progs.packet_drop, false);
	if (socket_bpf__load(skel) || load_accept() || socket_bpf__attach(skel))
		return -1;
	reclog_open(&recs, bpf_map__fd(skel->maps.ring_net));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	reclog_close(&recs);
	accept_bpf__destroy(accept_skel);
	sysexit_bpf__destroy(sysexit_skel);
	socket_bpf__destroy(skel);
	netpair_down();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_v4),
		cmocka_unit_test(check_v4_server_first),
		cmocka_unit_test(check_v6),
		cmocka_unit_test(check_mapped),
		cmocka_unit_test(check_no_data),
		cmocka_unit_test(check_refused),
		cmocka_unit_test(check_unreachable),
		cmocka_unit_test(check_cancelled),
		cmocka_unit_test(check_no_port),
		cmocka_unit_test(check_reset),
		cmocka_unit_test(check_never_accepted),
		cmocka_unit_test(check_retransmit),
		cmocka_unit_test(check_from_before),
		cmocka_unit_test(check_reused),
		cmocka_unit_test(check_full_ring),
		cmocka_unit_test(check_timeout),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("socket", tests, setup, teardown);
}
