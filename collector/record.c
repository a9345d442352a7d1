// SPDX-License-Identifier: Apache-2.0
#include "collector/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"
#include "proto/base/stat.h"

#define BUFFER (1 << 20)
#define WINDOW (1 << 20)
#define ORDER  0x01020304u

struct recorder {
	int fd;
	bool full;
	uint64_t bytes, max_bytes; /* bytes: given to the kernel; max_bytes 0: no bound */
	uint64_t lost_here;
	size_t used;
	uint64_t buffered; /* records in the buffer */
	struct pst_stat *written, *lost;
	uint8_t buffer[BUFFER];
};

void host_facts(struct record_head *h)
{
	struct utsname u;
	PST_FCLOSE FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	memset(h, 0, sizeof(*h));
	memcpy(h->magic, RECORD_MAGIC, sizeof(h->magic));
	h->order = ORDER;
	h->abi = PST_ABI_VERSION;
	h->wall_offset_ns = (int64_t)(pst_now_wall_ns() - pst_now_boot_ns());
	if (f && fgets(h->boot_id, sizeof(h->boot_id), f))
		h->boot_id[strcspn(h->boot_id, "\n")] = 0;
	if (uname(&u) == 0) {
		snprintf(h->hostname, sizeof(h->hostname), "%s", u.nodename);
		snprintf(h->kernel, sizeof(h->kernel), "%s", u.release);
	}
}

static int open_at(const char *path, int flags, uint64_t max_bytes, struct recorder **ret_recorder)
{
	struct recorder *r = calloc(1, sizeof(*r));
	struct record_head head;

	if (!r)
		return -ENOMEM;
	r->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
	if (r->fd < 0) {
		int e = -errno;

		pst_error("can't write the recording path=%s error=%s", path, strerror(errno));
		free(r);
		return e;
	}
	r->written = pst_counter("recorded_records", "records written to the recording");
	r->lost = pst_counter(
		"recorded_lost_records", "records that the recording lost (disk full, write error)");
	host_facts(&head);
	memcpy(r->buffer, &head, sizeof(head));
	r->used = sizeof(head);
	r->max_bytes = max_bytes;
	*ret_recorder = r;
	return 0;
}

int recorder_open(const char *path, struct recorder **ret_recorder)
{
	return open_at(path, O_TRUNC, 0, ret_recorder);
}

int recorder_open_shared(const char *path, uint64_t max_bytes, gid_t group, struct recorder **ret_recorder)
{
	int e;

	unlink(path); /* whatever a member of the group may have put there */
	e = open_at(path, O_EXCL | O_NOFOLLOW, max_bytes, ret_recorder);
	if (!e && group != (gid_t)-1 &&
		(fchown((*ret_recorder)->fd, (uid_t)-1, group) < 0 || fchmod((*ret_recorder)->fd, 0640) < 0))
		pst_warn("only this user can read the recording path=%s error=%s", path, strerror(errno));
	return e;
}

/* Is there room for what is buffered? An eighth of the file system is left to the others. */
static bool has_room(const struct recorder *r)
{
	struct statvfs fs;

	return !r->max_bytes || fstatvfs(r->fd, &fs) < 0 || !fs.f_blocks ||
	       (uint64_t)fs.f_bavail * fs.f_frsize >= r->used + (uint64_t)fs.f_blocks * fs.f_frsize / 8;
}

static void end_full(struct recorder *r)
{
	if (!r->full)
		pst_warn("the recording is full, the rest is lost bytes=%llu", (unsigned long long)r->bytes);
	r->full = true;
}

static void lose(struct recorder *r, uint64_t n)
{
	r->lost->value += n;
	r->lost_here += n;
}

static bool write_buffer(struct recorder *r)
{
	uint64_t start = r->bytes;

	for (size_t done = 0; done < r->used;) {
		ssize_t n = write(r->fd, r->buffer + done, r->used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			pst_error("the recording stops error=%s", strerror(errno));
			if (ftruncate(r->fd, (off_t)start) == 0) /* no torn record at the end */
				r->bytes = start;
			return false;
		}
		done += (size_t)n;
		r->bytes += (size_t)n;
	}
	r->written->value += r->buffered;
	return true;
}

void recorder_flush(struct recorder *r)
{
	if (!has_room(r))
		end_full(r);
	if (!r->full)
		r->full = !write_buffer(r);
	if (r->full)
		lose(r, r->buffered);
	r->used = 0;
	r->buffered = 0;
}

void recorder_write(struct recorder *r, const struct pst_rec *rec)
{
	if (r->used + rec->size > BUFFER)
		recorder_flush(r);
	if (!r->full && r->max_bytes && r->bytes + r->used + rec->size > r->max_bytes) {
		recorder_flush(r);
		end_full(r);
	}
	if (r->full) {
		lose(r, 1);
		return;
	}
	memcpy(r->buffer + r->used, rec, rec->size);
	r->used += rec->size;
	r->buffered++;
}

void recorder_state(const struct recorder *r, struct recorder_state *ret)
{
	*ret = (struct recorder_state){.bytes = r->bytes, .lost = r->lost_here, .full = r->full};
}

void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	recorder_flush(r);
	close(r->fd);
	free(r);
}

static int check_head(const char *path, const struct record_head *h)
{
	if (memcmp(h->magic, RECORD_MAGIC, sizeof(h->magic))) {
		pst_error("not a Penstock recording path=%s offset=0", path);
		return -EBADMSG;
	}
	if (h->order != ORDER || h->abi != PST_ABI_VERSION) {
		pst_error("recording of another %s path=%s offset=%zu",
			h->order != ORDER ? "byte order" : "ABI version", path,
			h->order != ORDER ? offsetof(struct record_head, order)
					  : offsetof(struct record_head, abi));
		return -EBADMSG;
	}
	if (!memchr(h->boot_id, 0, sizeof(h->boot_id)) || !memchr(h->hostname, 0, sizeof(h->hostname)) ||
		!memchr(h->kernel, 0, sizeof(h->kernel))) {
		pst_error("recording with a malformed header path=%s offset=%zu", path,
			offsetof(struct record_head, boot_id));
		return -EBADMSG;
	}
	return 0;
}

int recording_open(const char *path, struct recording *ret)
{
	/* Not blocking: a FIFO in the place of a file must not hold us. */
	PST_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct recording r = {.fd = -1, .at = sizeof(r.head)};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int e = -errno;

		pst_error("can't read the recording path=%s error=%s", path, strerror(errno));
		return e;
	}
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(r.head) ||
		pst_pread_all(fd, &r.head, sizeof(r.head), 0) != (ssize_t)sizeof(r.head)) {
		pst_error("not a Penstock recording path=%s offset=0", path);
		return -EBADMSG;
	}
	int e = check_head(path, &r.head);
	if (e)
		return e;
	r.window = malloc(WINDOW);
	if (!r.window)
		return -ENOMEM;
	r.len = (uint64_t)st.st_size;
	r.fd = PST_TAKE_FD(fd);
	*ret = r;
	return 0;
}

void recording_close(struct recording *r)
{
	if (r->window)
		close(r->fd);
	free(r->window);
	*r = (struct recording){.fd = -1};
}

void recording_rewind(struct recording *r)
{
	r->at = sizeof(r->head);
}

/* Has @len bytes at r->at in the window. -EBADMSG: they are not there (any more). */
static int load(struct recording *r, size_t len)
{
	if (r->at >= r->from && r->at + len <= r->from + r->have)
		return 0;
	r->from = r->at;
	r->have = 0;
	ssize_t n = pst_pread_all(
		r->fd, r->window, (size_t)PST_MIN(r->len - r->at, (uint64_t)WINDOW), (off_t)r->at);
	if (n < 0)
		return (int)n;
	r->have = (size_t)n;
	return r->have < len ? -EBADMSG : 0;
}

const struct pst_rec *recording_next(struct recording *r, int *ret_error)
{
	uint64_t left = r->len - r->at;
	const struct pst_rec *rec;

	*ret_error = 0;
	if (!left)
		return NULL;
	*ret_error = left < sizeof(*rec) ? -EBADMSG : load(r, sizeof(*rec));
	if (*ret_error)
		return NULL;
	rec = (const void *)(r->window + (r->at - r->from));
	uint32_t size = rec->size;
	if (size < sizeof(*rec) || size % 8 || size > PST_REC_MAX || size > left)
		*ret_error = -EBADMSG;
	else
		*ret_error = load(r, size); /* may move the window */
	if (*ret_error)
		return NULL;
	rec = (const void *)(r->window + (r->at - r->from));
	r->at += size;
	return rec;
}
