// SPDX-License-Identifier: Apache-2.0
/* A kernel module is loaded. Only in the VM, whose modules nobody misses: there is no kernel of one's own on
 * a host. */
#include "bpf/module.skel.h"
#include "tests/bpf/procs.h"

#define MODULE "udp_diag"

/* Where the VM has it (tests/vm/initramfs.sh). */
static bool module_path(char *path, size_t size)
{
	char list[8192], *save = NULL;

	slurp("/vm/modules", list, sizeof(list));
	for (char *line = strtok_r(list, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strstr(line, "/" MODULE ".ko")) {
			snprintf(path, size, "%s", line);
			return true;
		}
	return false;
}

static char path[PATH_MAX];

static void load_module(void *arg)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	(void)arg;
	_exit(fd < 0 || syscall(SYS_finit_module, fd, "", 0) ? 1 : 0);
}

static void test_module(void **state)
{
	struct module_bpf *skel;
	const struct pst_rec_module *r;
	struct reclog recs;
	pid_t pid;

	(void)state;
	if (!module_path(path, sizeof(path)))
		skip_because("no module to spare");
	skel = module_bpf__open_and_load();
	assert_non_null(skel);
	assert_int_equal(module_bpf__attach(skel), 0);
	reclog_open(&recs, bpf_map__fd(skel->maps.ring_process));
	if (syscall(SYS_delete_module, MODULE, O_NONBLOCK))
		assert_int_equal(errno, ENOENT);
	pid = run(load_module, NULL);
	assert_int_equal(reap(pid), 0);
	r = reclog_want(&recs, PST_REC_MODULE, (unsigned)pid);
	assert_int_equal(r->h.size, sizeof(*r));
	assert_string_equal(r->name, MODULE);
	assert_string_equal(r->task.comm, "test_module");
	assert_int_equal(reclog_count(&recs, PST_REC_MODULE, (unsigned)pid), 1);
	reclog_close(&recs);
	module_bpf__destroy(skel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_module)};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
