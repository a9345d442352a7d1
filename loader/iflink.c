// SPDX-License-Identifier: Apache-2.0
#include "loader/iflink.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <string.h>

#include "loader/feature.h"
#include "proto/base/cleanup.h"

/* Newer than the headers of Debian 12. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS  47
#define LINK_BEFORE        (1u << 3) /* BPF_F_BEFORE: at the head of the chain */

static const char *const pin_heads[HOOK_MAX] = {"tcx_in_", "tcx_out_", "xdp_", "guard_in_", "guard_out_"};

static const char *pin_name(enum hook hook, int ifindex, char buf[PIN_NAME_MAX])
{
	snprintf(buf, PIN_NAME_MAX, "%s%d", pin_heads[hook], ifindex);
	return buf;
}

bool iflink_is_pin(const char *name, int *ret_ifindex)
{
	for (int h = 0; h < HOOK_MAX; h++) {
		size_t n = strlen(pin_heads[h]);
		char *end;

		if (strncmp(name, pin_heads[h], n))
			continue;
		long ifindex = strtol(name + n, &end, 10);
		if (end == name + n || *end || ifindex <= 0 || ifindex > INT32_MAX)
			return false;
		if (ret_ifindex)
			*ret_ifindex = (int)ifindex;
		return true;
	}
	return false;
}

/* A link whose device is gone has ifindex 0. */
static int link_info(int fd, uint32_t *ret_ifindex, uint32_t *ret_prog)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	*ret_ifindex = info.xdp.ifindex; /* tcx has it in the same place */
	*ret_prog = info.prog_id;
	return 0;
}

int iflink_tcx(int prog, int ifindex, bool out, bool first)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = first ? LINK_BEFORE : 0);
	int fd = bpf_link_create(
		prog, ifindex, (enum bpf_attach_type)(out ? ATTACH_TCX_EGRESS : ATTACH_TCX_INGRESS), &opts);

	return fd < 0 ? -errno : fd;
}

int iflink_xdp(int prog, int ifindex, bool generic)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	int fd = bpf_link_create(prog, ifindex, BPF_XDP, &opts);

	return fd < 0 ? -errno : fd;
}

void iflink_detach(const struct pins *pins, enum hook hook, int ifindex)
{
	char name[PIN_NAME_MAX];

	pin_name(hook, ifindex, name);
	if (pins_exists(pins, PIN_LINKS, name))
		pins_remove(pins, PIN_LINKS, name);
}

bool iflink_there(const struct pins *pins, enum hook hook, int ifindex)
{
	char name[PIN_NAME_MAX];
	PST_CLOSE int fd = pins_get(pins, PIN_LINKS, pin_name(hook, ifindex, name));
	uint32_t at = 0, id = 0;
	int r = fd < 0 ? fd : link_info(fd, &at, &id);

	return r ? feature_passing(r) : at == (uint32_t)ifindex;
}

int iflink_keep(const struct pins *pins, enum hook hook, int ifindex, const struct net_prog *prog)
{
	char name[PIN_NAME_MAX];
	PST_CLOSE int fd = pins_get(pins, PIN_LINKS, pin_name(hook, ifindex, name));
	uint32_t at = 0, id = 0;

	int r = fd < 0 ? fd : link_info(fd, &at, &id);

	if (r == -ENOENT)
		return 0;
	if (feature_passing(r)) /* says nothing of the link */
		return r;
	if (r || at != (uint32_t)ifindex) {
		iflink_detach(pins, hook, ifindex);
		return 0;
	}
	if (id == prog->id)
		return 1;
	if (bpf_link_update(fd, prog->fd, NULL) < 0)
		return -errno;
	return 1;
}

int iflink_pin(const struct pins *pins, enum hook hook, int ifindex, int fd)
{
	char name[PIN_NAME_MAX];
	int r = fd < 0 ? fd : pins_pin(pins, PIN_LINKS, pin_name(hook, ifindex, name), fd);

	if (fd >= 0)
		close(fd);
	return r;
}
