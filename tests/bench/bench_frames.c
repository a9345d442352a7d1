// SPDX-License-Identifier: Apache-2.0
/*
 * bench_frames IF MAC SOURCE SOURCES PORT MS CPU: UDP frames from SOURCES addresses in turn into a veth pair,
 * as fast as it goes: XDP frames of a test run, 64 at a time, as a driver has them. The other end takes them
 * in the same CPU's softirq, within our own time. Prints a line of JSON. For namespaces of a test alone.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/base/cleanup.h"
#include "proto/base/loop.h"
#include "tests/bench/bench_frames.skel.h"
#include "tests/helpers/own_netns.h"

#define LIVE_FRAMES (1u << 1) /* BPF_F_TEST_XDP_LIVE_FRAMES, of Linux 5.18 */
#define BATCH       64
#define STEP_MIN    2048
#define STEP_MAX    131072 /* each test run waits for others to be done with its program */
#define PAYLOAD     18     /* frames of 60 bytes */
#define SLOW_NS     10000  /* a packet */
#define MS_NS       1000000ull

struct frame {
	struct ether_header eth;
	struct iphdr ip;
	struct udphdr udp;
	uint8_t payload[PAYLOAD];
} __attribute__((packed));

static void die(const char *what, int error)
{
	fprintf(stderr, "bench_frames: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(PST_EXIT_SYSTEM);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("CPU", errno);
}

static void build(struct frame *f, const char *mac, const char *port)
{
	uint8_t *to = f->eth.ether_dhost;

	memset(f, 0, sizeof(*f));
	if (sscanf(mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &to[0], &to[1], &to[2], &to[3], &to[4],
		    &to[5]) != 6)
		die(mac, EINVAL);
	f->eth.ether_shost[0] = 2;
	f->eth.ether_type = htons(ETHERTYPE_IP);
	f->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
	f->ip.tot_len = htons(sizeof(*f) - sizeof(f->eth));
	f->ip.daddr = htonl(0x0a4e0001);
	f->udp.dest = htons((uint16_t)atoi(port));
	f->udp.source = htons(1024);
	f->udp.len = htons(sizeof(f->udp) + PAYLOAD);
}

static uint32_t sum_of(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return sum;
}

static struct bench_frames_bpf *load(const struct frame *f, char **argv)
{
	struct bench_frames_bpf *skel = bench_frames_bpf__open();
	struct in_addr source;

	if (!skel || inet_pton(AF_INET, argv[3], &source) != 1)
		die("open", EINVAL);
	skel->rodata->ifindex = if_nametoindex(argv[1]);
	skel->rodata->first = ntohl(source.s_addr);
	skel->rodata->n_sources = (uint32_t)strtoul(argv[4], NULL, 10);
	skel->rodata->ip_sum = sum_of(&f->ip, sizeof(f->ip));
	if (!skel->rodata->ifindex || bench_frames_bpf__load(skel))
		die(argv[1], errno);
	return skel;
}

/* Processor time of the process, with the softirqs that interrupted it. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Sends @repeat frames; the CPU's time for it. */
static uint64_t send_frames(const struct bench_frames_bpf *skel, struct frame *f, int repeat)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .flags = LIVE_FRAMES, .batch_size = BATCH, .data_in = f,
		.data_size_in = sizeof(*f), .repeat = repeat);
	uint64_t start = cpu_ns();
	int e = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.send_frame), &opts);

	if (e)
		die("test run", e);
	return cpu_ns() - start;
}

int main(int argc, char **argv)
{
	uint64_t end, took = 0, timed = 0;
	struct bench_frames_bpf *skel;
	struct frame f;
	int step;

	if (argc != 8) {
		fputs("usage: bench_frames IF MAC SOURCE SOURCES PORT MS CPU\n", stderr);
		return PST_EXIT_USAGE;
	}
	refuse_the_host("bench_frames");
	pin(atoi(argv[7]));
	build(&f, argv[2], argv[5]);
	skel = load(&f, argv);
	/* the first ones warm up, and tell how many a step may have */
	step = send_frames(skel, &f, STEP_MIN) > STEP_MIN * SLOW_NS ? STEP_MIN : STEP_MAX;
	end = pst_now_mono_ns() + strtoul(argv[6], NULL, 10) * MS_NS;
	do {
		took += send_frames(skel, &f, step);
		timed += (uint64_t)step;
	} while (timed < 2 * (uint64_t)step || pst_now_mono_ns() < end);
	printf("{\"sent\": %llu, \"timed\": %llu, \"cpu_ns\": %llu}\n", (unsigned long long)timed + STEP_MIN,
		(unsigned long long)timed, (unsigned long long)took);
	bench_frames_bpf__destroy(skel);
	return 0;
}
