// SPDX-License-Identifier: Apache-2.0
/* bench_empty syscall | bench_empty tc INTERFACE | bench_empty drop INTERFACE: attaches a program that does
 * nothing, or drops all at native XDP, says so, and takes it away at the end of its standard input. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "tests/bench/bench_empty.skel.h"

static int attach_syscall(struct bench_empty_bpf *skel)
{
	skel->links.empty_enter = bpf_program__attach(skel->progs.empty_enter);
	return skel->links.empty_enter ? 0 : -errno;
}

/* As a tcx link where the kernel has them, like the flow programs. */
static int attach_tc(struct bench_empty_bpf *skel, unsigned ifindex, bool *ret_clsact)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(skel->progs.empty_tc));
	const int tcx_egress = 47;
	int fd = bpf_link_create(opts.prog_fd, (int)ifindex, (enum bpf_attach_type)tcx_egress, NULL);

	if (fd >= 0)
		return 0; /* until we end */
	*ret_clsact = true;
	bpf_tc_hook_create(&hook);
	return bpf_tc_attach(&hook, &opts);
}

/* Goes with us. */
static int attach_drop(struct bench_empty_bpf *skel, unsigned ifindex)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int fd = bpf_link_create(bpf_program__fd(skel->progs.empty_drop), (int)ifindex, BPF_XDP, &opts);

	return fd < 0 ? fd : 0;
}

int main(int argc, char **argv)
{
	bool tc = argc == 3 && !strcmp(argv[1], "tc"), drop = argc == 3 && !strcmp(argv[1], "drop");
	bool clsact = false;
	unsigned ifindex = tc || drop ? if_nametoindex(argv[2]) : 0;
	struct bench_empty_bpf *skel;
	int r;

	if (!tc && !drop && (argc != 2 || strcmp(argv[1], "syscall"))) {
		fputs("usage: bench_empty syscall | tc INTERFACE | drop INTERFACE\n", stderr);
		return PST_EXIT_USAGE;
	}
	skel = bench_empty_bpf__open_and_load();
	if (!skel || ((tc || drop) && !ifindex)) {
		perror("bench_empty");
		return PST_EXIT_SYSTEM;
	}
	r = tc ? attach_tc(skel, ifindex, &clsact) : drop ? attach_drop(skel, ifindex) : attach_syscall(skel);
	if (!r) {
		puts("attached");
		fflush(stdout);
		while (getchar() != EOF)
			;
	} else {
		fprintf(stderr, "bench_empty: %s\n", strerror(-r));
	}
	if (clsact) {
		LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
			.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
		bpf_tc_hook_destroy(&hook);
	}
	bench_empty_bpf__destroy(skel);
	return r ? PST_EXIT_SYSTEM : 0;
}
