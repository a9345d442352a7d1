// SPDX-License-Identifier: Apache-2.0
/* Records of sockets that are made and bound. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "collector/convert_internal.h"
#include "proto/base/cleanup.h"
#include "proto/wire/names.h"

static struct pst_val socket_type(uint32_t type, struct number_text *buf)
{
	static const char *const names[] = {[SOCK_STREAM] = "stream",
		[SOCK_DGRAM] = "dgram",
		[SOCK_RAW] = "raw",
		[SOCK_RDM] = "rdm",
		[SOCK_SEQPACKET] = "seqpacket",
		[SOCK_DCCP] = "dccp",
		[SOCK_PACKET] = "packet"};

	return convert_name(names, PST_ARRAY_SIZE(names), type, buf);
}

/* NETLINK_* of linux/netlink.h */
static const char *const netlink[] = {"route", NULL, "usersock", NULL, "sock_diag", NULL, "xfrm", "selinux",
	"iscsi", "audit", "fib_lookup", "connector", "netfilter", NULL, NULL, "kobject_uevent", "generic",
	NULL, "scsitransport", NULL, "rdma", "crypto"};

/* What the number means depends on the family. */
static struct pst_val socket_protocol(uint32_t family, uint32_t protocol, struct number_text *buf)
{
	const char *name;

	switch (family) {
	case AF_NETLINK:
		return convert_name(netlink, PST_ARRAY_SIZE(netlink), protocol, buf);
	case AF_PACKET:
		snprintf(buf->text, sizeof(buf->text), "0x%04x", ntohs((uint16_t)protocol));
		return pst_val_str(buf->text, strlen(buf->text));
	case AF_INET:
	case AF_INET6:
		name = pst_name_of(PST_FMT_PROTO, protocol);
		if (name)
			return pst_val_str(name, strlen(name));
		break;
	}
	return convert_name(NULL, 0, protocol, buf);
}

static void convert_socket(const struct pst_rec_socket *r, struct pst_buf *out)
{
	struct pst_val v[PST_SOCKET_CREATE_F_N] = {0};
	struct number_text type, protocol;

	convert_who(v, &r->task);
	v[PST_SOCKET_CREATE_F_error].u = convert_errno(r->error);
	v[PST_SOCKET_CREATE_F_family].u = r->family;
	v[PST_SOCKET_CREATE_F_socket_type] = socket_type(r->type, &type);
	v[PST_SOCKET_CREATE_F_socket_protocol] = socket_protocol(r->family, r->protocol, &protocol);
	v[PST_SOCKET_CREATE_F_net_ns].u = r->netns;
	pst_event_pack(out, PST_KIND_SOCKET_CREATE, r->h.ts_ns, v);
}

struct path_text {
	char text[PST_BIND_NAME_BYTES];
};

/* A path ends at its NUL; an abstract name may have any byte, and is shown with an @ for its first. */
static struct pst_val bind_path(const struct pst_rec_bind *r, struct path_text *buf)
{
	size_t n = PST_MIN(r->name_bytes, sizeof(r->name));

	if (n && !r->name[0]) {
		memcpy(buf->text, r->name, n);
		buf->text[0] = '@';
		return pst_val_str(buf->text, n);
	}
	return pst_val_str(r->name, strnlen(r->name, n));
}

static void convert_bind(const struct pst_rec_bind *r, struct pst_buf *out)
{
	struct pst_val v[PST_SOCKET_BIND_F_N] = {0};
	struct number_text type, protocol;
	struct path_text path;

	convert_who(v, &r->task);
	v[PST_SOCKET_BIND_F_error].u = convert_errno(r->error);
	v[PST_SOCKET_BIND_F_family].u = r->family;
	v[PST_SOCKET_BIND_F_socket_type] = socket_type(r->type, &type);
	if (r->protocol)
		v[PST_SOCKET_BIND_F_socket_protocol] = socket_protocol(r->family, r->protocol, &protocol);
	if (r->family == AF_INET || r->family == AF_INET6)
		v[PST_SOCKET_BIND_F_laddr] = pst_val_addr(r->addr);
	v[PST_SOCKET_BIND_F_lport].u = r->port;
	v[PST_SOCKET_BIND_F_path] = bind_path(r, &path);
	v[PST_SOCKET_BIND_F_abstract].u = r->name_bytes && !r->name[0];
	v[PST_SOCKET_BIND_F_ifindex].u = r->ifindex;
	v[PST_SOCKET_BIND_F_net_ns].u = r->netns;
	pst_event_pack(out, PST_KIND_SOCKET_BIND, r->h.ts_ns, v);
}

int convert_sockcall_record(const struct pst_rec *rec, struct pst_buf *out)
{
	switch (rec->kind) {
	case PST_REC_SOCKET_BIND:
		convert_bind((const void *)rec, out);
		return 0;
	case PST_REC_SOCKET_CREATE:
		convert_socket((const void *)rec, out);
		return 0;
	default:
		return -EBADMSG;
	}
}
