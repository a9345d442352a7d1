/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PST_LOADER_COMMIT_H
#define PST_LOADER_COMMIT_H

#include "loader/build.h"

/*
 * Brings a build into force: root cgroup programs replaced in place, the gate moved, staged pins renamed over
 * the old ones (which detaches those), what the plan has no longer removed. 0, or -errno with everything as
 * it was.
 */
int commit(struct build *b, const struct fingerprint *fp);
/* Cleans up after a loader that died: finishes what had begun to come into force, removes what had not. */
int commit_recover(struct pins *pins);
/* Is everything in force that was loaded under this fingerprint? */
bool commit_current(const struct pins *pins, const struct plan *plan, const struct fingerprint *fp);

#endif
