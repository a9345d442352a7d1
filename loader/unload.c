// SPDX-License-Identifier: Apache-2.0
#include "loader/unload.h"

#include <string.h>

#include "loader/guardmaps.h"
#include "loader/lock.h"
#include "loader/mounts.h"
#include "loader/policymaps.h"
#include "loader/report.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

int unload_pins(struct pins *pins)
{
	struct net net;

	net_init(&net, pins);
	net_detach_all(&net);
	guardmaps_attached(pins, &net);
	policymaps_attached(pins, NULL, false);
	net_done(&net);
	return pins_remove_all(pins);
}

void unload_run_dir(const struct pst_common *common)
{
	static const char *const files[] = {REPORT_FILE, "loader.fds", "loader.lock"};

	for (size_t i = 0; i < PST_ARRAY_SIZE(files); i++) {
		PST_FREE char *path = pst_run_path(common, files[i]);

		if (path && unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
			pst_warn("cannot remove path=%s error=%s", path, strerror(errno));
	}
	rmdir(common->run_dir); /* fails while stages have their sockets there */
}

int unload(struct loader *l)
{
	int r;

	if (geteuid()) {
		pst_error("must run as root");
		return -EPERM;
	}
	l->pins.root = l->common.bpffs;
	r = access(l->common.run_dir, F_OK) ? 0 : lock_run_dir(l->common.run_dir, &l->run_lock);
	if (r)
		return r;
	if (!access(l->common.bpffs, F_OK) && !mounts_is_bpffs(l->common.bpffs)) {
		pst_error("not a folder of a bpffs path=%s", l->common.bpffs);
		return -EMEDIUMTYPE;
	}
	r = lock_dir(l->common.bpffs, &l->pins_lock);
	if (r && r != -ENOENT)
		return r;
	if (caps_limit(&l->caps) < 0)
		return -EIO;
	if (!r)
		r = unload_pins(&l->pins);
	else
		r = 0; /* nothing is loaded */
	unload_run_dir(&l->common);
	if (!r)
		pst_info("nothing is left path=%s", l->common.bpffs);
	return r;
}
