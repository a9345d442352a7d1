/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of network records: two network namespaces without a name, joined by a veth pair, which
 * vanish with the test, however it ends. Side A has 10.77.0.1 and fd77::1, side B 10.77.0.2 and fd77::2.
 */
#ifndef TESTS_BPF_NETPAIR_H
#define TESTS_BPF_NETPAIR_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/reclog.h"

struct netpair {
	int home, a, b;          /* descriptors of namespaces */
	uint32_t ino_a, ino_b;   /* their numbers in records */
	unsigned int if_a, if_b; /* the ends of the pair */
	pid_t holder;            /* gives the second namespace a number that ip(8) understands */
};

static struct netpair net;

static inline void enter(int ns)
{
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
}

/* Runs a command of ip(8), tc(8) or sysctl in the namespace @ns. */
__attribute__((format(printf, 2, 3))) static inline void sh(int ns, const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	enter(ns);
	if (system(cmd))
		fail_msg("failed: %s", cmd);
	enter(net.home);
}

static inline void sysctl_net(int ns, const char *name, const char *value)
{
	char path[128];
	int fd;

	enter(ns);
	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, value, strlen(value)), (ssize_t)strlen(value));
	close(fd);
	enter(net.home);
}

static inline int ns_new(uint32_t *ret_ino)
{
	struct stat st;
	int fd;

	if (unshare(CLONE_NEWNET))
		return -1;
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return -1;
	*ret_ino = (uint32_t)st.st_ino;
	return fd;
}

/* A process in namespace B that does nothing and dies with us. */
static inline pid_t hold(int ns)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setns(ns, CLONE_NEWNET))
		_exit(1);
	for (;;)
		pause();
}

static inline int netpair_up(void)
{
	net.home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	net.b = ns_new(&net.ino_b);
	net.a = ns_new(&net.ino_a);
	if (net.home < 0 || net.a < 0 || net.b < 0)
		return -1;
	net.holder = hold(net.b);
	sh(net.a, "ip link set lo up && ip link add va type veth peer name vb netns %d", net.holder);
	sh(net.a, "ip addr add 10.77.0.1/24 dev va && ip addr add fd77::1/64 dev va nodad && ip link set va "
		  "up");
	sh(net.b,
		"ip link set lo up && ip addr add 10.77.0.2/24 dev vb && ip addr add fd77::2/64 dev vb nodad "
		"&& ip link set vb up");
	enter(net.a);
	net.if_a = if_nametoindex("va");
	enter(net.b);
	net.if_b = if_nametoindex("vb");
	enter(net.home);
	return net.if_a && net.if_b ? 0 : -1;
}

static inline void netpair_down(void)
{
	kill(net.holder, SIGKILL);
	waitpid(net.holder, NULL, 0);
	close(net.a);
	close(net.b);
	close(net.home);
}

/* ---- sockets ---- */

static inline socklen_t addr_make(struct sockaddr_storage *ss, const char *ip, unsigned int port)
{
	struct sockaddr_in *v4 = (void *)ss;
	struct sockaddr_in6 *v6 = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return sizeof(*v4);
	}
	assert_int_equal(inet_pton(AF_INET6, ip, &v6->sin6_addr), 1);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	return sizeof(*v6);
}

/* As records have it. */
static inline void addr_mapped(uint8_t *ret, const char *ip)
{
	memset(ret, 0, 16);
	if (inet_pton(AF_INET, ip, ret + 12) == 1)
		ret[10] = ret[11] = 0xff;
	else
		assert_int_equal(inet_pton(AF_INET6, ip, ret), 1);
}

/* A socket made in namespace @ns stays there. */
static inline int socket_in(int ns, int family, int type)
{
	int fd;

	enter(ns);
	fd = socket(family, type | SOCK_CLOEXEC, 0);
	enter(net.home);
	assert_true(fd >= 0);
	return fd;
}

static inline int family_of(const char *ip)
{
	return strchr(ip, ':') ? AF_INET6 : AF_INET;
}

static inline int bound(int ns, int type, const char *ip, unsigned int port)
{
	struct sockaddr_storage ss;
	int one = 1, fd = socket_in(ns, family_of(ip), type);
	socklen_t len = addr_make(&ss, ip, port);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

static inline int connect_to(int fd, const char *ip, unsigned int port)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_make(&ss, ip, port);

	return connect(fd, (struct sockaddr *)&ss, len);
}

static inline unsigned int local_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	return ntohs(ss.ss_family == AF_INET ? ((struct sockaddr_in *)&ss)->sin_port
					     : ((struct sockaddr_in6 *)&ss)->sin6_port);
}

static inline void tick(void)
{
	const struct timespec t = {.tv_nsec = 5000000};

	nanosleep(&t, NULL);
}

#endif
