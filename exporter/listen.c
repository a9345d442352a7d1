// SPDX-License-Identifier: Apache-2.0
#include "exporter/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/sandbox.h"

#define EXPECTED "expected ADDRESS:PORT with a numeric address, [IPV6]:PORT or unix:/PATH, got \"%s\""

static int parse_port(const char *text, uint16_t *ret_port)
{
	char *end;
	unsigned long port;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	port = strtoul(text, &end, 10);
	if (*end || port > 65535)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

static int parse_unix(const char *path, struct listen_addr *ret_addr)
{
	size_t len = strlen(path);

	if (path[0] != '/' || len >= sizeof(ret_addr->un.sun_path))
		return -EINVAL;
	*ret_addr = (struct listen_addr){.un = {.sun_family = AF_UNIX}, .local = true};
	memcpy(ret_addr->un.sun_path, path, len + 1);
	ret_addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	return 0;
}

static int parse_inet(const char *text, struct listen_addr *ret_addr)
{
	const char *colon = strrchr(text, ':');
	bool v6 = text[0] == '[';
	struct listen_addr addr = {0};
	char host[INET6_ADDRSTRLEN + 2];
	size_t len;
	uint16_t port;

	if (!colon || parse_port(colon + 1, &port) < 0)
		return -EINVAL;
	len = (size_t)(colon - text);
	if (v6 && (len < 2 || text[len - 1] != ']'))
		return -EINVAL;
	text += v6;
	len -= v6 ? 2 : 0;
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = 0;
	if (!v6 && !strcmp(host, "localhost"))
		snprintf(host, sizeof(host), "127.0.0.1");
	if (v6) {
		addr.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
		if (inet_pton(AF_INET6, host, &addr.in6.sin6_addr) != 1)
			return -EINVAL;
		addr.len = sizeof(addr.in6);
		addr.local = IN6_IS_ADDR_LOOPBACK(&addr.in6.sin6_addr);
	} else {
		addr.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		if (inet_pton(AF_INET, host, &addr.in.sin_addr) != 1)
			return -EINVAL;
		addr.len = sizeof(addr.in);
		addr.local = ntohl(addr.in.sin_addr.s_addr) >> 24 == 127;
	}
	*ret_addr = addr;
	return 0;
}

int listen_parse(const char *text, struct listen_addr *ret_addr, char *error, size_t size)
{
	int r = !strncmp(text, "unix:", 5) ? parse_unix(text + 5, ret_addr) : parse_inet(text, ret_addr);

	if (r < 0)
		snprintf(error, size, EXPECTED, text);
	return r;
}

/* A socket file that no one answers on was left by a run that was killed. */
static void remove_stale(const struct listen_addr *addr)
{
	/* Not blocking: whoever made it may let it stand with a full queue. */
	PST_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0 || lstat(addr->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	if (connect(fd, &addr->sa, addr->len) < 0 && errno == ECONNREFUSED)
		unlink(addr->un.sun_path);
}

/* Members of the group may connect, as to the other sockets. */
static int share_unix(const char *path)
{
	const struct group *group = getgrnam(PST_GROUP);

	if (group && !geteuid() && chown(path, (uid_t)-1, group->gr_gid) < 0)
		return -errno;
	return chmod(path, 0660) < 0 ? -errno : 0;
}

int listen_open(const struct listen_addr *addr, int *ret_fd)
{
	PST_CLOSE int fd = -1;
	int one = 1;

	fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (addr->sa.sa_family == AF_UNIX)
		remove_stale(addr);
	else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		return -errno;
	/* Accepted sockets inherit these: a peer that vanished without a word is noticed. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (addr->sa.sa_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
		return -errno;
	if (bind(fd, &addr->sa, addr->len) < 0)
		return -errno;
	if (addr->sa.sa_family == AF_UNIX) {
		int r = share_unix(addr->un.sun_path);

		if (r < 0)
			return r;
	}
	if (listen(fd, 128) < 0)
		return -errno;
	*ret_fd = PST_TAKE_FD(fd);
	return 0;
}

void listen_url(int fd, bool tls, char buf[static LISTEN_URL_MAX])
{
	struct listen_addr addr = {.len = sizeof(struct sockaddr_un)};
	const char *scheme = tls ? "https" : "http";
	char host[INET6_ADDRSTRLEN] = "";

	if (getsockname(fd, &addr.sa, &addr.len) < 0) {
		snprintf(buf, LISTEN_URL_MAX, "?");
	} else if (addr.sa.sa_family == AF_UNIX) {
		snprintf(buf, LISTEN_URL_MAX, "unix:%.107s", addr.un.sun_path);
	} else if (addr.sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &addr.in6.sin6_addr, host, sizeof(host));
		snprintf(buf, LISTEN_URL_MAX, "%s://[%s]:%u", scheme, host, ntohs(addr.in6.sin6_port));
	} else {
		inet_ntop(AF_INET, &addr.in.sin_addr, host, sizeof(host));
		snprintf(buf, LISTEN_URL_MAX, "%s://%s:%u", scheme, host, ntohs(addr.in.sin_port));
	}
}
