// SPDX-License-Identifier: Apache-2.0
/* Listening sockets of a stage: their names in the run folder, their mode, accepting. */
#include "proto/wire/bus_internal.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"

#define BACKLOG  64
#define PAUSE_NS 100000000ull

/* 0660 and the group; 0600 where there is no such group. */
static void open_to_group(const struct pst_bus *bus, const char *path)
{
	struct stat st;

	if (!bus->has_group)
		return;
	if (stat(path, &st) == 0 && (st.st_gid == bus->group || chown(path, (uid_t)-1, bus->group) == 0) &&
		chmod(path, 0660) == 0)
		return;
	pst_warn("socket stays closed to the group path=%s error=\"%s\"", path, strerror(errno));
}

static void accept_one(void *arg, int fd, uint32_t epoll_events)
{
	struct bus_listener *l = arg;
	PST_CLOSE int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	uid_t uid;

	(void)epoll_events;
	if (client < 0) {
		/* Out of descriptors or memory: the queue stays full and would call again at once, for ever.
		 */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			pst_warn_limited("cannot accept path=%s error=\"%s\"", l->path, strerror(errno));
			pst_source_set_events(l->io, 0);
			pst_timer_arm(l->timer, PAUSE_NS, 0);
		}
		return;
	}
	if (sp_uid(client, &uid) && l->accepted(l->arg, client, uid))
		(void)PST_TAKE_FD(client);
}

static void accept_again(void *arg)
{
	struct bus_listener *l = arg;

	pst_source_set_events(l->io, EPOLLIN);
}

static int start(struct pst_bus *bus, struct bus_listener *l)
{
	open_to_group(bus, l->path); /* no one can connect before listen(2) */
	if (listen(l->fd, BACKLOG) < 0)
		return -errno;
	int r = pst_loop_timer(bus->loop, accept_again, l, &l->timer);
	return r < 0 ? r : pst_loop_fd(bus->loop, l->fd, EPOLLIN, accept_one, l, &l->io);
}

int bus_listener_open(struct pst_bus *bus, const char *suffix, bool (*accepted)(void *arg, int fd, uid_t uid),
	void *arg, struct bus_listener *ret_listener)
{
	struct bus_listener *l = ret_listener;
	char path[BUS_PATH_MAX];
	int r = bus_path(path, bus->run_dir, bus->stage, suffix);

	*l = (struct bus_listener){.fd = -1, .accepted = accepted, .arg = arg};
	r = r < 0 ? r : sp_bind(path);
	if (r >= 0) {
		l->fd = r;
		memcpy(l->path, path, sizeof(path));
		r = start(bus, l);
	}
	if (r < 0)
		pst_error("cannot listen path=%s error=\"%s\"", path, strerror(-r));
	return r;
}

void bus_listener_close(struct bus_listener *listener)
{
	pst_source_free(listener->io);
	pst_source_free(listener->timer);
	pst_closep(&listener->fd);
	if (*listener->path)
		unlink(listener->path);
	*listener = (struct bus_listener){.fd = -1};
}
