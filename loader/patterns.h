/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces as the configuration names them: names, globs, and "default route", which no name can be; `!`
 * before one leaves out. */
#ifndef PST_LOADER_PATTERNS_H
#define PST_LOADER_PATTERNS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/conf.h"

#define PATTERNS_UPLINK "default route"
#define PATTERNS_MAX    64 /* of a list: sets of them are words */

/*
 * Does the list take this interface? A name is taken when one pattern matches it and none that begins with
 * `!` does; a list of exclusions alone means all others. @uplink: a default route leads over it.
 */
bool patterns_take(const struct pst_strs *patterns, const char *name, bool uplink);
/* Bit n: pattern n asks for this interface, whether or not another one leaves it out. */
uint64_t patterns_hit(const struct pst_strs *patterns, const char *name, bool uplink);
/* Bit n: pattern n asks for some, and is not there before. */
uint64_t patterns_asking(const struct pst_strs *patterns);
/* Does one of them ask for default routes? */
bool patterns_ask_routes(const struct pst_strs *patterns);
/* Why no interface can have this name, or one that the glob matches; NULL: one can. */
const char *patterns_flaw(const char *pattern);

#endif
