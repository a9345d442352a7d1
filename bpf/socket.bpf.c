/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP sockets: connect with its outcome, listen, close, retransmit and reset. (accept: bpf/lib/accept.bpf.h)
 */
#include "bpf/lib/drop.bpf.h"
#include "bpf/lib/gate.bpf.h"
#include "bpf/lib/rate.bpf.h"
#include "bpf/lib/skb.bpf.h"
#include "bpf/lib/sock.bpf.h"

#define SOCK_DONE  1 /* bit of skc_flags: the peer's FIN was received */
#define PF_KTHREAD 0x00200000

const volatile __u32 cfg_reset_rate = 1000; /* resets reported per second and CPU; 0: all */
const volatile __u32 cfg_drop_rate = 1000;  /* drops likewise */

static __always_inline struct pst_sock_entry *entry_of(struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&tcp_sockets, &key);
}

static __always_inline bool current_is_kthread(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, flags) & PF_KTHREAD;
}

/* connect(2): the only moment of an active open in the process's own context. */
static __always_inline void socket_open(struct sock *sk)
{
	struct pst_sock_entry e = {.phase = PST_SOCK_CONNECTING, .active = 1};
	__u64 key = (__u64)sk;

	e.since_ns = bpf_ktime_get_boot_ns();
	e.cookie = pst_sock_cookie(sk, e.since_ns);
	pst_task_current(&e.task);
	bpf_map_update_elem(&tcp_sockets, &key, &e, BPF_ANY);
}

static __always_inline void socket_listen(struct sock *sk, struct tcp_sock *tp, int old)
{
	struct pst_sock_view v;
	struct pst_rec_sock *rec;

	pst_sock_view(&v, sk, tp);
	v.cookie = pst_sock_cookie(sk, 0);
	rec = pst_sock_record(PST_REC_TCP_LISTEN, &v);
	if (!rec)
		return;
	pst_task_current(&rec->task);
	rec->backlog = sk->sk_max_ack_backlog;
	rec->state = old;
	pst_sock_submit(rec);
}

/*
 * Why an active open failed. The kernel sets sk_err before the state unless the process itself gave up:
 * connect(2) found no local port (the socket is not even SS_CONNECTING then), or the socket was closed first.
 */
static __always_inline int socket_error(struct sock *sk)
{
	int error = sk->sk_err;

	if (error)
		return error;
	return BPF_CORE_READ(sk, sk_socket, state) == SS_UNCONNECTED ? EADDRNOTAVAIL : ECANCELED;
}

static __always_inline void socket_outcome(
	struct sock *sk, struct tcp_sock *tp, struct pst_sock_entry *e, int old, int error)
{
	struct pst_sock_view v;
	struct pst_rec_sock *rec;

	pst_sock_view(&v, sk, tp);
	v.cookie = e ? e->cookie : pst_sock_cookie(sk, 0);
	rec = pst_sock_record(PST_REC_TCP_CONNECT, &v);
	if (!rec)
		return;
	if (e) {
		rec->task = e->task;
		rec->duration_ns = rec->h.ts_ns - e->since_ns;
	}
	rec->srtt_us = tp->srtt_us >> 3;
	rec->retransmits = tp->total_retrans;
	rec->error = error;
	rec->state = old;
	pst_sock_submit(rec);
}

/* Remembers a socket that has no entry: of a passive open, or one that was there before us. */
static __always_inline void socket_remember(struct sock *sk, __u8 phase, __u8 active, bool owner)
{
	struct pst_sock_entry e = {.phase = phase, .active = active};
	__u64 key = (__u64)sk, now = bpf_ktime_get_boot_ns();

	if (!owner)
		e.since_ns = now;
	else
		pst_task_current(&e.task);
	e.cookie = pst_sock_cookie(sk, owner ? 0 : now);
	bpf_map_update_elem(&tcp_sockets, &key, &e, BPF_NOEXIST);
}

static __always_inline void socket_established(struct sock *sk, struct tcp_sock *tp, int old)
{
	struct pst_sock_entry *e = entry_of(sk);
	bool active = e ? e->phase == PST_SOCK_CONNECTING : old == TCP_SYN_SENT;

	if (active)
		socket_outcome(sk, tp, e, old, 0);
	if (e) {
		e->since_ns = bpf_ktime_get_boot_ns();
		e->phase = PST_SOCK_OPEN;
	} else {
		socket_remember(sk, PST_SOCK_OPEN, active, false);
	}
}

/*
 * The first half of a close by this end: in the process's context, so the owner of a connection that was
 * established before we came, or was handed out by io_uring, becomes known at last.
 */
static __always_inline void socket_closing(struct sock *sk)
{
	struct pst_sock_entry *e = entry_of(sk);

	if ((e && e->task.pid) || current_is_kthread())
		return;
	if (e)
		pst_task_current(&e->task);
	else
		socket_remember(sk, PST_SOCK_OPEN, 0, true);
}

/*
 * bytes_acked counts our SYN and FIN, bytes_received the peer's FIN, one each. Of a connection that was there
 * before us nobody knows whether it sent a SYN, but no more can be acknowledged than was sent.
 */
static __always_inline void socket_counters(struct pst_rec_sock *rec, struct sock *sk, struct tcp_sock *tp,
	const struct pst_sock_entry *e, int state)
{
	__u64 acked = tp->bytes_acked, received = tp->bytes_received;
	__u64 sent = tp->bytes_sent - tp->bytes_retrans;
	bool fin = state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
		   state == TCP_LAST_ACK;

	if (acked && e && e->active)
		acked--;
	if (acked && fin && tp->snd_una == tp->write_seq)
		acked--;
	if (received && sk->__sk_common.skc_flags >> SOCK_DONE & 1)
		received--;
	rec->bytes_sent = acked < sent ? acked : sent;
	rec->bytes_received = received;
	rec->srtt_us = tp->srtt_us >> 3;
	rec->retransmits = tp->total_retrans;
}

static __always_inline void socket_ended(
	struct sock *sk, struct tcp_sock *tp, struct pst_sock_entry *e, int old)
{
	struct pst_sock_view v;
	struct pst_rec_sock *rec;

	pst_sock_view(&v, sk, tp);
	v.cookie = e ? e->cookie : pst_sock_cookie(sk, 0);
	rec = pst_sock_record(PST_REC_TCP_CLOSE, &v);
	if (!rec)
		return;
	socket_counters(rec, sk, tp, e, old);
	if (e) {
		rec->task = e->task;
		if (e->since_ns)
			rec->duration_ns = rec->h.ts_ns - e->since_ns;
	}
	rec->state = old;
	pst_sock_submit(rec);
}

/* Every socket goes to TCP_CLOSE once, also the one whose TIME_WAIT is served by a stand-in. */
static __always_inline void socket_close(struct sock *sk, struct tcp_sock *tp, int old)
{
	struct pst_sock_entry *e;
	__u64 key = (__u64)sk;

	if (old == TCP_CLOSE || old == TCP_LISTEN)
		return;
	e = entry_of(sk);
	if (old == TCP_SYN_SENT || (e && e->phase == PST_SOCK_CONNECTING))
		socket_outcome(sk, tp, e, old, socket_error(sk));
	else if (old != TCP_SYN_RECV)
		socket_ended(sk, tp, e, old);
	if (e)
		bpf_map_delete_elem(&tcp_sockets, &key);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state, struct sock *sk, int old, int new)
{
	struct tcp_sock *tp;

	if (sk->sk_protocol != IPPROTO_TCP || pst_gate_closed())
		return 0;
	if (new == TCP_SYN_SENT) {
		socket_open(sk);
		return 0;
	}
	if (new == TCP_FIN_WAIT1 || new == TCP_LAST_ACK) {
		socket_closing(sk);
		return 0;
	}
	if (new != TCP_ESTABLISHED &&new != TCP_CLOSE &&new != TCP_LISTEN)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	if (new == TCP_ESTABLISHED)
		socket_established(sk, tp, old);
	else if (new == TCP_LISTEN)
		socket_listen(sk, tp, old);
	else
		socket_close(sk, tp, old);
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(socket_retrans, struct sock *sk)
{
	struct pst_sock_entry *e;
	struct pst_sock_view v;
	struct pst_rec_sock *rec;
	struct tcp_sock *tp;

	if (pst_gate_closed())
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	pst_sock_view(&v, sk, tp);
	e = entry_of(sk);
	v.cookie = e ? e->cookie : pst_sock_cookie(sk, 0);
	rec = pst_sock_record(PST_REC_TCP_RETRANSMIT, &v);
	if (!rec)
		return 0;
	if (e)
		rec->task = e->task;
	socket_counters(rec, sk, tp, e, v.state);
	rec->state = v.state;
	pst_sock_submit(rec);
	return 0;
}

/* The reason came with 6.10 (b533fb9cf4f7, 5cb2cb3eb20c), argument and enum together. */
static __always_inline bool reset_has_reason(void)
{
	return bpf_core_type_exists(enum sk_rst_reason);
}

/* A stand-in or a listener does not have both ends. */
static __always_inline bool reset_sock_is_whole(struct sock *sk)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	return state != TCP_LISTEN && state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV &&
	       BPF_CORE_READ(sk, __sk_common.skc_dport);
}

static __always_inline void reset_view_level(struct pst_sock_view *v, const struct pst_skb_level *l)
{
	__builtin_memcpy(v->laddr, l->key.daddr, 16);
	__builtin_memcpy(v->raddr, l->key.saddr, 16);
	v->lport = bpf_htons(l->key.dport);
	v->rport = bpf_htons(l->key.sport);
	v->family = l->key.family;
}

/* Both ends from the packet that is answered by the reset. */
static __always_inline bool reset_view_skb(struct pst_sock_view *v, struct sock *sk, struct sk_buff *skb)
{
	struct pst_skb_level *l;
	__u32 depth;
	bool ok;

	if (!skb)
		return false;
	l = pst_skb_enter(&depth);
	if (!l)
		return false;
	ok = pst_skb_parse((__u64)skb, depth) == PST_PARSE_OK && l->key.protocol == IPPROTO_TCP;
	if (ok)
		reset_view_level(v, l);
	pst_skb_leave(depth);
	if (sk) {
		v->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
		v->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	} else {
		v->netns = pst_skb_netns(skb);
	}
	return ok;
}

static __always_inline void reset_emit(struct sock *sk, const struct pst_sock_view *v, __u8 dir, __u32 reason)
{
	struct pst_rec_sock *rec = pst_sock_record(PST_REC_TCP_RESET, v);
	struct pst_sock_entry *e;

	if (!rec)
		return;
	e = entry_of(sk);
	if (e) {
		rec->task = e->task;
		rec->cookie = e->cookie;
	} else if (sk && v->state == TCP_CLOSE && !current_is_kthread()) {
		/* close(2) throws data away or must not linger: the state comes first, then the reset */
		pst_task_current(&rec->task);
	}
	rec->state = v->state;
	rec->dir = dir;
	rec->reason = reason;
	pst_sock_submit(rec);
}

/*
 * Either argument may be NULL: sk of a segment for no socket (since 6.11), skb of a reset that answers
 * nothing (since 6.10). The verifier of 6.3 to 6.12 takes both for valid and would drop the checks, so they
 * are read as mere numbers.
 */
SEC("tp_btf/tcp_send_reset")
int reset_sent(__u64 *ctx)
{
	struct pst_sock_view v = {};
	struct sk_buff *skb = NULL;
	struct sock *sk = NULL;
	__u32 reason = 0;

	if (pst_gate_closed() || !pst_rate_ok(PST_RATE_RESET, cfg_reset_rate))
		return 0;
	bpf_probe_read_kernel(&sk, sizeof(sk), ctx);
	bpf_probe_read_kernel(&skb, sizeof(skb), ctx + 1);
	if (reset_has_reason())
		bpf_probe_read_kernel(&reason, sizeof(reason), ctx + 2);
	if (sk && reset_sock_is_whole(sk)) {
		if (!pst_sock_probe(&v, sk))
			return 0;
		if (!v.cookie)
			v.cookie = pst_sock_id((__u64)sk, 0);
	} else if (!reset_view_skb(&v, sk, skb)) {
		return 0;
	}
	reset_emit(sk, &v, PST_DIR_OUT, reason);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(reset_received, struct sock *sk)
{
	struct pst_sock_view v;
	struct tcp_sock *tp;

	if (pst_gate_closed() || !pst_rate_ok(PST_RATE_RESET, cfg_reset_rate))
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	pst_sock_view(&v, sk, tp);
	v.cookie = pst_sock_cookie(sk, 0);
	reset_emit(sk, &v, PST_DIR_IN, 0);
	return 0;
}

/* The third argument, where there is one, is the reason; a fourth since 6.11 does not matter. */
SEC("tp_btf/kfree_skb")
int packet_drop(__u64 *ctx)
{
	struct sk_buff *skb = NULL;
	__u32 reason = 0;

	if (pst_gate_closed())
		return 0;
	bpf_probe_read_kernel(&skb, sizeof(skb), ctx); /* a number: it is handed on as one */
	if (pst_has_drop_reason())
		bpf_probe_read_kernel(&reason, sizeof(reason), ctx + 2);
	pst_drop(skb, ctx[1], reason, cfg_drop_rate);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
