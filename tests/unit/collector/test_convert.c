// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/convert.h"
#include "proto/abi/guard.h"
#include "proto/base/cleanup.h"

static struct names names;
static struct convert convert = {.names = &names};

static const struct pst_event *to_event(const struct pst_rec *rec, struct pst_buf *out)
{
	static struct pst_event event;
	struct pst_cur cur;

	assert_int_equal(convert_record(&convert, rec, rec->size, out), 0);
	cur = pst_cur(out->p, out->len);
	assert_int_equal(pst_event_decode(&cur, &event), 0);
	assert_ptr_equal(cur.p, cur.end);
	assert_int_equal(event.ts_ns, rec->ts_ns);
	return &event;
}

static struct pst_task task(void)
{
	struct pst_task t = {.start_ns = 11, .cgroup_id = 12, .pid = 13, .tid = 14, .uid = 15, .gid = 16};

	memcpy(t.comm, "sixteen-bytes-co", sizeof(t.comm)); /* no NUL: the whole field */
	return t;
}

static void assert_who(const struct pst_event *e)
{
	assert_int_equal(e->sensor[PST_FORK_F_pid].u, 13);
	assert_int_equal(e->sensor[PST_FORK_F_start_ns].u, 11);
	assert_int_equal(e->sensor[PST_FORK_F_tid].u, 14);
	assert_int_equal(e->sensor[PST_FORK_F_uid].u, 15);
	assert_int_equal(e->sensor[PST_FORK_F_gid].u, 16);
	assert_int_equal(e->sensor[PST_FORK_F_cgroup_id].u, 12);
	assert_int_equal(e->sensor[PST_FORK_F_comm].len, 16);
}

static void assert_bytes(const struct pst_val *v, const char *want, size_t len)
{
	assert_int_equal(v->len, len);
	assert_memory_equal(v->p, want, len);
}

struct exec_rec {
	struct pst_rec_exec r;
	char tail[64];
};

static struct exec_rec exec_rec(void)
{
	struct exec_rec x = {0};

	x.r.h = (struct pst_rec){.kind = PST_REC_EXEC, .flags = PST_EXEC_MEMFD, .ts_ns = 99};
	x.r.task = task();
	x.r.filename_len = 3;
	x.r.path_len = 7;
	x.r.cwd_len = 4;
	x.r.argv_len = 8;
	x.r.argc = 3;
	x.r.ns.time = 77;
	memcpy(x.tail, "cat/bin/cat/tmpcat\0-\0\xff\xfe\x80", 22 + 3);
	x.r.argv_len = 8;
	x.r.h.size = sizeof(x.r) + 24;
	return x;
}

static void test_exec(void **state)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf out = {0};
	struct exec_rec x = exec_rec();
	const struct pst_event *e = to_event(&x.r.h, &out);
	struct pst_cur cur = pst_cur(e->sensor[PST_EXEC_F_argv].p, e->sensor[PST_EXEC_F_argv].len);
	const void *bytes;
	uint32_t len;

	(void)state;
	assert_int_equal(e->kind, PST_KIND_EXEC);
	assert_who(e);
	assert_bytes(&e->sensor[PST_EXEC_F_filename], "cat", 3);
	assert_bytes(&e->sensor[PST_EXEC_F_exe], "/bin/cat" + 0, 7);
	assert_int_equal(e->sensor[PST_EXEC_F_flags].u, PST_EXEC_MEMFD);
	assert_int_equal(e->sensor[PST_EXEC_F_time_ns].u, 77);
	assert_true(pst_list_next(&cur, &bytes, &len));
	assert_true(e->sensor[PST_EXEC_F_argv].n >= 2);
}

/* A tail that is shorter than its lengths say is refused, at every length. */
static void test_exec_cut(void **state)
{
	struct exec_rec x = exec_rec();

	(void)state;
	for (uint32_t size = 0; size < sizeof(x.r) + 22; size++) {
		PST_CLEANUP(pst_buf_done) struct pst_buf out = {0};

		x.r.h.size = size;
		assert_int_equal(convert_record(&convert, &x.r.h, size, &out), -EBADMSG);
		assert_int_equal(out.len, 0);
	}
}

static void test_lies(void **state)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf out = {0};
	struct exec_rec x = exec_rec();

	(void)state;
	x.r.argv_len = 0xffff;
	assert_int_equal(convert_record(&convert, &x.r.h, x.r.h.size, &out), -EBADMSG);
	x = exec_rec();
	x.r.h.kind = 4711;
	assert_int_equal(convert_record(&convert, &x.r.h, x.r.h.size, &out), -EBADMSG);
	x = exec_rec();
	assert_int_equal(convert_record(&convert, &x.r.h, x.r.h.size - 8, &out), -EBADMSG);
}

static struct pst_ends ends4(void)
{
	struct pst_ends e = {.lport = 40000, .rport = 80, .family = AF_INET, .protocol = IPPROTO_TCP};

	memcpy(e.laddr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1", 16);
	memcpy(e.raddr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\2", 16);
	return e;
}

static void test_socket(void **state)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf out = {0};
	struct pst_rec_sock r = {.h = {.kind = PST_REC_TCP_CLOSE, .size = sizeof(r), .ts_ns = 5},
		.task = task(),
		.ends = ends4(),
		.cookie = 9,
		.bytes_sent = 1000,
		.bytes_received = 2000,
		.duration_ns = 3,
		.srtt_us = 4,
		.retransmits = 6,
		.netns = 8};
	const struct pst_event *e = to_event(&r.h, &out);

	(void)state;
	assert_int_equal(e->kind, PST_KIND_CLOSE);
	assert_who(e);
	assert_bytes(&e->sensor[PST_CLOSE_F_raddr], "\x0a\0\0\2", 4);
	assert_int_equal(e->sensor[PST_CLOSE_F_rport].u, 80);
	assert_int_equal(e->sensor[PST_CLOSE_F_bytes_sent].u, 1000);
	assert_int_equal(e->sensor[PST_CLOSE_F_bytes_received].u, 2000);
	assert_int_equal(e->sensor[PST_CLOSE_F_srtt_us].u, 4);
	assert_int_equal(e->sensor[PST_CLOSE_F_retransmits].u, 6);
	assert_int_equal(e->sensor[PST_CLOSE_F_net_ns].u, 8);
}

static void test_drop_names(void **state)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf out = {0};
	struct pst_rec_drop r = {.h = {.kind = PST_REC_DROP, .size = sizeof(r), .ts_ns = 5},
		.ends = ends4(),
		.reason = 3,
		.ifindex = 2,
		.len = 60};
	const struct pst_event *e;

	(void)state;
	names.drop[3] = strdup("NO_SOCKET");
	names.iface[0].ifindex = 2;
	strcpy(names.iface[0].name, "eth0");
	names.n_ifaces = 1;
	e = to_event(&r.h, &out);
	assert_bytes(&e->sensor[PST_DROP_F_reason], "NO_SOCKET", 9);
	assert_bytes(&e->sensor[PST_DROP_F_interface], "eth0", 4);
	out.len = 0;
	r.reason = 70000; /* of a subsystem: shown as a number */
	e = to_event(&r.h, &out);
	assert_bytes(&e->sensor[PST_DROP_F_reason], "0x11170", 7);
	out.len = 0;
	r.reason = 0; /* a kernel without reasons */
	r.netns = 7;
	names.net_ns = 8; /* an interface of the same number, but elsewhere */
	e = to_event(&r.h, &out);
	assert_int_equal(e->sensor[PST_DROP_F_reason].len, 0);
	assert_int_equal(e->sensor[PST_DROP_F_interface].len, 0);
	out.len = 0;
	names.net_ns = 7;
	e = to_event(&r.h, &out);
	assert_bytes(&e->sensor[PST_DROP_F_interface], "eth0", 4);
	names_done(&names);
}

static void test_fw_log(void **state)
{
	PST_CLEANUP(pst_buf_done) struct pst_buf out = {0};
	struct pst_rec_fw_log r = {.h = {.kind = PST_REC_FW_LOG, .size = sizeof(r), .ts_ns = 5},
		.ends = ends4(),
		.rule = 7,
		.ifindex = 2,
		.len = 60,
		.vlan = 77,
		.reason = PST_GUARD_FW_REJECT,
		.hook = PST_FW_HOOK_TC,
		.dir = PST_DIR_IN,
		.tcp_flags = 2,
		.suppressed = 1ull << 40,
		.generation = 3,
		.name = "no telnet"};
	const struct pst_event *e = to_event(&r.h, &out);

	(void)state;
	assert_int_equal(e->kind, PST_KIND_FW_LOG);
	assert_bytes(&e->sensor[PST_FW_LOG_F_fw_rule], "no telnet", 9);
	assert_int_equal(e->sensor[PST_FW_LOG_F_fw_rule_id].u, 7);
	assert_bytes(&e->sensor[PST_FW_LOG_F_verdict], "reject", 6);
	assert_bytes(&e->sensor[PST_FW_LOG_F_reason], "fw_reject", 9);
	assert_bytes(&e->sensor[PST_FW_LOG_F_hook], "tc", 2);
	assert_int_equal(e->sensor[PST_FW_LOG_F_dir].u, PST_DIR_IN);
	assert_bytes(&e->sensor[PST_FW_LOG_F_daddr], "\x0a\0\0\2", 4);
	assert_int_equal(e->sensor[PST_FW_LOG_F_dport].u, 80);
	assert_int_equal(e->sensor[PST_FW_LOG_F_vlan].u, 77);
	assert_int_equal(e->sensor[PST_FW_LOG_F_bytes].u, 60);
	assert_true(e->sensor[PST_FW_LOG_F_not_logged].u == 1ull << 40);
	assert_int_equal(e->sensor[PST_FW_LOG_F_fw_generation].u, 3);
	for (unsigned any = 0; any < 256; any++) { /* a file may say anything */
		out.len = 0;
		memset(r.name, (int)any, sizeof(r.name));
		r.reason = r.hook = r.dir = r.ends.protocol = (uint8_t)any;
		e = to_event(&r.h, &out);
		assert_int_equal(e->sensor[PST_FW_LOG_F_fw_rule].len, any ? 64 : 0);
		assert_int_not_equal(e->sensor[PST_FW_LOG_F_verdict].len, 0);
	}
	assert_int_equal(e->sensor[PST_FW_LOG_F_reason].len, 0);
	for (size_t len = sizeof(struct pst_rec); len < sizeof(r); len++) {
		r.h.size = (uint32_t)len;
		assert_false(convert_check(&r.h, len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_exec_cut),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_drop_names),
		cmocka_unit_test(test_fw_log),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("convert", tests, NULL, NULL);
}
