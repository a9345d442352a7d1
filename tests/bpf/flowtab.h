/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of flows: an instance of the programs, its table read as the collector reads it, its
 * counters. */
#ifndef TESTS_BPF_FLOWTAB_H
#define TESTS_BPF_FLOWTAB_H

#include <sys/mman.h>

#include "bpf/flow.skel.h"
#include "tests/bpf/netpair.h"
#include "tests/bpf/slotread.h"

struct flowtab {
	struct flow_bpf *skel;
	struct reclog recs;
	const struct pst_flow *slots;
	uint32_t n;
};

static inline void flowtab_open(struct flowtab *t, uint32_t slots, uint64_t idle_ns)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = sizeof(struct pst_flow) * slots;

	memset(t, 0, sizeof(*t));
	t->n = slots;
	t->skel = flow_bpf__open();
	assert_non_null(t->skel);
	t->skel->rodata->cfg_flow_mask = slots - 1;
	t->skel->rodata->cfg_flow_idle_ns = idle_ns;
	assert_int_equal(bpf_map__set_max_entries(t->skel->maps.flows, slots), 0);
	assert_int_equal(bpf_map__set_max_entries(t->skel->maps.ring_flow, 1 << 20), 0);
	assert_int_equal(flow_bpf__load(t->skel), 0);
	assert_int_equal(bpf_map_freeze(bpf_map__fd(t->skel->maps.flows)), 0);
	t->slots = mmap(NULL, (size + page - 1) / page * page, PROT_READ, MAP_SHARED,
		bpf_map__fd(t->skel->maps.flows), 0);
	assert_ptr_not_equal(t->slots, MAP_FAILED);
	reclog_open(&t->recs, bpf_map__fd(t->skel->maps.ring_flow));
}

static inline void flowtab_close(struct flowtab *t)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = sizeof(struct pst_flow) * t->n;

	reclog_close(&t->recs);
	munmap((void *)t->slots, (size + page - 1) / page * page);
	flow_bpf__destroy(t->skel);
}

static inline bool flow_find(const struct flowtab *t, const struct pst_flow_key *key, struct pst_flow *ret)
{
	struct pst_flow f;

	for (uint32_t i = 0; i < t->n; i++)
		if (slot_read(&t->slots[i], &f) && !memcmp(&f.key, key, sizeof(*key))) {
			*ret = f;
			return true;
		}
	return false;
}

static inline uint32_t flow_used(const struct flowtab *t)
{
	struct pst_flow f;
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->n; i++)
		n += slot_read(&t->slots[i], &f);
	return n;
}

static inline struct pst_iface_count iface_sum(const struct flowtab *t, uint32_t ifindex, uint32_t netns,
	uint16_t ethertype, uint8_t protocol, uint8_t dir)
{
	const struct pst_iface_key key = {ifindex, netns, ethertype, protocol, dir};
	struct pst_iface_count sum = {0}, *each;
	int cpus = libbpf_num_possible_cpus();

	each = calloc((size_t)cpus, sizeof(*each));
	assert_non_null(each);
	if (!bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.iface_counters), &key, each))
		for (int i = 0; i < cpus; i++) {
			sum.packets += each[i].packets;
			sum.bytes += each[i].bytes;
		}
	free(each);
	return sum;
}

static inline uint64_t flow_stat(const struct flowtab *t, size_t offset)
{
	return stat_sum(bpf_map__fd(t->skel->maps.class_stats), PST_CLASS_FLOW, offset);
}

#endif
