// SPDX-License-Identifier: Apache-2.0
#include "loader/fdserver.h"

#include <bpf/bpf.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "loader/restore.h"
#include "loader/rundir.h"
#include "loader/why.h"
#include "proto/abi/guard.h"
#include "proto/abi/maps.h"
#include "proto/abi/policy.h"
#include "proto/base/cleanup.h"
#include "proto/base/fds.h"
#include "proto/base/log.h"

#define CLIENTS_MAX 8
#define PATIENCE_NS 2000000000ull /* for the one message of the request */
#define PAUSE_NS    100000000ull  /* without a descriptor for another client */

/* The maps that are handed out, in this order. The iterators are opened by path. */
static const struct {
	const char *map;
	unsigned roles;
} grants[] = {
	{PST_MAP_RING_PROCESS, 1u << ACCOUNT_COLLECTOR},
	{PST_MAP_RING_NET, 1u << ACCOUNT_COLLECTOR},
	{PST_MAP_RING_FLOW, 1u << ACCOUNT_COLLECTOR},
	{PST_MAP_RING_CTL, 1u << ACCOUNT_COLLECTOR},
	{PST_MAP_CLASS_STATS, 1u << ACCOUNT_COLLECTOR},
	{PST_MAP_FLOWS, 1u << ACCOUNT_COLLECTOR},
	{PST_MAP_UDP_PEERS, 1u << ACCOUNT_COLLECTOR},
	{PST_MAP_GUARD_FLOWS, 1u << ACCOUNT_COLLECTOR},
	{PST_MAP_GUARD, 1u << ACCOUNT_POLICYD},
	{PST_MAP_FW_LINES, 1u << ACCOUNT_POLICYD},
	{PST_MAP_BLOCK_LINES, 1u << ACCOUNT_POLICYD},
	{PST_MAP_GUARD_SIGS, 1u << ACCOUNT_POLICYD},
	{PST_MAP_OFFENDERS, 1u << ACCOUNT_POLICYD},
	{PST_MAP_SAMPLES, 1u << ACCOUNT_POLICYD},
	{PST_MAP_GUARD_COUNTS, 1u << ACCOUNT_POLICYD},
	{PST_MAP_POLICY, 1u << ACCOUNT_POLICYD},
	{PST_MAP_POLICY_LINES, 1u << ACCOUNT_POLICYD},
	{PST_MAP_PATH_LINES, 1u << ACCOUNT_POLICYD},
	{PST_MAP_POLICY_NAMES, 1u << ACCOUNT_POLICYD | 1u << ACCOUNT_COLLECTOR},
};

struct client {
	struct fdserver *server;
	int fd; /* -1: free */
	uid_t uid;
	uint64_t since_ns;
	struct pst_source *source, *timer;
};

struct fdserver {
	const struct loader *l;
	struct pst_loop *loop;
	char *path;
	int fd;
	struct pst_source *source, *pause;
	struct client clients[CLIENTS_MAX];
};

unsigned fdserver_roles(const struct accounts *accounts, uid_t uid)
{
	unsigned roles = uid == 0 ? FDS_ROOT : 0;

	for (int i = 0; i < ACCOUNT_MAX; i++)
		if (uid != (uid_t)-1 && accounts->uid[i] == uid)
			roles |= 1u << i;
	return roles;
}

bool fdserver_may(unsigned roles, const char *map)
{
	for (size_t i = 0; i < PST_ARRAY_SIZE(grants); i++)
		if (!strcmp(grants[i].map, map))
			return roles & (grants[i].roles | FDS_ROOT);
	return false;
}

static void client_close(struct client *c)
{
	pst_source_free(c->source);
	pst_source_free(c->timer);
	pst_closep(&c->fd);
	c->source = c->timer = NULL;
	c->fd = -1;
}

/* One map, if this load has it. */
static int send_map(const struct client *c, const char *name)
{
	PST_CLOSE int fd = pins_get(&c->server->l->pins, PIN_MAPS, name);
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	return pst_fds_send(c->fd, name, info.max_entries, fd);
}

static void answer(const struct client *c)
{
	unsigned roles = fdserver_roles(&c->server->l->accounts, c->uid);
	int r = 0;

	for (size_t i = 0; i < PST_ARRAY_SIZE(grants) && !r; i++)
		if (fdserver_may(roles, grants[i].map))
			r = send_map(c, grants[i].map);
	if (!r)
		r = pst_fds_send_end(c->fd, roles ? 0 : EACCES);
	if (r)
		pst_warn_limited("descriptors not sent uid=%u error=%s", c->uid, strerror(-r));
	else if (!roles)
		pst_warn_limited("no descriptors for this user uid=%u", c->uid);
	else
		pst_debug("descriptors sent uid=%u", c->uid);
}

static bool answer_why(const struct client *c, const void *message, uint32_t len)
{
	uint32_t frame_bytes = 0;
	const struct pst_why_request *request = pst_why_request(message, len, &frame_bytes);
	int r;

	if (!request)
		return false;
	r = why_answer(c->server->l, c->fd, c->uid, request, frame_bytes);
	if (r)
		pst_warn_limited("verdict not sent uid=%u error=%s", c->uid, strerror(-r));
	return true;
}

static bool answer_restore(const struct client *c, const void *message, uint32_t len)
{
	const struct restore_request *request = restore_request(message, len);
	int r = request ? restore_answer(c->server->l, c->fd, c->uid, request) : 0;

	if (r)
		pst_warn_limited("answer not sent uid=%u error=%s", c->uid, strerror(-r));
	return request;
}

static void on_request(void *arg, int fd, uint32_t events)
{
	_Alignas(struct pst_why_request) char request[sizeof(struct pst_why_request) + PST_WHY_FRAME_MAX + 1];
	struct client *c = arg;
	ssize_t n = recv(fd, request, sizeof(request), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1 && request[0] == '1')
		answer(c);
	else if (n && (n < 0 || (!answer_restore(c, request, (uint32_t)n) &&
					!answer_why(c, request, (uint32_t)n))))
		pst_warn_limited("a client spoke another protocol path=%s uid=%u", c->server->path, c->uid);
	client_close(c);
}

static void on_timeout(void *arg)
{
	struct client *c = arg;

	pst_warn_limited("a client said nothing path=%s uid=%u", c->server->path, c->uid);
	client_close(c);
}

/* When all places are taken, that of the one that has said nothing longest: the request of one who means it
 * is there at once. */
static struct client *take_place(struct fdserver *s)
{
	struct client *oldest = &s->clients[0];

	for (int i = 0; i < CLIENTS_MAX; i++) {
		if (s->clients[i].fd < 0)
			return &s->clients[i];
		if (s->clients[i].since_ns < oldest->since_ns)
			oldest = &s->clients[i];
	}
	pst_warn_limited("more than %d clients at once, the most silent one is turned away path=%s uid=%u",
		CLIENTS_MAX, s->path, oldest->uid);
	client_close(oldest);
	return oldest;
}

/* Who could not be accepted stays in the queue, and would call again at once, for ever. */
static void pause_listening(struct fdserver *s, int error)
{
	if (error != EMFILE && error != ENFILE && error != ENOMEM && error != ENOBUFS)
		return;
	pst_warn_limited("cannot accept path=%s error=%s", s->path, strerror(error));
	pst_source_set_events(s->source, 0);
	pst_timer_arm(s->pause, PAUSE_NS, 0);
}

static void on_pause_end(void *arg)
{
	const struct fdserver *s = arg;

	pst_source_set_events(s->source, EPOLLIN);
}

static void on_connect(void *arg, int listener, uint32_t events)
{
	struct fdserver *s = arg;
	PST_CLOSE int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);

	(void)events;
	if (fd < 0) {
		pause_listening(s, errno);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return;
	struct client *c = take_place(s);
	c->fd = PST_TAKE_FD(fd);
	c->uid = peer.uid;
	c->since_ns = pst_now_mono_ns();
	if (pst_loop_fd(s->loop, c->fd, EPOLLIN, on_request, c, &c->source) < 0 ||
		pst_loop_timer(s->loop, on_timeout, c, &c->timer) < 0) {
		client_close(c);
		return;
	}
	pst_timer_arm(c->timer, PATIENCE_NS, 0);
}

static int listen_at(struct fdserver *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	PST_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (strlen(s->path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, s->path, strlen(s->path) + 1);
	int r = rundir_clear(s->path);
	if (r < 0)
		return r;
	mode_t before = umask(0177); /* nobody else before it has its group */
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	umask(before);
	if (r)
		return r;
	if (lchown(s->path, 0, s->l->accounts.common) < 0 || chmod(s->path, 0660) < 0 ||
		listen(fd, CLIENTS_MAX * 2) < 0)
		return -errno;
	s->fd = PST_TAKE_FD(fd);
	return 0;
}

int fdserver_open(struct pst_loop *loop, const struct loader *l, struct fdserver **ret_server)
{
	struct fdserver *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	*s = (struct fdserver){.l = l, .loop = loop, .fd = -1, .path = pst_run_path(&l->common, FDS_SOCKET)};
	for (int i = 0; i < CLIENTS_MAX; i++)
		s->clients[i] = (struct client){.server = s, .fd = -1};
	r = s->path ? listen_at(s) : -ENOMEM;
	if (!r)
		r = pst_loop_timer(loop, on_pause_end, s, &s->pause);
	if (!r)
		r = pst_loop_fd(loop, s->fd, EPOLLIN, on_connect, s, &s->source);
	if (r) {
		pst_error("cannot listen path=%s error=%s", s->path ? s->path : "?", strerror(-r));
		fdserver_free(s);
		return r;
	}
	*ret_server = s;
	return 0;
}

void fdserver_free(struct fdserver *s)
{
	if (!s)
		return;
	for (int i = 0; i < CLIENTS_MAX; i++)
		client_close(&s->clients[i]);
	pst_source_free(s->source);
	pst_source_free(s->pause);
	if (s->fd >= 0)
		unlink(s->path);
	pst_closep(&s->fd);
	free(s->path);
	free(s);
}
