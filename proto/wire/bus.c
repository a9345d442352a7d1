// SPDX-License-Identifier: Apache-2.0
/* A stage's bus as a whole: its files, its epoch, its start and end. docs/design/bus.md */
#include "proto/wire/bus_internal.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "proto/base/cleanup.h"
#include "proto/base/sandbox.h"
#include "proto/wire/ctl_internal.h"

#define RETENTION_BYTES (64ull << 20)

int bus_path(char path[BUS_PATH_MAX], const char *run_dir, const char *stage, const char *suffix)
{
	int n = snprintf(path, BUS_PATH_MAX, "%s/%s%s", run_dir, stage, suffix);

	return n < 0 || n >= BUS_PATH_MAX ? -ENAMETOOLONG : 0;
}

void bus_peer_user(const struct pst_bus *bus, const char *stage, struct sp_peer *ret_peer)
{
	char name[sizeof(bus->user_prefix) + BUS_NAME_MAX + 1], buf[4096];
	struct passwd user, *found = NULL;

	*ret_peer = (struct sp_peer){0};
	if (!bus->check_users)
		return;
	snprintf(name, sizeof(name), "%s%s", bus->user_prefix, stage);
	if (getpwnam_r(name, &user, buf, sizeof(buf), &found) == 0 && found)
		*ret_peer = (struct sp_peer){.check = true, .uid = user.pw_uid};
}

/* ---- files ---- */

static int lock_file(const char *path, int *ret_fd)
{
	struct stat st;

	*ret_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (*ret_fd < 0 || fstat(*ret_fd, &st) < 0)
		return -errno;
	/* Who owns the file can hold it for ever. (Never removed: who holds it may be another one of us.) */
	if (!S_ISREG(st.st_mode) || (st.st_uid != geteuid() && geteuid() != 0))
		return -EPERM;
	if (flock(*ret_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return 0;
}

/* One process a stage and run folder: two would write into the same files. */
static int take_lock(struct pst_bus *bus)
{
	char path[BUS_PATH_MAX];
	int r = bus_path(path, bus->run_dir, bus->stage, ".lock");

	if (r < 0)
		return r;
	r = lock_file(path, &bus->lock_fd);
	if (r < 0)
		pst_error("%s file=%s error=\"%s\"",
			r == -EBUSY ? "this stage is running already" : "cannot lock", path, strerror(-r));
	return r;
}

static bool answers(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	PST_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	return fd >= 0 && (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EAGAIN);
}

static int remove_stale(const struct pst_bus *bus, const char *suffix)
{
	char path[BUS_PATH_MAX];
	struct stat st;
	int r = bus_path(path, bus->run_dir, bus->stage, suffix);

	if (r < 0)
		return r;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		r = -EEXIST;
	else if (bus->ephemeral && answers(path)) /* there is no lock that would have told */
		r = -EADDRINUSE;
	else if (unlink(path) < 0 && errno != ENOENT)
		r = -errno;
	if (r < 0)
		pst_error("cannot take the place of a socket path=%s error=\"%s\"", path, strerror(-r));
	return r;
}

static void find_group(struct pst_bus *bus)
{
	char buf[4096];
	struct group group, *found = NULL;

	if (getgrnam_r(PST_GROUP, &group, buf, sizeof(buf), &found) == 0 && found) {
		bus->has_group = true;
		bus->group = group.gr_gid;
	} else if (!bus->ephemeral) {
		pst_warn("there is no group " PST_GROUP ": only this user can connect to the sockets");
	}
}

/* ---- epoch ---- */

static int new_epoch(uint64_t *ret_epoch)
{
	uint64_t epoch = 0;

	while (!epoch)
		if (getrandom(&epoch, sizeof(epoch), 0) != sizeof(epoch))
			return -errno;
	*ret_epoch = epoch;
	return 0;
}

/* Numbers of the topics as committed under @epoch; 0 where it published nothing. */
static void committed(const struct pst_bus *bus, uint64_t epoch, uint64_t next[PST_TOPICS])
{
	for (int i = 0; i < PST_TOPICS; i++) {
		const struct pst_ckpt_words *w = &bus->topic[i].words;

		next[i] = epoch && w->out_epoch == epoch ? w->out_next : 0;
	}
}

static int change_epoch(struct pst_bus *bus, struct pst_ckpt_entry *self, uint64_t old, bool first)
{
	struct pst_ckpt_words words = {0};
	uint64_t next[PST_TOPICS];
	int r = new_epoch(&bus->epoch);

	if (r < 0)
		return r;
	committed(bus, old, next);
	/* In this order: killed in between, the two epochs differ at the next start and there is another new
	 * one. */
	bus_ret_reset(bus->ret, bus->epoch, old, next);
	words.out_epoch = bus->epoch;
	pst_ckpt_store(bus->ckpt, self, &words);
	if (!first) {
		bus->st.resets->value++;
		pst_warn("checkpoint and retention do not belong together, starting a new epoch "
			 "old=%016llx new=%016llx",
			(unsigned long long)old, (unsigned long long)bus->epoch);
	}
	return 0;
}

static int open_retention(struct pst_bus *bus)
{
	char path[BUS_PATH_MAX];
	bool fresh;
	uint64_t next[PST_TOPICS];
	struct pst_ckpt_words words = {0};
	struct pst_ckpt_entry *self = pst_ckpt_entry(bus->ckpt, "bus", "", true);
	int r = bus_path(path, bus->run_dir, bus->stage, ".ret");

	if (r < 0 || !self)
		return r < 0 ? r : -ENOSPC;
	r = bus_ret_open(bus->ephemeral ? NULL : path, bus->retention_bytes, &bus->ret, &fresh);
	if (r < 0) {
		pst_error("cannot open the retention file file=%s error=\"%s\"", path, strerror(-r));
		return r;
	}
	bool known = pst_ckpt_load(self, &words) && words.out_epoch;
	bool keep = known && !fresh && words.out_epoch == bus_ret_epoch(bus->ret);
	if (keep) {
		bus->epoch = words.out_epoch;
		committed(bus, bus->epoch, next);
		keep = bus_ret_settle(bus->ret, next) == 0;
	}
	if (!keep)
		r = change_epoch(bus, self, words.out_epoch, !known && fresh);
	if (r < 0)
		return r;
	committed(bus, bus->epoch, next);
	for (int i = 0; i < PST_TOPICS; i++)
		bus->topic[i].next = bus->topic[i].committed = next[i];
	return 0;
}

static int open_files(struct pst_bus *bus)
{
	char path[BUS_PATH_MAX];
	int r = bus->ephemeral ? 0 : take_lock(bus);

	r = r < 0 ? r : remove_stale(bus, ".pub");
	r = r < 0 ? r : remove_stale(bus, ".ctl");
	r = r < 0 ? r : bus_path(path, bus->run_dir, bus->stage, ".ckpt");
	r = r < 0 ? r : pst_ckpt_open(bus->ephemeral ? NULL : path, &bus->ckpt);
	r = r < 0 ? r : bus_pub_open(bus);
	return r < 0 || !bus->topics ? r : open_retention(bus);
}

/* ---- opening ---- */

static void open_stats(struct bus_stats *st)
{
	st->batches = pst_counter("published_batches", "Batches sent.");
	st->send_dropped =
		pst_counter("send_dropped_batches", "Batches that could not be handed to the socket.");
	st->early = pst_counter("early_commits", "Commits in the middle of an input event's many outcomes.");
	st->resets = pst_counter("epoch_resets", "Times that numbering had to begin anew.");
	st->ret_errors = pst_counter("retention_errors",
		"Batches that could not be written to, or read from, the retention file.");
	st->ret_bytes = pst_gauge("retention_bytes", "Bytes held for replay.");
	st->ret_events = pst_gauge("retention_events", "Events held for replay.");
	st->served = pst_counter("replay_served_batches", "Batches handed out again on request.");
	st->malformed = pst_counter(
		"malformed_messages", "Messages refused because they are not what they should be.");
	st->duplicate = pst_counter("duplicate_events", "Events received again and skipped.");
	st->replayed = pst_counter("replayed_events", "Events had from the publisher's retention.");
	st->gaps = pst_counter("gaps", "Gaps seen in the numbers of a topic.");
	st->unknown_gaps = pst_counter("unknown_gaps", "Gaps whose size could not be told.");
	st->stale = pst_counter("stale_batches", "Batches of an epoch that is over.");
	st->pending_dropped =
		pst_counter("pending_dropped_batches", "Batches put aside that had to be fetched again.");
	st->connects = pst_counter("publisher_connects", "Connections made to publishers.");
	st->lost_retention = pst_stat(PST_STAT_COUNTER, "lost_events", "cause", "retention",
		"Events lost: missed and no longer held.");
	st->lost_epoch = pst_stat(PST_STAT_COUNTER, "lost_events", "cause", "epoch",
		"Events lost: the publisher lost its files.");
	st->lost_malformed = pst_stat(PST_STAT_COUNTER, "lost_events", "cause", "malformed",
		"Events lost: in a batch that could not be read.");
	for (int i = 0; i < PST_TOPICS; i++)
		st->received[i] = pst_stat(PST_STAT_COUNTER, "received_events", "topic", pst_topic_name(i),
			"Events received and handled.");
}

static void bus_freep(struct pst_bus **bus)
{
	pst_bus_free(*bus);
}

int pst_bus_open(struct pst_loop *loop, const struct pst_bus_config *config, struct pst_bus **ret_bus)
{
	PST_CLEANUP(bus_freep) struct pst_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return -ENOMEM;
	bus->loop = loop;
	bus->lock_fd = -1;
	bus->topics = config->topics & ((1u << PST_TOPICS) - 1);
	bus->ephemeral = config->ephemeral;
	bus->retention_bytes = config->retention_bytes ? config->retention_bytes : RETENTION_BYTES;
	bus->opened_ns = pst_now_mono_ns();
	if (!*config->stage || strlen(config->stage) > BUS_NAME_MAX)
		return -EINVAL;
	memcpy(bus->stage, config->stage, strlen(config->stage) + 1);
	bus->check_users = config->user_prefix;
	if (config->user_prefix)
		snprintf(bus->user_prefix, sizeof(bus->user_prefix), "%s", config->user_prefix);
	snprintf(bus->node, sizeof(bus->node), "%s", config->node ? config->node : "");
	bus->run_dir = strdup(config->run_dir);
	if (!bus->run_dir)
		return -ENOMEM;
	open_stats(&bus->st);
	find_group(bus);
	int r = bus_pace_open(bus, config->subscribers);
	r = r < 0 ? r : open_files(bus);
	r = r < 0 ? r : ctl_server_new(bus);
	if (r < 0)
		return r;
	*ret_bus = PST_TAKE_PTR(bus);
	return 0;
}

int pst_bus_start(struct pst_bus *bus)
{
	int r = 0;

	bus->started = true;
	/* Control first: a subscriber that gets a connection to .pub asks there at once. */
	if (!bus->ephemeral || bus->topics)
		r = ctl_server_start(bus);
	if (r == 0 && bus->topics)
		r = bus_pub_start(bus);
	for (struct pst_sub *sub = bus->subs; sub && r == 0; sub = sub->next)
		r = bus_sub_start(sub);
	return r;
}

void pst_bus_free(struct pst_bus *bus)
{
	if (!bus)
		return;
	if (bus->started)
		pst_bus_flush(bus);
	ctl_server_free(bus);
	bus_pub_close(bus);
	while (bus->subs) {
		struct pst_sub *sub = bus->subs;

		bus->subs = sub->next;
		bus_sub_free(sub);
	}
	bus_pace_close(bus);
	bus_ret_close(bus->ret);
	pst_ckpt_close(bus->ckpt);
	pst_closep(&bus->lock_fd);
	free(bus->run_dir);
	free(bus);
}
