/* SPDX-License-Identifier: Apache-2.0 */
/* Names that only the running kernel knows, from the loader's report: drop reasons, reset reasons,
 * interfaces. */
#ifndef COLLECTOR_NAMES_H
#define COLLECTOR_NAMES_H

#include <stdint.h>

#define NAMES_MAX    1024 /* of each sort */
#define NAMES_IFACES 256

struct names {
	char *drop[NAMES_MAX]; /* owned; by number; NULL: no name */
	char *reset[NAMES_MAX];
	struct {
		uint32_t ifindex;
		char name[16];
	} iface[NAMES_IFACES];
	unsigned n_ifaces;
	uint32_t net_ns;   /* whose interfaces they are; 0: not known */
	uint64_t mtime_ns; /* of the file that was read last */
	char scratch[24];
};

/* Read again if the file changed. 0, or -errno (the old names stay). */
int names_update(struct names *names, const char *path);
void names_done(struct names *names);
/* Name or its number as text; "" where the kernel gives no reasons. */
const char *names_drop(struct names *names, uint32_t reason);
const char *names_reset(struct names *names, uint32_t reason); /* "" for 0 */
/* "" if unknown: numbers repeat between network namespaces. */
const char *names_iface(const struct names *names, uint32_t ifindex, uint32_t net_ns);

#endif
