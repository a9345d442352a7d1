// SPDX-License-Identifier: Apache-2.0
/* Records of sockets to events: what a protocol is called depends on the family, and any number may come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/collector/convert_test.h"

static void sockets_made(void **state)
{
	static const struct {
		uint32_t family, type, protocol;
		const char *type_name, *protocol_name;
	} cases[] = {
		{AF_INET, SOCK_RAW, IPPROTO_ICMP, "raw", "icmp"},
		{AF_INET6, SOCK_RAW, 4000000000u, "raw", "4000000000"},
		{AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP, "seqpacket", "sctp"},
		{AF_PACKET, SOCK_DGRAM, 0x0608 /* in network order */, "dgram", "0x0806"},
		{AF_PACKET, SOCK_PACKET, 0xffffffff, "packet", "0xffff"},
		{AF_NETLINK, SOCK_RAW, 12, "raw", "netfilter"},
		{AF_NETLINK, SOCK_RAW, 13, "raw", "13"},
		{AF_NETLINK, SOCK_RAW, 22, "raw", "22"},
		{AF_VSOCK, SOCK_STREAM, 6, "stream", "6"},
		{0xffffffff, 0, 0xffffffff, "0", "4294967295"},
	};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(cases); i++) {
		struct pst_rec_socket r = {HEAD(pst_rec_socket, PST_REC_SOCKET_CREATE), .error = 1,
			.family = cases[i].family, .type = cases[i].type, .protocol = cases[i].protocol,
			.netns = 99};
		const struct pst_event *e = to_event(&r);

		assert_int_equal(e->kind, PST_KIND_SOCKET_CREATE);
		assert_int_equal(e->sensor[PST_SOCKET_CREATE_F_error].u, 1);
		assert_int_equal(e->sensor[PST_SOCKET_CREATE_F_family].u, cases[i].family);
		assert_int_equal(e->sensor[PST_SOCKET_CREATE_F_net_ns].u, 99);
		assert_text(e, PST_SOCKET_CREATE_F_socket_type, cases[i].type_name);
		assert_text(e, PST_SOCKET_CREATE_F_socket_protocol, cases[i].protocol_name);
	}
}

static struct pst_rec_bind bind_of(uint16_t family, const char *name, uint16_t bytes)
{
	struct pst_rec_bind r = {
		HEAD(pst_rec_bind, PST_REC_SOCKET_BIND), .family = family, .type = SOCK_DGRAM};

	memset(r.name, 'n', sizeof(r.name));
	memcpy(r.name, name, bytes < sizeof(r.name) ? bytes : 0);
	r.name_bytes = bytes;
	return r;
}

static void sockets_bound(void **state)
{
	struct pst_rec_bind r = bind_of(AF_INET6, "", 0);
	const struct pst_event *e;

	(void)state;
	r.addr[15] = 1;
	r.port = 4000;
	r.protocol = IPPROTO_UDP;
	r.error = 98;
	e = to_event(&r);
	assert_int_equal(e->kind, PST_KIND_SOCKET_BIND);
	assert_int_equal(e->sensor[PST_SOCKET_BIND_F_error].u, 98);
	assert_int_equal(e->sensor[PST_SOCKET_BIND_F_lport].u, 4000);
	assert_int_equal(e->sensor[PST_SOCKET_BIND_F_laddr].len, 16);
	assert_text(e, PST_SOCKET_BIND_F_socket_protocol, "udp");
	assert_text(e, PST_SOCKET_BIND_F_socket_type, "dgram");
	assert_int_equal(e->sensor[PST_SOCKET_BIND_F_path].len, 0);

	r = bind_of(AF_UNIX, "/run/a\0b", 8); /* ends at its NUL */
	e = to_event(&r);
	assert_text(e, PST_SOCKET_BIND_F_path, "/run/a");
	assert_int_equal(e->sensor[PST_SOCKET_BIND_F_abstract].u, 0);
	assert_int_equal(e->sensor[PST_SOCKET_BIND_F_laddr].len, 0);

	r = bind_of(AF_UNIX, "\0a\0b", 4); /* any byte, whatever it is */
	e = to_event(&r);
	assert_int_equal(e->sensor[PST_SOCKET_BIND_F_path].len, 4);
	assert_memory_equal(e->sensor[PST_SOCKET_BIND_F_path].p, "@a\0b", 4);
	assert_int_equal(e->sensor[PST_SOCKET_BIND_F_abstract].u, 1);

	r = bind_of(AF_UNIX, "", 65535); /* a length that lies */
	e = to_event(&r);
	assert_int_equal(e->sensor[PST_SOCKET_BIND_F_path].len, sizeof(r.name));
}

static void too_short(void **state)
{
	static const struct {
		uint16_t kind;
		uint32_t size;
	} kinds[] = {{PST_REC_SOCKET_CREATE, sizeof(struct pst_rec_socket)},
		{PST_REC_SOCKET_BIND, sizeof(struct pst_rec_bind)}};
	union {
		struct pst_rec h;
		char bytes[512];
	} rec = {0};

	(void)state;
	for (size_t i = 0; i < PST_ARRAY_SIZE(kinds); i++) {
		out.len = 0;
		rec.h = (struct pst_rec){.kind = kinds[i].kind, .size = kinds[i].size - 1};
		assert_int_equal(convert_record(&convert, &rec.h, rec.h.size, &out), -EBADMSG);
		assert_int_equal(out.len, 0);
		rec.h.size = kinds[i].size;
		assert_int_equal(convert_record(&convert, &rec.h, rec.h.size, &out), 0);
		assert_int_equal(convert_topic(kinds[i].kind), PST_TOPIC_NET);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_made),
		cmocka_unit_test(sockets_bound),
		cmocka_unit_test(too_short),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("collector convert sockcall", tests, NULL, teardown);
}
