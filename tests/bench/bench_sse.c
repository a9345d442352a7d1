// SPDX-License-Identifier: Apache-2.0
/*
 * bench_sse PORT QUERY SECONDS: follows /api/v1/events as a browser would. Prints "ready" when the answer has
 * begun; then, when the time is over or as many events came as the third argument says: count, p50, p99, max
 * of now - ts_ns in milliseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/loop.h"

#define EVENTS_MAX (4u << 20)
#define BUFFER     (1u << 20)

static uint64_t *latency;
static unsigned n;
static char buffer[BUFFER + 1];

static int die(const char *what)
{
	fprintf(stderr, "bench_sse: %s: %s\n", what, strerror(errno));
	exit(PST_EXIT_SYSTEM);
}

static int dial(const char *port, const char *query)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	dprintf(fd, "GET /api/v1/events?%s HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
		query);
	return fd;
}

static void take_line(const char *line, uint64_t now)
{
	const char *ts = strncmp(line, "data:", 5) ? NULL : strstr(line, "\"ts_ns\":");

	if (ts && n < EVENTS_MAX)
		latency[n++] = now - strtoull(ts + 8, NULL, 10);
}

/* Whole lines; the rest stays at the front of the buffer. HTTP/1.0 has no chunks that could cut one in two.
 */
static size_t take(size_t len, uint64_t now)
{
	char *at = buffer, *end;

	buffer[len] = '\0';
	while ((end = memchr(at, '\n', len - (size_t)(at - buffer)))) {
		*end = '\0';
		take_line(at, now);
		at = end + 1;
	}
	len -= (size_t)(at - buffer);
	memmove(buffer, at, len);
	if (len == BUFFER)
		die("line too long");
	return len;
}

static int order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double at(double share)
{
	return n ? (double)latency[(unsigned)(share * (n - 1) + 0.5)] / 1e6 : 0;
}

int main(int argc, char **argv)
{
	uint64_t end;
	size_t len = 0;
	bool ready = false;
	unsigned want = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : EVENTS_MAX;

	if (argc < 4) {
		fputs("usage: bench_sse PORT QUERY SECONDS [EVENTS]\n", stderr);
		return PST_EXIT_USAGE;
	}
	latency = calloc(EVENTS_MAX, sizeof(*latency));
	if (!latency)
		return PST_EXIT_SYSTEM;
	struct pollfd p = {.fd = dial(argv[1], argv[2]), .events = POLLIN};
	end = pst_now_mono_ns() + (uint64_t)(strtod(argv[3], NULL) * 1e9);
	while (pst_now_mono_ns() < end && n < want) {
		ssize_t got;

		if (poll(&p, 1, 50) <= 0)
			continue;
		got = read(p.fd, buffer + len, BUFFER - len);
		if (got <= 0)
			die("the stream ended");
		if (!ready) {
			ready = true;
			puts("ready");
			fflush(stdout);
		}
		len = take(len + (size_t)got, pst_now_boot_ns());
	}
	qsort(latency, n, sizeof(*latency), order);
	printf("%u %.3f %.3f %.3f\n", n, at(0.5), at(0.99), at(1));
	return 0;
}
