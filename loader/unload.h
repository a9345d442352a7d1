/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_LOADER_UNLOAD_H
#define PST_LOADER_UNLOAD_H

#include "loader/loader.h"

/* Detaches and unpins everything under the folder, and the folder. The caller holds its lock. 0 or -errno. */
int unload_pins(struct pins *pins);
/* The command: refuses while another loader holds the folder; nothing there is fine. */
int unload(struct loader *l);
/* Removes what the loader keeps in the run folder, and the folder when nothing else is in it. */
void unload_run_dir(const struct pst_common *common);

#endif
