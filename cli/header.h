/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HEADER_H
#define CLI_HEADER_H

#include <stdio.h>

/* What runs, which sensors are on and which not and why, where /metrics is; from loader.json and
 * exporter.ctl. */
void header_print(FILE *to, const char *run_dir);

#endif
