/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel's network types, as far as the programs use them; see bpf/vmlinux.h for the idea. */
#ifndef PST_VMLINUX_NET_H
#define PST_VMLINUX_NET_H

#include "bpf/vmlinux.h"

#define AF_INET  2
#define AF_INET6 10

#define IPPROTO_HOPOPTS  0
#define IPPROTO_ICMP     1
#define IPPROTO_IGMP     2
#define IPPROTO_IPIP     4
#define IPPROTO_TCP      6
#define IPPROTO_UDP      17
#define IPPROTO_DCCP     33
#define IPPROTO_IPV6     41
#define IPPROTO_ROUTING  43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_GRE      47
#define IPPROTO_AH       51
#define IPPROTO_ICMPV6   58
#define IPPROTO_DSTOPTS  60
#define IPPROTO_SCTP     132
#define IPPROTO_MH       135
#define IPPROTO_UDPLITE  136
#define IPPROTO_HIP      139
#define IPPROTO_SHIM6    140

#define ECANCELED     125
#define EADDRNOTAVAIL 99

enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
	TCP_NEW_SYN_RECV = 12,
};

enum {
	XDP_DROP = 1,
	XDP_PASS = 2,
	XDP_TX = 3,
};
#define TC_ACT_UNSPEC   (-1) /* and TCX_NEXT: the next program runs */
#define TC_ACT_SHOT     2
#define TC_ACT_REDIRECT 7

#define BPF_F_CURRENT_NETNS  (-1)
#define BPF_F_RECOMPUTE_CSUM 1
#define BPF_F_PSEUDO_HDR     (1 << 4)
#define BPF_HDR_START_NET    1

/* ---- contexts: user API, fixed layout, no CO-RE ---- */

struct bpf_flow_keys;

struct bpf_sock {
	__u32 bound_dev_if;
	__u32 family;
	__u32 type;
	__u32 protocol;
	__u32 mark;
	__u32 priority;
	__u32 src_ip4;
	__u32 src_ip6[4];
	__u32 src_port;
	__u16 dst_port;
	__u16 pad;
	__u32 dst_ip4;
	__u32 dst_ip6[4];
	__u32 state; /* TCP_LISTEN etc. */
};

struct bpf_sock_tuple {
	union {
		struct {
			__u32 saddr;
			__u32 daddr;
			__u16 sport;
			__u16 dport;
		} ipv4;
		struct {
			__u32 saddr[4];
			__u32 daddr[4];
			__u16 sport;
			__u16 dport;
		} ipv6;
	};
};

struct bpf_sock_addr {
	__u32 user_family;
	__u32 user_ip4;
	__u32 user_ip6[4];
	__u32 user_port;
	__u32 family;
	__u32 type;
	__u32 protocol;
	__u32 msg_src_ip4;
	__u32 msg_src_ip6[4];
	union {
		struct bpf_sock *sk;
		__u64 sk_pad;
	};
};

struct bpf_fib_lookup {
	__u8 family;
	__u8 l4_protocol;
	__u16 sport;
	__u16 dport;
	__u16 tot_len;
	__u32 ifindex;
	__u32 flowinfo;
	__u32 src[4]; /* the first one alone of IPv4 */
	__u32 dst[4];
	__u16 h_vlan[2];
	__u8 smac[6];
	__u8 dmac[6];
};

/* of bpf_fib_lookup() */
enum {
	BPF_FIB_LKUP_RET_NOT_FWDED = 4,    /* delivered here, or no route */
	BPF_FIB_LKUP_RET_FWD_DISABLED = 5, /* what comes in over this interface is not forwarded */
};

struct __sk_buff {
	__u32 len;
	__u32 pkt_type;
	__u32 mark;
	__u32 queue_mapping;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 vlan_proto;
	__u32 priority;
	__u32 ingress_ifindex;
	__u32 ifindex;
	__u32 tc_index;
	__u32 cb[5];
	__u32 hash;
	__u32 tc_classid;
	__u32 data;
	__u32 data_end;
	__u32 napi_id;
	__u32 family;
	__u32 remote_ip4;
	__u32 local_ip4;
	__u32 remote_ip6[4];
	__u32 local_ip6[4];
	__u32 remote_port;
	__u32 local_port;
	__u32 data_meta;
	union {
		struct bpf_flow_keys *flow_keys;
		__u64 flow_keys_pad;
	};
	__u64 tstamp;
	__u32 wire_len;
	__u32 gso_segs;
	union {
		struct bpf_sock *sk;
		__u64 sk_pad;
	};
	__u32 gso_size;
};

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
};

/* ---- kernel types ---- */

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
};

struct socket;

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	__u16 sk_type;
	__u16 sk_protocol;
	__u8 sk_kern_sock : 1;
	__u8 sk_shutdown;
	__u32 sk_max_ack_backlog;
	struct socket *sk_socket;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct sockaddr_un {
	__u16 sun_family;
	char sun_path[108];
};

struct unix_address {
	int len; /* of name */
	struct sockaddr_un name[0];
};

struct unix_sock {
	struct sock sk;
	struct unix_address *addr;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 snd_una;
	__u32 write_seq;
	__u32 srtt_us;
	__u32 total_retrans;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_acked;
	__u64 bytes_received;
};

enum socket_progress { /* without a name in the kernel */
	SS_FREE = 0,
	SS_UNCONNECTED = 1, /* also while connect(2) has not got anywhere yet */
	SS_CONNECTING = 2,
};

struct socket {
	enum socket_progress state;
	struct file *file;
	struct sock *sk;
};

struct sockaddr;

struct msghdr {
	void *msg_name; /* the kernel's copy */
	int msg_namelen;
	unsigned int msg_flags;
};

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	unsigned int data_len;
	int skb_iif;
	__be16 protocol;
	__u16 network_header;
	unsigned int tail; /* an offset from head: 64-bit kernels */
	unsigned char *head;
	unsigned char *data;
	__u8 ip_summed : 2;
};

struct xdp_rxq_info {
	struct net_device *dev;
};

struct xdp_buff {
	struct xdp_rxq_info *rxq;
};

/* flavours: what bpf/vmlinux.h has not */
struct file___net {
	void *private_data;
	struct inode *f_inode;
};

struct files_struct___net {
	struct fdtable *fdt;
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

/* What the running kernel calls them is looked up by name; the numbers here mean nothing. */
enum skb_drop_reason {
	SKB_NOT_DROPPED_YET = 0,
	SKB_CONSUMED = 1,
	SKB_DROP_REASON_NOT_SPECIFIED = 2,
	SKB_DROP_REASON_SOCKET_CLOSE = 4,
	SKB_DROP_REASON_QUEUE_PURGE = 5,
};

enum sk_rst_reason {
	SK_RST_REASON_NOT_SPECIFIED = 0,
};

enum bpf_func_id___net {
	BPF_FUNC_check_mtu___net = 163,
	BPF_FUNC_user_ringbuf_drain___net = 209,
};

#endif
