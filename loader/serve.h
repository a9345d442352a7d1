/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_LOADER_SERVE_H
#define PST_LOADER_SERVE_H

#include "loader/loader.h"

/* Stays after loading: hands out descriptors, follows interfaces, reloads at SIGHUP. Returns an exit code. */
int serve(struct loader *l, bool unload_on_exit);

#endif
