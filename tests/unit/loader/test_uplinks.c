// SPDX-License-Identifier: Apache-2.0
/* Default routes out of a dump: good messages, and any bytes. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "loader/uplinks.h"
#include "tests/unit/base_test.h"

struct message {
	struct nlmsghdr h;
	struct rtmsg m;
	char attrs[256];
} __attribute__((aligned(8)));

static struct message route(int family, unsigned char len)
{
	return (struct message){
		.h = {.nlmsg_type = RTM_NEWROUTE, .nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg))},
		.m = {.rtm_family = (unsigned char)family,
			.rtm_dst_len = len,
			.rtm_table = RT_TABLE_MAIN,
			.rtm_type = RTN_UNICAST}};
}

static void put(struct message *m, unsigned short type, const void *bytes, size_t n)
{
	struct rtattr *a = (struct rtattr *)((char *)m + NLMSG_ALIGN(m->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(n);
	memcpy(RTA_DATA(a), bytes, n);
	m->h.nlmsg_len = (uint32_t)(NLMSG_ALIGN(m->h.nlmsg_len) + RTA_ALIGN(a->rta_len));
}

static struct message over(int family, int ifindex)
{
	struct message m = route(family, 0);

	put(&m, RTA_OIF, &ifindex, sizeof(ifindex));
	return m;
}

static int parse(const struct message *m, int family, struct uplink_set *set)
{
	return uplinks_parse(m, m->h.nlmsg_len, family, set);
}

static void default_routes_are_found(void **state)
{
	struct message m = over(AF_INET, 3), six = over(AF_INET6, 5);
	struct uplinks u = {.next_ns = 0};

	(void)state;
	assert_int_equal(parse(&m, AF_INET, &u.of[0]), 0);
	assert_int_equal(parse(&m, AF_INET, &u.of[0]), 0);
	assert_int_equal(parse(&six, AF_INET6, &u.of[1]), 0);
	assert_int_equal(u.of[0].n, 1); /* once */
	assert_true(uplinks_has(&u, 3) && uplinks_has(&u, 5));
	assert_false(uplinks_has(&u, 4));
	assert_int_equal(parse(&six, AF_INET, &u.of[0]), 0); /* what nobody asked for */
	assert_int_equal(u.of[0].n, 1);
	m.h.nlmsg_flags = NLM_F_DUMP_INTR;
	parse(&m, AF_INET, &u.of[0]);
	assert_true(u.of[0].torn);
}

static void other_routes_are_not(void **state)
{
	struct message net = route(AF_INET, 24), table = over(AF_INET, 3), kind = over(AF_INET, 4),
		       cached = over(AF_INET6, 5), none = over(AF_INET, -1);
	struct uplink_set set = {.n = 0};
	const unsigned char zeros[4] = {0}, ten[4] = {10};

	(void)state;
	table.m.rtm_table = RT_TABLE_LOCAL;
	kind.m.rtm_type = RTN_UNREACHABLE;
	cached.m.rtm_flags = RTM_F_CLONED;
	assert_int_equal(parse(&table, AF_INET, &set), 0);
	assert_int_equal(parse(&kind, AF_INET, &set), 0);
	assert_int_equal(parse(&cached, AF_INET6, &set), 0);
	assert_int_equal(parse(&none, AF_INET, &set), 0);
	assert_int_equal(set.n, 0);
	/* 0.0.0.0/24 stands before the default route, 10.0.0.0/24 behind it */
	put(&net, RTA_DST, zeros, 4);
	assert_int_equal(parse(&net, AF_INET, &set), 0);
	net = route(AF_INET, 24);
	put(&net, RTA_DST, ten, 4);
	assert_int_equal(parse(&net, AF_INET, &set), 1);
}

static void several_ways(void **state)
{
	struct rtnexthop ways[UPLINKS_MAX + 8];
	struct message m = route(AF_INET, 0);
	struct uplink_set set = {.n = 0};

	(void)state;
	for (int i = 0; i < 3; i++)
		ways[i] = (struct rtnexthop){.rtnh_len = sizeof(*ways), .rtnh_ifindex = 10 + i};
	put(&m, RTA_MULTIPATH, ways, 3 * sizeof(*ways));
	assert_int_equal(parse(&m, AF_INET, &set), 0);
	assert_int_equal(set.n, 3);
	assert_int_equal(set.ifindex[2], 12);
	/* one that says that it has no length, and one that is longer than what holds it */
	for (int i = 0; i < 2; i++) {
		set = (struct uplink_set){.n = 0};
		m = route(AF_INET, 0);
		ways[0].rtnh_len = i ? 999 : 0;
		put(&m, RTA_MULTIPATH, ways, 3 * sizeof(*ways));
		assert_int_equal(parse(&m, AF_INET, &set), 0);
		assert_int_equal(set.n, 1);
	}
}

static void no_more_than_there_is_room_for(void **state)
{
	struct uplink_set set = {.n = 0};

	(void)state;
	for (int i = 1; i <= UPLINKS_MAX + 1; i++) {
		struct message m = over(AF_INET, i);

		assert_int_equal(set.full, false);
		parse(&m, AF_INET, &set);
	}
	assert_int_equal(set.n, UPLINKS_MAX);
	assert_true(set.full);
}

static void any_bytes(void **state)
{
	struct message good = over(AF_INET, 3);
	struct rtnexthop ways[2] = {{.rtnh_len = 8, .rtnh_ifindex = 1}, {.rtnh_len = 8, .rtnh_ifindex = 2}};

	(void)state;
	put(&good, RTA_MULTIPATH, ways, sizeof(ways));
	srand(1);
	for (int i = 0; i < 200000; i++) {
		/* of exact size, so that the sanitizer sees a read behind the end */
		size_t len = (size_t)rand() % (good.h.nlmsg_len + 1);
		char *buf = malloc(len ? len : 1);
		struct uplink_set set = {.n = 0};

		memcpy(buf, &good, len);
		for (int k = rand() % 4; k > 0 && len; k--)
			buf[(size_t)rand() % len] = (char)rand();
		uplinks_parse(buf, len, rand() & 1 ? AF_INET : AF_INET6, &set);
		assert_true(set.n <= UPLINKS_MAX);
		free(buf);
	}
}

static void our_own(void **state)
{
	struct uplinks u = {.next_ns = 0};

	(void)state;
	uplinks_look(&u);
	assert_true(u.next_ns > 0);
	assert_false(uplinks_look(&u)); /* not at once again */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_routes_are_found),
		cmocka_unit_test(other_routes_are_not),
		cmocka_unit_test(several_ways),
		cmocka_unit_test(no_more_than_there_is_room_for),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(our_own),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("loader uplinks", tests, NULL, NULL);
}
