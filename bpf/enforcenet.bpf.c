/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policies in force on what processes do with sockets (docs/design/policy.md, "Hooks"). LSM denies. Where it
 * is not, programs of the root cgroup deny what they see of IPv4 and IPv6, and of all else the functions that
 * LSM calls kill before it happens, or sys_exit kills behind it. What the kernel does with sockets of its own
 * is no process's act.
 */
#include "bpf/lib/enforce.bpf.h"
#include "bpf/lib/polnet.bpf.h"
#include "bpf/lib/sockfd.bpf.h"
#include "bpf/lib/sysnr.bpf.h"

/* Programs of the root cgroup are attached, too: what they see is theirs, since they can deny. */
const volatile bool cfg_groups_deny = false;
/* sys_exit judges, too, and does not only kill for programs of the root cgroup. */
const volatile bool cfg_exit_judges = true;

static __always_inline bool is_groups(__u32 op, const struct judge_end *e)
{
	if (!cfg_groups_deny || !polnet_is_ip(e->family))
		return false;
	if (op == PST_OP_NET_SOCKET)
		return true;
	if (op == PST_OP_NET_LISTEN || op == PST_OP_NET_ACCEPT || e->type == SOCK_RAW)
		return false;
	if (op == PST_OP_NET_SENDMSG)
		return e->protocol == IPPROTO_UDP || e->protocol == IPPROTO_UDPLITE;
	if (op == PST_OP_NET_BIND && (e->protocol == IPPROTO_UDPLITE || e->protocol == IPPROTO_DCCP))
		return true;
	return e->protocol == IPPROTO_TCP || e->protocol == IPPROTO_UDP;
}

/* ---- LSM and the functions that it calls ---- */

static __always_inline bool asked(__u32 op, __u32 *half)
{
	return !pst_gate_closed() && enforce_of_interest(op, half);
}

static __always_inline int judged(__u32 op, __u32 hook, __u32 half, const struct judge_end *e)
{
	struct pst_verdict v = {};

	judge_net(half, op, e, &v);
	return enforce(op, hook, half, &v);
}

/* The socket of a process; NULL: one of the kernel's own. */
static __always_inline struct sock *users(struct socket *socket)
{
	struct sock *sk = BPF_CORE_READ(socket, sk);

	return !sk || BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock) ? NULL : sk;
}

static __always_inline int created(__u32 hook, __u32 family, __u32 type, __u32 protocol, __u32 kern)
{
	struct judge_end e = {};
	__u32 half = 0;

	if (kern || !asked(PST_OP_NET_SOCKET, &half))
		return 0;
	polnet_kind(&e, family, type, polnet_is_ip(family) ? polnet_default(type, protocol) : protocol);
	if (is_groups(PST_OP_NET_SOCKET, &e))
		return 0;
	return judged(PST_OP_NET_SOCKET, hook, half, &e);
}

/* Functions of their own, whose frames are gone when the subject is looked at. False: nothing to be judged.
 */
static __noinline bool end_named(
	struct judge_end *e, __u32 op, struct sock *sk, const void *address, __u32 bytes)
{
	polnet_socket(e, sk);
	if (is_groups(op, e) || !polnet_named(e, op, address, bytes))
		return false;
	if (op != PST_OP_NET_BIND)
		polnet_other(e, sk);
	return true;
}

static __noinline bool end_own(struct judge_end *e, struct sock *sk)
{
	polnet_socket(e, sk);
	polnet_own(e, sk);
	return true;
}

/* An act on the address that the call names. */
static __always_inline int named(
	__u32 op, __u32 hook, struct socket *socket, const void *address, __u32 bytes)
{
	struct judge_end e = {};
	struct sock *sk;
	__u32 half = 0;

	if (!asked(op, &half))
		return 0;
	sk = users(socket);
	if (!sk || !end_named(&e, op, sk, address, bytes))
		return 0;
	return judged(op, hook, half, &e);
}

/* An act on the socket's own address. */
static __always_inline int own(__u32 op, __u32 hook, struct socket *socket)
{
	struct judge_end e = {};
	struct sock *sk;
	__u32 half = 0;

	if (!asked(op, &half))
		return 0;
	sk = users(socket);
	if (!sk || !end_own(&e, sk))
		return 0;
	return judged(op, hook, half, &e);
}

/* TCP has no address to send to but with MSG_FASTOPEN, and then connects. */
static __always_inline bool is_tcp(struct socket *socket)
{
	struct sock *sk = BPF_CORE_READ(socket, sk);
	__u32 protocol = BPF_CORE_READ(sk, sk_protocol);

	return polnet_is_ip(BPF_CORE_READ(sk, __sk_common.skc_family)) &&
	       BPF_CORE_READ(sk, sk_type) == SOCK_STREAM &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

/* Called for all that is sent: what most have not is looked for by plain loads. */
static __always_inline int sent(__u32 hook, struct socket *socket, struct msghdr *msg)
{
	const void *to;
	__u32 half;

	if (!asked(PST_OP_NET_SENDMSG, &half) && !asked(PST_OP_NET_CONNECT, &half))
		return 0;
	to = msg->msg_name;
	if (!to)
		return 0;
	if (!is_tcp(socket))
		return named(PST_OP_NET_SENDMSG, hook, socket, to, msg->msg_namelen);
	if (msg->msg_flags & POLNET_FASTOPEN)
		return named(PST_OP_NET_CONNECT, hook, socket, to, msg->msg_namelen);
	return 0;
}

SEC("lsm/socket_create")
int BPF_PROG(enforce_socket, int family, int type, int protocol, int kern)
{
	return created(PST_HOOK_LSM, family, type, protocol, kern);
}

SEC("lsm/socket_bind")
int BPF_PROG(enforce_bind, struct socket *sock, struct sockaddr *address, int bytes)
{
	return named(PST_OP_NET_BIND, PST_HOOK_LSM, sock, address, bytes);
}

SEC("lsm/socket_connect")
int BPF_PROG(enforce_connect, struct socket *sock, struct sockaddr *address, int bytes)
{
	return named(PST_OP_NET_CONNECT, PST_HOOK_LSM, sock, address, bytes);
}

SEC("lsm/socket_listen")
int BPF_PROG(enforce_listen, struct socket *sock)
{
	return own(PST_OP_NET_LISTEN, PST_HOOK_LSM, sock);
}

SEC("lsm/socket_accept")
int BPF_PROG(enforce_accept, struct socket *sock)
{
	return own(PST_OP_NET_ACCEPT, PST_HOOK_LSM, sock);
}

SEC("lsm/socket_sendmsg")
int BPF_PROG(enforce_sendmsg, struct socket *sock, struct msghdr *msg)
{
	return sent(PST_HOOK_LSM, sock, msg);
}

SEC("fentry/security_socket_create")
int BPF_PROG(enforce_socket_f, int family, int type, int protocol, int kern)
{
	created(PST_HOOK_FENTRY, family, type, protocol, kern);
	return 0;
}

SEC("fentry/security_socket_bind")
int BPF_PROG(enforce_bind_f, struct socket *sock, struct sockaddr *address, int bytes)
{
	named(PST_OP_NET_BIND, PST_HOOK_FENTRY, sock, address, bytes);
	return 0;
}

SEC("fentry/security_socket_connect")
int BPF_PROG(enforce_connect_f, struct socket *sock, struct sockaddr *address, int bytes)
{
	named(PST_OP_NET_CONNECT, PST_HOOK_FENTRY, sock, address, bytes);
	return 0;
}

SEC("fentry/security_socket_listen")
int BPF_PROG(enforce_listen_f, struct socket *sock)
{
	own(PST_OP_NET_LISTEN, PST_HOOK_FENTRY, sock);
	return 0;
}

SEC("fentry/security_socket_accept")
int BPF_PROG(enforce_accept_f, struct socket *sock)
{
	own(PST_OP_NET_ACCEPT, PST_HOOK_FENTRY, sock);
	return 0;
}

SEC("fentry/security_socket_sendmsg")
int BPF_PROG(enforce_sendmsg_f, struct socket *sock, struct msghdr *msg)
{
	sent(PST_HOOK_FENTRY, sock, msg);
	return 0;
}

/* ---- the root cgroup, where another generation's program takes the place of the one before: no gate ---- */

#define GROUP_DENY  0
#define GROUP_ALLOW 1
#define PF_KTHREAD  0x00200000

/* bpf_set_retval() is there for these programs since 6.1 (dea6a4e17013), the release of
 * bpf_user_ringbuf_drain(). */
static __always_inline bool sets_errno(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id___net, BPF_FUNC_user_ringbuf_drain___net);
}

/*
 * Who is to be killed when his call returns, since programs of the root cgroup send signals only since 6.16:
 * when he was started, by his number.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} policy_doomed SEC(".maps");

static __always_inline __u64 *doomed(__u64 id)
{
	__u32 i = id >> 32 & 4095;

	return bpf_map_lookup_elem(&policy_doomed, &i);
}

static __always_inline void doom(void)
{
	__u64 id = bpf_get_current_pid_tgid(), *at = doomed(id);

	if (at)
		*(volatile __u64 *)at = pst_current_start_ns(id >> 32 == (__u32)id);
}

static __always_inline int group_judged(__u32 op, __u32 half, const struct judge_end *e)
{
	struct pst_verdict v = {};
	int error;

	judge_net(half, op, e, &v);
	if (!sets_errno())
		v.error = ENFORCE_EPERM;
	error = enforce(op, PST_HOOK_CGROUP, half, &v);
	if (!error)
		return GROUP_ALLOW;
	if (v.action == PST_ACT_KILL && !pst_has_group_dead())
		doom();
	if (sets_errno())
		bpf_set_retval(error);
	return GROUP_DENY;
}

/* The kernel's address as a number: the verifier has other views of sockets. */
static __always_inline struct sock *raw(void *known)
{
	struct sock *sk = NULL;

	bpf_probe_read_kernel(&sk, sizeof(sk), &known);
	return sk;
}

/* MPTCP connects for a process by sockets that are the kernel's. */
static __always_inline bool is_kernels(struct sock *sk)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	return BPF_CORE_READ(t, flags) & PF_KTHREAD && BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock);
}

static __noinline bool end_group(struct judge_end *e, __u32 op, struct bpf_sock_addr *ctx, bool ip6)
{
	struct sock *sk = raw(ctx->sk);
	__u32 addr[4];

	if (is_kernels(sk))
		return false;
	polnet_kind(e, ip6 ? AF_INET6 : AF_INET, ctx->type, ctx->protocol);
	if (ip6) {
		addr[0] = *(volatile __u32 *)&ctx->user_ip6[0];
		addr[1] = *(volatile __u32 *)&ctx->user_ip6[1];
		addr[2] = *(volatile __u32 *)&ctx->user_ip6[2];
		addr[3] = *(volatile __u32 *)&ctx->user_ip6[3];
		polnet_ip6(e, addr);
	} else {
		polnet_ip4(e, ctx->user_ip4);
	}
	polnet_port(e, bpf_ntohs(ctx->user_port));
	if (op != PST_OP_NET_BIND)
		polnet_other(e, sk);
	return true;
}

static __always_inline int group_named(__u32 op, struct bpf_sock_addr *ctx, bool ip6)
{
	struct judge_end e = {};
	__u32 half = 0;

	if (!enforce_of_interest(op, &half) || !end_group(&e, op, ctx, ip6))
		return GROUP_ALLOW;
	return group_judged(op, half, &e);
}

SEC("cgroup/sock_create")
int enforce_socket_g(struct bpf_sock *ctx)
{
	struct judge_end e = {};
	__u32 half = 0;

	if (!enforce_of_interest(PST_OP_NET_SOCKET, &half))
		return GROUP_ALLOW;
	polnet_kind(&e, ctx->family, ctx->type, ctx->protocol);
	return group_judged(PST_OP_NET_SOCKET, half, &e);
}

#define GROUP(name, hook, op, ip6)                                                                           \
	SEC("cgroup/" hook) int name(struct bpf_sock_addr *ctx)                                              \
	{                                                                                                    \
		return group_named(op, ctx, ip6);                                                            \
	}

GROUP(enforce_connect4, "connect4", PST_OP_NET_CONNECT, false)
GROUP(enforce_connect6, "connect6", PST_OP_NET_CONNECT, true)
GROUP(enforce_bind4, "bind4", PST_OP_NET_BIND, false)
GROUP(enforce_bind6, "bind6", PST_OP_NET_BIND, true)
GROUP(enforce_sendmsg4, "sendmsg4", PST_OP_NET_SENDMSG, false)
GROUP(enforce_sendmsg6, "sendmsg6", PST_OP_NET_SENDMSG, true)

/* ---- sys_exit ---- */

#define EINPROGRESS 115

/* Sends are here for whom programs of the root cgroup have doomed. */
static __always_inline __u32 call_native(__u64 nr)
{
	switch (nr & ~(__u64)SYSNR_X32_BIT) {
	case 41:
		return PST_OP_NET_SOCKET;
	case 42:
		return PST_OP_NET_CONNECT;
	case 43:
	case 288: /* accept4 */
		return PST_OP_NET_ACCEPT;
	case 49:
		return PST_OP_NET_BIND;
	case 50:
		return PST_OP_NET_LISTEN;
	case 44:  /* sendto */
	case 46:  /* sendmsg */
	case 307: /* sendmmsg */
	case 426: /* io_uring_enter */
	case 518: /* sendmsg and sendmmsg of x32 */
	case 538:
		return PST_OP_NET_SENDMSG;
	default:
		return 0;
	}
}

#define SOCKETCALL 102

static __always_inline __u32 call_compat(__u64 nr)
{
	switch (nr) {
	case SOCKETCALL: /* any */
	case 345:        /* sendmmsg */
	case 369:        /* sendto */
	case 370:        /* sendmsg */
	case 426:        /* io_uring_enter */
		return PST_OP_NET_SENDMSG;
	case 359:
		return PST_OP_NET_SOCKET;
	case 361:
		return PST_OP_NET_BIND;
	case 362:
		return PST_OP_NET_CONNECT;
	case 363:
		return PST_OP_NET_LISTEN;
	case 364: /* accept4 */
		return PST_OP_NET_ACCEPT;
	default:
		return 0;
	}
}

static __always_inline __u32 call_socketcall(__u32 nr)
{
	switch (nr) {
	case 1:
		return PST_OP_NET_SOCKET;
	case 2:
		return PST_OP_NET_BIND;
	case 3:
		return PST_OP_NET_CONNECT;
	case 4:
		return PST_OP_NET_LISTEN;
	case 5:
	case 18: /* accept4 */
		return PST_OP_NET_ACCEPT;
	default:
		return PST_OP_NET_SENDMSG;
	}
}

/* What the call was about, and of which descriptor. 0: not of sockets. */
static __always_inline __u32 call_of(const struct pt_regs *regs, __u32 *ret_fd)
{
	__u64 nr = regs->orig_ax;

	if (!call_native(nr) && !call_compat(nr))
		return 0;
	if (!sysnr_is_compat()) {
		*ret_fd = regs->di;
		return call_native(nr);
	}
	*ret_fd = regs->bx;
	if (nr != SOCKETCALL)
		return call_compat(nr);
	if (bpf_probe_read_user(ret_fd, sizeof(*ret_fd), (const void *)(__u64)(__u32)regs->cx))
		return 0;
	return call_socketcall(regs->bx);
}

static __always_inline bool has_happened(__u32 op, long ret)
{
	return ret >= 0 || (op == PST_OP_NET_CONNECT && ret == -EINPROGRESS);
}

static __always_inline void kill_doomed(void)
{
	__u64 id = bpf_get_current_pid_tgid(), *at = doomed(id), start;

	start = at ? *(volatile __u64 *)at : 0;
	if (!start || start != pst_current_start_ns(id >> 32 == (__u32)id))
		return;
	*(volatile __u64 *)at = 0;
	bpf_send_signal(ENFORCE_SIGKILL);
}

static __noinline bool end_returned(struct judge_end *e, __u32 op, __u32 fd)
{
	struct sock *sk = pst_sock_of_fd(fd);

	if (!sk)
		return false;
	polnet_socket(e, sk);
	if (is_groups(op, e))
		return false;
	if (op == PST_OP_NET_CONNECT)
		return polnet_peer(e, sk);
	if (op != PST_OP_NET_SOCKET)
		polnet_own(e, sk);
	return true;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(enforce_net_x, struct pt_regs *regs, long ret)
{
	struct judge_end e = {};
	__u32 half = 0, fd = 0;
	__u32 op = call_of(regs, &fd);

	if (!op || pst_gate_closed())
		return 0;
	if (!pst_has_group_dead())
		kill_doomed();
	if (!cfg_exit_judges || op == PST_OP_NET_SENDMSG || !has_happened(op, ret) || !asked(op, &half))
		return 0;
	if (op == PST_OP_NET_SOCKET)
		fd = ret;
	if (!end_returned(&e, op, fd))
		return 0;
	judged(op, PST_HOOK_TRACEPOINT, half, &e);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
