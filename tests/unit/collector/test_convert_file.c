// SPDX-License-Identifier: Apache-2.0
/* Records of files to events: paths put together, and records that lie about their tail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/unit/collector/convert_test.h"

static union {
	struct pst_rec h;
	struct pst_rec_file r;
	char bytes[PST_REC_MAX];
} rec;

static void make(uint16_t kind, const char *base, const char *path, const char *to_base, const char *to)
{
	const char *const parts[PST_FILE_PARTS] = {base, path, to_base, to};
	char *p = (char *)(&rec.r + 1);

	memset(&rec, 0, sizeof(rec));
	rec.r.h.kind = kind;
	rec.r.task.pid = DOER;
	for (int i = 0; i < PST_FILE_PARTS; i++) {
		rec.r.len[i] = (uint16_t)strlen(parts[i]);
		memcpy(p, parts[i], rec.r.len[i]);
		p += rec.r.len[i];
	}
	rec.h.size = (uint32_t)((p - rec.bytes) + 7) & ~7u;
}

static const struct pst_event *event(void)
{
	return to_event(&rec);
}

static void paths(void **state)
{
	static const struct {
		const char *base, *path, *want;
	} cases[] = {{"", "/a/b", "/a/b"}, {"/srv", "a", "/srv/a"}, {"/", "a", "/a"}, {"/srv", "", "/srv"},
		{"", "a", "a"}, {"", "", ""}, {"/srv", "../\n\xff", "/srv/../\n\xff"}};
	const struct pst_event *e;

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		make(PST_REC_FILE_RENAME, cases[i].base, cases[i].path, "/other", "place");
		e = event();
		assert_int_equal(e->kind, PST_KIND_FILE_RENAME);
		assert_text(e, PST_FILE_RENAME_F_path, cases[i].want);
		assert_text(e, PST_FILE_RENAME_F_to_path, "/other/place");
		make(PST_REC_FILE_LINK, "", "/x", cases[i].base, cases[i].path);
		assert_text(event(), PST_FILE_LINK_F_to_path, cases[i].want);
	}
}

static void longest(void **state)
{
	static char base[PST_FILE_PATH_MAX + 1], path[PST_FILE_PATH_MAX + 1];
	const struct pst_event *e;

	(void)state;
	memset(base, 'b', sizeof(base) - 1);
	memset(path, 'p', sizeof(path) - 1);
	make(PST_REC_FILE_MKDIR, base, path, "", "");
	e = event(); /* the head goes */
	assert_int_equal(e->sensor[PST_FILE_MKDIR_F_path].len, PST_STRING_MAX);
	assert_int_equal(((const char *)e->sensor[PST_FILE_MKDIR_F_path].p)[0], '/');
	assert_int_equal(((const char *)e->sensor[PST_FILE_MKDIR_F_path].p)[1], 'p');
	assert_int_equal(e->sensor[PST_FILE_MKDIR_F_path_cut].u, 1);
	make(PST_REC_FILE_LINK, "", "/x", base, path);
	e = event();
	assert_int_equal(e->sensor[PST_FILE_LINK_F_to_path].len, PST_STRING_MAX);
	assert_int_equal(e->sensor[PST_FILE_LINK_F_to_cut].u, 1);
	assert_int_equal(e->sensor[PST_FILE_LINK_F_path_cut].u, 0);
	make(PST_REC_FILE_MKDIR, "", path, "", "");
	assert_int_equal(event()->sensor[PST_FILE_MKDIR_F_path_cut].u, 0);
}

static void what_it_is(void **state)
{
	const struct pst_event *e;

	(void)state;
	make(PST_REC_FILE_UNLINK, "", "/x", "", "");
	rec.r.ino = 5;
	rec.r.dev = 7;
	rec.r.mode = 0100644;
	rec.r.error = 13;
	e = event();
	assert_int_equal(e->sensor[PST_FILE_UNLINK_F_ino].u, 5);
	assert_int_equal(e->sensor[PST_FILE_UNLINK_F_dev].u, 7);
	assert_int_equal(e->sensor[PST_FILE_UNLINK_F_error].u, 13);
	assert_text(e, PST_FILE_UNLINK_F_file_type, "regular");
	assert_text(e, PST_FILE_UNLINK_F_mode, "0644");
	rec.r.ino = 0;
	rec.r.mode = 0040000; /* rmdir, of which the caller told no more */
	rec.r.error = INT32_MIN;
	e = event();
	assert_text(e, PST_FILE_UNLINK_F_file_type, "directory");
	assert_text(e, PST_FILE_UNLINK_F_mode, "");
	assert_int_equal(e->sensor[PST_FILE_UNLINK_F_error].u, 0);
	make(PST_REC_FILE_MKNOD, "", "/x", "", "");
	rec.r.mode = 0020000;
	rec.r.rdev = 0x100003;
	rec.r.h.flags = PST_FILE_CUT | PST_FILE_AS_GIVEN | PST_FILE_RESULT_OPEN;
	e = event();
	assert_text(e, PST_FILE_MKNOD_F_file_type, "char");
	assert_text(e, PST_FILE_MKNOD_F_mode, "0000");
	assert_int_equal(e->sensor[PST_FILE_MKNOD_F_rdev].u, 0x100003);
	assert_int_equal(e->sensor[PST_FILE_MKNOD_F_path_cut].u, 1);
	assert_int_equal(e->sensor[PST_FILE_MKNOD_F_as_given].u, 1);
	assert_int_equal(e->sensor[PST_FILE_MKNOD_F_pending].u, 1);
	make(PST_REC_FILE_SYMLINK, "", "/x", "", "../no\nwhere");
	rec.r.h.flags = PST_FILE_TO_CUT;
	rec.r.mode = UINT32_MAX;
	e = event();
	assert_text(e, PST_FILE_SYMLINK_F_target, "../no\nwhere");
	assert_int_equal(e->sensor[PST_FILE_SYMLINK_F_target_cut].u, 1);
	assert_int_equal(e->sensor[PST_FILE_SYMLINK_F_path_cut].u, 0);
	assert_text(e, PST_FILE_SYMLINK_F_file_type, "");
	assert_text(e, PST_FILE_SYMLINK_F_mode, "7777");
}

static void attributes(void **state)
{
	const struct pst_event *e;

	(void)state;
	make(PST_REC_FILE_CHMOD, "", "/x", "", "");
	rec.r.new_mode = 04711;
	e = event();
	assert_text(e, PST_FILE_CHMOD_F_mode, "");
	assert_text(e, PST_FILE_CHMOD_F_new_mode, "4711");
	rec.r.ino = 1;
	rec.r.mode = 0100600;
	assert_text(event(), PST_FILE_CHMOD_F_mode, "0600");
	make(PST_REC_FILE_CHOWN, "", "/x", "", "");
	rec.r.old_uid = 1;
	rec.r.old_gid = 2;
	rec.r.new_uid = UINT32_MAX;
	rec.r.new_gid = 4;
	e = event();
	assert_int_equal(e->sensor[PST_FILE_CHOWN_F_old_uid].u, 1);
	assert_int_equal(e->sensor[PST_FILE_CHOWN_F_old_gid].u, 2);
	assert_int_equal(e->sensor[PST_FILE_CHOWN_F_new_uid].u, UINT32_MAX);
	assert_int_equal(e->sensor[PST_FILE_CHOWN_F_new_gid].u, 4);
	make(PST_REC_FILE_TRUNCATE, "", "/x", "", "");
	rec.r.old_bytes = 1ull << 40;
	rec.r.bytes = 7;
	e = event();
	assert_int_equal(e->sensor[PST_FILE_TRUNCATE_F_old_bytes].u, 1ull << 40);
	assert_int_equal(e->sensor[PST_FILE_TRUNCATE_F_bytes].u, 7);
	make(PST_REC_FILE_XATTR, "/", "x", "", "user.\xff");
	rec.r.op = PST_FILE_XATTR_REMOVE;
	rec.r.call_flags = 2;
	e = event();
	assert_text(e, PST_FILE_XATTR_F_operation, "remove");
	assert_text(e, PST_FILE_XATTR_F_attribute, "user.\xff");
	assert_int_equal(e->sensor[PST_FILE_XATTR_F_xattr_flags].u, 2);
	rec.r.op = PST_FILE_OPS;
	assert_text(event(), PST_FILE_XATTR_F_operation, "");
}

static void mounts(void **state)
{
	static const struct {
		uint32_t op, flags;
		const char *want;
	} cases[] = {{PST_FILE_MOUNT_OLD, 1, "mount"}, {PST_FILE_MOUNT_OLD, 4096 | 32, "remount"},
		{PST_FILE_MOUNT_OLD, 4096 | 16384, "bind"},
		{PST_FILE_MOUNT_OLD, 1 << 18 | 16384, "propagation"}, {PST_FILE_MOUNT_OLD, 8192, "move"},
		{PST_FILE_MOUNT_MOVE, 4, "move"}, {UINT32_MAX, 0, "mount"}};
	const struct pst_event *e;

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		make(PST_REC_FILE_MOUNT, "", "/mnt", "ext4", "/dev/x");
		rec.r.op = cases[i].op;
		rec.r.call_flags = cases[i].flags;
		e = event();
		assert_text(e, PST_FILE_MOUNT_F_operation, cases[i].want);
		assert_int_equal(e->sensor[PST_FILE_MOUNT_F_mount_flags].u, cases[i].flags);
		assert_text(e, PST_FILE_MOUNT_F_path, "/mnt");
		assert_text(e, PST_FILE_MOUNT_F_source, "/dev/x");
		assert_text(e, PST_FILE_MOUNT_F_fs_type, "ext4");
	}
	make(PST_REC_FILE_UMOUNT, "/", "mnt", "", "");
	rec.r.call_flags = 2;
	e = event();
	assert_text(e, PST_FILE_UMOUNT_F_path, "/mnt");
	assert_int_equal(e->sensor[PST_FILE_UMOUNT_F_umount_flags].u, 2);
	make(PST_REC_FILE_PIVOT_ROOT, "", "/new", "", "/new/old");
	assert_text(event(), PST_FILE_PIVOT_ROOT_F_old_root, "/new/old");
}

/* Lengths that go beyond the record, or beyond what a path can be. */
static void lies(void **state)
{
	(void)state;
	for (uint16_t kind = PST_REC_FILE_UNLINK; kind <= PST_REC_FILE_PIVOT_ROOT; kind++) {
		make(kind, "", "/x", "", "");
		(void)event();
		assert_int_equal(convert_topic(kind), PST_TOPIC_PROC);
		out.len = 0;
		for (int i = 0; i < PST_FILE_PARTS; i++) {
			make(kind, "", "/x", "", "");
			rec.r.len[i] += 7;
			assert_int_equal(convert_record(&convert, &rec.h, rec.h.size, &out), -EBADMSG);
			make(kind, "", "/x", "", "");
			rec.r.len[i] = PST_FILE_PATH_MAX + 1;
			rec.h.size = PST_REC_MAX;
			assert_int_equal(convert_record(&convert, &rec.h, rec.h.size, &out), -EBADMSG);
		}
		rec.h.size = sizeof(rec.r) - 1;
		assert_int_equal(convert_record(&convert, &rec.h, rec.h.size, &out), -EBADMSG);
		assert_int_equal(out.len, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(longest),
		cmocka_unit_test(what_it_is),
		cmocka_unit_test(attributes),
		cmocka_unit_test(mounts),
		cmocka_unit_test(lies),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("collector convert file", tests, NULL, teardown);
}
