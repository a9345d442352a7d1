// SPDX-License-Identifier: Apache-2.0
/* Messages about interfaces: good ones, and any bytes. */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "loader/net.h"
#include "loader/netlink.h"
#include "tests/unit/base_test.h"

struct seen {
	struct link_event last;
	unsigned n;
};

static void see(void *arg, const struct link_event *event)
{
	struct seen *s = arg;

	s->last = *event;
	s->n++;
}

/* A link message with a name of @len bytes. */
static size_t link_message(char *buf, uint16_t type, int ifindex, const char *name, size_t len)
{
	struct nlmsghdr *h = (struct nlmsghdr *)buf;
	struct ifinfomsg *info;
	struct rtattr *a;

	memset(buf, 0, 256);
	h->nlmsg_type = type;
	h->nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof(*info)) + RTA_SPACE(len));
	info = NLMSG_DATA(h);
	info->ifi_index = ifindex;
	a = IFLA_RTA(info);
	a->rta_type = IFLA_IFNAME;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), name, len);
	return NLMSG_ALIGN(h->nlmsg_len);
}

static void links_are_read(void **state)
{
	char buf[512] __attribute__((aligned(8)));
	struct seen s = {.n = 0};
	bool done = true;
	size_t n = link_message(buf, RTM_NEWLINK, 7, "eth7", 5);

	(void)state;
	n += link_message(buf + n, RTM_DELLINK, 8, "veth8", 6);
	assert_int_equal(netlink_parse(buf, n, see, &s, &done), 0);
	assert_int_equal(s.n, 2);
	assert_false(done);
	assert_int_equal(s.last.ifindex, 8);
	assert_true(s.last.gone);
	assert_string_equal(s.last.name, "veth8");
}

static void name_is_bounded(void **state)
{
	char buf[512] __attribute__((aligned(8)));
	char name[64];
	struct seen s = {.n = 0};

	(void)state;
	memset(name, 'x', sizeof(name)); /* longer than a name can be, and without an end */
	size_t n = link_message(buf, RTM_NEWLINK, 7, name, sizeof(name));
	assert_int_equal(netlink_parse(buf, n, see, &s, NULL), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(strlen(s.last.name), IF_NAMESIZE - 1);
}

static void errors_and_ends(void **state)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
	} m = {.h = {.nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_ERROR}, .e = {.error = -ENODEV}};
	struct seen s = {.n = 0};
	bool done = false;

	(void)state;
	assert_int_equal(netlink_parse(&m, sizeof(m), see, &s, &done), -ENODEV);
	m.h.nlmsg_len = sizeof(m.h); /* too short for an error */
	assert_int_equal(netlink_parse(&m, sizeof(m), see, &s, &done), -EBADMSG);
	m.h.nlmsg_type = RTM_NEWLINK; /* too short for a link */
	assert_int_equal(netlink_parse(&m, sizeof(m), see, &s, &done), -EBADMSG);
	m.h.nlmsg_type = NLMSG_DONE;
	assert_int_equal(netlink_parse(&m, sizeof(m.h), see, &s, &done), 0);
	assert_true(done);
	assert_int_equal(s.n, 0);
}

static void any_bytes(void **state)
{
	char good[512] __attribute__((aligned(8)));
	size_t n = link_message(good, RTM_NEWLINK, 7, "eth7", 5);

	(void)state;
	n += link_message(good + n, RTM_DELLINK, 8, "veth8", 6);
	srand(1);
	for (int i = 0; i < 200000; i++) {
		/* of exact size, so that the sanitizer sees a read behind the end */
		size_t len = (size_t)rand() % (n + 1);
		char *buf = malloc(len ? len : 1);
		struct seen s = {.n = 0};

		memcpy(buf, good, len);
		for (int k = rand() % 4; k > 0 && len; k--)
			buf[(size_t)rand() % len] = (char)rand();
		netlink_parse(buf, len, see, &s, NULL);
		assert_true(s.n <= 2 + len / sizeof(struct nlmsghdr));
		free(buf);
	}
}

static void own_interfaces(void **state)
{
	struct seen s = {.n = 0};

	(void)state;
	assert_int_equal(netlink_list(see, &s), 0);
	assert_true(s.n >= 1); /* lo at least */
	int fd = netlink_open();
	assert_true(fd >= 0);
	assert_int_equal(netlink_read(fd, 8, see, &s), 0); /* nothing there, does not wait */
	close(fd);
}

static void pins_of_interfaces(void **state)
{
	int ifindex = 0;

	(void)state;
	assert_true(iflink_is_pin("tcx_in_12", &ifindex));
	assert_int_equal(ifindex, 12);
	assert_true(iflink_is_pin("tcx_out_3", NULL));
	assert_true(iflink_is_pin("xdp_4", NULL));
	assert_false(iflink_is_pin("tcx_in_", NULL));
	assert_false(iflink_is_pin("tcx_in_0", NULL));
	assert_false(iflink_is_pin("tcx_in_-1", NULL));
	assert_false(iflink_is_pin("tcx_in_5x", NULL));
	assert_false(iflink_is_pin("tcx_in_99999999999", NULL));
	assert_false(iflink_is_pin("process_exec", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_are_read),
		cmocka_unit_test(name_is_bounded),
		cmocka_unit_test(errors_and_ends),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(own_interfaces),
		cmocka_unit_test(pins_of_interfaces),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("loader netlink", tests, NULL, NULL);
}
