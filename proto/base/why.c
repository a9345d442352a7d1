// SPDX-License-Identifier: Apache-2.0
#include "proto/base/why.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"

int pst_why_dial(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	PST_CLOSE int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	return peer.uid ? -EPERM : PST_TAKE_FD(sock);
}

static int receive(int sock, int timeout_ms, struct pst_why_reply *ret_reply)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	struct pst_why_reply reply;
	ssize_t n;
	int r = poll(&p, 1, timeout_ms);

	if (r <= 0)
		return r ? -errno : -ETIMEDOUT;
	n = recv(sock, &reply, sizeof(reply), MSG_TRUNC);
	if (n < 0)
		return -errno;
	/* one that does not know the question closes without a word */
	if ((size_t)n != sizeof(reply) || reply.magic != PST_WHY_MAGIC || reply.abi != PST_ABI_VERSION ||
		!memchr(reply.mode, 0, sizeof(reply.mode)))
		return -EPROTO;
	if (reply.error)
		return -(int)PST_MIN(reply.error, 4095u);
	*ret_reply = reply;
	return 0;
}

int pst_why_ask(const char *socket_path, int timeout_ms, const char *interface, const void *frame,
	uint32_t len, struct pst_why_reply *ret_reply)
{
	unsigned char message[sizeof(struct pst_why_request) + PST_WHY_FRAME_MAX];
	struct pst_why_request request = {.magic = PST_WHY_MAGIC, .abi = PST_ABI_VERSION};

	if (len < PST_WHY_FRAME_MIN || len > PST_WHY_FRAME_MAX)
		return -EMSGSIZE;
	if (strlen(interface) >= sizeof(request.interface))
		return -ENODEV;
	memcpy(request.interface, interface, strlen(interface) + 1);
	PST_CLOSE int sock = pst_why_dial(socket_path);
	if (sock < 0)
		return sock;
	memcpy(message, &request, sizeof(request));
	memcpy(message + sizeof(request), frame, len);
	if (send(sock, message, sizeof(request) + len, MSG_NOSIGNAL) < 0)
		return -errno;
	return receive(sock, timeout_ms, ret_reply);
}

const struct pst_why_request *pst_why_request(const void *message, uint32_t len, uint32_t *ret_len)
{
	const struct pst_why_request *request = message;

	if (len < sizeof(*request) + PST_WHY_FRAME_MIN || len > sizeof(*request) + PST_WHY_FRAME_MAX ||
		request->magic != PST_WHY_MAGIC || request->abi != PST_ABI_VERSION ||
		!memchr(request->interface, 0, sizeof(request->interface)))
		return NULL;
	*ret_len = len - (uint32_t)sizeof(*request);
	return request;
}
