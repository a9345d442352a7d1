// SPDX-License-Identifier: Apache-2.0
/*
 * bench_frames xdp|socket IF MAC SOURCE SOURCES PORT MS CPU: UDP frames from SOURCES addresses in turn into a
 * veth pair, as fast as it goes, 64 at a time: XDP frames of a test run, as a driver has them, or packets
 * that the stack sends for a packet socket. The other end takes them in the same CPU's softirq, within our
 * own time. Prints a line of JSON. For namespaces of a test alone.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
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

/* What is sent, and how: by the program if there is one, else by the socket. */
struct sender {
	struct frame frame;
	uint32_t ifindex, first, n_sources, ip_sum, next;
	struct bench_frames_bpf *skel;
	int socket;
	struct frame frames[BATCH]; /* of the socket */
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
};

static void open_program(struct sender *s)
{
	s->skel = bench_frames_bpf__open();
	if (!s->skel)
		die("open", errno);
	s->skel->rodata->ifindex = s->ifindex;
	s->skel->rodata->first = s->first;
	s->skel->rodata->n_sources = s->n_sources;
	s->skel->rodata->ip_sum = s->ip_sum;
	if (bench_frames_bpf__load(s->skel))
		die("load", errno);
}

static void open_socket(struct sender *s)
{
	const struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)s->ifindex};

	/* of no protocol: it receives nothing */
	s->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s->socket < 0 || bind(s->socket, (const struct sockaddr *)&to, sizeof(to)))
		die("packet socket", errno);
	for (size_t i = 0; i < BATCH; i++) {
		s->frames[i] = s->frame;
		s->parts[i] = (struct iovec){.iov_base = &s->frames[i], .iov_len = sizeof(s->frames[i])};
		s->messages[i].msg_hdr = (struct msghdr){.msg_iov = &s->parts[i], .msg_iovlen = 1};
	}
}

static void prepare(struct sender *s, char **argv)
{
	struct in_addr source;

	build(&s->frame, argv[3], argv[6]);
	s->ifindex = if_nametoindex(argv[2]);
	s->n_sources = (uint32_t)strtoul(argv[5], NULL, 10);
	if (!s->ifindex || !s->n_sources || inet_pton(AF_INET, argv[4], &source) != 1)
		die(argv[2], EINVAL);
	s->first = ntohl(source.s_addr);
	s->ip_sum = sum_of(&s->frame.ip, sizeof(s->frame.ip));
	if (strcmp(argv[1], "socket"))
		open_program(s);
	else
		open_socket(s);
}

/* Processor time of the process, with the softirqs that interrupted it. */
static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void run_program(struct sender *s, int repeat)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .flags = LIVE_FRAMES, .batch_size = BATCH, .data_in = &s->frame,
		.data_size_in = sizeof(s->frame), .repeat = repeat);
	int e = bpf_prog_test_run_opts(bpf_program__fd(s->skel->progs.send_frame), &opts);

	if (e)
		die("test run", e);
}

/* As the program does it. */
static void next_source(struct sender *s, struct frame *f)
{
	uint32_t source = s->first + s->next, sum = s->ip_sum + (source >> 16) + (source & 0xffff);

	s->next = s->next + 1 < s->n_sources ? s->next + 1 : 0;
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	f->ip.saddr = htonl(source);
	f->ip.check = htons((uint16_t)~sum);
}

static void run_socket(struct sender *s, int repeat)
{
	for (int done = 0; done < repeat; done += BATCH) {
		for (size_t i = 0; i < BATCH; i++)
			next_source(s, &s->frames[i]);
		if (sendmmsg(s->socket, s->messages, BATCH, 0) != BATCH)
			die("send", errno);
	}
}

/* Sends @repeat frames, a multiple of a batch; the CPU's time for it. */
static uint64_t send_frames(struct sender *s, int repeat)
{
	uint64_t start = cpu_ns();

	if (s->skel)
		run_program(s, repeat);
	else
		run_socket(s, repeat);
	return cpu_ns() - start;
}

int main(int argc, char **argv)
{
	uint64_t end, took = 0, timed = 0;
	static struct sender s;
	int step;

	if (argc != 9 || (strcmp(argv[1], "xdp") && strcmp(argv[1], "socket"))) {
		fputs("usage: bench_frames xdp|socket IF MAC SOURCE SOURCES PORT MS CPU\n", stderr);
		return PST_EXIT_USAGE;
	}
	refuse_the_host("bench_frames");
	pin(atoi(argv[8]));
	prepare(&s, argv);
	/* the first ones warm up, and tell how many a step may have */
	step = send_frames(&s, STEP_MIN) > STEP_MIN * SLOW_NS ? STEP_MIN : STEP_MAX;
	end = pst_now_mono_ns() + strtoul(argv[7], NULL, 10) * MS_NS;
	do {
		took += send_frames(&s, step);
		timed += (uint64_t)step;
	} while (timed < 2 * (uint64_t)step || pst_now_mono_ns() < end);
	printf("{\"sent\": %llu, \"timed\": %llu, \"cpu_ns\": %llu}\n", (unsigned long long)timed + STEP_MIN,
		(unsigned long long)timed, (unsigned long long)took);
	bench_frames_bpf__destroy(s.skel);
	return 0;
}
