// SPDX-License-Identifier: Apache-2.0
#include "proto/base/stat.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define INDEX_SIZE (PST_STATS_MAX * 2) /* power of two; never more than half full */

static struct {
	struct pst_stat entries[PST_STATS_MAX];
	struct pst_stat *index[INDEX_SIZE];
	struct pst_stat overflow;
	struct pst_stat *first, **end;
	unsigned n;
	int statm_fd;
} stats = {.end = &stats.first, .statm_fd = -1};

static uint32_t hash_str(uint32_t h, const char *s)
{
	for (; s && *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return (h ^ 0xff) * 16777619u; /* so that "a","bc" and "ab","c" differ */
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static void append(struct pst_stat *stat)
{
	*stats.end = stat;
	stats.end = &stat->next;
}

static struct pst_stat *overflow(void)
{
	if (!stats.overflow.name) {
		stats.overflow = (struct pst_stat){
			.name = "stats_overflow",
			.help = "Sum of the counters for which there was no room.",
			.type = PST_STAT_COUNTER,
		};
		append(&stats.overflow);
		pst_warn("more than %d statistics: the rest is counted together", PST_STATS_MAX);
	}
	return &stats.overflow;
}

struct pst_stat *pst_stat(enum pst_stat_type type, const char *name, const char *label_name,
	const char *label, const char *help)
{
	uint32_t i = hash_str(hash_str(2166136261u, name), label) % INDEX_SIZE;

	for (; stats.index[i]; i = (i + 1) % INDEX_SIZE) {
		struct pst_stat *s = stats.index[i];

		if (same(s->name, name) && same(s->label_name, label_name) && same(s->label, label))
			return s;
	}
	if (stats.n == PST_STATS_MAX)
		return overflow();

	struct pst_stat *stat = &stats.entries[stats.n++];
	*stat = (struct pst_stat){
		.name = name, .label_name = label_name, .label = label, .help = help, .type = type};
	stats.index[i] = stat;
	append(stat);
	return stat;
}

const struct pst_stat *pst_stat_first(void)
{
	return stats.first;
}

void pst_stat_open(void)
{
	if (stats.statm_fd < 0)
		stats.statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

uint64_t pst_stat_rss_bytes(void)
{
	char buf[128];
	unsigned long long size, resident;

	if (stats.statm_fd < 0)
		return 0;
	ssize_t n = pread(stats.statm_fd, buf, sizeof(buf) - 1, 0);
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	if (sscanf(buf, "%llu %llu", &size, &resident) != 2)
		return 0;
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t pst_stat_cpu_ns(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
