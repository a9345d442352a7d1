// SPDX-License-Identifier: Apache-2.0
#include "exporter/scrape_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"

const char *const scrape_iter_names[ITERS] = {
	PST_ITER_SYSCALLS, PST_ITER_INTERFACES, PST_ITER_PROGRAMS, PST_ITER_MAPS};

static const struct {
	enum metric_id metric;
	bool ns;
} set_metrics[SETS] = {
	[SET_IFACE_PACKETS] = {M_INTERFACE_PACKETS, false},
	[SET_IFACE_BYTES] = {M_INTERFACE_BYTES, false},
	[SET_RUNS] = {M_PROGRAM_RUNS, false},
	[SET_SECONDS] = {M_PROGRAM_SECONDS, true},
	[SET_MISSES] = {M_PROGRAM_MISSES, false},
	[SET_INSNS] = {M_PROGRAM_INSTRUCTIONS, false},
	[SET_ENTRIES] = {M_MAP_ENTRIES, false},
	[SET_CAPACITY] = {M_MAP_CAPACITY, false},
	[SET_RING] = {M_RING_BYTES, false},
	[SET_RING_CAPACITY] = {M_RING_CAPACITY, false},
};

/* Once when it begins and once when it ends. */
static void log_changes(struct scrape *scrape)
{
	for (unsigned i = 0; i < ITERS; i++) {
		int error = scrape->current->pass[i].error;

		if (error == scrape->logged[i])
			continue;
		scrape->logged[i] = error;
		if (error)
			pst_warn("iterator cannot be read path=%s error=%s", scrape->paths[i],
				strerror(error));
		else
			pst_info("iterator can be read again path=%s", scrape->paths[i]);
	}
}

static void on_fresh(void *arg, int fd, uint32_t events)
{
	struct scrape *scrape = arg;
	struct snapshot *fresh;
	eventfd_t n;

	(void)events;
	eventfd_read(fd, &n);
	pthread_mutex_lock(&scrape->lock);
	fresh = PST_TAKE_PTR(scrape->fresh);
	pthread_mutex_unlock(&scrape->lock);
	if (!fresh)
		return;
	scrape_snapshot_free(scrape->current);
	scrape->current = fresh;
	log_changes(scrape);
	if (scrape->config.done)
		scrape->config.done(scrape->config.arg);
}

static int open_all(struct scrape *scrape)
{
	for (unsigned i = 0; i < ITERS; i++)
		if (asprintf(&scrape->paths[i], "%s/%s", scrape->config.iter_dir, scrape_iter_names[i]) < 0) {
			scrape->paths[i] = NULL;
			return -ENOMEM;
		}
	scrape->fresh_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	scrape->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (scrape->fresh_fd < 0 || scrape->stop_fd < 0)
		return -errno;
	return pst_loop_fd(scrape->config.loop, scrape->fresh_fd, EPOLLIN, on_fresh, scrape, &scrape->source);
}

int scrape_new(const struct scrape_config *config, struct scrape **ret_scrape)
{
	struct scrape *scrape = calloc(1, sizeof(*scrape));
	int r;

	if (!scrape)
		return -ENOMEM;
	scrape->config = *config;
	scrape->fresh_fd = scrape->stop_fd = -1;
	pthread_mutex_init(&scrape->lock, NULL);
	r = open_all(scrape);
	scrape->config.iter_dir = NULL;
	r = r ? r : syscalls_new(config->syscall_cgroups, config->max_series, &scrape->syscalls);
	if (r < 0) {
		scrape_free(scrape);
		return r;
	}
	syscall_names_init(&scrape->names);
	*ret_scrape = scrape;
	return 0;
}

int scrape_start(struct scrape *scrape)
{
	int r = pthread_create(&scrape->thread, NULL, scrape_run_thread, scrape);

	scrape->started = r == 0;
	return -r;
}

void scrape_free(struct scrape *scrape)
{
	if (!scrape)
		return;
	if (scrape->started) {
		eventfd_write(scrape->stop_fd, 1);
		pthread_join(scrape->thread, NULL);
	}
	pst_source_free(scrape->source);
	scrape_snapshot_free(scrape->fresh);
	scrape_snapshot_free(scrape->current);
	syscalls_free(scrape->syscalls);
	syscall_names_done(&scrape->names);
	for (unsigned i = 0; i < ITERS; i++)
		free(scrape->paths[i]);
	pst_closep(&scrape->fresh_fd);
	pst_closep(&scrape->stop_fd);
	pthread_mutex_destroy(&scrape->lock);
	free(scrape);
}

bool scrape_nameless(const struct scrape *scrape, const struct cgroups *cgroups)
{
	return scrape->current && scrape->current->syscalls &&
	       syscall_counts_nameless(scrape->current->syscalls, cgroups);
}

void scrape_name_interfaces(struct scrape *scrape, const struct scrape_interface *v, unsigned n)
{
	n = PST_MIN(n, (unsigned)SCRAPE_INTERFACES_MAX);
	pthread_mutex_lock(&scrape->lock);
	memcpy(scrape->interfaces, v, n * sizeof(*v));
	scrape->n_interfaces = n;
	pthread_mutex_unlock(&scrape->lock);
}

void scrape_failed(const struct scrape *scrape, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < ITERS && len < size; i++) {
		int error = scrape->current ? scrape->current->pass[i].error : 0;

		if (error && error != ENOENT)
			len += (size_t)snprintf(buf + len, size - len, "%s%s: %s", len ? ", " : "",
				scrape_iter_names[i], strerror(error));
	}
}

static void expose_iterators(const struct snapshot *snapshot, struct expo *expo)
{
	static const enum metric_id ids[] = {M_ITERATOR_UP, M_ITERATOR_SECONDS, M_ITERATOR_AGE};
	uint64_t now = pst_now_boot_ns();

	for (unsigned m = 0; m < PST_ARRAY_SIZE(ids); m++) {
		expo_family(expo, &metrics_table[ids[m]]);
		for (unsigned i = 0; i < ITERS; i++) {
			PST_CLEANUP(pst_buf_done) struct pst_buf label = {0};

			expo_label_text(&label, "iterator", scrape_iter_names[i]);
			if (label.failed)
				continue;
			if (ids[m] == M_ITERATOR_UP)
				expo_u64(expo, (const char *)label.p, !snapshot->pass[i].error);
			else if (ids[m] == M_ITERATOR_SECONDS)
				expo_ns(expo, (const char *)label.p, snapshot->pass[i].took_ns);
			else if (snapshot->pass[i].good_ns)
				expo_ns(expo, (const char *)label.p, now - snapshot->pass[i].good_ns);
		}
	}
}

void scrape_expose(const struct scrape *scrape, struct cgroups *cgroups, struct expo *expo)
{
	const struct snapshot *snapshot = scrape->current;

	if (!snapshot)
		return;
	if (snapshot->syscalls) {
		expo_family(expo, &metrics_table[M_SYSCALLS]);
		syscall_counts_expose(
			snapshot->syscalls, &scrape->names, cgroups, scrape->config.max_label_bytes, expo);
		expo_family(expo, &metrics_table[M_SYSCALLS_LOST]);
		expo_u64(expo, NULL, snapshot->syscalls->lost);
	}
	for (unsigned i = 0; i < SETS; i++) {
		expo_family(expo, &metrics_table[set_metrics[i].metric]);
		if (snapshot->sets[i])
			series_expose(snapshot->sets[i], expo, set_metrics[i].ns);
	}
	expo_family(expo, &metrics_table[M_PROGRAM_STATS]);
	if (!snapshot->pass[ITER_PROGRAMS].error)
		expo_u64(expo, NULL, snapshot->stats_on);
	expose_iterators(snapshot, expo);
}
