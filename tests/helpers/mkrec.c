// SPDX-License-Identifier: Apache-2.0
/*
 * Makes a recording without a kernel: mkrec COUNT FILE. The mix of a busy server: of 10 records 2 forks, 2
 * execs, 2 exits, and 4 of sockets. Deterministic.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"

#define FIRST_PID 1000
#define PIDS      20000
#define STEP_NS   2000

/* collector/record.h has the layout; a test may not include a stage's header, and this keeps the format
 * honest. */
struct head {
	char magic[8];
	uint32_t order, abi;
	int64_t wall_offset_ns;
	char boot_id[40], hostname[72], kernel[72];
	uint64_t pad[4];
};

static uint64_t now_ns = 1000000000;

static void put(FILE *f, const void *rec, size_t size)
{
	if (fwrite(rec, size, 1, f) != 1) {
		perror("write");
		exit(1);
	}
}

static struct pst_rec rec_head(uint16_t kind, size_t size)
{
	now_ns += STEP_NS;
	return (struct pst_rec){.kind = kind, .size = (uint32_t)size, .ts_ns = now_ns};
}

static struct pst_task task(uint32_t pid, uint64_t start)
{
	struct pst_task t = {
		.start_ns = start, .cgroup_id = 1, .pid = pid, .tid = pid, .uid = 1000, .gid = 1000};

	snprintf(t.comm, sizeof(t.comm), "worker-%u", pid % 100);
	return t;
}

static void fork_rec(FILE *f, uint32_t pid, uint64_t start)
{
	struct pst_rec_fork r = {.h = rec_head(PST_REC_FORK, sizeof(r)),
		.parent = task(1, 1),
		.child_pid = pid,
		.child_start_ns = start,
		.clone_flags = 17,
		.child_cgroup_id = 1};

	put(f, &r, sizeof(r));
}

static void exec_rec(FILE *f, uint32_t pid, uint64_t start)
{
	static const char path[] = "/usr/bin/worker", argv[] = "worker\0--job\0mail\0--verbose";
	struct {
		struct pst_rec_exec r;
		char tail[128];
	} x = {.r = {.task = task(pid, start),
		       .parent_start_ns = 1,
		       .parent_pid = 1,
		       .loginuid = UINT32_MAX,
		       .euid = 1000,
		       .exe_ino = 7,
		       .argc = 4}};
	char *p = x.tail;

	x.r.filename_len = x.r.path_len = sizeof(path) - 1;
	x.r.cwd_len = 5;
	x.r.argv_len = sizeof(argv) - 1;
	p = mempcpy(p, path, sizeof(path) - 1);
	p = mempcpy(p, path, sizeof(path) - 1);
	p = mempcpy(p, "/home", 5);
	p = mempcpy(p, argv, sizeof(argv) - 1);
	x.r.h = rec_head(PST_REC_EXEC, (sizeof(x.r) + (size_t)(p - x.tail) + 7) / 8 * 8);
	put(f, &x, x.r.h.size);
}

static void exit_rec(FILE *f, uint32_t pid, uint64_t start)
{
	struct pst_rec_exit r = {.h = rec_head(PST_REC_EXIT, sizeof(r)),
		.task = task(pid, start),
		.run_ns = 5000000,
		.utime_ns = 1000000,
		.parent_pid = 1};

	put(f, &r, sizeof(r));
}

static void sock_rec(FILE *f, uint16_t kind, uint32_t pid, uint64_t start, uint32_t n)
{
	struct pst_rec_sock r = {.h = rec_head(kind, sizeof(r)),
		.task = task(pid, start),
		.cookie = n,
		.bytes_sent = 512,
		.bytes_received = 20480,
		.duration_ns = 3000000,
		.srtt_us = 120,
		.netns = 4026531840u};

	r.ends = (struct pst_ends){
		.lport = (uint16_t)(1024 + n % 60000), .rport = 443, .family = 2, .protocol = 6};
	memcpy(r.ends.laddr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1", 16);
	memcpy(r.ends.raddr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\1\2", 16);
	put(f, &r, sizeof(r));
}

int main(int argc, char **argv)
{
	struct head head = {.magic = "PSTREC\r\n",
		.order = 0x01020304,
		.abi = PST_ABI_VERSION,
		.boot_id = "00000000-0000-4000-8000-000000000000",
		.hostname = "recorded",
		.kernel = "0"};
	unsigned long count = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	PST_FCLOSE FILE *f = count ? fopen(argv[2], "we") : NULL;

	if (!f) {
		fputs("usage: mkrec COUNT FILE\n", stderr);
		return PST_EXIT_USAGE;
	}
	head.wall_offset_ns = 1700000000000000000;
	put(f, &head, sizeof(head));
	for (unsigned long i = 0; i < count; i += 10) {
		for (unsigned k = 0; k < 2; k++) {
			uint32_t pid = FIRST_PID + (uint32_t)(i / 5 + k) % PIDS;
			uint64_t start = now_ns / 10000000 * 10000000 + pid;

			fork_rec(f, pid, start);
			exec_rec(f, pid, start);
			sock_rec(f, PST_REC_TCP_CONNECT, pid, start, (uint32_t)i + k);
			sock_rec(f, PST_REC_TCP_CLOSE, pid, start, (uint32_t)i + k);
			exit_rec(f, pid, start);
		}
	}
	return fflush(f) ? 1 : 0;
}
