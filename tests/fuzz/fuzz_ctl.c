// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a request: there is always one valid answer; and any bytes as a conversation on the socket. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/log.h"
#include "proto/wire/bus_internal.h"

static struct pst_bus *bus;

static void open_bus(void)
{
	struct pst_bus_config config = {.stage = "pub",
		.run_dir = "/nonexistent",
		.topics = 1u << PST_TOPIC_PROC | 1u << PST_TOPIC_NET,
		.retention_bytes = 1 << 20,
		.ephemeral = true};
	struct pst_loop *loop;

	pst_log_init("fuzz", PST_LOG_TEXT, PST_LOG_ERROR);
	if (pst_loop_new(&loop) < 0 || pst_bus_open(loop, &config, &bus) < 0)
		abort();
	for (int i = 0; i < 20000; i++) {
		pst_mp_raw(pst_bus_put(bus, PST_TOPIC_PROC), "\x92\x01\x02", 3);
		pst_bus_end(bus, PST_TOPIC_PROC, 1);
	}
	pst_bus_flush(bus);
	bus->epoch = 1; /* so that a mutation can hit it */
}

static void as_request(const uint8_t *data, size_t size)
{
	struct pst_buf reply = {0};

	ctl_answer(bus, data, size, &reply);
	if (!ctl_value_valid(reply.p, reply.len) || reply.len > CTL_REPLY_MAX)
		abort();
	pst_buf_done(&reply);
}

static void as_conversation(const uint8_t *data, size_t size, uint16_t own, uint16_t peer)
{
	struct sp sp;
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	sp_init(&sp, fds[0], own, peer, CTL_REQUEST_MAX);
	if (write(fds[1], data, size) < 0)
		abort();
	shutdown(fds[1], SHUT_WR);
	while ((r = sp_read(&sp)) == 1) {
		if (sp.in.len > CTL_REQUEST_MAX)
			abort();
		sp_next(&sp);
	}
	if (r == 0) /* it must see the end */
		abort();
	sp_done(&sp);
	close(fds[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!bus)
		open_bus();
	if (!size || size > 60000)
		return 0;
	switch (data[0] % 3) {
	case 0:
		as_request(data + 1, size - 1);
		break;
	case 1:
		as_conversation(data + 1, size - 1, SP_REP, SP_REQ);
		break;
	case 2:
		as_conversation(data + 1, size - 1, SP_REQ, SP_REP);
		break;
	}
	return 0;
}
