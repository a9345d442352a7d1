// SPDX-License-Identifier: Apache-2.0
/* Texts of policies, as requests bring them in parts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/array.h"
#include "policyd/policy/force_internal.h"
#include "proto/base/cleanup.h"

void force_upload_drop(struct force_upload *u)
{
	for (size_t i = 0; i < u->n; i++) {
		free(u->files[i].name);
		pst_buf_done(&u->files[i].text);
	}
	free(u->files);
	*u = (struct force_upload){0};
}

void force_uploads_done(struct force_uploads *uploads)
{
	for (unsigned i = 0; i < FORCE_UPLOADS_MAX; i++)
		force_upload_drop(&uploads->v[i]);
}

struct force_upload *force_upload_find(struct force_uploads *uploads, const char *id)
{
	for (unsigned i = 0; i < FORCE_UPLOADS_MAX; i++)
		if (!strcmp(uploads->v[i].id, id))
			return &uploads->v[i];
	return NULL;
}

void force_uploads_expire(struct force_uploads *uploads, uint64_t now_ns)
{
	for (unsigned i = 0; i < FORCE_UPLOADS_MAX; i++)
		if (uploads->v[i].id[0] && now_ns - uploads->v[i].last_ns > FORCE_UPLOAD_S * 1000000000ull)
			force_upload_drop(&uploads->v[i]);
}

/* The name is shown, and stands in a line of the saved state. */
static bool is_name(const char *text, size_t max)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return len && len <= max;
}

static size_t bytes_of(const struct force_uploads *uploads)
{
	size_t n = 0;

	for (unsigned i = 0; i < FORCE_UPLOADS_MAX; i++)
		n += uploads->v[i].bytes;
	return n;
}

/* The one that nobody has gone on with for longest, but @except. */
static struct force_upload *oldest(struct force_uploads *uploads, const struct force_upload *except)
{
	struct force_upload *old = NULL;

	for (unsigned i = 0; i < FORCE_UPLOADS_MAX; i++) {
		struct force_upload *u = &uploads->v[i];

		if (u != except && u->id[0] && (!old || u->last_ns < old->last_ns))
			old = u;
	}
	return old;
}

/* Others make room. NULL: there is none. */
static struct force_upload *make_room(struct force_uploads *uploads, const char *id, size_t len)
{
	struct force_upload *u = force_upload_find(uploads, id), *old;

	u = u ? u : force_upload_find(uploads, "");
	if (!u && (u = oldest(uploads, NULL)))
		force_upload_drop(u);
	while (bytes_of(uploads) + len > POLICY_ALL_BYTES) {
		old = oldest(uploads, u);
		if (!old)
			return NULL;
		force_upload_drop(old);
	}
	return u;
}

static int begin_file(struct force_upload *u, const char *name, char *error, size_t size)
{
	struct force_file file = {0};
	int e;

	for (size_t i = 0; i < u->n; i++)
		if (!strcmp(u->files[i].name, name)) {
			snprintf(error, size, "the file is there already: %s", name);
			return -EINVAL;
		}
	if (u->n == POLICY_FILES_MAX) {
		snprintf(error, size, "more than %d files", POLICY_FILES_MAX);
		return -ENOSPC;
	}
	e = array_room((void **)&u->files, &u->size, u->n, sizeof(*u->files));
	file.name = e ? NULL : strdup(name);
	if (!file.name)
		return -ENOMEM;
	u->files[u->n++] = file;
	return 0;
}

static int put(struct force_upload *u, const char *file, const void *text, size_t len, bool more, char *error,
	size_t size)
{
	bool goes_on = u->more && !strcmp(u->files[u->n - 1].name, file);
	struct force_file *f;
	int e = 0;

	if (u->more && !goes_on) {
		snprintf(error, size, "the rest of another file is missing: %s", u->files[u->n - 1].name);
		return -EINVAL;
	}
	e = goes_on ? 0 : begin_file(u, file, error, size);
	if (e)
		return e;
	f = &u->files[u->n - 1];
	if (f->text.len + len > POLICY_FILE_BYTES) {
		snprintf(error, size, "%s: larger than %u MiB", file, POLICY_FILE_BYTES >> 20);
		return -EFBIG;
	}
	pst_mp_raw(&f->text, text, len);
	if (f->text.failed)
		return -ENOMEM;
	u->bytes += len;
	u->more = more;
	return 0;
}

int force_upload_put(struct force_uploads *uploads, const char *id, const char *file, const void *text,
	size_t len, bool more, uint64_t now_ns, char *error, size_t size)
{
	struct force_upload *u;
	int e;

	if (!is_name(id, FORCE_ID_MAX) || !is_name(file, FORCE_FILE_MAX)) {
		snprintf(error, size, "expected id and file, short texts without control characters");
		return -EINVAL;
	}
	u = make_room(uploads, id, len);
	if (!u) {
		snprintf(error, size, "all files have more than %u MiB", POLICY_ALL_BYTES >> 20);
		return -EFBIG;
	}
	e = put(u, file, text, len, more, error, size);
	if (e) { /* half of one is worse than none */
		force_upload_drop(u);
		return e;
	}
	snprintf(u->id, sizeof(u->id), "%s", id);
	u->last_ns = now_ns;
	return 0;
}

int force_upload_read(const struct force_upload *u, struct pst_conf_errors *errors,
	struct pst_conf_errors *warnings, struct force_list *ret_list)
{
	PST_CLEANUP(force_reader_done) struct force_reader r = {0};
	int e = 0;

	if (u->more) {
		pst_conf_error(errors, u->files[u->n - 1].name, 0, 0, "the rest of the file is missing");
		return -EINVAL;
	}
	for (size_t i = 0; i < u->n && e != -ENOMEM; i++) {
		const struct force_file *f = &u->files[i];
		int k = force_read(
			&r, f->name, f->text.p ? (char *)f->text.p : "", f->text.len, errors, warnings);

		e = e ? e : k;
	}
	if (e)
		return e;
	*ret_list = force_reader_take(&r, true);
	return 0;
}
