// SPDX-License-Identifier: Apache-2.0
/*
 * A flood from forged sources, as raw frames into an interface; `flood --help` has its options. Prints one
 * line of JSON. Source n is the first address + n; of IPv6 each is in a /64 of its own, as n is added to the
 * second word of the address. A source sends from another port each time its turn comes.
 *
 * Only for namespaces that a test made: it refuses to run where process 1 lives.
 *
 * Sent by sendmmsg() past the queueing discipline. A mapped ring (PACKET_TX_RING) would not do: its frames'
 * payload lies in shared pages, which every XDP program on a veth has copied once more.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "proto/base/args.h"
#include "proto/base/cleanup.h"
#include "proto/base/loop.h"
#include "tests/helpers/flood_frame.h"
#include "tests/helpers/own_netns.h"

#define BATCH        64
#define PAYLOAD_MAX  1400
#define SOURCES_MAX  (1u << 24)
#define SNDBUF       (8 << 20)
#define NS           1000000000ull
#define LATE_NS      (10 * NS / 1000) /* who was held up for longer does not make up for it */
#define RATE_MAX     1000000000ull
#define BATCH_EACH_S 1000 /* of a paced flood */

static struct frame frames[BATCH];
static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

static void die(const char *what, int error)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(error));
	exit(PST_EXIT_SYSTEM);
}

static void bad(const char *option, const char *text)
{
	fprintf(stderr, "flood: --%s: not understood, or out of range: %s\n", option,
		text ? text : "missing");
	exit(PST_EXIT_USAGE);
}

/* ---- options ---- */

static void read_kind(struct flood *f)
{
	int i = 0;

	while (i < KINDS && strcmp(f->kind_text, kinds[i].name))
		i++;
	if (i == KINDS)
		bad("kind", f->kind_text);
	f->kind = (enum kind)i;
}

static void read_ports(struct flood *f)
{
	unsigned first, last;
	char end;
	int n = sscanf(f->ports_text, "%5u-%5u%c", &first, &last, &end);

	if (n == 1 && !strchr(f->ports_text, '-'))
		last = first;
	else if (n != 2)
		bad("port", f->ports_text);
	if (last < first || last > 65535)
		bad("port", f->ports_text);
	f->port = (uint16_t)first;
	f->n_ports = (uint16_t)PST_MIN(last - first + 1, 65535u);
}

static void read_addresses(struct flood *f)
{
	int af = strchr(f->source_text, ':') ? AF_INET6 : AF_INET;

	f->is_ip6 = af == AF_INET6;
	if (inet_pton(af, f->source_text, f->source) != 1)
		bad("source", f->source_text);
	if (inet_pton(af, f->dest_text, f->dest) != 1)
		bad("destination", f->dest_text);
	if (sscanf(f->mac_text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &f->mac[0], &f->mac[1], &f->mac[2],
		    &f->mac[3], &f->mac[4], &f->mac[5]) != ETH_ALEN)
		bad("mac", f->mac_text);
}

static void read_options(struct flood *f, int argc, char **argv)
{
	const struct pst_arg options[] = {
		{"interface", 'i', PST_ARG_STR, &f->interface, "IF", "where the frames go out"},
		{"mac", 'm', PST_ARG_STR, &f->mac_text, "MAC", "of the next hop"},
		{"kind", 'k', PST_ARG_STR, &f->kind_text, "KIND", "syn, ack, udp or icmp"},
		{"source", 's', PST_ARG_STR, &f->source_text, "ADDRESS", "the first source"},
		{"sources", 'n', PST_ARG_U64, &f->sources, "N", "how many, in turn (1)"},
		{"destination", 'd', PST_ARG_STR, &f->dest_text, "ADDRESS", "whom they go to"},
		{"port", 'p', PST_ARG_STR, &f->ports_text, "PORT[-LAST]",
			"destination port, or ports in turn"},
		{"payload", 'l', PST_ARG_U64, &f->payload, "BYTES", "behind the header (0)"},
		{"rate", 'r', PST_ARG_U64, &f->rate, "N", "packets a second (0: as fast as it goes)"},
		{"for", 't', PST_ARG_TIME, &f->duration_ns, "TIME", "ends after it"},
		{"packets", 'c', PST_ARG_U64, &f->packets, "N", "ends after so many"},
		{"cpu", 'u', PST_ARG_U64, &f->cpu, "N", "runs on this CPU alone"},
		{0},
	};
	const struct pst_args args = {
		.program = "flood", .summary = "raw frames from forged sources", .options = options};
	int n = pst_args_parse(&args, argc, argv);

	if (n)
		exit(n == -ECANCELED ? PST_EXIT_OK : PST_EXIT_USAGE);
	for (const struct pst_arg *o = options; o->name; o++)
		if (o->type == PST_ARG_STR && !*(const char **)o->target)
			bad(o->name, NULL);
	read_kind(f);
	read_ports(f);
	read_addresses(f);
	if (!f->sources || f->sources > SOURCES_MAX)
		bad("sources", "1..16777216");
	if (f->payload > PAYLOAD_MAX || f->rate > RATE_MAX || (!f->packets && !f->duration_ns))
		bad("payload, --rate, --packets or --for", "1400 bytes; an end has to be given");
}

/* ---- where it runs ---- */

static void pin(uint64_t cpu)
{
	cpu_set_t set;

	if (cpu == UINT64_MAX)
		return;
	CPU_ZERO(&set);
	if (cpu < CPU_SETSIZE)
		CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("--cpu", errno);
}

static int open_socket(struct flood *f)
{
	PST_CLOSE int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sockaddr_ll to = {.sll_family = AF_PACKET};
	struct ifreq ifr = {0};
	int one = 1, size = SNDBUF;

	if (fd < 0)
		die("socket", errno);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", f->interface);
	if (ioctl(fd, SIOCGIFHWADDR, &ifr))
		die(f->interface, errno);
	memcpy(f->own_mac, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	to.sll_ifindex = (int)if_nametoindex(f->interface);
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)))
		die(f->interface, errno);
	if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)))
		die("PACKET_QDISC_BYPASS", errno);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		die("SO_SNDBUFFORCE", errno);
	return PST_TAKE_FD(fd);
}

/* ---- sending ---- */

/* What the interface refuses is counted and not tried again. */
static void send_batch(struct flood *f, int fd, struct mmsghdr *messages, unsigned n)
{
	unsigned done = 0;

	for (unsigned i = 0; i < n; i++)
		fill(f, &frames[i], f->next++);
	while (done < n) {
		int r = sendmmsg(fd, messages + done, n - done, 0);

		if (r > 0) {
			done += (unsigned)r;
			f->sent += (unsigned)r;
		} else if (errno == ENOBUFS || errno == EAGAIN) {
			done++;
			f->refused++;
		} else if (errno != EINTR) {
			die("sendmmsg", errno);
		} else if (stopped) {
			return;
		}
	}
}

/* Waits until the next batch is due. @start moves on when it is late. */
static void pace(const struct flood *f, uint64_t *start)
{
	uint64_t due = *start + f->next / f->rate * NS + f->next % f->rate * NS / f->rate,
		 now = pst_now_mono_ns();
	struct timespec at = {.tv_sec = (time_t)(due / NS), .tv_nsec = (long)(due % NS)};

	if (now < due)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	else if (now > due + LATE_NS)
		*start += now - due;
}

static uint64_t run(struct flood *f, int fd)
{
	struct mmsghdr messages[BATCH] = {0};
	struct iovec parts[BATCH];
	uint64_t start, paced, now, step = BATCH;

	for (int i = 0; i < BATCH; i++) {
		build(f, &frames[i]);
		parts[i] = (struct iovec){.iov_base = frames[i].bytes, .iov_len = frames[i].len};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	}
	if (f->rate)
		step = PST_MIN(BATCH, PST_MAX(1, f->rate / BATCH_EACH_S));
	start = paced = now = pst_now_mono_ns();
	while (!stopped && (!f->duration_ns || now - start < f->duration_ns)) {
		uint64_t n = f->packets ? PST_MIN(step, f->packets - f->next) : step;

		if (!n)
			break;
		if (f->rate)
			pace(f, &paced);
		send_batch(f, fd, messages, (unsigned)n);
		now = pst_now_mono_ns();
	}
	return now - start;
}

int main(int argc, char **argv)
{
	struct flood f = {.sources = 1, .cpu = UINT64_MAX, .ports_text = "9"};
	struct sigaction action = {.sa_handler = on_signal};
	PST_CLOSE int fd = -1;
	struct timespec cpu;
	uint64_t took;

	read_options(&f, argc, argv);
	refuse_the_host("flood");
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	pin(f.cpu);
	fd = open_socket(&f);
	took = run(&f, fd);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	printf("{\"sent\": %llu, \"refused\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
		(unsigned long long)f.sent, (unsigned long long)f.refused, (double)took / NS,
		(double)cpu.tv_sec + (double)cpu.tv_nsec / NS);
	return 0;
}
