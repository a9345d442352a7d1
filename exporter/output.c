// SPDX-License-Identifier: Apache-2.0
#include "exporter/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/stat.h"
#include "proto/wire/filter.h"
#include "proto/wire/json.h"

#define BUFFER_BYTES 65536

struct output {
	const char *path;
	uint64_t max_bytes, keep;
	int fsync;
	struct pst_filter *kinds; /* NULL: all, unless only_alerts */
	bool alerts, only_alerts;
	int fd;
	uint64_t size; /* of the file, up to the end of a line */
	uint64_t inode, marks;
	struct pst_buf buf; /* whole lines */
	uint64_t lines;     /* in buf */
	bool healthy, dirty;
	struct pst_source *defer, *sync_timer;
	struct pst_stat *written, *written_bytes, *lost, *errors, *rotations;
};

static void on_defer(void *arg)
{
	output_flush(arg);
}

static void on_sync(void *arg)
{
	struct output *output = arg;

	if (output->dirty && output->fd >= 0 && fdatasync(output->fd) < 0)
		output->errors->value++;
	output->dirty = false;
}

static int make_filter(struct output *output, const struct pst_strs *kinds)
{
	char error[160];
	int r;

	output->alerts = !kinds->n;
	if (!kinds->n)
		return 0;
	r = pst_filter_new(&output->kinds);
	for (size_t i = 0; !r && i < kinds->n; i++) {
		if (!strcmp(kinds->v[i], "alert"))
			output->alerts = true;
		else
			r = pst_filter_add(output->kinds, "kind", kinds->v[i], 0, error, sizeof(error));
	}
	output->only_alerts = !r && pst_filter_empty(output->kinds);
	return r;
}

static void make_stats(struct output *output)
{
	output->written = pst_counter("output_events", "Events written to the output file.");
	output->written_bytes = pst_counter("output_bytes", "Bytes written to the output file.");
	output->lost =
		pst_counter("output_lost_events", "Events that could not be written to the output file.");
	output->errors = pst_counter("output_errors", "Errors of the output file.");
	output->rotations = pst_counter("output_rotations", "Times that the output file was rotated.");
}

int output_new(struct pst_loop *loop, const struct exporter_config *config, struct output **ret_output)
{
	struct output *output = calloc(1, sizeof(*output));
	int r;

	if (!output)
		return -ENOMEM;
	output->fd = -1;
	output->path = config->output_path;
	output->max_bytes = config->output_max_bytes;
	output->keep = config->output_keep;
	output->fsync = config->output_fsync;
	make_stats(output);
	r = make_filter(output, &config->output_kinds);
	r = r ? r : pst_loop_defer(loop, on_defer, output, &output->defer);
	r = r ? r : pst_loop_timer(loop, on_sync, output, &output->sync_timer);
	if (r < 0) {
		output_free(output);
		return r;
	}
	if (output->fsync == OUTPUT_FSYNC_INTERVAL)
		pst_timer_arm(output->sync_timer, config->output_sync_ns, config->output_sync_ns);
	*ret_output = output;
	return 0;
}

static void fail(struct output *output, const char *what, int error)
{
	output->healthy = false;
	output->errors->value++;
	pst_warn_limited("output file: cannot %s path=%s error=%s lost_events=%llu", what, output->path,
		strerror(error), (unsigned long long)output->lost->value);
}

/* After a crash the last line may be torn: what follows begins on a new one. */
static int end_torn_line(int fd, uint64_t *size)
{
	char last = '\n';

	if (*size && pread(fd, &last, 1, (off_t)*size - 1) != 1)
		return -EIO;
	if (last == '\n')
		return 0;
	if (write(fd, "\n", 1) != 1)
		return -errno;
	(*size)++;
	return 0;
}

int output_open(struct output *output)
{
	PST_CLOSE int fd = -1;
	struct stat st;
	uint64_t size;
	int r;

	fd = open(output->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		fail(output, "open", -r);
		return r;
	}
	if (!S_ISREG(st.st_mode)) {
		fail(output, "use what is not a regular file", EINVAL);
		return -EINVAL;
	}
	size = (uint64_t)st.st_size;
	r = end_torn_line(fd, &size);
	if (r < 0) {
		fail(output, "end the last line", -r);
		return r;
	}
	output->size = size;
	output->inode = st.st_ino;
	output->healthy = true;
	output->fd = PST_TAKE_FD(fd);
	return 0;
}

static void close_file(struct output *output)
{
	if (output->fd < 0)
		return;
	if (output->fsync != OUTPUT_FSYNC_NONE && fdatasync(output->fd) < 0)
		output->errors->value++;
	close(output->fd);
	output->fd = -1;
}

void output_free(struct output *output)
{
	if (!output)
		return;
	output_flush(output);
	close_file(output);
	pst_source_free(output->defer);
	pst_source_free(output->sync_timer);
	pst_filter_free(output->kinds);
	pst_buf_done(&output->buf);
	free(output);
}

bool output_wants(const struct output *output, uint32_t kind, bool alert)
{
	if (alert)
		return output->alerts;
	return !output->only_alerts && (!output->kinds || pst_filter_wants_kind(output->kinds, kind));
}

bool output_healthy(const struct output *output)
{
	return output->healthy;
}

/* ---- writing ---- */

static void drop_buffer(struct output *output)
{
	output->lost->value += output->lines;
	output->lines = output->buf.len = 0;
	output->buf.failed = false;
}

/* All or nothing: a part that was written is cut off again, so that the file holds whole lines only. */
static int write_all(struct output *output)
{
	size_t done = 0;

	while (done < output->buf.len) {
		ssize_t n = write(output->fd, output->buf.p + done, output->buf.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int r = n < 0 ? -errno : -EIO;

			if (done && ftruncate(output->fd, (off_t)output->size) < 0) {
				close(output->fd); /* opened again, where the torn line is ended */
				output->fd = -1;
			}
			return r;
		}
		done += (size_t)n;
	}
	return 0;
}

void output_flush(struct output *output)
{
	int r;

	if (!output->lines)
		return;
	if (output->fd < 0 && output_open(output) < 0)
		return drop_buffer(output);
	r = write_all(output);
	if (r < 0) {
		drop_buffer(output);
		fail(output, "write", -r);
		return;
	}
	output->healthy = true;
	output->dirty = true;
	output->size += output->buf.len;
	output->written->value += output->lines;
	output->written_bytes->value += output->buf.len;
	output->lines = output->buf.len = 0;
}

void output_mark(struct output *output, struct output_mark *ret_mark)
{
	output_flush(output);
	*ret_mark = (struct output_mark){.number = ++output->marks};
	if (output->fd < 0)
		return;
	ret_mark->file = output->inode;
	ret_mark->size = output->size;
}

void output_number_marks(struct output *output, uint64_t last_number)
{
	output->marks = last_number;
}

static void old_path(const struct output *output, uint64_t i, char *buf, size_t size)
{
	if (i)
		snprintf(buf, size, "%s.%llu", output->path, (unsigned long long)i);
	else
		snprintf(buf, size, "%s", output->path);
}

/* path.keep goes, path.1 becomes path.2, path becomes path.1. */
static int shift_files(struct output *output)
{
	char from[4096 + 24], to[4096 + 24];

	if (!output->keep)
		return unlink(output->path) < 0 && errno != ENOENT ? -errno : 0;
	for (uint64_t i = output->keep; i; i--) {
		old_path(output, i - 1, from, sizeof(from));
		old_path(output, i, to, sizeof(to));
		if (rename(from, to) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static void rotate(struct output *output)
{
	int r;

	output_flush(output);
	if (output->fd < 0)
		return;
	close_file(output);
	r = shift_files(output);
	if (r < 0)
		fail(output, "rotate", -r); /* goes on in the same file */
	else
		output->rotations->value++;
	output_open(output);
}

void output_event(struct output *output, const struct pst_event *event, int64_t wall_offset_ns)
{
	size_t before = output->buf.len, line;

	pst_json_event(&output->buf, event, wall_offset_ns);
	pst_json_raw(&output->buf, "\n");
	if (output->buf.failed) {
		output->lost->value++;
		output->buf.len = before;
		output->buf.failed = false;
		return;
	}
	line = output->buf.len - before;
	if (output->size + output->buf.len > output->max_bytes && output->size + before) {
		/* the line goes into the next file */
		PST_FREE uint8_t *copy = malloc(line);

		if (!copy) {
			output->lost->value++;
			output->buf.len = before;
			return;
		}
		memcpy(copy, output->buf.p + before, line);
		output->buf.len = before;
		rotate(output);
		pst_mp_raw(&output->buf, copy, line);
	}
	output->lines++;
	if (output->buf.len >= BUFFER_BYTES)
		output_flush(output);
	else
		pst_defer_arm(output->defer);
}

void output_reopen(struct output *output)
{
	output_flush(output);
	close_file(output);
	output_open(output);
}
