// SPDX-License-Identifier: Apache-2.0
/* Records of changes of files. */
#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "collector/convert_internal.h"
#include "proto/base/cleanup.h"

bool convert_file_fits(const struct pst_rec_file *r, size_t len)
{
	size_t all = 0;

	for (size_t i = 0; i < PST_FILE_PARTS; i++) {
		if (r->len[i] > PST_FILE_PATH_MAX)
			return false;
		all += r->len[i];
	}
	return all <= len - sizeof(*r);
}

static struct pst_val part(const struct pst_rec_file *r, unsigned n)
{
	const char *p = (const char *)(r + 1);

	for (unsigned i = 0; i < n; i++)
		p += r->len[i];
	return pst_val_str(p, r->len[n]);
}

struct path_text {
	char text[2 * PST_FILE_PATH_MAX + 1];
};

/*
 * The part before it is where it begins, if it does not begin at the root. What is too long for an event
 * loses its head. Lives as long as @r and @buf.
 */
static struct pst_val path(const struct pst_rec_file *r, unsigned n, struct path_text *buf, bool *ret_cut)
{
	struct pst_val base = part(r, n - 1), given = part(r, n);
	size_t len = base.len;

	if (!base.len || !given.len)
		return given.len ? given : base;
	memcpy(buf->text, base.p, len);
	if (buf->text[len - 1] != '/')
		buf->text[len++] = '/';
	memcpy(buf->text + len, given.p, given.len);
	len += given.len;
	if (len <= PST_STRING_MAX)
		return pst_val_str(buf->text, (uint32_t)len);
	*ret_cut = true;
	return pst_val_str(buf->text + len - PST_STRING_MAX, PST_STRING_MAX);
}

static struct pst_val file_type(uint32_t mode)
{
	static const struct {
		uint32_t type;
		const char *name;
	} types[] = {{S_IFREG, "regular"}, {S_IFDIR, "directory"}, {S_IFLNK, "symlink"}, {S_IFIFO, "fifo"},
		{S_IFSOCK, "socket"}, {S_IFCHR, "char"}, {S_IFBLK, "block"}};

	for (size_t i = 0; i < PST_ARRAY_SIZE(types); i++)
		if ((mode & S_IFMT) == types[i].type)
			return pst_val_str(types[i].name, strlen(types[i].name));
	return (struct pst_val){0};
}

struct mode_text {
	char text[8];
};

static struct pst_val octal(uint32_t mode, struct mode_text *buf)
{
	int n = snprintf(buf->text, sizeof(buf->text), "%04o", mode & 07777);

	return pst_val_str(buf->text, (uint32_t)n);
}

/* Is the mode known, beside the type? Of a directory that was removed it need not be. */
static bool has_mode(const struct pst_rec_file *r)
{
	return r->mode && (r->ino || r->h.kind != PST_REC_FILE_UNLINK);
}

/* The PST_FILE block of schema.def, from @v[0] on. */
static void file_block(
	struct pst_val *v, const struct pst_rec_file *r, struct path_text *text, struct mode_text *mode)
{
	enum { BASE = PST_FILE_UNLINK_F_error };
	bool cut = (r->h.flags & PST_FILE_CUT) != 0;

	v[PST_FILE_UNLINK_F_error - BASE].u = r->error < 0 ? 0 : (uint64_t)r->error;
	v[PST_FILE_UNLINK_F_path - BASE] = path(r, PST_FILE_PATH, text, &cut);
	v[PST_FILE_UNLINK_F_path_cut - BASE].u = cut;
	v[PST_FILE_UNLINK_F_as_given - BASE].u = (r->h.flags & PST_FILE_AS_GIVEN) != 0;
	v[PST_FILE_UNLINK_F_pending - BASE].u = (r->h.flags & PST_FILE_RESULT_OPEN) != 0;
	v[PST_FILE_UNLINK_F_dev - BASE].u = r->dev;
	v[PST_FILE_UNLINK_F_ino - BASE].u = r->ino;
	v[PST_FILE_UNLINK_F_file_type - BASE] = file_type(r->mode);
	if (has_mode(r))
		v[PST_FILE_UNLINK_F_mode - BASE] = octal(r->mode, mode);
}

static const struct {
	uint16_t rec, kind;
	uint8_t to, cut, flags, rdev; /* fields; 0: it has none */
} forms[] = {
	{PST_REC_FILE_UNLINK, PST_KIND_FILE_UNLINK, 0, 0, 0, 0},
	{PST_REC_FILE_RENAME, PST_KIND_FILE_RENAME, PST_FILE_RENAME_F_to_path, PST_FILE_RENAME_F_to_cut,
		PST_FILE_RENAME_F_rename_flags, 0},
	{PST_REC_FILE_LINK, PST_KIND_FILE_LINK, PST_FILE_LINK_F_to_path, PST_FILE_LINK_F_to_cut,
		PST_FILE_LINK_F_link_flags, 0},
	{PST_REC_FILE_SYMLINK, PST_KIND_FILE_SYMLINK, PST_FILE_SYMLINK_F_target,
		PST_FILE_SYMLINK_F_target_cut, 0, 0},
	{PST_REC_FILE_MKDIR, PST_KIND_FILE_MKDIR, 0, 0, 0, 0},
	{PST_REC_FILE_MKNOD, PST_KIND_FILE_MKNOD, 0, 0, 0, PST_FILE_MKNOD_F_rdev},
	{PST_REC_FILE_CHMOD, PST_KIND_FILE_CHMOD, 0, 0, 0, 0},
	{PST_REC_FILE_CHOWN, PST_KIND_FILE_CHOWN, 0, 0, 0, 0},
	{PST_REC_FILE_TRUNCATE, PST_KIND_FILE_TRUNCATE, 0, 0, 0, 0},
	{PST_REC_FILE_XATTR, PST_KIND_FILE_XATTR, PST_FILE_XATTR_F_attribute, 0, PST_FILE_XATTR_F_xattr_flags,
		0},
	{PST_REC_FILE_MOUNT, PST_KIND_FILE_MOUNT, 0, 0, PST_FILE_MOUNT_F_mount_flags, 0},
	{PST_REC_FILE_UMOUNT, PST_KIND_FILE_UMOUNT, 0, 0, PST_FILE_UMOUNT_F_umount_flags, 0},
	{PST_REC_FILE_PIVOT_ROOT, PST_KIND_FILE_PIVOT_ROOT, PST_FILE_PIVOT_ROOT_F_old_root,
		PST_FILE_PIVOT_ROOT_F_old_root_cut, 0, 0},
};

/* What mount(2) is asked for, in the order in which it looks. */
static struct pst_val mount_operation(const struct pst_rec_file *r)
{
	static const struct {
		uint32_t flags;
		const char *name;
	} ops[] = {{MS_REMOUNT, "remount"}, {MS_BIND, "bind"},
		{MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE, "propagation"}, {MS_MOVE, "move"}};

	if (r->op == PST_FILE_MOUNT_MOVE)
		return pst_val_str("move", 4);
	for (size_t i = 0; i < PST_ARRAY_SIZE(ops); i++)
		if (r->call_flags & ops[i].flags)
			return pst_val_str(ops[i].name, strlen(ops[i].name));
	return pst_val_str("mount", 5);
}

/* What only some have, and is no part of the table. */
static void attributes(struct pst_val *v, const struct pst_rec_file *r, struct mode_text *mode)
{
	static const char *const ops[PST_FILE_OPS] = {
		[PST_FILE_XATTR_SET] = "set", [PST_FILE_XATTR_REMOVE] = "remove"};

	switch (r->h.kind) {
	case PST_REC_FILE_CHMOD:
		v[PST_FILE_CHMOD_F_new_mode] = octal(r->new_mode, mode);
		break;
	case PST_REC_FILE_CHOWN:
		v[PST_FILE_CHOWN_F_old_uid].u = r->old_uid;
		v[PST_FILE_CHOWN_F_old_gid].u = r->old_gid;
		v[PST_FILE_CHOWN_F_new_uid].u = r->new_uid;
		v[PST_FILE_CHOWN_F_new_gid].u = r->new_gid;
		break;
	case PST_REC_FILE_TRUNCATE:
		v[PST_FILE_TRUNCATE_F_old_bytes].u = r->old_bytes;
		v[PST_FILE_TRUNCATE_F_bytes].u = r->bytes;
		break;
	case PST_REC_FILE_XATTR:
		v[PST_FILE_XATTR_F_bytes].u = r->bytes;
		if (r->op < PST_FILE_OPS && ops[r->op])
			v[PST_FILE_XATTR_F_operation] = pst_val_str(ops[r->op], strlen(ops[r->op]));
		break;
	case PST_REC_FILE_MOUNT:
		v[PST_FILE_MOUNT_F_operation] = mount_operation(r);
		v[PST_FILE_MOUNT_F_source] = part(r, PST_FILE_TO);
		v[PST_FILE_MOUNT_F_fs_type] = part(r, PST_FILE_TO_BASE);
		break;
	default:
		break;
	}
}

int convert_file_record(const struct pst_rec_file *r, struct pst_buf *out)
{
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0};
	struct path_text text, to;
	struct mode_text mode, new_mode;
	bool cut = (r->h.flags & PST_FILE_TO_CUT) != 0;
	size_t i = 0;

	while (i < PST_ARRAY_SIZE(forms) && forms[i].rec != r->h.kind)
		i++;
	if (i == PST_ARRAY_SIZE(forms))
		return -EBADMSG;
	convert_who(v, &r->task);
	file_block(v + PST_FILE_UNLINK_F_error, r, &text, &mode);
	if (forms[i].to) {
		v[forms[i].to] = path(r, PST_FILE_TO, &to, &cut);
		if (forms[i].cut)
			v[forms[i].cut].u = cut;
	}
	if (forms[i].flags)
		v[forms[i].flags].u = r->call_flags;
	if (forms[i].rdev)
		v[forms[i].rdev].u = r->rdev;
	attributes(v, r, &new_mode);
	pst_event_pack(out, forms[i].kind, r->h.ts_ns, v);
	return 0;
}
