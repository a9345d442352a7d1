// SPDX-License-Identifier: Apache-2.0
/* Records of sockets, drops, and the slots of the flow and UDP tables. */
#include <errno.h>

#include "collector/convert_internal.h"
#include "proto/abi/guard.h"
#include "proto/wire/names.h"

/* The PST_SOCKET block of schema.def starts at the same place in every kind that has it. */
static void socket_block(struct pst_val *v, const struct pst_ends *e, uint64_t cookie, uint32_t netns)
{
	v[PST_CONNECT_F_protocol].u = e->protocol;
	v[PST_CONNECT_F_family].u = e->family;
	v[PST_CONNECT_F_laddr] = pst_val_addr(e->laddr);
	v[PST_CONNECT_F_lport].u = e->lport;
	v[PST_CONNECT_F_raddr] = pst_val_addr(e->raddr);
	v[PST_CONNECT_F_rport].u = e->rport;
	v[PST_CONNECT_F_cookie].u = cookie;
	v[PST_CONNECT_F_net_ns].u = netns;
}
static_assert((int)PST_CONNECT_F_protocol == (int)PST_UDP_F_protocol, "shared prefix");
static_assert((int)PST_CONNECT_F_net_ns == (int)PST_RESET_F_net_ns, "shared prefix");

static int convert_sock(struct convert *c, const struct pst_rec_sock *r, struct pst_buf *out)
{
	struct pst_val v[PST_SENSOR_FIELDS_MAX] = {0};
	const char *reason;
	uint32_t kind = r->h.kind; /* records and events of sockets share their numbers */

	convert_who(v, &r->task);
	socket_block(v, &r->ends, r->cookie, r->netns);
	switch (kind) {
	case PST_REC_TCP_CONNECT:
		v[PST_CONNECT_F_error].u = convert_errno(r->error);
		v[PST_CONNECT_F_duration_ns].u = r->duration_ns;
		break;
	case PST_REC_TCP_LISTEN:
		v[PST_LISTEN_F_backlog].u = r->backlog;
		break;
	case PST_REC_TCP_CLOSE:
		v[PST_CLOSE_F_bytes_sent].u = r->bytes_sent;
		v[PST_CLOSE_F_bytes_received].u = r->bytes_received;
		v[PST_CLOSE_F_duration_ns].u = r->duration_ns;
		v[PST_CLOSE_F_srtt_us].u = r->srtt_us;
		v[PST_CLOSE_F_retransmits].u = r->retransmits;
		break;
	case PST_REC_TCP_RETRANSMIT:
		v[PST_RETRANSMIT_F_state].u = r->state;
		v[PST_RETRANSMIT_F_retransmits].u = r->retransmits;
		break;
	case PST_REC_TCP_RESET:
		reason = names_reset(c->names, r->reason);
		v[PST_RESET_F_dir].u = r->dir;
		v[PST_RESET_F_state].u = r->state;
		v[PST_RESET_F_reason] = pst_val_str(reason, strlen(reason));
		break;
	}
	pst_event_pack(out, kind, r->h.ts_ns, v);
	return 0;
}
static_assert((int)PST_KIND_CONNECT == (int)PST_REC_TCP_CONNECT &&
		      (int)PST_KIND_ACCEPT == (int)PST_REC_TCP_ACCEPT &&
		      (int)PST_KIND_LISTEN == (int)PST_REC_TCP_LISTEN &&
		      (int)PST_KIND_CLOSE == (int)PST_REC_TCP_CLOSE &&
		      (int)PST_KIND_RETRANSMIT == (int)PST_REC_TCP_RETRANSMIT &&
		      (int)PST_KIND_RESET == (int)PST_REC_TCP_RESET,
	"same numbers");

static int convert_drop(struct convert *c, const struct pst_rec_drop *r, struct pst_buf *out)
{
	struct pst_val v[PST_DROP_F_N] = {0};
	const char *reason = names_drop(c->names, r->reason);
	const char *iface = names_iface(c->names, r->ifindex, r->netns);

	v[PST_DROP_F_reason] = pst_val_str(reason, strlen(reason));
	v[PST_DROP_F_protocol].u = r->ends.protocol;
	v[PST_DROP_F_family].u = r->ends.family;
	if (r->ends.family) {
		v[PST_DROP_F_saddr] = pst_val_addr(r->ends.laddr);
		v[PST_DROP_F_daddr] = pst_val_addr(r->ends.raddr);
	}
	v[PST_DROP_F_sport].u = r->ends.lport;
	v[PST_DROP_F_dport].u = r->ends.rport;
	v[PST_DROP_F_tcp_flags].u = r->tcp_flags;
	v[PST_DROP_F_bytes].u = r->len;
	v[PST_DROP_F_ifindex].u = r->ifindex;
	v[PST_DROP_F_interface] = pst_val_str(iface, strlen(iface));
	v[PST_DROP_F_net_ns].u = r->netns;
	v[PST_DROP_F_location].u = r->location;
	pst_event_pack(out, PST_KIND_DROP, r->h.ts_ns, v);
	return 0;
}

static const char *verdict_of(unsigned reason)
{
	switch (reason) {
	case PST_GUARD_FW_ACCEPT:
	case PST_GUARD_FW_POLICY:
	case PST_GUARD_FW_STEP:
		return "pass";
	case PST_GUARD_FW_REJECT:
		return "reject";
	case PST_GUARD_SYN_COOKIE:
		return "answer";
	default:
		return "drop";
	}
}

static struct pst_val text(const char *text)
{
	return pst_val_str(text ? text : "", text ? (uint32_t)strlen(text) : 0);
}

static int convert_fw_log(struct convert *c, const struct pst_rec_fw_log *r, struct pst_buf *out)
{
	struct pst_val v[PST_FW_LOG_F_N] = {0};

	v[PST_FW_LOG_F_fw_rule] = pst_val_str(r->name, strnlen(r->name, sizeof(r->name)));
	v[PST_FW_LOG_F_fw_rule_id].u = r->rule;
	v[PST_FW_LOG_F_verdict] = text(verdict_of(r->reason));
	v[PST_FW_LOG_F_reason] = text(pst_guard_reason_name(r->reason));
	v[PST_FW_LOG_F_hook] = text(r->hook == PST_FW_HOOK_XDP  ? "xdp"
				    : r->hook == PST_FW_HOOK_TC ? "tc"
								: "");
	v[PST_FW_LOG_F_dir].u = r->dir;
	v[PST_FW_LOG_F_protocol].u = r->ends.protocol;
	v[PST_FW_LOG_F_family].u = r->ends.family;
	v[PST_FW_LOG_F_saddr] = pst_val_addr(r->ends.laddr);
	v[PST_FW_LOG_F_sport].u = r->ends.lport;
	v[PST_FW_LOG_F_daddr] = pst_val_addr(r->ends.raddr);
	v[PST_FW_LOG_F_dport].u = r->ends.rport;
	v[PST_FW_LOG_F_tcp_flags].u = r->tcp_flags;
	v[PST_FW_LOG_F_icmp_type].u = r->icmp_type;
	v[PST_FW_LOG_F_icmp_code].u = r->icmp_code;
	v[PST_FW_LOG_F_vlan].u = r->vlan;
	v[PST_FW_LOG_F_bytes].u = r->len;
	v[PST_FW_LOG_F_ifindex].u = r->ifindex;
	v[PST_FW_LOG_F_interface] = text(names_iface(c->names, r->ifindex, r->netns));
	v[PST_FW_LOG_F_net_ns].u = r->netns;
	v[PST_FW_LOG_F_not_logged].u = r->suppressed;
	v[PST_FW_LOG_F_fw_generation].u = r->generation;
	pst_event_pack(out, PST_KIND_FW_LOG, r->h.ts_ns, v);
	return 0;
}

int convert_net_record(struct convert *c, const struct pst_rec *rec, struct pst_buf *out)
{
	if (rec->kind >= PST_REC_TCP_CONNECT && rec->kind <= PST_REC_TCP_RESET)
		return convert_sock(c, (const void *)rec, out);
	if (rec->kind == PST_REC_DROP)
		return convert_drop(c, (const void *)rec, out);
	if (rec->kind == PST_REC_FW_LOG)
		return convert_fw_log(c, (const void *)rec, out);
	if (rec->kind == PST_REC_SOCKET_BIND || rec->kind == PST_REC_SOCKET_CREATE)
		return convert_sockcall_record(rec, out);
	return -ENOENT; /* slots go through the tables (tables.c) */
}

/* Tables may hold anything: a reason that there is none is not known, and nothing else of that word is. */
static bool is_judged(uint64_t word)
{
	return word && pst_guard_reason_name(PST_JUDGED_REASON(word));
}

static struct pst_val rule_of(struct convert *c, const struct convert_flow *f, uint64_t word)
{
	return text(names_rule(c->names, PST_JUDGED_GENERATION(word), PST_JUDGED_COUNTER(word),
		f->slot->first_ns, f->ts_ns));
}

static void flow_judged(struct convert *c, const struct convert_flow *f, struct pst_val *v)
{
	uint64_t first = f->slot->judged_first, last = f->slot->judged_last;

	if (is_judged(first)) {
		v[PST_FLOW_F_verdict] = text(f->dropped ? verdict_of(PST_JUDGED_REASON(first)) : "pass");
		v[PST_FLOW_F_reason] = text(pst_guard_reason_name(PST_JUDGED_REASON(first)));
		v[PST_FLOW_F_fw_rule] = rule_of(c, f, first);
		v[PST_FLOW_F_fw_generation].u = PST_JUDGED_GENERATION(first);
	}
	if (is_judged(last)) {
		v[PST_FLOW_F_last_reason] = text(pst_guard_reason_name(PST_JUDGED_REASON(last)));
		v[PST_FLOW_F_last_fw_rule] = rule_of(c, f, last);
	}
}

void convert_flow(struct convert *c, const struct convert_flow *f, struct pst_buf *out)
{
	const struct pst_flow *s = f->slot;
	const char *iface = names_iface(c->names, s->key.ifindex, s->netns);
	uint64_t dropped_bit = (uint64_t)f->dropped << 62;
	struct pst_val v[PST_FLOW_F_N] = {0};

	v[PST_FLOW_F_protocol].u = s->key.protocol;
	v[PST_FLOW_F_family].u = s->key.family;
	v[PST_FLOW_F_saddr] = pst_val_addr(s->key.saddr);
	v[PST_FLOW_F_sport].u = s->key.sport;
	v[PST_FLOW_F_daddr] = pst_val_addr(s->key.daddr);
	v[PST_FLOW_F_dport].u = s->key.dport;
	v[PST_FLOW_F_dir].u = s->key.dir;
	v[PST_FLOW_F_ifindex].u = s->key.ifindex;
	v[PST_FLOW_F_interface] = pst_val_str(iface, strlen(iface));
	v[PST_FLOW_F_packets].u = s->packets;
	v[PST_FLOW_F_bytes].u = s->bytes;
	v[PST_FLOW_F_delta_packets].u = f->delta_packets;
	v[PST_FLOW_F_delta_bytes].u = f->delta_bytes;
	v[PST_FLOW_F_tcp_flags].u = s->tcp_flags;
	v[PST_FLOW_F_first_ns].u = s->first_ns;
	v[PST_FLOW_F_last_ns].u = s->last_ns;
	v[PST_FLOW_F_end] = pst_val_str(f->end, strlen(f->end));
	v[PST_FLOW_F_flow_id].u = dropped_bit | f->index << 32 | (s->gen >> 1 & 0xffffffff);
	v[PST_FLOW_F_net_ns].u = s->netns;
	flow_judged(c, f, v);
	pst_event_pack(out, PST_KIND_FLOW, f->ts_ns, v);
}

void convert_udp(struct convert *c, const struct convert_udp *u, struct pst_buf *out)
{
	const struct pst_udp *s = u->slot;
	struct pst_ends ends = {.lport = s->key.lport, .rport = s->key.rport, .protocol = IPPROTO_UDP};
	struct pst_val v[PST_UDP_F_N] = {0};

	(void)c;
	ends.family = (uint16_t)s->key.family;
	memcpy(ends.laddr, s->laddr, sizeof(ends.laddr));
	memcpy(ends.raddr, s->key.raddr, sizeof(ends.raddr));
	v[PST_UDP_F_pid].u = s->pid;
	v[PST_UDP_F_start_ns].u = s->start_ns;
	v[PST_UDP_F_uid].u = UINT32_MAX; /* the table does not know it; the enricher does */
	v[PST_UDP_F_gid].u = UINT32_MAX;
	v[PST_UDP_F_cgroup_id].u = s->cgroup_id;
	socket_block(v, &ends, s->key.cookie, s->netns);
	v[PST_UDP_F_packets_sent].u = u->tx_packets;
	v[PST_UDP_F_bytes_sent].u = u->tx_bytes;
	v[PST_UDP_F_packets_received].u = u->rx_packets;
	v[PST_UDP_F_bytes_received].u = u->rx_bytes;
	v[PST_UDP_F_interval_ns].u = u->interval_ns;
	pst_event_pack(out, PST_KIND_UDP, u->ts_ns, v);
}
