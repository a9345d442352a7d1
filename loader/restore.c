// SPDX-License-Identifier: Apache-2.0
#include "loader/restore.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "loader/fdserver.h"
#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/loop.h"
#include "proto/base/why.h"

#define TIMEOUT_MS 10000

/* ---- server ---- */

const struct restore_request *restore_request(const void *message, uint32_t len)
{
	const struct restore_request *request = message;

	return len == sizeof(*request) && request->magic == RESTORE_MAGIC && request->abi == PST_ABI_VERSION
		       ? request
		       : NULL;
}

static void describe(const struct copies *copies, struct restore_reply *reply)
{
	uint64_t now = pst_now_boot_ns();

	reply->changed = copies->changed;
	for (unsigned i = 0; i < COPIES_MAX && copies->v[i]; i++) {
		const struct pst_guard *g = &copies->v[i]->words;
		struct restore_kept *kept = &reply->kept[reply->n++];

		kept->age_ns = now - copies->v[i]->taken_boot_ns;
		kept->generation[COPIES_FIREWALL] = g->fw_generation;
		kept->generation[COPIES_LISTS] = g->block_generation;
		kept->generation[COPIES_SIGNATURES] = g->sig_generation;
	}
}

static int restore(const struct loader *l, uint32_t which)
{
	uint64_t generations[COPIES_TABLES];
	int r = which == RESTORE_LIST ? 0 : copies_restore(l->copies, &l->pins, which, generations);

	if (!r && which != RESTORE_LIST)
		pst_warn("the guard's tables are those of a copy again copy=%u firewall=%" PRIu64
			 " lists=%" PRIu64 " signatures=%" PRIu64,
			which, generations[COPIES_FIREWALL], generations[COPIES_LISTS],
			generations[COPIES_SIGNATURES]);
	return r;
}

int restore_answer(const struct loader *l, int sock, uid_t uid, const struct restore_request *request)
{
	struct restore_reply reply = {.magic = RESTORE_MAGIC, .abi = PST_ABI_VERSION};
	int r = uid ? -EPERM : !l->copies ? -ENOENT : restore(l, request->which);

	reply.error = (uint32_t)-r;
	if (!r)
		describe(l->copies, &reply);
	return send(sock, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* ---- command ---- */

static int ask(const char *path, uint32_t which, struct restore_reply *ret_reply)
{
	const struct restore_request request = {RESTORE_MAGIC, PST_ABI_VERSION, which};
	PST_CLOSE int sock = pst_why_dial(path);
	struct pollfd p = {.fd = sock, .events = POLLIN};
	struct restore_reply reply;
	ssize_t n;
	int r;

	if (sock < 0)
		return sock == -ENOENT || sock == -ECONNREFUSED ? -ENOTCONN : sock;
	if (send(sock, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return -errno;
	r = poll(&p, 1, TIMEOUT_MS);
	if (r <= 0)
		return r ? -errno : -ETIMEDOUT;
	n = recv(sock, &reply, sizeof(reply), MSG_TRUNC);
	if (n < 0)
		return -errno;
	if ((size_t)n != sizeof(reply) || reply.magic != RESTORE_MAGIC || reply.abi != PST_ABI_VERSION ||
		reply.n > COPIES_MAX)
		return -EPROTO;
	*ret_reply = reply;
	return -(int)PST_MIN(reply.error, 4095u);
}

static const char *why(int r)
{
	switch (-r) {
	case ENOTCONN:
		return "no loader serves here: the copies are kept by penstock-loader serve";
	case ENOENT:
		return "no such copy is kept: one is taken of what has been in force for two seconds";
	case EPERM:
	case EACCES:
		return "only root may";
	case ESTALE:
		return "the tables have another size by now: let policyd write them";
	case EPROTO:
		return "the loader that serves is of another version";
	default:
		return strerror(-r);
	}
}

static void print_table(const char *name, uint64_t generation)
{
	if (generation)
		printf("  %s %" PRIu64, name, generation);
	else
		printf("  %s off", name);
}

static void print(const struct restore_reply *reply)
{
	for (unsigned i = 0; i < reply->n; i++) {
		const struct restore_kept *k = &reply->kept[i];

		printf("%-9s %8.0f s", i ? "previous" : "latest", (double)k->age_ns / 1e9);
		print_table("firewall", k->generation[COPIES_FIREWALL]);
		print_table("lists", k->generation[COPIES_LISTS]);
		print_table("signatures", k->generation[COPIES_SIGNATURES]);
		printf("%s\n", i || !reply->changed ? "" : "  (changed in force since)");
	}
	if (!reply->n)
		puts("no copy is kept yet");
}

int restore_main(const struct loader *l, bool list, bool previous)
{
	PST_FREE char *path = pst_run_path(&l->common, FDS_SOCKET);
	struct restore_reply reply = {0};
	int r = path ? ask(path, list ? RESTORE_LIST : previous, &reply) : -ENOMEM;

	if (r) {
		fprintf(stderr, "penstock-loader restore: %s\n", why(r));
		return r == -EPERM || r == -EACCES ? PST_EXIT_USAGE : PST_EXIT_SYSTEM;
	}
	print(&reply);
	return fflush(stdout) ? PST_EXIT_SYSTEM : PST_EXIT_OK;
}
