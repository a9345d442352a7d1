// SPDX-License-Identifier: Apache-2.0
#include "loader/why.h"

#include <bpf/bpf.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/abi/maps.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define TRIES 32 /* a real packet of the same CPU, each time in the same microsecond? */

/* Its program, how it is attached. -ENODEV, -ENOTCONN. */
static int find(const struct net *net, const char *name, const struct net_iface **ret_iface)
{
	const struct net_iface *iface = net_find(net, name);
	bool xdp = iface && (iface->guard == NET_XDP || iface->guard == NET_XDP_GENERIC);
	int fd = net->prog[xdp ? NET_GUARD_XDP : NET_GUARD_IN].fd;

	if (!iface)
		return -ENODEV;
	if (iface->guard == NET_NONE || fd < 0)
		return -ENOTCONN;
	*ret_iface = iface;
	return fd;
}

static int run(
	int prog, int map, const void *frame, uint32_t len, uint32_t ifindex, struct pst_why_reply *reply)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len, .repeat = 1);
	const struct pst_guard_why armed = {.armed = 1, .ifindex = ifindex};
	const uint32_t zero = 0;
	int r;

	if (bpf_map_update_elem(map, &zero, &armed, BPF_ANY) < 0)
		return -errno;
	r = bpf_prog_test_run_opts(prog, &opts);
	if (!r)
		r = bpf_map_lookup_elem(map, &zero, &reply->why);
	reply->verdict = opts.retval;
	return r < 0 ? -errno : 0;
}

static int disarm(int map)
{
	const struct pst_guard_why off = {0};
	const uint32_t zero = 0;

	return bpf_map_update_elem(map, &zero, &off, BPF_ANY) < 0 ? -errno : 0;
}

static int trial(const struct loader *l, const char *name, const void *frame, uint32_t len,
	struct pst_why_reply *reply)
{
	const struct net_iface *iface = NULL;
	int prog = find(&l->net, name, &iface), r = -EAGAIN;
	PST_CLOSE int map = prog < 0 ? -1 : pins_get(&l->pins, PIN_MAPS, PST_MAP_GUARD_WHY);

	if (prog < 0 || map < 0)
		return prog < 0 ? prog : map;
	snprintf(reply->mode, sizeof(reply->mode), "%s", net_mode_name(iface->guard));
	for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
		r = run(prog, map, frame, len, (uint32_t)iface->ifindex, reply);
		if (!r && reply->why.state != PST_GUARD_WHY_DONE)
			r = -EAGAIN;
	}
	if (disarm(map) < 0)
		pst_warn_limited("cannot disarm the guard's trial");
	return r;
}

int why_answer(const struct loader *l, int sock, uid_t uid, const struct pst_why_request *request,
	uint32_t frame_bytes)
{
	struct pst_why_reply reply = {.magic = PST_WHY_MAGIC, .abi = PST_ABI_VERSION};
	int r = uid ? -EPERM : trial(l, request->interface, request + 1, frame_bytes, &reply);

	reply.error = (uint32_t)-r;
	return send(sock, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
