// SPDX-License-Identifier: Apache-2.0
#include "loader/clsact.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <assert.h>
#include <linux/pkt_sched.h>
#include <string.h>

#include "loader/feature.h"
#include "loader/images.h"
#include "loader/netlink.h"
#include "loader/net.h"
#include "proto/base/cleanup.h"

#define PRIORITY_MAX 8

static_assert(sizeof(struct qdisc_note) == 16, "what earlier loaders wrote is read");

uint32_t clsact_handle(const char *root)
{
	struct fingerprint fp;

	fingerprint_init(&fp);
	fingerprint_add(&fp, root, strlen(root));
	return 0x50000000 | (uint32_t)(fp.v[1] >> 36);
}

int clsact_open(const struct pins *pins, bool make)
{
	PST_CLOSE int fd = pins_get(pins, PIN_ROOT, MAP_QDISCS);
	int r;

	if (fd != -ENOENT || !make)
		return PST_TAKE_FD(fd);
	fd = bpf_map_create(
		BPF_MAP_TYPE_HASH, MAP_QDISCS, 4, sizeof(struct qdisc_note), INTERFACES_MAX, NULL);
	if (fd < 0)
		return -errno;
	r = pins_pin(pins, PIN_ROOT, MAP_QDISCS, fd);
	return r ? r : PST_TAKE_FD(fd);
}

static void note_load(int qdiscs, int ifindex, struct qdisc_note *note)
{
	*note = (struct qdisc_note){0};
	bpf_map_lookup_elem(qdiscs, &ifindex, note);
}

static struct bpf_tc_hook hook_of(int ifindex, enum clsact_slot slot)
{
	return (struct bpf_tc_hook){.sz = sizeof(struct bpf_tc_hook),
		.ifindex = ifindex,
		.attach_point = slot & 1 ? BPF_TC_EGRESS : BPF_TC_INGRESS};
}

static bool is_guard(enum clsact_slot slot)
{
	return slot == CLSACT_GUARD_IN || slot == CLSACT_GUARD_OUT;
}

/* The guard's own, among filters of one priority. */
static uint32_t handle_in(uint32_t handle, enum clsact_slot slot)
{
	return is_guard(slot) ? handle ^ 0x30000000 : handle;
}

static uint32_t priority_of(const struct qdisc_note *note, enum clsact_slot slot)
{
	return is_guard(slot) ? note->guard[slot & 1] : note->flow[slot & 1];
}

static void set_priority(struct qdisc_note *note, enum clsact_slot slot, uint32_t priority)
{
	if (is_guard(slot))
		note->guard[slot & 1] = (uint16_t)priority;
	else
		note->flow[slot & 1] = priority;
}

static int make_qdisc(int ifindex, enum clsact_slot slot, struct qdisc_note *note)
{
	struct bpf_tc_hook both = {
		.sz = sizeof(both), .ifindex = ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS};
	int r = bpf_tc_hook_create(&both);

	if (r == -EEXIST) /* somebody's, or ours of before: the note knows */
		return slot & 1 && !netlink_is_clsact(ifindex) ? -EBUSY : 0;
	if (!r)
		note->made = 1;
	return r;
}

/* One held by a filter of another kind or protocol refuses. @priority: ours if there is one, else 0. */
static int add_filter(
	uint32_t handle, int ifindex, enum clsact_slot slot, int prog_fd, uint32_t first, uint32_t *priority)
{
	struct bpf_tc_hook hook = hook_of(ifindex, slot);
	uint32_t from = *priority ? *priority : first, to = *priority ? *priority : PRIORITY_MAX;
	int r = -EINVAL;

	for (uint32_t p = from; p <= to && r; p++) {
		LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = handle, .priority = p,
			.flags = BPF_TC_F_REPLACE);

		r = bpf_tc_attach(&hook, &opts);
		if (!r)
			*priority = p;
	}
	return r;
}

int clsact_attach(
	int qdiscs, uint32_t handle, int ifindex, enum clsact_slot slot, uint32_t first, int prog_fd)
{
	struct qdisc_note note;
	uint32_t priority;
	int r;

	note_load(qdiscs, ifindex, &note);
	r = make_qdisc(ifindex, slot, &note);
	if (r)
		return r;
	/* before the filter: a crash in between leaves a note too many, not a filter too many */
	bpf_map_update_elem(qdiscs, &ifindex, &note, BPF_ANY);
	priority = priority_of(&note, slot);
	r = add_filter(handle_in(handle, slot), ifindex, slot, prog_fd, first, &priority);
	set_priority(&note, slot, priority);
	if (!r && bpf_map_update_elem(qdiscs, &ifindex, &note, BPF_ANY) < 0)
		r = -errno;
	return r;
}

/* Ours may be there without a note of its priority (crash right after it was made). */
static void remove_filter(uint32_t handle, int ifindex, enum clsact_slot slot, uint32_t priority)
{
	struct bpf_tc_hook hook = hook_of(ifindex, slot);
	uint32_t from = priority ? priority : 1, to = priority ? priority : PRIORITY_MAX;

	for (uint32_t p = from; p <= to; p++) {
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle_in(handle, slot), .priority = p);

		bpf_tc_detach(&hook, &opts);
	}
}

static bool qdisc_unused(int ifindex)
{
	return netlink_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)) == 0 &&
	       netlink_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)) == 0;
}

static bool any_priority(const struct qdisc_note *note)
{
	return note->flow[0] || note->flow[1] || note->guard[0] || note->guard[1];
}

void clsact_detach(int qdiscs, uint32_t handle, int ifindex, enum clsact_slot slot)
{
	struct bpf_tc_hook both = {
		.sz = sizeof(both), .ifindex = ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS};
	struct qdisc_note note;

	if (bpf_map_lookup_elem(qdiscs, &ifindex, &note) < 0)
		return;
	remove_filter(handle, ifindex, slot, priority_of(&note, slot));
	set_priority(&note, slot, 0);
	if (any_priority(&note)) {
		bpf_map_update_elem(qdiscs, &ifindex, &note, BPF_ANY);
		return;
	}
	for (int s = 0; s < CLSACT_SLOTS; s++)
		remove_filter(handle, ifindex, (enum clsact_slot)s, 0);
	if (note.made && qdisc_unused(ifindex))
		bpf_tc_hook_destroy(&both);
	clsact_forget(qdiscs, ifindex);
}

bool clsact_there(int qdiscs, uint32_t handle, int ifindex, enum clsact_slot slot, uint32_t prog_id)
{
	struct bpf_tc_hook hook = hook_of(ifindex, slot);
	struct qdisc_note note;
	int r;

	note_load(qdiscs, ifindex, &note);
	LIBBPF_OPTS(
		bpf_tc_opts, opts, .handle = handle_in(handle, slot), .priority = priority_of(&note, slot));
	r = bpf_tc_query(&hook, &opts);
	return r ? feature_passing(r) : opts.prog_id == prog_id;
}

void clsact_forget(int qdiscs, int ifindex)
{
	bpf_map_delete_elem(qdiscs, &ifindex);
}

void clsact_each(int qdiscs, void (*fn)(void *arg, int ifindex), void *arg)
{
	PST_FREE int *list = calloc(INTERFACES_MAX, sizeof(*list));
	int key, *prev = NULL;
	size_t n = 0;

	/* first collect: fn may delete what we stand on */
	for (; list && n < INTERFACES_MAX && !bpf_map_get_next_key(qdiscs, prev, &key); prev = &list[n++])
		list[n] = key;
	for (size_t i = 0; i < n; i++)
		fn(arg, list[i]);
}
