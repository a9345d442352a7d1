// SPDX-License-Identifier: Apache-2.0
/* Records of single calls to events: names of numbers, numbers without one, and records that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/unit/collector/convert_test.h"

static void names_without_an_end(void **state)
{
	struct pst_rec_module m = {HEAD(pst_rec_module, PST_REC_MODULE), .taints = 0x1000};
	struct pst_rec_memfd f = {HEAD(pst_rec_memfd, PST_REC_MEMFD), .error = 22, .flags = 3};
	const struct pst_event *e;

	(void)state;
	memset(m.name, 'm', sizeof(m.name));
	e = to_event(&m);
	assert_int_equal(e->kind, PST_KIND_MODULE);
	assert_int_equal(e->sensor[PST_MODULE_F_module].len, sizeof(m.name));
	assert_int_equal(e->sensor[PST_MODULE_F_taints].u, 0x1000);
	memset(f.name, 'f', sizeof(f.name));
	e = to_event(&f);
	assert_int_equal(e->sensor[PST_MEMFD_F_name].len, sizeof(f.name));
	assert_int_equal(e->sensor[PST_MEMFD_F_error].u, 22);
	assert_int_equal(e->sensor[PST_MEMFD_F_memfd_flags].u, 3);
}

static void numbers_with_and_without_a_name(void **state)
{
	struct pst_rec_bpf b = {HEAD(pst_rec_bpf, PST_REC_BPF), .prog_type = 6, .insns = 9, .name = "prog"};
	struct pst_rec_perf p = {HEAD(pst_rec_perf, PST_REC_PERF), .type = 1, .given_pid = -1, .cpu = -1};
	const struct pst_event *e;

	(void)state;
	e = to_event(&b);
	assert_text(e, PST_BPF_F_prog_type, "xdp");
	assert_text(e, PST_BPF_F_prog_name, "prog");
	assert_int_equal(e->sensor[PST_BPF_F_instructions].u, 9);
	b.prog_type = UINT32_MAX;
	b.error = INT32_MIN; /* no errno */
	e = to_event(&b);
	assert_text(e, PST_BPF_F_prog_type, "4294967295");
	assert_int_equal(e->sensor[PST_BPF_F_error].u, 0);
	e = to_event(&p);
	assert_text(e, PST_PERF_F_perf_type, "software");
	assert_int_equal(e->sensor[PST_PERF_F_given_pid].i, -1);
	p.type = 6;
	assert_text(to_event(&p), PST_PERF_F_perf_type, "6");
}

static void whom_it_was_done_to(void **state)
{
	const struct pst_task target = {
		.pid = 21, .tid = 22, .start_ns = 23, .uid = 24, .cgroup_id = 25, .comm = "sixteen-bytes-c"};
	struct pst_rec_ptrace t = {HEAD(pst_rec_ptrace, PST_REC_PTRACE), .target = target,
		.op = PST_PTRACE_SEIZE, .error = 1, .given_pid = 5};
	struct pst_rec_signal s = {HEAD(pst_rec_signal, PST_REC_SIGNAL), .target = target, .sig = 9,
		.code = -6, .result = 2, .group = 1};
	struct pst_rec_proc_mem m = {
		HEAD(pst_rec_proc_mem, PST_REC_PROC_MEM), .target = target, .readable = 77};
	const struct pst_event *e;

	(void)state;
	e = to_event(&t);
	assert_text(e, PST_PTRACE_F_operation, "seize");
	assert_int_equal(e->sensor[PST_PTRACE_F_error].u, 1);
	assert_int_equal(e->sensor[PST_PTRACE_F_target_pid].u, 21);
	assert_int_equal(e->sensor[PST_PTRACE_F_target_start_ns].u, 23);
	assert_text(e, PST_PTRACE_F_target_comm, "sixteen-bytes-c");
	assert_int_equal(e->sensor[PST_PTRACE_F_given_pid].u, 5);
	t.op = PST_PTRACE_OPS;
	assert_text(to_event(&t), PST_PTRACE_F_operation, "5");
	e = to_event(&s);
	assert_int_equal(e->sensor[PST_SIGNAL_F_signal].u, 9);
	assert_text(e, PST_SIGNAL_F_result, "pending");
	assert_int_equal(e->sensor[PST_SIGNAL_F_target_uid].u, 24);
	assert_int_equal(e->sensor[PST_SIGNAL_F_target_cgroup_id].u, 25);
	assert_int_equal(e->sensor[PST_SIGNAL_F_si_code].i, -6);
	e = to_event(&m);
	assert_int_equal(e->sensor[PST_PROC_MEM_F_target_tid].u, 22);
	assert_int_equal(e->sensor[PST_PROC_MEM_F_readable].u, 1);
}

static void memory_and_namespaces(void **state)
{
	struct pst_rec_exec_memory x = {HEAD(pst_rec_exec_memory, PST_REC_EXEC_MEMORY), .address = 1ull << 47,
		.bytes = 4096, .call = PST_EXEC_MPROTECT, .prot = 5, .old_prot = 3,
		.mapping = PST_MAPPING_ANONYMOUS};
	struct pst_rec_namespace n = {HEAD(pst_rec_namespace, PST_REC_NAMESPACE), .call = PST_NS_SETNS,
		.ns = {.mnt = 1, .pid = 2, .net = 3, .user = 4, .uts = 5, .ipc = 6, .cgroup = 7, .time = 8}};
	const struct pst_event *e;

	(void)state;
	e = to_event(&x);
	assert_text(e, PST_EXEC_MEMORY_F_operation, "mprotect");
	assert_text(e, PST_EXEC_MEMORY_F_prot, "r-x");
	assert_text(e, PST_EXEC_MEMORY_F_old_prot, "rw-");
	assert_text(e, PST_EXEC_MEMORY_F_mapping, "anonymous");
	x.old_prot = 0;
	x.prot = UINT32_MAX;
	e = to_event(&x);
	assert_text(e, PST_EXEC_MEMORY_F_old_prot, "");
	assert_text(e, PST_EXEC_MEMORY_F_prot, "rwx");
	e = to_event(&n);
	assert_text(e, PST_NAMESPACE_F_operation, "setns");
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(e->sensor[PST_NAMESPACE_F_mnt_ns + i].u, i + 1);
}

/* One byte less than the struct, or a size that is not the record's: refused, and nothing is written. */
static void capabilities(void **state)
{
	struct pst_rec_capability r = {HEAD(pst_rec_capability, PST_REC_CAPABILITY), .checks = 5,
		.capability = 13, .flags = PST_CAP_GRANTED | PST_CAP_INIT_NS, .user_ns = 0xeffffffd};
	const struct pst_event *e = to_event(&r);

	(void)state;
	assert_text(e, PST_CAPABILITY_F_capability, "CAP_NET_RAW");
	assert_int_equal(e->sensor[PST_CAPABILITY_F_capability_number].u, 13);
	assert_text(e, PST_CAPABILITY_F_result, "granted");
	assert_text(e, PST_CAPABILITY_F_audited, "yes");
	assert_int_equal(e->sensor[PST_CAPABILITY_F_init_user_ns].u, 1);
	assert_int_equal(e->sensor[PST_CAPABILITY_F_user_ns].u, 0xeffffffd);
	assert_int_equal(e->sensor[PST_CAPABILITY_F_checks].u, 5);
	r.capability = 0xffffffff;
	r.flags = PST_CAP_NOAUDIT;
	e = to_event(&r);
	assert_text(e, PST_CAPABILITY_F_capability, "4294967295");
	assert_text(e, PST_CAPABILITY_F_result, "refused");
	assert_text(e, PST_CAPABILITY_F_audited, "no");
	assert_int_equal(e->sensor[PST_CAPABILITY_F_init_user_ns].u, 0);
	r.flags = 0xffffffff;
	assert_text(to_event(&r), PST_CAPABILITY_F_audited, "unknown");
}

static void too_short(void **state)
{
	static const struct {
		uint16_t kind;
		uint32_t size;
	} kinds[] = {{PST_REC_MODULE, sizeof(struct pst_rec_module)},
		{PST_REC_BPF, sizeof(struct pst_rec_bpf)}, {PST_REC_PTRACE, sizeof(struct pst_rec_ptrace)},
		{PST_REC_SIGNAL, sizeof(struct pst_rec_signal)},
		{PST_REC_NAMESPACE, sizeof(struct pst_rec_namespace)},
		{PST_REC_MEMFD, sizeof(struct pst_rec_memfd)},
		{PST_REC_EXEC_MEMORY, sizeof(struct pst_rec_exec_memory)},
		{PST_REC_PERF, sizeof(struct pst_rec_perf)},
		{PST_REC_PROC_MEM, sizeof(struct pst_rec_proc_mem)},
		{PST_REC_CAPABILITY, sizeof(struct pst_rec_capability)}};
	union {
		struct pst_rec h;
		char bytes[512];
	} rec = {0};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(kinds); i++) {
		out.len = 0;
		rec.h = (struct pst_rec){.kind = kinds[i].kind, .size = kinds[i].size - 1};
		assert_int_equal(convert_record(&convert, &rec.h, rec.h.size, &out), -EBADMSG);
		rec.h.size = kinds[i].size;
		assert_int_equal(convert_record(&convert, &rec.h, rec.h.size - 1, &out), -EBADMSG);
		assert_int_equal(out.len, 0);
		assert_int_equal(convert_record(&convert, &rec.h, rec.h.size, &out), 0);
		assert_int_equal(convert_topic(kinds[i].kind), PST_TOPIC_PROC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_without_an_end),
		cmocka_unit_test(numbers_with_and_without_a_name),
		cmocka_unit_test(whom_it_was_done_to),
		cmocka_unit_test(memory_and_namespaces),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(too_short),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("collector convert call", tests, NULL, teardown);
}
