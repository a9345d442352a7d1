/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets. The first word is the address, the second the port. */
#ifndef PST_ATTACK_NET_H
#define PST_ATTACK_NET_H

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <sys/un.h>

#include "tests/helpers/attack_files.h"

struct end {
	struct sockaddr_storage *to; /* in low memory */
	socklen_t len;
};

static struct end end_of(const char *address, const char *port)
{
	struct end e = {low_alloc(sizeof(*e.to)), 0};
	struct sockaddr_in *v4 = (void *)e.to;
	struct sockaddr_in6 *v6 = (void *)e.to;
	struct sockaddr_un *un = (void *)e.to;

	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)atoi(port));
		e.len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)atoi(port));
		e.len = sizeof(*v6);
	} else {
		un->sun_family = AF_UNIX;
		snprintf(un->sun_path, sizeof(un->sun_path), "%s", address);
		e.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address));
		if (un->sun_path[0] == '@')
			un->sun_path[0] = 0;
	}
	return e;
}

static struct end asked(void)
{
	return end_of(extra[0], extra[1]);
}

static int socket_for(const struct end *e, int type)
{
	return (int)must(socket(e->to->ss_family, type | SOCK_CLOEXEC, 0), "socket");
}

/* ---- connect ---- */

static long connect_with(int fd, const struct end *e)
{
	long r = sys(SYS_connect, fd, ARG(e->to), e->len);

	if (!r)
		prove('!');
	return r;
}

static long do_connect(const struct at *at)
{
	struct end e = asked();

	(void)at;
	return connect_with(socket_for(&e, SOCK_STREAM), &e);
}

static long do_connect_udp(const struct at *at)
{
	struct end e = asked();

	(void)at;
	return connect_with(socket_for(&e, SOCK_DGRAM), &e);
}

static long do_connect_mptcp(const struct at *at)
{
	struct end e = asked();
	int fd = socket(e.to->ss_family, SOCK_STREAM, 262);

	(void)at;
	if (fd < 0)
		cannot("no MPTCP");
	return connect_with(fd, &e);
}

/* An IPv4 address on a socket of the other family. */
static long do_connect_unspec_first(const struct at *at)
{
	struct end e = asked();
	int fd = socket_for(&e, SOCK_STREAM);
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	(void)at;
	must(connect(fd, &none, sizeof(none)), "connect to nobody");
	return connect_with(fd, &e);
}

static long do_connect_passed(const struct at *at)
{
	struct end e = asked();
	int fd = dup(socket_for(&e, SOCK_STREAM));

	(void)at;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	fcntl(fd, F_SETFL, 0);
	return connect_with(fd, &e);
}

static long do_connect_nonblocking(const struct at *at)
{
	struct end e = asked();
	long r = sys(SYS_connect, socket_for(&e, SOCK_STREAM | SOCK_NONBLOCK), ARG(e.to), e.len);

	(void)at;
	if (!r || r == -EINPROGRESS)
		prove('!');
	return r == -EINPROGRESS ? 0 : r;
}

/* TCP fast open: the first data takes the connection along. */
static long do_fastopen_sendto(const struct at *at)
{
	struct end e = asked();
	long r = sys(SYS_sendto, socket_for(&e, SOCK_STREAM), ARG(low_text("x")), 1, MSG_FASTOPEN, ARG(e.to),
		e.len);

	(void)at;
	if (r == -EOPNOTSUPP)
		cannot("no TCP fast open");
	if (r > 0)
		prove('!');
	return r < 0 ? r : 0;
}

static long send_message(int fd, const struct end *e, int flags)
{
	struct iovec *iov = low_alloc(sizeof(*iov));
	struct msghdr *m = low_alloc(sizeof(*m));
	long r;

	*iov = (struct iovec){low_text("x"), 1};
	*m = (struct msghdr){.msg_name = e->to, .msg_namelen = e->len, .msg_iov = iov, .msg_iovlen = 1};
	r = sys(SYS_sendmsg, fd, ARG(m), flags);
	if (r > 0)
		prove('!');
	return r < 0 ? r : 0;
}

static long do_fastopen_sendmsg(const struct at *at)
{
	struct end e = asked();
	long r = send_message(socket_for(&e, SOCK_STREAM), &e, MSG_FASTOPEN);

	(void)at;
	if (r == -EOPNOTSUPP)
		cannot("no TCP fast open");
	return r;
}

static long do_fastopen_option(const struct at *at)
{
	struct end e = asked();
	int fd = socket_for(&e, SOCK_STREAM), one = 1;
	long r;

	(void)at;
	if (setsockopt(fd, IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &one, sizeof(one)))
		cannot("no TCP fast open");
	r = sys(SYS_connect, fd, ARG(e.to), e.len);
	if (!r && write(fd, "x", 1) == 1)
		prove('!');
	return r;
}

#ifdef __x86_64__
static long socketcall(int what, const uint32_t *args, size_t n)
{
	const long a[6] = {what, ARG(low_copy(args, n * sizeof(*args)))};

	return int80(102, a);
}
#else
static long socketcall(int what, const uint32_t *args, size_t n)
{
	(void)what, (void)args, (void)n;
	cannot("no 32-bit system calls");
}
#endif
#define LOW(p) ((uint32_t)(uintptr_t)(p))

static long do_socketcall_connect(const struct at *at)
{
	struct end e = asked();
	const uint32_t args[] = {(uint32_t)socket_for(&e, SOCK_STREAM), LOW(e.to), e.len};
	long r = socketcall(3, args, 3);

	(void)at;
	if (!r)
		prove('!');
	return r;
}

static uint16_t *port_of(const struct end *e)
{
	return &((struct sockaddr_in *)e->to)->sin_port;
}

/* The port is swapped while the kernel reads it; the second word after the address is the one that is
 * allowed. */
static void *swap_port(void *arg)
{
	volatile uint16_t *port = arg;
	uint16_t was = *port, other = htons((uint16_t)atoi(extra[2]));

	for (;;) {
		*port = other;
		sched_yield();
		*port = was;
		sched_yield();
	}
	return NULL;
}

static void start_swapping(const struct end *e)
{
	pthread_t thread;

	racing = true;
	if (pthread_create(&thread, NULL, swap_port, port_of(e)))
		done("broken: no thread");
}

/* What the socket says that it is connected to is the proof. */
static long do_connect_race(const struct at *at)
{
	static struct end e;
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	long r;
	int fd;

	(void)at;
	if (!e.to) {
		e = asked();
		start_swapping(&e);
	}
	fd = socket_for(&e, SOCK_DGRAM);
	r = sys(SYS_connect, fd, ARG(e.to), e.len);
	if (!r && !getpeername(fd, (struct sockaddr *)&peer, &len))
		prove(ntohs(peer.sin_port) == atoi(extra[1]) ? '!' : '.');
	close(fd);
	return r;
}

/* ---- bind, listen, accept ---- */

static int bindable(const struct end *e, int type)
{
	int fd = socket_for(e, type), one = 1;

	must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), "setsockopt");
	return fd;
}

static long do_bind(const struct at *at)
{
	struct end e = asked();

	(void)at;
	return sys(SYS_bind, bindable(&e, SOCK_STREAM), ARG(e.to), e.len);
}

static long do_bind_udp(const struct at *at)
{
	struct end e = asked();

	(void)at;
	return sys(SYS_bind, bindable(&e, SOCK_DGRAM), ARG(e.to), e.len);
}

static long do_socketcall_bind(const struct at *at)
{
	struct end e = asked();
	const uint32_t args[] = {(uint32_t)bindable(&e, SOCK_STREAM), LOW(e.to), e.len};

	(void)at;
	return socketcall(2, args, 3);
}

/* Who listens without having bound gets a port that the kernel chose. */
static long do_listen_unbound(const struct at *at)
{
	(void)at;
	return sys(SYS_listen, ARG(must(socket(AF_INET, SOCK_STREAM, 0), "socket")), 1);
}

static int bound_one(void)
{
	struct end e = asked();
	int fd = bindable(&e, SOCK_STREAM);

	must(bind(fd, (struct sockaddr *)e.to, e.len), "bind");
	return fd;
}

static long do_listen(const struct at *at)
{
	(void)at;
	return sys(SYS_listen, bound_one(), 1);
}

static long do_socketcall_listen(const struct at *at)
{
	const uint32_t args[] = {(uint32_t)bound_one(), 1};

	(void)at;
	return socketcall(4, args, 2);
}

/* A connection that waits at a listener. */
static int with_guest(void)
{
	struct end e = asked();
	int fd = bound_one(), client = socket_for(&e, SOCK_STREAM);

	must(listen(fd, 1), "listen");
	must(connect(client, (struct sockaddr *)e.to, e.len), "connect");
	return fd;
}

static long accepted(long fd)
{
	if (fd >= 0)
		prove('!');
	return fd < 0 ? fd : 0;
}

static long do_accept(const struct at *at)
{
	(void)at;
	return accepted(sys(SYS_accept4, with_guest(), 0, 0, SOCK_CLOEXEC));
}

static long do_accept_old(const struct at *at)
{
	int fd = with_guest();

	(void)at;
	return accepted(sys(SYS_accept, fd, 0, 0));
}

static long do_socketcall_accept(const struct at *at)
{
	const uint32_t args[] = {(uint32_t)with_guest(), 0, 0};

	(void)at;
	return accepted(socketcall(5, args, 3));
}

/* ---- send ---- */

static long sent(long r)
{
	if (r > 0)
		prove('!');
	return r < 0 ? r : 0;
}

static long do_sendto(const struct at *at)
{
	struct end e = asked();

	(void)at;
	return sent(sys(SYS_sendto, socket_for(&e, SOCK_DGRAM), ARG(low_text("x")), 1, 0, ARG(e.to), e.len));
}

static long do_sendmsg(const struct at *at)
{
	struct end e = asked();

	(void)at;
	return send_message(socket_for(&e, SOCK_DGRAM), &e, 0);
}

static long do_sendmmsg(const struct at *at)
{
	struct end e = asked();
	struct iovec iov = {low_text("x"), 1};
	struct mmsghdr m = {{.msg_name = e.to, .msg_namelen = e.len, .msg_iov = &iov, .msg_iovlen = 1}, 0};

	(void)at;
	return sent(sys(SYS_sendmmsg, socket_for(&e, SOCK_DGRAM), ARG(&m), 1, 0));
}

/* UDP takes an address without a family for IPv4. */
static long do_send_unspec(const struct at *at)
{
	struct end e = asked();
	int fd = socket_for(&e, SOCK_DGRAM);

	(void)at;
	e.to->ss_family = AF_UNSPEC;
	return sent(sys(SYS_sendto, fd, ARG(low_text("x")), 1, 0, ARG(e.to), e.len));
}

static long do_send_connected(const struct at *at)
{
	struct end e = asked();
	int fd = socket_for(&e, SOCK_DGRAM);

	(void)at;
	must(connect(fd, (struct sockaddr *)e.to, e.len), "connect");
	return sent(write(fd, "x", 1) < 0 ? -errno : 1);
}

static long do_socketcall_sendto(const struct at *at)
{
	struct end e = asked();
	const uint32_t args[] = {
		(uint32_t)socket_for(&e, SOCK_DGRAM), LOW(low_text("x")), 1, 0, LOW(e.to), e.len};

	(void)at;
	return sent(socketcall(11, args, 6));
}

/* The same datagram, made by hand. */
static long do_send_raw(const struct at *at)
{
	struct end e = asked();
	int fd = (int)must(socket(AF_INET, SOCK_RAW, IPPROTO_UDP), "raw socket");
	struct {
		struct udphdr head;
		char byte;
	} p = {{.source = htons(9), .dest = *port_of(&e), .len = htons(9)}, 'x'};

	(void)at;
	*port_of(&e) = 0;
	return sent(sys(SYS_sendto, fd, ARG(low_copy(&p, 9)), 9, 0, ARG(e.to), e.len));
}

static uint16_t sum16(const void *from, size_t n)
{
	const uint16_t *w = from;
	uint32_t sum = 0;

	for (; n; n--)
		sum += *w++;
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* The same below IP. */
static long do_send_packet(const struct at *at)
{
	struct end e = asked();
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = 1, .sll_halen = 6};
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char byte;
	} p = {{.version = 4,
		       .ihl = 5,
		       .ttl = 9,
		       .protocol = 17,
		       .tot_len = htons(29),
		       .saddr = htonl(INADDR_LOOPBACK)},
		{.source = htons(9), .dest = *port_of(&e), .len = htons(9)}, 'x'};
	int fd = (int)must(socket(AF_PACKET, SOCK_DGRAM, 0), "packet socket");

	(void)at;
	p.ip.daddr = ((struct sockaddr_in *)e.to)->sin_addr.s_addr;
	p.ip.check = sum16(&p.ip, 10);
	return sent(sys(
		SYS_sendto, fd, ARG(low_copy(&p, 29)), 29, 0, ARG(low_copy(&to, sizeof(to))), sizeof(to)));
}

/* ---- socket ---- */

/* Words: family, type, protocol. */
static long made(long fd)
{
	if (fd == -EAFNOSUPPORT || fd == -EPROTONOSUPPORT)
		cannot("no such sockets");
	return fd < 0 ? fd : 0;
}

static long do_socket(const struct at *at)
{
	(void)at;
	return made(sys(SYS_socket, atoi(extra[0]), atoi(extra[1]), atoi(extra[2])));
}

static long do_socketcall_socket(const struct at *at)
{
	const uint32_t args[] = {
		(uint32_t)atoi(extra[0]), (uint32_t)atoi(extra[1]), (uint32_t)atoi(extra[2])};

	(void)at;
	return made(socketcall(1, args, 3));
}

static long do_socketpair(const struct at *at)
{
	int pair[2];

	(void)at;
	return socketpair(atoi(extra[0]), atoi(extra[1]), atoi(extra[2]), pair) ? -errno : 0;
}

#endif
