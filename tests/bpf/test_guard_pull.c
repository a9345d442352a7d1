// SPDX-License-Identifier: Apache-2.0
/*
 * The guard at tc, of packets whose headers are not contiguous: frames of more than a page that are written
 * to a tap have as little in their linear part as the writer says. Chains of IPv6 extension headers that the
 * parser takes are read to their end, and so is what an ICMP error quotes behind one.
 */
#include "tests/bpf/ctrun.h"
#include "tests/bpf/taps.h"

#include <linux/virtio_net.h>
#include <sys/uio.h>

#define IFINDEX 77
#define LINEAR  54   /* Ethernet and IPv6 */
#define FRAME   6000 /* above a page: else a tap makes it contiguous */
#define CHAIN   912  /* of extension headers: the transport header is just within PST_HEADERS_MAX */

static int tap;

static int pull_setup(void **state)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = IFINDEX, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts);

	if (unshare(CLONE_NEWNET) || ct_setup(state))
		return -1;
	tap = tap_new_flags("pull", IFINDEX, IFF_VNET_HDR);
	if (tap < 0)
		return 0;
	opts.prog_fd = bpf_program__fd(skel->progs.guard_tc);
	return bpf_tc_hook_create(&hook) || bpf_tc_attach(&hook, &opts) ? -1 : 0;
}

static int pull_teardown(void **state)
{
	if (tap >= 0)
		close(tap);
	return teardown(state);
}

/* Destination options of CHAIN bytes, in two headers, behind the IPv6 header that was just made. */
static void chain(struct packet *p, uint8_t last)
{
	ext(p, 60, 60, CHAIN / 2);
	ext(p, 60, last, CHAIN / 2);
}

/* @p and zeros behind it, in over the tap: the state in which the rules saw it, or -1. */
static int state_of_frame(struct packet *p)
{
	static uint8_t frame[FRAME];
	struct virtio_net_hdr head = {.hdr_len = LINEAR};
	struct iovec parts[] = {{&head, sizeof(head)}, {frame, sizeof(frame)}};
	uint64_t before[PST_CT_STATES], after[PST_CT_STATES];
	int state = -1;

	memset(frame, 0, sizeof(frame));
	memcpy(frame, p->bytes, p->len);
	put16(frame + p->l3 + 4, (unsigned)(FRAME - p->l3 - 40));
	states_counted(before);
	assert_int_equal(writev(tap, parts, 2), sizeof(head) + sizeof(frame));
	states_counted(after);
	for (int i = 0; i < PST_CT_STATES; i++)
		if (after[i] != before[i])
			state = i;
	return state;
}

static void long_chain(void **state)
{
	struct flow f = {.ip6 = true, .protocol = 17, .peer = 3, .pport = 7, .hport = 53};
	uint64_t cut = reason(PST_GUARD_TRUNCATED).packets;
	struct packet p;
	uint8_t *l4;

	(void)state;
	if (tap < 0)
		skip();
	eth(&p, 0x86dd);
	ip6(&p, 60);
	put_addresses(p.bytes + p.l3, &f, false);
	chain(&p, 17);
	l4 = grow(&p, 8);
	put16(l4, f.pport);
	put16(l4 + 2, f.hport);
	assert_int_equal(state_of_frame(&p), PST_CT_NEW);
	assert_int_equal(reason(PST_GUARD_TRUNCATED).packets, cut);
	assert_int_equal(state_of_frame(&p), PST_CT_NEW);
	assert_int_equal(go(&f, &(struct segment){.out = true}), -1);
	assert_int_equal(state_of_frame(&p), PST_CT_ESTABLISHED);
}

static void error_behind_a_chain(void **state)
{
	struct flow f = {.ip6 = true, .protocol = 17, .peer = 4, .pport = 7, .hport = 53};
	struct segment out = {.out = true};
	struct packet p;

	(void)state;
	if (tap < 0)
		skip();
	eth(&p, 0x86dd);
	ip6(&p, 60);
	put_addresses(p.bytes + p.l3, &(struct flow){.ip6 = true, .peer = 99}, false);
	chain(&p, 58);
	icmp(&p, 1, 0);
	(void)grow(&p, 4);
	ip_packet(&p, &f, &out);
	assert_int_equal(state_of_frame(&p), PST_CT_INVALID);
	go(&f, &out);
	assert_int_equal(state_of_frame(&p), PST_CT_RELATED);
}

/* The headers of a tunnel, and those of what is in it. */
static void tunnel_behind_a_chain(void **state)
{
	struct flow f = {.protocol = 17, .peer = 5, .pport = 7, .hport = 53};
	uint64_t cut = reason(PST_GUARD_TRUNCATED).packets;
	struct packet p;

	(void)state;
	if (tap < 0)
		skip();
	control->flags |= PST_GUARD_INNER_GRE;
	eth(&p, 0x86dd);
	ip6(&p, 60);
	put_addresses(p.bytes + p.l3, &(struct flow){.ip6 = true, .peer = 99}, false);
	chain(&p, 47);
	put16(grow(&p, 4) + 2, 0x0800);
	ip_packet(&p, &f, &(struct segment){.bytes = 8});
	assert_int_equal(state_of_frame(&p), PST_CT_UNTRACKED);
	assert_int_equal(reason(PST_GUARD_TRUNCATED).packets, cut);
	control->flags &= ~(uint64_t)PST_GUARD_INNER_GRE;
	assert_int_equal(state_of_frame(&p), PST_CT_NEW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_chain),
		cmocka_unit_test(error_behind_a_chain),
		cmocka_unit_test(tunnel_behind_a_chain),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	guard_loads = LOAD_TC | LOAD_EGRESS;
	return cmocka_run_group_tests_name(
		"headers that are not contiguous", tests, pull_setup, pull_teardown);
}
