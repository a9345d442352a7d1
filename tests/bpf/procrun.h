/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of process.bpf.c share: the attached programs, their records, a folder for files. */
#ifndef TESTS_BPF_PROCRUN_H
#define TESTS_BPF_PROCRUN_H

#include "bpf/process.skel.h"
#include "tests/bpf/procs.h"

static struct process_bpf *skel;
static struct reclog recs;
static char base[64]; /* folder for files of the tests */

static inline int setup(void **state)
{
	(void)state;
	if (folder_make(base, sizeof(base)))
		return -1;
	skel = process_bpf__open_and_load();
	if (!skel || process_bpf__attach(skel))
		return -1;
	reclog_open(&recs, bpf_map__fd(skel->maps.ring_process));
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	reclog_close(&recs);
	process_bpf__destroy(skel);
	return folder_remove(base);
}

/* What an exec of a child left; the child is reaped. */
static inline const struct pst_rec_exec *exec_of(void (*fn)(void *), void *arg)
{
	pid_t pid;
	int status;

	reclog_clear(&recs);
	pid = run(fn, arg);
	status = reap(pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return reclog_want(&recs, PST_REC_EXEC, (unsigned int)pid);
}

#endif
