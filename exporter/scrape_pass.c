// SPDX-License-Identifier: Apache-2.0
/* Passes over the iterators: everything here runs in the thread. */
#include "exporter/scrape_internal.h"

#include <errno.h>
#include <linux/bpf.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "proto/base/cleanup.h"
#include "proto/base/iter.h"
#include "proto/wire/event.h"

#define SYSCALLS_MAX (1u << 20) /* pairs taken from one pass */

void scrape_snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	for (unsigned i = 0; i < SETS; i++)
		series_free(snapshot->sets[i]);
	syscall_counts_free(snapshot->syscalls);
	free(snapshot);
}

static struct snapshot *snapshot_new(const struct scrape *scrape)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	for (unsigned i = 0; i < SETS; i++) {
		if (series_new(scrape->config.max_series, scrape->config.max_label_bytes,
			    &snapshot->sets[i]) < 0) {
			scrape_snapshot_free(snapshot);
			return NULL;
		}
	}
	return snapshot;
}

struct pass {
	struct scrape *scrape;
	struct snapshot *snapshot;
	struct pst_buf pairs; /* struct pst_iter_syscall */
	struct scrape_interface interfaces[SCRAPE_INTERFACES_MAX];
	unsigned n_interfaces;
};

static int take_syscall(void *arg, const void *element, size_t len)
{
	struct pass *pass = arg;

	if (pass->pairs.len >= SYSCALLS_MAX * len)
		return -E2BIG;
	pst_mp_raw(&pass->pairs, element, len);
	return pass->pairs.failed ? -ENOMEM : 0;
}

/* "eth0", or "if7" where the loader has told no name. */
static void interface_name(const struct pass *pass, uint32_t ifindex, char *buf, size_t size)
{
	for (unsigned i = 0; i < pass->n_interfaces; i++) {
		if (pass->interfaces[i].ifindex != ifindex)
			continue;
		snprintf(buf, size, "%.15s", pass->interfaces[i].name);
		return;
	}
	snprintf(buf, size, "if%u", ifindex);
}

static const char *family_name(uint16_t ethertype)
{
	switch (ethertype) {
	case 0x0800:
		return "ipv4";
	case 0x86dd:
		return "ipv6";
	case 0x0806:
		return "arp";
	default:
		return "other";
	}
}

static int take_interface(void *arg, const void *element, size_t len)
{
	static const struct pst_field field = {.name = "protocol", .type = PST_T_U, .format = PST_FMT_PROTO};
	struct pass *pass = arg;
	struct pst_iter_iface iface;
	char name[32], protocol[32] = "none";
	struct pst_val val;
	struct series_label labels[4];

	(void)len;
	memcpy(&iface, element, sizeof(iface));
	val = (struct pst_val){.u = iface.protocol};
	interface_name(pass, iface.ifindex, name, sizeof(name));
	if (iface.ethertype == 0x0800 || iface.ethertype == 0x86dd)
		pst_val_text(&val, &field, protocol, sizeof(protocol));
	labels[0] = SERIES_TEXT("interface", name);
	labels[1] = SERIES_TEXT("direction", iface.dir == PST_DIR_IN    ? "in"
					     : iface.dir == PST_DIR_OUT ? "out"
									: "none");
	labels[2] = SERIES_TEXT("family", family_name(iface.ethertype));
	labels[3] = SERIES_TEXT("protocol", protocol);
	*series_at(pass->snapshot->sets[SET_IFACE_PACKETS], labels, 4) += iface.packets;
	*series_at(pass->snapshot->sets[SET_IFACE_BYTES], labels, 4) += iface.bytes;
	return 0;
}

/* Programs and maps of one name (a hook on several interfaces, several instances) are one series. */
static int take_program(void *arg, const void *element, size_t len)
{
	struct pass *pass = arg;
	struct series_set **sets = pass->snapshot->sets;
	struct pst_iter_prog prog;
	struct series_label label;

	(void)len;
	memcpy(&prog, element, sizeof(prog));
	label = SERIES_LABEL("program", prog.name, strnlen(prog.name, sizeof(prog.name)));
	*series_at(sets[SET_RUNS], &label, 1) += prog.run_count;
	*series_at(sets[SET_SECONDS], &label, 1) += prog.run_time_ns;
	*series_at(sets[SET_MISSES], &label, 1) += prog.misses;
	*series_at(sets[SET_INSNS], &label, 1) += prog.insns;
	pass->snapshot->stats_on |= prog.stats_on != 0;
	return 0;
}

static int take_map(void *arg, const void *element, size_t len)
{
	struct pass *pass = arg;
	struct series_set **sets = pass->snapshot->sets;
	struct pst_iter_map map;
	struct series_label label;
	bool ring;

	(void)len;
	memcpy(&map, element, sizeof(map));
	ring = map.type == BPF_MAP_TYPE_RINGBUF;
	label = SERIES_LABEL(ring ? "ring" : "map", map.name, strnlen(map.name, sizeof(map.name)));
	if (map.used != PST_MAP_USED_UNKNOWN)
		*series_at(sets[ring ? SET_RING : SET_ENTRIES], &label, 1) += map.used;
	*series_at(sets[ring ? SET_RING_CAPACITY : SET_CAPACITY], &label, 1) += map.capacity;
	return 0;
}

static int run_pass(struct pass *pass, enum iter iter)
{
	static const struct {
		size_t size;
		pst_iter_fn fn;
	} table[ITERS] = {
		[ITER_SYSCALLS] = {sizeof(struct pst_iter_syscall), take_syscall},
		[ITER_INTERFACES] = {sizeof(struct pst_iter_iface), take_interface},
		[ITER_PROGRAMS] = {sizeof(struct pst_iter_prog), take_program},
		[ITER_MAPS] = {sizeof(struct pst_iter_map), take_map},
	};
	int r = pst_iter_fixed(pass->scrape->paths[iter], table[iter].size, table[iter].fn, pass);

	if (r < 0 || iter != ITER_SYSCALLS)
		return PST_MIN(r, 0);
	return syscalls_pass(pass->scrape->syscalls, (const void *)pass->pairs.p,
		pass->pairs.len / sizeof(struct pst_iter_syscall), &pass->snapshot->syscalls);
}

/* Half a pass would be a fall of counters. */
static void drop_sets(struct snapshot *snapshot, enum iter iter)
{
	static const struct {
		enum set from, to;
	} ranges[ITERS] = {
		[ITER_SYSCALLS] = {0, 0},
		[ITER_INTERFACES] = {SET_IFACE_PACKETS, SET_RUNS},
		[ITER_PROGRAMS] = {SET_RUNS, SET_ENTRIES},
		[ITER_MAPS] = {SET_ENTRIES, SETS},
	};

	for (unsigned i = ranges[iter].from; i < ranges[iter].to; i++) {
		series_free(snapshot->sets[i]);
		snapshot->sets[i] = NULL;
	}
}

static struct snapshot *run_round(struct scrape *scrape)
{
	struct pass pass = {.scrape = scrape, .snapshot = snapshot_new(scrape)};

	if (!pass.snapshot)
		return NULL;
	pthread_mutex_lock(&scrape->lock);
	pass.n_interfaces = scrape->n_interfaces;
	memcpy(pass.interfaces, scrape->interfaces, sizeof(pass.interfaces));
	pthread_mutex_unlock(&scrape->lock);
	for (unsigned i = 0; i < ITERS; i++) {
		uint64_t start = pst_now_boot_ns();
		int r = run_pass(&pass, i);

		pass.snapshot->pass[i].took_ns = pst_now_boot_ns() - start;
		pass.snapshot->pass[i].error = -r;
		if (r < 0)
			drop_sets(pass.snapshot, i);
		else
			scrape->good_ns[i] = start;
		pass.snapshot->pass[i].good_ns = scrape->good_ns[i];
	}
	pst_buf_done(&pass.pairs);
	return pass.snapshot;
}

static void hand_over(struct scrape *scrape, struct snapshot *snapshot)
{
	struct snapshot *unread;

	pthread_mutex_lock(&scrape->lock);
	unread = scrape->fresh;
	scrape->fresh = snapshot;
	pthread_mutex_unlock(&scrape->lock);
	scrape_snapshot_free(unread);
	eventfd_write(scrape->fresh_fd, 1);
}

void *scrape_run_thread(void *arg)
{
	struct scrape *scrape = arg;
	uint64_t next_ns = pst_now_mono_ns();

	for (;;) {
		struct pollfd stop = {.fd = scrape->stop_fd, .events = POLLIN};
		uint64_t now = pst_now_mono_ns();
		int wait_ms = now < next_ns ? (int)((next_ns - now + 999999) / 1000000) : 0;
		struct snapshot *snapshot;

		if (poll(&stop, 1, wait_ms) > 0)
			return NULL;
		if (pst_now_mono_ns() < next_ns)
			continue;
		next_ns = pst_now_mono_ns() + scrape->config.interval_ns;
		snapshot = run_round(scrape);
		if (snapshot)
			hand_over(scrape, snapshot);
	}
}
